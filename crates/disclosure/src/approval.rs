//! Approvals: an officer's key on the digest of exactly one document.

use std::fmt;

use concordat_ledger::{Digest, Hex, Text};
use ed25519_dalek::Signer;
use serde::{Deserialize, Serialize};

use crate::document::{Document, sha256};
use crate::passkey::{Assertion, Passkey, RelyingParty};
use crate::rule::{KEY_SHAPE, Refused, SIGNATURE};

const FILE_KEY_DOMAIN: &[u8] = b"concordat/v1/officer-signature\n";

/// SHA-256 of an officer's public key.
pub type KeyId = Digest;

/// An officer's public key. Its kind is written with it: whoever reads an approval sees how it was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfficerKey {
    /// A passkey: the authenticator verifies its user for each signature.
    Passkey(Passkey),
    /// An Ed25519 key in a file or on a plain token: whoever has the file signs. Allowed only where the agreement says so.
    FileKey(Hex<32>),
}

impl OfficerKey {
    /// Its id: the key alone, whatever credential id or backup flag is stored with it.
    pub fn id(&self) -> KeyId {
        match self {
            Self::Passkey(passkey) => sha256(&[b"es256\n".as_slice(), &passkey.x.0, &passkey.y.0].concat()),
            Self::FileKey(key) => sha256(&[b"ed25519\n".as_slice(), &key.0].concat()),
        }
    }

    /// Whether it can be a key at all.
    ///
    /// # Errors
    /// [`KEY_SHAPE`]: not on its curve, or of small order.
    pub fn check(&self) -> Result<(), Refused> {
        KEY_SHAPE.unless(match self {
            Self::Passkey(passkey) => passkey.holds(),
            Self::FileKey(key) => {
                ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| !key.is_weak())
            }
        })
    }
}

/// A signature by an officer's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// By a passkey: the document's digest was the challenge.
    Passkey(Assertion),
    /// By a file key: Ed25519 over `concordat/v1/officer-signature\n` and the digest.
    FileKey(Hex<64>),
}

/// One officer's approval of one document. Kept in the ledger, and verified again from nothing but itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The officer's id.
    pub officer: Text,
    /// The public key.
    pub key: OfficerKey,
    /// SHA-256 of what was approved.
    pub document: Digest,
    /// The signature.
    pub signature: Signature,
}

impl Document for Approval {
    const KIND: &'static str = "concordat/v1/approval";
    const MAX_BYTES: usize = 64 << 10;
}

impl Approval {
    /// Verifies the signature on `document`. Says nothing about whose key it is: see [`Registry::check`](crate::Registry::check).
    ///
    /// `last_counter`: see [`Assertion::verify`]. Gives the passkey's counter, 0 for a file key.
    ///
    /// # Errors
    /// [`SIGNATURE`], [`KEY_SHAPE`], and those of [`Assertion::verify`].
    pub fn verify(
        &self,
        document: &Digest,
        console: &RelyingParty,
        last_counter: u32,
    ) -> Result<u32, Refused> {
        SIGNATURE.unless(self.document == *document)?;
        self.key.check()?;
        match (&self.key, &self.signature) {
            (OfficerKey::Passkey(key), Signature::Passkey(assertion)) => {
                let asserted = assertion.verify(key, document, console, last_counter)?;
                Ok(asserted.counter)
            }
            (OfficerKey::FileKey(key), Signature::FileKey(signature)) => {
                let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
                let holds = ed25519_dalek::VerifyingKey::from_bytes(&key.0)
                    .and_then(|key| key.verify_strict(&file_key_message(document), &signature));
                SIGNATURE.unless(holds.is_ok())?;
                Ok(0)
            }
            _ => Err(SIGNATURE.refused()),
        }
    }
}

fn file_key_message(document: &Digest) -> Vec<u8> {
    [FILE_KEY_DOMAIN, &document.0].concat()
}

/// An officer's Ed25519 private key. **Secret**: wiped when dropped, not shown by `Debug`.
pub struct FileKey(ed25519_dalek::SigningKey);

impl FileKey {
    /// The key whose RFC 8032 private key is `seed`, from a random generator.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half, to be registered.
    pub fn public(&self) -> OfficerKey {
        OfficerKey::FileKey(Hex(self.0.verifying_key().to_bytes()))
    }

    /// Signs a document's digest.
    pub fn approve(&self, officer: &Text, document: &Digest) -> Approval {
        Approval {
            officer: officer.clone(),
            key: self.public(),
            document: *document,
            signature: Signature::FileKey(Hex(self.0.sign(&file_key_message(document)).to_bytes())),
        }
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(redacted)")
    }
}
