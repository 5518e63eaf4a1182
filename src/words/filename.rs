//! The name under which an installer is saved.

use super::{Expected, Word, text_word};

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, without a trailing dot, and not a device of Windows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(Box<str>);
text_word!(FileName);

impl Word for FileName {
    fn parse(text: &str) -> Result<Self, Expected> {
        if !is_segment(text) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.len() > 128 {
            return Err("a file name: a letter or digit, then up to 127 letters, digits, dots, hyphens or underscores");
        }
        if text.ends_with('.') {
            return Err("a file name without a trailing dot");
        }
        if is_device(text) {
            return Err("a file name that is not a Windows device name");
        }
        Ok(Self(text.into()))
    }
}

/// Letters, digits, dots, hyphens and underscores, at least one of them, and not a dot segment.
pub(super) fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Windows opens the device, whatever the extension and the letter case.
pub(super) fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|n: &str| n.len() == 1 && n != "0" && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}
