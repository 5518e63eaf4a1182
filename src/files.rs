//! Opening files that others put there: never waits for a pipe or a device, and a lock that keeps two writers apart.

#![allow(clippy::disallowed_methods, reason = "this is where files are opened")]

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

const LOCK_TRIES: u32 = 1200;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Opens a regular file; anything else is an error at once.
pub fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    if metadata.is_file() { Ok((file, metadata)) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Reads a regular file.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, metadata) = open_regular(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Which file a path leads to, and its last change: of its bytes, its owner or its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
}

impl Fingerprint {
    /// Of what lies there; `None` when nothing can be seen there.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.size(),
        })
    }
}

/// A file that gets its name when it is finished; on file systems that have none without a name, a temporary one.
#[cfg(feature = "cli")]
pub enum Unnamed {
    /// It has none yet.
    Nameless(File),
    /// It has one that nobody looks for.
    Temporary(tempfile::NamedTempFile),
}

#[cfg(feature = "cli")]
impl Unnamed {
    /// On its way into this folder.
    pub fn new(folder: &Path) -> io::Result<Self> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        match openat(CWD, folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o666)) {
            Ok(file) => Ok(Self::Nameless(file.into())),
            Err(_) => {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
                tempfile::Builder::new().prefix(".agent-releases-").permissions(mode).tempfile_in(folder).map(Self::Temporary)
            }
        }
    }

    /// The file itself.
    pub fn file(&mut self) -> &mut File {
        match self {
            Self::Nameless(file) => file,
            Self::Temporary(file) => file.as_file_mut(),
        }
    }

    /// Gives it its name, unless something has it: then `AlreadyExists`.
    pub fn name(self, target: &Path) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};
        match self {
            Self::Nameless(file) => {
                let open = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
                linkat(CWD, open, CWD, target, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
            }
            Self::Temporary(file) => file.persist_noclobber(target).map(|_| ()).map_err(|error| error.error),
        }
    }
}

/// Removes files of this prefix directly in a folder: what a killed writer left there. For whoever keeps other writers out.
pub fn remove_stale(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ = if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
        }
    }
}

/// Waits until no other writer holds this folder, up to a minute, and holds it until dropped. The lock is on the folder
/// itself, so it leaves nothing behind; where folders can't be locked, there is none.
pub fn lock(folder: &Path) -> io::Result<File> {
    use rustix::fs::{FlockOperation, flock};
    let file = File::open(folder)?;
    for _ in 0..LOCK_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Ok(()) | Err(_) => return Ok(file),
        }
    }
    Err(io::Error::other("another writer has held it for a minute"))
}
