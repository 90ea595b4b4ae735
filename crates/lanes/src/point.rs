//! One point, for what is public and comes alone: a key, a composite, a commitment.

use std::fmt;
use std::ops::Mul;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};

use crate::{ELEMENT_BYTES, ElementFault, Scalar};

/// One element of the group, treated as public: `Copy`, printed, not wiped.
///
/// Batches, and whatever is secret, belong in [`Points`](crate::Points).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point(pub(crate) RistrettoPoint);

impl Point {
    /// The generator of RFC 9496 §4.
    pub const GENERATOR: Self = Self(RISTRETTO_BASEPOINT_POINT);

    /// Decodes an element (RFC 9496 §4.3.1), refusing the identity as RFC 9497 §4.1 does. Variable time.
    pub fn decode(bytes: &[u8; ELEMENT_BYTES]) -> Result<Self, ElementFault> {
        // Encodings are unique, so these are the identity's bytes and no other point's.
        if *bytes == [0; ELEMENT_BYTES] {
            return Err(ElementFault::Identity);
        }
        CompressedRistretto(*bytes)
            .decompress()
            .map(Self)
            .ok_or(ElementFault::NonCanonical)
    }

    /// The canonical encoding (RFC 9496 §4.3.2).
    pub fn encode(&self) -> [u8; ELEMENT_BYTES] {
        self.0.compress().to_bytes()
    }
}

/// In constant time.
impl Mul<&Scalar> for &Point {
    type Output = Point;

    fn mul(self, scalar: &Scalar) -> Point {
        Point(self.0 * scalar.0)
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Point(")?;
        self.encode()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
