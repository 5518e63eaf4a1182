//! Why a release was yanked or recalled, or a channel pinned.

use super::{Expected, Word, text_word};

/// 1–200 printable ASCII characters, not beginning or ending with a space: it travels in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Box<str>);
text_word!(Reason);

impl Word for Reason {
    fn parse(text: &str) -> Result<Self, Expected> {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if printable && (1..=200).contains(&text.len()) && text.trim() == text {
            Ok(Self(text.into()))
        } else {
            Err("a reason of 1 to 200 printable ASCII characters")
        }
    }
}
