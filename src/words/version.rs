//! A release's version: its identity is its exact text, its order is SemVer precedence.

use super::{Expected, Word};
use std::cmp::Ordering;

/// A SemVer 2.0.0 version without build metadata, at most 64 characters, not ending like a file of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: Box<str>,
    parsed: semver::Version,
}

impl Version {
    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Word for Version {
    fn parse(text: &str) -> Result<Self, Expected> {
        if text.strip_prefix('v').is_some_and(|rest| semver::Version::parse(rest).is_ok()) {
            return Err("a version without the leading `v`");
        }
        let parsed = semver::Version::parse(text).map_err(|_| "a SemVer 2.0.0 version such as 1.8.3 or 2.0.0-rc.1")?;
        if !parsed.build.is_empty() {
            return Err("a version without build metadata");
        }
        if text.len() > 64 {
            return Err("a version of at most 64 characters");
        }
        // Addresses of files end in these; `1.8.3-rc.json` would be two things at once.
        if [".json", ".gz", ".br"].iter().any(|ending| text.ends_with(ending)) {
            return Err("a version that does not end in .json, .gz or .br");
        }
        Ok(Self { text: text.into(), parsed })
    }
}

/// SemVer precedence. Without build metadata, two versions of equal precedence are the same text.
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp_precedence(&other.parsed)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
