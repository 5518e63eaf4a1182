//! `private/site.json`: what the edge needs besides the documents and the redirect map to know every answer.

use super::json;
use crate::catalog::{self, Catalog};
use crate::site_table::{ChannelEntry, ReleaseEntry, SiteTable, State};
use crate::snapshot::{SITE, Snapshot};
use crate::words::Timestamp;

/// Adds the table.
pub(super) fn render(catalog: &Catalog, snapshot: &mut Snapshot) {
    let version_at = |index: usize| catalog.releases().get(index).map(|release| release.version.as_str());
    let table = SiteTable {
        product: catalog.product().into(),
        v2_access: catalog.v2_access(),
        channels: catalog
            .channels()
            .iter()
            .map(|channel| ChannelEntry { name: channel.name.as_str().into(), head: channel.head.and_then(version_at) })
            .collect(),
        v1: catalog.v1().map(|v1| super::v1::entry(catalog, v1)),
        releases: catalog
            .releases()
            .iter()
            .map(|release| ReleaseEntry {
                version: release.version.as_str().into(),
                channels: release.channels.clone(),
                default_channel: catalog.default_channel(release),
                state: match release.state {
                    catalog::State::Published => State::Published,
                    catalog::State::Yanked(_) => State::Yanked,
                    catalog::State::Recalled(_) => State::Recalled,
                },
                reason: release.state.reason().map(|reason| reason.as_str().into()),
                published_at: release.published_at.as_ref().map(Timestamp::as_str),
            })
            .collect(),
    };
    snapshot.internal(SITE, json(&table));
}
