//! The same operations without the processor's help: for tests, Miri and fuzzing, on any machine.
//!
//! It checks what the processor does not: no sum may wrap, no difference go below zero. Slow, and not hardened
//! against timing: no one's secret runs through it. Nothing is inlined: the formulas are long, and eight times as
//! long here.

use super::{Kernel, LANES, Multiply32, Multiply52, Task, Vector, Words};
use crate::field::{multiply32, multiply52};

/// Eight integers in an array, of a processor whose multiplier takes integers of 52 or of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Emulated<const BITS: u32>([u64; LANES]);

/// What the multiplier sees of an operand.
const LOW_52: u64 = (1 << 52) - 1;

fn product(a: u64, b: u64) -> u128 {
    u128::from(a & LOW_52) * u128::from(b & LOW_52)
}

fn small_product(a: u64, b: u64) -> u64 {
    assert!((a | b) >> 26 == 0, "a factor is not small");
    a * b
}

#[expect(
    clippy::expect_used,
    reason = "to panic on a broken bound is what this engine is for"
)]
fn sum(a: u64, b: u64) -> u64 {
    a.checked_add(b).expect("a lane wraps around")
}

#[expect(
    clippy::expect_used,
    reason = "to panic on a broken bound is what this engine is for"
)]
fn difference(a: u64, b: u64) -> u64 {
    a.checked_sub(b).expect("a lane goes below zero")
}

impl<const BITS: u32> Emulated<BITS> {
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }

    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(f))
    }
}

impl<const BITS: u32> Vector for Emulated<BITS> {
    type Cpu = ();

    fn run<K: Kernel>((): (), kernel: K) -> K::Output {
        kernel.run::<Self>(())
    }

    #[inline(never)]
    fn call<T: Task<Self>>(self, task: T) -> T::Output {
        task.run()
    }

    fn cpu(self) {}

    #[inline(never)]
    fn load((): (), words: &Words) -> Self {
        Self(words.0)
    }

    #[inline(never)]
    fn store(self, words: &mut Words) {
        words.0 = self.0;
    }

    #[inline(never)]
    fn splat(self, value: u64) -> Self {
        Self([value; LANES])
    }

    #[inline(never)]
    fn plus(self, other: Self) -> Self {
        self.zip(other, sum)
    }

    #[inline(never)]
    fn minus(self, other: Self) -> Self {
        self.zip(other, difference)
    }

    #[inline(never)]
    fn plus_small_product(self, a: Self, b: Self) -> Self {
        self.plus(a.zip(b, small_product))
    }

    #[inline(never)]
    fn product(start: [Self; 5], a: [Self; 5], b: [Self; 5]) -> [Self; 5] {
        if BITS == 32 {
            multiply32::product(start, a, b)
        } else {
            multiply52::product(start, a, b)
        }
    }

    #[inline(never)]
    fn square(half_start: [Self; 5], a: [Self; 5]) -> [Self; 5] {
        if BITS == 32 {
            multiply32::square(half_start, a)
        } else {
            multiply52::square(half_start, a)
        }
    }

    #[inline(never)]
    fn shr<const N: u32>(self) -> Self {
        self.map(|lane| lane >> N)
    }

    #[inline(never)]
    fn shl<const N: u32>(self) -> Self {
        self.map(|lane| lane << N)
    }

    #[inline(never)]
    fn shr_by(self, n: u32) -> Self {
        self.map(|lane| lane.checked_shr(n).unwrap_or(0))
    }

    #[inline(never)]
    fn shl_by(self, n: u32) -> Self {
        self.map(|lane| lane.checked_shl(n).unwrap_or(0))
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    #[inline(never)]
    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    #[inline(never)]
    fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    fn wrapping_plus(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }

    fn rotated<const N: i32>(self) -> Self {
        self.map(|lane| lane.rotate_right(N.unsigned_abs()))
    }

    fn xor3(a: Self, b: Self, c: Self) -> Self {
        a.xor(b).xor(c)
    }

    fn choose(a: Self, b: Self, c: Self) -> Self {
        a.and(b).or(a.map(|lane| !lane).and(c))
    }

    fn majority(a: Self, b: Self, c: Self) -> Self {
        a.and(b).or(a.and(c)).or(b.and(c))
    }

    #[inline(never)]
    fn select(mask: Self, a: Self, b: Self) -> Self {
        debug_assert!(mask.0.iter().all(|&lane| lane == 0 || lane == u64::MAX), "a mask");
        Self::choose(mask, a, b)
    }

    #[inline(never)]
    fn equals(self, other: Self) -> Self {
        self.zip(other, |a, b| if a == b { u64::MAX } else { 0 })
    }

    #[inline(never)]
    fn lowest_bit(self) -> Self {
        self.map(|lane| 0u64.wrapping_sub(lane & 1))
    }

    #[inline(never)]
    fn lookup(self, low: &Words, high: &Words) -> Self {
        self.map(|lane| [low, high][lane as usize / LANES % 2].0[lane as usize % LANES])
    }
}

impl<const BITS: u32> Multiply52 for Emulated<BITS> {
    #[inline(never)]
    fn madd_lo(self, a: Self, b: Self) -> Self {
        self.plus(a.zip(b, |a, b| product(a, b) as u64 & LOW_52))
    }

    #[inline(never)]
    fn madd_hi(self, a: Self, b: Self) -> Self {
        self.plus(a.zip(b, |a, b| (product(a, b) >> 52) as u64))
    }
}

impl<const BITS: u32> Multiply32 for Emulated<BITS> {
    #[inline(never)]
    fn times(self, other: Self) -> Self {
        self.zip(other, |a, b| u64::from(a as u32) * u64::from(b as u32))
    }

    #[inline(never)]
    fn less(self, a: Self, b: Self, max: u64) -> Self {
        let difference = self.minus(a).minus(b);
        assert!(difference.0.iter().all(|lane| *lane <= max), "above its bound");
        difference
    }
}
