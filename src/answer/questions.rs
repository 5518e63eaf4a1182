//! The finite set of questions: every public address of a site, so that all its answers can be compared and checked.

use super::document::StaticDocument;
use super::site::{Channel, Release};
use super::v1::BASE as V1;
use super::{Api, Site};
use crate::lists::{Order, SortBy};
use crate::redirects::LOCAL_BASE;
use crate::snapshot::is_hashed;
use crate::words::{Guid, Platform};
use std::fmt::Arguments;

/// Every question that has an answer of its own, in no order: each document, view, list, and download.
pub fn questions(site: &Site) -> Vec<String> {
    let mut all: Vec<String> = documents(site).map(|(path, _)| path.to_owned()).collect();
    all.extend(of_heads(site));
    for (guid, release) in site.active_releases() {
        of_active_release(guid, release, |question| all.push(question.to_string()));
    }
    for release in site.releases() {
        of_release(site, release, |question| all.push(question.to_string()));
    }
    all.extend(site.all_stored().map(|stored| format!("{LOCAL_BASE}{}", stored.key)));
    all
}

/// Whether an address is that of an artifact in the edge's own store: releases may share one.
pub fn is_stored(site: &Site, address: &str) -> bool {
    address.strip_prefix(LOCAL_BASE).is_some_and(|key| site.stored(key).is_some())
}

/// The questions whose answers may differ from another site's, and how many there are in all. Releases and documents
/// that both sites hold alike are not asked about, so that the work grows with the change.
pub fn differing_questions(site: &Site, other: &Site) -> (usize, Vec<String>) {
    let alike = site.answers_like(other);
    let (mut count, mut asked) = (0usize, Vec::new());
    let mut take = |question: Arguments<'_>, differs: bool| {
        count = count.saturating_add(1);
        if differs {
            asked.push(question.to_string());
        }
    };
    for (path, document) in documents(site) {
        take(format_args!("{path}"), !alike || other.document(path) != Some(document));
    }
    for question in of_heads(site) {
        take(format_args!("{question}"), true);
    }
    for (guid, release) in site.active_releases() {
        let differs = !alike || other.active_release(guid).is_none_or(|(_, other)| other != release);
        of_active_release(guid, release, |question| take(question, differs));
    }
    for release in site.releases() {
        let differs = !alike || other.release(release.version.as_str()).is_none_or(|(_, other)| other != release);
        of_release(site, release, |question| take(question, differs));
    }
    for stored in site.all_stored() {
        let differs = !alike || other.stored(&stored.key).is_none_or(|other| !other.answers_like(stored));
        take(format_args!("{LOCAL_BASE}{}", stored.key), differs);
    }
    (count, asked)
}

/// Every document but the tiles: what they hold is asked release by release, and a new tile has a new name anyway.
fn documents(site: &Site) -> impl Iterator<Item = (&str, &StaticDocument)> {
    site.documents().filter(|(path, _)| !is_hashed(path))
}

/// What is asked of channels, and the active document: all that moves when another release comes.
fn of_heads(site: &Site) -> Vec<String> {
    let mut all: Vec<String> = site
        .channels()
        .iter()
        .flat_map(|channel| of_channel(channel, "/v2/agent-releases", "/v2/agent-releases/latest/download"))
        .collect();
    if has_v1(site) {
        let (releases, download) = (format!("{V1}/releases"), format!("{V1}/downloads/latest"));
        all.extend(site.channels().iter().flat_map(|channel| of_channel(channel, &releases, &download)));
        let systems = site.channels().iter().flat_map(|channel| {
            ["windows", "macos"].map(|system| format!("{releases}/latest?channel={}&platform={system}", channel.name))
        });
        all.extend(systems);
        all.push(format!("{V1}/downloads/links"));
    }
    if site.has_active() {
        all.push("/api/agent/v1/releases/active".to_owned());
    }
    all
}

/// The downloads of an active release: what has a hash.
fn of_active_release(guid: Guid, release: &Release, mut take: impl FnMut(Arguments<'_>)) {
    for target in release.targets.iter().filter(|target| target.checksum.is_some()) {
        if let Some(platform) = target.platform {
            take(format_args!("/api/agent/v1/releases/{guid}/download/{}", platform.active_id()));
        }
    }
}

fn has_v1(site: &Site) -> bool {
    site.legacy().is_some_and(|legacy| !legacy.is_retired())
}

fn of_channel(channel: &Channel, releases: &str, download: &str) -> Vec<String> {
    let name = &channel.name;
    let mut all = vec![format!("{releases}/latest?channel={name}")];
    for query in Platform::ALL.into_iter().filter_map(Platform::query) {
        all.push(format!("{download}?channel={name}&{query}"));
    }
    for sort_by in SortBy::WORDS {
        for order in Order::WORDS {
            all.push(format!("{releases}?channel={name}&sort_by={sort_by}&sort_order={order}"));
        }
    }
    all
}

/// Hands over the questions about one release, without making text of those that are only counted.
fn of_release(site: &Site, release: &Release, mut take: impl FnMut(Arguments<'_>)) {
    let version = &release.version;
    let has_v1 = has_v1(site);
    take(format_args!("/v2/agent-releases/{version}"));
    if has_v1 {
        take(format_args!("{V1}/releases/{version}"));
    }
    let shown = |(index, _): &(usize, &Channel)| release.view(Api::V2, *index).is_some();
    for (_, Channel { name, .. }) in site.channels().iter().enumerate().filter(shown) {
        take(format_args!("/v2/agent-releases/{version}?channel={name}"));
        if has_v1 {
            take(format_args!("{V1}/releases/{version}?channel={name}"));
        }
    }
    for target in &release.targets {
        let platform = target.platform;
        if let Some(query) = platform.and_then(Platform::query) {
            take(format_args!("/v2/agent-releases/{version}/download?{query}"));
            if has_v1 {
                take(format_args!("{V1}/downloads/{version}?{query}"));
            }
        }
        let folder = platform.map_or("files", Platform::folder);
        take(format_args!("/v2/agent-releases/{version}/download/{folder}/{}", target.filename));
    }
}
