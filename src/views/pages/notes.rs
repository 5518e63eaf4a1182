//! Release notes: Markdown in, HTML out that can be put on a page without a second thought.

use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

/// Where the headings of notes begin: the page has its own first two levels.
const HIGHEST: usize = 3;
const LOWEST: usize = 6;

/// Renders and sanitises. A page stands on its own origin alone, so a picture becomes a link to it; headings come below the
/// page's own.
pub(super) fn html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let parse = || Parser::new_ext(markdown, options);
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
        other => other,
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    ammonia::Builder::default()
        .url_schemes(["http", "https", "mailto"].into())
        .rm_tags(["img", "h1", "h2"])
        .link_rel(Some("noopener noreferrer nofollow"))
        .clean(&rendered)
        .to_string()
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
                "style",
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
