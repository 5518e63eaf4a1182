//! A request's target, taken apart once: path, query, parameters.

use super::error::{Bad, Refusal};
use crate::words::escapes_are_whole;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// What a client asks, after the gate.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it was sent.
    pub path: &'a str,
    /// What stands behind the first `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The query's names and values, percent-decoded once, in the order in which they were sent.
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Request<'a> {
    /// A request for an origin-form target.
    pub fn new(method: &'a Method, target: &'a str, headers: &'a HeaderMap) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Self { method, path, query, headers }
    }

    /// The parameters; a target whose escapes are not whole or hide control characters is not a request.
    pub(super) fn parameters(&self) -> Result<Parameters<'a>, Refusal> {
        if !escapes_are_whole(self.path) {
            return Err(Refusal::malformed());
        }
        let pairs = self.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, Refusal>>().map(Parameters)
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Refusal> {
    if !escapes_are_whole(text) {
        return Err(Refusal::malformed());
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| Refusal::malformed())?;
    if decoded.chars().any(char::is_control) { Err(Refusal::malformed()) } else { Ok(decoded) }
}

impl Parameters<'_> {
    /// The value of a name: absent is `None`; repeated or empty is refused. `allowed` goes into the refusal.
    pub(super) fn one<'s>(&'s self, field: &'static str, allowed: &[&str]) -> Result<Option<&'s str>, Refusal> {
        let mut values = self.0.iter().filter(|(name, _)| name == field).map(|(_, value)| &**value);
        let Some(value) = values.next() else { return Ok(None) };
        let bad = |message: String| Bad { field, message, value: Some(value), allowed }.refusal();
        if values.next().is_some() {
            return Err(bad(format!("{field} must be given once")));
        }
        if value.is_empty() {
            return Err(bad(format!("{field} must not be empty")));
        }
        Ok(Some(value))
    }

    /// The value of a name as a word of a closed set.
    pub(super) fn one_of<'s>(&'s self, field: &'static str, allowed: &[&str]) -> Result<Option<&'s str>, Refusal> {
        let value = self.one(field, allowed)?;
        match value.filter(|value| !allowed.contains(value)) {
            None => Ok(value),
            Some(_) => {
                let message = format!("{field} must be one of: {}", allowed.join(", "));
                Err(Bad { field, message, value, allowed }.refusal())
            }
        }
    }
}
