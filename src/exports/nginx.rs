//! nginx: the answers as maps, and locations that give them.

mod answers;
mod text;

use super::{ExportFile, refuse_what_only_the_edge_answers};
use crate::answer::Site;
use crate::catalog::{Catalog, State};
use crate::lists::{Order, SortBy};
use crate::policy::{Access, PREFLIGHT, Policy};
use crate::problem::Problem;
use crate::snapshot::Built;
use crate::words::{Arch, Os};
use answers::{Answers, ask, collect};
use std::collections::BTreeMap;
use text::{entries, escaped, filled, quoted};

const HTTP: &str = include_str!("nginx/http.conf");
const SERVER: &str = include_str!("nginx/server.conf");

/// How many artifacts and attachments there may be: so many are a configuration of 19 MB, and 75 MB of a worker's memory.
const MOST_ARTIFACTS: usize = 20_000;
/// Bytes of a target, past which the edge answers 414 too.
const TARGET: usize = 2048;
const DIGITS_OF_ID: usize = 16;

/// What nginx would do to an answer of its own accord, or because the server around the locations says so.
const OWN: &str = "    charset off;
    etag off;
    expires off;
    gzip off;
    if_modified_since off;
    log_not_found off;
    max_ranges 0;";

/// A byte of a query that is whole UTF-8, escaped or not.
const UTF8: &str = concat!(
    "[^%]|%[0-7][0-9A-Fa-f]",
    "|%(?:[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f])%[89ABab][0-9A-Fa-f]",
    "|%(?:[Ee]0%[ABab]|[Ee][1-9A-CEFa-cef]%[89ABab]|[Ee][Dd]%[89])[0-9A-Fa-f]%[89ABab][0-9A-Fa-f]",
    "|%(?:[Ff]0%[9ABab]|[Ff][1-3]%[89ABab]|[Ff]4%8)[0-9A-Fa-f](?:%[89ABab][0-9A-Fa-f]){2}",
);

/// `agent-releases.conf` and `agent-releases-http.conf`, and the documents that no public address has.
pub(super) fn render(catalog: &Catalog, built: &Built) -> Result<Vec<ExportFile>, Problem> {
    refuse_what_only_the_edge_answers("nginx", catalog)?;
    let problem = |why: String| Problem::general(format!("exports: nginx: {why}; take it out of `exports`"));
    let count: usize = catalog.releases().iter().map(|release| release.artifacts.len() + release.attachments.len()).sum();
    if count > MOST_ARTIFACTS {
        return Err(problem(format!(
            "there are {count} artifacts and attachments, and nginx's maps get {MOST_ARTIFACTS} at most"
        )));
    }
    let site = Site::new(&built.index, &built.files(), false).map_err(|error| problem(error.to_string()))?;
    let mut answers = collect(&site, built).map_err(problem)?;
    questions_differ_by_more_than_case(&answers).map_err(problem)?;
    let values = values(catalog, &site, built, &mut answers);
    let mut files = vec![
        ExportFile::new("nginx", "agent-releases.conf", filled(SERVER, &values)),
        ExportFile::new("nginx", "agent-releases-http.conf", filled(HTTP, &values)),
    ];
    files.extend(answers.views.into_iter().map(|(name, bytes)| ExportFile::new("nginx", &format!("views/{name}"), bytes)));
    Ok(files)
}

/// nginx looks keys up without regard to letter case.
fn questions_differ_by_more_than_case(answers: &Answers) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for question in answers.rows.keys() {
        if let Some(other) = seen.insert(question.to_ascii_lowercase(), question) {
            return Err(format!(
                "`{question}` differs from `{other}` by letter case alone, and nginx's maps cannot tell them apart"
            ));
        }
    }
    Ok(())
}

/// What the templates leave open.
fn values(catalog: &Catalog, site: &Site, built: &Built, answers: &mut Answers) -> Vec<(&'static str, String)> {
    let tile_set = answers.policy(Policy::Immutable);
    let snapshot = built.index.id.get(..DIGITS_OF_ID).unwrap_or(&built.index.id).to_owned();
    let longest = answers.rows.keys().map(String::len).max().unwrap_or_default();
    let types: Vec<String> = answers.types.iter().map(|(ending, media)| format!("{} {ending};", quoted(media))).collect();
    let mut values = vec![
        ("product", one_line(catalog.product())),
        ("hash_size", (2 * answers.rows.len()).next_power_of_two().max(2048).to_string()),
        // A bucket has room for several of the longest keys.
        ("bucket_size", (8 * (longest + 32)).next_power_of_two().max(1024).to_string()),
        ("utf8", UTF8.to_owned()),
        ("too_long", format!("{}", TARGET + 1)),
        ("own", OWN.to_owned()),
        ("fields", fields(catalog)),
        ("refusals", refusals(site)),
        ("tile_set", format!("s{tile_set}")),
        ("rows", answers.rows.iter().map(|(question, row)| row_line(question, row)).collect::<Vec<_>>().join("\n")),
        ("types", types.join(" ")),
        ("headers", headers(answers, &snapshot)),
        ("error_headers", error_headers(&snapshot)),
        ("refused", refused(&snapshot)),
        ("sets", sets(answers)),
        ("preflight", preflight()),
        ("origin", public("Access-Control-Allow-Origin")),
        ("exposed", public("Access-Control-Expose-Headers")),
        ("snapshot", snapshot),
    ];
    values.extend(targets(answers));
    values.extend(releases(catalog));
    values.extend(legacy(catalog));
    values
}

/// A header that every answer of a public family has.
fn public(name: &str) -> String {
    let headers = Policy::Plain.headers(Access::Public);
    headers.into_iter().find(|(other, _)| *other == name).map(|(_, value)| escaped(value)).unwrap_or_default()
}

/// A text without anything that would end a comment.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The question stands in the row again, so that letter case can be compared.
fn row_line(question: &str, row: &str) -> String {
    let question = escaped(question);
    format!("    \"{question}\" \"{question} {}\";", escaped(row))
}

/// Two maps for each parameter: what it is, and how it is quoted.
fn fields(catalog: &Catalog) -> String {
    let channels: Vec<&str> = catalog.channels().iter().map(|channel| channel.name.as_str()).collect();
    let fields = [
        ("channel", channels.join("|")),
        ("platform", [Os::Windows, Os::Macos].map(Os::as_str).join("|")),
        ("arch", [Arch::Arm64, Arch::X86_64].map(Arch::as_str).join("|")),
        ("sort_by", SortBy::WORDS.join("|")),
        ("sort_order", Order::WORDS.join("|")),
        ("page_size", "[1-9][0-9]?|1[0-9][0-9]|200".to_owned()),
        // Only the edge can tell whether it is one.
        ("cursor", "(?=[^&])".to_owned()),
    ];
    fields.map(|(name, words)| field(name, &words)).concat()
}

fn field(name: &str, words: &str) -> String {
    // Of a cursor nothing is compared, so its end is not looked for.
    let end = if name == "cursor" { "" } else { "(?:&|$)" };
    format!(
        r#"map $ar_query $ar_{name} {{
    default "";
    "~(?:^|&){name}(?:=[^&]*)?&(?:[^&]*&)*{name}(?:[=&]|$)" "repeated";
    "~(?:^|&){name}=?(?:&|$)" "empty";
    "~(?:^|&){name}=(?<ar_{name}_>{words}){end}" "=$ar_{name}_";
    "~(?:^|&){name}=" "wrong";
}}
map $ar_query $ar_{name}_value {{
    default "";
    "~(?:^|&){name}(?:=(?<ar_{name}_value_>[^&]*))?(?:&|$)" $ar_{name}_value_;
}}
map $ar_{name}_value $ar_{name}_said {{
    default ",\"value\":\"$ar_{name}_value\"";
    "~[\"\\\\\x80-\xff]" "";
}}
"#
    )
}

/// The edge's words for each bad parameter, with `~` where the request's value stands.
fn refusals(site: &Site) -> String {
    let (list, download) = ("/v2/agent-releases?", "/v2/agent-releases/latest/download?");
    let arch = "/v2/agent-releases/latest/download?platform=macos&";
    let mut cases = vec![
        ("platform-missing".to_owned(), download.to_owned()),
        ("arch-missing".to_owned(), arch.to_owned()),
        ("arch-superfluous".to_owned(), format!("{download}platform=windows&arch=~")),
    ];
    let fields = [
        (list, "channel"),
        (download, "platform"),
        (arch, "arch"),
        (list, "sort_by"),
        (list, "sort_order"),
        (list, "page_size"),
        (list, "cursor"),
    ];
    for (address, field) in fields {
        cases.push((format!("{field}-repeated"), format!("{address}{field}=~&{field}=~")));
        cases.push((format!("{field}-empty"), format!("{address}{field}=")));
        cases.push((format!("{field}-wrong"), format!("{address}{field}=~")));
    }
    let line = |(name, address): (String, String)| {
        let body = ask(site, &address).body.to_bytes();
        let body = String::from_utf8_lossy(&body);
        let field = name.split('-').next().unwrap_or_default();
        let pieces: Vec<String> = body.trim_end().split(",\"value\":\"~\"").map(escaped).collect();
        format!("    \"{name}\" \"{}\";", pieces.join(&format!("$ar_{field}_said")))
    };
    cases.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn targets(answers: &Answers) -> [(&'static str, String); 3] {
    let numbered = |value: fn(&answers::Target) -> &String| {
        let pairs = answers.targets.iter().enumerate().map(|(number, target)| (format!("a{number}"), value(target).as_str()));
        entries(pairs.filter(|(_, value)| !value.is_empty()))
    };
    [
        ("locations", numbered(|target| &target.location)),
        ("dispositions", numbered(|target| &target.disposition)),
        ("checksums", numbered(|target| &target.checksum)),
    ]
}

fn releases(catalog: &Catalog) -> [(&'static str, String); 3] {
    let versions = catalog.releases().iter().map(|release| (release.version.as_str(), release.version.as_str()));
    let recalls: Vec<(&str, String)> = catalog
        .releases()
        .iter()
        .filter_map(|release| match &release.state {
            State::Recalled(reason) => Some((
                release.version.as_str(),
                format!("{{\"version\":{},\"reason\":{}}}", json(release.version.as_str()), json(reason.as_str())),
            )),
            _ => None,
        })
        .collect();
    let heads = catalog.channels().iter().filter_map(|channel| {
        let head = catalog.releases().get(channel.head?)?;
        Some((channel.name.as_str(), head.version.as_str()))
    });
    [
        ("releases", entries(versions)),
        ("recalls", entries(recalls.iter().map(|(version, details)| (*version, details.as_str())))),
        ("heads", entries(heads)),
    ]
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// V1: switched off, retired, or there.
fn legacy(catalog: &Catalog) -> Vec<(&'static str, String)> {
    let Some(v1) = catalog.v1() else {
        return vec![("v1_routes", r#"    "~^v1-" "other";"#.to_owned())];
    };
    let routes = if v1.gone { r#"    "~^v1-" "retired";"# } else { r#"    "v1-file" "other";"# };
    let docs = v1.successor_docs.as_ref().map(|docs| format!(", <{docs}>; rel=\"deprecation\""));
    let deprecation = format!("@{}", v1.deprecated_on.unix_seconds());
    let sunset = v1.sunset_on.as_ref().map(|day| entries([("v1", day.http_date().as_str())]));
    vec![
        ("v1_routes", routes.to_owned()),
        ("v1_family", r#"    "~^/internal/v1/agent(?:/|$)" "v1";"#.to_owned()),
        ("deprecation", entries([("v1", deprecation.as_str())])),
        ("sunset", sunset.unwrap_or_default()),
        ("docs", docs.map(|docs| escaped(&docs)).unwrap_or_default()),
    ]
}

/// The names of headers that differ between the sets; `link` is always asked for.
fn names(answers: &Answers) -> Vec<&str> {
    let mut names: Vec<&str> =
        answers.sets.iter().flatten().map(|(name, _)| name.as_str()).chain(["link", "cache-control"]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn variable(name: &str) -> String {
    format!("$ar_set_{}", name.replace('-', "_"))
}

/// A map for each header that sets differ in.
fn sets(answers: &Answers) -> String {
    let error = Policy::Error.headers(Access::Public);
    let of = |name: &str| {
        let plain =
            error.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| ("error".to_owned(), *value));
        let numbered = answers.sets.iter().enumerate().flat_map(|(number, set)| {
            let values = set.iter().filter(|(other, _)| other == name);
            values.map(move |(_, value)| (format!("s{number}"), value.as_str()))
        });
        format!("map $ar_set {} {{\n    default \"\";\n{}\n}}", variable(name), entries(plain.chain(numbered)))
    };
    names(answers).into_iter().map(of).collect::<Vec<_>>().join("\n")
}

fn preflight() -> String {
    let map = |(number, (_, value)): (usize, &(&str, &str))| {
        format!("map $ar_answer $ar_preflight_{number} {{\n    default \"\";\n{}\n}}", entries([("options", *value)]))
    };
    PREFLIGHT.iter().enumerate().map(map).collect::<Vec<_>>().join("\n")
}

/// What every answer of a public family has.
fn everywhere(snapshot: &str) -> Vec<String> {
    let plain = Policy::Plain.headers(Access::Public).into_iter();
    let value = |name: &str, value: &str| match name {
        "Access-Control-Allow-Origin" => "$ar_origin".to_owned(),
        "Access-Control-Expose-Headers" => "$ar_exposed".to_owned(),
        _ => quoted(value),
    };
    let mut lines: Vec<String> = plain.map(|(name, told)| line(name, &value(name, told))).collect();
    lines.push(line("X-Release-Snapshot", &quoted(snapshot)));
    lines.extend([("Deprecation", "$ar_deprecation"), ("Sunset", "$ar_sunset")].map(|(name, value)| line(name, value)));
    lines
}

fn line(name: &str, value: &str) -> String {
    format!("    add_header {name} {value} always;")
}

/// The headers of any answer; what has no value is not sent.
fn headers(answers: &Answers, snapshot: &str) -> String {
    let mut lines = everywhere(snapshot);
    let sets = names(answers).into_iter().filter(|name| *name != "link");
    lines.extend(sets.map(|name| line(&spelled(name), &variable(name))));
    lines.extend([("Link", "$ar_link"), ("ETag", "$ar_etag"), ("Allow", "$ar_allow")].map(|(name, value)| line(name, value)));
    lines.push(line("Last-Modified", "\"\""));
    let preflight = PREFLIGHT.iter().enumerate();
    lines.extend(preflight.map(|(number, (name, _))| line(name, &format!("$ar_preflight_{number}"))));
    lines.join("\n")
}

/// The headers of a refusal that is not looked up.
fn error_headers(snapshot: &str) -> String {
    let mut lines = everywhere(snapshot);
    let cache = Policy::Error.headers(Access::Public).into_iter().filter(|(name, _)| *name == "Cache-Control");
    lines.extend(cache.map(|(name, value)| line(name, &quoted(value))));
    lines.push(line("Link", "$ar_link"));
    lines.join("\n")
}

/// `x-release-yanked` as it is usually written.
fn spelled(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Locations for what nginx refuses by itself.
fn refused(snapshot: &str) -> String {
    let words =
        |code: &str, message: &str| format!(r#"'{{"error":{{"code":"{code}","message":"{message}","details":{{}}}}}}\n'"#);
    let refusals = [
        (400, "malformed", words("bad_request", "Malformed request")),
        (405, "method", "$ar_method_body".to_owned()),
        (414, "too-long", words("uri_too_long", "URI Too Long")),
        (431, "too-large", words("headers_too_large", "Request Header Fields Too Large")),
    ];
    let location = |(status, name, body): (u16, &str, String)| {
        let allow = if status == 405 { line("Allow", "\"GET, HEAD, OPTIONS\"") + "\n" } else { String::new() };
        format!(
            r#"
location = /agent-releases-refused/{name} {{
    internal;
    types {{ }}
    default_type application/json;
    error_page 404 @agent_releases_missing;
{OWN}
{}
{allow}    return {status} {body};
}}
"#,
            error_headers(snapshot)
        )
    };
    refusals.map(location).concat()
}
