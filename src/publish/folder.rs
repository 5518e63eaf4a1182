//! A folder as a target: every file written beside its place, synced, and renamed.

#![allow(clippy::disallowed_methods, reason = "this is where sites are published to folders")]

use super::target::{Listed, Object, Swap, TargetError, Version};
use crate::files::{Unnamed, open_regular, read_regular, remove_stale};
use crate::words::{Hasher, Sha256};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Files and trees on their way in; whoever publishes next removes what a killed one left.
const TEMPORARY: &str = ".agent-releases-";
const PIECE: usize = 256 * 1024;

/// A folder that sites are published to.
pub struct Folder {
    path: PathBuf,
    /// Held from the claim on, so that a publisher that was killed is known to be gone.
    held: Mutex<Option<File>>,
}

impl Folder {
    /// This folder, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), held: Mutex::new(None) }
    }

    fn failed(&self, key: &str, error: &io::Error) -> TargetError {
        TargetError::Failed { place: self.path.join(key).display().to_string(), why: error.to_string() }
    }

    /// Keeps other publishers out until this one ends; false when another one is at work.
    pub fn hold(&self) -> Result<bool, TargetError> {
        let hold = || -> io::Result<Option<File>> {
            fs::create_dir_all(&self.path)?;
            let file = File::open(&self.path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                // Where folders can't be locked, the pointer alone decides.
                Ok(()) | Err(_) => Ok(Some(file)),
            }
        };
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if held.is_some() {
            return Ok(true);
        }
        *held = hold().map_err(|error| self.failed("", &error))?;
        if held.is_some() {
            remove_stale(&self.path, TEMPORARY);
        }
        Ok(held.is_some())
    }

    pub(super) fn read(&self, key: &str) -> Result<Option<Object>, TargetError> {
        match read_regular(&self.path.join(key)) {
            Ok(bytes) => Ok(Some(Object { version: version(&bytes), bytes: bytes.into() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(key, &error)),
        }
    }

    pub(super) fn create(&self, key: &str, bytes: &[u8]) -> Result<bool, TargetError> {
        self.place_new(key, |file| file.write_all(bytes)).map_err(|error| self.failed(key, &error))
    }

    /// Writes a file that has no name until it is whole; false when something has that name. Several publishers may do this
    /// at the same time.
    fn place_new(&self, key: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<bool> {
        let target = self.path.join(key);
        if target.exists() {
            return Ok(false);
        }
        let parent = target.parent().unwrap_or(&self.path);
        self.make_folder(parent)?;
        let mut file = Unnamed::new(parent)?;
        write(file.file())?;
        file.file().sync_all()?;
        match file.name(&target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            named => named?,
        }
        File::open(parent)?.sync_all()?;
        Ok(true)
    }

    /// Of whoever holds the folder.
    pub(super) fn put(&self, key: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.place(key, |file| file.write_all(bytes)).map_err(|error| self.failed(key, &error))
    }

    /// Writes a file beside its place, syncs it, renames it, syncs the folder.
    fn place(&self, key: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let target = self.path.join(key);
        let parent = target.parent().unwrap_or(&self.path);
        self.make_folder(parent)?;
        // Beside the other temporary files, where whoever comes next finds it.
        let mut temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(&self.path)?;
        write(temporary.as_file_mut())?;
        temporary.as_file().sync_all()?;
        temporary.persist(&target).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    }

    /// Makes a folder and those above it, each synced into the one that holds it.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folder(parent)?;
        }
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all()),
        }
    }

    /// Of the pointer alone: whoever writes it holds the folder.
    pub(super) fn swap(&self, key: &str, bytes: &[u8], state: Option<&Version>) -> Result<Swap, TargetError> {
        if !self.hold()? {
            return Ok(Swap::Refused);
        }
        let now = self.read(key)?.map(|object| object.version);
        if now.as_ref() != state {
            return Ok(Swap::Refused);
        }
        self.put(key, bytes)?;
        Ok(Swap::Done(version(bytes)))
    }

    pub(super) fn send(&self, key: &str, file: &Path) -> Result<bool, TargetError> {
        let copy = |to: &mut File| {
            let mut from = open_regular(file)?.0;
            // A clone where the file system can; never a link, which an in-place rebuild of the original would change.
            if rustix::fs::ioctl_ficlone(&*to, &from).is_err() {
                io::copy(&mut from, to)?;
            }
            Ok(())
        };
        self.place_new(key, copy).map_err(|error| self.failed(key, &error))
    }

    pub(super) fn digest(&self, key: &str) -> Result<Option<(u64, Sha256)>, TargetError> {
        self.copied(key, |_| Ok(()))
    }

    pub(super) fn fetch(&self, key: &str, file: &Path) -> Result<Option<(u64, Sha256)>, TargetError> {
        let mut to = File::create(file).map_err(|error| self.failed(key, &error))?;
        let copied = self.copied(key, |piece| to.write_all(piece))?;
        to.sync_all().map_err(|error| self.failed(key, &error))?;
        Ok(copied)
    }

    fn copied(&self, key: &str, take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<Option<(u64, Sha256)>, TargetError> {
        match open_regular(&self.path.join(key)) {
            Ok((file, _)) => read_through(file, take).map(Some).map_err(|error| self.failed(key, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(key, &error)),
        }
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), TargetError> {
        let path = self.path.join(key);
        let remove = || -> io::Result<()> {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            }
            // Folders that have become empty go with it, as in a bucket.
            for parent in path.ancestors().skip(1).take_while(|parent| *parent != self.path) {
                if fs::remove_dir(parent).is_err() {
                    return File::open(parent)?.sync_all();
                }
            }
            Ok(())
        };
        remove().map_err(|error| self.failed(key, &error))
    }

    pub(super) fn list(&self, below: &str) -> Result<Vec<Listed>, TargetError> {
        let mut listed = Vec::new();
        for entry in walkdir::WalkDir::new(self.path.join(below)) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let metadata = entry.metadata().map_err(|error| self.failed(below, &error.into()))?;
                    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
                    let key = entry.path().strip_prefix(&self.path).unwrap_or(entry.path());
                    listed.push(Listed { key: key.to_string_lossy().into_owned(), age: age.as_secs() });
                }
                Err(error) if error.io_error().is_none_or(|error| error.kind() != io::ErrorKind::NotFound) => {
                    return Err(self.failed(below, &error.into()));
                }
                _ => {}
            }
        }
        Ok(listed)
    }

    /// Replaces documents of `public/` all at once: a tree beside it, unchanged files linked, exchanged in one step. A reader
    /// of the folder sees all of the old ones or all of the new ones.
    pub fn exchange_public(&self, documents: &BTreeMap<&str, &[u8]>, gone: &BTreeSet<&str>) -> Result<(), TargetError> {
        let public = self.path.join("public");
        let exchange = || -> io::Result<()> {
            let staging = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&self.path)?;
            let coming = staging.path().join("public");
            fs::create_dir(&coming)?;
            if public.exists() {
                let stays = |key: &str| !documents.contains_key(key) && !gone.contains(key);
                link_tree(&public, &coming, |below| stays(&format!("public/{below}")))?;
            }
            for (key, bytes) in documents {
                let path = staging.path().join(key);
                fs::create_dir_all(path.parent().unwrap_or(&coming))?;
                File::options().write(true).create_new(true).open(path)?.write_all(bytes)?;
            }
            // One call for the whole tree: an fsync for each of ten thousand files would cost a second.
            rustix::fs::syncfs(File::open(&coming)?)?;
            if public.exists() {
                fs::set_permissions(&coming, fs::metadata(&public)?.permissions())?;
                match renameat_with(CWD, &coming, CWD, &public, RenameFlags::EXCHANGE) {
                    Ok(()) => {}
                    // A file system that cannot exchange: one after the other, each by a rename.
                    Err(_) => return documents.iter().try_for_each(|(key, bytes)| self.place(key, |file| file.write_all(bytes))),
                }
            } else {
                fs::rename(&coming, &public)?;
            }
            File::open(&self.path)?.sync_all()
        };
        exchange().map_err(|error| self.failed("public", &error))
    }
}

fn version(bytes: &[u8]) -> Version {
    Version { tag: Some(Sha256::of(bytes).hex()), number: None }
}

/// Links every file of a tree that is to stay, by its path below it.
fn link_tree(from: &Path, to: &Path, stays: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry?;
        let below = entry.path().strip_prefix(from).unwrap_or(entry.path());
        if entry.file_type().is_dir() {
            fs::create_dir(to.join(below))?;
        } else if stays(&below.to_string_lossy()) {
            fs::hard_link(entry.path(), to.join(below)).or_else(|_| fs::copy(entry.path(), to.join(below)).map(|_| ()))?;
        }
    }
    Ok(())
}

/// Reads a file to its end, handing over each piece; its size and digest.
fn read_through(mut file: File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, Sha256)> {
    let (mut hasher, mut size, mut piece) = (Hasher::default(), 0, vec![0; PIECE]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((size, hasher.finish())),
            Ok(read) => {
                let bytes = piece.get(..read).unwrap_or_default();
                hasher.update(bytes);
                take(bytes)?;
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
