//! `token`: makes bearer tokens; only their hashes are kept.

#![allow(clippy::disallowed_methods, reason = "this is where tokens are written")]

use super::console::Console;
use super::{Exit, Failure, Outcome};
use agent_releases::answer::Tokens;
use agent_releases::edge::{OTHERS, exposed};
use agent_releases::files::{lock, open_regular};
use agent_releases::problem::Problem;
use agent_releases::words::{Moment, Sha256, Timestamp, Word};
use clap::{Args, Subcommand};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Make bearer tokens, of which only the hashes are kept
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
}

/// Make a token, print it once, and add its hash to the tokens file
///
/// The edge reads the file again by itself. To revoke a token, take its line out.
#[derive(Args)]
struct New {
    /// Who it is for: a name that stands beside the hash
    #[arg(value_parser = name)]
    name: String,
    /// The tokens file, as the edge gets it; made if it is not there
    #[arg(long, env = "AGENT_RELEASES_TOKENS", value_name = "FILE")]
    tokens: PathBuf,
    /// When it stops being good, such as 2026-12-31T00:00:00Z; never, if nobody says
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<Timestamp>,
}

fn name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain && (1..=64).contains(&text.len()) && !text.starts_with(['-', '.']) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, `-`, `_` and `.`".to_owned())
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Moment::parse(text).and_then(|_| Timestamp::from_input(text)).map_err(|expected| format!("expected {expected}"))
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let Command::New(new) = &arguments.command;
    let token = token().map_err(|error| Failure::general(format!("the system gives no random bytes: {error}")))?;
    add(new, Sha256::of(token.as_bytes()))?;
    console.say(&format!("`{}` is in {}; the token itself is kept nowhere:", new.name, new.tokens.display()));
    console.result(&token);
    Ok(Exit::Fine)
}

const PREFIX: &str = "agr_";
/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits of 256 bits.
const SECRET_DIGITS: usize = 52;
/// Digits by which a mistyped or cut token, and one that leaked, is known without asking anybody.
const CHECK_DIGITS: usize = 7;

/// `agr_`, 52 digits of 256 random bits, and 7 of the SHA-256 of all that, all in base 32.
fn token() -> io::Result<String> {
    let mut random = [0; 32];
    let mut rest = &mut random[..];
    while !rest.is_empty() {
        let count = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
        rest = &mut rest[count..];
    }
    let token = format!("{PREFIX}{}", base32(&random, SECRET_DIGITS));
    let check = base32(Sha256::of(token.as_bytes()).bytes(), CHECK_DIGITS);
    Ok(token + &check)
}

/// The first digits of these bytes, five bits each, zeros behind their end.
fn base32(bytes: &[u8], digits: usize) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
    let digit = |place: usize| DIGITS[(place * 5..place * 5 + 5).fold(0, |value, at| value << 1 | bit(at))];
    (0..digits).map(|place| char::from(digit(place))).collect()
}

/// Adds the line; the file is replaced as a whole, and keeps its owner, its group and its mode.
fn add(new: &New, hash: Sha256) -> Result<(), Problem> {
    let wrong = |why: String| Problem::of_file(new.tokens.display(), why);
    let failed = |error: io::Error| wrong(format!("cannot be written: {error}"));
    // One file is one file, by whatever links it is reached.
    let path = settled(&new.tokens).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _lock = lock(folder).map_err(failed)?;
    let (mut text, old) = existing(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if let Some(mode) = old.as_ref().map(MetadataExt::mode).filter(|mode| mode & OTHERS != 0) {
        return Err(wrong(exposed(mode)));
    }
    let tokens = Tokens::parse(&text).map_err(|bad| wrong(bad.to_string()))?;
    if tokens.has_name(&new.name) {
        return Err(wrong(format!("`{}` is there already; take its line out, or choose another name", new.name)));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let expires_at = new.expires_at.as_ref().map(|time| format!(" {time}")).unwrap_or_default();
    text.push_str(&format!("{} {hash}{expires_at}\n", new.name));
    // Nothing is written that the edge would refuse.
    Tokens::parse(&text).map_err(|bad| wrong(bad.to_string()))?;
    replace(&path, folder, &text, old.as_ref()).map_err(failed)
}

/// Where a path leads, through links; a link that leads nowhere is an error, a file that is not there yet is not.
fn settled(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => Ok(path.to_owned()),
        settled => settled,
    }
}

/// The file's text, and whose it is; no text when it is not there.
fn existing(path: &Path) -> io::Result<(String, Option<Metadata>)> {
    match open_regular(path) {
        Ok((mut file, metadata)) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok((text, Some(metadata)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((String::new(), None)),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, folder: &Path, text: &str, old: Option<&Metadata>) -> io::Result<()> {
    // Only its owner may read it, until it is as the old one was.
    let mut file = tempfile::Builder::new().prefix(".agent-releases-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        let new = file.as_file().metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(Permissions::from_mode(old.permissions().mode() & 0o7777))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
