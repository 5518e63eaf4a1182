//! A media type, as it is sent in `Content-Type`.

use super::{Expected, Word, text_word};

/// `type/subtype` (RFC 9110 §8.3.1) with optional printable parameters, at most 127 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentType(Box<str>);
text_word!(ContentType);

impl ContentType {
    /// What an artifact is when its manifest says nothing.
    pub const DEFAULT: &'static str = "application/octet-stream";
}

impl Default for ContentType {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl Word for ContentType {
    fn parse(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = "a media type such as application/octet-stream";
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = essence.split_once('/').ok_or(EXPECTED)?;
        let printable = parameters.bytes().all(|b| matches!(b, b' '..=b'~'));
        let tidy = text.len() <= 127 && !text.ends_with([' ', ';']);
        if is_token(kind) && is_token(subtype) && printable && tidy { Ok(Self(text.into())) } else { Err(EXPECTED) }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
