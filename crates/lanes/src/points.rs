//! Batches of points: what the whole crate is for.

use std::fmt;
use std::ops::{AddAssign, SubAssign};

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::edwards::{IDENTITY_WORDS, PointWords};
use crate::engine::{Engine, Kind, Lanes};
use crate::kernels::{Add, Decode, DoubleAndEncode, Encode, FirstIdentity, FromUniformBytes, neutral_blocks};
use crate::multiply::{self, Multiply};
use crate::scalar::OddDigits;
use crate::sum::{self, Sum, SumOfProducts};
use crate::vector::{LANES, Words};
use crate::{ELEMENT_BYTES, Point, Scalar};

/// A batch of elements of the group, of any length, empty too. Wiped when dropped.
///
/// Where two batches, or a batch and its scalars, belong together, they must have the same length: a difference
/// is a mistake of the caller's code, never of foreign bytes, and panics.
#[derive(Clone)]
pub struct Points(Form);

/// How the points are held: as the engine that made them wants it, which then does what follows.
#[derive(Clone)]
enum Form {
    /// Also what few points are, on every engine: eight lanes gain nothing there.
    // A `Vec` is wiped over its whole capacity; wiping a single dalek point leaves stores the compiler may drop.
    Portable(Vec<RistrettoPoint>),
    Lanes(Blocks),
}

/// Points in blocks of eight. The lanes beyond `len` hold points of no meaning.
#[derive(Clone)]
struct Blocks {
    lanes: Lanes,
    blocks: Vec<PointWords>,
    len: usize,
}

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
        Self::decode_on(Engine::for_points(packed.len() / ELEMENT_BYTES), packed)
    }

    /// [`Points::decode`] on a given engine, which also does what follows with the points.
    #[doc(hidden)]
    pub fn decode_on(engine: Engine, packed: &[u8]) -> Result<Self, ElementError> {
        let (elements, tail) = packed.as_chunks::<ELEMENT_BYTES>();
        if !tail.is_empty() {
            return Err(ElementError {
                index: elements.len(),
                reason: ElementFault::WrongLength,
            });
        }
        match engine.0 {
            Kind::Portable => decode_portable(elements).map(|points| Self(Form::Portable(points))),
            Kind::Lanes(lanes) => Blocks::decode(lanes, elements).map(|blocks| Self(Form::Lanes(blocks))),
        }
    }

    /// Encodes each point: 32 bytes per element, packed.
    pub fn encode(&self) -> Vec<u8> {
        match &self.0 {
            Form::Portable(points) => {
                let mut packed = Vec::with_capacity(points.len() * ELEMENT_BYTES);
                for point in points {
                    packed.extend_from_slice(point.compress().as_bytes());
                }
                packed
            }
            Form::Lanes(Blocks { lanes, blocks, len }) => {
                let mut packed = vec![0; len * ELEMENT_BYTES];
                lanes.run(Encode {
                    points: blocks,
                    packed: packed.as_chunks_mut().0,
                });
                packed
            }
        }
    }

    /// Encodes 2·P for each point P, packed.
    ///
    /// Encoding needs an inverse square root for each point; encoding a double needs an inverse, and inverses are
    /// shared by a batch. With a scalar halved beforehand ([`Scalar::halve`]) the doubling costs nothing.
    pub fn double_and_encode(&self) -> Vec<u8> {
        /// Enough to share the inverse, few enough for its workspace to stay in the nearest cache but one.
        const AT_ONCE: usize = 512;
        match &self.0 {
            Form::Portable(points) => {
                let mut packed = Vec::with_capacity(points.len() * ELEMENT_BYTES);
                for points in points.chunks(AT_ONCE) {
                    for double in RistrettoPoint::double_and_compress_batch(points) {
                        packed.extend_from_slice(double.as_bytes());
                    }
                }
                packed
            }
            Form::Lanes(Blocks { lanes, blocks, len }) => {
                let mut packed = vec![0; len * ELEMENT_BYTES];
                lanes.run(DoubleAndEncode {
                    points: blocks,
                    packed: packed.as_chunks_mut().0,
                });
                packed
            }
        }
    }

    /// Maps 64 uniform bytes to a uniform element, for each (element derivation, RFC 9496 §4.3.4).
    pub fn from_uniform_bytes(uniform: &[[u8; 64]]) -> Self {
        Self::from_uniform_bytes_on(Engine::for_points(uniform.len()), uniform)
    }

    /// [`Points::from_uniform_bytes`] on a given engine, which also does what follows with the points.
    #[doc(hidden)]
    pub fn from_uniform_bytes_on(engine: Engine, uniform: &[[u8; 64]]) -> Self {
        match engine.0 {
            Kind::Portable => {
                Self::from_vec(uniform.iter().map(RistrettoPoint::from_uniform_bytes).collect())
            }
            Kind::Lanes(lanes) => {
                let mut points = Blocks::neutral(lanes, uniform.len());
                lanes.run(FromUniformBytes {
                    uniform,
                    points: &mut points.blocks,
                });
                Self(Form::Lanes(points))
            }
        }
    }

    /// `points` on a given engine, which also does what follows with them.
    #[doc(hidden)]
    pub fn from_points_on(engine: Engine, points: &[Point]) -> Self {
        match engine.0 {
            Kind::Portable => Self::from_vec(points.iter().map(|point| point.0).collect()),
            Kind::Lanes(lanes) => Self(Form::Lanes(Blocks::of_points(
                lanes,
                points.iter().map(|point| &point.0),
            ))),
        }
    }

    /// How many points there are.
    pub const fn len(&self) -> usize {
        match &self.0 {
            Form::Portable(points) => points.len(),
            Form::Lanes(points) => points.len,
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index of the first identity element, if there is one. Stops there; looking at a point that is not the
    /// identity takes constant time.
    pub fn position_of_identity(&self) -> Option<usize> {
        match &self.0 {
            Form::Portable(points) => points.iter().position(IsIdentity::is_identity),
            Form::Lanes(Blocks { lanes, blocks, len }) => lanes.run(FirstIdentity {
                points: blocks,
                count: *len,
            }),
        }
    }

    /// k·P for each point P.
    #[must_use]
    pub fn mul_shared(&self, k: &Scalar) -> Self {
        match &self.0 {
            Form::Portable(points) => Self::from_vec(points.iter().map(|point| point * k.0).collect()),
            Form::Lanes(points) => {
                let words = OddDigits::new(multiply::WIDTH * multiply::DIGITS).of(k);
                let scalar = Zeroizing::new(words.map(|word| Words([word; LANES])));
                Self(Form::Lanes(points.multiplied(std::slice::from_ref(&*scalar))))
            }
        }
    }

    /// kᵢ·Pᵢ for each point.
    ///
    /// # Panics
    /// When there is not one scalar for each point.
    #[must_use]
    pub fn mul_each(&self, scalars: &[Scalar]) -> Self {
        assert_eq!(self.len(), scalars.len(), "one scalar for each point");
        match &self.0 {
            Form::Portable(points) => {
                let products = points.iter().zip(scalars);
                Self::from_vec(products.map(|(point, scalar)| point * scalar.0).collect())
            }
            Form::Lanes(points) => {
                let scalars = OddDigits::new(multiply::WIDTH * multiply::DIGITS).of_each(scalars);
                Self(Form::Lanes(points.multiplied(&scalars)))
            }
        }
    }

    /// Σ kᵢ·Pᵢ, in **variable time**: scalars and points must be public. The empty sum is the identity.
    ///
    /// # Panics
    /// When there is not one scalar for each point.
    pub fn vartime_sum_of_products(&self, scalars: &[Scalar]) -> Point {
        assert_eq!(self.len(), scalars.len(), "one scalar for each point");
        match &self.0 {
            Form::Portable(points) => Point(RistrettoPoint::vartime_multiscalar_mul(
                scalars.iter().map(|scalar| &scalar.0),
                points,
            )),
            Form::Lanes(points) => points.vartime_sum_of_products(scalars),
        }
    }

    /// For the fixed-base tables of this crate.
    pub(crate) const fn from_vec(points: Vec<RistrettoPoint>) -> Self {
        Self(Form::Portable(points))
    }

    /// One point, in lane 0.
    pub(crate) fn lanes_of_point(lanes: Lanes, point: &Point) -> PointWords {
        Blocks::of_points(lanes, [&point.0]).blocks[0]
    }

    /// For the fixed-base tables of this crate.
    pub(crate) fn from_kernel(lanes: Lanes, len: usize, fill: impl FnOnce(&mut [PointWords])) -> Self {
        let mut points = Blocks::neutral(lanes, len);
        fill(&mut points.blocks);
        Self(Form::Lanes(points))
    }

    /// The points as curve25519-dalek holds them: by way of their encodings, if an engine has them. Slow.
    pub(crate) fn portable(&self) -> Zeroizing<Vec<RistrettoPoint>> {
        match &self.0 {
            Form::Portable(points) => Zeroizing::new(points.clone()),
            Form::Lanes(_) => {
                let packed = Zeroizing::new(self.encode());
                let (elements, _) = packed.as_chunks();
                Zeroizing::new(elements.iter().map(decompress).collect())
            }
        }
    }

    /// Adds or subtracts, in the form of `self`.
    fn add(&mut self, other: &Self, subtract: bool) {
        assert_eq!(self.len(), other.len(), "batches of one length");
        match (&mut self.0, &other.0) {
            (Form::Portable(points), _) => {
                for (point, other) in points.iter_mut().zip(other.portable().iter()) {
                    if subtract {
                        *point -= other;
                    } else {
                        *point += other;
                    }
                }
            }
            (Form::Lanes(points), Form::Lanes(others)) => points.add(others, subtract),
            (Form::Lanes(points), Form::Portable(others)) => {
                let mut others = Blocks::of_points(points.lanes, others);
                points.add(&others, subtract);
                others.blocks.zeroize();
            }
        }
    }
}

/// Adds point to point.
///
/// # Panics
/// When the lengths differ.
impl AddAssign<&Self> for Points {
    fn add_assign(&mut self, other: &Self) {
        self.add(other, false);
    }
}

/// Subtracts point from point.
///
/// # Panics
/// When the lengths differ.
impl SubAssign<&Self> for Points {
    fn sub_assign(&mut self, other: &Self) {
        self.add(other, true);
    }
}

impl FromIterator<Point> for Points {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
        /// From here on it pays to encode each point for an engine that starts from encodings.
        const WORTH_IT: usize = 16;
        let points: Vec<Point> = points.into_iter().collect();
        let engine = if points.len() < WORTH_IT {
            Engine::PORTABLE
        } else {
            Engine::for_points(points.len())
        };
        Self::from_points_on(engine, &points)
    }
}

impl Default for Points {
    fn default() -> Self {
        Self::from_vec(Vec::new())
    }
}

impl Zeroize for Points {
    fn zeroize(&mut self) {
        match &mut self.0 {
            Form::Portable(points) => points.zeroize(),
            Form::Lanes(Blocks { blocks, len, .. }) => {
                blocks.zeroize();
                *len = 0;
            }
        }
    }
}

impl Drop for Points {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Points {}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Points({} points)", self.len())
    }
}

impl Blocks {
    fn neutral(lanes: Lanes, len: usize) -> Self {
        Self {
            lanes,
            blocks: neutral_blocks(len),
            len,
        }
    }

    fn decode(lanes: Lanes, elements: &[[u8; ELEMENT_BYTES]]) -> Result<Self, ElementError> {
        let mut points = Self::neutral(lanes, elements.len());
        let fault = lanes.run(Decode {
            packed: elements,
            points: &mut points.blocks,
        });
        match fault {
            None => Ok(points),
            Some(index) => {
                let identity = elements.get(index) == Some(&[0; ELEMENT_BYTES]);
                let reason = if identity {
                    ElementFault::Identity
                } else {
                    ElementFault::NonCanonical
                };
                Err(ElementError { index, reason })
            }
        }
    }

    /// Each by way of its encoding. Where that is the identity's, the decoder names a fault and decodes it all the
    /// same; and after a fault it goes on with the next.
    fn of_points<'a>(lanes: Lanes, points: impl IntoIterator<Item = &'a RistrettoPoint>) -> Self {
        let packed: Zeroizing<Vec<[u8; ELEMENT_BYTES]>> = Zeroizing::new(
            points
                .into_iter()
                .map(|point| point.compress().to_bytes())
                .collect(),
        );
        let mut points = Self::neutral(lanes, packed.len());
        let mut start = 0;
        while start < packed.len() {
            let fault = lanes.run(Decode {
                packed: &packed[start..],
                points: &mut points.blocks[start / LANES..],
            });
            start = match fault {
                None => packed.len(),
                Some(index) => ((start + index) / LANES + 1) * LANES,
            };
        }
        points
    }

    fn multiplied(&self, scalars: &[[Words; 4]]) -> Self {
        let mut products = self.clone();
        let mut workspace = Zeroizing::new(multiply::workspace());
        self.lanes.run(Multiply {
            points: &mut products.blocks,
            scalars,
            workspace: &mut workspace,
        });
        products
    }

    fn vartime_sum_of_products(&self, scalars: &[Scalar]) -> Point {
        let sum = if self.len <= sum::FEW {
            let digits = OddDigits::new(multiply::WIDTH * multiply::DIGITS).of_each(scalars);
            self.lanes.run(Sum {
                points: &self.multiplied(&digits).blocks,
                count: self.len,
            })
        } else {
            let scalars: Vec<[u8; 32]> = scalars.iter().map(Scalar::to_bytes).collect();
            let mut total = IDENTITY_WORDS;
            let pieces = self
                .blocks
                .chunks(sum::PIECE / LANES)
                .zip(scalars.chunks(sum::PIECE));
            for (points, scalars) in pieces {
                let sum = self.lanes.run(SumOfProducts { points, scalars });
                self.lanes.run(Add {
                    points: std::slice::from_mut(&mut total),
                    others: &[sum],
                    subtract: false,
                });
            }
            total
        };
        let mut encoded = [[0; ELEMENT_BYTES]];
        self.lanes.run(Encode {
            points: &[sum],
            packed: &mut encoded,
        });
        Point(decompress(&encoded[0]))
    }

    fn add(&mut self, others: &Self, subtract: bool) {
        self.lanes.run(Add {
            points: &mut self.blocks,
            others: &others.blocks,
            subtract,
        });
    }
}

fn decode_portable(elements: &[[u8; ELEMENT_BYTES]]) -> Result<Vec<RistrettoPoint>, ElementError> {
    let mut points = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let point = Point::decode(element).map_err(|reason| ElementError { index, reason })?;
        points.push(point.0);
    }
    Ok(points)
}

#[expect(clippy::expect_used, reason = "this crate wrote the encoding")]
fn decompress(element: &[u8; ELEMENT_BYTES]) -> RistrettoPoint {
    CompressedRistretto(*element)
        .decompress()
        .expect("an engine encodes points of the group")
}
