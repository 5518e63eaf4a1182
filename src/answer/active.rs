//! The Active API: the release that a setup wizard offers, with signed links, and the downloads behind them.

use super::access;
use super::artifact::{self, Absent};
use super::error::Refusal;
use super::request::Request;
use super::signing::BadLink;
use super::site::Release;
use super::target::Target;
use super::{Answer, Body, Download, Family, Site, Why};
use crate::policy::{Access, Policy};
use crate::site_table::Chosen;
use crate::words::{Guid, Platform, Word};
use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use std::sync::Arc;

/// Where the family begins.
const BASE: &str = Family::Active.base();

/// An address of the Active API.
#[derive(Clone, Copy)]
pub(super) enum Route<'a> {
    /// `GET /api/agent/v1/releases/active`
    Active,
    /// `GET /api/agent/v1/releases/{guid}/download/{platform}`
    Download { guid: &'a str, platform: &'a str },
}

impl<'a> Route<'a> {
    /// The route of a path.
    pub(super) fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(BASE)?.strip_prefix('/')?;
        if rest == "active" {
            return Some(Self::Active);
        }
        let (guid, rest) = rest.split_once('/')?;
        let platform = rest.strip_prefix("download/")?;
        let plain = |word: &str| !word.is_empty() && !word.contains('/');
        (plain(guid) && plain(platform)).then_some(Self::Download { guid, platform })
    }
}

/// The document of the chosen release, in its three forms.
#[derive(Debug)]
pub(super) struct Document {
    release: usize,
    guid: String,
    platforms: Vec<&'static str>,
    /// One more than there are platforms: a link's end goes between two.
    signed: Vec<Bytes>,
    plain: Bytes,
    dev: Bytes,
}

impl Document {
    /// The compiled pieces, which have to fit the release.
    pub(super) fn read(chosen: &Chosen<'_>, index: usize, release: &Release, guid: Guid) -> Option<Self> {
        let hashed = |platform: &Platform| release.target(*platform).is_some_and(|target| target.checksum.is_some());
        let platforms: Vec<_> = Platform::ACTIVE_ORDER.into_iter().filter(hashed).map(Platform::active_id).collect();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let signed: Vec<Bytes> = chosen.signed.iter().map(|piece| bytes(piece)).collect();
        let fits = signed.len() == platforms.len().saturating_add(1);
        let (plain, dev) = (bytes(&chosen.plain), bytes(&chosen.dev));
        fits.then(|| Self { release: index, guid: guid.to_string(), platforms, signed, plain, dev })
    }
}

/// Answers a request for a route.
pub(super) fn answer(site: &Site, request: &Request<'_>, route: Route<'_>) -> Result<Answer, Refusal> {
    match route {
        Route::Active => {
            access::check(request)?;
            active(site, request)
        }
        Route::Download { guid, platform } => {
            may_download(request, guid, platform)?;
            download(site, request, guid, platform)
        }
    }
}

/// The chosen release; its links are made for this answer.
fn active(site: &Site, request: &Request<'_>) -> Result<Answer, Refusal> {
    let document = site.active_document().ok_or_else(Refusal::no_active_release)?;
    let body = match &request.secrets.links {
        _ if !site.has_store() => document.dev.clone(),
        None => document.plain.clone(),
        Some(links) => {
            let expires = links.end((request.now)()).to_string();
            let length = document.signed.iter().map(Bytes::len).fold(0, usize::saturating_add);
            let mut body = BytesMut::with_capacity(length.saturating_add(document.platforms.len().saturating_mul(96)));
            let mut pieces = document.signed.iter();
            body.put_slice(pieces.next().map_or(&[], |piece| piece));
            for (platform, piece) in document.platforms.iter().zip(pieces) {
                body.put_slice(expires.as_bytes());
                body.put_slice(b"&signature=");
                body.put_slice(links.sign(&document.guid, platform, &expires).as_bytes());
                body.put_slice(piece);
            }
            body.freeze()
        }
    };
    Ok(Answer {
        status: StatusCode::OK,
        headers: site.templates().of(Policy::ActiveDocument, Access::Required),
        body: Body::Bytes(body),
        why: Why::rule("the highest of the active releases").of(document.release),
    })
}

/// Step 1: a signed link, or else a token or a session. A bad link is never made good by them.
fn may_download(request: &Request<'_>, guid: &str, platform: &str) -> Result<(), Refusal> {
    let signed = request.signed()?;
    if signed.expires.is_none() || signed.signature.is_none() {
        return access::check(request);
    }
    let links = request.secrets.links.as_ref().ok_or_else(|| Refusal::not_configured("Signed downloads are not configured"))?;
    links.check(&signed, guid, platform, (request.now)()).map_err(|bad| match bad {
        BadLink::Wrong => Refusal::bad_link("This download link is not valid; request a new one"),
        BadLink::Expired => Refusal::bad_link("This download link has expired; request a new one"),
    })
}

/// Steps 2 to 6.
fn download(site: &Site, request: &Request<'_>, guid: &str, platform: &str) -> Result<Answer, Refusal> {
    if !site.has_store() {
        return Err(Refusal::not_configured("Downloads are not configured"));
    }
    // In requests, digits may have any letter case.
    let release = Guid::parse(&guid.to_ascii_lowercase()).ok().and_then(|guid| site.active_release(guid));
    let (index, release) = release.ok_or_else(Refusal::no_such_guid)?;
    let known = Platform::from_active_id(platform).and_then(|platform| release.target(platform));
    let target = known.filter(|target| target.checksum.is_some());
    let target = target.ok_or_else(|| Refusal::no_such_platform(platform).about(index))?;
    let download = target.platform.map_or(Download::Attachment, Download::Artifact);
    let why = |rule| Why { download: Some(download), ..Why::rule(rule).of(index) };
    if !site.has_local_store() {
        return artifact::elsewhere(site, request, target, why("an active release's artifact, sent to where its bytes lie"));
    }
    let why = why("an active release's artifact, from the edge's own store");
    let stored = stored(site, target, why).ok_or_else(Refusal::internal)?;
    Ok(Answer { status: StatusCode::OK, headers: http::HeaderMap::new(), body: Body::Artifact(Arc::new(stored)), why })
}

fn stored(site: &Site, target: &Target, why: Why) -> Option<artifact::Stored> {
    let absent = if site.has_base_url() { Absent::Elsewhere(target.clone()) } else { Absent::Missing };
    let headers = site.templates().of(Policy::ActiveArtifact, Access::Required);
    artifact::Stored::new(target, target.key(), headers, None, absent, why)
}
