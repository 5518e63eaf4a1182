//! The edge: sockets around [`crate::answer`], and nothing that decides.
//!
//! One single-threaded runtime for each core, each with a listener of its own on the same port, and no lock between
//! them. Documents are answered from memory; only artifacts are read from the disk, below the folder given for them.

#![allow(clippy::disallowed_methods, reason = "the edge is shell")]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used)]

mod body;
mod gate;
mod reload;
mod serve;

pub use gate::check as gate;

use crate::answer::{Site, SiteError};
use crate::store::Store;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How an edge is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The compiled site's folder.
    pub site: PathBuf,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The folder that holds artifacts under their storage keys.
    pub artifacts: Option<PathBuf>,
    /// The names that clients may use in `Host`; empty: any that is well formed.
    pub hosts: Vec<String>,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long running answers may take after SIGTERM.
    pub drain_timeout: Duration,
}

/// What an operator wants to know.
#[derive(Debug)]
pub enum Event<'a> {
    /// It answers.
    Listening(SocketAddr),
    /// Every download will be answered 503: there is no address of a storage, and no folder of artifacts.
    NoStore,
    /// Another snapshot is served from now on.
    Reloaded(&'a Site),
    /// A new snapshot is not accepted; the last good one is kept.
    Refused(&'a SiteError),
    /// The artifacts' folder can't be opened again; the one from before is kept.
    StoreGone(&'a io::Error),
    /// No new connections; running answers are finished.
    Draining,
}

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
    /// The system refuses something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What all connections share.
struct Shared {
    site: ArcSwap<Site>,
    store: ArcSwapOption<Store>,
    hosts: Vec<String>,
    idle_timeout: Duration,
}

/// Serves until SIGTERM or SIGINT. `tell` is called with every event, from one thread.
pub fn run(config: &Config, tell: impl FnMut(&Event<'_>)) -> Result<(), EdgeError> {
    let store = config
        .artifacts
        .as_deref()
        .map(|path| Store::open(path).map_err(|source| EdgeError::Artifacts { path: path.display().to_string(), source }))
        .transpose()?;
    let (site, seen) = reload::first(&config.site, store.is_some())?;
    let shared = Arc::new(Shared {
        site: ArcSwap::from_pointee(site),
        store: ArcSwapOption::from_pointee(store),
        hosts: config.hosts.clone(),
        idle_timeout: config.idle_timeout,
    });
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let listeners = serve::listen(config.listen, cores)?;
    let address = listeners.first().map_or(Ok(config.listen), std::net::TcpListener::local_addr)?;
    let (stop, stopped) = watch::channel(false);
    let workers: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let (shared, stopped, drain) = (Arc::clone(&shared), stopped.clone(), config.drain_timeout);
            std::thread::spawn(move || serve::worker(listener, &shared, stopped, drain))
        })
        .collect();
    let result = control.block_on(reload::control(config, &shared, address, seen, tell));
    // A read that hangs on a disk must not keep the process.
    control.shutdown_background();
    // Workers that are gone already don't mind.
    let _ = stop.send(true);
    for worker in workers {
        worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))?;
    }
    Ok(result?)
}
