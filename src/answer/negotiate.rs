//! Which form of a document, and whether the client has it already (RFC 9110 §12.5.3 and §13).

use crate::snapshot::Encoding;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, IF_NONE_MATCH};

/// Whether `If-None-Match` names this entity tag: in a list, as `*`, or as a weak tag.
pub(super) fn has_already(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.trim() == "*" || tags(value).any(|tag| tag == etag))
}

/// The opaque tags of a list, quotes included, weakness ignored. Commas may stand inside quotes.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.find('"')?;
        let (_, from) = rest.split_at_checked(start)?;
        let length = from.get(1..)?.find('"')?.checked_add(2)?;
        let (tag, after) = from.split_at_checked(length)?;
        rest = after;
        Some(tag)
    })
}

/// The best of the forms there are: highest q wins; ties br, gzip, identity; never none.
pub(super) fn encoding(headers: &HeaderMap, there: impl Fn(Encoding) -> bool) -> Option<Encoding> {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let accepted = Accepted::read(headers, &ACCEPT_ENCODING);
    // An identity that nobody names is good enough, but anything that is asked for is better.
    let identity = accepted.q("identity").unwrap_or(1);
    let best = Encoding::ALL
        .into_iter()
        .filter(|encoding| there(*encoding))
        .map(|encoding| (accepted.q(encoding.as_str()).unwrap_or(0), encoding));
    let (q, encoding) = best.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (q > 0 && q >= identity).then_some(encoding)
}

/// Whether whoever asks names pages among what it takes, as browsers do when a person looks (RFC 9110 §12.5.1).
pub(super) fn takes_pages(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCEPT)
        && Accepted::read(headers, &ACCEPT).0.iter().any(|(kind, q)| kind.eq_ignore_ascii_case("text/html") && *q > 0)
}

/// Codings with their weights in thousandths.
struct Accepted<'a>(Vec<(&'a str, u16)>);

impl<'a> Accepted<'a> {
    fn read(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let entry = |item: &'a str| {
            let mut parts = item.split(';');
            let coding = parts.next()?.trim();
            let weight = parts.find_map(|part| part.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('='));
            Some((coding, weight.map_or(Some(1000), |weight| thousandths(weight.trim()))?))
                .filter(|(coding, _)| !coding.is_empty())
        };
        Self(values.flat_map(|value| value.split(',')).filter_map(entry).collect())
    }

    /// The weight of a coding, its own or that of `*`.
    fn q(&self, coding: &str) -> Option<u16> {
        let named = |wanted: &str| {
            self.0.iter().find(|(name, _)| name.trim_start_matches("x-").eq_ignore_ascii_case(wanted)).map(|(_, q)| *q)
        };
        named(coding).or_else(|| named("*"))
    }
}

/// `0`, `1`, `0.5`, `0.123`, `1.000`; anything else is no weight.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let q = format!("{whole}{fraction:0<3}").parse().ok().filter(|q| *q <= 1000);
    if digits && matches!(whole, "0" | "1") { q } else { None }
}
