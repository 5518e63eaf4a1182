//! Artifacts from the edge's own store: ranges, conditions, and what is sent with the bytes (RFC 9110 §13 and §14).

use super::error::Refusal;
use super::negotiate;
use super::request::Request;
use super::site::Stored;
use super::{Answer, Body, Site, Why, refuse};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_RANGE, RANGE};
use http::{HeaderMap, StatusCode};
use std::ops::Range;
use std::sync::Arc;

/// The artifact, if anything still offers it; the edge looks at the file and then asks [`artifact`].
pub(super) fn open(site: &Site, stored: &Arc<Stored>) -> Result<Answer, Refusal> {
    if let Some((version, reason)) = &stored.recalled {
        return Err(Refusal::recalled(version, reason));
    }
    if !site.has_store() {
        return Err(Refusal::unavailable());
    }
    Ok(Answer {
        status: StatusCode::OK,
        headers: stored.headers.clone(),
        body: Body::Artifact(Arc::clone(stored)),
        why: Why::rule("an artifact from the edge's own store"),
    })
}

/// The real answer for an artifact whose file has `size` bytes (`None`: there is no such file), and the range of bytes
/// to send. A file that is not as long as recorded is as good as missing.
pub fn artifact(site: &Site, request: &Request<'_>, stored: &Stored, size: Option<u64>) -> (Answer, Range<u64>) {
    let Some(size) = size.filter(|size| stored.size_bytes.is_none_or(|recorded| recorded == *size)) else {
        return (refuse(site, request.path, &Refusal::no_such_address(request.path)), 0..0);
    };
    let answer = |status, headers, why| Answer { status, headers, body: Body::Empty, why: Why::rule(why) };
    let mut headers = stored.headers.clone();
    let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
    if !etag.is_empty() && negotiate::has_already(request.headers, etag) {
        for name in [CONTENT_TYPE, CONTENT_DISPOSITION] {
            headers.remove(name);
        }
        return (answer(StatusCode::NOT_MODIFIED, headers, "the client has it already"), 0..0);
    }
    match wanted(request, etag, size) {
        Wanted::Whole => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
            (answer(StatusCode::OK, headers, "the whole artifact"), 0..size)
        }
        Wanted::Part(range) => {
            let last = range.end.saturating_sub(1);
            super::headers::insert(&mut headers, "Content-Range", &format!("bytes {}-{last}/{size}", range.start));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end.saturating_sub(range.start)));
            (answer(StatusCode::PARTIAL_CONTENT, headers, "the part of the artifact that was asked for"), range)
        }
        Wanted::Nothing => {
            let mut headers = unsatisfiable(site, request.path);
            super::headers::insert(&mut headers, CONTENT_RANGE.as_str(), &format!("bytes */{size}"));
            (answer(StatusCode::RANGE_NOT_SATISFIABLE, headers, "the range lies behind the end"), 0..0)
        }
    }
}

fn unsatisfiable(site: &Site, path: &str) -> HeaderMap {
    let mut headers = site.templates().of(crate::policy::Policy::Error, site.family_access(path));
    headers.remove(CONTENT_TYPE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers
}

enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// A single range; several, malformed or conditional on other bytes mean the whole.
fn wanted(request: &Request<'_>, etag: &str, size: u64) -> Wanted {
    let mut ranges = request.headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    // A weak tag or a date never proves that the bytes are the same.
    if let Some(condition) = request.headers.get(IF_RANGE)
        && (etag.is_empty() || condition.as_bytes() != etag.as_bytes())
    {
        return Wanted::Whole;
    }
    let range = range.to_str().ok().and_then(|range| parse(range, size));
    range.unwrap_or(Wanted::Whole)
}

/// `bytes=0-499`, `bytes=500-`, `bytes=-500`; `None` when it is not such a range.
fn parse(text: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let number = |digits: &str| {
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            Some(digits.parse().unwrap_or(u64::MAX))
        } else {
            None
        }
    };
    let range = match (first, last) {
        ("", suffix) => {
            let length = number(suffix)?;
            if length == 0 {
                return Some(Wanted::Nothing);
            }
            size.saturating_sub(length)..size
        }
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if range.start < size { Wanted::Part(range) } else { Wanted::Nothing })
}
