//! Where an artifact or attachment is redirected to, as the redirect map says.

use crate::redirects;
use crate::words::{Platform, StorageKey, Word};
use http::header::HeaderValue;
use std::sync::Arc;

/// Where an artifact or attachment is redirected to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    /// `None` for an attachment.
    pub(super) platform: Option<Platform>,
    pub(super) filename: Box<str>,
    pub(super) location: HeaderValue,
    /// Where in the location the storage key begins.
    key_at: usize,
    pub(super) size_bytes: Option<u64>,
    pub(super) disposition: HeaderValue,
    /// Shared by all that have it.
    pub(super) content_type: Arc<str>,
    pub(super) checksum: Option<HeaderValue>,
}

impl Target {
    /// What a row of the map says; `content_types` are those that were read, because there are few.
    pub(super) fn read(row: &redirects::Row<'_>, content_types: &mut Vec<Arc<str>>) -> Option<Self> {
        StorageKey::parse(&row.key).ok()?;
        let known = content_types.iter().find(|known| ***known == *row.content_type).cloned();
        let content_type = known.unwrap_or_else(|| {
            let new: Arc<str> = row.content_type.as_ref().into();
            content_types.push(Arc::clone(&new));
            new
        });
        Some(Self {
            platform: row.platform.map(Platform::parse).transpose().ok()?,
            filename: row.filename.as_ref().into(),
            location: HeaderValue::try_from(row.location.as_ref()).ok()?,
            key_at: row.location.len().checked_sub(row.key.len())?,
            size_bytes: row.size_bytes,
            disposition: HeaderValue::try_from(["attachment; filename=\"", &*row.filename, "\""].concat()).ok()?,
            content_type,
            checksum: row.sha256.map(HeaderValue::try_from).transpose().ok()?,
        })
    }

    /// Where its bytes lie below the storage's base.
    pub(super) fn key(&self) -> &str {
        self.location.to_str().ok().and_then(|location| location.get(self.key_at..)).unwrap_or_default()
    }
}
