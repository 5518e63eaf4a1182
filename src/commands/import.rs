//! `import`: a foreign document into manifests: all of them checked with everything that is there, then all written.

use super::console::Console;
use super::edits::{lock_sources, word};
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::catalog;
use agent_releases::compile::baseline;
use agent_releases::problem::{Problem, Severity, escaped};
use agent_releases::source::import::{ImportedRelease, MAX_INPUT, Options, read};
use agent_releases::source::{MAX_MANIFEST, Manifest, ManifestText, Sources, load, reread, write_source};
use agent_releases::words::{BaseUrl, Channel, Guid, Sha256, Version};
use clap::Args;
use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::{Path, PathBuf};

/// A folder of sources holds at most this many releases.
const MAX_RELEASES: usize = 100_000;

/// Turn a document into manifests: releases of V2 or V1, releases of GitHub, or checksums.
///
/// Its content shows which of them it is. A release whose manifest is there already is left alone, and nothing is
/// written unless everything is fine.
#[derive(Args)]
pub struct Arguments {
    /// The document; - is the standard input
    file: PathBuf,
    /// The version that a checksums file is about, when its file names do not say
    #[arg(long, value_name = "VERSION", value_parser = word::<Version>)]
    version: Option<Version>,
    /// A channel to put the releases into (repeatable), instead of the one that the document says
    #[arg(long = "channel", value_name = "CHANNEL", value_parser = word::<Channel>)]
    channels: Vec<Channel>,
    /// Where the files lie: one whose address begins so keeps the rest of its address as its storage key
    #[arg(long, value_name = "URL-PREFIX", value_parser = base_url)]
    base_url: Option<BaseUrl>,
    /// Print the manifests instead of writing them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    folders: Folders,
}

fn base_url(text: &str) -> Result<BaseUrl, String> {
    BaseUrl::parse(text, false).map_err(|expected| format!("expected {expected}"))
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    if arguments.channels.iter().any(|channel| channel.as_str() == Channel::LATEST) {
        return Err(Failure::Usage("every published release is in `latest`; it is not named".to_owned()));
    }
    let (file, text) = input(&arguments.file)?;
    let options = Options {
        file: &file,
        version: arguments.version.as_ref(),
        channels: &arguments.channels,
        base_url: arguments.base_url.as_ref(),
    };
    let mut problems = Vec::new();
    let imported = read(&text, &options, || Guid::from_uuid(uuid::Uuid::now_v7().as_u128()), &mut problems);
    let _held = lock_sources(&arguments.folders.releases)?;
    let mut found = Vec::new();
    let Some(mut sources) = load(&arguments.folders.releases, &mut found) else {
        problems.extend(found);
        return Err(problems.into());
    };
    let (there, mut new) =
        imported.releases.into_iter().partition::<Vec<_>, _>(|release| is_there(&sources, &release.manifest.version));
    problems.extend(new.iter_mut().flat_map(|release| release.warnings.drain(..)));
    found.extend(there.iter().flat_map(|release| differences(&sources, &release.manifest)));
    problems.extend(undeclared(&options, &sources, &mut new));
    problems.extend(elsewhere(arguments, &sources));
    let manifests = insert(&new, &mut sources, &mut found);
    verify(arguments, &sources, &mut found);
    Problem::sort(&mut found);
    problems.extend(found);
    if problems.iter().any(|problem| problem.severity() != Severity::Warning) {
        return Err(problems.into());
    }
    console.warnings(&problems);
    if arguments.dry_run {
        show(arguments, &manifests, console);
    } else {
        write(arguments, &manifests, console)?;
    }
    // With --dry-run, stdout is for manifests alone.
    let tell = |line: &str| if arguments.dry_run { console.say(line) } else { console.result(line) };
    for release in &there {
        tell(&format!("{}: already there", release.manifest.version));
    }
    tell(&summary(arguments.dry_run, manifests.len(), there.len(), imported.skipped));
    Ok(Exit::Fine)
}

/// The document's name for messages, and its text.
fn input(path: &Path) -> Result<(String, String), Failure> {
    let take = |from: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        from.take(MAX_INPUT.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let (name, bytes) = if path == Path::new("-") {
        ("standard input".to_owned(), take(&mut stdin().lock()))
    } else {
        (escaped(&path.display().to_string()), File::open(path).and_then(|mut file| take(&mut file)))
    };
    let bytes = bytes.map_err(|error| Problem::of_file(&name, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(Problem::of_file(&name, format!("is larger than {} MiB", MAX_INPUT >> 20)).into());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::of_file(&name, "is UTF-16; save it as UTF-8").into());
    }
    let text = String::from_utf8(bytes).map_err(|_| Problem::of_file(&name, "is not UTF-8"))?;
    Ok((name, text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

/// Whether a release has a manifest, be it one with problems.
fn is_there(sources: &Sources, version: &Version) -> bool {
    sources.broken.contains(version.as_str()) || manifest(sources, version).is_some()
}

fn manifest<'a>(sources: &'a Sources, version: &Version) -> Option<&'a Manifest> {
    sources.manifests.iter().find(|manifest| manifest.version.value == *version)
}

/// What the document says otherwise about a release that is there already: a warning for each file with another digest.
fn differences(sources: &Sources, imported: &ManifestText) -> Vec<Problem> {
    let Some(manifest) = manifest(sources, &imported.version) else { return Vec::new() };
    let digest = |sha256: Option<Sha256>| sha256.map_or("unknown".to_owned(), |sha256| format!("`{sha256}`"));
    let differ = |name: String, here: Option<Sha256>, there: Option<Sha256>| {
        let message =
            format!("{name}.sha256: {} here, but {} in the import; the manifest is left alone", digest(here), digest(there));
        (there.is_some() && here != there).then(|| Problem::of_file(&manifest.file.path, message).warning())
    };
    let artifacts = imported.artifacts.iter().filter_map(|(platform, file)| {
        let (_, here) = manifest.artifacts.iter().find(|(at, _)| at.value == *platform)?;
        differ(format!("artifacts.{platform}"), here.sha256.as_ref().map(|at| at.value), file.sha256)
    });
    let attachments = imported.attachments.iter().filter_map(|file| {
        let (name, here) = manifest.attachments.iter().find(|(at, _)| at.value == file.filename)?;
        differ(format!("attachments.{}", name.value), Some(here.sha256.value), file.sha256)
    });
    artifacts.chain(attachments).collect()
}

/// Channels that the catalog does not declare, each once, at the first release that wants to be in it. They are taken out,
/// so that nobody complains about them again.
fn undeclared(options: &Options<'_>, sources: &Sources, new: &mut [ImportedRelease]) -> Vec<Problem> {
    let Some(catalog) = &sources.catalog else { return Vec::new() };
    let declared = |channel: &Channel| {
        channel.as_str() == Channel::STABLE || catalog.channels.iter().any(|entry| entry.name.value == *channel)
    };
    let mut told: Vec<Channel> = Vec::new();
    let mut problems = Vec::new();
    for ImportedRelease { at, manifest, .. } in new {
        for channel in manifest.channels.iter().filter(|channel| !declared(channel)) {
            if told.contains(channel) {
                continue;
            }
            let advice = format!(
                "the catalog declares no channel `{channel}`; to declare it, write `{channel}: {{}}` below `channels:` in {}",
                catalog.file.path
            );
            problems.push(match (options.channels.is_empty(), at.as_str()) {
                (false, _) => Problem::general(format!("--channel: {advice}")),
                (true, "") => Problem::of_file(options.file, format!("channel: {advice}")),
                (true, at) => Problem::of_file(options.file, format!("{at}.channel: {advice}")),
            });
            told.push(channel.clone());
        }
        manifest.channels.retain(declared);
    }
    problems
}

/// Keys that were cut off one address lead nowhere below another.
fn elsewhere(arguments: &Arguments, sources: &Sources) -> Option<Problem> {
    let (wanted, catalog) = (arguments.base_url.as_ref()?, sources.catalog.as_ref()?);
    let there = catalog.storage.base_url.as_ref();
    let storage = there.map_or("is not set".to_owned(), |there| format!("is `{there}`"));
    (there != Some(wanted)).then(|| {
        Problem::of_file(&catalog.file.path, format!("storage.base_url {storage}, but the imported keys lie below `{wanted}`"))
            .warning()
    })
}

/// Puts the new manifests among the sources, as if they had been read; returns their names and texts.
fn insert(new: &[ImportedRelease], sources: &mut Sources, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    let mut manifests = Vec::new();
    if sources.manifests.len().saturating_add(new.len()) > MAX_RELEASES {
        problems.push(Problem::of_file(
            sources.folder.display(),
            format!("{} releases more; at most {MAX_RELEASES} are supported", new.len()),
        ));
        return manifests;
    }
    for ImportedRelease { manifest, .. } in new {
        let (name, text) = (format!("{}.yaml", manifest.version), manifest.to_string());
        if text.len() as u64 > MAX_MANIFEST {
            problems.push(Problem::of_file(
                sources.folder.join(&name).display(),
                format!("would be larger than {} MiB", MAX_MANIFEST >> 20),
            ));
            continue;
        }
        match reread(sources, &name, &text) {
            Ok(()) => manifests.push((name, text)),
            Err(found) => problems.extend(found),
        }
    }
    manifests
}

/// Checks the whole collection as it will be, against every rule and against what is published.
fn verify(arguments: &Arguments, after: &Sources, problems: &mut Vec<Problem>) {
    let Some(catalog) = catalog::check(after, problems) else { return };
    match baseline(&arguments.folders.options()) {
        Ok(ledgers) => ledgers.iter().for_each(|published| published.check(&catalog, after, problems)),
        Err(problem) => problems.push(problem),
    }
}

fn show(arguments: &Arguments, manifests: &[(String, String)], console: &Console) {
    let path = |name: &str| arguments.folders.releases.join(name).display().to_string();
    let texts: Vec<String> = manifests.iter().map(|(name, text)| format!("# {}\n{text}", path(name))).collect();
    console.raw(texts.join("\n").as_bytes());
}

fn write(arguments: &Arguments, manifests: &[(String, String)], console: &Console) -> Result<(), Failure> {
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, text) in manifests {
        let path = arguments.folders.releases.join(name);
        if let Err(problem) = write_source(&path, text) {
            // None of them was there before, so all or nothing is easy.
            for path in &written {
                let _ = std::fs::remove_file(path);
            }
            return Err(problem.into());
        }
        written.push(path);
    }
    for path in &written {
        console.result(&format!("{}: written", path.display()));
    }
    Ok(())
}

/// `3 releases written, 1 already there, 2 skipped`.
fn summary(dry_run: bool, new: usize, there: usize, skipped: usize) -> String {
    let noun = if new == 1 { "release" } else { "releases" };
    let done = if dry_run { "would be written" } else { "written" };
    let parts = [
        (new, format!("{new} {noun} {done}")),
        (there, format!("{there} already there")),
        (skipped, format!("{skipped} skipped")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
    if parts.is_empty() { "nothing to import: there is no release in it".to_owned() } else { parts.join(", ") }
}
