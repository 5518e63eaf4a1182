//! Storage addresses signed for one GET: AWS Signature Version 4 in its query form, as S3 and its like verify it.

use super::target::Target;
use crate::words::{Sha256, hex};
use hmac::{Hmac, KeyInit, Mac};
use http::header::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters (RFC 3986 §2.3).
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, for whole paths.
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Who signs for a storage.
pub struct Credentials {
    access_key: Box<str>,
    secret_key: Box<str>,
    session_token: Option<Box<str>>,
}

impl Credentials {
    /// An access key and its secret, and the token of a temporary one.
    pub fn new(access_key: &str, secret_key: &str, session_token: Option<&str>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into(), session_token: session_token.map(Into::into) }
    }
}

/// What is secret does not belong into a log, however it got there.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "credentials of {}", self.access_key)
    }
}

/// How a storage wants its addresses signed.
#[derive(Debug, PartialEq)]
pub(super) struct Presign {
    pub(super) region: Box<str>,
    /// Seconds that an address stays valid.
    pub(super) lifetime: u64,
}

impl Presign {
    /// The compiled address of a target, signed for whoever follows it from now on; `None` when there is no such time.
    pub(super) fn sign(&self, target: &Target, credentials: &Credentials, now: u64) -> Option<HeaderValue> {
        let location = target.location.to_str().ok()?;
        let (scheme, rest) = location.split_once("://")?;
        let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
        // A port that goes without saying is not part of what clients send as Host.
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let host = authority.strip_suffix(usual).unwrap_or(authority);
        let time = jiff::Timestamp::from_second(i64::try_from(now).ok()?).ok()?.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = time.get(..8)?;
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let query = self.query(target, credentials, &scope, &time)?;
        let request = format!("GET\n{}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD", utf8_percent_encode(path, PATH));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", Sha256::of(request.as_bytes()));
        let first = format!("AWS4{}", credentials.secret_key).into_bytes();
        let key = [day, &*self.region, "s3", "aws4_request"].into_iter().try_fold(first, |key, part| mac(&key, part))?;
        HeaderValue::try_from(format!("{location}?{query}&X-Amz-Signature={}", hex(&mac(&key, &text)?))).ok()
    }

    /// What the signed address of a target is like, for those who have nothing to sign with.
    pub(super) fn sketch(&self, target: &Target) -> Option<HeaderValue> {
        let (location, Self { region, lifetime }) = (target.location.to_str().ok()?, self);
        let credential = format!("X-Amz-Credential=KEY/DAY/{region}/s3/aws4_request");
        HeaderValue::try_from(
            format!("{location}?…{credential}&X-Amz-Expires={lifetime}…&X-Amz-Signature=SIGNATURE").replace('…', "..."),
        )
        .ok()
    }

    /// Its names stand in the order in which they are signed.
    fn query(&self, target: &Target, credentials: &Credentials, scope: &str, time: &str) -> Option<String> {
        let credential = format!("{}/{scope}", credentials.access_key);
        let lifetime = self.lifetime.to_string();
        let mut pairs = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", time),
            ("X-Amz-Expires", &lifetime),
        ];
        pairs.extend(credentials.session_token.as_deref().map(|token| ("X-Amz-Security-Token", token)));
        pairs.push(("X-Amz-SignedHeaders", "host"));
        pairs.push(("response-content-disposition", target.disposition.to_str().ok()?));
        pairs.push(("response-content-type", &target.content_type));
        let pairs = pairs.into_iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, VALUE)));
        Some(pairs.collect::<Vec<_>>().join("&"))
    }
}

fn mac(key: &[u8], text: &str) -> Option<Vec<u8>> {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(key).ok()?;
    Some(mac.chain_update(text).finalize().into_bytes().to_vec())
}
