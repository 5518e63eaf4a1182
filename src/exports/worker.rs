//! A Cloudflare Worker that answers V2 and V1 as the edge does, from a table of what was compiled.
//!
//! `worker.js` is the same for every site; `answers.json` holds what it answers from, the documents aside, which it takes from
//! the folder `public/`. Cloudflare's limits decide how much that may be: a script with all its modules has at most 3 MB
//! compressed on the free plan and 10 MB on the paid ones (since 2026 Cloudflare documents 64 MiB, not compressed, for both),
//! and is read within a second into at most 128 MB of memory. So the table has at most [`MOST_BYTES`] before it is compressed,
//! which is room for 5,000 releases of three installers in V2 and V1; what is longer is refused.

use super::{ExportFile, refuse_what_only_the_edge_answers};
use crate::catalog::{Artifact, Catalog, Release, State};
use crate::policy::{Access, PREFLIGHT, Policy};
use crate::problem::Problem;
use crate::site_table::{LegacyEntry, SiteTable};
use crate::snapshot::{Built, Row, SITE};
use crate::words::{BaseUrl, HttpsUrl, Os, Platform, Sha256, Timestamp};
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;

const ENGINE: &str = "worker";
/// Bytes of the longest `answers.json`.
const MOST_BYTES: usize = 8_000_000;
/// Cloudflare behaves as on this day; newer is better only where something here needs it.
const COMPATIBILITY_DATE: &str = "2025-06-01";
/// Characters of the longest name of a Worker, which is also a label of its host name.
const LONGEST_NAME: usize = 63;

const V2: &str = "v2/agent-releases";
const V1: &str = "internal/v1/agent";

/// What the module answers from; it describes the parts that it reads.
#[derive(Serialize)]
struct Answers<'a> {
    /// The first digits of the snapshot's id, as answers show them.
    snapshot: &'a str,
    base_url: &'a str,
    kinds: Kinds,
    v1: Option<Legacy<'a>>,
    channels: Vec<ChannelRow<'a>>,
    types: Vec<&'a str>,
    headers: Vec<HeaderSet>,
    documents: BTreeMap<&'a str, (usize, String)>,
    releases: Vec<ReleaseRow<'a>>,
}

type HeaderSet = BTreeMap<String, String>;

/// Which set of headers each kind of answer has.
#[derive(Serialize)]
struct Kinds {
    view: usize,
    redirect: usize,
    tile: usize,
    error: usize,
    /// A method that is refused.
    method: usize,
    preflight: usize,
}

/// V1: what all its answers say, and those that are not about a release.
#[derive(Serialize)]
struct Legacy<'a> {
    gone: bool,
    headers: BTreeMap<&'static str, &'a str>,
    /// Follows the twin in `Link`.
    docs: String,
    links: Option<Ready<'a>>,
    /// By channel, then system: its head with the installers of that system alone.
    latest: BTreeMap<&'a str, BTreeMap<&'static str, Ready<'a>>>,
}

/// An answer that is sent as it is.
#[derive(Serialize)]
struct Ready<'a> {
    set: usize,
    tag: String,
    body: &'a str,
}

#[derive(Serialize)]
struct ChannelRow<'a> {
    name: &'a str,
    head: Option<usize>,
    /// The orders of its lists, ascending, as indexes of releases.
    by_version: Vec<usize>,
    timed: Vec<usize>,
    untimed: Vec<usize>,
}

/// A release. Names that few releases need are left out of the others.
#[derive(Serialize)]
struct ReleaseRow<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_at: Option<&'a Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes_url: Option<&'a str>,
    /// What its answers say besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'static str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recalled: Option<&'a str>,
    /// The channel that its own document names.
    default: &'a str,
    /// Of V2, and of V1: by channel, the entity tag of its view.
    tags: Vec<BTreeMap<&'a str, String>>,
    pieces: Vec<String>,
    /// By the place that an address names: `windows`, `macos/arm64`, `files/<name>`.
    files: BTreeMap<String, FileRow<'a>>,
}

/// Name, digest, bytes, index of the type, and the storage key where it is not `<digest>/<name>`.
#[derive(Serialize)]
struct FileRow<'a>(&'a str, Option<Sha256>, Option<u64>, usize, Option<&'a str>);

/// The files of this engine.
pub(super) fn render(catalog: &Catalog, built: &Built) -> Result<Vec<ExportFile>, Problem> {
    refuse_what_only_the_edge_answers(ENGINE, catalog)?;
    let answers = answers(catalog, built).ok_or_else(|| {
        Problem::general("exports: worker: the snapshot lacks a document of a release; this is a fault of the program")
    })?;
    refuse_what_is_too_long(answers.len(), catalog.releases().len())?;
    Ok(vec![
        ExportFile::new(ENGINE, "worker.js", include_str!("worker.js")),
        ExportFile::new(ENGINE, "answers.json", answers),
        ExportFile::new(ENGINE, "wrangler.toml", wrangler(catalog.product())),
    ])
}

fn refuse_what_is_too_long(bytes: usize, releases: usize) -> Result<(), Problem> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(Problem::general(format!(
        "exports: worker: answers.json would have {bytes} bytes for {releases} releases, and a Worker is given at most \
         {MOST_BYTES}; take `worker` out of `exports`, and let the CDN serve public/ and hand the rest to the edge"
    )))
}

/// `answers.json`; `None` when a document that has to be there is not.
fn answers(catalog: &Catalog, built: &Built) -> Option<Vec<u8>> {
    let table: SiteTable<'_> = serde_json::from_slice(file(built, SITE)?.1).ok()?;
    let (mut sets, mut types) = (Numbered::default(), Numbered::default());
    let kinds = kinds(&mut sets);
    let answers = Answers {
        snapshot: built.index.id.get(..16)?,
        base_url: catalog.storage().base_url.as_ref().map(BaseUrl::as_str)?,
        v1: table.v1.as_ref().map(|entry| legacy(catalog, built, entry, kinds.view)),
        channels: channels(catalog),
        documents: documents(built, &mut sets),
        releases: catalog
            .releases()
            .iter()
            .map(|release| release_row(catalog, built, release, &mut types))
            .collect::<Option<_>>()?,
        kinds,
        types: types.in_order(),
        headers: sets.in_order(),
    };
    let mut bytes = serde_json::to_vec(&answers).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

/// Values, each once, by the number that stands for it.
struct Numbered<T>(BTreeMap<T, usize>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord> Numbered<T> {
    fn number(&mut self, value: T) -> usize {
        let next = self.0.len();
        *self.0.entry(value).or_insert(next)
    }

    fn in_order(self) -> Vec<T> {
        let mut all: Vec<(T, usize)> = self.0.into_iter().collect();
        all.sort_by_key(|(_, number)| *number);
        all.into_iter().map(|(value, _)| value).collect()
    }
}

fn kinds(sets: &mut Numbered<HeaderSet>) -> Kinds {
    let allowed = [("Allow", "GET, HEAD, OPTIONS")];
    let mut of = |policy: Policy, more: &[(&str, &str)]| {
        let all = policy.headers(Access::Public).into_iter().chain(more.iter().copied());
        sets.number(all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };
    Kinds {
        view: of(Policy::View, &[]),
        redirect: of(Policy::Redirect, &[]),
        tile: of(Policy::Immutable, &[]),
        error: of(Policy::Error, &[]),
        method: of(Policy::Error, &allowed),
        preflight: of(Policy::Plain, &[&allowed[..], &PREFLIGHT[..]].concat()),
    }
}

/// Every static document. What those of V1 say of V1 is added as they are sent, so that they share the rest.
fn documents<'a>(built: &'a Built, sets: &mut Numbered<HeaderSet>) -> BTreeMap<&'a str, (usize, String)> {
    let public = built.index.files.iter().filter_map(|row| Some((row.path.strip_prefix("public")?, row)));
    let entries = public.map(|(address, row)| {
        let mut headers = (*row.headers).clone();
        if row.path.starts_with("public/internal/v1/agent/") {
            headers.retain(|name, _| !["Deprecation", "Sunset", "Link"].contains(&name.as_str()));
        }
        let address = address.strip_suffix("index.html").unwrap_or(address);
        (address, (sets.number(headers), tag(row.sha256)))
    });
    entries.collect()
}

/// A file of the snapshot.
fn file<'a>(built: &'a Built, path: &str) -> Option<(&'a Row, &'a Bytes)> {
    let at = built.index.files.binary_search_by(|row| row.path.as_str().cmp(path)).ok()?;
    Some((built.index.files.get(at)?, built.bytes.get(at)?))
}

/// The entity tag of bytes with this digest, without its quotes.
fn tag(sha256: Sha256) -> String {
    format!("{sha256:.32}")
}

fn legacy<'a>(catalog: &'a Catalog, built: &'a Built, entry: &'a LegacyEntry<'a>, set: usize) -> Legacy<'a> {
    let ready = |body: &'a str| Ready { set, tag: tag(Sha256::of(body.as_bytes())), body };
    let links = file(built, &format!("public/{V1}/downloads/links.json"));
    let sunset = entry.sunset.as_deref().map(|sunset| ("Sunset", sunset));
    Legacy {
        gone: entry.gone,
        headers: [("Deprecation", &*entry.deprecation)].into_iter().chain(sunset).collect(),
        docs: entry.docs.as_deref().map(|docs| format!(", <{docs}>; rel=\"deprecation\"")).unwrap_or_default(),
        links: links.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()).map(ready),
        latest: catalog
            .channels()
            .iter()
            .zip(&entry.latest)
            .filter_map(|(channel, latest)| {
                let latest = latest.as_ref()?;
                let systems = [(Os::Windows, &latest.windows), (Os::Macos, &latest.macos)];
                Some((channel.name.as_str(), systems.map(|(os, body)| (os.as_str(), ready(body))).into()))
            })
            .collect(),
    }
}

fn channels(catalog: &Catalog) -> Vec<ChannelRow<'_>> {
    let rows = catalog.channels().iter().enumerate().map(|(index, channel)| {
        let offered = |release: &Release| release.state == State::Published && release.channels.contains(&index);
        let listed = catalog.releases().iter().enumerate().filter(|(_, release)| offered(release));
        let by_version: Vec<usize> = listed.map(|(place, _)| place).collect();
        let time = |place: &usize| catalog.releases().get(*place).and_then(|release| release.published_at.as_ref());
        let (mut timed, untimed): (Vec<usize>, Vec<usize>) = by_version.iter().partition(|place| time(place).is_some());
        // The sort is stable and its input ascends by version, which is the order of equal times.
        timed.sort_by_key(time);
        ChannelRow { name: channel.name.as_str(), head: channel.head, by_version, timed, untimed }
    });
    rows.collect()
}

fn release_row<'a>(
    catalog: &'a Catalog,
    built: &Built,
    release: &'a Release,
    types: &mut Numbered<&'a str>,
) -> Option<ReleaseRow<'a>> {
    let v2 = format!("public/{V2}/{}.json", release.version);
    let v1 = format!("public/{V1}/releases/{}.json", release.version);
    let is_shown_by_v1 = catalog.v1().is_some_and(|v1| !v1.gone);
    let documents = std::iter::once(v2).chain(is_shown_by_v1.then_some(v1));
    let shown = documents.map(|path| tags(catalog, release, file(built, &path)?.1));
    let (tags, pieces) = shown.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let files = release.artifacts.iter().chain(&release.attachments);
    Some(ReleaseRow {
        version: release.version.as_str(),
        published_at: release.published_at.as_ref(),
        notes_url: release.notes_url.as_ref().map(HttpsUrl::as_str),
        headers: match &release.state {
            State::Yanked(reason) => Some(BTreeMap::from([("X-Release-Yanked", reason.as_str())])),
            State::Published | State::Recalled(_) => None,
        },
        recalled: match &release.state {
            State::Recalled(reason) => Some(reason.as_str()),
            State::Published | State::Yanked(_) => None,
        },
        default: channel_name(catalog, catalog.default_channel(release))?,
        tags,
        pieces,
        files: files.map(|artifact| (place(artifact), file_row(artifact, types))).collect(),
    })
}

fn channel_name(catalog: &Catalog, channel: usize) -> Option<&str> {
    catalog.channels().get(channel).map(|channel| channel.name.as_str())
}

/// The entity tags of a release's views by their channels, and its part of the tags of list pages.
///
/// `channel` is the first key of a document, and all its views share the rest.
fn tags<'a>(catalog: &'a Catalog, release: &Release, document: &[u8]) -> Option<(BTreeMap<&'a str, String>, String)> {
    let prefix = |channel: &str| format!("{{\"channel\":\"{channel}\"");
    let rest = document.strip_prefix(prefix(channel_name(catalog, catalog.default_channel(release))?).as_bytes())?;
    let view = |channel: &usize| {
        let channel = channel_name(catalog, *channel)?;
        Some((channel, tag(Sha256::of(&[prefix(channel).as_bytes(), rest].concat()))))
    };
    let piece = Sha256::of(rest.strip_suffix(b"\n")?);
    Some((release.channels.iter().map(view).collect::<Option<_>>()?, tag(piece)))
}

fn place(artifact: &Artifact) -> String {
    match artifact.platform {
        Some(platform) => Platform::folder(platform).to_owned(),
        None => format!("files/{}", artifact.filename),
    }
}

fn file_row<'a>(artifact: &'a Artifact, types: &mut Numbered<&'a str>) -> FileRow<'a> {
    let usual = artifact.sha256.map(|sha256| format!("{sha256}/{}", artifact.filename));
    let key = Some(artifact.key.as_str()).filter(|key| usual.as_deref() != Some(key));
    let content_type = types.number(artifact.content_type.as_str());
    FileRow(artifact.filename.as_str(), artifact.sha256, artifact.size_bytes, content_type, key)
}

fn wrangler(product: &str) -> String {
    format!(
        r#"# Deploys the site as a Cloudflare Worker: `wrangler deploy` in this folder, after each build. What wrangler itself leaves here,
# `.wrangler`, is not of the site: the next build refuses to overwrite a folder that has files of others in it, so remove it.
#
# Cloudflare's limits: worker.js and answers.json have together at most 3 MB compressed on the free plan and 10 MB on the paid
# ones (`wrangler deploy --dry-run` tells how much it is); since 2026 its documentation has 64 MiB, not compressed, for both.
# The files of public/ are at most 20,000 on the free plan and 100,000 on the paid ones, with at most 25 MiB each. The build
# refuses an answers.json of more than {megabytes} MB, not compressed.
name = "{name}"
main = "worker.js"
compatibility_date = "{COMPATIBILITY_DATE}"

# Every address goes to the Worker, which sets all headers and takes the documents from here.
[assets]
directory = "../../public"
binding = "ASSETS"
run_worker_first = true
html_handling = "none"
not_found_handling = "none"

# The addresses of the API, in a zone of yours; without routes it answers at workers.dev.
# [[routes]]
# pattern = "api.example.com/*"
# zone_name = "example.com"

# The Active API needs the edge. Name it, and /api/… is passed on; without it that is 404. As another Worker:
# [[services]]
# binding = "EDGE"
# service = "agent-releases-edge"
# or as an address:
# [vars]
# EDGE = "https://edge.example.com"
"#,
        megabytes = MOST_BYTES / 1_000_000,
        name = name(product),
    )
}

/// A name as Cloudflare takes it, made of a product's: lower-case letters, digits, and hyphens between them.
fn name(product: &str) -> String {
    let plain = product.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let plain: String = plain.collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(LONGEST_NAME).collect();
    let name = name.trim_end_matches('-');
    if name.is_empty() { "agent-releases".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Request, Site, answer};
    use crate::artifacts::Thoroughness;
    use crate::compile::{Baseline, Options, compile};
    use http::{HeaderMap, Method};
    use serde_json::Value;
    use std::path::Path;

    fn compiled(collection: &str) -> (Catalog, Built) {
        let options = Options {
            releases: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good").join(collection),
            artifacts: "nowhere".into(),
            out: "nowhere".into(),
            template: None,
            previous: Baseline::None,
            thoroughness: Thoroughness::default(),
            strict: false,
        };
        let compiled = compile(&options).unwrap_or_else(|problems| panic!("{problems:?}"));
        let built = compiled.snapshot().expect("pages");
        (compiled.catalog, built)
    }

    fn table(catalog: &Catalog, built: &Built) -> Value {
        serde_json::from_slice(&answers(catalog, built).expect("every document")).expect("JSON")
    }

    #[test]
    fn the_tags_are_those_of_the_edge() {
        let mut views = 0;
        for collection in ["kitchen-sink", "v1", "v1-gone", "at-the-limits"] {
            let (catalog, built) = compiled(collection);
            let site = Site::new(&built.index, &built.files(), false).expect("a site");
            let tag = |target: &str| {
                let headers = HeaderMap::new();
                let answer = answer(&site, &Request::new(&Method::GET, target, &headers));
                answer.headers["etag"].to_str().expect("ASCII").trim_matches('"').to_owned()
            };
            let table = table(&catalog, &built);
            for release in table["releases"].as_array().expect("releases") {
                let version = release["version"].as_str().expect("a version");
                for (tags, base) in release["tags"].as_array().expect("tags").iter().zip([V2, "internal/v1/agent/releases"]) {
                    for (channel, known) in tags.as_object().expect("by channel") {
                        assert_eq!(*known, tag(&format!("/{base}/{version}?channel={channel}")), "{collection}: {version}");
                        views += 1;
                    }
                }
            }
            for (address, entry) in table["documents"].as_object().expect("documents") {
                assert_eq!(entry[1], tag(address), "{collection}: {address}");
            }
        }
        assert!(views > 80, "{views} views");
    }

    #[test]
    fn the_same_catalog_gives_the_same_files() {
        let render = || {
            let (catalog, built) = compiled("kitchen-sink");
            super::render(&catalog, &built).expect("files")
        };
        assert_eq!(render(), render());
    }

    #[test]
    fn what_a_worker_does_not_hold_is_refused_with_a_way_out() {
        assert_eq!(refuse_what_is_too_long(MOST_BYTES, 7_000), Ok(()));
        let refused = refuse_what_is_too_long(MOST_BYTES + 1, 7_000).expect_err("a byte too many");
        for part in ["8000001 bytes", "7000 releases", "at most 8000000", "take `worker` out of `exports`"] {
            assert!(refused.message().contains(part), "{refused}");
        }
    }

    #[test]
    fn what_only_the_edge_answers_is_refused() {
        for collection in ["no-storage", "presigned", "required", "mixed"] {
            let (catalog, built) = compiled(collection);
            let refused = super::render(&catalog, &built).expect_err(collection);
            assert!(refused.message().starts_with("exports: worker: "), "{refused}");
        }
    }

    #[test]
    fn a_worker_is_named_after_the_product() {
        for (product, expected) in
            [("ScalepadAgent", "scalepadagent"), ("  A & B, Agent™ 2 ", "a-b-agent-2"), ("агент", "agent-releases")]
        {
            assert_eq!(name(product), expected);
        }
        assert_eq!(name(&format!("{}-x", "a".repeat(62))), "a".repeat(62));
    }

    #[test]
    fn the_module_can_be_read() {
        let module = include_str!("worker.js");
        assert!(module.lines().count() <= 250, "{} lines", module.lines().count());
        assert!(module.lines().all(|line| line.chars().count() <= 130));
    }
}
