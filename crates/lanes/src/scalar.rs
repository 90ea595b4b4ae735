//! Integers modulo the group order ℓ = 2^252 + 27742317777372353535851937790883648493.

use std::fmt;
use std::ops::{Mul, Sub};

use curve25519_dalek::scalar::Scalar as Inner;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::SCALAR_BYTES;
use crate::vector::{LANES, Words};

/// An integer modulo the group order ℓ, treated as a secret.
///
/// Every operation takes constant time. The value is wiped when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Scalar(pub(crate) Inner);

impl Scalar {
    /// Zero.
    pub const ZERO: Self = Self(Inner::ZERO);

    /// One.
    pub const ONE: Self = Self(Inner::ONE);

    /// Reduces 64 little-endian bytes modulo ℓ.
    ///
    /// Of uniform bytes it makes a scalar whose distance from uniform is below 2^-252 (RFC 9497 §4.7.2).
    pub fn from_wide_bytes(bytes: &[u8; 64]) -> Self {
        Self(Inner::from_bytes_mod_order_wide(bytes))
    }

    /// Reads a scalar that somebody encoded; `None` when the integer is not below ℓ (RFC 9496 §4.4).
    pub fn from_canonical_bytes(bytes: &[u8; SCALAR_BYTES]) -> Option<Self> {
        Option::from(Inner::from_canonical_bytes(*bytes)).map(Self)
    }

    /// The canonical encoding. Of a secret scalar, the result is as secret as the scalar.
    pub const fn to_bytes(&self) -> [u8; SCALAR_BYTES] {
        self.0.to_bytes()
    }

    /// Whether this is zero; the answer itself is not hidden.
    pub fn is_zero(&self) -> bool {
        self.0.ct_eq(&Inner::ZERO).into()
    }

    /// The scalar that doubled gives this one.
    ///
    /// `points.mul_shared(&k.halve()).double_and_encode()` equals `points.mul_shared(&k).encode()` and costs less.
    #[must_use]
    pub fn halve(&self) -> Self {
        Self(self.0.div_by_2())
    }

    /// The multiplicative inverse, and zero for zero.
    #[must_use]
    pub fn invert(&self) -> Self {
        Self(self.0.invert())
    }
}

/// Writes scalars in signed odd digits, for multiplication in constant time.
///
/// With digits of w bits, n of them, every integer modulo ℓ is Σ (2·uᵢ - (2^w - 1))·2^(w·i) for the digits uᵢ of
/// u = (k + 2^(w·n) - 1) / 2 modulo ℓ. So the uᵢ are plain bits of u, and no signed digit is zero. Each is odd, which
/// halves the table, and it takes no carry from digit to digit to find them.
pub(crate) struct OddDigits {
    /// 2^(w·n) - 1.
    offset: Inner,
}

impl OddDigits {
    /// For digits that together have `bits` bits: from 253 to 512, so that u has no more.
    pub(crate) fn new(bits: u32) -> Self {
        let ones = std::array::from_fn(|at| match bits.saturating_sub(8 * at as u32) {
            ..8 => ((1u32 << bits.saturating_sub(8 * at as u32)) - 1) as u8,
            _ => u8::MAX,
        });
        Self {
            offset: Inner::from_bytes_mod_order_wide(&ones),
        }
    }

    /// u as four little-endian words.
    pub(crate) fn of(&self, scalar: &Scalar) -> Zeroizing<[u64; 4]> {
        let mut u = (scalar.0 + self.offset).div_by_2();
        let (parts, _) = u.as_bytes().as_chunks::<8>();
        let words = Zeroizing::new(std::array::from_fn(|at| u64::from_le_bytes(parts[at])));
        u.zeroize();
        words
    }

    /// The same for a lane each, eight scalars to a block; lanes beyond the last are zero.
    pub(crate) fn of_each(&self, scalars: &[Scalar]) -> Zeroizing<Vec<[Words; 4]>> {
        let mut blocks = Zeroizing::new(vec![[Words::default(); 4]; scalars.len().div_ceil(LANES)]);
        for (at, scalar) in scalars.iter().enumerate() {
            for (block, word) in blocks[at / LANES].iter_mut().zip(*self.of(scalar)) {
                block.0[at % LANES] = word;
            }
        }
        blocks
    }
}

impl Mul for &Scalar {
    type Output = Scalar;

    fn mul(self, other: Self) -> Scalar {
        Scalar(self.0 * other.0)
    }
}

impl Sub for &Scalar {
    type Output = Scalar;

    fn sub(self, other: Self) -> Scalar {
        Scalar(self.0 - other.0)
    }
}

/// In constant time.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Scalar {}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scalar(..)")
    }
}
