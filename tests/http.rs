//! HTTP as data: every case of `tests/http/*.txt`, asked of the pure function and of a real edge.

#![allow(clippy::disallowed_methods, reason = "tests are shell")]

mod common;

use agent_releases::answer::{Request, Site, answer};
use common::{Edge, Reply, all_equal, compiler_ok, copy_files, data};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::fs;

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

fn cases() -> Vec<Case> {
    let mut files: Vec<_> =
        fs::read_dir(data().join("http")).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("readable");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut line = 1;
        for block in text.split("\n---\n") {
            cases.extend(Case::parse(format!("{name}:{line}"), block));
            line += block.lines().count() + 1;
        }
    }
    assert!(cases.len() > 600, "{} cases", cases.len());
    cases
}

fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy_files(&data().join("good/http"), &folder.path().join("releases"));
    compiler_ok(folder.path(), &["build"]);
    folder
}

/// What the pure function answers, in the form of a reply.
fn pure(site: &Site, case: &Case) -> Option<Reply> {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?);
    }
    let method = Method::from_bytes(case.method.as_bytes()).ok()?;
    let answer = answer(site, &Request::new(&method, &case.target, &headers));
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
    let folder = site();
    let edge = Edge::start(&folder.path().join("dist"), &[]);
    all_equal(cases().iter().flat_map(|case| case.differences(&edge.ask(&case.method, &case.target, &case.headers))).collect());
}

#[test]
fn the_pure_function_answers_what_the_edge_answers() {
    let folder = site();
    let site = Site::open(&folder.path().join("dist"), false).expect("a site");
    // What the gate refuses never reaches the function.
    let gate = |case: &&Case| {
        ![414, 417, 421, 431].contains(&case.status)
            && !case.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    };
    let differences =
        cases().iter().filter(gate).filter_map(|case| Some(case.differences(&pure(&site, case)?))).flatten().collect();
    all_equal(differences);
}

#[test]
fn each_page_of_a_list_has_a_tag_of_its_own() {
    let folder = site();
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
