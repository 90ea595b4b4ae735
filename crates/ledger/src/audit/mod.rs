//! Verifying a log from its published files and public keys alone.

mod align;
mod numbers;
mod pass;
mod report;

use concordat_note::{CosignerKey, VerifierKey};

pub use pass::{AuditOptions, verify};
pub use report::{Cosigned, Extended, Finding, Ordered, Report, Verdict};

use crate::checkpoint::SignedCheckpoint;

/// Whose signatures an auditor believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The log's key; its name is the log's origin.
    pub log: VerifierKey,
    /// The witnesses: the partners, independent ones. The log's own key is none, whatever its name.
    pub witnesses: Vec<CosignerKey>,
    /// How many of the witnesses must have cosigned.
    pub quorum: usize,
}

impl Keys {
    /// A log's key alone, without witnesses.
    pub fn of(log: VerifierKey) -> Self {
        Self {
            log,
            witnesses: Vec::new(),
            quorum: 0,
        }
    }

    /// Who of the witnesses cosigned `checkpoint`, and when.
    pub fn cosigned(&self, checkpoint: &SignedCheckpoint) -> Vec<Cosigned> {
        let found = checkpoint.cosignatures(self.others());
        found
            .into_iter()
            .map(|(witness, time)| Cosigned { witness, time })
            .collect()
    }

    /// The witnesses that are somebody else than the log: an agency signs its ledger with its identity key, under another name.
    pub(crate) fn others(&self) -> impl Iterator<Item = &CosignerKey> {
        let own = self.log.public_key();
        self.witnesses
            .iter()
            .filter(move |witness| witness.public_key() != own)
    }
}
