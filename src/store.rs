//! The folder of artifacts: opened once, and nothing outside it can be reached.

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
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(openat2(&self.0, key, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)?);
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::Error::other("not a regular file")) }
    }
}
