//! The text of a configuration: quoting, maps, and what a template leaves open.

/// Text between double quotes, in which nothing is a variable.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text as it stands between double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '$' => escaped.push_str("${ar_dollar}"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Lines of a map: each key with its value.
pub(super) fn entries<'a>(pairs: impl IntoIterator<Item = (impl AsRef<str>, &'a str)>) -> String {
    let lines = pairs.into_iter().map(|(key, value)| format!("    {} {};", quoted(key.as_ref()), quoted(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A template with everything put in that it leaves open as `@{name}`. Lines that are left empty are taken out.
pub(super) fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut pieces = template.split("@{");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once('}').unwrap_or((piece, ""));
        let value = values.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value.as_str());
        let rest = if value.is_empty() && text.ends_with('\n') { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
        text.push_str(value);
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_obeyed() {
        assert_eq!(quoted(r#"a "b" \ $c"#), r#""a \"b\" \\ ${ar_dollar}c""#);
    }

    #[test]
    fn a_template_is_filled_once() {
        let values = [("a", "@{b}".to_owned()), ("b", "2".to_owned()), ("none", String::new())];
        assert_eq!(filled("@{a} @{b}\n@{none}\nx@{none}\n", &values), "@{b} 2\nx\n");
    }
}
