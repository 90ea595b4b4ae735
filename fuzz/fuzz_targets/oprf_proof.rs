//! Evaluated elements and proofs, on the requester's side.

#![no_main]

use concordat_oprf::{Client, KeyPair};
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fuzz_target!(|bytes: &[u8]| {
    let key = KeyPair::derive(&[7; 32], b"fuzz").expect("a key");
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let client = Client::new(*key.public_key());
    let blinded = client.blind(&[b"AB1234567", b"CD7654321"], &mut rng).expect("two inputs");
    let good = key.blind_evaluate(blinded.elements(), &mut rng).expect("good elements");
    // The fuzzer's bytes are a change to the good answer, so that it starts next to what is accepted.
    let mut answer = [good.elements.as_slice(), &good.proof].concat();
    answer.iter_mut().zip(bytes).for_each(|(answer, change)| *answer ^= change);
    let (evaluated, proof) = answer.split_at(64);
    let unchanged = bytes.iter().take(answer.len()).all(|change| *change == 0);
    let proof: &[u8; 64] = proof.try_into().expect("64 bytes");
    assert_eq!(blinded.verify(evaluated, proof).is_ok(), unchanged);
    // And as they are.
    if let Some((evaluated, proof)) = bytes.split_last_chunk::<64>() {
        let _ = blinded.verify(evaluated, proof);
    }
});
