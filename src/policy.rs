//! What every kind of answer says of itself: one word each, expanded to headers in one table.
//!
//! The compiler stores these with its documents (a CDN sends them as they are); the edge sends the same.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]

use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// How an answer may be kept, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A static document that changes with the next release.
    Moving,
    /// A static document that is named by its hash.
    Immutable,
    /// A page for people.
    Page,
    /// A file beside the pages, of a type of its own.
    File,
    /// What pages load, named by its hash, of a type of its own.
    Asset,
    /// An answer to a query: a shared cache whose key drops the query would mix them up.
    View,
    /// A redirect to storage.
    Redirect,
    /// An artifact under a key that holds its hash.
    ArtifactFrozen,
    /// An artifact under any other key.
    ArtifactMoving,
    /// The document of the Active API: what it signs is good for its reader alone.
    ActiveDocument,
    /// An artifact that the Active API sends.
    ActiveArtifact,
    /// A redirect of the Active API to storage.
    ActiveRedirect,
    /// Any 4xx or 5xx.
    Error,
    /// Anything else without a body, such as the answer to OPTIONS.
    Plain,
}

/// Who may ask, as the catalog says for a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Anyone may ask.
    #[default]
    Public,
    /// Only with a token or a session.
    Required,
}

/// A header, its name in the usual spelling.
pub type Header = (&'static str, &'static str);

const JSON: Header = ("Content-Type", "application/json");
/// A page takes everything from its own origin, and nothing in it is written where it could have been injected.
pub const PAGE: [Header; 2] = [
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    ),
];

/// The part of that policy which a page may say of itself, for engines that send no headers (CSP3 §3.3: `meta`).
pub fn page_policy() -> &'static str {
    let [_, (_, policy)] = PAGE;
    policy.split_once("; frame-ancestors").map_or(policy, |(policy, _)| policy)
}
const NO_SNIFFING: Header = ("X-Content-Type-Options", "nosniff");
const ANY_ORIGIN: Header = ("Access-Control-Allow-Origin", "*");
const EXPOSED: Header =
    ("Access-Control-Expose-Headers", "ETag, Link, X-Checksum-SHA256, X-Release-Snapshot, X-Release-Yanked, Deprecation, Sunset");

/// What the answer to OPTIONS adds in a public family.
pub const PREFLIGHT: [Header; 3] = [
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "Authorization, If-None-Match"),
    ("Access-Control-Max-Age", "86400"),
];

/// Each value of the table, once: they are looked up for every artifact of a site.
static KNOWN: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let both = |policy: Policy| [Access::Public, Access::Required].map(|access| policy.headers(access));
    Policy::ALL.into_iter().flat_map(both).flatten().map(|(_, value)| value).collect()
});

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 14] = [
        Policy::Moving,
        Policy::Immutable,
        Policy::Page,
        Policy::File,
        Policy::Asset,
        Policy::View,
        Policy::Redirect,
        Policy::ArtifactFrozen,
        Policy::ArtifactMoving,
        Policy::ActiveDocument,
        Policy::ActiveArtifact,
        Policy::ActiveRedirect,
        Policy::Error,
        Policy::Plain,
    ];

    /// The headers that depend on nothing but the kind of answer and who may ask. Documents and errors are JSON.
    pub fn headers(self, access: Access) -> Vec<Header> {
        let mut headers = vec![NO_SNIFFING];
        let required = access == Access::Required;
        match self {
            Policy::Moving | Policy::Immutable | Policy::View | Policy::ActiveDocument | Policy::Error => headers.push(JSON),
            Policy::Redirect | Policy::ActiveRedirect => headers.push(("Referrer-Policy", "no-referrer")),
            Policy::Page => headers.extend(PAGE),
            Policy::File | Policy::Asset => {}
            Policy::ArtifactFrozen | Policy::ArtifactMoving | Policy::ActiveArtifact | Policy::Plain => {}
        }
        let cache = match self {
            Policy::Redirect | Policy::ActiveDocument => Some("private, no-store"),
            Policy::ActiveArtifact | Policy::ActiveRedirect => Some("private, no-store, no-transform"),
            Policy::Error => Some("no-store"),
            Policy::Plain => None,
            _ if required => Some("private, no-cache"),
            Policy::View => Some("private, no-cache"),
            Policy::Moving | Policy::Page | Policy::File | Policy::ArtifactMoving => Some("public, max-age=60, must-revalidate"),
            Policy::Immutable | Policy::Asset | Policy::ArtifactFrozen => Some("public, max-age=31536000, immutable"),
        };
        headers.extend(cache.map(|value| ("Cache-Control", value)));
        let negotiated = matches!(self, Policy::Moving | Policy::Immutable | Policy::Page | Policy::File | Policy::Asset);
        let vary = match (negotiated, required) {
            (true, true) => Some("Authorization, Cookie, Accept-Encoding"),
            (false, true) => Some("Authorization, Cookie"),
            (true, false) => Some("Accept-Encoding"),
            (false, false) => None,
        };
        headers.extend(vary.map(|value| ("Vary", value)));
        if !required {
            headers.extend([ANY_ORIGIN, EXPOSED]);
        }
        headers
    }

    /// The table's own copy of a value, if some policy has it.
    pub fn known_value(value: &str) -> Option<&'static str> {
        KNOWN.get(value).copied()
    }
}
