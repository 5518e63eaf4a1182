//! Planning: what only the compiler does.

use super::{LOCAL_BASE, Presign};
use crate::catalog::{Artifact, Catalog};
use crate::words::{BaseUrl, Platform, Sha256, Version};
use serde::Serialize;

/// The generated redirect map, `redirects.json`.
#[derive(Serialize)]
pub struct RedirectMap<'a> {
    /// Where the rows' locations begin; `null` when the edge serves the artifacts itself.
    pub base_url: Option<&'a str>,
    /// How the storage wants its addresses signed; `null` when it does not.
    pub presign: Option<Presign<'a>>,
    /// The address forms; `{version}`, `{channel}` and `{filename}` stand for a row's and a channel's own.
    pub forms: Vec<Form>,
    /// What `{channel}` leads to.
    pub channels: Vec<ChannelHead<'a>>,
    /// A row for each artifact and attachment, ascending by version, then platform or name.
    pub rows: Vec<PlannedRow<'a>>,
}

/// A form of address, and the platform whose rows it leads to (`null`: attachments).
#[derive(Serialize)]
pub struct Form {
    address: String,
    platform: Option<&'static str>,
}

/// A channel and its head.
#[derive(Serialize)]
pub struct ChannelHead<'a> {
    channel: &'a str,
    head: Option<&'a str>,
}

/// One artifact, and where its bytes lie.
#[derive(Serialize)]
pub struct PlannedRow<'a> {
    version: &'a str,
    platform: Option<&'static str>,
    filename: &'a str,
    content_type: &'a str,
    size_bytes: Option<u64>,
    sha256: Option<Sha256>,
    key: &'a str,
    location: String,
}

/// Plans every redirect of a catalog.
pub fn plan(catalog: &Catalog) -> RedirectMap<'_> {
    let storage = catalog.storage();
    let signed = storage.presign.as_ref().and_then(|presign| presign.base_url.as_ref());
    let base_url = signed.or(storage.base_url.as_ref()).map(BaseUrl::as_str);
    let presign = storage.presign.as_ref();
    let presign = presign.map(|presign| Presign { region: presign.region.as_str().into(), lifetime: presign.lifetime });
    let rows = catalog.releases().iter().flat_map(|release| {
        let version = release.version.as_str();
        release.artifacts.iter().chain(&release.attachments).map(move |artifact| PlannedRow {
            version,
            platform: artifact.platform.map(Platform::id),
            filename: artifact.filename.as_str(),
            content_type: artifact.content_type.as_str(),
            size_bytes: artifact.size_bytes,
            sha256: artifact.sha256,
            key: artifact.key.as_str(),
            location: format!("{}{}", base_url.unwrap_or(LOCAL_BASE), artifact.key),
        })
    });
    let channels = catalog.channels().iter().map(|channel| ChannelHead {
        channel: channel.name.as_str(),
        head: channel.head.and_then(|head| catalog.releases().get(head)).map(|release| release.version.as_str()),
    });
    RedirectMap {
        base_url,
        presign,
        forms: forms(catalog.v1().is_some_and(|v1| !v1.gone)),
        channels: channels.collect(),
        rows: rows.collect(),
    }
}

fn forms(v1: bool) -> Vec<Form> {
    let mut forms = Vec::new();
    for platform in Platform::ALL {
        let mut form = |address: String| forms.push(Form { address, platform: Some(platform.id()) });
        if let Some(query) = platform.query() {
            form(format!("/v2/agent-releases/latest/download?channel={{channel}}&{query}"));
            form(format!("/v2/agent-releases/{{version}}/download?{query}"));
            if v1 {
                form(format!("/internal/v1/agent/downloads/latest?channel={{channel}}&{query}"));
                form(format!("/internal/v1/agent/downloads/{{version}}?{query}"));
            }
        }
        form(format!("/v2/agent-releases/{{version}}/download/{}/{{filename}}", platform.folder()));
    }
    forms.push(Form { address: "/v2/agent-releases/{version}/download/files/{filename}".to_owned(), platform: None });
    forms
}

/// The version-pinned address of an artifact in V2, `/v2/agent-releases/1.8.3/download?platform=windows`; `None` for a
/// platform that V2 does not show.
pub fn query_address(version: &Version, platform: Platform) -> Option<String> {
    platform.query().map(|query| format!("/v2/agent-releases/{version}/download?{query}"))
}

/// The version-pinned address of an artifact in V1.
pub fn v1_address(version: &Version, platform: Platform) -> Option<String> {
    platform.query().map(|query| format!("/internal/v1/agent/downloads/{version}?{query}"))
}

/// The path form of an artifact's address, which ends in its file name.
pub fn path_address(version: &Version, artifact: &Artifact) -> String {
    let folder = artifact.platform.map_or("files", Platform::folder);
    format!("/v2/agent-releases/{version}/download/{folder}/{}", artifact.filename)
}
