//! What a target keeps about what is published on it: `current`, the one pointer, and `snapshots/<generation>.json`, a record each.

use super::changes::Work;
use super::target::{Target, TargetError, Version};
use crate::site_table::State;
use crate::snapshot::{Encodings, Headers, Index, Row};
use crate::words::{Sha256, StorageKey, Word};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

/// The pointer's key.
pub const CURRENT: &str = "current";

/// Where a generation's record lies.
pub fn record_key(generation: u64) -> String {
    format!("snapshots/{generation}.json")
}

/// Where bytes lie that a snapshot may be put together from again.
pub fn object_key(sha256: impl Display) -> String {
    format!("objects/{sha256}")
}

/// `current`: what is live, and what is about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// 0 as long as nothing was published.
    pub generation: u64,
    /// Of the live snapshot.
    pub id: String,
    /// The SHA-256 of the live generation's record.
    pub record: String,
    /// When it went live.
    pub at: String,
    /// Who made it live.
    pub by: String,
    /// Claimed by a publisher whose documents are moving right now. Its record lies among the objects already, complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// Claimed and given up since this went live: put back, but perhaps seen by somebody. The next generation has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
}

/// A generation that never went live, although its documents may have moved for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// It is not given again.
    pub generation: u64,
    /// The SHA-256 of its record, which lies below `objects/`.
    pub record: String,
}

/// A generation that is about to go live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// One more than the live one, or than one that was claimed and given up.
    pub generation: u64,
    /// Of its snapshot.
    pub id: String,
    /// The SHA-256 of its record, which lies below `objects/`.
    pub record: String,
    /// Who claimed it.
    pub by: String,
    /// When.
    pub at: String,
    /// Whether an edge may take it up before its documents move: it knows at least what the live one knows.
    pub early: bool,
    /// Grows while the claim is kept up.
    pub beat: u64,
}

/// How a generation came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// From sources.
    Publish,
    /// From the record of an earlier generation.
    Rollback,
}

/// What `history` shows of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Rises by one or more with each.
    pub generation: u64,
    /// Of the snapshot.
    pub id: String,
    /// The generation before it; `None` for the first.
    pub previous: Option<u64>,
    /// When it was made.
    pub at: String,
    /// Who made it.
    pub by: String,
    /// How.
    pub action: Action,
    /// The generation that a rollback brought back.
    pub of: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// What the releases are releases of.
    #[serde(default)]
    pub product: String,
    /// Releases that are not drafts.
    pub releases: usize,
    /// What `stable` answered from then on.
    pub stable: Option<String>,
    /// Documents that were written.
    pub documents: usize,
}

/// A generation's record: everything that is needed to serve it, compare with it, or bring it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Who, when, what, why.
    #[serde(flatten)]
    pub about: About,
    /// Sets of headers, shared by the rows.
    headers: Vec<Headers>,
    /// The snapshot's files, sorted by path.
    files: Vec<Entry>,
    /// Tiles of the snapshot before it.
    kept: Vec<Entry>,
    /// Artifacts that the target holds.
    pub artifacts: Vec<Artifact>,
    /// Keys of artifacts that it must not hold, because every release that offers them is recalled.
    #[serde(default)]
    pub withdrawn: Vec<String>,
    /// Another storage holds the artifacts: the target holds none.
    #[serde(default)]
    pub elsewhere: bool,
    /// Versions that are not offered, also those that this generation does not know: a rollback does not offer them again.
    #[serde(default)]
    pub withheld: Vec<Withheld>,
    /// Addresses that a CDN had to forget when this generation went live.
    #[serde(default)]
    pub purge: Vec<String>,
    /// Objects that no answer leads to any more, waiting for their time.
    pub pending: Vec<Pending>,
    /// Objects that had to vanish with this generation, at once.
    pub gone: Vec<String>,
}

/// Path, SHA-256, size, and which of the sets of headers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry(String, Sha256, u64, usize);

/// Storage key, SHA-256 and size, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Artifact(pub String, pub Option<String>, pub Option<u64>);

/// A key, and since when nothing leads to it (Unix seconds).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pending(pub String, pub i64);

/// A version that is yanked or recalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Which.
    pub version: String,
    /// How.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// What is live on a target: the pointer in its state, and its record.
pub struct Live {
    /// The pointer.
    pub current: Current,
    /// The state that it was read in.
    pub version: Version,
    /// `None` as long as nothing was published.
    pub record: Option<Record>,
}

impl Record {
    /// The record of a snapshot.
    pub fn new(about: About, index: &Index, work: &Work, withheld: Vec<Withheld>) -> Self {
        let mut sets: BTreeMap<&Headers, usize> = BTreeMap::new();
        for row in index.files.iter().chain(&index.kept) {
            let next = sets.len();
            sets.entry(&row.headers).or_insert(next);
        }
        let entry = |row: &Row| {
            let number = sets.get(&*row.headers).copied().unwrap_or_default();
            Entry(row.path.clone(), row.sha256, row.size, number)
        };
        let files = index.files.iter().map(entry).collect();
        let kept = index.kept.iter().map(entry).collect();
        let mut headers: Vec<_> = sets.iter().collect();
        headers.sort_by_key(|(_, number)| **number);
        let headers = headers.into_iter().map(|(set, _)| (*set).clone()).collect();
        let (artifacts, withdrawn) = (work.held.clone(), work.withdrawn.clone());
        Self {
            about,
            headers,
            files,
            kept,
            artifacts,
            withdrawn,
            elsewhere: work.elsewhere,
            withheld,
            purge: work.purge.clone(),
            pending: work.pending.clone(),
            gone: work.gone.clone(),
        }
    }

    /// The record as it is stored.
    pub fn to_bytes(&self) -> Bytes {
        // Nothing in it can fail to be serialised: texts and numbers.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes.into()
    }

    /// Reads a record back, and checks that it is what its id says.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let index = record.index();
        let inside = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\\'));
        if Index::id_of(&index.files) != record.about.id {
            return Err("its id does not fit its rows".to_owned());
        }
        if !index.files.is_sorted_by(|a, b| a.path < b.path)
            || !index.files.iter().chain(&index.kept).all(|row| inside(&row.path))
        {
            return Err("its rows are not in order".to_owned());
        }
        let ours = |key: &str| inside(key) && ["public/", "private/", "artifacts/"].iter().any(|part| key.starts_with(part));
        let keys = record.gone.iter().chain(record.pending.iter().map(|pending| &pending.0));
        let artifacts = record.artifacts.iter().map(|artifact| &artifact.0).chain(&record.withdrawn);
        if !keys.into_iter().all(|key| ours(key)) || !artifacts.into_iter().all(|key| StorageKey::parse(key).is_ok()) {
            return Err("a key leads out of its place".to_owned());
        }
        Ok(record)
    }

    /// Forgets rows and artifacts with these hashes.
    pub(super) fn forget(&mut self, sha256: &std::collections::BTreeSet<String>) {
        self.files.retain(|entry| !sha256.contains(&entry.1.hex()));
        self.artifacts.retain(|artifact| !artifact.1.as_ref().is_some_and(|known| sha256.contains(known)));
    }

    /// The snapshot's index, without compressed forms: a bucket holds none.
    pub fn index(&self) -> Index {
        let sets: Vec<Arc<Headers>> = self.headers.iter().cloned().map(Arc::new).collect();
        let headers_of = |set: usize| sets.get(set).cloned().unwrap_or_default();
        let row = |Entry(path, sha256, size, headers): &Entry| Row {
            path: path.clone(),
            sha256: *sha256,
            size: *size,
            headers: headers_of(*headers),
            encodings: Encodings::default(),
        };
        Index {
            id: self.about.id.clone(),
            generation: self.about.generation,
            files: self.files.iter().map(row).collect(),
            kept: self.kept.iter().map(row).collect(),
            exports: Vec::new(),
        }
    }
}

impl Current {
    /// The pointer as it is stored.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes.into()
    }

    fn parse(bytes: &[u8]) -> Result<Self, TargetError> {
        let way_out = "restore it from a backup; `{\"generation\":…,\"id\":…,\"record\":…}` names the newest of snapshots/";
        serde_json::from_slice(bytes).map_err(|error| damaged(CURRENT, &format!("{error}; {way_out}")))
    }
}

impl Live {
    /// Reads the pointer and the record that it names: two requests. `None` when there is no pointer.
    pub async fn read(target: &Target) -> Result<Option<Self>, TargetError> {
        let Some(object) = target.read(CURRENT).await? else { return Ok(None) };
        let current = Current::parse(&object.bytes)?;
        let record = match current.generation {
            0 => None,
            generation => Some(read_record(target, &record_key(generation), &current.record).await?),
        };
        if record.as_ref().is_some_and(|record| record.about.generation != current.generation) {
            return Err(damaged(CURRENT, "its record is of another generation"));
        }
        Ok(Some(Self { current, version: object.version, record }))
    }
}

/// The pointer alone.
pub async fn read_current(target: &Target) -> Result<Option<(Current, Version)>, TargetError> {
    match target.read(CURRENT).await? {
        Some(object) => Ok(Some((Current::parse(&object.bytes)?, object.version))),
        None => Ok(None),
    }
}

/// A record, checked against its SHA-256.
pub async fn read_record(target: &Target, key: &str, sha256: &str) -> Result<Record, TargetError> {
    let is_it = |bytes: &Bytes| Sha256::of(bytes).hex() == sha256;
    let bytes = match target.read(key).await?.map(|object| object.bytes).filter(is_it) {
        Some(bytes) => Some(bytes),
        // A second copy lies among the objects.
        None => target.read(&object_key(sha256)).await?.map(|object| object.bytes).filter(is_it),
    };
    let bytes =
        bytes.ok_or_else(|| damaged(key, "it is missing or changed, although `current` names it; restore it from a backup"))?;
    Record::parse(&bytes).map_err(|why| damaged(key, &why))
}

/// A kept generation's record; `None` when it is not kept.
pub async fn read_generation(target: &Target, generation: u64) -> Result<Option<Record>, TargetError> {
    let key = record_key(generation);
    let Some(object) = target.read(&key).await? else { return Ok(None) };
    Record::parse(&object.bytes).map(Some).map_err(|why| damaged(&key, &why))
}

fn damaged(key: &str, why: &str) -> TargetError {
    TargetError::Refused { place: key.to_owned(), why: format!("damaged: {why}") }
}
