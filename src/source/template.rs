//! The pages' templates, scripts and style: built in, and replaced one by one by the files of a folder.

#![allow(clippy::disallowed_methods, reason = "this is where sources are read")]

use super::load::{read_short, read_source, root_of, stays_inside};
use crate::problem::{Problem, escaped};
use crate::words::{FileName, Word};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../site-template/", $name)))),+]
    };
}

/// What pages are made of when no folder says otherwise.
const BUILT_IN: &[(&str, &str)] = built_in![
    "404.html",
    "agent-downloads.min.js",
    "agent-releases.d.ts",
    "base.html",
    "docs.html",
    "docs.js",
    "feed.xml",
    "history.js",
    "icon.svg",
    "index.html",
    "macros.html",
    "page.html",
    "release.html",
    "releases.html",
    "robots.txt",
    "sitemap-index.xml",
    "sitemap.xml",
    "style.css",
];

/// Endings of files that are filled in; all others are sent as they are.
const FILLED: &[&str] = &["html", "xml", "txt", "css"];

/// Every file by name.
#[derive(Clone, Debug)]
pub struct Template {
    files: BTreeMap<String, TemplateFile>,
}

/// A file of a template.
#[derive(Clone, Debug)]
pub struct TemplateFile {
    /// Where it is, for problems.
    pub place: String,
    /// Its bytes; of one that is filled in, UTF-8.
    pub bytes: Cow<'static, [u8]>,
}

impl Default for Template {
    fn default() -> Self {
        let file = |(name, text): &(&str, &'static str)| {
            let place = format!("the built-in {name}");
            ((*name).to_owned(), TemplateFile { place, bytes: Cow::Borrowed(text.as_bytes()) })
        };
        Self { files: BUILT_IN.iter().map(file).collect() }
    }
}

impl Template {
    /// The built-in files, those that the folder has replaced by its own; what it has besides is there for its templates to
    /// include or to name as assets, and is not published otherwise. Its folders are nobody's business. Problems do not stop it.
    pub fn load(folder: &Path, problems: &mut Vec<Problem>) -> Self {
        let mut template = Self::default();
        let Some(root) = root_of(folder, "name the template's folder with --template", problems) else { return template };
        for entry in walkdir::WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    problems.push(Problem::of_file(folder.display(), format!("cannot be read: {error}")));
                    return template;
                }
            };
            let shown = escaped(&entry.path().display().to_string());
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || entry.file_type().is_dir() {
                continue;
            }
            match stays_inside(&root, entry.path()).and_then(|()| read(entry.path(), &name)) {
                Ok(bytes) => _ = template.files.insert(name, TemplateFile { place: shown, bytes: Cow::Owned(bytes) }),
                Err(message) => problems.push(Problem::of_file(shown, message)),
            }
        }
        template
    }

    /// A file by its name.
    pub fn file(&self, name: &str) -> Option<&TemplateFile> {
        self.files.get(name)
    }

    /// The files that are filled in, and their text.
    pub fn filled(&self) -> impl Iterator<Item = (&str, &TemplateFile, &str)> {
        let filled = self.files.iter().filter(|(name, _)| is_filled(name));
        filled.filter_map(|(name, file)| Some((name.as_str(), file, std::str::from_utf8(&file.bytes).ok()?)))
    }

    /// The files that are sent as they are.
    pub fn assets(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().filter(|(name, _)| !is_filled(name)).map(|(name, file)| (name.as_str(), &*file.bytes))
    }
}

fn is_filled(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| FILLED.contains(&ending))
}

fn read(path: &Path, name: &str) -> Result<Vec<u8>, String> {
    FileName::parse(name).map_err(|expected| format!("a template's file is part of an address: expected {expected}"))?;
    if is_filled(name) { read_source(path).map(String::into_bytes) } else { read_short(path) }
}
