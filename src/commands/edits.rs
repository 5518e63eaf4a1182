//! `promote`, `demote`, `pin`, `unpin`, `yank`, `recall`, `undraft`: one line of a source file changed, everything checked
//! before it is written, and what it does to the channels told.

use super::console::Console;
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::catalog::{self, Catalog};
use agent_releases::compile::baseline;
use agent_releases::problem::{Problem, Severity};
use agent_releases::source::edit::{Edit, Plain, edit};
use agent_releases::source::{CATALOG, Manifest, Sources, load, reread, write_source};
use agent_releases::words::{Channel, Reason, Timestamp, Version, Word};
use clap::Args;
use std::path::PathBuf;

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
    if !session.manifest(version)?.channels.iter().any(|at| at.value == *channel) {
        return nothing(console, &format!("{version} is not in {channel}"));
    }
    session.edit_manifest(version, &[Edit::Pull("channels".into(), channel.to_string())])?;
    session.finish(console)
}

pub(super) fn pin(arguments: &Pin, console: &Console) -> Outcome {
    let Pin { channel, version, reason, folders } = arguments;
    let mut session = Session::open(folders)?;
    session.edit_catalog(&[pin_edit(channel, version, reason)])?;
    session.finish(console)
}

fn pin_edit(channel: &Channel, version: &Version, reason: &Reason) -> Edit {
    let pin = vec![("pin", Plain::Text(version.to_string())), ("reason", Plain::Text(reason.to_string()))];
    Edit::Set(vec!["channels".into(), channel.to_string()], Plain::Braces(pin))
}

pub(super) fn unpin(arguments: &Unpin, console: &Console) -> Outcome {
    let Unpin { channel, folders } = arguments;
    let mut session = Session::open(folders)?;
    let Some(state) = session.before.channels().iter().find(|state| state.name == *channel) else {
        return Err(Failure::general(format!("the catalog declares no channel `{channel}`")));
    };
    if state.pin.is_none() {
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
            return nothing(console, &format!("{version} is already {key} for that reason"));
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

/// Sources being edited: nothing is written until all of it has been checked.
struct Session<'a> {
    folders: &'a Folders,
    sources: Sources,
    before: Catalog,
    edited: Vec<(PathBuf, String)>,
}

impl<'a> Session<'a> {
    fn open(folders: &'a Folders) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let sources = load(&folders.releases, &mut problems);
        let catalog = sources.as_ref().and_then(|sources| catalog::check(sources, &mut problems));
        match (sources, catalog) {
            (Some(sources), Some(before)) if problems.iter().all(|problem| problem.severity() == Severity::Warning) => {
                Ok(Self { folders, sources, before, edited: Vec::new() })
            }
            _ => {
                Problem::sort(&mut problems);
                Err(problems.into())
            }
        }
    }

    fn manifest(&self, version: &Version) -> Result<&Manifest, Failure> {
        let found = self.sources.manifests.iter().find(|manifest| manifest.version.value == *version);
        found.ok_or_else(|| Failure::general(format!("there is no release `{version}` in {}", self.folders.releases.display())))
    }

    fn edit_manifest(&mut self, version: &Version, edits: &[Edit]) -> Result<(), Failure> {
        let file = self.manifest(version)?.file.clone();
        let text = edit(&file.text, edits).map_err(|why| Problem::of_file(&file.path, why))?;
        self.replace(&format!("{version}.yaml"), text)
    }

    fn edit_catalog(&mut self, edits: &[Edit]) -> Result<(), Failure> {
        let Some(file) = self.sources.catalog.as_ref().map(|catalog| catalog.file.clone()) else { return Ok(()) };
        let text = edit(&file.text, edits).map_err(|why| Problem::of_file(&file.path, why))?;
        self.replace(CATALOG, text)
    }

    fn replace(&mut self, name: &str, text: String) -> Result<(), Failure> {
        reread(&mut self.sources, name, &text)?;
        self.edited.push((self.folders.releases.join(name), text));
        Ok(())
    }

    /// A pin at a release that is being withdrawn has to go somewhere.
    fn move_pins(&mut self, version: &Version, repin: Option<&Version>, unpin: bool) -> Result<(), Failure> {
        let pinned = self.before.channels().iter().filter(|state| state.pin.as_ref().is_some_and(|(pin, _)| pin == version));
        let pinned: Vec<(Channel, Reason)> =
            pinned.filter_map(|state| Some((state.name.clone(), state.pin.as_ref()?.1.clone()))).collect();
        for (channel, reason) in pinned {
            match (repin, unpin) {
                (Some(other), _) => self.edit_catalog(&[pin_edit(&channel, other, &reason)])?,
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

    /// Checks everything as it would be, then writes: the catalog first, so that no pin ever names a withdrawn release.
    fn finish(self, console: &Console) -> Outcome {
        let mut problems = Vec::new();
        let after = catalog::check(&self.sources, &mut problems);
        if let Some(after) = &after
            && let Some(published) = baseline(&self.folders.options())?
        {
            published.check(after, &self.sources, &mut problems);
        }
        Problem::sort(&mut problems);
        let Some(after) = after.filter(|_| problems.iter().all(|problem| problem.severity() == Severity::Warning)) else {
            return Err(problems.into());
        };
        console.warnings(&problems);
        for (path, text) in &self.edited {
            write_source(path, text)?;
            console.result(&format!("{}: edited", path.display()));
        }
        tell_heads(&self.before, &after, console);
        Ok(Exit::Fine)
    }
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
