//! Every answer that is compiled, in the form in which maps of nginx can hold them.

use crate::answer::{Answer, Request, Site, answer, questions};
use crate::lists::DEFAULT_PAGE_SIZE;
use crate::policy::{Access, Policy};
use crate::snapshot::{Built, is_page};
use crate::words::Sha256;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use std::collections::BTreeMap;

/// What else the configuration makes of its own accord, and not out of a set.
const APART: [&str; 12] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "content-disposition",
    "content-length",
    "content-type",
    "deprecation",
    "etag",
    "location",
    "sunset",
    "x-checksum-sha256",
    "x-content-type-options",
    "x-release-snapshot",
];
const DIGITS_OF_NAME: usize = 32;

/// Headers that several answers share, by name; each set has a number.
pub(super) type HeaderSet = Vec<(String, String)>;

/// Where a redirect leads, and what is said of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) location: String,
    pub(super) disposition: String,
    pub(super) checksum: String,
}

/// The compiled answers of a site.
#[derive(Default)]
pub(super) struct Answers {
    /// `200 s<set> <tag> <file>` or `302 s<set> a<target>`, by question.
    pub(super) rows: BTreeMap<String, String>,
    /// The sets, in the order of their numbers.
    pub(super) sets: Vec<HeaderSet>,
    /// The targets, in the order of their numbers.
    pub(super) targets: Vec<Target>,
    /// Documents that no public address has, by their names below `views/`.
    pub(super) views: BTreeMap<String, Bytes>,
    /// Media types by the ending of a file's name.
    pub(super) types: BTreeMap<String, String>,
    set_numbers: BTreeMap<HeaderSet, usize>,
    target_numbers: BTreeMap<Target, usize>,
}

/// Asks a site everything, and keeps what is a document or a redirect; what is refused follows from what is not kept.
pub(super) fn collect(site: &Site, built: &Built) -> Result<Answers, String> {
    let mut answers = Answers::default();
    let files: BTreeMap<Sha256, &str> = built
        .index
        .files
        .iter()
        .filter(|row| row.path.starts_with("public/"))
        .map(|row| (row.sha256, row.path.as_str()))
        .collect();
    let mut all = questions(site);
    all.retain(|question| !question.starts_with("/api/") && !is_page(&format!("public{question}")));
    all.sort_unstable();
    for question in all {
        let given = ask(site, &question);
        match given.status {
            StatusCode::OK => answers.add_document(question, &given, built, &files)?,
            StatusCode::FOUND => answers.add_redirect(question, &given),
            _ => {}
        }
    }
    Ok(answers)
}

/// What the edge answers to a GET of an address.
pub(super) fn ask(site: &Site, address: &str) -> Answer {
    answer(site, &Request::new(&Method::GET, address, &HeaderMap::new()))
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Answers {
    /// The number of the set of headers that a policy of a public family has.
    pub(super) fn policy(&mut self, policy: Policy) -> usize {
        let headers = policy.headers(Access::Public).into_iter();
        self.set(headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect())
    }

    fn add_document(
        &mut self,
        question: String,
        answer: &Answer,
        built: &Built,
        files: &BTreeMap<Sha256, &str>,
    ) -> Result<(), String> {
        let body = answer.body.to_bytes();
        let digest = Sha256::of(&body);
        let own = format!("public{question}");
        let file = match files.get(&digest) {
            _ if built.index.row(&own).is_some() => format!("/{own}"),
            Some(path) => format!("/{path}"),
            None => {
                let name = format!("{digest:.DIGITS_OF_NAME$}.json");
                let file = format!("/exports/nginx/views/{name}");
                self.views.insert(name, body);
                file
            }
        };
        self.note_type(&file, header(answer, "content-type"))?;
        let set = self.set_of(answer);
        let row = format!("200 s{set} {} {file}", header(answer, "etag").trim_matches('"'));
        if question.contains("&sort_order=") && !header(answer, "link").contains("rel=\"next\"") {
            // A list that ends on its first page has no other page, however large.
            debug_assert_eq!(DEFAULT_PAGE_SIZE, 50, "the template's `larger` begins behind it");
            self.rows.insert(format!("{question}&page_size=larger"), row.clone());
        }
        self.rows.insert(question, row);
        Ok(())
    }

    fn add_redirect(&mut self, question: String, answer: &Answer) {
        let target = Target {
            location: header(answer, "location").to_owned(),
            disposition: header(answer, "content-disposition").to_owned(),
            checksum: header(answer, "x-checksum-sha256").to_owned(),
        };
        let set = self.set_of(answer);
        let next = self.targets.len();
        let number = *self.target_numbers.entry(target.clone()).or_insert(next);
        if number == next {
            self.targets.push(target);
        }
        self.rows.insert(question, format!("302 s{set} a{number}"));
    }

    /// nginx knows a file's type by its ending alone.
    fn note_type(&mut self, file: &str, content_type: &str) -> Result<(), String> {
        let name = file.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if ending.is_empty() {
            return Err(format!("`{file}` has no ending, and nginx knows a file's type by nothing else"));
        }
        let known = self.types.entry(ending.to_owned()).or_insert_with(|| content_type.to_owned());
        if known == content_type {
            Ok(())
        } else {
            Err(format!(
                "`{file}` is `{content_type}`, but other files ending so are `{known}`, and nginx knows one type for each ending"
            ))
        }
    }

    fn set_of(&mut self, answer: &Answer) -> usize {
        let pairs = answer.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        self.set(pairs.collect())
    }

    /// The number of these headers; of `Link` only the part that is the list's own, a twin is made for each request.
    fn set(&mut self, headers: HeaderSet) -> usize {
        let mut set: HeaderSet = headers.into_iter().filter(|(name, _)| !APART.contains(&name.as_str())).collect();
        for (_, link) in set.iter_mut().filter(|(name, _)| name == "link") {
            *link = next_of(link).to_owned();
        }
        set.retain(|(_, value)| !value.is_empty());
        set.sort_unstable();
        let next = self.sets.len();
        let number = *self.set_numbers.entry(set.clone()).or_insert(next);
        if number == next {
            self.sets.push(set);
        }
        number
    }
}

/// The link to the next page, which comes last.
fn next_of(link: &str) -> &str {
    let next = link.rfind('<').and_then(|start| link.get(start..)).unwrap_or_default();
    if next.ends_with("rel=\"next\"") { next } else { "" }
}
