//! What one core counts: plain numbers that only it writes, so that counting costs no lock and no shared cache line.

use crate::answer::Family;
use http::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number with one writer and any number of readers.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Adds to it; only its writer may.
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The addresses of V1, as its counter names them; the last stands for all others.
pub(super) const V1_ADDRESSES: [&str; 7] =
    ["releases/latest", "releases/{version}", "releases", "downloads/links", "downloads/latest", "downloads/{version}", "other"];

/// The place of a path of V1 in [`V1_ADDRESSES`].
fn v1_address(path: &str) -> usize {
    let rest = path.strip_prefix("/internal/v1/agent/").unwrap_or_default();
    let word = match rest.split_once('/') {
        None if rest == "releases" => "releases",
        Some(("releases", "latest")) => "releases/latest",
        Some(("downloads", "links")) => "downloads/links",
        Some(("downloads", "latest")) => "downloads/latest",
        Some(("releases", version)) if !version.contains('/') && !version.is_empty() => "releases/{version}",
        Some(("downloads", version)) if !version.contains('/') && !version.is_empty() => "downloads/{version}",
        _ => "other",
    };
    V1_ADDRESSES.iter().position(|address| *address == word).unwrap_or_default()
}

/// The statuses that the edge sends; the last place stands for all others.
pub(super) const STATUSES: [u16; 17] = [200, 204, 206, 302, 304, 400, 401, 404, 405, 410, 414, 416, 417, 421, 431, 500, 503];
const PLACES: usize = STATUSES.len() + 1;

/// Upper bounds of the durations' buckets, in microseconds.
pub(super) const BUCKETS: [u64; 11] = [50, 100, 250, 500, 1_000, 2_500, 10_000, 50_000, 250_000, 1_000_000, 10_000_000];

/// Why a connection was over its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It was idle.
    Idle,
    /// Its head did not end.
    Head,
    /// Its client took nothing.
    Write,
}

impl Overdue {
    pub(super) const ALL: [Overdue; 3] = [Overdue::Idle, Overdue::Head, Overdue::Write];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Overdue::Idle => "idle",
            Overdue::Head => "head",
            Overdue::Write => "write",
        }
    }
}

/// The numbers of one core.
#[derive(Default)]
pub(super) struct Tally {
    requests: [[Count; PLACES]; Family::ALL.len()],
    v1: [Count; V1_ADDRESSES.len()],
    /// How many answers took no longer than each bound, and longer than the one before; the last took longer than all.
    durations: [Count; BUCKETS.len() + 1],
    nanoseconds: Count,
    overdue: [Count; Overdue::ALL.len()],
    /// Connections that were taken.
    pub(super) accepted: Count,
    /// Connections that were past the cap.
    pub(super) refused: Count,
    /// Artifacts that were past the cap.
    pub(super) streams_refused: Count,
    /// Answers that panicked.
    pub(super) panics: Count,
    /// Lines that the log did not take.
    pub(super) lines_dropped: Count,
}

impl Tally {
    /// Counts an answer by the family of its path.
    pub(super) fn answered(&self, path: &str, status: StatusCode) {
        let family = Family::of(path);
        let place = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len());
        add(self.requests.get(family as usize).and_then(|row| row.get(place)));
        if family == Family::V1 {
            add(self.v1.get(v1_address(path)));
        }
    }

    /// Counts how long an answer took, from its whole head to its last byte.
    pub(super) fn took(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let place = BUCKETS.iter().position(|bound| nanoseconds <= bound.saturating_mul(1000)).unwrap_or(BUCKETS.len());
        add(self.durations.get(place));
        self.nanoseconds.add(nanoseconds);
    }

    /// Counts a connection that was over its time.
    pub(super) fn overdue(&self, why: Overdue) {
        add(self.overdue.get(why as usize));
    }

    /// All answers so far.
    pub(super) fn all_requests(&self) -> u64 {
        self.requests.iter().flatten().map(Count::get).fold(0, u64::wrapping_add)
    }

    /// By family, then by the place of the status in [`STATUSES`].
    pub(super) fn requests(&self, family: Family, place: usize) -> u64 {
        self.requests.get(family as usize).and_then(|row| row.get(place)).map_or(0, Count::get)
    }

    pub(super) fn v1_requests(&self, address: usize) -> u64 {
        self.v1.get(address).map_or(0, Count::get)
    }

    /// By the place of the bound in [`BUCKETS`].
    pub(super) fn durations(&self, place: usize) -> u64 {
        self.durations.get(place).map_or(0, Count::get)
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        self.nanoseconds.get()
    }

    pub(super) fn overdue_so_far(&self, why: Overdue) -> u64 {
        self.overdue.get(why as usize).map_or(0, Count::get)
    }
}

fn add(count: Option<&Count>) {
    if let Some(count) = count {
        count.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_counted_by_family_and_address() {
        for (path, family) in [
            ("/v2/agent-releases", Family::V2),
            ("/v2/agent-releases/latest", Family::V2),
            ("/v2/agent-releasesx", Family::Other),
            ("/artifacts/a/b", Family::Artifacts),
            ("/internal/v1/agent/releases", Family::V1),
            ("/api/agent/v1/releases/active", Family::Active),
            ("/openapi.json", Family::Other),
        ] {
            assert_eq!(Family::of(path), family, "{path}");
        }
        for (rest, address) in [
            ("releases", "releases"),
            ("releases/", "other"),
            ("releases/latest", "releases/latest"),
            ("releases/1.8.3", "releases/{version}"),
            ("downloads", "other"),
            ("downloads/links", "downloads/links"),
            ("downloads/latest", "downloads/latest"),
            ("downloads/1.8.3", "downloads/{version}"),
            ("downloads/1.8.3/x", "other"),
        ] {
            assert_eq!(V1_ADDRESSES[v1_address(&format!("/internal/v1/agent/{rest}"))], address, "{rest}");
        }
    }

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let tally = Tally::default();
        for (nanoseconds, place) in [(0, 0), (50_000, 0), (50_001, 1), (10_000_000_000, 10), (10_000_000_001, 11)] {
            let before = tally.durations(place);
            tally.took(Duration::from_nanos(nanoseconds));
            assert_eq!(tally.durations(place), before + 1, "{nanoseconds}");
        }
        tally.answered("/x", StatusCode::IM_A_TEAPOT);
        assert_eq!((tally.requests(Family::Other, STATUSES.len()), tally.all_requests()), (1, 1));
    }
}
