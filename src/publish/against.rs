//! What `plan` compares with when that is elsewhere: the site that is live on a target, or whatever a base address answers.

use super::audit::{client, innermost};
use super::record::Record;
use super::staged::difference;
use super::target::Target;
use super::{Failed, read_row};
use crate::answer::{Request, Secrets, Site, answer, questions};
use crate::plan::{Change, Plan, Seen};
use crate::redirects::LOCAL_BASE;
use crate::snapshot::{Files, Index, LEDGER, Row};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Method, StatusCode};

const SIDE_BY_SIDE: usize = 32;

/// The site of a record. Documents that the new snapshot has as well are not fetched.
pub async fn live_site(target: &Target, record: &Record, new: &Index, files: &Files) -> Result<Site, Failed> {
    let mut index = record.index();
    index.kept.clear();
    let is_same = |row: &&Row| new.row(&row.path).is_some_and(|other| other.sha256 == row.sha256);
    let differ = index.files.iter().filter(|row| !is_same(row) && row.path != LEDGER);
    let reading = differ.map(|row| async move { Ok::<_, Failed>((row.path.clone(), read_row(target, row).await?)) });
    let mut old: Files = stream::iter(reading).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
    let shared = index.files.iter().filter(is_same).filter_map(|row| Some((row.path.clone(), files.get(&row.path)?.clone())));
    old.extend(shared);
    Site::new(&index, &old, true).map_err(|error| Failed::Missing(error.to_string()))
}

/// Asks a live base address everything that the new site knows, without credentials, and says what would be answered
/// otherwise. What only the live site knows cannot be asked for.
pub async fn plan_live(base: &str, site: &Site) -> Result<Plan, String> {
    let client = client()?;
    let mut asked = questions(site);
    asked.retain(|address| !address.starts_with(LOCAL_BASE));
    asked.sort_unstable();
    let comparing = stream::iter(asked.iter().map(|address| compare(&client, base, site, address)));
    let changes: Vec<Option<Change>> = comparing.buffered(SIDE_BY_SIDE).try_collect().await?;
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
