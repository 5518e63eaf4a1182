//! The steps of a publish, in their order: nothing that a document names comes after it, and the pointer comes last.

#![allow(clippy::disallowed_methods, reason = "publishing tells the time")]

use super::changes::{Offered, Outgoing, Stage, Work, work};
use super::folder::Folder;
use super::pointer::{BEAT, Claim, Opened, overtaken};
use super::record::{About, Action, Artifact, CURRENT, Current, Record, Withheld, object_key, record_key};
use super::target::{Document, Metadata, Swap, Target, TargetError};
use super::{Event, Failed, SIDE_BY_SIDE};
use crate::files::Fingerprint;
use crate::words::{Sha256, Timestamp};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

/// What is to go live, and why.
pub struct Intent {
    /// How it came to be.
    pub action: Action,
    /// The generation that is brought back.
    pub of: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// What the releases are releases of.
    pub product: String,
    /// Releases that are not drafts.
    pub releases: usize,
    /// The head of stable.
    pub stable: Option<String>,
    /// The versions that are not offered.
    pub withheld: Vec<Withheld>,
}

/// What went live.
#[derive(Debug, Default)]
pub struct Published {
    /// Its generation.
    pub generation: u64,
    /// Its id.
    pub id: String,
    /// Documents that were written, the objects among them.
    pub documents: usize,
    /// Artifacts that were sent.
    pub artifacts: usize,
    /// What a CDN has to forget.
    pub purge: Vec<String>,
    /// What could not be done afterwards, and why.
    pub left: Vec<String>,
}

/// A publish that can begin.
struct Ready {
    id: String,
    work: Work,
    record: Record,
}

impl Opened<'_> {
    /// Everything from the artifacts to the pointer.
    pub async fn publish(mut self, out: Outgoing, offered: &Offered, intent: Intent) -> Result<Published, Failed> {
        let ready = self.get_ready(out, offered, intent).await;
        let Ready { id, work, record } = self.or_release(ready).await?;
        let (generation, bytes) = (record.about.generation, record.to_bytes());
        let sha256 = Sha256::of(&bytes).hex();
        let known = self.ahead(&work, &bytes, &sha256).await;
        let known = self.or_release(known).await?;
        let claim = Claim::new(&self, &record, &sha256, &work).await;
        let mut claim = self.or_release(claim).await?;
        let begun = self.begin(&record, &known, &work, &mut claim).await;
        if let Err(error) = begun {
            // Nothing has moved yet, so the claim can be taken back.
            let current = Current { next: None, ..self.current.clone() };
            let _ = self.target.swap(CURRENT, current.to_bytes(), Some(&claim.version)).await;
            return Err(error);
        }
        let moved = match self.documents(&work, &mut claim).await {
            Ok(()) => self.point(claim, &record, bytes).await,
            Err(error) => Err(error),
        };
        match moved {
            Err(overtaken @ Failed::Overtaken { .. }) => {
                if let Err(failed) = self.give_way(&record, &sha256).await {
                    (self.settings.tell)(&Event::NotPutBack { why: &failed.to_string() });
                }
                return Err(overtaken);
            }
            Err(error) => return Err(Failed::Unfinished(Box::new(error))),
            Ok(()) => {}
        }
        (self.settings.tell)(&Event::Live { generation, id: &record.about.id });
        let left = self.remove(&work).await;
        let (documents, artifacts) = (work.documents(), work.artifacts.len());
        self.live = Some(record);
        Ok(Published { generation, id, documents, artifacts, purge: work.purge, left })
    }

    /// Nothing goes on after a failure, so the pointer is not kept for it.
    async fn or_release<T>(&self, tried: Result<T, Failed>) -> Result<T, Failed> {
        if tried.is_err() {
            self.release().await;
        }
        tried
    }

    /// What is to be done, and the artifacts, which nobody can see yet.
    async fn get_ready(&self, mut out: Outgoing, offered: &Offered, intent: Intent) -> Result<Ready, Failed> {
        let now = jiff::Timestamp::now();
        let mut work = work(&mut out, offered, self.live.as_ref(), now.as_second(), self.settings.retention)?;
        work.purge.extend(self.seen_of_given_up());
        if self.repairs {
            let written = work.documents.values().flatten().filter_map(|document| document.key.strip_prefix("public"));
            work.purge.extend(written.map(str::to_owned));
        }
        work.purge.sort();
        work.purge.dedup();
        self.artifacts(&work).await?;
        let given_up = self.given_up.iter().map(|record| record.about.generation);
        let about = About {
            generation: 1 + given_up.fold(self.current.generation, u64::max),
            id: out.index.id.clone(),
            previous: self.live.as_ref().map(|record| record.about.generation),
            at: Timestamp::from_clock(now).map_or_else(str::to_owned, |time| time.as_str().to_owned()),
            by: self.settings.by.clone(),
            action: intent.action,
            of: intent.of,
            reason: intent.reason,
            product: intent.product,
            releases: intent.releases,
            stable: intent.stable,
            documents: work.documents(),
        };
        let record = Record::new(about, &out.index, &work, intent.withheld);
        Ok(Ready { id: out.index.id, work, record })
    }

    /// Sends the artifacts that are not there, and reads each of them back.
    async fn artifacts(&self, work: &Work) -> Result<(), Failed> {
        let total = work.artifacts.len();
        let mut sending = stream::iter(work.artifacts.iter().map(|(artifact, metadata)| self.artifact(artifact, metadata)))
            .buffer_unordered(SIDE_BY_SIDE);
        let mut done = 0;
        while let Some(sent) = sending.next().await {
            sent?;
            done += 1;
            (self.settings.tell)(&Event::Artifacts { done, total });
        }
        Ok(())
    }

    async fn artifact(&self, artifact: &Artifact, metadata: &Metadata) -> Result<(), Failed> {
        let Artifact(key, sha256, size) = artifact;
        let place = format!("artifacts/{key}");
        let local = self.settings.artifacts.map(|folder| folder.join(key)).filter(|path| Fingerprint::of(path).is_some());
        if self.repairs && local.is_some() {
            self.target.delete(&place).await?;
        }
        let sent = match &local {
            Some(path) => self.target.send(&place, path, metadata).await?,
            None => false,
        };
        let wrong = |why: String| Failed::Artifact { key: key.clone(), why };
        let Some((there_size, there)) = self.target.digest(&place).await? else {
            return Err(wrong("is neither in the artifacts' folder nor on the target; bring it back, or publish with --no-artifacts if another storage holds it".to_owned()));
        };
        // A legacy artifact has no hash in its manifest; then the bytes at hand say what is right.
        let expected = sha256.clone().or_else(|| local.as_deref().and_then(digest_of));
        if expected.is_some_and(|expected| expected != there.hex()) || size.is_some_and(|size| size != there_size) {
            let whose = if sent { "what was sent reads back with another hash" } else { "other bytes lie there already" };
            return Err(wrong(format!("{whose}: {there_size} bytes, SHA-256 {there}")));
        }
        Ok(())
    }

    /// What may lie there before anybody knows: objects, the record among them, and new tiles.
    async fn ahead<'w>(&self, work: &'w Work, record: &Bytes, sha256: &str) -> Result<Vec<&'w Document>, Failed> {
        let metadata = Metadata {
            content_type: Some("application/json".to_owned()),
            sha256: Some(sha256.to_owned()),
            ..Metadata::default()
        };
        let record = Document { key: object_key(sha256), bytes: record.clone(), metadata };
        let objects = work.documents.get(&Stage::Objects).into_iter().flatten().chain([&record]);
        let objects: Vec<&Document> = objects.collect();
        self.tell_stage(Stage::Objects, objects.len());
        let known = std::sync::Mutex::new(BTreeSet::new());
        let write = async |document: &Document| {
            if self.repairs {
                return self.target.put(document).await;
            }
            if !self.target.create(document).await? {
                known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(document.key.clone());
            }
            Ok(())
        };
        self.each(&objects, write).await?;
        let tiles: Vec<&Document> = work.documents.get(&Stage::Tiles).into_iter().flatten().collect();
        self.tell_stage(Stage::Tiles, tiles.len());
        self.each(&tiles, write).await?;
        let known = known.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let all = [Stage::Objects, Stage::Tiles].into_iter().filter_map(|stage| work.documents.get(&stage)).flatten();
        Ok(all.filter(|document| known.contains(&document.key)).collect())
    }

    /// What has to be so before anything moves, from the claim on: what was there already has not been pruned since, and the
    /// edges know.
    async fn begin(&self, record: &Record, known: &[&Document], work: &Work, claim: &mut Claim) -> Result<(), Failed> {
        self.is_kept(record).await?;
        self.each(known, async |document| self.target.create(document).await.map(|_| ())).await?;
        self.settle(work, claim).await
    }

    async fn each(
        &self,
        documents: &[&Document],
        write: impl AsyncFn(&Document) -> Result<(), TargetError>,
    ) -> Result<(), Failed> {
        let write = &write;
        let writing = stream::iter(documents.iter().map(|document| async move { write(document).await }));
        writing.buffer_unordered(SIDE_BY_SIDE).try_collect::<()>().await.map_err(Failed::from)
    }

    fn tell_stage(&self, stage: Stage, documents: usize) {
        if documents > 0 {
            (self.settings.tell)(&Event::Documents { stage: stage.as_str(), documents });
        }
    }

    /// A generation that is brought back may have been pruned until the claim; from the claim on it is not.
    async fn is_kept(&self, record: &Record) -> Result<(), Failed> {
        let Some(of) = record.about.of else { return Ok(()) };
        match self.target.read(&record_key(of)).await? {
            Some(_) => Ok(()),
            None => Err(Failed::Missing(format!("generation {of} was pruned a moment ago"))),
        }
    }

    /// Edges that follow the target know of a claim; they get the time to take the new site up before a document leads to it.
    async fn settle(&self, work: &Work, claim: &mut Claim) -> Result<(), Failed> {
        let until = Instant::now() + self.settings.settle;
        if !work.grows || self.live.is_none() || self.settings.settle.is_zero() {
            return Ok(());
        }
        (self.settings.tell)(&Event::Settling { seconds: self.settings.settle.as_secs_f64() });
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(left.min(BEAT)).await;
            claim.keep(self).await?;
        }
    }

    /// What can move, stage by stage, as long as the claim holds.
    pub(super) async fn documents(&self, work: &Work, claim: &mut Claim) -> Result<(), Failed> {
        let shrinks = work.shrinks && !work.grows;
        if let Target::Folder(folder) = self.target {
            return self.documents_of_folder(work, folder, shrinks).await;
        }
        for stage in Stage::moving(shrinks) {
            if stage == Stage::Map && shrinks {
                // Nothing names these any more, and the redirects still know what they lead to.
                for key in work.gone.iter().filter(|key| key.starts_with("public/")) {
                    self.target.delete(key).await?;
                }
            }
            let documents: Vec<&Document> = work.documents.get(&stage).into_iter().flatten().collect();
            self.tell_stage(stage, documents.len());
            for batch in documents.chunks(SIDE_BY_SIDE) {
                claim.keep(self).await?;
                self.each(batch, async |document| self.target.put(document).await).await?;
            }
        }
        claim.keep(self).await
    }

    /// The same in a folder, where all of `public/` moves in one step.
    async fn documents_of_folder(&self, work: &Work, folder: &Folder, shrinks: bool) -> Result<(), Failed> {
        let moving = Stage::moving(shrinks).into_iter().filter_map(|stage| work.documents.get(&stage)).flatten();
        let (public, private): (Vec<_>, Vec<_>) = moving.partition(|document| document.key.starts_with("public/"));
        let redirects = || self.each(&private, async |document| self.target.put(document).await);
        if !shrinks {
            redirects().await?;
        }
        let public: BTreeMap<&str, &[u8]> = public.iter().map(|document| (document.key.as_str(), &*document.bytes)).collect();
        let gone: BTreeSet<&str> = work.gone.iter().filter(|key| key.starts_with("public/")).map(String::as_str).collect();
        if !public.is_empty() || !gone.is_empty() {
            (self.settings.tell)(&Event::Documents { stage: "public", documents: public.len() });
            folder.exchange_public(&public, &gone)?;
        }
        if shrinks { redirects().await } else { Ok(()) }
    }

    /// The record, and then the pointer: from here on the new generation is live.
    async fn point(&self, claim: Claim, record: &Record, bytes: Bytes) -> Result<(), Failed> {
        let about = &record.about;
        let metadata = Metadata { content_type: Some("application/json".to_owned()), ..Metadata::default() };
        let document = Document { key: record_key(about.generation), bytes: bytes.clone(), metadata };
        if !self.target.create(&document).await? {
            // Written by a try whose answer was lost, or by somebody else.
            let there = self.target.read(&document.key).await?;
            if there.is_none_or(|there| there.bytes != bytes) {
                return Err(overtaken(self.target, None).await);
            }
        }
        let current = Current {
            generation: about.generation,
            id: about.id.clone(),
            record: Sha256::of(&bytes).hex(),
            at: about.at.clone(),
            by: about.by.clone(),
            next: None,
            given_up: Vec::new(),
        };
        match self.target.swap(CURRENT, current.to_bytes(), Some(&claim.version)).await? {
            Swap::Done(_) => Ok(()),
            Swap::Refused => Err(overtaken(self.target, None).await),
        }
    }

    /// Removes what must not stay, and what nobody needs any more; returns what could not be removed.
    async fn remove(&self, work: &Work) -> Vec<String> {
        let keep = async |key: &String| -> Result<(), TargetError> {
            // A kept snapshot may still name a tile: its bytes stay among the objects until `prune` knows better.
            let sha256 = key.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
            if let Some(object) = self.target.read(key).await? {
                let document = Document { key: object_key(sha256), bytes: object.bytes, metadata: Metadata::default() };
                self.target.create(&document).await?;
            }
            self.target.delete(key).await
        };
        let mut left = Vec::new();
        for key in work.gone.iter().chain(&work.again) {
            if let Err(error) = self.target.delete(key).await {
                left.push(format!("it could not be removed: {error}; publish again, or remove it"));
            }
        }
        for key in &work.due {
            if let Err(error) = keep(key).await {
                left.push(format!("it could not be removed: {error}; publish again, or remove it"));
            }
        }
        let removed = (work.gone.len() + work.due.len()).saturating_sub(left.len());
        if removed > 0 {
            (self.settings.tell)(&Event::Removed { objects: removed });
        }
        left
    }

    /// Whether exactly this is live already.
    pub fn is_live(&self, id: &str, offered: &Offered) -> bool {
        let Some(live) = self.live.as_ref().filter(|live| live.about.id == id) else { return false };
        let held: BTreeSet<&str> = live.artifacts.iter().map(|artifact| artifact.0.as_str()).collect();
        let withdrawn = offered.withdrawn.keys().all(|key| live.withdrawn.contains(key));
        let wanted = offered.elsewhere || offered.wanted.keys().all(|key| held.contains(key.as_str()));
        withdrawn && wanted && live.elsewhere == offered.elsewhere && !self.repairs
    }

    /// What a publish says that had nothing to do.
    pub async fn nothing_new(&self) -> Published {
        let Some(live) = &self.live else { return Published::default() };
        if let Target::Folder(folder) = self.target {
            // Whoever holds the folder removes what a killed run left there.
            let _ = folder.hold();
        }
        self.release().await;
        let (generation, id) = (live.about.generation, live.about.id.clone());
        let purge = live.purge.iter().cloned().chain(self.seen_of_given_up()).collect::<BTreeSet<_>>().into_iter().collect();
        Published { generation, id, purge, left: self.finish().await, ..Published::default() }
    }

    /// Removes again what the live generation had to: for a run that was cut off after its pointer.
    async fn finish(&self) -> Vec<String> {
        let gone = self.live.iter().flat_map(|live| &live.gone).cloned().collect();
        self.remove(&Work { gone, ..Work::default() }).await
    }
}

fn digest_of(path: &Path) -> Option<String> {
    crate::artifacts::hash(path, |_| ()).ok().map(|hashed| hashed.sha256.hex())
}
