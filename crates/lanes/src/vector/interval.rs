//! Ranges instead of numbers: running a formula on them once shows that no lane overflows, whatever the inputs.
//!
//! The formulas branch on nothing, so one run covers all of them. An operation panics when *some* value of its
//! operands' ranges would make it wrap or go below zero. In memory a range is a block whose lanes lie between its ends.

use super::{Kernel, Multiply32, Multiply52, Task, Vector, Words};
use crate::field::{multiply32, multiply52};

/// All that a lane may hold: from the first to the second, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval<const BITS: u32>(pub(crate) u64, pub(crate) u64);

const LOW_52: u64 = (1 << 52) - 1;

impl<const BITS: u32> Interval<BITS> {
    /// Everything up to `max`.
    pub(crate) const fn up_to(max: u64) -> Self {
        Self(0, max)
    }

    /// What the multiplier sees: the low 52 bits.
    const fn low(self) -> Self {
        if self.1 <= LOW_52 { self } else { Self(0, LOW_52) }
    }

    /// The least 2^n - 1 that is not below anything in it.
    const fn all_ones(self) -> u64 {
        if self.1 == 0 {
            0
        } else {
            u64::MAX >> self.1.leading_zeros()
        }
    }
}

impl<const BITS: u32> Vector for Interval<BITS> {
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
        let max = words.0.iter().copied().max().unwrap_or(0);
        let min = words.0.iter().copied().min().unwrap_or(0);
        Self(min, max)
    }

    /// The least in lane 0, the greatest in the others.
    #[inline(never)]
    fn store(self, words: &mut Words) {
        words.0 = [self.1; 8];
        words.0[0] = self.0;
    }

    #[inline(never)]
    fn splat(self, value: u64) -> Self {
        Self(value, value)
    }

    #[inline(never)]
    fn plus(self, other: Self) -> Self {
        let (min, max) = (self.0 + other.0, self.1.checked_add(other.1));
        Self(min, max.expect("a sum may wrap around"))
    }

    #[inline(never)]
    fn minus(self, other: Self) -> Self {
        let min = self.0.checked_sub(other.1);
        Self(min.expect("a difference may go below zero"), self.1 - other.0)
    }

    #[inline(never)]
    fn plus_small_product(self, a: Self, b: Self) -> Self {
        assert!((a.1 | b.1) >> 26 == 0, "a factor may not be small");
        self.plus(Self(a.0 * b.0, a.1 * b.1))
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
        Self(self.0 >> N, self.1 >> N)
    }

    #[inline(never)]
    fn shl<const N: u32>(self) -> Self {
        self.shl_by(N)
    }

    #[inline(never)]
    fn shr_by(self, n: u32) -> Self {
        Self(self.0 >> n, self.1 >> n)
    }

    #[inline(never)]
    fn shl_by(self, n: u32) -> Self {
        if self.1.leading_zeros() >= n {
            Self(self.0 << n, self.1 << n)
        } else {
            Self(0, u64::MAX)
        }
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        Self(0, self.1.min(other.1))
    }

    #[inline(never)]
    fn or(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.all_ones() | other.all_ones())
    }

    #[inline(never)]
    fn xor(self, other: Self) -> Self {
        Self(0, self.all_ones() | other.all_ones())
    }

    fn wrapping_plus(self, _other: Self) -> Self {
        Self(0, u64::MAX)
    }

    fn rotated<const N: i32>(self) -> Self {
        Self(0, u64::MAX)
    }

    fn xor3(a: Self, b: Self, c: Self) -> Self {
        a.xor(b).xor(c)
    }

    fn choose(_a: Self, b: Self, c: Self) -> Self {
        Self(0, b.all_ones() | c.all_ones())
    }

    fn majority(a: Self, b: Self, c: Self) -> Self {
        a.xor(b).xor(c)
    }

    #[inline(never)]
    fn select(_mask: Self, a: Self, b: Self) -> Self {
        Self(a.0.min(b.0), a.1.max(b.1))
    }

    #[inline(never)]
    fn equals(self, _other: Self) -> Self {
        Self(0, u64::MAX)
    }

    #[inline(never)]
    fn lowest_bit(self) -> Self {
        Self(0, u64::MAX)
    }

    #[inline(never)]
    fn lookup(self, low: &Words, high: &Words) -> Self {
        let (a, b) = (Self::load((), low), Self::load((), high));
        Self(a.0.min(b.0), a.1.max(b.1))
    }
}

impl<const BITS: u32> Multiply52 for Interval<BITS> {
    #[inline(never)]
    fn madd_lo(self, a: Self, b: Self) -> Self {
        let max = u128::from(a.low().1) * u128::from(b.low().1);
        self.plus(Self(0, max.min(u128::from(LOW_52)) as u64))
    }

    #[inline(never)]
    fn madd_hi(self, a: Self, b: Self) -> Self {
        let max = u128::from(a.low().1) * u128::from(b.low().1);
        self.plus(Self(0, (max >> 52) as u64))
    }
}

impl<const BITS: u32> Multiply32 for Interval<BITS> {
    #[inline(never)]
    fn times(self, other: Self) -> Self {
        let [a, b] = [self, other].map(|x| u32::try_from(x.1).expect("a factor may be cut off"));
        Self(self.0 * other.0, u64::from(a) * u64::from(b))
    }

    /// Taken on trust: ranges do not know that the operands depend on each other. The caller shows it, and the
    /// emulation checks it.
    #[inline(never)]
    fn less(self, _a: Self, _b: Self, max: u64) -> Self {
        Self(0, max)
    }
}
