//! What can go wrong, by who is to blame. Every message says what to do next; none holds a value.

use crate::{ElementError, ElementFault, MAX_BATCH, MAX_INPUT_BYTES};

/// The inputs cannot be blinded or evaluated. The caller is to blame; nothing was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A batch needs at least one input.
    #[error("the batch is empty: give at least one input")]
    EmptyBatch,
    /// More than [`MAX_BATCH`] inputs.
    #[error("the batch holds {inputs} inputs: cut it into batches of at most {MAX_BATCH}")]
    BatchTooLarge {
        /// How many there were.
        inputs: usize,
    },
    /// An input longer than [`MAX_INPUT_BYTES`].
    #[error("input {index} is longer than {MAX_INPUT_BYTES} bytes: hash it first")]
    TooLong {
        /// Which input, counted from zero.
        index: usize,
    },
    /// An input that hashes to the identity (`InvalidInputError` of RFC 9497 §3.3.1). Nobody knows one.
    #[error("input {index} hashes to the identity element and cannot be evaluated: leave it out")]
    Identity {
        /// Which input, counted from zero.
        index: usize,
    },
}

/// Blinded elements that cannot be evaluated. Whoever sent them is to blame; nothing was computed with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A batch needs at least one element.
    #[error("the batch is empty: send at least one blinded element")]
    EmptyBatch,
    /// More than [`MAX_BATCH`] elements.
    #[error("the batch holds {elements} elements: send at most {MAX_BATCH} at once")]
    BatchTooLarge {
        /// How many there were.
        elements: usize,
    },
    /// Bytes that are not an element.
    #[error("blinded {0}")]
    Element(#[from] ElementError),
}

/// An evaluation that must not be used. Whoever evaluated is to blame; nothing was unblinded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not one evaluated element for each blinded one.
    #[error("{expected} bytes of evaluated elements were expected, {received} came")]
    Length {
        /// 32 for each blinded element.
        expected: usize,
        /// What came.
        received: usize,
    },
    /// Bytes that are not an element.
    #[error("evaluated {0}")]
    Element(#[from] ElementError),
    /// A scalar of the proof is not below the group order (`DeserializeError` of RFC 9497 §4.1).
    #[error("the proof is not two canonical scalars")]
    MalformedProof,
    /// The evaluated elements were not computed from the blinded ones with the pinned key (`VerifyError` of
    /// RFC 9497 §3.3.2): treat the whole batch as unanswered.
    #[error("the proof does not hold under the pinned public key")]
    ProofRefused,
}

/// A key pair cannot be derived from these values. The caller is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// `info` is longer than two bytes can tell.
    #[error("the key's info is {bytes} bytes long: at most {MAX_INPUT_BYTES} are allowed")]
    InfoTooLong {
        /// Its length.
        bytes: usize,
    },
    /// All 256 attempts gave zero (`DeriveKeyPairError` of RFC 9497 §3.2.1). Nobody knows such a seed.
    #[error("the seed gives no key: draw another")]
    NoKey,
}

/// Bytes that are not a public key. Whoever published them is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key {0}")]
pub struct PublicKeyError(pub ElementFault);
