//! Signed links of the Active API: who holds one may fetch one artifact until its time is over.

use super::keys::Keys;
use super::request::Given;
use crate::words::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Seconds that a link may live at most, and how far clocks may differ.
const LONGEST: u64 = 86_400 + 300;

/// The keys that links are signed with, and how long a link lives.
#[derive(Debug)]
pub struct Links {
    keys: Vec<Hmac<Sha256>>,
    lifetime: u64,
}

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadLink {
    /// It was never good.
    Wrong,
    /// Its time is over.
    Expired,
}

/// What a query holds of a link's two names.
#[derive(Default)]
pub(super) struct Signed<'a> {
    pub(super) expires: Option<Given<'a>>,
    pub(super) signature: Option<Given<'a>>,
}

impl Links {
    /// Signs with the first key, accepts any; a link lives so many seconds.
    pub fn new(keys: &Keys, lifetime: u64) -> Self {
        Self { keys: keys.iter().filter_map(|key| Hmac::new_from_slice(key).ok()).collect(), lifetime }
    }

    /// When a link that is made now ends.
    pub(super) fn end(&self, now: u64) -> u64 {
        now.saturating_add(self.lifetime)
    }

    /// The signature of a link: lower-case hex HMAC-SHA256 of `{guid}:{platform}:{expires}`, all as they stand in it.
    pub fn sign(&self, guid: &str, platform: &str, expires: &str) -> String {
        self.keys.first().map(|key| signature(key, guid, platform, expires)).unwrap_or_default()
    }

    /// Whether one of the keys made this signature. Every key is tried and every digit compared, so that the time that it
    /// takes tells nothing of how much is right.
    pub fn accepts(&self, guid: &str, platform: &str, expires: &str, given: &str) -> bool {
        self.keys.iter().fold(false, |fits, key| {
            fits | bool::from(signature(key, guid, platform, expires).as_bytes().ct_eq(given.as_bytes()))
        })
    }

    /// Whether the link's values were signed for this artifact and are in time; checked in the order of the contract.
    pub(super) fn check(&self, signed: &Signed<'_>, guid: &str, platform: &str, now: u64) -> Result<(), BadLink> {
        let text = once(signed.expires.as_ref()).ok_or(BadLink::Wrong)?;
        let expires = seconds(text).ok_or(BadLink::Wrong)?;
        if now > expires {
            return Err(BadLink::Expired);
        }
        let given = once(signed.signature.as_ref()).ok_or(BadLink::Wrong)?;
        let fits = self.accepts(guid, platform, text, given);
        if fits && expires <= now.saturating_add(LONGEST) { Ok(()) } else { Err(BadLink::Wrong) }
    }
}

fn once<'a>(given: Option<&'a Given<'_>>) -> Option<&'a str> {
    given.filter(|given| !given.repeated).map(|given| &*given.value)
}

/// `0|[1-9][0-9]{0,10}`
fn seconds(text: &str) -> Option<u64> {
    let digits = (1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn signature(key: &Hmac<Sha256>, guid: &str, platform: &str, expires: &str) -> String {
    let mut mac = key.clone();
    for part in [guid, ":", platform, ":", expires] {
        mac.update(part.as_bytes());
    }
    hex(&mac.finalize().into_bytes())
}
