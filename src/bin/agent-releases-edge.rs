//! The redirector alone: serves a compiled site, and nothing else.

#![allow(clippy::disallowed_methods, reason = "this is shell: its log tells the time")]

use agent_releases::edge::log::{Lines, Log, line, panic_line};
use agent_releases::edge::{Config, Event, Inherited, SecretFiles, is_host, run};
use clap::Parser;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Serve a compiled site of agent releases: its documents, its queries, and its download redirects.
///
/// Prints `listening on http://ADDRESS` once it answers; logs go to stderr, a JSON object a line. SIGHUP reads
/// the site and the secrets again (new ones are noticed without it) and opens the artifacts' folder again, SIGTERM finishes
/// running answers and ends. Listening sockets that systemd hands over (LISTEN_FDS) take the place of --listen, and one
/// called `admin` that of --admin-listen.
#[derive(Parser)]
#[command(name = "agent-releases-edge", version)]
struct Arguments {
    /// The compiled site
    #[arg(long, env = "AGENT_RELEASES_SITE", value_name = "DIR", default_value = "dist")]
    site: PathBuf,
    /// Where to listen, an address and a port; port 0 picks a free one
    #[arg(long, env = "AGENT_RELEASES_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder that holds artifacts under their storage keys; without it, and without a base_url in the catalog,
    /// downloads are refused
    #[arg(long, env = "AGENT_RELEASES_ARTIFACTS", value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// A name that clients may use for this edge (repeatable); others are answered 421. Default: any well-formed name
    #[arg(long = "host", env = "AGENT_RELEASES_HOST", value_name = "NAME", value_delimiter = ',', value_parser = host)]
    hosts: Vec<String>,
    /// Seconds that a connection may stay open without a request
    #[arg(long, env = "AGENT_RELEASES_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    idle_timeout: u64,
    /// Seconds that running answers may take after SIGTERM; downloads that make progress may take longer
    #[arg(long, env = "AGENT_RELEASES_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain_timeout: u64,
    /// Write a line to the log for each request
    #[arg(long, env = "AGENT_RELEASES_ACCESS_LOG", value_parser = clap::builder::FalseyValueParser::new())]
    access_log: bool,
    /// Where to answer operators: /healthz, /ready and /metrics. Default: nowhere
    #[arg(long, env = "AGENT_RELEASES_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    secrets: Secrets,
}

/// Files of secrets give others no permission, and are read again when they change.
#[derive(clap::Args)]
#[command(next_help_heading = "Access")]
struct Secrets {
    /// Who may ask with `Authorization: Bearer`: a line a token, `name sha256 [expires_at]`; `agent-releases token new`
    /// adds one
    #[arg(long, env = "AGENT_RELEASES_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// What signed links are made with: a key of at least 32 bytes a line, newest first
    #[arg(long, env = "AGENT_RELEASES_SIGNING_KEYS", value_name = "FILE")]
    signing_keys: Option<PathBuf>,
    /// What the application signs its session cookies with (Starlette's SessionMiddleware): a secret of at least 32 bytes
    /// a line, newest first. The edge then shares the application's secret, and a logout does not revoke a cookie: tokens are
    /// better for machines
    #[arg(long, env = "AGENT_RELEASES_SESSION_SECRET", value_name = "FILE")]
    session_secret: Option<PathBuf>,
    /// The cookie that holds the session
    #[arg(long, env = "AGENT_RELEASES_SESSION_COOKIE", value_name = "NAME", default_value = "session", value_parser = word)]
    session_cookie: String,
    /// Seconds that a session is good
    #[arg(long, env = "AGENT_RELEASES_SESSION_MAX_AGE", value_name = "SECONDS", default_value_t = 86_400)]
    session_max_age: u64,
    /// The key of a session that has to hold a text which is not empty
    #[arg(long, env = "AGENT_RELEASES_SESSION_KEY", value_name = "KEY", default_value = "user_guid", value_parser = word)]
    session_key: String,
    /// Seconds that a signed link is good, 60 to 86400
    #[arg(long, env = "AGENT_RELEASES_LINK_LIFETIME", value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(60..=86_400))]
    link_lifetime: u64,
    /// Who signs for a storage that wants signed addresses: `access-key-id secret-access-key [session-token]`. Default:
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
    #[arg(long, env = "AGENT_RELEASES_STORAGE_CREDENTIALS", value_name = "FILE")]
    storage_credentials: Option<PathBuf>,
}

/// A name that can stand in a cookie or as a key.
fn word(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain { Ok(text.to_owned()) } else { Err("expected a name of letters, digits, `-`, `_` and `.`".to_owned()) }
}

/// A name for `--host`; nothing, as an empty variable gives it, is none.
fn host(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || is_host(name) { Ok(name.to_owned()) } else { Err("expected a name such as api.example.com".to_owned()) }
}

/// How long the end waits for whoever reads the log.
const LOG_TIME: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = Config {
        site: arguments.site,
        listen: arguments.listen,
        admin_listen: arguments.admin_listen,
        artifacts: arguments.artifacts,
        hosts: arguments.hosts.into_iter().filter(|host| !host.is_empty()).collect(),
        idle_timeout: Duration::from_secs(arguments.idle_timeout),
        drain_timeout: Duration::from_secs(arguments.drain_timeout),
        access_log: arguments.access_log,
        secrets: SecretFiles {
            tokens: arguments.secrets.tokens,
            signing_keys: arguments.secrets.signing_keys,
            session_secret: arguments.secrets.session_secret,
            storage_credentials: arguments.secrets.storage_credentials,
            session_cookie: arguments.secrets.session_cookie,
            session_key: arguments.secrets.session_key,
            session_max_age: arguments.secrets.session_max_age,
            link_lifetime: arguments.secrets.link_lifetime,
        },
    };
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(error) => return fail(&error),
    };
    let log = Log::new(std::io::stderr());
    let (lines, panics) = (log.lines(), log.lines());
    std::panic::set_hook(Box::new(move |panic| {
        let _ = panics.put(panic_line(panic.location(), SystemTime::now()));
    }));
    let result = run(&config, inherited, Arc::new(move |event| tell(event, &lines)));
    let _ = std::panic::take_hook();
    log.end(LOG_TIME);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says why there is no edge.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "agent-releases-edge: {error}");
    ExitCode::FAILURE
}

/// Addresses go to stdout, everything else to the log. Whoever reads them may have gone; that is no reason to stop serving.
fn tell(event: &Event<'_>, lines: &Lines) -> bool {
    let address = match event {
        Event::Listening(address) => format!("listening on http://{address}"),
        Event::AdminListening(address) => format!("admin listening on http://{address}"),
        event => return line(event, SystemTime::now()).is_none_or(|line| lines.put(line)),
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{address}").and_then(|()| stdout.flush()).is_ok()
}
