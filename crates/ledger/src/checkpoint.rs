//! Signed tree heads: [C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint).

use std::fmt;

use concordat_note::{CosignerKey, Limits, Note, NoteError, Policy, Signature, SigningKey, VerifierKey};

use crate::hash::Hash;
use crate::tile::{MAX_SIZE, decimal};

/// A checkpoint has a few short lines and a few signatures.
pub(crate) const LIMITS: Limits = Limits {
    max_bytes: 32 << 10,
    max_signatures: 64,
};

/// What a log says of itself: "I have these entries".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; also the name of the key that signs it.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the tree of these entries.
    pub root: Hash,
    /// Further lines, opaque. Ours have none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads a checkpoint's text, without signatures. `None` unless it is written in the one way.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next()?.to_owned();
        let size = decimal(lines.next()?).filter(|size| *size <= MAX_SIZE)?;
        let root = lines.next()?.parse().ok()?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        let whole = !origin.is_empty() && extensions.iter().all(|line| !line.is_empty());
        whole.then_some(Self {
            origin,
            size,
            root,
            extensions,
        })
    }

    /// What a signed checkpoint says, whoever signed it: to tell people what they mixed up, and to believe nothing of it.
    pub fn unverified(bytes: &[u8]) -> Option<Self> {
        let note = Note::parse(bytes, LIMITS).ok()?;
        Self::parse(note.unverified_text())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint whose log's signature was verified, with whatever cosignatures it carries. `Display` gives the bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a tree head. The origin is the key's name.
    ///
    /// Sign only what extends the checkpoint signed last: two signed checkpoints that do not are proof of a split view.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] never happens for a name that [`SigningKey`] accepted.
    pub fn sign(size: u64, root: Hash, key: &SigningKey) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint {
            origin: key.name().to_owned(),
            size,
            root,
            extensions: Vec::new(),
        };
        let note = Note::sign(&checkpoint.to_string(), &[key])?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a checkpoint and verifies that it is `log`'s: signed by it, with its name as origin.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(bytes: &[u8], log: &VerifierKey) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes, LIMITS)?;
        let opened = note.open(std::slice::from_ref(log), Policy::All)?;
        let checkpoint = Checkpoint::parse(opened.text).ok_or(CheckpointError::NotACheckpoint)?;
        if checkpoint.origin != log.name() {
            return Err(CheckpointError::OtherOrigin {
                found: checkpoint.origin,
                expected: log.name().to_owned(),
            });
        }
        Ok(Self { checkpoint, note })
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many entries.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root of the tree of these entries.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// Cosigns it at `time` (Unix seconds) and gives the line to send back. Verify first that it extends the one cosigned last
    /// ([`AddCheckpoint::judge`](crate::AddCheckpoint::judge) does).
    ///
    /// # Errors
    /// [`CheckpointError::Note`] for a time of more than 63 bits.
    pub fn cosign(&mut self, key: &SigningKey, time: u64) -> Result<Signature, CheckpointError> {
        Ok(self.note.add_cosignature(key, time)?)
    }

    /// Adds a cosignature that a witness sent, after verifying it, and gives its time in Unix seconds.
    ///
    /// # Errors
    /// [`CheckpointError::Note`]: another signer, or it does not verify.
    pub fn attach(&mut self, witness: &CosignerKey, line: Signature) -> Result<u64, CheckpointError> {
        Ok(self.note.attach_cosignature(witness, line)?)
    }

    /// Takes over from `other`, which is about the same tree, the cosignatures of `witnesses`.
    pub(crate) fn merge(&mut self, other: &Self, witnesses: &[CosignerKey]) {
        if self.checkpoint != other.checkpoint {
            return;
        }
        for witness in witnesses {
            let theirs = other
                .note
                .signatures()
                .iter()
                .filter(|s| (s.name.as_str(), s.id) == (witness.name(), witness.id()));
            for line in theirs {
                // One that does not verify stays behind.
                let _ = self.note.attach_cosignature(witness, line.clone());
            }
        }
    }

    /// When `witness` cosigned it, Unix seconds; `None` if it did not, or in its name stands something that does not verify.
    pub fn cosigned_by(&self, witness: &CosignerKey) -> Option<u64> {
        self.note.cosigned_by(witness).ok().flatten()
    }

    /// How many of `witnesses`, by key, cosigned it.
    pub fn cosignatures<'a>(
        &self,
        witnesses: impl IntoIterator<Item = &'a CosignerKey>,
    ) -> Vec<(String, u64)> {
        let mut keys = Vec::new();
        let mut found = Vec::new();
        for witness in witnesses {
            if keys.contains(&witness.public_key()) {
                continue;
            }
            if let Some(time) = self.cosigned_by(witness) {
                keys.push(witness.public_key());
                found.push((witness.name().to_owned(), time));
            }
        }
        found
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// Why a checkpoint was refused. Its writer or the way it travelled is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is no signed note, or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text that was signed is no checkpoint.
    #[error("what the log signed is not a checkpoint")]
    NotACheckpoint,
    /// The checkpoint of another log.
    #[error("this is the checkpoint of {found}, not of {expected}")]
    OtherOrigin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}
