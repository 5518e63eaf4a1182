//! The pointer: read, claimed, kept, taken over from who gave up, and given way to who took over. Whoever holds the claim
//! moves documents, and nobody else.

#![allow(clippy::disallowed_methods, reason = "a claim is alive for a while")]

use super::changes::{Work, back, differing};
use super::record::{About, CURRENT, Current, GivenUp, Live, Next, Record, object_key, read_current, read_record};
use super::target::{Swap, Target, Version};
use super::{Event, Failed, SIDE_BY_SIDE, Settings, read_rows};
use crate::snapshot::{Files, Index, Row};
use std::time::{Duration, Instant};

/// A claim says that it is alive when so much time has passed.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// How often a pointer is looked at that somebody is about to write.
const MOST_LOOKS: u32 = 20;
/// How often an overtaken publisher looks whether the other has ended: ten minutes.
const GIVE_WAY_LOOKS: u32 = 1200;
/// How often a claim of somebody else is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A target, read once: what is compared with, and the state that the pointer must still be in when it is claimed.
pub struct Opened<'a> {
    pub(super) target: &'a Target,
    pub(super) settings: &'a Settings<'a>,
    /// What is live; `None` before the first publish.
    pub live: Option<Record>,
    pub(super) given_up: Vec<Record>,
    /// Something of what is live was found wrong.
    pub(super) repairs: bool,
    pub(super) current: Current,
    pub(super) version: Version,
}

impl<'a> Opened<'a> {
    /// Reads what is live, waits for a publisher that is at work, and makes sure that the store honours conditions.
    pub async fn read(target: &'a Target, settings: &'a Settings<'a>) -> Result<Self, Failed> {
        let found = match Live::read(target).await? {
            Some(found) => found,
            None => first(target).await?,
        };
        let mut opened = Self {
            target,
            settings,
            live: found.record,
            given_up: Vec::new(),
            repairs: false,
            current: found.current,
            version: found.version,
        };
        if let Some(next) = opened.current.next.clone() {
            opened.wait_for(&next).await?;
            opened.take_over(next).await?;
        }
        match opened.make_sure().await {
            Ok(()) => Ok(opened),
            Err(failed) => {
                opened.release().await;
                Err(failed)
            }
        }
    }

    /// Reads what was given up, and tries the store.
    async fn make_sure(&mut self) -> Result<(), Failed> {
        for GivenUp { record, .. } in &self.current.given_up {
            self.given_up.push(read_record(self.target, &object_key(record), record).await?);
        }
        self.probe().await
    }

    /// Waits until another publisher has ended: well, and then this one is too late; or not, and then this one takes over.
    async fn wait_for(&mut self, next: &Next) -> Result<(), Failed> {
        if let Target::Folder(folder) = self.target
            && folder.hold()?
        {
            return Ok(());
        }
        (self.settings.tell)(&Event::Waiting { by: &next.by, generation: next.generation });
        let (mut beat, mut since) = (next.beat, Instant::now());
        while since.elapsed() < self.settings.patience {
            tokio::time::sleep(LOOK.min(self.settings.patience)).await;
            let Some((now, version)) = read_current(self.target).await? else { return Err(overtaken(self.target, None).await) };
            match &now.next {
                Some(same) if same.record == next.record && same.by == next.by => {
                    if same.beat != beat {
                        (beat, since) = (same.beat, Instant::now());
                    }
                    (self.current, self.version) = (now, version);
                }
                _ => return Err(overtaken(self.target, None).await),
            }
        }
        (self.settings.tell)(&Event::TakesOver { by: &next.by, generation: next.generation });
        Ok(())
    }

    /// Puts back what is live where a publisher that gave up may have written. Its claim stays until that is done, so that
    /// whoever comes next, should this one be cut off, does the same.
    async fn take_over(&mut self, next: Next) -> Result<(), Failed> {
        let other = read_record(self.target, &object_key(&next.record), &next.record).await?;
        let mut given_up = self.current.given_up.clone();
        // One that only put back what is live has shown nothing else.
        if next.record != self.current.record && given_up.iter().all(|known| known.record != next.record) {
            given_up.push(GivenUp { generation: next.generation, record: next.record.clone() });
        }
        let next = Next { beat: next.beat + 1, by: self.settings.by.clone(), ..next };
        let current = Current { next: Some(next), ..self.current.clone() };
        let kept = Instant::now();
        let version = match self.target.swap(CURRENT, current.to_bytes(), Some(&self.version)).await? {
            Swap::Done(version) => version,
            Swap::Refused => return Err(overtaken(self.target, Some(&self.version)).await),
        };
        let mut claim = Claim { current, version, kept };
        let live = self.live.as_ref().map(Record::index).unwrap_or_default();
        self.put_back(&live, &other.index(), &mut claim).await?;
        // From here on this publisher's own claim, of what is live, keeps the pointer until there is more to claim. What was
        // given up stays known, whatever becomes of this publisher.
        let Current { generation, id, record, at, .. } = self.current.clone();
        let own = Next { generation, id, record, at, by: self.settings.by.clone(), early: false, beat: 0 };
        let current = Current { next: self.live.as_ref().map(|_| own), given_up, ..self.current.clone() };
        match self.target.swap(CURRENT, current.to_bytes(), Some(&claim.version)).await? {
            Swap::Done(version) => (self.current, self.version) = (current, version),
            Swap::Refused => return Err(overtaken(self.target, Some(&claim.version)).await),
        }
        Ok(())
    }

    /// Somebody took this publisher for dead and went on. What it wrote since is put back to what they made live.
    pub(super) async fn give_way(&self, mine: &Record, sha256: &str) -> Result<(), Failed> {
        for _ in 0..GIVE_WAY_LOOKS {
            if let Some((live, mut claim)) = self.claim_again(mine, sha256).await? {
                self.put_back(&live.index(), &mine.index(), &mut claim).await?;
                let current = Current { next: None, ..claim.current };
                self.target.swap(CURRENT, current.to_bytes(), Some(&claim.version)).await?;
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn put_back(&self, live: &Index, other: &Index, claim: &mut Claim) -> Result<(), Failed> {
        let rows: Vec<&Row> = differing(live, other).collect();
        let mut files = Files::new();
        for some in rows.chunks(SIDE_BY_SIDE) {
            claim.keep(self).await?;
            files.extend(read_rows(self.target, some.iter().copied()).await?);
        }
        let work = back(live, other, &files)?;
        self.documents(&work, claim).await?;
        for key in &work.gone {
            self.target.delete(key).await?;
        }
        Ok(())
    }

    /// Claims the pointer for putting back what is live: nobody else moves anything meanwhile. `None` when somebody does. A
    /// claim that is still this publisher's own will do.
    async fn claim_again(&self, mine: &Record, sha256: &str) -> Result<Option<(Record, Claim)>, Failed> {
        let Some(Live { current, version, record: Some(live) }) = Live::read(self.target).await? else { return Ok(None) };
        let is_own = |next: &Next| next.record == sha256 && next.by == mine.about.by;
        if current.next.as_ref().is_some_and(|next| !is_own(next)) {
            return Ok(None);
        }
        let About { id, by, at, .. } = mine.about.clone();
        let next = Next { generation: current.generation, id, record: sha256.to_owned(), by, at, early: false, beat: 0 };
        let (claimed, kept) = (Current { next: Some(next), ..current }, Instant::now());
        Ok(match self.target.swap(CURRENT, claimed.to_bytes(), Some(&version)).await? {
            Swap::Done(version) => Some((live, Claim { current: claimed, version, kept })),
            Swap::Refused => None,
        })
    }

    /// Lets go of the pointer, should this publisher have taken it over from one that gave up.
    pub async fn release(&self) {
        if self.current.next.is_some() {
            let released = Current { next: None, ..self.current.clone() };
            let _ = self.target.swap(CURRENT, released.to_bytes(), Some(&self.version)).await;
        }
    }

    /// Asks for what must be refused: a write of the pointer under a condition that does not hold. It would change nothing
    /// but the pointer, and that to what it is.
    async fn probe(&self) -> Result<(), Failed> {
        let wrong = Version { tag: Some(format!("\"{}\"", "0".repeat(32))), number: Some("1".to_owned()) };
        let refused = self.target.refuses(CURRENT, self.current.to_bytes(), Some(&wrong)).await?;
        if refused { Ok(()) } else { Err(Failed::NoConditions) }
    }

    /// Publishes that were cut off, and may have been seen.
    pub fn given_up(&self) -> &[Record] {
        &self.given_up
    }

    /// Addresses whose documents a publisher that gave up may have moved, and a CDN may have seen.
    pub(super) fn seen_of_given_up(&self) -> Vec<String> {
        let Some(live) = self.live.as_ref().map(Record::index) else { return Vec::new() };
        let seen = |other: &Record| -> Vec<String> {
            let other = other.index();
            let rows = differing(&live, &other).chain(differing(&other, &live));
            rows.filter_map(|row| row.path.strip_prefix("public").map(str::to_owned)).collect()
        };
        self.given_up.iter().flat_map(seen).collect()
    }
}

/// A claim on the pointer: nobody else may move documents while it is kept up.
pub(super) struct Claim {
    current: Current,
    pub(super) version: Version,
    kept: Instant,
}

impl Claim {
    pub(super) async fn new(opened: &Opened<'_>, record: &Record, sha256: &str, work: &Work) -> Result<Self, Failed> {
        let about = &record.about;
        let next = Next {
            generation: about.generation,
            id: about.id.clone(),
            record: sha256.to_owned(),
            by: about.by.clone(),
            at: about.at.clone(),
            early: work.grows || !work.shrinks,
            beat: 0,
        };
        let current = Current { next: Some(next), ..opened.current.clone() };
        let kept = Instant::now();
        match opened.target.swap(CURRENT, current.to_bytes(), Some(&opened.version)).await? {
            Swap::Done(version) => {
                (opened.settings.tell)(&Event::Claimed { generation: about.generation });
                Ok(Self { current, version, kept })
            }
            Swap::Refused => Err(overtaken(opened.target, Some(&opened.version)).await),
        }
    }

    /// Says that it is alive, when it has not for a while.
    pub(super) async fn keep(&mut self, opened: &Opened<'_>) -> Result<(), Failed> {
        if self.kept.elapsed() < BEAT {
            return Ok(());
        }
        let kept = Instant::now();
        if let Some(next) = &mut self.current.next {
            next.beat += 1;
        }
        match opened.target.swap(CURRENT, self.current.to_bytes(), Some(&self.version)).await? {
            Swap::Done(version) => {
                (self.version, self.kept) = (version, kept);
                Ok(())
            }
            Swap::Refused => Err(overtaken(opened.target, None).await),
        }
    }
}

/// The pointer of a target that nothing was published on yet; made, and tried whether it can be made twice.
async fn first(target: &Target) -> Result<Live, Failed> {
    if !target.list("snapshots").await?.is_empty() {
        let why = "there are snapshots, but no `current`: it was lost, and with it what is published; restore it from a backup, or use another target";
        return Err(Failed::Missing(why.to_owned()));
    }
    let current = Current::default();
    let made = target.swap(CURRENT, current.to_bytes(), None).await?;
    if !target.refuses(CURRENT, current.to_bytes(), None).await? {
        return Err(Failed::NoConditions);
    }
    match made {
        Swap::Done(version) => Ok(Live { current, version, record: None }),
        // Another publisher makes it at this moment.
        Swap::Refused => {
            for _ in 0..MOST_LOOKS {
                if let Some(live) = Live::read(target).await? {
                    return Ok(live);
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(overtaken(target, None).await)
        }
    }
}

/// Who came first, as far as the pointer says. In the state that is known to be over, it says nothing yet: whoever holds a
/// folder claims it a moment later.
pub(super) async fn overtaken(target: &Target, known: Option<&Version>) -> Failed {
    let mut looks = 0;
    loop {
        looks += 1;
        match read_current(target).await {
            Err(error) => return error.into(),
            Ok(Some((_, version))) if known == Some(&version) && looks < MOST_LOOKS => {}
            Ok(None) if looks < MOST_LOOKS => {}
            Ok(Some((current, _))) => {
                return match current.next {
                    Some(next) => Failed::Overtaken { generation: next.generation, by: next.by, at: next.at },
                    None => Failed::Overtaken { generation: current.generation, by: current.by, at: current.at },
                };
            }
            Ok(None) => return Failed::Overtaken { generation: 0, by: String::new(), at: String::new() },
        }
        tokio::time::sleep(LOOK).await;
    }
}
