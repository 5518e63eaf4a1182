//! Reads the files that hold secrets, and notices when they change. Nothing of what stands in them is ever told.

use crate::answer::{BadLine, Credentials, Keys, Links, Secrets, Sessions, Tokens};
use crate::files::{Fingerprint, open_regular};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of the longest file of secrets.
const LONGEST: u64 = 16 << 20;
/// What the mode of a file gives to others, which a file of secrets must not.
pub const OTHERS: u32 = 0o007;

/// What is wrong with a file of such a mode.
pub fn exposed(mode: u32) -> String {
    format!("its mode, {:04o}, gives others permission; take it away with `chmod o= FILE`", mode & 0o7777)
}

/// Where secrets lie, and how they are used. What is unset refuses.
#[derive(Clone, Debug)]
pub struct SecretFiles {
    /// A line a token: `name sha256 [expires_at]`.
    pub tokens: Option<PathBuf>,
    /// A key a line, newest first: signed links.
    pub signing_keys: Option<PathBuf>,
    /// A secret a line, newest first: the application's sessions.
    pub session_secret: Option<PathBuf>,
    /// `access-key-id secret-access-key [session-token]`: a storage whose addresses are signed.
    pub storage_credentials: Option<PathBuf>,
    /// The cookie that holds a session.
    pub session_cookie: String,
    /// The key of a session that has to hold a text.
    pub session_key: String,
    /// Seconds that a session is good.
    pub session_max_age: u64,
    /// Seconds that a signed link is good.
    pub link_lifetime: u64,
}

impl Default for SecretFiles {
    fn default() -> Self {
        Self {
            tokens: None,
            signing_keys: None,
            session_secret: None,
            storage_credentials: None,
            session_cookie: "session".to_owned(),
            session_key: "user_guid".to_owned(),
            session_max_age: 86_400,
            link_lifetime: 3_600,
        }
    }
}

/// Why a file of secrets is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct SecretsError {
    path: String,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("{}", exposed(*.0))]
    Exposed(u32),
    #[error("is not UTF-8")]
    NotText,
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    #[error(transparent)]
    Line(#[from] BadLine),
}

impl SecretFiles {
    /// All secrets, or the first thing that is wrong.
    pub(super) fn read(&self) -> Result<Secrets, SecretsError> {
        let (secrets, mut wrong) = self.read_over(&Secrets::default());
        if wrong.is_empty() { Ok(secrets) } else { Err(wrong.swap_remove(0)) }
    }

    /// What is read from each file that is as it should be, over what was known before; and what is wrong with the others.
    pub(super) fn read_over(&self, before: &Secrets) -> (Secrets, Vec<SecretsError>) {
        let (mut secrets, mut wrong) = (before.clone(), Vec::new());
        match parsed(self.tokens.as_deref(), Tokens::parse) {
            Ok(tokens) => secrets.tokens = tokens.unwrap_or_default().into(),
            Err(error) => wrong.push(error),
        }
        match parsed(self.signing_keys.as_deref(), Keys::parse) {
            Ok(keys) => secrets.links = keys.map(|keys| Links::new(&keys, self.link_lifetime).into()),
            Err(error) => wrong.push(error),
        }
        match parsed(self.session_secret.as_deref(), Keys::parse) {
            Ok(keys) => secrets.sessions = keys.map(|keys| self.sessions(&keys).into()),
            Err(error) => wrong.push(error),
        }
        match parsed(self.storage_credentials.as_deref(), credentials) {
            Ok(credentials) => secrets.storage = credentials.or_else(of_environment).map(Into::into),
            Err(error) => wrong.push(error),
        }
        (secrets, wrong)
    }

    fn sessions(&self, secrets: &Keys) -> Sessions {
        Sessions::new(secrets, &self.session_cookie, &self.session_key, self.session_max_age)
    }

    /// What tells each file from what was there before.
    pub(super) fn fingerprint(&self) -> Vec<Option<Fingerprint>> {
        let files = [&self.tokens, &self.signing_keys, &self.session_secret, &self.storage_credentials];
        files.into_iter().map(|path| Fingerprint::of(path.as_deref()?)).collect()
    }
}

fn parsed<T>(path: Option<&Path>, parse: fn(&str) -> Result<T, BadLine>) -> Result<Option<T>, SecretsError> {
    let Some(path) = path else { return Ok(None) };
    let wrong = |why| SecretsError { path: path.display().to_string(), why };
    let text = text(path).map_err(wrong)?;
    parse(&text).map(Some).map_err(|line| wrong(line.into()))
}

fn text(path: &Path) -> Result<String, Why> {
    let (file, metadata) = open_regular(path)?;
    if metadata.mode() & OTHERS != 0 {
        return Err(Why::Exposed(metadata.mode()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(Why::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Why::NotText)
}

fn credentials(text: &str) -> Result<Credentials, BadLine> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match *words {
        [access_key, secret_key] => Ok(Credentials::new(access_key, secret_key, None)),
        [access_key, secret_key, token] => Ok(Credentials::new(access_key, secret_key, Some(token))),
        _ => Err(BadLine { line: 1, why: "expected `access-key-id secret-access-key`, and perhaps a session token" }),
    }
}

/// The variables that every program of this storage knows.
fn of_environment() -> Option<Credentials> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let token = variable("AWS_SESSION_TOKEN");
    Some(Credentials::new(&variable("AWS_ACCESS_KEY_ID")?, &variable("AWS_SECRET_ACCESS_KEY")?, token.as_deref()))
}
