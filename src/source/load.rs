//! Reads a folder of sources: every file once, in parallel, with every problem of every file.

#![allow(clippy::disallowed_methods, reason = "this is where sources are read")]

use super::catalog_file::{self, CatalogFile};
use super::manifest::{self, Manifest};
use super::notes;
use crate::files::open_regular;
use crate::problem::{Problem, SourceFile, escaped};
use crate::words::{FileName, Version, Word};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A source file is at most this long, in bytes.
pub const MAX_MANIFEST: u64 = 1 << 20;
/// A catalog has at most this many releases.
const MAX_RELEASES: usize = 100_000;
/// The catalog's file name.
pub const CATALOG: &str = "catalog.yaml";

/// Everything that was read, valid word by word.
#[derive(Debug)]
pub struct Sources {
    /// The folder.
    pub folder: PathBuf,
    /// The catalog; `None` when it has problems.
    pub catalog: Option<CatalogFile>,
    /// The manifests without problems, in order of their file names.
    pub manifests: Vec<Manifest>,
    /// Names of the manifests that have problems: they exist, but nothing is known of them.
    pub broken: BTreeSet<String>,
    /// The longer notes that pages show, in Markdown, by version.
    pub notes: BTreeMap<String, String>,
    /// The picture that the catalog names.
    pub logo: Option<Logo>,
}

/// A picture for the head of every page.
#[derive(Clone, Debug)]
pub struct Logo {
    /// Its name, which says what kind of picture it is.
    pub filename: FileName,
    /// The file.
    pub bytes: Vec<u8>,
}

/// The pictures that browsers know.
const PICTURES: &[&str] = &["svg", "png", "webp", "jpg", "ico"];

/// Reads all sources of a folder. Problems do not stop it: what could be read is returned with them.
pub fn load(folder: &Path, problems: &mut Vec<Problem>) -> Option<Sources> {
    let root = root_of(folder, "releases live in a folder with a catalog.yaml, which --releases names", problems)?;
    let (names, notes) = list(&root, folder, problems)?;
    let (catalog, stems): (Vec<_>, Vec<_>) = names.into_iter().partition(|(name, _)| name == CATALOG);
    if stems.len() > MAX_RELEASES {
        problems
            .push(Problem::of_file(folder.display(), format!("{} releases; at most {MAX_RELEASES} are supported", stems.len())));
        return None;
    }
    if catalog.is_empty() {
        problems.push(Problem::of_file(
            folder.join(CATALOG).display(),
            "missing; the smallest catalog is one line: `channels: { stable: {} }`",
        ));
    }
    let catalog = catalog
        .first()
        .and_then(|(name, link)| read_file(&root, folder, name, *link, problems))
        .and_then(|file| catalog_file::read(&file, problems));
    let logo = catalog.as_ref().and_then(|catalog| {
        let name = catalog.page.logo.as_ref()?;
        let wrong = |message| problems.push(Problem::at(&catalog.file, &name.span, format!("page.logo: {message}")));
        read_logo(&root, folder, &name.value).map_err(wrong).ok()
    });
    let read: Vec<(String, Option<Manifest>, Vec<Problem>)> = stems
        .into_par_iter()
        .map(|(name, link)| {
            let mut problems = Vec::new();
            let stem = stem_of(&name).to_owned();
            let manifest =
                read_file(&root, folder, &name, link, &mut problems).and_then(|file| manifest::read(&file, &stem, &mut problems));
            (stem, manifest, problems)
        })
        .collect();
    let mut sources = Sources {
        folder: folder.to_owned(),
        catalog,
        manifests: Vec::with_capacity(read.len()),
        broken: BTreeSet::new(),
        notes,
        logo,
    };
    for (stem, manifest, found) in read {
        problems.extend(found);
        match manifest {
            Some(manifest) => sources.manifests.push(manifest),
            None => _ = sources.broken.insert(stem),
        }
    }
    Some(sources)
}

fn read_logo(root: &Path, folder: &Path, filename: &FileName) -> Result<Logo, String> {
    let ending = filename.as_str().rsplit_once('.').map_or("", |(_, ending)| ending);
    if !PICTURES.contains(&ending) {
        return Err(format!("`{filename}` is no picture that browsers know; its name ends in one of: {}", PICTURES.join(", ")));
    }
    let path = folder.join(filename.as_str());
    if !path.is_file() {
        return Err(format!("there is no file `{filename}` beside the catalog"));
    }
    stays_inside(root, &path).map_err(|why| format!("`{filename}` {why}"))?;
    let bytes = read_short(&path).map_err(|why| format!("`{filename}` {why}"))?;
    Ok(Logo { filename: filename.clone(), bytes })
}

type Names = Vec<(String, bool)>;

/// The names of the source files, sorted, and whether each is a link; and the notes by version. Other files are none of our
/// business, near misses are.
fn list(root: &Path, folder: &Path, problems: &mut Vec<Problem>) -> Option<(Names, BTreeMap<String, String>)> {
    let mut names = Vec::new();
    let mut notes = Vec::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(Problem::of_file(folder.display(), format!("cannot be read: {error}")));
                return None;
            }
        };
        let path = entry.path().display().to_string();
        let Some(name) = entry.file_name().to_str() else {
            problems.push(Problem::of_file(escaped(&path), "the name is not UTF-8"));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match name.rsplit_once('.') {
            Some((_, "yaml")) => names.push((name.to_owned(), entry.path_is_symlink())),
            Some((stem, ending)) if ["yaml", "yml"].contains(&ending.to_ascii_lowercase().as_str()) => {
                problems.push(Problem::of_file(path, format!("is not read; rename it to {stem}.yaml")));
            }
            Some((stem, "md")) if Version::parse(stem).is_ok() => notes.push((stem.to_owned(), entry.into_path())),
            _ => {}
        }
    }
    let mut texts = BTreeMap::new();
    for (stem, path) in notes {
        let shown = escaped(&path.display().to_string());
        if !names.iter().any(|(name, _)| name.strip_suffix(".yaml") == Some(&stem)) {
            problems.push(Problem::of_file(
                shown,
                format!("notes for a release that is not there; its manifest would be {stem}.yaml"),
            ));
            continue;
        }
        match stays_inside(root, &path).and_then(|()| read_source(&path)).and_then(notes::readable) {
            Ok(text) => _ = texts.insert(stem, text),
            Err(message) => problems.push(Problem::of_file(shown, message)),
        }
    }
    names.retain(|(name, _)| match Version::parse(stem_of(name)) {
        Err(expected) if name != CATALOG => {
            let path = escaped(&folder.join(name).display().to_string());
            problems.push(Problem::of_file(path, format!("a release's file is named by its version: expected {expected}")));
            false
        }
        _ => true,
    });
    Some((names, texts))
}

fn read_file(root: &Path, folder: &Path, name: &str, is_link: bool, problems: &mut Vec<Problem>) -> Option<Arc<SourceFile>> {
    let path = folder.join(name);
    let shown = escaped(&path.display().to_string());
    if is_link && let Err(message) = stays_inside(root, &path) {
        problems.push(Problem::of_file(shown, message));
        return None;
    }
    match read_source(&path) {
        Ok(text) => Some(Arc::new(SourceFile { path: shown, text })),
        Err(message) => {
            problems.push(Problem::of_file(shown, message));
            None
        }
    }
}

/// Where a folder really lies, past all links; else there is a problem, which ends with the way out.
pub(super) fn root_of(folder: &Path, way_out: &str, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let wrong = match folder.canonicalize() {
        Ok(root) if root.is_dir() => return Some(root),
        Ok(_) => "is not a folder".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    problems.push(Problem::of_file(folder.display(), format!("{wrong}; {way_out}")));
    None
}

/// Following a link out of the folder would compile what nobody reviewed.
pub(super) fn stays_inside(root: &Path, path: &Path) -> Result<(), String> {
    match path.canonicalize() {
        Ok(real) if real.starts_with(root) => Ok(()),
        Ok(_) => Err("is a link that leaves the folder".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// A manifest's name without its ending.
pub(super) fn stem_of(name: &str) -> &str {
    name.strip_suffix(".yaml").unwrap_or(name)
}

/// A regular file of at most 1 MiB. Never waits for a pipe or a device.
pub(super) fn read_short(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let (file, _) = open_regular(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_MANIFEST { Err("is larger than 1 MiB".to_owned()) } else { Ok(bytes) }
}

/// A regular file of at most 1 MiB of UTF-8, without its byte order mark. Never waits for a pipe or a device.
pub fn read_source(path: &Path) -> Result<String, String> {
    let bytes = read_short(path)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16; save it as UTF-8".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("is not UTF-8 (line {line})")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
