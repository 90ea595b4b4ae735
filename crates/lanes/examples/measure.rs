//! Microseconds per item of each operation, every engine beside curve25519-dalek, rounds interleaved. The best of all
//! rounds: on a machine that does other things too, that is what repeats.
//!
//! `cargo run --release -p concordat-lanes --example measure [ITEMS] [OPERATION]`, the latter the beginning of a name.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]

use std::hint::black_box;
use std::time::Instant;

use concordat_lanes::sha512::{BLOCK_BYTES, HASH_BYTES, Prefix};
use concordat_lanes::{Engine, FixedBase, Point, Points, Scalar};

const ROUNDS: usize = 101;

fn main() {
    let items: usize = std::env::args()
        .nth(1)
        .map_or(1024, |items| items.parse().unwrap());
    let mut engines = Engine::available();
    let only = std::env::args().nth(2).unwrap_or_default();
    engines.retain(|engine| !Engine::EMULATED.contains(engine));
    let uniform: Vec<[u8; 64]> = (0..items).map(bytes).collect();
    let scalars: Vec<Scalar> = uniform.iter().map(Scalar::from_wide_bytes).collect();
    let k = Scalar::from_wide_bytes(&bytes(1 << 20));
    let packed = Points::from_uniform_bytes(&uniform).encode();

    println!("{items} items, µs per item");
    print!("{:28}", "");
    for engine in &engines {
        print!("{:>12}", engine.name());
    }
    println!("{:>9}", "ratio");
    let row = |name: &str, run: &dyn Fn(Engine, &Points) -> usize| {
        if !name.starts_with(&only) {
            return;
        }
        let points: Vec<Points> = engines
            .iter()
            .map(|engine| Points::decode_on(*engine, &packed).unwrap())
            .collect();
        let rounds = if items > 10_000 { 7 } else { ROUNDS };
        let mut times = vec![Vec::new(); engines.len()];
        for _ in 0..rounds {
            for ((engine, points), times) in engines.iter().zip(&points).zip(&mut times) {
                let start = Instant::now();
                black_box(run(*engine, black_box(points)));
                times.push(start.elapsed().as_secs_f64() * 1e6 / items as f64);
            }
        }
        print!("{name:28}");
        for times in &mut times {
            times.sort_by(f64::total_cmp);
            print!("{:12.3}", times[0]);
        }
        println!("{:9.2}", times[times.len() - 1][0] / times[0][0]);
    };
    row("decode", &|engine, _| {
        Points::decode_on(engine, &packed).unwrap().len()
    });
    row("encode", &|_, points| points.encode().len());
    row("double_and_encode", &|_, points| points.double_and_encode().len());
    row("from_uniform_bytes", &|engine, _| {
        Points::from_uniform_bytes_on(engine, &uniform).len()
    });
    row("mul_shared", &|_, points| points.mul_shared(&k).len());
    row("mul_each", &|_, points| points.mul_each(&scalars).len());
    let tables: Vec<FixedBase> = engines
        .iter()
        .map(|engine| FixedBase::new_on(*engine, &Point::GENERATOR))
        .collect();
    row("fixed base", &|engine, _| {
        let at = engines.iter().position(|other| *other == engine).unwrap();
        tables[at].mul_each(&scalars).len()
    });
    row("fixed base, its table", &|engine, _| {
        black_box(FixedBase::new_on(engine, &Point::GENERATOR));
        0
    });
    row("bytes, k·P, bytes", &|engine, _| {
        let points = Points::decode_on(engine, &packed).unwrap();
        points.mul_shared(&k.halve()).double_and_encode().len()
    });
    row("SHA-512 of 191 bytes", &|engine, _| {
        composite_hashes(engine, items);
        0
    });
    row("vartime sum of products", &|_, points| {
        black_box(points.vartime_sum_of_products(&scalars));
        0
    });
}

/// The hash of one pair of elements in the composites of a proof: 191 bytes after a block that is always the same.
fn composite_hashes(engine: Engine, items: usize) {
    let prefix = Prefix::new(&[[0; BLOCK_BYTES]]);
    let mut hashes = vec![[0; HASH_BYTES]; items];
    prefix.hash_each_on(engine, &mut hashes, |at, message| {
        message.push(&[at as u8; 100]);
        message.push(&[0x5a; 91]);
    });
    black_box(hashes);
}

fn bytes(seed: usize) -> [u8; 64] {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    std::array::from_fn(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
}
