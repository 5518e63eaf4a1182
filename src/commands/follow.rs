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
use tokio::signal::unix::{SignalKind, signal};

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
    // As the first process of a container it would not be ended by a signal that nobody waits for.
    let mut end =
        runtime.block_on(async { signal(SignalKind::terminate()) }).map_err(|error| Failure::general(error.to_string()))?;
    let mut known = String::new();
    loop {
        let looked = runtime.block_on(async {
            tokio::select! {
                looked = follower.look() => Some(looked),
                _ = end.recv() => None,
            }
        });
        let Some(looked) = looked else { return Ok(Exit::Fine) };
        match looked {
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
        let is_over = runtime.block_on(async { tokio::time::timeout(interval, end.recv()).await.is_ok() });
        if is_over {
            return Ok(Exit::Fine);
        }
    }
}
