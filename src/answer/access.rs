//! Who asks: bearer tokens, known by their hashes, and the session cookie of the application that the edge stands beside.
//!
//! Bearer first, then the cookie; a bearer that is there and bad is never made good by a cookie.

use super::error::Refusal;
use super::keys::{BadLine, Keys};
use super::request::Request;
use crate::words::{Moment, Sha256, Word};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use rustc_hash::FxHashMap;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// Seconds that a cookie may come from the future, because no two clocks agree.
const AHEAD: u64 = 60;

/// The tokens that are good: a name and an expiry by the SHA-256 of each.
#[derive(Debug, Default)]
pub struct Tokens(FxHashMap<[u8; 32], Token>);

#[derive(Debug)]
struct Token {
    name: Box<str>,
    expires_at: Option<Moment>,
}

impl Tokens {
    /// Reads a tokens file: a line a token, `name sha256 [expires_at]`; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut tokens = Self::default();
        for (place, line) in text.lines().enumerate() {
            let wrong = |why| BadLine { line: place.saturating_add(1), why };
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            let (name, sha256, expires_at) = match *words {
                [] => continue,
                [name, sha256] => (name, sha256, None),
                [name, sha256, expires_at] => (name, sha256, Some(expires_at)),
                _ => return Err(wrong("expected `name sha256` or `name sha256 expires_at`")),
            };
            let sha256 = Sha256::parse(sha256).map_err(|_| wrong("the second word is no SHA-256 of 64 lower-case hex digits"))?;
            let expires_at = expires_at
                .map(Moment::parse)
                .transpose()
                .map_err(|_| wrong("the third word is no time such as 2026-12-31T00:00:00Z"))?;
            if sha256 == Sha256::of(b"") {
                return Err(wrong("this is the hash of nothing, and nothing is no token"));
            }
            let token = Token { name: name.into(), expires_at };
            if tokens.0.insert(*sha256.bytes(), token).is_some() {
                return Err(wrong("this hash stands in the file already"));
            }
        }
        Ok(tokens)
    }

    /// Whether a token has this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.0.values().any(|token| &*token.name == name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token is known and not expired. What is looked up is a hash, so how long that takes tells nothing.
    fn accept(&self, token: &[u8], now: u64) -> bool {
        let known = self.0.get(Sha256::of(token).bytes());
        known.is_some_and(|token| token.expires_at.as_ref().is_none_or(|end| now < end.unix_seconds()))
    }
}

/// How the application's sessions are known (Starlette's `SessionMiddleware`, itsdangerous' `TimestampSigner`).
#[derive(Debug)]
pub struct Sessions {
    /// Derived from the secrets, newest first.
    keys: Vec<Hmac<Sha1>>,
    cookie: Box<str>,
    key: Box<str>,
    max_age: u64,
}

impl Sessions {
    /// Sessions signed with one of these secrets, in a cookie of this name, at most so many seconds old, that hold a text
    /// under `key`.
    pub fn new(secrets: &Keys, cookie: &str, key: &str, max_age: u64) -> Self {
        let derived = secrets.iter().filter_map(|secret| {
            let derived =
                Sha1::new().chain_update(b"itsdangerous.Signer").chain_update(b"signer").chain_update(secret).finalize();
            Hmac::<Sha1>::new_from_slice(&derived).ok()
        });
        Self { keys: derived.collect(), cookie: cookie.into(), key: key.into(), max_age }
    }

    /// Whether exactly one cookie of the name is there, and good. Other cookies may hold any bytes.
    fn accept(&self, headers: &HeaderMap, now: u64) -> bool {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
        let mut sessions = pairs.filter_map(|pair| {
            let end = pair.iter().position(|b| *b == b'=')?;
            let (name, value) = pair.split_at_checked(end)?;
            (name.trim_ascii() == self.cookie.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
        });
        match (sessions.next(), sessions.next()) {
            (Some(value), None) => str::from_utf8(value).is_ok_and(|value| self.is_good(value, now).unwrap_or(false)),
            _ => false,
        }
    }

    fn is_good(&self, value: &str, now: u64) -> Option<bool> {
        let (signed, signature) = value.rsplit_once('.')?;
        let (data, time) = signed.rsplit_once('.')?;
        // Every key is tried, so that the time tells nothing of which one fits.
        let fits = self.keys.iter().fold(false, |fits, key| {
            let expected = URL_SAFE_NO_PAD.encode(key.clone().chain_update(signed).finalize().into_bytes());
            fits | bool::from(expected.as_bytes().ct_eq(signature.as_bytes()))
        });
        if !fits {
            return None;
        }
        let time = URL_SAFE_NO_PAD.decode(time).ok().filter(|bytes| bytes.len() <= size_of::<u64>())?;
        let time = time.iter().fold(0u64, |time, byte| time << 8 | u64::from(*byte));
        let in_time = time <= now.saturating_add(AHEAD) && now.saturating_sub(time) <= self.max_age;
        let session: serde_json::Value = serde_json::from_slice(&STANDARD.decode(data).ok()?).ok()?;
        let named = session.get(&*self.key)?.as_str().is_some_and(|text| !text.is_empty());
        Some(in_time && named)
    }
}

/// Lets through whoever has a good token or a good session.
pub(super) fn check(request: &Request<'_>) -> Result<(), Refusal> {
    let secrets = request.secrets;
    if secrets.trusting {
        return Ok(());
    }
    let now = (request.now)();
    let good = match bearer(request.headers) {
        Some(token) => secrets.tokens.accept(token, now),
        None => secrets.sessions.as_ref().is_some_and(|sessions| sessions.accept(request.headers, now)),
    };
    if good { Ok(()) } else { Err(Refusal::unauthorized()) }
}

/// The token of a `Bearer`, even an empty one; another scheme counts as none. A scheme ends where a word does (RFC 9110
/// §5.6.2), so that a bad bearer is not taken for something else.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let in_word = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let end = value.iter().position(|b| !in_word(b)).unwrap_or(value.len());
    let (scheme, token) = value.split_at_checked(end)?;
    scheme.eq_ignore_ascii_case(b"bearer").then(|| token.trim_ascii())
}
