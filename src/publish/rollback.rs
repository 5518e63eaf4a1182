//! One step back: an earlier snapshot's documents as a new generation, without a build.

use super::changes::{Offered, Outgoing, key_of};
use super::record::{Action, Record, read_generation};
use super::steps::{Intent, Opened};
use super::target::Target;
use super::{Failed, read_row};
use crate::site_table::{SiteTable, State};
use crate::snapshot::{Index, LEDGER, REDIRECTS, Row, SITE};
use crate::words::Channel;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Requests under way at a time.
const SIDE_BY_SIDE: usize = 16;

/// What is to be brought back.
pub struct Wanted<'a> {
    /// The generation; `None`: the one before what is live.
    pub generation: Option<u64>,
    /// Why.
    pub reason: &'a str,
    /// Versions that may be offered again although they are withdrawn now.
    pub restore: &'a [String],
}

/// A rollback, ready to be published.
pub struct Back {
    /// The documents.
    pub outgoing: Outgoing,
    /// The artifacts.
    pub offered: Offered,
    /// What is to be written down.
    pub intent: Intent,
    /// The generation that comes back.
    pub of: u64,
}

/// Puts an earlier generation together again.
pub async fn prepare(opened: &Opened<'_>, wanted: &Wanted<'_>) -> Result<Back, Failed> {
    let live = opened.live.as_ref().ok_or_else(|| Failed::Missing("nothing was published there yet".to_owned()))?;
    let of = wanted
        .generation
        .or(live.about.previous)
        .ok_or_else(|| Failed::Missing("there is no generation before the first".to_owned()))?;
    if of >= live.about.generation {
        return Err(Failed::Missing(format!("generation {of} is not an earlier one: {} is live", live.about.generation)));
    }
    let old = read_generation(opened.target, of).await?;
    let old = old.ok_or_else(|| Failed::Missing(format!("generation {of} is not kept; `history` shows those that are")))?;
    let (old_index, live_index) = (old.index(), live.index());
    let then = essential(opened.target, &old_index).await?;
    let now = essential(opened.target, &live_index).await?;
    refuse_what_is_withdrawn(&then.table, &now.table, wanted.restore)?;
    let offered = Offered::by(&then.map, &then.table).map_err(|error| Failed::Missing(format!("{REDIRECTS}: {error}")))?;
    let (releases, stable) = heads(&then.table)?;
    let outgoing = documents(opened.target, &old_index, &live_index).await?;
    let intent = Intent { action: Action::Rollback, of: Some(of), reason: Some(wanted.reason.to_owned()), releases, stable };
    Ok(Back { outgoing, offered, intent, of })
}

/// What decides about a snapshot.
struct Essential {
    map: Bytes,
    table: Bytes,
}

async fn essential(target: &Target, index: &Index) -> Result<Essential, Failed> {
    let row = |path: &str| index.row(path).ok_or_else(|| Failed::Missing(format!("the snapshot has no {path}")));
    Ok(Essential { map: read_row(target, row(REDIRECTS)?).await?, table: read_row(target, row(SITE)?).await? })
}

/// How many releases a snapshot holds, and the head of stable.
pub fn heads(table: &[u8]) -> Result<(usize, Option<String>), Failed> {
    let table = parsed(table)?;
    let stable = table.channels.iter().find(|channel| channel.name == Channel::STABLE).and_then(|channel| channel.head);
    Ok((table.releases.len(), stable.map(str::to_owned)))
}

fn parsed(table: &[u8]) -> Result<SiteTable<'_>, Failed> {
    serde_json::from_slice(table).map_err(|error| Failed::Missing(format!("{SITE}: {error}")))
}

/// What is yanked or recalled by now is not offered again by the way, only when it is named.
fn refuse_what_is_withdrawn(then: &[u8], now: &[u8], restore: &[String]) -> Result<(), Failed> {
    let weight = |state: State| match state {
        State::Published => 0,
        State::Yanked => 1,
        State::Recalled => 2,
    };
    let (then, now) = (parsed(then)?, parsed(now)?);
    let before: BTreeMap<&str, State> = then.releases.iter().map(|release| (&*release.version, release.state)).collect();
    let mut offered_again = Vec::new();
    for release in &now.releases {
        let version = &*release.version;
        let was = before.get(version).copied();
        if was.is_some_and(|was| weight(was) < weight(release.state)) && !restore.iter().any(|restored| restored == version) {
            let word = if release.state == State::Yanked { "yanked" } else { "recalled" };
            offered_again.push(format!("{version} ({word}: {})", release.reason.as_deref().unwrap_or_default()));
        }
    }
    if offered_again.is_empty() {
        return Ok(());
    }
    Err(Failed::Refused(format!(
        "the rollback would offer again what is withdrawn by now: {}; name each one with --restore VERSION if that is meant",
        offered_again.join(", ")
    )))
}

/// The earlier snapshot's rows with the newest ledger, and the bytes of those that are not live.
async fn documents(target: &Target, old: &Index, live: &Index) -> Result<Outgoing, Failed> {
    let mut files: Vec<Row> = old.files.iter().filter(|row| row.path != LEDGER).cloned().collect();
    files.extend(live.row(LEDGER).cloned());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let there: BTreeSet<(&str, &str)> = live.files.iter().map(|row| (row.path.as_str(), row.sha256.as_str())).collect();
    let differ = files.iter().filter(|row| !there.contains(&(row.path.as_str(), row.sha256.as_str())));
    let reading =
        stream::iter(differ.map(|row| async move { Ok::<_, Failed>((row.path.clone(), read_row(target, row).await?)) }));
    let read: Vec<(String, Bytes)> = reading.buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
    let index = Index { id: Index::id_of(&files), files, ..Index::default() };
    Ok(Outgoing { index, files: read.into_iter().collect() })
}

/// The keys of everything that a record's snapshot needs on a target, artifacts aside.
pub fn reached(record: &Record) -> BTreeSet<String> {
    let index = record.index();
    let rows = index.files.iter().chain(&index.kept);
    rows.flat_map(|row| [super::record::object_key(&row.sha256), key_of(&row.path)]).collect()
}
