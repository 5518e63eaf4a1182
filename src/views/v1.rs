//! The documents of V1, the interface before V2: kept for clients that still ask for them, and marked as deprecated.

use super::json;
use super::v2::{Artifacts, artifacts, channel_name, first_page};
use crate::catalog::{Catalog, Release, State};
use crate::policy::Policy;
use crate::redirects::v1_address;
use crate::site_table::{FilteredLatest, LegacyEntry};
use crate::snapshot::Snapshot;
use crate::source::V1;
use crate::words::{Channel, HttpsUrl, Os, Platform, Timestamp};
use rayon::prelude::*;
use serde::Serialize;

/// Where the documents lie, as addresses without the leading slash.
pub(in crate::views) const FOLDER: &str = "internal/v1/agent";

/// A release as V1 shows it: as V2 does, with `platforms` in place of `artifacts`, and addresses of V1.
#[derive(Serialize)]
pub(super) struct V1Release<'a> {
    channel: &'a str,
    version: &'a str,
    published_at: Option<&'a Timestamp>,
    notes_url: Option<&'a str>,
    platforms: Artifacts<'a>,
}

/// The addresses of stable's installers, which stay the same when stable moves.
#[derive(Serialize)]
struct Links<'a> {
    stable: StableVersion<'a>,
    latest: LatestLinks,
}

#[derive(Serialize)]
struct StableVersion<'a> {
    version: &'a str,
}

#[derive(Serialize)]
struct LatestLinks {
    windows: Option<String>,
    macos: MacosLinks,
}

#[derive(Serialize)]
struct MacosLinks {
    arm64: Option<String>,
    x86_64: Option<String>,
}

/// Adds the documents of V1, if the catalog has it switched on and it is not retired.
pub(super) fn render(catalog: &Catalog, snapshot: &mut Snapshot) {
    let Some(v1) = catalog.v1().filter(|v1| !v1.gone) else { return };
    let access = catalog.v1_access();
    let legacy = entry(catalog, v1);
    let mut add = |address: &str, twin: &str, bytes: Vec<u8>, yanked: Option<&str>| {
        let link = link(twin, v1.successor_docs.as_ref());
        let sunset = legacy.sunset.as_deref().map(|sunset| ("Sunset", sunset));
        let extra = [("Deprecation", &*legacy.deprecation), ("Link", &link)];
        let extra = extra.into_iter().chain(sunset).chain(yanked.map(|reason| ("X-Release-Yanked", reason)));
        snapshot.document(&format!("{FOLDER}/{address}"), bytes, Policy::Moving, access, &extra.collect::<Vec<_>>());
    };
    let documents: Vec<Vec<u8>> = catalog
        .releases()
        .par_iter()
        .map(|release| json(&v1_release(catalog, release, catalog.default_channel(release))))
        .collect();
    for (release, bytes) in catalog.releases().iter().zip(documents) {
        let yanked = match &release.state {
            State::Yanked(reason) => Some(reason.as_str()),
            _ => None,
        };
        let rest = format!("{}.json", release.version);
        add(&format!("releases/{rest}"), &rest, bytes, yanked);
    }
    for (index, channel) in catalog.channels().iter().enumerate() {
        let Some(head) = channel.head.and_then(|head| catalog.releases().get(head)) else { continue };
        let bytes = json(&v1_release(catalog, head, index));
        if channel.name.as_str() == Channel::STABLE {
            add("releases/latest.json", "latest.json", bytes.clone(), None);
            add("downloads/links.json", "latest.json", json(&links(head)), None);
        }
        let rest = format!("latest/{}.json", channel.name);
        add(&format!("releases/{rest}"), &rest, bytes, None);
    }
    let page = first_page(catalog, |release, stable| v1_release(catalog, release, stable));
    add("releases/index.json", "index.json", json(&page), None);
}

pub(super) fn v1_release<'a>(catalog: &'a Catalog, release: &'a Release, channel: usize) -> V1Release<'a> {
    V1Release {
        channel: channel_name(catalog, channel),
        version: release.version.as_str(),
        published_at: release.published_at.as_ref(),
        notes_url: release.notes_url.as_ref().map(HttpsUrl::as_str),
        platforms: artifacts(release, v1_address),
    }
}

fn links(head: &Release) -> Links<'_> {
    let url = |platform: Platform| {
        let there = head.artifacts.iter().any(|artifact| artifact.platform == Some(platform));
        platform.query().filter(|_| there).map(|query| format!("/{FOLDER}/downloads/latest?{query}"))
    };
    Links {
        stable: StableVersion { version: head.version.as_str() },
        latest: LatestLinks {
            windows: url(Platform::WindowsX86_64),
            macos: MacosLinks { arm64: url(Platform::MacosArm64), x86_64: url(Platform::MacosX86_64) },
        },
    }
}

/// The twin in V2, then where the change is explained.
fn link(twin: &str, docs: Option<&HttpsUrl>) -> String {
    let docs = docs.map(|docs| format!(", <{docs}>; rel=\"deprecation\"")).unwrap_or_default();
    format!("</{}/{twin}>; rel=\"successor-version\"{docs}", super::v2::FOLDER)
}

/// What the edge has to know of V1 besides its documents.
pub(super) fn entry<'a>(catalog: &'a Catalog, v1: &'a V1) -> LegacyEntry<'a> {
    let latest = |index: usize, head: Option<usize>| {
        let head = head.and_then(|head| catalog.releases().get(head)).filter(|_| !v1.gone)?;
        let of = |os| {
            let mut release = v1_release(catalog, head, index);
            release.platforms = release.platforms.of(os);
            String::from_utf8(json(&release)).unwrap_or_default().into()
        };
        Some(FilteredLatest { windows: of(Os::Windows), macos: of(Os::Macos) })
    };
    LegacyEntry {
        access: catalog.v1_access(),
        gone: v1.gone,
        deprecation: format!("@{}", v1.deprecated_on.unix_seconds()).into(),
        sunset: v1.sunset_on.as_ref().map(|day| day.http_date().into()),
        docs: v1.successor_docs.as_ref().map(|docs| docs.as_str().into()),
        latest: catalog.channels().iter().enumerate().map(|(index, channel)| latest(index, channel.head)).collect(),
    }
}
