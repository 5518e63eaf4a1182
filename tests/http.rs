//! HTTP as data: the cases of `tests/http`, asked of the pure function and, where no clock decides, of a real edge.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::answer::{Credentials, Keys, Links, Request, Secrets, Sessions, Site, Tokens, answer};
use agent_releases::words::Sha256;
use common::{Edge, Reply, all_equal, compiler_ok, copy_files, data};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// One question and what must hold of its answer.
struct Case {
    place: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    status: u16,
    /// `None`: the header must be absent.
    expected: Vec<(String, Option<String>)>,
    /// `None`: not compared.
    body: Option<String>,
}

impl Case {
    fn parse(place: String, text: &str) -> Option<Self> {
        let mut lines = text.lines().skip_while(|line| line.is_empty() || line.starts_with('#'));
        let (method, target) = lines.next()?.split_once(' ').unwrap_or_else(|| panic!("{place}: a request line"));
        let pair = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()))
        };
        let headers = lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .map(|line| pair(line).unwrap_or_else(|| panic!("{place}: a header, found `{line}`")))
            .collect();
        let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{place}: a status"));
        let mut case = Self {
            place,
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            status,
            expected: Vec::new(),
            body: None,
        };
        for line in lines.filter(|line| !line.is_empty()) {
            match line {
                "\"\"" => case.body = Some(String::new()),
                line if line.starts_with('{') => case.body = Some(format!("{line}\n")),
                line if line.starts_with('!') => case.expected.push((line[1..].to_ascii_lowercase(), None)),
                line => case.expected.extend(pair(line).map(|(name, value)| (name.to_ascii_lowercase(), Some(value)))),
            }
        }
        Some(case)
    }

    /// What is wrong with an answer.
    fn differences(&self, reply: &Reply) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut differ = |what: &str, expected: &str, actual: &str| {
            if expected != actual {
                wrong.push(format!(
                    "{}: {} {}: {what}: expected `{expected}`, found `{actual}`",
                    self.place, self.method, self.target
                ));
            }
        };
        differ("status", &self.status.to_string(), &reply.status.to_string());
        for (name, expected) in &self.expected {
            differ(name, expected.as_deref().unwrap_or("(absent)"), reply.header(name).unwrap_or("(absent)"));
        }
        if let Some(body) = &self.body {
            differ("body", body, &reply.text());
        }
        wrong
    }
}

/// A folder of cases, and the collection of `tests/good` that they are asked of.
struct Suite {
    cases: &'static str,
    collection: &'static str,
    /// So many cases there are at least, so that none are lost unseen.
    least: usize,
    /// The real edge is asked too: it has its own clock, and no secrets here.
    without_secrets: bool,
}

const SUITES: [Suite; 10] = [
    Suite { cases: "http", collection: "http", least: 641, without_secrets: true },
    Suite { cases: "http/v1", collection: "v1", least: 462, without_secrets: true },
    Suite { cases: "http/v1-gone", collection: "v1-gone", least: 83, without_secrets: true },
    Suite { cases: "http/required", collection: "required", least: 566, without_secrets: false },
    Suite { cases: "http/active", collection: "active", least: 363, without_secrets: false },
    Suite { cases: "http/active-bare", collection: "active-bare", least: 4, without_secrets: false },
    Suite { cases: "http/mixed", collection: "mixed", least: 7, without_secrets: false },
    Suite { cases: "http/presigned", collection: "presigned", least: 6, without_secrets: false },
    Suite { cases: "http/no-storage", collection: "no-storage", least: 5, without_secrets: false },
    Suite { cases: "http/active-none", collection: "active-none", least: 14, without_secrets: false },
];

/// The first makes, any is accepted.
const SIGNING_KEYS: &str = "test-secret-key-at-least-32-chars-long\nan-older-secret-key-of-at-least-32-chars\n";
const SESSION_SECRETS: &str = "session-secret-key-at-least-32-chars!!\nan-older-session-secret-of-32-chars-or-more\n";

/// The credentials of the cases; `tests/http/README.md` names them.
fn secrets() -> Secrets {
    let hash = |token: &str| Sha256::of(token.as_bytes()).hex();
    let tokens = [
        ("ci", "agr_test-token-of-the-cases", ""),
        ("old", "agr_expired-token-of-the-cases", "2024-01-01T00:00:00Z"),
        ("now", "agr_token-that-ends-now", "2024-02-02T00:00:00Z"),
        ("next", "agr_token-that-ends-next", "2024-02-02T00:00:01Z"),
    ];
    let tokens: String = tokens.map(|(name, token, end)| format!("{name} {} {end}\n", hash(token))).concat();
    let keys = |text: &str| Keys::parse(text).expect("keys");
    Secrets::new(
        Tokens::parse(&tokens).expect("tokens"),
        Some(Sessions::new(&keys(SESSION_SECRETS), "session", "user_guid", 86_400)),
        Some(Links::new(&keys(SIGNING_KEYS), 3_600)),
        Some(Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)),
    )
}

/// Where the clock of the cases stands.
fn now() -> u64 {
    1_706_832_000
}

impl Suite {
    fn cases(&self) -> Vec<Case> {
        let folder = data().join(self.cases);
        let mut files: Vec<_> = fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
        files.sort();
        let mut cases = Vec::new();
        for path in files {
            let text = fs::read_to_string(&path).expect("readable");
            let name = path.strip_prefix(data()).expect("inside").display().to_string();
            let mut line = 1;
            for block in text.split("\n---\n") {
                cases.extend(Case::parse(format!("{name}:{line}"), block));
                line += block.lines().count() + 1;
            }
        }
        assert!(cases.len() >= self.least, "{}: {} cases", self.cases, cases.len());
        cases
    }

    fn site(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_files(&data().join("good").join(self.collection), &folder.path().join("releases"));
        compiler_ok(folder.path(), &["build"]);
        folder
    }
}

/// What the pure function answers, in the form of a reply.
fn pure(site: &Site, secrets: &Secrets, case: &Case) -> Option<Reply> {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?);
    }
    let method = Method::from_bytes(case.method.as_bytes()).ok()?;
    let answer = answer(site, &Request::new(&method, &case.target, &headers).knowing(secrets, now));
    let length = answer.content_length();
    let body = answer.body.to_bytes().to_vec();
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .filter(|(name, _)| name != "content-length")
        .chain(length.map(|length| ("content-length".to_owned(), length.to_string())))
        .collect();
    Some(Reply { status: answer.status.as_u16(), headers, body })
}

#[test]
fn the_edge_answers_every_case() {
    let mut differences = Vec::new();
    for suite in SUITES.iter().filter(|suite| suite.without_secrets) {
        let folder = suite.site();
        let edge = Edge::start(&folder.path().join("dist"), &[]);
        let ask = |case: &Case| case.differences(&edge.ask(&case.method, &case.target, &case.headers));
        differences.extend(suite.cases().iter().flat_map(ask));
    }
    all_equal(differences);
}

#[test]
fn the_gate_comes_before_access() {
    let suite = SUITES.iter().find(|suite| suite.cases == "http/required").expect("the suite");
    let folder = suite.site();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("ci {}\n", Sha256::of(b"agr_test-token-of-the-cases"))).expect("written");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("its mode");
    let edge = Edge::start(&folder.path().join("dist"), &["--tokens", tokens.to_str().expect("UTF-8")]);
    let cases: Vec<Case> = suite.cases().into_iter().filter(|case| case.place.starts_with("http/required/gate.txt")).collect();
    assert!(cases.len() > 15, "{} cases", cases.len());
    let ask = |case: &Case| case.differences(&edge.ask(&case.method, &case.target, &case.headers));
    all_equal(cases.iter().flat_map(ask).collect());
}

#[test]
fn the_pure_function_answers_every_case() {
    // What the gate refuses never reaches the function.
    let gate = |case: &&Case| {
        let two_readings = case.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).count() > 1;
        ![414, 417, 421, 431].contains(&case.status)
            && !two_readings
            && !case.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    };
    let secrets = secrets();
    let mut differences = Vec::new();
    for suite in &SUITES {
        let folder = suite.site();
        let site = Site::open(&folder.path().join("dist"), false).expect("a site");
        let ask = |case: &Case| {
            let unheard = || vec![format!("{}: cannot be asked", case.place)];
            pure(&site, &secrets, case).map_or_else(unheard, |reply| case.differences(&reply))
        };
        differences.extend(suite.cases().iter().filter(gate).flat_map(ask));
    }
    all_equal(differences);
}

#[test]
fn each_page_of_a_list_has_a_tag_of_its_own() {
    let folder = SUITES[0].site();
    let site = Site::open(&folder.path().join("dist"), false).expect("a site");
    let ask = |target: &str, headers: &HeaderMap| answer(&site, &Request::new(&Method::GET, target, headers));
    let mut bodies = std::collections::BTreeMap::new();
    for channel in ["stable", "beta", "latest"] {
        for order in ["asc", "desc"] {
            for size in [1, 2, 3, 50] {
                let target = format!("/v2/agent-releases?channel={channel}&sort_by=version&sort_order={order}&page_size={size}");
                let page = ask(&target, &HeaderMap::new());
                let tag = page.headers["etag"].clone();
                let digits = tag.to_str().expect("ASCII").trim_matches('"');
                assert!(digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{target}: {tag:?}");
                let known = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, tag.clone())]);
                assert_eq!(ask(&target, &known).status, 304, "{target}");
                // Channels differ in their names alone, but no address shows two of them.
                let other = bodies.insert((channel, tag), page.body.to_bytes());
                assert!(other.is_none_or(|other| other == page.body.to_bytes()), "{target}: a tag for two pages");
            }
        }
    }
    assert!(bodies.len() > 9, "{} pages", bodies.len());
}
