//! Building a snapshot in memory: views add files, and when all are there the rows and the id are made.

use super::Files;
use super::index::{Encoding, Encodings, Form, Headers, Index, Row};
use crate::policy::{Access, Policy};
use crate::words::Sha256;
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Shorter files are sent as they are: a compressed one would fill the same packet.
const MIN_COMPRESSED: usize = 1400;
/// Brotli's quality: tiles of the whole history are compressed on every change of them, and 5 is where time takes off.
const BROTLI_QUALITY: i32 = 5;
/// Of what fits into few packets anyway, which a large history has thousands of.
const BROTLI_QUALITY_SHORT: i32 = 4;
const SHORT: usize = 4096;
/// Whatever the size: with 16 or less, the library takes tables of megabytes for each file.
const BROTLI_WINDOW: i32 = 20;
const GZIP_LEVEL: u32 = 6;
const GZIP_WINDOW: u8 = 15;

/// Files being collected.
#[derive(Default)]
pub struct Snapshot {
    files: BTreeMap<String, (Vec<u8>, Arc<Headers>)>,
    /// What files are sent with: many are sent with the same.
    headers: HashSet<Arc<Headers>>,
}

/// A finished snapshot in memory.
pub struct Built {
    /// The rows, and the id over them.
    pub index: Index,
    /// The bytes of each row of `index.files`, in the same order.
    pub bytes: Vec<Bytes>,
    /// The bytes of each row of `index.exports`, in the same order.
    pub exports: Vec<Bytes>,
    /// The compressed forms that were made, by path.
    pub compressed: BTreeMap<String, Vec<u8>>,
}

impl Snapshot {
    /// Adds a document of a family: public or private as its access says, at the address (without its leading slash).
    pub fn document(&mut self, address: &str, bytes: Vec<u8>, policy: Policy, access: Access, extra: &[(&str, &str)]) {
        let folder = match access {
            Access::Public => "public",
            Access::Required => "private",
        };
        let headers = policy.headers(access).into_iter().chain(extra.iter().copied());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let headers = self.shared(headers);
        self.files.insert(format!("{folder}/{address}"), (bytes, headers));
    }

    /// Adds a file that no address leads to.
    pub fn internal(&mut self, path: &str, bytes: Vec<u8>) {
        let headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
        let headers = self.shared(headers);
        self.files.insert(path.to_owned(), (bytes, headers));
    }

    fn shared(&mut self, headers: Headers) -> Arc<Headers> {
        if let Some(known) = self.headers.get(&headers) {
            return Arc::clone(known);
        }
        let headers = Arc::new(headers);
        self.headers.insert(Arc::clone(&headers));
        headers
    }

    /// Both snapshots' files in one; no two views write the same path.
    pub fn merged(mut self, mut other: Self) -> Self {
        if self.files.len() < other.files.len() {
            std::mem::swap(&mut self, &mut other);
        }
        self.files.extend(other.files);
        self
    }

    /// Hashes everything and makes the id: all that it takes to answer from memory.
    pub fn finish(self) -> Built {
        let done: Vec<(Row, Bytes)> =
            self.files.into_par_iter().map(|(path, (bytes, headers))| finish_file(path, bytes, headers)).collect();
        let mut built = Built {
            index: Index { files: Vec::with_capacity(done.len()), ..Index::default() },
            bytes: Vec::with_capacity(done.len()),
            exports: Vec::new(),
            compressed: BTreeMap::new(),
        };
        for (row, bytes) in done {
            built.index.files.push(row);
            built.bytes.push(bytes);
        }
        built.index.id = Index::id_of(&built.index.files);
        built
    }
}

impl Built {
    /// Adds the compressed forms of documents that are long enough; those that a previous snapshot has are not made
    /// again.
    pub fn compress(&mut self, previous: Option<&Index>) {
        let old = |row: &Row| {
            previous.and_then(|index| index.row(&row.path)).filter(|old| old.sha256 == row.sha256 && !old.encodings.is_empty())
        };
        let long = |row: &Row, bytes: &Bytes| row.headers.contains_key("Cache-Control") && bytes.len() >= MIN_COMPRESSED;
        let made: Vec<Compressed> = self
            .index
            .files
            .par_iter_mut()
            .zip(&self.bytes)
            .filter(|(row, bytes)| long(row, bytes))
            .map(|(row, bytes)| match old(row) {
                Some(old) => {
                    row.encodings = old.encodings;
                    Vec::new()
                }
                None => encode(row, bytes),
            })
            .collect();
        self.compressed.extend(made.into_iter().flatten());
    }

    /// Adds files for other engines, by their paths below the site's folder.
    pub fn export(&mut self, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
        for (path, bytes) in files {
            let (row, bytes) = finish_file(path, bytes, Arc::default());
            self.index.exports.push(row);
            self.exports.push(bytes);
        }
    }

    /// Every document's bytes by its path.
    pub fn files(&self) -> Files {
        self.index.files.iter().zip(&self.bytes).map(|(row, bytes)| (row.path.clone(), bytes.clone())).collect()
    }
}

type Compressed = Vec<(String, Vec<u8>)>;

fn finish_file(path: String, bytes: Vec<u8>, headers: Arc<Headers>) -> (Row, Bytes) {
    let row = Row { sha256: Sha256::of(&bytes), size: bytes.len() as u64, path, headers, encodings: Encodings::default() };
    (row, bytes.into())
}

fn encode(row: &mut Row, bytes: &[u8]) -> Compressed {
    let made = Encoding::ALL.map(|encoding| (encoding, compress(encoding, bytes)));
    let form = |bytes: &[u8]| Form { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
    row.encodings = made.iter().map(|(encoding, bytes)| (*encoding, form(bytes))).collect();
    made.into_iter().map(|(encoding, bytes)| (row.form_path(encoding), bytes)).collect()
}

// One for each thread: making one takes as long as compressing a page.
thread_local!(static GZIP: RefCell<Compress> = RefCell::new(Compress::new_gzip(Compression::new(GZIP_LEVEL), GZIP_WINDOW)));

fn gzipped(gzip: &mut Compress, bytes: &[u8]) -> Vec<u8> {
    gzip.reset();
    let mut out = Vec::with_capacity(bytes.len() / 2);
    loop {
        let taken = usize::try_from(gzip.total_in()).unwrap_or(bytes.len());
        match gzip.compress_vec(bytes.get(taken..).unwrap_or_default(), &mut out, FlushCompress::Finish) {
            Ok(Status::Ok | Status::BufError) => out.reserve(MIN_COMPRESSED),
            // Compressing what is in memory does not fail.
            Ok(Status::StreamEnd) | Err(_) => return out,
        }
    }
}

/// The same bytes for the same input, always: no time and no name in the gzip header.
fn compress(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Gzip => GZIP.with_borrow_mut(|gzip| gzipped(gzip, bytes)),
        Encoding::Br => {
            let mut out = Vec::new();
            let params = brotli::enc::BrotliEncoderParams {
                quality: if bytes.len() < SHORT { BROTLI_QUALITY_SHORT } else { BROTLI_QUALITY },
                lgwin: BROTLI_WINDOW,
                size_hint: bytes.len(),
                ..Default::default()
            };
            let _ = brotli::BrotliCompress(&mut &*bytes, &mut out, &params);
            out
        }
    }
}
