//! Whatever the other side sends: refused, with the reason and the place, and never a panic.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{client_of, inputs, key_pair, rng, verify_after};
use concordat_oprf::{
    Client, DeriveError, ELEMENT_BYTES, ElementError, ElementFault, EvaluateError, InputError, KeyPair,
    MAX_BATCH, PublicKey, PublicKeyError, VerifyError,
};

/// 2^255 - 19 + 2: above the field prime, so not canonical (RFC 9496 §4.3.1).
const NON_CANONICAL: [u8; ELEMENT_BYTES] = {
    let mut bytes = [0xff; ELEMENT_BYTES];
    bytes[0] = 0xef;
    bytes[31] = 0x7f;
    bytes
};
const IDENTITY: [u8; ELEMENT_BYTES] = [0; ELEMENT_BYTES];

/// ℓ, little-endian (RFC 9496 §4).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn elements(n: usize) -> Vec<u8> {
    client_of(&key_pair(1))
        .blind(&inputs(n), &mut rng(2))
        .unwrap()
        .elements()
        .to_vec()
}

fn put(packed: &mut [u8], index: usize, element: &[u8; ELEMENT_BYTES]) {
    packed[index * ELEMENT_BYTES..][..ELEMENT_BYTES].copy_from_slice(element);
}

fn swap(packed: &mut [u8], first: usize, second: usize) {
    for byte in 0..ELEMENT_BYTES {
        packed.swap(first * ELEMENT_BYTES + byte, second * ELEMENT_BYTES + byte);
    }
}

mod what_a_requester_sends {
    use super::*;

    fn evaluate(packed: &[u8]) -> Result<(), EvaluateError> {
        key_pair(1).blind_evaluate(packed, &mut rng(3)).map(drop)
    }

    #[test]
    fn a_bad_element_is_named_by_its_index_and_fault() {
        for (bad, reason) in [
            (NON_CANONICAL, ElementFault::NonCanonical),
            (IDENTITY, ElementFault::Identity),
        ] {
            for index in 0..9 {
                let mut packed = elements(9);
                put(&mut packed, index, &bad);
                let expected = EvaluateError::Element(ElementError { index, reason });
                assert_eq!(evaluate(&packed), Err(expected));
            }
        }
        let mut packed = elements(9);
        put(&mut packed, 7, &IDENTITY);
        put(&mut packed, 4, &NON_CANONICAL);
        let first = ElementError {
            index: 4,
            reason: ElementFault::NonCanonical,
        };
        assert_eq!(evaluate(&packed), Err(EvaluateError::Element(first)));
    }

    #[test]
    fn an_element_cut_short_is_named() {
        for length in [1, 31, 33, 63, 95] {
            let index = length / ELEMENT_BYTES;
            let expected = ElementError {
                index,
                reason: ElementFault::WrongLength,
            };
            assert_eq!(
                evaluate(&elements(3)[..length]),
                Err(EvaluateError::Element(expected))
            );
        }
    }

    #[test]
    fn batches_are_bounded() {
        assert_eq!(evaluate(&[]), Err(EvaluateError::EmptyBatch));
        // Not even decoded: these are no elements.
        let too_large = vec![0xff; (MAX_BATCH + 1) * ELEMENT_BYTES];
        assert_eq!(
            evaluate(&too_large),
            Err(EvaluateError::BatchTooLarge { elements: 65_536 })
        );
        let a_byte_too_many = &too_large[..MAX_BATCH * ELEMENT_BYTES + 1];
        assert_eq!(
            evaluate(a_byte_too_many),
            Err(EvaluateError::BatchTooLarge { elements: 65_536 })
        );
    }

    #[test]
    fn equal_elements_are_fine() {
        let one = elements(1);
        let evaluation = key_pair(1).blind_evaluate(&one.repeat(5), &mut rng(3)).unwrap();
        let (first, rest) = evaluation.elements.split_at(ELEMENT_BYTES);
        assert!(rest.chunks(ELEMENT_BYTES).all(|element| element == first));
    }
}

mod what_an_owner_answers {
    use super::*;

    #[test]
    fn an_honest_answer_is_accepted() {
        assert_eq!(
            verify_after(3, |_, _, _| ()).unwrap(),
            key_pair(1).evaluate_own(&inputs(3)).unwrap()
        );
    }

    #[test]
    fn every_bit_of_the_proof_counts() {
        let key_pair = key_pair(1);
        let blinded = client_of(&key_pair).blind(&inputs(2), &mut rng(2)).unwrap();
        let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng(3)).unwrap();
        for bit in 0..512 {
            let mut proof = evaluation.proof;
            proof[bit / 8] ^= 1 << (bit % 8);
            let error = blinded.verify(&evaluation.elements, &proof).unwrap_err();
            assert!(
                matches!(error, VerifyError::ProofRefused | VerifyError::MalformedProof),
                "bit {bit}: {error}"
            );
        }
        // A failure changes nothing: the true answer is still accepted.
        assert!(blinded.verify(&evaluation.elements, &evaluation.proof).is_ok());
    }

    #[test]
    fn every_bit_of_the_evaluated_elements_counts() {
        let key_pair = key_pair(1);
        let blinded = client_of(&key_pair).blind(&inputs(2), &mut rng(2)).unwrap();
        let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng(3)).unwrap();
        let (mut refused, mut undecodable) = (0, 0);
        for bit in 0..evaluation.elements.len() * 8 {
            let mut elements = evaluation.elements.clone();
            elements[bit / 8] ^= 1 << (bit % 8);
            match blinded.verify(&elements, &evaluation.proof).unwrap_err() {
                VerifyError::ProofRefused => refused += 1,
                VerifyError::Element(error) if error.index == bit / 256 => undecodable += 1,
                other => panic!("bit {bit}: {other}"),
            }
        }
        assert_eq!(refused + undecodable, 512);
        assert!(refused > 0, "some flips give another element");
    }

    #[test]
    fn another_key_is_refused() {
        let refused = verify_after(3, |_, blinded, evaluation| {
            *evaluation = key_pair(9).blind_evaluate(blinded, &mut rng(3)).unwrap();
        });
        assert_eq!(refused, Err(VerifyError::ProofRefused));
    }

    #[test]
    fn another_key_for_one_element_of_many_is_refused() {
        for index in 0..3 {
            let refused = verify_after(3, |_, blinded, evaluation| {
                let other = key_pair(9).blind_evaluate(blinded, &mut rng(3)).unwrap();
                let element = other.elements[index * ELEMENT_BYTES..][..ELEMENT_BYTES]
                    .try_into()
                    .unwrap();
                put(&mut evaluation.elements, index, element);
            });
            assert_eq!(refused, Err(VerifyError::ProofRefused), "element {index}");
        }
    }

    #[test]
    fn swapped_elements_are_refused() {
        let refused = verify_after(3, |_, _, evaluation| swap(&mut evaluation.elements, 0, 2));
        assert_eq!(refused, Err(VerifyError::ProofRefused));
    }

    #[test]
    fn an_honest_evaluation_of_swapped_elements_is_refused() {
        let refused = verify_after(3, |key_pair, blinded, evaluation| {
            let mut swapped = blinded.to_vec();
            swap(&mut swapped, 1, 2);
            *evaluation = key_pair.blind_evaluate(&swapped, &mut rng(3)).unwrap();
        });
        assert_eq!(refused, Err(VerifyError::ProofRefused));
    }

    #[test]
    fn errors_that_cancel_out_are_refused() {
        // D0 + X and D1 - X have the sum of D0 and D1: only the weights of the composites tell.
        let refused = verify_after(2, |_, _, evaluation| {
            use concordat_lanes::{Point, Points};
            let (first, second) = evaluation.elements.split_at(ELEMENT_BYTES);
            let x: Points = [Point::GENERATOR].into_iter().collect();
            let mut first = Points::decode(first).unwrap();
            let mut second = Points::decode(second).unwrap();
            first += &x;
            second -= &x;
            evaluation.elements = [first.encode(), second.encode()].concat();
        });
        assert_eq!(refused, Err(VerifyError::ProofRefused));
    }

    #[test]
    fn the_proof_of_another_batch_is_refused() {
        let refused = verify_after(3, |key_pair, blinded, evaluation| {
            let shorter = &blinded[..2 * ELEMENT_BYTES];
            evaluation.proof = key_pair.blind_evaluate(shorter, &mut rng(3)).unwrap().proof;
        });
        assert_eq!(refused, Err(VerifyError::ProofRefused));
    }

    #[test]
    fn trivial_proofs_are_refused() {
        assert_eq!(
            verify_after(1, |_, _, e| e.proof = [0; 64]),
            Err(VerifyError::ProofRefused)
        );
        assert_eq!(
            verify_after(1, |_, _, e| e.proof = [0xff; 64]),
            Err(VerifyError::MalformedProof)
        );
        assert_eq!(
            verify_after(1, |_, _, e| e.elements = vec![0; 32]),
            identity_at(0)
        );
        // The blinded elements sent back: a key of one.
        let echoed = verify_after(2, |_, blinded, e| e.elements = blinded.to_vec());
        assert_eq!(echoed, Err(VerifyError::ProofRefused));
    }

    #[test]
    fn scalars_of_a_proof_have_one_encoding() {
        // c + ℓ and s + ℓ are the same integers modulo ℓ; accepted, they would make a second valid proof.
        for half in [0, 32] {
            let refused = verify_after(1, |_, _, evaluation| {
                let mut carry = 0;
                for (byte, order) in evaluation.proof[half..half + 32].iter_mut().zip(ORDER) {
                    let sum = u16::from(*byte) + u16::from(order) + carry;
                    *byte = sum.to_le_bytes()[0];
                    carry = sum >> 8;
                }
            });
            assert_eq!(refused, Err(VerifyError::MalformedProof));
        }
    }

    #[test]
    fn a_wrong_number_of_elements_is_refused() {
        for received in [0, 1, 31, 32, 63, 65, 96] {
            let refused = verify_after(2, |_, _, evaluation| evaluation.elements.resize(received, 1));
            assert_eq!(
                refused,
                Err(VerifyError::Length {
                    expected: 64,
                    received
                })
            );
        }
    }

    #[test]
    fn a_bad_element_is_named() {
        assert_eq!(
            verify_after(5, |_, _, e| put(&mut e.elements, 3, &IDENTITY)),
            identity_at(3)
        );
        let error = ElementError {
            index: 4,
            reason: ElementFault::NonCanonical,
        };
        let refused = verify_after(5, |_, _, e| put(&mut e.elements, 4, &NON_CANONICAL));
        assert_eq!(refused, Err(VerifyError::Element(error)));
    }

    fn identity_at(index: usize) -> Result<Vec<concordat_oprf::Output>, VerifyError> {
        Err(VerifyError::Element(ElementError {
            index,
            reason: ElementFault::Identity,
        }))
    }
}

mod what_the_wire_does {
    use super::*;

    #[test]
    fn a_blinded_element_changed_on_its_way_spoils_the_proof() {
        let key_pair = key_pair(1);
        let blinded = client_of(&key_pair).blind(&inputs(2), &mut rng(2)).unwrap();
        let mut evaluated = 0;
        for bit in 0..256 {
            let mut elements = blinded.elements().to_vec();
            elements[bit / 8] ^= 1 << (bit % 8);
            let Ok(evaluation) = key_pair.blind_evaluate(&elements, &mut rng(3)) else {
                continue;
            };
            evaluated += 1;
            let error = blinded
                .verify(&evaluation.elements, &evaluation.proof)
                .unwrap_err();
            assert_eq!(error, VerifyError::ProofRefused, "bit {bit}");
        }
        assert!(evaluated > 0, "some flips give another element");
    }
}

mod what_a_caller_gives {
    use super::*;

    #[test]
    fn inputs_are_bounded() {
        let client = client_of(&key_pair(1));
        let long = vec![b'a'; 65_536];
        let mut inputs = vec![&long[..65_535], b"", b"b", b"b"];
        let own = key_pair(1).evaluate_own(&inputs).unwrap();
        assert_eq!(own[2], own[3]);
        assert_eq!(client.blind(&inputs, &mut rng(1)).unwrap().len(), 4);

        inputs[2] = &long;
        assert_eq!(
            client.blind(&inputs, &mut rng(1)).unwrap_err(),
            InputError::TooLong { index: 2 }
        );
        let mut many = vec![b"c".as_slice(); 1_500];
        many[1_400] = &long;
        assert_eq!(
            key_pair(1).evaluate_own(&many),
            Err(InputError::TooLong { index: 1_400 })
        );
    }

    #[test]
    fn batches_are_bounded() {
        let client = client_of(&key_pair(1));
        let none: [&[u8]; 0] = [];
        assert_eq!(
            client.blind(&none, &mut rng(1)).unwrap_err(),
            InputError::EmptyBatch
        );
        assert_eq!(key_pair(1).evaluate_own(&none), Ok(vec![]));
        let error = client.blind(&vec![b"a"; MAX_BATCH + 1], &mut rng(1)).unwrap_err();
        assert_eq!(error, InputError::BatchTooLarge { inputs: 65_536 });
    }

    #[test]
    fn the_largest_batch_goes_all_the_way() {
        let key_pair = key_pair(1);
        let client = client_of(&key_pair);
        let blinded = client.blind(&vec![b"a"; MAX_BATCH], &mut rng(1)).unwrap();
        let evaluation = key_pair.blind_evaluate(blinded.elements(), &mut rng(2)).unwrap();
        assert!(blinded.verify(&evaluation.elements, &evaluation.proof).is_ok());
    }

    #[test]
    fn the_info_of_a_key_is_bounded() {
        assert!(KeyPair::derive(&[1; 32], &[0; 65_535]).is_ok());
        let error = KeyPair::derive(&[1; 32], &[0; 65_536]).unwrap_err();
        assert_eq!(error, DeriveError::InfoTooLong { bytes: 65_536 });
    }

    #[test]
    fn a_public_key_is_an_element_and_not_the_identity() {
        assert_eq!(
            PublicKey::from_bytes(&IDENTITY),
            Err(PublicKeyError(ElementFault::Identity))
        );
        assert_eq!(
            PublicKey::from_bytes(&NON_CANONICAL),
            Err(PublicKeyError(ElementFault::NonCanonical))
        );
        let key = *key_pair(1).public_key();
        assert_eq!(PublicKey::from_bytes(key.as_bytes()), Ok(key));
        assert_eq!(*Client::new(key).public_key(), key);
    }
}

#[test]
fn messages_tell_whose_fault_it_is_and_hold_no_value() {
    let element = ElementError {
        index: 3,
        reason: ElementFault::NonCanonical,
    };
    assert_eq!(
        EvaluateError::from(element).to_string(),
        "blinded element 3 is not a canonical ristretto255 encoding (RFC 9496, section 4.3.1)"
    );
    assert_eq!(
        VerifyError::from(ElementError {
            index: 0,
            reason: ElementFault::Identity
        })
        .to_string(),
        "evaluated element 0 is the identity, which RFC 9497, section 4.1 refuses"
    );
    assert_eq!(
        InputError::TooLong { index: 5 }.to_string(),
        "input 5 is longer than 65535 bytes: hash it first"
    );
    assert_eq!(
        PublicKey::from_bytes(&IDENTITY).unwrap_err().to_string(),
        "the public key is the identity, which RFC 9497, section 4.1 refuses"
    );
}
