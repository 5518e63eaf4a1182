//! Files of secrets: what is read from them, and the words for what is wrong.

use agent_releases::answer::{Keys, Tokens};

const HASH: &str = "0e670a43465e03013591b834e50e0e5290189f2bb11bbeb1fd9ae99666a4fe1a";

#[test]
fn tokens() {
    let good = [
        (String::new(), 0),
        ("# nobody\n\n".to_owned(), 0),
        (format!("ci {HASH}\r\n"), 1),
        (format!("  ci\t{HASH} 2030-01-01T00:00:00Z # until then"), 1),
        (format!("ci {HASH} 2030-01-01T02:00:00.5+02:00\nother {}\n", HASH.replace('0', "1")), 2),
    ];
    for (text, count) in good {
        assert_eq!(Tokens::parse(&text).map(|tokens| tokens.len()), Ok(count), "{text}");
    }
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let bad = [
        ("ci\n".to_owned(), "line 1: expected `name sha256` or `name sha256 expires_at`"),
        (format!("# a\nci {HASH} 2030-01-01T00:00:00Z more\n"), "line 2: expected `name sha256` or `name sha256 expires_at`"),
        (format!("ci {}\n", HASH.to_uppercase()), "line 1: the second word is no SHA-256 of 64 lower-case hex digits"),
        (format!("ci {HASH}0\n"), "line 1: the second word is no SHA-256 of 64 lower-case hex digits"),
        (format!("ci {HASH} tomorrow\n"), "line 1: the third word is no time such as 2026-12-31T00:00:00Z"),
        (format!("ci {HASH} 1969-12-31T23:59:59Z\n"), "line 1: the third word is no time such as 2026-12-31T00:00:00Z"),
        (format!("ci {HASH}\nother {HASH}\n"), "line 2: this hash stands in the file already"),
        (format!("ci {empty}\n"), "line 1: this is the hash of nothing, and nothing is no token"),
    ];
    for (text, words) in bad {
        assert_eq!(Tokens::parse(&text).expect_err("a problem").to_string(), words, "{text}");
    }
}

#[test]
fn keys() {
    let long = "k".repeat(32);
    for text in [long.clone(), format!("{long}\n"), format!("{long}\r\n\n{long}x\n")] {
        assert!(Keys::parse(&text).is_ok(), "{text}");
    }
    let bad = [
        (String::new(), "line 1: there is no key"),
        ("\n\n".to_owned(), "line 1: there is no key"),
        ("k".repeat(31), "line 1: a key has at least 32 bytes"),
        (format!("{long}\n{}", "k".repeat(31)), "line 2: a key has at least 32 bytes"),
        (format!(" {long}"), "line 1: a key neither begins nor ends with a space"),
        (format!("# {long}"), "line 1: a key does not begin with `#`, and there are no comments among keys"),
    ];
    for (text, words) in bad {
        assert_eq!(Keys::parse(&text).expect_err("a problem").to_string(), words, "{text}");
    }
    assert_eq!(format!("{:?}", Keys::parse(&long).expect("a key")), "1 keys");
}
