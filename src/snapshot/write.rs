//! Puts a snapshot in place of the one before it: the only writer of a site.
//!
//! A sibling tree is written, unchanged files hard-linked into it, synced once, and exchanged with the old one in one
//! step, so that a build killed at any moment leaves the whole old site or the whole new one.

#![allow(clippy::disallowed_methods, reason = "this is where sites are written")]

use super::index::{Index, Row, is_hashed, may_be_kept};
use super::{Built, Damage, INDEX, is_intact, read_index};
use crate::files::remove_stale;
use crate::problem::Problem;
use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a mount point's new and old entries wait while they are renamed one by one; left behind only by a kill.
const COMING: &str = ".agent-releases-new";
const GOING: &str = ".agent-releases-old";

/// The snapshot that is being replaced.
pub struct Previous {
    folder: PathBuf,
    /// Its index.
    pub index: Index,
    /// Paths of the rows whose files, compressed forms included, are as recorded: they can be linked.
    intact: HashSet<String>,
}

/// What a write did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files whose bytes are new or different.
    pub written: usize,
    /// Files that were there already.
    pub unchanged: usize,
    /// Files that are gone.
    pub removed: usize,
    /// Set when the exchange was not possible and the folders were renamed one after the other.
    pub stepwise: bool,
}

impl Previous {
    /// Looks at the folder that is to be replaced; `None` when there is nothing yet. Foreign files are problems: they
    /// would be lost.
    pub fn open(folder: &Path) -> Result<Option<Self>, Vec<Problem>> {
        if fs::symlink_metadata(folder).is_err() {
            return Ok(None);
        }
        if !folder.is_dir() {
            return Err(vec![Problem::of_file(folder.display(), "is not a folder; name another with --out")]);
        }
        let found = list(folder).map_err(|error| vec![Problem::of_file(folder.display(), format!("cannot be read: {error}"))])?;
        if found.is_empty() {
            return Ok(None);
        }
        if !found.contains_key(INDEX) {
            let example = found.keys().next().map(String::as_str).unwrap_or_default();
            let message = format!(
                "holds files that are not a snapshot's, such as `{}`; name another folder with --out",
                crate::problem::shown(example)
            );
            return Err(vec![Problem::of_file(folder.display(), message)]);
        }
        let index = read_index(folder).map_err(|damage| vec![Problem::general(format!("{damage}; move the folder away"))])?;
        let expected: BTreeMap<String, u64> = index.paths().collect();
        let foreign: Vec<Problem> = found
            .keys()
            .filter(|path| !expected.contains_key(*path) && *path != INDEX)
            .map(|path| {
                Problem::of_file(folder.join(path).display(), "does not belong to the snapshot; move it away, it would be lost")
            })
            .collect();
        if !foreign.is_empty() {
            return Err(foreign);
        }
        let rows = index.files.par_iter().chain(&index.kept).chain(&index.exports);
        let intact = rows.map(|row| Ok((is_intact(folder, row)?, row.path.clone()))).collect::<Result<Vec<_>, Damage>>();
        let intact = intact.map_err(|damage| vec![Problem::general(damage.to_string())])?;
        let intact = intact.into_iter().filter(|(intact, _)| *intact).map(|(_, path)| path).collect();
        Ok(Some(Self { folder: folder.to_owned(), index, intact }))
    }

    /// Links a file into the staging tree, or copies it where links are not possible.
    fn hand_over(&self, path: &str, staging: &Path) -> io::Result<()> {
        let (from, to) = (self.folder.join(path), staging.join(path));
        in_its_folder(&to, || fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ())))
    }

    fn is_intact(&self, row: &Row) -> bool {
        self.intact.contains(&row.path)
    }

    /// The index with only those rows whose files are as recorded.
    pub fn reusable(&self) -> Index {
        let files = self.index.files.iter().filter(|row| self.is_intact(row)).cloned().collect();
        Index { generation: self.index.generation, files, ..Index::default() }
    }
}

/// Every file below a folder with its size, by its relative path.
fn list(folder: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let ours = |entry: &walkdir::DirEntry| entry.depth() != 1 || ![COMING, GOING].iter().any(|name| entry.file_name() == *name);
    for entry in walkdir::WalkDir::new(folder).min_depth(1).into_iter().filter_entry(ours) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
        found.insert(path, entry.metadata()?.len());
    }
    Ok(found)
}

/// Replaces the folder's content with the snapshot. Nothing is touched when nothing would change.
pub fn write(folder: &Path, mut built: Built, previous: Option<&Previous>) -> Result<Written, Problem> {
    let cannot = |doing: &str, error: io::Error| Problem::of_file(folder.display(), format!("cannot {doing}: {error}"));
    let absolute = std::path::absolute(folder).map_err(|error| cannot("find the folder", error))?;
    let target = fs::canonicalize(&absolute).unwrap_or(absolute);
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Whoever writes holds the lock, so none of these is somebody's.
    remove_stale(parent, &staging_prefix(&target));
    if let Some(previous) = previous {
        // Whoever follows a published site knows its generation; a build keeps that of what it replaces.
        if built.index.generation == 0 {
            built.index.generation = previous.index.generation;
        }
        built.index.kept = kept(&built.index, previous);
    }
    let report = compare(&built, previous);
    let same_index = |old: &Index| old.kept == built.index.kept && old.generation == built.index.generation;
    if report.written == 0 && report.removed == 0 && previous.is_some_and(|previous| same_index(&previous.index)) {
        return Ok(report);
    }
    fs::create_dir_all(parent).map_err(|error| cannot("make the folder", error))?;
    let staging = tempfile::Builder::new()
        .prefix(&staging_prefix(&target))
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(parent)
        .map_err(|error| cannot("write beside the folder", error))?;
    stage(staging.path(), &built, previous).map_err(|error| cannot("write the site", error))?;
    keep_permissions(&target, staging.path()).map_err(|error| cannot("keep the folders' permissions", error))?;
    let stepwise = swap(staging.path(), &target).map_err(|error| cannot("put the new site in place", error))?;
    Ok(Written { stepwise, ..report })
}

/// Notes in a site's index which generation it has become by being published.
pub fn set_generation(folder: &Path, generation: u64) -> Result<(), Problem> {
    let cannot =
        |error: &dyn std::fmt::Display| Problem::of_file(folder.join(INDEX).display(), format!("cannot be written: {error}"));
    let mut index = read_index(folder).map_err(|damage| Problem::general(damage.to_string()))?;
    if std::mem::replace(&mut index.generation, generation) == generation {
        return Ok(());
    }
    let put = || -> io::Result<()> {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        // Beside the folder: a killed run leaves nothing in it that is not the snapshot's.
        let parent = folder.canonicalize()?.parent().unwrap_or(Path::new("/")).to_owned();
        let mut file = tempfile::Builder::new().prefix(&staging_prefix(folder)).permissions(mode).tempfile_in(parent)?;
        file.write_all(&index_bytes(&index)?)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(INDEX)).map_err(|error| error.error)?;
        sync_parent(&folder.join(INDEX))
    };
    put().map_err(|error| cannot(&error))
}

fn index_bytes(index: &Index) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(index).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a tree beside its place is called until it is exchanged.
fn staging_prefix(target: &Path) -> String {
    format!(".agent-releases-{}-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Folders that somebody closed to others stay closed.
fn keep_permissions(target: &Path, staging: &Path) -> io::Result<()> {
    ["", "public", "private"].iter().try_for_each(|name| match fs::metadata(target.join(name)) {
        Ok(metadata) if staging.join(name).exists() => fs::set_permissions(staging.join(name), metadata.permissions()),
        _ => Ok(()),
    })
}

/// What the snapshot before named by its hash, for one more generation, as far as they are intact. The same snapshot again keeps
/// what it kept.
fn kept(index: &Index, previous: &Previous) -> Vec<Row> {
    let has = |path: &str| index.row(path).is_some();
    let is_old = |row: &&Row| is_hashed(&row.path) && may_be_kept(&row.path, has) && !has(&row.path);
    let rows = if index.id == previous.index.id { &previous.index.kept } else { &previous.index.files };
    rows.iter().filter(|row| is_old(row) && previous.is_intact(row)).cloned().collect()
}

fn compare(built: &Built, previous: Option<&Previous>) -> Written {
    let paths: BTreeSet<String> = built.index.paths().map(|(path, _)| path).collect();
    let Some(previous) = previous else { return Written { written: paths.len(), ..Written::default() } };
    let same = |row: &Row| previous.index.row(&row.path).is_some_and(|old| old == row) && previous.is_intact(row);
    let changed: usize = built.index.files.iter().filter(|row| !same(row)).map(Row::form_count).sum();
    let same_export = |row: &&Row| previous.index.exports.contains(row) && previous.is_intact(row);
    let changed = changed + built.index.exports.iter().filter(|row| !same_export(row)).count();
    let removed = previous.index.paths().filter(|(path, _)| !paths.contains(path)).count();
    Written { written: changed, unchanged: paths.len() - changed.min(paths.len()), removed, stepwise: false }
}

/// Writes the whole tree, linking what the previous one holds already, and syncs it.
fn stage(staging: &Path, built: &Built, previous: Option<&Previous>) -> io::Result<()> {
    let exports = built.index.exports.iter().zip(&built.exports);
    exports.into_iter().try_for_each(|(row, bytes)| create(&staging.join(&row.path), bytes))?;
    // The row as the previous snapshot holds it, intact and with the same bytes.
    let same = |row: &Row| {
        previous.filter(|old| old.is_intact(row) && old.index.row(&row.path).is_some_and(|old| old.sha256 == row.sha256))
    };
    built.index.files.par_iter().zip(&built.bytes).try_for_each(|(row, bytes)| {
        let old = same(row);
        match old {
            Some(old) => old.hand_over(&row.path, staging)?,
            None => create(&staging.join(&row.path), bytes)?,
        }
        row.encodings.iter().map(|(encoding, _)| row.form_path(encoding)).try_for_each(|path| {
            match (built.compressed.get(&path), old) {
                (Some(bytes), _) => create(&staging.join(&path), bytes),
                (None, Some(old)) => old.hand_over(&path, staging),
                (None, None) => Err(io::Error::other(format!("{path}: was neither made nor kept"))),
            }
        })
    })?;
    for row in &built.index.kept {
        if let Some(previous) = previous {
            row.forms().try_for_each(|(path, _)| previous.hand_over(&path, staging))?;
        }
    }
    create(&staging.join(INDEX), &index_bytes(&built.index)?)?;
    // One call for the whole tree: an fsync for each of ten thousand files would cost a second.
    rustix::fs::syncfs(fs::File::open(staging)?)?;
    Ok(())
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    in_its_folder(path, || fs::File::options().write(true).create_new(true).open(path))?.write_all(bytes)
}

/// Makes something, and its folder first where there is none: whoever comes first makes it, so that nobody waits for all of them.
fn in_its_folder<T>(path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (make(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            make()
        }
        (made, _) => made,
    }
}

/// Exchanges the trees; true when that had to be done in steps. The old tree is left in the staging place.
fn swap(staging: &Path, target: &Path) -> io::Result<bool> {
    if !target.exists() {
        fs::rename(staging, target)?;
        sync_parent(target)?;
        return Ok(false);
    }
    match renameat_with(CWD, staging, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => {
            sync_parent(target)?;
            Ok(false)
        }
        // A mount point can't be renamed, and some file systems can't exchange.
        Err(rustix::io::Errno::BUSY | rustix::io::Errno::XDEV | rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            swap_entries(staging, target)?;
            sync_parent(target)?;
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// Swaps the top-level entries one by one, the index last: a reader in between finds hashes that do not fit, and keeps
/// what it had.
fn swap_entries(staging: &Path, target: &Path) -> io::Result<()> {
    let inside = target.join(COMING);
    let away = target.join(GOING);
    for folder in [&inside, &away] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir(folder)?;
    }
    let (coming, there) = (names(staging)?, names(target)?);
    for name in &coming {
        copy_tree(&staging.join(name), &inside.join(name))?;
    }
    rustix::fs::syncfs(fs::File::open(&inside)?)?;
    for name in there.iter().filter(|name| !coming.contains(name) && *name != COMING && *name != GOING) {
        fs::rename(target.join(name), away.join(name))?;
    }
    move_in(target)
}

/// The names in a folder; the index is the last of them.
fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>()?;
    names.sort_by_key(|name| (name == INDEX, name.clone()));
    Ok(names)
}

/// Moves what is coming into its places, and what is there out of them; as often as it takes.
fn move_in(target: &Path) -> io::Result<()> {
    let (inside, away) = (target.join(COMING), target.join(GOING));
    for name in names(&inside)? {
        if target.join(&name).exists() {
            fs::rename(target.join(&name), away.join(&name))?;
        }
        fs::rename(inside.join(&name), target.join(&name))?;
    }
    fs::remove_dir_all(&away)?;
    fs::remove_dir_all(&inside)
}

/// Finishes, or takes back, an exchange in steps that was killed. For whoever keeps other writers out.
pub fn finish_swap(folder: &Path) -> io::Result<()> {
    let (inside, away) = (folder.join(COMING), folder.join(GOING));
    let is_empty = |folder: &Path| fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if inside.exists() && !is_empty(&away) {
        return move_in(folder);
    }
    // Nothing has been moved yet, or everything has.
    [inside, away].iter().filter(|folder| folder.exists()).try_for_each(fs::remove_dir_all)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let below = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
        // Joining nothing would add a slash, and a file has none behind it.
        let path = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        if entry.file_type().is_dir() { fs::create_dir_all(path)? } else { _ = fs::copy(entry.path(), path)? }
    }
    Ok(())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
