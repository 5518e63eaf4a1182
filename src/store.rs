//! The folder of artifacts: opened once, and nothing outside it can be reached.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![allow(clippy::disallowed_methods, reason = "this is where artifacts are opened")]

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// An open folder of artifacts.
pub struct Store(OwnedFd);

impl Store {
    /// Opens the folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH, Mode::empty()).map(Self).map_err(Into::into)
    }

    /// The file under a compiled key with its size; never a pipe, a device, or anything that a link leads out to.
    pub fn artifact(&self, key: &str) -> io::Result<(File, u64)> {
        self.open_below(key, ResolveFlags::empty())
    }

    /// The same when the system can say so without asking a disk; `WouldBlock` when it can't.
    pub fn artifact_at_hand(&self, key: &str) -> io::Result<(File, u64)> {
        match self.open_below(key, ResolveFlags::CACHED) {
            // A system that does not know the question.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(io::ErrorKind::WouldBlock.into()),
            answer => answer,
        }
    }

    fn open_below(&self, key: &str, how: ResolveFlags) -> io::Result<(File, u64)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | how;
        let file = File::from(openat2(&self.0, key, flags, Mode::empty(), resolve)?);
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::Error::other("not a regular file")) }
    }
}
