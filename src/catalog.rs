//! The rules: sources in, a catalog out, and a catalog exists only if every rule holds.

use crate::policy::Access;
use crate::problem::{Problem, Severity, Span};
use crate::source::{AccessPolicy, At, CatalogFile, Export, Logo, Manifest, Page, Sources, Storage, V1, suggestion};
use crate::words::{
    Channel, ContentType, FileName, Guid, HttpsUrl, KeyParts, Platform, Reason, Sha256, StorageKey, Timestamp, Version, Word,
};
use rayon::iter::Either;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A checked collection of releases. Drafts have been checked with the rest and left out.
#[derive(Debug)]
pub struct Catalog {
    product: String,
    public_url: Option<HttpsUrl>,
    access: AccessPolicy,
    storage: Storage,
    channels: Vec<ChannelState>,
    releases: Vec<Release>,
    v1: Option<V1>,
    page: Page,
    logo: Option<Logo>,
    exports: Vec<Export>,
}

/// A channel and the release that answers for it.
#[derive(Debug)]
pub struct ChannelState {
    /// Its name.
    pub name: Channel,
    /// Index of its head among the releases; `None` when nothing in it is offered.
    pub head: Option<usize>,
    /// The pin that made the head, with its reason.
    pub pin: Option<(Version, Reason)>,
}

/// Whether a release is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Offered.
    Published,
    /// Kept for pinned fleets, in no list.
    Yanked(Reason),
    /// Its bytes are withdrawn.
    Recalled(Reason),
}

impl State {
    /// The word in documents.
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Published => "published",
            State::Yanked(_) => "yanked",
            State::Recalled(_) => "recalled",
        }
    }

    /// Why it is not offered.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            State::Published => None,
            State::Yanked(reason) | State::Recalled(reason) => Some(reason),
        }
    }
}

/// A release that is not a draft.
#[derive(Debug)]
pub struct Release {
    /// Its identity.
    pub version: Version,
    /// Whether it is offered.
    pub state: State,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Where its notes can be read.
    pub notes_url: Option<HttpsUrl>,
    /// Short notes.
    pub notes: Option<String>,
    /// Longer notes for its page, in Markdown.
    pub page_notes: Option<String>,
    /// Its identifier in the Active API.
    pub guid: Option<Guid>,
    /// What its manifest says of the Active API.
    pub active: Option<bool>,
    /// Indexes of its channels, ascending; `latest` is always the last of them.
    pub channels: Vec<usize>,
    /// Its installers, in the order of the platforms.
    pub artifacts: Vec<Artifact>,
    /// Its other files, by name.
    pub attachments: Vec<Artifact>,
}

/// An installer or an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What it runs on; `None` for an attachment.
    pub platform: Option<Platform>,
    /// The name to save it under.
    pub filename: FileName,
    /// The media type.
    pub content_type: ContentType,
    /// Bytes.
    pub size_bytes: Option<u64>,
    /// The digest.
    pub sha256: Option<Sha256>,
    /// Where it lies below the storage's base.
    pub key: StorageKey,
}

impl Catalog {
    /// What the releases are releases of.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The only source of absolute addresses.
    pub fn public_url(&self) -> Option<&HttpsUrl> {
        self.public_url.as_ref()
    }

    /// Who may ask V2.
    pub fn v2_access(&self) -> Access {
        self.access.v2
    }

    /// Who may ask V1.
    pub fn v1_access(&self) -> Access {
        self.access.v1
    }

    /// Where artifacts lie.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The channels as declared, `latest` last.
    pub fn channels(&self) -> &[ChannelState] {
        &self.channels
    }

    /// The releases, ascending by version.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The legacy API, when it is switched on.
    pub fn v1(&self) -> Option<&V1> {
        self.v1.as_ref()
    }

    /// The releases that the Active API knows, ascending by version: those that say so, and of those that say nothing the
    /// ones in stable, up to its pin. Only what is offered and has an identifier.
    pub fn active(&self) -> impl Iterator<Item = (&Release, Guid)> {
        let stable = self.channels.iter().position(|channel| channel.name.as_str() == Channel::STABLE);
        let pin = stable.and_then(|stable| self.channels.get(stable)?.pin.as_ref()).map(|(pin, _)| pin);
        let usual = move |release: &Release| {
            stable.is_some_and(|stable| release.channels.contains(&stable)) && pin.is_none_or(|pin| release.version <= *pin)
        };
        let active =
            move |release: &&Release| release.state == State::Published && release.active.unwrap_or_else(|| usual(release));
        self.releases.iter().filter(active).filter_map(|release| Some((release, release.guid?)))
    }

    /// How the pages look.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// The picture at the head of the pages.
    pub fn logo(&self) -> Option<&Logo> {
        self.logo.as_ref()
    }

    /// Other engines that get the same answers.
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// Index of the channel that a version view names when none is asked for: stable if the release is in it, else the
    /// first declared one that it is in, else latest.
    pub fn default_channel(&self, release: &Release) -> usize {
        let stable = release.channels.iter().copied().find(|index| self.channels[*index].name.as_str() == Channel::STABLE);
        stable.or(release.channels.first().copied()).unwrap_or(self.channels.len() - 1)
    }
}

/// Checks the sources against every rule; a catalog comes out if none is broken.
pub fn check(sources: &Sources, problems: &mut Vec<Problem>) -> Option<Catalog> {
    let before = problems.len();
    let draft = Draft::new(sources, problems);
    let found = RULES.par_iter().flat_map_iter(|rule| {
        let mut found = Vec::new();
        rule(&draft, &mut found);
        found
    });
    let found: Vec<Problem> = found.collect();
    problems.extend(found);
    let broken = problems[before..].iter().any(|problem| problem.severity() != Severity::Warning);
    if broken || !sources.broken.is_empty() { None } else { draft.finish() }
}

/// Sources on their way to a catalog: channels resolved, keys made, nothing compared yet.
struct Draft<'a> {
    sources: &'a Sources,
    catalog: Option<&'a CatalogFile>,
    channels: Vec<Channel>,
    files: Vec<File<'a>>,
}

/// One artifact or attachment of one manifest, with the place to point at.
struct File<'a> {
    manifest: &'a Manifest,
    span: &'a Span,
    artifact: Artifact,
}

type Rule = fn(&Draft<'_>, &mut Vec<Problem>);

const RULES: &[Rule] = &[
    versions_differ_by_more_than_case,
    guids_are_unique,
    channels_are_declared,
    a_key_holds_one_file,
    equal_hashes_have_equal_sizes,
    pins_name_an_offered_release_of_the_channel,
    active_is_not_above_the_pin,
    active_releases_have_a_guid,
    v1_does_not_show_what_v2_hides,
];

/// Two versions may not differ by letter case alone: some stores and hosts would mix them up.
fn versions_differ_by_more_than_case(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<String, &Version> = BTreeMap::new();
    for manifest in &draft.sources.manifests {
        let version = &manifest.version;
        if let Some(other) = seen.insert(version.value.as_str().to_ascii_lowercase(), &version.value) {
            let message = format!("version: `{}` differs from `{other}` by letter case alone", version.value);
            problems.push(Problem::at(&manifest.file, &version.span, message));
        }
    }
}

/// A guid belongs to one release.
fn guids_are_unique(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<Guid, &Version> = BTreeMap::new();
    for manifest in &draft.sources.manifests {
        let Some(guid) = &manifest.guid else { continue };
        if let Some(other) = seen.insert(guid.value, &manifest.version.value) {
            let message = format!("guid: `{}` is the guid of release `{other}` already", guid.value);
            problems.push(Problem::at(&manifest.file, &guid.span, message));
        }
    }
}

/// A manifest names channels that the catalog declares; `latest` holds every release without being named.
fn channels_are_declared(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    if draft.catalog.is_none() {
        return;
    }
    let known: Vec<&str> = draft.channels.iter().map(Channel::as_str).filter(|name| *name != Channel::LATEST).collect();
    for manifest in &draft.sources.manifests {
        for At { value: channel, span } in &manifest.channels {
            if channel.as_str() == Channel::LATEST {
                let message = "channels: every published release is in `latest`; a manifest does not name it";
                problems.push(Problem::at(&manifest.file, span, message));
            } else if !known.contains(&channel.as_str()) {
                let message =
                    format!("channels: the catalog declares no channel `{channel}`{}", suggestion(channel.as_str(), &known));
                problems.push(Problem::at(&manifest.file, span, message));
            }
        }
    }
}

/// Artifacts share a storage key when they are the same file in every respect, and not otherwise; and no key is a
/// folder of another, or another's twin on a system that ignores letter case.
fn a_key_holds_one_file(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let mut keys: Vec<(String, &File<'_>)> =
        draft.files.par_iter().map(|file| (file.artifact.key.as_str().to_ascii_lowercase(), file)).collect();
    // Stable, so that the earlier file of two is the one that has the key.
    keys.par_sort_by(|(a, _), (b, _)| a.cmp(b));
    let same = |a: &Artifact, b: &Artifact| {
        (&a.key, &a.filename, &a.content_type, a.size_bytes, a.sha256)
            == (&b.key, &b.filename, &b.content_type, b.size_bytes, b.sha256)
    };
    for ((_, other), (_, file)) in keys.iter().zip(keys.iter().skip(1)).filter(|((a, _), (b, _))| a == b) {
        if !same(&file.artifact, &other.artifact) {
            let message = format!(
                "{}: its storage key `{}` is also that of {}, and they are not the same file",
                file.name(),
                file.artifact.key,
                other.full_name()
            );
            problems.push(Problem::at(&file.manifest.file, file.span, message));
        }
    }
    let nested = keys.par_iter().filter_map(|(key, file)| {
        let mut folders = key.match_indices('/').filter_map(|(at, _)| key.get(..at));
        let other = folders.find_map(|folder| keys.binary_search_by(|(key, _)| key.as_str().cmp(folder)).ok())?;
        let message = format!(
            "{}: its storage key `{}` lies inside that of {}",
            file.name(),
            file.artifact.key,
            keys.get(other)?.1.full_name()
        );
        Some(Problem::at(&file.manifest.file, file.span, message))
    });
    let nested: Vec<Problem> = nested.collect();
    problems.extend(nested);
}

/// Equal hashes have equal sizes; equal hashes under different names deserve a look.
fn equal_hashes_have_equal_sizes(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<Sha256, &File<'_>> = BTreeMap::new();
    for file in &draft.files {
        let Some(sha256) = file.artifact.sha256 else { continue };
        let Some(other) = seen.get(&sha256).copied() else {
            seen.insert(sha256, file);
            continue;
        };
        // A size that is given says more than one that is left out.
        if other.artifact.size_bytes.is_none() {
            seen.insert(sha256, file);
        }
        if let (Some(size), Some(other_size)) = (file.artifact.size_bytes, other.artifact.size_bytes)
            && size != other_size
        {
            let message =
                format!("{}: {size} bytes, but {} has the same hash and {other_size} bytes", file.name(), other.full_name());
            problems.push(Problem::at(&file.manifest.file, file.span, message));
        } else if file.artifact.filename != other.artifact.filename {
            let message =
                format!("{}: the same bytes are named `{}` in {}", file.name(), other.artifact.filename, other.full_name());
            problems.push(Problem::at(&file.manifest.file, file.span, message).warning());
        }
    }
}

/// A pin names a release of that channel that is neither a draft, yanked nor recalled.
fn pins_name_an_offered_release_of_the_channel(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let Some(catalog) = draft.catalog else { return };
    for entry in &catalog.channels {
        let Some((pin, _)) = &entry.pin else { continue };
        let channel = entry.name.value.as_str();
        let wrong = match draft.sources.manifests.iter().find(|manifest| manifest.version.value == pin.value) {
            None if draft.sources.broken.contains(pin.value.as_str()) => continue,
            None => "there is no such release".to_owned(),
            Some(manifest) if manifest.draft => "that release is a draft".to_owned(),
            Some(manifest) if manifest.recalled.is_some() => "that release is recalled".to_owned(),
            Some(manifest) if manifest.yanked.is_some() => "that release is yanked".to_owned(),
            Some(manifest) if channel != Channel::LATEST && !manifest.channels.iter().any(|at| at.value == entry.name.value) => {
                format!("that release is not in `{channel}`")
            }
            Some(_) => continue,
        };
        let message = format!("channels.{channel}.pin: cannot hold the channel at `{}`: {wrong}", pin.value);
        problems.push(Problem::at(&catalog.file, &pin.span, message));
    }
}

/// `active: true` above stable's pin offers to the Active API what stable holds back.
fn active_is_not_above_the_pin(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let Some(pin) = draft.pin(Channel::STABLE) else { return };
    let offered = |manifest: &&Manifest| !manifest.draft && manifest.yanked.is_none() && manifest.recalled.is_none();
    for manifest in draft.sources.manifests.iter().filter(offered) {
        if let Some(active) = manifest.active.as_ref().filter(|active| active.value && manifest.version.value > *pin) {
            let message = format!("active: offers `{}` although stable is pinned at `{pin}`", manifest.version.value);
            problems.push(Problem::at(&manifest.file, &active.span, message).warning());
        }
    }
}

/// The Active API names releases by their guids; one without a guid it cannot show.
fn active_releases_have_a_guid(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    for manifest in &draft.sources.manifests {
        if let Some(active) = manifest.active.as_ref().filter(|active| active.value && manifest.guid.is_none()) {
            let message = "active: the Active API shows no release without a `guid`; `agent-releases add` writes one";
            problems.push(Problem::at(&manifest.file, &active.span, message).warning());
        }
    }
}

/// V1 shows the same releases, and leads to the same artifacts.
fn v1_does_not_show_what_v2_hides(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let Some(catalog) = draft.catalog.filter(|catalog| catalog.v1.as_ref().is_some_and(|v1| !v1.gone)) else { return };
    if (catalog.access.v2, catalog.access.v1) == (Access::Required, Access::Public) {
        let message = "access: V1 is public and shows what V2 hides; give `v1` the same access as `v2`";
        problems.push(Problem::of_file(&catalog.file.path, message).warning());
    }
}

impl File<'_> {
    /// The file within its manifest.
    fn name(&self) -> String {
        match self.artifact.platform {
            Some(platform) => format!("artifacts.{platform}"),
            None => format!("attachments.{}", self.artifact.filename),
        }
    }

    fn full_name(&self) -> String {
        format!("{} of `{}`", self.name(), self.manifest.version.value)
    }
}

impl<'a> Draft<'a> {
    fn new(sources: &'a Sources, problems: &mut Vec<Problem>) -> Self {
        let catalog = sources.catalog.as_ref();
        let Some(file) = catalog else { return Self { sources, catalog, channels: Vec::new(), files: Vec::new() } };
        let files = sources.manifests.par_iter().flat_map_iter(|manifest| files_of(manifest, &file.storage));
        let (files, wrong): (Vec<File<'_>>, Vec<Problem>) = files.partition_map(|file| match file {
            Ok(file) => Either::Left(file),
            Err(problem) => Either::Right(problem),
        });
        problems.extend(wrong);
        Self { sources, catalog, channels: channel_names(file), files }
    }

    fn pin(&self, channel: &str) -> Option<&Version> {
        let entry = self.catalog?.channels.iter().find(|entry| entry.name.value.as_str() == channel)?;
        entry.pin.as_ref().map(|(pin, _)| &pin.value)
    }

    fn finish(self) -> Option<Catalog> {
        let file = self.catalog?;
        let mut releases = self.releases();
        releases.par_sort_by(|a, b| a.version.cmp(&b.version));
        let channels = self.channels.iter().enumerate().map(|(index, name)| {
            let entry = file.channels.iter().find(|entry| entry.name.value == *name);
            let pin = entry.and_then(|entry| entry.pin.as_ref()).map(|(pin, reason)| (pin.value.clone(), reason.clone()));
            let offered = |release: &Release| release.state == State::Published && release.channels.contains(&index);
            let head = match &pin {
                Some((pin, _)) => releases.iter().rposition(|release| release.version == *pin),
                None => releases.iter().rposition(offered),
            };
            ChannelState { name: name.clone(), head, pin }
        });
        let channels = channels.collect();
        Some(Catalog {
            product: file.product.clone().unwrap_or_else(|| "Agent".to_owned()),
            public_url: file.public_url.clone(),
            access: file.access,
            storage: file.storage.clone(),
            channels,
            releases,
            v1: file.v1.clone(),
            page: file.page.clone(),
            logo: self.sources.logo.clone(),
            exports: file.exports.clone(),
        })
    }

    fn releases(&self) -> Vec<Release> {
        // The files of a manifest stand together.
        let groups = self.files.chunk_by(|a, b| std::ptr::eq(a.manifest, b.manifest));
        let files: FxHashMap<&str, &[File<'_>]> =
            groups.filter_map(|files| Some((files.first()?.manifest.version.value.as_str(), files))).collect();
        let published = self.sources.manifests.par_iter().filter(|manifest| !manifest.draft);
        let release = |manifest: &Manifest| {
            let files = files.get(manifest.version.value.as_str()).copied().unwrap_or_default();
            let (mut artifacts, mut attachments): (Vec<Artifact>, Vec<Artifact>) =
                files.iter().map(|file| file.artifact.clone()).partition(|file| file.platform.is_some());
            artifacts.sort_by_key(|artifact| artifact.platform);
            attachments.sort_by(|a, b| a.filename.cmp(&b.filename));
            Release {
                version: manifest.version.value.clone(),
                state: state(manifest),
                published_at: manifest.published_at.as_ref().map(|at| at.value.clone()),
                notes_url: manifest.notes_url.as_ref().map(|at| at.value.clone()),
                notes: manifest.notes.as_ref().map(|at| at.value.clone()),
                page_notes: self.sources.notes.get(manifest.version.value.as_str()).cloned(),
                guid: manifest.guid.as_ref().map(|at| at.value),
                active: manifest.active.as_ref().map(|at| at.value),
                channels: self.channel_indexes(manifest),
                artifacts,
                attachments,
            }
        };
        published.map(release).collect()
    }

    /// `latest` is the last channel, and every release is in it.
    fn channel_indexes(&self, manifest: &Manifest) -> Vec<usize> {
        let named = |name: &Channel| name.as_str() == Channel::LATEST || manifest.channels.iter().any(|at| at.value == *name);
        self.channels.iter().enumerate().filter(|(_, name)| named(name)).map(|(index, _)| index).collect()
    }
}

/// The artifacts and attachments of a manifest under their storage keys; a problem in place of each whose key is none.
fn files_of<'a>(manifest: &'a Manifest, storage: &Storage) -> Vec<Result<File<'a>, Problem>> {
    let version = &manifest.version.value;
    let entries = manifest.artifacts.iter().map(|(platform, entry)| {
        (
            Some(platform.value),
            &entry.filename.value,
            &entry.content_type,
            &entry.size_bytes,
            entry.sha256.as_ref(),
            &entry.key,
            &entry.span,
        )
    });
    let attachments = manifest.attachments.iter().map(|(name, entry)| {
        (None, &name.value, &entry.content_type, &entry.size_bytes, Some(&entry.sha256), &entry.key, &entry.span)
    });
    let files = entries.chain(attachments).filter_map(|(platform, filename, content_type, size_bytes, sha256, own_key, span)| {
        let made = sha256.map(|sha256| storage.key.key(KeyParts { version, filename, sha256: &sha256.value, platform }));
        let key = match (own_key, made) {
            (Some(key), _) => key.value.clone(),
            (None, Some(Ok(key))) => key,
            (None, Some(Err(expected))) => {
                let message = format!("its storage key is not valid: expected {expected}");
                return Some(Err(Problem::at(&manifest.file, span, message)));
            }
            // Refused while reading: neither a hash nor a key of its own.
            (None, None) => return None,
        };
        let artifact = Artifact {
            platform,
            filename: filename.clone(),
            content_type: content_type.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
            size_bytes: size_bytes.as_ref().map(|at| at.value),
            sha256: sha256.map(|at| at.value),
            key,
        };
        Some(Ok(File { manifest, span, artifact }))
    });
    files.collect()
}

fn state(manifest: &Manifest) -> State {
    match (&manifest.recalled, &manifest.yanked) {
        (Some(reason), _) => State::Recalled(reason.value.clone()),
        (None, Some(reason)) => State::Yanked(reason.value.clone()),
        (None, None) => State::Published,
    }
}

/// The channels as declared; `stable` first when it is not declared, `latest` always last.
fn channel_names(catalog: &CatalogFile) -> Vec<Channel> {
    let mut names: Vec<Channel> = catalog.channels.iter().map(|entry| entry.name.value.clone()).collect();
    if !names.iter().any(|name| name.as_str() == Channel::STABLE) {
        names.splice(0..0, Channel::parse(Channel::STABLE));
    }
    names.retain(|name| name.as_str() != Channel::LATEST);
    names.extend(Channel::parse(Channel::LATEST));
    names
}
