//! The same answers for other engines: what `exports` in the catalog names is written to `exports/`, one file here for each.
//!
//! An engine states its limits, and refuses a catalog past them: no export answers wrongly what it cannot answer. Exports are
//! not part of the snapshot's id, which the documents and the redirect map decide.

mod nginx;
mod pages;
mod worker;

use crate::catalog::Catalog;
use crate::problem::Problem;
use crate::snapshot::Built;
use crate::source::Export;

/// A file for an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Below the site's folder: `exports/<engine>/…`.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl ExportFile {
    /// A file of an engine.
    fn new(engine: &str, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: format!("exports/{engine}/{name}"), bytes: bytes.into() }
    }
}

/// Everything that the catalog's `exports` ask for; a problem for each engine that cannot answer this catalog.
pub fn render(catalog: &Catalog, built: &Built) -> Result<Vec<ExportFile>, Vec<Problem>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for export in catalog.exports() {
        let rendered = match export {
            Export::Nginx => nginx::render(catalog, built),
            Export::Worker => worker::render(catalog, built),
            Export::Pages => pages::render(catalog, built),
        };
        match rendered {
            Ok(rendered) => files.extend(rendered),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// What no engine but the edge can do: sign, ask for credentials, and hand out bytes.
fn refuse_what_only_the_edge_answers(engine: &str, catalog: &Catalog) -> Result<(), Problem> {
    use crate::policy::Access;
    let why = if catalog.storage().base_url.is_none() {
        "the catalog has no storage.base_url, and only the edge hands out artifacts itself"
    } else if catalog.storage().presign.is_some() {
        "storage.presign asks for signed redirects, and only the edge signs"
    } else if catalog.v2_access() == Access::Required || catalog.v1().is_some() && catalog.v1_access() == Access::Required {
        "a family requires access, and only the edge knows who may ask"
    } else {
        return Ok(());
    };
    Err(Problem::general(format!("exports: {engine}: {why}; take it out of `exports`, or change the catalog")))
}
