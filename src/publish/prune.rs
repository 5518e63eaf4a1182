//! Forgetting: old generations, and the objects that no kept one reaches.

use super::Failed;
use super::record::{Record, object_key, read_current, read_generation, read_record, record_key};
use super::rollback::reached;
use super::target::Target;
use std::collections::BTreeSet;

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
    let mut generations = generations(target).await?;
    generations.retain(|generation| *generation <= current.generation);
    generations.sort_unstable_by(|a, b| b.cmp(a));
    let old = generations.split_off(keep.max(1).min(generations.len()));
    let mut pruned = Pruned { generations: old.clone(), kept: generations.len(), ..Pruned::default() };
    if !dry {
        // The records go first: whoever brings one back looks again after its claim.
        for generation in &old {
            target.delete(&record_key(*generation)).await?;
        }
    }
    let mut stays = BTreeSet::new();
    for generation in &generations {
        let record = read_generation(target, *generation).await?;
        stays.extend(record.iter().flat_map(reached));
    }
    stays.extend(newer(target, current.generation).await?.iter().flat_map(reached));
    for listed in target.list("objects").await? {
        if listed.age >= grace && !stays.contains(&listed.key) {
            pruned.objects += 1;
            if !dry {
                target.delete(&listed.key).await?;
            }
        }
    }
    Ok(pruned)
}

/// The records of what came, or was claimed, since.
async fn newer(target: &Target, since: u64) -> Result<Vec<Record>, Failed> {
    let mut records = Vec::new();
    let Some((now, _)) = read_current(target).await? else { return Ok(records) };
    for generation in since + 1..=now.generation {
        records.extend(read_generation(target, generation).await?);
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
