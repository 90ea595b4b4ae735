//! What must not be in a program that people rely on. For test vectors; behind the feature `danger`.

use concordat_lanes::{Points, SCALAR_BYTES, Scalar};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::batch::{Inputs, random_scalar};
use crate::key::derive_secret;
use crate::server::{blind_evaluate, decode_batch};
use crate::suite::{OPRF, Suite};
use crate::{DeriveError, EvaluateError, Evaluation, InputError, KeyPair, Output, VerifyError};

/// The secret key in clear. Danger: it leaves the type that wipes it and never prints it.
pub fn secret_key_bytes(key_pair: &KeyPair) -> Zeroizing<[u8; SCALAR_BYTES]> {
    Zeroizing::new(key_pair.secret().to_bytes())
}

/// [`KeyPair::blind_evaluate`] with the nonce drawn from `rng` alone, as RFC 9497 §2.2.1 writes it and its vectors
/// need it. Danger: a generator that gives the same bytes for two batches gives the key away.
///
/// # Errors
/// As [`KeyPair::blind_evaluate`].
pub fn blind_evaluate_unhedged(
    key_pair: &KeyPair,
    elements: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Evaluation, EvaluateError> {
    blind_evaluate(key_pair, elements, |_| random_scalar(rng))
}

/// A key of mode 0x00. Danger: nothing proves to a requester that it was used.
pub struct UnprovenKey(Scalar);

impl UnprovenKey {
    /// DeriveKeyPair of RFC 9497 §3.2.1, mode 0x00.
    ///
    /// # Errors
    /// As [`KeyPair::derive`].
    pub fn derive(seed: &[u8; 32], info: &[u8]) -> Result<Self, DeriveError> {
        derive_secret(&OPRF, seed, info).map(Self)
    }

    /// The secret key in clear.
    pub fn secret_key_bytes(&self) -> Zeroizing<[u8; SCALAR_BYTES]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// BlindEvaluate of RFC 9497 §3.3.1.
    ///
    /// # Errors
    /// As [`KeyPair::blind_evaluate`].
    pub fn blind_evaluate(&self, elements: &[u8]) -> Result<Vec<u8>, EvaluateError> {
        Ok(decode_batch(elements)?
            .mul_shared(&self.0.halve())
            .double_and_encode())
    }
}

/// A batch blinded in mode 0x00. Danger: it is unblinded whatever key was used.
pub struct UnprovenBlinded {
    inputs: Inputs,
    blinds: Vec<Scalar>,
    elements: Vec<u8>,
}

impl UnprovenBlinded {
    /// Blind of RFC 9497 §3.3.1.
    ///
    /// # Errors
    /// As [`Client::blind`](crate::Client::blind).
    pub fn blind<I: AsRef<[u8]>>(
        inputs: &[I],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, InputError> {
        let inputs = Inputs::new_batch(inputs)?;
        let blinds: Vec<Scalar> = (0..inputs.len()).map(|_| random_scalar(rng)).collect();
        let elements = OPRF.hash_to_group(&inputs)?.mul_each(&blinds).encode();
        Ok(Self {
            inputs,
            blinds,
            elements,
        })
    }

    /// The blinded elements, packed.
    pub fn elements(&self) -> &[u8] {
        &self.elements
    }

    /// Finalize of RFC 9497 §3.3.1.
    ///
    /// # Errors
    /// A wrong number of elements, the first element at fault.
    pub fn finalize(&self, evaluated: &[u8]) -> Result<Vec<Output>, VerifyError> {
        if evaluated.len() != self.elements.len() {
            return Err(VerifyError::Length {
                expected: self.elements.len(),
                received: evaluated.len(),
            });
        }
        let inverses: Vec<Scalar> = self.blinds.iter().map(Scalar::invert).collect();
        let elements = Zeroizing::new(Points::decode(evaluated)?.mul_each(&inverses).encode());
        Ok(Suite::finalize(&self.inputs, &elements))
    }
}
