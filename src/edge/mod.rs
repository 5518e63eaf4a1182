//! The edge: sockets around [`crate::answer`], and nothing that decides.
//!
//! One single-threaded runtime for each core, each with a listener of its own on the same port, and no lock between
//! them; sockets that are handed over are shared by all of them. Documents are answered from memory; only artifacts are read from the disk, below the folder given for them.
//!
//! In reading order: `limits` (the table), `inherited` (sockets that are open already), `serve` (listeners, connections), `socket` and `conversation` (what one
//! connection's parts know of it), `clock`, `heads` and `gate` (what is a request at all), `respond` and `body` (answers on their
//! way), `reload` (another site), `secrets` (what a site must not hold), `tally` and `downloads` (what is counted), `admin` and
//! `metrics` (where it is shown), `log`.

#![allow(clippy::disallowed_methods, reason = "the edge is shell")]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic))]

mod admin;
mod body;
mod clock;
mod conversation;
mod downloads;
mod gate;
mod heads;
mod inherited;
mod limits;
pub mod log;
mod metrics;
mod reload;
mod respond;
mod secrets;
mod serve;
mod socket;
mod tally;

pub use gate::{check as gate, is_host};
pub use heads::RawHead;
pub use inherited::{Inherited, InheritedError};
pub use limits::Caps;
pub use secrets::{OTHERS, SecretFiles, SecretsError, exposed};

use crate::answer::{Site, SiteError};
use crate::files::Fingerprint;
use crate::store::Store;
use arc_swap::{ArcSwap, ArcSwapOption};
use reload::{End, Serving};
use serve::{Shared, Stage};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

/// How an edge is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The compiled site's folder.
    pub site: PathBuf,
    /// Where to listen, unless sockets are handed over; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where operators ask, unless a socket for them is handed over; nowhere unless it is set.
    pub admin_listen: Option<SocketAddr>,
    /// The folder that holds artifacts under their storage keys.
    pub artifacts: Option<PathBuf>,
    /// The names that clients may use in `Host`; empty: any that is well formed.
    pub hosts: Vec<String>,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long running answers may take after SIGTERM.
    pub drain_timeout: Duration,
    /// Whether each request is told.
    pub access_log: bool,
    /// What a site must not hold.
    pub secrets: SecretFiles,
}

/// What an operator wants to know.
#[derive(Debug)]
pub enum Event<'a> {
    /// It answers.
    Listening(SocketAddr),
    /// It answers operators.
    AdminListening(SocketAddr),
    /// The system gives too few descriptors for the usual limits; these are in force.
    Narrowed(Caps),
    /// Every download will be refused: there is no address of a storage, and no folder of artifacts.
    NoStore,
    /// The Active API sends to the storage; agents that update themselves take only the bytes.
    NoDirectDownloads,
    /// Addresses ask for credentials, and nobody has any: there are no tokens and no session secret.
    NobodyKnown,
    /// Redirects to the storage are to be signed, and there is nothing to sign with: they are answered 503.
    NoStorageCredentials,
    /// Tokens, keys and secrets were read again.
    SecretsReloaded,
    /// A file of them is not as it should be; what it held before is kept.
    SecretsRefused(&'a SecretsError),
    /// Another snapshot is served from now on.
    Reloaded(&'a Site),
    /// A new snapshot is not accepted; the last good one is kept.
    Refused(&'a SiteError),
    /// The artifacts' folder can't be opened again; the one from before is kept.
    StoreGone(&'a io::Error),
    /// A request was answered, or would have been had its client stayed.
    Request(&'a Exchange<'a>),
    /// Answering a request panicked.
    Panicked {
        /// The request's id.
        request: &'a str,
    },
    /// The end has begun.
    Draining,
}

/// A request and its answer, as the access log shows them.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Unique among all requests of all edges.
    pub id: &'a str,
    /// Where the connection comes from.
    pub client: SocketAddr,
    /// `None` when what was sent could not be read as a request.
    pub method: Option<&'a str>,
    /// The path and the known parameters.
    pub target: Option<&'a str>,
    /// What a proxy in front calls the request (`X-Request-Id`).
    pub request_id: Option<&'a str>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes that were written, the head included.
    pub bytes: u64,
    /// From the whole head to the last byte.
    pub duration: Duration,
    /// The connection ended before the last byte.
    pub aborted: bool,
}

/// Takes events, from any thread, without waiting; says whether it took them.
pub type Tell = Arc<dyn Fn(&Event<'_>) -> bool + Send + Sync>;

/// Why an edge does not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// There is nothing to serve.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The address is not to be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The artifacts' folder is not one.
    #[error("{path}: cannot be opened as the artifacts' folder: {source}")]
    Artifacts {
        /// The folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file of secrets is not as it should be.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The system refuses something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT, on the sockets that are handed over if there are any.
pub fn run(config: &Config, inherited: Inherited, tell: Tell) -> Result<(), EdgeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve_all(config, inherited, tell));
    // A read that hangs on a disk must not keep the process.
    runtime.shutdown_background();
    result
}

/// The signals that the edge knows. They are waited for before anything else, so that none ends it unseen.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Somebody wants it to end.
    async fn end(&mut self) -> End {
        tokio::select! {
            _ = self.terminate.recv() => End::Drain,
            _ = self.interrupt.recv() => End::Interrupt,
        }
    }
}

fn shared(config: &Config, tell: Tell, threads: usize, caps: Caps) -> Result<(Shared, Option<Fingerprint>), EdgeError> {
    let store = config
        .artifacts
        .as_deref()
        .map(|path| Store::open(path).map_err(|source| EdgeError::Artifacts { path: path.display().to_string(), source }))
        .transpose()?;
    let secrets = config.secrets.read()?;
    let (site, seen) = reload::first(&config.site, store.is_some())?;
    let [connections, streams, lingering] = serve::places(caps);
    let shared = Shared {
        serving: ArcSwap::from_pointee(Serving::new(site, secrets.into(), None)),
        reloads: reload::Reloads::default(),
        store: ArcSwapOption::from_pointee(store),
        hosts: config.hosts.clone(),
        idle_timeout: config.idle_timeout,
        access_log: config.access_log,
        boot: boot(),
        started: Instant::now(),
        connections,
        streams,
        lingering,
        tallies: (0..threads).map(|_| Arc::default()).collect(),
        draining: false.into(),
        tell,
    };
    Ok((shared, seen))
}

async fn serve_all(config: &Config, inherited: Inherited, tell: Tell) -> Result<(), EdgeError> {
    let mut signals = Signals::new()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let handed = inherited::spread(inherited.clients, cores)?;
    let threads = if handed.is_empty() { cores } else { handed.len() };
    let caps = Caps::of_system(threads);
    let (shared, seen) = shared(config, tell, threads, caps)?;
    let shared = Arc::new(shared);
    let listeners = if handed.is_empty() { serve::listen(config.listen, cores)? } else { serve::prepared(handed)? };
    let address = listeners.first().map_or(Ok(config.listen), TcpListener::local_addr)?;
    let admin = admin::listen(config.admin_listen, inherited.admin, &shared)?;
    let workers = Workers::start(listeners, &shared)?;
    if caps != Caps::FULL {
        (shared.tell)(&Event::Narrowed(caps));
    }
    reload::warn(&shared, None);
    (shared.tell)(&Event::Listening(address));
    for address in admin {
        (shared.tell)(&Event::AdminListening(address));
    }
    let end = tokio::select! {
        end = reload::control(config, &shared, seen, &mut signals) => end,
        () = workers.lost.notified() => End::Interrupt,
    };
    shared.draining.store(true, Ordering::Relaxed);
    (shared.tell)(&Event::Draining);
    let last = Instant::now().checked_add(config.drain_timeout);
    if end == End::Drain {
        quiet(&shared, config.drain_timeout, &mut signals).await;
    }
    workers.end(last, &mut signals).await
}

/// The cores' threads.
struct Workers {
    threads: Vec<JoinHandle<io::Result<()>>>,
    stage: watch::Sender<Stage>,
    /// One of them has ended before its time.
    lost: Arc<Notify>,
}

impl Workers {
    /// Starts a thread for each listener; all of them answer, or none does.
    fn start(listeners: Vec<TcpListener>, shared: &Arc<Shared>) -> Result<Self, EdgeError> {
        let (stage, lost) = (watch::Sender::new(Stage::Open), Arc::new(Notify::new()));
        let mut workers = Self { threads: Vec::new(), stage, lost };
        for (place, listener) in listeners.into_iter().enumerate() {
            let (shared, stages, lost) = (Arc::clone(shared), workers.stage.subscribe(), Arc::clone(&workers.lost));
            let (ready, started) = std::sync::mpsc::sync_channel(1);
            workers.threads.push(std::thread::spawn(move || {
                // Told however the thread ends; whoever ends it does not listen any more.
                let _told = Told(lost);
                serve::worker(listener, shared, place, stages, &ready)
            }));
            started.recv().unwrap_or_else(|_| Err(io::Error::other("a core's thread ended")))?;
        }
        Ok(workers)
    }

    /// Ends them: what is running has until `last`, artifacts as long as they make progress. A signal takes the next step.
    async fn end(self, last: Option<Instant>, signals: &mut Signals) -> Result<(), EdgeError> {
        let Self { threads, stage, .. } = self;
        let joined = spawn_blocking(move || {
            let mut joined = threads.into_iter().map(JoinHandle::join);
            joined.try_for_each(|end| end.unwrap_or_else(|_| Err(io::Error::other("a core's thread panicked"))))
        });
        let mut joined = std::pin::pin!(joined);
        let left = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(Instant::now()));
        let _ = stage.send(Stage::Closing);
        let ended = tokio::select! {
            ended = joined.as_mut() => Some(ended),
            () = tokio::time::sleep(left) => None,
            _ = signals.end() => None,
        };
        if let Some(ended) = ended {
            return Ok(ended.map_err(io::Error::other)??);
        }
        let _ = stage.send(Stage::Late);
        let ended = tokio::select! {
            ended = joined.as_mut() => ended,
            _ = signals.end() => {
                let _ = stage.send(Stage::Gone);
                joined.await
            }
        };
        Ok(ended.map_err(io::Error::other)??)
    }
}

/// Says that a thread has ended.
struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Waits until nobody has asked for anything for a moment, for half the time that there is, or for a second signal.
async fn quiet(shared: &Shared, most: Duration, signals: &mut Signals) {
    let asked = || shared.tallies.iter().map(|tally| tally.all_requests()).fold(0, u64::wrapping_add);
    let noise = async {
        let mut before = asked();
        loop {
            tokio::time::sleep(limits::QUIET).await;
            let now = asked();
            if now == before {
                return;
            }
            before = now;
        }
    };
    let half = most.checked_div(2).unwrap_or_default();
    tokio::select! {
        _ = tokio::time::timeout(half, noise) => {}
        _ = signals.end() => {}
    }
}

/// Digits that tell this run from others: its process and the moment that it began.
fn boot() -> String {
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{moment:x}-{:x}", std::process::id())
}
