//! What templates are given, field by field; everything that a page says is worked out here or lies in the catalog.

use super::assets::Assets;
use super::colours::Accent;
use super::{date, notes, reason_of, size};
use crate::catalog::{Artifact, Catalog, Release};
use crate::policy::page_policy;
use crate::redirects::path_address;
use crate::views::v2::FOLDER;
use crate::words::{HttpsUrl, Os, Platform, Sha256, Timestamp};
use minijinja::value::Value;
use serde::Serialize;

/// What every page is given.
#[derive(Clone, Serialize)]
pub(super) struct SiteContext<'a> {
    product: &'a str,
    title: &'a str,
    public_url: Option<&'a str>,
    logo: Option<String>,
    accent: Option<Accent>,
    channels: Vec<ChannelContext<'a>>,
    description: String,
    /// What artifacts may be for, as `artifacts` of releases names it.
    platforms: Vec<PlatformContext>,
    /// What a page may load, and whence.
    policy: Value,
}

/// A platform, and what people call it.
#[derive(Clone, Serialize)]
struct PlatformContext {
    id: &'static str,
    label: &'static str,
}

/// A channel, and where its releases are announced.
#[derive(Clone, Serialize)]
struct ChannelContext<'a> {
    name: &'a str,
    feed: String,
}

/// A channel's head, on the first page.
#[derive(Serialize)]
pub(super) struct HeadContext<'a> {
    pub(super) name: &'a str,
    pub(super) head: Option<ReleaseContext<'a>>,
    /// Why the channel is held there.
    pub(super) pinned: Option<&'a str>,
}

/// A release.
#[derive(Serialize)]
pub(super) struct ReleaseContext<'a> {
    pub(super) version: &'a str,
    pub(super) address: String,
    state: &'a str,
    reason: Option<&'a str>,
    published_at: Option<&'a Timestamp>,
    date: Option<String>,
    notes_url: Option<&'a str>,
    notes: Option<&'a str>,
    notes_html: Option<Value>,
    /// Those that it names.
    channels: Vec<&'a str>,
    json: String,
    json_sha256: Option<Sha256>,
    sums: Option<String>,
    artifacts: Vec<FileContext<'a>>,
    attachments: Vec<FileContext<'a>>,
}

/// A file of a release.
#[derive(Serialize)]
pub(super) struct FileContext<'a> {
    platform: Option<Platform>,
    system: Option<&'static str>,
    label: Option<&'static str>,
    filename: &'a str,
    content_type: &'a str,
    size: Option<String>,
    size_bytes: Option<u64>,
    sha256: Option<Sha256>,
    url: String,
}

impl<'a> SiteContext<'a> {
    pub(super) fn new(catalog: &'a Catalog, assets: &'a Assets) -> Self {
        let channel = |name: &'a str| ChannelContext { name, feed: format!("/feeds/{name}.atom") };
        let title = catalog.page().title.as_deref().unwrap_or(catalog.product());
        Self {
            product: catalog.product(),
            title,
            public_url: catalog.public_url().map(HttpsUrl::as_str),
            logo: assets.logo(),
            accent: catalog.page().accent.as_deref().and_then(Accent::of),
            channels: catalog.channels().iter().map(|state| channel(state.name.as_str())).collect(),
            description: format!("Installers of {title} for every system, with their hashes, and every release before."),
            platforms: Platform::ALL.map(|platform| PlatformContext { id: platform.id(), label: platform.label() }).into(),
            // It holds quotes, and none of the kind that it is written in.
            policy: Value::from_safe_string(page_policy().to_owned()),
        }
    }
}

impl SiteContext<'_> {
    /// What everybody may know, wherever V2 requires access.
    pub(super) fn bare(&self) -> Self {
        Self { channels: Vec::new(), ..self.clone() }
    }
}

impl<'a> ReleaseContext<'a> {
    /// What its own page says of it. `json_sha256`: of the release's own document.
    pub(super) fn new(catalog: &'a Catalog, release: &'a Release, json_sha256: Sha256, has_sums: bool) -> Self {
        Self {
            notes_html: release.page_notes.as_deref().map(notes::html).map(Value::from_safe_string),
            json_sha256: Some(json_sha256),
            sums: has_sums.then(|| format!("/releases/{}/SHA256SUMS", release.version)),
            ..Self::row(catalog, release)
        }
    }

    /// What a page of many says of it.
    pub(super) fn row(catalog: &'a Catalog, release: &'a Release) -> Self {
        let version = release.version.as_str();
        let named = release.channels.iter().filter(|index| **index + 1 < catalog.channels().len());
        let of = |file: &'a Artifact| FileContext::new(release, file);
        Self {
            version,
            address: format!("/releases/{version}/"),
            state: release.state.as_str(),
            reason: reason_of(release),
            published_at: release.published_at.as_ref(),
            date: release.published_at.as_ref().and_then(date),
            notes_url: release.notes_url.as_ref().map(HttpsUrl::as_str),
            notes: release.notes.as_deref(),
            notes_html: None,
            channels: named.filter_map(|index| catalog.channels().get(*index)).map(|channel| channel.name.as_str()).collect(),
            json: format!("/{FOLDER}/{version}.json"),
            json_sha256: None,
            sums: None,
            artifacts: release.artifacts.iter().map(of).collect(),
            attachments: release.attachments.iter().map(of).collect(),
        }
    }
}

impl<'a> FileContext<'a> {
    fn new(release: &'a Release, file: &'a Artifact) -> Self {
        Self {
            platform: file.platform,
            system: file.platform.map(Platform::os).map(Os::as_str),
            label: file.platform.map(Platform::label),
            filename: file.filename.as_str(),
            content_type: file.content_type.as_str(),
            size: file.size_bytes.map(size),
            size_bytes: file.size_bytes,
            sha256: file.sha256,
            url: path_address(&release.version, file),
        }
    }
}
