//! Artifacts from the edge's own store: ranges, conditions, and what is sent with the bytes (RFC 9110 §13 and §14).

use super::document::etag;
use super::error::Refusal;
use super::headers::{CHECKSUM, insert, same_but_for_snapshot};
use super::negotiate;
use super::request::Request;
use super::target::Target;
use super::{Answer, Body, Site, Why, refuse};
use crate::policy::{Access, Policy};
use crate::words::{Sha256, Word};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use http::{HeaderMap, Method, StatusCode};
use std::ops::Range;
use std::sync::Arc;

/// An artifact in the edge's own store.
#[derive(Debug)]
pub struct Stored {
    /// Where it lies below the store's folder.
    pub key: Box<str>,
    /// Bytes, when recorded.
    pub size_bytes: Option<u64>,
    headers: HeaderMap,
    /// Set when every release that offers it is recalled: a version and its reason.
    recalled: Option<Recall>,
    absent: Absent,
    /// What is told, and counted, of an answer that begins with its first byte.
    why: Why,
}

/// A version, and why it is recalled.
pub(super) type Recall = (Box<str>, Box<str>);

/// What is answered when the file is not there.
#[derive(Debug)]
pub(super) enum Absent {
    /// There is no such address.
    NoSuchAddress,
    /// The Active API says that it is missing.
    Missing,
    /// The Active API sends to the storage.
    Elsewhere(Target),
}

impl Stored {
    /// What a target leads to, below this key, under the headers of its policy.
    pub(super) fn new(
        target: &Target,
        key: &str,
        mut headers: HeaderMap,
        recalled: Option<Recall>,
        absent: Absent,
        why: Why,
    ) -> Option<Self> {
        headers.insert(CONTENT_TYPE, HeaderValue::try_from(&*target.content_type).ok()?);
        headers.insert(CONTENT_DISPOSITION, target.disposition.clone());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(checksum) = &target.checksum {
            let sha256 = Sha256::parse(checksum.to_str().ok()?).ok()?;
            insert(&mut headers, "Repr-Digest", &format!("sha-256=:{}:", STANDARD.encode(sha256.bytes())));
            insert(&mut headers, "ETag", &etag(&sha256));
            headers.insert(CHECKSUM, checksum.clone());
        }
        Some(Self { key: key.into(), size_bytes: target.size_bytes, headers, recalled, absent, why })
    }

    /// Whether a release that is not recalled offers it.
    pub(super) fn is_offered(&self) -> bool {
        self.recalled.is_none()
    }

    /// Whether both are answered alike, the snapshot's own id aside.
    pub(super) fn answers_like(&self, other: &Self) -> bool {
        (self.size_bytes, &self.recalled) == (other.size_bytes, &other.recalled)
            && same_but_for_snapshot(&self.headers, &other.headers)
    }
}

/// Sends to where a target's bytes lie, under the headers of the family; where the storage wants it, with a signature.
pub(super) fn redirect(
    site: &Site,
    request: &Request<'_>,
    target: &Target,
    mut headers: HeaderMap,
    why: Why,
) -> Result<Answer, Refusal> {
    headers.insert(CONTENT_DISPOSITION, target.disposition.clone());
    match &target.checksum {
        Some(checksum) => _ = headers.insert(CHECKSUM, checksum.clone()),
        None => _ = headers.remove(CHECKSUM),
    }
    let mut status = StatusCode::FOUND;
    match (site.presign(), request.secrets.storage.as_ref()) {
        (None, _) => _ = headers.insert(LOCATION, target.location.clone()),
        (Some(_), None) if !request.secrets.trusting => return Err(Refusal::nothing_to_sign_with()),
        // What is signed is good for GET alone.
        (Some(_), _) if request.method == Method::HEAD => {
            headers.remove(LOCATION);
            insert(&mut headers, "Content-Type", &target.content_type);
            if let Some(size) = target.size_bytes {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
            }
            status = StatusCode::OK;
        }
        (Some(presign), Some(credentials)) => {
            let location = presign.sign(target, credentials, (request.now)()).ok_or_else(Refusal::internal)?;
            headers.insert(LOCATION, location);
        }
        (Some(presign), None) => {
            headers.insert(LOCATION, presign.sketch(target).ok_or_else(Refusal::internal)?);
        }
    }
    Ok(Answer { status, headers, body: Body::Empty, why })
}

/// Sends to where an active release's bytes lie.
pub(super) fn elsewhere(site: &Site, request: &Request<'_>, target: &Target, why: Why) -> Result<Answer, Refusal> {
    redirect(site, request, target, site.templates().of(Policy::ActiveRedirect, Access::Required), why)
}

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
        why: stored.why,
    })
}

/// The real answer for an artifact whose file has `size` bytes (`None`: there is no such file), and the range of bytes
/// to send. A file that is not as long as recorded is as good as missing.
pub fn artifact(site: &Site, request: &Request<'_>, stored: &Stored, size: Option<u64>) -> (Answer, Range<u64>) {
    let Some(size) = size.filter(|size| stored.size_bytes.is_none_or(|recorded| recorded == *size)) else {
        return (absent(site, request, stored), 0..0);
    };
    let why = |rule| Why { rule, ..stored.why };
    // Whoever goes on with a download has been counted when it began.
    let rest = |rule| Why { download: None, ..why(rule) };
    let answer = |status, headers, why| Answer { status, headers, body: Body::Empty, why };
    let mut headers = stored.headers.clone();
    let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
    if !etag.is_empty() && negotiate::has_already(request.headers, etag) {
        for name in [CONTENT_TYPE, CONTENT_DISPOSITION] {
            headers.remove(name);
        }
        return (answer(StatusCode::NOT_MODIFIED, headers, rest("the client has it already")), 0..0);
    }
    match wanted(request, etag, size) {
        Wanted::Whole => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
            (answer(StatusCode::OK, headers, why("the whole artifact")), 0..size)
        }
        Wanted::Part(range) => {
            let last = range.end.saturating_sub(1);
            super::headers::insert(&mut headers, "Content-Range", &format!("bytes {}-{last}/{size}", range.start));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end.saturating_sub(range.start)));
            let rule = "the part of the artifact that was asked for";
            let why = if range.start == 0 { why(rule) } else { rest(rule) };
            (answer(StatusCode::PARTIAL_CONTENT, headers, why), range)
        }
        Wanted::Nothing => {
            let mut headers = unsatisfiable(site, request.path);
            super::headers::insert(&mut headers, CONTENT_RANGE.as_str(), &format!("bytes */{size}"));
            (answer(StatusCode::RANGE_NOT_SATISFIABLE, headers, rest("the range lies behind the end")), 0..0)
        }
    }
}

fn absent(site: &Site, request: &Request<'_>, stored: &Stored) -> Answer {
    let refusal = match &stored.absent {
        Absent::NoSuchAddress => Refusal::no_such_address(request.path),
        Absent::Missing => Refusal::file_is_missing(),
        Absent::Elsewhere(target) => {
            let rule = "an active release's artifact, sent to where its bytes lie: the edge's own store lacks it";
            let why = Why { rule, ..stored.why };
            match elsewhere(site, request, target, why) {
                Ok(answer) => return answer,
                Err(refusal) => refusal,
            }
        }
    };
    refuse(site, &request.target(), &refusal)
}

fn unsatisfiable(site: &Site, path: &str) -> HeaderMap {
    let mut headers = site.templates().of(Policy::Error, site.family_access(path));
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
