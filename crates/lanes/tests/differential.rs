//! Every operation of every engine against the portable one, curve25519-dalek.
//!
//! 10,240 random inputs for each engine on the processor; with `CONCORDAT_LONG_TESTS=1` a million. The emulation is
//! slow and gets fewer.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use concordat_lanes::sha512::{BLOCK_BYTES, HASH_BYTES, Prefix};
use concordat_lanes::{ELEMENT_BYTES, ElementError, ElementFault, Engine, FixedBase, Point, Points, Scalar};

/// Not a multiple of eight, so that tails are part of all.
const BATCH: usize = 509;

fn engines() -> Vec<(Engine, usize)> {
    let long = std::env::var_os("CONCORDAT_LONG_TESTS").is_some_and(|value| value == "1");
    let mut engines = Engine::available();
    engines.retain(|engine| *engine != Engine::PORTABLE);
    let batches = |engine| match (Engine::EMULATED.contains(&engine), long) {
        _ if cfg!(miri) => 1,
        (true, false) => 1,
        (true, true) => 20,
        (false, false) => 21,
        (false, true) => 1_965,
    };
    engines
        .into_iter()
        .map(|engine| (engine, batches(engine)))
        .collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.word() as u8)
    }

    fn uniform(&mut self, count: usize) -> Vec<[u8; 64]> {
        (0..count).map(|_| self.bytes()).collect()
    }

    /// Mostly random; some at the edges.
    fn scalars(&mut self, count: usize) -> Vec<Scalar> {
        let minus_one = &Scalar::ZERO - &Scalar::ONE;
        (0..count)
            .map(|_| match self.word() % 64 {
                0 => Scalar::ZERO,
                1 => Scalar::ONE,
                2 => minus_one.clone(),
                3 => minus_one.halve(),
                _ => Scalar::from_wide_bytes(&self.bytes()),
            })
            .collect()
    }
}

/// Runs `compare` on random batches, on each engine; the last argument is the portable engine's points.
fn on_batches(mut compare: impl FnMut(Engine, &mut Random, &[u8], Points, Points)) {
    for (engine, batches) in engines() {
        let mut random = Random(batches as u64);
        for _ in 0..batches {
            let count = if cfg!(miri) { 3 } else { BATCH };
            let plain = Points::from_uniform_bytes_on(Engine::PORTABLE, &random.uniform(count));
            let packed = plain.encode();
            let points = Points::decode_on(engine, &packed).unwrap();
            compare(engine, &mut random, &packed, points, plain);
        }
    }
}

#[test]
fn decode_and_encode() {
    on_batches(|_, _, packed, points, _| {
        assert_eq!(points.encode(), packed);
        assert_eq!(points.position_of_identity(), None);
    });
}

#[test]
fn from_uniform_bytes() {
    for (engine, batches) in engines() {
        let mut random = Random(1);
        for _ in 0..batches {
            let uniform = random.uniform(if cfg!(miri) { 2 } else { BATCH });
            let expected = Points::from_uniform_bytes_on(Engine::PORTABLE, &uniform).encode();
            assert_eq!(Points::from_uniform_bytes_on(engine, &uniform).encode(), expected);
        }
    }
}

#[test]
fn double_and_encode() {
    on_batches(|_, _, _, points, plain| assert_eq!(points.double_and_encode(), plain.double_and_encode()));
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn mul_shared() {
    on_batches(|_, random, _, points, plain| {
        for k in &random.scalars(2) {
            assert_eq!(points.mul_shared(k).encode(), plain.mul_shared(k).encode());
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn mul_each() {
    on_batches(|_, random, _, points, plain| {
        let scalars = random.scalars(points.len());
        let (products, expected) = (points.mul_each(&scalars), plain.mul_each(&scalars));
        assert_eq!(products.encode(), expected.encode());
        // With their own multiples too: denominators that are not one.
        assert_eq!(products.double_and_encode(), expected.double_and_encode());
    });
}

#[test]
fn sums_and_differences() {
    on_batches(|engine, random, _, mut points, mut plain| {
        let uniform = random.uniform(points.len());
        let [mut others, plain_others] =
            [engine, Engine::PORTABLE].map(|engine| Points::from_uniform_bytes_on(engine, &uniform));
        points += &others;
        plain += &plain_others;
        assert_eq!(points.encode(), plain.encode());
        points -= &others;
        points -= &others;
        plain -= &plain_others;
        plain -= &plain_others;
        assert_eq!(points.encode(), plain.encode());
        // Of a point and itself, and of forms of two engines.
        others += &others.clone();
        others -= &plain_others;
        assert_eq!(others.encode(), plain_others.encode());
    });
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn fixed_bases() {
    for (engine, batches) in engines() {
        let mut random = Random(3);
        let base: [u8; ELEMENT_BYTES] = Points::from_uniform_bytes_on(Engine::PORTABLE, &random.uniform(1))
            .encode()
            .try_into()
            .unwrap();
        let minus_one = &Scalar::ZERO - &Scalar::ONE;
        let identity = &Point::GENERATOR * &Scalar::ZERO;
        for base in [Point::GENERATOR, Point::decode(&base).unwrap(), identity] {
            let [table, plain] = [engine, Engine::PORTABLE].map(|engine| FixedBase::new_on(engine, &base));
            for _ in 0..batches.div_ceil(2) {
                let mut scalars = random.scalars(BATCH);
                scalars.extend([Scalar::ZERO, Scalar::ONE, minus_one.clone(), minus_one.halve()]);
                let expected = plain.mul_each(&scalars).encode();
                assert_eq!(table.mul_each(&scalars).encode(), expected);
            }
            assert_eq!(table.mul(&minus_one).encode(), plain.mul(&minus_one).encode());
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn sums_of_products() {
    on_batches(|_, random, _, points, plain| {
        let scalars = random.scalars(points.len());
        let expected = plain.vartime_sum_of_products(&scalars);
        assert_eq!(points.vartime_sum_of_products(&scalars), expected);
    });
    // Every length around what decides the method, one that takes wide windows, and one in two pieces; points that
    // repeat, equal scalars, all zero.
    let mut random = Random(5);
    for (engine, _) in engines() {
        let lengths = if Engine::EMULATED.contains(&engine) {
            vec![1, 16, 17, 40]
        } else {
            (0..70).chain([2_049, 16_400]).collect()
        };
        for length in lengths {
            let uniform = random.uniform(length.min(50)).repeat(328)[..length].to_vec();
            let [points, plain] =
                [engine, Engine::PORTABLE].map(|engine| Points::from_uniform_bytes_on(engine, &uniform));
            let random = random.scalars(length);
            let one_scalar = vec![Scalar::from_wide_bytes(&[0xa5; 64]); length];
            for scalars in [
                random,
                one_scalar,
                vec![Scalar::ZERO; length],
                vec![Scalar::ONE; length],
            ] {
                let expected = plain.vartime_sum_of_products(&scalars);
                assert_eq!(
                    points.vartime_sum_of_products(&scalars),
                    expected,
                    "{length} points"
                );
            }
        }
    }
}

#[test]
fn scalars_at_the_edges_on_every_lane() {
    let minus_one = &Scalar::ZERO - &Scalar::ONE;
    let mut edges = vec![
        Scalar::ZERO,
        Scalar::ONE,
        minus_one.clone(),
        minus_one.halve(),
        Scalar::ONE.halve(),
    ];
    // Powers of two, and one less: each digit alone, and every digit at its end.
    let two = &Scalar::ZERO - &(&minus_one - &Scalar::ONE);
    let mut power = Scalar::ONE;
    for _ in 0..253 {
        power = &power * &two;
        edges.extend([power.clone(), &power - &Scalar::ONE]);
    }
    let edges = if cfg!(miri) { &edges[..8] } else { &edges };
    let uniform: Vec<[u8; 64]> = (0..edges.len()).map(|at| [at as u8 | 1; 64]).collect();
    let plain = Points::from_uniform_bytes_on(Engine::PORTABLE, &uniform);
    for (engine, _) in engines() {
        let points = Points::from_uniform_bytes_on(engine, &uniform);
        assert_eq!(
            points.mul_each(edges).encode(),
            plain.mul_each(edges).encode(),
            "{engine:?}"
        );
        for k in &edges[..5] {
            assert_eq!(
                points.mul_shared(k).encode(),
                plain.mul_shared(k).encode(),
                "{engine:?}"
            );
        }
    }
}

#[test]
fn tails_of_every_length_and_nothing_beyond() {
    let mut random = Random(7);
    let packed = Points::from_uniform_bytes_on(Engine::PORTABLE, &random.uniform(31)).encode();
    let k = Scalar::from_wide_bytes(&random.bytes());
    for (engine, _) in engines() {
        for count in 0..32 {
            // What follows in the buffer decodes to nothing.
            let mut buffer = packed[..count * ELEMENT_BYTES].to_vec();
            buffer.extend(std::iter::repeat_n(0xff, 8 * ELEMENT_BYTES));
            let points = Points::decode_on(engine, &buffer[..count * ELEMENT_BYTES]).unwrap();
            let plain = Points::decode_on(Engine::PORTABLE, &buffer[..count * ELEMENT_BYTES]).unwrap();
            assert_eq!(points.len(), count);
            assert_eq!(points.encode(), buffer[..count * ELEMENT_BYTES]);
            assert_eq!(points.double_and_encode(), plain.double_and_encode());
            assert_eq!(points.position_of_identity(), None);
            if !cfg!(miri) {
                assert_eq!(points.mul_shared(&k).encode(), plain.mul_shared(&k).encode());
            }
        }
    }
}

#[test]
fn the_first_fault_is_named() {
    let mut random = Random(9);
    let good = Points::from_uniform_bytes_on(Engine::PORTABLE, &random.uniform(45)).encode();
    for (engine, _) in engines() {
        for index in 0..45 {
            for (element, reason) in [
                ([0; 32], ElementFault::Identity),
                ([0xff; 32], ElementFault::NonCanonical),
            ] {
                let mut packed = good.clone();
                packed[index * ELEMENT_BYTES..][..ELEMENT_BYTES].copy_from_slice(&element);
                if index < 40 {
                    // A second one later changes nothing.
                    packed[(index + 5) * ELEMENT_BYTES] ^= 1;
                }
                let error = Points::decode_on(engine, &packed).unwrap_err();
                assert_eq!(error, ElementError { index, reason }, "{engine:?}");
            }
        }
    }
}

#[test]
fn any_bytes_decode_alike() {
    let mut random = Random(11);
    let mut elements: Vec<[u8; 32]> = (0..if cfg!(miri) { 8 } else { 4_000 })
        .map(|_| {
            let mut bytes: [u8; 32] = random.bytes();
            bytes[31] &= 0x7f;
            bytes[0] &= 0xfe;
            bytes
        })
        .collect();
    // Around 0, 1, p and 2^255.
    for low in 0..=255u8 {
        let mut near_p = [0xff; 32];
        near_p[0] = low;
        elements.push(near_p);
        near_p[31] = 0x7f;
        elements.push(near_p);
        let mut small = [0; 32];
        small[0] = low;
        elements.push(small);
        small[31] = 0x80;
        elements.push(small);
    }
    for (engine, _) in engines() {
        // The same element in eight lanes, and beside good ones.
        for element in elements
            .iter()
            .step_by(if Engine::EMULATED.contains(&engine) { 37 } else { 1 })
        {
            let plain = Points::decode_on(Engine::PORTABLE, element);
            let lanes = Points::decode_on(engine, &element.repeat(3));
            match (plain, lanes) {
                (Ok(plain), Ok(lanes)) => assert_eq!(lanes.encode(), plain.encode().repeat(3)),
                (Err(plain), Err(lanes)) => assert_eq!(plain, lanes),
                (plain, lanes) => panic!("{element:02x?}: {plain:?}, {lanes:?}"),
            }
        }
    }
}

#[test]
fn torsion_does_not_show() {
    // ℓ·P computed as (ℓ-1)·P + P is the identity, with whatever 4-torsion the representation of P has.
    let mut random = Random(13);
    for (engine, _) in engines() {
        let uniform = random.uniform(64);
        let points = Points::from_uniform_bytes_on(engine, &uniform);
        let minus_one = &Scalar::ZERO - &Scalar::ONE;
        let mut torsion = points.mul_shared(&minus_one);
        torsion += &points;
        assert_eq!(torsion.position_of_identity(), Some(0));
        assert_eq!(torsion.encode(), [0; 64 * ELEMENT_BYTES]);
        assert_eq!(torsion.double_and_encode(), [0; 64 * ELEMENT_BYTES]);
        let mut shifted = points.clone();
        shifted += &torsion;
        assert_eq!(shifted.encode(), points.encode());
        assert_eq!(shifted.double_and_encode(), points.double_and_encode());
        let k = Scalar::from_wide_bytes(&random.bytes());
        assert_eq!(shifted.mul_shared(&k).encode(), points.mul_shared(&k).encode());
        let scalars = random.scalars(64);
        assert_eq!(
            shifted.vartime_sum_of_products(&scalars),
            points.vartime_sum_of_products(&scalars)
        );
    }
}

#[test]
fn hashes_of_random_messages() {
    let prefix = Prefix::new(&[[0x5c; BLOCK_BYTES]]);
    for (engine, batches) in engines() {
        let mut random = Random(17);
        for _ in 0..batches {
            let uniform = random.uniform(BATCH + 4);
            let message = |at: usize| &uniform[at..][..at % 4 + 1];
            let mut hashes = vec![[0; HASH_BYTES]; BATCH];
            prefix.hash_each_on(engine, &mut hashes, |at, to| {
                message(at).iter().for_each(|part| to.push(part));
            });
            for (at, hash) in hashes.iter().enumerate() {
                let plain = [[0x5c; BLOCK_BYTES].as_slice(), message(at).as_flattened()].concat();
                assert_eq!(hash, &plain_hash(&plain));
            }
        }
    }
}

#[test]
fn hashes() {
    let mut random = Random(15);
    let engines: Vec<Engine> = engines().into_iter().map(|(engine, _)| engine).collect();
    for engine in engines.into_iter().chain([Engine::PORTABLE]) {
        for (prefix, first) in [
            (Prefix::EMPTY, 0),
            (Prefix::new(&[[0x5c; BLOCK_BYTES]; 2]), 2 * BLOCK_BYTES),
        ] {
            for count in 0..20 {
                // Lengths around where the padding takes another block, all in one batch.
                let messages: Vec<Vec<u8>> = (0..count)
                    .map(|_| (0..random.word() % 300).map(|_| random.word() as u8).collect())
                    .collect();
                let mut hashes = vec![[0; HASH_BYTES]; count];
                prefix.hash_each_on(engine, &mut hashes, |at, message| {
                    let (start, end) = messages[at].split_at(messages[at].len() / 3);
                    message.push(start);
                    message.push(end);
                });
                for (hash, message) in hashes.iter().zip(&messages) {
                    assert_eq!(hash, &plain_hash(&[vec![0x5c; first], message.clone()].concat()));
                }
            }
            let lengths = [0, 1, 110, 111, 112, 113, 127, 128, 129, 239, 240, 241];
            let mut hashes = [[0; HASH_BYTES]; 12];
            prefix.hash_each_on(engine, &mut hashes, |at, message| {
                message.push(&vec![at as u8; lengths[at]]);
            });
            for (at, hash) in hashes.iter().enumerate() {
                let message = [vec![0x5c; first], vec![at as u8; lengths[at]]].concat();
                assert_eq!(hash, &plain_hash(&message), "{} bytes", lengths[at]);
            }
        }
    }
}

fn plain_hash(message: &[u8]) -> [u8; HASH_BYTES] {
    use sha2::Digest;
    sha2::Sha512::digest(message).into()
}
