//! `check`: everything that `build` would check, and nothing written.

use super::console::{Console, counted};
use super::{Exit, Folders, Outcome};
use agent_releases::artifacts::Thoroughness;
use agent_releases::compile::{Options, compile};
use clap::Args;

/// Check the sources against every rule, and the artifacts that are there.
///
/// Also checks against the ledger of the site in --out, if there is one: what is published cannot change.
#[derive(Args)]
pub struct Arguments {
    /// Every artifact must be there
    #[arg(long)]
    complete: bool,
    /// Read every artifact again, whatever is remembered of its hash
    #[arg(long)]
    deep: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    folders: Folders,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let thoroughness = Thoroughness { complete: arguments.complete, deep: arguments.deep };
    let compiled = compile(&Options { thoroughness, strict: arguments.strict, ..arguments.folders.options() })?;
    console.warnings(&compiled.warnings);
    if compiled.catalog.exports().is_empty() {
        compiled.check_pages()?
    } else {
        _ = compiled.snapshot_with_exports()?
    }
    let (releases, artifacts) = (compiled.catalog.releases().len(), compiled.artifacts);
    console.result(&format!("fine: {}, {} checked", counted(releases, "published release"), counted(artifacts, "artifact")));
    Ok(Exit::Fine)
}
