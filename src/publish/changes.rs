//! What has to be sent, in which order, and what has to go: worked out from two records, never by listing a store.

use super::Failed;
use super::record::{Artifact, Pending, Record, object_key};
use super::target::{Document, Metadata};
use crate::policy::{Access, Policy};
use crate::redirects::{LOCAL_BASE, ReadMap};
use crate::site_table::{SiteTable, State};
use crate::snapshot::{Built, Files, Index, REDIRECTS, Row, is_hashed, may_be_kept};
use crate::words::{Sha256, StorageKey, Word};
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
    /// What is named by its hash: the history's tiles and what pages load, which no one else writes otherwise.
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
            path if is_hashed(path) => Self::Tiles,
            REDIRECTS => Self::Map,
            path if is_page_of_a_release(path) => Self::Versions,
            path if path.ends_with(".html") || path.ends_with(".atom") => Self::Heads,
            path if path.starts_with("private/") => Self::Map,
            path if path.contains("/latest/") || heads.iter().any(|head| path.ends_with(head)) => Self::Heads,
            path if path.ends_with("/index.json") || path == "public/openapi.json" => Self::Lists,
            path if path.contains("/agent-releases/") || path.contains("/agent/releases/") => Self::Versions,
            _ => Self::Heads,
        }
    }
}

/// `releases/<version>/…`
fn is_page_of_a_release(path: &str) -> bool {
    let below = path.strip_prefix("public/").or_else(|| path.strip_prefix("private/")).unwrap_or_default();
    below.strip_prefix("releases/").is_some_and(|rest| rest.contains('/') && !rest.starts_with("page/"))
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
    /// Another storage holds the artifacts.
    pub elsewhere: bool,
    /// Objects that had to vanish with the generation before: removed again, should that have been cut off.
    pub again: Vec<String>,
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
    /// How many documents are written, the bytes that are kept of them aside.
    pub fn documents(&self) -> usize {
        self.documents.iter().filter(|(stage, _)| **stage != Stage::Objects).map(|(_, documents)| documents.len()).sum()
    }
}

/// The artifacts of a snapshot: wanted, and withdrawn because every release that offers them is recalled.
#[derive(Default)]
pub struct Offered {
    /// To be held.
    pub wanted: BTreeMap<String, (Artifact, Metadata)>,
    /// To be gone, with the address that they are downloaded from.
    pub withdrawn: BTreeMap<String, String>,
    /// The hashes of what is recalled.
    pub recalled: BTreeSet<String>,
    /// Where the addresses of artifacts begin.
    pub base: String,
    /// Another storage holds them: none is sent, and none removed.
    pub elsewhere: bool,
}

impl Offered {
    /// Of a snapshot's redirect map and its table of releases.
    pub fn by(map: &[u8], table: &[u8]) -> serde_json::Result<Self> {
        let map: ReadMap<'_> = serde_json::from_slice(map)?;
        let table: SiteTable<'_> = serde_json::from_slice(table)?;
        let recalled: BTreeSet<&str> =
            table.releases.iter().filter(|release| release.state == State::Recalled).map(|release| &*release.version).collect();
        let mut offered = Self { base: map.base_url.as_deref().unwrap_or(LOCAL_BASE).to_owned(), ..Self::default() };
        for row in &map.rows {
            let key = row.key.to_string();
            if StorageKey::parse(&key).is_err() {
                return Err(serde::de::Error::custom(format!("`{key}` is no storage key")));
            }
            if recalled.contains(&*row.version) {
                offered.recalled.extend(row.sha256.map(str::to_owned));
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

/// What it takes to put back what is live over what another snapshot's publisher may have written. `files`
/// are those that differ.
pub fn back(live: &Index, other: &Index, files: &Files) -> Result<Work, Failed> {
    let mut work = Work::default();
    for row in differing(live, other) {
        let bytes = files.get(&row.path).cloned().ok_or_else(|| not_at_hand(row))?;
        let document = Document { key: key_of(&row.path), bytes, metadata: Metadata::of_row(row) };
        work.documents.entry(Stage::of(&row.path)).or_default().push(document);
    }
    let extra = other.files.iter().filter(|row| !is_hashed(&row.path) && live.row(&row.path).is_none());
    work.gone = extra.map(|row| key_of(&row.path)).collect();
    work.shrinks = work.gone.iter().any(|key| Stage::of(key) == Stage::Versions);
    Ok(work)
}

/// The rows of what is live that another snapshot has otherwise, or not at all.
pub fn differing<'a>(live: &'a Index, other: &'a Index) -> impl Iterator<Item = &'a Row> {
    let same = |row: &&Row| other.row(&row.path).is_some_and(|other| other.sha256 == row.sha256 && other.headers == row.headers);
    live.files.iter().filter(move |row| !is_hashed(&row.path) && !same(row))
}

/// Works out what is to be done. `now` and `retention` are seconds. Bytes that have to be written and are not at hand are an
/// error: nothing is ever written in their place.
pub fn work(out: &mut Outgoing, offered: &Offered, before: Option<&Record>, now: i64, retention: i64) -> Result<Work, Failed> {
    let live = before.map(Record::index).unwrap_or_default();
    if before.is_some() {
        out.index.kept = kept(&out.index, &live);
    }
    let mut work = Work::default();
    objects(out, &live, &mut work)?;
    documents(out, &live, &mut work)?;
    vanishing(out, &live, before, (now, retention), &mut work);
    artifacts(offered, before, &mut work);
    Ok(work)
}

/// The live snapshot's tiles that this one lacks: a reader of the old index still finds them.
fn kept(index: &Index, live: &Index) -> Vec<Row> {
    let rows = if index.id == live.id { &live.kept } else { &live.files };
    let stays = |row: &&Row| is_hashed(&row.path) && stays_reachable(index, &row.path) && index.row(&row.path).is_none();
    rows.iter().filter(stays).cloned().collect()
}

fn stays_reachable(index: &Index, path: &str) -> bool {
    may_be_kept(path, |path| index.row(path).is_some())
}

fn objects(out: &Outgoing, live: &Index, work: &mut Work) -> Result<(), Failed> {
    let moving = |row: &&Row| !is_hashed(&row.path);
    let there: BTreeSet<Sha256> = live.files.iter().filter(moving).map(|row| row.sha256).collect();
    let mut new: BTreeSet<Sha256> = BTreeSet::new();
    let mut documents = Vec::new();
    for row in out.index.files.iter().filter(moving) {
        if !there.contains(&row.sha256) && new.insert(row.sha256) {
            let metadata = Metadata {
                content_type: Some("application/octet-stream".to_owned()),
                sha256: Some(row.sha256.hex()),
                ..Metadata::default()
            };
            documents.push(Document { key: object_key(row.sha256), bytes: bytes_of(out, row)?, metadata });
        }
    }
    work.documents.insert(Stage::Objects, documents);
    Ok(())
}

fn bytes_of(out: &Outgoing, row: &Row) -> Result<Bytes, Failed> {
    out.files.get(&row.path).cloned().ok_or_else(|| not_at_hand(row))
}

fn not_at_hand(row: &Row) -> Failed {
    Failed::Missing(format!("{}: its bytes ({}) are not at hand", row.path, row.sha256))
}

fn documents(out: &Outgoing, live: &Index, work: &mut Work) -> Result<(), Failed> {
    for row in &out.index.files {
        let same = |old: &Row| old.sha256 == row.sha256 && Metadata::of_row(old) == Metadata::of_row(row);
        // A tile may be there although only the snapshot before needs it.
        let there = live.row(&row.path).or_else(|| live.kept.iter().find(|kept| kept.path == row.path));
        if there.is_some_and(|old| old.headers != row.headers || old.sha256 != row.sha256) {
            work.purge.extend(addresses_of(&row.path));
        }
        work.grows |= there.is_none() && Stage::of(&row.path) == Stage::Versions;
        if !there.is_some_and(same) {
            let document = Document { key: key_of(&row.path), bytes: bytes_of(out, row)?, metadata: Metadata::of_row(row) };
            work.documents.entry(Stage::of(&row.path)).or_default().push(document);
        }
    }
    Ok(())
}

/// Where a file is asked for; a page by its folder as well.
fn addresses_of(path: &str) -> impl Iterator<Item = String> {
    let address = path.strip_prefix("public");
    let folder = address.and_then(|address| address.strip_suffix("index.html"));
    address.into_iter().chain(folder).map(str::to_owned)
}

fn vanishing(out: &Outgoing, live: &Index, before: Option<&Record>, clock: (i64, i64), work: &mut Work) {
    let (now, retention) = clock;
    let stays: BTreeSet<String> = out.index.files.iter().chain(&out.index.kept).map(|row| key_of(&row.path)).collect();
    let mut pending: BTreeMap<String, i64> = BTreeMap::new();
    if let Some(record) = before {
        pending.extend(record.pending.iter().map(|Pending(key, since)| (key.clone(), *since)));
        // What an earlier run was to remove, and may not have.
        work.again.extend(record.gone.iter().cloned());
    }
    for row in live.files.iter().chain(&live.kept) {
        // Tiles stay a while for readers of an old index; not where the history has become private.
        if is_hashed(&row.path) && stays_reachable(&out.index, &row.path) {
            pending.entry(key_of(&row.path)).or_insert(now);
        } else {
            work.gone.push(key_of(&row.path));
        }
    }
    work.shrinks |= live.files.iter().any(|row| Stage::of(&row.path) == Stage::Versions && out.index.row(&row.path).is_none());
    work.gone.retain(|key| !stays.contains(key));
    work.again.retain(|key| !stays.contains(key));
    work.gone.sort();
    work.gone.dedup();
    let was_there = |key: &&String| live.row(key).is_some() || live.kept.iter().any(|row| row.path == **key);
    let vanished = work.gone.iter().filter(was_there);
    work.purge.extend(vanished.flat_map(|key| addresses_of(key)));
    let moved: Vec<String> = pending.keys().filter(|key| !stays_reachable(&out.index, key)).cloned().collect();
    work.gone.extend(moved.into_iter().filter(|key| pending.remove(key).is_some() && !stays.contains(key)));
    pending.retain(|key, _| !stays.contains(key));
    for (key, since) in pending {
        if now.saturating_sub(since) >= retention {
            work.purge.extend(addresses_of(&key));
            work.due.push(key);
        } else {
            work.pending.push(Pending(key, since));
        }
    }
}

fn artifacts(offered: &Offered, before: Option<&Record>, work: &mut Work) {
    let mut held: BTreeMap<String, Artifact> =
        before.iter().flat_map(|live| &live.artifacts).map(|artifact| (artifact.0.clone(), artifact.clone())).collect();
    // The same bytes may lie under a key of an earlier template as well.
    let wanted: BTreeSet<&str> = offered.wanted.values().filter_map(|(artifact, _)| artifact.1.as_deref()).collect();
    let recalled = |artifact: &&Artifact| {
        artifact.1.as_deref().is_some_and(|sha256| offered.recalled.contains(sha256) && !wanted.contains(sha256))
    };
    let elsewhere: Vec<(String, String)> =
        held.values().filter(recalled).map(|artifact| (artifact.0.clone(), format!("{}{}", offered.base, artifact.0))).collect();
    for (key, address) in offered.withdrawn.iter().chain(elsewhere.iter().map(|(key, address)| (key, address))) {
        if work.withdrawn.contains(key) {
            continue;
        }
        work.withdrawn.push(key.clone());
        let was_withdrawn = before.is_some_and(|live| live.withdrawn.contains(key));
        if offered.elsewhere {
            work.purge.extend((!was_withdrawn).then(|| address.clone()));
            continue;
        }
        // Also what a publish sent that never went live; removing what is not there costs nothing.
        let was_held = held.remove(key).is_some();
        work.shrinks |= was_held;
        if was_held || !was_withdrawn {
            work.purge.push(address.clone());
            work.gone.push(format!("artifacts/{key}"));
        }
    }
    work.elsewhere = offered.elsewhere;
    for (key, wanted) in offered.wanted.iter().filter(|_| !offered.elsewhere) {
        if held.insert(key.clone(), wanted.0.clone()).is_none() {
            work.artifacts.push(wanted.clone());
        }
    }
    work.held = held.into_values().collect();
    // An artifact that is offered again is not to be removed by what an earlier run left to do.
    let wanted: BTreeSet<String> = work.held.iter().map(|artifact| format!("artifacts/{}", artifact.0)).collect();
    work.gone.retain(|key| !wanted.contains(key));
    work.again.retain(|key| !wanted.contains(key) && !work.gone.contains(key));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_document_names_is_written_before_it() {
        let stages = [
            (
                "public/v2/agent-releases/history/3dd6fa2b7d11fa21907afb06910a7295904ea51315d4c0b1bdde80f5dfa4f3bf.json",
                Stage::Tiles,
            ),
            ("public/v2/agent-releases/1.8.3.json", Stage::Versions),
            ("public/internal/v1/agent/releases/1.8.3.json", Stage::Versions),
            ("public/v2/agent-releases/index.json", Stage::Lists),
            ("public/v2/agent-releases/history/index.json", Stage::Lists),
            ("public/internal/v1/agent/releases/index.json", Stage::Lists),
            ("public/openapi.json", Stage::Lists),
            ("redirects.json", Stage::Map),
            ("private/site.json", Stage::Map),
            ("private/v2/agent-releases/latest.json", Stage::Map),
            ("public/v2/agent-releases/latest.json", Stage::Heads),
            ("public/v2/agent-releases/latest/beta.json", Stage::Heads),
            ("public/internal/v1/agent/downloads/links.json", Stage::Heads),
            ("public/index.html", Stage::Heads),
        ];
        for (path, stage) in stages {
            assert_eq!(Stage::of(path), stage, "{path}");
        }
        assert!(stages.is_sorted_by_key(|(_, stage)| stage));
    }

    #[test]
    fn redirects_learn_first_and_forget_last() {
        let at = |shrinks: bool, stage: Stage| Stage::moving(shrinks).iter().position(|other| *other == stage);
        assert!(at(false, Stage::Map) < at(false, Stage::Heads));
        assert!(at(true, Stage::Map) > at(true, Stage::Heads));
        assert!(at(true, Stage::Map) > at(true, Stage::Lists));
    }
}
