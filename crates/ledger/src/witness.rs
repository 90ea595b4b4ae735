//! Asking for cosignatures and giving them: the messages of [C2SP tlog-witness](https://c2sp.org/tlog-witness), and the decision.
//!
//! Pure functions: the server, its storage and its clock are the caller's.

use std::fmt;

use concordat_note::{CosignerKey, Signature, VerifierKey};

use crate::checkpoint::{Checkpoint, CheckpointError, LIMITS, SignedCheckpoint};
use crate::hash::Hash;
use crate::proof::{MAX_PROOF_HASHES, verify_consistency};
use crate::tile::decimal;

/// The largest body of a request; refuse more before reading it.
pub const MAX_REQUEST_BYTES: usize = LIMITS.max_bytes + 4096;
/// The content type of the body of a refusal with status 409.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The body of `POST <prefix>/add-checkpoint`: "here is my checkpoint, and how it follows from the one you cosigned last".
///
/// `Display` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness cosigned last, zero if none.
    pub old_size: u64,
    /// The consistency proof between the two sizes.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, as text. Not verified yet.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let request = (body.len() <= MAX_REQUEST_BYTES)
            .then(|| std::str::from_utf8(body).ok())
            .flatten()
            .and_then(parse_request);
        request.ok_or(Refusal::Malformed)
    }

    /// The name of the log, **not verified**: to find out which key to judge with. `None` if the checkpoint has no such line.
    pub fn unverified_origin(&self) -> Option<&str> {
        self.checkpoint.split('\n').next().filter(|line| !line.is_empty())
    }

    /// Whether to cosign: the checkpoint is signed by `log` and extends `latest`, the checkpoint of this log that was cosigned last.
    ///
    /// A caller that gets a checkpoint back **first** makes it durable as the latest, in one step with a check that `latest` is still
    /// the latest, and only then sends a cosignature.
    ///
    /// # Errors
    /// [`Refusal`], with the HTTP status to answer with. After [`Refusal::Inconsistent`] the log has signed two trees that do not
    /// go together, or sent a wrong proof: raise an alarm, keep both checkpoints, and try [`Misbehaviour`](crate::Misbehaviour).
    pub fn judge(&self, log: &VerifierKey, latest: Option<&Checkpoint>) -> Result<SignedCheckpoint, Refusal> {
        let signed =
            SignedCheckpoint::open(self.checkpoint.as_bytes(), log).map_err(|error| match error {
                CheckpointError::Note(concordat_note::NoteError::NotSignedBy { .. })
                | CheckpointError::Note(concordat_note::NoteError::BadSignature { .. }) => Refusal::NotSigned,
                CheckpointError::OtherOrigin { .. } => Refusal::UnknownLog,
                _ => Refusal::Malformed,
            })?;
        if self.old_size > signed.size() {
            return Err(Refusal::Malformed);
        }
        let latest_size = latest.map_or(0, |latest| latest.size);
        if self.old_size != latest_size {
            return Err(Refusal::OtherSize { latest: latest_size });
        }
        let inconsistent = |same_size| Refusal::Inconsistent {
            same_size,
            latest: latest_size,
        };
        match latest {
            Some(latest) if latest.size > 0 => verify_consistency(
                latest.size,
                &latest.root,
                signed.size(),
                &signed.root(),
                &self.proof,
            )
            .map_err(|_| inconsistent(latest.size == signed.size() && latest.root != signed.root()))?,
            _ if !self.proof.is_empty() => return Err(inconsistent(false)),
            _ if signed.size() == 0 && signed.root() != Hash::EMPTY_ROOT => return Err(inconsistent(true)),
            _ => {}
        }
        Ok(signed)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request cannot be read, or its old size is above the checkpoint's.
    #[error("the request is malformed")]
    Malformed,
    /// No key is known for this origin.
    #[error("this log is not known here")]
    UnknownLog,
    /// No known key of the log signed the checkpoint.
    #[error("the checkpoint is not signed by the log's key")]
    NotSigned,
    /// The proof starts at another size than that of the checkpoint cosigned last. Ask again from `latest`. **If `latest` is larger than
    /// the log's own size, the log was rolled back**: it must not go on.
    #[error("the last checkpoint cosigned here has {latest} entries")]
    OtherSize {
        /// The size cosigned last.
        latest: u64,
    },
    /// The checkpoint does not extend the one cosigned last.
    #[error("the checkpoint does not extend the one of {latest} entries that was cosigned last")]
    Inconsistent {
        /// Whether both have one size and differ: then the two checkpoints alone are proof.
        same_size: bool,
        /// The size cosigned last.
        latest: u64,
    },
}

impl Refusal {
    /// The HTTP status that the specification asks for.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::OtherSize { .. } | Self::Inconsistent { same_size: true, .. } => 409,
            Self::Inconsistent { .. } => 422,
        }
    }

    /// The body of the answer, if the specification gives it one; its type is [`SIZE_CONTENT_TYPE`].
    pub fn body(&self) -> Option<String> {
        match self {
            Self::OtherSize { latest } | Self::Inconsistent { latest, .. } if self.status() == 409 => {
                Some(format!("{latest}\n"))
            }
            _ => None,
        }
    }
}

/// Reads the body of an answer with status 409: the size that the witness cosigned last.
pub fn parse_size(body: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// Writes the body of an answer with status 200.
pub fn format_cosignatures(lines: &[Signature]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Takes the cosignatures of `witnesses` out of the body of an answer with status 200 and attaches those that verify; lines of other keys
/// are ignored, as the specification demands. Gives how many were attached; `None` if the body is not lines of signatures.
pub fn attach_cosignatures(
    checkpoint: &mut SignedCheckpoint,
    witnesses: &[CosignerKey],
    body: &[u8],
) -> Option<usize> {
    if body.len() > LIMITS.max_bytes {
        return None;
    }
    let lines = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let lines: Vec<Signature> = lines.split('\n').map(Signature::parse).collect::<Option<_>>()?;
    let mut attached = 0;
    for line in lines.into_iter().take(LIMITS.max_signatures) {
        let signer = witnesses
            .iter()
            .find(|w| (w.name(), w.id()) == (line.name.as_str(), line.id));
        if let Some(witness) = signer {
            attached += usize::from(checkpoint.attach(witness, line).is_ok());
        }
    }
    Some(attached)
}

fn parse_request(text: &str) -> Option<AddCheckpoint> {
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old_size = decimal(lines.next()?.strip_prefix("old ")?)?;
    let proof: Vec<Hash> = lines
        .map(|line| line.parse().ok())
        .collect::<Option<Vec<_>>>()
        .filter(|proof| proof.len() <= MAX_PROOF_HASHES)?;
    Some(AddCheckpoint {
        old_size,
        proof,
        checkpoint: checkpoint.to_owned(),
    })
}
