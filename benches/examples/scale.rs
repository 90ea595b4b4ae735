//! What an item costs in sets of 8 to a million, on one core and on two, and the memory it takes.
//!
//! `cargo run --release -p concordat-benches --example scale`
//!
//! `evaluate_prove`: packed elements in batches of at most 4,096, as nodes compare whole lists. `own_set`: the owner's
//! inputs, as many as there are. Microseconds of time that passes, for each item; the best of some rounds. Memory is
//! the most this process held so far, inputs and results with it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example, run by hand")]

use std::hint::black_box;
use std::time::Instant;

use concordat_oprf::{Client, ELEMENT_BYTES, KeyPair};
use rand::SeedableRng;
use rand::rngs::StdRng;

const SIZES: [usize; 7] = [8, 64, 512, 4_096, 65_536, 262_144, 1_000_000];
const BATCH: usize = 4_096;

fn main() {
    let key_pair = KeyPair::derive(&[1; 32], b"scale").unwrap();
    let client = Client::new(*key_pair.public_key());
    println!("engine {}; µs for each item", concordat_lanes::engine());
    println!(
        "{:>9}  evaluate_prove      2 cores   gain     own_set      2 cores   gain      MiB",
        "items"
    );
    for size in SIZES {
        let inputs: Vec<Vec<u8>> = (0..size).map(|n| format!("scale|{n:026}").into_bytes()).collect();
        let elements: Vec<u8> = inputs
            .chunks(BATCH)
            .flat_map(|inputs| client.blind(inputs, &mut rng()).unwrap().elements().to_vec())
            .collect();
        let evaluate = |elements: &[u8]| {
            for batch in elements.chunks(BATCH * ELEMENT_BYTES) {
                black_box(key_pair.blind_evaluate(batch, &mut rng()).unwrap());
            }
        };
        let own = |inputs: &[Vec<u8>]| drop(black_box(key_pair.evaluate_own(inputs).unwrap()));
        print!("{size:9}");
        row(size, elements.as_slice(), ELEMENT_BYTES, evaluate);
        row(size, inputs.as_slice(), 1, own);
        println!("{:9.1}", peak_kib() as f64 / 1024.0);
    }
}

/// One core, then two with half of `all` each; an item is `width` of its elements.
fn row<T: Sync>(items: usize, all: &[T], width: usize, work: impl Fn(&[T]) + Sync) {
    let (left, right) = all.split_at(items / 2 * width);
    let one = best(items, || work(all));
    let two = best(items, || {
        std::thread::scope(|scope| {
            scope.spawn(|| work(left));
            work(right);
        });
    });
    print!("{one:14.2} {two:12.2} {:6.2}", one / two);
}

fn best(items: usize, run: impl Fn()) -> f64 {
    let rounds = (200_000 / items).clamp(2, 200);
    let times = (0..rounds).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e6 / items as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

/// The most memory this process held.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn rng() -> StdRng {
    StdRng::from_seed([2; 32])
}
