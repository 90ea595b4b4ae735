//! Does the time of an operation tell what it works on? Welch's t-test, as dudect does it.
//!
//! `cargo bench -p concordat-lanes --bench timing [measurements]`
//!
//! Each operation runs on two classes of secrets, in random order, always from the same memory: one fixed value that
//! is special (zero, one, all equal), and random ones. |t| is printed for all measurements and for the quicker part
//! of them, which other programs disturbed less. Above 4.5 the two classes differ; below, no difference was seen.
//! A control that is variable in time by design must show a difference.
//! This program judges nothing by itself: on a busy machine it may take a second run to tell noise from a leak.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]

use std::hint::black_box;
use std::time::Instant;

use concordat_lanes::{ELEMENT_BYTES, Engine, FixedBase, Point, Points, Scalar};

const POINTS: usize = 16;
/// Random inputs of each class; measurements go round them.
const INPUTS: usize = 32;
/// The quicker part that is looked at, in percent.
const CROPS: [usize; 4] = [100, 90, 50, 20];

fn main() {
    let measurements = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(4_000);
    let mut random = Random(1);
    print!("{measurements} measurements of {POINTS} points. |t| of the quickest");
    CROPS.iter().for_each(|crop| print!("  {crop} %"));
    println!();
    // The emulation promises nothing here.
    for engine in Engine::available()
        .into_iter()
        .filter(|engine| !Engine::EMULATED.contains(engine))
    {
        println!("{}", engine.name());
        every_operation(engine, measurements, &mut random);
    }
}

fn every_operation(engine: Engine, measurements: usize, random: &mut Random) {
    let points = |random: &mut Random| Points::from_uniform_bytes_on(engine, &random.uniform());
    let minus_one = &Scalar::ZERO - &Scalar::ONE;
    let fixed_points = Points::from_points_on(engine, &[Point::GENERATOR; POINTS]);
    let identity = Points::from_points_on(engine, &[&Point::GENERATOR * &Scalar::ZERO; POINTS]);

    let one_base = points(random);
    for (name, fixed) in [("0", Scalar::ZERO), ("1", Scalar::ONE), ("l - 1", minus_one)] {
        let scalars = |random: &mut Random| random.scalar();
        report(
            &format!("mul_shared, k = {name}"),
            measurements,
            random,
            fixed.clone(),
            scalars,
            |k| {
                black_box(one_base.mul_shared(k));
            },
        );
    }
    let k = random.scalar();
    for (name, fixed) in [("the generator", &fixed_points), ("the identity", &identity)] {
        let name = format!("mul_shared, of {name}");
        report(&name, measurements, random, fixed.clone(), points, |points| {
            black_box(points.mul_shared(&k));
        });
    }
    let scalars = |random: &mut Random| (0..POINTS).map(|_| random.scalar()).collect::<Vec<_>>();
    let zeros = vec![Scalar::ZERO; POINTS];
    report(
        "mul_each, all zero",
        measurements,
        random,
        zeros.clone(),
        scalars,
        |scalars| {
            black_box(one_base.mul_each(scalars));
        },
    );
    // Something that does depend on its inputs: if this one shows no difference, the others prove nothing.
    let many = Points::from_points_on(engine, &[Point::GENERATOR; 8 * POINTS]);
    let name = "CONTROL, variable: sum of products, all zero";
    report(name, measurements, random, zeros.clone(), scalars, |scalars| {
        black_box(many.vartime_sum_of_products(&vec![scalars.to_vec(); 8].concat()));
    });
    let table = FixedBase::new_on(engine, &Point::GENERATOR);
    report(
        "fixed base, all zero",
        measurements,
        random,
        zeros,
        scalars,
        |scalars| {
            black_box(table.mul_each(scalars));
        },
    );
    report(
        "encode, the identity",
        measurements,
        random,
        identity.clone(),
        points,
        |points| {
            black_box(points.encode());
        },
    );
    report(
        "double_and_encode, the identity",
        measurements,
        random,
        identity,
        points,
        |points| {
            black_box(points.double_and_encode());
        },
    );
    report(
        "from_uniform_bytes, zeros",
        measurements,
        random,
        vec![[0; 64]; POINTS],
        Random::uniform,
        |bytes| {
            black_box(Points::from_uniform_bytes_on(engine, bytes));
        },
    );
    let encodings = |random: &mut Random| points(random).encode();
    report(
        "decode, the generator",
        measurements,
        random,
        fixed_points.encode(),
        encodings,
        |packed| {
            assert_eq!(packed.len(), POINTS * ELEMENT_BYTES);
            black_box(Points::decode_on(engine, packed).unwrap());
        },
    );
}

fn report<T: Clone>(
    name: &str,
    measurements: usize,
    random: &mut Random,
    fixed: T,
    mut draw: impl FnMut(&mut Random) -> T,
    run: impl Fn(&T),
) {
    let drawn: Vec<T> = (0..INPUTS).map(|_| draw(random)).collect();
    // As many copies, so that both classes come from as much memory: what one evicts, the other does.
    let fixed = vec![fixed; INPUTS];
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for measurement in 0..measurements {
        let class = (random.word() & 1) as usize;
        // Copied in both classes, so that both come from memory that was just written.
        let input = [&fixed, &drawn][class][measurement % INPUTS].clone();
        let start = Instant::now();
        run(black_box(&input));
        times[class].push(start.elapsed().as_nanos() as f64);
    }
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    print!("  {name:52}");
    for crop in CROPS {
        let limit = all[(all.len() - 1) * crop / 100];
        let [a, b] = times
            .each_ref()
            .map(|times| Sample::of(times.iter().copied().filter(|time| *time <= limit)));
        print!("{:7.2}", a.t(&b).abs());
    }
    println!();
}

struct Sample {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Sample {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self {
            count,
            mean,
            variance,
        }
    }

    fn t(&self, other: &Self) -> f64 {
        (self.mean - other.mean) / (self.variance / self.count + other.variance / other.count).sqrt()
    }
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

    fn uniform(&mut self) -> Vec<[u8; 64]> {
        (0..POINTS)
            .map(|_| std::array::from_fn(|_| self.word() as u8))
            .collect()
    }

    fn scalar(&mut self) -> Scalar {
        Scalar::from_wide_bytes(&std::array::from_fn(|_| self.word() as u8))
    }
}
