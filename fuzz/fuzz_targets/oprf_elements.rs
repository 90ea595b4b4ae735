//! Blinded elements, on the owner's side.

#![no_main]

use concordat_oprf::{EvaluateError, KeyPair, PublicKey};
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fuzz_target!(|bytes: &[u8]| {
    let key = KeyPair::derive(&[7; 32], b"fuzz").expect("a key");
    match key.blind_evaluate(bytes, &mut ChaCha20Rng::from_seed([1; 32])) {
        Ok(evaluation) => {
            assert!(!bytes.is_empty() && bytes.len().is_multiple_of(32));
            assert_eq!(evaluation.elements.len(), bytes.len());
        }
        Err(EvaluateError::Element(error)) => assert!(error.index < bytes.len().div_ceil(32)),
        Err(_) => {}
    }
    if let Ok(bytes) = <&[u8; 32]>::try_from(bytes) {
        if let Ok(key) = PublicKey::from_bytes(bytes) {
            assert_eq!(key.as_bytes(), bytes, "one encoding for each element");
        }
    }
});
