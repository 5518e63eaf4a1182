//! The whole history in tiles named by their hash, so that a reader of all of it fetches each tile once for ever.

use super::json;
use super::v2::FOLDER;
use crate::catalog::{Artifact, Catalog, Release};
use crate::policy::Policy;
use crate::redirects::path_address;
use crate::snapshot::Snapshot;
use crate::words::{HttpsUrl, Reason, Sha256, Timestamp};
use rayon::prelude::*;
use serde::{Serialize, Serializer};

/// A tile ends after a version whose hash begins with a byte below this: about 64 rows, and borders that only the
/// versions themselves decide.
const BORDER: u8 = 4;

#[derive(Serialize)]
struct HistoryIndex {
    total_count: usize,
    tiles: Vec<TileEntry>,
}

#[derive(Serialize)]
struct TileEntry {
    file: String,
    count: usize,
    first: String,
    last: String,
}

#[derive(Serialize)]
struct Tile<'a> {
    data: Vec<HistoryRow<'a>>,
}

/// A release in every detail that is published of it.
#[derive(Serialize)]
struct HistoryRow<'a> {
    version: &'a str,
    channels: Vec<&'a str>,
    state: &'a str,
    reason: Option<&'a str>,
    published_at: Option<&'a Timestamp>,
    notes_url: Option<&'a str>,
    artifacts: FileMap<'a>,
    attachments: FileMap<'a>,
}

/// Files by platform, or by name.
struct FileMap<'a> {
    release: &'a Release,
    files: &'a [Artifact],
}

#[derive(Serialize)]
struct HistoryFile<'a> {
    filename: &'a str,
    content_type: &'a str,
    size_bytes: Option<u64>,
    sha256: Option<Sha256>,
    download_url: String,
}

impl Serialize for FileMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.files.iter().map(|file| {
            let name = file.platform.map_or(file.filename.as_str(), |platform| platform.id());
            let value = HistoryFile {
                filename: file.filename.as_str(),
                content_type: file.content_type.as_str(),
                size_bytes: file.size_bytes,
                sha256: file.sha256,
                download_url: path_address(&self.release.version, file),
            };
            (name, value)
        }))
    }
}

/// Adds the tiles and their index.
pub(super) fn render(catalog: &Catalog, snapshot: &mut Snapshot) {
    let ends_tile =
        |release: &Release| Sha256::of(release.version.as_str().as_bytes()).bytes().first().is_some_and(|byte| *byte < BORDER);
    let groups: Vec<&[Release]> = catalog.releases().split_inclusive(ends_tile).collect();
    let tiles: Vec<Vec<u8>> = groups
        .par_iter()
        .map(|group| json(&Tile { data: group.iter().map(|release| row(catalog, release)).collect() }))
        .collect();
    let access = catalog.v2_access();
    let mut index = HistoryIndex { total_count: catalog.releases().len(), tiles: Vec::with_capacity(groups.len()) };
    for (group, bytes) in groups.into_iter().zip(tiles) {
        let ([first, ..], [.., last]) = (group, group) else { continue };
        let file = format!("{}.json", Sha256::of(&bytes));
        snapshot.document(&format!("{FOLDER}/history/{file}"), bytes, Policy::Immutable, access, &[]);
        index.tiles.push(TileEntry {
            file,
            count: group.len(),
            first: first.version.to_string(),
            last: last.version.to_string(),
        });
    }
    snapshot.document(&format!("{FOLDER}/history/index.json"), json(&index), Policy::Moving, access, &[]);
}

fn row<'a>(catalog: &'a Catalog, release: &'a Release) -> HistoryRow<'a> {
    // `latest` holds every release; saying so in each row would tell nothing.
    let named = release.channels.iter().filter(|index| **index + 1 < catalog.channels().len());
    HistoryRow {
        version: release.version.as_str(),
        channels: named.filter_map(|index| catalog.channels().get(*index)).map(|channel| channel.name.as_str()).collect(),
        state: release.state.as_str(),
        reason: release.state.reason().map(Reason::as_str),
        published_at: release.published_at.as_ref(),
        notes_url: release.notes_url.as_ref().map(HttpsUrl::as_str),
        artifacts: FileMap { release, files: &release.artifacts },
        attachments: FileMap { release, files: &release.attachments },
    }
}
