//! What the edge knows and a site must not hold: tokens, session secrets, signing keys, and the key of a storage.

use super::access::{Sessions, Tokens};
use super::presign::Credentials;
use super::signing::Links;
use std::sync::LazyLock;

/// All secrets together; what is unset refuses.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Who may ask with `Authorization: Bearer`.
    pub(super) tokens: Tokens,
    /// Who may ask with a session cookie.
    pub(super) sessions: Option<Sessions>,
    /// What links are signed with.
    pub(super) links: Option<Links>,
    /// Who signs for the storage.
    pub(super) storage: Option<Credentials>,
    /// Everybody is let through: for those who have the sources anyway.
    pub(super) trusting: bool,
}

static NONE: LazyLock<Secrets> = LazyLock::new(Secrets::default);
static TRUSTING: LazyLock<Secrets> = LazyLock::new(|| Secrets { trusting: true, ..Secrets::default() });

impl Secrets {
    /// These secrets.
    pub fn new(tokens: Tokens, sessions: Option<Sessions>, links: Option<Links>, storage: Option<Credentials>) -> Self {
        Self { tokens, sessions, links, storage, trusting: false }
    }

    /// Whether anybody could be let through: there is a token, or sessions are known.
    pub fn knows_somebody(&self) -> bool {
        !self.tokens.is_empty() || self.sessions.is_some()
    }

    /// Whether links can be signed.
    pub fn signs_links(&self) -> bool {
        self.links.is_some()
    }

    /// Whether addresses of a storage can be signed.
    pub fn signs_for_storage(&self) -> bool {
        self.storage.is_some()
    }

    /// No secret at all: whoever has to show something is refused.
    pub fn none() -> &'static Self {
        &NONE
    }

    /// No secret, and nobody is refused: how `plan` and `resolve` ask.
    pub fn trusting() -> &'static Self {
        &TRUSTING
    }
}
