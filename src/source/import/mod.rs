//! Importing: what a foreign document says about releases, as manifests to write.

mod agent_releases;
mod checksums;
mod github;

use self::checksums::{Checksum, versions_in};
use super::{MAX_SIZE, ManifestText, NewFile, guess};
use crate::problem::{Problem, Severity, shown};
use crate::words::{
    BaseUrl, Channel, ContentType, Expected, FileName, Guid, HttpsUrl, Os, Platform, Sha256, StorageKey, Timestamp, Version, Word,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// A document is at most this long, in bytes.
pub const MAX_INPUT: u64 = 64 << 20;

const FORMS: &str = "expected one of these: agent releases (JSON with `version` and `artifacts` or `platforms`, one or a list of them), \
GitHub releases (JSON with `tag_name` and `assets`, one or a list of them), or checksums (lines of 64 hex digits and a file name)";

/// Names of installers end so; other files may be attached.
const INSTALLERS: &[&str] = &[".msi", ".pkg", ".exe", ".dmg", ".tar.gz", ".tgz", ".zip", ".bin"];

/// What is known besides the document.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The document's name, for messages.
    pub file: &'a str,
    /// The version that a checksums file is about.
    pub version: Option<&'a Version>,
    /// The channels of every release; none means those that the document says.
    pub channels: &'a [Channel],
    /// A file whose address begins with this keeps the rest of its address as its own storage key.
    pub base_url: Option<&'a BaseUrl>,
}

/// What a document holds.
#[derive(Debug)]
pub struct Imported {
    /// The releases, in order of their versions, each version once.
    pub releases: Vec<ImportedRelease>,
    /// How many releases were left out, each with a warning.
    pub skipped: usize,
}

/// A release as a document describes it.
#[derive(Debug)]
pub struct ImportedRelease {
    /// Where the document describes it, such as `data[3]`; empty when it is the whole document.
    pub at: String,
    /// Its manifest.
    pub manifest: ManifestText,
    /// What is worth a look before it is written.
    pub warnings: Vec<Problem>,
}

/// Reads a document, whatever its form. Problems do not stop it: what could be read is returned with them.
pub fn read(text: &str, options: &Options<'_>, mut guid: impl FnMut() -> Guid, problems: &mut Vec<Problem>) -> Imported {
    let mut reader = Reader { options, guid: &mut guid, problems, skipped: 0 };
    let mut releases = reader.document(text);
    releases.sort_by(|a, b| a.manifest.version.cmp(&b.manifest.version));
    releases.dedup_by(|later, earlier| {
        let twice = later.manifest.version == earlier.manifest.version;
        if twice {
            reader
                .problem(&later.at, &format!("release `{}` stands here twice, first at {}", later.manifest.version, earlier.at));
        }
        twice
    });
    Imported { releases, skipped: reader.skipped }
}

/// One document being read, and what is wrong with it so far.
struct Reader<'a> {
    options: &'a Options<'a>,
    guid: &'a mut dyn FnMut() -> Guid,
    problems: &'a mut Vec<Problem>,
    skipped: usize,
}

/// What tells one form of JSON from another.
#[derive(Deserialize)]
struct Shape<'t> {
    #[serde(borrow)]
    data: Option<&'t RawValue>,
    next_cursor: Option<IgnoredAny>,
    tag_name: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    artifacts: Option<IgnoredAny>,
    platforms: Option<IgnoredAny>,
}

/// A file that may become an installer or an attachment, which its name decides.
struct Candidate {
    at: String,
    name: String,
    platform: Option<Platform>,
    size_bytes: Option<u64>,
    sha256: Option<Sha256>,
    content_type: Option<String>,
    key: Option<String>,
}

/// Places in the document, and words at them.
impl Reader<'_> {
    fn place(&self, at: &str, message: &str) -> Problem {
        let before = if at.is_empty() { String::new() } else { format!("{at}: ") };
        Problem::of_file(self.options.file, format!("{before}{message}"))
    }

    fn problem(&mut self, at: &str, message: &str) {
        self.problems.push(self.place(at, message));
    }

    fn warn(&mut self, at: &str, message: &str) {
        self.problems.push(self.place(at, message).warning());
    }

    fn mismatch(&mut self, at: &str, expected: Expected, found: &str) {
        self.problem(at, &format!("expected {expected}, found `{}`", shown(found)));
    }

    /// An object's known fields, none of them twice.
    fn table<'t, T: Deserialize<'t>>(&mut self, at: &str, text: &'t str) -> Option<T> {
        // Derived structs would be read from a list, too, field by field.
        if !text.starts_with('{') {
            self.mismatch(at, "an object", text);
            return None;
        }
        let read = serde_json::from_str(text);
        // Its line and column are those of this piece, not of the document.
        read.map_err(|error| self.problem(at, error.to_string().split(" at line ").next().unwrap_or_default())).ok()
    }

    /// A list's items, each with its place.
    fn list<'t>(&mut self, at: &str, text: &'t str) -> Vec<(String, &'t str)> {
        match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => items.into_iter().enumerate().map(|(index, item)| (format!("{at}[{index}]"), item.get())).collect(),
            Err(_) => {
                self.mismatch(at, "a list", text);
                Vec::new()
            }
        }
    }

    /// A word; null means absent.
    fn word<T>(&mut self, at: &str, value: Option<Value>, parse: impl Fn(&str) -> Result<T, Expected>) -> Option<T> {
        let (text, word) = match value? {
            Value::String(text) => {
                let word = parse(&text);
                (text, word)
            }
            // The parser is asked anyway, so that the message says what was expected.
            other => (other.to_string(), parse("")),
        };
        word.map_err(|expected| self.mismatch(at, expected, &text)).ok()
    }

    /// A word that must be there.
    fn required<T>(&mut self, at: &str, value: Option<Value>, parse: impl Fn(&str) -> Result<T, Expected>) -> Option<T> {
        if value.is_none() {
            self.problem(at, "missing");
        }
        self.word(at, value, parse)
    }

    fn size(&mut self, at: &str, value: Option<Value>) -> Option<u64> {
        let value = value?;
        let size = value.as_u64().filter(|size| (1..=MAX_SIZE).contains(size));
        if size.is_none() {
            self.mismatch(at, "a whole number of bytes, 1 or more", &value.to_string());
        }
        size
    }

    /// The media type; the default one need not be written down.
    fn content_type(&mut self, at: &str, value: Option<Value>) -> Option<String> {
        let value = value.filter(|value| value.as_str() != Some(""));
        self.word(at, value, ContentType::parse)
            .filter(|found| found.as_str() != ContentType::DEFAULT)
            .map(|found| found.to_string())
    }

    /// The storage key of a file that lies below the base address already.
    fn own_key(&mut self, at: &str, address: Option<&Value>) -> Option<String> {
        let rest = address?.as_str()?.strip_prefix(self.options.base_url?.as_str())?;
        StorageKey::parse(rest).map(|key| key.to_string()).map_err(|expected| self.mismatch(at, expected, rest)).ok()
    }

    /// A manifest of which only the version and the channels are known yet.
    fn bare(&mut self, version: Version) -> ManifestText {
        let mut channels: Vec<Channel> = Vec::new();
        for channel in self.options.channels {
            if !channels.contains(channel) {
                channels.push(channel.clone());
            }
        }
        ManifestText {
            version,
            channels,
            published_at: None,
            notes_url: None,
            notes: None,
            guid: (self.guid)(),
            draft: false,
            active: false,
            artifacts: Vec::new(),
            attachments: Vec::new(),
        }
    }
}

/// The forms of a document.
impl Reader<'_> {
    fn document(&mut self, text: &str) -> Vec<ImportedRelease> {
        let json = text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str::<&RawValue>(text));
        if let Some(Ok(json)) = json {
            return self.json(json.get());
        }
        // Prose may begin with a bracket, too.
        let checksums: Vec<Checksum<'_>> =
            text.lines().zip(1..).filter_map(|(line, number)| Checksum::of(number, line)).collect();
        match json {
            _ if !checksums.is_empty() => return self.release("", |reader| reader.checksums(&checksums)).into_iter().collect(),
            Some(Err(error)) => self.problem("", &format!("is not valid JSON: {error}")),
            _ => self.problem("", FORMS),
        }
        Vec::new()
    }

    /// A release with the warnings about it, which are of no interest when it is there already.
    fn release(&mut self, at: &str, read: impl FnOnce(&mut Self) -> Option<ManifestText>) -> Option<ImportedRelease> {
        let before = self.problems.len();
        let manifest = read(self)?;
        let found = self.problems.split_off(before);
        let (warnings, errors): (Vec<Problem>, Vec<Problem>) =
            found.into_iter().partition(|problem| problem.severity() == Severity::Warning);
        self.problems.extend(errors);
        Some(ImportedRelease { at: at.to_owned(), manifest, warnings })
    }

    fn json(&mut self, text: &str) -> Vec<ImportedRelease> {
        if self.options.version.is_some() {
            self.problem("", "--version is for a checksums file; the releases in here say their own versions");
        }
        let (mut releases, mut strangers, mut known) = (Vec::new(), Vec::new(), false);
        for (at, item) in self.items(text) {
            if !item.starts_with('{') {
                strangers.push(at);
                continue;
            }
            let Some(shape) = self.table::<Shape<'_>>(&at, item) else { continue };
            if shape.tag_name.is_some() {
                releases.extend(self.release(&at, |reader| reader.github_release(&at, item)));
            } else if shape.version.is_some() || shape.artifacts.is_some() || shape.platforms.is_some() {
                releases.extend(self.release(&at, |reader| reader.agent_release(&at, item)));
            } else {
                strangers.push(at);
                continue;
            }
            known = true;
        }
        // A document of which nothing is known is one problem, not one for each item.
        if !known && !strangers.is_empty() {
            strangers = vec![String::new()];
        }
        for at in strangers {
            self.problem(&at, FORMS);
        }
        releases
    }

    /// The releases of a list document, of a bare list, or the one release that the document is.
    fn items<'t>(&mut self, text: &'t str) -> Vec<(String, &'t str)> {
        if text.starts_with('[') {
            return self.list("", text);
        }
        let Some(shape) = self.table::<Shape<'_>>("", text) else { return Vec::new() };
        let Some(data) = shape.data else { return vec![(String::new(), text)] };
        if shape.next_cursor.is_some() {
            self.warn("next_cursor", "the list goes on behind this page; import its other pages, too");
        }
        self.list("data", data.get())
    }
}

/// Files that only their names describe.
impl Reader<'_> {
    /// The platform of a file that may be an installer; that its name does not say for what it is, is told.
    fn platform(&mut self, at: &str, name: &str, path: &str) -> Option<Platform> {
        if !may_install(name) {
            return None;
        }
        let guessed = guess(name).or_else(|why| guess(path).map_err(|_| why));
        if let Err(why) = guessed
            && ends_in(name, INSTALLERS)
        {
            self.warn(at, &format!("`{}` becomes an attachment, not an installer: {why}", shown(name)));
        }
        guessed.ok()
    }

    /// Installers, one for a platform, and everything else.
    fn arrange(&mut self, version: &Version, mut candidates: Vec<Candidate>) -> (Vec<(Platform, NewFile)>, Vec<NewFile>) {
        let mut seen = BTreeSet::new();
        candidates.retain(|candidate| seen.insert((candidate.platform, candidate.name.clone(), candidate.sha256)));
        let chosen: BTreeSet<usize> =
            Platform::ALL.into_iter().filter_map(|platform| self.choose(platform, &candidates)).collect();
        let (mut artifacts, mut attachments) = (Vec::new(), BTreeMap::new());
        for (index, candidate) in candidates.into_iter().enumerate() {
            match candidate.platform.filter(|_| chosen.contains(&index)) {
                Some(platform) => artifacts.extend(self.installer(version, platform, candidate)),
                None => self.attach(candidate, &mut attachments),
            }
        }
        artifacts.sort_by_key(|(platform, _)| *platform);
        (artifacts, attachments.into_values().collect())
    }

    /// The installer of a platform: the only file that fits, or the only one of the kind that the system itself installs.
    fn choose(&mut self, platform: Platform, candidates: &[Candidate]) -> Option<usize> {
        let native: &[&str] = match platform.os() {
            Os::Windows => &[".msi"],
            Os::Macos => &[".pkg"],
            Os::Linux => &[],
        };
        let fit: Vec<(usize, &Candidate)> =
            candidates.iter().enumerate().filter(|(_, candidate)| candidate.platform == Some(platform)).collect();
        let best: Vec<(usize, &Candidate)> =
            fit.iter().copied().filter(|(_, candidate)| ends_in(&candidate.name, native)).collect();
        match (fit.as_slice(), best.as_slice()) {
            ([], _) => None,
            ([(index, _)], _) | (_, [(index, _)]) => Some(*index),
            ([(_, first), ..], _) => {
                let names: Vec<String> =
                    fit.iter().take(5).map(|(_, candidate)| format!("`{}`", shown(&candidate.name))).collect();
                self.warn(
                    &first.at,
                    &format!(
                        "none of {} becomes the installer of {platform}, because several fit; they are attachments",
                        names.join(", ")
                    ),
                );
                None
            }
        }
    }

    fn installer(&mut self, version: &Version, platform: Platform, candidate: Candidate) -> Option<(Platform, NewFile)> {
        let Candidate { at, name, size_bytes, sha256, content_type, key, .. } = candidate;
        let filename = FileName::parse(&name).map_err(|expected| self.mismatch(&at, expected, &name)).ok()?;
        let file = self.vouched(&at, version, platform, NewFile { filename, size_bytes, sha256, key, content_type });
        Some((platform, file))
    }

    fn attach(&mut self, candidate: Candidate, attachments: &mut BTreeMap<FileName, NewFile>) {
        let Candidate { at, name, size_bytes, sha256, content_type, key, .. } = candidate;
        if sha256.is_none() {
            return self.warn(&at, &format!("`{}` is skipped: it has no digest and is no installer", shown(&name)));
        }
        let filename = match FileName::parse(&name) {
            Ok(filename) => filename,
            Err(expected) => return self.warn(&at, &format!("`{}` is skipped: expected {expected}", shown(&name))),
        };
        match attachments.get(&filename) {
            Some(other) if other.sha256 == sha256 => {}
            Some(_) => self.problem(&at, &format!("another file is named `{filename}`, too, and has another digest")),
            None => _ = attachments.insert(filename.clone(), NewFile { filename, size_bytes, sha256, key, content_type }),
        }
    }
}

/// Checksums files.
impl Reader<'_> {
    fn checksums(&mut self, lines: &[Checksum<'_>]) -> Option<ManifestText> {
        if self.options.base_url.is_some() {
            self.problem("", "--base-url is for documents that hold addresses; a checksums file has none");
        }
        let version = match self.options.version {
            Some(version) => Some(version.clone()),
            None => self.version_of(lines),
        };
        let mut seen: BTreeMap<&str, (usize, Sha256)> = BTreeMap::new();
        let mut candidates = Vec::new();
        for Checksum { line, hex, path } in lines {
            let at = format!("line {line}");
            let sha256 = match digest(hex) {
                Ok(sha256) => sha256,
                Err(expected) => {
                    self.mismatch(&at, expected, hex);
                    continue;
                }
            };
            if let Some((first, other)) = seen.insert(path, (*line, sha256)) {
                if other != sha256 {
                    self.problem(&at, &format!("`{}` has another digest in line {first}", shown(path)));
                }
                continue;
            }
            let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
            let platform = self.platform(&at, &name, path);
            candidates.push(Candidate {
                at,
                name,
                platform,
                size_bytes: None,
                sha256: Some(sha256),
                content_type: None,
                key: None,
            });
        }
        let version = version?;
        let (artifacts, attachments) = self.arrange(&version, candidates);
        self.warn(
            "",
            &format!(
                "does not say when `{version}` was published; write `published_at` into its manifest before it is frozen as null"
            ),
        );
        Some(ManifestText { artifacts, attachments, ..self.bare(version) })
    }

    /// The one version that the files' names speak of.
    fn version_of(&mut self, lines: &[Checksum<'_>]) -> Option<Version> {
        let versions: BTreeSet<Version> = lines.iter().flat_map(|line| versions_in(line.path)).collect();
        match versions.len() {
            0 => self.problem("", "no version can be read from its file names; say it with --version VERSION"),
            1 => return versions.into_iter().next(),
            _ => {
                let names: Vec<String> = versions.iter().take(5).map(|version| format!("`{version}`")).collect();
                let advice = "import one version at a time, or say with --version VERSION which it is";
                self.problem("", &format!("its file names speak of several versions ({}); {advice}", names.join(", ")));
            }
        }
        None
    }
}

/// Whether a file of this name is something to run: an installer, an archive, or a program without an ending.
fn may_install(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    // The last dot may belong to a version: `agent-1.8.3-linux-x86_64`.
    let bare = ending.is_empty()
        || ending.len() > 10
        || !ending.bytes().all(|b| b.is_ascii_alphanumeric())
        || ending.bytes().all(|b| b.is_ascii_digit());
    bare || ends_in(name, INSTALLERS)
}

fn ends_in(name: &str, endings: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    endings.iter().any(|ending| lower.ends_with(ending))
}

/// The place of a field.
fn field(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// Text of any kind, which somebody else looks at.
fn any_text(text: &str) -> Result<String, Expected> {
    if text.is_empty() { Err("text") } else { Ok(text.to_owned()) }
}

/// A digest in either letter case: the digest of nothing is a mistake in whatever made the document.
fn digest(text: &str) -> Result<Sha256, Expected> {
    let digest = Sha256::parse(&text.to_ascii_lowercase()).map_err(|_| "64 hex digits")?;
    if digest == Sha256::of(b"") { Err("the digest of a file that is not empty") } else { Ok(digest) }
}
