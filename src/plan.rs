//! Every public answer that would change: two sites, every question, what differs.

use crate::answer::{Answer, Request, Secrets, Site, answer, differing_questions, is_stored, questions};
use crate::words::Channel;
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, Method};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;

/// A question whose answer changes.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The address, with its query.
    pub address: String,
    /// The answer before.
    pub before: Seen,
    /// The answer after.
    pub after: Seen,
    /// The headers that differ, the snapshot's own id aside.
    pub headers: Vec<String>,
}

/// What of an answer is worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The status.
    pub status: u16,
    /// The release that answers.
    pub version: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The entity tag of the body.
    pub etag: Option<String>,
    /// Why it is not offered.
    pub yanked: Option<String>,
}

/// The comparison of two sites.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// How many questions either site knows.
    pub questions: usize,
    /// Those with different answers, sorted by address.
    pub changes: Vec<Change>,
}

/// Asks both sites every question that either knows; `before` is `None` when nothing is there yet.
pub fn plan(before: Option<&Site>, after: &Site) -> Plan {
    let Some(before) = before else {
        let all = questions(after);
        return Plan { questions: all.len(), changes: changes(None, after, all) };
    };
    let ((count, asked), (_, mut gone)) =
        rayon::join(|| differing_questions(after, before), || differing_questions(before, after));
    // What only the site before knows is a question too.
    let known: BTreeSet<&String> = asked.iter().collect();
    gone.retain(|address| !known.contains(address));
    let count = count + gone.iter().filter(|address| !is_stored(after, address)).count();
    Plan { questions: count, changes: changes(Some(before), after, asked.into_iter().chain(gone).collect()) }
}

fn changes(before: Option<&Site>, after: &Site, mut asked: Vec<String>) -> Vec<Change> {
    asked.par_sort_unstable();
    asked.dedup();
    asked.par_iter().filter_map(|address| compare(before, after, address)).collect()
}

fn compare(before: Option<&Site>, after: &Site, address: &str) -> Option<Change> {
    let headers = HeaderMap::new();
    let request = Request::new(&Method::GET, address, &headers).knowing(Secrets::trusting(), || 0);
    let new = answer(after, &request);
    let old = before.map(|site| answer(site, &request));
    let nothing = Seen { status: 404, version: None, location: None, etag: None, yanked: None };
    match (before, old) {
        (Some(_), Some(old)) if same(&old, &new) => None,
        (Some(site), Some(old)) => Some(Change {
            address: address.to_owned(),
            before: Seen::of(site, &old),
            after: Seen::of(after, &new),
            headers: differing_headers(&old.headers, &new.headers),
        }),
        _ if new.status == 404 => None,
        _ => Some(Change { address: address.to_owned(), before: nothing, after: Seen::of(after, &new), headers: Vec::new() }),
    }
}

/// Equal in everything but the snapshot's own id.
fn same(old: &Answer, new: &Answer) -> bool {
    old.status == new.status
        && differing_headers(&old.headers, &new.headers).is_empty()
        && old.body.to_bytes() == new.body.to_bytes()
}

fn differing_headers(old: &HeaderMap, new: &HeaderMap) -> Vec<String> {
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).map(http::HeaderName::as_str).collect();
    let differs = |name: &&str| *name != "x-release-snapshot" && old.get(*name) != new.get(*name);
    names.into_iter().filter(differs).map(str::to_owned).collect()
}

impl Seen {
    /// What a live site answered.
    pub fn live(status: http::StatusCode, headers: &HeaderMap, version: Option<String>) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (location, etag, yanked) = (header(LOCATION.as_str()), header(ETAG.as_str()), header("x-release-yanked"));
        Self { status: status.as_u16(), version, location, etag, yanked }
    }

    /// What a site answers.
    pub fn of(site: &Site, answer: &Answer) -> Self {
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status: answer.status.as_u16(),
            version: answer.why.release.and_then(|release| site.version(release)).map(str::to_owned),
            location: header(LOCATION.as_str()),
            etag: header(ETAG.as_str()),
            yanked: header("x-release-yanked"),
        }
    }

    /// A few words: the version if there is one, else what became of the address.
    fn words(&self, other: &Seen) -> String {
        match (self.status, &self.version) {
            (404, _) if other.status == 404 => "404, in other words".to_owned(),
            (404, _) => "nothing".to_owned(),
            (410, None) => "retired".to_owned(),
            (410, Some(_)) => "recalled".to_owned(),
            (_, Some(version)) if other.version.as_ref() != Some(version) => version.clone(),
            (_, Some(version)) => match &self.yanked {
                Some(_) => format!("{version} (yanked)"),
                None if self.location != other.location => self.location.clone().unwrap_or_default(),
                None if other.status == 200 || other.status == 302 => format!("{version} ({})", self.tag()),
                None => version.clone(),
            },
            (_, None) => self.tag(),
        }
    }

    fn tag(&self) -> String {
        let tag = self.etag.as_deref().unwrap_or_default().trim_matches('"');
        tag.get(..8).map_or_else(|| self.status.to_string(), |tag| format!("bytes {tag}"))
    }
}

impl Change {
    /// Whether it is about what a channel answers first: its head, and the downloads of that.
    pub fn is_about_head_of(&self, channel: &str) -> bool {
        let (path, query) = self.address.split_once('?').unwrap_or((&self.address, ""));
        let of_channel = || query.split('&').any(|pair| pair.strip_prefix("channel=") == Some(channel));
        let is_latest = path.ends_with("/latest") || path.ends_with("/latest/download") || path.ends_with("/downloads/latest");
        (is_latest && of_channel())
            || path.ends_with(&format!("/latest/{channel}.json"))
            || (channel == Channel::STABLE && (path.ends_with("releases/latest.json") || path.ends_with("/downloads/links")))
    }

    /// `latest?channel=stable 1.8.2 → 1.8.3`, the common beginning of the addresses left out.
    pub fn line(&self) -> String {
        let short = self
            .address
            .strip_prefix("/v2/agent-releases/")
            .or_else(|| self.address.strip_prefix("/v2/agent-releases"))
            .unwrap_or(&self.address);
        let short = if short.is_empty() { "." } else { short };
        let (before, after) = (self.before.words(&self.after), self.after.words(&self.before));
        if before == after {
            let what = if self.headers.is_empty() { "body".to_owned() } else { self.headers.join(", ") };
            return format!("{short} {before}, with another {what}");
        }
        format!("{short} {before} → {after}")
    }
}

impl Plan {
    /// `3 of 2,170 answers change`.
    pub fn headline(&self) -> String {
        let verb = if self.changes.len() == 1 { "changes" } else { "change" };
        format!("{} of {} answers {verb}", grouped(self.changes.len()), grouped(self.questions))
    }
}

/// A number with a comma before each group of three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let mut groups: Vec<&str> = if head.is_empty() { Vec::new() } else { vec![head] };
    groups.extend((0..tail.len()).step_by(3).filter_map(|at| tail.get(at..at + 3)));
    groups.join(",")
}
