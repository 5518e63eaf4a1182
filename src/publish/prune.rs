//! Forgetting: old generations, and the objects that no kept one reaches.

use super::Failed;
use super::record::{GivenUp, Record, object_key, read_current, read_generation, read_record, record_key};
use super::rollback::reached;
use super::target::Target;
use std::collections::BTreeSet;

/// Objects that are removed between two looks at the pointer.
const BATCH: usize = 64;

/// What was, or would be, removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Generations that can't be brought back any more.
    pub generations: Vec<u64>,
    /// Objects.
    pub objects: usize,
    /// Generations that stay.
    pub kept: usize,
}

/// Removes all but the newest `keep` generations, and objects older than `grace` seconds that none of those reaches. What a
/// publisher is about to name is younger than that, or named by its claim. `dry` removes nothing.
pub async fn prune(target: &Target, keep: usize, grace: u64, dry: bool) -> Result<Pruned, Failed> {
    let (current, _) =
        read_current(target).await?.ok_or_else(|| Failed::Missing("nothing was published there yet".to_owned()))?;
    if current.next.is_some() {
        return Err(Failed::Missing("a publish is under way; prune when it has ended".to_owned()));
    }
    let (mut kept, mut at) = (Vec::new(), Some(current.generation));
    while let Some(generation) = at.filter(|_| kept.len() < keep.max(1)) {
        let Some(record) = read_generation(target, generation).await? else { break };
        at = record.about.previous.filter(|previous| *previous < generation);
        kept.push(record);
    }
    // The others are older, or were cut off before they went live.
    let is_kept = |generation: &u64| kept.iter().any(|record| record.about.generation == *generation);
    let mut old = generations(target).await?;
    old.retain(|generation| *generation <= current.generation && !is_kept(generation));
    old.sort_unstable();
    let mut pruned = Pruned { generations: old.clone(), kept: kept.len(), ..Pruned::default() };
    if !dry {
        // The records go first: whoever brings one back looks again after its claim.
        for generation in &old {
            target.delete(&record_key(*generation)).await?;
        }
    }
    let mut stays = BTreeSet::new();
    stays.extend(kept.iter().flat_map(reached));
    stays.insert(object_key(&current.record));
    stays.extend(newer(target, current.generation).await?.iter().flat_map(reached));
    for GivenUp { record, .. } in &current.given_up {
        let key = object_key(record);
        stays.extend(reached(&read_record(target, &key, record).await?));
        stays.insert(key);
    }
    let unneeded: Vec<_> = target.list("objects").await?;
    let unneeded: Vec<_> = unneeded.iter().filter(|listed| listed.age >= grace && !stays.contains(&listed.key)).collect();
    for batch in unneeded.chunks(BATCH) {
        // What somebody has claimed meanwhile may need them.
        if read_current(target).await?.is_none_or(|(now, _)| now != current) {
            return Err(Failed::Missing("somebody publishes meanwhile; prune again when that has ended".to_owned()));
        }
        for listed in batch.iter().filter(|_| !dry) {
            target.delete(&listed.key).await?;
        }
        pruned.objects += batch.len();
    }
    Ok(pruned)
}

/// The records of what came, or was claimed, since.
async fn newer(target: &Target, since: u64) -> Result<Vec<Record>, Failed> {
    let mut records = Vec::new();
    let Some((now, _)) = read_current(target).await? else { return Ok(records) };
    let mut at = Some(now.generation);
    while let Some(generation) = at.filter(|generation| *generation > since) {
        let Some(record) = read_generation(target, generation).await? else { break };
        at = record.about.previous.filter(|previous| *previous < generation);
        records.push(record);
    }
    if let Some(next) = now.next {
        records.push(read_record(target, &object_key(&next.record), &next.record).await?);
    }
    Ok(records)
}

/// The generations whose records are kept.
pub async fn generations(target: &Target) -> Result<Vec<u64>, Failed> {
    let listed = target.list("snapshots").await?;
    let number = |key: &str| key.strip_prefix("snapshots/")?.strip_suffix(".json")?.parse().ok();
    Ok(listed.iter().filter_map(|listed| number(&listed.key)).collect())
}
