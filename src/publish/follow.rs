//! The other end: a folder that an edge watches, kept like what is live on a target.

#![allow(clippy::disallowed_methods, reason = "this is where a site is mirrored")]

use super::record::{Artifact, Record, object_key, read_current, read_record, record_key};
use super::target::Target;
use super::{Failed, read_rows};
use crate::artifacts;
use crate::compile::lock_out;
use crate::files::remove_stale;
use crate::problem::Problem;
use crate::snapshot::{Built, Encodings, Files, Previous, Row, read_files, write};
use crate::words::{StorageKey, Word};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::path::Path;

/// What a file is called until it is whole.
const TEMPORARY: &str = ".agent-releases-follow-";

/// A folder, and what it was last made like.
pub struct Follower<'a> {
    /// Where the site is published.
    pub target: &'a Target,
    /// The folder that an edge watches.
    pub out: &'a Path,
    /// Where artifacts are mirrored to; nowhere unless it is set.
    pub artifacts: Option<&'a Path>,
    /// The SHA-256 of the record that the folder is like.
    pub seen: Option<String>,
}

/// What was taken up.
#[derive(Debug)]
pub struct Followed {
    /// Its generation.
    pub generation: u64,
    /// The snapshot's id.
    pub id: String,
    /// Documents and artifacts that were fetched.
    pub fetched: usize,
}

impl Follower<'_> {
    /// Looks once; `None` when there is nothing new. A claimed generation is taken up before its documents move, so that
    /// no document leads to what the edge does not know yet.
    pub async fn look(&mut self) -> Result<Option<Followed>, Failed> {
        let Some((current, _)) = read_current(self.target).await? else { return Err(nothing()) };
        let (key, sha256) = match &current.next {
            Some(next) if next.early => (object_key(&next.record), next.record.clone()),
            _ if current.generation == 0 => return Err(nothing()),
            _ => (record_key(current.generation), current.record.clone()),
        };
        if self.seen.as_ref() == Some(&sha256) {
            return Ok(None);
        }
        let record = read_record(self.target, &key, &sha256).await?;
        let mut fetched = self.mirror_artifacts(&record).await?;
        fetched += self.mirror_site(&record).await?;
        self.remove_withdrawn(&record)?;
        self.seen = Some(sha256);
        Ok(Some(Followed { generation: record.about.generation, id: record.about.id, fetched }))
    }

    /// Fetches what is not in the folder, and puts the whole in its place in one step.
    async fn mirror_site(&self, record: &Record) -> Result<usize, Failed> {
        let _held = lock_out(self.out)?;
        let previous = Previous::open(self.out)?;
        let index = record.index();
        let reusable = previous.as_ref().map(Previous::reusable).unwrap_or_default();
        let is_here = |row: &&Row| reusable.row(&row.path).is_some_and(|here| here.sha256 == row.sha256);
        let here = reusable.files.iter().filter(|row| index.row(&row.path).is_some_and(|new| new.sha256 == row.sha256));
        let here: Vec<Row> = here.cloned().map(|row| Row { encodings: Encodings::default(), ..row }).collect();
        let mut files: Files = read_files(self.out, here.iter()).map_err(|damage| Problem::general(damage.to_string()))?;
        let read = read_rows(self.target, index.files.iter().filter(|row| !is_here(row))).await?;
        let fetched = read.len();
        files.extend(read);
        let bytes = index.files.iter().map(|row| {
            let missing = || Failed::Missing(format!("{}: its bytes are not at hand", row.path));
            files.get(&row.path).cloned().ok_or_else(missing)
        });
        let bytes = bytes.collect::<Result<Vec<Bytes>, Failed>>()?;
        let mut built = Built { index, bytes, exports: Vec::new(), compressed: Default::default() };
        built.index.kept.clear();
        built.compress(previous.as_ref().map(Previous::reusable).as_ref());
        write(self.out, built, previous.as_ref())?;
        Ok(fetched)
    }

    async fn mirror_artifacts(&self, record: &Record) -> Result<usize, Failed> {
        let Some(folder) = self.artifacts else { return Ok(0) };
        if self.seen.is_none() {
            remove_stale(folder, TEMPORARY);
        }
        // What lies there is read once; from then on this is who writes there.
        let first = self.seen.is_none();
        let is_here = |Artifact(key, sha256, size): &Artifact| {
            let path = folder.join(key);
            let same_size = std::fs::metadata(&path).is_ok_and(|here| size.is_none_or(|size| here.len() == size));
            let same_hash = |path| {
                artifacts::hash(path, |_| ()).is_ok_and(|is| sha256.as_ref().is_none_or(|sha256| is.sha256.hex() == *sha256))
            };
            same_size && (!first || same_hash(&path))
        };
        let missing = record.artifacts.iter().filter(|artifact| !is_here(artifact));
        let fetching = missing.map(|artifact| self.fetch(folder, artifact));
        let fetched: Vec<()> = stream::iter(fetching).buffer_unordered(4).try_collect().await?;
        Ok(fetched.len())
    }

    /// Fetches an artifact beside its place, checks it, and puts it there.
    async fn fetch(&self, folder: &Path, artifact: &Artifact) -> Result<(), Failed> {
        let Artifact(key, sha256, size) = artifact;
        let wrong = |why: String| Failed::Artifact { key: key.clone(), why };
        let parsed = StorageKey::parse(key).map_err(|expected| wrong(format!("expected {expected}")))?;
        std::fs::create_dir_all(folder).map_err(|error| wrong(error.to_string()))?;
        let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder);
        let temporary = temporary.map_err(|error| wrong(format!("cannot be written: {error}")))?;
        let Some((there_size, there)) = self.target.fetch(&format!("artifacts/{key}"), temporary.path()).await? else {
            return Err(wrong("is not on the target".to_owned()));
        };
        if sha256.as_ref().is_some_and(|sha256| *sha256 != there.hex()) || size.is_some_and(|size| size != there_size) {
            return Err(wrong(format!("is damaged on the target: {there_size} bytes, SHA-256 {there}")));
        }
        let hashed = artifacts::hash(temporary.path(), |_| ()).map_err(&wrong)?;
        // One of other bytes is a copy that was cut off, or changed.
        let _ = std::fs::remove_file(folder.join(key));
        artifacts::store(temporary.path(), folder, &parsed, &hashed).map_err(wrong)?;
        Ok(())
    }

    /// Withdrawn bytes do not stay where an edge could hand them out.
    fn remove_withdrawn(&self, record: &Record) -> Result<(), Failed> {
        let Some(folder) = self.artifacts else { return Ok(()) };
        for key in &record.withdrawn {
            match std::fs::remove_file(folder.join(key)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let why = format!("is recalled, and cannot be removed from {}: {error}", folder.display());
                    return Err(Failed::Artifact { key: key.clone(), why });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn nothing() -> Failed {
    Failed::Missing("nothing was published there yet".to_owned())
}
