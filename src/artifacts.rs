//! Artifacts on this machine: hashed once, checked against their manifests, put under their storage keys.

#![allow(clippy::disallowed_methods, reason = "this is where artifacts are read and stored")]

use crate::catalog::{Artifact, Catalog, Release};
use crate::files::{Unnamed, open_regular, read_regular};
use crate::problem::Problem;
use crate::store::Store;
use crate::words::{Hasher, Sha256, StorageKey, Word};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes read at a time: memory does not grow with an artifact.
const PIECE: usize = 256 * 1024;
/// Enough of the beginning to tell what a file is.
const HEAD: usize = 64;
/// Remembers hashes beside the artifacts, so that a build does not read terabytes again.
const CACHE: &str = ".hashes.json";
const TEMPORARY: &str = ".agent-releases-";

/// What a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Bytes.
    pub size: u64,
    /// Their digest.
    pub sha256: Sha256,
    /// The first of them.
    pub head: Vec<u8>,
}

/// Hashes a file; one that changes meanwhile is an error. `progress` is told how many bytes more were read.
pub fn hash(path: &Path, progress: impl Fn(u64)) -> Result<Hashed, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let (file, before) = open_regular(path).map_err(unreadable)?;
    let hashed = hash_open(&file, progress).map_err(unreadable)?;
    let after = fs::metadata(path).map_err(unreadable)?;
    if identity(&before) != identity(&after) || hashed.size != after.len() {
        return Err("changed while it was being read; try again when it is finished".to_owned());
    }
    if hashed.size == 0 { Err("is empty".to_owned()) } else { Ok(hashed) }
}

fn hash_open(mut file: &File, progress: impl Fn(u64)) -> io::Result<Hashed> {
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE];
    let mut head = Vec::new();
    let mut size = 0;
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = &piece[..read];
        if head.len() < HEAD {
            head.extend_from_slice(&bytes[..read.min(HEAD - head.len())]);
        }
        hasher.update(bytes);
        size += read as u64;
        progress(read as u64);
    }
    Ok(Hashed { size, sha256: hasher.finish(), head })
}

/// What a rewritten or replaced file does not keep.
fn identity(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

/// What is odd about a file that bears this name: the wrong kind of bytes, or an error page that was saved as one.
pub fn oddity(filename: &str, head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return Some("is an HTML page, perhaps an error page that was saved under this name");
    }
    match filename.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("msi") if !head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) => Some("does not begin like an MSI (D0 CF 11 E0)"),
        Some("pkg") if !head.starts_with(b"xar!") => Some("does not begin like a macOS package (xar!)"),
        _ => None,
    }
}

/// Copies a file under its key: written beside, synced, renamed. What lies there already with the same bytes stays.
pub fn store(from: &Path, folder: &Path, key: &StorageKey, expected: &Hashed) -> Result<bool, String> {
    let target = folder.join(key.as_str());
    if target.exists() {
        let there = hash(&target, |_| ()).map_err(|why| format!("{}: {why}", target.display()))?;
        if there == *expected {
            return Ok(false);
        }
        return Err(format!("{}: other bytes lie there already", target.display()));
    }
    let parent = target.parent().unwrap_or(folder);
    let put = || -> io::Result<Hashed> {
        fs::create_dir_all(parent)?;
        if !fs::canonicalize(parent)?.starts_with(fs::canonicalize(folder)?) {
            return Err(io::Error::other("a link on the way leads out of the artifacts' folder"));
        }
        // Without a name until it is whole: a killed run leaves nothing behind.
        let mut temporary = Unnamed::new(parent)?;
        // A clone where the file system can, never a link: an in-place rebuild of the original would change it.
        let mut source = File::open(from)?;
        if rustix::fs::ioctl_ficlone(temporary.file(), &source).is_err() {
            io::copy(&mut source, temporary.file())?;
        }
        temporary.file().sync_all()?;
        temporary.file().rewind()?;
        let copied = hash_open(temporary.file(), |_| ())?;
        if copied == *expected {
            temporary.name(&target)?;
            File::open(parent)?.sync_all()?;
        }
        Ok(copied)
    };
    match put() {
        Ok(copied) if copied == *expected => Ok(true),
        Ok(_) => Err(format!("{}: changed while it was being copied", from.display())),
        Err(error) => Err(format!("{}: cannot be written: {error}", target.display())),
    }
}

/// How thoroughly a store is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thoroughness {
    /// Every artifact must be there.
    pub complete: bool,
    /// Every byte is read again, whatever is remembered.
    pub deep: bool,
}

/// Checks the artifacts that are there against the catalog; returns how many were.
pub fn check(catalog: &Catalog, folder: &Path, how: Thoroughness, problems: &mut Vec<Problem>) -> usize {
    let store = match Store::open(folder) {
        Ok(store) => store,
        // Artifacts may live in a bucket only.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !how.complete => return 0,
        Err(error) => {
            problems.push(Problem::of_file(folder.display(), format!("cannot be opened as the artifacts' folder: {error}")));
            return 0;
        }
    };
    let mut wanted: BTreeMap<&StorageKey, (&Release, &Artifact)> = BTreeMap::new();
    for release in catalog.releases() {
        wanted.extend(release.artifacts.iter().chain(&release.attachments).map(|artifact| (&artifact.key, (release, artifact))));
    }
    let cache = Cache::read(folder);
    let checked: Vec<_> = wanted
        .into_par_iter()
        .map(|(key, (release, artifact))| check_one(&store, &cache, how, key, release, artifact, folder))
        .collect();
    let mut fresh = Cache::default();
    let mut there = 0;
    for Checked { problems: found, remembered } in checked {
        problems.extend(found);
        if let Some((key, entry)) = remembered {
            there += 1;
            fresh.0.insert(key, entry);
        }
    }
    if fresh != cache && problems.is_empty() {
        fresh.write(folder);
    }
    there
}

#[derive(Default)]
struct Checked {
    problems: Vec<Problem>,
    remembered: Option<(String, Remembered)>,
}

fn check_one(
    store: &Store,
    cache: &Cache,
    how: Thoroughness,
    key: &StorageKey,
    release: &Release,
    artifact: &Artifact,
    folder: &Path,
) -> Checked {
    let path = folder.join(key.as_str());
    let owner = match artifact.platform {
        Some(platform) => format!("artifacts.{platform} of `{}`", release.version),
        None => format!("attachments.{} of `{}`", artifact.filename, release.version),
    };
    let failed = |message: String| Checked { problems: vec![Problem::of_file(path.display(), message)], remembered: None };
    let file = match store.artifact(key.as_str()) {
        Ok((file, _)) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if how.complete { failed(format!("missing; it is {owner}")) } else { Checked::default() };
        }
        Err(error) => return failed(format!("cannot be opened inside the artifacts' folder: {error}; it is {owner}")),
    };
    let entry = match file.metadata().and_then(|metadata| cache.entry(key, &metadata, how, &file)) {
        Ok(entry) => entry,
        Err(error) => return failed(format!("cannot be read: {error}")),
    };
    let mut problems = Vec::new();
    if artifact.size_bytes.is_some_and(|size| size != entry.size) {
        problems.push(Problem::of_file(
            path.display(),
            format!("{} bytes, but {owner} has {}", entry.size, artifact.size_bytes.unwrap_or_default()),
        ));
    } else if let Some(expected) = artifact.sha256.filter(|expected| expected.hex() != entry.sha256) {
        problems.push(Problem::of_file(path.display(), format!("its SHA-256 is {}, but {owner} has {expected}", entry.sha256)));
    }
    problems.extend(entry.oddity(artifact.filename.as_str()).map(|oddity| Problem::of_file(path.display(), oddity).warning()));
    Checked { problems, remembered: Some((key.to_string(), entry)) }
}

/// Hashes by storage key.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cache(BTreeMap<String, Remembered>);

/// A hash, and what the file looked like when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    size: u64,
    mtime: i64,
    mtime_nsec: i64,
    ctime: i64,
    ctime_nsec: i64,
    inode: u64,
    sha256: String,
    head: String,
}

impl Remembered {
    fn oddity(&self, filename: &str) -> Option<&'static str> {
        let head: Vec<u8> = self
            .head
            .as_bytes()
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        oddity(filename, &head)
    }
}

impl Cache {
    /// A cache that cannot be read is an empty one.
    fn read(folder: &Path) -> Self {
        read_regular(&Self::path(folder)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join(CACHE)
    }

    /// A folder that may not be written to is read again next time.
    fn write(&self, folder: &Path) {
        let put = || -> io::Result<()> {
            // Of this name alone, so that a killed run's is the next one's. Two at a time may spoil it; then it is read as none.
            let temporary = folder.join(format!("{TEMPORARY}hashes"));
            File::create(&temporary)?.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
            fs::rename(&temporary, Self::path(folder))
        };
        let _ = put();
    }

    fn entry(&self, key: &StorageKey, metadata: &Metadata, how: Thoroughness, file: &File) -> io::Result<Remembered> {
        let same = |entry: &&Remembered| {
            (entry.size, entry.mtime, entry.mtime_nsec, entry.inode)
                == (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
                && Sha256::parse(&entry.sha256).is_ok()
        };
        if let Some(entry) = self.0.get(key.as_str()).filter(same).filter(|_| !how.deep) {
            return Ok(entry.clone());
        }
        let hashed = hash_open(file, |_| ())?;
        Ok(Remembered {
            size: hashed.size,
            mtime: metadata.mtime(),
            mtime_nsec: metadata.mtime_nsec(),
            ctime: metadata.ctime(),
            ctime_nsec: metadata.ctime_nsec(),
            inode: metadata.ino(),
            sha256: hashed.sha256.hex(),
            head: hashed.head.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}
