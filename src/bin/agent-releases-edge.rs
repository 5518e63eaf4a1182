//! The redirector alone: serves a compiled site, and nothing else.

use agent_releases::edge::{Config, Event, run};
use clap::Parser;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Serve a compiled site of agent releases: its documents, its queries, and its download redirects.
///
/// Prints `listening on http://ADDRESS` once it answers; logs go to stderr, a JSON object a line. SIGHUP reloads the
/// site (a new one is noticed without it), SIGTERM finishes running answers and ends.
#[derive(Parser)]
#[command(name = "agent-releases-edge", version)]
struct Arguments {
    /// The compiled site
    #[arg(long, env = "AGENT_RELEASES_SITE", value_name = "DIR", default_value = "dist")]
    site: PathBuf,
    /// Where to listen; port 0 picks a free one
    #[arg(long, env = "AGENT_RELEASES_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder that holds artifacts under their storage keys; without it, and without a base_url in the catalog,
    /// downloads are answered 503
    #[arg(long, env = "AGENT_RELEASES_ARTIFACTS", value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// A name that clients may use for this edge (repeatable); others are answered 421. Default: any well-formed name
    #[arg(long = "host", env = "AGENT_RELEASES_HOST", value_name = "NAME", value_delimiter = ',')]
    hosts: Vec<String>,
    /// Seconds that a connection may stay open without a request
    #[arg(long, env = "AGENT_RELEASES_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle_timeout: u64,
    /// Seconds that running answers may take after SIGTERM
    #[arg(long, env = "AGENT_RELEASES_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain_timeout: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = Config {
        site: arguments.site,
        listen: arguments.listen,
        artifacts: arguments.artifacts,
        hosts: arguments.hosts,
        idle_timeout: Duration::from_secs(arguments.idle_timeout),
        drain_timeout: Duration::from_secs(arguments.drain_timeout),
    };
    match run(&config, tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "agent-releases-edge: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads stdout or stderr may have gone; that is no reason to stop serving.
fn tell(event: &Event<'_>) {
    let line = match event {
        Event::Listening(address) => {
            let mut stdout = std::io::stdout();
            let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
            return;
        }
        Event::NoStore => {
            serde_json::json!({"level": "warn", "event": "downloads are answered 503: the site has no base_url, and there is no --artifacts"})
        }
        Event::Reloaded(site) => {
            serde_json::json!({"level": "info", "event": "reloaded", "snapshot": site.id(), "releases": site.release_count()})
        }
        Event::Refused(error) => {
            serde_json::json!({"level": "error", "event": "snapshot refused, the last good one is kept", "error": error.to_string()})
        }
        Event::StoreGone(error) => {
            serde_json::json!({"level": "error", "event": "the artifacts' folder cannot be opened, the one from before is kept", "error": error.to_string()})
        }
        Event::Draining => serde_json::json!({"level": "info", "event": "draining"}),
    };
    let _ = writeln!(std::io::stderr(), "{line}");
}
