//! `completions` and `man`: what a package installs beside the program.

use super::console::Console;
use super::{Cli, Exit, Failure, Outcome};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(arguments: &Completions, console: &Console) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "agent-releases", &mut script);
    console.raw(&script);
    Ok(Exit::Fine)
}

/// Print the manual page of the program, or of a command.
#[derive(Args)]
pub struct Man {
    /// The command
    command: Option<String>,
}

pub(super) fn man(arguments: &Man, console: &Console) -> Outcome {
    let mut program = Cli::command();
    program.build();
    let command = match &arguments.command {
        None => program,
        Some(name) => {
            program.find_subcommand(name).cloned().ok_or_else(|| Failure::Usage(format!("there is no command `{name}`")))?
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| Failure::general(error.to_string()))?;
    console.raw(&page);
    Ok(Exit::Fine)
}
