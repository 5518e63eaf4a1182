//! worker.

use super::{ExportFile, refuse_what_only_the_edge_answers};
use crate::catalog::Catalog;
use crate::problem::Problem;
use crate::snapshot::Built;

/// The files of this engine.
pub(super) fn render(catalog: &Catalog, _built: &Built) -> Result<Vec<ExportFile>, Problem> {
    refuse_what_only_the_edge_answers("worker", catalog)?;
    Ok(Vec::new())
}
