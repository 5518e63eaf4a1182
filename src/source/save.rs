//! Writing sources: a new manifest's text, and the one way in which a source file is replaced.

#![allow(clippy::disallowed_methods, reason = "this is where sources are written")]

use super::edit::scalar;
use super::load::{CATALOG, MAX_MANIFEST, Sources, stem_of};
use super::{catalog_file, manifest};
use crate::files::remove_stale;
use crate::problem::{Problem, SourceFile, escaped};
use crate::words::{Channel, FileName, Guid, HttpsUrl, Platform, Sha256, Timestamp, Version};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// What a file is called until it is renamed into place.
const TEMPORARY: &str = ".agent-releases-";

/// A manifest that is about to be written.
#[derive(Debug)]
pub struct ManifestText {
    /// The version.
    pub version: Version,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Where its notes can be read.
    pub notes_url: Option<HttpsUrl>,
    /// Short notes.
    pub notes: Option<String>,
    /// Its identifier.
    pub guid: Guid,
    /// Whether it is a draft.
    pub draft: bool,
    /// Whether the Active API offers it whatever its channel.
    pub active: bool,
    /// Its installers.
    pub artifacts: Vec<(Platform, NewFile)>,
    /// Its other files.
    pub attachments: Vec<NewFile>,
}

/// A file that belongs to a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// The name to save it under.
    pub filename: FileName,
    /// Bytes; unknown for some imports.
    pub size_bytes: Option<u64>,
    /// The digest; `None` makes an unverified artifact.
    pub sha256: Option<Sha256>,
    /// Its own key, for an unverified artifact.
    pub key: Option<String>,
    /// The media type, when it is not the default.
    pub content_type: Option<String>,
}

impl std::fmt::Display for ManifestText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let channels: Vec<&str> = self.channels.iter().map(Channel::as_str).collect();
        writeln!(f, "version: {}\nchannels: [{}]", self.version, channels.join(", "))?;
        match &self.published_at {
            Some(time) => writeln!(f, "published_at: {time}")?,
            None => writeln!(f, "published_at: null")?,
        }
        let lines = [
            ("notes_url", self.notes_url.as_ref().map(ToString::to_string)),
            ("notes", self.notes.clone()),
            ("guid", Some(self.guid.to_string())),
        ];
        for (key, value) in lines {
            value.map_or(Ok(()), |value| writeln!(f, "{key}: {}", scalar(&value)))?;
        }
        for (key, set) in [("draft", self.draft), ("active", self.active)] {
            if set {
                writeln!(f, "{key}: true")?;
            }
        }
        if !self.artifacts.is_empty() {
            writeln!(f, "artifacts:")?;
        }
        for (platform, file) in &self.artifacts {
            writeln!(f, "  {platform}:\n    filename: {}", scalar(file.filename.as_str()))?;
            file.fields(f)?;
        }
        if !self.attachments.is_empty() {
            writeln!(f, "attachments:")?;
        }
        for file in &self.attachments {
            writeln!(f, "  {}:", scalar(file.filename.as_str()))?;
            file.fields(f)?;
        }
        Ok(())
    }
}

impl NewFile {
    fn fields(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unverified = self.sha256.is_none().then(|| "true".to_owned());
        let fields = [
            ("content_type", self.content_type.as_deref().map(scalar)),
            ("size_bytes", self.size_bytes.map(|size| size.to_string())),
            ("sha256", self.sha256.map(|sha256| sha256.to_string())),
            ("unverified", unverified),
            ("key", self.key.as_deref().map(scalar)),
        ];
        fields
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .try_for_each(|(key, value)| writeln!(f, "    {key}: {value}"))
    }
}

/// Puts a file's new text into sources that are in memory, as if it had been read so.
pub fn reread(sources: &mut Sources, name: &str, text: &str) -> Result<(), Vec<Problem>> {
    let path = escaped(&sources.folder.join(name).display().to_string());
    let file = Arc::new(SourceFile { path, text: text.to_owned() });
    if text.len() as u64 > MAX_MANIFEST {
        return Err(Problem::of_file(&file.path, "would be larger than 1 MiB").into());
    }
    let mut problems = Vec::new();
    if name == CATALOG {
        sources.catalog = catalog_file::read(&file, &mut problems);
        return if problems.is_empty() { Ok(()) } else { Err(problems) };
    }
    let stem = stem_of(name);
    let Some(manifest) = manifest::read(&file, stem, &mut problems) else { return Err(problems) };
    match sources.manifests.iter_mut().find(|other| other.version.value.as_str() == stem) {
        Some(place) => *place = manifest,
        None => sources.manifests.push(manifest),
    }
    Ok(())
}

/// Writes a source file beside its place, syncs it, and renames it into place; its permissions stay.
pub fn write_source(path: &Path, text: &str) -> Result<(), Problem> {
    // A link is followed: what it points to is the file that somebody chose.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    // Whoever writes holds the folder's lock, so what lies there is a killed writer's.
    remove_stale(folder, TEMPORARY);
    let put = || -> io::Result<()> {
        let mode = fs::metadata(&target).map(|metadata| metadata.permissions()).ok();
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        mode.map_or(Ok(()), |mode| file.as_file().set_permissions(mode))?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    put().map_err(|error| Problem::of_file(path.display(), format!("cannot be written: {error}")))
}
