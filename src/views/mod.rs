//! Everything that is published, a file each: the answers and records of the two lists below, and the pages.

mod active;
mod history;
mod openapi;
mod pages;
mod site;
mod v1;
mod v2;

use crate::catalog::Catalog;
use crate::ledger::Ledger;
use crate::problem::Problem;
use crate::redirects;
use crate::snapshot::{LEDGER, REDIRECTS, Snapshot};
use crate::source::Template;
use rayon::prelude::*;

/// A view adds its files to the snapshot.
type View = fn(&Catalog, &mut Snapshot);

/// What the interfaces answer from.
const ANSWERS: &[View] = &[v2::render, v1::render, active::render, history::render, openapi::render, site::render, redirect_map];
/// What the next build answers to.
const RECORDS: &[View] = &[ledger];

/// Everything that the interfaces answer from.
pub fn answers(catalog: &Catalog) -> Snapshot {
    side_by_side(catalog, ANSWERS)
}

fn side_by_side(catalog: &Catalog, views: &[View]) -> Snapshot {
    let parts = views.par_iter().map(|view| {
        let mut part = Snapshot::default();
        view(catalog, &mut part);
        part
    });
    parts.reduce(Snapshot::default, Snapshot::merged)
}

/// The whole site: the answers, the records, and the pages that a template makes of them. The problems are the template's.
pub fn render(catalog: &Catalog, template: &Template) -> Result<Snapshot, Vec<Problem>> {
    let mut pages = Snapshot::default();
    let (answers, made) =
        rayon::join(|| side_by_side(catalog, &[ANSWERS, RECORDS].concat()), || pages::render(catalog, template, &mut pages));
    made.map(|()| answers.merged(pages))
}

/// What is wrong with the pages, filled in.
pub fn check_pages(catalog: &Catalog, template: &Template) -> Result<(), Vec<Problem>> {
    pages::render(catalog, template, &mut Snapshot::default())
}

/// What is wrong with the pages' template, whatever it is filled with.
pub fn check(template: &Template) -> Vec<Problem> {
    pages::check(template)
}

fn ledger(catalog: &Catalog, snapshot: &mut Snapshot) {
    snapshot.internal(LEDGER, json(&Ledger::of(catalog)));
}

fn redirect_map(catalog: &Catalog, snapshot: &mut Snapshot) {
    snapshot.internal(REDIRECTS, json(&redirects::plan(catalog)));
}

/// A document: compact JSON and a final newline.
fn json(document: &impl serde::Serialize) -> Vec<u8> {
    // Nothing that is serialised here can fail: no maps with odd keys, no floats.
    let mut bytes = serde_json::to_vec(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
