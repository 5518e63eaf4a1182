//! Whatever text comes as a cursor: it belongs to one list at most, encodes to the same text, and keeps the list's order.

#![no_main]

use agent_releases::lists::{Cursor, Order, SortBy, SortKey};
use agent_releases::words::{Timestamp, Version, Word};
use agent_releases_fuzz::{Asked, ListPage, compile, sources};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::cmp::Ordering;
use std::sync::LazyLock;

/// A list as it is without a cursor.
struct List {
    channel: String,
    sort_by: SortBy,
    order: Order,
    keys: Vec<SortKey>,
    versions: Vec<String>,
}

static SITE: LazyLock<Asked> = LazyLock::new(|| Asked::new(&compile(&sources("good/http")).expect("a catalog"), false));

static LISTS: LazyLock<Vec<List>> = LazyLock::new(|| {
    let channels = (0..).map_while(|index| SITE.site.channel_name(index));
    let lists =
        channels.flat_map(|channel| SortBy::ALL.map(|sort_by| Order::ALL.map(|order| List::ask(channel, sort_by, order))));
    lists.flatten().collect()
});

// Text as it came, and as the JSON within a cursor, so that both layers are reached.
fuzz_target!(|text: &str| {
    let (size, text) = text.split_once(' ').unwrap_or(("200", text));
    for text in [text.to_owned(), URL_SAFE_NO_PAD.encode(text)] {
        let homes = LISTS.iter().filter(|list| list.check(&text, size.parse().unwrap_or(200))).count();
        assert!(homes <= 1, "{text} is good for {homes} lists");
    }
});

impl List {
    fn ask(channel: &str, sort_by: SortBy, order: Order) -> Self {
        let mut list = Self { channel: channel.to_owned(), sort_by, order, keys: Vec::new(), versions: Vec::new() };
        let page = ListPage::read(&SITE.get(&list.target(200)));
        let time = |time: &Option<String>| time.as_deref().map(|time| Timestamp::parse(time).expect("a time"));
        let key = |(version, at): (&String, _)| SortKey::new(sort_by, time(at), Version::parse(version).expect("a version"));
        list.keys = page.versions.iter().zip(&page.times).map(key).collect();
        list.versions = page.versions;
        assert!(list.keys.is_sorted_by(|a, b| a.cmp(b, order) == Ordering::Less), "{} is out of order", list.target(200));
        list
    }

    fn target(&self, size: usize) -> String {
        let Self { channel, sort_by, order, .. } = self;
        format!(
            "/v2/agent-releases?channel={channel}&sort_by={}&sort_order={}&page_size={size}",
            sort_by.as_str(),
            order.as_str()
        )
    }

    /// Whether the text is a cursor of this list; then the page is what comes after it, and the rest is walked from there.
    fn check(&self, text: &str, size: usize) -> bool {
        let Self { channel, sort_by, order, .. } = self;
        let size = size.clamp(1, 200);
        let key = Cursor::decode(text, channel, *sort_by, *order);
        let cursor = utf8_percent_encode(text, NON_ALPHANUMERIC);
        let answer = SITE.get(&format!("{}&cursor={cursor}", self.target(size)));
        let Some(key) = key else {
            assert_eq!(answer.status, 400, "{text} is no cursor");
            return false;
        };
        let page = ListPage::read(&answer);
        let after = self.keys.iter().position(|other| other.cmp(&key, *order) == Ordering::Greater).unwrap_or(self.keys.len());
        let end = self.versions.len().min(after + size);
        assert_eq!(page.versions, self.versions[after..end], "{text}");
        assert_eq!(page.next.is_some(), end < self.versions.len(), "{text}");
        assert_eq!(Cursor { channel, sort_by: *sort_by, order: *order, key }.encode(), text);
        true
    }
}
