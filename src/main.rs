//! agent-releases: the compiler's commands. The only place that prints, and the only one that chooses an exit code.

mod commands;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(commands::Cli::parse())
}
