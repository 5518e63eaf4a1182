//! `openapi.json`: every address, parameter and answer, in the form that machines read before they ask.

mod active;
mod examples;
mod schemas;
mod v1;

use super::v2::FOLDER;
use crate::catalog::{Artifact, Catalog, Release};
use crate::lists::{DEFAULT_PAGE_SIZE, MAX_CURSOR, MAX_PAGE_SIZE, Order, SortBy};
use crate::policy::{Access, Policy};
use crate::redirects::path_address;
use crate::snapshot::Snapshot;
use crate::words::{Arch, Channel, HttpsUrl, Os};
use examples::{example_files, example_versions};
use schemas::schemas;
use serde_json::{Value, json};

/// The paths of a family of addresses.
type Family = fn(&Catalog) -> Vec<(String, Value)>;

/// The families that are described, one function each; this table is the whole list.
const FAMILIES: &[Family] = &[v2, v1::paths, active::paths, site];

const RELEASES: &str = "releases";
const DOWNLOADS: &str = "downloads";
const DOCUMENTS: &str = "documents";

/// How many releases the examples of a parameter name.
const EXAMPLES: usize = 3;

/// SemVer 2.0.0, loosely: whoever generates from it should not have to think, and what does not exist is 404 anyway.
const VERSION: &str = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$";
const FILE_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
const CHANNEL: &str = "^[a-z][a-z0-9-]{0,31}$";
const SHA256: &str = "^[0-9a-f]{64}$";
const TILE: &str = r"^[0-9a-f]{64}\.json$";
const REASON: &str = "^[ -~]{1,200}$";
const TIME: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";

/// What the `code` of an error may be.
const CODES: &[&str] = &[
    "invalid_request",
    "bad_request",
    "unauthorized",
    "not_found",
    "method_not_allowed",
    "gone",
    "uri_too_long",
    "expectation_failed",
    "misdirected_request",
    "headers_too_large",
    "internal_error",
    "unavailable",
];

/// The parameters, in the order in which they are checked.
const FIELDS: &[&str] = &["channel", "platform", "arch", "sort_by", "sort_order", "page_size", "cursor"];

const CONVENTIONS: &str = "Every address answers GET, HEAD and OPTIONS.

- Names in a query that are not described here are ignored. A described one that is empty, repeated or out of its set is \
refused with 400. `+` is a plus.
- Paths are compared byte for byte: one that holds a `%` leads nowhere.
- A document has a strong `ETag`; sent back in `If-None-Match`, it makes the answer 304 for as long as nothing changes.
- Addresses in documents are relative to the origin that serves this API.
- A request body is never read.";

/// Adds the description.
pub(super) fn render(catalog: &Catalog, snapshot: &mut Snapshot) {
    snapshot.document("openapi.json", super::json(&description(catalog)), Policy::Moving, catalog.v2_access(), &[]);
}

/// The whole description.
pub(super) fn description(catalog: &Catalog) -> Value {
    let paths: Value = FAMILIES.iter().flat_map(|family| family(catalog)).collect();
    let mut tags = vec![
        json!({ "name": RELEASES, "description": "Releases, one by one and in lists." }),
        json!({ "name": DOWNLOADS, "description": "Redirects to where the bytes lie." }),
        json!({ "name": DOCUMENTS, "description": "The same answers as files that any static host or CDN can serve. They ignore the query." }),
        json!({ "name": active::TAG, "description": "The release that a setup wizard offers, for whoever is signed in." }),
    ];
    if catalog.v1().is_some() {
        tags.push(
            json!({ "name": v1::TAG, "description": "The interface before V2: deprecated, each answer names its twin in V2." }),
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{} releases", catalog.product()),
            "summary": format!("Published releases of {}, and redirects to their files.", catalog.product()),
            "description": CONVENTIONS,
            "version": "2",
        },
        "servers": [{ "url": catalog.public_url().map_or("/", HttpsUrl::as_str) }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas(catalog),
            "parameters": parameters(catalog),
            "headers": named_headers(),
            "responses": responses(catalog),
            "securitySchemes": security_schemes(),
        },
    })
}

/// What a GET of one path is called, what it takes, and what it gives.
struct Operation {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    /// What it answers when all is well, by status.
    answers: Vec<(&'static str, Value)>,
    /// Its own refusals; those of every address are added to them.
    refusals: &'static [Refusal],
}

/// A status, and the component that describes it.
type Refusal = (&'static str, &'static str);

const BAD_REQUEST: Refusal = ("400", "BadRequest");
const UNAUTHORIZED: Refusal = ("401", "Unauthorized");
const NOT_FOUND: Refusal = ("404", "NotFound");
const METHOD_NOT_ALLOWED: Refusal = ("405", "MethodNotAllowed");
const GONE: Refusal = ("410", "Gone");
const UNAVAILABLE: Refusal = ("503", "Unavailable");
const ANY_OTHER: Refusal = ("default", "Error");

/// What the operations of a family have in common.
#[derive(Clone, Copy)]
struct Api {
    /// Its refusals are components whose names begin so.
    prefix: &'static str,
    access: Access,
    /// Headers that each of its answers has.
    always: &'static [&'static str],
    deprecated: bool,
}

impl Api {
    fn v2(catalog: &Catalog) -> Self {
        Self { prefix: "", access: catalog.v2_access(), always: &[], deprecated: false }
    }
}

impl Operation {
    fn path_item(self, api: Api) -> Value {
        let guarded = (api.access == Access::Required).then_some(UNAUTHORIZED);
        let refusals = self.refusals.iter().copied().chain([BAD_REQUEST, METHOD_NOT_ALLOWED, ANY_OTHER]).chain(guarded);
        let refusals = refusals.map(|(status, name)| (status, reference("responses", &format!("{}{name}", api.prefix))));
        let responses: Value = self.answers.into_iter().chain(refusals).collect();
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "security": security(api.access),
            "parameters": self.parameters,
            "responses": responses,
        });
        if api.deprecated {
            operation["deprecated"] = true.into();
        }
        json!({ "get": operation })
    }
}

fn v2(catalog: &Catalog) -> Vec<(String, Value)> {
    let operations = [
        ("", list(catalog)),
        ("/latest", latest(catalog)),
        ("/{version}", release(catalog)),
        ("/latest/download", latest_download(catalog)),
        ("/{version}/download", release_download(catalog)),
        ("/{version}/download/windows/{filename}", file_download(catalog, "downloadWindowsFile", Some(Os::Windows))),
        ("/{version}/download/macos/{arch}/{filename}", file_download(catalog, "downloadMacosFile", Some(Os::Macos))),
        ("/{version}/download/linux/{arch}/{filename}", file_download(catalog, "downloadLinuxFile", Some(Os::Linux))),
        ("/{version}/download/files/{filename}", file_download(catalog, "downloadAttachment", None)),
        ("/index.json", list_document(catalog)),
        ("/latest.json", latest_document(catalog)),
        ("/latest/{channel}.json", channel_document(catalog)),
        ("/{version}.json", release_document(catalog)),
        ("/history/index.json", history_index_document(catalog)),
        ("/history/{file}", history_tile_document(catalog)),
    ];
    let path = |(rest, operation): (&str, Operation)| (format!("/{FOLDER}{rest}"), operation.path_item(Api::v2(catalog)));
    operations.into_iter().map(path).collect()
}

/// What lies at the root, beside the families.
fn site(catalog: &Catalog) -> Vec<(String, Value)> {
    let operation = Operation {
        id: "getOpenApi",
        tag: DOCUMENTS,
        summary: "Get this description",
        description: "The OpenAPI document that describes every address.",
        parameters: shared(&["IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::Moving, "OpenApi", &[]),
        refusals: &[],
    };
    vec![("/openapi.json".to_owned(), operation.path_item(Api::v2(catalog)))]
}

fn list(catalog: &Catalog) -> Operation {
    Operation {
        id: "listAgentReleases",
        tag: RELEASES,
        summary: "List agent releases",
        description: "A page of the releases that a channel offers; yanked and recalled ones are not among them. A release \
            without a publication time comes last in both orders, and equal times are ordered by version. An empty channel \
            is an empty list.",
        parameters: shared(&["ListChannel", "SortBy", "SortOrder", "PageSize", "Cursor", "IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::View, "AgentReleaseList", &["Link"]),
        refusals: &[],
    }
}

fn latest(catalog: &Catalog) -> Operation {
    Operation {
        id: "getLatestAgentRelease",
        tag: RELEASES,
        summary: "Get the current release of a channel",
        description: "The head of a channel: the release that it is pinned to, or else its highest version that is neither \
            yanked nor recalled. 404 while the channel is empty.",
        parameters: shared(&["Channel", "IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::View, "AgentRelease", &[]),
        refusals: &[NOT_FOUND],
    }
}

fn release(catalog: &Catalog) -> Operation {
    Operation {
        id: "getAgentRelease",
        tag: RELEASES,
        summary: "Get a release by its version",
        description: "Answers for yanked and recalled releases too. Without `channel`, the document names stable if the \
            release is in it, else the first declared channel that it is in, else latest.",
        parameters: shared(&["Version", "ReleaseChannel", "IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::View, "AgentRelease", &["X-Release-Yanked"]),
        refusals: &[NOT_FOUND],
    }
}

fn latest_download(catalog: &Catalog) -> Operation {
    Operation {
        id: "downloadLatestAgentRelease",
        tag: DOWNLOADS,
        summary: "Download an installer of a channel's current release",
        description: "Redirects to where the installer lies. The channel may move between two requests: whoever compares \
            hashes takes the `download_url` that stands beside the hash.",
        parameters: shared(&["Channel", "Platform", "Arch"]),
        answers: redirect(Api::v2(catalog), &[]),
        refusals: &[NOT_FOUND, UNAVAILABLE],
    }
}

fn release_download(catalog: &Catalog) -> Operation {
    Operation {
        id: "downloadAgentRelease",
        tag: DOWNLOADS,
        summary: "Download an installer of a release",
        description: "Redirects to where the installer lies, for a yanked release too; the files of a recalled one are gone.",
        parameters: shared(&["Version", "Platform", "Arch"]),
        answers: redirect(Api::v2(catalog), &["X-Release-Yanked"]),
        refusals: &[NOT_FOUND, GONE, UNAVAILABLE],
    }
}

/// The path form of a download, which ends in the file's name; without a system, that of an attachment.
fn file_download(catalog: &Catalog, id: &'static str, os: Option<Os>) -> Operation {
    let files = example_files(catalog, os);
    let examples = |word: fn(&(&Release, &Artifact)) -> String| -> Value {
        files.iter().map(|file| (path_address(&file.0.version, file.1), json!({ "value": word(file) }))).collect()
    };
    let version = examples(|(release, _)| release.version.to_string());
    let arch = examples(|(_, file)| file.platform.map_or("", |platform| platform.arch().as_str()).to_owned());
    let filename = examples(|(_, file)| file.filename.to_string());
    let mut parameters = vec![path_parameter("version", "A release's version.", &reference("schemas", "Version"), &version)];
    if matches!(os, Some(Os::Macos | Os::Linux)) {
        parameters.push(path_parameter("arch", "The processor architecture.", &arch_schema(), &arch));
    }
    parameters.push(path_parameter("filename", "The file's exact name.", &reference("schemas", "FileName"), &filename));
    Operation {
        id,
        tag: DOWNLOADS,
        summary: match os {
            Some(Os::Windows) => "Download a Windows installer by its file name",
            Some(Os::Macos) => "Download a macOS installer by its file name",
            Some(Os::Linux) => "Download a Linux installer by its file name",
            None => "Download another file of a release by its name",
        },
        description: "The same redirect without a query, at an address that ends in the real file name.",
        parameters,
        answers: redirect(Api::v2(catalog), &["X-Release-Yanked"]),
        refusals: &[NOT_FOUND, GONE, UNAVAILABLE],
    }
}

fn list_document(catalog: &Catalog) -> Operation {
    Operation {
        id: "getAgentReleaseListDocument",
        tag: DOCUMENTS,
        summary: "Get the first page of the list",
        description: "What the list answers without any parameter.",
        parameters: shared(&["IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::Moving, "AgentReleaseList", &["Link"]),
        refusals: &[],
    }
}

fn latest_document(catalog: &Catalog) -> Operation {
    Operation {
        id: "getLatestAgentReleaseDocument",
        tag: DOCUMENTS,
        summary: "Get the current stable release",
        description: "The document for pages that offer downloads. There is none while stable is empty.",
        parameters: shared(&["IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::Moving, "AgentRelease", &[]),
        refusals: &[NOT_FOUND],
    }
}

fn channel_document(catalog: &Catalog) -> Operation {
    Operation {
        id: "getChannelDocument",
        tag: DOCUMENTS,
        summary: "Get the current release of a channel as a file",
        description: "There is none while the channel is empty.",
        parameters: shared(&["PathChannel", "IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::Moving, "AgentRelease", &[]),
        refusals: &[NOT_FOUND],
    }
}

fn release_document(catalog: &Catalog) -> Operation {
    Operation {
        id: "getAgentReleaseDocument",
        tag: DOCUMENTS,
        summary: "Get a release by its version as a file",
        description: "What the version's address answers without `channel`.",
        parameters: shared(&["Version", "IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::Moving, "AgentRelease", &["X-Release-Yanked"]),
        refusals: &[NOT_FOUND],
    }
}

fn history_index_document(catalog: &Catalog) -> Operation {
    let mut answers = document(Api::v2(catalog), Policy::Moving, "HistoryIndex", &[]);
    if let Some((_, index)) = answers.first_mut() {
        index["links"] =
            json!({ "tile": { "operationId": "getHistoryTile", "parameters": { "file": "$response.body#/tiles/0/file" } } });
    }
    Operation {
        id: "getHistoryIndex",
        tag: DOCUMENTS,
        summary: "Get the index of the whole history",
        description: "Every version that was ever published lies in one of the tiles, ascending.",
        parameters: shared(&["IfNoneMatch"]),
        answers,
        refusals: &[],
    }
}

fn history_tile_document(catalog: &Catalog) -> Operation {
    Operation {
        id: "getHistoryTile",
        tag: DOCUMENTS,
        summary: "Get a tile of the history",
        description: "Named by the SHA-256 of its bytes, so it never changes and can be kept for ever.",
        parameters: shared(&["Tile", "IfNoneMatch"]),
        answers: document(Api::v2(catalog), Policy::Immutable, "HistoryTile", &[]),
        refusals: &[NOT_FOUND],
    }
}

fn shared(parameters: &[&str]) -> Vec<Value> {
    parameters.iter().map(|name| reference("parameters", name)).collect()
}

/// A document and its 304, with the headers that its policy gives, an entity tag, and these.
fn document(api: Api, policy: Policy, schema: &str, more: &[&str]) -> Vec<(&'static str, Value)> {
    let headers = headers(api.access, policy, &[&["ETag", "X-Release-Snapshot"][..], more, api.always].concat());
    let unchanged = json!({ "description": "Not changed since the copy that the client has.", "headers": headers });
    let content = json!({ "application/json": { "schema": reference("schemas", schema) } });
    let whole = json!({ "description": "The document.", "headers": headers, "content": content });
    vec![("200", whole), ("304", unchanged)]
}

fn redirect(api: Api, more: &[&str]) -> Vec<(&'static str, Value)> {
    let named = [&["Location", "Content-Disposition", "X-Checksum-SHA256", "X-Release-Snapshot"][..], more, api.always].concat();
    let headers = headers(api.access, Policy::Redirect, &named);
    vec![("302", json!({ "description": "Where the bytes lie. There is no body.", "headers": headers }))]
}

/// The headers that a policy gives, with exactly the values that it gives them, and these of the named ones.
fn headers(access: Access, policy: Policy, named: &[&str]) -> Value {
    let fixed = policy.headers(access).into_iter().filter(|(name, _)| *name != "Content-Type");
    let fixed =
        fixed.map(|(name, value)| (name.to_owned(), json!({ "required": true, "schema": { "type": "string", "const": value } })));
    let named = named.iter().map(|name| (name.trim_start_matches("V1-").to_owned(), reference("headers", name)));
    fixed.chain(named).collect()
}

/// The headers whose values depend on more than the policy.
fn named_headers() -> Value {
    let header = |required: bool, description: &str, schema: Value| json!({ "required": required, "description": description, "schema": schema });
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let always = |value: &str| json!({ "type": "string", "const": value });
    let address = json!({ "type": "string", "format": "uri-reference", "minLength": 1 });
    let seconds = json!({ "type": "integer", "minimum": 0 });
    json!({
        "ETag": header(true, "A strong entity tag.", text("^\"[!#-~]+\"$")),
        "V1-Link": header(true, "The twin in V2, where the change is explained, and the next page when there is one.", text("^<[!-;=?-~]+>; rel=\"successor-version\"")),
        "Deprecation": header(true, "Since when the address is deprecated, in seconds since 1970 (RFC 9745).", text("^@[0-9]+$")),
        "Sunset": header(false, "When the address may stop to answer (RFC 8594).", text("GMT$")),
        "Accept-Ranges": header(true, "Parts of it can be asked for.", always("bytes")),
        "Content-Range": header(true, "Which part it is.", text("^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$")),
        "Repr-Digest": header(true, "The digest of the whole file (RFC 9530).", text("^sha-256=:[A-Za-z0-9+/]{43}=:$")),
        "Link": header(false, "The address of the next page, when there is one.", text("^<[!-;=?-~]+>; rel=\"next\"$")),
        "Location": header(true, "The versioned address of the file.", address),
        "Content-Disposition": header(true, "The name to save the file under.", text("^attachment; filename=\"[A-Za-z0-9._-]+\"$")),
        "X-Checksum-SHA256": header(false, "The file's SHA-256; left out when it is unknown.", text(SHA256)),
        "X-Release-Yanked": header(false, "Why the release is no longer offered; only on a yanked one.", text(REASON)),
        "X-Release-Snapshot": header(false, "Which snapshot answered; added by the edge.", text("^[0-9a-f]{16}$")),
        "Allow": header(true, "The methods of every address.", always("GET, HEAD, OPTIONS")),
        "Retry-After": header(true, "Seconds to wait.", seconds),
        "WWW-Authenticate": header(true, "How to authenticate.", always("Bearer realm=\"agent-releases\"")),
    })
}

/// The refusals that operations share, as components.
fn responses(catalog: &Catalog) -> Value {
    let mut all = refusals(Api::v2(catalog));
    all.extend(v1::refusals(catalog));
    all.extend(active::refusals());
    all.into_iter().collect()
}

/// Those of a family whose refusals have codes.
fn refusals(api: Api) -> Vec<(String, Value)> {
    let mut refusals = vec![
        ("BadRequest", bad_request(api)),
        ("NotFound", not_found(api)),
        ("MethodNotAllowed", refusal(api, "Not GET, HEAD or OPTIONS.", &["method_not_allowed"], &empty(), &["Allow"])),
        ("Gone", gone(api)),
        ("Unavailable", refusal(api, "There is no artifact store, or no room.", &["unavailable"], &empty(), &["Retry-After"])),
        ("Error", refusal(api, "Any other refusal.", CODES, &json!({ "type": "object" }), &[])),
    ];
    if api.access == Access::Required {
        let challenge = refusal(api, "No valid token and no valid session.", &["unauthorized"], &empty(), &["WWW-Authenticate"]);
        refusals.push(("Unauthorized", challenge));
    }
    refusals.into_iter().map(|(name, response)| (format!("{}{name}", api.prefix), response)).collect()
}

fn bad_request(api: Api) -> Value {
    let details = json!({
        "type": "object",
        "properties": {
            "field": { "enum": FIELDS, "description": "The first bad parameter." },
            "value": { "type": "string", "description": "As it was given, decoded; of a repeated one the first." },
            "allowed": { "type": "array", "items": { "type": "string" }, "description": "The closed set that it should have been of." },
        },
        "additionalProperties": false,
    });
    let description = "A parameter is not what it should be (`invalid_request`), or the request itself is not (`bad_request`).";
    refusal(api, description, &["invalid_request", "bad_request"], &details, &[])
}

fn not_found(api: Api) -> Value {
    let details = json!({
        "type": "object",
        "properties": {
            "version": { "type": "string" },
            "channel": { "type": "string" },
            "platform": { "type": "string" },
            "arch": { "type": ["string", "null"] },
            "path": { "type": "string", "description": "As it was sent, without the query." },
        },
        "additionalProperties": false,
    });
    let description = "No such release (`version`, `channel` or both), no such artifact (`version`, `platform`, `arch`), or no such address (`path`).";
    refusal(api, description, &["not_found"], &details, &[])
}

fn gone(api: Api) -> Value {
    let details = json!({
        "type": "object",
        "required": ["version", "reason"],
        "properties": {
            "version": reference("schemas", "Version"),
            "reason": { "type": "string", "pattern": REASON },
        },
        "additionalProperties": false,
    });
    refusal(api, "The release is recalled: its files are withdrawn.", &["gone"], &details, &[])
}

fn empty() -> Value {
    json!({ "type": "object", "maxProperties": 0 })
}

fn refusal(api: Api, description: &str, codes: &[&str], details: &Value, named: &[&str]) -> Value {
    let narrowed = json!({ "properties": { "error": { "properties": { "code": { "enum": codes }, "details": details } } } });
    json!({
        "description": description,
        "headers": headers(api.access, Policy::Error, &[named, &["X-Release-Snapshot"][..], api.always].concat()),
        "content": { "application/json": { "schema": { "allOf": [reference("schemas", "Error"), narrowed] } } },
    })
}

/// The parameters that operations share, as components.
fn parameters(catalog: &Catalog) -> Value {
    let channel = reference("schemas", "Channel");
    let stable = json!({ "$ref": "#/components/schemas/Channel", "default": Channel::STABLE });
    let cursor = json!({ "type": "string", "minLength": 1, "maxLength": MAX_CURSOR, "pattern": "^[A-Za-z0-9_-]+$" });
    let page_size = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE });
    let sort_by = json!({ "type": "string", "enum": SortBy::WORDS, "default": SortBy::PublishedAt.as_str() });
    let sort_order = json!({ "type": "string", "enum": Order::WORDS, "default": Order::Desc.as_str() });
    let query = |name: &str, description: &str, schema: &Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    json!({
        "Channel": query("channel", "The channel to ask.", &stable),
        "ListChannel": query("channel", "The channel whose releases are listed.", &stable),
        "ReleaseChannel": query("channel", "The channel to answer for; 404 when the release is not in it.", &channel),
        "SortBy": query("sort_by", "What the list is sorted by.", &sort_by),
        "SortOrder": query("sort_order", "In which direction.", &sort_order),
        "PageSize": query("page_size", "How many releases a page has; may change between pages.", &page_size),
        "Cursor": query("cursor", "The `next_cursor` of a page of the same channel and order; any other is 400.", &cursor),
        "Platform": platform_parameter(),
        "V1Platform": query("platform", "Only this system's installers.", &system_schema()),
        "Arch": query("arch", "The processor architecture: required with `platform=macos`, refused with `platform=windows`.", &arch_schema()),
        "Version": path_parameter("version", "A release's version.", &reference("schemas", "Version"), &example_versions(catalog)),
        "PathChannel": path_parameter("channel", "A channel.", &channel, &json!({})),
        "Tile": path_parameter("file", "A tile's name, from the index.", &json!({ "type": "string", "pattern": TILE }), &json!({})),
        "IfNoneMatch": {
            "name": "If-None-Match",
            "in": "header",
            "description": "The entity tags of the copies that the client has.",
            "schema": { "type": "string" },
        },
    })
}

fn platform_parameter() -> Value {
    json!({
        "name": "platform",
        "in": "query",
        "required": true,
        "description": "The operating system.",
        "schema": system_schema(),
    })
}

fn system_schema() -> Value {
    json!({ "type": "string", "enum": [Os::Windows.as_str(), Os::Macos.as_str()] })
}

fn arch_schema() -> Value {
    json!({ "type": "string", "enum": [Arch::Arm64.as_str(), Arch::X86_64.as_str()] })
}

fn path_parameter(name: &str, description: &str, schema: &Value, examples: &Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema, "examples": examples })
}

/// Nobody needs credentials for a public family; a required one takes a token or a session.
fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::Required => json!([{ "token": [] }, { "session": [] }]),
    }
}

fn security_schemes() -> Value {
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "A token that the edge was given. Goes before the session." },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "session",
            "description": "The application's session cookie; its name is the edge's to choose.",
        },
    })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}
