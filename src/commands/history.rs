//! `history` and `prune`: what was made live, and forgetting it.

use super::console::{Console, counted};
use super::publishing::{TargetArgument, runtime};
use super::{Exit, Failure, Outcome};
use agent_releases::problem::escaped;
use agent_releases::publish::Failed;
use agent_releases::publish::prune::prune as forget;
use agent_releases::publish::record::{About, Action, read_current, read_generation};
use agent_releases::publish::target::Target;
use clap::Args;

/// Show what was made live on a target: which generation, when, by whom, and why. The newest comes first.
#[derive(Args)]
pub struct History {
    #[command(flatten)]
    target: TargetArgument,
    /// Show at most so many generations
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn history(arguments: &History, console: &Console) -> Outcome {
    let target = arguments.target.open()?;
    let (abouts, broken) = runtime()?.block_on(read(&target, &arguments.target.target, arguments.most))?;
    for about in &abouts {
        console.result(&if arguments.json { serde_json::to_string(about).unwrap_or_default() } else { line(about) });
    }
    // What is older cannot be told.
    broken.map_or(Ok(Exit::Fine), |error| Err(error.into()))
}

async fn read(target: &Target, name: &str, most: usize) -> Result<(Vec<About>, Option<Failed>), Failure> {
    let (current, _) =
        read_current(target).await?.ok_or_else(|| Failure::general(format!("{name}: nothing was published there yet")))?;
    // From each generation to the one that it replaced: what was cut off before it went live is none of them.
    let (mut abouts, mut at) = (Vec::new(), Some(current.generation));
    while let Some(generation) = at.filter(|_| abouts.len() < most) {
        let record = match read_generation(target, generation).await {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) => return Ok((abouts, Some(error.into()))),
        };
        at = record.about.previous.filter(|previous| *previous < generation);
        abouts.push(record.about);
    }
    Ok((abouts, None))
}

fn line(about: &About) -> String {
    let what = match (&about.action, about.of) {
        (Action::Rollback, Some(of)) => format!("rollback to {of}"),
        (Action::Rollback, None) => "rollback".to_owned(),
        (Action::Publish, _) => "publish".to_owned(),
    };
    let stable = about.stable.as_deref().unwrap_or("nothing");
    let reason = about.reason.as_deref().map(|reason| format!(": {}", escaped(reason))).unwrap_or_default();
    format!(
        "{}  {}  {}  {what} by {}, {}, stable is {stable}{reason}",
        about.generation,
        about.at,
        about.id.get(..16).unwrap_or(&about.id),
        escaped(&about.by),
        counted(about.releases, "release"),
    )
}

/// Forget old generations on a target, and the objects that no kept one needs.
///
/// What is live, and what a kept generation needs, is never removed.
#[derive(Args)]
pub struct Prune {
    #[command(flatten)]
    target: TargetArgument,
    /// Keep so many generations, the live one among them
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Leave objects alone that are younger than so many hours: somebody may be about to name them
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    grace: u32,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn prune(arguments: &Prune, console: &Console) -> Outcome {
    let target = arguments.target.open()?;
    let grace = u64::from(arguments.grace) * 3600;
    let pruned = runtime()?.block_on(forget(&target, usize::from(arguments.keep), grace, arguments.dry_run))?;
    let verb = if arguments.dry_run { "would be removed" } else { "removed" };
    console.result(&format!(
        "{} and {} {verb}; {} kept",
        counted(pruned.generations.len(), "generation"),
        counted(pruned.objects, "object"),
        counted(pruned.kept, "generation"),
    ));
    Ok(Exit::Fine)
}
