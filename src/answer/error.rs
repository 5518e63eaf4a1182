//! Everything that is refused, and the words of each refusal.

use super::request::Field;
use super::{ALLOWED, Answer, Body, Family, Site, Why};
use crate::policy::Policy;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// A refusal: its status, and its document.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: Box<str>,
    /// The JSON object, in the order of the contract.
    details: Box<str>,
    why: Why,
}

/// A parameter that is not what it should be.
pub(super) struct Bad<'a> {
    pub(super) field: Field,
    pub(super) message: String,
    /// As it was given, decoded.
    pub(super) value: Option<&'a str>,
}

impl Bad<'_> {
    /// The refusal; `allowed` is the closed set that it should have been of, empty where there is none.
    pub(super) fn refusal<S: AsRef<str>>(self, allowed: &[S]) -> Refusal {
        let mut details = format!("{{\"field\":{}", json(self.field.name()));
        if let Some(value) = self.value {
            details.push_str(&format!(",\"value\":{}", json(value)));
        }
        if !allowed.is_empty() {
            let allowed: Vec<String> = allowed.iter().map(|word| json(word.as_ref())).collect();
            details.push_str(&format!(",\"allowed\":[{}]", allowed.join(",")));
        }
        details.push('}');
        Refusal {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_request",
            message: self.message.into(),
            details: details.into(),
            why: Why::rule("parameters are checked before anything is looked up"),
        }
    }
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: &str, why: &'static str) -> Self {
        Self { status, code, message: message.into(), details: "{}".into(), why: Why::rule(why) }
    }

    fn with(mut self, details: &[(&str, Option<&str>)]) -> Self {
        let fields: Vec<String> =
            details.iter().map(|(name, value)| format!("{}:{}", json(name), value.map_or("null".to_owned(), json))).collect();
        self.details = format!("{{{}}}", fields.join(",")).into();
        self
    }

    /// The same refusal, about a release.
    pub(super) fn about(mut self, release: usize) -> Self {
        self.why.release = Some(release);
        self
    }

    /// The same refusal, about a channel.
    pub(super) fn in_channel(mut self, channel: usize) -> Self {
        self.why.channel = Some(channel);
        self
    }

    /// Not a request at all.
    pub fn malformed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "Malformed request", "the gate refuses what is not a request")
    }

    /// What the gate refuses with a standard phrase: 414, 417, 421, 431.
    pub fn gate(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::URI_TOO_LONG => "uri_too_long",
            StatusCode::EXPECTATION_FAILED => "expectation_failed",
            StatusCode::MISDIRECTED_REQUEST => "misdirected_request",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "headers_too_large",
            _ => "bad_request",
        };
        Self::new(status, code, status.canonical_reason().unwrap_or_default(), "the gate refuses what is not a request")
    }

    /// A method that no address knows.
    pub fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
            "GET, HEAD and OPTIONS are all there is",
        )
    }

    /// An address that leads nowhere.
    pub fn no_such_address(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Resource not found", "no address of the site")
            .with(&[("path", Some(path))])
    }

    /// Something went wrong here.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Server error", "the edge could not answer")
    }

    /// No room for more connections, downloads or descriptors.
    pub fn overloaded() -> Self {
        let phrase = "Service unavailable";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", phrase, "the edge has as much to do as it may")
    }

    /// Nothing to get artifacts from.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Service unavailable",
            "there is no artifact store: no base_url and no --artifacts",
        )
    }

    pub(super) fn nothing_to_sign_with() -> Self {
        let why = Why::rule("the storage wants signed addresses, and there is nothing to sign with");
        Self { why, ..Self::unavailable() }
    }

    pub(super) fn unauthorized() -> Self {
        let why = "credentials are required, and none were good";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Authentication required", why)
    }

    pub(super) fn no_release(version: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Agent release not found", "no release has this version")
            .with(&[("version", Some(version))])
    }

    pub(super) fn empty_channel(channel: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Agent release not found", "nothing in the channel is offered")
            .with(&[("channel", Some(channel))])
    }

    pub(super) fn not_in_channel(version: &str, channel: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Agent release not found",
            "the release is not in the channel that was asked",
        )
        .with(&[("version", Some(version)), ("channel", Some(channel))])
    }

    pub(super) fn no_artifact(version: &str, platform: &str, arch: Option<&str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Agent artifact not found", "the release has no such artifact").with(&[
            ("version", Some(version)),
            ("platform", Some(platform)),
            ("arch", arch),
        ])
    }

    pub(super) fn retired(successor: &str) -> Self {
        Self::new(StatusCode::GONE, "gone", "This API has been retired", "the catalog says that V1 is gone")
            .with(&[("successor", Some(successor))])
    }

    pub(super) fn recalled(version: &str, reason: &str) -> Self {
        Self::new(StatusCode::GONE, "gone", "Agent release recalled", "the release's bytes are withdrawn")
            .with(&[("version", Some(version)), ("reason", Some(reason))])
    }
}

/// The refusals of the Active API, whose documents have no code.
impl Refusal {
    fn active(status: StatusCode, message: &str, why: &'static str) -> Self {
        Self::new(status, "", message, why)
    }

    pub(super) fn no_active_release() -> Self {
        Self::active(StatusCode::NOT_FOUND, "No active release manifest found", "no release is active")
    }

    pub(super) fn not_configured(message: &str) -> Self {
        Self::active(StatusCode::INTERNAL_SERVER_ERROR, message, "what is unset refuses")
    }

    pub(super) fn bad_link(message: &str) -> Self {
        Self::active(StatusCode::UNAUTHORIZED, message, "a signed link is not good, and nothing else makes it good")
    }

    pub(super) fn no_such_guid() -> Self {
        Self::active(StatusCode::NOT_FOUND, "Release not found", "no active release has this guid")
    }

    /// `platform` is shown as it was sent.
    pub(super) fn no_such_platform(platform: &str) -> Self {
        let message = format!("This release has no artifact for platform '{platform}'");
        Self::active(StatusCode::NOT_FOUND, &message, "the active release has no such artifact")
    }

    pub(super) fn file_is_missing() -> Self {
        let message = "The file of this artifact is missing on the server";
        Self::active(StatusCode::NOT_FOUND, message, "the edge's own store lacks the file, and there is no other")
    }

    /// The words of the Active API; the gate's refusals are the same everywhere.
    fn active_detail(&self) -> Option<&str> {
        match self.code {
            "" => Some(&self.message),
            "not_found" => Some("Not Found"),
            "method_not_allowed" => Some("Method Not Allowed"),
            "internal_error" => Some("Internal server error"),
            "unauthorized" | "unavailable" => Some(&self.message),
            _ => None,
        }
    }
}

/// The answer that a refusal is, with the headers and in the form of the family that the target belongs to.
pub fn refuse(site: &Site, target: &str, refusal: &Refusal) -> Answer {
    let (path, _) = super::request::cut(target, b'?');
    let mut headers = site.templates().of(Policy::Error, site.family_access(path));
    match refusal.status {
        StatusCode::METHOD_NOT_ALLOWED => _ = headers.insert(ALLOW, ALLOWED),
        StatusCode::UNAUTHORIZED => {
            _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="agent-releases""#));
        }
        StatusCode::SERVICE_UNAVAILABLE => _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("30")),
        _ => {}
    }
    if let Some(legacy) = site.legacy_of(path) {
        legacy.mark(&mut headers, target);
    }
    let body = match refusal.active_detail().filter(|_| Family::of(path) == Family::Active) {
        Some(detail) => format!("{{\"detail\":{}}}\n", json(detail)),
        None => format!(
            "{{\"error\":{{\"code\":\"{}\",\"message\":{},\"details\":{}}}}}\n",
            refusal.code,
            json(&refusal.message),
            refusal.details
        ),
    };
    Answer {
        status: refusal.status,
        headers,
        body: Body::Bytes(body.into()),
        why: Why { closes: refusal.code == "bad_request", ..refusal.why },
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
