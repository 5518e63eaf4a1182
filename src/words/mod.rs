//! The words of the contract: small values that are valid by existing.
//!
//! Each is parsed once, from text, and can't be built any other way. A refusal says what was expected, so that whoever
//! asked can put the place and the offending text beside it.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod channel;
mod content_type;
mod filename;
mod guid;
mod key;
mod platform;
mod reason;
mod sha256;
mod time;
mod url;
mod version;

pub use channel::Channel;
pub use content_type::ContentType;
pub use filename::FileName;
pub use guid::Guid;
pub use key::{KeyParts, KeyTemplate, StorageKey};
pub use platform::{Arch, Os, Platform};
pub use reason::Reason;
pub(crate) use sha256::hex;
pub use sha256::{Hasher, Sha256};
pub use time::{Date, Moment, Timestamp};
pub use url::{BaseUrl, HttpsUrl};
pub use version::Version;

/// What a word's text should have been; read after "expected".
pub type Expected = &'static str;

/// A value with one textual form that decides everything about it.
pub trait Word: Sized {
    /// Reads the word from exactly this text; the error says what was expected instead.
    fn parse(text: &str) -> Result<Self, Expected>;
}

/// `Display`, `Serialize` and `as_str` for a word that keeps its text.
macro_rules! text_word {
    ($name:ident) => {
        impl $name {
            /// The word as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use text_word;

/// Whether text can be shown to people as it is: no control characters and nothing that reorders or hides what stands
/// around it (bidirectional controls, zero-width characters, other line ends).
pub fn is_plain_text(text: &str) -> bool {
    text.chars().all(|c| !is_hidden(c))
}

/// Whether every `%` of an address is followed by two hex digits (RFC 3986 §2.1).
pub fn escapes_are_whole(text: &str) -> bool {
    memchr::memchr(b'%', text.as_bytes()).is_none()
        || text.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

/// A character that a reader would not see, or that changes how the characters around it are seen; XML has no way to write
/// some of them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
