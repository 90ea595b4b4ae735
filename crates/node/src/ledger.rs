//! The ledger at work: an entry is sealed, written in the transaction of what it records, and published in the log.
//!
//! ```text
//! State::entry(event) ─► store.recording(entry).change(…)     durable: the caller may be answered
//!                                  └─► run: leaves in order ─► tiles ─► signed checkpoint, at most one per interval
//! ```
//! The log's files can always be written again from the database: the same entries in the same order give the same
//! tree. What must never happen is that the log goes on from less than somebody has seen of it; [`open`] and
//! [`Ledger::halt`] stop the node then.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use concordat_ledger::{
    AuditKey, Digest, Entry, EntryKey, Event, Folder, Hex, Leaf, Log, LogError, Person, Retention, Scope,
    SealedEntry, SignedCheckpoint, Stated, Text,
};
use concordat_note::{SigningKey, VerifierKey};
use concordat_store::{Incident, NewEntry, Store, StoreError};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::watch;

use crate::agreement::{Agreement, Offer};
use crate::book::store_fault;
use crate::entropy::Entropy;
use crate::state::State;
use crate::steps::{Step, Steps};

/// Entries published at once.
const BATCH: u32 = 4_096;
/// How long to wait when the log's folder cannot be written.
const RETRY: Duration = Duration::from_secs(5);

/// A node's ledger.
pub struct Ledger {
    key: SigningKey,
    audit_key: AuditKey,
    folder: PathBuf,
    /// Empty while the folder could not be written and has to be opened again.
    log: Mutex<Option<Log>>,
    latest: watch::Sender<Option<SignedCheckpoint>>,
    halted: OnceLock<String>,
    steps: Steps,
}

/// Why the ledger cannot be opened. The node must not start: it would sign another history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log's folder.
    #[error("the ledger in {}: {source}", folder.display())]
    Log {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong.
        source: LogError,
    },
    /// The database is older than the log.
    #[error(
        "the database has {have} entries of the ledger, its published log has {published}: an older copy of the database was restored. Restore the newest one; nothing can be recorded before"
    )]
    DatabaseBehind {
        /// In the database.
        have: u64,
        /// In the published log.
        published: u64,
    },
    /// The database and the log are of two histories.
    #[error(
        "entry {number} of the ledger is another one in the database than in its published log: the two are not of the same node, or one was changed"
    )]
    DatabaseDiffers {
        /// Which.
        number: u64,
    },
    /// The key's name.
    #[error("the ledger's key: {0}")]
    Key(#[from] concordat_note::KeyError),
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
}

/// The name of an agency's ledger: its origin line.
pub fn origin(agency_id: &str) -> String {
    format!("{agency_id}/ledger")
}

/// The key of an agency's ledger: that of its identity under the ledger's name.
///
/// # Errors
/// The name cannot be a key's.
pub fn key_of(identity: &VerifierKey) -> Result<VerifierKey, concordat_note::KeyError> {
    identity.renamed(&origin(identity.name()))
}

/// Opens the ledger in `folder`, holds the database to its log, and publishes what a crash left unpublished.
///
/// # Errors
/// [`OpenError`].
pub async fn open(
    folder: &Path,
    identity: &SigningKey,
    store: &Store,
    steps: Steps,
) -> Result<Ledger, OpenError> {
    let key = identity.renamed(&origin(identity.name()))?;
    let log_fault = |source| OpenError::Log {
        folder: folder.to_owned(),
        source,
    };
    let log = open_log(folder, key.verifier()).map_err(log_fault)?;
    log.tidy().map_err(log_fault)?;
    let (published, have) = (log.size(), store.ledger_size().await?);
    if published > have {
        return Err(OpenError::DatabaseBehind { have, published });
    }
    if let Some(last) = published.checked_sub(1) {
        let kept = store.ledger_leaves(last, 1).await?;
        let kept = kept
            .first()
            .and_then(|leaf| leaf_of(leaf))
            .map(|leaf| leaf.encode(last));
        let logged = log.reader().entry(last);
        let logged = logged.map_err(|error| log_fault(LogError::Read(error)))?;
        if kept.as_ref() != Some(&logged) {
            return Err(OpenError::DatabaseDiffers { number: last });
        }
    }
    let audit_key = AuditKey::new(*store.secret("audit_key").await?);
    Ok(Ledger {
        latest: watch::Sender::new(log.latest().cloned()),
        key,
        audit_key,
        folder: folder.to_owned(),
        log: Mutex::new(Some(log)),
        halted: OnceLock::new(),
        steps,
    })
}

fn open_log(folder: &Path, key: VerifierKey) -> Result<Log, LogError> {
    Log::open(Folder::create(folder).map_err(LogError::Io)?, key)
}

fn leaf_of(draft: &[u8]) -> Option<Leaf> {
    Leaf::parse_draft(std::str::from_utf8(draft).ok()?)
}

impl Ledger {
    /// The folder of the log's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key that verifies the log.
    pub fn verifier(&self) -> VerifierKey {
        self.key.verifier()
    }

    /// The key that commits to identifiers.
    pub fn audit_key(&self) -> &AuditKey {
        &self.audit_key
    }

    /// The checkpoint published last, and every one that follows.
    pub fn checkpoints(&self) -> watch::Receiver<Option<SignedCheckpoint>> {
        self.latest.subscribe()
    }

    /// Stops the node's recording, and so everything that must be recorded: the log is not the one that somebody saw.
    pub fn halt(&self, why: String) {
        tracing::error!(
            why,
            "the ledger has been halted: nothing is recorded, so nothing is done any more"
        );
        let _ = self.halted.set(why);
    }

    /// Says that a step of an entry's way is done.
    pub(crate) fn passed(&self, step: Step) {
        self.steps.passed(step);
    }

    /// Why nothing is recorded any more, if so.
    pub fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    /// Whether anything can be recorded.
    ///
    /// # Errors
    /// The ledger was halted: nothing may be done that cannot be recorded.
    pub fn records(&self) -> Result<(), Fault> {
        match self.halted() {
            None => Ok(()),
            Some(why) => Err(Fault::new(Reason::DataLoss, "LEDG-001", why.to_owned())),
        }
    }

    /// Works with the log's files while nothing is published. Blocks for a disk's time.
    ///
    /// # Errors
    /// The folder cannot be opened, or what `work` says.
    pub fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut slot = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(open_log(&self.folder, self.verifier())?);
        }
        let Some(log) = slot.as_mut() else {
            return Err(LogError::InDoubt);
        };
        let result = work(log);
        if matches!(result, Err(LogError::InDoubt | LogError::Io(_))) {
            // What the disk has is not known: find out before going on.
            *slot = None;
        }
        result
    }

    /// An entry, sealed under a fresh key.
    ///
    /// # Errors
    /// The ledger was halted, or the entry is too large.
    pub fn entry(
        &self,
        at: Timestamp,
        entropy: &Entropy,
        retention: Retention,
        event: impl Into<Event>,
    ) -> Result<NewEntry, Fault> {
        self.records()?;
        seal(at, entropy, retention, event)
    }

    /// Publishes entries until the log has all that are in the database.
    ///
    /// # Errors
    /// The log's folder cannot be written, or the database cannot be read.
    pub async fn publish(self: &Arc<Self>, store: &Store) -> Result<(), PublishError> {
        loop {
            let size = self.blocking(|log| Ok(log.size())).await?;
            let drafts = store.ledger_leaves(size, BATCH).await?;
            if drafts.is_empty() {
                return Ok(());
            }
            let leaves: Option<Vec<Leaf>> = drafts.iter().map(|draft| leaf_of(draft)).collect();
            let leaves = leaves.ok_or(StoreError::Corrupt {
                what: "ledger_entry.leaf",
            })?;
            self.passed(Step::Append);
            let this = Arc::clone(self);
            let checkpoint = self.blocking(move |log| this.append(log, &leaves)).await?;
            self.latest.send_replace(Some(checkpoint));
        }
    }

    /// What readers see is written last.
    fn append(&self, log: &mut Log, leaves: &[Leaf]) -> Result<SignedCheckpoint, LogError> {
        let batch = log.prepare(leaves)?;
        self.passed(Step::Sequence);
        log.write(&batch)?;
        self.passed(Step::Tile);
        let checkpoint = batch.sign(&self.key)?;
        self.passed(Step::Sign);
        log.publish(batch, checkpoint.clone())?;
        self.passed(Step::Checkpoint);
        Ok(checkpoint)
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Log) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, PublishError> {
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || this.with_log(work)).await;
        Ok(done.map_err(|_| PublishError::Stopped)??)
    }
}

/// An entry, sealed under a fresh key.
///
/// # Errors
/// It is too large.
pub fn seal(
    at: Timestamp,
    entropy: &Entropy,
    retention: Retention,
    event: impl Into<Event>,
) -> Result<NewEntry, Fault> {
    let key = entropy.seed();
    let entry = Entry::new(at, event);
    let sealed = SealedEntry::seal(&entry, retention, &EntryKey::new(*key))
        .map_err(|error| Fault::internal(format!("recording {}: {error}", entry.kind().name())))?;
    Ok(NewEntry {
        at_ms: at.as_millisecond(),
        kind: entry.kind().name(),
        exchange: entry.event.exchange().map(|exchange| exchange.0),
        erase_day: sealed.leaf.erase_after.map(day_number),
        leaf: sealed.leaf.draft().into_bytes(),
        payload: sealed.sealed,
        key,
    })
}

/// Why entries wait in the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The log's folder.
    #[error("the ledger's log: {0}")]
    Log(#[from] LogError),
    /// The node is ending.
    #[error("the thread that writes the log has stopped")]
    Stopped,
}

/// Publishes what is recorded, until the node stops.
pub async fn run(state: Arc<State>) {
    let mut appended = state.store.ledger_appended();
    let pause = Duration::from_millis(u64::from(state.config.ledger.publish_interval_ms));
    loop {
        appended.mark_unchanged();
        let wait = match state.ledger.publish(&state.store).await {
            Ok(()) => pause,
            Err(_) if state.stop.is_cancelled() => return,
            Err(error) => {
                tracing::error!(%error, "the ledger's log cannot be written: entries wait in the database");
                appended.mark_changed();
                RETRY
            }
        };
        let next = async {
            // Entries of one interval share a checkpoint.
            tokio::time::sleep(wait).await;
            appended.changed().await
        };
        tokio::select! {
            () = state.stop.cancelled() => {
                // What was recorded last is published too; were it not, the next start would.
                let _ = state.ledger.publish(&state.store).await;
                return;
            }
            changed = next => if changed.is_err() { return },
        }
    }
}

impl State {
    /// An entry about our own affairs, kept as the configuration says.
    ///
    /// # Errors
    /// The ledger was halted: nothing may be done that cannot be recorded.
    pub fn entry(&self, event: impl Into<Event>) -> Result<NewEntry, Fault> {
        self.entry_kept(self.retention(None), event)
    }

    /// How long exchanges under `agreement`, or our own affairs, are kept.
    pub(crate) fn retention(&self, agreement: Option<&Agreement>) -> Retention {
        let agreed = agreement.and_then(|agreement| agreement.log_retention);
        agreed.unwrap_or(self.config.ledger.retention)
    }

    /// An entry, kept so long.
    pub(crate) fn entry_kept(
        &self,
        retention: Retention,
        event: impl Into<Event>,
    ) -> Result<NewEntry, Fault> {
        self.ledger
            .entry(self.clock.now(), &self.entropy, retention, event)
    }

    /// An entry about an exchange under `agreement`, kept as that says.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub fn entry_under(&self, agreement: &Agreement, event: impl Into<Event>) -> Result<NewEntry, Fault> {
        self.entry_kept(self.retention(Some(agreement)), event)
    }

    /// Records something about an exchange under `agreement` that changed nothing of ours. Returns when it is on disk.
    ///
    /// # Errors
    /// The ledger was halted, or the database failed.
    pub async fn record_under(&self, agreement: &Agreement, event: impl Into<Event>) -> Result<(), Fault> {
        let entry = self.entry_under(agreement, event)?;
        self.store
            .append_entries(vec![entry])
            .await
            .map_err(|error| store_fault(&error))
    }

    /// Records an incident and the entry about it: both or neither. Returns when they are on disk.
    ///
    /// # Errors
    /// The entry could not be made, or the database failed.
    pub async fn recorded_incident(
        &self,
        entry: Result<NewEntry, Fault>,
        incident: &Incident,
    ) -> Result<(), Fault> {
        let recorded = self.store.recording(entry?).append_incident(incident).await;
        recorded.map_err(|error| store_fault(&error))
    }

    /// Records what changed nothing of ours. Returns when it is on disk.
    ///
    /// # Errors
    /// The ledger was halted, or the database failed.
    pub async fn record(&self, event: impl Into<Event>) -> Result<(), Fault> {
        let entry = self.entry(event)?;
        self.store
            .append_entries(vec![entry])
            .await
            .map_err(|error| store_fault(&error))
    }
}

/// Days since 1970.
pub fn day_number(date: Date) -> i32 {
    let days = date.since(Date::constant(1970, 1, 1)).map(|span| span.get_days());
    days.unwrap_or(i32::MAX)
}

/// A text for an entry. What a ledger text cannot hold is replaced, and its end is cut off: something is recorded in
/// any case.
pub fn text(text: &str) -> Text {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    let mut end = clean.len().min(1_024);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    #[expect(clippy::expect_used, reason = "a dash is a text")]
    Text::new(&clean[..end])
        .or_else(|_| Text::new("-"))
        .expect("a dash is a text")
}

/// A person, by the id that the agency uses.
pub fn person(id: &str) -> Person {
    Person {
        id: text(id),
        unit: None,
    }
}

/// A scope, in the ledger's words.
pub fn scope(agreement: &Agreement, offer: &Offer, epoch: u32) -> Scope {
    Scope {
        agreement: text(&agreement.id),
        offer: text(&offer.id),
        epoch: u64::from(epoch),
    }
}

/// What a partner is told of a purpose.
pub fn stated(purpose: &str, legal_basis: &str) -> Stated {
    Stated {
        purpose: text(purpose),
        legal_basis: text(legal_basis),
    }
}

/// A SHA-256, in the ledger's words.
pub fn digest(bytes: [u8; 32]) -> Digest {
    Hex(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_one_that_can_be_recorded() {
        assert_eq!(text("GATE-7").as_str(), "GATE-7");
        assert_eq!(text("a\nb").as_str(), "a\u{fffd}b");
        assert_eq!(text("").as_str(), "-");
        assert_eq!(text("  ").as_str(), "-");
        assert!(text(&"é".repeat(2_000)).as_str().len() <= 1_024);
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(day_number(Date::constant(1970, 1, 2)), 1);
        assert_eq!(day_number(Date::constant(2026, 11, 25)), 20_782);
    }
}
