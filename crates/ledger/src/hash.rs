//! RFC 6962 hashing.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use sha2::{Digest as _, Sha256};

/// A SHA-256 of the tree. Its text is standard base64, as the C2SP formats have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of the empty tree: SHA-256 of nothing (RFC 6962 §2.1).
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash of a leaf: SHA-256(0x00 ‖ entry).
    pub fn leaf(entry: &[u8]) -> Self {
        Self::leaf_of(&[entry])
    }

    /// The hash of a leaf whose entry is in parts, one after the other.
    pub(crate) fn leaf_of(parts: &[&[u8]]) -> Self {
        let hash = Sha256::new().chain_update([0]);
        let hash = parts.iter().fold(hash, |hash, part| hash.chain_update(part));
        Self(hash.finalize().into())
    }

    /// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut text = [1; 65];
        text[1..33].copy_from_slice(&left.0);
        text[33..].copy_from_slice(&right.0);
        Self(Sha256::digest(text).into())
    }

    /// The root over `hashes`, which are roots of complete subtrees of one height (RFC 6962 §2.1); [`EMPTY_ROOT`](Self::EMPTY_ROOT)
    /// of none.
    pub fn root(hashes: &[Self]) -> Self {
        match hashes {
            [] => Self::EMPTY_ROOT,
            [only] => *only,
            _ => {
                let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
                Self::node(&Self::root(left), &Self::root(right))
            }
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 bytes in standard base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: 32 bytes in standard base64 were expected")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let mut hash = [0; 32];
        match Base64::decode(text, &mut hash) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(hash)),
            _ => Err(NotAHash),
        }
    }
}
