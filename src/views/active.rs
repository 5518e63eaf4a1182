//! `private/active.json`: the active releases, and the document of the chosen one with places for what needs a secret.

use super::json;
use crate::catalog::{Artifact, Catalog, Release};
use crate::site_table::{ActiveEntry, ActiveTable, Chosen};
use crate::snapshot::{ACTIVE, Snapshot};
use crate::words::{Guid, Platform};
use serde::Serialize;

/// Where the addresses lie.
pub(in crate::views) const FOLDER: &str = "/api/agent/v1/releases";

/// The document of `GET /api/agent/v1/releases/active`.
#[derive(Serialize)]
struct ActiveRelease<'a> {
    guid: Guid,
    version: &'a str,
    artifacts: Vec<ActiveArtifact<'a>>,
    notes: Option<&'a str>,
    dev_mode: bool,
}

#[derive(Serialize)]
struct ActiveArtifact<'a> {
    platform: &'static str,
    filename: &'a str,
    checksum: String,
    file_size: Option<u64>,
    download_url: Option<String>,
    signed_url: Option<String>,
}

/// What an artifact's addresses are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urls {
    /// Both.
    Signed,
    /// There is no key to sign with.
    Plain,
    /// There is nothing to download from.
    None,
}

/// Adds the table.
pub(super) fn render(catalog: &Catalog, snapshot: &mut Snapshot) {
    let active: Vec<(&Release, Guid)> = catalog.active().collect();
    let chosen = active.last().map(|(release, guid)| {
        let text = |urls| String::from_utf8(json(&document(release, *guid, urls))).unwrap_or_default();
        Chosen {
            version: release.version.as_str().into(),
            signed: pieces(document(release, *guid, Urls::Signed)).into_iter().map(Into::into).collect(),
            plain: text(Urls::Plain).into(),
            dev: text(Urls::None).into(),
        }
    });
    let releases = active
        .iter()
        .map(|(release, guid)| ActiveEntry { guid: guid.to_string().into(), version: release.version.as_str().into() });
    snapshot.internal(ACTIVE, json(&ActiveTable { chosen, releases: releases.collect() }));
}

fn document(release: &Release, guid: Guid, urls: Urls) -> ActiveRelease<'_> {
    // An artifact without a hash is not shown.
    let shown = |platform: Platform| {
        let artifact = release.artifacts.iter().find(|artifact| artifact.platform == Some(platform))?;
        Some(active_artifact(artifact, guid, platform, artifact.sha256?.hex(), urls))
    };
    ActiveRelease {
        guid,
        version: release.version.as_str(),
        artifacts: Platform::ACTIVE_ORDER.into_iter().filter_map(shown).collect(),
        notes: release.notes.as_deref(),
        dev_mode: urls == Urls::None,
    }
}

/// The document, cut behind each `expires=`, where the edge puts what it signs.
fn pieces(mut document: ActiveRelease<'_>) -> Vec<String> {
    const ARTIFACTS: &str = "\"artifacts\":[";
    let artifacts = std::mem::take(&mut document.artifacts);
    let frame = String::from_utf8(json(&document)).unwrap_or_default();
    // What stands before it is a guid and a version, which cannot look like it.
    let (head, tail) = frame.split_at(frame.find(ARTIFACTS).map_or(0, |at| at + ARTIFACTS.len()));
    let (mut pieces, mut piece) = (Vec::new(), head.to_owned());
    for (place, artifact) in artifacts.iter().enumerate() {
        // The signed address is an artifact's last value.
        let text = serde_json::to_string(artifact).unwrap_or_default();
        piece.push_str(if place == 0 { "" } else { "," });
        piece.push_str(text.strip_suffix("\"}").unwrap_or(&text));
        pieces.push(std::mem::replace(&mut piece, "\"}".to_owned()));
    }
    piece.push_str(tail);
    pieces.push(piece);
    pieces
}

fn active_artifact(artifact: &Artifact, guid: Guid, platform: Platform, sha256: String, urls: Urls) -> ActiveArtifact<'_> {
    let platform = platform.active_id();
    let address = format!("{FOLDER}/{guid}/download/{platform}");
    ActiveArtifact {
        platform,
        filename: artifact.filename.as_str(),
        checksum: format!("sha256:{sha256}"),
        file_size: artifact.size_bytes,
        signed_url: (urls == Urls::Signed).then(|| format!("{address}?expires=")),
        download_url: (urls != Urls::None).then_some(address),
    }
}
