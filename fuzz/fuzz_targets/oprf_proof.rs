//! Evaluated elements and proofs, on the requester's side.

#![no_main]

use std::sync::LazyLock;

use concordat_oprf::{Blinded, Client, KeyPair};
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Two blinded elements, and the owner's good answer: evaluated elements and proof.
static EXCHANGE: LazyLock<(Blinded, Vec<u8>)> = LazyLock::new(|| {
    let key = KeyPair::derive(&[7; 32], b"fuzz").expect("a key");
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let client = Client::new(*key.public_key());
    let blinded = client
        .blind(&[b"AB1234567", b"CD7654321"], &mut rng)
        .expect("two inputs");
    let good = key
        .blind_evaluate(blinded.elements(), &mut rng)
        .expect("good elements");
    (blinded, [good.elements.as_slice(), &good.proof].concat())
});

fuzz_target!(|bytes: &[u8]| {
    let (blinded, good) = &*EXCHANGE;
    // The fuzzer's bytes are a change to the good answer, so that it starts next to what is accepted.
    let mut answer = good.clone();
    answer
        .iter_mut()
        .zip(bytes)
        .for_each(|(answer, change)| *answer ^= change);
    let (evaluated, proof) = answer.split_last_chunk::<64>().expect("more than 64 bytes");
    let unchanged = answer == *good;
    assert_eq!(blinded.verify(evaluated, proof).is_ok(), unchanged);
    // And as they are.
    if let Some((evaluated, proof)) = bytes.split_last_chunk::<64>() {
        assert!(blinded.verify(evaluated, proof).is_err() || bytes == good.as_slice());
    }
});
