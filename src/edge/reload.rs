//! The control thread: signals, and a new site as soon as there is one.

use super::downloads::Downloads;
use super::serve::Shared;
use super::{Config, Event, Signals};
use crate::answer::{Secrets, Site, SiteError};
use crate::files::Fingerprint;
use crate::store::Store;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, spawn_blocking};

/// How often the folder is looked at. Notifications of the file system would miss network mounts and swapped links.
const INTERVAL: Duration = Duration::from_millis(300);
/// A refused snapshot is read again after so many looks, then twice as many, up to this.
const MOST_LOOKS: u32 = 64;
/// How often a first read that met a publish is tried again.
const TRIES: u32 = 10;

/// Which index the folder holds: another file or another time is another snapshot.
fn fingerprint(folder: &Path) -> Option<Fingerprint> {
    Fingerprint::of(&folder.join(crate::snapshot::INDEX))
}

/// Reads the first site, again if it was replaced meanwhile. The fingerprint is older than the site, so that nothing
/// that comes after it is missed.
pub(super) fn first(folder: &Path, local_store: bool) -> Result<(Site, Option<Fingerprint>), SiteError> {
    let mut tries = 0;
    loop {
        let before = fingerprint(folder);
        match Site::open(folder, local_store) {
            Ok(site) => return Ok((site, before)),
            Err(error) if tries == TRIES || fingerprint(folder) == before => return Err(error),
            Err(_) => tries = tries.saturating_add(1),
        }
    }
}

/// A site with what the edge counts about it.
pub(super) struct Serving {
    pub(super) site: Arc<Site>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) downloads: Arc<Downloads>,
    since: Instant,
}

impl Serving {
    /// A site that takes the place of another.
    pub(super) fn new(site: Site, secrets: Arc<Secrets>, before: Option<&Serving>) -> Self {
        let same = before.filter(|before| before.site.id() == site.id());
        let since = same.map_or_else(Instant::now, |before| before.since);
        let downloads = Downloads::next(before.map(|before| &*before.downloads), &site).into();
        Self { downloads, site: site.into(), secrets, since }
    }

    /// The same site with other secrets.
    fn with(&self, secrets: Secrets) -> Self {
        Self { site: Arc::clone(&self.site), secrets: secrets.into(), downloads: Arc::clone(&self.downloads), since: self.since }
    }

    /// What an operator should know of what is served.
    fn lacks(&self) -> Vec<Event<'static>> {
        let Self { site, secrets, .. } = self;
        // Whoever has given no credentials does without the Active API.
        let uses_active = site.has_active() && (secrets.knows_somebody() || secrets.links.is_some());
        let warnings = [
            (!site.has_store(), Event::NoStore),
            (uses_active && site.has_store() && !site.has_local_store(), Event::NoDirectDownloads),
            (site.requires_access() && !secrets.knows_somebody(), Event::NobodyKnown),
            (site.is_presigned() && secrets.storage.is_none(), Event::NoStorageCredentials),
        ];
        warnings.into_iter().filter(|(is_so, _)| *is_so).map(|(_, event)| event).collect()
    }

    /// How long it has been served.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// How many snapshots were taken up, the first aside, and how many not.
#[derive(Default)]
pub(super) struct Reloads {
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    /// The folder holds one that is refused now.
    pub(super) is_refused: AtomicBool,
    /// How often all secrets were read again, and how often a file of them was not.
    pub(super) secrets_accepted: AtomicU64,
    pub(super) secrets_refused: AtomicU64,
    /// A file of secrets is not as it should be now.
    pub(super) secrets_are_refused: AtomicBool,
}

/// Tells what an operator should know, unless it was so before.
pub(super) fn warn(shared: &Shared, before: Option<&Serving>) {
    let known = before.map(Serving::lacks).unwrap_or_default();
    for warning in shared.serving.load().lacks() {
        if !known.iter().any(|known| std::mem::discriminant(known) == std::mem::discriminant(&warning)) {
            (shared.tell)(&warning);
        }
    }
}

/// Why the edge is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Whoever sends requests has to notice first.
    Drain,
    /// Somebody sits before it.
    Interrupt,
}

/// Keeps the site up to date until a signal ends the edge.
pub(super) async fn control(config: &Config, shared: &Shared, mut seen: Option<Fingerprint>, signals: &mut Signals) -> End {
    let mut refused = Refused::default();
    // A site is read off this thread: a hanging disk must not keep a signal waiting.
    let mut reading: Option<JoinHandle<Result<Site, SiteError>>> = None;
    let (mut asked, mut secrets_asked, mut is_another) = (false, false, false);
    // They were read a moment ago, before anybody looked; a first look that reads them again misses nothing.
    let (mut secrets_seen, mut secrets_wrong) = (None, Vec::new());
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return End::Drain,
            _ = signals.interrupt.recv() => return End::Interrupt,
            _ = signals.hang_up.recv() => {
                (asked, secrets_asked) = (true, true);
                reopen_store(config, shared);
            }
            read = finished(&mut reading) => {
                reading = None;
                take(read, is_another, shared, &mut refused);
                // Only the clock brings the next look, so that one refusal does not bring the next at once.
                continue;
            }
            () = tokio::time::sleep(INTERVAL) => refused.looked(),
        }
        let secrets_now = config.secrets.fingerprint();
        // What failed for a passing reason is tried again.
        if std::mem::take(&mut secrets_asked) || !secrets_wrong.is_empty() || secrets_seen.as_ref() != Some(&secrets_now) {
            take_secrets(config, shared, &mut secrets_wrong, secrets_seen.is_some());
            secrets_seen = Some(secrets_now);
        }
        let now = fingerprint(&config.site);
        // What is asked for during a read is done after it.
        if reading.is_none() && (asked || now != seen || refused.is_due()) {
            is_another = now != seen;
            (asked, seen) = (false, now);
            let (folder, local_store) = (config.site.clone(), config.artifacts.is_some());
            reading = Some(spawn_blocking(move || Site::open(&folder, local_store)));
        }
    }
}

/// The end of a read that is under way; never, when none is.
async fn finished(reading: &mut Option<JoinHandle<Result<Site, SiteError>>>) -> Result<Site, SiteError> {
    let Some(handle) = reading else { return std::future::pending().await };
    handle.await.unwrap_or_else(|panic| {
        let why = panic.to_string();
        Err(SiteError::Inconsistent { path: crate::snapshot::INDEX.to_owned(), why })
    })
}

/// Serves the site if it is whole, keeps the old one if not; says each thing once.
fn take(read: Result<Site, SiteError>, is_another: bool, shared: &Shared, refused: &mut Refused) {
    shared.reloads.is_refused.store(read.is_err(), Relaxed);
    match read {
        Ok(site) => {
            let before = shared.serving.load_full();
            // The same site again is news after a refusal: it says that all is well.
            let is_news = site.id() != before.site.id() || refused.why.is_some();
            shared.serving.store(Serving::new(site, Arc::clone(&before.secrets), Some(&before)).into());
            if is_news {
                shared.reloads.accepted.fetch_add(1, Relaxed);
                (shared.tell)(&Event::Reloaded(&shared.serving.load().site));
            }
            warn(shared, Some(&before));
            *refused = Refused::default();
        }
        Err(error) => {
            if refused.again(error.to_string()) || is_another {
                shared.reloads.refused.fetch_add(1, Relaxed);
                (shared.tell)(&Event::Refused(&error));
            }
        }
    }
}

/// Takes up the secrets of each file that is as it should be, keeps those of the others. They are short and lie beside the
/// program: they are read here, so that nobody asks for a revoked token's end twice.
fn take_secrets(config: &Config, shared: &Shared, known: &mut Vec<String>, is_news: bool) {
    let before = shared.serving.load_full();
    let (secrets, wrong) = config.secrets.read_over(&before.secrets);
    shared.serving.store(before.with(secrets).into());
    shared.reloads.secrets_are_refused.store(!wrong.is_empty(), Relaxed);
    let was_wrong = !known.is_empty();
    let told = std::mem::replace(known, wrong.iter().map(ToString::to_string).collect());
    for error in wrong.iter().filter(|error| !told.contains(&error.to_string())) {
        shared.reloads.secrets_refused.fetch_add(1, Relaxed);
        (shared.tell)(&Event::SecretsRefused(error));
    }
    if (is_news || was_wrong) && wrong.is_empty() {
        shared.reloads.secrets_accepted.fetch_add(1, Relaxed);
        (shared.tell)(&Event::SecretsReloaded);
    }
    warn(shared, Some(&before));
}

/// The folder may have been replaced as a whole; a path says nothing of that.
fn reopen_store(config: &Config, shared: &Shared) {
    match config.artifacts.as_deref().map(Store::open) {
        Some(Ok(store)) => shared.store.store(Some(store.into())),
        Some(Err(error)) => _ = (shared.tell)(&Event::StoreGone(&error)),
        None => {}
    }
}

/// A snapshot that was not accepted. It may have been read while it was being put in place, so it is tried again, less
/// and less often.
#[derive(Default)]
struct Refused {
    why: Option<String>,
    looks: u32,
    wait: u32,
}

impl Refused {
    /// Notes a refusal; whether it is news. The place is news, not the count of bytes that it speaks of.
    fn again(&mut self, why: String) -> bool {
        let place = |why: &str| why.split(": ").take(2).collect::<Vec<_>>().join(": ");
        let news = self.why.as_deref().map(place) != Some(place(&why));
        self.wait = if news { 1 } else { self.wait.saturating_mul(2).min(MOST_LOOKS) };
        self.looks = 0;
        self.why = Some(why);
        news
    }

    /// Notes that time has passed.
    fn looked(&mut self) {
        self.looks = self.looks.saturating_add(1);
    }

    /// Whether it is time to try again.
    fn is_due(&self) -> bool {
        self.why.is_some() && self.looks >= self.wait
    }
}
