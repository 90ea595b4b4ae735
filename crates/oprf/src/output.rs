//! What the function gives.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;

/// The output of the function for one input: 64 bytes, pseudorandom for all who have not evaluated it.
///
/// It is cut into three: bytes 0 to 15 are the tag, 16 to 31 are reserved, 32 to 63 are the escalation key. Wiped when
/// dropped, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Output([u8; 64]);

impl Output {
    pub(crate) const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// All 64 bytes, as RFC 9497 calls the output.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// What a snapshot holds of the input.
    ///
    /// It tells nothing of the escalation key. Two inputs in a set of n share a tag with probability about n²/2^129.
    pub fn tag(&self) -> [u8; TAG_BYTES] {
        std::array::from_fn(|at| self.0[at])
    }

    /// The key that proves, beyond the tag, that its holder had the input evaluated. Secret.
    pub fn escalation_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(std::array::from_fn(|at| self.0[32 + at]))
    }
}

impl PartialEq for Output {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Output {}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output(..)")
    }
}
