//! One entry, provable years later without the log: a [C2SP tlog-proof](https://c2sp.org/tlog-proof) file.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of lines: the leaf; if it is opened, the opening; then, of a query, openings of identifiers, by position>
//! index 73894
//! <inclusion proof, one base64 hash a line>
//!
//! <the signed and cosigned checkpoint>
//! ```

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::audit::{Cosigned, Keys};
use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::entry::{Entry, Event};
use crate::hash::Hash;
use crate::identifiers::IdentifierOpening;
use crate::leaf::Leaf;
use crate::proof::{MAX_PROOF_HASHES, ProofError, verify_inclusion};
use crate::reader::{ReadError, TileReader};
use crate::seal::{MAX_PAYLOAD_BYTES, Opening, OpeningError};
use crate::source::Source;
use crate::tile::{MAX_ENTRY_BYTES, decimal};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// The largest file that is read: a payload may double when it is escaped, and base64 adds a third.
pub const MAX_BUNDLE_BYTES: usize =
    3 * (MAX_PAYLOAD_BYTES + MAX_ENTRY_BYTES) + (64 << 10) + MAX_OPENED_IDENTIFIERS * (8 << 10);
/// The most identifiers that one bundle opens: those of some people, not of a flight.
pub const MAX_OPENED_IDENTIFIERS: usize = 256;

/// An entry with everything that proves it. `Display` gives the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    index: u64,
    /// The leaf's bytes.
    entry: String,
    opening: Option<Opening>,
    /// By position, each once.
    identifiers: Vec<IdentifierOpening>,
    proof: Vec<Hash>,
    checkpoint: String,
}

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The entry's number.
    pub index: u64,
    /// Its public part.
    pub leaf: Leaf,
    /// What it says, if the bundle opens it.
    pub entry: Option<Entry>,
    /// Identifiers that the query was about, as far as the bundle opens them.
    pub identifiers: Vec<IdentifierOpening>,
    /// The checkpoint that it is in.
    pub checkpoint: SignedCheckpoint,
    /// Who cosigned it, and when: the entry is not younger than the earliest of these times.
    pub cosigned: Vec<Cosigned>,
}

impl Bundle {
    /// Makes a bundle for entry `index` from the files of a log, as proven by `checkpoint`; with `opening` it shows what the entry says.
    ///
    /// # Errors
    /// [`BundleError::Read`], or as [`check`](Self::check): a bundle that would not be believed is not made.
    pub fn new(
        source: impl Source,
        index: u64,
        checkpoint: &SignedCheckpoint,
        opening: Option<Opening>,
    ) -> Result<Self, BundleError> {
        let mut reader = TileReader::new(source, checkpoint.size());
        let bundle = Self {
            index,
            entry: String::from_utf8(reader.entry(index)?).map_err(|_| BundleError::NotALeaf)?,
            opening,
            identifiers: Vec::new(),
            proof: reader.inclusion_proof(index)?,
            checkpoint: checkpoint.to_string(),
        };
        bundle.prove(checkpoint)?;
        Ok(bundle)
    }

    /// Adds openings of identifiers that the query was about, by position. What they open stands in the file in clear.
    ///
    /// # Errors
    /// As [`check`](Self::check), if one is not of this query; [`BundleError::Malformed`] if they are too many or not in order.
    pub fn with_identifiers(mut self, identifiers: Vec<IdentifierOpening>) -> Result<Self, BundleError> {
        if !are_in_order(&identifiers) {
            return Err(BundleError::Malformed);
        }
        self.identifiers = identifiers;
        let (_, leaf) = Leaf::parse(self.entry.as_bytes()).ok_or(BundleError::NotALeaf)?;
        self.opened(&leaf)?;
        Ok(self)
    }

    /// The identifiers that it presents, verified or not.
    pub fn identifiers(&self) -> &[IdentifierOpening] {
        &self.identifiers
    }

    /// Reads a file. Checks its form only.
    ///
    /// # Errors
    /// [`BundleError::Malformed`].
    pub fn parse(file: &[u8]) -> Result<Self, BundleError> {
        (file.len() <= MAX_BUNDLE_BYTES)
            .then(|| std::str::from_utf8(file).ok())
            .flatten()
            .and_then(parse)
            .ok_or(BundleError::Malformed)
    }

    /// What its checkpoint says, whoever signed it: to tell people what they mixed up, and to believe nothing of it.
    pub fn unverified_checkpoint(&self) -> Option<Checkpoint> {
        Checkpoint::unverified(self.checkpoint.as_bytes())
    }

    /// Checks everything, offline: the log's signature, the witnesses' cosignatures and their quorum, that the entry is in the tree, and
    /// that the opening is of this entry, and that each identifier is one that this query committed to.
    ///
    /// # Errors
    /// [`BundleError`], which says what does not hold.
    pub fn check(&self, keys: &Keys) -> Result<Proven, BundleError> {
        let checkpoint = SignedCheckpoint::open(self.checkpoint.as_bytes(), &keys.log)?;
        let (leaf, entry) = self.prove(&checkpoint)?;
        let cosigned = keys.cosigned(&checkpoint);
        if cosigned.len() < keys.quorum {
            return Err(BundleError::NoQuorum {
                found: cosigned.len(),
                needed: keys.quorum,
            });
        }
        Ok(Proven {
            index: self.index,
            leaf,
            entry,
            identifiers: self.identifiers.clone(),
            checkpoint,
            cosigned,
        })
    }

    fn prove(&self, checkpoint: &SignedCheckpoint) -> Result<(Leaf, Option<Entry>), BundleError> {
        let hash = Hash::leaf(self.entry.as_bytes());
        verify_inclusion(
            &hash,
            self.index,
            checkpoint.size(),
            &self.proof,
            &checkpoint.root(),
        )?;
        let (number, leaf) = Leaf::parse(self.entry.as_bytes()).ok_or(BundleError::NotALeaf)?;
        if number != self.index {
            return Err(BundleError::NotALeaf);
        }
        let entry = self.opened(&leaf)?;
        Ok((leaf, entry))
    }

    /// What the entry says, and whether each identifier is one that it committed to.
    fn opened(&self, leaf: &Leaf) -> Result<Option<Entry>, BundleError> {
        let opening = self.opening.as_ref();
        let entry = opening.map(|opening| opening.verify(leaf)).transpose()?;
        if self.identifiers.is_empty() {
            return Ok(entry);
        }
        let commitment = match entry.as_ref().map(|entry| &entry.event) {
            Some(Event::Query(query)) => query.identifiers.as_ref(),
            _ => None,
        };
        let commitment = commitment.ok_or(BundleError::NoCommitment)?;
        for opening in &self.identifiers {
            let position = opening.position;
            opening
                .verify(commitment)
                .map_err(|error| BundleError::Identifier { position, error })?;
        }
        Ok(entry)
    }
}

fn are_in_order(identifiers: &[IdentifierOpening]) -> bool {
    identifiers.len() <= MAX_OPENED_IDENTIFIERS
        && identifiers.is_sorted_by(|one, next| one.position < next.position)
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut extra = format!("{}\n", self.entry);
        if let Some(opening) = self.opening.as_ref().and_then(Opening::encode) {
            extra.push_str(&opening);
            extra.push('\n');
        }
        for identifier in self.identifiers.iter().filter_map(IdentifierOpening::encode) {
            extra.push_str(&identifier);
            extra.push('\n');
        }
        let extra = Base64::encode_string(extra.as_bytes());
        writeln!(f, "{FIRST_LINE}\nextra {extra}\nindex {}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is not written as such a file is.
    #[error("not a proof bundle: the file is malformed")]
    Malformed,
    /// The entry is in the log and is none of this ledger's, or carries another number.
    #[error("the entry is not one of this ledger's")]
    NotALeaf,
    /// The checkpoint is not the log's.
    #[error("the checkpoint is not the log's: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not in the log that was signed.
    #[error("the entry is not in the log that was signed: {0}")]
    Proof(#[from] ProofError),
    /// The entry is in the log, and says something else.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// Identifiers are presented with an entry that commits to none, or is not opened.
    #[error("the bundle presents identifiers, and its entry is no opened query that commits to any")]
    NoCommitment,
    /// What is presented as an identifier of the query is not one: whoever made the bundle is to blame.
    #[error("what is presented as identifier {position} is not what the query committed to: {error}")]
    Identifier {
        /// Where in the query it was to be.
        position: u64,
        /// Why not.
        error: ProofError,
    },
    /// The entry is in the log, but too few witnesses have seen that log.
    #[error("{found} known witnesses cosigned the checkpoint, {needed} are needed")]
    NoQuorum {
        /// How many did.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// The log's files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn parse(text: &str) -> Option<Bundle> {
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let extra = Base64::decode_vec(lines.next()?.strip_prefix("extra ")?).ok()?;
    let extra = String::from_utf8(extra).ok()?;
    let mut parts = extra.strip_suffix('\n')?.split('\n');
    let entry = parts.next()?.to_owned();
    let opening = match parts.next() {
        Some(opening) => Some(Opening::parse(opening)?),
        None => None,
    };
    let identifiers = parts
        .map(IdentifierOpening::parse)
        .collect::<Option<Vec<_>>>()
        .filter(|identifiers| are_in_order(identifiers))?;
    let index = decimal(lines.next()?.strip_prefix("index ")?)?;
    let proof: Vec<Hash> = lines
        .map(|line| line.parse().ok())
        .collect::<Option<Vec<_>>>()
        .filter(|proof| proof.len() <= MAX_PROOF_HASHES)?;
    Some(Bundle {
        index,
        entry,
        opening,
        identifiers,
        proof,
        checkpoint: checkpoint.to_owned(),
    })
}
