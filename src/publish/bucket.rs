//! An object store as a target: conditional writes, and everything that may pass tried again.

#![allow(clippy::disallowed_methods, reason = "this is where sites are published to buckets")]

use super::target::{Document, Listed, Metadata, Object, Swap, TargetError, Version};
use crate::files::open_regular;
use crate::words::{Hasher, Sha256};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, ClientConfigKey, ClientOptions, Error, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, RetryConfig, UpdateVersion,
};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a request is tried again, and how long in all.
const RETRIES: u32 = 5;
const MOST_TIME: Duration = Duration::from_secs(120);
const FIRST_PAUSE_MS: u64 = 100;
/// A transfer that makes progress may take so long.
const LONGEST_TRANSFER: Duration = Duration::from_secs(6 * 3600);
/// Longer documents are none of ours.
const LONGEST_DOCUMENT: u64 = 256 * 1024 * 1024;
/// Files are sent in pieces of so much, and in one request when they are not longer.
const PIECE: usize = 8 * 1024 * 1024;

/// A bucket that sites are published to.
pub struct Bucket {
    store: Box<dyn ObjectStore>,
    /// The same for artifacts: pieces that fail are sent, and reads that break off go on, each by itself.
    bulk: Box<dyn ObjectStore>,
    /// Where in the bucket everything lies.
    prefix: Key,
    address: String,
}

impl Bucket {
    /// Opens a bucket; credentials, region and endpoint come from the store's usual variables.
    pub(super) fn open(address: &str, scheme: &str) -> Result<Self, TargetError> {
        // One provider for the whole process; that it is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let rest = address.split_once("://").map_or("", |(_, rest)| rest);
        if rest.contains(['?', '#', '@', ':']) {
            // What is written there may be a secret, so it is not repeated.
            let why = "a target's address has no user, port or query; credentials and endpoints come from the store's variables";
            return Err(TargetError::Named(why.to_owned()));
        }
        let named = |error: &dyn std::fmt::Display| TargetError::Named(format!("`{address}`: {error}"));
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(named(&"expected a bucket, and perhaps a prefix, behind it"));
        }
        let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|error| named(&error))?;
        // Requests are tried again here, where it is known which of them may be; those for artifacts by the library.
        let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let often = RetryConfig { max_retries: RETRIES as usize, retry_timeout: MOST_TIME, ..RetryConfig::default() };
        let store = understood(|| connect(scheme, bucket, once, Duration::from_secs(60)))?.map_err(|error| named(&error))?;
        let bulk = understood(|| connect(scheme, bucket, often, LONGEST_TRANSFER))?.map_err(|error| named(&error))?;
        Ok(Self { store, bulk, prefix, address: address.trim_end_matches('/').to_owned() })
    }

    fn key(&self, key: &str) -> Result<Key, TargetError> {
        let whole = if self.prefix.as_ref().is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Key::parse(&whole).map_err(|error| TargetError::Refused { place: self.place(key), why: error.to_string() })
    }

    fn place(&self, key: &str) -> String {
        format!("{}/{key}", self.address)
    }

    /// Tries until it works, is refused for good, or has been tried often enough.
    async fn again<T>(
        &self,
        key: &str,
        mut request: impl AsyncFnMut() -> object_store::Result<T>,
    ) -> Result<Tried<T>, TargetError> {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            let error = match request().await {
                Ok(done) => return Ok(Tried { end: End::Done(done), again: tries > 0 }),
                Err(error) => error,
            };
            let end = match error {
                Error::NotFound { .. } => End::Missing,
                Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => End::Refused,
                error if is_final(&error) => {
                    return Err(TargetError::Refused { place: self.place(key), why: in_words(&error) });
                }
                error if tries == RETRIES || started.elapsed() > MOST_TIME => {
                    let why = format!("{} (tried {} times)", in_words(&error), tries + 1);
                    return Err(TargetError::Failed { place: self.place(key), why });
                }
                _ => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                    continue;
                }
            };
            return Ok(Tried { end, again: tries > 0 });
        }
    }

    pub(super) async fn read(&self, key: &str) -> Result<Option<Object>, TargetError> {
        let path = self.key(key)?;
        let read = async || {
            let got = self.store.get_opts(&path, GetOptions::default()).await?;
            if got.meta.size > LONGEST_DOCUMENT {
                return Err(Error::NotSupported { source: format!("{} bytes are too many", got.meta.size).into() });
            }
            let version = Version { tag: got.meta.e_tag.clone(), number: got.meta.version.clone() };
            Ok(Object { bytes: got.bytes().await?, version })
        };
        match self.again(key, read).await?.end {
            End::Done(object) => Ok(Some(object)),
            End::Missing | End::Refused => Ok(None),
        }
    }

    async fn put_as(&self, document: &Document, mode: PutMode) -> Result<Tried<Version>, TargetError> {
        let path = self.key(&document.key)?;
        let options = PutOptions { mode, attributes: attributes(&document.metadata), ..PutOptions::default() };
        let put = async || {
            let done = self.store.put_opts(&path, document.bytes.clone().into(), options.clone()).await?;
            Ok(Version { tag: done.e_tag, number: done.version })
        };
        self.again(&document.key, put).await
    }

    pub(super) async fn create(&self, document: &Document) -> Result<bool, TargetError> {
        for tries in 0..=RETRIES {
            if let End::Done(_) = self.put_as(document, PutMode::Create).await?.end {
                return Ok(true);
            }
            // Stores also refuse when two writes collide, and then nothing may be there.
            if self.head(&document.key).await?.is_some() {
                return Ok(false);
            }
            tokio::time::sleep(pause(tries)).await;
        }
        let why = "the store refuses to write it, and does not have it; does the bucket exist?".to_owned();
        Err(TargetError::Refused { place: self.place(&document.key), why })
    }

    /// The size of an object; `None` when there is none.
    async fn head(&self, key: &str) -> Result<Option<u64>, TargetError> {
        let path = self.key(key)?;
        let head = self.again(key, async || self.store.head(&path).await).await?.end.done();
        Ok(head.map(|there| there.size))
    }

    pub(super) async fn put(&self, document: &Document) -> Result<(), TargetError> {
        match self.put_as(document, PutMode::Overwrite).await?.end {
            End::Done(_) => Ok(()),
            End::Missing | End::Refused => {
                let why = "the store refuses to write it; does the bucket exist?".to_owned();
                Err(TargetError::Refused { place: self.place(&document.key), why })
            }
        }
    }

    pub(super) async fn refuses(&self, key: &str, bytes: Bytes, state: Option<&Version>) -> Result<bool, TargetError> {
        Ok(!matches!(self.put_as(&pointer(key, bytes), mode(state)).await?.end, End::Done(_)))
    }

    pub(super) async fn swap(&self, key: &str, bytes: Bytes, state: Option<&Version>) -> Result<Swap, TargetError> {
        let document = pointer(key, bytes);
        for tries in 0..=RETRIES {
            let tried = self.put_as(&document, mode(state)).await?;
            if let End::Done(version) = tried.end {
                return Ok(Swap::Done(version));
            }
            match (self.read(key).await?, state) {
                // The answer to an earlier try was lost, and what is there is its own.
                (Some(now), _) if (tried.again || tries > 0) && now.bytes == document.bytes => {
                    return Ok(Swap::Done(now.version));
                }
                // Nobody wrote: two requests collided, and neither counted.
                (Some(now), Some(state)) if now.version == *state => {}
                (None, None) => {}
                _ => return Ok(Swap::Refused),
            }
            tokio::time::sleep(pause(tries)).await;
        }
        let why = "the store refuses to write it, although nobody else did; does the bucket exist?".to_owned();
        Err(TargetError::Refused { place: self.place(key), why })
    }

    pub(super) async fn send(&self, key: &str, file: &Path, metadata: &Metadata) -> Result<bool, TargetError> {
        let failed = |error: std::io::Error| TargetError::Failed { place: file.display().to_string(), why: error.to_string() };
        let (mut open, about) = open_regular(file).map_err(failed)?;
        if about.len() <= PIECE as u64 {
            let mut bytes = Vec::new();
            open.read_to_end(&mut bytes).map_err(failed)?;
            return self.create(&Document { key: key.to_owned(), bytes: bytes.into(), metadata: metadata.clone() }).await;
        }
        // A large one is looked for first: sending it again only to be refused would cost most.
        if self.head(key).await?.is_some() {
            return Ok(false);
        }
        let path = self.key(key)?;
        let sending = async || self.send_in_pieces(&path, file, metadata).await;
        match self.again(key, sending).await?.end {
            End::Done(()) => Ok(true),
            // The last request counted, and its answer was lost; what lies there is read back anyway.
            End::Missing | End::Refused if self.head(key).await? == Some(about.len()) => Ok(true),
            End::Missing | End::Refused => {
                Err(TargetError::Refused { place: self.place(key), why: "the store refuses the upload".to_owned() })
            }
        }
    }

    async fn send_in_pieces(&self, path: &Key, file: &Path, metadata: &Metadata) -> object_store::Result<()> {
        let unreadable = |error: std::io::Error| Error::Generic { store: "file", source: Box::new(error) };
        let mut open = open_regular(file).map_err(unreadable)?.0;
        let options = PutMultipartOptions { attributes: attributes(metadata), ..PutMultipartOptions::default() };
        let mut upload = self.bulk.put_multipart_opts(path, options).await?;
        let sent = send_parts(&mut *upload, &mut open).await;
        if sent.is_err() {
            let _ = upload.abort().await;
        }
        sent
    }

    pub(super) async fn digest(&self, key: &str) -> Result<Option<(u64, Sha256)>, TargetError> {
        let path = self.key(key)?;
        let read = async || read_through(self.bulk.get(&path).await?, |_| Ok(())).await;
        Ok(self.again(key, read).await?.end.done())
    }

    pub(super) async fn fetch(&self, key: &str, file: &Path) -> Result<Option<(u64, Sha256)>, TargetError> {
        let path = self.key(key)?;
        let read = async || {
            let mut to = std::fs::File::create(file).map_err(local)?;
            let got = read_through(self.bulk.get(&path).await?, |piece| to.write_all(piece).map_err(local)).await?;
            to.sync_all().map_err(local)?;
            Ok(got)
        };
        Ok(self.again(key, read).await?.end.done())
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), TargetError> {
        let path = self.key(key)?;
        for tries in 0..=RETRIES {
            if let End::Done(()) | End::Missing = self.again(key, async || self.store.delete(&path).await).await?.end {
                return Ok(());
            }
            tokio::time::sleep(pause(tries)).await;
        }
        Err(TargetError::Refused { place: self.place(key), why: "the store refuses to remove it".to_owned() })
    }

    pub(super) async fn list(&self, below: &str) -> Result<Vec<Listed>, TargetError> {
        let path = self.key(below)?;
        let listed = self.again(below, async || self.store.list(Some(&path)).try_collect::<Vec<_>>().await).await?.end.done();
        let now = jiff::Timestamp::now().as_second();
        let skip = if self.prefix.as_ref().is_empty() { 0 } else { self.prefix.as_ref().len() + 1 };
        let of = |meta: object_store::ObjectMeta| {
            let key = meta.location.as_ref().get(skip..).unwrap_or_default().to_owned();
            Listed { key, age: u64::try_from(now - meta.last_modified.timestamp()).unwrap_or_default() }
        };
        Ok(listed.unwrap_or_default().into_iter().map(of).collect())
    }
}

/// The library panics at some variables that it does not understand.
fn understood<T>(connect: impl FnOnce() -> T) -> Result<T, TargetError> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let connected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(connect));
    std::panic::set_hook(hook);
    let why = "the store's variables cannot be understood; is AWS_ENDPOINT_URL an address such as https://s3.example.com?";
    connected.map_err(|_| TargetError::Named(why.to_owned()))
}

fn connect(scheme: &str, bucket: &str, retry: RetryConfig, timeout: Duration) -> object_store::Result<Box<dyn ObjectStore>> {
    let client = ClientOptions::new()
        .with_timeout(timeout)
        .with_config(ClientConfigKey::ReadTimeout, "30 seconds")
        .with_connect_timeout(Duration::from_secs(10))
        .with_allow_http(allows_http());
    Ok(match scheme {
        "s3" => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).with_client_options(client);
            Box::new(builder.with_checksum_algorithm(Checksum::SHA256).build()?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry);
            Box::new(builder.with_client_options(client).build()?)
        }
        _ => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retry);
            Box::new(builder.with_client_options(client).build()?)
        }
    })
}

/// The condition that an object is still in this state, or still not there.
fn mode(state: Option<&Version>) -> PutMode {
    match state {
        None => PutMode::Create,
        Some(version) => PutMode::Update(UpdateVersion { e_tag: version.tag.clone(), version: version.number.clone() }),
    }
}

/// The pointer as a document.
fn pointer(key: &str, bytes: Bytes) -> Document {
    let metadata = Metadata {
        content_type: Some("application/json".to_owned()),
        cache_control: Some("no-store".to_owned()),
        ..Metadata::default()
    };
    Document { key: key.to_owned(), bytes, metadata }
}

/// How trying ended.
struct Tried<T> {
    end: End<T>,
    /// It took more than one try.
    again: bool,
}

enum End<T> {
    Done(T),
    Missing,
    Refused,
}

impl<T> End<T> {
    fn done(self) -> Option<T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Missing | Self::Refused => None,
        }
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, file: &mut std::fs::File) -> object_store::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        file.take(PIECE as u64).read_to_end(&mut piece).map_err(local)?;
        if piece.is_empty() {
            return upload.complete().await.map(|_| ());
        }
        upload.put_part(piece.into()).await?;
    }
}

async fn read_through(
    got: object_store::GetResult,
    mut take: impl FnMut(&[u8]) -> object_store::Result<()>,
) -> object_store::Result<(u64, Sha256)> {
    let (mut hasher, mut size, mut pieces) = (Hasher::default(), 0, got.into_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        hasher.update(&piece);
        take(&piece)?;
        size += piece.len() as u64;
    }
    Ok((size, hasher.finish()))
}

fn local(error: std::io::Error) -> Error {
    Error::Generic { store: "file", source: Box::new(error) }
}

/// Twice as long each time, and up to half of it by chance, so that publishers that met do not meet again.
fn pause(tries: u32) -> Duration {
    let longest = FIRST_PAUSE_MS << tries.min(6);
    let mut random = [0; 8];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    Duration::from_millis(longest / 2 + u64::from_ne_bytes(random) % (longest / 2 + 1))
}

/// What no second try would change.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

/// The innermost reason, without the layers around it; no credentials are part of one.
fn in_words(error: &Error) -> String {
    let kind = match error {
        Error::PermissionDenied { .. } => "permission denied: ",
        Error::Unauthenticated { .. } => "not authenticated; are the store's credentials set? ",
        _ => "",
    };
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = inner.to_string();
    let part = |name: &str| text.split_once(&format!("<{name}>"))?.1.split_once('<').map(|(part, _)| part);
    // Stores explain themselves in XML.
    let said = match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{code}, {message}"),
        (Some(code), None) => code.to_owned(),
        _ => text.trim().to_owned(),
    };
    format!("{kind}{}", crate::problem::shown(&said))
}

/// A store on this machine may be spoken to without TLS; no other.
fn allows_http() -> bool {
    let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT"];
    let endpoint = names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let host = endpoint.strip_prefix("http://").unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host == *name || host.starts_with(&format!("{name}:")))
        || std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true")
}

fn attributes(metadata: &Metadata) -> Attributes {
    let mut attributes = Attributes::new();
    let parts = [
        (Attribute::ContentType, &metadata.content_type),
        (Attribute::CacheControl, &metadata.cache_control),
        (Attribute::ContentDisposition, &metadata.disposition),
        (Attribute::Metadata("sha256".into()), &metadata.sha256),
        (Attribute::Metadata("yanked".into()), &metadata.yanked),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            attributes.insert(name, value.clone().into());
        }
    }
    attributes
}
