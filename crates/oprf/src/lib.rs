//! The verifiable oblivious pseudorandom function of [RFC 9497], suite ristretto255-SHA512, over batches.
//!
//! Two parties compute F(k, x): the owner holds the key k and never sees x, the requester holds x and learns the
//! output and nothing of k, and a proof shows that the owner used the key it is bound to. No I/O, no clock, no
//! random generator of its own.
//!
//! # One way through
//! ```
//! use concordat_oprf::{Client, KeyPair, PublicKey};
//! # use rand::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
//!
//! // The owner derives the key of a scope; the requester pins the public half of it.
//! let key_pair = KeyPair::derive(&[42; 32], b"agreement, offer, epoch")?;
//! let client = Client::new(PublicKey::from_bytes(key_pair.public_key().as_bytes())?);
//!
//! // Requester: identifiers in, blinded elements out, 32 bytes each, packed.
//! let blinded = client.blind(&[b"AB1234567".as_slice(), b"CD7654321"], &mut rng)?;
//! // Owner: blinded elements in, evaluated elements and one proof out.
//! let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng)?;
//! // Requester: the proof first, then the outputs.
//! let outputs = blinded.verify(&evaluation.elements, &evaluation.proof)?.finalize();
//!
//! // The owner computes the same outputs for its own list.
//! let own = key_pair.evaluate_own(&[b"AB1234567"])?;
//! assert_eq!(outputs[0].tag(), own[0].tag());
//! assert_ne!(outputs[1].tag(), own[0].tag());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # On the wire
//! Exactly what RFC 9497 §2.1, §2.2 and §4.1 define, with the elements of a batch packed: `32 * n` bytes. A proof is
//! 64 bytes, two scalars c and s; its nonce is hedged against a generator that repeats itself. A batch holds 1 to [`MAX_BATCH`] elements; equal ones are fine.
//!
//! # What leaks
//! - A blinded element is uniform whatever its input: the owner learns the number of elements, nothing else, even
//!   with unlimited computing power. Who watches the time of [`Client::blind`] learns the inputs' lengths as well.
//! - The requester learns F(k, x) for the x it had evaluated. That k cannot be computed from it rests on the one-more
//!   gap Diffie-Hellman assumption, loses log2(Q)/2 bits for Q evaluations (RFC 9497 §7.2.3), and needs quotas:
//!   a key that answers everybody lets everybody test a guessed list.
//! - Everything that touches a key, a blind, an input or an output is constant time for a given length. Decoding,
//!   the composites of the proof and its verification take variable time: they see only what was on the wire.
//!
//! # Errors
//! Foreign bytes never panic. [`InputError`] blames the caller; [`EvaluateError`] the requester that sent the
//! elements; [`VerifyError`] the owner that answered. No error holds an input, a key or an element.
//!
//! [RFC 9497]: https://www.rfc-editor.org/rfc/rfc9497

mod batch;
mod client;
#[cfg(feature = "danger")]
pub mod danger;
mod dleq;
mod error;
mod key;
mod output;
mod server;
mod suite;

pub use client::{Blinded, Client, Verified};
pub use concordat_lanes::{ELEMENT_BYTES, ElementError, ElementFault};
pub use error::{DeriveError, EvaluateError, InputError, PublicKeyError, VerifyError};
pub use key::{KeyPair, PublicKey};
pub use output::{Output, TAG_BYTES};
pub use server::Evaluation;

/// The most elements a batch may hold: its index in a proof is two bytes (RFC 9497 §2.2.1).
pub const MAX_BATCH: usize = u16::MAX as usize;

/// The longest input, in bytes: its length is hashed as two bytes (RFC 9497 §1.2).
pub const MAX_INPUT_BYTES: usize = u16::MAX as usize;

/// Bytes of a proof: the scalars c and s (RFC 9497 §2.2.1).
pub const PROOF_BYTES: usize = 64;
