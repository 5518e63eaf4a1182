//! `rollback`: one step back, without a build.

use super::console::Console;
use super::edits::word;
use super::publishing::{Publishing, TargetArgument, ended, interruptible, runtime};
use super::{Failure, Outcome};
use agent_releases::publish::pointer::Opened;
use agent_releases::publish::record::read_current;
use agent_releases::publish::steps::Published;
use agent_releases::publish::{Event, Settings, rollback};
use agent_releases::words::{Reason, Version};
use clap::Args;
use std::path::PathBuf;

/// Make an earlier generation's answers live again, as a new generation; nothing is built.
///
/// What is yanked or recalled by now is not offered again unless it is named with --restore. The sources stay as they are:
/// the next `publish` makes them live again.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArgument,
    /// The generation, as `history` shows it; default: the one before what is live
    generation: Option<u64>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = word::<Reason>)]
    reason: Reason,
    /// A version that may be offered again although it is yanked or recalled now (repeatable)
    #[arg(long = "restore", value_name = "VERSION", value_parser = word::<Version>)]
    restore: Vec<Version>,
    /// Where the bytes of a restored release are sent from, if it was recalled
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    artifacts: PathBuf,
    #[command(flatten)]
    publishing: Publishing,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let target = arguments.target.open()?;
    let tell = |event: &Event<'_>| console.event(event);
    let settings = arguments.publishing.settings(Some(&arguments.artifacts), &tell);
    let back = async |settings: &Settings<'_>| -> Result<(Published, u64), Failure> {
        // Looked at first: what was never published on is not made a target by taking something back.
        if read_current(&target).await?.is_none() {
            return Err(Failure::general(format!("{}: nothing was published there yet", arguments.target.target)));
        }
        let opened = Opened::read(&target, settings).await?;
        let restore: Vec<String> = arguments.restore.iter().map(ToString::to_string).collect();
        let wanted = rollback::Wanted { generation: arguments.generation, reason: arguments.reason.as_str(), restore: &restore };
        let back = match rollback::prepare(&opened, &wanted).await {
            Ok(back) => back,
            Err(failed) => {
                opened.release().await;
                return Err(failed.into());
            }
        };
        let of = back.of;
        Ok((opened.publish(back.outgoing, &back.offered, back.intent).await?, of))
    };
    let (published, of) = runtime()?.block_on(interruptible(back(&settings)))?;
    console.say(&format!("the answers of generation {of} are live again"));
    ended(&published, &arguments.target, &arguments.publishing, console)
}
