//! The compiled site, indexed for answering: made once from a verified snapshot, never changed.

use super::artifact::{Absent, Stored};
use super::document::{Document, StaticDocument};
use super::family::is_page_of_releases;
use super::headers::{Templates, YANKED};
use super::legacy::Legacy;
use super::presign::Presign;
use super::target::Target;
use super::{Api, Family, Why, active, consistency, list};
use crate::lists::{DEFAULT_PAGE_SIZE, SortBy, SortKey};
use crate::policy::{Access, Policy};
use crate::redirects::{self, LOCAL_BASE, ReadMap};
use crate::site_table::{ActiveTable, ReleaseEntry, SiteTable, State};
use crate::snapshot::{ACTIVE, Damage, Files, Headers, Index, LEDGER, REDIRECTS, Row, SITE, is_hashed, read_files, read_index};
use crate::words::{self, Guid, Platform, Sha256, Timestamp, Version, Word};
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::HeaderValue;
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const DIGITS_OF_ID: usize = 16;
/// The file of a page in its folder.
const PAGE: &str = "index.html";
const NOT_FOUND: &str = "/404.html";

/// Every answer, ready.
#[derive(Debug)]
pub struct Site {
    id: String,
    generation: u64,
    product: String,
    /// A storage has an address, the edge has artifacts of its own.
    has_base_url: bool,
    has_local_store: bool,
    presign: Option<Presign>,
    legacy: Option<Legacy>,
    active: FxHashMap<Guid, usize>,
    active_document: Option<active::Document>,
    /// Nobody but the compiler puts keys into these maps, so their hashes need not be secret, only quick.
    documents: FxHashMap<Box<str>, StaticDocument>,
    channels: Vec<Channel>,
    releases: Vec<Release>,
    by_version: FxHashMap<Box<str>, usize>,
    stored: FxHashMap<Box<str>, Arc<Stored>>,
    templates: Templates,
    ready_pages: Vec<Vec<list::Made>>,
}

/// Why a snapshot does not become a site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Its files are not as recorded.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Its files do not fit each other.
    #[error("{path}: does not fit the rest of the snapshot: {why}; build it again")]
    Inconsistent {
        /// The file.
        path: String,
        /// What does not fit.
        why: String,
    },
}

/// A channel, and the releases that it offers.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: Box<str>,
    pub(super) head: Option<usize>,
    /// Offered releases with a time, ascending by time, then version.
    pub(super) timed: Vec<usize>,
    /// Offered releases without a time, ascending by version.
    pub(super) untimed: Vec<usize>,
    /// Offered releases, ascending by version.
    pub(super) sorted: Vec<usize>,
}

/// A release, with the answers about it.
#[derive(Debug, PartialEq)]
pub(super) struct Release {
    pub(super) version: Version,
    pub(super) published_at: Option<Timestamp>,
    pub(super) offered: bool,
    pub(super) yanked: Option<HeaderValue>,
    pub(super) recalled: Option<Box<str>>,
    pub(super) default_channel: usize,
    v2: Shown,
    v1: Option<Shown>,
    pub(super) targets: Vec<Target>,
}

/// A release's document in one interface.
#[derive(Debug, PartialEq)]
struct Shown {
    /// From the hash of the document without its channel; a list page's tag is made of these.
    tag: u128,
    /// As each channel shows it; `None` for a channel that the release is not in.
    views: Vec<Option<Document>>,
}

impl Site {
    /// Reads, verifies and indexes a snapshot's folder. `local_store`: whether the edge holds artifacts itself.
    pub fn open(folder: &Path, local_store: bool) -> Result<Self, SiteError> {
        let index = read_index(folder)?;
        let served = |path: &str| {
            path.starts_with("public/") || path == SITE || path == ACTIVE || path == REDIRECTS || is_private_document(path)
        };
        let files = read_files(folder, index.files.iter().chain(&index.kept).filter(|row| served(&row.path)))?;
        Self::new(&index, &files, local_store)
    }

    /// Indexes a snapshot whose files are in memory.
    pub fn new(index: &Index, files: &Files, local_store: bool) -> Result<Self, SiteError> {
        let wrong = |path: &str, why: String| SiteError::Inconsistent { path: path.to_owned(), why };
        let bytes = |path: &str| files.get(path).ok_or_else(|| wrong(path, "it is missing".to_owned()));
        let table: SiteTable<'_> = serde_json::from_slice(bytes(SITE)?).map_err(|error| wrong(SITE, error.to_string()))?;
        let map: ReadMap<'_> = serde_json::from_slice(bytes(REDIRECTS)?).map_err(|error| wrong(REDIRECTS, error.to_string()))?;
        let digits = index.id.get(..DIGITS_OF_ID).unwrap_or(&index.id);
        let snapshot_header = HeaderValue::try_from(digits).map_err(|error| wrong(crate::snapshot::INDEX, error.to_string()))?;
        let mut site = Self {
            id: index.id.clone(),
            generation: index.generation,
            product: table.product.to_string(),
            has_base_url: map.base_url.is_some(),
            has_local_store: local_store,
            presign: map.presign.as_ref().map(|presign| Presign { region: (*presign.region).into(), lifetime: presign.lifetime }),
            legacy: table.v1.as_ref().map(Legacy::read).transpose().map_err(|error| wrong(SITE, error.to_string()))?,
            active: FxHashMap::default(),
            active_document: None,
            documents: FxHashMap::default(),
            channels: Vec::new(),
            releases: Vec::with_capacity(table.releases.len()),
            by_version: FxHashMap::with_capacity_and_hasher(table.releases.len(), Default::default()),
            stored: FxHashMap::default(),
            templates: Templates::new(snapshot_header, table.v2_access, table.v1.as_ref().map_or(Access::Public, |v1| v1.access)),
            ready_pages: Vec::new(),
        };
        let mut shared = HashMap::new();
        // The id says nothing of what is kept, so that is nothing but what is named by its hash.
        let kept = index.kept.iter().filter(|row| is_hashed(&row.path) && index.row(&row.path).is_none());
        for row in index.files.iter().chain(kept) {
            site.add_document(row, files, &mut shared)
                .ok_or_else(|| wrong(&row.path, "a form of it is missing, or a header is none".to_owned()))?;
        }
        let prefixes: Vec<Bytes> = table.channels.iter().map(|channel| channel_prefix(&channel.name)).collect();
        for entry in &table.releases {
            site.add_release(entry, &prefixes, index, files).map_err(|why| wrong(SITE, why))?;
        }
        site.add_channels(&table).map_err(|why| wrong(SITE, why))?;
        if !site.channels.iter().any(|channel| &*channel.name == words::Channel::STABLE) {
            return Err(wrong(SITE, format!("the channel `{}` is not there", words::Channel::STABLE)));
        }
        site.add_targets(&map).map_err(|why| wrong(REDIRECTS, why))?;
        let active: ActiveTable<'_> = serde_json::from_slice(bytes(ACTIVE)?).map_err(|error| wrong(ACTIVE, error.to_string()))?;
        site.add_active(&active).map_err(|why| wrong(ACTIVE, why))?;
        if let Some(chosen) = &active.chosen {
            let guid = active.releases.last().map_or("", |entry| &entry.guid);
            consistency::the_active_document_is_that_of_its_release(chosen, guid, &map).map_err(|why| wrong(ACTIVE, why))?;
        }
        consistency::keys_lead_to_one_artifact(&map).map_err(|why| wrong(REDIRECTS, why))?;
        consistency::documents_offer_what_the_map_leads_to(&site, &map).map_err(|why| wrong(REDIRECTS, why))?;
        // With thousands of releases its rows take as much room as the pages do that come now.
        drop(map);
        site.ready_pages = list::ready_pages(&site);
        consistency::static_documents_are_the_answers(&site).map_err(|why| wrong(SITE, why))?;
        consistency::v1_answers_are_those_of_its_documents(&site).map_err(|why| wrong(SITE, why))?;
        Ok(site)
    }

    /// The id of the snapshot.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many times the live site had been replaced when this one was published; 0 when it never was published.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The first digits of the id, as answers show them.
    pub fn short_id(&self) -> &str {
        self.id.get(..DIGITS_OF_ID).unwrap_or(&self.id)
    }

    /// What the releases are releases of.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// How many releases there are, drafts aside.
    pub fn release_count(&self) -> usize {
        self.releases.len()
    }

    /// The version of the release at an index, as [`super::Why::release`] gives it.
    pub fn version(&self, release: usize) -> Option<&str> {
        self.releases.get(release).map(|release| release.version.as_str())
    }

    /// The name of the channel at an index, as [`super::Why::channel`] gives it.
    pub fn channel_name(&self, channel: usize) -> Option<&str> {
        self.channels.get(channel).map(|channel| &*channel.name)
    }

    /// The names of the channels, as declared.
    pub fn channel_names(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().map(|channel| &*channel.name)
    }

    pub(super) fn v2_access(&self) -> Access {
        self.templates.v2_access()
    }

    /// The headers of each kind of answer, the snapshot's id among them.
    pub(super) fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Whether downloads have somewhere to lead to: a storage with an address, or the edge's own.
    pub fn has_store(&self) -> bool {
        self.has_base_url || self.has_local_store
    }

    /// Whether some address asks for credentials, the Active API's aside.
    pub fn requires_access(&self) -> bool {
        self.v2_access() == Access::Required || self.legacy().is_some_and(|legacy| legacy.access == Access::Required)
    }

    /// Whether some release is active.
    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Whether redirects to the storage are to be signed.
    pub fn is_presigned(&self) -> bool {
        self.presign.is_some()
    }

    pub(super) fn has_base_url(&self) -> bool {
        self.has_base_url
    }

    /// Whether an agent can be given the bytes themselves, as those that update themselves need it.
    pub fn has_local_store(&self) -> bool {
        self.has_local_store
    }

    pub(super) fn presign(&self) -> Option<&Presign> {
        self.presign.as_ref()
    }

    pub(super) fn legacy(&self) -> Option<&Legacy> {
        self.legacy.as_ref()
    }

    /// What answers to this path have to say of V1, if it is one of V1's.
    pub(super) fn legacy_of(&self, path: &str) -> Option<&Legacy> {
        self.legacy().filter(|_| Family::of(path) == Family::V1)
    }

    /// The release that has this guid, if it is active.
    pub(super) fn active_release(&self, guid: Guid) -> Option<(usize, &Release)> {
        let index = *self.active.get(&guid)?;
        self.releases.get(index).map(|release| (index, release))
    }

    /// The identifiers of the active releases, each with its release.
    pub(super) fn active_releases(&self) -> impl Iterator<Item = (Guid, &Release)> {
        self.active.iter().filter_map(|(guid, index)| Some((*guid, self.releases.get(*index)?)))
    }

    pub(super) fn active_document(&self) -> Option<&active::Document> {
        self.active_document.as_ref()
    }

    /// The document at a path; a page is that of its folder, whether its file is named or not.
    pub(super) fn document(&self, path: &str) -> Option<&StaticDocument> {
        let named = || self.documents.get(path.strip_suffix(PAGE).filter(|folder| folder.ends_with('/'))?);
        self.documents.get(path).or_else(named)
    }

    /// What people see where there is nothing.
    pub(super) fn not_found_page(&self) -> Option<&StaticDocument> {
        self.documents.get(NOT_FOUND)
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = (&str, &StaticDocument)> {
        self.documents.iter().map(|(path, document)| (&**path, document))
    }

    /// Whether both sites answer alike about what they hold alike.
    pub(super) fn answers_like(&self, other: &Site) -> bool {
        let names = |site: &Site| site.channels.iter().map(|channel| channel.name.clone()).collect::<Vec<_>>();
        self.v2_access() == other.v2_access()
            && (self.has_base_url, self.has_local_store) == (other.has_base_url, other.has_local_store)
            && self.presign == other.presign
            && self.legacy == other.legacy
            && names(self) == names(other)
    }

    /// The page of a list from a place on, of the usual size, if it is ready.
    pub(super) fn ready_page(&self, question: list::Question, start: usize) -> Option<&list::Made> {
        let is_ready = question.api == Api::V2 && start.is_multiple_of(DEFAULT_PAGE_SIZE);
        let page = start.checked_div(DEFAULT_PAGE_SIZE).filter(|_| is_ready)?;
        self.ready_pages.get(question.place())?.get(page)
    }

    pub(super) fn stored(&self, key: &str) -> Option<&Arc<Stored>> {
        self.stored.get(key)
    }

    /// The artifacts that the edge serves from its own store, each once.
    pub(super) fn all_stored(&self) -> impl Iterator<Item = &Stored> {
        self.stored.values().map(|stored| &**stored)
    }

    pub(super) fn channels(&self) -> &[Channel] {
        &self.channels
    }

    pub(super) fn releases(&self) -> &[Release] {
        &self.releases
    }

    pub(super) fn release(&self, version: &str) -> Option<(usize, &Release)> {
        let index = *self.by_version.get(version)?;
        self.releases.get(index).map(|release| (index, release))
    }

    /// Who may ask the family that a path belongs to. What belongs to none is public.
    pub(super) fn family_access(&self, path: &str) -> Access {
        let family = match Family::of(path) {
            Family::V2 | Family::Artifacts => self.v2_access(),
            Family::V1 => self.legacy().map_or(Access::Public, |legacy| legacy.access),
            Family::Active => Access::Required,
            Family::Other if is_page_of_releases(path) => self.v2_access(),
            Family::Other => Access::Public,
        };
        self.document(path).map_or(family, StaticDocument::access)
    }

    fn add_document(&mut self, row: &Row, files: &Files, shared: &mut HashMap<Arc<Headers>, Arc<HeaderMap>>) -> Option<()> {
        let (address, access) = match row.path.strip_prefix("public/") {
            Some(address) => (address, Access::Public),
            None if is_private_document(&row.path) => (row.path.strip_prefix("private/")?, Access::Required),
            None => return Some(()),
        };
        let form = |path: &str, sha256: &Sha256| Some(Document::new(files.get(path)?.clone(), sha256));
        let encoded = row
            .encodings
            .iter()
            .map(|(encoding, encoded)| Some((encoding, form(&format!("{}{}", row.path, encoding.ending()), &encoded.sha256)?)));
        let address = format!("/{address}");
        let mut said = Arc::clone(&row.headers);
        if self.legacy_of(&address).is_some() {
            // Each answer is marked as it is made, so that documents that differ in their twins alone share the rest.
            Arc::make_mut(&mut said).retain(|name, _| !["Deprecation", "Sunset", "Link"].contains(&name.as_str()));
        }
        let headers = match shared.get(&said) {
            Some(known) => Arc::clone(known),
            None => {
                let made = Arc::new(self.templates.document(&said)?);
                shared.insert(said, Arc::clone(&made));
                made
            }
        };
        let document =
            StaticDocument { access, headers, identity: form(&row.path, &row.sha256)?, encoded: encoded.collect::<Option<_>>()? };
        self.documents.insert(address.strip_suffix(PAGE).unwrap_or(&address).into(), document);
        Some(())
    }

    fn add_release(&mut self, entry: &ReleaseEntry<'_>, prefixes: &[Bytes], index: &Index, files: &Files) -> Result<(), String> {
        let version =
            Version::parse(&entry.version).map_err(|expected| format!("expected {expected}, found `{}`", entry.version))?;
        if self.releases.last().is_some_and(|last| last.version >= version) {
            return Err(format!("`{version}` is out of order"));
        }
        let folder = |access: Access| if access == Access::Public { "public" } else { "private" };
        let v2 = format!("{}/v2/agent-releases/{version}.json", folder(self.v2_access()));
        let v2 = Shown::read(&v2, entry, prefixes, index, files)?;
        let v1 = self.legacy.as_ref().filter(|legacy| !legacy.is_retired());
        let v1 = v1.map(|legacy| format!("{}/internal/v1/agent/releases/{version}.json", folder(legacy.access)));
        let v1 = v1.map(|path| Shown::read(&path, entry, prefixes, index, files)).transpose()?;
        let reason = entry.reason.as_deref().unwrap_or_default();
        let published_at =
            entry.published_at.map(Timestamp::parse).transpose().map_err(|expected| format!("expected {expected}"))?;
        self.by_version.insert(version.as_str().into(), self.releases.len());
        self.releases.push(Release {
            published_at,
            offered: entry.state == State::Published,
            yanked: (entry.state == State::Yanked)
                .then(|| HeaderValue::try_from(reason))
                .transpose()
                .map_err(|error| error.to_string())?,
            recalled: (entry.state == State::Recalled).then(|| reason.into()),
            default_channel: entry.default_channel,
            v2,
            v1,
            targets: Vec::new(),
            version,
        });
        Ok(())
    }

    fn add_channels(&mut self, table: &SiteTable<'_>) -> Result<(), String> {
        for (index, entry) in table.channels.iter().enumerate() {
            let head = entry
                .head
                .map(|version| self.by_version.get(version).copied().ok_or_else(|| format!("the head `{version}` is not there")))
                .transpose()?;
            let offered =
                self.releases.iter().enumerate().filter(|(_, release)| release.offered && release.view(Api::V2, index).is_some());
            let sorted: Vec<usize> = offered.map(|(place, _)| place).collect();
            let (mut timed, untimed): (Vec<usize>, Vec<usize>) = sorted
                .iter()
                .copied()
                .partition(|place| self.releases.get(*place).is_some_and(|release| release.published_at.is_some()));
            // The sort is stable and its input ascends by version, which is the order of equal times.
            timed.sort_by_key(|place| self.releases.get(*place).and_then(|release| release.published_at.clone()));
            self.channels.push(Channel { name: entry.name.as_ref().into(), head, timed, untimed, sorted });
        }
        Ok(())
    }

    /// Where downloads lead to. The rows of a release stand together.
    fn add_targets(&mut self, map: &ReadMap<'_>) -> Result<(), String> {
        let base = map.base_url.as_deref().unwrap_or(LOCAL_BASE);
        let mut content_types: Vec<Arc<str>> = Vec::new();
        for rows in map.rows.chunk_by(|a, b| a.version == b.version) {
            let mut targets = Vec::with_capacity(rows.len());
            for row in rows {
                if row.location.strip_prefix(base) != Some(&row.key) {
                    return Err(format!("`{}` of `{}` does not lie in the storage", row.filename, row.version));
                }
                let wrong = || format!("the row of `{}` of `{}`", row.filename, row.version);
                let target = Target::read(row, &mut content_types).ok_or_else(wrong)?;
                if map.base_url.is_none() {
                    self.add_stored(row, &target).ok_or_else(wrong)?;
                }
                targets.push(target);
            }
            if let Some(redirects::Row { version, .. }) = rows.first() {
                let release = self.by_version.get(&**version).and_then(|release| self.releases.get_mut(*release));
                release.ok_or_else(|| format!("`{version}` is no release"))?.targets.append(&mut targets);
            }
        }
        Ok(())
    }

    /// The artifact itself, which the edge serves; of several releases that have it, one that is offered comes first.
    fn add_stored(&mut self, row: &redirects::Row<'_>, target: &Target) -> Option<()> {
        if self.stored.get(&*row.key).is_some_and(|stored| stored.is_offered()) {
            return Some(());
        }
        let named_by_hash = row.sha256.is_some_and(|sha256| row.key.contains(sha256));
        let policy = if named_by_hash { Policy::ArtifactFrozen } else { Policy::ArtifactMoving };
        let headers = self.templates.of(policy, self.v2_access());
        let release = self.releases.get(*self.by_version.get(&*row.version)?)?;
        let recalled = release.recalled.clone().map(|reason| (release.version.as_str().into(), reason));
        // Whoever is redirected here has been counted.
        let why = Why::rule("an artifact from the edge's own store");
        let stored = Stored::new(target, &row.key, headers, recalled, Absent::NoSuchAddress, why)?;
        self.stored.insert(row.key.as_ref().into(), Arc::new(stored));
        Some(())
    }

    fn add_active(&mut self, table: &ActiveTable<'_>) -> Result<(), String> {
        for entry in &table.releases {
            let guid = Guid::parse(&entry.guid).map_err(|expected| format!("expected {expected}, found `{}`", entry.guid))?;
            let index = self.by_version.get(&*entry.version).copied();
            let index = index.filter(|index| self.releases.get(*index).is_some_and(|release| release.offered));
            let index = index.ok_or_else(|| format!("`{}` is active, and not offered", entry.version))?;
            if self.active.insert(guid, index).is_some() {
                return Err(format!("`{guid}` is there twice"));
            }
            if let Some(chosen) = table.chosen.as_ref().filter(|chosen| chosen.version == entry.version) {
                let document = self.releases.get(index).and_then(|release| active::Document::read(chosen, index, release, guid));
                self.active_document =
                    Some(document.ok_or_else(|| format!("the document of `{}` does not fit it", chosen.version))?);
            }
        }
        let highest = table.releases.last().map(|entry| &entry.version);
        if highest == table.chosen.as_ref().map(|chosen| &chosen.version) {
            Ok(())
        } else {
            Err("the chosen release is not the highest of the active ones".to_owned())
        }
    }
}

impl Shown {
    /// The document at a path, and its views from every channel that the release is in.
    fn read(path: &str, entry: &ReleaseEntry<'_>, prefixes: &[Bytes], index: &Index, files: &Files) -> Result<Self, String> {
        let version = &entry.version;
        let (row, body) = index.row(path).zip(files.get(path)).ok_or_else(|| format!("`{version}` has no document"))?;
        let prefix_of =
            |channel: usize| prefixes.get(channel).ok_or_else(|| format!("`{version}` is in a channel that is not there"));
        let prefix = prefix_of(entry.default_channel)?;
        if !body.starts_with(prefix) || !body.ends_with(b"\n") {
            return Err(format!("the document of `{version}` does not begin with its channel"));
        }
        let tail = body.slice(prefix.len()..body.len().saturating_sub(1));
        let mut views: Vec<Option<Document>> = prefixes.iter().map(|_| None).collect();
        for channel in entry.channels.iter().copied() {
            let document = if channel == entry.default_channel {
                Document::new(body.clone(), &row.sha256)
            } else {
                let bytes = [&**prefix_of(channel)?, &*tail, b"\n"].concat();
                let sha256 = Sha256::of(&bytes);
                Document::new(bytes.into(), &sha256)
            };
            *views.get_mut(channel).ok_or("a channel that is not there")? = Some(document);
        }
        let tag = u128::from_be_bytes(*Sha256::of(&tail).bytes().first_chunk().unwrap_or(&[0; 16]));
        Ok(Self { tag, views })
    }
}

impl Release {
    fn shown(&self, api: Api) -> Option<&Shown> {
        if api == Api::V2 { Some(&self.v2) } else { self.v1.as_ref() }
    }

    /// Its document as a channel of an interface shows it; `None` for a channel that it is not in.
    pub(super) fn view(&self, api: Api, channel: usize) -> Option<&Document> {
        self.shown(api)?.views.get(channel)?.as_ref()
    }

    /// Its part of the tag of a list's page.
    pub(super) fn tag(&self, api: Api) -> u128 {
        self.shown(api).map_or(0, |shown| shown.tag)
    }

    /// Where the artifact for a platform is redirected to.
    pub(super) fn target(&self, platform: Platform) -> Option<&Target> {
        self.targets.iter().find(|target| target.platform == Some(platform))
    }

    /// Its place in a list.
    pub(super) fn sort_key(&self, by: SortBy) -> SortKey {
        SortKey::new(by, self.published_at.clone(), self.version.clone())
    }

    /// Adds the header that says that the release is not offered any more.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if let Some(reason) = &self.yanked {
            headers.insert(YANKED, reason.clone());
        }
    }
}

/// `{"channel":"stable"`: `channel` is the first key of a release, so that all its views share the rest.
fn channel_prefix(name: &str) -> Bytes {
    let mut prefix = BytesMut::new();
    prefix.put_slice(b"{\"channel\":\"");
    prefix.put_slice(name.as_bytes());
    prefix.put_slice(b"\"");
    prefix.freeze()
}

/// Documents of a family that requires access lie in `private/`, laid out as in `public/`.
fn is_private_document(path: &str) -> bool {
    path.starts_with("private/") && ![SITE, ACTIVE, LEDGER].contains(&path)
}
