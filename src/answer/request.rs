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

/// A parameter that some address takes; any other name is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `channel`
    Channel,
    /// `platform`
    Platform,
    /// `arch`
    Arch,
    /// `sort_by`
    SortBy,
    /// `sort_order`
    SortOrder,
    /// `page_size`
    PageSize,
    /// `cursor`
    Cursor,
}

impl Field {
    /// Every field, in the order in which they are checked.
    pub const ALL: [Field; 7] =
        [Field::Channel, Field::Platform, Field::Arch, Field::SortBy, Field::SortOrder, Field::PageSize, Field::Cursor];

    /// Its name in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Channel => "channel",
            Field::Platform => "platform",
            Field::Arch => "arch",
            Field::SortBy => "sort_by",
            Field::SortOrder => "sort_order",
            Field::PageSize => "page_size",
            Field::Cursor => "cursor",
        }
    }
}

/// The values of the known names, percent-decoded once.
#[derive(Default)]
pub(super) struct Parameters<'a>([Option<Given<'a>>; Field::ALL.len()]);

/// The first value of a name, and whether there are more.
struct Given<'a> {
    value: Cow<'a, str>,
    repeated: bool,
}

impl<'a> Request<'a> {
    /// A request for an origin-form target.
    pub fn new(method: &'a Method, target: &'a str, headers: &'a HeaderMap) -> Self {
        let has_query = memchr::memchr(b'?', target.as_bytes()).is_some();
        let (path, query) = cut(target, b'?');
        Self { method, path, query: has_query.then_some(query), headers }
    }

    /// The parameters; a target whose escapes are not whole or hide control characters is not a request.
    pub(super) fn parameters(&self) -> Result<Parameters<'a>, Refusal> {
        if !escapes_are_whole(self.path) {
            return Err(Refusal::malformed());
        }
        let mut parameters = Parameters::default();
        let mut rest = self.query.unwrap_or_default();
        while !rest.is_empty() {
            let (pair, after) = cut(rest, b'&');
            let (name, value) = cut(pair, b'=');
            parameters.take(&decode(name)?, decode(value)?);
            rest = after;
        }
        Ok(parameters)
    }
}

/// What stands before and behind the first `at`; all of it and nothing when there is none.
pub(super) fn cut(text: &str, at: u8) -> (&str, &str) {
    let place = memchr::memchr(at, text.as_bytes()).unwrap_or(text.len());
    let (before, after) = text.split_at_checked(place).unwrap_or((text, ""));
    (before, after.get(1..).unwrap_or_default())
}

fn decode(text: &str) -> Result<Cow<'_, str>, Refusal> {
    let plain = |b: u8| b != b'%' && b.is_ascii() && !b.is_ascii_control();
    if text.bytes().all(plain) {
        return Ok(Cow::Borrowed(text));
    }
    if !escapes_are_whole(text) {
        return Err(Refusal::malformed());
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| Refusal::malformed())?;
    if decoded.chars().any(char::is_control) { Err(Refusal::malformed()) } else { Ok(decoded) }
}

impl<'a> Parameters<'a> {
    fn take(&mut self, name: &str, value: Cow<'a, str>) {
        let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) else { return };
        match self.0.get_mut(field as usize) {
            Some(Some(given)) => given.repeated = true,
            Some(place) => *place = Some(Given { value, repeated: false }),
            None => {}
        }
    }

    /// The value of a field: absent is `None`; repeated or empty is refused. `allowed` is asked for the refusal only.
    pub(super) fn one<A: AsRef<[S]>, S: AsRef<str>>(
        &self,
        field: Field,
        allowed: impl FnOnce() -> A,
    ) -> Result<Option<&str>, Refusal> {
        let Some(Given { value, repeated }) = self.0.get(field as usize).and_then(Option::as_ref) else { return Ok(None) };
        let wrong = match (*repeated, value.is_empty()) {
            (true, _) => "must be given once",
            (false, true) => "must not be empty",
            (false, false) => return Ok(Some(value)),
        };
        Err(Bad { field, message: format!("{} {wrong}", field.name()), value: Some(value) }.refusal(allowed().as_ref()))
    }

    /// The value of a field as a word of a closed set, by what `parse` makes of it.
    pub(super) fn one_of<T, A: AsRef<[S]>, S: AsRef<str>>(
        &self,
        field: Field,
        allowed: impl Fn() -> A,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.one(field, &allowed)? else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| {
            let allowed = allowed();
            let words: Vec<&str> = allowed.as_ref().iter().map(AsRef::as_ref).collect();
            let message = format!("{} must be one of: {}", field.name(), words.join(", "));
            Bad { field, message, value: Some(value) }.refusal(&words)
        })
    }
}
