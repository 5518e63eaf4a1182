//! Reads a snapshot back from its folder: whole and verified, or not at all.

use super::index::{Index, Row};
use super::{Form, INDEX};
use crate::files::read_regular;
use crate::words::Sha256;
use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;

/// Why a snapshot is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// There is no snapshot.
    #[error("{path}: no snapshot there; `agent-releases build` writes one")]
    Missing {
        /// The index that was looked for.
        path: String,
    },
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what the index or its own form says.
    #[error("{path}: damaged: {why}")]
    Wrong {
        /// The file.
        path: String,
        /// What does not fit.
        why: String,
    },
}

/// The bytes of a snapshot's files by path, compressed forms under their own.
pub type Files = HashMap<String, Bytes>;

/// Reads and verifies the index: its form, the order of its rows, and the id over them.
pub fn read_index(folder: &Path) -> Result<Index, Damage> {
    let path = folder.join(INDEX);
    let shown = path.display().to_string();
    let wrong = |why: String| Damage::Wrong { path: shown.clone(), why };
    let bytes = match read_regular(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Damage::Missing { path: shown }),
        Err(source) => return Err(Damage::Unreadable { path: shown, source }),
    };
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if !index.files.is_sorted_by(|a, b| a.path < b.path) {
        return Err(wrong("its rows are not in order".to_owned()));
    }
    if index.files.iter().chain(&index.kept).chain(&index.exports).any(|row| !is_inside(&row.path)) {
        return Err(wrong("a row leads out of the folder".to_owned()));
    }
    if Index::id_of(&index.files) != index.id {
        return Err(wrong("its id does not fit its rows".to_owned()));
    }
    Ok(index)
}

/// How often a folder is read again while it is being exchanged.
const TRIES: u32 = 10;

/// Reads what a folder's index leads to, and again when the folder was exchanged in between. The index may be `known` already.
pub fn read_by_index<T, E: From<Damage>>(
    folder: &Path,
    mut known: Option<Index>,
    read: impl Fn(&Index) -> Result<T, E>,
) -> Result<(T, Index), E> {
    let mut tries = 0;
    loop {
        let index = known.take().map_or_else(|| read_index(folder), Ok)?;
        match read(&index) {
            Ok(found) => return Ok((found, index)),
            Err(error) if tries == TRIES || read_index(folder).is_ok_and(|now| now.id == index.id) => return Err(error),
            Err(_) => tries = tries.saturating_add(1),
        }
    }
}

fn is_inside(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains('\\'))
}

/// Reads these rows' files and their compressed forms, on every core, each checked against its size and hash.
pub fn read_files<'a>(folder: &Path, rows: impl Iterator<Item = &'a Row>) -> Result<Files, Damage> {
    let rows: Vec<&Row> = rows.collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = rows.len().div_ceil(cores).max(1);
    let mut files = Files::with_capacity(rows.iter().map(|row| row.form_count()).sum());
    std::thread::scope(|scope| {
        let readers: Vec<_> = rows.chunks(share).map(|chunk| scope.spawn(|| read_chunk(folder, chunk))).collect();
        for reader in readers {
            let chunk = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            files.extend(chunk);
        }
        Ok(files)
    })
}

fn read_chunk(folder: &Path, chunk: &[&Row]) -> Result<Vec<(String, Bytes)>, Damage> {
    let forms = chunk.iter().flat_map(|row| row.forms());
    forms.map(|(path, form)| read_file(&folder.join(&path), &form).map(|bytes| (path, bytes))).collect()
}

/// Whether a row's file and all its compressed forms are as recorded. That a file cannot be read now says nothing of it.
pub fn is_intact(folder: &Path, row: &Row) -> Result<bool, Damage> {
    for (path, form) in row.forms() {
        match read_file(&folder.join(path), &form) {
            Ok(_) => {}
            Err(Damage::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(Damage::Unreadable { path, source }) if source.raw_os_error().is_some() => {
                return Err(Damage::Unreadable { path, source });
            }
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

fn read_file(path: &Path, form: &Form) -> Result<Bytes, Damage> {
    let shown = path.display().to_string();
    let bytes = read_regular(path).map_err(|source| Damage::Unreadable { path: shown.clone(), source })?;
    if bytes.len() as u64 != form.size {
        return Err(Damage::Wrong { path: shown, why: format!("{} bytes instead of {}", bytes.len(), form.size) });
    }
    if Sha256::of(&bytes) != form.sha256 {
        return Err(Damage::Wrong { path: shown, why: "its hash is not the recorded one".to_owned() });
    }
    Ok(bytes.into())
}
