//! What has to be sent, in which order, and what has to go: worked out from two records, never by listing a store.

use super::record::{Artifact, Pending, Record, object_key};
use super::target::{Document, Metadata};
use crate::policy::{Access, Policy};
use crate::redirects::ReadMap;
use crate::site_table::{SiteTable, State};
use crate::snapshot::{Built, Files, Index, REDIRECTS, Row, is_tile};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A snapshot on its way to a target.
pub struct Outgoing {
    /// Its rows; the kept tiles are those of what is live.
    pub index: Index,
    /// The bytes of every document, as far as they are at hand.
    pub files: Files,
}

/// When a document is written. Whatever a document names is there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Bytes by their hash, from which any snapshot can be put together.
    Objects,
    /// The history's tiles, which no one else writes otherwise.
    Tiles,
    /// The document of each release.
    Versions,
    /// Lists, and what describes the whole.
    Lists,
    /// The redirect map, and what only the edge may answer from.
    Map,
    /// What clients ask first: the head of each channel, and the pages.
    Heads,
}

impl Stage {
    /// The stages whose documents can move, in the order in which they are written, under a claim. Of what is offered anew, the
    /// redirects know first; of what is withdrawn, last.
    pub fn moving(shrinks: bool) -> [Stage; 4] {
        if shrinks {
            [Self::Versions, Self::Lists, Self::Heads, Self::Map]
        } else {
            [Self::Versions, Self::Lists, Self::Map, Self::Heads]
        }
    }

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Tiles => "tiles",
            Self::Versions => "versions",
            Self::Lists => "lists",
            Self::Map => "redirect map",
            Self::Heads => "heads",
        }
    }

    /// Of a snapshot's file.
    pub fn of(path: &str) -> Self {
        let heads = ["/latest.json", "/downloads/links.json"];
        match path {
            path if is_tile(path) => Self::Tiles,
            REDIRECTS => Self::Map,
            path if path.starts_with("private/") => Self::Map,
            path if path.contains("/latest/") || heads.iter().any(|head| path.ends_with(head)) => Self::Heads,
            path if path.ends_with("/index.json") || path == "public/openapi.json" => Self::Lists,
            path if path.contains("/agent-releases/") || path.contains("/agent/releases/") => Self::Versions,
            _ => Self::Heads,
        }
    }
}

/// Where a snapshot's file lies on a target.
pub fn key_of(path: &str) -> String {
    if path == REDIRECTS { format!("private/{REDIRECTS}") } else { path.to_owned() }
}

/// All that is to be done.
#[derive(Default)]
pub struct Work {
    /// Documents by stage.
    pub documents: BTreeMap<Stage, Vec<Document>>,
    /// Artifacts that the target does not hold yet, and what is kept beside them.
    pub artifacts: Vec<(Artifact, Metadata)>,
    /// Objects that have to vanish at once.
    pub gone: Vec<String>,
    /// Objects whose time has come.
    pub due: Vec<String>,
    /// Objects that nothing leads to any more, with those whose time is still to come.
    pub pending: Vec<Pending>,
    /// Artifacts that the target must not hold.
    pub withdrawn: Vec<String>,
    /// Everything that the target holds of artifacts afterwards.
    pub held: Vec<Artifact>,
    /// Something that was offered is not any more: whatever names it has to go before the redirects do.
    pub shrinks: bool,
    /// Releases are offered that were not: the redirects have to know them before anything names them.
    pub grows: bool,
    /// Addresses whose bytes, headers or existence change: what a CDN has to forget.
    pub purge: Vec<String>,
}

impl Work {
    /// How many documents are written.
    pub fn documents(&self) -> usize {
        self.documents.values().map(Vec::len).sum()
    }
}

/// What is there before.
pub struct Before<'a> {
    /// The live record.
    pub live: Option<&'a Record>,
    /// The record of a publisher that claimed and gave up: its documents may be there.
    pub given_up: Option<&'a Record>,
}

/// The artifacts of a snapshot: wanted, and withdrawn because every release that offers them is recalled.
#[derive(Default)]
pub struct Offered {
    /// To be held.
    pub wanted: BTreeMap<String, (Artifact, Metadata)>,
    /// To be gone, with the address that they are downloaded from.
    pub withdrawn: BTreeMap<String, String>,
}

impl Offered {
    /// Of a snapshot's redirect map and its table of releases.
    pub fn by(map: &[u8], table: &[u8]) -> serde_json::Result<Self> {
        let map: ReadMap<'_> = serde_json::from_slice(map)?;
        let table: SiteTable<'_> = serde_json::from_slice(table)?;
        let recalled: BTreeSet<&str> =
            table.releases.iter().filter(|release| release.state == State::Recalled).map(|release| &*release.version).collect();
        let mut offered = Self::default();
        for row in &map.rows {
            let key = row.key.to_string();
            if recalled.contains(&*row.version) {
                offered.withdrawn.insert(key, row.location.to_string());
                continue;
            }
            let frozen = row.sha256.is_some_and(|sha256| key.contains(sha256));
            let policy = if frozen { Policy::ArtifactFrozen } else { Policy::ArtifactMoving };
            let cache = policy.headers(Access::Public).into_iter().find(|(name, _)| *name == "Cache-Control");
            let metadata = Metadata {
                content_type: Some(row.content_type.to_string()),
                cache_control: cache.map(|(_, value)| value.to_owned()),
                disposition: Some(format!("attachment; filename=\"{}\"", row.filename)),
                sha256: row.sha256.map(str::to_owned),
                yanked: None,
            };
            let artifact = Artifact(key.clone(), row.sha256.map(str::to_owned), row.size_bytes);
            offered.wanted.insert(key, (artifact, metadata));
        }
        offered.withdrawn.retain(|key, _| !offered.wanted.contains_key(key));
        Ok(offered)
    }
}

/// Works out what is to be done. `now` and `retention` are seconds.
pub fn work(out: &mut Outgoing, offered: &Offered, before: &Before<'_>, now: i64, retention: i64) -> Work {
    let live = before.live.map(Record::index).unwrap_or_default();
    let given_up = before.given_up.map(Record::index).unwrap_or_default();
    if before.live.is_some() {
        out.index.kept = kept(&out.index, &live);
    }
    let mut work = Work::default();
    objects(out, &live, &mut work);
    documents(out, &live, &given_up, &mut work);
    vanishing(out, &live, &given_up, before, (now, retention), &mut work);
    artifacts(offered, before, &mut work);
    work
}

/// The live snapshot's tiles that this one lacks: a reader of the old index still finds them.
fn kept(index: &Index, live: &Index) -> Vec<Row> {
    let has_index =
        |path: &str| path.rsplit_once('/').is_some_and(|(folder, _)| index.row(&format!("{folder}/index.json")).is_some());
    let rows = if index.id == live.id { &live.kept } else { &live.files };
    let stays = |row: &&Row| is_tile(&row.path) && has_index(&row.path) && index.row(&row.path).is_none();
    rows.iter().filter(stays).cloned().collect()
}

fn objects(out: &Outgoing, live: &Index, work: &mut Work) {
    let moving = |row: &&Row| !is_tile(&row.path);
    let there: BTreeSet<&str> = live.files.iter().filter(moving).map(|row| row.sha256.as_str()).collect();
    let mut new: BTreeSet<&str> = BTreeSet::new();
    let mut documents = Vec::new();
    for row in out.index.files.iter().filter(moving) {
        if !there.contains(row.sha256.as_str()) && new.insert(&row.sha256) {
            let metadata = Metadata {
                content_type: Some("application/octet-stream".to_owned()),
                sha256: Some(row.sha256.clone()),
                ..Metadata::default()
            };
            documents.push(Document { key: object_key(&row.sha256), bytes: bytes_of(out, row), metadata });
        }
    }
    work.documents.insert(Stage::Objects, documents);
}

fn bytes_of(out: &Outgoing, row: &Row) -> Bytes {
    out.files.get(&row.path).cloned().unwrap_or_default()
}

fn documents(out: &Outgoing, live: &Index, given_up: &Index, work: &mut Work) {
    for row in &out.index.files {
        let same = |old: &Row| old.sha256 == row.sha256 && Metadata::of_row(old) == Metadata::of_row(row);
        // A tile may be there although only the snapshot before needs it.
        let there = live.row(&row.path).or_else(|| live.kept.iter().find(|kept| kept.path == row.path));
        // Where a publisher that gave up may have written, only writing again makes sure.
        let touched = given_up.row(&row.path).is_some_and(|claimed| there.is_none_or(|old| old.sha256 != claimed.sha256));
        if there.is_none_or(|old| old.headers != row.headers || old.sha256 != row.sha256) && there.is_some() || touched {
            work.purge.extend(address_of(&row.path));
        }
        work.grows |= there.is_none() && Stage::of(&row.path) == Stage::Versions;
        if !there.is_some_and(same) || touched {
            let document = Document { key: key_of(&row.path), bytes: bytes_of(out, row), metadata: Metadata::of_row(row) };
            work.documents.entry(Stage::of(&row.path)).or_default().push(document);
        }
    }
}

/// The address that a CDN serves a file under.
fn address_of(path: &str) -> Option<String> {
    path.strip_prefix("public").map(str::to_owned)
}

fn vanishing(out: &Outgoing, live: &Index, given_up: &Index, before: &Before<'_>, clock: (i64, i64), work: &mut Work) {
    let (now, retention) = clock;
    let stays: BTreeSet<String> = out.index.files.iter().chain(&out.index.kept).map(|row| key_of(&row.path)).collect();
    let mut pending: BTreeMap<String, i64> = BTreeMap::new();
    for record in [before.live, before.given_up].into_iter().flatten() {
        pending.extend(record.pending.iter().map(|Pending(key, since)| (key.clone(), *since)));
        // What an earlier run was to remove, and may not have.
        work.gone.extend(record.gone.iter().cloned());
    }
    for row in live.files.iter().chain(&live.kept).chain(&given_up.files).chain(&given_up.kept) {
        if is_tile(&row.path) {
            pending.entry(key_of(&row.path)).or_insert(now);
        } else {
            work.gone.push(key_of(&row.path));
        }
    }
    work.shrinks |= live.files.iter().any(|row| Stage::of(&row.path) == Stage::Versions && out.index.row(&row.path).is_none());
    work.gone.retain(|key| !stays.contains(key));
    work.gone.sort();
    work.gone.dedup();
    let vanished = work.gone.iter().filter(|key| live.row(key).is_some());
    work.purge.extend(vanished.filter_map(|key| address_of(key)));
    pending.retain(|key, _| !stays.contains(key));
    for (key, since) in pending {
        if now.saturating_sub(since) >= retention {
            work.purge.extend(address_of(&key));
            work.due.push(key);
        } else {
            work.pending.push(Pending(key, since));
        }
    }
}

fn artifacts(offered: &Offered, before: &Before<'_>, work: &mut Work) {
    let mut held: BTreeMap<String, Artifact> =
        before.live.iter().flat_map(|live| &live.artifacts).map(|artifact| (artifact.0.clone(), artifact.clone())).collect();
    for (key, address) in &offered.withdrawn {
        work.withdrawn.push(key.clone());
        // Also what a publish sent that never went live; removing what is not there costs nothing.
        let was_withdrawn = before.live.is_some_and(|live| live.withdrawn.contains(key));
        let was_held = held.remove(key).is_some();
        work.shrinks |= was_held;
        if was_held || !was_withdrawn {
            work.purge.push(address.clone());
            work.gone.push(format!("artifacts/{key}"));
        }
    }
    for (key, wanted) in &offered.wanted {
        if held.insert(key.clone(), wanted.0.clone()).is_none() {
            work.artifacts.push(wanted.clone());
        }
    }
    work.held = held.into_values().collect();
    // An artifact that is offered again is not to be removed by what an earlier run left to do.
    let wanted: BTreeSet<String> = work.held.iter().map(|artifact| format!("artifacts/{}", artifact.0)).collect();
    work.gone.retain(|key| !wanted.contains(key));
    work.gone.sort();
    work.gone.dedup();
    work.purge.sort();
    work.purge.dedup();
}

impl From<&Built> for Outgoing {
    fn from(built: &Built) -> Self {
        let index = Index { id: built.index.id.clone(), files: built.index.files.clone(), ..Index::default() };
        let files = built.index.files.iter().zip(&built.bytes).map(|(row, bytes)| (row.path.clone(), bytes.clone()));
        Self { index, files: files.collect() }
    }
}
