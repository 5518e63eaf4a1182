//! The edge's limits in one table; docs/operations.md says what a client sees at each.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// Bytes of the longest request head, its last empty line included; past it 431.
pub(super) const HEAD: usize = 16 * 1024;
/// Bytes of the longest target; past it 414.
pub(super) const TARGET: usize = 2048;
/// Header lines of a request; past it 431.
pub(super) const HEADERS: usize = 64;
/// Bytes that hyper keeps of a head that has not ended; a head that is longer still gets its bare 431.
pub(super) const BUFFER: usize = 2 * HEAD;

/// How long a head may take, once begun.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a client may take nothing of its answer; what it takes is seen in steps of half of [`UNSENT`].
pub(super) const WRITE_TIME: Duration = Duration::from_secs(30);
/// How many requests a connection may carry; the answer to the last one says so.
pub(super) const REQUESTS: u32 = 1000;
/// How old a connection may get; the first answer from then on says that it is the last.
pub(super) const AGE: Duration = Duration::from_secs(600);

/// Open connections; the next is answered 503 at once.
pub(super) const CONNECTIONS: usize = 1024;
/// Artifacts being sent; the next is answered 503. Fewer than connections, so that downloads never lock out documents.
pub(super) const STREAMS: usize = 512;
/// Bytes of a file that are sent before other connections get their turn.
pub(super) const PIECE: usize = 2 * 1024 * 1024;
/// Bytes of a long page in memory for each client that it is being sent to. A little more than hyper's buffer: of less it
/// takes two parts.
pub(super) const PART: usize = BUFFER + 2 * 1024;
/// Bytes that the system may hold of an answer beyond what is on its way, so that progress is seen in small steps.
pub(super) const UNSENT: u32 = 128 * 1024;

/// Connections that are closed with care, beside the open ones; past it without.
pub(super) const LINGERING: usize = 64;
/// How long, and for how many bytes, a refused client is listened to, so that it gets to read why.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(1);
/// See [`LINGER_TIME`].
pub(super) const LINGER_BYTES: usize = 256 * 1024;

/// Connections that the system may hold for a core until it accepts them.
pub(super) const BACKLOG: i32 = 1024;
/// Sockets that may be handed over to the edge when it is started.
pub(super) const INHERITED: usize = 64;
/// How long a listener waits when it can't accept: nothing but a shortage of the whole system brings that about.
pub(super) const SHORTAGE: Duration = Duration::from_millis(50);
/// How many files a core may be waiting for at a time.
pub(super) const READERS: usize = 64;

/// How many versions have download counters of their own.
pub(super) const COUNTED: usize = 50;
/// Log lines that may wait for whoever reads them; past it they are dropped, and counted.
pub(super) const LINES: usize = 16 * 1024;
/// Characters of a path that the log shows.
pub(super) const SHOWN_PATH: usize = 512;
/// Characters of any other text of a request that the log shows.
pub(super) const SHOWN_VALUE: usize = 64;

/// How many connections the admin listener serves at a time.
pub(super) const ADMIN_CONNECTIONS: usize = 16;
/// How long the admin listener waits for a head.
pub(super) const ADMIN_TIME: Duration = Duration::from_secs(10);
/// How long a connection to it may last.
pub(super) const ADMIN_LIFE: Duration = Duration::from_secs(60);

/// How often each core looks for connections that are over their time.
pub(super) const ROUND: Duration = Duration::from_millis(100);
/// While draining, how long no request may have come before the listeners close.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Descriptors for everything but connections and artifacts, the cores' own aside.
const DESCRIPTORS: u64 = 16 + ADMIN_CONNECTIONS as u64;
/// Descriptors of each core.
const OF_CORE: u64 = 5;

/// How many of each there may be at a time; fewer than in the table when the system gives too few descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Open connections.
    pub connections: usize,
    /// Artifacts being sent.
    pub streams: usize,
    /// Connections being closed with care.
    pub(super) lingering: usize,
}

impl Caps {
    /// What the table says.
    pub(super) const FULL: Caps = Caps { connections: CONNECTIONS, streams: STREAMS, lingering: LINGERING };

    /// What the descriptors of this process allow, once it has asked for as many as it may have.
    pub(super) fn of_system(cores: usize) -> Self {
        let of_cores = u64::try_from(cores).unwrap_or(u64::MAX).saturating_mul(OF_CORE);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = Self::FULL.descriptors().saturating_add(of_cores);
        let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let current = match current {
            Some(current) if current < allowed => {
                let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
                if raised.is_ok() { allowed } else { current }
            }
            Some(current) => current,
            None => wanted,
        };
        Self::within(current.saturating_sub(of_cores))
    }

    /// What so many descriptors allow: the same share of each as of all.
    fn within(descriptors: u64) -> Self {
        if descriptors >= Self::FULL.descriptors() {
            return Self::FULL;
        }
        let full = usize::try_from(Self::FULL.descriptors().saturating_sub(DESCRIPTORS)).unwrap_or(usize::MAX);
        let spare = usize::try_from(descriptors.saturating_sub(DESCRIPTORS)).unwrap_or(usize::MAX);
        let part = |most: usize| most.saturating_mul(spare).checked_div(full).unwrap_or_default().max(1);
        Self { connections: part(CONNECTIONS), streams: part(STREAMS), lingering: part(LINGERING) }
    }

    /// A connection and an artifact are a descriptor each.
    fn descriptors(self) -> u64 {
        let all = self.connections.saturating_add(self.streams).saturating_add(self.lingering);
        u64::try_from(all).unwrap_or(u64::MAX).saturating_add(DESCRIPTORS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_fit_the_descriptors() {
        let full = Caps::FULL.descriptors();
        assert_eq!(Caps::within(full), Caps::FULL);
        for descriptors in [0, 64, 100, 256, 1024, full - 1] {
            let caps = Caps::within(descriptors);
            assert!(caps.connections >= 1 && caps.streams >= 1 && caps.lingering >= 1, "{descriptors}: {caps:?}");
            assert!(descriptors < 64 || caps.descriptors() <= descriptors, "{descriptors}: {caps:?}");
        }
    }
}
