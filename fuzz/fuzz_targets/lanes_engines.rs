//! All engines give the same points, the same bytes and the same errors.

#![no_main]

use concordat_lanes::{ELEMENT_BYTES, ElementError, Engine, FixedBase, Point, Points, Scalar};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<[u8; 64]>, Vec<[u8; 64]>)| {
    let (packed, mut uniform, mut wide) = input;
    // Enough for a vector and a tail; the emulation is slow.
    uniform.truncate(11);
    wide.resize(uniform.len(), [0; 64]);
    let scalars: Vec<Scalar> = wide.iter().map(Scalar::from_wide_bytes).collect();
    let results: Vec<_> = Engine::available()
        .into_iter()
        .map(|engine| (decoded(engine, &packed), computed(engine, &uniform, &scalars)))
        .collect();
    assert!(
        results.iter().all(|result| *result == results[0]),
        "the engines differ"
    );
});

fn decoded(engine: Engine, packed: &[u8]) -> Result<Vec<u8>, ElementError> {
    let packed = &packed[..packed.len().min(11 * ELEMENT_BYTES + 1)];
    let points = Points::decode_on(engine, packed)?;
    assert_eq!(points.encode(), packed, "one encoding for each element");
    Ok(points.double_and_encode())
}

fn computed(engine: Engine, uniform: &[[u8; 64]], scalars: &[Scalar]) -> Vec<Vec<u8>> {
    let points = Points::from_uniform_bytes_on(engine, uniform);
    let k = scalars.first().cloned().unwrap_or(Scalar::ONE);
    let mut sums = points.mul_each(scalars);
    sums -= &points;
    vec![
        points.encode(),
        points.mul_shared(&k).double_and_encode(),
        sums.encode(),
        FixedBase::new_on(engine, &Point::GENERATOR)
            .mul_each(scalars)
            .encode(),
        points.vartime_sum_of_products(scalars).encode().to_vec(),
    ]
}
