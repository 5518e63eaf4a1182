//! Where a site is published: a folder, or a bucket of S3, Google or Azure. Both keep the same promises to whoever writes.

use super::bucket::Bucket;
use super::folder::Folder;
use crate::words::Sha256;
use bytes::Bytes;
use std::path::Path;

/// A place that sites are published to.
pub enum Target {
    /// A folder of this machine.
    Folder(Folder),
    /// An object store.
    Bucket(Bucket),
}

/// Why a target does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The words for it are no target's.
    #[error("{0}")]
    Named(String),
    /// The store answers, but not so; trying again does not help.
    #[error("{place}: {why}")]
    Refused {
        /// The object, or the target.
        place: String,
        /// What the store said, and perhaps the way out.
        why: String,
    },
    /// It could not be done, although it was tried again.
    #[error("{place}: {why}")]
    Failed {
        /// The object, or the target.
        place: String,
        /// What happened last.
        why: String,
    },
}

/// The state of an object that a conditional write depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its entity tag.
    pub tag: Option<String>,
    /// Its version, where the store numbers them.
    pub number: Option<String>,
}

/// An object's bytes, and the state that they were read in.
pub struct Object {
    /// The bytes.
    pub bytes: Bytes,
    /// For writing it again only if nobody else did.
    pub version: Version,
}

/// How a conditional write ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Swap {
    /// It is written, and this is its state now.
    Done(Version),
    /// Another writer came first: nothing was written.
    Refused,
}

/// What a store keeps beside an object's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Cache-Control`
    pub cache_control: Option<String>,
    /// `Content-Disposition`
    pub disposition: Option<String>,
    /// 64 hex digits; kept as `sha256` among the user's metadata, because no store hands back a checksum everywhere.
    pub sha256: Option<String>,
    /// Why a version is yanked, for the CDN to say it in `X-Release-Yanked`; kept as `yanked`.
    pub yanked: Option<String>,
}

/// An object that is listed.
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Seconds since it was written.
    pub age: u64,
}

/// A document on its way out.
#[derive(Clone)]
pub struct Document {
    /// Where it goes.
    pub key: String,
    /// What it is.
    pub bytes: Bytes,
    /// What is kept beside it.
    pub metadata: Metadata,
}

/// `file:///…`, `s3://…`, `gs://…`, `az://…`.
const EXPECTED: &str = "expected file:///FOLDER, s3://BUCKET[/PREFIX], gs://BUCKET[/PREFIX] or az://CONTAINER[/PREFIX]";

impl Target {
    /// Opens a target by its address; the store's credentials and endpoint come from its usual variables.
    pub fn open(address: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = address.split_once("://").ok_or_else(|| TargetError::Named(format!("`{address}`: {EXPECTED}")))?;
        match scheme {
            "file" if rest.starts_with('/') => {
                let rest = percent_encoding::percent_decode_str(rest).decode_utf8_lossy();
                Ok(Self::Folder(Folder::new(Path::new(&*rest))))
            }
            "file" => Err(TargetError::Named(format!("`{address}`: a folder's address has three slashes, file:///srv/agent"))),
            "s3" | "gs" | "az" => Bucket::open(address, scheme).map(Self::Bucket),
            _ => Err(TargetError::Named(format!("`{address}`: {EXPECTED}"))),
        }
    }

    /// An object; `None` when there is none.
    pub async fn read(&self, key: &str) -> Result<Option<Object>, TargetError> {
        match self {
            Self::Folder(folder) => folder.read(key),
            Self::Bucket(bucket) => bucket.read(key).await,
        }
    }

    /// Writes an object that is not there yet; false when it is there already, whatever it holds.
    pub async fn create(&self, document: &Document) -> Result<bool, TargetError> {
        match self {
            Self::Folder(folder) => folder.create(&document.key, &document.bytes),
            Self::Bucket(bucket) => bucket.create(document).await,
        }
    }

    /// Writes an object, whatever is there.
    pub async fn put(&self, document: &Document) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder) => folder.put(&document.key, &document.bytes),
            Self::Bucket(bucket) => bucket.put(document).await,
        }
    }

    /// Writes an object only if its state is still this one (`None`: it is not there).
    pub async fn swap(&self, key: &str, bytes: Bytes, state: Option<&Version>) -> Result<Swap, TargetError> {
        match self {
            Self::Folder(folder) => folder.swap(key, &bytes, state),
            Self::Bucket(bucket) => bucket.swap(key, bytes, state).await,
        }
    }

    /// Whether a store refuses to write an object under a condition that does not hold. One that does not has written it.
    pub async fn refuses(&self, key: &str, bytes: Bytes, state: Option<&Version>) -> Result<bool, TargetError> {
        match self {
            // Our own writer does.
            Self::Folder(_) => Ok(true),
            Self::Bucket(bucket) => bucket.refuses(key, bytes, state).await,
        }
    }

    /// Sends a file that is not there yet, in pieces; false when it is there already.
    pub async fn send(&self, key: &str, file: &Path, metadata: &Metadata) -> Result<bool, TargetError> {
        match self {
            Self::Folder(folder) => folder.send(key, file),
            Self::Bucket(bucket) => bucket.send(key, file, metadata).await,
        }
    }

    /// The size and digest of an object's bytes, read back from the store; `None` when there is none.
    pub async fn digest(&self, key: &str) -> Result<Option<(u64, Sha256)>, TargetError> {
        match self {
            Self::Folder(folder) => folder.digest(key),
            Self::Bucket(bucket) => bucket.digest(key).await,
        }
    }

    /// Fetches an object into a new file, synced, and returns its size and digest; `None` when there is none.
    pub async fn fetch(&self, key: &str, file: &Path) -> Result<Option<(u64, Sha256)>, TargetError> {
        match self {
            Self::Folder(folder) => folder.fetch(key, file),
            Self::Bucket(bucket) => bucket.fetch(key, file).await,
        }
    }

    /// Removes an object; one that is not there is gone already.
    pub async fn delete(&self, key: &str) -> Result<(), TargetError> {
        match self {
            Self::Folder(folder) => folder.delete(key),
            Self::Bucket(bucket) => bucket.delete(key).await,
        }
    }

    /// Every object below a folder.
    pub async fn list(&self, below: &str) -> Result<Vec<Listed>, TargetError> {
        match self {
            Self::Folder(folder) => folder.list(below),
            Self::Bucket(bucket) => bucket.list(below).await,
        }
    }
}

impl Metadata {
    /// What a store keeps of a document's headers.
    pub fn of_row(row: &crate::snapshot::Row) -> Self {
        let header = |name: &str| row.headers.get(name).cloned();
        Self {
            content_type: header("Content-Type"),
            cache_control: header("Cache-Control"),
            disposition: header("Content-Disposition"),
            sha256: Some(row.sha256.hex()),
            yanked: header("X-Release-Yanked"),
        }
    }
}
