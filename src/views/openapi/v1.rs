//! V1 in `openapi.json`: every address deprecated, every answer with its twin.

use super::{Api, BAD_REQUEST, DOCUMENTS, GONE, METHOD_NOT_ALLOWED, NOT_FOUND, Operation, Refusal, UNAVAILABLE};
use super::{document, redirect, shared};
use crate::catalog::Catalog;
use crate::policy::Policy;
use crate::views::v1::FOLDER;
use serde_json::{Value, json};

pub(super) const TAG: &str = "v1";

/// What its operations have in common; none when V1 is not switched on.
pub(super) fn api(catalog: &Catalog) -> Option<Api> {
    let always = &["Deprecation", "Sunset", "V1-Link"];
    catalog.v1().map(|_| Api { prefix: "V1", access: catalog.v1_access(), always, deprecated: true })
}

pub(super) fn paths(catalog: &Catalog) -> Vec<(String, Value)> {
    let Some(api) = api(catalog) else { return Vec::new() };
    let gone = catalog.v1().is_some_and(|v1| v1.gone);
    let mut operations = questions(api);
    if !gone {
        operations.extend(documents(api));
    }
    let path = |(rest, mut operation): (&str, Operation)| {
        if gone {
            operation.answers.clear();
            operation.refusals = RETIRED;
        }
        (format!("/{FOLDER}{rest}"), operation.path_item(api))
    };
    operations.into_iter().map(path).collect()
}

/// Its refusals, as components; a retired interface is gone as a whole.
pub(super) fn refusals(catalog: &Catalog) -> Vec<(String, Value)> {
    let Some(api) = api(catalog) else { return Vec::new() };
    let mut refusals = super::refusals(api);
    if catalog.v1().is_some_and(|v1| v1.gone)
        && let Some((_, gone)) = refusals.iter_mut().find(|(name, _)| name == "V1Gone")
    {
        let successor = json!({ "type": "string", "format": "uri-reference", "pattern": "^/v2/agent-releases" });
        let details = super::schemas::closed("Where to go.", &json!({ "successor": successor }));
        *gone = super::refusal(api, "This interface has been retired.", &["gone"], &details, &[]);
    }
    refusals
}

/// All that is left of a retired interface.
const RETIRED: &[Refusal] = &[GONE];
const DOWNLOAD: &[Refusal] = &[BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, GONE, UNAVAILABLE];

fn questions(api: Api) -> Vec<(&'static str, Operation)> {
    let view = |schema, more| document(api, Policy::View, schema, more);
    let operation = |id, summary, description, parameters: &[&str], answers, refusals| Operation {
        id,
        tag: TAG,
        summary,
        description,
        parameters: shared(parameters),
        answers,
        refusals,
    };
    vec![
        (
            "/releases",
            operation(
                "listV1Releases",
                "List releases (V1)",
                "As the list of V2, with releases of V1.",
                &["ListChannel", "SortBy", "SortOrder", "PageSize", "Cursor", "IfNoneMatch"],
                view("V1ReleaseList", &[]),
                &[],
            ),
        ),
        (
            "/releases/latest",
            operation(
                "getLatestV1Release",
                "Get the current release of a channel (V1)",
                "With `platform`, the installers of the other system are null.",
                &["Channel", "V1Platform", "IfNoneMatch"],
                view("V1Release", &[]),
                &[NOT_FOUND],
            ),
        ),
        (
            "/releases/{version}",
            operation(
                "getV1Release",
                "Get a release by its version (V1)",
                "As V2 does.",
                &["Version", "ReleaseChannel", "IfNoneMatch"],
                view("V1Release", &["X-Release-Yanked"]),
                &[NOT_FOUND],
            ),
        ),
        (
            "/downloads/links",
            operation(
                "getV1Links",
                "Get the download addresses of stable (V1)",
                "Addresses that stay the same when stable moves. 404 while stable is empty.",
                &["IfNoneMatch"],
                view("V1Links", &[]),
                &[NOT_FOUND],
            ),
        ),
        (
            "/downloads/latest",
            operation(
                "downloadLatestV1Release",
                "Download an installer of a channel's current release (V1)",
                "Redirects straight to where the installer lies.",
                &["Channel", "Platform", "Arch"],
                redirect(api, &[]),
                DOWNLOAD,
            ),
        ),
        (
            "/downloads/{version}",
            operation(
                "downloadV1Release",
                "Download an installer of a release (V1)",
                "Redirects straight to where the installer lies.",
                &["Version", "Platform", "Arch"],
                redirect(api, &["X-Release-Yanked"]),
                DOWNLOAD,
            ),
        ),
    ]
}

fn documents(api: Api) -> Vec<(&'static str, Operation)> {
    let file = |id, summary, parameters: &[&str], schema, more| Operation {
        id,
        tag: DOCUMENTS,
        summary,
        description: "What the address without `.json` answers.",
        parameters: shared(parameters),
        answers: document(api, Policy::Moving, schema, more),
        refusals: &[NOT_FOUND],
    };
    let none: &[&str] = &[];
    vec![
        (
            "/releases/index.json",
            file("getV1ListDocument", "Get the first page of the list (V1)", &["IfNoneMatch"], "V1ReleaseList", none),
        ),
        (
            "/releases/latest.json",
            file("getLatestV1Document", "Get the current stable release (V1)", &["IfNoneMatch"], "V1Release", none),
        ),
        (
            "/releases/latest/{channel}.json",
            file(
                "getV1ChannelDocument",
                "Get the current release of a channel as a file (V1)",
                &["PathChannel", "IfNoneMatch"],
                "V1Release",
                none,
            ),
        ),
        (
            "/releases/{version}.json",
            file(
                "getV1ReleaseDocument",
                "Get a release as a file (V1)",
                &["Version", "IfNoneMatch"],
                "V1Release",
                &["X-Release-Yanked"],
            ),
        ),
        (
            "/downloads/links.json",
            file("getV1LinksDocument", "Get the download addresses of stable as a file (V1)", &["IfNoneMatch"], "V1Links", none),
        ),
    ]
}
