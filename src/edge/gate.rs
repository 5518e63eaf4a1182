//! What is a request at all: everything that could be read in two ways, or smuggled, is refused before it is routed.

use super::heads::RawHead;
use super::limits;
use crate::answer::Refusal;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};

/// Checks a request's head, parsed and as it was sent; `hosts` are the names that it may be for, any well-formed one when
/// there are none. Behind a refusal, nothing on the connection can be trusted.
pub fn check(head: &http::request::Parts, raw: &RawHead, hosts: &[String]) -> Result<(), Refusal> {
    let malformed = || Err(Refusal::malformed());
    if has_body(&head.headers) {
        // Its method would be refused anyway, and says more.
        let known = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::CONNECT);
        return if known { malformed() } else { Err(Refusal::method()) };
    }
    if raw.length > limits::HEAD || head.headers.len() > limits::HEADERS {
        return Err(Refusal::gate(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let two_readings = raw.fragment || raw.lines != head.headers.len() || count(&head.headers, &AUTHORIZATION) > 1;
    if two_readings || head.method == Method::CONNECT || !target.starts_with('/') {
        return malformed();
    }
    if target.len() > limits::TARGET {
        return Err(Refusal::gate(StatusCode::URI_TOO_LONG));
    }
    let Ok(host) = host(head) else { return malformed() };
    if head.headers.contains_key(EXPECT) {
        return Err(Refusal::gate(StatusCode::EXPECTATION_FAILED));
    }
    let expected = hosts.is_empty() || host.is_some_and(|host| hosts.iter().any(|name| host.is_named(name)));
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

/// A well-formed host: a name or an address, perhaps with a port.
#[derive(Clone, Copy)]
struct Host<'a> {
    whole: &'a str,
    name: &'a str,
}

/// The one host that the request is for; HTTP/1.0 may leave it out. An absolute target must name the same.
fn host(head: &http::request::Parts) -> Result<Option<Host<'_>>, ()> {
    let mut values = head.headers.get_all(HOST).iter();
    let host = match (values.next(), values.next()) {
        (None, _) if head.version == Version::HTTP_10 => None,
        (Some(value), None) => Some(Host::parse(value.to_str().map_err(|_| ())?).ok_or(())?),
        _ => return Err(()),
    };
    if head.uri.scheme().is_some_and(|scheme| !["http", "https"].contains(&scheme.as_str())) {
        return Err(());
    }
    match head.uri.authority() {
        Some(absolute) if !host.is_some_and(|host| host.whole.eq_ignore_ascii_case(absolute.as_str())) => Err(()),
        _ => Ok(host),
    }
}

impl<'a> Host<'a> {
    fn parse(whole: &'a str) -> Option<Self> {
        let (name, port) = match whole.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port),
            _ => (whole, ""),
        };
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let is_port = port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
        ((is_name || is_ipv6(name)) && is_port).then_some(Self { whole, name })
    }

    /// A name without a port is good for every port.
    fn is_named(&self, name: &str) -> bool {
        self.whole.eq_ignore_ascii_case(name) || self.name.eq_ignore_ascii_case(name)
    }
}

fn is_ipv6(host: &str) -> bool {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
}
