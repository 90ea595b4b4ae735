//! The stages of the protocol on one core, from bytes to bytes, each beside its rival in the same run.
//!
//! The rival is the `voprf` crate, the other implementation of RFC 9497 in Rust: same suite, same batch, same bytes.
//! How to run it, and what came out, is in the README of this crate.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;

use concordat_benches::Older;
use concordat_lanes::{Points, Scalar};
use concordat_oprf::{Client, ELEMENT_BYTES, KeyPair};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use curve25519_dalek::ristretto::CompressedRistretto;
use rand::SeedableRng;
use rand::rngs::StdRng;
use voprf::{BlindedElement, EvaluationElement, OprfServer, Proof, Ristretto255, VoprfClient, VoprfServer};

/// The default chunk of the protocol.
const BATCH: usize = 1_024;
const SEED: [u8; 32] = [1; 32];
const INFO: &[u8] = b"bench";

criterion_group!(benches, multiply, evaluate_prove, blind, verify_finalize, own_set);
criterion_main!(benches);

/// bytes → k·P → bytes alone, without a proof. One rival is curve25519-dalek in this build, a point at a time.
fn multiply(criterion: &mut Criterion) {
    let mut group = group(criterion, "multiply");
    let elements = blinded_elements();
    let wide = [0x17; 64];

    let half = Scalar::from_wide_bytes(&wide).halve();
    group.bench_function("concordat", |bencher| {
        bencher.iter(|| {
            Points::decode(black_box(&elements))
                .unwrap()
                .mul_shared(&half)
                .double_and_encode()
        });
    });

    let k = curve25519_dalek::Scalar::from_bytes_mod_order_wide(&wide);
    group.bench_function("curve25519-dalek, one by one", |bencher| {
        bencher.iter(|| {
            let mut products = Vec::with_capacity(elements.len());
            for element in black_box(&elements).chunks(ELEMENT_BYTES) {
                let point = CompressedRistretto::from_slice(element)
                    .unwrap()
                    .decompress()
                    .unwrap();
                products.extend_from_slice((point * k).compress().as_bytes());
            }
            products
        });
    });

    let server = OprfServer::<Ristretto255>::new_from_seed(&SEED, INFO).unwrap();
    group.bench_function("voprf, no proof", |bencher| {
        bencher.iter(|| {
            let mut evaluated = Vec::with_capacity(elements.len());
            for element in black_box(&elements).chunks(ELEMENT_BYTES) {
                let blinded = BlindedElement::deserialize(element).unwrap();
                evaluated.extend_from_slice(&server.blind_evaluate(&blinded).serialize());
            }
            evaluated
        });
    });
}

/// The owner: packed elements → packed evaluated elements and their proof.
fn evaluate_prove(criterion: &mut Criterion) {
    let mut group = group(criterion, "evaluate_prove");
    let elements = blinded_elements();

    let (key_pair, mut rng) = (key_pair(), rng());
    group.bench_function("concordat", |bencher| {
        bencher.iter(|| key_pair.blind_evaluate(black_box(&elements), &mut rng).unwrap());
    });

    let (server, mut rng) = (server(), Older(rng));
    group.bench_function("voprf", |bencher| {
        bencher.iter(|| {
            let blinded: Vec<BlindedElement<Ristretto255>> = black_box(&elements)
                .chunks(ELEMENT_BYTES)
                .map(|element| BlindedElement::deserialize(element).unwrap())
                .collect();
            let answer = server.batch_blind_evaluate(&mut rng, &blinded).unwrap();
            let evaluated: Vec<u8> = answer
                .messages
                .iter()
                .flat_map(|message| message.serialize())
                .collect();
            (evaluated, answer.proof.serialize())
        });
    });
}

/// The requester: inputs → packed elements.
fn blind(criterion: &mut Criterion) {
    let mut group = group(criterion, "blind");
    let inputs = inputs();

    let (client, mut rng) = (Client::new(*key_pair().public_key()), rng());
    group.bench_function("concordat", |bencher| {
        bencher.iter(|| client.blind(black_box(&inputs), &mut rng).unwrap());
    });

    let mut rng = Older(rng);
    group.bench_function("voprf", |bencher| {
        bencher.iter(|| {
            let mut elements = Vec::with_capacity(BATCH * ELEMENT_BYTES);
            let mut states = Vec::with_capacity(BATCH);
            for input in black_box(&inputs) {
                let blinded = VoprfClient::<Ristretto255>::blind(input, &mut rng).unwrap();
                elements.extend_from_slice(&blinded.message.serialize());
                states.push(blinded.state);
            }
            (elements, states)
        });
    });
}

/// The requester: packed evaluated elements and their proof → outputs.
fn verify_finalize(criterion: &mut Criterion) {
    let mut group = group(criterion, "verify_finalize");
    let (inputs, key_pair) = (inputs(), key_pair());

    let blinded = Client::new(*key_pair.public_key())
        .blind(&inputs, &mut rng())
        .unwrap();
    let answer = key_pair.blind_evaluate(blinded.elements(), &mut rng()).unwrap();
    group.bench_function("concordat", |bencher| {
        bencher.iter(|| {
            blinded
                .verify(black_box(&answer.elements), &answer.proof)
                .unwrap()
                .finalize()
        });
    });

    let mut rng = Older(rng());
    let (mut states, mut elements) = (Vec::new(), Vec::new());
    for input in &inputs {
        let blinded = VoprfClient::<Ristretto255>::blind(input, &mut rng).unwrap();
        elements.extend_from_slice(&blinded.message.serialize());
        states.push(blinded.state);
    }
    let answer = key_pair.blind_evaluate(&elements, &mut rng.0).unwrap();
    let (slices, public_key) = (
        inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        server().get_public_key(),
    );
    group.bench_function("voprf", |bencher| {
        bencher.iter(|| {
            let messages: Vec<EvaluationElement<Ristretto255>> = black_box(&answer.elements)
                .chunks(ELEMENT_BYTES)
                .map(|element| EvaluationElement::deserialize(element).unwrap())
                .collect();
            let proof = Proof::deserialize(&answer.proof).unwrap();
            VoprfClient::batch_finalize(&slices, &states, &messages, &proof, public_key)
                .unwrap()
                .map(|output| output.unwrap())
                .collect::<Vec<_>>()
        });
    });
}

/// The owner: its own inputs → outputs.
fn own_set(criterion: &mut Criterion) {
    let mut group = group(criterion, "own_set");
    let inputs = inputs();

    let key_pair = key_pair();
    group.bench_function("concordat", |bencher| {
        bencher.iter(|| key_pair.evaluate_own(black_box(&inputs)).unwrap());
    });

    let server = server();
    group.bench_function("voprf", |bencher| {
        bencher.iter(|| {
            black_box(&inputs)
                .iter()
                .map(|input| server.evaluate(input).unwrap())
                .collect::<Vec<_>>()
        });
    });
}

fn group<'a>(criterion: &'a mut Criterion, stage: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("{stage}/{BATCH}"));
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sample_size(20);
    group
}

fn rng() -> StdRng {
    StdRng::from_seed([2; 32])
}

fn key_pair() -> KeyPair {
    KeyPair::derive(&SEED, INFO).unwrap()
}

fn server() -> VoprfServer<Ristretto255> {
    VoprfServer::new_from_seed(&SEED, INFO).unwrap()
}

/// Identifiers of 32 bytes.
fn inputs() -> Vec<Vec<u8>> {
    (0..BATCH)
        .map(|i| format!("document+issuer|{i:016}").into_bytes())
        .collect()
}

fn blinded_elements() -> Vec<u8> {
    Client::new(*key_pair().public_key())
        .blind(&inputs(), &mut rng())
        .unwrap()
        .elements()
        .to_vec()
}
