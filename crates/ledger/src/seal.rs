//! Payloads: committed to in the tree, sealed under a key of their own, gone when the key is.
//!
//! ```text
//! commitment = SHA-256("concordat/v1/ledger-commitment\n" ‖ salt (32) ‖ payload)
//! entry key (32, random, one per entry) ──HKDF-SHA256──▶ salt
//!                                                      └▶ AEAD key       XChaCha20-Poly1305, nonce = commitment[..24]
//! ```
//! The salt hides the payload, however guessable it is; the hash binds to it. Without the entry key neither salt nor payload can be
//! computed, so destroying the key (with the sealed payload) erases the entry, and the leaf with its proofs stays as it was. To *open* an
//! entry to somebody is to give payload and salt; the key stays.
//!
//! A key seals one payload: so a nonce computed from it is used once, and a sealed payload can be made again bit for bit.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::bytes::{Digest, Hex};
use crate::canonical;
use crate::entry::{Entry, EntryError};
use crate::leaf::Leaf;
use crate::retention::Retention;

const COMMITMENT_DOMAIN: &[u8] = b"concordat/v1/ledger-commitment\n";
/// A payload is a description, not an archive.
pub const MAX_PAYLOAD_BYTES: usize = 256 << 10;

/// The key of one entry: 32 random bytes, kept sealed beside the sealed payload and destroyed with it. Wiped from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EntryKey([u8; 32]);

impl EntryKey {
    /// Takes 32 bytes from a random generator, or from where they were kept.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// **Secret.** The bytes, to be kept sealed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, info: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        #[expect(
            clippy::expect_used,
            reason = "HKDF-SHA256 fails above 8160 bytes of output, this is 32"
        )]
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(info.as_bytes(), key.as_mut())
            .expect("32 bytes are within HKDF's limit");
        key
    }

    fn salt(&self) -> Zeroizing<[u8; 32]> {
        self.derive("concordat/v1/ledger salt")
    }

    fn aead(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.derive("concordat/v1/ledger seal")).into())
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryKey(redacted)")
    }
}

/// An entry ready for the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEntry {
    /// What goes into the tree once it has a number.
    pub leaf: Leaf,
    /// The payload, sealed: kept by the agency until its day.
    pub sealed: Vec<u8>,
}

impl SealedEntry {
    /// Commits to an entry and seals it under `key`, which is used for nothing else.
    ///
    /// # Errors
    /// [`EntryError`] if the entry is too large.
    pub fn seal(entry: &Entry, retention: Retention, key: &EntryKey) -> Result<Self, EntryError> {
        let payload = Zeroizing::new(entry.encode()?);
        let commitment = commit(&key.salt(), payload.as_bytes());
        let (nonce, aad) = nonce_and_place(&commitment);
        let payload = Payload {
            msg: payload.as_bytes(),
            aad: &aad,
        };
        let sealed = key.aead().encrypt(&nonce, payload);
        let sealed = sealed.map_err(|_| EntryError::TooLarge)?;
        Ok(Self {
            leaf: entry.leaf(commitment, retention),
            sealed,
        })
    }
}

/// What is given to an auditor to open one entry: the payload with its salt. Whoever has it can check it against the leaf.
///
/// **Holds what the entry says**, names and cases included. Shown redacted by `Debug`; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Opening {
    payload: String,
    #[zeroize(skip)]
    salt: Hex<32>,
}

impl Opening {
    /// Unseals the payload of the entry with this leaf.
    ///
    /// # Errors
    /// [`OpeningError::Unsealable`]: another key, or the sealed payload was damaged; [`OpeningError::OtherEntry`].
    pub fn unseal(leaf: &Leaf, sealed: &[u8], key: &EntryKey) -> Result<Self, OpeningError> {
        let (nonce, aad) = nonce_and_place(&leaf.commitment);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        let payload = key
            .aead()
            .decrypt(&nonce, payload)
            .map_err(|_| OpeningError::Unsealable)?;
        let payload = String::from_utf8(payload).map_err(|_| OpeningError::Malformed)?;
        let opening = Self {
            payload,
            salt: Hex(*key.salt()),
        };
        opening.verify(leaf)?;
        Ok(opening)
    }

    /// Verifies that this is what the leaf committed to, and gives the entry. The leaf itself is to be verified with an inclusion proof.
    ///
    /// # Errors
    /// [`OpeningError::OtherEntry`]: payload, salt or leaf is not the one that was logged; [`OpeningError::Contradiction`]: it was
    /// logged so, and the writer's public and sealed parts contradict each other; [`OpeningError::Malformed`].
    pub fn verify(&self, leaf: &Leaf) -> Result<Entry, OpeningError> {
        if commit(&self.salt.0, self.payload.as_bytes()) != leaf.commitment {
            return Err(OpeningError::OtherEntry);
        }
        let entry = Entry::parse(&self.payload).ok_or(OpeningError::Malformed)?;
        if entry.class() != leaf.class || crate::leaf::Hour::of(entry.at) != leaf.time {
            return Err(OpeningError::Contradiction);
        }
        Ok(entry)
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(redacted)")
    }
}

/// Why an entry does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// The key is another entry's, or the sealed payload was damaged.
    #[error("the payload does not unseal: another key, or damaged")]
    Unsealable,
    /// The commitment in the leaf is to something else.
    #[error("this payload and salt are not what the log's entry committed to")]
    OtherEntry,
    /// The payload is what was committed to, and cannot be read.
    #[error("the payload is not an entry in a version known here")]
    Malformed,
    /// The payload is what was committed to, and says something else than the public part.
    #[error("the entry contradicts its own public part: its writer is to blame")]
    Contradiction,
}

fn commit(salt: &[u8; 32], payload: &[u8]) -> Digest {
    Hex(Sha256::new()
        .chain_update(COMMITMENT_DOMAIN)
        .chain_update(salt)
        .chain_update(payload)
        .finalize()
        .into())
}

fn nonce_and_place(commitment: &Digest) -> (XNonce, Vec<u8>) {
    let mut nonce = [0; 24];
    nonce.copy_from_slice(&commitment.0[..24]);
    (
        nonce.into(),
        [b"concordat/v1/ledger-payload\n".as_slice(), &commitment.0].concat(),
    )
}

impl Opening {
    /// The opening as one line of canonical JSON.
    pub fn encode(&self) -> Option<String> {
        canonical::to_string(self)
    }

    /// Reads an opening. `None` unless it is written in the one way.
    pub fn parse(text: &str) -> Option<Self> {
        canonical::parse(text)
    }
}
