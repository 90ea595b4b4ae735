//! The test every engine passes before it is used: a fixed input through all operations, to a known answer.

use super::Engine;
use crate::{ELEMENT_BYTES, FixedBase, Point, Points, Scalar};

/// More than two vectors, and a tail.
const COUNT: u8 = 27;

/// What [`answer`] is; a test compares it with the portable engine's.
const KNOWN: [u8; ELEMENT_BYTES] = [
    0x64, 0x20, 0x94, 0x2a, 0x7f, 0x3d, 0x85, 0xc3, 0x5f, 0xc7, 0x09, 0xe2, 0xf4, 0xad, 0xbf, 0x94, 0x95,
    0xfc, 0x4d, 0x6f, 0x76, 0x9d, 0x71, 0x53, 0x50, 0xf2, 0x5b, 0xa9, 0x00, 0x97, 0x28, 0x1e,
];

pub(super) fn passes(engine: Engine) -> bool {
    answer(engine) == Some(KNOWN)
}

/// Everything an engine computes, summed up in one element: an error in any lane of any operation changes it.
pub(super) fn answer(engine: Engine) -> Option<[u8; ELEMENT_BYTES]> {
    let uniform: Vec<[u8; 64]> = (0..COUNT).map(pattern).collect();
    let scalars: Vec<Scalar> = uniform.iter().map(Scalar::from_wide_bytes).collect();
    let k = Scalar::from_wide_bytes(&pattern(COUNT));

    let mapped = Points::from_uniform_bytes_on(engine, &uniform);
    let packed = mapped.mul_shared(&k.halve()).double_and_encode();
    let mut points = Points::decode_on(engine, &packed).ok()?;
    points += &FixedBase::new_on(engine, &Point::GENERATOR).mul_each(&scalars);
    points -= &mapped.mul_each(&scalars);
    let packed = points.encode();

    let mut refused = packed.clone();
    refused[20 * ELEMENT_BYTES] ^= 1;
    let fault = Points::decode_on(engine, &refused).err()?;
    if fault.index != 20 || points.position_of_identity().is_some() {
        return None;
    }
    let points = Points::decode_on(engine, &packed).ok()?;
    Some(points.vartime_sum_of_products(&scalars).encode())
}

fn pattern(seed: u8) -> [u8; 64] {
    std::array::from_fn(|at| {
        (at as u8).wrapping_mul(167).wrapping_add(seed.wrapping_mul(59)) ^ (at as u8 >> 3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answer_is_the_portable_engines() {
        assert_eq!(answer(Engine::PORTABLE), Some(KNOWN));
    }

    #[test]
    fn every_engine_passes() {
        for engine in Engine::available() {
            assert!(passes(engine), "{engine:?}");
        }
    }
}
