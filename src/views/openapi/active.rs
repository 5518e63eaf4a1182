//! The Active API in `openapi.json`.

use super::{SHA256, headers, path_parameter, reference, security};
use crate::catalog::Catalog;
use crate::policy::{Access, Policy};
use crate::views::active::FOLDER;
use crate::words::Platform;
use serde_json::{Value, json};

pub(super) const TAG: &str = "active";

pub(super) fn paths(_: &Catalog) -> Vec<(String, Value)> {
    vec![(format!("{FOLDER}/active"), active()), (format!("{FOLDER}/{{guid}}/download/{{platform}}"), download())]
}

fn active() -> Value {
    let content = json!({ "application/json": { "schema": reference("schemas", "ActiveRelease") } });
    let headers = headers(Access::Required, Policy::ActiveDocument, &["X-Release-Snapshot"]);
    let parameters = json!({ "guid": "$response.body#/guid", "platform": "$response.body#/artifacts/0/platform" });
    let links = json!({ "artifact": { "operationId": "downloadActiveRelease", "parameters": parameters } });
    json!({
        "get": {
            "operationId": "getActiveRelease",
            "tags": [TAG],
            "summary": "Get the active release",
            "description": "The highest of the active releases, with links that are signed afresh for each answer.",
            "security": security(Access::Required),
            "parameters": [],
            "responses": {
                "200": { "description": "The document.", "headers": headers, "content": content, "links": links },
                "400": reference("responses", "ActiveBadRequest"),
                "401": reference("responses", "ActiveUnauthorized"),
                "404": reference("responses", "ActiveNotFound"),
                "405": reference("responses", "ActiveMethodNotAllowed"),
                "default": reference("responses", "ActiveError"),
            },
        },
    })
}

fn download() -> Value {
    let named = ["X-Release-Snapshot", "X-Checksum-SHA256", "Content-Disposition"];
    let bytes =
        headers(Access::Required, Policy::ActiveArtifact, &[&named[..], &["ETag", "Accept-Ranges", "Repr-Digest"]].concat());
    let mut part = bytes.clone();
    part["Content-Range"] = reference("headers", "Content-Range");
    let mut unchanged = bytes.clone();
    if let Some(unchanged) = unchanged.as_object_mut() {
        unchanged.remove("Content-Disposition");
    }
    let elsewhere = headers(Access::Required, Policy::ActiveRedirect, &[&named[..], &["Location"]].concat());
    let unsatisfiable = headers(Access::Required, Policy::Error, &["X-Release-Snapshot", "Content-Range"]);
    let content = json!({ "*/*": { "schema": {} } });
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    json!({
        "get": {
            "operationId": "downloadActiveRelease",
            "tags": [TAG],
            "summary": "Download an artifact of an active release",
            "description": "With a link that is signed and in time, or with a token or a session. A bad link is never made good by them.",
            "security": security(Access::Required),
            "parameters": [
                path_parameter("guid", "An active release's identifier.", &reference("schemas", "Guid"), &json!({})),
                path_parameter("platform", "The platform.", &reference("schemas", "ActivePlatform"), &json!({})),
                query("expires", "When the link ends, in seconds since 1970; goes with `signature`.", json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,10})$" })),
                query("signature", "The signature of the link; goes with `expires`.", json!({ "type": "string", "pattern": SHA256 })),
            ],
            "responses": {
                "200": { "description": "The bytes.", "headers": bytes, "content": content },
                "206": { "description": "A part of the bytes.", "headers": part, "content": content },
                "302": { "description": "Where the bytes lie. There is no body.", "headers": elsewhere },
                "304": { "description": "Not changed since the copy that the client has.", "headers": unchanged },
                "400": reference("responses", "ActiveBadRequest"),
                "401": reference("responses", "ActiveUnauthorized"),
                "404": reference("responses", "ActiveNotFound"),
                "405": reference("responses", "ActiveMethodNotAllowed"),
                "416": { "description": "The range lies behind the end.", "headers": unsatisfiable },
                "default": reference("responses", "ActiveError"),
            },
        },
    })
}

/// Its refusals, as components.
pub(super) fn refusals() -> Vec<(String, Value)> {
    let refusal = |name: &str, description: &str, named: &[&str], schema: Value| {
        let response = json!({
            "description": description,
            "headers": headers(Access::Required, Policy::Error, &[named, &["X-Release-Snapshot"][..]].concat()),
            "content": { "application/json": { "schema": schema } },
        });
        (name.to_owned(), response)
    };
    let detail = || reference("schemas", "Detail");
    let one_of = |details: &[&str]| json!({ "allOf": [detail(), { "properties": { "detail": { "enum": details } } }] });
    let gate = || reference("schemas", "Error");
    let unauthorized = [
        "Authentication required",
        "This download link is not valid; request a new one",
        "This download link has expired; request a new one",
    ];
    vec![
        refusal("ActiveUnauthorized", "No good link, token or session.", &["WWW-Authenticate"], one_of(&unauthorized)),
        refusal("ActiveNotFound", "No active release, no such release, no such artifact, or no file of it.", &[], detail()),
        refusal("ActiveMethodNotAllowed", "Not GET, HEAD or OPTIONS.", &["Allow"], one_of(&["Method Not Allowed"])),
        refusal("ActiveBadRequest", "What was sent is not a request.", &[], gate()),
        refusal("ActiveError", "Any other refusal.", &[], json!({ "anyOf": [detail(), gate()] })),
    ]
}

/// Its schemas.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let platforms: Vec<&str> = Platform::ACTIVE_ORDER.into_iter().map(Platform::active_id).collect();
    let address = |end: &str| format!("^{FOLDER}/rel_[0-9a-z]{{26}}/download/[a-z0-9-]+{end}$");
    let artifact = super::schemas::closed(
        "A file of the active release.",
        &json!({
            "platform": reference("schemas", "ActivePlatform"),
            "filename": reference("schemas", "FileName"),
            "checksum": { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" },
            "file_size": { "type": ["integer", "null"], "format": "int64", "minimum": 0 },
            "download_url": { "type": ["string", "null"], "pattern": address(""), "description": "For whoever is signed in." },
            "signed_url": { "type": ["string", "null"], "pattern": address("\\?expires=[0-9]+&signature=[0-9a-f]{64}"), "description": "For whoever holds it, until it ends." },
        }),
    );
    let release = super::schemas::closed(
        "The active release.",
        &json!({
            "guid": reference("schemas", "Guid"),
            "version": reference("schemas", "Version"),
            "artifacts": { "type": "array", "items": reference("schemas", "ActiveArtifact") },
            "notes": { "type": ["string", "null"] },
            "dev_mode": { "type": "boolean", "description": "There is nothing to download from; addresses are null." },
        }),
    );
    vec![
        ("Guid", json!({ "type": "string", "pattern": "^rel_[0-7][0-9a-hjkmnp-tv-z]{25}$" })),
        ("ActivePlatform", json!({ "type": "string", "enum": platforms })),
        ("ActiveArtifact", artifact),
        ("ActiveRelease", release),
        (
            "Detail",
            super::schemas::closed("A refusal of the Active API.", &json!({ "detail": { "type": "string", "minLength": 1 } })),
        ),
    ]
}
