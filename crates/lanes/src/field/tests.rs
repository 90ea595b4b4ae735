//! Field arithmetic against plain long arithmetic, on edges and at random; every formula's bounds; the constants.

use proptest::prelude::*;

use super::*;
use crate::edwards::{D, D2};
use crate::engine::Lanes;
use crate::fixed::HALF;
use crate::ristretto::{D_MINUS_ONE_SQ, INVSQRT_A_MINUS_D, ONE_MINUS_D_SQ, SQRT_AD_MINUS_ONE, SQRT_M1};
use crate::vector::Kernel;

/// A 256-bit integer, little-endian words.
type Wide = [u64; 4];

const P: Wide = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];

/// a + b and the carry.
fn add(a: Wide, b: Wide) -> (Wide, bool) {
    let mut carry = false;
    let sum = std::array::from_fn(|at| {
        let (partial, first) = a[at].overflowing_add(b[at]);
        let (total, second) = partial.overflowing_add(u64::from(carry));
        carry = first | second;
        total
    });
    (sum, carry)
}

fn sub(a: Wide, b: Wide) -> (Wide, bool) {
    let mut borrow = false;
    let difference = std::array::from_fn(|at| {
        let (partial, first) = a[at].overflowing_sub(b[at]);
        let (total, second) = partial.overflowing_sub(u64::from(borrow));
        borrow = first | second;
        total
    });
    (difference, borrow)
}

fn reduce(mut a: Wide) -> Wide {
    while let (less, false) = sub(a, P) {
        a = less;
    }
    a
}

fn add_mod(a: Wide, b: Wide) -> Wide {
    // Both are below p < 2^255: no carry.
    reduce(add(a, b).0)
}

fn sub_mod(a: Wide, b: Wide) -> Wide {
    add_mod(a, sub(P, b).0)
}

/// Bit by bit: slow and plain.
fn mul_mod(a: Wide, b: Wide) -> Wide {
    let mut product = [0; 4];
    for bit in (0..256).rev() {
        product = add_mod(product, product);
        if b[bit / 64] >> (bit % 64) & 1 == 1 {
            product = add_mod(product, a);
        }
    }
    product
}

fn wide(limbs: [u64; 5]) -> Wide {
    let mut sum = [0; 4];
    for (at, limb) in limbs.into_iter().enumerate() {
        let (word, shift) = (52 * at / 64, 52 * at % 64);
        let mut part = [0; 4];
        part[word] = limb << shift;
        if shift > 0 && word + 1 < 4 {
            part[word + 1] = limb >> (64 - shift);
        }
        sum = add(sum, part).0;
    }
    sum
}

/// Everything that is computed of two elements in a lane.
struct Everything<'a>(
    &'a [Words; 4],
    &'a [Words; 4],
    &'a mut [[Words; 4]; 12],
    &'a mut [Words; 3],
);

impl Kernel for Everything<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        let (a, b) = (
            Element::<V>::from_words(cpu, self.0),
            Element::from_words(cpu, self.1),
        );
        let biased = Raw::small_biased(a.any_limb(), 0).plus(a.raw());
        let everything = [
            a,
            a.mul(b).carry(),
            a.mul_biased(b).carry(),
            a.square().carry(),
            a.square_biased().carry(),
            a.negated(),
            a.absolute(),
            a.raw().plus(b.raw()).carry(),
            biased.minus(b.raw()).carry(),
            a.mul(b).doubled().carry(),
            invert(a),
            power_p58([a, b])[1],
        ];
        for at in 0..12 {
            everything[at].to_words(&mut self.2[at]);
        }
        a.is_negative().store(&mut self.3[0]);
        a.is_zero().store(&mut self.3[1]);
        a.equals(b).store(&mut self.3[2]);
    }
}

/// All of it, against long arithmetic; `slow` too where that takes long.
fn check(run: impl Fn(Everything), a: [Wide; 8], b: [Wide; 8], slow: bool) {
    let words = |values: [Wide; 8]| std::array::from_fn(|word| Words(values.map(|value| value[word])));
    let mut everything = [[Words::default(); 4]; 12];
    let mut masks = [Words::default(); 3];
    run(Everything(&words(a), &words(b), &mut everything, &mut masks));
    for lane in 0..8 {
        let below_2_255 = |x: Wide| [x[0], x[1], x[2], x[3] & (u64::MAX >> 1)];
        let (a, b) = (reduce(below_2_255(a[lane])), reduce(below_2_255(b[lane])));
        let minus_a = sub_mod([0; 4], a);
        let (product, square) = (mul_mod(a, b), mul_mod(a, a));
        let absolute = if a[0] & 1 == 1 { minus_a } else { a };
        let expected = [
            a,
            product,
            product,
            square,
            square,
            minus_a,
            absolute,
            add_mod(a, b),
            sub_mod(a, b),
            add_mod(product, product),
        ];
        let result = |at: usize| std::array::from_fn(|word| everything[at][word].0[lane]);
        for (at, expected) in expected.into_iter().enumerate() {
            assert_eq!(
                result(at),
                expected,
                "result {at}, lane {lane}, of {a:x?} and {b:x?}"
            );
        }
        if slow {
            let inverse: Wide = result(10);
            let one = if a == [0; 4] { [0; 4] } else { [1, 0, 0, 0] };
            assert_eq!(mul_mod(a, inverse), one, "inverse");
            // x^((p-5)/8)^8 · x^5 = x^p = x.
            let mut power: Wide = result(11);
            for _ in 0..3 {
                power = mul_mod(power, power);
            }
            let b4 = mul_mod(mul_mod(b, b), mul_mod(b, b));
            assert_eq!(mul_mod(power, mul_mod(b4, b)), b, "power");
        }
        let mask = |truth: bool| if truth { u64::MAX } else { 0 };
        assert_eq!(masks[0].0[lane], mask(a[0] & 1 == 1), "is_negative {a:x?}");
        assert_eq!(masks[1].0[lane], mask(a == [0; 4]), "is_zero {a:x?}");
        assert_eq!(masks[2].0[lane], mask(a == b), "equals {a:x?} {b:x?}");
    }
}

fn check_all(a: [Wide; 8], b: [Wide; 8], slow: bool) {
    for lanes in Lanes::available() {
        check(|kernel| lanes.run(kernel), a, b, slow);
    }
}

#[test]
fn edges() {
    let mut edges: Vec<Wide> = Vec::new();
    for near in [[0; 4], P, add(P, P).0, [0, 0, 0, 1 << 63], wide(SQRT_M1)] {
        for offset in 0..3 {
            edges.push(add(near, [offset, 0, 0, 0]).0);
            edges.push(sub(near, [offset, 0, 0, 0]).0);
        }
    }
    // Limbs of all ones, one at a time, all but one, and all.
    let ones = |limbs: u32| wide(std::array::from_fn(|at| u64::from(limbs >> at & 1) * LOW_52));
    edges.extend((0..32).map(ones));
    edges.extend([19, 20, 1 << 52, LOW_52].map(|low| [low, 0, 0, 0]));
    while !edges.len().is_multiple_of(8) {
        edges.push([7; 4]);
    }
    let blocks: Vec<[Wide; 8]> = edges.as_chunks::<8>().0.to_vec();
    for a in &blocks {
        for b in &blocks {
            for rotation in 0..8 {
                let mut b = *b;
                b.rotate_left(rotation);
                check_all(*a, b, rotation == 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_random(a: [Wide; 8], b: [Wide; 8]) {
        check_all(a, b, true);
    }

    #[test]
    fn laws(a: [Wide; 8], b: [Wide; 8], c: [Wide; 8]) {
        let words = |values: [Wide; 8]| -> [Words; 4] {
            std::array::from_fn(|word| Words(values.map(|value| value[word])))
        };
        let inputs = [words(a), words(b), words(c)];
        for lanes in Lanes::available() {
            prop_assert!(lanes.run(Laws(&inputs)), "{lanes:?}");
        }
    }
}

struct Laws<'a>(&'a [[Words; 4]; 3]);

impl Kernel for Laws<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) -> bool {
        let [a, b, c] = [&self.0[0], &self.0[1], &self.0[2]].map(|x| Element::<V>::from_words(cpu, x));
        let sum = |x: Element<V>, y: Element<V>| x.raw().plus(y.raw()).carry();
        let equal = [
            a.times(b).equals(b.times(a)),
            a.times(b).times(c).equals(a.times(b.times(c))),
            a.times(sum(b, c)).equals(a.mul(b).plus(a.mul(c)).carry()),
            sum(a, a.negated()).is_zero(),
            a.squared().equals(a.times(a)),
            a.times(invert(a))
                .equals(Element::small(a.any_limb(), 1))
                .or(a.is_zero()),
            invert(a.times(b)).equals(invert(a).times(invert(b))),
        ];
        equal.into_iter().all(|mask| {
            let mut words = Words::default();
            mask.store(&mut words);
            words == Words([u64::MAX; LANES])
        })
    }
}

#[test]
fn constants_from_their_definition() {
    let one = [1, 0, 0, 0];
    let minus_one = sub_mod([0; 4], one);
    let [d, d2, i, invsqrt_a_minus_d, sqrt_ad_minus_one, half] =
        [D, D2, SQRT_M1, INVSQRT_A_MINUS_D, SQRT_AD_MINUS_ONE, HALF].map(wide);
    assert_eq!(
        mul_mod(d, [121_666, 0, 0, 0]),
        sub_mod([0; 4], [121_665, 0, 0, 0])
    );
    assert_eq!(d2, add_mod(d, d));
    assert_eq!(add_mod(half, half), one);
    // RFC 9496 §4.1: roots are the even ones, but for sqrt(a·d - 1).
    assert_eq!((mul_mod(i, i), i[0] % 2), (minus_one, 0));
    let a_minus_d = sub_mod(minus_one, d);
    let square = mul_mod(invsqrt_a_minus_d, invsqrt_a_minus_d);
    assert_eq!((mul_mod(square, a_minus_d), invsqrt_a_minus_d[0] % 2), (one, 0));
    let square = mul_mod(sqrt_ad_minus_one, sqrt_ad_minus_one);
    assert_eq!((square, sqrt_ad_minus_one[0] % 2), (a_minus_d, 1));
    assert_eq!(wide(ONE_MINUS_D_SQ), sub_mod(one, mul_mod(d, d)));
    let d_minus_one = sub_mod(d, one);
    assert_eq!(wide(D_MINUS_ONE_SQ), mul_mod(d_minus_one, d_minus_one));
    for (multiple, log) in [(HALF_BIAS, 8), (BIAS, 9)] {
        let limbs_of_p = [LOW_52 - 18, LOW_52, LOW_52, LOW_52, LOW_47];
        assert_eq!(wide(limbs_of_p), P);
        assert_eq!(multiple, limbs_of_p.map(|limb| limb << log));
    }
    assert_eq!(u128::from(FOLD), (1u128 << 5) * 19);
}

/// Every formula on ranges: that this passes proves what the comments say of bounds, for all inputs.
mod bounds {
    use super::*;
    use crate::ELEMENT_BYTES;
    use crate::edwards::PointWords;
    use crate::fixed::{self, MultiplyBase};
    use crate::kernels::{Add, Decode, DoubleAndEncode, Encode, FromUniformBytes};
    use crate::multiply::{self, Multiply};
    use crate::vector::interval::Interval;

    fn any<const BITS: u32>() -> Element<Interval<BITS>> {
        let any = Interval::up_to(u64::MAX);
        Element([any, any, any, any, Interval::up_to((1 << 47) + (1 << 16))])
    }

    /// Lanes from zero to the largest an element's limb may be at rest.
    fn any_words() -> PointWords {
        let mut words = [[Words::default(); 5]; 4];
        for coordinate in &mut words {
            any::<52>().store(coordinate);
        }
        words
    }

    fn is_element<const BITS: u32>(element: Element<Interval<BITS>>) {
        assert!(element.0[4].1 <= (1 << 47) + (1 << 16), "{:?}", element.0);
    }

    fn is_product<const BITS: u32>(Raw(limbs): &Raw<Interval<BITS>>, bias: [u64; 5]) {
        for (limb, bias) in limbs.iter().zip(bias) {
            assert!(limb.0 >= bias && limb.1 - bias < 1 << 56, "{limbs:?}");
        }
        assert!(limbs[4].1 - bias[4] < (1 << 56) - (1 << 9), "one bias is enough");
    }

    #[test]
    fn of_the_field() {
        of_the_field_with::<52>();
        of_the_field_with::<32>();
    }

    fn of_the_field_with<const BITS: u32>() {
        let a = any::<BITS>();
        is_product(&a.mul(a), [0; 5]);
        is_product(&a.square(), [0; 5]);
        is_product(&a.mul_biased(a), BIAS);
        is_product(&a.square_biased(), BIAS);
        for raw in [a.mul(a), a.square(), a.mul_biased(a), a.square_biased(), a.raw()] {
            is_element(raw.carry());
        }
        is_element(Raw([Interval::<BITS>::up_to(1 << 63); 5]).carry());
        is_element(Raw([Interval::<BITS>::up_to((1 << 63) - 1); 5]).carry());
        is_element(a.negated());
        let biased = a.mul_biased(a);
        is_element(biased.minus(a.mul(a)).carry());
        is_element(biased.doubled().minus(a.mul_biased(a).minus(a.mul(a))).carry());
        let canonical = a.canonical();
        assert!(canonical[..4].iter().all(|limb| limb.1 <= LOW_52) && canonical[4].1 <= LOW_47);
    }

    #[test]
    fn of_the_kernels() {
        of_the_kernels_with::<52>();
        of_the_kernels_with::<32>();
    }

    fn of_the_kernels_with<const BITS: u32>() {
        let points = [any_words(); 5];
        let mut packed = [[0; ELEMENT_BYTES]; 40];
        Interval::<BITS>::run(
            (),
            Encode {
                points: &points,
                packed: &mut packed,
            },
        );
        Interval::<BITS>::run(
            (),
            DoubleAndEncode {
                points: &points,
                packed: &mut packed,
            },
        );
        for subtract in [false, true] {
            let mut sums = points;
            Interval::<BITS>::run(
                (),
                Add {
                    points: &mut sums,
                    others: &points,
                    subtract,
                },
            );
            stays_within(&sums);
        }
        let mut products = points;
        let scalar = [[Words([0, 0, 0, 0, u64::MAX, u64::MAX, 0, 0]); 4]];
        let workspace = &mut multiply::workspace();
        Interval::<BITS>::run(
            (),
            Multiply {
                points: &mut products,
                scalars: &scalar,
                workspace,
            },
        );
        stays_within(&products);

        let bytes: [[u8; ELEMENT_BYTES]; 40] = std::array::from_fn(|at| [[0, 0xff][at % 2]; ELEMENT_BYTES]);
        let mut decoded = points;
        Interval::<BITS>::run(
            (),
            Decode {
                packed: &bytes,
                points: &mut decoded,
            },
        );
        stays_within(&decoded);
        let uniform: [[u8; 64]; 40] = std::array::from_fn(|at| [[0, 0xff][at % 2]; 64]);
        Interval::<BITS>::run(
            (),
            FromUniformBytes {
                uniform: &uniform,
                points: &mut decoded,
            },
        );
        stays_within(&decoded);

        let table = fixed::Table::for_bounds(LOW_52, (1 << 47) + (1 << 16));
        let scalars = &[scalar[0]; 5];
        Interval::<BITS>::run(
            (),
            MultiplyBase {
                table: &table,
                scalars,
                points: &mut products,
            },
        );
        stays_within(&products);
    }

    fn stays_within(points: &[PointWords]) {
        for [l0, l1, l2, l3, l4] in points.iter().flatten() {
            for limb in [l0, l1, l2, l3] {
                assert!(limb.0.iter().all(|limb| *limb <= LOW_52));
            }
            assert!(l4.0.iter().all(|limb| *limb <= (1 << 47) + (1 << 16)));
        }
    }

    #[test]
    #[should_panic(expected = "below zero")]
    fn notice_a_missing_bias() {
        let _ = any::<52>().mul(any()).minus(any().mul(any()));
    }

    #[test]
    #[should_panic(expected = "wrap around")]
    fn notice_a_sum_that_is_too_large() {
        let mut sum = any::<52>().mul_biased(any());
        for _ in 0..4 {
            sum = sum.doubled();
        }
    }
}
