//! What is a request at all: everything that could be read in two ways, or smuggled, is refused before it is routed.

use crate::answer::Refusal;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version};

/// Bytes of the longest target.
const MAX_TARGET: usize = 2048;

/// Checks a request's head; `hosts` are the names that it may be for, any well-formed one when there are none. Behind a
/// refusal, nothing on the connection can be trusted.
pub fn check(head: &http::request::Parts, hosts: &[String]) -> Result<(), Refusal> {
    let malformed = || Err(Refusal::malformed());
    if has_body(&head.headers) {
        // Its method would be refused anyway, and says more.
        let known = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::CONNECT);
        return if known { malformed() } else { Err(Refusal::method()) };
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    if head.method == Method::CONNECT || !target.starts_with('/') || count(&head.headers, &AUTHORIZATION) > 1 {
        return malformed();
    }
    if target.len() > MAX_TARGET {
        return Err(Refusal::gate(StatusCode::URI_TOO_LONG));
    }
    let Ok(host) = host(head) else { return malformed() };
    if head.headers.contains_key(EXPECT) {
        return Err(Refusal::gate(StatusCode::EXPECTATION_FAILED));
    }
    let expected = hosts.is_empty() || host.is_some_and(|host| hosts.iter().any(|name| is_named(&host, name)));
    if expected { Ok(()) } else { Err(Refusal::gate(StatusCode::MISDIRECTED_REQUEST)) }
}

fn count(headers: &HeaderMap, name: &http::HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

/// Any Transfer-Encoding, or a Content-Length other than 0 (equal ones have been folded into one before this).
fn has_body(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    headers.contains_key(TRANSFER_ENCODING) || lengths.next().is_some() || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// The one host that the request is for; HTTP/1.0 may leave it out. An absolute target must name the same.
fn host(head: &http::request::Parts) -> Result<Option<Authority>, ()> {
    let mut values = head.headers.get_all(HOST).iter();
    let (first, second) = (values.next(), values.next());
    let host = match (first, second) {
        (None, _) if head.version == Version::HTTP_10 => None,
        (Some(value), None) => Some(authority(value.to_str().map_err(|_| ())?).ok_or(())?),
        _ => return Err(()),
    };
    let same = |absolute: &Authority| host.as_ref().is_some_and(|host| host.as_str().eq_ignore_ascii_case(absolute.as_str()));
    if head.uri.scheme().is_some_and(|scheme| !["http", "https"].contains(&scheme.as_str())) {
        return Err(());
    }
    match head.uri.authority() {
        Some(absolute) if !same(absolute) => Err(()),
        _ => Ok(host),
    }
}

fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
        && (!host.contains([':', '[', ']']) || is_ipv6(host));
    let port_fits =
        port.is_none_or(|port| port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()));
    (plain && !host.is_empty() && port_fits).then_some(authority)
}

fn is_ipv6(host: &str) -> bool {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
}

/// A name without a port is good for every port.
fn is_named(host: &Authority, name: &str) -> bool {
    host.as_str().eq_ignore_ascii_case(name) || host.host().eq_ignore_ascii_case(name)
}
