//! `audit`: what is live, compared with what should be.

use super::console::{Console, counted};
use super::publishing::runtime;
use super::{Exit, Failure, Outcome};
use agent_releases::answer::Site;
use agent_releases::problem::Problem;
use agent_releases::publish::audit::Audit;
use agent_releases::snapshot::{REDIRECTS, SITE, read_files, read_index};
use clap::Args;
use std::path::PathBuf;

/// Ask a live site every address, and look at every artifact; whatever is not as compiled is named. Exit code 1 when something is.
///
/// It is asked without credentials, from outside: what asks for them has to say 401, and what is private has to be out of reach.
#[derive(Args)]
pub struct Arguments {
    /// Where it is live, such as https://api.example.com
    base_url: String,
    /// Read every artifact and compare its hash, not only its size and type
    #[arg(long)]
    deep: bool,
    /// The compiled site that should be live; `follow --once` fetches the one of a target
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let base = arguments.base_url.trim_end_matches('/');
    let is_address = (base.starts_with("https://") || base.starts_with("http://")) && !base.contains(['?', '#', ' ']);
    if !is_address {
        return Err(Failure::Usage(format!("expected an address such as https://api.example.com, found `{base}`")));
    }
    let broken = |error: &dyn std::fmt::Display| Failure::general(error.to_string());
    let site = Site::open(&arguments.out, true).map_err(|error| broken(&error))?;
    let index = read_index(&arguments.out).map_err(|error| broken(&error))?;
    let rows = [REDIRECTS, SITE].into_iter().filter_map(|path| index.row(path));
    let files = read_files(&arguments.out, rows).map_err(|error| broken(&error))?;
    let file = |path: &str| files.get(path).map(|bytes| &bytes[..]).unwrap_or_default();
    let audit = Audit { site: &site, map: file(REDIRECTS), table: file(SITE), base, deep: arguments.deep };
    let found = runtime()?.block_on(audit.run()).map_err(|error| broken(&error))?;
    let asked = format!("{} compared, {} looked at", counted(found.addresses, "answer"), counted(found.artifacts, "artifact"));
    if found.drift.is_empty() {
        console.result(&format!("{base}: as compiled; {asked}"));
        return Ok(Exit::Fine);
    }
    console.say(&asked);
    Err(Failure::Found(found.drift.into_iter().map(Problem::general).collect()))
}
