//! Which identifiers a query was about: committed to under the agency's audit key, openable one by one.
//!
//! Identifiers are guessable (there are 10^9 passport numbers of a country), so a salt that opens one must not help to guess another:
//!
//! ```text
//! audit key ──HMAC(exchange)──▶ ChaCha20 key stream ──32 bytes each──▶ item keys               one per identifier
//! item = RFC 6962 leaf hash of (item key, kind, canonical bytes)
//! commitment = number of items, RFC 6962 root over the items
//! ```
//! It is computed for every query, so with few hashes: a flight has two thousand identifiers. An opening holds one item key, one
//! identifier and the inclusion proof of its item. Of a biometric identifier only its kind is committed to: the law wants it recorded that
//! one was used, not which.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::bytes::{Digest, Hex, Text};
use crate::canonical;
use crate::events::ExchangeId;
use crate::hash::{Hash, LeafHasher};
use crate::leaf::keyed;
use crate::proof::{ProofError, verify_inclusion};

/// The agency's audit key: 32 random bytes, kept as the master key is. Whoever has it can test guesses against every query ever logged.
/// Wiped from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AuditKey([u8; 32]);

impl AuditKey {
    /// Takes 32 bytes from a random generator, or from where they were kept.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The keys of an exchange's items from `position` on: the key stream of ChaCha20 (RFC 8439, a nonce of zeros), 32 bytes each.
    fn item_keys(&self, exchange: &ExchangeId, position: u64) -> impl Iterator<Item = Zeroizing<[u8; 32]>> {
        let key = Zeroizing::new(keyed(&self.0, "concordat/v1/ledger-item-keys", &[&exchange.0]));
        let mut stream = ChaCha20Rng::from_seed(*key);
        // In words of four bytes.
        stream.set_word_pos(u128::from(position) * 8);
        std::iter::repeat_with(move || {
            let mut key = Zeroizing::new([0; 32]);
            stream.fill_bytes(key.as_mut());
            key
        })
    }
}

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKey(redacted)")
    }
}

/// One identifier of a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Queried<'a> {
    /// Its kind, for example `travel_document`.
    pub kind: &'a str,
    /// Its canonical bytes; `None` for a biometric one, which is only said to have been used.
    pub canonical: Option<&'a [u8]>,
}

/// Commits to the identifiers of a query, in their order. Says nothing to someone without the audit key but how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierCommitment {
    /// How many.
    pub count: u64,
    /// The root over the items.
    pub root: Digest,
}

impl IdentifierCommitment {
    /// Commits to `identifiers`. `None` for none.
    pub fn new(key: &AuditKey, exchange: &ExchangeId, identifiers: &[Queried<'_>]) -> Option<Self> {
        let items = items(key, exchange, identifiers);
        (!items.is_empty()).then(|| Self {
            count: items.len() as u64,
            root: Hex(Hash::root(&items).0),
        })
    }
}

/// Opens one identifier of a query to an auditor. **Holds the identifier.** Shown redacted by `Debug`; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct IdentifierOpening {
    /// Its position in the query.
    pub position: u64,
    /// Its kind.
    #[zeroize(skip)]
    pub kind: Text,
    /// Its canonical bytes in hexadecimal; `None` for a biometric one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    // Opens this item and no other: nothing more than the rest tells.
    #[zeroize(skip)]
    key: Hex<32>,
    #[zeroize(skip)]
    proof: Vec<Digest>,
}

impl std::fmt::Debug for IdentifierOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentifierOpening(redacted)")
    }
}

impl IdentifierOpening {
    /// Opens the identifier at `position`; all identifiers of the query are needed, in their order. `None` if there is no such position.
    pub fn new(
        key: &AuditKey,
        exchange: &ExchangeId,
        identifiers: &[Queried<'_>],
        position: usize,
    ) -> Option<Self> {
        let queried = identifiers.get(position)?;
        let item_key = key.item_keys(exchange, position as u64).next()?;
        let items = items(key, exchange, identifiers);
        Some(Self {
            position: position as u64,
            kind: Text::new(queried.kind).ok()?,
            canonical: queried.canonical.map(hex::encode),
            key: Hex(*item_key),
            proof: path(&items, position).iter().map(|hash| Hex(hash.0)).collect(),
        })
    }

    /// Verifies that the query was about this identifier.
    ///
    /// # Errors
    /// [`ProofError`]: it was not, or not in this position.
    pub fn verify(&self, commitment: &IdentifierCommitment) -> Result<(), ProofError> {
        let canonical = match &self.canonical {
            Some(text) => Some(bytes_of(text).ok_or(ProofError::OtherRoot)?),
            None => None,
        };
        let queried = Queried {
            kind: self.kind.as_str(),
            canonical: canonical.as_ref().map(|bytes| bytes.as_slice()),
        };
        let proof: Vec<Hash> = self.proof.iter().map(|hash| Hash(hash.0)).collect();
        verify_inclusion(
            &item(&mut LeafHasher::new(), &self.key.0, &queried),
            self.position,
            commitment.count,
            &proof,
            &Hash(commitment.root.0),
        )
    }

    /// The opening as one line of canonical JSON.
    pub fn encode(&self) -> Option<String> {
        canonical::to_string(self)
    }

    /// Reads an opening. `None` unless it is written in the one way.
    pub fn parse(text: &str) -> Option<Self> {
        let opening: Self = canonical::parse(text)?;
        let canonical = opening.canonical.as_deref();
        canonical
            .is_none_or(|text| bytes_of(text).is_some())
            .then_some(opening)
    }
}

/// Of lower-case hexadecimal only: there is one way to write an identifier.
fn bytes_of(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    lower
        .then(|| hex::decode(text).ok().map(Zeroizing::new))
        .flatten()
}

fn items(key: &AuditKey, exchange: &ExchangeId, identifiers: &[Queried<'_>]) -> Vec<Hash> {
    let mut hasher = LeafHasher::new();
    key.item_keys(exchange, 0)
        .zip(identifiers)
        .map(|(key, queried)| item(&mut hasher, &key, queried))
        .collect()
}

/// The key hides what follows, however guessable; the hash binds to it.
fn item(hasher: &mut LeafHasher, key: &[u8; 32], queried: &Queried<'_>) -> Hash {
    let (domain, canonical): (&[u8], &[u8]) = match queried.canonical {
        Some(canonical) => (b"concordat/v1/ledger-item\n", canonical),
        None => (b"concordat/v1/ledger-biometric\n", &[]),
    };
    let kind = queried.kind.as_bytes();
    let length = (kind.len() as u64).to_be_bytes();
    hasher.leaf(&[domain, key, &length, kind, canonical])
}

/// RFC 6962 §2.1.1, for a tree in memory.
fn path(items: &[Hash], index: usize) -> Vec<Hash> {
    if items.len() <= 1 {
        return Vec::new();
    }
    let middle = items.len().next_power_of_two() / 2;
    let (left, right) = items.split_at(middle);
    let (mut proof, sibling) = if index < middle {
        (path(left, index), right)
    } else {
        (path(right, index - middle), left)
    };
    proof.push(Hash::root(sibling));
    proof
}
