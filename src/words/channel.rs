//! A channel's name.

use super::{Expected, Word, text_word};

/// `[a-z][a-z0-9-]{0,31}`, but not a word that already means something in an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(Box<str>);
text_word!(Channel);

impl Channel {
    /// The channel that answers when none is asked for.
    pub const STABLE: &'static str = "stable";
    /// The channel that holds every published release.
    pub const LATEST: &'static str = "latest";
}

impl Word for Channel {
    fn parse(text: &str) -> Result<Self, Expected> {
        let mut bytes = text.bytes();
        let shaped = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.len() <= 32;
        if !shaped {
            return Err("a channel name: a lower-case letter, then up to 31 lower-case letters, digits or hyphens");
        }
        if matches!(text, "download" | "index") {
            return Err("a channel name other than `download` and `index`");
        }
        Ok(Self(text.into()))
    }
}
