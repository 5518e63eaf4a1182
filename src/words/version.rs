//! A release's version: its identity is its exact text, its order is SemVer precedence.

use super::{Expected, Word};
use std::cmp::Ordering;

/// A SemVer 2.0.0 version without build metadata, at most 64 characters, not ending like a file of the site.
///
/// Numbers may be as long as the text allows (SemVer sets no limit), so they are compared as digits, never as machine
/// integers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Box<str>);
super::text_word!(Version);

impl Word for Version {
    fn parse(text: &str) -> Result<Self, Expected> {
        if text.strip_prefix('v').is_some_and(is_semver) {
            return Err("a version without the leading `v`");
        }
        if let Some((version, build)) = text.split_once('+')
            && is_semver(version)
            && build.split('.').all(is_identifier)
        {
            return Err("a version without build metadata");
        }
        if !is_semver(text) {
            return Err("a SemVer 2.0.0 version such as 1.8.3 or 2.0.0-rc.1");
        }
        if text.len() > 64 {
            return Err("a version of at most 64 characters");
        }
        // Addresses of files end in these; `1.8.3-rc.json` would be two things at once.
        if [".json", ".gz", ".br"].iter().any(|ending| text.ends_with(ending)) {
            return Err("a version that does not end in .json, .gz or .br");
        }
        Ok(Self(text.into()))
    }
}

/// `major.minor.patch`, and perhaps a prerelease behind a hyphen (SemVer 2.0.0, rules 2 and 9).
fn is_semver(text: &str) -> bool {
    let (core, prerelease) = match text.split_once('-') {
        Some((core, prerelease)) => (core, Some(prerelease)),
        None => (text, None),
    };
    let is_part = |part: &str| is_identifier(part) && (!is_number(part) || part == "0" || !part.starts_with('0'));
    core.split('.').count() == 3
        && core.split('.').all(|part| is_number(part) && is_part(part))
        && prerelease.is_none_or(|prerelease| prerelease.split('.').all(is_part))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// SemVer precedence (rule 11). Without build metadata, two versions of equal precedence are the same text.
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let halves = |text| -> (&str, Option<&str>) {
            str::split_once(text, '-').map_or((text, None), |(core, prerelease)| (core, Some(prerelease)))
        };
        let ((core, prerelease), (other_core, other_prerelease)) = (halves(&self.0), halves(&other.0));
        let cores = parts(core, other_core);
        cores.then_with(|| match (prerelease, other_prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(ours), Some(theirs)) => parts(ours, theirs),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Part by part: numbers by value and before words, words in ASCII order, the shorter list first when all else is equal.
fn parts(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours.split('.'), theirs.split('.'));
    loop {
        let ordering = match (ours.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (is_number(a), is_number(b)) {
                // Without leading zeros, the longer number is the larger.
                (true, true) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => a.cmp(b),
            },
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}
