//! Whether the files of a snapshot say the same: hashes prove that each is as it was written, not that they fit.

use super::Api;
use super::site::Site;
use crate::redirects::{ReadMap, Row};
use crate::site_table::Chosen;
use crate::words::{Channel, Platform};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// What a release's own document says that the redirect map says as well.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(alias = "platforms")]
    artifacts: Artifacts<'a>,
}

#[derive(Deserialize)]
struct Artifacts<'a> {
    #[serde(borrow)]
    windows: Option<Artifact<'a>>,
    macos: Macos<'a>,
}

#[derive(Deserialize)]
struct Macos<'a> {
    #[serde(borrow)]
    arm64: Option<Artifact<'a>>,
    x86_64: Option<Artifact<'a>>,
}

#[derive(Deserialize)]
struct Artifact<'a> {
    #[serde(borrow)]
    filename: Cow<'a, str>,
    content_type: Cow<'a, str>,
    size_bytes: Option<u64>,
    sha256: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn artifact(&self, platform: Platform) -> Option<&Artifact<'a>> {
        match platform {
            Platform::WindowsX86_64 => self.artifacts.windows.as_ref(),
            Platform::MacosArm64 => self.artifacts.macos.arm64.as_ref(),
            Platform::MacosX86_64 => self.artifacts.macos.x86_64.as_ref(),
            Platform::LinuxX86_64 | Platform::LinuxArm64 => None,
        }
    }
}

/// What a row of the map says of the bytes that it leads to.
#[derive(PartialEq, Eq)]
struct Described<'a> {
    filename: &'a str,
    content_type: &'a str,
    size_bytes: Option<u64>,
    sha256: Option<&'a str>,
}

impl<'a> Described<'a> {
    fn by(row: &'a Row<'_>) -> Self {
        Self { filename: &row.filename, content_type: &row.content_type, size_bytes: row.size_bytes, sha256: row.sha256 }
    }
}

impl<'a> From<&'a Artifact<'_>> for Described<'a> {
    fn from(artifact: &'a Artifact<'_>) -> Self {
        let Artifact { filename, content_type, size_bytes, sha256 } = artifact;
        Self { filename, content_type, size_bytes: *size_bytes, sha256: *sha256 }
    }
}

/// One key leads to one artifact: whoever shares it describes the same bytes.
pub(super) fn keys_lead_to_one_artifact(map: &ReadMap<'_>) -> Result<(), String> {
    let mut keys: FxHashMap<&str, &Row<'_>> = FxHashMap::default();
    keys.reserve(map.rows.len());
    for row in &map.rows {
        let first = keys.entry(&row.key).or_insert(row);
        if Described::by(first) != Described::by(row) {
            return Err(format!(
                "`{}` of `{}` and of `{}` share a key, and are not the same",
                row.filename, first.version, row.version
            ));
        }
    }
    Ok(())
}

/// The rows of the map by what they are of.
type Rows<'a> = FxHashMap<(&'a str, Platform), &'a Row<'a>>;

/// Each release's document is its own, and offers just what the map leads to.
pub(super) fn documents_offer_what_the_map_leads_to(site: &Site, map: &ReadMap<'_>) -> Result<(), String> {
    let mut rows: Rows<'_> = FxHashMap::default();
    rows.reserve(map.rows.len());
    for row in &map.rows {
        if let Some(platform) = row.platform.and_then(|id| Platform::ALL.into_iter().find(|platform| platform.id() == id)) {
            rows.insert((&row.version, platform), row);
        }
    }
    for release in site.releases() {
        for api in [Api::V2, Api::V1] {
            let view = release.view(api, release.default_channel);
            let Some(document) = view.map(|view| &view.body) else {
                if api == Api::V1 {
                    continue;
                }
                return Err(format!("`{}` has no document", release.version));
            };
            offers_what_the_rows_lead_to(release.version.as_str(), document, &rows)?;
        }
    }
    Ok(())
}

fn offers_what_the_rows_lead_to(version: &str, document: &[u8], rows: &Rows<'_>) -> Result<(), String> {
    let shown: Shown<'_> = serde_json::from_slice(document).map_err(|error| format!("the document of `{version}`: {error}"))?;
    if shown.version != version {
        return Err(format!("the document of `{version}` is that of `{}`", shown.version));
    }
    for platform in Platform::ALL.into_iter().filter(|platform| platform.query().is_some()) {
        let offered = shown.artifact(platform).map(Described::from);
        if offered != rows.get(&(version, platform)).map(|row| Described::by(row)) {
            return Err(format!("the document of `{version}` and its redirects say different things of {platform}"));
        }
    }
    Ok(())
}

/// What the Active API's document says of an artifact that the redirect map says as well.
#[derive(Deserialize)]
struct ActiveShown<'a> {
    #[serde(borrow)]
    guid: Cow<'a, str>,
    version: Cow<'a, str>,
    artifacts: Vec<ActiveArtifact<'a>>,
}

#[derive(Deserialize)]
struct ActiveArtifact<'a> {
    platform: &'a str,
    #[serde(borrow)]
    filename: Cow<'a, str>,
    checksum: &'a str,
    file_size: Option<u64>,
}

/// The three forms of the Active API's document are of one release, and offer what the map leads to.
pub(super) fn the_active_document_is_that_of_its_release(
    chosen: &Chosen<'_>,
    guid: &str,
    map: &ReadMap<'_>,
) -> Result<(), String> {
    let signed = chosen.signed.join("");
    for text in [&*signed, &*chosen.plain, &*chosen.dev] {
        let shown: ActiveShown<'_> = serde_json::from_str(text).map_err(|error| format!("the active document: {error}"))?;
        let rows = map.rows.iter().filter(|row| row.version == chosen.version && row.platform.is_some() && row.sha256.is_some());
        let same = |row: &Row<'_>| {
            let id = Platform::ALL.into_iter().find(|platform| Some(platform.id()) == row.platform).map(Platform::active_id);
            let artifact = shown.artifacts.iter().find(|artifact| Some(artifact.platform) == id);
            artifact.is_some_and(|artifact| {
                artifact.filename == row.filename
                    && artifact.checksum.strip_prefix("sha256:") == row.sha256
                    && artifact.file_size == row.size_bytes
            })
        };
        let (mut count, mut all_same) = (0usize, true);
        for row in rows {
            (count, all_same) = (count.saturating_add(1), all_same && same(row));
        }
        if (&*shown.guid, &*shown.version) != (guid, &*chosen.version) || !all_same || count != shown.artifacts.len() {
            return Err(format!("the active document is not that of `{}`", chosen.version));
        }
    }
    Ok(())
}

/// The static documents of the heads, and the first page, are what the queries answer.
pub(super) fn static_documents_are_the_answers(site: &Site) -> Result<(), String> {
    static_documents_are_those_of(site, Api::V2, "/v2/agent-releases")?;
    let has_v1 = site.legacy().is_some_and(|legacy| !legacy.is_retired());
    if has_v1 { static_documents_are_those_of(site, Api::V1, "/internal/v1/agent/releases") } else { Ok(()) }
}

/// What V1 answers besides its documents is made of them: a head with one system's installers, and the links to stable's.
pub(super) fn v1_answers_are_those_of_its_documents(site: &Site) -> Result<(), String> {
    let Some(legacy) = site.legacy().filter(|legacy| !legacy.is_retired()) else { return Ok(()) };
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(|error| format!("V1: {error}"));
    for (index, channel) in site.channels().iter().enumerate() {
        let head = channel.head.and_then(|head| site.releases().get(head)?.view(Api::V1, index));
        for (macos, other) in [(false, "macos"), (true, "windows")] {
            let expected = head.map(|head| Ok::<_, String>(without(parsed(&head.body)?, other))).transpose()?;
            let shown = legacy.latest(index, macos).map(|document| parsed(&document.body)).transpose()?;
            if shown != expected {
                return Err(format!("V1's latest of {} by platform is not its head", channel.name));
            }
        }
        if &*channel.name == Channel::STABLE {
            let shown = site.document("/internal/v1/agent/downloads/links.json").map(|document| &document.identity.body);
            let shown = shown.map(|document| parsed(document)).transpose()?;
            if shown != head.map(|head| Ok::<_, String>(links(&parsed(&head.body)?))).transpose()? {
                return Err("V1's links are not those of stable's installers".to_owned());
            }
        }
    }
    Ok(())
}

/// A release of V1 without the installers of a system.
fn without(mut release: Value, system: &str) -> Value {
    let nothing = if system == "macos" { json!({ "arm64": null, "x86_64": null }) } else { Value::Null };
    if let Some(place) = release.get_mut("platforms").and_then(|platforms| platforms.get_mut(system)) {
        *place = nothing;
    }
    release
}

/// The links to the installers of a release of V1.
fn links(release: &Value) -> Value {
    let url = |pointer: &str, query: &str| match release.pointer(pointer) {
        Some(Value::Object(_)) => Value::from(format!("/internal/v1/agent/downloads/latest?{query}")),
        _ => Value::Null,
    };
    json!({
        "stable": { "version": release.get("version") },
        "latest": {
            "windows": url("/platforms/windows", "platform=windows"),
            "macos": {
                "arm64": url("/platforms/macos/arm64", "platform=macos&arch=arm64"),
                "x86_64": url("/platforms/macos/x86_64", "platform=macos&arch=x86_64"),
            },
        },
    })
}

fn static_documents_are_those_of(site: &Site, api: Api, base: &str) -> Result<(), String> {
    for (index, channel) in site.channels().iter().enumerate() {
        let head = channel.head.and_then(|head| site.releases().get(head)?.view(api, index)).map(|view| &view.body);
        let mut addresses = vec![format!("{base}/latest/{}.json", channel.name)];
        if &*channel.name == Channel::STABLE {
            addresses.push(format!("{base}/latest.json"));
            let page = super::list::first_page(site, api, index).map(|page| page.bytes());
            if site.document(&format!("{base}/index.json")).map(|document| &document.identity.body) != page.as_ref() {
                return Err("the first page of the list is not what the list answers".to_owned());
            }
        }
        for address in addresses {
            if site.document(&address).map(|document| &document.identity.body) != head {
                return Err(format!("`{address}` is not the head of {}", channel.name));
            }
        }
    }
    Ok(())
}
