//! Fragments: what one of several machines contributes to a release, until `add --join` puts all of it together.

#![allow(clippy::disallowed_methods, reason = "this is where fragments are written and read")]

use super::Failure;
use super::add::{About, Addition};
use agent_releases::artifacts::{Hashed, store};
use agent_releases::files::read_regular;
use agent_releases::problem::Problem;
use agent_releases::words::{Channel, FileName, Platform, Sha256, StorageKey, Version, Word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a fragment says of itself, beside its files.
const INDEX: &str = "fragment.json";

/// `fragment.json`.
#[derive(Serialize, Deserialize)]
struct Fragment {
    version: String,
    #[serde(flatten)]
    about: About,
    files: Vec<File>,
}

/// A file of a fragment; `platform` is null for an attachment.
#[derive(Serialize, Deserialize)]
struct File {
    platform: Option<String>,
    filename: String,
    sha256: String,
}

impl File {
    /// Where it lies in the fragment.
    fn path(&self) -> String {
        format!("files/{}/{}", self.platform.as_deref().unwrap_or("attached"), self.filename)
    }
}

/// Everything that several fragments hold.
pub(super) struct Joined {
    pub(super) version: Version,
    pub(super) about: About,
    files: Vec<(Option<Platform>, PathBuf, FileName, String)>,
}

/// Writes a fragment into a new folder; what it says of itself comes last, so that half of one is none.
pub(super) fn write<'a>(
    folder: &Path,
    addition: &Addition,
    files: impl Iterator<Item = (Option<Platform>, &'a Path, &'a FileName, &'a Hashed)>,
) -> Result<(), Failure> {
    let wrong = |message: String| Failure::from(Problem::of_file(folder.display(), message));
    if folder.join(INDEX).exists() {
        return Err(wrong("holds a fragment already; name a new folder".to_owned()));
    }
    let mut fragment = Fragment { version: addition.version.to_string(), about: addition.about.clone(), files: Vec::new() };
    for (platform, path, filename, hashed) in files {
        let platform = platform.map(|platform| platform.to_string());
        let file = File { platform, filename: filename.to_string(), sha256: hashed.sha256.hex() };
        let key = StorageKey::parse(&file.path()).map_err(|expected| wrong(format!("{filename}: expected {expected}")))?;
        std::fs::create_dir_all(folder).map_err(|error| wrong(format!("cannot be made: {error}")))?;
        store(path, folder, &key, hashed).map_err(wrong)?;
        fragment.files.push(file);
    }
    let put = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".agent-releases-").tempfile_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(&fragment)?)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(INDEX)).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    };
    put().map_err(|error| wrong(format!("cannot be written: {error}")))
}

/// Puts fragments together. They are of one release, and no two say different things of it.
pub(super) fn join(folders: &[PathBuf], version: Option<&Version>, about: &About) -> Result<Joined, Failure> {
    let mut joined: Option<Joined> =
        version.map(|version| Joined { version: version.clone(), about: about.clone(), files: Vec::new() });
    for folder in folders {
        let wrong = |message: String| Failure::from(Problem::of_file(folder.join(INDEX).display(), message));
        let bytes = read_regular(&folder.join(INDEX)).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let fragment: Fragment = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is no fragment: {error}")))?;
        let version = Version::parse(&fragment.version).map_err(|expected| wrong(format!("version: expected {expected}")))?;
        let joined = joined.get_or_insert_with(|| Joined { version: version.clone(), about: about.clone(), files: Vec::new() });
        if joined.version != version {
            return Err(wrong(format!("is of {version}, another one of {}; join the fragments of one release", joined.version)));
        }
        joined.about.merge(fragment.about.clone()).map_err(|field| {
            wrong(format!("{field}: another fragment says otherwise; say it for all of them with --{}", field.replace('_', "-")))
        })?;
        for file in &fragment.files {
            joined.take(folder, file).map_err(&wrong)?;
        }
    }
    joined.filter(|joined| !joined.files.is_empty()).ok_or_else(|| Failure::Usage("the fragments hold no file".to_owned()))
}

impl Joined {
    fn take(&mut self, folder: &Path, file: &File) -> Result<(), String> {
        let platform = file.platform.as_deref().map(Platform::parse).transpose();
        let platform = platform.map_err(|expected| format!("platform: expected {expected}"))?;
        let filename = FileName::parse(&file.filename).map_err(|expected| format!("filename: expected {expected}"))?;
        let same = |(other, _, name, _): &&(Option<Platform>, PathBuf, FileName, String)| {
            *other == platform && (platform.is_some() || *name == filename)
        };
        match self.files.iter().find(same) {
            Some((.., name, sha256)) if *name == filename && *sha256 == file.sha256 => Ok(()),
            Some((_, path, ..)) => Err(format!("{} differs from {}, of another fragment", file.path(), path.display())),
            None => {
                self.files.push((platform, folder.join(file.path()), filename, file.sha256.clone()));
                Ok(())
            }
        }
    }

    /// The files, as `add` takes them.
    pub(super) fn files(&self) -> Vec<(Option<Platform>, PathBuf, FileName)> {
        self.files.iter().map(|(platform, path, filename, _)| (*platform, path.clone(), filename.clone())).collect()
    }

    /// Whether the bytes are still those that the fragments were made of.
    pub(super) fn verify<'a>(&self, hashed: impl Iterator<Item = (&'a Path, Sha256)>) -> Result<(), Failure> {
        let mut problems = Vec::new();
        for (path, sha256) in hashed {
            let said = self.files.iter().find(|(_, other, ..)| other == path).map(|(.., said)| said.as_str()).unwrap_or_default();
            if sha256.hex() != said {
                problems.push(Problem::of_file(path.display(), format!("its SHA-256 is {sha256}, but its fragment says {said}")));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
    }
}

impl About {
    /// Takes up what a fragment says; the field's name when it says something else.
    fn merge(&mut self, other: Self) -> Result<(), &'static str> {
        fn agree<T: PartialEq>(name: &'static str, mine: &mut Option<T>, other: Option<T>) -> Result<(), &'static str> {
            match (&*mine, other) {
                (None, other) => *mine = other,
                (Some(mine), Some(other)) if *mine != other => return Err(name),
                (Some(_), _) => {}
            }
            Ok(())
        }
        let mine: BTreeSet<&Channel> = self.channels.iter().collect();
        let differs = !other.channels.is_empty() && mine != other.channels.iter().collect();
        if mine.is_empty() {
            self.channels = other.channels;
        } else if differs {
            return Err("channel");
        }
        agree("published_at", &mut self.published_at, other.published_at)?;
        agree("notes_url", &mut self.notes_url, other.notes_url)?;
        agree("notes", &mut self.notes, other.notes)?;
        self.draft |= other.draft;
        self.active |= other.active;
        Ok(())
    }
}

/// Words in JSON: their text, checked when it is read.
pub(super) mod words {
    use agent_releases::words::Word;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<W: ToString, S: Serializer>(words: &[W], serializer: S) -> Result<S::Ok, S::Error> {
        words.iter().map(ToString::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, W: Word, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<W>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| W::parse(text).map_err(|expected| D::Error::custom(format!("expected {expected}")))).collect()
    }
}

/// A word in JSON, or null.
pub(super) mod word_or_none {
    use agent_releases::words::Word;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<W: ToString, S: Serializer>(word: &Option<W>, serializer: S) -> Result<S::Ok, S::Error> {
        word.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub fn deserialize<'de, W: Word, D: Deserializer<'de>>(deserializer: D) -> Result<Option<W>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| W::parse(&text).map_err(|expected| D::Error::custom(format!("expected {expected}")))).transpose()
    }
}
