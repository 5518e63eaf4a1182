//! What the edge knows and a site must not hold: tokens, session secrets, signing keys, and the key of a storage.

use super::access::{Sessions, Tokens};
use super::presign::Credentials;
use super::signing::Links;
use std::sync::{Arc, LazyLock};

/// All secrets together; what is unset refuses. Each part can be replaced by itself.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Who may ask with `Authorization: Bearer`.
    pub tokens: Arc<Tokens>,
    /// Who may ask with a session cookie.
    pub sessions: Option<Arc<Sessions>>,
    /// What links are signed with.
    pub links: Option<Arc<Links>>,
    /// Who signs for the storage.
    pub storage: Option<Arc<Credentials>>,
    /// Everybody is let through: for those who have the sources anyway.
    pub(super) trusting: bool,
}

static NONE: LazyLock<Secrets> = LazyLock::new(Secrets::default);
static TRUSTING: LazyLock<Secrets> = LazyLock::new(|| Secrets { trusting: true, ..Secrets::default() });

impl Secrets {
    /// These secrets.
    pub fn new(tokens: Tokens, sessions: Option<Sessions>, links: Option<Links>, storage: Option<Credentials>) -> Self {
        let (sessions, links, storage) = (sessions.map(Arc::new), links.map(Arc::new), storage.map(Arc::new));
        Self { tokens: tokens.into(), sessions, links, storage, trusting: false }
    }

    /// Whether anybody could be let through: there is a token, or sessions are known.
    pub fn knows_somebody(&self) -> bool {
        !self.tokens.is_empty() || self.sessions.is_some()
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
