//! agent-releases: the compiler's commands. The only place that prints, and the only one that chooses an exit code.

#![allow(clippy::disallowed_methods, reason = "the commands are shell")]

mod commands;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(commands::Cli::parse())
}
