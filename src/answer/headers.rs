//! The headers of every kind of answer, made once for each snapshot, so that an answer only copies them.
//!
//! A copy has a place ready for each header that an answer adds, because a header map that has to grow is made twice.

use super::Api;
use crate::policy::{Access, Policy};
use http::header::{CONTENT_DISPOSITION, ETAG, HeaderValue, LOCATION};
use http::{HeaderMap, HeaderName};
use std::collections::BTreeMap;

/// Which snapshot answered.
pub(super) const SNAPSHOT: HeaderName = HeaderName::from_static("x-release-snapshot");
/// Why a release is not offered any more.
pub(super) const YANKED: HeaderName = HeaderName::from_static("x-release-yanked");
/// The SHA-256 of an artifact, in hex.
pub(super) const CHECKSUM: HeaderName = HeaderName::from_static("x-checksum-sha256");
/// Of the families' own headers: these are never looked up by their text.
const OWN: [HeaderName; 3] = [SNAPSHOT, YANKED, CHECKSUM];

/// Stands where an answer puts its own value.
const OPEN: HeaderValue = HeaderValue::from_static("");

/// The headers of each kind of answer of one snapshot.
#[derive(Debug)]
pub(super) struct Templates {
    snapshot: HeaderValue,
    v2: Access,
    /// By interface: V2, V1.
    view: [HeaderMap; 2],
    redirect: [HeaderMap; 2],
    all: Vec<(Policy, Access, HeaderMap)>,
}

impl Templates {
    /// The templates of a snapshot: the first digits of its id, and who may ask V2 and V1.
    pub(super) fn new(snapshot: HeaderValue, v2: Access, v1: Access) -> Self {
        let both = |policy| [Access::Public, Access::Required].map(|access| (policy, access));
        let all = Policy::ALL.into_iter().flat_map(both);
        let all = all.map(|(policy, access)| (policy, access, made(policy.headers(access), &snapshot))).collect();
        let open = |policy: Policy, names: &[HeaderName]| {
            [v2, v1].map(|access| {
                let mut headers = made(policy.headers(access), &snapshot);
                headers.extend(names.iter().map(|name| (name.clone(), OPEN)));
                headers
            })
        };
        Self {
            view: open(Policy::View, &[ETAG]),
            redirect: open(Policy::Redirect, &[LOCATION, CONTENT_DISPOSITION, CHECKSUM]),
            all,
            snapshot,
            v2,
        }
    }

    /// Of any kind, for who may ask.
    pub(super) fn of(&self, policy: Policy, access: Access) -> HeaderMap {
        let found = self.all.iter().find(|(other, of, _)| *other == policy && *of == access);
        found.map(|(_, _, headers)| headers.clone()).unwrap_or_default()
    }

    /// Of answers to queries; [`super::document::Document::answer`] sets their tag.
    pub(super) fn view(&self, api: Api) -> HeaderMap {
        let [v2, v1] = &self.view;
        if api == Api::V2 { v2.clone() } else { v1.clone() }
    }

    /// Of a redirect to where an artifact lies; [`super::artifact::redirect`] says where.
    pub(super) fn redirect(&self, api: Api) -> HeaderMap {
        let [v2, v1] = &self.redirect;
        if api == Api::V2 { v2.clone() } else { v1.clone() }
    }

    /// Of a stored document, as the snapshot's index says; its tag is set as it is answered.
    /// `None` when one of the headers is none.
    pub(super) fn document(&self, stored: &BTreeMap<String, String>) -> Option<HeaderMap> {
        let mut headers = made(stored, &self.snapshot);
        // The snapshot's is added to them.
        let all = headers.len() == stored.len().saturating_add(1);
        headers.insert(ETAG, OPEN);
        all.then_some(headers)
    }

    /// Who may ask V2.
    pub(super) fn v2_access(&self) -> Access {
        self.v2
    }
}

fn made(pairs: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>, snapshot: &HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in pairs {
        insert(&mut headers, name.as_ref(), value.as_ref());
    }
    headers.insert(SNAPSHOT, snapshot.clone());
    headers
}

/// Adds a header of the policy table; its names and values are valid, a wrong one would be left out.
///
/// Values that the policy table knows are not copied: copies are counted, and a count is what two cores would fight for.
pub(super) fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let own = OWN.into_iter().find(|own| own.as_str().eq_ignore_ascii_case(name));
    let value =
        Policy::known_value(value).map_or_else(|| HeaderValue::try_from(value), |known| Ok(HeaderValue::from_static(known)));
    if let (Some(name), Ok(value)) = (own.or_else(|| HeaderName::try_from(name).ok()), value) {
        headers.insert(name, value);
    }
}

/// Whether both say the same, in the same order, the id of the snapshot aside.
pub(super) fn same_but_for_snapshot(a: &HeaderMap, b: &HeaderMap) -> bool {
    let said = |(name, _): &(&HeaderName, &HeaderValue)| *name != SNAPSHOT;
    a.iter().filter(said).eq(b.iter().filter(said))
}
