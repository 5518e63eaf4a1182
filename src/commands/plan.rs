//! `plan`: what the world would see of a change, before it does.

use super::console::Console;
use super::edits::word;
use super::publishing::runtime;
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::answer::{Site, SiteError};
use agent_releases::compile::compile_beside;
use agent_releases::plan::{Change, Plan, plan};
use agent_releases::publish::Failed;
use agent_releases::publish::against::{live_site, plan_live, site_in_folder};
use agent_releases::publish::record::Live;
use agent_releases::publish::target::Target;
use agent_releases::snapshot::{Files, INDEX, Index};
use agent_releases::words::Channel;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Show every public answer that would change. Exit code 6 when there are any.
///
/// Answers are those of the interfaces. The pages for people are made of them, and are not listed. What the index of the site
/// that is there says to be alike is not read again; the edge looks at every byte when it starts.
#[derive(Args)]
pub struct Arguments {
    /// What to compare with: a compiled site's folder, a target that was published to (file:///…, s3://…), or the address of a
    /// live site (https://…), which is asked without credentials; default: the site in --out
    #[arg(long, value_name = "DIR|TARGET|URL")]
    against: Option<String>,
    /// End with exit code 6 only when this channel would answer another release or file (repeatable); default: whatever changes
    #[arg(long = "fail-on", value_name = "CHANNEL", value_parser = word::<Channel>)]
    fail_on: Vec<Channel>,
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
    let against = Against::of(arguments)?;
    let (compiled, known) = compile_beside(&arguments.folders.options())?;
    console.warnings(&compiled.warnings);
    let built = compiled.answers();
    let files = built.files();
    let broken = |error: SiteError| Failure::general(error.to_string());
    let (before, after) =
        rayon::join(|| against.site(known, &built.index, &files, console), || Site::new(&built.index, &files, true));
    let (before, after) = (before?, after.map_err(broken)?);
    for channel in &arguments.fail_on {
        // One that goes away may still be named.
        let is_known = |site: &Site| site.channel_names().any(|name| name == channel.as_str());
        if !is_known(&after) && !before.as_ref().is_some_and(is_known) {
            let names = after.channel_names().collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!("--fail-on: there is no channel `{channel}`; there are {names}")));
        }
    }
    let plan = match &against {
        Against::Live(base) => runtime()?.block_on(plan_live(base, &after)).map_err(Failure::general)?,
        _ => plan(before.as_ref(), &after),
    };
    // The process ends soon; taking down two sites of thousands of releases first would take longer than comparing them.
    std::mem::forget((before, after, built, files, compiled));
    match arguments.format {
        Format::Text => text(&plan, arguments.most, console),
        Format::Markdown => markdown(&plan, arguments.most, console),
        Format::Json => console.result(&serde_json::to_string_pretty(&plan).unwrap_or_default()),
    }
    let counts = |change: &Change| {
        arguments.fail_on.is_empty() || arguments.fail_on.iter().any(|channel| change.is_about_head_of(channel.as_str()))
    };
    Ok(if plan.changes.iter().any(counts) { Exit::Changes } else { Exit::Fine })
}

/// What is compared with.
enum Against {
    Folder { folder: PathBuf, named: bool },
    Target(Box<Target>, String),
    Live(String),
}

impl Against {
    fn of(arguments: &Arguments) -> Result<Self, Failure> {
        match &arguments.against {
            None => Ok(Self::Folder { folder: arguments.folders.out.clone(), named: false }),
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => {
                Ok(Self::Live(url.trim_end_matches('/').to_owned()))
            }
            Some(target) if target.contains("://") => Target::open(target)
                .map(|opened| Self::Target(opened.into(), target.clone()))
                .map_err(|error| Failure::Usage(error.to_string())),
            Some(folder) => Ok(Self::Folder { folder: folder.into(), named: true }),
        }
    }

    /// The site that is there, as far as it can be opened; `None` when there is none yet.
    fn site(&self, known: Option<Index>, new: &Index, files: &Files, console: &Console) -> Result<Option<Site>, Failure> {
        match self {
            // A folder that was named has to be there; the default one may be still to come.
            Self::Folder { folder, named } if *named || folder.join(INDEX).exists() => {
                let known = known.filter(|_| !named);
                site_in_folder(folder, known, new, files).map(Some).map_err(|error| Failure::general(error.to_string()))
            }
            Self::Folder { .. } | Self::Live(_) => Ok(None),
            Self::Target(target, name) => {
                let live = runtime()?.block_on(async {
                    let Some(record) = Live::read(target).await?.and_then(|live| live.record) else { return Ok(None) };
                    let site = live_site(target, &record, new, files).await?;
                    Ok::<_, Failed>(Some((record.about.generation, site)))
                })?;
                let generation = live.as_ref().map_or(0, |(generation, _)| *generation);
                console.say(&format!("{name}: generation {generation} is live; `publish --on {generation}` replaces no other"));
                Ok(live.map(|(_, site)| site))
            }
        }
    }
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
