//! ristretto255 ([RFC 9496]) on many points at once. No protocol.
//!
//! The service spends its time on group arithmetic, and always on a batch of elements. So the unit here is
//! [`Points`], a batch: decode, encode, multiply, hash to the group, add, sum. Its layout is private, as is the
//! library that computes, so that an engine that works on eight points at a time can take the place of the
//! portable one without a change in the callers.
//!
//! | operation | function | time |
//! |---|---|---|
//! | bytes → points | [`Points::decode`] | variable: encodings are public |
//! | points → bytes | [`Points::encode`], [`Points::double_and_encode`] | constant |
//! | 64 uniform bytes → point | [`Points::from_uniform_bytes`] | constant |
//! | one scalar, many points | [`Points::mul_shared`] | constant |
//! | a scalar for each point | [`Points::mul_each`] | constant |
//! | a scalar for each lane, one base | [`FixedBase::mul_each`] | constant |
//! | addition, subtraction | `+=`, `-=` | constant |
//! | sum of products | [`Points::vartime_sum_of_products`] | **variable: public data only** |
//! | SHA-512 of many messages | [`sha512`] | constant for given lengths |
//!
//! "Constant" means that neither the sequence of instructions nor the addresses touched depend on scalars or
//! points; the number of elements is never hidden.
//!
//! # Secrets
//! [`Scalar`], [`Points`] and [`FixedBase`] print no values, and the first two wipe their memory when dropped.
//! Copies that the compiler leaves in registers or on the stack are not wiped: nothing in safe Rust can.
//!
//! # Engines
//! One is chosen when the first batch comes, by what the processor can do ([`Engine::active`], [`engine`]):
//!
//! | name | how | where |
//! |---|---|---|
//! | `avx512ifma` | eight points at a time, own arithmetic | x86-64 with AVX-512 F, DQ and IFMA |
//! | `avx2` | the same in two registers of four, from 64 points on | x86-64 with AVX2 |
//! | `portable` | curve25519-dalek, which picks its own vector code at run time | everywhere |
//!
//! Before an engine is used it passes a test with a known answer; one that fails is not used. The variable
//! [`ENGINE_VARIABLE`] names another engine, for tests and benches. All give the same bytes. One point alone, and
//! with `avx2` fewer than 64, are computed by curve25519-dalek. On `avx2` that is also ahead in a sum of products by
//! itself of up to some 250 points: the points then are where they are because everything else gains more.
//!
//! The own arithmetic is in layers: `vector` (eight 64-bit integers), `field` (integers modulo 2^255 - 19),
//! `edwards` (the group law), `ristretto` (the encoding), `kernels`, `multiply`, `fixed` and `sum` (batches). It is
//! written once but for the multiplication (`field::multiply52`, `field::multiply32`), over a trait of vector
//! operations, and runs on the processor, in an emulation that checks for overflow (the feature `emulation`), and in
//! tests on intervals, which proves its bounds.
//!
//! [RFC 9496]: https://www.rfc-editor.org/rfc/rfc9496

mod base;
mod edwards;
mod engine;
mod field;
mod fixed;
mod kernels;
mod multiply;
mod point;
mod points;
mod ristretto;
mod scalar;
pub mod sha512;
mod sum;
mod vector;

pub use base::FixedBase;
pub use engine::{ENGINE_VARIABLE, Engine, engine};
pub use point::Point;
pub use points::{ElementError, ElementFault, Points};
pub use scalar::Scalar;

/// Bytes of one encoded element (RFC 9496 §4.3.2).
pub const ELEMENT_BYTES: usize = 32;

/// Bytes of one encoded scalar: little-endian, below the group order (RFC 9496 §4.4).
pub const SCALAR_BYTES: usize = 32;
