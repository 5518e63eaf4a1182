//! What every answer of V1 says of itself: since when it is deprecated, when it ends, and where its twin in V2 is
//! (RFC 9745, RFC 8594).

use super::Family;
use super::document::Document;
use super::error::Refusal;
use super::request::cut;
use super::v1;
use crate::policy::Access;
use crate::site_table::LegacyEntry;
use crate::words::Sha256;
use http::header::{HeaderName, HeaderValue, LINK};
use http::{HeaderMap, header::InvalidHeaderValue};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");
const V2: &str = Family::V2.base();

/// V1, as the catalog has it.
#[derive(Debug, PartialEq)]
pub(super) struct Legacy {
    pub(super) access: Access,
    gone: bool,
    deprecation: HeaderValue,
    sunset: Option<HeaderValue>,
    /// `, <address>; rel="deprecation"`, or nothing.
    docs: Box<str>,
    /// By channel: its head with the installers of Windows alone, and of macOS alone.
    latest: Vec<Option<[Document; 2]>>,
}

impl Legacy {
    /// As the compiler wrote it.
    pub(super) fn read(entry: &LegacyEntry<'_>) -> Result<Self, InvalidHeaderValue> {
        let document = |text: &str| Document::new(text.to_owned().into(), &Sha256::of(text.as_bytes()));
        Ok(Self {
            access: entry.access,
            gone: entry.gone,
            deprecation: HeaderValue::try_from(&*entry.deprecation)?,
            sunset: entry.sunset.as_deref().map(HeaderValue::try_from).transpose()?,
            docs: entry.docs.as_deref().map(|docs| format!(", <{docs}>; rel=\"deprecation\"")).unwrap_or_default().into(),
            latest: entry
                .latest
                .iter()
                .map(|latest| latest.as_ref().map(|latest| [document(&latest.windows), document(&latest.macos)]))
                .collect(),
        })
    }

    /// A channel's head with the installers of Windows, or of macOS, alone.
    pub(super) fn latest(&self, channel: usize, macos: bool) -> Option<&Document> {
        self.latest.get(channel)?.as_ref()?.get(usize::from(macos))
    }

    /// Whether the whole interface is retired.
    pub(super) fn is_retired(&self) -> bool {
        self.gone
    }

    /// Refuses everything when the whole interface is retired.
    pub(super) fn refuse_retired(&self, target: &str) -> Result<(), Refusal> {
        if self.gone { Err(Refusal::retired(&twin(target))) } else { Ok(()) }
    }

    /// Marks an answer to a target; a list's link to its next page comes last.
    pub(super) fn mark(&self, headers: &mut HeaderMap, target: &str) {
        headers.insert(DEPRECATION, self.deprecation.clone());
        if let Some(sunset) = &self.sunset {
            headers.insert(SUNSET, sunset.clone());
        }
        let next = headers.get(LINK).and_then(|next| next.to_str().ok()).map(|next| format!(", {next}")).unwrap_or_default();
        let link = format!("<{}>; rel=\"successor-version\"{}{next}", twin(target), self.docs);
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.insert(LINK, link);
        }
    }
}

/// The address of V2 that answers what a target of V1 asks, with the same parameters. Text that cannot stand in an
/// address is left out, and with it whatever it belongs to.
fn twin(target: &str) -> String {
    let (path, query) = cut(target, b'?');
    let rest = path.strip_prefix(v1::BASE).unwrap_or_default();
    let (twin, takes_query) = match (v1::Route::find(path), rest) {
        (Some(v1::Route::List), _) => (V2.to_owned(), true),
        (Some(v1::Route::Latest), _) => (format!("{V2}/latest"), true),
        (Some(v1::Route::Version(version)), _) => (format!("{V2}/{version}"), true),
        (Some(v1::Route::Links), _) => (format!("{V2}/latest?channel=stable"), false),
        (Some(v1::Route::LatestDownload), _) => (format!("{V2}/latest/download"), true),
        (Some(v1::Route::Download(version)), _) => (format!("{V2}/{version}/download"), true),
        (None, "/downloads/links.json") => (format!("{V2}/latest.json"), false),
        (None, rest) => match rest.strip_prefix("/releases/").filter(|name| name.ends_with(".json")) {
            Some(name) => (format!("{V2}/{name}"), false),
            None => (V2.to_owned(), false),
        },
    };
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&b));
    match (plain(&twin), takes_query && !query.is_empty() && plain(query)) {
        (false, _) => V2.to_owned(),
        (true, true) => format!("{twin}?{query}"),
        (true, false) => twin,
    }
}
