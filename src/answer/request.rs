//! A request's target, taken apart once: path, query, parameters.

use super::error::{Bad, Refusal};
use super::secrets::Secrets;
use super::signing::Signed;
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
    /// What tells good credentials from bad ones, and what is signed with.
    pub secrets: &'a Secrets,
    /// Seconds since 1970; asked only where an answer depends on the time.
    pub now: fn() -> u64,
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
pub(super) struct Given<'a> {
    pub(super) value: Cow<'a, str>,
    pub(super) repeated: bool,
}

impl<'a> Given<'a> {
    /// Notes that a value is given.
    fn note(place: &mut Option<Self>, value: Cow<'a, str>) {
        match place {
            Some(given) => given.repeated = true,
            None => *place = Some(Self { value, repeated: false }),
        }
    }
}

impl<'a> Request<'a> {
    /// A request for an origin-form target, without credentials that anybody knows.
    pub fn new(method: &'a Method, target: &'a str, headers: &'a HeaderMap) -> Self {
        let has_query = memchr::memchr(b'?', target.as_bytes()).is_some();
        let (path, query) = cut(target, b'?');
        Self { method, path, query: has_query.then_some(query), headers, secrets: Secrets::none(), now: || 0 }
    }

    /// The same request, asked of somebody who knows these secrets and the time.
    pub fn knowing(self, secrets: &'a Secrets, now: fn() -> u64) -> Self {
        Self { secrets, now, ..self }
    }

    /// Path and query, as they were sent.
    pub(super) fn target(&self) -> Cow<'a, str> {
        self.query.map_or(Cow::Borrowed(self.path), |query| Cow::Owned(format!("{}?{query}", self.path)))
    }

    /// The parameters; a target whose escapes are not whole or hide control characters is not a request.
    pub(super) fn parameters(&self) -> Result<Parameters<'a>, Refusal> {
        if !escapes_are_whole(self.path) {
            return Err(Refusal::malformed());
        }
        let mut parameters = Parameters::default();
        self.each(|name, value| parameters.take(name, value))?;
        Ok(parameters)
    }

    /// What of a signed link the query holds.
    pub(super) fn signed(&self) -> Result<Signed<'a>, Refusal> {
        let mut signed = Signed::default();
        self.each(|name, value| match name {
            "expires" => Given::note(&mut signed.expires, value),
            "signature" => Given::note(&mut signed.signature, value),
            _ => {}
        })?;
        Ok(signed)
    }

    /// Hands over each name with its value, percent-decoded once.
    fn each(&self, mut take: impl FnMut(&str, Cow<'a, str>)) -> Result<(), Refusal> {
        let mut rest = self.query.unwrap_or_default();
        while !rest.is_empty() {
            let (pair, after) = cut(rest, b'&');
            let (name, value) = cut(pair, b'=');
            take(&decode(name)?, decode(value)?);
            rest = after;
        }
        Ok(())
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
        if let Some(place) = self.0.get_mut(field as usize) {
            Given::note(place, value);
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
