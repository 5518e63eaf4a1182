//! The V2 documents: each release, each channel's latest, and the first page of the list.

use super::json;
use crate::catalog::{Artifact, Catalog, Release, State};
use crate::policy::Policy;
use crate::redirects::query_address;
use crate::snapshot::Snapshot;
use crate::words::{Channel, HttpsUrl, Platform, Timestamp};
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

#[derive(Serialize)]
struct Artifacts<'a> {
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
struct List<'a> {
    data: Vec<AgentRelease<'a>>,
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
    snapshot.document(&format!("{FOLDER}/index.json"), json(&first_page(catalog)), Policy::Moving, access, &[]);
}

pub(super) fn agent_release<'a>(catalog: &'a Catalog, release: &'a Release, channel: usize) -> AgentRelease<'a> {
    let artifact = |platform| {
        release
            .artifacts
            .iter()
            .find(|artifact| artifact.platform == Some(platform))
            .map(|artifact| agent_artifact(release, platform, artifact))
    };
    AgentRelease {
        channel: catalog.channels().get(channel).map_or(Channel::LATEST, |channel| channel.name.as_str()),
        version: release.version.as_str(),
        published_at: release.published_at.as_ref(),
        notes_url: release.notes_url.as_ref().map(HttpsUrl::as_str),
        artifacts: Artifacts {
            windows: artifact(Platform::WindowsX86_64),
            macos: Macos { arm64: artifact(Platform::MacosArm64), x86_64: artifact(Platform::MacosX86_64) },
        },
    }
}

fn agent_artifact<'a>(release: &Release, platform: Platform, artifact: &'a Artifact) -> AgentArtifact<'a> {
    AgentArtifact {
        filename: artifact.filename.as_str(),
        content_type: artifact.content_type.as_str(),
        size_bytes: artifact.size_bytes,
        sha256: artifact.sha256.map(|sha256| sha256.hex()),
        download_url: query_address(&release.version, platform).unwrap_or_default(),
    }
}

/// What `GET /v2/agent-releases` answers without any parameter.
fn first_page(catalog: &Catalog) -> List<'_> {
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
        data: page.iter().map(|release| agent_release(catalog, release, stable)).collect(),
        total_count: listed.len(),
        next_cursor: next.map(|last| {
            Cursor { channel: Channel::STABLE, sort_by: SortBy::PublishedAt, order: Order::Desc, key: key(last) }.encode()
        }),
    }
}
