//! Atom feeds (RFC 4287), one a channel: what is offered, newest first.

use super::notes;
use crate::catalog::{Catalog, ChannelState, Release, State};
use crate::words::{HttpsUrl, Platform, Sha256, Timestamp};
use serde::Serialize;

/// Entries of a feed.
const MOST: usize = 30;
/// Bytes of notes in a feed, as they are written there; entries behind them have their summary only, and a link to the rest.
const MOST_NOTES: usize = 256 * 1024;
/// A feed that nothing was ever announced in.
const NEVER: &str = "1970-01-01T00:00:00.000Z";

/// A feed.
#[derive(Serialize)]
pub(super) struct Feed {
    id: String,
    title: String,
    updated: String,
    #[serde(rename = "self")]
    own: String,
    alternate: String,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    title: String,
    updated: String,
    link: String,
    summary: String,
    content_html: Option<String>,
}

/// The newest offered releases of a channel. A release without a time is not news.
pub(super) fn feed(catalog: &Catalog, index: usize, channel: &ChannelState, oldest_first: &[&Release]) -> Feed {
    let title = catalog.page().title.as_deref().unwrap_or(catalog.product());
    let origin = catalog.public_url().map(HttpsUrl::as_str).unwrap_or_default();
    let news = oldest_first.iter().rev().filter(|release| release.state == State::Published && release.channels.contains(&index));
    let mut room = MOST_NOTES;
    let entries: Vec<Entry> = news
        .filter_map(|release| release.published_at.as_ref().map(|time| (*release, time)))
        .take(MOST)
        .map(|(release, time)| {
            let notes = release.page_notes.as_deref().map(notes::html).filter(|html| escaped_len(html) <= room);
            room = room.saturating_sub(notes.as_deref().map_or(0, escaped_len));
            Entry { content_html: notes, ..entry(catalog, origin, title, time, release) }
        })
        .collect();
    Feed {
        id: named(&["feed", catalog.product(), channel.name.as_str()]),
        title: format!("{title}: {}", channel.name),
        updated: entries.first().map_or_else(|| NEVER.to_owned(), |entry| entry.updated.clone()),
        own: format!("{origin}/feeds/{}.atom", channel.name),
        alternate: format!("{origin}/releases/"),
        entries,
    }
}

/// Bytes of a text in XML.
fn escaped_len(text: &str) -> usize {
    text.len() + text.matches(['&', '<', '>', '"', '\'']).count() * "&quot;".len()
}

fn entry(catalog: &Catalog, origin: &str, title: &str, time: &Timestamp, release: &Release) -> Entry {
    let labels: Vec<&str> = release.artifacts.iter().filter_map(|file| file.platform).map(Platform::label).collect();
    let systems = if labels.is_empty() { "No installers.".to_owned() } else { format!("For {}.", labels.join("; ")) };
    Entry {
        id: named(&["release", catalog.product(), release.version.as_str()]),
        title: format!("{title} {}", release.version),
        updated: time.to_string(),
        link: format!("{origin}/releases/{}/", release.version),
        summary: release.notes.clone().unwrap_or(systems),
        content_html: None,
    }
}

/// A name that stays the same wherever the site lies: a UUID made of a hash (RFC 9562, version 8).
fn named(words: &[&str]) -> String {
    let digest = Sha256::of(words.join("\n").as_bytes());
    let first: [u8; 16] = digest.bytes().first_chunk().copied().unwrap_or_default();
    let bits = u128::from_be_bytes(first);
    let bits = bits & !(0xf << 76) | (0x8 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_uuids() {
        let name = super::named(&["release", "Agent", "1.8.3"]);
        let digits: Vec<usize> = name.trim_start_matches("urn:uuid:").split('-').map(str::len).collect();
        assert_eq!(digits, [8, 4, 4, 4, 12]);
        assert_eq!(name.chars().nth("urn:uuid:".len() + 14), Some('8'), "{name}");
        assert!(matches!(name.chars().nth("urn:uuid:".len() + 19), Some('8' | '9' | 'a' | 'b')), "{name}");
        assert_ne!(name, super::named(&["release", "Agent", "1.8.4"]));
    }
}
