//! `plan`: what the world would see of a change, before it does.

use super::console::Console;
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::answer::{Site, SiteError};
use agent_releases::compile::compile;
use agent_releases::plan::{Plan, plan};
use agent_releases::snapshot::{Files, INDEX, Index, Row, read_files, read_index};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Show every public answer that would change. Exit code 6 when there are any.
#[derive(Args)]
pub struct Arguments {
    /// The compiled site to compare with; default: the one in --out
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Show at most this many changes (text and Markdown); the count is always of all
    #[arg(long, value_name = "N", default_value_t = 200)]
    most: usize,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let folder = arguments.against.as_ref().unwrap_or(&arguments.folders.out);
    let compiled = compile(&arguments.folders.options())?;
    console.warnings(&compiled.warnings);
    let built = compiled.snapshot();
    let files = built.files();
    let broken = |error: SiteError| Failure::general(error.to_string());
    // A folder that was named has to be there; the default one may be still to come.
    let there = arguments.against.is_some() || folder.join(INDEX).exists();
    let (before, after) = rayon::join(
        || there.then(|| open_against(folder, &built.index, &files)).transpose(),
        || Site::new(&built.index, &files, true),
    );
    let (before, after) = (before.map_err(broken)?, after.map_err(broken)?);
    let plan = plan(before.as_ref(), &after);
    // The process ends soon; taking down two sites of thousands of releases first would take longer than comparing them.
    std::mem::forget((before, after, built, files, compiled));
    match arguments.format {
        Format::Text => text(&plan, arguments.most, console),
        Format::Markdown => markdown(&plan, arguments.most, console),
        Format::Json => console.result(&serde_json::to_string_pretty(&plan).unwrap_or_default()),
    }
    Ok(if plan.changes.is_empty() { Exit::Fine } else { Exit::Changes })
}

/// The site in a folder. Documents that the new snapshot has as well are not read again.
fn open_against(folder: &Path, new: &Index, files: &Files) -> Result<Site, SiteError> {
    let mut index = read_index(folder)?;
    index.kept.clear();
    for row in &mut index.files {
        // Compressed forms say nothing that the identity form does not.
        row.encodings.clear();
    }
    let same = |row: &&Row| new.row(&row.path).is_some_and(|other| other.sha256 == row.sha256);
    let mut old = read_files(folder, index.files.iter().filter(|row| !same(row)))?;
    let shared = index.files.iter().filter(same).filter_map(|row| Some((row.path.clone(), files.get(&row.path)?.clone())));
    old.extend(shared);
    Site::new(&index, &old, true)
}

fn text(plan: &Plan, most: usize, console: &Console) {
    console.result(&if plan.changes.is_empty() { plan.headline() } else { format!("{}:", plan.headline()) });
    for change in plan.changes.iter().take(most) {
        console.result(&format!("  {}", change.line()));
    }
    if plan.changes.len() > most {
        console.result(&format!("  … and {} more (--most)", plan.changes.len() - most));
    }
}

fn markdown(plan: &Plan, most: usize, console: &Console) {
    console.result(&format!("**{}**", plan.headline()));
    if plan.changes.is_empty() {
        return;
    }
    console.result("\n| address | before → after |\n|---|---|");
    for change in plan.changes.iter().take(most) {
        let line = change.line();
        let (_, words) = line.split_once(' ').unwrap_or(("", &line));
        console.result(&format!("| `{}` | {} |", change.address.replace('|', "\\|"), words.replace('|', "\\|")));
    }
    if plan.changes.len() > most {
        console.result(&format!("\n… and {} more", plan.changes.len() - most));
    }
}
