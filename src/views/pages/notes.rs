//! Release notes: Markdown in, HTML out that can be put on a page without a second thought.

use crate::source::notes::{MARKDOWN, is_unreadable, tags};
use ammonia::Builder;
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Parser, Tag, TagEnd, html};
use std::sync::LazyLock;

/// Where the headings of notes begin: the page has its own first two levels.
const HIGHEST: usize = 3;
const LOWEST: usize = 6;
/// Tags behind which a browser reads what follows otherwise, or not at all: they are shown as they are written. The first are
/// those of GitHub's Markdown (GFM §6.11).
const SWALLOWING: &[&str] = &[
    "title",
    "textarea",
    "style",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "script",
    "plaintext",
    "noscript",
    "select",
    "template",
    "svg",
    "math",
    "frameset",
];

static CLEANER: LazyLock<Builder<'_>> = LazyLock::new(|| {
    let mut cleaner = Builder::default();
    cleaner.url_schemes(["http", "https", "mailto"].into()).rm_tags(["img", "h1", "h2"]);
    cleaner.link_rel(Some("noopener noreferrer nofollow"));
    cleaner
});

/// Renders and sanitises. A page stands on its own origin alone, so a picture becomes a link to it; headings come below the
/// page's own.
pub(super) fn html(markdown: &str) -> String {
    let parse = || Parser::new_ext(markdown, MARKDOWN);
    let highest =
        parse().filter_map(|event| if let Event::Start(Tag::Heading { level, .. }) = event { Some(level) } else { None });
    let highest = highest.min().map_or(1, |level| level as usize);
    let below = |level: HeadingLevel| moved(level, highest);
    // A link holds no other link, and no picture holds one.
    let mut within_link = false;
    let events = parse().filter_map(|event| {
        within_link = match event {
            Event::Start(Tag::Link { .. }) => true,
            Event::End(TagEnd::Link) => false,
            _ => within_link,
        };
        match event {
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) if within_link => None,
            other => Some(other),
        }
    });
    let events = events.map(|event| match event {
        Event::Start(Tag::Image { dest_url, title, id, .. }) => {
            Event::Start(Tag::Link { link_type: LinkType::Inline, dest_url, title, id })
        }
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        Event::Start(Tag::Heading { level, .. }) => {
            Event::Start(Tag::Heading { level: below(level), id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        Event::Html(html) => Event::Html(tamed(html)),
        Event::InlineHtml(html) => Event::InlineHtml(tamed(html)),
        other => other,
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    let mut clean = CLEANER.clean(&rendered).to_string();
    // Entities in raw HTML.
    clean.retain(|c| !is_unreadable(c));
    clean
}

/// A piece of HTML whose tags leave what follows them alone.
fn tamed(html: CowStr<'_>) -> CowStr<'_> {
    let swallowing = tags(&html).filter(|(_, name)| SWALLOWING.contains(&&*name.to_ascii_lowercase()));
    let places: Vec<usize> = swallowing.map(|(at, _)| at).collect();
    if places.is_empty() {
        return html;
    }
    let mut text = html.into_string();
    for at in places.into_iter().rev() {
        text.replace_range(at..=at, "&lt;");
    }
    text.into()
}

/// A heading's level when the highest of all becomes [`HIGHEST`].
fn moved(level: HeadingLevel, highest: usize) -> HeadingLevel {
    let level = (level as usize).saturating_sub(highest).saturating_add(HIGHEST).min(LOWEST);
    HeadingLevel::try_from(level).unwrap_or(HeadingLevel::H6)
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn what_people_write() {
        let cases = [
            ("# New\n\n- `a` **b**", "<h3>New</h3>\n<ul>\n<li><code>a</code> <strong>b</strong></li>\n</ul>\n"),
            (
                "[![Tests](https://e.example/t.svg)](https://e.example/)",
                "<p><a href=\"https://e.example/\" rel=\"noopener noreferrer nofollow\">Tests</a></p>\n",
            ),
            ("<h1>New</h1>", "New"),
            ("- a <script> tag\n- more", "<ul>\n<li>a &lt;script&gt; tag</li>\n<li>more</li>\n</ul>\n"),
            (
                "<!-- <b> -->\na <TITLE> <svg><style>\n\n**more**",
                "\n<p>a &lt;TITLE&gt; &lt;svg&gt;&lt;style&gt;</p>\n<p><strong>more</strong></p>\n",
            ),
            ("<p>a&#27;b&#x202e;c</p>", "<p>abc</p>"),
            ("## New\n### Newer", "<h3>New</h3>\n<h4>Newer</h4>\n"),
            ("[x](https://e.example/)", "<p><a href=\"https://e.example/\" rel=\"noopener noreferrer nofollow\">x</a></p>\n"),
            ("| a |\n|--:|\n| b |", "<table><thead><tr><th>a</th></tr></thead><tbody>\n<tr><td>b</td></tr>\n</tbody></table>\n"),
        ];
        for (markdown, expected) in cases {
            assert_eq!(html(markdown), expected);
        }
    }

    #[test]
    fn what_nobody_should() {
        let bad = [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<p style=\"position:fixed\" onclick=\"x()\" class=\"y\">z</p>",
            "[x](javascript:alert(1))",
            "[x](data:text/html,hi)",
            "<iframe src=https://e.example></iframe><style>*{display:none}</style><base href=//e.example>",
            "<svg><script>x</script></svg><form action=https://e.example><input name=p></form><meta http-equiv=refresh>",
            "![p](https://e.example/p.png)",
            "[x]: javascript:x\n[x]",
        ];
        for markdown in bad {
            let html = html(markdown);
            for word in [
                "<script",
                "<img",
                "onerror",
                "onclick",
                "<style",
                "style=",
                "javascript:",
                "data:",
                "<iframe",
                "<base",
                "<form",
                "<input",
                "<svg",
                "<meta",
            ] {
                assert!(!html.contains(word), "{markdown}: {html}");
            }
        }
    }
}
