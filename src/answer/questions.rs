//! The finite set of questions: every public address of a site, so that all its answers can be compared and checked.

use super::Site;
use crate::lists::{Order, SortBy};
use crate::redirects::LOCAL_BASE;

/// Every question that has an answer of its own, sorted: each document, view, list, and download.
pub fn questions(site: &Site) -> Vec<String> {
    let mut all: Vec<String> = site.document_paths().map(str::to_owned).collect();
    for channel in site.channels() {
        let name = &channel.name;
        all.push(format!("/v2/agent-releases/latest?channel={name}"));
        for query in ["platform=windows", "platform=macos&arch=arm64", "platform=macos&arch=x86_64"] {
            all.push(format!("/v2/agent-releases/latest/download?channel={name}&{query}"));
        }
        for sort_by in SortBy::WORDS {
            for order in [Order::Asc, Order::Desc] {
                all.push(format!("/v2/agent-releases?channel={name}&sort_by={sort_by}&sort_order={}", order.as_str()));
            }
        }
    }
    for release in site.releases() {
        let version = &release.version;
        all.push(format!("/v2/agent-releases/{version}"));
        let views = site.channels().iter().zip(&release.views).filter(|(_, view)| view.is_some());
        all.extend(views.map(|(channel, _)| format!("/v2/agent-releases/{version}?channel={}", channel.name)));
        for target in &release.targets {
            let platform = crate::words::Platform::ALL.into_iter().find(|platform| target.platform.as_deref() == Some(platform.id()));
            if let Some(query) = platform.and_then(crate::words::Platform::query) {
                all.push(format!("/v2/agent-releases/{version}/download?{query}"));
            }
            let folder = platform.map_or("files", crate::words::Platform::folder);
            all.push(format!("/v2/agent-releases/{version}/download/{folder}/{}", target.filename));
            if let Some(location) = target.location.to_str().ok().filter(|location| location.starts_with(LOCAL_BASE)) {
                all.push(location.to_owned());
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}
