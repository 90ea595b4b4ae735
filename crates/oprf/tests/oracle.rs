//! Both ways against the `voprf` crate, another implementation of RFC 9497: bytes at the border.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::convert::Infallible;

use common::{client_of, inputs, rng};
use concordat_oprf::danger::blind_evaluate_unhedged;
use concordat_oprf::{Client, ELEMENT_BYTES, KeyPair, Output};
use rand::{Rng, TryCryptoRng, TryRng};
use voprf::{BlindedElement, EvaluationElement, Group, Proof, Ristretto255, VoprfClient, VoprfServer};

/// One element; several; enough for the bucket method of the proof's sums.
const BATCHES: [usize; 4] = [1, 2, 33, 200];

const SEED: [u8; 32] = [77; 32];
const INFO: &[u8] = b"kind, offer, epoch";

/// Our generator under the traits of its generation of libraries.
struct Older<R>(R);

impl<R: Rng> rand_core_0_9::RngCore for Older<R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

impl<R: Rng> rand_core_0_9::CryptoRng for Older<R> {}

fn oracle() -> VoprfServer<Ristretto255> {
    VoprfServer::new_from_seed(&SEED, INFO).unwrap()
}

#[test]
fn the_same_key_from_the_same_seed() {
    let ours = KeyPair::derive(&SEED, INFO).unwrap();
    assert_eq!(
        Ristretto255::serialize_elem(oracle().get_public_key()).as_slice(),
        ours.public_key().as_bytes()
    );
}

#[test]
fn we_blind_it_evaluates() {
    let ours = KeyPair::derive(&SEED, INFO).unwrap();
    for n in BATCHES {
        let inputs = inputs(n);
        let blinded = client_of(&ours).blind(&inputs, &mut rng(1)).unwrap();

        let elements: Vec<BlindedElement<Ristretto255>> = blinded
            .elements()
            .chunks(ELEMENT_BYTES)
            .map(|element| BlindedElement::deserialize(element).unwrap())
            .collect();
        let answer = oracle()
            .batch_blind_evaluate(&mut Older(rng(2)), &elements)
            .unwrap();
        let evaluated: Vec<u8> = answer
            .messages
            .iter()
            .flat_map(|message| message.serialize())
            .collect();
        let proof: [u8; 64] = answer.proof.serialize().as_slice().try_into().unwrap();

        let outputs = blinded.verify(&evaluated, &proof).unwrap().finalize();
        for (output, input) in outputs.iter().zip(&inputs) {
            assert_eq!(output.as_bytes().as_slice(), &*oracle().evaluate(input).unwrap());
        }
        assert_eq!(outputs.len(), n);
    }
}

#[test]
fn it_blinds_we_evaluate() {
    let ours = KeyPair::derive(&SEED, INFO).unwrap();
    for n in BATCHES {
        let inputs = inputs(n);
        let mut older = Older(rng(3));
        let blinded: Vec<_> = inputs
            .iter()
            .map(|input| VoprfClient::<Ristretto255>::blind(input, &mut older).unwrap())
            .collect();
        let elements: Vec<u8> = blinded.iter().flat_map(|one| one.message.serialize()).collect();

        let evaluation = ours.blind_evaluate(&elements, &mut rng(4)).unwrap();

        let messages: Vec<EvaluationElement<Ristretto255>> = evaluation
            .elements
            .chunks(ELEMENT_BYTES)
            .map(|element| EvaluationElement::deserialize(element).unwrap())
            .collect();
        let proof = Proof::deserialize(&evaluation.proof).unwrap();
        let clients: Vec<_> = blinded.into_iter().map(|one| one.state).collect();
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let theirs: Vec<Vec<u8>> =
            VoprfClient::batch_finalize(&slices, &clients, &messages, &proof, oracle().get_public_key())
                .unwrap()
                .map(|output| output.unwrap().to_vec())
                .collect();

        let own: Vec<Vec<u8>> = ours
            .evaluate_own(&inputs)
            .unwrap()
            .iter()
            .map(|output: &Output| output.as_bytes().to_vec())
            .collect();
        assert_eq!(theirs, own);
    }
}

/// Gives one scalar for ever, as 32 bytes to the oracle, which wants a canonical scalar, and as 64 to us, who reduce.
struct OneScalar;

impl TryRng for OneScalar {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(5)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(5)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        bytes[..31].fill(0x5c);
        Ok(())
    }
}

impl TryCryptoRng for OneScalar {}

#[test]
fn the_same_randomness_gives_the_same_bytes() {
    let ours = KeyPair::derive(&SEED, INFO).unwrap();
    let client = Client::with_multiplicative_blinding(*ours.public_key());
    for n in BATCHES {
        let inputs = inputs(n);
        let blinded = client.blind(&inputs, &mut OneScalar).unwrap();
        let theirs: Vec<_> = inputs
            .iter()
            .map(|input| {
                VoprfClient::<Ristretto255>::blind(input, &mut Older(OneScalar))
                    .unwrap()
                    .message
            })
            .collect();
        assert_eq!(
            blinded.elements(),
            theirs.iter().flat_map(|one| one.serialize()).collect::<Vec<u8>>()
        );

        let evaluation = blind_evaluate_unhedged(&ours, blinded.elements(), &mut OneScalar).unwrap();
        let answer = oracle()
            .batch_blind_evaluate(&mut Older(OneScalar), &theirs)
            .unwrap();
        let evaluated: Vec<u8> = answer
            .messages
            .iter()
            .flat_map(|message| message.serialize())
            .collect();
        assert_eq!(evaluation.elements, evaluated);
        assert_eq!(evaluation.proof.as_slice(), answer.proof.serialize().as_slice());
    }
}
