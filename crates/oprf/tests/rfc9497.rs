//! Every ristretto255-SHA512 vector of RFC 9497 (`testdata/rfc9497_ristretto255.json`), modes 0x00 and 0x01,
//! on every engine.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::process::Command;

use concordat_lanes::{ENGINE_VARIABLE, Engine, engine};
use concordat_oprf::danger::{UnprovenBlinded, UnprovenKey, blind_evaluate_unhedged, secret_key_bytes};
use concordat_oprf::{Client, KeyPair, Output};
use rand::{TryCryptoRng, TryRng};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    seed: String,
    key_info: String,
    oprf: Mode,
    voprf: Mode,
}

#[derive(Deserialize)]
struct Mode {
    secret_key: String,
    public_key: Option<String>,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Batch {
    inputs: Vec<String>,
    blinds: Vec<String>,
    blinded: Vec<String>,
    evaluated: Vec<String>,
    outputs: Vec<String>,
    proof_nonce: Option<String>,
    proof: Option<String>,
}

impl Vectors {
    fn load() -> Self {
        serde_json::from_str(include_str!("../testdata/rfc9497_ristretto255.json")).unwrap()
    }

    fn seed(&self) -> [u8; 32] {
        bytes(&self.seed).try_into().unwrap()
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn all_bytes(hex: &[String]) -> Vec<Vec<u8>> {
    hex.iter().map(|hex| bytes(hex)).collect()
}

fn hex_of(outputs: &[Output]) -> Vec<String> {
    outputs
        .iter()
        .map(|output| hex::encode(output.as_bytes()))
        .collect()
}

/// Gives out the scalars it was made of, each as the 64 bytes that reduce to it, and nothing more.
struct Scalars(VecDeque<u8>);

impl Scalars {
    fn new<'a>(hex: impl IntoIterator<Item = &'a String>) -> Self {
        let wide = |hex: &String| [bytes(hex), vec![0; 32]].concat();
        Self(hex.into_iter().flat_map(wide).collect())
    }
}

impl TryRng for Scalars {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.0.pop_front().unwrap());
        Ok(())
    }
}

impl TryCryptoRng for Scalars {}

#[test]
fn mode_0_oprf() {
    let vectors = Vectors::load();
    let key = UnprovenKey::derive(&vectors.seed(), &bytes(&vectors.key_info)).unwrap();
    assert_eq!(hex::encode(*key.secret_key_bytes()), vectors.oprf.secret_key);
    assert_eq!(vectors.oprf.batches.len(), 2);

    for batch in &vectors.oprf.batches {
        let mut rng = Scalars::new(&batch.blinds);
        let blinded = UnprovenBlinded::blind(&all_bytes(&batch.inputs), &mut rng).unwrap();
        assert_eq!(hex::encode(blinded.elements()), batch.blinded.concat());
        assert!(rng.0.is_empty(), "all of the blinds were used");

        let evaluated = key.blind_evaluate(blinded.elements()).unwrap();
        assert_eq!(hex::encode(&evaluated), batch.evaluated.concat());

        assert_eq!(hex_of(&blinded.finalize(&evaluated).unwrap()), batch.outputs);
    }
}

#[test]
fn mode_1_voprf() {
    let vectors = Vectors::load();
    let key_pair = KeyPair::derive(&vectors.seed(), &bytes(&vectors.key_info)).unwrap();
    assert_eq!(
        hex::encode(*secret_key_bytes(&key_pair)),
        vectors.voprf.secret_key
    );
    assert_eq!(
        Some(hex::encode(key_pair.public_key().as_bytes())),
        vectors.voprf.public_key
    );
    assert_eq!(vectors.voprf.batches.len(), 3);
    let client = Client::with_multiplicative_blinding(*key_pair.public_key());

    for batch in &vectors.voprf.batches {
        let inputs = all_bytes(&batch.inputs);
        let mut rng = Scalars::new(&batch.blinds);
        let blinded = client.blind(&inputs, &mut rng).unwrap();
        assert_eq!(hex::encode(blinded.elements()), batch.blinded.concat());
        assert!(rng.0.is_empty(), "all of the blinds were used");

        let mut rng = Scalars::new(&batch.proof_nonce);
        let evaluation = blind_evaluate_unhedged(&key_pair, blinded.elements(), &mut rng).unwrap();
        assert_eq!(hex::encode(&evaluation.elements), batch.evaluated.concat());
        assert_eq!(Some(hex::encode(evaluation.proof)), batch.proof);
        assert!(rng.0.is_empty(), "the nonce was used");

        let outputs = blinded
            .verify(&evaluation.elements, &evaluation.proof)
            .unwrap()
            .finalize();
        assert_eq!(hex_of(&outputs), batch.outputs);
        assert_eq!(hex_of(&key_pair.evaluate_own(&inputs).unwrap()), batch.outputs);
    }
}

#[test]
fn the_additive_client_gets_the_same_outputs() {
    let vectors = Vectors::load();
    let key_pair = KeyPair::derive(&vectors.seed(), &bytes(&vectors.key_info)).unwrap();
    let client = Client::new(*key_pair.public_key());
    for batch in &vectors.voprf.batches {
        let blinded = client
            .blind(&all_bytes(&batch.inputs), &mut Scalars::new(&batch.blinds))
            .unwrap();
        assert_ne!(
            hex::encode(blinded.elements()),
            batch.blinded.concat(),
            "another blinding"
        );
        let mut rng = Scalars::new(&batch.proof_nonce);
        let evaluation = blind_evaluate_unhedged(&key_pair, blinded.elements(), &mut rng).unwrap();
        let outputs = blinded
            .verify(&evaluation.elements, &evaluation.proof)
            .unwrap()
            .finalize();
        assert_eq!(hex_of(&outputs), batch.outputs);
    }
}

/// Engines work on many points at once, and leave few to another: here each vector takes every lane in turn.
#[test]
fn a_batch_of_one_vector_after_the_other() {
    const COUNT: usize = 67;
    fn again<T: Clone>(items: &[T]) -> Vec<T> {
        items.iter().cycle().take(COUNT).cloned().collect()
    }
    let vectors = Vectors::load();
    let key_pair = KeyPair::derive(&vectors.seed(), &bytes(&vectors.key_info)).unwrap();
    let client = Client::with_multiplicative_blinding(*key_pair.public_key());
    for batch in &vectors.voprf.batches {
        let inputs = again(&all_bytes(&batch.inputs));
        let mut rng = Scalars::new(&again(&batch.blinds));
        let blinded = client.blind(&inputs, &mut rng).unwrap();
        assert_eq!(hex::encode(blinded.elements()), again(&batch.blinded).concat());

        let mut rng = Scalars::new(&batch.proof_nonce);
        let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng).unwrap();
        assert_eq!(
            hex::encode(&evaluation.elements),
            again(&batch.evaluated).concat()
        );

        let outputs = blinded
            .verify(&evaluation.elements, &evaluation.proof)
            .unwrap()
            .finalize();
        assert_eq!(hex_of(&outputs), again(&batch.outputs));
        let own = key_pair.evaluate_own(&inputs).unwrap();
        assert_eq!(hex_of(&own), again(&batch.outputs));
    }
}

#[test]
fn the_engine_is_the_one_that_was_asked_for() {
    if let Ok(wish) = std::env::var(ENGINE_VARIABLE) {
        assert_eq!(engine(), wish);
    }
}

/// A process has one engine: so each gets a process, which runs all of the above.
#[test]
fn on_every_engine() {
    for engine in Engine::available() {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--skip", "on_every_engine"])
            .env(ENGINE_VARIABLE, engine.name())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(
            run.status.success() && said.contains("5 passed"),
            "{engine:?}: {said}"
        );
    }
}
