//! The demo's look at both ledgers: each verified from its files and keys alone, the two joined, and with `--tamper`
//! changed in every way that an auditor must notice.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use concordat_ledger::{
    AuditOptions, CHECKPOINT_PATH, COSIGNED_PATH, EntryKey, ExchangeRecord, Folder, Keys, Leaf, Opening,
    SignedCheckpoint, Verdict, reconcile, verify,
};
use concordat_node::config::Config;
use concordat_node::identity::Identity;
use concordat_node::ledger::key_of;
use concordat_node::{Outside, open_store};
use concordat_note::VerifierKey;
use concordat_store::{EntryFilter, LedgerEntry};
use serde_json::{Value, json};

use super::tamper::{self, Tampered};
use crate::connect::CONFIG;
use crate::out::{count, counted};

/// How long the two may take to cosign each other's last checkpoint.
const COSIGN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// Entries read at once.
const PAGE: u32 = 4_096;

/// What an auditor of both would say.
pub struct Ledgers {
    /// Entries of both.
    pub entries: u64,
    /// Whether both hold: every signature, the tree, the other's cosignature.
    pub verified: bool,
    /// Exchanges that both recorded alike.
    pub reconciled: u64,
    /// The others.
    pub unmatched: u64,
    /// What was done to a copy, and what was found.
    pub tampered: Vec<Tampered>,
}

/// Waits until each node has cosigned what the other has published. Both run.
///
/// # Errors
/// A key or a checkpoint cannot be read, or they did not in time.
pub async fn cosigned(left: &Path, right: &Path) -> Result<()> {
    let begin = Instant::now();
    for dir in [left, right] {
        let key = key_of(&identity_key(dir)?)?;
        let size = |name: &str| -> Option<u64> {
            let bytes = std::fs::read(dir.join("ledger").join(name)).ok()?;
            Some(SignedCheckpoint::open(&bytes, &key).ok()?.size())
        };
        while size(COSIGNED_PATH).is_none() || size(COSIGNED_PATH) != size(CHECKPOINT_PATH) {
            anyhow::ensure!(
                begin.elapsed() < COSIGN,
                "the partner has not cosigned the ledger"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Looks at both. Neither node runs.
///
/// # Errors
/// A file, a key or a database cannot be read.
pub async fn look(left: &Path, right: &Path, tamper: bool) -> Result<Ledgers> {
    let (left_key, right_key) = (identity_key(left)?, identity_key(right)?);
    let mut ledgers = Ledgers {
        entries: 0,
        verified: true,
        reconciled: 0,
        unmatched: 0,
        tampered: Vec::new(),
    };
    let options = AuditOptions {
        now: jiff::Timestamp::now(),
        leaves: true,
    };
    for (dir, own, other) in [(left, &left_key, &right_key), (right, &right_key, &left_key)] {
        let keys = Keys {
            witnesses: vec![other.cosigner()],
            ..Keys::of(key_of(own)?)
        };
        let report = verify(&Folder::read_only(&dir.join("ledger")), &keys, &[], &options);
        ledgers.verified &= report.verdict() == Verdict::Holds;
        ledgers.entries += report.entries;
    }
    let (asked, answered) = (exchanges(left).await?, exchanges(right).await?);
    let joined = reconcile(asked, answered);
    (ledgers.reconciled, ledgers.unmatched) = (joined.matched, joined.unmatched.len() as u64);
    if tamper {
        let files = tamper::files_of(&left.join("ledger"))?;
        let key = key_of(&left_key)?;
        let kept = files
            .get(CHECKPOINT_PATH)
            .context("the ledger has no checkpoint")?;
        let kept = SignedCheckpoint::open(kept, &key)?;
        let foreign = std::fs::read(right.join("ledger").join(CHECKPOINT_PATH))?;
        ledgers.tampered = tamper::all(&files, &Keys::of(key), &kept, &foreign)?;
    }
    Ok(ledgers)
}

fn identity_key(dir: &Path) -> Result<VerifierKey> {
    Ok(Identity::load(dir)?.signing.verifier())
}

/// What a stopped node recorded of exchanges.
async fn exchanges(dir: &Path) -> Result<Vec<ExchangeRecord>> {
    let config = Config::load(&dir.join(CONFIG))?;
    let store = open_store(&config, Outside::default().store_entropy).await?;
    let mut records = Vec::new();
    let mut filter = EntryFilter::default();
    loop {
        let page = store.ledger_entries(&filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        filter.from = last.number + 1;
        for entry in &page {
            records.extend(record(entry)?);
        }
    }
    store.close().await;
    Ok(records)
}

fn record(kept: &LedgerEntry) -> Result<Option<ExchangeRecord>> {
    let Some((payload, key)) = &kept.sealed else {
        return Ok(None);
    };
    let leaf = std::str::from_utf8(&kept.leaf).ok().and_then(Leaf::parse_draft);
    let leaf = leaf.context("an entry of the ledger cannot be read")?;
    let entry = Opening::unseal(&leaf, payload, &EntryKey::new(**key))?.verify(&leaf)?;
    Ok(ExchangeRecord::new(kept.number, &entry.event))
}

impl Ledgers {
    /// Everything holds, goes together, and nothing that was done to a copy went unnoticed.
    pub fn is_exact(&self) -> bool {
        self.verified && self.unmatched == 0 && self.tampered.iter().all(|tampered| tampered.found.is_some())
    }

    /// Part of the object of `--json`.
    pub fn json(&self) -> Value {
        let tampered = self.tampered.iter();
        let tampered: Vec<Value> = tampered
            .map(|tampered| json!({ "done": tampered.done, "found": tampered.found }))
            .collect();
        json!({
            "entries": self.entries,
            "verified": self.verified,
            "reconciled": self.reconciled,
            "unmatched": self.unmatched,
            "tampered": tampered,
        })
    }

    /// A line for people, and one for each thing that was done to a copy.
    pub fn text(&self) -> String {
        let verified = if self.verified {
            "verified, each cosigned by the other"
        } else {
            "BROKEN"
        };
        let mut text = format!(
            "{} entries in both, {verified}; {} on both sides alike, {} unmatched",
            count(self.entries),
            counted(self.reconciled, "exchange"),
            count(self.unmatched)
        );
        for Tampered { done, found } in &self.tampered {
            let found = found.as_deref().unwrap_or("NOT NOTICED");
            text += &format!("\n            {done}:\n              {found}");
        }
        text
    }
}
