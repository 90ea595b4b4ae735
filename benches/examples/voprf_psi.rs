//! The same protocol as ours with the `voprf` crate, in memory: what `peers/run` sets beside two real nodes.
//!
//! `cargo run --release -p concordat-benches --example voprf_psi -- [ENTRIES]`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example, run by hand")]

use std::collections::HashSet;
use std::time::Instant;

use concordat_benches::Older;
use rand::SeedableRng;
use rand::rngs::StdRng;
use voprf::{BlindedElement, Ristretto255, VoprfClient, VoprfServer};

/// Elements under one proof.
const BATCH: usize = 1_024;

fn main() {
    let entries: usize = std::env::args()
        .nth(1)
        .map_or(100_000, |text| text.parse().unwrap());
    let list = |first: usize| -> Vec<String> {
        (first..first + entries)
            .map(|n| format!("p{n}@example.org"))
            .collect()
    };
    let (left, right) = (list(0), list(entries / 2));
    let mut rng = Older(StdRng::from_seed([2; 32]));
    let server = VoprfServer::<Ristretto255>::new_from_seed(&[1; 32], b"peers").unwrap();

    let start = Instant::now();
    let tags: HashSet<[u8; 16]> = right
        .iter()
        .map(|entry| tag(&server.evaluate(entry.as_bytes()).unwrap()))
        .collect();
    let mut found = 0;
    for batch in left.chunks(BATCH) {
        let inputs: Vec<&[u8]> = batch.iter().map(|entry| entry.as_bytes()).collect();
        let (mut states, mut elements) = (Vec::new(), Vec::new());
        for input in &inputs {
            let blinded = VoprfClient::<Ristretto255>::blind(input, &mut rng).unwrap();
            let bytes = blinded.message.serialize();
            elements.push(BlindedElement::<Ristretto255>::deserialize(&bytes).unwrap());
            states.push(blinded.state);
        }
        let answer = server.batch_blind_evaluate(&mut rng, &elements).unwrap();
        let public_key = server.get_public_key();
        let outputs =
            VoprfClient::batch_finalize(&inputs, &states, &answer.messages, &answer.proof, public_key)
                .unwrap();
        found += outputs
            .filter(|output| tags.contains(&tag(output.as_ref().unwrap())))
            .count();
    }
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(found, entries - entries / 2);
    println!("{{\"name\": \"voprf\", \"entries\": {entries}, \"seconds\": {seconds}}}");
}

fn tag(output: &[u8]) -> [u8; 16] {
    output[..16].try_into().unwrap()
}
