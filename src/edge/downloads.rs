//! Downloads by version and platform: the newest versions each by themselves, all others together, so that the number of
//! series stays the same however long the history gets.

use super::limits::COUNTED;
use crate::answer::{Download, Site};
use crate::words::Platform;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The platforms, and the attachments.
const KINDS: usize = Platform::ALL.len() + 1;

type Counters = [Arc<AtomicU64>; KINDS];

/// The counters of one site; those of versions that it shares with the site before go on.
#[derive(Default)]
pub(super) struct Downloads {
    /// The index of the first counted release.
    first: usize,
    /// The newest versions, ascending.
    counted: Vec<(Box<str>, Counters)>,
    other: Counters,
}

impl Downloads {
    /// The counters for a site that follows another.
    pub(super) fn next(before: Option<&Downloads>, site: &Site) -> Self {
        let first = site.release_count().saturating_sub(COUNTED);
        let known = |version: &str| before?.counted.iter().find(|(other, _)| **other == *version).map(|(_, counters)| counters);
        let counted: Vec<(Box<str>, Counters)> = (first..site.release_count())
            .filter_map(|release| site.version(release))
            .map(|version| (version.into(), known(version).cloned().unwrap_or_default()))
            .collect();
        // What a version has counted ends with it: added to the others, it would look like new downloads.
        Self { first, counted, other: before.map(|before| before.other.clone()).unwrap_or_default() }
    }

    /// Counts a download of the release at this index.
    pub(super) fn add(&self, release: Option<usize>, download: Download) {
        let place = release.and_then(|release| release.checked_sub(self.first));
        let counters = place.and_then(|place| self.counted.get(place)).map_or(&self.other, |(_, counters)| counters);
        let kind = match download {
            Download::Artifact(platform) => platform as usize,
            Download::Attachment => Platform::ALL.len(),
        };
        if let Some(counter) = counters.get(kind) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Version, platform and count of everything that was downloaded; `other` last.
    pub(super) fn all(&self) -> Vec<(&str, &'static str, u64)> {
        let kinds: Vec<&str> = Platform::ALL.into_iter().map(Platform::id).chain(["files"]).collect();
        let count = |counter: &Arc<AtomicU64>| counter.load(Relaxed);
        let mut all = Vec::new();
        for (version, counters) in &self.counted {
            all.extend(kinds.iter().zip(counters).map(|(kind, counter)| (&**version, *kind, count(counter))));
        }
        all.extend(kinds.iter().zip(&self.other).map(|(kind, counter)| ("other", *kind, count(counter))));
        all
    }
}
