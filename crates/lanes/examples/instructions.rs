//! Multiplies and encodes points of one class on one engine, for a tool that counts instructions: the count must be
//! the same for every class. What differs by a few belongs to `memcpy`, which looks at where the heap put its operands.
//!
//! ```console
//! $ cargo build --release -p concordat-lanes --example instructions
//! $ for class in random identity generator; do valgrind --tool=callgrind --toggle-collect='*counted*' \
//!       target/release/examples/instructions avx2 $class 2>&1 | grep Collected; done
//! ```

#![expect(clippy::unwrap_used, reason = "a program for people")]

use std::hint::black_box;

use concordat_lanes::{Engine, Point, Points, Scalar};

const COUNT: usize = 16;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (name, class) = (arguments.next().unwrap(), arguments.next().unwrap());
    let engine = Engine::available()
        .into_iter()
        .find(|engine| engine.name() == name)
        .unwrap();
    let alike = |point| Points::from_points_on(engine, &[point; COUNT]);
    let (points, k) = match class.as_str() {
        "identity" => (alike(&Point::GENERATOR * &Scalar::ZERO), Scalar::ZERO),
        "generator" => (alike(Point::GENERATOR), &Scalar::ZERO - &Scalar::ONE),
        _ => {
            let uniform: [[u8; 64]; COUNT] =
                std::array::from_fn(|at| std::array::from_fn(|byte| (at * 77 + byte * 59) as u8));
            let points = Points::from_uniform_bytes_on(engine, &uniform);
            (points, Scalar::from_wide_bytes(&[7; 64]))
        }
    };
    counted(black_box(&points), black_box(&k));
}

#[inline(never)]
fn counted(points: &Points, k: &Scalar) {
    black_box(points.mul_shared(k));
    black_box(points.encode());
    black_box(points.double_and_encode());
}
