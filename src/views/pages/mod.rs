//! The pages for people, and the few files beside them: templates filled in with what the catalog says.
//!
//! A release has a page of its own, and a line on one page of the history; its neighbours know nothing of it, so that one
//! more release changes the same few files whether there are a hundred or ten thousand. One that is put in among older ones,
//! or has no time, moves those after it by a place.

mod assets;
mod colours;
mod context;
mod feeds;
mod notes;

use super::v2::{self, FOLDER};
use super::{json, openapi};
use crate::catalog::{Catalog, ChannelState, Release, State};
use crate::policy::{Access, Policy};
use crate::problem::Problem;
use crate::redirects::path_address;
use crate::snapshot::Snapshot;
use crate::source::Template;
use crate::words::{Channel, HttpsUrl, Reason, Sha256, Timestamp};
use assets::Assets;
use context::{HeadContext, ReleaseContext, SiteContext};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Output, State as Filling, UndefinedBehavior, context};
use rayon::prelude::*;
use std::fmt::Write;

/// Releases on a page of the history.
const ON_A_PAGE: usize = 50;
/// As of any document.
const MOST_BYTES: usize = 1024 * 1024;
/// Steps that a template takes to make one document; the longest page of the built-in ones takes some ten thousand.
const MOST_STEPS: u64 = 10_000_000;

/// Adds the pages; the problems are those of the template.
pub(super) fn render(catalog: &Catalog, template: &Template, snapshot: &mut Snapshot) -> Result<(), Vec<Problem>> {
    let assets = Assets::new(catalog, template).map_err(|problem| vec![problem])?;
    let pages = Pages::new(catalog, template, &assets)?;
    let releases: Vec<Files> = pages.oldest_first.par_iter().map(|release| pages.of_release(release)).collect();
    let numbers: Vec<Files> = (1..=pages.count()).into_par_iter().map(|number| pages.of_number(number)).collect();
    let rest = [pages.home(), pages.newest(), pages.docs(), pages.not_found(), pages.feeds(), pages.for_robots()];
    let mut problems = Vec::new();
    for files in releases.into_iter().chain(numbers).chain(rest) {
        match files {
            Ok(files) => files.into_iter().for_each(|file| {
                snapshot.document(&file.address, file.bytes, file.policy, file.access, &file.headers);
            }),
            // A mistake in a template is in every page that is made of it.
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
    }
    assets.add(snapshot);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What is wrong with a template whatever it is filled with.
pub(super) fn check(template: &Template) -> Vec<Problem> {
    let styles = template.filled().filter(|(name, ..)| is_style(name));
    let broken = styles.filter_map(|(name, file, text)| {
        let mut environment = strict_for_style();
        environment.add_template(name, text).err().map(|error| problem_of(template, &file.place, &error))
    });
    broken.chain(environment(template).err().unwrap_or_default()).collect()
}

/// A file on its way into the snapshot.
struct File {
    /// Without the leading slash.
    address: String,
    bytes: Vec<u8>,
    policy: Policy,
    access: Access,
    headers: Vec<(&'static str, &'static str)>,
}

type Files = Result<Vec<File>, Problem>;

/// Takes [`MOST_BYTES`] and no more, so that a template without an end has one.
#[derive(Default)]
struct Short {
    bytes: Vec<u8>,
    is_full: bool,
}

impl std::io::Write for Short {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.is_full |= self.bytes.len() + bytes.len() > MOST_BYTES;
        if self.is_full {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The templates, ready to be filled in.
struct Pages<'a> {
    catalog: &'a Catalog,
    template: &'a Template,
    environment: Environment<'a>,
    site: Value,
    /// The same, but for everything that not everybody may know.
    bare_site: Value,
    /// By time, then version; those without a time first, because they are older than anybody remembers.
    oldest_first: Vec<&'a Release>,
}

impl<'a> Pages<'a> {
    fn new(catalog: &'a Catalog, template: &'a Template, assets: &Assets) -> Result<Self, Vec<Problem>> {
        let mut environment = environment(template)?;
        environment.add_function("asset", assets.function());
        let mut oldest_first: Vec<&Release> = catalog.releases().iter().collect();
        // The sort is stable, and releases ascend by version.
        oldest_first.sort_by_key(|release| release.published_at.as_ref());
        let site = SiteContext::new(catalog, assets);
        let bare_site = Value::from(Serde(site.bare()));
        Ok(Self { catalog, template, environment, site: Value::from(Serde(site)), bare_site, oldest_first })
    }

    /// How many numbered pages there are. The last may be empty, so that a full page can name the one after it once and for all.
    fn count(&self) -> usize {
        self.oldest_first.len() / ON_A_PAGE + 1
    }

    /// `/`: each channel's head.
    fn home(&self) -> Files {
        let catalog = self.catalog;
        let is_stable = |channel: &&ChannelState| channel.name.as_str() == Channel::STABLE;
        let (stable, others): (Vec<&ChannelState>, Vec<_>) = catalog.channels().iter().partition(is_stable);
        let heads = stable.into_iter().chain(others).map(|channel| HeadContext {
            name: channel.name.as_str(),
            head: channel.head.and_then(|head| catalog.releases().get(head)).map(|head| ReleaseContext::row(catalog, head)),
            pinned: channel.pin.as_ref().map(|(_, reason)| reason.as_str()),
        });
        let heads: Vec<_> = heads.collect();
        let title = catalog.page().title.as_deref().unwrap_or(catalog.product());
        Ok(vec![self.page("index.html", "/", title, context! { channels => Serde(heads) })?])
    }

    /// `/releases/`: the newest.
    fn newest(&self) -> Files {
        let newest: Vec<_> =
            self.oldest_first.iter().rev().take(ON_A_PAGE).map(|release| ReleaseContext::row(self.catalog, release)).collect();
        let next = self.oldest_first.len().checked_sub(ON_A_PAGE + 1);
        let more = context! {
            releases => Serde(newest),
            total => self.oldest_first.len(),
            older => next.map(|next| address_of_number(next / ON_A_PAGE + 1)),
            index => format!("/{FOLDER}/history/index.json"),
        };
        Ok(vec![self.page("releases.html", "/releases/", "All releases", more)?])
    }

    /// `/releases/page/<n>/`: from the oldest on, and what search engines read of it.
    fn of_number(&self, number: usize) -> Files {
        let first = (number - 1) * ON_A_PAGE;
        let shown = self.oldest_first.iter().skip(first).take(ON_A_PAGE);
        let releases: Vec<_> = shown.clone().rev().map(|release| ReleaseContext::row(self.catalog, release)).collect();
        let more = context! {
            number,
            releases => Serde(releases),
            older => (number > 1).then(|| address_of_number(number - 1)),
            newer => if number < self.count() { address_of_number(number + 1) } else { "/releases/".to_owned() },
        };
        let address = address_of_number(number);
        let page = self.page("page.html", &address, &format!("Releases, page {number}"), more)?;
        let Some(origin) = self.catalog.public_url() else { return Ok(vec![page]) };
        let is_shown = |release: &&&Release| !matches!(release.state, State::Recalled(_));
        let releases = shown.filter(is_shown).map(|release| format!("{origin}/releases/{}/", release.version));
        let addresses: Vec<String> = std::iter::once(format!("{origin}{address}")).chain(releases).collect();
        Ok(vec![page, self.sitemap(&number.to_string(), addresses)?])
    }

    /// `/releases/<version>/`, and its `SHA256SUMS`.
    fn of_release(&self, release: &Release) -> Files {
        let context = self.context(release);
        let title = format!("{} {}", self.catalog.page().title.as_deref().unwrap_or(self.catalog.product()), release.version);
        let address = context.address.clone();
        let page = self.page("release.html", &address, &title, context! { release => Serde(context) })?;
        let sums = sums(release).map(|text| {
            let address = format!("releases/{}/SHA256SUMS", release.version);
            self.file(&address, text, "text/plain; charset=utf-8")
        });
        Ok(std::iter::once(page).chain(sums).collect())
    }

    /// `/docs/`: the API, for people.
    fn docs(&self) -> Files {
        let api = Serde(openapi::description(self.catalog));
        Ok(vec![self.page("docs.html", "/docs/", "API", context! { api })?])
    }

    /// `/404.html`: it says nothing of any release or channel, so that anybody may see it, whatever its address says.
    fn not_found(&self) -> Files {
        let address = "404.html";
        let page = context! { address, canonical => (), title => "Not found" };
        let text = self.fill(address, address, context! { page, site => self.bare_site.clone() })?;
        Ok(vec![page_file(address, text, Access::Public)])
    }

    /// `/feeds/<channel>.atom`.
    fn feeds(&self) -> Files {
        let feed = |(index, channel): (usize, &ChannelState)| {
            let feed = feeds::feed(self.catalog, index, channel, &self.oldest_first);
            let address = format!("feeds/{}.atom", channel.name);
            let text = self.fill("feed.xml", &address, context! { feed => Serde(feed) })?;
            Ok(self.file(&address, text, "application/atom+xml; charset=utf-8"))
        };
        self.catalog.channels().iter().enumerate().map(feed).collect()
    }

    /// `/robots.txt` and `/sitemap.xml`: whoever has no public address is not to be found by it.
    fn for_robots(&self) -> Files {
        let Some(origin) = self.catalog.public_url() else { return Ok(Vec::new()) };
        let private = self.catalog.v2_access() == Access::Required;
        let robots = self.fill("robots.txt", "robots.txt", context! { sitemap => format!("{origin}/sitemap.xml"), private })?;
        let robots = self.file("robots.txt", robots, "text/plain; charset=utf-8");
        let names = std::iter::once("site".to_owned()).chain((1..=self.count()).map(|number| number.to_string()));
        let sitemaps: Vec<String> = names.map(|name| format!("{origin}/sitemaps/{name}.xml")).collect();
        let index = self.fill("sitemap-index.xml", "sitemap.xml", context! { sitemaps })?;
        let index = self.file("sitemap.xml", index, "application/xml; charset=utf-8");
        let site = ["/", "/releases/", "/docs/"].map(|address| format!("{origin}{address}"));
        Ok(vec![File { access: Access::Public, ..robots }, index, self.sitemap("site", site.into())?])
    }

    fn sitemap(&self, name: &str, addresses: Vec<String>) -> Result<File, Problem> {
        let address = format!("sitemaps/{name}.xml");
        let text = self.fill("sitemap.xml", &address, context! { addresses })?;
        Ok(self.file(&address, text, "application/xml; charset=utf-8"))
    }

    /// A page at an address, which ends in `/` or is that of a file.
    fn page(&self, template: &str, address: &str, title: &str, more: Value) -> Result<File, Problem> {
        let canonical = self.catalog.public_url().map(|origin: &HttpsUrl| format!("{origin}{address}"));
        let page = context! { address, canonical, title };
        let text = self.fill(template, address, context! { page, ..more })?;
        let file = address.strip_prefix('/').unwrap_or(address);
        let file = if file.is_empty() || file.ends_with('/') { format!("{file}index.html") } else { file.to_owned() };
        Ok(page_file(&file, text, self.catalog.v2_access()))
    }

    fn file(&self, address: &str, text: String, content_type: &'static str) -> File {
        let headers = vec![("Content-Type", content_type)];
        File {
            address: address.to_owned(),
            bytes: text.into_bytes(),
            policy: Policy::File,
            access: self.catalog.v2_access(),
            headers,
        }
    }

    /// What a template makes for an address.
    fn fill(&self, template: &str, address: &str, more: Value) -> Result<String, Problem> {
        let mut made = Short::default();
        let values = context! { ..more, ..context! { site => self.site.clone() } };
        let filled = self.environment.get_template(template);
        match filled.and_then(|template| template.render_captured_to(values, &mut made).map(drop)) {
            Ok(()) => Ok(String::from_utf8(made.bytes).unwrap_or_default()),
            Err(_) if made.is_full => {
                let way_out = if template == "release.html" { "; shorten its notes" } else { "" };
                Err(Problem::of_file(address, format!("would be longer than 1 MiB, which no document is{way_out}")))
            }
            Err(error) => Err(problem_of(self.template, template, &error)),
        }
    }

    fn context<'r>(&'r self, release: &'r Release) -> ReleaseContext<'r> {
        let document = json(&v2::agent_release(self.catalog, release, self.catalog.default_channel(release)));
        ReleaseContext::new(self.catalog, release, Sha256::of(&document), sums(release).is_some())
    }
}

fn address_of_number(number: usize) -> String {
    format!("/releases/page/{number}/")
}

fn page_file(file: &str, text: String, access: Access) -> File {
    File { address: file.to_owned(), bytes: text.into_bytes(), policy: Policy::Page, access, headers: Vec::new() }
}

/// What `sha256sum -c` reads: a line for each file whose hash is known; `None` when there is none. Files that share a name are
/// told apart by the folders of their addresses, such as `macos/arm64/`.
fn sums(release: &Release) -> Option<String> {
    let files = || release.artifacts.iter().chain(&release.attachments);
    let mut text = String::new();
    for file in files() {
        let Some(sha256) = file.sha256 else { continue };
        let is_alone = files().filter(|other| other.filename == file.filename && other.sha256 != file.sha256).count() == 0;
        let address = path_address(&release.version, file);
        let below = address.split_once("/download/").map(|(_, below)| below).filter(|_| !is_alone);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{sha256}  {}", below.unwrap_or(file.filename.as_str()));
    }
    (!text.is_empty()).then_some(text)
}

/// The problem where it is: an error of what a template includes is that of what is included.
fn problem_of(template: &Template, place: &str, error: &minijinja::Error) -> Problem {
    let mut error = error;
    while let Some(inner) = std::error::Error::source(error).and_then(|inner| inner.downcast_ref()) {
        error = inner;
    }
    let place = error.name().and_then(|name| template.file(name)).map_or(place, |file| &file.place);
    let place = error.line().map_or_else(|| place.to_owned(), |line| format!("{place}:{line}"));
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    Problem::of_file(place, what)
}

/// The templates but for the style, which is filled in first.
fn environment(template: &Template) -> Result<Environment<'_>, Vec<Problem>> {
    let mut environment = strict("{#");
    environment.set_formatter(escaped_where_it_matters);
    let mut problems = Vec::new();
    for (name, file, text) in template.filled().filter(|(name, ..)| !is_style(name)) {
        if let Err(error) = environment.add_template(name, text) {
            problems.push(problem_of(template, &file.place, &error));
        }
    }
    if problems.is_empty() { Ok(environment) } else { Err(problems) }
}

fn is_style(name: &str) -> bool {
    name.ends_with(".css")
}

/// In a style sheet, `{#` begins a rule for an element with an id.
fn strict_for_style<'a>() -> Environment<'a> {
    strict("{# ")
}

/// A name that a template misspells is an error, and a tag that has a line for itself leaves no line behind.
fn strict<'a>(comment: &'static str) -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(MOST_STEPS));
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).comment_delimiters(comment, "#}");
    // These delimiters are fine.
    environment.set_syntax(syntax.build().unwrap_or_default());
    environment
}

/// As the library escapes, but for `/`, which needs no escape and would make every address several times as long.
fn escaped_where_it_matters(out: &mut Output<'_>, filling: &mut Filling<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str().filter(|_| matches!(filling.auto_escape(), AutoEscape::Html) && !value.is_safe()) {
        None => minijinja::escape_formatter(out, filling, value),
        Some(text) => escape(out, text).map_err(minijinja::Error::from),
    }
}

fn escape(out: &mut Output<'_>, text: &str) -> std::fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        let (plain, special) = rest.split_at(at);
        out.write_str(plain)?;
        let mut special = special.chars();
        out.write_str(match special.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            _ => "&#39;",
        })?;
        rest = special.as_str();
    }
    out.write_str(rest)
}

/// `24 February 2026`.
fn date(time: &Timestamp) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let mut parts = time.as_str().get(..10)?.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(format!("{} {month} {year}", day.trim_start_matches('0')))
}

/// Bytes for people, in powers of a thousand, about three digits: `12.3 MB`.
fn size(bytes: u64) -> String {
    let units = [("TB", 1_000_000_000_000u64), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    let Some((name, unit)) = units.into_iter().find(|(_, unit)| bytes >= *unit) else { return format!("{bytes} B") };
    let rounded = |part: u64| bytes.saturating_add(part / 2) / part;
    let tenths = rounded(unit / 10);
    if tenths < 1000 { format!("{}.{} {name}", tenths / 10, tenths % 10) } else { format!("{} {name}", rounded(unit)) }
}

fn reason_of(release: &Release) -> Option<&str> {
    release.state.reason().map(Reason::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Word;

    #[test]
    fn sizes_for_people() {
        let cases = [
            (1, "1 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345_678, "12.3 MB"),
            (99_949_999, "99.9 MB"),
            (99_950_000, "100 MB"),
            (123_456_789, "123 MB"),
            (5_368_709_120, "5.4 GB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn dates_for_people() {
        let time = Timestamp::parse("2026-02-04T21:23:53.082Z").expect("a time");
        assert_eq!(date(&time).as_deref(), Some("4 February 2026"));
    }
}
