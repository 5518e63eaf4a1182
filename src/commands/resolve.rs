//! `resolve`: what the edge would answer, and why.

use super::console::Console;
use super::{Exit, Failure, Folders, Outcome};
use agent_releases::answer::{Answer, Body, Request, Secrets, Site, answer, artifact, refuse, without_body};
use agent_releases::compile::compile;
use agent_releases::edge::{RawHead, gate};
use agent_releases::store::Store;
use clap::Args;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Show what the edge would answer to an address, and which rule and release it comes from.
#[derive(Args)]
pub struct Arguments {
    /// A path with its query, or a whole URL, of which the host is ignored
    address: String,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: Method,
    /// A request header (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Answer as an edge without a local artifact store (no --artifacts) would
    #[arg(long)]
    no_store: bool,
    #[command(flatten)]
    folders: Folders,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let target = target(&arguments.address)?;
    let mut headers = HeaderMap::new();
    for header in &arguments.headers {
        let parsed = header
            .split_once(':')
            .and_then(|(name, value)| Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?)));
        let (name, value) =
            parsed.ok_or_else(|| Failure::Usage(format!("--header: expected `Name: value`, found `{header}`")))?;
        headers.append(name, value);
    }
    let compiled = compile(&arguments.folders.options())?;
    console.warnings(&compiled.warnings);
    let mut built = compiled.snapshot()?;
    if headers.contains_key(ACCEPT_ENCODING) {
        built.compress(None);
    }
    let site =
        Site::new(&built.index, &built.files(), !arguments.no_store).map_err(|error| Failure::general(error.to_string()))?;
    let answer = ask(arguments, &site, target, headers)?;
    console.result(&format!("{} {target}", arguments.method));
    show(&answer, console);
    console.result(&format!("why: {}", answer.why.rule));
    if let Some(version) = answer.why.release.and_then(|release| site.version(release)) {
        console.result(&format!("release: {version} ({})", arguments.folders.releases.join(format!("{version}.yaml")).display()));
    }
    if let Some(channel) = answer.why.channel.and_then(|channel| site.channel_name(channel)) {
        console.result(&format!("channel: {channel}"));
    }
    Ok(Exit::Fine)
}

/// Asks as a client would: through the edge's gate, then the site, then, for an artifact, the store.
fn ask(arguments: &Arguments, site: &Site, target: &str, mut headers: HeaderMap) -> Result<Answer, Failure> {
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    let mut head = http::Request::new(());
    *head.method_mut() = arguments.method.clone();
    *head.uri_mut() = target.parse().map_err(|error| Failure::Usage(format!("`{target}` is no address: {error}")))?;
    *head.headers_mut() = headers;
    let raw = RawHead { lines: head.headers().len(), ..RawHead::default() };
    if let Err(refusal) = gate(&head, &raw, &[]) {
        let answer = refuse(site, target, &refusal);
        return Ok(if *head.method() == Method::HEAD { without_body(answer) } else { answer });
    }
    // As a browser does: what stands behind a `#` is not sent.
    let target = head.uri().path_and_query().map_or(target, |target| target.as_str());
    let request = Request::new(head.method(), target, head.headers()).knowing(Secrets::trusting(), || 0);
    let answer = answer(site, &request);
    let Body::Artifact(stored) = &answer.body else { return Ok(answer) };
    let store = Store::open(&arguments.folders.artifacts).ok();
    let size = store.and_then(|store| store.artifact(&stored.key).ok()).map(|(_, size)| size);
    Ok(artifact(site, &request, stored, size).0)
}

/// The origin-form target of an address.
fn target(address: &str) -> Result<&str, Failure> {
    let target = match address.split_once("://") {
        Some((_, rest)) => {
            rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).filter(|rest| rest.starts_with('/')).unwrap_or("/")
        }
        None => address,
    };
    if target.starts_with('/') {
        Ok(target)
    } else {
        Err(Failure::Usage(format!("expected an address such as /v2/agent-releases/latest, found `{address}`")))
    }
}

fn show(answer: &Answer, console: &Console) {
    console.result(&answer.status.to_string());
    for (name, value) in &answer.headers {
        console.result(&format!("{name}: {}", value.to_str().unwrap_or_default()));
    }
    if let (Some(length), false) = (answer.content_length(), answer.headers.contains_key(CONTENT_LENGTH)) {
        console.result(&format!("content-length: {length}"));
    }
    let bytes = answer.body.to_bytes();
    if answer.headers.contains_key("content-encoding") {
        console.result(&format!("\n({} encoded bytes)", bytes.len()));
    } else if !bytes.is_empty() {
        console.result(&format!("\n{}", String::from_utf8_lossy(&bytes).trim_end()));
    }
    console.result("");
}
