//! `plan`: what the world would see of a change, before it does.

use super::console::Console;
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::answer::Site;
use agent_releases::compile::compile;
use agent_releases::plan::{Plan, plan};
use agent_releases::snapshot::INDEX;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

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
    let broken = |error: agent_releases::answer::SiteError| Failure::general(error.to_string());
    // A folder that was named has to be there; the default one may be still to come.
    let before = if arguments.against.is_some() || folder.join(INDEX).exists() { Some(Site::open(folder, true).map_err(broken)?) } else { None };
    let compiled = compile(&arguments.folders.options())?;
    console.warnings(&compiled.warnings);
    let after = compiled.site(true).map_err(broken)?;
    let plan = plan(before.as_ref(), &after);
    match arguments.format {
        Format::Text => text(&plan, arguments.most, console),
        Format::Markdown => markdown(&plan, arguments.most, console),
        Format::Json => console.result(&serde_json::to_string_pretty(&plan).unwrap_or_default()),
    }
    Ok(if plan.changes.is_empty() { Exit::Fine } else { Exit::Changes })
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
