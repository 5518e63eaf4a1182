//! The edge that `publish` asks before anybody else does: serves a folder on loopback until its input ends.

use super::console::Console;
use super::{Exit, Failure, Outcome};
use agent_releases::edge::{Config, Event, Inherited, SecretFiles, run as serve};
use clap::Args;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Serve a folder on loopback until the input ends.
#[derive(Args)]
pub struct Arguments {
    site: PathBuf,
    artifacts: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let config = Config {
        site: arguments.site.clone(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        admin_listen: None,
        artifacts: arguments.artifacts.clone(),
        hosts: Vec::new(),
        idle_timeout: Duration::from_secs(75),
        drain_timeout: Duration::ZERO,
        access_log: false,
        secrets: SecretFiles::default(),
    };
    // Whoever started it holds the other end, and lets go of it even when it is killed.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let console = *console;
    let tell = move |event: &Event<'_>| {
        if let Event::Listening(address) = event {
            console.result(&format!("listening on http://{address}"));
        }
        true
    };
    serve(&config, Inherited::default(), Arc::new(tell)).map_err(|error| Failure::general(error.to_string()))?;
    Ok(Exit::Fine)
}
