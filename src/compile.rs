//! From folders to a finished snapshot in memory: the line that `build`, `check`, `plan`, `resolve` and `preview` share.

use crate::answer::{Site, SiteError};
use crate::artifacts::{self, Thoroughness};
use crate::catalog::{self, Catalog};
use crate::ledger::Published;
use crate::problem::{Problem, Severity};
use crate::snapshot::{Built, Files, Index, Previous, Written, write};
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
    /// The snapshot.
    pub built: Built,
    /// What is worth a look.
    pub warnings: Vec<Problem>,
    /// How many artifacts were there and checked.
    pub artifacts: usize,
    previous: Option<Previous>,
}

/// Compiles the sources of a folder; every problem at once, or none but warnings.
pub fn compile(options: &Options) -> Result<Compiled, Vec<Problem>> {
    let mut problems = Vec::new();
    let sources = source::load(&options.releases, &mut problems);
    compile_sources(options, sources, problems)
}

/// Compiles sources that are in memory already, with the problems that reading them found.
pub fn compile_sources(options: &Options, sources: Option<Sources>, mut problems: Vec<Problem>) -> Result<Compiled, Vec<Problem>> {
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
        problems = problems.into_iter().map(|problem| if problem.severity() == Severity::Warning { problem.error() } else { problem }).collect();
    }
    Problem::sort(&mut problems);
    let fine = problems.iter().all(|problem| problem.severity() == Severity::Warning);
    let Some((catalog, artifacts)) = checked.filter(|_| fine) else { return Err(problems) };
    let previous = open_previous(options)?;
    let built = views::render(&catalog).finish(previous.as_ref().map(Previous::reusable).as_ref());
    Ok(Compiled { catalog, built, warnings: problems, artifacts, previous })
}

/// The ledger of what is published, as the options name it.
pub fn baseline(options: &Options) -> Result<Option<Published>, Problem> {
    let folder: &Path = match &options.previous {
        Baseline::None => return Ok(None),
        Baseline::Folder(folder) => folder,
        Baseline::Out if !options.out.join(crate::snapshot::INDEX).exists() => return Ok(None),
        Baseline::Out => &options.out,
    };
    let damaged = |damage: crate::snapshot::Damage| Problem::general(format!("{damage} (the ledger in it says what is published; name another snapshot with --previous)"));
    let index = crate::snapshot::read_index(folder).map_err(damaged)?;
    Published::read(folder, &index).map(Some).map_err(damaged)
}

fn open_previous(options: &Options) -> Result<Option<Previous>, Vec<Problem>> {
    let inside = |inner: &Path, outer: &Path| inner.canonicalize().is_ok_and(|inner| outer.canonicalize().is_ok_and(|outer| inner.starts_with(outer)));
    let parent = options.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let out = if options.out.exists() { &options.out } else { parent };
    for (name, folder) in [("--releases", &options.releases), ("--artifacts", &options.artifacts)] {
        if inside(out, folder) {
            let message = format!("lies inside the {name} folder, {}; name another with --out", folder.display());
            return Err(vec![Problem::of_file(options.out.display(), message)]);
        }
    }
    Previous::open(&options.out)
}

impl Compiled {
    /// Puts the snapshot in place.
    pub fn write(self, out: &Path) -> Result<Written, Problem> {
        write(out, self.built, self.previous.as_ref())
    }

    /// Puts the snapshot into a folder of its own, which may hold an earlier one.
    pub fn write_fresh(self, folder: &Path) -> Result<Written, Vec<Problem>> {
        let previous = Previous::open(folder)?;
        let built = views::render(&self.catalog).finish(previous.as_ref().map(Previous::reusable).as_ref());
        Ok(write(folder, built, previous.as_ref())?)
    }

    /// The site as the edge would index it, from memory.
    pub fn site(&self, local_store: bool) -> Result<Site, SiteError> {
        site_of(&self.built.index, &self.built.bytes, local_store)
    }
}

fn site_of(index: &Index, bytes: &[Vec<u8>], local_store: bool) -> Result<Site, SiteError> {
    // Compressed forms say nothing that the identity form does not.
    let rows = index.files.iter().cloned().map(|row| crate::snapshot::Row { encodings: Default::default(), ..row });
    let plain = Index { id: index.id.clone(), generation: index.generation, files: rows.collect(), kept: Vec::new() };
    let files: Files = index.files.iter().zip(bytes).map(|(row, bytes)| (row.path.clone(), bytes.clone().into())).collect();
    Site::new(&plain, &files, local_store)
}
