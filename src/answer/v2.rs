//! The addresses of V2 that take a query, and its downloads.

use super::error::{Bad, Refusal};
use super::list;
use super::request::{Field, Parameters, Request, cut};
use super::site::Release;
use super::target::Target;
use super::{Answer, Api, Download, Family, Site, Why, artifact};
use crate::words::{Arch, Os, Platform};

/// The systems that queries name; Linux has only the path form.
pub(super) const SYSTEMS: [&str; 2] = [Os::Windows.as_str(), Os::Macos.as_str()];
const ARCHS: [&str; 2] = [Arch::Arm64.as_str(), Arch::X86_64.as_str()];
const STABLE: &str = crate::words::Channel::STABLE;
/// Of `{version}/download/macos/{arch}/{filename}`, the longest address below the family's.
const MOST_SEGMENTS: usize = 5;

/// An address of V2.
pub(super) enum Route<'a> {
    /// `GET /v2/agent-releases`
    List,
    /// `GET /v2/agent-releases/latest`
    Latest,
    /// `GET /v2/agent-releases/{version}`
    Version(&'a str),
    /// `GET /v2/agent-releases/latest/download`
    LatestDownload,
    /// `GET /v2/agent-releases/{version}/download`
    Download(&'a str),
    /// `GET /v2/agent-releases/{version}/download/macos/{arch}/{filename}` and its like
    File { version: &'a str, os: Os, arch: Option<&'a str>, filename: &'a str },
    /// `GET /v2/agent-releases/{version}/download/files/{filename}`
    Attachment { version: &'a str, filename: &'a str },
}

impl<'a> Route<'a> {
    /// The route of a path that is no document's.
    pub(super) fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(Family::V2.base())?;
        if rest.is_empty() {
            return Some(Self::List);
        }
        let mut segments = [""; MOST_SEGMENTS];
        let mut count = 0usize;
        let mut rest = rest.strip_prefix('/').filter(|rest| !rest.ends_with('/'))?;
        while !rest.is_empty() {
            let (segment, after) = cut(rest, b'/');
            *segments.get_mut(count).filter(|_| !segment.is_empty())? = segment;
            (rest, count) = (after, count.saturating_add(1));
        }
        Some(match *segments.get(..count)? {
            ["latest"] => Self::Latest,
            // These end like files, and no version does.
            [name] if [".json", ".gz", ".br"].iter().any(|ending| name.ends_with(ending)) => return None,
            [version] => Self::Version(version),
            ["latest", "download"] => Self::LatestDownload,
            [version, "download"] => Self::Download(version),
            [version, "download", "windows", filename] => Self::File { version, os: Os::Windows, arch: None, filename },
            [version, "download", "macos", arch, filename] => Self::File { version, os: Os::Macos, arch: Some(arch), filename },
            [version, "download", "linux", arch, filename] => Self::File { version, os: Os::Linux, arch: Some(arch), filename },
            [version, "download", "files", filename] => Self::Attachment { version, filename },
            _ => return None,
        })
    }
}

/// Whether a path could be that of a document: `{name}.json`, there or in `latest/` or `history/`.
pub(super) fn is_document(path: &str) -> bool {
    let name = |name: &str| name.strip_suffix(".json").is_some_and(|name| !name.is_empty() && !name.contains(['/', '%']));
    let rest = path.strip_prefix("/v2/agent-releases/").unwrap_or_default();
    name(["latest/", "history/"].into_iter().find_map(|folder| rest.strip_prefix(folder)).unwrap_or(rest))
}

/// Answers a request for a route.
pub(super) fn answer(
    site: &Site,
    request: &Request<'_>,
    route: &Route<'_>,
    parameters: &Parameters<'_>,
) -> Result<Answer, Refusal> {
    match *route {
        Route::List => list::answer(site, request, Api::V2, parameters),
        Route::Latest => latest(site, request, Api::V2, channel(site, parameters)?.unwrap_or(stable(site))),
        Route::Version(asked) => version(site, request, Api::V2, asked, parameters),
        Route::LatestDownload => latest_download(site, request, Api::V2, parameters),
        Route::Download(version) => release_download(site, request, Api::V2, version, parameters),
        Route::File { version, os, arch, filename } => {
            let (index, release) = site.release(version).ok_or_else(|| Refusal::no_release(version))?;
            refuse_recalled(release, index)?;
            let platform = Platform::from_folders(os, arch);
            let target = platform.and_then(|platform| release.target(platform)).filter(|target| *target.filename == *filename);
            let target = target.ok_or_else(|| Refusal::no_artifact(version, os.as_str(), arch).about(index))?;
            redirect(site, request, Api::V2, release, target, Why::rule("the path form of a download").of(index))
        }
        Route::Attachment { version, filename } => {
            let (index, release) = site.release(version).ok_or_else(|| Refusal::no_release(version))?;
            refuse_recalled(release, index)?;
            let target = release.targets.iter().find(|target| target.platform.is_none() && *target.filename == *filename);
            let target = target.ok_or_else(|| Refusal::no_such_address(request.path))?;
            redirect(site, request, Api::V2, release, target, Why::rule("a file that belongs to the release").of(index))
        }
    }
}

/// A channel's head.
pub(super) fn latest(site: &Site, request: &Request<'_>, api: Api, channel: usize) -> Result<Answer, Refusal> {
    let head = head(site, channel)?;
    view(site, request, api, head, channel, Why::rule("a channel's head: its pin, or its highest offered release"))
}

/// A release by its version.
pub(super) fn version(
    site: &Site,
    request: &Request<'_>,
    api: Api,
    version: &str,
    parameters: &Parameters<'_>,
) -> Result<Answer, Refusal> {
    let asked = channel(site, parameters)?;
    let (index, release) = site.release(version).ok_or_else(|| Refusal::no_release(version))?;
    view(site, request, api, index, asked.unwrap_or(release.default_channel), Why::rule("a release's own document"))
}

/// An installer of a channel's head.
pub(super) fn latest_download(
    site: &Site,
    request: &Request<'_>,
    api: Api,
    parameters: &Parameters<'_>,
) -> Result<Answer, Refusal> {
    let channel = channel(site, parameters)?.unwrap_or(stable(site));
    let wanted = wanted(parameters)?;
    let why = Why::rule("the channel's head, sent to where its bytes lie").through(channel);
    download(site, request, api, head(site, channel)?, wanted, why)
}

/// An installer of a release.
pub(super) fn release_download(
    site: &Site,
    request: &Request<'_>,
    api: Api,
    version: &str,
    parameters: &Parameters<'_>,
) -> Result<Answer, Refusal> {
    let wanted = wanted(parameters)?;
    let (index, _) = site.release(version).ok_or_else(|| Refusal::no_release(version))?;
    download(site, request, api, index, wanted, Why::rule("the release's artifact, sent to where its bytes lie"))
}

/// The channel that is asked for.
pub(super) fn channel(site: &Site, parameters: &Parameters<'_>) -> Result<Option<usize>, Refusal> {
    let names = || site.channels().iter().map(|channel| &*channel.name).collect::<Vec<_>>();
    parameters.one_of(Field::Channel, names, |asked| site.channels().iter().position(|channel| *channel.name == *asked))
}

/// `stable` is always there.
pub(super) fn stable(site: &Site) -> usize {
    site.channels().iter().position(|channel| &*channel.name == STABLE).unwrap_or_default()
}

/// The release that answers for a channel.
pub(super) fn head(site: &Site, channel: usize) -> Result<usize, Refusal> {
    let found = site.channels().get(channel);
    found
        .and_then(|channel| channel.head)
        .ok_or_else(|| Refusal::empty_channel(found.map_or(STABLE, |channel| &channel.name)).in_channel(channel))
}

fn view(site: &Site, request: &Request<'_>, api: Api, index: usize, channel: usize, why: Why) -> Result<Answer, Refusal> {
    let release = site.releases().get(index).ok_or_else(Refusal::internal)?;
    let Some(document) = release.view(api, channel) else {
        let name = site.channel_name(channel).unwrap_or_default();
        return Err(Refusal::not_in_channel(release.version.as_str(), name).about(index).in_channel(channel));
    };
    let mut headers = site.templates().view(api);
    release.mark(&mut headers);
    Ok(document.answer(headers, request.headers, why.of(index).through(channel)))
}

/// The system of a word in a query.
pub(super) fn system(word: &str) -> Option<Os> {
    [Os::Windows, Os::Macos].into_iter().find(|os| os.as_str() == word)
}

/// The platform that a download asks for.
fn wanted(parameters: &Parameters<'_>) -> Result<Platform, Refusal> {
    let bad =
        |field, message: &str, value, allowed: &[&str]| Err(Bad { field, message: message.to_owned(), value }.refusal(allowed));
    let Some(os) = parameters.one_of(Field::Platform, || SYSTEMS, system)? else {
        return bad(Field::Platform, "platform is required", None, &SYSTEMS);
    };
    if os == Os::Windows {
        return match parameters.one(Field::Arch, || ARCHS)? {
            None => Ok(Platform::WindowsX86_64),
            value => bad(Field::Arch, "arch is not allowed when platform=windows", value, &ARCHS),
        };
    }
    match parameters.one_of(Field::Arch, || ARCHS, |word| Platform::from_folders(os, Some(word)))? {
        Some(platform) => Ok(platform),
        None => bad(Field::Arch, "arch is required when platform=macos", None, &ARCHS),
    }
}

fn download(site: &Site, request: &Request<'_>, api: Api, index: usize, platform: Platform, why: Why) -> Result<Answer, Refusal> {
    let release = site.releases().get(index).ok_or_else(Refusal::internal)?;
    refuse_recalled(release, index)?;
    let target = release.target(platform).ok_or_else(|| {
        let arch = platform.folder().split_once('/').map(|(_, arch)| arch);
        Refusal::no_artifact(release.version.as_str(), platform.os().as_str(), arch).about(index)
    })?;
    redirect(site, request, api, release, target, why.of(index))
}

fn refuse_recalled(release: &Release, index: usize) -> Result<(), Refusal> {
    release.recalled.as_deref().map_or(Ok(()), |reason| Err(Refusal::recalled(release.version.as_str(), reason).about(index)))
}

fn redirect(
    site: &Site,
    request: &Request<'_>,
    api: Api,
    release: &Release,
    target: &Target,
    why: Why,
) -> Result<Answer, Refusal> {
    if !site.has_store() {
        return Err(Refusal::unavailable());
    }
    let headers = site.templates().redirect(api);
    let why = Why { download: Some(target.platform.map_or(Download::Attachment, Download::Artifact)), ..why };
    let mut answer = artifact::redirect(site, request, target, headers, why)?;
    release.mark(&mut answer.headers);
    Ok(answer)
}
