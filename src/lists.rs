//! The order of lists, and the cursors that mark a place in it: shared by the compiled first page and the edge.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]

use crate::words::{Timestamp, Version, Word};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::cmp::Ordering;

/// How many releases a page has when nobody says.
pub const DEFAULT_PAGE_SIZE: usize = 50;
/// How many it may have.
pub const MAX_PAGE_SIZE: usize = 200;
/// Bytes of the longest cursor that is looked at.
pub const MAX_CURSOR: usize = 1024;

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// `published_at`; null last in both directions.
    PublishedAt,
    /// `version`
    Version,
}

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Lowest first.
    Asc,
    /// Highest first.
    Desc,
}

impl SortBy {
    /// Both.
    pub const ALL: [SortBy; 2] = [SortBy::PublishedAt, SortBy::Version];
    /// The words of the parameter.
    pub const WORDS: [&'static str; 2] = ["published_at", "version"];

    /// The word of the parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            SortBy::PublishedAt => "published_at",
            SortBy::Version => "version",
        }
    }

    /// Reads the parameter.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort_by| sort_by.as_str() == text)
    }
}

impl Order {
    /// Both.
    pub const ALL: [Order; 2] = [Order::Asc, Order::Desc];
    /// The words of the parameter.
    pub const WORDS: [&'static str; 2] = ["asc", "desc"];

    /// The word of the parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Order::Asc => "asc",
            Order::Desc => "desc",
        }
    }

    /// Reads the parameter.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == text)
    }
}

/// A release's place in a list: two releases are never in the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The time sorted by; `None` also when the list is sorted by version alone.
    time: Option<Timestamp>,
    version: Version,
    by: SortBy,
}

impl SortKey {
    /// The place of a release in a list sorted so.
    pub fn new(by: SortBy, published_at: Option<Timestamp>, version: Version) -> Self {
        Self { time: published_at.filter(|_| by == SortBy::PublishedAt), version, by }
    }

    /// Which comes first; ties by version in the same direction.
    pub fn cmp(&self, other: &Self, order: Order) -> Ordering {
        self.cmp_with(other.time.as_ref(), &other.version, order)
    }

    /// The same, with the place of a release in the list that the key belongs to.
    pub fn cmp_with(&self, published_at: Option<&Timestamp>, version: &Version, order: Order) -> Ordering {
        let directed = |ordering: Ordering| if order == Order::Asc { ordering } else { ordering.reverse() };
        let times = match (&self.time, published_at.filter(|_| self.by == SortBy::PublishedAt)) {
            (Some(a), Some(b)) => directed(a.cmp(b)),
            // Null is last whichever way the list runs.
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        times.then_with(|| directed(self.version.cmp(version)))
    }
}

/// The place after which a page begins, good for one list only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<'a> {
    /// The list's channel.
    pub channel: &'a str,
    /// The list's sorting.
    pub sort_by: SortBy,
    /// The list's direction.
    pub order: Order,
    /// The place of the last release of the page before.
    pub key: SortKey,
}

impl Cursor<'_> {
    /// Base64url without padding of `{"v":1,"c":channel,"s":sort_by,"o":order,"k":[sort value or null,"version"]}`.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.json())
    }

    /// The words in it need no escaping: they are channels, versions and times.
    fn json(&self) -> String {
        let version = &self.key.version;
        let value = match (self.sort_by, &self.key.time) {
            (SortBy::Version, _) => format!("\"{version}\""),
            (SortBy::PublishedAt, Some(time)) => format!("\"{time}\""),
            (SortBy::PublishedAt, None) => "null".to_owned(),
        };
        format!(
            r#"{{"v":1,"c":"{}","s":"{}","o":"{}","k":[{value},"{version}"]}}"#,
            self.channel,
            self.sort_by.as_str(),
            self.order.as_str()
        )
    }

    /// Reads a cursor of exactly this list; anything but the text that [`Cursor::encode`] makes is none.
    pub fn decode(text: &str, channel: &str, sort_by: SortBy, order: Order) -> Option<SortKey> {
        #[derive(serde::Deserialize)]
        struct Wire {
            k: (Option<String>, String),
        }
        if text.len() > MAX_CURSOR {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        let wire: Wire = serde_json::from_slice(&json).ok()?;
        let version = Version::parse(&wire.k.1).ok()?;
        let time = match (sort_by, wire.k.0) {
            (SortBy::PublishedAt, Some(time)) => Some(Timestamp::parse(&time).ok()?),
            _ => None,
        };
        let cursor = Cursor { channel, sort_by, order, key: SortKey { time, version, by: sort_by } };
        (cursor.encode() == text).then_some(cursor.key)
    }
}
