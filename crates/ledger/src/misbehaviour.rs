//! Proof that a log lied, which anybody can check with the log's public key alone.

use std::fmt;

use concordat_note::VerifierKey;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::hash::Hash;
use crate::proof::{MAX_PROOF_HASHES, verify_consistency};
use crate::reader::{ReadError, TileReader};
use crate::source::Source;

const FIRST_LINE: &str = "concordat/v1/ledger-misbehaviour";
const MAX_BYTES: usize = 128 << 10;

/// Two checkpoints, both signed by one log, that cannot both be of one append-only log.
///
/// For two of one size nothing more is needed: their roots differ. For two sizes *m* < *n* the later tree's own beginning is shown: a
/// consistency proof from a root `prefix` at size *m* to the later signed root. A signed root fixes the root of every prefix, so if
/// `prefix` is not what the log signed at size *m*, the log has signed two histories. The proof is made from the later tree's tiles; the
/// earlier tree's are not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misbehaviour {
    earlier: SignedCheckpoint,
    later: SignedCheckpoint,
    prefix: Hash,
    proof: Vec<Hash>,
}

impl Misbehaviour {
    /// Two checkpoints of one size with different roots. `None` if they are not that.
    pub fn same_size(one: &SignedCheckpoint, other: &SignedCheckpoint) -> Option<Self> {
        Self::checked(one.clone(), other.clone(), other.root(), Vec::new())
    }

    /// Shows from the files of the `later` tree that it does not extend `earlier`. `None` if it does extend it, or if the files are not
    /// those of the later tree: then nothing is proven against the log.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn from_tiles(
        earlier: &SignedCheckpoint,
        later: &SignedCheckpoint,
        tiles: impl Source,
    ) -> Result<Option<Self>, ReadError> {
        let (earlier, later) = if earlier.size() <= later.size() {
            (earlier, later)
        } else {
            (later, earlier)
        };
        if earlier.size() == later.size() {
            return Ok(Self::same_size(earlier, later));
        }
        let mut reader = TileReader::new(tiles, later.size());
        let prefix = reader.root_at(earlier.size())?;
        let proof = reader.consistency_proof(earlier.size())?;
        Ok(Self::checked(earlier.clone(), later.clone(), prefix, proof))
    }

    /// Reads the text of a proof and checks it against the log's key.
    ///
    /// # Errors
    /// [`EvidenceError`]: it proves nothing.
    pub fn check(text: &[u8], log: &VerifierKey) -> Result<Self, EvidenceError> {
        let (prefix, proof, earlier, later) = (text.len() <= MAX_BYTES)
            .then(|| std::str::from_utf8(text).ok())
            .flatten()
            .and_then(parse)
            .ok_or(EvidenceError::Malformed)?;
        let earlier = SignedCheckpoint::open(earlier.as_bytes(), log)?;
        let later = SignedCheckpoint::open(later.as_bytes(), log)?;
        Self::checked(earlier, later, prefix, proof).ok_or(EvidenceError::NoContradiction)
    }

    /// The checkpoint that was signed for the smaller tree, or one of two of one size.
    pub fn earlier(&self) -> &SignedCheckpoint {
        &self.earlier
    }

    /// The other checkpoint.
    pub fn later(&self) -> &SignedCheckpoint {
        &self.later
    }

    /// What it shows, in a sentence.
    pub fn sentence(&self) -> String {
        let (size, origin) = (self.earlier.size(), &self.later.checkpoint().origin);
        if size == self.later.size() {
            format!(
                "{origin} signed two different logs of {size} entries: it showed one to some and the other to others"
            )
        } else {
            format!(
                "{origin} rewrote its history: the first {size} entries of its log of {} are not the {size} that it had signed before",
                self.later.size()
            )
        }
    }

    fn checked(
        earlier: SignedCheckpoint,
        later: SignedCheckpoint,
        prefix: Hash,
        proof: Vec<Hash>,
    ) -> Option<Self> {
        let one_log = earlier.checkpoint().origin == later.checkpoint().origin;
        // The empty log has one root; every other is a lie by itself.
        let follows = if earlier.size() == 0 {
            later.size() == 0 && proof.is_empty() && prefix == later.root()
        } else {
            verify_consistency(earlier.size(), &prefix, later.size(), &later.root(), &proof).is_ok()
        };
        (one_log && follows && prefix != earlier.root()).then_some(Self {
            earlier,
            later,
            prefix,
            proof,
        })
    }
}

/// The proof as one text file.
///
/// ```text
/// concordat/v1/ledger-misbehaviour
/// prefix <root that the later tree has at the earlier size, base64>
/// earlier <lines of the earlier checkpoint>
/// <consistency proof, one base64 hash a line>
///
/// <the earlier signed checkpoint>
/// <the later signed checkpoint>
/// ```
impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let earlier = self.earlier.to_string();
        writeln!(
            f,
            "{FIRST_LINE}\nprefix {}\nearlier {}",
            self.prefix,
            earlier.matches('\n').count()
        )?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{earlier}{}", self.later)
    }
}

/// Why a text proves no misbehaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// It is not written as such a proof is.
    #[error("not a proof of misbehaviour: the file is malformed")]
    Malformed,
    /// A checkpoint in it is not this log's.
    #[error("a checkpoint in it is not this log's: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Both checkpoints may be of one honest log.
    #[error("the two checkpoints do not contradict each other, or the proof between them is wrong")]
    NoContradiction,
}

fn parse(text: &str) -> Option<(Hash, Vec<Hash>, &str, &str)> {
    let (head, notes) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let prefix = lines.next()?.strip_prefix("prefix ")?.parse().ok()?;
    let count = crate::tile::decimal(lines.next()?.strip_prefix("earlier ")?)?;
    let proof: Vec<Hash> = lines
        .map(|line| line.parse().ok())
        .collect::<Option<Vec<_>>>()
        .filter(|proof| proof.len() <= MAX_PROOF_HASHES)?;
    let end = match usize::try_from(count).ok()?.checked_sub(1)? {
        last => notes.match_indices('\n').nth(last)?.0 + 1,
    };
    Some((prefix, proof, &notes[..end], &notes[end..]))
}
