//! Repair: what somebody else removed or changed on a target is found by reading everything, and sent again.

use super::changes::key_of;
use super::pointer::Opened;
use super::record::object_key;
use super::{Failed, SIDE_BY_SIDE};
use crate::snapshot::is_hashed;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

impl Opened<'_> {
    /// Looks at every object that the live record names, and forgets those that are not as it says: they are sent again.
    pub async fn forget_what_is_wrong(&mut self) -> Result<usize, Failed> {
        let Some(live) = &self.live else { return Ok(0) };
        let mut wanted: Vec<(String, String)> = Vec::new();
        let index = live.index();
        for row in index.files.iter().chain(&index.kept) {
            wanted.push((key_of(&row.path), row.sha256.hex()));
            wanted.extend((!is_hashed(&row.path)).then(|| (object_key(row.sha256), row.sha256.hex())));
        }
        let artifacts =
            live.artifacts.iter().filter_map(|artifact| Some((format!("artifacts/{}", artifact.0), artifact.1.clone()?)));
        wanted.extend(artifacts);
        wanted.sort();
        wanted.dedup();
        let target = self.target;
        let looking = wanted.iter().map(|(key, sha256)| async move {
            let there = target.digest(key).await?;
            Ok::<_, Failed>(there.is_none_or(|(_, is)| is.hex() != *sha256).then_some(sha256.as_str()))
        });
        let wrong: Vec<Option<&str>> = stream::iter(looking).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        let wrong: BTreeSet<String> = wrong.into_iter().flatten().map(str::to_owned).collect();
        if let Some(live) = &mut self.live {
            live.forget(&wrong);
        }
        self.repairs = !wrong.is_empty();
        Ok(wrong.len())
    }
}
