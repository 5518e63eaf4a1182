//! The V2 documents: each release, each channel's latest, and the first page of the list.

use super::json;
use crate::catalog::{Artifact, Catalog, Release, State};
use crate::policy::Policy;
use crate::redirects::query_address;
use crate::snapshot::Snapshot;
use crate::words::{Channel, HttpsUrl, Os, Platform, Timestamp, Version};
use rayon::prelude::*;
use serde::Serialize;

/// Where the documents lie, as addresses without the leading slash.
pub(super) const FOLDER: &str = "v2/agent-releases";

/// A release as V2 shows it (`AgentRelease`). Keys in the order of the contract, absent values null.
#[derive(Serialize)]
pub(super) struct AgentRelease<'a> {
    channel: &'a str,
    version: &'a str,
    published_at: Option<&'a Timestamp>,
    notes_url: Option<&'a str>,
    artifacts: Artifacts<'a>,
}

/// The installers that V2 and V1 show.
#[derive(Serialize)]
pub(super) struct Artifacts<'a> {
    windows: Option<AgentArtifact<'a>>,
    macos: Macos<'a>,
}

#[derive(Serialize)]
struct Macos<'a> {
    arm64: Option<AgentArtifact<'a>>,
    x86_64: Option<AgentArtifact<'a>>,
}

#[derive(Serialize)]
struct AgentArtifact<'a> {
    filename: &'a str,
    content_type: &'a str,
    size_bytes: Option<u64>,
    sha256: Option<String>,
    download_url: String,
}

/// The first page of a list.
#[derive(Serialize)]
pub(super) struct List<T> {
    data: Vec<T>,
    total_count: usize,
    next_cursor: Option<String>,
}

/// Adds the V2 documents.
pub(super) fn render(catalog: &Catalog, snapshot: &mut Snapshot) {
    let access = catalog.v2_access();
    let documents: Vec<Vec<u8>> = catalog
        .releases()
        .par_iter()
        .map(|release| json(&agent_release(catalog, release, catalog.default_channel(release))))
        .collect();
    for (release, bytes) in catalog.releases().iter().zip(documents) {
        let yanked = match &release.state {
            State::Yanked(reason) => vec![("X-Release-Yanked", reason.as_str())],
            _ => Vec::new(),
        };
        snapshot.document(&format!("{FOLDER}/{}.json", release.version), bytes, Policy::Moving, access, &yanked);
    }
    for (index, channel) in catalog.channels().iter().enumerate() {
        let Some(head) = channel.head.and_then(|head| catalog.releases().get(head)) else { continue };
        let bytes = json(&agent_release(catalog, head, index));
        if channel.name.as_str() == Channel::STABLE {
            snapshot.document(&format!("{FOLDER}/latest.json"), bytes.clone(), Policy::Moving, access, &[]);
        }
        snapshot.document(&format!("{FOLDER}/latest/{}.json", channel.name), bytes, Policy::Moving, access, &[]);
    }
    let page = first_page(catalog, |release, stable| agent_release(catalog, release, stable));
    snapshot.document(&format!("{FOLDER}/index.json"), json(&page), Policy::Moving, access, &[]);
}

pub(super) fn agent_release<'a>(catalog: &'a Catalog, release: &'a Release, channel: usize) -> AgentRelease<'a> {
    AgentRelease {
        channel: channel_name(catalog, channel),
        version: release.version.as_str(),
        published_at: release.published_at.as_ref(),
        notes_url: release.notes_url.as_ref().map(HttpsUrl::as_str),
        artifacts: artifacts(release, query_address),
    }
}

pub(super) fn channel_name(catalog: &Catalog, channel: usize) -> &str {
    catalog.channels().get(channel).map_or(Channel::LATEST, |channel| channel.name.as_str())
}

/// The installers, each at the address that `address` gives it.
pub(super) fn artifacts(release: &Release, address: fn(&Version, Platform) -> Option<String>) -> Artifacts<'_> {
    let artifact = |platform| {
        let artifact = release.artifacts.iter().find(|artifact| artifact.platform == Some(platform))?;
        Some(agent_artifact(artifact, address(&release.version, platform)?))
    };
    Artifacts {
        windows: artifact(Platform::WindowsX86_64),
        macos: Macos { arm64: artifact(Platform::MacosArm64), x86_64: artifact(Platform::MacosX86_64) },
    }
}

impl Artifacts<'_> {
    /// Those of one system; the places of the others stay, empty.
    pub(super) fn of(mut self, os: Os) -> Self {
        match os {
            Os::Windows => self.macos = Macos { arm64: None, x86_64: None },
            Os::Macos => self.windows = None,
            Os::Linux => {}
        }
        self
    }
}

fn agent_artifact(artifact: &Artifact, download_url: String) -> AgentArtifact<'_> {
    AgentArtifact {
        filename: artifact.filename.as_str(),
        content_type: artifact.content_type.as_str(),
        size_bytes: artifact.size_bytes,
        sha256: artifact.sha256.map(|sha256| sha256.hex()),
        download_url,
    }
}

/// What a list answers without any parameter, each release as `show` makes it of stable.
pub(super) fn first_page<'a, T>(catalog: &'a Catalog, show: impl Fn(&'a Release, usize) -> T) -> List<T> {
    use crate::lists::{Cursor, DEFAULT_PAGE_SIZE, Order, SortBy, SortKey};
    let Some(stable) = catalog.channels().iter().position(|channel| channel.name.as_str() == Channel::STABLE) else {
        return List { data: Vec::new(), total_count: 0, next_cursor: None };
    };
    let mut listed: Vec<&Release> = catalog
        .releases()
        .iter()
        .filter(|release| release.state == State::Published && release.channels.contains(&stable))
        .collect();
    let key = |release: &Release| SortKey::new(SortBy::PublishedAt, release.published_at.clone(), release.version.clone());
    listed.sort_by(|a, b| key(a).cmp(&key(b), Order::Desc));
    let page = listed.get(..DEFAULT_PAGE_SIZE.min(listed.len())).unwrap_or_default();
    let next = page.last().filter(|_| listed.len() > page.len());
    List {
        data: page.iter().map(|release| show(release, stable)).collect(),
        total_count: listed.len(),
        next_cursor: next.map(|last| {
            Cursor { channel: Channel::STABLE, sort_by: SortBy::PublishedAt, order: Order::Desc, key: key(last) }.encode()
        }),
    }
}
