//! `releases/catalog.yaml`, exactly as written: what holds for all releases.

use super::fields::{At, Reader, Table, line};
use super::yaml::{self, Node};
use crate::policy::Access;
use crate::problem::{Problem, SourceFile};
use crate::words::{BaseUrl, Channel, Date, Expected, FileName, HttpsUrl, KeyTemplate, Reason, Version, Word};
use std::sync::Arc;

/// The catalog's fields; every one is a valid word, nothing has been compared with the releases yet.
#[derive(Debug)]
pub struct CatalogFile {
    /// The file it was read from.
    pub file: Arc<SourceFile>,
    /// What the releases are releases of.
    pub product: Option<String>,
    /// The only source of absolute addresses.
    pub public_url: Option<HttpsUrl>,
    /// Who may ask.
    pub access: AccessPolicy,
    /// Where artifacts lie.
    pub storage: Storage,
    /// Declared channels, in order.
    pub channels: Vec<ChannelEntry>,
    /// The legacy API, when it is switched on.
    pub v1: Option<V1>,
    /// How the pages look.
    pub page: Page,
    /// Other engines that get the same answers.
    pub exports: Vec<Export>,
}

/// Which families answer without credentials.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessPolicy {
    /// V2, and everything made from it.
    pub v2: Access,
    /// V1.
    pub v1: Access,
}

/// Where artifacts lie.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    /// Absent: the edge serves them itself.
    pub base_url: Option<BaseUrl>,
    /// How an artifact's key is made.
    pub key: KeyTemplate,
    /// Signed addresses instead of plain ones.
    pub presign: Option<Presign>,
}

/// Presigned storage addresses.
#[derive(Clone, Debug)]
pub struct Presign {
    /// The store's region.
    pub region: String,
    /// The base address below the store's own endpoint, when that is not the host of `base_url`.
    pub base_url: Option<BaseUrl>,
    /// Seconds that an address stays valid, 60–86,400.
    pub lifetime: u64,
}

/// A declared channel.
#[derive(Debug)]
pub struct ChannelEntry {
    /// Its name.
    pub name: At<Channel>,
    /// The release that it is held back at.
    pub pin: Option<(At<Version>, Reason)>,
}

/// The legacy API's retirement.
#[derive(Clone, Debug)]
pub struct V1 {
    /// Since when it is deprecated (RFC 9745).
    pub deprecated_on: Date,
    /// When it may stop (RFC 8594).
    pub sunset_on: Option<Date>,
    /// Where the successor is explained.
    pub successor_docs: Option<HttpsUrl>,
    /// Whether it has stopped.
    pub gone: bool,
}

/// How the pages look.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The heading.
    pub title: Option<String>,
    /// `#rrggbb`.
    pub accent: Option<String>,
    /// A file beside the catalog.
    pub logo: Option<At<FileName>>,
}

/// An engine that gets the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// An nginx configuration to include.
    Nginx,
    /// A Cloudflare Worker.
    Worker,
    /// `_redirects` and `_headers` for static hosts.
    Pages,
}

impl Word for Export {
    fn parse(text: &str) -> Result<Self, Expected> {
        match text {
            "nginx" => Ok(Self::Nginx),
            "worker" => Ok(Self::Worker),
            "pages" => Ok(Self::Pages),
            _ => Err("one of nginx, worker, pages"),
        }
    }
}

/// Reads the catalog; with any problem in it there is no catalog.
pub fn read(file: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> Option<CatalogFile> {
    let before = problems.len();
    let root = yaml::parse(file, problems)?;
    let mut reader = Reader { file, problems };
    let catalog = read_root(&mut reader, &root);
    catalog.filter(|_| problems.len() == before)
}

fn read_root(reader: &mut Reader<'_>, root: &Node) -> Option<CatalogFile> {
    let mut table = reader.table(root, "")?;
    let product = reader.parsed(&mut table, "product", line).map(|product| product.value);
    let public_url = reader.parsed(&mut table, "public_url", HttpsUrl::origin).map(|url| url.value);
    let access = read_access(reader, &mut table);
    let storage = read_storage(reader, &mut table);
    let channels = read_channels(reader, &mut table);
    let v1 = read_v1(reader, &mut table);
    let page = read_page(reader, &mut table);
    let exports = reader.words(&mut table, "exports").into_iter().map(|export| export.value).collect();
    reader.close(table);
    let file = Arc::clone(reader.file);
    Some(CatalogFile { file, product, public_url, access, storage, channels, v1, page, exports })
}

fn read_access(reader: &mut Reader<'_>, root: &mut Table<'_>) -> AccessPolicy {
    let parse = |text: &str| match text {
        "public" => Ok(Access::Public),
        "required" => Ok(Access::Required),
        _ => Err("`public` or `required`"),
    };
    let Some(mut table) = reader.inner(root, "access") else { return AccessPolicy::default() };
    let v2 = reader.parsed(&mut table, "v2", parse).map(|access| access.value).unwrap_or_default();
    let v1 = reader.parsed(&mut table, "v1", parse).map(|access| access.value).unwrap_or_default();
    reader.close(table);
    AccessPolicy { v2, v1 }
}

fn read_storage(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Storage {
    let Some(mut table) = reader.inner(root, "storage") else { return Storage::default() };
    let insecure = reader.boolean(&mut table, "insecure").is_some_and(|insecure| insecure.value);
    let base_url = reader.parsed(&mut table, "base_url", |text| BaseUrl::parse(text, insecure)).map(|url| url.value);
    let key = reader.word(&mut table, "key").map(|key| key.value).unwrap_or_default();
    let presign = read_presign(reader, &mut table, base_url.as_ref(), insecure);
    reader.close(table);
    Storage { base_url, key, presign }
}

fn read_presign(reader: &mut Reader<'_>, storage: &mut Table<'_>, base_url: Option<&BaseUrl>, insecure: bool) -> Option<Presign> {
    let mut table = reader.inner(storage, "presign")?;
    let region_word = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if plain && (1..=32).contains(&text.len()) { Ok(text.to_owned()) } else { Err("a region such as eu-central-1") }
    };
    let kind = reader.parsed(&mut table, "kind", |text| if text == "s3" { Ok(()) } else { Err("`s3`") });
    let region = reader.parsed(&mut table, "region", region_word);
    for name in ["kind", "region", "lifetime"] {
        if !table.has(name) {
            reader.missing(&table, name);
        }
    }
    if base_url.is_none() && !storage.has("base_url") {
        let span = table.span.clone();
        reader.problem(&span, "storage.presign: signed addresses need a `base_url` to sign");
    }
    let endpoint = reader.parsed(&mut table, "endpoint", |text| BaseUrl::endpoint(text, insecure));
    let lifetime = reader.number(&mut table, "lifetime", 60..=86_400, "a lifetime of 60 to 86400 seconds");
    reader.close(table);
    kind?;
    let base_url = endpoint.and_then(|endpoint| Some(base_url?.at(&endpoint.value)));
    Some(Presign { region: region?.value, base_url, lifetime: lifetime?.value })
}

fn read_channels(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Vec<ChannelEntry> {
    let mut channels = Vec::new();
    for (name, node) in reader.entries::<Channel>(root, "channels") {
        let path = format!("channels.{}", name.value);
        // `beta:` with nothing behind it declares a channel just as `beta: {}` does.
        let pin = if node.is_null() { None } else { read_pin(reader, node, &path) };
        channels.push(ChannelEntry { name, pin });
    }
    channels
}

fn read_pin(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<(At<Version>, Reason)> {
    let mut table = reader.table(node, path)?;
    let pin = reader.word::<Version>(&mut table, "pin");
    let reason = reader.word::<Reason>(&mut table, "reason");
    if table.has("pin") != table.has("reason") {
        let (there, missing) = if table.has("pin") { ("pin", "reason") } else { ("reason", "pin") };
        reader.problem(&node.span, format!("{path}: a `{there}` needs a `{missing}`"));
    }
    reader.close(table);
    Some((pin?, reason?.value))
}

fn read_v1(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Option<V1> {
    let mut table = reader.inner(root, "v1")?;
    let deprecated_on = reader.required::<Date>(&mut table, "deprecated_on");
    let sunset_on = reader.word::<Date>(&mut table, "sunset_on");
    let successor_docs = reader.word::<HttpsUrl>(&mut table, "successor_docs").map(|url| url.value);
    let gone = reader.boolean(&mut table, "gone").is_some_and(|gone| gone.value);
    if let (Some(from), Some(until)) = (&deprecated_on, &sunset_on)
        && until.value < from.value
    {
        reader.problem(&until.span, format!("v1.sunset_on: `{}` is before deprecated_on, `{}`", until.value, from.value));
    }
    reader.close(table);
    Some(V1 { deprecated_on: deprecated_on?.value, sunset_on: sunset_on.map(|day| day.value), successor_docs, gone })
}

fn read_page(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Page {
    let accent_word = |text: &str| {
        let digits =
            text.strip_prefix('#').is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if digits { Ok(text.to_owned()) } else { Err("a colour such as \"#0b6e4f\"") }
    };
    let Some(mut table) = reader.inner(root, "page") else { return Page::default() };
    let title = reader.parsed(&mut table, "title", line).map(|title| title.value);
    let accent = reader.parsed(&mut table, "accent", accent_word).map(|accent| accent.value);
    let logo = reader.word(&mut table, "logo");
    reader.close(table);
    Page { title, accent, logo }
}
