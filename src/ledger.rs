//! What was ever published, and may never change: kept in each snapshot, checked before the next replaces it.

use crate::catalog::{Artifact, Catalog, ChannelState, Release, State};
use crate::problem::{Problem, Span};
use crate::snapshot::{self, Damage, Index, LEDGER};
use crate::source::{Manifest, Sources};
use crate::words::{Guid, Reason, Sha256, Timestamp, Version, Word};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// `private/ledger.json` as it is written.
#[derive(Serialize)]
pub struct Ledger<'a> {
    versions: Vec<Frozen<'a>>,
    channels: BTreeMap<&'a str, Head<'a>>,
}

/// The fields of a release that never change.
#[derive(Serialize)]
struct Frozen<'a> {
    version: &'a str,
    guid: Option<Guid>,
    published_at: Option<&'a Timestamp>,
    artifacts: BTreeMap<&'a str, FrozenFile<'a>>,
    attachments: BTreeMap<&'a str, FrozenFile<'a>>,
}

#[derive(Serialize)]
struct FrozenFile<'a> {
    filename: &'a str,
    content_type: &'a str,
    size_bytes: Option<u64>,
    sha256: Option<Sha256>,
    /// Where it lies, when no hash says what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

/// A channel's head, and why it is not the highest release of the channel.
#[derive(Serialize)]
struct Head<'a> {
    head: Option<&'a str>,
    reason: Option<&'a str>,
    /// The releases that it offers, ascending: none of them up to the head may leave but by a yank or a recall.
    offered: Vec<&'a str>,
}

impl<'a> Ledger<'a> {
    /// The ledger of a catalog. Nothing ever leaves a catalog, so it is the ledger of everything before, too.
    pub fn of(catalog: &'a Catalog) -> Self {
        let channels = catalog.channels().iter().enumerate();
        Self {
            versions: catalog.releases().iter().map(frozen).collect(),
            channels: channels.map(|(index, channel)| (channel.name.as_str(), head(catalog, index, channel))).collect(),
        }
    }
}

fn frozen(release: &Release) -> Frozen<'_> {
    Frozen {
        version: release.version.as_str(),
        guid: release.guid,
        published_at: release.published_at.as_ref(),
        artifacts: release.artifacts.iter().filter_map(|file| Some((file.platform?.id(), frozen_file(file)))).collect(),
        attachments: release.attachments.iter().map(|file| (file.filename.as_str(), frozen_file(file))).collect(),
    }
}

fn frozen_file(file: &Artifact) -> FrozenFile<'_> {
    FrozenFile {
        filename: file.filename.as_str(),
        content_type: file.content_type.as_str(),
        size_bytes: file.size_bytes,
        sha256: file.sha256,
        key: file.sha256.is_none().then(|| file.key.as_str()),
    }
}

fn head<'a>(catalog: &'a Catalog, index: usize, channel: &'a ChannelState) -> Head<'a> {
    let head = channel.head.and_then(|head| catalog.releases().get(head)).map(|release| release.version.as_str());
    let highest = catalog.releases().iter().rev().find(|release| release.channels.contains(&index));
    let reason = match &channel.pin {
        Some((_, reason)) => Some(reason.as_str()),
        None => highest.and_then(|release| release.state.reason()).map(Reason::as_str),
    };
    let offered =
        catalog.releases().iter().filter(|release| release.state == State::Published && release.channels.contains(&index));
    Head { head, reason, offered: offered.map(|release| release.version.as_str()).collect() }
}

/// The ledger of an earlier snapshot, as it is read back.
pub struct Published {
    text: String,
    /// It was claimed and given up: what it holds may have been seen, but may also never come.
    is_claim: bool,
}

#[derive(Deserialize)]
struct ReadLedger<'a> {
    #[serde(borrow)]
    versions: Vec<&'a RawValue>,
    channels: BTreeMap<String, ReadHead>,
}

#[derive(Deserialize)]
struct ReadHead {
    head: Option<String>,
    offered: Vec<String>,
}

#[derive(Deserialize)]
struct ReadFrozen {
    version: String,
    guid: Option<String>,
    published_at: Option<String>,
    artifacts: BTreeMap<String, ReadFile>,
    attachments: BTreeMap<String, ReadFile>,
}

#[derive(Deserialize)]
struct ReadFile {
    filename: String,
    content_type: String,
    size_bytes: Option<u64>,
    sha256: Option<String>,
    #[serde(default)]
    key: Option<String>,
}

impl Published {
    /// The ledger whose text this is.
    pub fn of_text(text: String) -> Self {
        Self { text, is_claim: false }
    }

    /// The ledger of a publish that was cut off: a version of it may vanish, but its bytes may not change.
    pub fn of_claim(text: String) -> Self {
        Self { text, is_claim: true }
    }

    /// Reads the ledger of a snapshot's folder.
    pub fn read(folder: &Path, index: &Index) -> Result<Self, Damage> {
        let path = folder.join(LEDGER).display().to_string();
        let wrong = |why: &str| Damage::Wrong { path: path.clone(), why: why.to_owned() };
        let row = index.row(LEDGER).ok_or_else(|| wrong("the index has no row for it"))?;
        let bytes = snapshot::read_files(folder, std::iter::once(row))?.remove(LEDGER).unwrap_or_default();
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| wrong("not UTF-8"))?;
        Ok(Self::of_text(text))
    }

    /// The versions that were published.
    pub fn versions(&self) -> BTreeSet<String> {
        let versions = self.parsed().map(|ledger| ledger.versions).unwrap_or_default();
        versions.iter().filter_map(|row| named(row)).map(str::to_owned).collect()
    }

    fn parsed(&self) -> serde_json::Result<ReadLedger<'_>> {
        serde_json::from_str(&self.text)
    }

    /// Refuses a catalog that changes or drops what was published, or steps a head down without a reason.
    pub fn check(&self, catalog: &Catalog, sources: &Sources, problems: &mut Vec<Problem>) {
        let published = match self.parsed() {
            Ok(published) => published,
            Err(error) => return problems.push(unreadable(&error)),
        };
        // Rows that are equal as text need no second look: with a long history that is nearly all of them.
        let now: Vec<(&Release, String)> = catalog
            .releases()
            .par_iter()
            .filter_map(|release| Some((release, serde_json::to_string(&frozen(release)).ok()?)))
            .collect();
        let now: FxHashMap<&str, String> = now.into_iter().map(|(release, row)| (release.version.as_str(), row)).collect();
        let same = |row: &RawValue| named(row).and_then(|version| now.get(version)).is_some_and(|now| now == row.get());
        let is_there = |row: &RawValue| named(row).is_some_and(|version| now.contains_key(version));
        let others = published.versions.par_iter().filter(|row| !same(row) && (is_there(row) || !self.is_claim));
        for row in others.collect::<Vec<_>>() {
            match serde_json::from_str::<ReadFrozen>(row.get()) {
                Ok(before) => check_release(&before, catalog, sources, problems),
                Err(error) => problems.push(unreadable(&error)),
            }
        }
        for (name, before) in published.channels.iter().filter(|_| !self.is_claim) {
            check_head(name, before, catalog, sources, problems);
        }
    }
}

/// A ledger that says nothing permits nothing.
fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::general(format!("the ledger of what is published cannot be read: {error}")).refusal()
}

/// The version that a row is about; `version` is its first key, and no version needs escaping.
fn named(row: &RawValue) -> Option<&str> {
    row.get().strip_prefix("{\"version\":\"")?.split('"').next()
}

fn check_release(before: &ReadFrozen, catalog: &Catalog, sources: &Sources, problems: &mut Vec<Problem>) {
    let manifest = sources.manifests.iter().find(|manifest| manifest.version.value.as_str() == before.version);
    let release = catalog.releases().iter().find(|release| release.version.as_str() == before.version);
    let (Some(manifest), Some(release)) = (manifest, release) else {
        problems.push(match manifest {
            Some(manifest) => refusal(manifest, &manifest.version.span, "it is published and cannot become a draft again; to withdraw it: yank or recall"),
            None => {
                let path = sources.folder.join(format!("{}.yaml", before.version));
                Problem::of_file(path.display(), "is gone, but its release is published and stays; restore the file, or withdraw the release with yank or recall").refusal()
            }
        });
        return;
    };
    let now = frozen(release);
    let mut differ = |what: &str, old: Option<String>, new: Option<String>, span: &Span| {
        if old != new {
            let show = |value: Option<String>| value.map_or("nothing".to_owned(), |value| format!("`{value}`"));
            let message =
                format!("{what}: published as {} and cannot become {}; release a new version instead", show(old), show(new));
            problems.push(refusal(manifest, span, &message));
        }
    };
    let at = |span: Option<&Span>| span.unwrap_or(&manifest.version.span).clone();
    // A guid that was never given was never published.
    if before.guid.is_some() {
        differ(
            "guid",
            before.guid.clone(),
            now.guid.map(|guid| guid.to_string()),
            &at(manifest.guid.as_ref().map(|at| &at.span)),
        );
    }
    let time = manifest.published_at.as_ref().map(|at| &at.span);
    differ("published_at", before.published_at.clone(), now.published_at.map(ToString::to_string), &at(time));
    for (table, old, new) in
        [("artifacts", &before.artifacts, &now.artifacts), ("attachments", &before.attachments, &now.attachments)]
    {
        let names: BTreeSet<&str> = old.keys().map(String::as_str).chain(new.keys().copied()).collect();
        for name in names {
            let spans = FileSpans::find(manifest, name);
            let (Some(old), Some(new)) = (old.get(name), new.get(name)) else {
                let filename = |old: Option<&ReadFile>| old.map(|file| file.filename.clone());
                differ(
                    &format!("{table}.{name}"),
                    filename(old.get(name)),
                    new.get(name).map(|file| file.filename.to_owned()),
                    &spans.entry,
                );
                continue;
            };
            let path = |field: &str| format!("{table}.{name}.{field}");
            let size = |size: Option<u64>| size.map(|size| size.to_string());
            differ(&path("filename"), Some(old.filename.clone()), Some(new.filename.to_owned()), &spans.filename);
            differ(&path("content_type"), Some(old.content_type.clone()), Some(new.content_type.to_owned()), &spans.content_type);
            differ(&path("size_bytes"), size(old.size_bytes), size(new.size_bytes), &spans.size_bytes);
            differ(&path("key"), old.key.clone(), new.key.map(str::to_owned), &spans.entry);
            differ(&path("sha256"), old.sha256.clone(), new.sha256.map(|sha256| sha256.hex()), &spans.sha256);
        }
    }
}

/// Where the fields of a file stand in its manifest; where the file itself does, when a field is not written.
struct FileSpans {
    entry: Span,
    filename: Span,
    content_type: Span,
    size_bytes: Span,
    sha256: Span,
}

impl FileSpans {
    fn find(manifest: &Manifest, name: &str) -> Self {
        let at = |entry: &Span, field: Option<&Span>| field.unwrap_or(entry).clone();
        if let Some((key, file)) = manifest.artifacts.iter().find(|(key, _)| key.value.id() == name) {
            let entry = &key.span;
            return Self {
                entry: entry.clone(),
                filename: file.filename.span.clone(),
                content_type: at(entry, file.content_type.as_ref().map(|at| &at.span)),
                size_bytes: at(entry, file.size_bytes.as_ref().map(|at| &at.span)),
                sha256: at(entry, file.sha256.as_ref().map(|at| &at.span)),
            };
        }
        let found = manifest.attachments.iter().find(|(key, _)| key.value.as_str() == name);
        let entry = found.map_or(&manifest.version.span, |(key, _)| &key.span);
        let file = found.map(|(_, file)| file);
        Self {
            entry: entry.clone(),
            filename: entry.clone(),
            content_type: at(entry, file.and_then(|file| file.content_type.as_ref()).map(|at| &at.span)),
            size_bytes: at(entry, file.and_then(|file| file.size_bytes.as_ref()).map(|at| &at.span)),
            sha256: at(entry, file.map(|file| &file.sha256.span)),
        }
    }
}

fn refusal(manifest: &Manifest, span: &Span, message: &str) -> Problem {
    Problem::at(&manifest.file, span, message).refusal()
}

/// A head goes down only by a pin, a yank or a recall; each of them brings its reason along. So whatever the channel
/// offered above its new head has to be withdrawn now, not just moved elsewhere.
fn check_head(name: &str, before: &ReadHead, catalog: &Catalog, sources: &Sources, problems: &mut Vec<Problem>) {
    let Some(head) = &before.head else { return };
    let place = sources.catalog.as_ref().map_or("catalog.yaml", |catalog| catalog.file.path.as_str());
    let Some((index, channel)) = catalog.channels().iter().enumerate().find(|(_, channel)| channel.name.as_str() == name) else {
        let message = format!(
            "channels.{name}: is gone, but its head `{head}` is published; a channel goes down only by a pin, a yank or a recall"
        );
        problems.push(Problem::of_file(place, message).refusal());
        return;
    };
    let Ok(head) = Version::parse(head) else {
        problems.push(
            Problem::general(format!("the ledger of what is published cannot be read: the head of {name} is `{head}`")).refusal(),
        );
        return;
    };
    let now = channel.head.and_then(|head| catalog.releases().get(head)).map(|release| &release.version);
    if now.is_some_and(|now| *now >= head) || channel.pin.is_some() {
        return;
    }
    let offered: BTreeSet<&str> = before.offered.iter().map(String::as_str).collect();
    let moved = |release: &&Release| {
        let stepped_over = release.version <= head && now.is_none_or(|now| release.version > *now);
        stepped_over
            && offered.contains(release.version.as_str())
            && release.state == State::Published
            && !release.channels.contains(&index)
    };
    // A vanished release has been refused already.
    for release in catalog.releases().iter().filter(moved) {
        let Some(manifest) = sources.manifests.iter().find(|manifest| manifest.version.value == release.version) else {
            continue;
        };
        let down = now.map_or("nothing".to_owned(), |now| format!("`{now}`"));
        let message = format!(
            "channels: without `{name}`, its head goes down from `{head}` to {down}; pin the channel, or yank or recall the release, with a reason"
        );
        problems.push(refusal(manifest, &manifest.version.span, &message));
    }
}
