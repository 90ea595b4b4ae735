//! RFC 6962 hashing.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

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
        Self(
            Sha256::new()
                .chain_update([0])
                .chain_update(entry)
                .finalize()
                .into(),
        )
    }

    /// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut blocks = [[0; 64]; 2];
        let text = blocks.as_flattened_mut();
        text[0] = 1;
        text[1..33].copy_from_slice(&left.0);
        text[33..65].copy_from_slice(&right.0);
        pad(text, 65);
        Self::of_blocks(&blocks)
    }

    /// Of a message that is padded already.
    fn of_blocks(blocks: &[[u8; 64]]) -> Self {
        let mut state = INITIAL;
        compress256(&mut state, blocks);
        let mut hash = [0; 32];
        for (place, word) in hash.chunks_exact_mut(4).zip(state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Self(hash)
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

/// Hashes small leaves that are in parts, one after the other, each in one go: a flight has two thousand identifiers, and an object for
/// each costs as much as its blocks. Wiped when dropped.
pub(crate) struct LeafHasher(Zeroizing<[[u8; 64]; 4]>);

impl LeafHasher {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new([[0; 64]; 4]))
    }

    /// SHA-256(0x00 ‖ parts).
    pub(crate) fn leaf(&mut self, parts: &[&[u8]]) -> Hash {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        // The padding begins with a bit, and ends with the length.
        let blocks = (length + 9).div_ceil(64);
        let Some(blocks) = self.0.get_mut(..blocks) else {
            let hash = Sha256::new().chain_update([0]);
            let hash = parts.iter().fold(hash, |hash, part| hash.chain_update(part));
            return Hash(hash.finalize().into());
        };
        let text = blocks.as_flattened_mut();
        text[0] = 0;
        let mut end = 1;
        for part in parts {
            text[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        pad(text, length);
        Hash::of_blocks(blocks)
    }
}

/// FIPS 180-4, sections 5.1.1 and 5.3.3: of a message of so many bytes in whole blocks.
fn pad(blocks: &mut [u8], length: usize) {
    let zeros = blocks.len() - length - 8;
    let (padding, bits) = blocks[length..].split_at_mut(zeros);
    padding.fill(0);
    padding[0] = 0x80;
    bits.copy_from_slice(&(length as u64 * 8).to_be_bytes());
}

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_padded_here_is_sha_256() {
        let text: Vec<u8> = (0..=255).cycle().take(400).collect();
        let mut hasher = LeafHasher::new();
        // Longer ones first and last: nothing is left of the one before.
        for length in (0..400).rev().chain(0..400) {
            let whole = Hash(Sha256::digest([&[0], &text[..length]].concat()).into());
            for cut in [0, length / 3, length] {
                let parts = [&text[..cut], &text[cut..length]];
                assert_eq!(hasher.leaf(&parts), whole, "{length} bytes, cut at {cut}");
            }
            assert_eq!(Hash::leaf(&text[..length]), whole);
        }
        for n in 0..=255 {
            let (left, right) = (Hash([n; 32]), Hash([!n; 32]));
            let whole = Sha256::digest([&[1][..], &left.0, &right.0].concat());
            assert_eq!(Hash::node(&left, &right).0, *whole);
        }
    }
}
