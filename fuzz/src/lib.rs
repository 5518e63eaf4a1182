//! What the targets share: collections compiled in memory, and what must hold of every answer.

use agent_releases::answer::{Answer, Body, Keys, Links, Request, Secrets, Site, answer, artifact};
use agent_releases::catalog;
use agent_releases::snapshot::{Files, Index, REDIRECTS};
use agent_releases::source::{Sources, load};
use agent_releases::views;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// What the contract lets be answered; 500 is none of them.
const STATUSES: [u16; 16] = [200, 204, 206, 302, 304, 400, 401, 404, 405, 410, 414, 416, 417, 421, 431, 503];

/// Everybody is let in, because strangers are refused before anything is worked out; links are signed and checked.
static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let keys = Keys::parse("test-secret-key-at-least-32-chars-long").expect("a key");
    let mut secrets = Secrets::trusting().clone();
    secrets.links = Some(Links::new(&keys, 3_600).into());
    secrets
});
/// Where the clock stands.
const NOW: u64 = 1_706_832_000;

/// The sources of a collection below `tests/`.
pub fn sources(collection: &str) -> Sources {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(collection);
    let mut problems = Vec::new();
    let sources = load(&folder, &mut problems).expect("a folder");
    assert!(problems.is_empty(), "{collection}: {problems:?}");
    sources
}

/// A snapshot in memory.
pub struct Compiled {
    pub index: Index,
    pub files: Files,
}

/// Compiles sources; `None` when they break a rule.
pub fn compile(sources: &Sources) -> Option<Compiled> {
    let mut problems = Vec::new();
    let catalog = catalog::check(sources, &mut problems);
    problems.iter().for_each(|problem| _ = problem.render());
    let built = views::render(&catalog?).finish();
    let files = built.files();
    Some(Compiled { index: built.index, files })
}

/// A site, and every location that its redirect map plans.
pub struct Asked {
    pub site: Site,
    locations: BTreeSet<String>,
}

impl Asked {
    /// The site of a snapshot in memory.
    pub fn new(compiled: &Compiled, local_store: bool) -> Self {
        let site = Site::new(&compiled.index, &compiled.files, local_store).expect("what was compiled is a site");
        Self::of(site, &compiled.files)
    }

    /// A site that is there already.
    pub fn of(site: Site, files: &Files) -> Self {
        let map: Value = serde_json::from_slice(&files[REDIRECTS]).expect("JSON, as the site was made from it");
        let rows = map["rows"].as_array().into_iter().flatten();
        Self { site, locations: rows.filter_map(|row| row["location"].as_str()).map(str::to_owned).collect() }
    }

    /// The answer to a GET without headers, checked.
    pub fn get(&self, target: &str) -> Answer {
        self.ask(&Method::GET, target, &HeaderMap::new())
    }

    /// The answer, checked as far as any can be.
    pub fn ask(&self, method: &Method, target: &str, headers: &HeaderMap) -> Answer {
        let request = Request::new(method, target, headers).knowing(&SECRETS, || NOW);
        let answer = answer(&self.site, &request);
        self.check(&answer, method);
        if let Body::Artifact(stored) = &answer.body {
            for size in [None, stored.size_bytes, Some(0), Some(1), Some(u64::MAX)] {
                let (answer, range) = artifact(&self.site, &request, stored, size);
                self.check(&answer, &Method::HEAD);
                assert!(range.start <= range.end && range.end <= size.unwrap_or(0), "{range:?} of {size:?}");
                let length = answer.headers.get(CONTENT_LENGTH).map(|length| length.to_str().expect("ASCII").to_owned());
                let sends = matches!(answer.status.as_u16(), 200 | 206);
                assert!(!sends || length == Some((range.end - range.start).to_string()), "{length:?} of {range:?}");
            }
        }
        answer
    }

    /// What must hold of every answer.
    pub fn check(&self, answer: &Answer, method: &Method) {
        let status = answer.status.as_u16();
        let header = |name| answer.headers.get(name).map(|value| value.to_str().expect("visible ASCII"));
        assert!(STATUSES.contains(&status), "{status}");
        assert_eq!(header(LOCATION).is_some(), status == 302, "{status}");
        assert!(header(LOCATION).is_none_or(|location| self.locations.contains(location)), "{:?}", header(LOCATION));
        assert_eq!(header(X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
        if status >= 400 {
            assert_eq!(header(CACHE_CONTROL), Some("no-store"), "{status}");
        }
        match &answer.body {
            Body::Bytes(body) if status >= 400 => check_error(body),
            Body::Empty if status >= 400 => assert!(*method == Method::HEAD, "{status} without a document"),
            _ => {}
        }
    }
}

/// `{"error":{"code","message","details":{}}}`, or the Active API's `{"detail"}`, and nothing else.
fn check_error(body: &[u8]) {
    let document: Value = serde_json::from_slice(body).expect("an error is JSON");
    if let Some(detail) = document.get("detail") {
        assert!(detail.is_string() && document.as_object().is_some_and(|object| object.len() == 1), "{document}");
        return;
    }
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let error = &document["error"];
    assert_eq!(keys(&document), ["error"]);
    assert_eq!(keys(error), ["code", "details", "message"]);
    assert!(error["code"].is_string() && error["message"].is_string() && error["details"].is_object(), "{document}");
}

/// What a list page holds.
pub struct ListPage {
    pub channel_of_all: Vec<String>,
    pub versions: Vec<String>,
    pub times: Vec<Option<String>>,
    pub total: u64,
    pub next: Option<String>,
}

impl ListPage {
    /// Reads the body of a list's 200.
    pub fn read(answer: &Answer) -> Self {
        let page: Value = serde_json::from_slice(&answer.body.to_bytes()).expect("a page is JSON");
        let releases = page["data"].as_array().expect("data");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            channel_of_all: releases.iter().map(|release| text(&release["channel"]).expect("a channel")).collect(),
            versions: releases.iter().map(|release| text(&release["version"]).expect("a version")).collect(),
            times: releases.iter().map(|release| text(&release["published_at"])).collect(),
            total: page["total_count"].as_u64().expect("a count"),
            next: text(&page["next_cursor"]),
        }
    }
}
