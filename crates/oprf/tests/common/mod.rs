//! What the tests share.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses some of it, and a test may panic"
)]

use concordat_oprf::{Client, Evaluation, KeyPair, Output, VerifyError};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// A generator that depends on `seed` alone.
pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub(crate) fn key_pair(seed: u8) -> KeyPair {
    KeyPair::derive(&[seed; 32], b"a scope").unwrap()
}

pub(crate) fn client_of(key_pair: &KeyPair) -> Client {
    Client::new(*key_pair.public_key())
}

/// `n` different inputs, of lengths from 0 on.
pub(crate) fn inputs(n: usize) -> Vec<Vec<u8>> {
    (0..n)
        .map(|i| format!("{i:x}").repeat(i % 50).into_bytes())
        .collect()
}

/// Blinds, evaluates, lets `tamper` change the evaluation, and verifies.
pub(crate) fn verify_after(
    n: usize,
    tamper: impl FnOnce(&KeyPair, &[u8], &mut Evaluation),
) -> Result<Vec<Output>, VerifyError> {
    let key_pair = key_pair(1);
    let blinded = client_of(&key_pair).blind(&inputs(n), &mut rng(2)).unwrap();
    let mut evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng(3)).unwrap();
    tamper(&key_pair, blinded.elements(), &mut evaluation);
    let verified = blinded.verify(&evaluation.elements, &evaluation.proof)?;
    Ok(verified.finalize())
}
