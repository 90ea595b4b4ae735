//! The vectors of RFC 9496, appendix A (`testdata/rfc9496.json`), through the batch API, on every engine.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use concordat_lanes::{ELEMENT_BYTES, ElementError, ElementFault, Engine, FixedBase, Point, Points, Scalar};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    /// 0·G to 15·G.
    generator_multiples: Vec<String>,
    invalid_encodings: Vec<Invalid>,
    hash_to_group: Vec<HashToGroup>,
}

#[derive(Deserialize)]
struct Invalid {
    encoding: String,
    why: String,
}

#[derive(Deserialize)]
struct HashToGroup {
    uniform: String,
    element: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../testdata/rfc9496.json")).unwrap()
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

fn small(n: u8) -> Scalar {
    let mut bytes = [0; 32];
    bytes[0] = n;
    Scalar::from_canonical_bytes(&bytes).unwrap()
}

#[test]
fn multiples_of_the_generator() {
    Engine::available()
        .into_iter()
        .for_each(multiples_of_the_generator_on);
}

fn multiples_of_the_generator_on(engine: Engine) {
    let expected: Vec<String> = vectors().generator_multiples;
    assert_eq!(expected.len(), 16);
    let scalars: Vec<Scalar> = (0..16).map(small).collect();
    let packed = expected.concat();

    assert_eq!(
        hex::encode(FixedBase::GENERATOR.mul_each(&scalars).encode()),
        packed
    );
    assert_eq!(
        hex::encode(
            FixedBase::new_on(engine, &Point::GENERATOR)
                .mul_each(&scalars)
                .encode()
        ),
        packed
    );
    let generators = Points::from_points_on(engine, &[Point::GENERATOR; 16]);
    assert_eq!(hex::encode(generators.mul_each(&scalars).encode()), packed);

    let mut by_addition = Points::from_points_on(engine, &[&Point::GENERATOR * &Scalar::ZERO]);
    let step = Points::from_points_on(engine, &[Point::GENERATOR]);
    for multiple in &expected {
        assert_eq!(&hex::encode(by_addition.encode()), multiple);
        by_addition += &step;
    }
    for multiple in expected.iter().rev() {
        by_addition -= &step;
        assert_eq!(&hex::encode(by_addition.encode()), multiple);
    }
    for (multiple, double) in expected.iter().zip(expected.iter().step_by(2)).skip(1) {
        assert_eq!(
            &hex::encode(
                Points::decode_on(engine, &hex::decode(multiple).unwrap())
                    .unwrap()
                    .double_and_encode()
            ),
            double
        );
    }
}

#[test]
fn valid_encodings_decode_to_themselves_and_the_identity_is_named() {
    Engine::available()
        .into_iter()
        .for_each(valid_encodings_decode_to_themselves_and_the_identity_is_named_on);
}

fn valid_encodings_decode_to_themselves_and_the_identity_is_named_on(engine: Engine) {
    let multiples = vectors().generator_multiples;
    let packed = hex::decode(multiples[1..].concat()).unwrap();
    assert_eq!(Points::decode_on(engine, &packed).unwrap().encode(), packed);

    let identity: [u8; ELEMENT_BYTES] = bytes(&multiples[0]);
    assert_eq!(Point::decode(&identity), Err(ElementFault::Identity));
    let mut batch = packed;
    batch[7 * ELEMENT_BYTES..8 * ELEMENT_BYTES].copy_from_slice(&identity);
    assert_eq!(
        Points::decode_on(engine, &batch).unwrap_err(),
        ElementError {
            index: 7,
            reason: ElementFault::Identity
        }
    );
}

#[test]
fn each_invalid_encoding_is_refused_at_each_place_of_a_batch() {
    Engine::available()
        .into_iter()
        .for_each(each_invalid_encoding_is_refused_at_each_place_of_a_batch_on);
}

fn each_invalid_encoding_is_refused_at_each_place_of_a_batch_on(engine: Engine) {
    let vectors = vectors();
    assert_eq!(vectors.invalid_encodings.len(), 29);
    let good = hex::decode(vectors.generator_multiples[1..].concat()).unwrap();
    for invalid in &vectors.invalid_encodings {
        let encoding: [u8; ELEMENT_BYTES] = bytes(&invalid.encoding);
        assert_eq!(
            Point::decode(&encoding),
            Err(ElementFault::NonCanonical),
            "{}",
            invalid.why
        );
        for index in 0..good.len() / ELEMENT_BYTES {
            let mut batch = good.clone();
            batch[index * ELEMENT_BYTES..][..ELEMENT_BYTES].copy_from_slice(&encoding);
            assert_eq!(
                Points::decode_on(engine, &batch).unwrap_err(),
                ElementError {
                    index,
                    reason: ElementFault::NonCanonical
                },
                "{}",
                invalid.why
            );
        }
    }
}

#[test]
fn uniform_bytes_to_elements() {
    Engine::available()
        .into_iter()
        .for_each(uniform_bytes_to_elements_on);
}

fn uniform_bytes_to_elements_on(engine: Engine) {
    let vectors = vectors().hash_to_group;
    assert_eq!(vectors.len(), 11);
    let uniform: Vec<[u8; 64]> = vectors.iter().map(|vector| bytes(&vector.uniform)).collect();
    let elements: String = vectors.iter().map(|vector| vector.element.as_str()).collect();
    assert_eq!(
        hex::encode(Points::from_uniform_bytes_on(engine, &uniform).encode()),
        elements
    );
}
