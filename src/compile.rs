//! From folders to a finished snapshot in memory: the line that `build`, `check`, `plan`, `resolve` and `preview` share.

use crate::artifacts::{self, Thoroughness};
use crate::catalog::{self, Catalog};
use crate::exports;
use crate::ledger::Published;
use crate::problem::{Problem, Severity};
use crate::snapshot::{Built, Damage, Index, Previous, Snapshot, Written, finish_swap, read_by_index, write};
use crate::source::{self, Template};
use crate::views;
use std::path::{Path, PathBuf};

/// Where things lie, and how strict to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sources.
    pub releases: PathBuf,
    /// The artifacts; need not exist.
    pub artifacts: PathBuf,
    /// The site.
    pub out: PathBuf,
    /// The folder whose files stand in for the built-in ones of the pages.
    pub template: Option<PathBuf>,
    /// The snapshot whose ledger is checked against.
    pub previous: Baseline,
    /// How the artifacts are checked.
    pub thoroughness: Thoroughness,
    /// Warnings are errors.
    pub strict: bool,
}

/// Where the ledger of what is published lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// In the folder that is being replaced.
    Out,
    /// In another snapshot's folder.
    Folder(PathBuf),
    /// At hand: the text of a ledger that is live elsewhere, and those of publishes there which were cut off.
    Text(String, Vec<String>),
    /// Nothing is published yet.
    None,
}

/// A finished compilation.
pub struct Compiled {
    /// What was compiled.
    pub catalog: Catalog,
    /// What is worth a look.
    pub warnings: Vec<Problem>,
    /// How many artifacts were there and checked.
    pub artifacts: usize,
    /// What its pages are made of.
    template: Template,
}

/// Compiles the sources of a folder; every problem at once, or none but warnings.
pub fn compile(options: &Options) -> Result<Compiled, Vec<Problem>> {
    compile_beside(options).map(|(compiled, _)| compiled)
}

/// As [`compile`], with the index that was read of the folder in the options' `out`, if there is one and its ledger was asked for.
pub fn compile_beside(options: &Options) -> Result<(Compiled, Option<Index>), Vec<Problem>> {
    let mut problems = Vec::new();
    let template = options.template.as_deref().map_or_else(Template::default, |folder| Template::load(folder, &mut problems));
    if options.template.is_some() {
        problems.extend(views::check(&template));
    }
    let (sources, published) = rayon::join(|| source::load(&options.releases, &mut problems), || ledgers(options));
    let (mut checked, mut index) = (None, None);
    if let Some(sources) = &sources
        && let Some(catalog) = catalog::check(sources, &mut problems)
    {
        let artifacts = artifacts::check(&catalog, &options.artifacts, options.thoroughness, &mut problems);
        match published {
            Ok((ledgers, read)) => {
                ledgers.iter().for_each(|published| published.check(&catalog, sources, &mut problems));
                index = read;
            }
            Err(problem) => problems.push(problem),
        }
        checked = Some((catalog, artifacts));
    }
    if options.strict {
        problems = problems
            .into_iter()
            .map(|problem| if problem.severity() == Severity::Warning { problem.error() } else { problem })
            .collect();
    }
    Problem::sort(&mut problems);
    // Taken down beside what comes next.
    rayon::spawn(move || drop(sources));
    let fine = problems.iter().all(|problem| problem.severity() == Severity::Warning);
    let Some((catalog, artifacts)) = checked.filter(|_| fine) else { return Err(problems) };
    Ok((Compiled { catalog, warnings: problems, artifacts, template }, index))
}

/// The ledgers of what is published: that of the folder that is being replaced, and that of another snapshot if the
/// options name one.
pub fn baseline(options: &Options) -> Result<Vec<Published>, Problem> {
    ledgers(options).map(|(ledgers, _)| ledgers)
}

/// As [`baseline`], with the index of the folder that is being replaced.
fn ledgers(options: &Options) -> Result<(Vec<Published>, Option<Index>), Problem> {
    let folders: Vec<&Path> = match &options.previous {
        Baseline::None => Vec::new(),
        Baseline::Text(live, claims) => {
            let claims = claims.iter().map(|text| Published::of_claim(text.clone()));
            return Ok((std::iter::once(Published::of_text(live.clone())).chain(claims).collect(), None));
        }
        Baseline::Out => vec![&options.out],
        Baseline::Folder(folder) => vec![folder, &options.out],
    };
    let (mut ledgers, mut of_out) = (Vec::new(), None);
    for folder in folders {
        let named = matches!(&options.previous, Baseline::Folder(other) if other == folder);
        match read_by_index(folder, None, |index| Published::read(folder, index)) {
            Ok((ledger, index)) => {
                ledgers.push(ledger);
                of_out = (folder == options.out).then_some(index);
            }
            Err(Damage::Missing { .. }) if !named => {}
            Err(damage) => return Err(damaged(damage)),
        }
    }
    Ok((ledgers, of_out))
}

fn damaged(damage: Damage) -> Problem {
    Problem::general(format!(
        "{damage}; its ledger says what is published, so restore it, or move the folder away and name a good one with `build --previous DIR`"
    ))
}

impl Compiled {
    /// What the interfaces answer from: the snapshot without its pages and without what is kept for the next build, under an
    /// id that is nobody else's.
    pub fn answers(&self) -> Built {
        views::answers(&self.catalog).finish()
    }

    /// Fills in every page, and keeps none.
    pub fn check_pages(&self) -> Result<(), Vec<Problem>> {
        views::check_pages(&self.catalog, &self.template)
    }

    /// The snapshot, in memory; the problems are those of the pages' template.
    pub fn snapshot(&self) -> Result<Built, Vec<Problem>> {
        views::render(&self.catalog, &self.template).map(Snapshot::finish)
    }

    /// The snapshot with what the catalog's `exports` ask for; a problem for each engine that cannot answer this catalog.
    pub fn snapshot_with_exports(&self) -> Result<Built, Vec<Problem>> {
        let mut built = self.snapshot()?;
        let files = exports::render(&self.catalog, &built)?;
        built.export(files.into_iter().map(|file| (file.path, file.bytes)));
        Ok(built)
    }

    /// Puts the snapshot in place of what is in the options' output folder; returns its id as well.
    pub fn write(&self, options: &Options) -> Result<(String, Written), Vec<Problem>> {
        refuse_overlap(options)?;
        self.write_to(&options.out)
    }

    /// As [`Compiled::write`], into a folder that is nobody's.
    pub fn write_to(&self, folder: &Path) -> Result<(String, Written), Vec<Problem>> {
        let (previous, built) = rayon::join(|| Previous::open(folder), || self.snapshot_with_exports());
        put(folder, built?, previous?.as_ref())
    }
}

/// As [`Compiled::write`], of a snapshot that was made already.
pub fn write_snapshot(options: &Options, built: Built) -> Result<(String, Written), Vec<Problem>> {
    refuse_overlap(options)?;
    put(&options.out, built, Previous::open(&options.out)?.as_ref())
}

fn put(folder: &Path, mut built: Built, previous: Option<&Previous>) -> Result<(String, Written), Vec<Problem>> {
    built.compress(previous.map(Previous::reusable).as_ref());
    let id = built.index.id.clone();
    Ok((id, write(folder, built, previous)?))
}

/// The output would be mixed up with what it is made from.
fn refuse_overlap(options: &Options) -> Result<(), Problem> {
    let out = settled(&options.out);
    for (name, folder) in [("--releases", &options.releases), ("--artifacts", &options.artifacts)] {
        if folder.canonicalize().is_ok_and(|folder| out.starts_with(folder)) {
            let message = format!("lies inside the {name} folder, {}; name another with --out", folder.display());
            return Err(Problem::of_file(options.out.display(), message));
        }
    }
    Ok(())
}

/// Where a path leads once it is made: links followed as far as it exists, the rest behind them.
pub fn settled(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            std::path::Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
        plain = plain.canonicalize().unwrap_or(plain);
    }
    plain
}

/// Keeps two builds of one folder apart, from the look at what is published to the exchange.
pub fn lock_out(out: &Path) -> Result<Option<std::fs::File>, Problem> {
    let out = settled(out);
    let Some(parent) = out.ancestors().skip(1).find(|parent| parent.is_dir()) else { return Ok(None) };
    let held = crate::files::lock(parent);
    let held = held.map_err(|error| Problem::of_file(parent.display(), format!("cannot be locked: {error}")))?;
    let unfinished =
        |error| Problem::of_file(out.display(), format!("a build that was cut off there cannot be finished: {error}"));
    finish_swap(&out).map_err(unfinished)?;
    Ok(Some(held))
}
