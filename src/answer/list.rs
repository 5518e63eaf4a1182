//! List pages: the one family that is put together while serving, from pieces that were serialised at load.

use super::document::Document;
use super::error::{Bad, Refusal};
use super::request::{Field, Parameters, Request};
use super::site::{Channel, Release};
use super::{Answer, Site, Why};
use crate::lists::{Cursor, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Order, SortBy, SortKey};
use bytes::{BufMut, BytesMut};
use http::header::{HeaderValue, LINK};
use std::cmp::Ordering;
use std::fmt::Write;

/// These fields are not of a closed set.
const NO_WORDS: [&str; 0] = [];

/// Which list.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) channel: usize,
    pub(super) sort_by: SortBy,
    pub(super) order: Order,
}

/// Answers with the page that the parameters ask for.
pub(super) fn page(
    site: &Site,
    request: &Request<'_>,
    question: Question,
    parameters: &Parameters<'_>,
) -> Result<Answer, Refusal> {
    let channel = site.channels().get(question.channel).ok_or_else(Refusal::internal)?;
    let size = page_size(parameters)?;
    let after = cursor(parameters, channel, question)?;
    let list = List { site, channel, question };
    let start = after.map_or(0, |key| list.first_after(&key));
    let total = channel.sorted.len();
    let end = start.saturating_add(size).min(total);
    let releases: Vec<&Release> = (start..end).filter_map(|place| list.at(place)).collect();
    let last = releases.last().filter(|_| end < total);
    let next = last.map(|last| list.cursor_after(last));

    let mut headers = site.templates().view();
    if let Some(link) = next.as_ref().and_then(|next| HeaderValue::try_from(list.link(size, next)).ok()) {
        headers.insert(LINK, link);
    }
    let document = compose(channel, &releases, total, next.as_deref());
    let why = Why::rule("a page of a channel's offered releases").through(question.channel);
    Ok(document.answer(headers, request.headers, why))
}

fn page_size(parameters: &Parameters<'_>) -> Result<usize, Refusal> {
    let Some(value) = parameters.one(Field::PageSize, || NO_WORDS)? else { return Ok(DEFAULT_PAGE_SIZE) };
    let digits = value.len() <= 3 && value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0');
    value.parse().ok().filter(|size| digits && (1..=MAX_PAGE_SIZE).contains(size)).ok_or_else(|| {
        let message = format!("page_size must be an integer between 1 and {MAX_PAGE_SIZE}");
        Bad { field: Field::PageSize, message, value: Some(value) }.refusal(&NO_WORDS)
    })
}

fn cursor(parameters: &Parameters<'_>, channel: &Channel, question: Question) -> Result<Option<SortKey>, Refusal> {
    let Some(value) = parameters.one(Field::Cursor, || NO_WORDS)? else { return Ok(None) };
    match Cursor::decode(value, &channel.name, question.sort_by, question.order) {
        Some(key) => Ok(Some(key)),
        None => {
            let message = "cursor is not valid for this list".to_owned();
            Err(Bad { field: Field::Cursor, message, value: Some(value) }.refusal(&NO_WORDS))
        }
    }
}

/// A channel's offered releases in one of four orders, without a copy of them.
struct List<'a> {
    site: &'a Site,
    channel: &'a Channel,
    question: Question,
}

impl List<'_> {
    /// The release at a place of the list.
    fn at(&self, place: usize) -> Option<&Release> {
        let Channel { timed, untimed, sorted, .. } = self.channel;
        let index = match self.question.sort_by {
            SortBy::Version => nth(sorted, place, self.question.order),
            // Null is last whichever way the list runs.
            SortBy::PublishedAt => match place.checked_sub(timed.len()) {
                None => nth(timed, place, self.question.order),
                Some(place) => nth(untimed, place, self.question.order),
            },
        };
        self.site.releases().get(index?)
    }

    /// The first place that comes after a key, whether or not a release has that key.
    fn first_after(&self, key: &SortKey) -> usize {
        let (mut low, mut high) = (0, self.channel.sorted.len());
        while low < high {
            let middle = low.midpoint(high);
            let before = self.at(middle).is_some_and(|release| {
                release.sort_key(self.question.sort_by).cmp(key, self.question.order) != Ordering::Greater
            });
            if before { low = middle.saturating_add(1) } else { high = middle }
        }
        low
    }

    fn cursor_after(&self, release: &Release) -> String {
        let Question { sort_by, order, .. } = self.question;
        Cursor { channel: &self.channel.name, sort_by, order, key: release.sort_key(sort_by) }.encode()
    }

    fn link(&self, size: usize, cursor: &str) -> String {
        let Question { sort_by, order, .. } = self.question;
        let (channel, sort_by, order) = (&self.channel.name, sort_by.as_str(), order.as_str());
        format!(
            "</v2/agent-releases?channel={channel}&sort_by={sort_by}&sort_order={order}&page_size={size}&cursor={cursor}>; rel=\"next\""
        )
    }
}

fn nth(places: &[usize], place: usize, order: Order) -> Option<usize> {
    let place = match order {
        Order::Asc => place,
        Order::Desc => places.len().checked_sub(place)?.checked_sub(1)?,
    };
    places.get(place).copied()
}

/// Puts the page together; its tag is made of the tags of the pieces, because hashing the page would cost four times as
/// much as all the rest. At one address nothing else but the total and the end can differ.
fn compose(channel: &Channel, releases: &[&Release], total: usize, next: Option<&str>) -> Document {
    let length: usize =
        releases.iter().map(|release| channel.prefix.len().saturating_add(release.tail.len()).saturating_add(1)).sum();
    let mut body = BytesMut::with_capacity(length.saturating_add(400));
    let mut tag = PageTag::default();
    body.put_slice(b"{\"data\":[");
    for (place, release) in releases.iter().enumerate() {
        if place > 0 {
            body.put_u8(b',');
        }
        body.put_slice(&channel.prefix);
        body.put_slice(&release.tail);
        tag.add(release.tail_tag);
    }
    tag.add(u128::from(next.is_some()));
    tag.add(u128::try_from(total).unwrap_or(u128::MAX));
    let _ = match next {
        Some(next) => write!(body, "],\"total_count\":{total},\"next_cursor\":\"{next}\"}}\n"),
        None => write!(body, "],\"total_count\":{total},\"next_cursor\":null}}\n"),
    };
    Document::tagged(body.freeze(), &tag.text())
}

/// A polynomial over the pieces' 128-bit hashes: whoever changes, adds, removes or swaps a piece changes it.
struct PageTag(u128);

impl Default for PageTag {
    /// Another form of page would begin with another number.
    fn default() -> Self {
        Self(1)
    }
}

impl PageTag {
    /// An odd number with no pattern: the fraction of the golden ratio.
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

    fn add(&mut self, piece: u128) {
        self.0 = self.0.wrapping_mul(Self::FACTOR).wrapping_add(piece);
    }

    fn text(&self) -> String {
        format!("\"{:032x}\"", self.0)
    }
}
