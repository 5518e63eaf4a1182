//! Whatever bytes come as a request's head: no panic, an answer of the contract, no location but a compiled one.

#![no_main]

use agent_releases::answer::{Body, refuse, without_body};
use agent_releases::edge::{RawHead, gate};
use agent_releases_fuzz::{Asked, compile, sources};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Sites whose downloads lead to a storage, and sites that stream them themselves.
static SITES: LazyLock<[Asked; 5]> = LazyLock::new(|| {
    let site = |collection, local| Asked::new(&compile(&sources(collection)).expect("a catalog"), local);
    [
        site("good/v1", false),
        site("good/v1-gone", false),
        site("good/active-none", false),
        site("good/active-bare", true),
        site("good/no-storage", true),
    ]
});

/// More headers than the gate lets through, as hyper takes them in.
const MOST_HEADERS: usize = 100;

fuzz_target!(|bytes: &[u8]| {
    let Some((request, raw)) = read(bytes) else { return };
    let named = ["test.example".to_owned()];
    let passes_named = gate(&request, &raw, &named);
    let passes = gate(&request, &raw, &[]);
    assert!(passes.is_ok() || passes_named.is_err(), "a name that is asked for lets more through");
    for asked in SITES.iter() {
        for refusal in [&passes, &passes_named].into_iter().filter_map(|passes| passes.as_ref().err()) {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let answer = refuse(&asked.site, target, refusal);
            asked.check(&answer, &Method::GET);
            assert!(matches!(answer.status.as_u16(), 400 | 405 | 414 | 417 | 421 | 431), "{}", answer.status);
            asked.check(&without_body(answer), &Method::HEAD);
        }
        if passes.is_ok() {
            answer(asked, &request);
        }
    }
});

/// Asks; and HEAD is GET without its body.
fn answer(asked: &Asked, request: &Request<()>) {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let answer = asked.ask(request.method(), target, request.headers());
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        assert!(matches!(answer.status.as_u16(), 400 | 405), "{} is answered {}", request.method(), answer.status);
        return;
    }
    let get = asked.ask(&Method::GET, target, request.headers());
    let head = asked.ask(&Method::HEAD, target, request.headers());
    let without_length = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers
    };
    assert_eq!(get.status, head.status);
    assert_eq!(get.content_length(), head.content_length());
    assert_eq!(without_length(&get.headers), without_length(&head.headers));
    assert!(matches!(head.body, Body::Empty | Body::Artifact(_)), "HEAD has no body");
    if get.status == 200 {
        has_already(asked, target, get.headers.get(header::ETAG));
    }
}

/// A tag that was given is known again.
fn has_already(asked: &Asked, target: &str, tag: Option<&HeaderValue>) {
    let Some(tag) = tag else { return };
    let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.clone())]);
    let again = asked.ask(&Method::GET, target, &headers);
    let differs = matches!(again.body, Body::Artifact(_)) || again.headers.get(header::ETAG) != Some(tag);
    assert!(differs || again.status == 304, "{target}: {tag:?} is not known again");
}

/// The head as hyper would hand it over; `None` for what hyper refuses by itself.
fn read(bytes: &[u8]) -> Option<(Request<()>, RawHead)> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = parsed.parse(bytes).ok()? else { return None };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(parsed.path?).ok()?;
    *request.version_mut() = if parsed.version? == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some((request, raw_head(bytes.get(..end)?)))
}

/// What the gate must know of these bytes, counted in the plainest way.
fn raw_head(head: &[u8]) -> RawHead {
    let is_empty = |line: &&[u8]| matches!(**line, [b'\n'] | [b'\r', b'\n']);
    let lines: Vec<&[u8]> = head.split_inclusive(|b| *b == b'\n').skip_while(is_empty).collect();
    let behind_method = lines.first().into_iter().flat_map(|line| line.iter().skip_while(|b| **b != b' '));
    RawHead {
        length: lines.iter().map(|line| line.len()).sum(),
        lines: lines.len().saturating_sub(2),
        fragment: behind_method.into_iter().any(|b| *b == b'#'),
    }
}
