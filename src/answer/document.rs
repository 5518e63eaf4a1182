//! Documents ready to be sent: their bytes, their tags, and their other forms.

use super::headers::same_but_for_snapshot;
use super::{Answer, Body, Why, negotiate};
use crate::policy::Access;
use crate::snapshot::Encoding;
use crate::words::Sha256;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

const DIGITS_OF_ETAG: usize = 32;

/// The strong entity tag of bytes with this digest: its first 32 hex digits, in quotes.
pub(super) fn etag(sha256: &Sha256) -> String {
    format!("\"{sha256:.DIGITS_OF_ETAG$}\"")
}

/// Bytes and their entity tag.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    pub(super) body: Bytes,
    pub(super) etag: HeaderValue,
}

/// A document at an address of its own, in all its forms.
#[derive(Debug)]
pub(super) struct StaticDocument {
    pub(super) access: Access,
    /// Shared by all documents that say the same of themselves.
    pub(super) headers: Arc<HeaderMap>,
    pub(super) identity: Document,
    pub(super) encoded: Vec<(Encoding, Document)>,
}

/// Equal in everything but the snapshot that they belong to.
impl PartialEq for StaticDocument {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.access == other.access && same_but_for_snapshot(&self.headers, &other.headers)
    }
}

impl Document {
    pub(super) fn new(body: Bytes, sha256: &Sha256) -> Self {
        Self::tagged(body, &etag(sha256))
    }

    /// Bytes under a tag of their own, its quotes included.
    pub(super) fn tagged(body: Bytes, etag: &str) -> Self {
        Self { body, etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    /// The document under these headers, or 304 when the client has it.
    pub(super) fn answer(&self, mut headers: HeaderMap, request: &HeaderMap, why: Why) -> Answer {
        let has_already = negotiate::has_already(request, self.etag.to_str().unwrap_or_default());
        headers.insert(ETAG, self.etag.clone());
        if has_already {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_ENCODING);
            return Answer { status: StatusCode::NOT_MODIFIED, headers, body: Body::Empty, why };
        }
        Answer { status: StatusCode::OK, headers, body: Body::Bytes(self.body.clone()), why }
    }
}

impl StaticDocument {
    pub(super) fn access(&self) -> Access {
        self.access
    }

    pub(super) fn answer(&self, request: &HeaderMap) -> Answer {
        let there = |encoding| self.encoded.iter().any(|(other, _)| *other == encoding);
        let chosen = negotiate::encoding(request, there);
        let encoded = self.encoded.iter().find(|(encoding, _)| Some(*encoding) == chosen);
        let why = Why::rule("a static document; any query is ignored");
        let mut headers = HeaderMap::clone(&self.headers);
        match encoded {
            Some((encoding, document)) => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
                document.answer(headers, request, why)
            }
            None => self.identity.answer(headers, request, why),
        }
    }
}
