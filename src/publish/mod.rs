//! Publishing: one safe step forward, one step back, and the ways to look at what is live.
//!
//! A target holds `public/` (what a CDN serves), `artifacts/`, `private/`, `objects/` (bytes by their hash, from which every
//! kept snapshot can be put together), `snapshots/` (a record for each generation) and `current`, the one pointer. Whoever
//! publishes claims the pointer, moves the documents, writes the record and moves the pointer, each under the condition that
//! nobody else did. Killed anywhere in between, nothing that can be reached leads to something missing, and the next run
//! converges.
//!
//! In reading order: [`target`] (with `folder` and `bucket`), [`record`] (the formats), [`changes`] (what has to be done),
//! [`mod@pointer`] (who may), [`steps`] (doing it), `repair`, [`rollback`], [`follow`], [`prune`], [`staged`] (a real edge is asked
//! before anybody else is), [`audit`], [`against`] (what `plan` compares with).

pub mod against;
pub mod audit;
mod bucket;
pub mod changes;
mod folder;
pub mod follow;
pub mod pointer;
pub mod prune;
pub mod record;
mod repair;
pub mod rollback;
pub mod staged;
pub mod steps;
pub mod target;

use crate::problem::Problem;
use crate::snapshot::{Files, Row, is_hashed};
use crate::words::Sha256;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use record::Record;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use target::{Target, TargetError};

/// Requests under way at a time.
const SIDE_BY_SIDE: usize = 16;

/// How to publish.
pub struct Settings<'a> {
    /// Who does it.
    pub by: String,
    /// The folder that artifacts are sent from; `None`: another storage holds them.
    pub artifacts: Option<&'a Path>,
    /// How long a publisher that shows no sign of life is waited for.
    pub patience: Duration,
    /// How long edges that follow the target have to take up a new site before its documents move.
    pub settle: Duration,
    /// Seconds that tiles stay after the last snapshot that named them.
    pub retention: i64,
    /// Is told what happens.
    pub tell: &'a dyn Fn(&Event<'_>),
}

/// What happens on the way.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// Another publisher is at work.
    Waiting {
        /// Who.
        by: &'a str,
        /// What it will be.
        generation: u64,
    },
    /// The other publisher shows no sign of life.
    TakesOver {
        /// Who.
        by: &'a str,
        /// What it would have been.
        generation: u64,
    },
    /// The staged site answers as it should.
    Staged {
        /// Addresses that were asked.
        addresses: usize,
    },
    /// An artifact is there, and was read back.
    Artifacts {
        /// So many.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// Documents are written.
    Documents {
        /// Which.
        stage: &'a str,
        /// How many.
        documents: usize,
    },
    /// From here on nobody else may move documents.
    Claimed {
        /// What it will be.
        generation: u64,
    },
    /// Edges are given time.
    Settling {
        /// So much.
        seconds: f64,
    },
    /// It is done.
    Live {
        /// The new generation.
        generation: u64,
        /// The snapshot's id.
        id: &'a str,
    },
    /// Somebody else came first, and what this one wrote is still there.
    NotPutBack {
        /// Why.
        why: &'a str,
    },
    /// What must not stay is gone.
    Removed {
        /// How many.
        objects: usize,
    },
    /// A follower has taken up a snapshot.
    Followed {
        /// Its generation.
        generation: u64,
        /// Its id.
        id: &'a str,
        /// Documents and artifacts that were fetched.
        fetched: usize,
    },
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The target does not do what was asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Somebody else came first.
    #[error("{} published first (generation {generation}{}); look at `history`, then publish again", name(by), when(at))]
    Overtaken {
        /// What they published, or are about to.
        generation: u64,
        /// Who.
        by: String,
        /// When.
        at: String,
    },
    /// The store writes whatever the condition says: two publishers would overwrite each other.
    #[error(
        "the store ignores conditional writes (If-Match, If-None-Match), so two publishers could overwrite each other; use one that honours them"
    )]
    NoConditions,
    /// An artifact is not what its manifest says, or is nowhere.
    #[error("artifacts/{key}: {why}")]
    Artifact {
        /// Its storage key.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// It was begun, and did not end.
    #[error("{0}; it was begun and is not live: publish again, which finishes or replaces it")]
    Unfinished(Box<Failed>),
    /// The staged site does not answer as it should.
    #[error("the staged site answers wrongly, so nothing moved: {0}")]
    Staged(String),
    /// Something published would be undone.
    #[error("{0}")]
    Refused(String),
    /// Something that it needs is not there.
    #[error("{0}")]
    Missing(String),
    /// The sources are wrong.
    #[error("the sources are wrong")]
    Sources(Vec<Problem>),
}

impl Failed {
    /// Another generation is live than the one that was to be replaced.
    pub fn of_another_generation(live: Option<&Record>) -> Self {
        let (generation, by, at) = live.map_or((0, "", ""), |live| (live.about.generation, &live.about.by, &live.about.at));
        Self::Overtaken { generation, by: by.to_owned(), at: at.to_owned() }
    }
}

impl From<Vec<Problem>> for Failed {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Sources(problems)
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self::Sources(vec![problem])
    }
}

fn name(by: &str) -> &str {
    if by.is_empty() { "somebody else" } else { by }
}

fn when(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!(", {at}") }
}

/// The bytes of a snapshot's file as a target keeps them, checked against its hash.
pub async fn read_row(target: &Target, row: &Row) -> Result<Bytes, Failed> {
    let keys = [record::object_key(row.sha256), changes::key_of(&row.path)];
    // A tile lies at its own address as long as it is served, other files among the objects.
    let keys = if is_hashed(&row.path) { [&keys[1], &keys[0]] } else { [&keys[0], &keys[1]] };
    for key in keys {
        if let Some(object) = target.read(key).await?
            && Sha256::of(&object.bytes) == row.sha256
        {
            return Ok(object.bytes);
        }
    }
    Err(Failed::Missing(format!("{}: its bytes ({}) are not on the target any more", row.path, row.sha256)))
}

/// As [`read_row`], of many, side by side; by path.
pub async fn read_rows(target: &Target, rows: impl Iterator<Item = &Row>) -> Result<Files, Failed> {
    let reading = rows.map(|row| async move { Ok::<_, Failed>((row.path.clone(), read_row(target, row).await?)) });
    stream::iter(reading).buffer_unordered(SIDE_BY_SIDE).try_collect().await
}
