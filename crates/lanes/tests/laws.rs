//! Group laws, and the agreement of every fast path with the slow one, on any length and on the edges.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use concordat_lanes::{ELEMENT_BYTES, ElementError, ElementFault, FixedBase, Point, Points, Scalar};
use proptest::collection::vec;
use proptest::prelude::*;

/// ℓ, little-endian (RFC 9496 §4).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn order_minus_one() -> Scalar {
    let mut bytes = ORDER;
    bytes[0] -= 1;
    Scalar::from_canonical_bytes(&bytes).unwrap()
}

fn uniform() -> impl Strategy<Value = [u8; 64]> {
    vec(any::<u8>(), 64).prop_map(|bytes| bytes.try_into().unwrap())
}

/// Mostly random, sometimes an edge.
fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        8 => uniform().prop_map(|bytes| Scalar::from_wide_bytes(&bytes)),
        1 => Just(Scalar::ZERO),
        1 => Just(Scalar::ONE),
        1 => Just(order_minus_one()),
    ]
}

fn batch(len: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Points> {
    vec(uniform(), len).prop_map(|uniform| Points::from_uniform_bytes(&uniform))
}

fn same(left: &Points, right: &Points) -> bool {
    left.encode() == right.encode()
}

fn sum(points: &Points) -> Vec<u8> {
    let mut total: Points = [&Point::GENERATOR * &Scalar::ZERO].into_iter().collect();
    for element in points.encode().chunks(ELEMENT_BYTES) {
        total += &Points::decode(element).unwrap();
    }
    total.encode()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn decode_inverts_encode_at_any_length(points in batch(0..40)) {
        let packed = points.encode();
        prop_assert_eq!(packed.len(), points.len() * ELEMENT_BYTES);
        prop_assert_eq!(Points::decode(&packed).unwrap().encode(), packed);
    }

    #[test]
    fn any_32_bytes_either_round_trip_or_are_refused(bytes in vec(any::<u8>(), ELEMENT_BYTES)) {
        match Points::decode(&bytes) {
            Ok(points) => prop_assert_eq!(points.encode(), bytes),
            Err(error) => prop_assert_eq!(error.index, 0),
        }
    }

    #[test]
    fn double_and_encode_encodes_the_double(points in batch(0..40)) {
        let mut doubled = points.clone();
        doubled += &points;
        prop_assert_eq!(points.double_and_encode(), doubled.encode());
    }

    #[test]
    fn halving_and_doubling_cancel(points in batch(1..8), k in scalar()) {
        prop_assert_eq!(points.mul_shared(&k.halve()).double_and_encode(), points.mul_shared(&k).encode());
    }

    #[test]
    fn multiplications_compose(points in batch(1..5), a in scalar(), b in scalar()) {
        prop_assert!(same(&points.mul_shared(&a).mul_shared(&b), &points.mul_shared(&(&a * &b))));
        prop_assert!(same(&points.mul_each(&vec![a.clone(); points.len()]), &points.mul_shared(&a)));
    }

    #[test]
    fn multiplication_distributes(points in batch(1..5), a in scalar(), b in scalar()) {
        let mut difference = points.mul_shared(&a);
        difference -= &points.mul_shared(&b);
        prop_assert!(same(&difference, &points.mul_shared(&(&a - &b))));
        let mut back = difference;
        back += &points.mul_shared(&b);
        prop_assert!(same(&back, &points.mul_shared(&a)));
    }

    #[test]
    fn an_inverse_undoes(points in batch(1..5), k in scalar().prop_filter("not zero", |k| !k.is_zero())) {
        prop_assert!(same(&points.mul_shared(&k).mul_shared(&k.invert()), &points));
    }

    #[test]
    fn a_fixed_base_multiplies_as_any_point(base in batch(1..2), scalars in vec(scalar(), 0..20)) {
        let bytes: [u8; ELEMENT_BYTES] = base.encode().try_into().unwrap();
        let base = Point::decode(&bytes).unwrap();
        let slow: Points = scalars.iter().map(|scalar| &base * scalar).collect();
        let table = FixedBase::new(&base);
        prop_assert!(same(&table.mul_each(&scalars), &slow));
        for scalar in &scalars {
            prop_assert_eq!(table.mul(scalar), &base * scalar);
        }
        let slow: Points = scalars.iter().map(|scalar| &Point::GENERATOR * scalar).collect();
        prop_assert!(same(&FixedBase::GENERATOR.mul_each(&scalars), &slow));
    }

    #[test]
    fn a_sum_of_products_is_the_sum_of_the_products(
        (points, scalars) in (0usize..24).prop_flat_map(|n| (batch(n), vec(scalar_not_zero(), n)))
    ) {
        let total = points.vartime_sum_of_products(&scalars);
        prop_assert_eq!(total.encode().to_vec(), sum(&points.mul_each(&scalars)));
    }

    #[test]
    fn packed_bytes_that_end_inside_an_element_are_refused_there(points in batch(0..5), extra in 1usize..32) {
        let mut packed = points.encode();
        packed.extend(std::iter::repeat_n(0x2a, extra));
        let expected = ElementError { index: points.len(), reason: ElementFault::WrongLength };
        prop_assert_eq!(Points::decode(&packed).unwrap_err(), expected);
    }
}

fn scalar_not_zero() -> impl Strategy<Value = Scalar> {
    scalar().prop_filter("not zero", |k| !k.is_zero())
}

#[test]
fn long_batches_take_the_other_paths_and_agree() {
    // 1,100 points: three pieces of double_and_encode, and the bucket method of the sum.
    let uniform: Vec<[u8; 64]> = (0..1_100u16)
        .map(|i| std::array::from_fn(|at| if at < 2 { i.to_le_bytes()[at] } else { 7 }))
        .collect();
    let points = Points::from_uniform_bytes(&uniform);
    let scalars: Vec<Scalar> = uniform.iter().map(Scalar::from_wide_bytes).collect();
    let mut doubled = points.clone();
    doubled += &points;
    assert_eq!(points.double_and_encode(), doubled.encode());
    assert_eq!(
        points.vartime_sum_of_products(&scalars).encode().to_vec(),
        sum(&points.mul_each(&scalars))
    );
}

#[test]
fn scalars_at_the_edges() {
    assert_eq!(Scalar::from_canonical_bytes(&ORDER), None);
    assert_eq!(Scalar::from_canonical_bytes(&[0xff; 32]), None);
    assert!(Scalar::from_canonical_bytes(&[0; 32]).unwrap().is_zero());
    assert!(Scalar::ZERO.is_zero() && !Scalar::ONE.is_zero());
    assert_eq!(Scalar::ZERO.invert(), Scalar::ZERO);

    let mut wide = [0; 64];
    wide[..32].copy_from_slice(&ORDER);
    assert!(Scalar::from_wide_bytes(&wide).is_zero());
    wide[0] += 1;
    assert_eq!(Scalar::from_wide_bytes(&wide), Scalar::ONE);

    let minus_one = order_minus_one();
    assert_eq!(&Scalar::ZERO - &Scalar::ONE, minus_one);
    assert_eq!(&minus_one * &minus_one, Scalar::ONE);
    let mut points = Points::from_uniform_bytes(&[[9; 64]; 3]);
    points += &points.mul_shared(&minus_one);
    assert_eq!(points.encode(), [0; 3 * ELEMENT_BYTES]);
    assert_eq!(points.double_and_encode(), [0; 3 * ELEMENT_BYTES]);
    assert_eq!(points.position_of_identity(), Some(0));
}

#[test]
fn the_first_identity_is_found() {
    let mut points = Points::from_uniform_bytes(&[[1; 64], [2; 64], [3; 64]]);
    assert_eq!(points.position_of_identity(), None);
    let same_at_one: Points = Points::from_uniform_bytes(&[[4; 64], [2; 64], [3; 64]]);
    points -= &same_at_one;
    assert_eq!(points.position_of_identity(), Some(1));
}

#[test]
fn empty_batches_are_batches() {
    let empty = Points::decode(&[]).unwrap();
    assert!(empty.is_empty() && empty.encode().is_empty() && empty.double_and_encode().is_empty());
    assert!(empty.mul_shared(&Scalar::ONE).is_empty());
    assert_eq!(empty.vartime_sum_of_products(&[]).encode(), [0; ELEMENT_BYTES]);
    assert_eq!(empty.position_of_identity(), None);
}

#[test]
fn nothing_secret_is_printed() {
    let secret = Scalar::from_wide_bytes(&[0xab; 64]);
    assert_eq!(format!("{secret:?}"), "Scalar(..)");
    assert_eq!(
        format!("{:?}", Points::from_uniform_bytes(&[[0xab; 64]])),
        "Points(1 points)"
    );
}
