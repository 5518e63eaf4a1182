//! The commands, one small file each; this one holds what they share: folders, printing, failing.

mod add;
mod audit;
mod build;
mod check;
mod console;
mod docs;
mod edits;
mod follow;
mod fragment;
mod history;
mod import;
mod plan;
mod preview;
mod publish;
mod publishing;
mod resolve;
mod rollback;
mod staged;
mod token;

use agent_releases::artifacts::Thoroughness;
use agent_releases::compile::{Baseline, Options};
use agent_releases::problem::{Problem, Severity};
use clap::{Args, Parser, Subcommand};
use console::{Console, counted};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compile releases of desktop agents into static documents, redirects, and every answer about them.
///
/// Manifests live in a folder, one file a release; `build` compiles them into a site that a CDN serves, and that
/// agent-releases-edge answers queries and download redirects from.
#[derive(Parser)]
#[command(name = "agent-releases", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 the sources or the site are wrong; 2 usage; 3 refused to change something published; \
4 someone else published first; 5 published, but a later step is pending; 6 `plan` found changes.";

#[derive(Subcommand)]
enum Command {
    Add(add::Arguments),
    Check(check::Arguments),
    Build(build::Arguments),
    Plan(plan::Arguments),
    Resolve(resolve::Arguments),
    /// Put a release into a channel
    Promote(edits::Channelled),
    /// Take a release out of a channel
    Demote(edits::Channelled),
    /// Hold a channel at a release
    Pin(edits::Pin),
    /// Let a channel follow its highest release again
    Unpin(edits::Unpin),
    /// Keep a release for pinned fleets, but offer it no longer
    Yank(edits::Withdraw),
    /// Withdraw a release's bytes: its downloads answer 410
    Recall(edits::Withdraw),
    /// Publish a draft
    Undraft(edits::Undraft),
    Publish(publish::Arguments),
    Rollback(rollback::Arguments),
    History(history::History),
    Prune(history::Prune),
    Audit(audit::Arguments),
    Follow(follow::Arguments),
    Import(import::Arguments),
    Preview(preview::Arguments),
    Token(token::Arguments),
    Completions(docs::Completions),
    Man(docs::Man),
    #[command(name = agent_releases::publish::staged::COMMAND, hide = true)]
    Staged(staged::Arguments),
}

/// Where things lie.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Folders")]
pub struct Folders {
    /// The sources: catalog.yaml and a manifest for each release
    #[arg(long, value_name = "DIR", default_value = "releases")]
    releases: PathBuf,
    /// The artifacts, each under its storage key; need not exist
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    artifacts: PathBuf,
    /// The compiled site
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// Templates, scripts and style of the pages, in place of the built-in files of the same names
    #[arg(long, value_name = "DIR")]
    template: Option<PathBuf>,
}

impl Folders {
    fn options(&self) -> Options {
        Options {
            releases: self.releases.clone(),
            artifacts: self.artifacts.clone(),
            out: self.out.clone(),
            template: self.template.clone(),
            previous: Baseline::Out,
            thoroughness: Thoroughness::default(),
            strict: false,
        }
    }
}

/// How a command ends when nothing went wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exit {
    Fine = 0,
    Pending = 5,
    Changes = 6,
}

/// Why a command did nothing.
enum Failure {
    /// Problems of the sources, the site or the artifacts.
    Problems(Vec<Problem>),
    /// What is live is not as it should be.
    Found(Vec<Problem>),
    /// Somebody else published first.
    Overtaken(String),
    /// The command was asked for something that makes no sense.
    Usage(String),
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Problems(problems)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl Failure {
    fn general(message: impl Into<String>) -> Self {
        Problem::general(message).into()
    }

    fn refused(message: impl Into<String>) -> Self {
        Problem::general(message).refusal().into()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problems(problems) | Self::Found(problems) => {
                f.write_str(&problems.iter().map(Problem::render).collect::<Vec<_>>().join("\n"))
            }
            Self::Overtaken(message) | Self::Usage(message) => f.write_str(message),
        }
    }
}

type Outcome = Result<Exit, Failure>;

/// Runs a command, prints why it failed if it did, and chooses the exit code.
pub fn run(cli: Cli) -> ExitCode {
    let console = Console;
    let outcome = match cli.command {
        Command::Add(arguments) => add::run(&arguments, &console),
        Command::Check(arguments) => check::run(&arguments, &console),
        Command::Build(arguments) => build::run(&arguments, &console),
        Command::Plan(arguments) => plan::run(&arguments, &console),
        Command::Resolve(arguments) => resolve::run(&arguments, &console),
        Command::Promote(arguments) => edits::promote(&arguments, &console),
        Command::Demote(arguments) => edits::demote(&arguments, &console),
        Command::Pin(arguments) => edits::pin(&arguments, &console),
        Command::Unpin(arguments) => edits::unpin(&arguments, &console),
        Command::Yank(arguments) => edits::withdraw("yanked", &arguments, &console),
        Command::Recall(arguments) => edits::withdraw("recalled", &arguments, &console),
        Command::Undraft(arguments) => edits::undraft(&arguments, &console),
        Command::Publish(arguments) => publish::run(&arguments, &console),
        Command::Rollback(arguments) => rollback::run(&arguments, &console),
        Command::History(arguments) => history::history(&arguments, &console),
        Command::Prune(arguments) => history::prune(&arguments, &console),
        Command::Audit(arguments) => audit::run(&arguments, &console),
        Command::Follow(arguments) => follow::run(&arguments, &console),
        Command::Staged(arguments) => staged::run(&arguments, &console),
        Command::Import(arguments) => import::run(&arguments, &console),
        Command::Preview(arguments) => preview::run(&arguments, &console),
        Command::Token(arguments) => token::run(&arguments, &console),
        Command::Completions(arguments) => docs::completions(&arguments, &console),
        Command::Man(arguments) => docs::man(&arguments, &console),
    };
    match outcome {
        Ok(_) if !console.is_complete() => {
            console.say("error: the result could not be printed completely");
            ExitCode::FAILURE
        }
        Ok(exit) => ExitCode::from(exit as u8),
        Err(Failure::Usage(message)) => {
            console.say(&format!("error: {message}"));
            ExitCode::from(2)
        }
        Err(Failure::Overtaken(message)) => {
            console.say(&format!("{message}; nothing of this went live"));
            ExitCode::from(4)
        }
        Err(Failure::Found(problems)) => {
            console.warnings(&problems);
            console.say(&format!("{} found", counted(problems.len(), "difference")));
            ExitCode::FAILURE
        }
        Err(Failure::Problems(problems)) => {
            console.problems(&problems);
            // What is published weighs more than whatever else is wrong.
            let refused = problems.iter().any(|problem| problem.severity() == Severity::Refusal);
            ExitCode::from(if refused { 3 } else { 1 })
        }
    }
}
