//! `publish`: builds the site, has a real edge try it, and makes it live in one safe step.

use super::console::Console;
use super::edits::word;
use super::publishing::{Publishing, TargetArgument, ended, interruptible, runtime};
use super::{Failure, Folders, Outcome};
use agent_releases::compile::{Baseline, Options, compile, lock_out, settled, write_snapshot};
use agent_releases::problem::Problem;
use agent_releases::publish::changes::{Offered, Outgoing};
use agent_releases::publish::pointer::Opened;
use agent_releases::publish::record::{Action, CURRENT, Record};
use agent_releases::publish::steps::{Intent, Published};
use agent_releases::publish::target::Target;
use agent_releases::publish::{Event, Failed, Settings, read_row, rollback, staged};
use agent_releases::snapshot::{LEDGER, REDIRECTS, SITE, read_files, read_index, set_generation};
use agent_releases::words::Reason;
use clap::Args;
use std::path::Path;

/// Build the site and make it live on a target, in one step that can be taken back.
///
/// What is live decides what may change, as for `build`. Of several publishers at the same time one wins, and the others
/// end with exit code 4. Only what changed is sent. Prints the addresses that a CDN has to forget.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArgument,
    /// Why, for `history`
    #[arg(long, value_name = "TEXT", value_parser = word::<Reason>)]
    reason: Option<Reason>,
    /// Publish only if this generation is live; 0: nothing yet
    #[arg(long, value_name = "GENERATION")]
    on: Option<u64>,
    /// Another storage holds the artifacts: send none, and expect none on the target
    #[arg(long)]
    no_artifacts: bool,
    /// Read every object on the target, and send again what is missing or wrong there
    #[arg(long)]
    repair: bool,
    /// The target holds the releases of this product, under the name that it had
    #[arg(long)]
    rename_product: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    publishing: Publishing,
    #[command(flatten)]
    folders: Folders,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let target = arguments.target.open()?;
    if let Target::Folder(folder) = &target {
        refuse_overlap(folder.path(), &arguments.folders)?;
    }
    let artifacts = (!arguments.no_artifacts).then_some(arguments.folders.artifacts.as_path());
    let tell = |event: &Event<'_>| console.event(event);
    let settings = arguments.publishing.settings(artifacts, &tell);
    let published = runtime()?.block_on(interruptible(publish(arguments, &target, &settings, console)))?;
    ended(&published, &arguments.target, &arguments.publishing, console)
}

/// Two products on one target would overwrite each other.
fn refuse_another_product(live: Option<&str>, product: &str, arguments: &Arguments) -> Result<(), Failure> {
    match live.filter(|live| !live.is_empty() && *live != product && !arguments.rename_product) {
        None => Ok(()),
        Some(live) => Err(Failure::refused(format!(
            "{} holds the releases of `{live}`, and these are those of `{product}`; name its own target, or say --rename-product",
            arguments.target.target
        ))),
    }
}

/// A target that is mixed up with what it is made from, or with another one, would spoil both.
fn refuse_overlap(target: &Path, folders: &Folders) -> Result<(), Failure> {
    let target = settled(target);
    let refused = |why: String| Err(Failure::Usage(format!("{}: {why}; name a folder of its own", target.display())));
    if target.parent().is_none() {
        return refused("is the root of this machine".to_owned());
    }
    for (name, folder) in [("--out", &folders.out), ("--releases", &folders.releases), ("--artifacts", &folders.artifacts)] {
        let folder = settled(folder);
        if target.starts_with(&folder) || folder.starts_with(&target) {
            return refused(format!("the {name} folder {} lies in it, or it in that", folder.display()));
        }
    }
    let is_target = |folder: &&Path| folder.join(CURRENT).is_file() && folder.join("snapshots").is_dir();
    match target.ancestors().skip(1).find(is_target) {
        Some(other) => refused(format!("lies in another target, {}", other.display())),
        None => Ok(()),
    }
}

async fn publish(
    arguments: &Arguments,
    target: &Target,
    settings: &Settings<'_>,
    console: &Console,
) -> Result<Published, Failure> {
    let out = &arguments.folders.out;
    let mut opened = Opened::read(target, settings).await?;
    let mut published = match prepare(arguments, target, &mut opened, console).await {
        Ok(Some(Prepared { outgoing, offered, intent })) => opened.publish(outgoing, &offered, intent).await?,
        Ok(None) => opened.nothing_new().await,
        Err(failure) => {
            opened.release().await;
            return Err(failure);
        }
    };
    // It is live whatever becomes of the folder.
    if let Err(problem) = stamp(out, &published) {
        published.left.push(format!("the folder does not know its generation: {problem}"));
    }
    Ok(published)
}

/// Notes in the folder which generation it became, unless somebody has built another site there meanwhile.
fn stamp(out: &Path, published: &Published) -> Result<(), Problem> {
    let _held = lock_out(out)?;
    let here = read_index(out).map_err(|damage| Problem::general(damage.to_string()))?;
    if here.id == published.id { set_generation(out, published.generation) } else { Ok(()) }
}

/// A site that is built, and that a real edge has tried.
struct Prepared {
    outgoing: Outgoing,
    offered: Offered,
    intent: Intent,
}

/// Builds the site and has it tried; `None` when it is live already.
async fn prepare(
    arguments: &Arguments,
    target: &Target,
    opened: &mut Opened<'_>,
    console: &Console,
) -> Result<Option<Prepared>, Failure> {
    let (folders, live) = (&arguments.folders, opened.live.as_ref());
    if arguments.on.is_some_and(|on| on != live.map_or(0, |live| live.about.generation)) {
        return Err(Failed::of_another_generation(live).into());
    }
    let previous = baseline(target, opened, &folders.out).await?;
    let options = Options { previous, strict: arguments.strict, ..folders.options() };
    // Held until the site has been tried; what follows takes as long as the network does.
    let _held = lock_out(&folders.out)?;
    let compiled = compile(&options)?;
    console.warnings(&compiled.warnings);
    let product = compiled.catalog.product().to_owned();
    refuse_another_product(live.map(|live| live.about.product.as_str()), &product, arguments)?;
    let built = compiled.snapshot_with_exports()?;
    // Taking down thousands of releases would only cost time.
    std::mem::forget(compiled);
    let outgoing = Outgoing::from(&built);
    let file = |path: &str| outgoing.files.get(path).cloned().unwrap_or_default();
    let (map, table) = (file(REDIRECTS), file(SITE));
    let mut offered = Offered::by(&map, &table).map_err(|error| Failure::general(error.to_string()))?;
    offered.elsewhere = arguments.no_artifacts;
    if arguments.repair {
        let wrong = opened.forget_what_is_wrong().await?;
        console.say(&format!("{wrong} of what is live is missing or wrong on the target"));
    }
    write_snapshot(&options, built)?;
    if opened.is_live(&outgoing.index.id, &offered) {
        return Ok(None);
    }
    let local = folders.artifacts.is_dir().then_some(folders.artifacts.as_path());
    let addresses = staged::ask(&folders.out, local).await?;
    console.event(&Event::Staged { addresses });
    let (releases, stable) = rollback::heads(&table)?;
    let reason = arguments.reason.as_ref().map(ToString::to_string);
    let withheld = rollback::withheld(&table)?;
    let intent = Intent { action: Action::Publish, of: None, reason, product, releases, stable, withheld };
    Ok(Some(Prepared { outgoing, offered, intent }))
}

/// What the new site may not change: what is live, and the bytes of what a publisher that gave up may have shown.
async fn baseline(target: &Target, opened: &Opened<'_>, out: &Path) -> Result<Baseline, Failure> {
    let Some(live) = &opened.live else { return Ok(Baseline::Out) };
    let mut claims = Vec::new();
    for record in opened.given_up() {
        claims.push(ledger(target, record, out).await?);
    }
    Ok(Baseline::Text(ledger(target, live, out).await?, claims))
}

/// The ledger of what is live; from the folder that was published last, when it is the same.
async fn ledger(target: &Target, live: &Record, out: &Path) -> Result<String, Failure> {
    let index = live.index();
    let row = index.row(LEDGER).ok_or_else(|| Failure::general("the live snapshot has no ledger"))?;
    let here = read_index(out).ok().and_then(|index| index.row(LEDGER).cloned()).filter(|here| here.sha256 == row.sha256);
    let here = here.and_then(|here| read_files(out, std::iter::once(&here)).ok()?.remove(LEDGER));
    let bytes = match here {
        Some(bytes) => bytes,
        None => read_row(target, row).await?,
    };
    String::from_utf8(bytes.to_vec()).map_err(|_| Failure::general("the live ledger is not UTF-8"))
}
