//! What holds for all inputs, keys and blinds.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{client_of, inputs, key_pair, rng};
use concordat_lanes::Scalar;
use concordat_oprf::danger::{blind_evaluate_unhedged, secret_key_bytes};
use concordat_oprf::{Blinded, Client, ELEMENT_BYTES, Evaluation, KeyPair, Output, Verified};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

fn batch() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..300), 1..10)
}

fn run(key_pair: &KeyPair, client: &Client, inputs: &[Vec<u8>], seed: [u8; 32]) -> Vec<Output> {
    let mut rng = ChaCha20Rng::from_seed(seed);
    let blinded = client.blind(inputs, &mut rng).unwrap();
    let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng).unwrap();
    blinded
        .verify(&evaluation.elements, &evaluation.proof)
        .unwrap()
        .finalize()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn both_blindings_and_the_owner_give_the_same_outputs(
        inputs in batch(), key_seed: [u8; 32], info in vec(any::<u8>(), 0..40), seed: [u8; 32]
    ) {
        let key_pair = KeyPair::derive(&key_seed, &info).unwrap();
        let own = key_pair.evaluate_own(&inputs).unwrap();
        let additive = client_of(&key_pair);
        let multiplicative = Client::with_multiplicative_blinding(*key_pair.public_key());
        prop_assert_eq!(&run(&key_pair, &additive, &inputs, seed), &own);
        prop_assert_eq!(&run(&key_pair, &multiplicative, &inputs, seed), &own);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_to_send_again(inputs in batch(), seed: [u8; 32]) {
        let client = client_of(&key_pair(1));
        let blind = || client.blind(&inputs, &mut ChaCha20Rng::from_seed(seed)).unwrap();
        let (before, after) = (blind(), blind());
        prop_assert_eq!(before.elements(), after.elements());
        // The answer to what was sent before the crash is good for what was made again after it.
        let evaluation = key_pair(1).blind_evaluate(before.elements(), &mut rng(3)).unwrap();
        let outputs = after.verify(&evaluation.elements, &evaluation.proof).unwrap().finalize();
        prop_assert_eq!(outputs, key_pair(1).evaluate_own(&inputs).unwrap());
    }

    #[test]
    fn a_batch_is_its_parts(inputs in batch(), cut in any::<prop::sample::Index>()) {
        let own = key_pair(1).evaluate_own(&inputs).unwrap();
        let (left, right) = inputs.split_at(cut.index(inputs.len()));
        let mut parts = key_pair(1).evaluate_own(left).unwrap();
        parts.extend(key_pair(1).evaluate_own(right).unwrap());
        prop_assert_eq!(parts, own);
    }

    #[test]
    fn bytes_from_anywhere_never_panic(bytes in vec(any::<u8>(), 0..200), proof in vec(any::<u8>(), 64)) {
        let key_pair = key_pair(1);
        prop_assert!(key_pair.blind_evaluate(&bytes, &mut rng(1)).is_err() || bytes.len() % ELEMENT_BYTES == 0);
        let blinded = client_of(&key_pair).blind(&inputs(bytes.len() / ELEMENT_BYTES + 1), &mut rng(1)).unwrap();
        prop_assert!(blinded.verify(&bytes, &proof.try_into().unwrap()).is_err());
    }
}

#[test]
fn the_bytes_of_a_seed_are_frozen() {
    // A requester may be updated between sending a batch and getting its answer: this must not change.
    let blinded = client_of(&key_pair(1))
        .blind(&[b"first", b"other"], &mut rng(2))
        .unwrap();
    let expected = [
        "a2ef01faef77e2a7b640bd79a572e716ae81fba467900583c0738d420a09730e",
        "34face7f90a70708e2af87bbd3bc40fc8d61689b05d9aa55b57115a3090dc93e",
    ];
    assert_eq!(hex::encode(blinded.elements()), expected.concat());
}

#[test]
fn equal_inputs_look_different_and_come_out_equal() {
    let key_pair = key_pair(1);
    let inputs = vec![b"same".to_vec(); 3];
    let blinded = client_of(&key_pair).blind(&inputs, &mut rng(2)).unwrap();
    let elements: Vec<&[u8]> = blinded.elements().chunks(ELEMENT_BYTES).collect();
    assert!(elements[0] != elements[1] && elements[1] != elements[2] && elements[0] != elements[2]);
    let outputs = run(&key_pair, &client_of(&key_pair), &inputs, [5; 32]);
    assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2]);
}

#[test]
fn keys_outputs_and_proofs_differ_where_they_must() {
    let info = |info| KeyPair::derive(&[1; 32], info).unwrap();
    assert_ne!(info(b"a").public_key(), info(b"b").public_key());
    assert_ne!(
        key_pair(1).evaluate_own(&[b"x"]).unwrap(),
        key_pair(2).evaluate_own(&[b"x"]).unwrap()
    );
    let own = key_pair(1).evaluate_own(&[b"x", b"y"]).unwrap();
    assert_ne!(own[0].tag(), own[1].tag());
    assert_ne!(own[0].escalation_key(), own[1].escalation_key());

    let elements = client_of(&key_pair(1))
        .blind(&inputs(1), &mut rng(2))
        .unwrap()
        .elements()
        .to_vec();
    let evaluate = |seed| key_pair(1).blind_evaluate(&elements, &mut rng(seed)).unwrap();
    let (one, two): (Evaluation, Evaluation) = (evaluate(3), evaluate(4));
    assert_eq!(one.elements, two.elements);
    assert_ne!(one.proof, two.proof);
}

#[test]
fn a_generator_that_repeats_itself_does_not_give_the_key_away() {
    let key_pair = key_pair(1);
    let client = client_of(&key_pair);
    let first = client.blind(&[b"x"], &mut rng(2)).unwrap();
    let second = client.blind(&[b"y"], &mut rng(3)).unwrap();

    // What anybody does with the proofs (c, s = r - c * k) of two batches, hoping for one r.
    let scalar = |bytes: &[u8]| Scalar::from_canonical_bytes(bytes.try_into().unwrap()).unwrap();
    let solve = |one: Evaluation, two: Evaluation| {
        let s = &scalar(&one.proof[32..]) - &scalar(&two.proof[32..]);
        let c = &scalar(&two.proof[..32]) - &scalar(&one.proof[..32]);
        (&s * &c.invert()).to_bytes()
    };
    let secret = secret_key_bytes(&key_pair);

    let unhedged =
        |batch: &Blinded| blind_evaluate_unhedged(&key_pair, batch.elements(), &mut rng(4)).unwrap();
    assert_eq!(
        solve(unhedged(&first), unhedged(&second)),
        *secret,
        "the attack works where nothing prevents it"
    );

    let hedged = |batch: &Blinded| key_pair.blind_evaluate(batch.elements(), &mut rng(4)).unwrap();
    assert_ne!(solve(hedged(&first), hedged(&second)), *secret);
    assert_eq!(hedged(&first), hedged(&first));
}

#[test]
fn an_output_is_cut_as_documented() {
    let output = &key_pair(1).evaluate_own(&[b"x"]).unwrap()[0];
    assert_eq!(output.tag(), output.as_bytes()[..16]);
    assert_eq!(*output.escalation_key(), output.as_bytes()[32..]);
}

#[test]
fn nothing_secret_is_printed() {
    let key_pair = key_pair(1);
    let public = hex::encode(key_pair.public_key().as_bytes());
    assert_eq!(
        format!("{key_pair:?}"),
        format!("KeyPair {{ public: PublicKey(Point({public})), .. }}")
    );
    assert_eq!(
        format!("{:?}", client_of(&key_pair)),
        format!("Client(PublicKey(Point({public})))")
    );
    let blinded = client_of(&key_pair).blind(&inputs(2), &mut rng(2)).unwrap();
    assert_eq!(format!("{blinded:?}"), "Blinded(2 elements)");
    let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng(3)).unwrap();
    let verified = blinded.verify(&evaluation.elements, &evaluation.proof).unwrap();
    assert_eq!(format!("{verified:?}"), "Verified(2 elements)");
    assert_eq!(format!("{:?}", verified.finalize()), "[Output(..), Output(..)]");
}

#[test]
fn every_stage_may_move_between_threads() {
    fn both<T: Send + Sync>() {}
    both::<KeyPair>();
    both::<Client>();
    both::<Blinded>();
    both::<Verified<'_>>();
    both::<Output>();
}
