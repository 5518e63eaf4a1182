//! The families of addresses: which rules, which words of refusal and whose access a path falls under.

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `/v2/agent-releases…`
    V2,
    /// `/internal/v1/agent/…`
    V1,
    /// `/api/agent/v1/releases/…`
    Active,
    /// `/artifacts/…`, the edge's own store.
    Artifacts,
    /// Everything else.
    Other,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 5] = [Family::V2, Family::V1, Family::Active, Family::Artifacts, Family::Other];

    /// Where its addresses begin; nowhere of their own for the others.
    pub const fn base(self) -> &'static str {
        match self {
            Family::V2 => "/v2/agent-releases",
            Family::V1 => "/internal/v1/agent",
            Family::Active => "/api/agent/v1/releases",
            Family::Artifacts => "/artifacts",
            Family::Other => "/",
        }
    }

    /// The family of a path.
    pub fn of(path: &str) -> Self {
        let below = |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        Self::ALL.into_iter().find(|family| *family == Family::Other || below(family.base())).unwrap_or(Family::Other)
    }

    /// Its name, as operators know it.
    pub const fn name(self) -> &'static str {
        match self {
            Family::V2 => "v2",
            Family::V1 => "v1",
            Family::Active => "active",
            Family::Artifacts => "artifacts",
            Family::Other => "other",
        }
    }
}

/// Whether a page at this path says something of releases, so that it is for those who may ask V2.
pub(super) fn is_page_of_releases(path: &str) -> bool {
    ["/releases/", "/feeds/", "/sitemaps/"].iter().any(|folder| path.starts_with(folder))
}
