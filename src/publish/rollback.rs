//! One step back: an earlier snapshot's documents as a new generation, without a build.

use super::changes::{Offered, Outgoing, key_of};
use super::pointer::Opened;
use super::record::{Action, Record, Withheld, read_generation};
use super::steps::Intent;
use super::target::Target;
use super::{Failed, read_row, read_rows};
use crate::policy::Access;
use crate::site_table::{ReleaseEntry, SiteTable, State};
use crate::snapshot::{Index, LEDGER, REDIRECTS, Row, SITE};
use crate::words::Channel;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

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
    let of = match wanted.generation {
        Some(of) => Some(of),
        None => before(opened.target, live).await?,
    };
    let of = of.ok_or_else(|| Failed::Missing("there is no generation before the first".to_owned()))?;
    if of >= live.about.generation {
        return Err(Failed::Missing(format!("generation {of} is not an earlier one: {} is live", live.about.generation)));
    }
    let old = lived(opened.target, live, of).await?;
    let old = old.ok_or_else(|| Failed::Missing(format!("generation {of} is not kept; `history` shows those that are")))?;
    let (old_index, live_index) = (old.index(), live.index());
    let then = essential(opened.target, &old_index).await?;
    let now = essential(opened.target, &live_index).await?;
    let mut withheld = withheld(&now.table)?;
    withheld.extend(
        live.withheld.iter().filter(|old| withheld.iter().all(|new| new.version != old.version)).cloned().collect::<Vec<_>>(),
    );
    let known: BTreeSet<String> = parsed(&then.table)?.releases.iter().map(|release| release.version.to_string()).collect();
    if let Some(unknown) = wanted.restore.iter().find(|version| !known.contains(*version)) {
        return Err(Failed::Missing(format!("--restore {unknown}: generation {of} has no such release")));
    }
    withheld.retain(|withheld| !wanted.restore.contains(&withheld.version));
    refuse_what_is_withheld(&then.table, &withheld)?;
    refuse_what_became_private(&then.table, &now.table)?;
    let mut offered = Offered::by(&then.map, &then.table).map_err(|error| Failed::Missing(format!("{REDIRECTS}: {error}")))?;
    offered.elsewhere = live.elsewhere;
    let (releases, stable) = heads(&then.table)?;
    let outgoing = documents(opened.target, &old_index, &live_index).await?;
    let intent = Intent {
        action: Action::Rollback,
        of: Some(of),
        reason: Some(wanted.reason.to_owned()),
        product: live.about.product.clone(),
        releases,
        stable,
        withheld,
    };
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

/// The generation before what is live by its content: a rollback is what it brought back.
async fn before(target: &Target, live: &Record) -> Result<Option<u64>, Failed> {
    let Some(of) = live.about.of else { return Ok(live.about.previous) };
    Ok(lived(target, live, of).await?.and_then(|record| record.about.previous))
}

/// What asks for credentials by now is not given to everybody again.
fn refuse_what_became_private(then: &[u8], now: &[u8]) -> Result<(), Failed> {
    let (then, now) = (parsed(then)?, parsed(now)?);
    let opens = |then: Access, now: Access| then == Access::Public && now == Access::Required;
    let v1 = |table: &SiteTable<'_>| table.v1.as_ref().map_or(table.v2_access, |v1| v1.access);
    if opens(then.v2_access, now.v2_access) || (then.v1.is_some() && opens(v1(&then), v1(&now))) {
        let why =
            "the rollback would make public what asks for credentials by now; change `access` in the sources and publish instead";
        return Err(Failed::Refused(why.to_owned()));
    }
    Ok(())
}

/// The versions that a snapshot does not offer.
pub fn withheld(table: &[u8]) -> Result<Vec<Withheld>, Failed> {
    let releases = parsed(table)?.releases.into_iter().filter(|release| release.state != State::Published);
    let reason = |release: &ReleaseEntry<'_>| release.reason.as_deref().unwrap_or_default().to_owned();
    Ok(releases
        .map(|release| Withheld { reason: reason(&release), state: release.state, version: release.version.into() })
        .collect())
}

/// A generation's record if it ever was live: one that was cut off before is none of those that live came from.
async fn lived(target: &Target, live: &Record, of: u64) -> Result<Option<Record>, Failed> {
    let mut at = live.about.previous;
    while let Some(generation) = at {
        let Some(record) = read_generation(target, generation).await? else { return Ok(None) };
        if generation == of {
            return Ok(Some(record));
        }
        at = record.about.previous.filter(|previous| *previous < generation);
    }
    Ok(None)
}

/// What is yanked or recalled by now is not offered again by the way, only when it is named.
fn refuse_what_is_withheld(then: &[u8], withheld: &[Withheld]) -> Result<(), Failed> {
    let weight = |state: State| match state {
        State::Published => 0,
        State::Yanked => 1,
        State::Recalled => 2,
    };
    let then = parsed(then)?;
    let was: BTreeMap<&str, State> = then.releases.iter().map(|release| (&*release.version, release.state)).collect();
    let again = withheld.iter().filter(|now| was.get(now.version.as_str()).is_some_and(|was| weight(*was) < weight(now.state)));
    let again: Vec<String> = again
        .map(|withheld| {
            let word = if withheld.state == State::Yanked { "yanked" } else { "recalled" };
            format!("{} ({word}: {})", withheld.version, withheld.reason)
        })
        .collect();
    if again.is_empty() {
        return Ok(());
    }
    Err(Failed::Refused(format!(
        "the rollback would offer again what is withdrawn by now: {}; name each one with --restore VERSION if that is meant",
        again.join(", ")
    )))
}

/// The earlier snapshot's rows with the newest ledger, and the bytes of those that are not live.
async fn documents(target: &Target, old: &Index, live: &Index) -> Result<Outgoing, Failed> {
    let mut files: Vec<Row> = old.files.iter().filter(|row| row.path != LEDGER).cloned().collect();
    files.extend(live.row(LEDGER).cloned());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let differ = files.iter().filter(|row| live.row(&row.path) != Some(row));
    let bytes = read_rows(target, differ).await?;
    let index = Index { id: Index::id_of(&files), files, ..Index::default() };
    Ok(Outgoing { index, files: bytes })
}

/// The keys of everything that a record's snapshot needs on a target, artifacts aside.
pub fn reached(record: &Record) -> BTreeSet<String> {
    let index = record.index();
    let rows = index.files.iter().chain(&index.kept);
    rows.flat_map(|row| [super::record::object_key(row.sha256), key_of(&row.path)]).collect()
}
