//! `snapshot.json`: the id, the generation, and a row for every file.

use crate::words::{Hasher, Sha256};
use rustc_hash::FxHashMap;
use serde::de::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The whole index.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Index {
    /// 64 hex digits over all rows of `files`.
    pub id: String,
    /// Set by publishing; 0 before that.
    pub generation: u64,
    /// The files of `public/` and `private/`, and the redirect map, sorted by path.
    pub files: Vec<Row>,
    /// Tiles of the snapshot before this one, still served so that a reader of the old index finds them; not part of
    /// the id, which the sources alone decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Row>,
    /// The same answers for other engines, below `exports/`; not part of the id, and no address leads to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Row>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// Of the file as it is.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// What a server sends with it; rows that say the same share it.
    #[serde(deserialize_with = "shared")]
    pub headers: Arc<Headers>,
    /// Compressed forms beside it, named by the encoding's file ending.
    #[serde(default, skip_serializing_if = "Encodings::is_empty")]
    pub encodings: Encodings,
}

impl Row {
    /// The path of a compressed form, beside the file.
    pub fn form_path(&self, encoding: Encoding) -> String {
        format!("{}{}", self.path, encoding.ending())
    }

    /// How many files it is on disk.
    pub fn form_count(&self) -> usize {
        self.encodings.iter().count().saturating_add(1)
    }

    /// The file and its compressed forms: each one's path, digest and size.
    pub fn forms(&self) -> impl Iterator<Item = (String, Form)> {
        let identity = (self.path.clone(), Form { sha256: self.sha256, size: self.size });
        let encoded = self.encodings.iter().map(|(encoding, form)| (self.form_path(encoding), form));
        std::iter::once(identity).chain(encoded)
    }
}

/// Headers by name.
pub type Headers = BTreeMap<String, String>;

/// How many sets of headers are remembered: rows beside each other say the same, or the same as one just before.
const REMEMBERED: usize = 4;

/// Tens of thousands of rows have a few sets of headers between them: what is written alike is read once.
fn shared<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<Headers>, D::Error> {
    thread_local!(static RECENT: RefCell<VecDeque<(Box<str>, Arc<Headers>)>> = const { RefCell::new(VecDeque::new()) });
    let text = <&RawValue>::deserialize(deserializer)?.get();
    RECENT.with_borrow_mut(|recent| {
        if let Some((_, known)) = recent.iter().find(|(known, _)| **known == *text) {
            return Ok(Arc::clone(known));
        }
        let headers: Arc<Headers> = serde_json::from_str(text).map(Arc::new).map_err(D::Error::custom)?;
        recent.push_front((text.into(), Arc::clone(&headers)));
        recent.truncate(REMEMBERED);
        Ok(headers)
    })
}

/// A form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Of its bytes.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

/// The compressed forms of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encodings {
    #[serde(skip_serializing_if = "Option::is_none")]
    br: Option<Form>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gzip: Option<Form>,
}

impl Encodings {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Those that there are, in order of preference.
    pub fn iter(&self) -> impl Iterator<Item = (Encoding, Form)> + use<> {
        let forms = [(Encoding::Br, self.br), (Encoding::Gzip, self.gzip)];
        forms.into_iter().filter_map(|(encoding, form)| Some((encoding, form?)))
    }
}

impl FromIterator<(Encoding, Form)> for Encodings {
    fn from_iter<T: IntoIterator<Item = (Encoding, Form)>>(forms: T) -> Self {
        let mut encodings = Self::default();
        for (encoding, form) in forms {
            match encoding {
                Encoding::Br => encodings.br = Some(form),
                Encoding::Gzip => encodings.gzip = Some(form),
            }
        }
        encodings
    }
}

/// A content coding (RFC 9110 §8.4.1), in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Brotli.
    Br,
    /// Gzip.
    Gzip,
}

impl Encoding {
    /// Every coding, in order of preference.
    pub const ALL: [Encoding; 2] = [Encoding::Br, Encoding::Gzip];

    /// The word in `Content-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Br => "br",
            Encoding::Gzip => "gzip",
        }
    }

    /// The ending of the file beside the identity form.
    pub const fn ending(self) -> &'static str {
        match self {
            Encoding::Br => ".br",
            Encoding::Gzip => ".gz",
        }
    }
}

impl Index {
    /// The id of these rows: SHA-256 over `<path>\t<sha256>\t<size>\t<headers>\n`, the headers as compact JSON.
    pub fn id_of(rows: &[Row]) -> String {
        let mut hasher = Hasher::default();
        // What rows share is written once.
        let mut written: FxHashMap<*const Headers, String> = FxHashMap::default();
        for row in rows {
            let headers = written.entry(Arc::as_ptr(&row.headers));
            let headers = headers.or_insert_with(|| serde_json::to_string(&row.headers).unwrap_or_default());
            hasher.update(format!("{}\t{}\t{}\t{headers}\n", row.path, row.sha256, row.size).as_bytes());
        }
        hasher.finish().hex()
    }

    /// The row of a path.
    pub fn row(&self, path: &str) -> Option<&Row> {
        let at = self.files.binary_search_by(|row| row.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }

    /// Every path that the snapshot's files take on disk, compressed forms, kept tiles and exports included, with their sizes.
    pub fn paths(&self) -> impl Iterator<Item = (String, u64)> {
        self.files.iter().chain(&self.kept).chain(&self.exports).flat_map(Row::forms).map(|(path, form)| (path, form.size))
    }
}

/// Whether a path or an address is named by the hash of what lies there: a tile of the history, or what pages load.
pub fn is_hashed(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(folder, name)| is_assets(folder) || folder.ends_with("agent-releases/history") && name != "index.json")
}

/// Whether a path is that of a page for people, or of a file that belongs to the pages: all that no interface answers.
pub fn is_page(path: &str) -> bool {
    let below = path.strip_prefix("public/").or_else(|| path.strip_prefix("private/"));
    let is_answer = |below: &str| {
        ["v2/", "internal/", "openapi.json", "site.json", "active.json", "ledger.json"]
            .iter()
            .any(|start| below.starts_with(start))
    };
    below.is_some_and(|below| !is_answer(below))
}

/// Whether what is named by its hash still belongs to a snapshot when it has it no more: what pages load does, and a tile as
/// long as there is an index beside it, so that a history that moved from public to private leaves nothing behind.
pub fn may_be_kept(path: &str, has: impl Fn(&str) -> bool) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, _)| is_assets(folder) || has(&format!("{folder}/index.json")))
}

fn is_assets(folder: &str) -> bool {
    matches!(folder, "public/assets" | "/assets")
}
