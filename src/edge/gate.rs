//! What is a request at all: everything that could be read in two ways, or smuggled, is refused before it is routed.

use super::heads::RawHead;
use super::limits;
use crate::answer::Refusal;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

/// Checks a request's head, parsed and as it was sent; `hosts` are the names that it may be for, any well-formed one when
/// there are none. Behind a refusal, nothing on the connection can be trusted.
pub fn check<B>(request: &http::Request<B>, raw: &RawHead, hosts: &[String]) -> Result<(), Refusal> {
    let malformed = || Err(Refusal::malformed());
    let told = Told::read(request.headers());
    if told.has_body {
        // Its method would be refused anyway, and says more.
        let known = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::CONNECT);
        return if known { malformed() } else { Err(Refusal::method()) };
    }
    if raw.length > limits::HEAD || request.headers().len() > limits::HEADERS {
        return Err(Refusal::gate(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let two_readings = raw.fragment || raw.lines != request.headers().len() || told.credentials > 1 || told.hosts > 1;
    if two_readings || *request.method() == Method::CONNECT || !target.starts_with('/') {
        return malformed();
    }
    if target.len() > limits::TARGET {
        return Err(Refusal::gate(StatusCode::URI_TOO_LONG));
    }
    let Ok(host) = host(request, told.host) else { return malformed() };
    if told.expects {
        return Err(Refusal::gate(StatusCode::EXPECTATION_FAILED));
    }
    let expected = hosts.is_empty() || host.is_some_and(|host| hosts.iter().any(|name| host.is_named(name)));
    if expected { Ok(()) } else { Err(Refusal::gate(StatusCode::MISDIRECTED_REQUEST)) }
}

/// What the headers tell that decides whether they are a request's.
#[derive(Default)]
struct Told<'a> {
    /// Any Transfer-Encoding, or a Content-Length other than 0.
    has_body: bool,
    expects: bool,
    credentials: usize,
    hosts: usize,
    host: Option<&'a HeaderValue>,
}

impl<'a> Told<'a> {
    fn read(headers: &'a HeaderMap) -> Self {
        let mut told = Self::default();
        for (name, value) in headers {
            match *name {
                TRANSFER_ENCODING => told.has_body = true,
                CONTENT_LENGTH => told.has_body |= value.as_bytes() != b"0",
                EXPECT => told.expects = true,
                AUTHORIZATION => told.credentials = told.credentials.saturating_add(1),
                HOST => (told.hosts, told.host) = (told.hosts.saturating_add(1), Some(value)),
                _ => {}
            }
        }
        told
    }
}

/// A well-formed host: a name or an address, perhaps with a port.
#[derive(Clone, Copy)]
struct Host<'a> {
    whole: &'a str,
    name: &'a str,
}

/// The host that the request is for; HTTP/1.0 may leave it out. An absolute target must name the same.
fn host<'a, B>(request: &http::Request<B>, told: Option<&'a HeaderValue>) -> Result<Option<Host<'a>>, ()> {
    let host = match told {
        None if request.version() == Version::HTTP_10 => None,
        None => return Err(()),
        Some(value) => Some(Host::parse(value.to_str().map_err(|_| ())?).ok_or(())?),
    };
    if request.uri().scheme().is_some_and(|scheme| !["http", "https"].contains(&scheme.as_str())) {
        return Err(());
    }
    match request.uri().authority() {
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

/// Whether a text is a host that requests may name, with or without a port.
pub fn is_host(text: &str) -> bool {
    Host::parse(text).is_some()
}

fn is_ipv6(host: &str) -> bool {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
}
