//! The control thread: signals, and a new site as soon as there is one.

use super::{Event, Shared};
use crate::answer::Site;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the folder is looked at. Notifications of the file system would miss network mounts and swapped links.
const INTERVAL: Duration = Duration::from_millis(300);

/// Which index the folder holds: another file or another time is another snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint(u64, u64, i64, i64, u64);

/// Runs until a signal ends it.
pub(super) async fn control(
    folder: &Path,
    shared: &Shared,
    address: SocketAddr,
    mut tell: impl FnMut(&Event<'_>),
) -> io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut seen = fingerprint(folder);
    let mut refused: Option<String> = None;
    if !shared.site.load().has_store() {
        tell(&Event::NoStore);
    }
    tell(&Event::Listening(address));
    loop {
        let asked = tokio::select! {
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(INTERVAL) => false,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let now = fingerprint(folder);
        // A refused snapshot is tried again: it may have been read while it was being put in place.
        if !asked && now == seen && refused.is_none() {
            continue;
        }
        seen = now;
        refused = reload(folder, shared, refused.filter(|_| !asked), &mut tell);
    }
    tell(&Event::Draining);
    Ok(())
}

/// Takes the folder's site if it is whole, keeps the old one if not; says each thing once. Returns what was refused.
fn reload(folder: &Path, shared: &Shared, refused: Option<String>, tell: &mut impl FnMut(&Event<'_>)) -> Option<String> {
    match Site::open(folder, shared.store.is_some()) {
        Ok(site) => {
            if site.id() != shared.site.load().id() {
                tell(&Event::Reloaded(&site));
            }
            shared.site.store(site.into());
            None
        }
        Err(error) => {
            let message = error.to_string();
            if refused.as_ref() != Some(&message) {
                tell(&Event::Refused(&error));
            }
            Some(message)
        }
    }
}

fn fingerprint(folder: &Path) -> Option<Fingerprint> {
    let metadata = std::fs::metadata(folder.join(crate::snapshot::INDEX)).ok()?;
    Some(Fingerprint(metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size()))
}
