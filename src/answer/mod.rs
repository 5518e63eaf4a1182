//! All behaviour of the service as one pure function: a site and a request in, an answer out.
//!
//! The edge sends what it says, `resolve` prints it, `plan` compares it, and the tests ask it a million times. Answering does
//! no I/O: what has to be streamed comes back as [`Body::Artifact`]. Only [`Site::open`], once for each snapshot, reads.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod access;
mod active;
mod artifact;
mod consistency;
mod document;
mod error;
mod family;
mod headers;
mod keys;
mod legacy;
mod list;
mod negotiate;
mod presign;
mod questions;
mod request;
mod secrets;
mod signing;
mod site;
mod target;
mod v1;
mod v2;

pub use access::{Sessions, Tokens};
pub use artifact::{Stored, artifact};
pub use error::{Refusal, refuse};
pub use family::Family;
pub use keys::{BadLine, Keys};
pub use presign::Credentials;
pub use questions::{differing_questions, is_stored, questions};
pub use request::{Field, Request};
pub use secrets::Secrets;
pub use signing::Links;
pub use site::{Site, SiteError};

use crate::policy::{Access, PAGE, PREFLIGHT, Policy};
use crate::redirects::LOCAL_BASE;
use crate::words::{Platform, StorageKey, Word};
use bytes::Bytes;
use headers::insert;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use std::sync::Arc;

/// What is sent, and why.
#[derive(Debug)]
pub struct Answer {
    /// The status line.
    pub status: StatusCode,
    /// Every header but `Date`, `Connection`, and a `Content-Length` that the body tells.
    pub headers: HeaderMap,
    /// What comes behind the headers; a HEAD request has none of it, but the length of it.
    pub body: Body,
    /// The rule that decided, for people.
    pub why: Why,
}

/// The bytes of an answer.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// These.
    Bytes(Bytes),
    /// These, one behind the other: a long page shares them with the site instead of copying all of them at once.
    Pieces(Vec<Bytes>),
    /// An artifact from the local store; [`artifact`] makes the real answer once its file has been looked at.
    Artifact(Arc<Stored>),
}

/// The rule that decided, and what it decided about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// A sentence.
    pub rule: &'static str,
    /// Index of the release that answered.
    pub release: Option<usize>,
    /// Index of the channel that was asked.
    pub channel: Option<usize>,
    /// What of the release is redirected to, when a download was asked for.
    pub download: Option<Download>,
    /// What was asked is not a request; nothing behind it on the connection can be trusted.
    pub closes: bool,
}

/// What of a release a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Download {
    /// Its artifact for a platform.
    Artifact(Platform),
    /// A file that belongs to it.
    Attachment,
}

impl Why {
    const fn rule(rule: &'static str) -> Self {
        Self { rule, release: None, channel: None, download: None, closes: false }
    }

    const fn of(self, release: usize) -> Self {
        Self { release: Some(release), ..self }
    }

    const fn through(self, channel: usize) -> Self {
        Self { channel: Some(channel), ..self }
    }
}

impl Body {
    /// How many bytes it has; an artifact does not know yet.
    pub fn length(&self) -> Option<usize> {
        match self {
            Body::Empty => Some(0),
            Body::Bytes(bytes) => Some(bytes.len()),
            Body::Pieces(pieces) => Some(pieces.iter().map(Bytes::len).fold(0, usize::saturating_add)),
            Body::Artifact(_) => None,
        }
    }

    /// All its bytes; an artifact has none here.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Body::Empty | Body::Artifact(_) => Bytes::new(),
            Body::Bytes(bytes) => bytes.clone(),
            Body::Pieces(pieces) => pieces.concat().into(),
        }
    }
}

impl Answer {
    /// The `Content-Length` that is sent with it; none where there may be none.
    pub fn content_length(&self) -> Option<u64> {
        let told = self.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let bodiless = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        told.or_else(|| u64::try_from(self.body.length()?).ok().filter(|_| !bodiless))
    }
}

const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The two interfaces that show the same releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    V2,
    V1,
}

/// Answers a request that has passed the gate.
///
/// Order of checks: the target's form, method, route, access, parameters, release, recall, artifact.
pub fn answer(site: &Site, request: &Request<'_>) -> Answer {
    let answer = decide(site, request).unwrap_or_else(|refusal| refuse(site, &request.target(), &refusal));
    let answer = for_people(site, request, answer);
    if request.method == Method::HEAD { without_body(answer) } else { answer }
}

fn decide(site: &Site, request: &Request<'_>) -> Result<Answer, Refusal> {
    let parameters = request.parameters()?;
    if !matches!(*request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Err(Refusal::method());
    }
    let route = Route::find(site, request.path).ok_or_else(|| Refusal::no_such_address(request.path))?;
    let access = route.access(site);
    let mut answer = if request.method == Method::OPTIONS {
        preflight(site, access)
    } else {
        // The Active API looks at its links first.
        if access == Access::Required && !matches!(route, Route::Active(_)) {
            access::check(request)?;
        }
        match &route {
            Route::Document(document) => document.answer(request.headers),
            Route::Artifact(stored) => artifact::open(site, stored)?,
            Route::V2(route) => v2::answer(site, request, route, &parameters)?,
            Route::V1(legacy, route) => {
                legacy.refuse_retired(&request.target())?;
                match route {
                    Some(route) => v1::answer(site, request, *route, &parameters)?,
                    None => return Err(Refusal::no_such_address(request.path)),
                }
            }
            Route::Active(route) => active::answer(site, request, *route)?,
            Route::NoDocument => return Err(Refusal::no_such_address(request.path)),
        }
    };
    if let Some(legacy) = site.legacy_of(request.path) {
        legacy.mark(&mut answer.headers, &request.target());
    }
    Ok(answer)
}

/// Where a path leads.
enum Route<'a> {
    /// A static document.
    Document(&'a document::StaticDocument),
    /// An artifact in the edge's own store.
    Artifact(&'a Arc<Stored>),
    /// An address of V2 that takes a query, or a download.
    V2(v2::Route<'a>),
    /// The same of V1; none for a document that there was before all was retired.
    V1(&'a legacy::Legacy, Option<v1::Route<'a>>),
    /// An address of the Active API.
    Active(active::Route<'a>),
    /// A document or artifact that a family which requires access could have: whether it has it is not for everybody.
    NoDocument,
}

impl<'a> Route<'a> {
    fn find(site: &'a Site, path: &'a str) -> Option<Self> {
        if memchr::memchr(b'%', path.as_bytes()).is_some() {
            return None;
        }
        if let Some(document) = site.document(path) {
            return Some(Self::Document(document));
        }
        let family = Family::of(path);
        let found = match family {
            Family::V2 => v2::Route::find(path).map(Self::V2),
            Family::V1 => {
                let route = v1::Route::find(path);
                let retired = |legacy: &&legacy::Legacy| route.is_some() || legacy.is_retired() && v1::is_document(path);
                site.legacy().filter(retired).map(|legacy| Self::V1(legacy, route))
            }
            Family::Active => active::Route::find(path).map(Self::Active),
            Family::Artifacts => path.strip_prefix(LOCAL_BASE).and_then(|key| site.stored(key)).map(Self::Artifact),
            Family::Other => None,
        };
        let could_be = match family {
            Family::V2 => v2::is_document(path),
            Family::V1 => v1::is_document(path),
            Family::Artifacts => {
                // With a storage of another address, nothing at all lies here.
                !site.has_base_url() && path.strip_prefix(LOCAL_BASE).is_some_and(|key| StorageKey::parse(key).is_ok())
            }
            Family::Other => family::is_page_of_releases(path),
            Family::Active => false,
        };
        found.or_else(|| (could_be && site.family_access(path) == Access::Required).then_some(Self::NoDocument))
    }

    fn access(&self, site: &Site) -> Access {
        match self {
            Route::Document(document) => document.access(),
            Route::Artifact(_) | Route::V2(_) => site.v2_access(),
            Route::V1(legacy, _) => legacy.access,
            Route::Active(_) | Route::NoDocument => Access::Required,
        }
    }
}

/// Where there is nothing outside the interfaces, a browser gets a page that says so.
fn for_people(site: &Site, request: &Request<'_>, answer: Answer) -> Answer {
    let is_lost = answer.status == StatusCode::NOT_FOUND && Family::of(request.path) == Family::Other;
    let Some(page) = site.not_found_page().filter(|_| is_lost && negotiate::takes_pages(request.headers)) else { return answer };
    let mut headers = answer.headers;
    for (name, value) in PAGE {
        insert(&mut headers, name, value);
    }
    Answer { headers, body: Body::Bytes(page.identity.body.clone()), ..answer }
}

fn preflight(site: &Site, access: Access) -> Answer {
    let mut headers = site.templates().of(Policy::Plain, access);
    headers.insert(ALLOW, ALLOWED);
    if access == Access::Public {
        for (name, value) in PREFLIGHT {
            insert(&mut headers, name, value);
        }
    }
    Answer {
        status: StatusCode::NO_CONTENT,
        headers,
        body: Body::Empty,
        why: Why::rule("OPTIONS is answered before anything is looked up"),
    }
}

/// What HEAD is answered: the same headers, and the length that the body would have had.
pub fn without_body(mut answer: Answer) -> Answer {
    if matches!(answer.body, Body::Artifact(_)) {
        return answer;
    }
    if let Some(length) = answer.content_length() {
        answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer.body = Body::Empty;
    answer
}
