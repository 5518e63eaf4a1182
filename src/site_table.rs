//! The forms of `private/site.json` and `private/active.json`, written by the compiler and read by the edge.

use crate::policy::Access;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Channels, releases, and who may ask.
#[derive(Serialize, Deserialize)]
pub struct SiteTable<'a> {
    /// What the releases are releases of.
    #[serde(borrow)]
    pub product: Cow<'a, str>,
    /// Who may ask V2.
    pub v2_access: Access,
    /// As declared, `latest` last.
    pub channels: Vec<ChannelEntry<'a>>,
    /// V1, when it is switched on.
    pub v1: Option<LegacyEntry<'a>>,
    /// Every release that is not a draft, ascending by version.
    pub releases: Vec<ReleaseEntry<'a>>,
}

/// What is said of V1, and what it answers besides its documents.
#[derive(Serialize, Deserialize)]
pub struct LegacyEntry<'a> {
    /// Who may ask V1.
    pub access: Access,
    /// It is retired.
    pub gone: bool,
    /// `Deprecation` (RFC 9745).
    #[serde(borrow)]
    pub deprecation: Cow<'a, str>,
    /// `Sunset` (RFC 8594).
    pub sunset: Option<Cow<'a, str>>,
    /// Where the change is explained.
    pub docs: Option<Cow<'a, str>>,
    /// Each channel's head with one system's installers alone; `None` for an empty channel.
    pub latest: Vec<Option<FilteredLatest<'a>>>,
}

/// A channel's head in V1, with the installers of one system alone.
#[derive(Serialize, Deserialize)]
pub struct FilteredLatest<'a> {
    /// `platform=windows`
    #[serde(borrow)]
    pub windows: Cow<'a, str>,
    /// `platform=macos`
    pub macos: Cow<'a, str>,
}

/// The active releases.
#[derive(Serialize, Deserialize)]
pub struct ActiveTable<'a> {
    /// The one that is shown; `None` when none is active.
    #[serde(borrow)]
    pub chosen: Option<Chosen<'a>>,
    /// All of them, ascending by version.
    pub releases: Vec<ActiveEntry<'a>>,
}

/// The release that the Active API shows, in its three forms.
#[derive(Serialize, Deserialize)]
pub struct Chosen<'a> {
    /// Its version.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// The document; between two pieces `<expires>&signature=<hex>` of the next artifact is put.
    pub signed: Vec<Cow<'a, str>>,
    /// The document without signed addresses.
    pub plain: Cow<'a, str>,
    /// The document without any address, because there is nothing to download from.
    pub dev: Cow<'a, str>,
}

/// An active release.
#[derive(Serialize, Deserialize)]
pub struct ActiveEntry<'a> {
    /// Its identifier.
    #[serde(borrow)]
    pub guid: Cow<'a, str>,
    /// Its version.
    pub version: Cow<'a, str>,
}

/// Whether a release is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Offered.
    Published,
    /// Kept, but in no list.
    Yanked,
    /// Its bytes are withdrawn.
    Recalled,
}

/// A channel and its head.
#[derive(Serialize, Deserialize)]
pub struct ChannelEntry<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The version that answers for it; `None` when nothing in it is offered.
    pub head: Option<&'a str>,
}

/// A release.
#[derive(Serialize, Deserialize)]
pub struct ReleaseEntry<'a> {
    /// Its version.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// Indexes into the channels that it is in, ascending.
    pub channels: Vec<usize>,
    /// Index of the channel that its own document names.
    pub default_channel: usize,
    /// Whether it is offered.
    pub state: State,
    /// Why it is not offered.
    pub reason: Option<Cow<'a, str>>,
    /// When it was published.
    pub published_at: Option<&'a str>,
}
