//! The longer notes of a release, `<version>.md`: Markdown that can stand on a page and in a feed, and takes no time to speak of.

use crate::problem::escaped;
use crate::words::is_hidden;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What of Markdown there is besides CommonMark.
pub const MARKDOWN: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH);

/// How deep quotes, lists and tags nest: what cleans the HTML takes longer with each.
const DEEPEST: usize = 32;
/// Emoji and some scripts are joined by one and held apart by the other.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
/// Tags that have no end, or that the next of them ends.
const NEVER_NESTED: &[&str] =
    &["br", "col", "dd", "dt", "hr", "img", "li", "p", "tbody", "td", "tfoot", "th", "thead", "tr", "wbr"];

/// Refuses what cannot be seen, whether it is written or made of an entity, and what is nested too deep.
pub(super) fn readable(text: String) -> Result<String, String> {
    for (number, line) in (1..).zip(text.lines()) {
        refuse_hidden(line, number)?;
    }
    let (mut blocks, mut tags) = (0usize, 0usize);
    for (event, at) in Parser::new_ext(&text, MARKDOWN).into_offset_iter() {
        let number = || text.get(..at.start).unwrap_or_default().matches('\n').count() + 1;
        match &event {
            Event::Start(Tag::BlockQuote(_) | Tag::List(_)) => blocks += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_)) => blocks -= 1,
            Event::Html(html) | Event::InlineHtml(html) => tags = depth_after(html, tags),
            Event::Text(text) if text.contains(is_unreadable) => refuse_hidden(text, number())?,
            _ => {}
        }
        if blocks.max(tags) > DEEPEST {
            return Err(format!("line {} is nested deeper than {DEEPEST}", number()));
        }
    }
    Ok(text)
}

/// Whether a character is one that nobody sees, and that no writing needs.
pub fn is_unreadable(c: char) -> bool {
    is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') && !JOINERS.contains(&c)
}

fn refuse_hidden(text: &str, number: usize) -> Result<(), String> {
    match text.chars().find(|c| is_unreadable(*c)) {
        Some(c) => Err(format!("line {number} holds {}, which cannot be seen; take it out", escaped(&c.to_string()))),
        None => Ok(()),
    }
}

/// How many tags are open behind a piece of HTML, before which there were some.
fn depth_after(html: &str, before: usize) -> usize {
    tags(html).filter(|(_, name)| !NEVER_NESTED.contains(&&*name.to_ascii_lowercase())).fold(before, |depth, (at, _)| {
        let is_end = html.get(at..).is_some_and(|tag| tag.starts_with("</"));
        if is_end { depth.saturating_sub(1) } else { depth + 1 }
    })
}

/// Where tags begin in a piece of HTML, and their names.
pub fn tags(html: &str) -> impl Iterator<Item = (usize, &str)> {
    html.match_indices('<').filter_map(|(at, _)| {
        let rest = html.get(at + 1..)?;
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
        name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some((at, name))
    })
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn what_is_nested_too_deep() {
        let too_deep = ["1. ", "1) ", "-\t", "> 1. ", ">", "* > ", "<div>", "<ul><li>", "a <b>", "- <i>"];
        for piece in too_deep {
            let error = readable(format!("Fine.\n\n{}x", piece.repeat(100))).expect_err(piece);
            assert!(error.starts_with("line 3 is nested deeper"), "{piece}: {error}");
        }
    }

    #[test]
    fn what_only_looks_so() {
        let fine = ["- ".repeat(40), format!("```\n{}\n```", ">".repeat(100)), "<p>".repeat(100), "<b>x</b> ".repeat(100)];
        for text in fine {
            assert_eq!(readable(text.clone()).as_deref(), Ok(&*text));
        }
        let persian = "می\u{200c}خواهم";
        assert_eq!(readable(persian.to_owned()).as_deref(), Ok(persian));
    }

    #[test]
    fn what_an_entity_hides() {
        for entity in ["&#27;", "&#xFFFE;", "&#x0B;", "&#x202E;", "&#8203;", "&ZeroWidthSpace;"] {
            let error = readable(format!("Fine.\n\nEsc {entity} here")).expect_err(entity);
            assert!(error.starts_with("line 3 holds "), "{entity}: {error}");
        }
    }
}
