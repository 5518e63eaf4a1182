//! What is live, seen from outside: every address of a site asked at a base address, and every artifact looked at.

use super::staged::{difference, expected};
use crate::answer::{Site, questions};
use crate::redirects::{LOCAL_BASE, ReadMap};
use crate::site_table::{SiteTable, State};
use crate::words::Hasher;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http::header::LOCATION;
use std::collections::BTreeMap;
use std::time::Duration;

/// Questions under way at a time, of a server that others ask as well.
pub(super) const QUESTIONS_AT_ONCE: usize = 32;
const SNAPSHOT: &str = "x-release-snapshot";
const TIMEOUT: Duration = Duration::from_secs(60);
/// What only an edge, or nobody at all, may see.
const PRIVATE: [&str; 11] = [
    "/private/site.json",
    "/private/active.json",
    "/private/ledger.json",
    "/private/redirects.json",
    "/snapshot.json",
    "/redirects.json",
    "/current",
    "/snapshots/1.json",
    "/objects/",
    "/public/v2/agent-releases/latest.json",
    "/.agent-releases/",
];

/// What is asked, and how thoroughly.
pub struct Audit<'a> {
    /// The site as it should be.
    pub site: &'a Site,
    /// Its redirect map.
    pub map: &'a [u8],
    /// Its table of releases.
    pub table: &'a [u8],
    /// Where it is live, without a slash at its end.
    pub base: &'a str,
    /// Read every artifact and compare its hash.
    pub deep: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Addresses that were asked.
    pub addresses: usize,
    /// Artifacts that were looked at.
    pub artifacts: usize,
    /// What is not as it should be, a sentence each.
    pub drift: Vec<String>,
}

/// A client that follows no redirect and trusts the roots that come with the program's TLS.
pub fn client() -> Result<reqwest::Client, String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
    client.user_agent(concat!("agent-releases/", env!("CARGO_PKG_VERSION"))).build().map_err(|error| error.to_string())
}

impl Audit<'_> {
    /// Asks everything.
    pub async fn run(&self) -> Result<Findings, String> {
        let client = client()?;
        let mut findings = Findings::default();
        let mut addresses = questions(self.site);
        addresses.retain(|address| !address.starts_with(LOCAL_BASE));
        addresses.sort_unstable();
        findings.addresses = addresses.len() + PRIVATE.len();
        findings.drift.extend(self.other_snapshot(&client).await);
        let asking = stream::iter(addresses.iter().map(|address| self.ask(&client, address)));
        let drift: Vec<Option<String>> = asking.buffered(QUESTIONS_AT_ONCE).collect().await;
        findings.drift.extend(drift.into_iter().flatten());
        for address in PRIVATE {
            if let Ok(answer) = client.get(format!("{}{address}", self.base)).send().await
                && answer.status().is_success()
            {
                findings.drift.push(format!("{address} can be reached, and must not be: serve public/ alone"));
            }
        }
        self.artifacts(&client, &mut findings).await?;
        Ok(findings)
    }

    /// Whether what answers says that it is another snapshot.
    async fn other_snapshot(&self, client: &reqwest::Client) -> Option<String> {
        let found = client.get(format!("{}/v2/agent-releases/latest?channel=stable", self.base)).send().await.ok()?;
        let live = found.headers().get(SNAPSHOT)?.to_str().ok()?;
        let should = self.site.short_id();
        (live != should).then(|| format!("snapshot {} answers, and should be {should}", crate::problem::shown(live)))
    }

    async fn ask(&self, client: &reqwest::Client, address: &str) -> Option<String> {
        let found = match client.get(format!("{}{address}", self.base)).send().await {
            Ok(found) => found,
            Err(error) => return Some(format!("{address} cannot be asked: {}", innermost(&error))),
        };
        let (status, headers) = (found.status(), found.headers().clone());
        let body = match found.bytes().await {
            Ok(body) => body,
            Err(error) => return Some(format!("{address} breaks off: {}", innermost(&error))),
        };
        let mut expected = expected(self.site, address);
        // Which snapshot it is was said once; a CDN and a bucket say nothing of it, and the bytes tell.
        expected.headers.remove(SNAPSHOT);
        // Redirects that are signed differ each time; where they lead to is looked at below.
        if expected.headers.get(LOCATION).is_some_and(|location| location.to_str().is_ok_and(|text| text.contains("X-Amz-"))) {
            expected.headers.remove(LOCATION);
        }
        difference(&expected, status, &headers, &body).map(|difference| format!("{address}: {difference}"))
    }

    async fn artifacts(&self, client: &reqwest::Client, findings: &mut Findings) -> Result<(), String> {
        let map: ReadMap<'_> = serde_json::from_slice(self.map).map_err(|error| error.to_string())?;
        let table: SiteTable<'_> = serde_json::from_slice(self.table).map_err(|error| error.to_string())?;
        if map.presign.is_some() {
            return Ok(());
        }
        let state: BTreeMap<&str, State> = table.releases.iter().map(|release| (&*release.version, release.state)).collect();
        let mut wanted = BTreeMap::new();
        for row in &map.rows {
            let is_recalled = state.get(&*row.version) == Some(&State::Recalled);
            let known = wanted.entry(row.location.to_string()).or_insert((row, true));
            known.1 &= is_recalled;
        }
        findings.artifacts = wanted.len();
        let looking = wanted.iter().map(|(location, (row, is_recalled))| self.look(client, location, row, *is_recalled));
        let drift: Vec<Option<String>> = stream::iter(looking).buffered(QUESTIONS_AT_ONCE).collect().await;
        findings.drift.extend(drift.into_iter().flatten());
        Ok(())
    }

    async fn look(
        &self,
        client: &reqwest::Client,
        location: &str,
        row: &crate::redirects::Row<'_>,
        is_recalled: bool,
    ) -> Option<String> {
        let url = if location.starts_with('/') { format!("{}{location}", self.base) } else { location.to_owned() };
        let request = if self.deep && !is_recalled { client.get(&url) } else { client.head(&url) };
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) => return Some(format!("{location} cannot be asked: {}", innermost(&error))),
        };
        let status = found.status();
        if is_recalled {
            return status.is_success().then(|| format!("{location}: its release is recalled, and its bytes are still there"));
        }
        if status != StatusCode::OK {
            return Some(format!("{location} is answered {}, and should be 200", status.as_u16()));
        }
        let header = |name: &str| found.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if header("content-type").as_deref() != Some(&*row.content_type) {
            let is = header("content-type").unwrap_or_else(|| "none".to_owned());
            return Some(format!("{location}: its type is {is}, and should be {}", row.content_type));
        }
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        if length.is_some() && row.size_bytes.is_some() && length != row.size_bytes {
            let (is, should) = (length.unwrap_or_default(), row.size_bytes.unwrap_or_default());
            return Some(format!("{location}: has {is} bytes, and should have {should}"));
        }
        if self.deep { wrong_bytes(found, location, row).await } else { None }
    }
}

/// Reads an artifact to its end, in pieces, and compares its hash.
async fn wrong_bytes(found: reqwest::Response, location: &str, row: &crate::redirects::Row<'_>) -> Option<String> {
    let (mut hasher, mut pieces) = (Hasher::default(), found.bytes_stream());
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => hasher.update(&piece),
            Err(error) => return Some(format!("{location} breaks off: {}", innermost(&error))),
        }
    }
    let is = hasher.finish().hex();
    let should = row.sha256?;
    (is != should).then(|| format!("{location}: its SHA-256 is {is}, and should be {should}"))
}

/// The reason at the bottom of an error, without the address that everybody knows.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    crate::problem::shown(&inner.to_string())
}
