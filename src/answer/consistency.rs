//! Whether the files of a snapshot say the same: hashes prove that each is as it was written, not that they fit.

use super::Api;
use super::site::Site;
use crate::redirects::{ReadMap, Row};
use crate::words::{Channel, Platform};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a release's own document says that the redirect map says as well.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
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
    let mut keys: BTreeMap<&str, &Row<'_>> = BTreeMap::new();
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

/// Each release's document is its own, and offers just what the map leads to.
pub(super) fn documents_offer_what_the_map_leads_to(site: &Site, map: &ReadMap<'_>) -> Result<(), String> {
    let mut rows: BTreeMap<(&str, Platform), &Row<'_>> = BTreeMap::new();
    for row in &map.rows {
        if let Some(platform) = row.platform.and_then(|id| Platform::ALL.into_iter().find(|platform| platform.id() == id)) {
            rows.insert((&row.version, platform), row);
        }
    }
    for release in site.releases() {
        let version = release.version.as_str();
        let document = release.view(Api::V2, release.default_channel).map(|view| view.body.clone()).unwrap_or_default();
        let shown: Shown<'_> =
            serde_json::from_slice(&document).map_err(|error| format!("the document of `{version}`: {error}"))?;
        if shown.version != version {
            return Err(format!("the document of `{version}` is that of `{}`", shown.version));
        }
        for platform in Platform::ALL.into_iter().filter(|platform| platform.query().is_some()) {
            let offered = shown.artifact(platform).map(Described::from);
            if offered != rows.get(&(version, platform)).map(|row| Described::by(row)) {
                return Err(format!("the document of `{version}` and its redirects say different things of {platform}"));
            }
        }
    }
    Ok(())
}

/// The static documents of the heads, and the first page, are what the queries answer.
pub(super) fn static_documents_are_the_answers(site: &Site) -> Result<(), String> {
    let base = "/v2/agent-releases";
    for (index, channel) in site.channels().iter().enumerate() {
        let head = channel.head.and_then(|head| site.releases().get(head)?.view(Api::V2, index)).map(|view| &view.body);
        let mut addresses = vec![format!("{base}/latest/{}.json", channel.name)];
        if &*channel.name == Channel::STABLE {
            addresses.push(format!("{base}/latest.json"));
            let page = site.ready_page(super::list::Question::default_of(index), 0).map(super::list::Made::bytes);
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
