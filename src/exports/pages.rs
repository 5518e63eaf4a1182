//! Static hosts that read `_redirects` and `_headers`: Cloudflare Pages and Netlify.

use super::{ExportFile, refuse_what_only_the_edge_answers};
use crate::catalog::{Catalog, State};
use crate::policy::{Access, Policy};
use crate::problem::Problem;
use crate::redirects::{path_address, plan};
use crate::snapshot::{Built, Row};
use crate::words::BaseUrl;
use std::collections::BTreeMap;

/// Cloudflare's limits: rules of `_redirects` without placeholders, and characters of each.
const MOST_REDIRECTS: usize = 2_000;
const LONGEST_REDIRECT: usize = 1_000;
/// Its limits of `_headers`: rules, and characters of a line.
const MOST_RULES: usize = 100;
const LONGEST_LINE: usize = 2_000;
/// Where the pages of releases lie.
const RELEASES: &str = "releases/";
/// Its limit of files.
const MOST_FILES: usize = 20_000;

const ABOUT_REDIRECTS: &str = "\
# Downloads of the path form, for Cloudflare Pages and Netlify. Deploy dist/public with this file and _headers
# in one folder, without the compressed forms, which hosts make themselves:
#   cp -r dist/public site && cp dist/exports/pages/* site && find site -name '*.br' -delete -o -name '*.gz' -delete
#
# A static host serves the documents (*.json) and these redirects, and nothing that takes a query: neither
# /v2/agent-releases, /latest and /{version}, nor /download?platform=…, nor anything of V1 but its documents, nor the
# Active API. Those need the edge or the Worker. Recalled releases have no line here, so they are 404, not 410.
# Cloudflare appends the query of a request to the address that it redirects to. Made by `agent-releases build`.
";

const ABOUT_HEADERS: &str = "\
# Headers of the documents and redirects, for Cloudflare Pages and Netlify; see _redirects. No two rules for one address
# name the same header, because hosts join the values. Hosts make entity tags of their own, and redirects have neither
# Content-Disposition nor X-Checksum-SHA256: those would take a rule for each. Made by `agent-releases build`.
";

/// `_redirects` and `_headers`. The site has a `404.html`, without which Pages answers any address with the first page and 200.
pub(super) fn render(catalog: &Catalog, built: &Built) -> Result<Vec<ExportFile>, Problem> {
    refuse_what_only_the_edge_answers("pages", catalog)?;
    refuse_ports(catalog)?;
    let redirects = redirects(catalog);
    let rules = rules(catalog, built);
    within_the_limits(built, &redirects, &rules)?;
    let headers = rules.iter().map(|(address, lines)| format!("{address}\n{}\n", lines.join("\n")));
    Ok(vec![
        ExportFile::new("pages", "_redirects", format!("{ABOUT_REDIRECTS}{}", redirects.concat())),
        ExportFile::new("pages", "_headers", format!("{ABOUT_HEADERS}{}", headers.collect::<String>())),
    ])
}

/// Cloudflare leaves out what would redirect to a port.
fn refuse_ports(catalog: &Catalog) -> Result<(), Problem> {
    let base = catalog.storage().base_url.as_ref().map(BaseUrl::as_str).unwrap_or_default();
    let host = base.split('/').nth(2).unwrap_or_default();
    if !host.rsplit(']').next().unwrap_or_default().contains(':') {
        return Ok(());
    }
    let why = format!("storage.base_url is `{base}`, and Cloudflare Pages redirects to no address with a port");
    Err(Problem::general(format!("exports: pages: {why}; take it out of `exports`, or change the storage")))
}

/// A line for each artifact and attachment whose bytes are not withdrawn.
fn redirects(catalog: &Catalog) -> Vec<String> {
    let map = plan(catalog);
    let base = map.base_url.unwrap_or_default();
    let offered = catalog.releases().iter().filter(|release| !matches!(release.state, State::Recalled(_)));
    offered
        .flat_map(|release| release.artifacts.iter().chain(&release.attachments).map(move |artifact| (release, artifact)))
        .map(|(release, artifact)| format!("{} {base}{} 302\n", path_address(&release.version, artifact), artifact.key))
        .collect()
}

/// Addresses and the headers under each, in the order of the addresses.
type Rules = BTreeMap<String, Vec<String>>;

fn rules(catalog: &Catalog, built: &Built) -> Rules {
    let everywhere = Policy::Plain.headers(Access::Public);
    let mut rules = Rules::new();
    rules.insert("/*".to_owned(), everywhere.iter().map(|(name, value)| line(name, value)).collect());
    let redirect = Policy::Redirect.headers(Access::Public).into_iter().filter(|header| !everywhere.contains(header));
    let downloads = "/v2/agent-releases/:version/download/*".to_owned();
    rules.insert(downloads, redirect.map(|(name, value)| line(name, value)).collect());
    let mut folders: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    // The pages of all releases say the same of themselves; a rule for each would be too many.
    let page = built.index.row(&format!("public/{RELEASES}index.html"));
    rules.extend(page.map(|row| (format!("/{RELEASES}*"), shared_lines(catalog, row))));
    let own = |row: &&Row| row.path.strip_prefix("public/").is_some_and(|below| !below.starts_with(RELEASES));
    for row in built.index.files.iter().filter(own) {
        let folder = row.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push(row);
    }
    for (folder, rows) in folders {
        add_folder(catalog, &mut rules, folder, &rows);
    }
    rules
}

/// One rule for a folder whose documents say the same of themselves, else one for each of them.
fn add_folder(catalog: &Catalog, rules: &mut Rules, folder: &str, rows: &[&Row]) {
    let address = |row: &Row| row.path.strip_prefix("public").unwrap_or(&row.path).to_owned();
    let shared = |row: &Row| shared_lines(catalog, row);
    let first = rows.first().map(|row| shared(row)).unwrap_or_default();
    let folder = folder.strip_prefix("public").unwrap_or(folder);
    if rows.len() > 1 && rows.iter().all(|row| shared(row) == first) {
        rules.insert(format!("{folder}/:file"), first);
    } else {
        for row in rows {
            // The host serves it for the folder.
            let page = address(row).strip_suffix("index.html").map(str::to_owned);
            rules.insert(page.unwrap_or_else(|| address(row)), shared(row));
        }
    }
    for row in rows {
        if let Some(reason) = row.headers.get("X-Release-Yanked") {
            rules.entry(address(row)).or_default().push(line("X-Release-Yanked", reason));
        }
    }
}

/// The headers of a document that are not everybody's, nor the host's to make, nor its alone. Of V1 the successor is V2 as
/// a whole: a rule for each document would be too many.
fn shared_lines(catalog: &Catalog, row: &Row) -> Vec<String> {
    let everywhere = Policy::Plain.headers(Access::Public);
    let others = ["Content-Type", "Vary", "X-Release-Yanked"];
    let own = row.headers.iter().filter(|(name, _)| {
        !others.contains(&name.as_str()) && !everywhere.iter().any(|(everywhere, _)| everywhere == &name.as_str())
    });
    let docs = catalog.v1().and_then(|v1| v1.successor_docs.as_ref());
    let docs = docs.map(|docs| format!(", <{docs}>; rel=\"deprecation\"")).unwrap_or_default();
    let successor = format!("</v2/agent-releases>; rel=\"successor-version\"{docs}");
    own.map(|(name, value)| line(name, if name == "Link" { &successor } else { value })).collect()
}

fn line(name: &str, value: &str) -> String {
    format!("  {name}: {value}")
}

fn within_the_limits(built: &Built, redirects: &[String], rules: &Rules) -> Result<(), Problem> {
    let files = built.index.files.iter().filter(|row| row.path.starts_with("public/")).count();
    let longest = redirects.iter().map(|line| line.trim_end().len()).max().unwrap_or_default();
    let longest_line = rules.values().flatten().map(String::len).max().unwrap_or_default();
    let limits = [
        (redirects.len(), MOST_REDIRECTS, "redirects"),
        (longest, LONGEST_REDIRECT, "characters in a line of _redirects"),
        (rules.len(), MOST_RULES, "rules of headers"),
        (longest_line, LONGEST_LINE, "characters in a line of _headers"),
        (files, MOST_FILES, "files"),
    ];
    let Some((count, most, what)) = limits.into_iter().find(|(count, most, _)| count > most) else { return Ok(()) };
    Err(Problem::general(format!(
        "exports: pages: {count} {what}, and Cloudflare Pages takes {most}; take it out of `exports`, or use the worker"
    )))
}
