//! Representations that differ by a point of order 2 or 4 are one element of the group (RFC 9496 §4.3.3).

use super::*;
use crate::engine::Lanes;

/// Moves points to another representation.
struct Torsion<'a> {
    points: &'a mut [PointWords],
    /// How many times the point (i, 0) of order 4 is added.
    times: usize,
}

impl Kernel for Torsion<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        for at in 0..self.points.len() {
            let mut point = Extended::<V>::load(cpu, &self.points[at]);
            let like = point.x.any_limb();
            let of_order_4 = Extended {
                x: Element::constant(like, SQRT_M1),
                y: Element::small(like, 0),
                z: Element::small(like, 1),
                t: Element::small(like, 0),
            };
            for _ in 0..self.times {
                point = point.augend().plus(of_order_4.addend()).extended();
            }
            point.store(&mut self.points[at]);
        }
    }
}

#[test]
fn all_four_representations_of_an_element_are_encoded_alike() {
    let uniform: Vec<[u8; 64]> = (1..=40).map(|at| [at; 64]).collect();
    for lanes in Lanes::available() {
        let mut points = neutral_blocks(40);
        lanes.run(FromUniformBytes {
            uniform: &uniform,
            points: &mut points,
        });
        let encodings = |points: &[PointWords]| {
            let (mut plain, mut doubled) = (vec![[0; ELEMENT_BYTES]; 40], vec![[0; ELEMENT_BYTES]; 40]);
            lanes.run(Encode {
                points,
                packed: &mut plain,
            });
            lanes.run(DoubleAndEncode {
                points,
                packed: &mut doubled,
            });
            (plain, doubled)
        };
        let expected = encodings(&points);
        for _ in 0..4 {
            lanes.run(Torsion {
                points: &mut points,
                times: 1,
            });
            assert_eq!(encodings(&points), expected);
        }
    }
}

#[test]
fn all_four_representations_of_the_identity_are_found_and_encoded_as_zero() {
    for lanes in Lanes::available() {
        for times in 0..4 {
            let mut points = neutral_blocks(13);
            lanes.run(Torsion {
                points: &mut points,
                times,
            });
            let found = lanes.run(FirstIdentity {
                points: &points,
                count: 13,
            });
            assert_eq!(found, Some(0));
            let mut packed = [[1; ELEMENT_BYTES]; 13];
            lanes.run(Encode {
                points: &points,
                packed: &mut packed,
            });
            assert_eq!(packed, [[0; ELEMENT_BYTES]; 13]);
            packed = [[1; ELEMENT_BYTES]; 13];
            lanes.run(DoubleAndEncode {
                points: &points,
                packed: &mut packed,
            });
            assert_eq!(packed, [[0; ELEMENT_BYTES]; 13]);
        }
    }
}
