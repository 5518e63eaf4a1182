//! The raw bytes of request heads, followed as they arrive: what the parser behind does not tell, but the gate must know.
//!
//! Only heads are followed, because a request with a body ends its connection: nothing behind it is ever answered.

use super::limits::HEAD;
use memchr::memchr;
use std::collections::VecDeque;

/// What the gate must know of one head as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawHead {
    /// Bytes, from the request line to the empty line, both included.
    pub length: usize,
    /// Header lines. When the parser has fewer headers, it has merged some, and they could be read in two ways.
    pub lines: usize,
    /// A `#` in the request line; the parser cuts off what stands behind it.
    pub fragment: bool,
}

/// The heads of one connection.
#[derive(Default)]
pub(super) struct Heads {
    /// Whole heads that have not been asked for yet.
    whole: VecDeque<RawHead>,
    /// The head that is arriving; its first line counts as well.
    head: RawHead,
    /// Bytes of the line that is arriving, and the last of them.
    line: usize,
    last: u8,
    /// The method of the request line that is arriving has ended.
    within_target: bool,
}

impl Heads {
    /// Takes in bytes as they were received, in any pieces.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((line, rest)) = memchr(b'\n', bytes).and_then(|end| bytes.split_at_checked(end)) {
            self.piece_of_line(line);
            self.end_of_line();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.piece_of_line(bytes);
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_within_head(&self) -> bool {
        // The beginning of an empty line is nothing yet, or a client could begin for ever.
        self.head.lines > 0 || self.line > 1 || (self.line == 1 && self.last != b'\r')
    }

    /// Whether the head that comes next is longer than a head may be, and has not even ended.
    pub(super) fn is_endless(&self) -> bool {
        self.whole.is_empty() && self.head.length > HEAD
    }

    /// The next whole head.
    pub(super) fn next(&mut self) -> Option<RawHead> {
        self.whole.pop_front()
    }

    fn piece_of_line(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        if self.head.lines == 0 {
            self.piece_of_request_line(piece);
        }
        self.last = *last;
        self.line = self.line.saturating_add(piece.len());
        self.head.length = self.head.length.saturating_add(piece.len());
    }

    /// A `#` is a letter like others in a method, and has no place behind it.
    fn piece_of_request_line(&mut self, piece: &[u8]) {
        let behind_method = if self.within_target { Some(0) } else { memchr(b' ', piece) };
        if let Some(rest) = behind_method.and_then(|start| piece.get(start..)) {
            self.within_target = true;
            self.head.fragment |= memchr(b'#', rest).is_some();
        }
    }

    fn end_of_line(&mut self) {
        self.within_target = false;
        self.head.length = self.head.length.saturating_add(1);
        let is_empty = self.line == 0 || (self.line == 1 && self.last == b'\r');
        self.line = 0;
        match (is_empty, self.head.lines) {
            (false, lines) => self.head.lines = lines.saturating_add(1),
            // Empty lines before a request line are nothing (RFC 9112 §2.2).
            (true, 0) => self.head = RawHead::default(),
            (true, lines) => {
                let head = std::mem::take(&mut self.head);
                self.whole.push_back(RawHead { lines: lines.saturating_sub(1), ..head });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heads that are found when the bytes come in pieces of this size.
    fn heads(bytes: &[u8], size: usize) -> (Vec<RawHead>, bool) {
        let mut heads = Heads::default();
        bytes.chunks(size).for_each(|piece| heads.feed(piece));
        (std::iter::from_fn(|| heads.next()).collect(), heads.is_within_head())
    }

    #[test]
    fn heads_are_the_same_in_whatever_pieces_they_come() {
        let bytes = b"\r\n\nGET /a#b HTTP/1.1\r\nHost: a\r\nA: #\r\n\r\nGET / HTTP/1.1\nHost: b\n\nGET /";
        let first = RawHead { length: 36, lines: 2, fragment: true };
        let second = RawHead { length: 24, lines: 1, fragment: false };
        for size in 1..=bytes.len() {
            assert_eq!(heads(bytes, size), (vec![first, second], true), "pieces of {size}");
        }
        let odd = RawHead { length: 18, lines: 0, fragment: false };
        assert_eq!(heads(b"G#T / HTTP/1.1\r\n\r\n", 3), (vec![odd], false), "a method may have it");
        assert_eq!(heads(b"\r\n\r\n", 1), (vec![], false), "empty lines are nothing");
        assert_eq!(heads(b"\r", 1), (vec![], false), "and half of one is no more");
    }
}
