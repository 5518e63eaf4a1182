//! Keys and secrets as their files hold them, and what can be wrong with a line of such a file.

use crate::words::Expected;

/// Why a file is not what it should be: the line, from 1, and what is wrong with it. Never what stands there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// The line.
    pub line: usize,
    /// What is wrong.
    pub why: Expected,
}

/// Keys or secrets, newest first, each of 32 bytes or more.
#[derive(Default)]
pub struct Keys(Vec<Box<[u8]>>);

/// Bytes of the shortest key.
const SHORTEST_KEY: usize = 32;

impl Keys {
    /// Reads a file with a key on each line; there has to be one.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut keys = Self::default();
        for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let wrong = |why| BadLine { line: place.saturating_add(1), why };
            if line.starts_with('#') {
                return Err(wrong("a key does not begin with `#`, and there are no comments among keys"));
            }
            if line.trim() != line {
                return Err(wrong("a key neither begins nor ends with a space"));
            }
            if line.len() < SHORTEST_KEY {
                return Err(wrong("a key has at least 32 bytes"));
            }
            keys.0.push(line.as_bytes().into());
        }
        if keys.0.is_empty() { Err(BadLine { line: 1, why: "there is no key" }) } else { Ok(keys) }
    }

    /// Newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|key| &**key)
    }
}

/// What is secret does not belong into a log, however it got there.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}
