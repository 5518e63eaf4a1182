//! What `plan` compares with: a site in a folder, the one that is live on a target, or whatever a base address answers.

use super::audit::{QUESTIONS_AT_ONCE, client, innermost};
use super::record::Record;
use super::staged::difference;
use super::target::Target;
use super::{Failed, read_rows};
use crate::answer::{Request, Secrets, Site, SiteError, answer, questions};
use crate::plan::{Change, Plan, Seen};
use crate::redirects::LOCAL_BASE;
use crate::snapshot::{Encodings, Files, Index, LEDGER, Row, is_page, read_by_index, read_files};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use std::path::Path;

/// The site of a record. Documents that the new snapshot has as well are not fetched.
pub async fn live_site(target: &Target, record: &Record, new: &Index, files: &Files) -> Result<Site, Failed> {
    let mut index = record.index();
    index.files.retain(|row| !is_page(&row.path));
    let old = read_rows(target, own_rows(&index, new)).await?;
    site_beside(index, old, new, files).map_err(|error| Failed::Missing(error.to_string()))
}

/// The site in a folder, whose index may be known. Documents that the new snapshot has as well are not read again.
pub fn site_in_folder(folder: &Path, known: Option<Index>, new: &Index, files: &Files) -> Result<Site, SiteError> {
    let site = read_by_index(folder, known, |index| {
        let answers = index.files.iter().filter(|row| !is_page(&row.path)).cloned();
        // Compressed forms say nothing that the identity form does not.
        let rows = answers.map(|row| Row { encodings: Encodings::default(), ..row }).collect();
        let index = Index { id: index.id.clone(), generation: index.generation, files: rows, ..Index::default() };
        let old = read_files(folder, own_rows(&index, new))?;
        site_beside(index, old, new, files)
    });
    site.map(|(site, _)| site)
}

/// The rows of what answers are made from that the new snapshot does not have alike.
fn own_rows<'a>(index: &'a Index, new: &'a Index) -> impl Iterator<Item = &'a Row> {
    index
        .files
        .iter()
        .filter(|row| row.path != LEDGER)
        .filter(|row| new.row(&row.path).is_none_or(|other| other.sha256 != row.sha256))
}

/// A site whose other documents are those of the new snapshot.
fn site_beside(mut index: Index, mut old: Files, new: &Index, files: &Files) -> Result<Site, SiteError> {
    index.kept.clear();
    let shared = index.files.iter().filter(|row| new.row(&row.path).is_some_and(|other| other.sha256 == row.sha256));
    old.extend(shared.filter_map(|row| Some((row.path.clone(), files.get(&row.path)?.clone()))));
    Site::new(&index, &old, true)
}

/// Asks a live base address everything that the new site knows, without credentials, and says what would be answered
/// otherwise. What only the live site knows cannot be asked for.
pub async fn plan_live(base: &str, site: &Site) -> Result<Plan, String> {
    let client = client()?;
    let mut asked = questions(site);
    asked.retain(|address| !address.starts_with(LOCAL_BASE));
    asked.sort_unstable();
    let comparing = stream::iter(asked.iter().map(|address| compare(&client, base, site, address)));
    let changes: Vec<Option<Change>> = comparing.buffered(QUESTIONS_AT_ONCE).try_collect().await?;
    Ok(Plan { questions: asked.len(), changes: changes.into_iter().flatten().collect() })
}

async fn compare(client: &reqwest::Client, base: &str, site: &Site, address: &str) -> Result<Option<Change>, String> {
    let broken = |error: reqwest::Error| format!("{base}{address}: {}", innermost(&error));
    let live = client.get(format!("{base}{address}")).send().await.map_err(broken)?;
    let (status, headers) = (live.status(), live.headers().clone());
    let body = live.bytes().await.map_err(broken)?;
    let none = HeaderMap::new();
    let mut new = answer(site, &Request::new(&Method::GET, address, &none).knowing(Secrets::none(), || 0));
    // Who answers may be another engine, and the snapshot another one; neither is a change of the answer.
    for name in ["x-release-snapshot", "content-length"] {
        new.headers.remove(name);
    }
    let is_same =
        difference(&new, status, &headers, &body).is_none() || (status == StatusCode::NOT_FOUND && new.status == status);
    if is_same {
        return Ok(None);
    }
    let names = new.headers.keys().filter(|name| headers.get(*name) != new.headers.get(*name));
    let headers_differ = names.map(|name| name.as_str().to_owned()).collect();
    let version = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let version = version.and_then(|document| Some(document.get("version")?.as_str()?.to_owned()));
    let before = Seen::live(status, &headers, version);
    Ok(Some(Change { address: address.to_owned(), before, after: Seen::of(site, &new), headers: headers_differ }))
}
