//! `preview`: build, serve, and rebuild on every change, in one process; the last good site stays up.

use super::console::{Console, counted};
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::compile::{Options, compile};
use agent_releases::edge::{Config, Event, Inherited, SecretFiles, run as serve};
use agent_releases::problem::Problem;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often the sources are looked at.
const INTERVAL: Duration = Duration::from_millis(300);

/// Build, serve, and rebuild on every change of the sources.
///
/// The site goes into a temporary folder: nothing in --out changes, but its ledger is checked against.
#[derive(Args)]
pub struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    folders: Folders,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let folder = tempfile::tempdir().map_err(|error| Failure::general(format!("no temporary folder: {error}")))?;
    let site = folder.path().join("dist");
    let options = arguments.folders.options();
    let seen = fingerprint(&options);
    rebuild(&options, &site, *console)?;
    let config = Config {
        site: site.clone(),
        listen: arguments.listen,
        admin_listen: None,
        artifacts: options.artifacts.is_dir().then(|| options.artifacts.clone()),
        hosts: Vec::new(),
        idle_timeout: Duration::from_secs(75),
        drain_timeout: Duration::from_secs(1),
        access_log: false,
        secrets: SecretFiles::default(),
    };
    let console = *console;
    // Ends with the process, which ends with the edge.
    std::thread::spawn(move || watch(&options, &site, seen, console));
    let tell = move |event: &Event<'_>| {
        tell(event, console);
        true
    };
    serve(&config, Inherited::default(), Arc::new(tell)).map_err(|error| Failure::general(error.to_string()))?;
    Ok(Exit::Fine)
}

fn watch(options: &Options, site: &Path, mut seen: Vec<(PathBuf, u64, SystemTime)>, console: Console) {
    loop {
        std::thread::sleep(INTERVAL);
        let now = fingerprint(options);
        if now == seen {
            continue;
        }
        seen = now;
        if let Err(problems) = rebuild(options, site, console) {
            console.warnings(&problems);
            console.say(&format!("{}; the last good site stays up", counted(problems.len(), "problem")));
        }
    }
}

/// Compiles the sources into the temporary folder. The ledger there is not checked: nothing in it was ever published.
fn rebuild(options: &Options, site: &Path, console: Console) -> Result<(), Vec<Problem>> {
    let compiled = compile(options)?;
    console.warnings(&compiled.warnings);
    let (id, _) = compiled.write_to(site)?;
    let releases = compiled.catalog.releases().len();
    console.say(&format!("built {}, snapshot {}", counted(releases, "release"), id.get(..16).unwrap_or(&id)));
    Ok(())
}

/// The names, sizes and times of the sources and of the ledger.
fn fingerprint(options: &Options) -> Vec<(PathBuf, u64, SystemTime)> {
    let files = walkdir::WalkDir::new(&options.releases).max_depth(1).sort_by_file_name().into_iter().filter_map(Result::ok);
    let template = options.template.iter().flat_map(|folder| walkdir::WalkDir::new(folder).max_depth(1).sort_by_file_name());
    let files = files.chain(template.filter_map(Result::ok)).map(|entry| entry.path().to_owned());
    let files = files.chain([options.out.join(agent_releases::snapshot::INDEX)]);
    files
        .filter_map(|path| std::fs::metadata(&path).and_then(|metadata| Ok((path, metadata.len(), metadata.modified()?))).ok())
        .collect()
}

fn tell(event: &Event<'_>, console: Console) {
    match event {
        Event::Listening(address) => console.result(&format!("listening on http://{address}")),
        Event::Reloaded(site) => console.say(&format!("serving snapshot {}", site.id().get(..16).unwrap_or(site.id()))),
        Event::Refused(error) => console.say(&format!("the last good site stays up: {error}")),
        Event::NoStore => console.say("downloads are refused: the catalog has no base_url, and there is no artifacts folder"),
        Event::StoreGone(error) => console.say(&format!("the artifacts folder cannot be opened: {error}")),
        Event::NobodyKnown => console.say("nobody has credentials here: what asks for them refuses everybody"),
        Event::NoStorageCredentials => {
            console.say("downloads are answered 503: the storage wants signed addresses, and AWS_ACCESS_KEY_ID is not set");
        }
        Event::NoDirectDownloads
        | Event::SecretsReloaded
        | Event::SecretsRefused(_)
        | Event::Narrowed(_)
        | Event::AdminListening(_)
        | Event::Request(_)
        | Event::Panicked { .. }
        | Event::Draining => {}
    }
}
