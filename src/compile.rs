//! From folders to a finished snapshot in memory: the line that `build`, `check`, `plan`, `resolve` and `preview` share.

use crate::artifacts::{self, Thoroughness};
use crate::catalog::{self, Catalog};
use crate::ledger::Published;
use crate::problem::{Problem, Severity};
use crate::snapshot::{Built, Previous, Written, write};
use crate::source::{self, Sources};
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
}

/// Compiles the sources of a folder; every problem at once, or none but warnings.
pub fn compile(options: &Options) -> Result<Compiled, Vec<Problem>> {
    let mut problems = Vec::new();
    let sources = source::load(&options.releases, &mut problems);
    compile_sources(options, sources, problems)
}

/// Compiles sources that are in memory already, with the problems that reading them found.
pub fn compile_sources(
    options: &Options,
    sources: Option<Sources>,
    mut problems: Vec<Problem>,
) -> Result<Compiled, Vec<Problem>> {
    let mut checked = None;
    if let Some(sources) = &sources
        && let Some(catalog) = catalog::check(sources, &mut problems)
    {
        let artifacts = artifacts::check(&catalog, &options.artifacts, options.thoroughness, &mut problems);
        match baseline(options) {
            Ok(Some(published)) => published.check(&catalog, sources, &mut problems),
            Ok(None) => {}
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
    Ok(Compiled { catalog, warnings: problems, artifacts })
}

/// The ledger of what is published, as the options name it.
pub fn baseline(options: &Options) -> Result<Option<Published>, Problem> {
    let folder: &Path = match &options.previous {
        Baseline::None => return Ok(None),
        Baseline::Folder(folder) => folder,
        Baseline::Out if !options.out.join(crate::snapshot::INDEX).exists() => return Ok(None),
        Baseline::Out => &options.out,
    };
    let damaged = |damage: crate::snapshot::Damage| {
        Problem::general(format!("{damage}; its ledger says what is published, so restore it, or move the folder away and name a good one with `build --previous DIR`"))
    };
    let index = crate::snapshot::read_index(folder).map_err(damaged)?;
    Published::read(folder, &index).map(Some).map_err(damaged)
}

impl Compiled {
    /// The snapshot, in memory.
    pub fn snapshot(&self) -> Built {
        views::render(&self.catalog).finish()
    }

    /// Puts the snapshot in place of what is in the options' output folder; returns its id as well.
    pub fn write(&self, options: &Options) -> Result<(String, Written), Vec<Problem>> {
        refuse_overlap(options)?;
        self.write_to(&options.out)
    }

    /// As [`Compiled::write`], into a folder that is nobody's.
    pub fn write_to(&self, folder: &Path) -> Result<(String, Written), Vec<Problem>> {
        let (previous, mut built) = rayon::join(|| Previous::open(folder), || self.snapshot());
        let previous = previous?;
        built.compress(previous.as_ref().map(Previous::reusable).as_ref());
        let id = built.index.id.clone();
        Ok((id, write(folder, built, previous.as_ref())?))
    }
}

/// The output would be mixed up with what it is made from.
fn refuse_overlap(options: &Options) -> Result<(), Problem> {
    let inside = |inner: &Path, outer: &Path| {
        inner.canonicalize().is_ok_and(|inner| outer.canonicalize().is_ok_and(|outer| inner.starts_with(outer)))
    };
    let parent = options.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let out = if options.out.exists() { &options.out } else { parent };
    for (name, folder) in [("--releases", &options.releases), ("--artifacts", &options.artifacts)] {
        if inside(out, folder) {
            let message = format!("lies inside the {name} folder, {}; name another with --out", folder.display());
            return Err(Problem::of_file(options.out.display(), message));
        }
    }
    Ok(())
}
