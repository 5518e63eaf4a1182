//! `follow`: keeps a folder like what is live on a target, for the edge beside it.

#![allow(clippy::disallowed_methods, reason = "following takes time")]

use super::console::Console;
use super::publishing::{TargetArgument, runtime};
use super::{Exit, Failure, Outcome};
use agent_releases::publish::Event;
use agent_releases::publish::follow::Follower;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Mirror what is live on a target, verified, into a folder that an edge watches.
///
/// Only what changed is fetched, every hash is checked, and the folder changes in one step. When something goes wrong, the
/// folder stays as it is, and the next look tries again.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArgument,
    /// The folder
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// Mirror the artifacts as well, into this folder; for an edge that hands them out itself
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    interval: f64,
    /// Look once, and end
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let target = arguments.target.open()?;
    let interval = Duration::try_from_secs_f64(arguments.interval)
        .map_err(|_| Failure::Usage("--interval: expected a number of seconds".to_owned()))?;
    let mut follower = Follower { target: &target, out: &arguments.out, artifacts: arguments.artifacts.as_deref(), seen: None };
    let runtime = runtime()?;
    let mut known = String::new();
    loop {
        match runtime.block_on(follower.look()) {
            Ok(Some(followed)) => {
                known.clear();
                let agent_releases::publish::follow::Followed { generation, id, fetched } = &followed;
                console.event(&Event::Followed { generation: *generation, id, fetched: *fetched });
            }
            Ok(None) => known.clear(),
            Err(error) if arguments.once => return Err(error.into()),
            Err(error) => {
                let why = Failure::from(error).to_string();
                if why != known {
                    console.say(&format!("{why}; {} stays as it is", arguments.out.display()));
                    known = why;
                }
            }
        }
        if arguments.once {
            return Ok(Exit::Fine);
        }
        std::thread::sleep(interval);
    }
}
