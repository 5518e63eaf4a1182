//! List pages: the one family that is put together while serving, from pieces that were serialised at load.

use super::document::Document;
use super::error::{Bad, Refusal};
use super::request::{Field, Parameters, Request};
use super::site::{Channel, Release};
use super::{Answer, Api, Body, Site, Why, negotiate, v2};
use crate::lists::{Cursor, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Order, SortBy, SortKey};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderValue, LINK};
use http::{HeaderMap, StatusCode};
use std::cmp::Ordering;

/// These fields are not of a closed set.
const NO_WORDS: [&str; 0] = [];

/// Bytes of the longest page that is copied together; a page of 50 releases is shorter.
const MOST_COPIED: usize = 64 * 1024;

/// Which list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) api: Api,
    pub(super) channel: usize,
    pub(super) sort_by: SortBy,
    pub(super) order: Order,
}

/// Answers with the page that the parameters ask for.
pub(super) fn answer(site: &Site, request: &Request<'_>, api: Api, parameters: &Parameters<'_>) -> Result<Answer, Refusal> {
    let question = Question {
        api,
        channel: v2::channel(site, parameters)?.unwrap_or(v2::stable(site)),
        sort_by: parameters.one_of(Field::SortBy, || SortBy::WORDS, SortBy::parse)?.unwrap_or(SortBy::PublishedAt),
        order: parameters.one_of(Field::SortOrder, || Order::WORDS, Order::parse)?.unwrap_or(Order::Desc),
    };
    let channel = site.channels().get(question.channel).ok_or_else(Refusal::internal)?;
    let size = page_size(parameters)?;
    let after = cursor(parameters, channel, question)?;
    let list = List { site, channel, question };
    let start = after.map_or(0, |key| list.first_after(&key));
    let ready = site.ready_page(question, start).filter(|_| size == DEFAULT_PAGE_SIZE).cloned();
    let made = ready.unwrap_or_else(|| list.make(start, size, request.headers));
    let mut headers = site.templates().view(api);
    if let Some(link) = made.link {
        headers.insert(LINK, link);
    }
    let why = Why::rule("a page of a channel's offered releases").through(question.channel);
    let mut answer = made.document.answer(headers, request.headers, why);
    if !made.pieces.is_empty() && answer.status == StatusCode::OK {
        answer.body = Body::Pieces(made.pieces);
    }
    Ok(answer)
}

/// A page that is ready, and the link to the next.
#[derive(Clone, Debug)]
pub(super) struct Made {
    document: Document,
    /// In place of the document's bytes, when it would have many.
    pieces: Vec<Bytes>,
    link: Option<HeaderValue>,
}

impl Made {
    pub(super) fn bytes(&self) -> Bytes {
        if self.pieces.is_empty() { self.document.body.clone() } else { self.pieces.concat().into() }
    }
}

/// Pages of V2 that are not put together each time, by [`Question::place`], then by their number: of each list the first,
/// and of the usual one all that a walk through it comes by.
pub(super) fn ready_pages(site: &Site) -> Vec<Vec<Made>> {
    let questions = (0..site.channels().len()).flat_map(|channel| {
        SortBy::ALL
            .into_iter()
            .flat_map(move |sort_by| Order::ALL.map(|order| Question { api: Api::V2, channel, sort_by, order }))
    });
    let list = |question: Question| Some(List { site, channel: site.channels().get(question.channel)?, question });
    questions.filter_map(list).map(|list| list.ready()).collect()
}

/// The page that a list answers when nothing else is asked.
pub(super) fn first_page(site: &Site, api: Api, channel: usize) -> Option<Made> {
    let question = Question { api, ..Question::default_of(channel) };
    let list = List { site, channel: site.channels().get(channel)?, question };
    Some(list.make(0, DEFAULT_PAGE_SIZE, &HeaderMap::new()))
}

impl Question {
    /// The list of a channel when nothing else is asked.
    pub(super) fn default_of(channel: usize) -> Self {
        Self { api: Api::V2, channel, sort_by: SortBy::PublishedAt, order: Order::Desc }
    }

    /// Its place among all lists.
    pub(super) fn place(self) -> usize {
        let orders = self.channel.saturating_mul(SortBy::ALL.len()).saturating_add(self.sort_by as usize);
        orders.saturating_mul(Order::ALL.len()).saturating_add(self.order as usize)
    }
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
    fn ready(&self) -> Vec<Made> {
        let is_usual = self.question == Question::default_of(self.question.channel);
        let end = if is_usual { self.channel.sorted.len().max(1) } else { 1 };
        let starts = (0..end).step_by(DEFAULT_PAGE_SIZE);
        starts.map(|start| self.make(start, DEFAULT_PAGE_SIZE, &HeaderMap::new())).collect()
    }

    /// The page of a size from a place on; without bytes for whoever has them already.
    fn make(&self, start: usize, size: usize, request: &HeaderMap) -> Made {
        let total = self.channel.sorted.len();
        let end = start.saturating_add(size).min(total);
        let releases: Vec<&Release> = (start..end).filter_map(|place| self.at(place)).collect();
        let next = releases.last().filter(|_| end < total).map(|last| self.cursor_after(last));
        let link = next.as_ref().and_then(|next| HeaderValue::try_from(self.link(size, next)).ok());
        let Question { api, channel, .. } = self.question;
        let page = Page { releases, api, channel, total, next };
        let tag = page.tag();
        let (body, pieces) = match page.length() {
            _ if negotiate::has_already(request, &tag) => (Bytes::new(), Vec::new()),
            // A short page is one piece, because that is what is quickest to send.
            length if length <= MOST_COPIED => (page.compose(length), Vec::new()),
            _ => (Bytes::new(), page.share()),
        };
        Made { document: Document::tagged(body, &tag), pieces, link }
    }

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
                key.cmp_with(release.published_at.as_ref(), &release.version, self.question.order) != Ordering::Less
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
        let Question { api, sort_by, order, .. } = self.question;
        let address = if api == Api::V2 { "/v2/agent-releases" } else { "/internal/v1/agent/releases" };
        let (channel, sort_by, order) = (&self.channel.name, sort_by.as_str(), order.as_str());
        format!(
            "<{address}?channel={channel}&sort_by={sort_by}&sort_order={order}&page_size={size}&cursor={cursor}>; rel=\"next\""
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

/// What a page is made of.
struct Page<'a> {
    releases: Vec<&'a Release>,
    api: Api,
    channel: usize,
    total: usize,
    next: Option<String>,
}

impl Page<'_> {
    /// Made of the tags of the pieces, because hashing the page would cost four times as much as all the rest. At one
    /// address nothing else but the total and the end can differ.
    fn tag(&self) -> String {
        let mut tag = PageTag::default();
        self.releases.iter().for_each(|release| tag.add(release.tag(self.api)));
        tag.add(u128::from(self.next.is_some()));
        tag.add(u128::try_from(self.total).unwrap_or(u128::MAX));
        tag.text()
    }

    /// The releases as their own documents show them, between brackets.
    fn each(&self, mut take: impl FnMut(Piece<'_>)) {
        take(Piece::Text(b"{\"data\":["));
        let views = self.releases.iter().filter_map(|release| release.view(self.api, self.channel));
        for (place, view) in views.enumerate() {
            if place > 0 {
                take(Piece::Text(b","));
            }
            take(Piece::View(&view.body));
        }
        let total = self.total;
        take(Piece::End(match &self.next {
            Some(next) => format!("],\"total_count\":{total},\"next_cursor\":\"{next}\"}}\n"),
            None => format!("],\"total_count\":{total},\"next_cursor\":null}}\n"),
        }));
    }

    fn length(&self) -> usize {
        let mut length = 0usize;
        self.each(|piece| length = length.saturating_add(piece.bytes().len()));
        length
    }

    fn compose(&self, length: usize) -> Bytes {
        let mut body = BytesMut::with_capacity(length);
        self.each(|piece| body.put_slice(piece.bytes()));
        body.freeze()
    }

    fn share(&self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        self.each(|piece| {
            pieces.push(match &piece {
                Piece::Text(text) => Bytes::from_static(text),
                Piece::View(body) => body.slice_ref(piece.bytes()),
                Piece::End(text) => Bytes::copy_from_slice(text.as_bytes()),
            });
        });
        pieces
    }
}

/// A piece of a page.
enum Piece<'a> {
    Text(&'static [u8]),
    /// A release's document, whose final newline is not part of the page.
    View(&'a Bytes),
    End(String),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Text(text) => text,
            Piece::View(body) => body.strip_suffix(b"\n").unwrap_or(body),
            Piece::End(text) => text.as_bytes(),
        }
    }
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
