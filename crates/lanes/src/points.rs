//! Batches of points: what the whole crate is for.

use std::fmt;
use std::ops::{AddAssign, SubAssign};

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{ELEMENT_BYTES, Point, Scalar};

/// A batch of elements of the group, of any length, empty too. Wiped when dropped.
///
/// Where two batches, or a batch and its scalars, belong together, they must have the same length: a difference
/// is a mistake of the caller's code, never of foreign bytes, and panics.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
// A `Vec` is wiped over its whole capacity; wiping a single dalek point leaves stores the compiler may drop.
pub struct Points(Vec<RistrettoPoint>);

/// The first element of a packed batch that cannot be used, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("element {index} {reason}")]
pub struct ElementError {
    /// Which element: byte `32 * index` of the packed batch is its first.
    pub index: usize,
    /// What is wrong with it.
    pub reason: ElementFault,
}

/// Why 32 bytes are not an element that may be used. Whoever encoded it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElementFault {
    /// The packed batch ends inside this element.
    #[error("is cut short: elements are 32 bytes each")]
    WrongLength,
    /// Not an encoding that RFC 9496 §4.3.1 decodes.
    #[error("is not a canonical ristretto255 encoding (RFC 9496, section 4.3.1)")]
    NonCanonical,
    /// The identity: a valid point, but multiplied by any key it stays itself, so RFC 9497 §4.1 refuses it.
    #[error("is the identity, which RFC 9497, section 4.1 refuses")]
    Identity,
}

impl Points {
    /// Decodes `packed`: elements of 32 bytes, one after the other. The identity is refused. Variable time.
    ///
    /// # Errors
    /// The first element at fault. A trailing part of an element is found before anything is decoded, and named
    /// by the index the element would have had.
    pub fn decode(packed: &[u8]) -> Result<Self, ElementError> {
        let (elements, tail) = packed.as_chunks::<ELEMENT_BYTES>();
        if !tail.is_empty() {
            return Err(ElementError {
                index: elements.len(),
                reason: ElementFault::WrongLength,
            });
        }
        let mut points = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let point = Point::decode(element).map_err(|reason| ElementError { index, reason })?;
            points.push(point.0);
        }
        Ok(Self(points))
    }

    /// Encodes each point: 32 bytes per element, packed.
    pub fn encode(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.len() * ELEMENT_BYTES);
        for point in &self.0 {
            packed.extend_from_slice(point.compress().as_bytes());
        }
        packed
    }

    /// Encodes 2·P for each point P, packed.
    ///
    /// Encoding needs an inverse square root for each point; encoding a double needs an inverse, and inverses are
    /// shared by a batch. With a scalar halved beforehand ([`Scalar::halve`]) the doubling costs nothing.
    pub fn double_and_encode(&self) -> Vec<u8> {
        /// Enough to share the inverse, few enough for its workspace to stay in the nearest cache but one.
        const AT_ONCE: usize = 512;
        let mut packed = Vec::with_capacity(self.len() * ELEMENT_BYTES);
        for points in self.0.chunks(AT_ONCE) {
            for double in RistrettoPoint::double_and_compress_batch(points) {
                packed.extend_from_slice(double.as_bytes());
            }
        }
        packed
    }

    /// Maps 64 uniform bytes to a uniform element, for each (element derivation, RFC 9496 §4.3.4).
    pub fn from_uniform_bytes(uniform: &[[u8; 64]]) -> Self {
        Self(uniform.iter().map(RistrettoPoint::from_uniform_bytes).collect())
    }

    /// How many points there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The index of the first identity element, if there is one. Stops there; looking at a point that is not the
    /// identity takes constant time.
    pub fn position_of_identity(&self) -> Option<usize> {
        self.0.iter().position(IsIdentity::is_identity)
    }

    /// k·P for each point P.
    #[must_use]
    pub fn mul_shared(&self, k: &Scalar) -> Self {
        Self(self.0.iter().map(|point| point * k.0).collect())
    }

    /// kᵢ·Pᵢ for each point.
    ///
    /// # Panics
    /// When there is not one scalar for each point.
    #[must_use]
    pub fn mul_each(&self, scalars: &[Scalar]) -> Self {
        assert_eq!(self.len(), scalars.len(), "one scalar for each point");
        Self(
            self.0
                .iter()
                .zip(scalars)
                .map(|(point, scalar)| point * scalar.0)
                .collect(),
        )
    }

    /// Σ kᵢ·Pᵢ, in **variable time**: scalars and points must be public. The empty sum is the identity.
    ///
    /// # Panics
    /// When there is not one scalar for each point.
    pub fn vartime_sum_of_products(&self, scalars: &[Scalar]) -> Point {
        assert_eq!(self.len(), scalars.len(), "one scalar for each point");
        Point(RistrettoPoint::vartime_multiscalar_mul(
            scalars.iter().map(|scalar| &scalar.0),
            &self.0,
        ))
    }

    /// For the fixed-base tables of this crate.
    pub(crate) const fn from_vec(points: Vec<RistrettoPoint>) -> Self {
        Self(points)
    }
}

/// Adds point to point.
///
/// # Panics
/// When the lengths differ.
impl AddAssign<&Self> for Points {
    fn add_assign(&mut self, other: &Self) {
        assert_eq!(self.len(), other.len(), "batches of one length");
        for (point, other) in self.0.iter_mut().zip(&other.0) {
            *point += other;
        }
    }
}

/// Subtracts point from point.
///
/// # Panics
/// When the lengths differ.
impl SubAssign<&Self> for Points {
    fn sub_assign(&mut self, other: &Self) {
        assert_eq!(self.len(), other.len(), "batches of one length");
        for (point, other) in self.0.iter_mut().zip(&other.0) {
            *point -= other;
        }
    }
}

impl FromIterator<Point> for Points {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
        Self(points.into_iter().map(|point| point.0).collect())
    }
}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Points({} points)", self.len())
    }
}
