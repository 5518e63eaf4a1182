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

    /// The family of a path.
    pub fn of(path: &str) -> Self {
        let bases = [
            ("/v2/agent-releases", Family::V2),
            ("/artifacts", Family::Artifacts),
            ("/internal/v1/agent", Family::V1),
            ("/api/agent/v1/releases", Family::Active),
        ];
        let below = |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        bases.into_iter().find(|(base, _)| below(base)).map_or(Family::Other, |(_, family)| family)
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
