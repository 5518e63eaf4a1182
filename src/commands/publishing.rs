//! What the commands share that speak to a target: its address, who speaks, how it ends, and what a CDN has to forget.

#![allow(clippy::disallowed_methods, reason = "who publishes is in the environment")]

use super::console::{Console, counted};
use super::edits::word;
use super::{Exit, Failure, Outcome};
use agent_releases::publish::steps::Published;
use agent_releases::publish::target::{Target, TargetError};
use agent_releases::publish::{Event, Failed, Settings};
use agent_releases::words::{Reason, Word};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const DAY: i64 = 86_400;

/// Where a site is published.
#[derive(Args)]
pub struct TargetArgument {
    /// file:///FOLDER, s3://BUCKET[/PREFIX], gs://BUCKET[/PREFIX] or az://CONTAINER[/PREFIX]; credentials, region and endpoint
    /// come from the store's usual variables (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL …)
    #[arg(value_name = "TARGET")]
    pub(super) target: String,
}

impl TargetArgument {
    pub(super) fn open(&self) -> Result<Target, Failure> {
        Target::open(&self.target).map_err(|error| match error {
            TargetError::Named(message) => Failure::Usage(message),
            error => Failure::general(error.to_string()),
        })
    }
}

/// How to publish.
#[derive(Args)]
#[command(next_help_heading = "Publishing")]
pub struct Publishing {
    /// Who publishes, for `history`; default: GITHUB_ACTOR, or the user and the machine
    #[arg(long, value_name = "NAME", value_parser = word::<Reason>)]
    by: Option<Reason>,
    /// Seconds that edges which follow the target get to take up new releases before a document leads to them
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    settle: f64,
    /// Seconds without a sign of life after which another publisher is taken for dead
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, value_parser = seconds)]
    patience: f64,
    /// Days that tiles of the history stay after the last snapshot that names them
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    retention: u16,
    /// Write the addresses that a CDN has to forget to this file, one a line, instead of printing them
    #[arg(long, value_name = "FILE")]
    purge_list: Option<PathBuf>,
    /// Run this with the addresses on its input, one a line, once the site is live; exit code 5 when it fails
    #[arg(long, value_name = "COMMAND")]
    purge: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds, 0 to 86400".to_owned()),
    }
}

impl Publishing {
    pub(super) fn settings<'a>(&self, artifacts: Option<&'a Path>, tell: &'a dyn Fn(&Event<'_>)) -> Settings<'a> {
        Settings {
            by: self.by.as_ref().map_or_else(whoever, ToString::to_string),
            artifacts,
            patience: Duration::from_secs_f64(self.patience),
            settle: Duration::from_secs_f64(self.settle),
            retention: i64::from(self.retention) * DAY,
            tell,
        }
    }
}

fn whoever() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user =
        || variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    let name = variable("GITHUB_ACTOR").unwrap_or_else(|| format!("{}@{}", user(), host()));
    Reason::parse(&name).map_or_else(|_| "somebody".to_owned(), |name| name.to_string())
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let cannot = |error: std::io::Error| Failure::general(format!("cannot be started: {error}"));
    // Without descriptors, tokio panics where this says why.
    let pairs = (0..4).map(|_| std::os::unix::net::UnixStream::pair()).collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    drop(pairs);
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)
}

/// Does it until somebody wants it to end; then says what is left to do.
pub(super) async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let why = "interrupted; if it was begun, publish again, which finishes or replaces it";
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::general(error.to_string()))?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::general(why)),
        _ = terminate.recv() => Err(Failure::general(why)),
    }
}

/// Says what was published, and sees to the purge.
pub(super) fn ended(published: &Published, target: &TargetArgument, how: &Publishing, console: &Console) -> Outcome {
    let Published { generation, id, documents, artifacts, purge, left } = published;
    let what = match (documents, artifacts) {
        (0, 0) => "is live already, nothing was sent".to_owned(),
        _ => format!("is live; sent: {}, {}", counted(*documents, "document"), counted(*artifacts, "artifact")),
    };
    console.result(&format!("{}: generation {generation}, snapshot {}, {what}", target.target, id.get(..16).unwrap_or(id)));
    let mut pending = left.clone();
    if let Err(why) = see_to_purge(purge, how, console) {
        pending.push(why);
    }
    for why in &pending {
        console.say(&format!("pending: {why}"));
    }
    Ok(if pending.is_empty() { Exit::Fine } else { Exit::Pending })
}

fn see_to_purge(purge: &[String], how: &Publishing, console: &Console) -> Result<(), String> {
    let mut listed = Ok(());
    let list = purge.iter().map(|address| format!("{address}\n")).collect::<String>();
    match &how.purge_list {
        None => purge.iter().for_each(|address| console.result(&format!("purge {address}"))),
        Some(file) => match std::fs::write(file, &list) {
            Ok(()) => {}
            Err(error) => {
                purge.iter().for_each(|address| console.result(&format!("purge {address}")));
                listed = Err(format!("{}: cannot be written: {error}", file.display()));
            }
        },
    }
    let Some(command) = how.purge.as_ref().filter(|_| !purge.is_empty()) else { return listed };
    let run = || -> std::io::Result<std::process::ExitStatus> {
        let mut child = Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A command that reads nothing is judged by how it ends.
            let _ = input.write_all(list.as_bytes());
        }
        child.wait()
    };
    match run() {
        Ok(status) if status.success() => listed,
        Ok(status) => {
            Err(format!("the purge `{command}` ended with {status}; publish again to repeat it, or purge the addresses"))
        }
        Err(error) => Err(format!("the purge `{command}` could not be run: {error}")),
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Sources(problems) => Self::Problems(problems),
            Failed::Refused(message) => Self::refused(message),
            overtaken @ Failed::Overtaken { .. } => Self::Overtaken(overtaken.to_string()),
            other => Self::general(other.to_string()),
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::general(error.to_string())
    }
}
