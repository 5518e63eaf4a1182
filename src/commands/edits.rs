//! `promote`, `demote`, `pin`, `unpin`, `yank`, `recall`, `undraft`: one line of a source file changed, everything checked
//! before it is written, and what it does to the channels told.

use super::console::Console;
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::catalog::{self, Catalog};
use agent_releases::compile::baseline;
use agent_releases::files::lock;
use agent_releases::problem::{Problem, Severity, SourceFile};
use agent_releases::source::edit::{Edit, Plain, edit};
use agent_releases::source::{CATALOG, CatalogFile, Manifest, Sources, load, reread, write_source};
use agent_releases::words::{Channel, Reason, Timestamp, Version, Word};
use clap::Args;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A release and a channel.
#[derive(Args)]
pub struct Channelled {
    /// The release
    #[arg(value_parser = word::<Version>)]
    version: Version,
    /// The channel
    #[arg(value_parser = word::<Channel>)]
    channel: Channel,
    #[command(flatten)]
    folders: Folders,
}

/// A channel, and where to hold it.
#[derive(Args)]
pub struct Pin {
    /// The channel
    #[arg(value_parser = word::<Channel>)]
    channel: Channel,
    /// The release to hold it at
    #[arg(value_parser = word::<Version>)]
    version: Version,
    /// Why
    #[arg(long, value_parser = word::<Reason>)]
    reason: Reason,
    #[command(flatten)]
    folders: Folders,
}

/// A channel to let go.
#[derive(Args)]
pub struct Unpin {
    /// The channel
    #[arg(value_parser = word::<Channel>)]
    channel: Channel,
    #[command(flatten)]
    folders: Folders,
}

/// A release to withdraw.
#[derive(Args)]
pub struct Withdraw {
    /// The release
    #[arg(value_parser = word::<Version>)]
    version: Version,
    /// Why; fleets see it
    #[arg(long, value_parser = word::<Reason>, required_unless_present = "undo")]
    reason: Option<Reason>,
    /// Take it back
    #[arg(long, conflicts_with_all = ["reason", "repin", "unpin"])]
    undo: bool,
    /// Hold the channels that are pinned at this release at another one
    #[arg(long, value_name = "VERSION", value_parser = word::<Version>, conflicts_with = "unpin")]
    repin: Option<Version>,
    /// Let the channels go that are pinned at this release
    #[arg(long)]
    unpin: bool,
    #[command(flatten)]
    folders: Folders,
}

/// A draft to publish.
#[derive(Args)]
pub struct Undraft {
    /// The release
    #[arg(value_parser = word::<Version>)]
    version: Version,
    /// When it was published; default: what the manifest says, else now
    #[arg(long, value_name = "TIME", value_parser = time)]
    published_at: Option<Timestamp>,
    #[command(flatten)]
    folders: Folders,
}

/// A word on the command line.
pub(super) fn word<T: Word>(text: &str) -> Result<T, String> {
    T::parse(text).map_err(|expected| format!("expected {expected}"))
}

/// A time on the command line.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_input(text).map_err(|expected| format!("expected {expected}"))
}

pub(super) fn promote(arguments: &Channelled, console: &Console) -> Outcome {
    let Channelled { version, channel, folders } = arguments;
    let mut session = Session::open(folders)?;
    if session.manifest(version)?.channels.iter().any(|at| at.value == *channel) {
        return nothing(console, &format!("{version} is already in {channel}"));
    }
    session.edit_manifest(version, &[Edit::Push("channels".into(), channel.to_string())])?;
    session.finish(console)
}

pub(super) fn demote(arguments: &Channelled, console: &Console) -> Outcome {
    let Channelled { version, channel, folders } = arguments;
    let mut session = Session::open(folders)?;
    session.refuse_undeclared(channel)?;
    if !session.manifest(version)?.channels.iter().any(|at| at.value == *channel) {
        return nothing(console, &format!("{version} is not in {channel}"));
    }
    session.edit_manifest(version, &[Edit::Pull("channels".into(), channel.to_string())])?;
    session.finish(console)
}

pub(super) fn pin(arguments: &Pin, console: &Console) -> Outcome {
    let Pin { channel, version, reason, folders } = arguments;
    let mut session = Session::open(folders)?;
    session.edit_catalog(&pin_edits(&session.pins(), channel, version, reason))?;
    session.finish(console)
}

/// Into a pin that is there, field by field, so that its comments stay; else as a whole.
fn pin_edits(pins: &[(Channel, Version, Reason)], channel: &Channel, version: &Version, reason: &Reason) -> Vec<Edit> {
    let path = |field: &str| vec!["channels".into(), channel.to_string(), field.into()];
    let (pin, why) = (Plain::Text(version.to_string()), Plain::Text(reason.to_string()));
    if pins.iter().any(|(pinned, _, _)| pinned == channel) {
        return vec![Edit::Set(path("pin"), pin), Edit::Set(path("reason"), why)];
    }
    let braces = Plain::Braces(vec![("pin", pin), ("reason", why)]);
    vec![Edit::Set(vec!["channels".into(), channel.to_string()], braces)]
}

pub(super) fn unpin(arguments: &Unpin, console: &Console) -> Outcome {
    let Unpin { channel, folders } = arguments;
    let mut session = Session::open(folders)?;
    if session.pins().iter().all(|(pinned, _, _)| pinned != channel) {
        if channel.as_str() != Channel::LATEST {
            session.refuse_undeclared(channel)?;
        }
        return nothing(console, &format!("{channel} is not pinned"));
    }
    session.edit_catalog(&unpin_edits(channel))?;
    session.finish(console)
}

fn unpin_edits(channel: &Channel) -> [Edit; 1] {
    [Edit::Set(vec!["channels".into(), channel.to_string()], Plain::Braces(Vec::new()))]
}

/// `yank` and `recall`, which differ by the key that they write.
pub(super) fn withdraw(key: &'static str, arguments: &Withdraw, console: &Console) -> Outcome {
    let Withdraw { version, reason, undo, repin, unpin, folders } = arguments;
    let mut session = Session::open(folders)?;
    let manifest = session.manifest(version)?;
    let there = if key == "yanked" { &manifest.yanked } else { &manifest.recalled };
    match reason {
        None if *undo && there.is_none() => return nothing(console, &format!("{version} is not {key}")),
        None => session.edit_manifest(version, &[Edit::Remove(vec![key.into()])])?,
        Some(reason) if there.as_ref().is_some_and(|at| at.value == *reason) => {
            let is_pinned = session.pins().iter().any(|(_, pin, _)| pin == version);
            if !is_pinned || (repin.is_none() && !unpin) {
                return nothing(console, &format!("{version} is already {key} for that reason"));
            }
            // Killed between the two files, an earlier run has left the pin to this one.
            session.move_pins(version, repin.as_ref(), *unpin)?;
        }
        Some(reason) => {
            session.move_pins(version, repin.as_ref(), *unpin)?;
            session.edit_manifest(version, &[Edit::Set(vec![key.into()], Plain::Text(reason.to_string()))])?;
        }
    }
    session.finish(console)
}

pub(super) fn undraft(arguments: &Undraft, console: &Console) -> Outcome {
    let Undraft { version, published_at, folders } = arguments;
    let mut session = Session::open(folders)?;
    let manifest = session.manifest(version)?;
    if !manifest.draft {
        return nothing(console, &format!("{version} is not a draft"));
    }
    let mut edits = vec![Edit::Remove(vec!["draft".into()])];
    let now = manifest.published_at.is_none().then(|| Timestamp::from_clock(jiff::Timestamp::now()).ok()).flatten();
    edits.extend(published_at.clone().or(now).map(|time| Edit::Set(vec!["published_at".into()], Plain::Text(time.to_string()))));
    session.edit_manifest(version, &edits)?;
    session.finish(console)
}

fn nothing(console: &Console, what: &str) -> Outcome {
    console.result(&format!("nothing to do: {what}"));
    Ok(Exit::Fine)
}

/// Sources being edited: nothing is written until all of it has been checked, and nobody else edits meanwhile.
struct Session<'a> {
    folders: &'a Folders,
    sources: Sources,
    /// `None` when the sources break a rule, which an edit may be there to mend.
    before: Option<Catalog>,
    edited: Vec<(PathBuf, Option<String>, String)>,
    _held: File,
}

impl<'a> Session<'a> {
    fn open(folders: &'a Folders) -> Result<Self, Failure> {
        let held = lock_sources(&folders.releases)?;
        let mut problems = Vec::new();
        let sources = load(&folders.releases, &mut problems);
        let Some(sources) = sources.filter(|_| problems.is_empty()) else {
            Problem::sort(&mut problems);
            return Err(problems.into());
        };
        let before = catalog::check(&sources, &mut problems);
        Ok(Self { folders, sources, before, edited: Vec::new(), _held: held })
    }

    fn manifest(&self, version: &Version) -> Result<&Manifest, Failure> {
        let found = self.sources.manifests.iter().find(|manifest| manifest.version.value == *version);
        found.ok_or_else(|| Failure::general(format!("there is no release `{version}` in {}", self.folders.releases.display())))
    }

    /// The channels that the catalog declares; `stable` is always one.
    fn refuse_undeclared(&self, channel: &Channel) -> Result<(), Failure> {
        let declared = |catalog: &CatalogFile| catalog.channels.iter().any(|entry| entry.name.value == *channel);
        if channel.as_str() == Channel::STABLE || self.sources.catalog.as_ref().is_some_and(declared) {
            return Ok(());
        }
        Err(match channel.as_str() {
            Channel::LATEST => Failure::general("every published release is in `latest`; yank a release to take it out"),
            _ => Failure::general(format!("the catalog declares no channel `{channel}`")),
        })
    }

    /// The channels that are pinned, with the release and the reason.
    fn pins(&self) -> Vec<(Channel, Version, Reason)> {
        let entries = self.sources.catalog.iter().flat_map(|catalog| &catalog.channels);
        let pinned = entries.filter_map(|entry| entry.pin.as_ref().map(|(pin, reason)| (entry, pin, reason)));
        pinned.map(|(entry, pin, reason)| (entry.name.value.clone(), pin.value.clone(), reason.clone())).collect()
    }

    fn edit_manifest(&mut self, version: &Version, edits: &[Edit]) -> Result<(), Failure> {
        let file = self.manifest(version)?.file.clone();
        self.replace(&format!("{version}.yaml"), &file, edits)
    }

    fn edit_catalog(&mut self, edits: &[Edit]) -> Result<(), Failure> {
        let Some(file) = self.sources.catalog.as_ref().map(|catalog| catalog.file.clone()) else { return Ok(()) };
        self.replace(CATALOG, &file, edits)
    }

    fn replace(&mut self, name: &str, file: &SourceFile, edits: &[Edit]) -> Result<(), Failure> {
        let text = edit(&file.text, edits).map_err(|why| Problem::of_file(&file.path, why))?;
        reread(&mut self.sources, name, &text)?;
        let path = self.folders.releases.join(name);
        match self.edited.iter_mut().find(|(other, _, _)| *other == path) {
            Some((_, _, new)) => *new = text,
            None => self.edited.push((path, Some(file.text.clone()), text)),
        }
        Ok(())
    }

    /// A pin at a release that is being withdrawn has to go somewhere.
    fn move_pins(&mut self, version: &Version, repin: Option<&Version>, unpin: bool) -> Result<(), Failure> {
        let pinned: Vec<_> = self.pins().into_iter().filter(|(_, pin, _)| pin == version).collect();
        if pinned.is_empty() && (repin.is_some() || unpin) {
            return Err(Failure::Usage(format!("no channel is pinned at `{version}`, so there is nothing to repin or unpin")));
        }
        for (channel, _, reason) in pinned {
            match (repin, unpin) {
                (Some(other), _) => self.edit_catalog(&pin_edits(&self.pins(), &channel, other, &reason))?,
                (None, true) => self.edit_catalog(&unpin_edits(&channel))?,
                (None, false) => {
                    return Err(Failure::general(format!(
                        "{channel} is pinned at `{version}`; say where it goes with --repin VERSION, or let it go with --unpin"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Checks everything as it would be, then writes. A manifest comes before the catalog: should only it be written, the
    /// pin names a withdrawn release, and nothing is built until somebody looks.
    fn finish(mut self, console: &Console) -> Outcome {
        let mut problems = Vec::new();
        let after = catalog::check(&self.sources, &mut problems);
        if let Some(after) = &after {
            for published in baseline(&self.folders.options())? {
                published.check(after, &self.sources, &mut problems);
            }
        }
        Problem::sort(&mut problems);
        let fine = problems.iter().all(|problem| problem.severity() == Severity::Warning);
        let Some(after) = after.filter(|_| fine) else { return Err(problems.into()) };
        console.warnings(&problems);
        self.edited.sort_by_key(|(path, _, _)| path.ends_with(CATALOG));
        self.write()?;
        for (path, _, _) in &self.edited {
            console.result(&format!("{}: edited", path.display()));
        }
        if let Some(before) = &self.before {
            tell_heads(before, &after, console);
        }
        Ok(Exit::Fine)
    }

    /// Writes all files or, when one can't be, none.
    fn write(&self) -> Result<(), Failure> {
        for (count, (path, _, text)) in self.edited.iter().enumerate() {
            if let Err(problem) = write_source(path, text) {
                let undone = self
                    .edited
                    .iter()
                    .take(count + 1)
                    .map(|(path, old, _)| old.as_ref().map_or(Ok(()), |old| write_source(path, old)));
                let stuck: Vec<Problem> = undone.filter_map(Result::err).collect();
                return Err(std::iter::once(problem).chain(stuck).collect::<Vec<_>>().into());
            }
        }
        Ok(())
    }
}

/// Keeps two commands that write sources apart.
pub(super) fn lock_sources(folder: &Path) -> Result<File, Failure> {
    lock(folder).map_err(|error| {
        Problem::of_file(folder.display(), format!("cannot be locked: {error}; name the folder with --releases")).into()
    })
}

/// `stable: 1.8.3 → 1.8.2` for each channel whose head moves.
fn tell_heads(before: &Catalog, after: &Catalog, console: &Console) {
    let head = |catalog: &Catalog, name: &Channel| {
        let state = catalog.channels().iter().find(|state| state.name == *name)?;
        Some(catalog.releases().get(state.head?)?.version.to_string())
    };
    for state in after.channels() {
        let (old, new) = (head(before, &state.name), head(after, &state.name));
        if old != new {
            let show = |version: Option<String>| version.unwrap_or_else(|| "nothing".to_owned());
            console.result(&format!("{}: {} → {}", state.name, show(old), show(new)));
        }
    }
}
