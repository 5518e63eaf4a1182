//! `releases/<version>.yaml`, exactly as written: one release.

use super::fields::{At, Reader, prose};
use super::yaml::{self, Node};
use crate::problem::{Problem, SourceFile, Span};
use crate::words::{
    Channel, ContentType, FileName, Guid, HttpsUrl, Platform, Reason, Sha256, StorageKey, Timestamp, Version, Word,
};
use std::sync::Arc;

/// A size fits a JSON number without loss (RFC 8259 §6).
pub const MAX_SIZE: u64 = (1 << 53) - 1;

/// A manifest: every field is a valid word, but nothing has been compared with anything else yet.
#[derive(Debug)]
pub struct Manifest {
    /// The file it was read from.
    pub file: Arc<SourceFile>,
    /// The version; equal to the file's stem.
    pub version: At<Version>,
    /// The channels that it names.
    pub channels: Vec<At<Channel>>,
    /// When it was published; null is allowed.
    pub published_at: Option<At<Timestamp>>,
    /// Where its notes can be read.
    pub notes_url: Option<At<HttpsUrl>>,
    /// Short notes, shown by the Active API.
    pub notes: Option<At<String>>,
    /// Its identifier in the Active API.
    pub guid: Option<At<Guid>>,
    /// A draft changes no byte of the output.
    pub draft: bool,
    /// Whether the Active API offers it; unset means that its channel decides.
    pub active: Option<At<bool>>,
    /// Kept, but not offered.
    pub yanked: Option<At<Reason>>,
    /// Withdrawn.
    pub recalled: Option<At<Reason>>,
    /// The installers.
    pub artifacts: Vec<(At<Platform>, ArtifactEntry)>,
    /// Anything else that belongs to the release.
    pub attachments: Vec<(At<FileName>, AttachmentEntry)>,
}

/// One installer as its manifest describes it.
#[derive(Debug)]
pub struct ArtifactEntry {
    /// The whole entry.
    pub span: Span,
    /// The name to save it under.
    pub filename: At<FileName>,
    /// The media type.
    pub content_type: Option<At<ContentType>>,
    /// Bytes.
    pub size_bytes: Option<At<u64>>,
    /// The digest; absent only when `unverified`.
    pub sha256: Option<At<Sha256>>,
    /// Where it lies, when not under the storage's own key.
    pub key: Option<At<StorageKey>>,
}

/// One attachment as its manifest describes it.
#[derive(Debug)]
pub struct AttachmentEntry {
    /// The whole entry.
    pub span: Span,
    /// The media type.
    pub content_type: Option<At<ContentType>>,
    /// Bytes.
    pub size_bytes: Option<At<u64>>,
    /// The digest.
    pub sha256: At<Sha256>,
    /// Where it lies, when not under the storage's own key.
    pub key: Option<At<StorageKey>>,
}

/// Reads a manifest; with any problem in it there is no manifest.
pub fn read(file: &Arc<SourceFile>, stem: &str, problems: &mut Vec<Problem>) -> Option<Manifest> {
    let before = problems.len();
    let root = yaml::parse(file, problems)?;
    let mut reader = Reader { file, problems };
    let manifest = read_root(&mut reader, &root, stem);
    manifest.filter(|_| problems.len() == before)
}

fn read_root(reader: &mut Reader<'_>, root: &Node, stem: &str) -> Option<Manifest> {
    let mut table = reader.table(root, "")?;
    let version = reader.required::<Version>(&mut table, "version");
    if let Some(version) = version.as_ref().filter(|version| version.value.as_str() != stem) {
        let message = format!(
            "version: `{}` stands in a file named for `{}`; a release's file is named by its version",
            version.value,
            crate::problem::shown(stem)
        );
        reader.problem(&version.span, message);
    }
    let channels = reader.words(&mut table, "channels");
    let published_at = reader.nullable(&mut table, "published_at", Timestamp::from_input);
    let notes_url = reader.nullable(&mut table, "notes_url", HttpsUrl::parse);
    let notes = reader.nullable(&mut table, "notes", prose);
    let guid = reader.word(&mut table, "guid");
    let draft = reader.boolean(&mut table, "draft").is_some_and(|draft| draft.value);
    let active = reader.boolean(&mut table, "active");
    let yanked = reader.word(&mut table, "yanked");
    let recalled = reader.word(&mut table, "recalled");
    let mut artifacts = Vec::new();
    for (platform, node) in reader.entries::<Platform>(&mut table, "artifacts") {
        let entry = read_artifact(reader, node, &format!("artifacts.{}", platform.value));
        artifacts.extend(entry.map(|entry| (platform, entry)));
    }
    let mut attachments = Vec::new();
    for (name, node) in reader.entries::<FileName>(&mut table, "attachments") {
        let entry = read_attachment(reader, node, &format!("attachments.{}", name.value));
        attachments.extend(entry.map(|entry| (name, entry)));
    }
    reader.close(table);
    let file = Arc::clone(reader.file);
    Some(Manifest {
        file,
        version: version?,
        channels,
        published_at,
        notes_url,
        notes,
        guid,
        draft,
        active,
        yanked,
        recalled,
        artifacts,
        attachments,
    })
}

fn read_artifact(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<ArtifactEntry> {
    let mut table = reader.table(node, path)?;
    let filename = reader.required(&mut table, "filename");
    let content_type = reader.word(&mut table, "content_type");
    let size_bytes = read_size(reader, &mut table);
    let sha256 = reader.parsed(&mut table, "sha256", digest);
    let flag = reader.boolean(&mut table, "unverified").map(|flag| flag.value);
    let unverified = flag == Some(true);
    let misread = flag.is_none() && table.has("unverified");
    let key = reader.word(&mut table, "key");
    if unverified && (sha256.is_some() || size_bytes.is_some()) {
        reader.problem(&node.span, format!("{path}: an unverified artifact has no hash and no size"));
    }
    if unverified && !table.has("key") {
        reader.problem(&node.span, format!("{path}: an unverified artifact needs its own `key`"));
    }
    if !unverified && !misread && !table.has("sha256") {
        reader.problem(
            &node.span,
            format!("{path}: `sha256` is missing (a legacy artifact without one says `unverified: true` and its own `key`)"),
        );
    }
    let span = table.span.clone();
    reader.close(table);
    Some(ArtifactEntry { span, filename: filename?, content_type, size_bytes, sha256, key })
}

fn read_attachment(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<AttachmentEntry> {
    let mut table = reader.table(node, path)?;
    let content_type = reader.word(&mut table, "content_type");
    let size_bytes = read_size(reader, &mut table);
    let sha256 = reader.parsed(&mut table, "sha256", digest);
    if !table.has("sha256") {
        reader.missing(&table, "sha256");
    }
    let key = reader.word(&mut table, "key");
    let span = table.span.clone();
    reader.close(table);
    Some(AttachmentEntry { span, content_type, size_bytes, sha256: sha256?, key })
}

fn read_size(reader: &mut Reader<'_>, table: &mut super::fields::Table<'_>) -> Option<At<u64>> {
    reader.number(table, "size_bytes", 1..=MAX_SIZE, "a whole number of bytes, 1 or more")
}

/// A digest of something: the digest of nothing is a mistake in whatever made the file.
fn digest(text: &str) -> Result<Sha256, crate::words::Expected> {
    let digest = Sha256::parse(text)?;
    if digest == Sha256::of(b"") { Err("the digest of a file that is not empty") } else { Ok(digest) }
}
