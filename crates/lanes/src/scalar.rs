//! Integers modulo the group order ℓ = 2^252 + 27742317777372353535851937790883648493.

use std::fmt;
use std::ops::{Mul, Sub};

use curve25519_dalek::scalar::Scalar as Inner;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::SCALAR_BYTES;

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
