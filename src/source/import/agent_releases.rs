//! Documents of V2 and V1: lists of releases, and single ones.

use super::{
    Channel, Deserialize, FileName, HttpsUrl, ManifestText, NewFile, Platform, RawValue, Reader, Timestamp, Value, Version, Word,
    digest, field,
};

/// A release of V2 (`artifacts`) or V1 (`platforms`).
#[derive(Deserialize)]
struct AgentRelease<'t> {
    version: Option<Value>,
    channel: Option<Value>,
    published_at: Option<Value>,
    notes_url: Option<Value>,
    #[serde(borrow)]
    artifacts: Option<&'t RawValue>,
    #[serde(borrow)]
    platforms: Option<&'t RawValue>,
}

/// The installers of an [`AgentRelease`]; Linux is read where a document has it.
#[derive(Deserialize)]
struct Installers<'t> {
    #[serde(borrow)]
    windows: Option<&'t RawValue>,
    #[serde(borrow)]
    macos: Option<&'t RawValue>,
    #[serde(borrow)]
    linux: Option<&'t RawValue>,
}

/// One for each architecture.
#[derive(Deserialize)]
struct Arches<'t> {
    #[serde(borrow)]
    arm64: Option<&'t RawValue>,
    #[serde(borrow)]
    x86_64: Option<&'t RawValue>,
}

/// An installer of an [`AgentRelease`].
#[derive(Deserialize)]
struct AgentArtifact {
    filename: Option<Value>,
    content_type: Option<Value>,
    size_bytes: Option<Value>,
    sha256: Option<Value>,
    download_url: Option<Value>,
}

/// Documents of V2 and V1.
impl Reader<'_> {
    pub(super) fn agent_release(&mut self, at: &str, text: &str) -> Option<ManifestText> {
        let document: AgentRelease<'_> = self.table(at, text)?;
        let version = self.required(&field(at, "version"), document.version, Version::parse);
        let channel = self.word(&field(at, "channel"), document.channel, Channel::parse);
        let published_at = self.word(&field(at, "published_at"), document.published_at, Timestamp::from_input);
        let notes_url = self.word(&field(at, "notes_url"), document.notes_url, HttpsUrl::parse);
        let installers = match (document.artifacts, document.platforms) {
            (Some(artifacts), _) => self.installers(&field(at, "artifacts"), artifacts.get()),
            (None, Some(platforms)) => self.installers(&field(at, "platforms"), platforms.get()),
            (None, None) => {
                self.problem(&field(at, "artifacts"), "missing");
                Vec::new()
            }
        };
        let version = version?;
        let artifacts =
            installers.into_iter().map(|(at, platform, file)| (platform, self.vouched(&at, &version, platform, file))).collect();
        let mut manifest = ManifestText { published_at, notes_url, artifacts, ..self.bare(version) };
        if manifest.channels.is_empty() {
            // `latest` holds every release without being named.
            manifest.channels.extend(channel.filter(|channel| channel.as_str() != Channel::LATEST));
        }
        Some(manifest)
    }

    fn installers(&mut self, at: &str, text: &str) -> Vec<(String, Platform, NewFile)> {
        let Some(installers) = self.table::<Installers<'_>>(at, text) else { return Vec::new() };
        let mut places = vec![(field(at, "windows"), Platform::WindowsX86_64, installers.windows)];
        for (os, arches, arm64, x86_64) in [
            ("macos", installers.macos, Platform::MacosArm64, Platform::MacosX86_64),
            ("linux", installers.linux, Platform::LinuxArm64, Platform::LinuxX86_64),
        ] {
            let at = field(at, os);
            let Some(arches) = arches.and_then(|arches| self.table::<Arches<'_>>(&at, arches.get())) else { continue };
            places.extend([(field(&at, "arm64"), arm64, arches.arm64), (field(&at, "x86_64"), x86_64, arches.x86_64)]);
        }
        places.sort_by_key(|(_, platform, _)| *platform);
        let installer = |(at, platform, artifact): (String, Platform, Option<&RawValue>)| {
            let file = self.agent_artifact(&at, artifact?.get())?;
            Some((at, platform, file))
        };
        places.into_iter().filter_map(installer).collect()
    }

    fn agent_artifact(&mut self, at: &str, text: &str) -> Option<NewFile> {
        let document: AgentArtifact = self.table(at, text)?;
        let filename = self.required(&field(at, "filename"), document.filename, FileName::parse);
        let content_type = self.content_type(&field(at, "content_type"), document.content_type);
        let key = self.own_key(&field(at, "download_url"), document.download_url.as_ref());
        let hashed = document.sha256.is_some();
        let sha256 = self.word(&field(at, "sha256"), document.sha256, digest);
        let size_bytes = if hashed { self.size(&field(at, "size_bytes"), document.size_bytes) } else { None };
        // A digest that is wrong does not make a file unverified.
        if hashed && sha256.is_none() {
            None
        } else {
            Some(NewFile { filename: filename?, size_bytes, sha256, key, content_type })
        }
    }

    /// Without a hash nothing can vouch for the bytes: the manifest says so, and says where they lie.
    pub(super) fn vouched(&mut self, at: &str, version: &Version, platform: Platform, file: NewFile) -> NewFile {
        if file.sha256.is_some() {
            return file;
        }
        let key = file.key.unwrap_or_else(|| format!("legacy/{version}/{platform}/{}", file.filename));
        self.warn(at, &format!("`{}` has no SHA-256; imported as unverified, with the storage key `{key}`", file.filename));
        NewFile { size_bytes: None, key: Some(key), ..file }
    }
}
