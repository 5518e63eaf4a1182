//! Addresses that sources may name: https, plain, nothing hidden in them.

use super::{Expected, Word, escapes_are_whole, text_word};

/// An absolute `https` address without user information, at most 2,048 characters (RFC 3986).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUrl(Box<str>);
text_word!(HttpsUrl);

/// Where artifacts lie: an https address that ends in `/`, without query, fragment or IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Box<str>);
text_word!(BaseUrl);

impl Word for HttpsUrl {
    fn parse(text: &str) -> Result<Self, Expected> {
        Parts::of(text, &["https"])?;
        Ok(Self(text.into()))
    }
}

impl HttpsUrl {
    /// The address of the API itself: https with a host and nothing behind it; comes out without a trailing slash.
    pub fn origin(text: &str) -> Result<Self, Expected> {
        let parts = Parts::of(text, &["https"])?;
        if !matches!(parts.rest, "" | "/") {
            return Err("an https address with nothing behind the host");
        }
        Ok(Self(text.trim_end_matches('/').into()))
    }
}

impl BaseUrl {
    /// Reads a storage address; `insecure` also permits http, and then only to a loopback host.
    pub fn parse(text: &str, insecure: bool) -> Result<Self, Expected> {
        let parts = Parts::of(text, if insecure { &["https", "http"] } else { &["https"] })?;
        let loopback = insecure && matches!(parts.host, "localhost" | "127.0.0.1" | "[::1]");
        if parts.scheme == "http" && !loopback {
            return Err("an https address (http is for a loopback host only)");
        }
        if is_ip(parts.host) && !loopback {
            return Err("an address with a host name, not an IP address");
        }
        if parts.rest.contains(['?', '#']) {
            return Err("an address without a query and without a fragment");
        }
        if parts.rest.split('/').any(|segment| matches!(segment, "." | ".."))
            || parts.rest.contains("//")
            || parts.rest.contains('%')
        {
            return Err("an address with a plain path: no empty or dot segments, no escapes");
        }
        let slash = if text.ends_with('/') { "" } else { "/" };
        // A client sends the host in lower case, and what is signed has to be what it sends.
        let (origin, path) = text.split_at(text.len().saturating_sub(parts.rest.len()));
        Ok(Self(format!("{}{path}{slash}", origin.to_ascii_lowercase()).into()))
    }
}

impl BaseUrl {
    /// Reads the address of a storage's interface: [`BaseUrl::parse`], with nothing behind the host.
    pub fn endpoint(text: &str, insecure: bool) -> Result<Self, Expected> {
        let url = Self::parse(text, insecure)?;
        if url.path() == "/" { Ok(url) } else { Err("an address with nothing behind the host") }
    }

    /// The same path at another host.
    pub fn at(&self, endpoint: &Self) -> Self {
        Self(format!("{}{}", endpoint.0.trim_end_matches('/'), self.path()).into())
    }

    fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
    }
}

struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str, schemes: &[&str]) -> Result<Self, Expected> {
        let (scheme, after) = text.split_once("://").filter(|(scheme, _)| schemes.contains(scheme)).ok_or("an https address")?;
        if text.len() > 2048 {
            return Err("an address of at most 2,048 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b)) || !escapes_are_whole(text)
        {
            return Err("an address of plain ASCII without spaces, quotes, backslashes or control characters");
        }
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        if authority.contains('@') {
            return Err("an address without user information");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port_fits = port
            .is_none_or(|port| !port.starts_with('0') && port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()));
        if !is_host(host) || !port_fits || rest.contains(['[', ']']) {
            return Err("an https address with a valid host");
        }
        Ok(Self { scheme, host, rest })
    }
}

fn is_ip(host: &str) -> bool {
    // A last label of digits is read as an IPv4 address by browsers, in every notation.
    host.starts_with('[') || host.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.len() <= 253 && host.split('.').all(label)
}
