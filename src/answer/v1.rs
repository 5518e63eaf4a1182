//! The addresses of V1, the interface before V2, for clients that still ask it.

use super::error::Refusal;
use super::request::{Field, Parameters, Request};
use super::v2::{self, SYSTEMS, system};
use super::{Answer, Api, Family, Site, Why, list};
use crate::words::Os;

/// Where the family begins.
pub(super) const BASE: &str = Family::V1.base();

/// An address of V1.
#[derive(Clone, Copy)]
pub(super) enum Route<'a> {
    /// `GET /internal/v1/agent/releases`
    List,
    /// `GET /internal/v1/agent/releases/latest`
    Latest,
    /// `GET /internal/v1/agent/releases/{version}`
    Version(&'a str),
    /// `GET /internal/v1/agent/downloads/links`
    Links,
    /// `GET /internal/v1/agent/downloads/latest`
    LatestDownload,
    /// `GET /internal/v1/agent/downloads/{version}`
    Download(&'a str),
}

impl<'a> Route<'a> {
    /// The route of a path that is no document's.
    pub(super) fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(BASE)?.strip_prefix('/')?;
        if rest == "releases" {
            return Some(Self::List);
        }
        let (folder, name) = rest.split_once('/')?;
        // These end like files, and no version does.
        let is_file = [".json", ".gz", ".br"].iter().any(|ending| name.ends_with(ending));
        if name.is_empty() || name.contains(['/', '%']) || is_file {
            return None;
        }
        Some(match (folder, name) {
            ("releases", "latest") => Self::Latest,
            ("releases", version) => Self::Version(version),
            ("downloads", "links") => Self::Links,
            ("downloads", "latest") => Self::LatestDownload,
            ("downloads", version) => Self::Download(version),
            _ => return None,
        })
    }
}

/// Whether a path is that of a document that V1 had before it was retired.
pub(super) fn is_document(path: &str) -> bool {
    let rest = path.strip_prefix(BASE).unwrap_or_default();
    let name = |name: &str| name.strip_suffix(".json").is_some_and(|name| !name.is_empty() && !name.contains(['/', '%']));
    let latest = rest.strip_prefix("/releases/latest/").is_some_and(name);
    latest || rest == "/downloads/links.json" || rest.strip_prefix("/releases/").is_some_and(name)
}

/// Answers a request for a route.
pub(super) fn answer(
    site: &Site,
    request: &Request<'_>,
    route: Route<'_>,
    parameters: &Parameters<'_>,
) -> Result<Answer, Refusal> {
    match route {
        Route::List => list::answer(site, request, Api::V1, parameters),
        Route::Latest => latest(site, request, parameters),
        Route::Version(version) => v2::version(site, request, Api::V1, version, parameters),
        Route::Links => {
            v2::head(site, v2::stable(site))?;
            let document = site.document("/internal/v1/agent/downloads/links.json").ok_or_else(Refusal::internal)?;
            let why = Why::rule("the addresses of stable's installers").through(v2::stable(site));
            Ok(document.identity.answer(site.templates().view(Api::V1), request.headers, why))
        }
        Route::LatestDownload => v2::latest_download(site, request, Api::V1, parameters),
        Route::Download(version) => v2::release_download(site, request, Api::V1, version, parameters),
    }
}

/// A channel's head, with `platform` the installers of that system alone.
fn latest(site: &Site, request: &Request<'_>, parameters: &Parameters<'_>) -> Result<Answer, Refusal> {
    let channel = v2::channel(site, parameters)?.unwrap_or(v2::stable(site));
    let Some(os) = parameters.one_of(Field::Platform, || SYSTEMS, system)? else {
        return v2::latest(site, request, Api::V1, channel);
    };
    let head = v2::head(site, channel)?;
    let document = site.legacy().and_then(|legacy| legacy.latest(channel, os == Os::Macos)).ok_or_else(Refusal::internal)?;
    let why = Why::rule("a channel's head, with one system's installers").of(head).through(channel);
    Ok(document.answer(site.templates().view(Api::V1), request.headers, why))
}
