//! The form of `private/site.json`, written by the compiler and read by the edge.

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
    /// Every release that is not a draft, ascending by version.
    pub releases: Vec<ReleaseEntry<'a>>,
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
