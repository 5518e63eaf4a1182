//! Where an artifact's bytes lie below the storage's base address.

use super::filename::{is_device, is_segment};
use super::{Arch, Expected, FileName, Os, Platform, Sha256, Version, Word, text_word};

/// A relative path of plain segments, at most 512 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageKey(Box<str>);
text_word!(StorageKey);

impl Word for StorageKey {
    fn parse(text: &str) -> Result<Self, Expected> {
        let plain = |segment: &str| {
            is_segment(segment) && !is_device(segment) && !segment.ends_with('.') && !segment.starts_with(['-', '.'])
        };
        if text.len() <= 512 && text.split('/').all(plain) {
            Ok(Self(text.into()))
        } else {
            Err("a storage key: a relative path of letters, digits, dots, hyphens and underscores")
        }
    }
}

/// How keys are made: plain text with `{sha256}`, `{filename}`, `{version}`, `{platform}`, `{os}` and `{arch}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate(Box<str>);
text_word!(KeyTemplate);

/// What a template's placeholders stand for; an attachment has no platform.
#[derive(Clone, Copy)]
pub struct KeyParts<'a> {
    /// `{version}`
    pub version: &'a Version,
    /// `{filename}`
    pub filename: &'a FileName,
    /// `{sha256}`
    pub sha256: &'a Sha256,
    /// `{platform}`, `{os}` and `{arch}`; `files`, `files` and `any` for an attachment.
    pub platform: Option<Platform>,
}

impl Default for KeyTemplate {
    fn default() -> Self {
        Self("{sha256}/{filename}".into())
    }
}

impl Word for KeyTemplate {
    fn parse(text: &str) -> Result<Self, Expected> {
        let example = Self(text.into()).fill(|name| {
            let known = matches!(name, "sha256" | "filename" | "version" | "platform" | "os" | "arch");
            known.then(|| "x".to_owned())
        });
        let example = example.ok_or("a key made of text and {sha256}, {filename}, {version}, {platform}, {os} or {arch}")?;
        StorageKey::parse(&example)?;
        Ok(Self(text.into()))
    }
}

impl KeyTemplate {
    /// The key of one artifact or attachment.
    pub fn key(&self, parts: KeyParts<'_>) -> Result<StorageKey, Expected> {
        let text = self.fill(|name| {
            Some(match name {
                "sha256" => parts.sha256.hex(),
                "filename" => parts.filename.to_string(),
                "version" => parts.version.to_string(),
                "platform" => parts.platform.map_or("files", Platform::id).to_owned(),
                "os" => parts.platform.map_or("files", |p| Os::as_str(p.os())).to_owned(),
                "arch" => parts.platform.map_or("any", |p| Arch::as_str(p.arch())).to_owned(),
                _ => return None,
            })
        });
        StorageKey::parse(&text.unwrap_or_default())
    }

    fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut out = String::new();
        let mut rest = &*self.0;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(&value(name)?);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }
}
