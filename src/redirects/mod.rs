//! Every download address, planned once: a row for each artifact, and the forms of address that lead to it.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]

#[cfg(feature = "cli")]
mod planning;
#[cfg(feature = "cli")]
pub use planning::{RedirectMap, path_address, plan, query_address, v1_address};

use serde::Deserialize;
use std::borrow::Cow;

/// Where the edge serves artifacts from, when no storage has an address of its own.
pub const LOCAL_BASE: &str = "/artifacts/";

/// A row of the map, as it is read back.
#[derive(Deserialize)]
pub struct Row<'a> {
    /// The release.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// The platform's id; `None` for an attachment.
    pub platform: Option<&'a str>,
    /// The name to save it under.
    pub filename: Cow<'a, str>,
    /// The media type.
    pub content_type: Cow<'a, str>,
    /// Bytes.
    pub size_bytes: Option<u64>,
    /// 64 hex digits.
    pub sha256: Option<&'a str>,
    /// Where it lies below the storage's base.
    pub key: Cow<'a, str>,
    /// Where a download is sent.
    pub location: Cow<'a, str>,
}

/// The redirect map as it is read back: the rows, and whether there is a storage.
#[derive(Deserialize)]
pub struct ReadMap<'a> {
    /// `None` when the edge serves the artifacts itself.
    #[serde(borrow)]
    pub base_url: Option<Cow<'a, str>>,
    /// How the storage wants its addresses signed.
    #[serde(borrow)]
    pub presign: Option<Presign<'a>>,
    /// A row for each artifact and attachment.
    pub rows: Vec<Row<'a>>,
}

/// Addresses of the storage are to be signed by the edge, for one GET each.
#[derive(Deserialize, serde::Serialize)]
pub struct Presign<'a> {
    /// The store's region.
    #[serde(borrow)]
    pub region: Cow<'a, str>,
    /// Seconds that a signed address stays valid.
    pub lifetime: u64,
}
