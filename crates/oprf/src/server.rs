//! The owner's side: it holds the key.

use concordat_lanes::{ELEMENT_BYTES, Point, Points, Scalar};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::batch::Inputs;
use crate::suite::{Suite, VOPRF};
use crate::{EvaluateError, InputError, KeyPair, MAX_BATCH, Output, PROOF_BYTES, dleq};

/// The answer to a batch of blinded elements. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The evaluated elements, 32 bytes each, packed, in the order of the blinded ones.
    pub elements: Vec<u8>,
    /// The proof that all of them were computed with one key, the one of the public key.
    pub proof: [u8; PROOF_BYTES],
}

impl KeyPair {
    /// BlindEvaluate of RFC 9497 §3.3.2 for a batch: evaluates packed blinded elements and proves it.
    ///
    /// Takes 64 bytes of `rng` for the proof's nonce, which also depends on the key and the batch: a generator that
    /// repeats itself gives equal proofs of equal batches, and reveals nothing.
    ///
    /// # Errors
    /// An empty or too large batch; the first element at fault. All are found before the key is used.
    pub fn blind_evaluate(
        &self,
        elements: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Evaluation, EvaluateError> {
        blind_evaluate(self, elements, |m| dleq::hedged_nonce(self, m, rng))
    }

    /// Evaluate of RFC 9497 §3.3.2 for the owner's own inputs, as many as there are: no blinding, no proof.
    ///
    /// Runs on the calling thread; to use several, give each a slice. Holds the outputs and a bounded workspace.
    /// Equal to what a requester gets for the same inputs.
    ///
    /// # Errors
    /// The first input that is too long.
    pub fn evaluate_own<I: AsRef<[u8]>>(&self, inputs: &[I]) -> Result<Vec<Output>, InputError> {
        /// Enough for every batched step; a workspace of about half a megabyte.
        const AT_ONCE: usize = 1_024;
        let mut outputs = Vec::with_capacity(inputs.len());
        for (chunk, chunk_of_inputs) in inputs.chunks(AT_ONCE).enumerate() {
            let evaluate = || {
                let inputs = Inputs::new(chunk_of_inputs)?;
                let points = VOPRF.hash_to_group(&inputs)?;
                let elements = Zeroizing::new(points.mul_shared(self.half()).double_and_encode());
                Ok(Suite::finalize(&inputs, &elements))
            };
            outputs.extend(evaluate().map_err(|error| shift(error, chunk * AT_ONCE))?);
        }
        Ok(outputs)
    }
}

/// BlindEvaluate with a given way to choose the nonce.
pub(crate) fn blind_evaluate(
    key_pair: &KeyPair,
    elements: &[u8],
    nonce: impl FnOnce(&Point) -> Scalar,
) -> Result<Evaluation, EvaluateError> {
    let blinded = decode_batch(elements)?;
    let evaluated = blinded.mul_shared(key_pair.half()).double_and_encode();
    let proof = dleq::prove(key_pair, &blinded, elements, &evaluated, nonce);
    Ok(Evaluation {
        elements: evaluated,
        proof,
    })
}

/// Decodes blinded elements that somebody sent, after their number is checked.
pub(crate) fn decode_batch(elements: &[u8]) -> Result<Points, EvaluateError> {
    match elements.len().div_ceil(ELEMENT_BYTES) {
        0 => Err(EvaluateError::EmptyBatch),
        1..=MAX_BATCH => Ok(Points::decode(elements)?),
        elements => Err(EvaluateError::BatchTooLarge { elements }),
    }
}

/// The error of a chunk that begins at `start`, with the index counted from the beginning of all.
const fn shift(error: InputError, start: usize) -> InputError {
    match error {
        InputError::TooLong { index } => InputError::TooLong { index: start + index },
        InputError::Identity { index } => InputError::Identity { index: start + index },
        error => error,
    }
}
