//! GitHub's releases, as its REST API gives them.

use super::{
    Candidate, Deserialize, HttpsUrl, ManifestText, RawValue, Reader, Timestamp, Value, Version, Word, any_text, digest, field,
    shown,
};

/// A release of GitHub's REST API.
#[derive(Deserialize)]
struct GithubRelease<'t> {
    tag_name: Option<Value>,
    html_url: Option<Value>,
    published_at: Option<Value>,
    draft: Option<Value>,
    #[serde(borrow)]
    assets: Option<&'t RawValue>,
}

/// A file of a [`GithubRelease`].
#[derive(Deserialize)]
struct GithubAsset {
    name: Option<Value>,
    state: Option<Value>,
    size: Option<Value>,
    digest: Option<Value>,
    content_type: Option<Value>,
    browser_download_url: Option<Value>,
}

/// GitHub's documents.
impl Reader<'_> {
    pub(super) fn github_release(&mut self, at: &str, text: &str) -> Option<ManifestText> {
        let document: GithubRelease<'_> = self.table(at, text)?;
        let tag = self.required(&field(at, "tag_name"), document.tag_name, any_text)?;
        let version = match Version::parse(tag.strip_prefix('v').unwrap_or(&tag)) {
            Ok(version) => version,
            Err(expected) => {
                self.warn(&field(at, "tag_name"), &format!("`{}` is skipped: expected {expected}", shown(&tag)));
                self.skipped = self.skipped.saturating_add(1);
                return None;
            }
        };
        let published_at = self.word(&field(at, "published_at"), document.published_at, Timestamp::from_input);
        let notes_url = self.word(&field(at, "html_url"), document.html_url, HttpsUrl::parse);
        let draft = match document.draft {
            None => false,
            Some(Value::Bool(draft)) => draft,
            Some(other) => {
                self.mismatch(&field(at, "draft"), "`true` or `false`", &other.to_string());
                false
            }
        };
        let assets = document.assets.map(|assets| self.list(&field(at, "assets"), assets.get())).unwrap_or_default();
        let candidates = assets.into_iter().filter_map(|(at, asset)| self.github_asset(at, asset)).collect();
        let (artifacts, attachments) = self.arrange(&version, candidates);
        Some(ManifestText { published_at, notes_url, draft, artifacts, attachments, ..self.bare(version) })
    }

    fn github_asset(&mut self, at: String, text: &str) -> Option<Candidate> {
        let document: GithubAsset = self.table(&at, text)?;
        let name = self.required(&field(&at, "name"), document.name, any_text)?;
        let unfinished = document.state.as_ref().and_then(Value::as_str).is_some_and(|state| state != "uploaded");
        if unfinished || document.size.as_ref().and_then(Value::as_u64) == Some(0) {
            self.warn(
                &at,
                &format!("`{}` is skipped: it is {}", shown(&name), if unfinished { "not uploaded completely" } else { "empty" }),
            );
            return None;
        }
        let hashed = document.digest.is_some();
        let sha256 = self.word(&field(&at, "digest"), document.digest, |text| {
            digest(text.strip_prefix("sha256:").ok_or("`sha256:` and 64 hex digits")?)
        });
        if hashed && sha256.is_none() {
            return None;
        }
        let size_bytes = self.size(&field(&at, "size"), document.size);
        let content_type = self.content_type(&field(&at, "content_type"), document.content_type);
        let key = self.own_key(&field(&at, "browser_download_url"), document.browser_download_url.as_ref());
        let platform = self.platform(&at, &name, &name);
        Some(Candidate { at, name, platform, size_bytes, sha256, content_type, key })
    }
}
