//! `build`: compiles the sources and puts the site in place.

use super::console::{Console, counted};
use super::{Exit, Folders, Outcome};
use agent_releases::compile::{Baseline, Options, compile, lock_out};
use agent_releases::snapshot::INDEX;
use clap::Args;
use std::path::PathBuf;

/// Compile the sources into a site, in one step or not at all.
#[derive(Args)]
pub struct Arguments {
    /// The snapshot whose ledger says what is published: a folder, or `none`. Default: the one being replaced
    #[arg(long, value_name = "DIR|none")]
    previous: Option<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    folders: Folders,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let previous = match &arguments.previous {
        None => Baseline::Out,
        Some(none) if none.as_os_str() == "none" => Baseline::None,
        Some(folder) => Baseline::Folder(folder.clone()),
    };
    let options = Options { previous, strict: arguments.strict, ..arguments.folders.options() };
    let _held = lock_out(&options.out)?;
    let compiled = compile(&options)?;
    console.warnings(&compiled.warnings);
    let (releases, artifacts) = (compiled.catalog.releases().len(), compiled.artifacts);
    let first = options.previous == Baseline::Out && !options.out.join(INDEX).exists();
    let (id, written) = compiled.write(&options)?;
    let out = &options.out;
    if first {
        console.say(&format!("{}: the first snapshot there, so nothing published was compared with", out.display()));
    }
    if written.stepwise {
        console.say(&format!(
            "{}: could not be exchanged in one step, so its parts were renamed one after the other",
            out.display()
        ));
    }
    console.result(&format!(
        "{}: snapshot {}, {}, {} checked; files: {} written, {} unchanged, {} removed",
        out.display(),
        id.get(..16).unwrap_or(&id),
        counted(releases, "release"),
        counted(artifacts, "artifact"),
        written.written,
        written.unchanged,
        written.removed
    ));
    Ok(Exit::Fine)
}
