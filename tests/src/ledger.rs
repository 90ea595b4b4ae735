//! An agency's ledger, as a test reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use concordat_ledger::{
    AuditOptions, Entry, EntryKey, ExchangeRecord, Folder, Keys, Leaf, Opening, Report, SignedCheckpoint,
    verify,
};
use concordat_store::{EntryFilter, LedgerEntry, Store};

use crate::agency::{Agency, wait_for};

/// Opens every entry that was not erased.
pub async fn opened(store: &Store) -> Vec<(u64, Entry)> {
    let entries = store.ledger_entries(&EntryFilter::default(), u32::MAX).await;
    let entries = entries.expect("entries");
    entries
        .iter()
        .filter_map(|kept| Some((kept.number, open(kept)?)))
        .collect()
}

fn open(kept: &LedgerEntry) -> Option<Entry> {
    let (payload, key) = kept.sealed.as_ref()?;
    let leaf = std::str::from_utf8(&kept.leaf).expect("text");
    let leaf = Leaf::parse_draft(leaf).expect("a leaf");
    let opening = Opening::unseal(&leaf, payload, &EntryKey::new(**key)).expect("it opens");
    Some(opening.verify(&leaf).expect("it is what the leaf says"))
}

impl Agency {
    /// The entries of the node's ledger, opened.
    pub async fn entries(&self) -> Vec<(u64, Entry)> {
        opened(&self.node().state.store).await
    }

    /// Of one type.
    pub async fn entries_of(&self, kind: &str) -> Vec<Entry> {
        let entries = self.entries().await.into_iter().map(|(_, entry)| entry);
        entries.filter(|entry| entry.kind().name() == kind).collect()
    }

    /// What it recorded of exchanges.
    pub async fn exchanges(&self) -> Vec<ExchangeRecord> {
        let entries = self.entries().await;
        let record = |(index, entry): &(u64, Entry)| ExchangeRecord::new(*index, &entry.event);
        entries.iter().filter_map(record).collect()
    }

    /// How many entries of each type there are.
    pub async fn entry_counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, entry) in self.entries().await {
            *counts.entry(entry.kind().name()).or_default() += 1;
        }
        counts
    }

    /// The published log's newest checkpoint, once all that is recorded now is in it.
    pub async fn published(&self) -> SignedCheckpoint {
        let state = &self.node().state;
        let size = state.store.ledger_size().await.expect("a size");
        let checkpoints = state.ledger.checkpoints();
        wait_for("the log is published", || async {
            checkpoints.borrow().as_ref().map_or(0, SignedCheckpoint::size) >= size
        })
        .await;
        let latest = checkpoints.borrow().clone();
        latest.expect("a checkpoint")
    }

    /// Waits until a partner has cosigned all that is recorded now.
    pub async fn cosigned_by(&self, partner: &str) {
        let size = self.published().await.size();
        let state = &self.node().state;
        let key = state.ledger.verifier();
        wait_for("the partner has cosigned", || async {
            // A partner is asked every other second.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let ours = state.store.witness(partner).await.expect("kept").ours;
            let ours = ours.map(|note| SignedCheckpoint::open(note.as_bytes(), &key).expect("ours"));
            ours.is_some_and(|ours| ours.size() >= size)
        })
        .await;
    }

    /// Audits the published files, with nothing but the keys.
    pub fn audit(&self, keys: &Keys, kept: &[SignedCheckpoint]) -> Report {
        let options = AuditOptions {
            now: self.node().state.clock.now(),
            leaves: true,
        };
        verify(
            &Folder::read_only(&self.folder().join("ledger")),
            keys,
            kept,
            &options,
        )
    }
}
