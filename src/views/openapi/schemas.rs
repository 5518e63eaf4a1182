//! The forms of the documents: a schema for each, closed, with every key required.

use super::examples::example_release;
use super::{CHANNEL, CODES, FILE_NAME, REASON, SHA256, TILE, TIME, VERSION, reference};
use crate::catalog::Catalog;
use crate::lists::{MAX_CURSOR, MAX_PAGE_SIZE};
use crate::views::v2::FOLDER;
use crate::words::Platform;
use serde_json::{Map, Value, json};

pub(super) fn schemas(catalog: &Catalog) -> Value {
    let channels: Vec<&str> = catalog.channels().iter().map(|channel| channel.name.as_str()).collect();
    let mut schemas = json!({
        "Version": { "type": "string", "description": "SemVer 2.0.0 without build metadata.", "minLength": 5, "maxLength": 64, "pattern": VERSION },
        "FileName": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": FILE_NAME },
        "Channel": { "type": "string", "description": "A stream of releases; `latest` holds all of them.", "enum": channels },
        "AgentArtifact": agent_artifact_schema(),
        "AgentRelease": agent_release_schema(catalog),
        "AgentReleaseList": list_schema("AgentRelease"),
        "HistoryIndex": history_index_schema(),
        "HistoryTile": history_tile_schema(),
        "HistoryRelease": history_release_schema(),
        "Error": error_schema(),
        "OpenApi": { "type": "object", "required": ["openapi", "info", "paths"] },
    });
    let more = super::active::schemas().into_iter().chain(catalog.v1().into_iter().flat_map(|_| v1_schemas()));
    for (name, schema) in more {
        schemas[name] = schema;
    }
    schemas
}

fn v1_schemas() -> Vec<(&'static str, Value)> {
    let address = || json!({ "type": ["string", "null"], "pattern": "^/internal/v1/agent/downloads/latest\\?platform=" });
    let macos = closed("The macOS installers by architecture.", &json!({ "arm64": address(), "x86_64": address() }));
    let links = closed(
        "Where stable's installers are.",
        &json!({
            "stable": closed("Stable.", &json!({ "version": reference("schemas", "Version") })),
            "latest": closed("By platform.", &json!({ "windows": address(), "macos": macos })),
        }),
    );
    let mut artifact = agent_artifact_schema();
    artifact["properties"]["download_url"]["pattern"] = "^/internal/v1/agent/downloads/".into();
    vec![
        ("V1Artifact", artifact),
        ("V1Release", release_schema("platforms", "V1Artifact")),
        ("V1ReleaseList", list_schema("V1Release")),
        ("V1Links", links),
    ]
}

/// An object whose every key is always present, and no other.
pub(super) fn closed(description: &str, properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({
        "type": "object",
        "description": description,
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn agent_artifact_schema() -> Value {
    closed(
        "A file of a release.",
        &json!({
            "filename": reference("schemas", "FileName"),
            "content_type": { "type": "string", "minLength": 3, "maxLength": 127, "description": "The media type with which the bytes are sent." },
            "size_bytes": { "type": ["integer", "null"], "format": "int64", "minimum": 0 },
            "sha256": { "type": ["string", "null"], "pattern": SHA256 },
            "download_url": {
                "type": "string",
                "format": "uri-reference",
                "pattern": format!("^/{FOLDER}/"),
                "description": "The address that redirects to the bytes of exactly this version; in the history, its path form.",
            },
        }),
    )
}

fn agent_release_schema(catalog: &Catalog) -> Value {
    let mut schema = release_schema("artifacts", "AgentArtifact");
    schema["examples"] = json!([example_release(catalog)]);
    schema
}

/// A release whose installers are under this key.
fn release_schema(key: &str, artifact: &str) -> Value {
    let artifact = || json!({ "anyOf": [reference("schemas", artifact), { "type": "null" }] });
    let macos = closed("The macOS installers by architecture.", &json!({ "arm64": artifact(), "x86_64": artifact() }));
    let artifacts = closed("The installers by platform.", &json!({ "windows": artifact(), "macos": macos }));
    closed(
        "A published release.",
        &json!({
            "channel": reference("schemas", "Channel"),
            "version": reference("schemas", "Version"),
            "published_at": published_at_schema(),
            "notes_url": notes_url_schema(),
            key: artifacts,
        }),
    )
}

fn published_at_schema() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time", "pattern": TIME })
}

fn notes_url_schema() -> Value {
    json!({ "type": ["string", "null"], "format": "uri", "pattern": "^https://", "maxLength": 2048 })
}

fn list_schema(release: &str) -> Value {
    closed(
        "A page of a list.",
        &json!({
            "data": { "type": "array", "items": reference("schemas", release), "maxItems": MAX_PAGE_SIZE },
            "total_count": { "type": "integer", "minimum": 0, "description": "How many releases the whole list has." },
            "next_cursor": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": MAX_CURSOR,
                "description": "Where the next page begins; null on the last one.",
            },
        }),
    )
}

fn history_index_schema() -> Value {
    let tile = closed(
        "A tile, and which versions it holds.",
        &json!({
            "file": { "type": "string", "pattern": TILE },
            "count": { "type": "integer", "minimum": 1 },
            "first": reference("schemas", "Version"),
            "last": reference("schemas", "Version"),
        }),
    );
    closed(
        "The tiles of the history, ascending by version.",
        &json!({ "total_count": { "type": "integer", "minimum": 0 }, "tiles": { "type": "array", "items": tile } }),
    )
}

fn history_tile_schema() -> Value {
    let data = json!({ "type": "array", "items": reference("schemas", "HistoryRelease"), "minItems": 1 });
    closed("Some releases of the history, ascending by version.", &json!({ "data": data }))
}

fn history_release_schema() -> Value {
    let artifacts: Value = Platform::ALL.iter().map(|platform| (platform.id(), reference("schemas", "AgentArtifact"))).collect();
    closed(
        "A release in every detail that is published of it.",
        &json!({
            "version": reference("schemas", "Version"),
            // A tile is older than the catalog, so it may name a channel that is no longer declared.
            "channels": { "type": "array", "items": { "type": "string", "pattern": CHANNEL }, "description": "Without `latest`, which holds every release." },
            "state": { "type": "string", "enum": ["published", "yanked", "recalled"] },
            "reason": { "type": ["string", "null"], "pattern": REASON, "description": "Why it is yanked or recalled." },
            "published_at": published_at_schema(),
            "notes_url": notes_url_schema(),
            "artifacts": { "type": "object", "properties": artifacts, "additionalProperties": false },
            "attachments": {
                "type": "object",
                "propertyNames": reference("schemas", "FileName"),
                "additionalProperties": reference("schemas", "AgentArtifact"),
            },
        }),
    )
}

fn error_schema() -> Value {
    let error = closed(
        "What was refused, and why.",
        &json!({
            "code": { "type": "string", "enum": CODES },
            "message": { "type": "string", "minLength": 1 },
            "details": { "type": "object" },
        }),
    );
    closed("A refusal.", &json!({ "error": error }))
}
