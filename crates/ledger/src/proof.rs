//! Verifying inclusion and consistency (RFC 6962 §2.1.1 and §2.1.2, by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2).

use crate::hash::Hash;

/// No proof in a tree of less than 2^63 entries is longer.
pub const MAX_PROOF_HASHES: usize = 63;

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The index is not in the tree.
    #[error("entry {index} is not in a tree of {size} entries")]
    NoSuchEntry {
        /// The index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// A tree cannot shrink, and an empty one has no proof.
    #[error("no proof leads from a tree of {old} entries to one of {new}")]
    NoSuchSizes {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The number of hashes is not that of a proof for these sizes.
    #[error("a proof of {found} hashes has the wrong length for these sizes")]
    WrongLength {
        /// How many there are.
        found: usize,
    },
    /// The hashes lead to another root: the proof, the entry or the root was changed.
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// Verifies that the leaf with hash `leaf` is entry `index` of the tree of `size` entries with this `root`.
///
/// # Errors
/// [`ProofError`]; whoever made the proof is to blame, or the entry is not in the log.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchEntry { index, size });
    }
    let wrong_length = ProofError::WrongLength { found: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            hash = Hash::node(sibling, &hash);
            // Levels where the last node has no sibling: it goes up as it is.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = Hash::node(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if hash == *root {
        Ok(())
    } else {
        Err(ProofError::OtherRoot)
    }
}

/// Verifies that the tree of `old_size` entries with `old_root` is the beginning of the tree of `new_size` entries with `new_root`.
///
/// # Errors
/// [`ProofError`]; an `old_size` of zero is one, because every tree extends the empty one and no proof says more.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size == 0 || old_size > new_size {
        return Err(ProofError::NoSuchSizes {
            old: old_size,
            new: new_size,
        });
    }
    let wrong_length = ProofError::WrongLength { found: proof.len() };
    if old_size == new_size {
        return match (proof, old_root == new_root) {
            ([], true) => Ok(()),
            ([], false) => Err(ProofError::OtherRoot),
            _ => Err(wrong_length),
        };
    }
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // An old tree that is one complete subtree is its own first hash.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(wrong_length)?
    };
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            old = Hash::node(hash, &old);
            new = Hash::node(hash, &new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = Hash::node(&new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if old == *old_root && new == *new_root {
        Ok(())
    } else {
        Err(ProofError::OtherRoot)
    }
}
