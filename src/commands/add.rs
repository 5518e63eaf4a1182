//! `add`: from files to a release: hashed, guessed, stored, and written down.

use super::console::{Console, counted};
use super::edits::{lock_sources, time, word};
use super::fragment::{self, word_or_none, words};
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::artifacts::{Hashed, hash, oddity, store};
use agent_releases::catalog;
use agent_releases::compile::baseline;
use agent_releases::problem::{Problem, Severity};
use agent_releases::source::edit::{Edit, Plain, edit};
use agent_releases::source::{
    ArtifactEntry, AttachmentEntry, Manifest, ManifestText, NewFile, Sources, guess, load, reread, write_source,
};
use agent_releases::words::{
    Channel, FileName, Guid, HttpsUrl, KeyParts, Platform, Sha256, StorageKey, Timestamp, Version, Word,
};
use clap::Args;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Hash files, store their bytes under their storage keys, and write the release's manifest.
///
/// The same again changes nothing. More files for a release that is not published yet join it. Other bytes for a
/// published release are refused: release a new version instead. Where several machines build a release, each writes its
/// files into a fragment (--into), and one puts all of them together (--join).
#[derive(Args)]
pub struct Arguments {
    /// The version
    #[arg(value_parser = word::<Version>, required_unless_present = "join")]
    version: Option<Version>,
    /// Installers: PLATFORM=FILE, or FILE alone, whose platform is guessed from its name and shown.
    /// Platforms: windows-x86_64, macos-arm64, macos-x86_64, linux-x86_64, linux-arm64
    #[arg(value_name = "[PLATFORM=]FILE")]
    files: Vec<String>,
    #[command(flatten)]
    about: About,
    /// Another file that belongs to the release: a package, an SBOM, a signature (repeatable)
    #[arg(long = "attach", value_name = "FILE")]
    attachments: Vec<PathBuf>,
    /// Write into this new folder instead, a fragment of a release that `add --join` puts together; needs no sources
    #[arg(long, value_name = "FRAGMENT")]
    into: Option<PathBuf>,
    /// Add what these fragments hold, all of them together or none
    #[arg(long, value_name = "FRAGMENT", num_args = 1.., conflicts_with_all = ["into", "files", "attachments"])]
    join: Vec<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    folders: Folders,
}

/// What a new release says of itself.
#[derive(Args, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct About {
    /// A channel to put it into (repeatable); none by default, because publishing is not promotion
    #[arg(long = "channel", value_name = "CHANNEL", value_parser = word::<Channel>)]
    #[serde(with = "words")]
    pub(super) channels: Vec<Channel>,
    /// When it was published; default: now, for a draft when it is undrafted
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[serde(with = "word_or_none")]
    pub(super) published_at: Option<Timestamp>,
    /// Where its notes can be read
    #[arg(long, value_name = "URL", value_parser = word::<HttpsUrl>)]
    #[serde(with = "word_or_none")]
    pub(super) notes_url: Option<HttpsUrl>,
    /// Short notes, which the Active API shows
    #[arg(long, value_name = "TEXT")]
    pub(super) notes: Option<String>,
    /// Not to be published yet
    #[arg(long)]
    pub(super) draft: bool,
    /// The Active API offers it even when its channel does not
    #[arg(long)]
    pub(super) active: bool,
}

/// What is to be added: from the command line, or from fragments.
pub(super) struct Addition {
    pub(super) version: Version,
    pub(super) about: About,
    strict: bool,
    folders: Folders,
}

/// A file on its way in; `platform` is `None` for an attachment.
struct Incoming {
    platform: Option<Platform>,
    path: PathBuf,
    filename: FileName,
    hashed: Hashed,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let (addition, incoming) = match &arguments.version {
        Some(version) if arguments.join.is_empty() => {
            let incoming = hash_all(name_files(arguments, console)?, console)?;
            (Addition::new(version.clone(), arguments.about.clone(), arguments), incoming)
        }
        version => {
            let joined = fragment::join(&arguments.join, version.as_ref(), &arguments.about)?;
            let incoming = hash_all(joined.files(), console)?;
            joined.verify(incoming.iter().map(|file| (file.path.as_path(), file.hashed.sha256)))?;
            (Addition::new(joined.version, joined.about, arguments), incoming)
        }
    };
    match &arguments.into {
        Some(folder) => {
            let warnings = warned(&addition, &incoming)?;
            console.warnings(&warnings);
            let files = incoming.iter().map(|file| (file.platform, file.path.as_path(), &file.filename, &file.hashed));
            fragment::write(folder, &addition, files)?;
            console.result(&format!(
                "{}: a fragment of {}, {}",
                folder.display(),
                addition.version,
                counted(incoming.len(), "file")
            ));
            Ok(Exit::Fine)
        }
        None => add(&addition, &incoming, console),
    }
}

/// What is odd, unless it is too odd.
fn warned(arguments: &Addition, incoming: &[Incoming]) -> Result<Vec<Problem>, Failure> {
    let warnings = look(incoming, arguments.about.published_at.as_ref());
    if arguments.strict && !warnings.is_empty() {
        return Err(warnings.into_iter().map(Problem::error).collect::<Vec<_>>().into());
    }
    Ok(warnings)
}

fn add(arguments: &Addition, incoming: &[Incoming], console: &Console) -> Outcome {
    let _held = lock_sources(&arguments.folders.releases)?;
    let sources = open(&arguments.folders.releases)?;
    let mut warnings = warned(arguments, incoming)?;
    let there = sources.manifests.iter().position(|manifest| manifest.version.value == arguments.version);
    let text = match there.and_then(|at| sources.manifests.get(at)) {
        None => new_manifest(arguments, incoming)?,
        Some(manifest) => {
            match refuse_other_flags(arguments, manifest).and_then(|()| extended(arguments, manifest, incoming))? {
                Some(text) => text,
                None => {
                    // The manifest may have come without the bytes, as from version control.
                    put_bytes(arguments, &sources, incoming, console)?;
                    console.result(&format!("nothing to do: {} holds these files already", arguments.version));
                    return Ok(Exit::Fine);
                }
            }
        }
    };
    let name = format!("{}.yaml", arguments.version);
    let mut after = sources;
    reread(&mut after, &name, &text)?;
    warnings.extend(verify(arguments, &after)?);
    console.warnings(&warnings);
    put_bytes(arguments, &after, incoming, console)?;
    let path = arguments.folders.releases.join(name);
    write_source(&path, &text)?;
    console.result(&format!("{}: {}", path.display(), if there.is_some() { "extended" } else { "written" }));
    Ok(Exit::Fine)
}

impl Addition {
    fn new(version: Version, about: About, arguments: &Arguments) -> Self {
        Self { version, about, strict: arguments.strict, folders: arguments.folders.clone() }
    }
}

fn open(folder: &Path) -> Result<Sources, Failure> {
    let mut problems = Vec::new();
    let sources = load(folder, &mut problems);
    match sources {
        Some(sources) if problems.is_empty() => Ok(sources),
        _ => Err(problems.into()),
    }
}

/// Which file is for which platform, and under which name.
fn name_files(arguments: &Arguments, console: &Console) -> Result<Vec<(Option<Platform>, PathBuf, FileName)>, Failure> {
    let mut named: Vec<(Option<Platform>, PathBuf, FileName)> = Vec::new();
    for argument in &arguments.files {
        let said = argument.split_once('=').and_then(|(platform, file)| Some((Platform::parse(platform).ok()?, file)));
        let (platform, path) = match said {
            Some((platform, file)) => (platform, PathBuf::from(file)),
            None => {
                let path = PathBuf::from(argument);
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let platform =
                    guess(&name).map_err(|why| Failure::Usage(format!("{name}: {why}; say it outright: PLATFORM=FILE")))?;
                console.say(&format!("{name}: {platform} (guessed from its name)"));
                (platform, path)
            }
        };
        if let Some((_, other, _)) = named.iter().find(|(taken, _, _)| *taken == Some(platform)) {
            return Err(Failure::Usage(format!("{} and {} are both for {platform}", other.display(), path.display())));
        }
        let filename = file_name(&path)?;
        named.push((Some(platform), path, filename));
    }
    for path in &arguments.attachments {
        let filename = file_name(path)?;
        if named.iter().any(|(platform, _, other)| platform.is_none() && *other == filename) {
            return Err(Failure::Usage(format!("{filename} is attached twice")));
        }
        named.push((None, path.clone(), filename));
    }
    if named.is_empty() {
        Err(Failure::Usage("no files: name at least one installer or --attach FILE".to_owned()))
    } else {
        Ok(named)
    }
}

fn file_name(path: &Path) -> Result<FileName, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    FileName::parse(&name).map_err(|expected| {
        Problem::of_file(path.display(), format!("expected {expected}, found `{}`", agent_releases::problem::shown(&name))).into()
    })
}

/// Hashes all files side by side, with progress on a terminal.
fn hash_all(named: Vec<(Option<Platform>, PathBuf, FileName)>, console: &Console) -> Result<Vec<Incoming>, Failure> {
    let total: u64 = named.iter().filter_map(|(_, path, _)| std::fs::metadata(path).ok()).map(|metadata| metadata.len()).sum();
    let (done, finished) = (AtomicU64::new(0), AtomicBool::new(false));
    let results: Vec<Result<Incoming, Problem>> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !finished.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(100));
                let mib = |bytes: u64| bytes / (1 << 20);
                console.progress(&format!("hashing {} of {} MiB", mib(done.load(Ordering::Relaxed)), mib(total)));
            }
            console.progress("");
        });
        let results = named
            .into_par_iter()
            .map(|(platform, path, filename)| {
                let hashed = hash(&path, |bytes| _ = done.fetch_add(bytes, Ordering::Relaxed))
                    .map_err(|why| Problem::of_file(path.display(), why))?;
                Ok(Incoming { platform, path, filename, hashed })
            })
            .collect();
        finished.store(true, Ordering::Relaxed);
        results
    });
    let (files, problems): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let problems: Vec<Problem> = problems.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(files.into_iter().filter_map(Result::ok).collect()) } else { Err(problems.into()) }
}

/// What is odd about the files and the time.
fn look(incoming: &[Incoming], published_at: Option<&Timestamp>) -> Vec<Problem> {
    let odd = incoming.iter().filter_map(|file| {
        Some(Problem::of_file(file.path.display(), oddity(file.filename.as_str(), &file.hashed.head)?).warning())
    });
    let mut warnings: Vec<Problem> = odd.collect();
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).unwrap_or(jiff::Timestamp::MAX);
    if let Some(time) = published_at.filter(|time| time.moment().is_none_or(|moment| moment > tomorrow)) {
        warnings.push(Problem::general(format!("published_at: `{time}` is more than a day ahead")).warning());
    }
    warnings
}

fn new_manifest(arguments: &Addition, incoming: &[Incoming]) -> Result<String, Failure> {
    let now = if arguments.about.draft { None } else { Timestamp::from_clock(jiff::Timestamp::now()).ok() };
    let mut artifacts: Vec<(Platform, NewFile)> =
        incoming.iter().filter_map(|file| Some((file.platform?, file.entry()))).collect();
    artifacts.sort_by_key(|(platform, _)| *platform);
    let manifest = ManifestText {
        version: arguments.version.clone(),
        channels: arguments.about.channels.clone(),
        published_at: arguments.about.published_at.clone().or(now),
        notes_url: arguments.about.notes_url.clone(),
        notes: arguments.about.notes.clone(),
        guid: Guid::from_uuid(uuid::Uuid::now_v7().as_u128()),
        draft: arguments.about.draft,
        active: arguments.about.active,
        artifacts,
        attachments: incoming.iter().filter(|file| file.platform.is_none()).map(Incoming::entry).collect(),
    };
    Ok(manifest.to_string())
}

/// The manifest with the files that it does not hold yet; `None` when it holds them all.
fn extended(arguments: &Addition, manifest: &Manifest, incoming: &[Incoming]) -> Result<Option<String>, Failure> {
    let version = arguments.version.as_str();
    let published = baseline(&arguments.folders.options())?.iter().any(|published| published.versions().contains(version));
    let mut edits = Vec::new();
    for file in incoming {
        match file.recorded(manifest) {
            Recorded::Same => {}
            Recorded::Absent if !published => edits.push(file.edit()),
            Recorded::Absent => {
                return Err(Failure::refused(format!(
                    "{} is published; {} cannot join it any more, release a new version",
                    arguments.version, file.filename
                )));
            }
            Recorded::Other(_) if manifest.draft && !published => edits.extend(file.new_bytes()),
            Recorded::Other(sha256) => {
                return Err(Failure::refused(format!(
                    "{}: {} (SHA-256 {}) is not the file that the release holds there ({sha256}); a release's bytes never change, release a new version",
                    arguments.version, file.filename, file.hashed.sha256
                )));
            }
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    Ok(Some(edit(&manifest.file.text, &edits).map_err(|why| Problem::of_file(&manifest.file.path, why))?))
}

/// Flags describe a new release; for one that is there they may only repeat what its manifest says.
fn refuse_other_flags(arguments: &Addition, manifest: &Manifest) -> Result<(), Failure> {
    let differs = [
        ("--channel", arguments.about.channels.iter().any(|channel| manifest.channels.iter().all(|at| at.value != *channel))),
        (
            "--published-at",
            arguments.about.published_at.is_some()
                && arguments.about.published_at.as_ref() != manifest.published_at.as_ref().map(|at| &at.value),
        ),
        (
            "--notes-url",
            arguments.about.notes_url.is_some()
                && arguments.about.notes_url.as_ref() != manifest.notes_url.as_ref().map(|at| &at.value),
        ),
        (
            "--notes",
            arguments.about.notes.is_some() && arguments.about.notes.as_ref() != manifest.notes.as_ref().map(|at| &at.value),
        ),
        ("--draft", arguments.about.draft && !manifest.draft),
        ("--active", arguments.about.active && !manifest.active.as_ref().is_some_and(|at| at.value)),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((flag, _)) => Err(Failure::Usage(format!(
            "{flag}: {} has a manifest already, which says otherwise; edit {} or use `promote`",
            arguments.version, manifest.file.path
        ))),
        None => Ok(()),
    }
}

/// What a manifest says of a file.
enum Recorded {
    Same,
    Absent,
    Other(String),
}

impl Incoming {
    fn entry(&self) -> NewFile {
        NewFile {
            filename: self.filename.clone(),
            size_bytes: Some(self.hashed.size),
            sha256: Some(self.hashed.sha256),
            key: None,
            content_type: None,
        }
    }

    fn edit(&self) -> Edit {
        let bytes = [("size_bytes", Plain::Number(self.hashed.size)), ("sha256", Plain::Text(self.hashed.sha256.hex()))];
        match self.platform {
            Some(platform) => {
                let fields = std::iter::once(("filename", Plain::Text(self.filename.to_string()))).chain(bytes).collect();
                Edit::Set(vec!["artifacts".into(), platform.to_string()], Plain::Table(fields))
            }
            None => Edit::Set(vec!["attachments".into(), self.filename.to_string()], Plain::Table(bytes.into())),
        }
    }

    /// Other bytes for a draft: what else its entry says stays.
    fn new_bytes(&self) -> Vec<Edit> {
        let at = |field: &str| match self.platform {
            Some(platform) => vec!["artifacts".into(), platform.to_string(), field.into()],
            None => vec!["attachments".into(), self.filename.to_string(), field.into()],
        };
        let filename = self.platform.map(|_| Edit::Set(at("filename"), Plain::Text(self.filename.to_string())));
        let bytes = [
            Edit::Set(at("size_bytes"), Plain::Number(self.hashed.size)),
            Edit::Set(at("sha256"), Plain::Text(self.hashed.sha256.hex())),
            Edit::Remove(at("unverified")),
        ];
        filename.into_iter().chain(bytes).collect()
    }

    fn recorded(&self, manifest: &Manifest) -> Recorded {
        let artifact = |entry: &ArtifactEntry| (entry.filename.value == self.filename, entry.sha256.as_ref().map(|at| at.value));
        let attachment = |entry: &AttachmentEntry| (true, Some(entry.sha256.value));
        let found: Option<(bool, Option<Sha256>)> = match self.platform {
            Some(platform) => manifest.artifacts.iter().find(|(at, _)| at.value == platform).map(|(_, entry)| artifact(entry)),
            None => manifest.attachments.iter().find(|(at, _)| at.value == self.filename).map(|(_, entry)| attachment(entry)),
        };
        match found {
            None => Recorded::Absent,
            Some((true, Some(sha256))) if sha256 == self.hashed.sha256 => Recorded::Same,
            Some((_, Some(sha256))) => Recorded::Other(format!("SHA-256 {sha256}")),
            Some((_, None)) => Recorded::Other("unverified".to_owned()),
        }
    }
}

/// Checks the whole collection as it will be.
fn verify(arguments: &Addition, after: &Sources) -> Result<Vec<Problem>, Failure> {
    let mut problems = Vec::new();
    let checked = catalog::check(after, &mut problems);
    if let Some(catalog) = &checked {
        for published in baseline(&arguments.folders.options())? {
            published.check(catalog, after, &mut problems);
        }
    }
    let fine = checked.is_some() && problems.iter().all(|problem| problem.severity() == Severity::Warning && !arguments.strict);
    if fine { Ok(problems) } else { Err(problems.into()) }
}

/// Puts each file's bytes under its storage key.
fn put_bytes(arguments: &Addition, sources: &Sources, incoming: &[Incoming], console: &Console) -> Result<(), Failure> {
    let Some(catalog) = &sources.catalog else { return Ok(()) };
    let mut problems = Vec::new();
    for file in incoming {
        match own_key(sources, arguments, file).map_or_else(|| file.key(arguments, &catalog.storage.key), Ok) {
            Ok(key) => match store(&file.path, &arguments.folders.artifacts, &key, &file.hashed) {
                Ok(true) => console.result(&format!(
                    "{}: {} bytes, SHA-256 {}",
                    arguments.folders.artifacts.join(key.as_str()).display(),
                    file.hashed.size,
                    file.hashed.sha256
                )),
                Ok(false) => {}
                Err(why) => problems.push(Problem::general(why)),
            },
            Err(why) => problems.push(Problem::of_file(file.path.display(), why)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn own_key(sources: &Sources, arguments: &Addition, file: &Incoming) -> Option<StorageKey> {
    let manifest = sources.manifests.iter().find(|manifest| manifest.version.value == arguments.version)?;
    match file.platform {
        Some(platform) => {
            manifest.artifacts.iter().find(|(at, _)| at.value == platform)?.1.key.as_ref().map(|at| at.value.clone())
        }
        None => manifest.attachments.iter().find(|(at, _)| at.value == file.filename)?.1.key.as_ref().map(|at| at.value.clone()),
    }
}

impl Incoming {
    fn key(&self, arguments: &Addition, template: &agent_releases::words::KeyTemplate) -> Result<StorageKey, String> {
        let parts = KeyParts {
            version: &arguments.version,
            filename: &self.filename,
            sha256: &self.hashed.sha256,
            platform: self.platform,
        };
        template.key(parts).map_err(|expected| format!("its storage key is not valid: expected {expected}"))
    }
}
