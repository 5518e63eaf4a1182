//! Examples that lead somewhere: taken from the catalog, or invented where it has none.

use super::EXAMPLES;
use crate::catalog::{Artifact, Catalog, Release, State};
use crate::views::v2::FOLDER;
use crate::words::{Channel, ContentType, Os, Platform};
use serde_json::{Value, json};

/// Stable's head, or where there is none a release that might be.
pub(super) fn example_release(catalog: &Catalog) -> Value {
    // The oldest one, so that the document does not change with every release.
    let stable = catalog.channels().iter().position(|channel| channel.name.as_str() == Channel::STABLE);
    let oldest = stable.and_then(|stable| {
        let release =
            catalog.releases().iter().find(|release| release.state == State::Published && release.channels.contains(&stable))?;
        serde_json::to_value(crate::views::v2::agent_release(catalog, release, stable)).ok()
    });
    oldest.unwrap_or_else(invented_release)
}

fn invented_release() -> Value {
    json!({
        "channel": Channel::STABLE,
        "version": "1.8.3",
        "published_at": "2026-02-24T21:23:53.082Z",
        "notes_url": "https://github.com/Scalepad/scalepad-agent/releases/tag/v1.8.3",
        "artifacts": {
            "windows": {
                "filename": "ScalepadAgent-1.8.3.msi",
                "content_type": ContentType::DEFAULT,
                "size_bytes": 12_345_678,
                "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "download_url": format!("/{FOLDER}/1.8.3/download?platform=windows"),
            },
            "macos": { "arm64": null, "x86_64": null },
        },
    })
}

/// The oldest releases that are offered: an example should lead somewhere, and stay as it is when another release comes.
fn offered(catalog: &Catalog) -> impl Iterator<Item = &Release> {
    catalog.releases().iter().filter(|release| release.state == State::Published)
}

pub(super) fn example_versions(catalog: &Catalog) -> Value {
    offered(catalog).take(EXAMPLES).map(|release| (release.version.to_string(), json!({ "value": release.version }))).collect()
}

/// Files that the path form of this system leads to, or attachments without one.
pub(super) fn example_files(catalog: &Catalog, os: Option<Os>) -> Vec<(&Release, &Artifact)> {
    let files = offered(catalog)
        .flat_map(|release| release.artifacts.iter().chain(&release.attachments).map(move |file| (release, file)));
    files.filter(|(_, file)| file.platform.map(Platform::os) == os).take(EXAMPLES).collect()
}
