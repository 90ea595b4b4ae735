//! Eight 64-bit integers at a time: the few operations the arithmetic is written in, and who can do them.
//!
//! All of the arithmetic above is generic over [`Vector`] and written once, but for multiplication, which there is
//! for a multiplier of 52 bits and for one of 32. `ifma` and `avx2` run it on the processor; `emulated` runs it
//! anywhere, one integer after the other, and panics where an addition would wrap or a subtraction go below zero;
//! `interval` (tests) runs it on ranges instead of numbers, which proves the bounds that the comments state, for
//! every input.
//!
//! # How the generated code stays fast
//! The functions with the processor's features enabled are few: one for each [`Kernel`] and each [`Task`].
//! Everything else is `#[inline(always)]`, has no feature attribute and holds no closure, so that it is compiled
//! inside such a function, with the features on. Tasks keep the code short where speed does not suffer.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(any(test, feature = "emulation"))]
mod emulated;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(test)]
pub(crate) mod interval;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::{Avx2, Avx2Cpu};
#[cfg(any(test, feature = "emulation"))]
pub(crate) use emulated::Emulated;
#[cfg(target_arch = "x86_64")]
pub(crate) use ifma::{Ifma, IfmaCpu};

use zeroize::Zeroize;

/// How many integers a vector holds, and so how many points are worked on at once.
pub(crate) const LANES: usize = 8;

/// A vector at rest: one integer for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroize)]
#[repr(C, align(64))]
pub(crate) struct Words(pub(crate) [u64; LANES]);

/// Eight 64-bit integers in a register.
///
/// A value proves that the processor has what its operations need: the first ones come from [`Vector::load`], which
/// wants [`Vector::Cpu`] as evidence. A *mask* is a vector whose lanes are all ones or all zeros.
///
/// Every operation takes the same time whatever the lanes hold.
pub(crate) trait Vector: Copy {
    /// Evidence that this processor can do it.
    type Cpu: Copy;

    /// Runs `kernel` in a function of its own, compiled for this processor.
    fn run<K: Kernel>(cpu: Self::Cpu, kernel: K) -> K::Output;

    /// Runs `task` in a function of its own: for what is needed in many places and is not the innermost loop.
    fn call<T: Task<Self>>(self, task: T) -> T::Output;

    /// The evidence this value stands for.
    fn cpu(self) -> Self::Cpu;

    /// From memory.
    fn load(cpu: Self::Cpu, words: &Words) -> Self;

    /// To memory.
    fn store(self, words: &mut Words);

    /// `value` in every lane.
    fn splat(self, value: u64) -> Self;

    /// Sum. The caller shows that it stays below 2^64.
    fn plus(self, other: Self) -> Self;

    /// Difference. The caller shows that it does not go below zero.
    fn minus(self, other: Self) -> Self;

    /// `self` plus the product of `a` and `b`, which must be below 2^26.
    fn plus_small_product(self, a: Self, b: Self) -> Self;

    /// `start` + a·b, as [`crate::field`] says: limbs of 52 bits, by the algorithm that suits the multiplier.
    fn product(start: [Self; 5], a: [Self; 5], b: [Self; 5]) -> [Self; 5];

    /// 2·`half_start` + a², likewise.
    fn square(half_start: [Self; 5], a: [Self; 5]) -> [Self; 5];

    /// Divides by 2^N, rounding down.
    fn shr<const N: u32>(self) -> Self;

    /// Multiplies by 2^N; bits beyond the 64th are lost.
    fn shl<const N: u32>(self) -> Self;

    /// Divides by 2^n, rounding down; 0 for n > 63.
    fn shr_by(self, n: u32) -> Self;

    /// Multiplies by 2^n; bits beyond the 64th are lost, all of them for n > 63.
    fn shl_by(self, n: u32) -> Self;

    /// Bit by bit.
    fn and(self, other: Self) -> Self;

    /// Bit by bit.
    fn or(self, other: Self) -> Self;

    /// Bit by bit.
    fn xor(self, other: Self) -> Self;

    /// Sum modulo 2^64.
    fn wrapping_plus(self, other: Self) -> Self;

    /// Rotates to the right by N bits.
    fn rotated<const N: i32>(self) -> Self;

    /// a xor b xor c.
    fn xor3(a: Self, b: Self, c: Self) -> Self;

    /// Bit by bit: that of `b` where `a` has a one, that of `c` elsewhere.
    fn choose(a: Self, b: Self, c: Self) -> Self;

    /// Bit by bit: what two of the three have.
    fn majority(a: Self, b: Self, c: Self) -> Self;

    /// `a` where the mask has ones, `b` where it has zeros.
    fn select(mask: Self, a: Self, b: Self) -> Self;

    /// A mask: where the lanes are equal.
    fn equals(self, other: Self) -> Self;

    /// A mask: where the lowest bit is set.
    fn lowest_bit(self) -> Self;

    /// For each lane, entry `lane % 16` of the 16 in `low` and `high`, which are read whole: no address depends on
    /// the lanes.
    fn lookup(self, low: &Words, high: &Words) -> Self;
}

/// With a multiplier of 52 bits.
pub(crate) trait Multiply52: Vector {
    /// `self` plus the low 52 bits of the product of the low 52 bits of `a` and `b`.
    fn madd_lo(self, a: Self, b: Self) -> Self;

    /// `self` plus bits 52 to 103 of the product of the low 52 bits of `a` and `b`.
    fn madd_hi(self, a: Self, b: Self) -> Self;
}

/// With a multiplier of 32 bits.
pub(crate) trait Multiply32: Vector {
    /// The product of the low 32 bits.
    fn times(self, other: Self) -> Self;

    /// `self` - `a` - `b`. The caller shows that it lies between zero and `max`, which is for those who keep account.
    fn less(self, a: Self, b: Self, max: u64) -> Self;
}

/// Work to be done in one function that is compiled for a processor.
pub(crate) trait Kernel {
    /// What comes out.
    type Output;

    /// The work, `#[inline(always)]`.
    fn run<V: Vector>(self, cpu: V::Cpu) -> Self::Output;
}

/// A part of a kernel that is compiled once and called.
pub(crate) trait Task<V: Vector> {
    /// What comes out.
    type Output;

    /// The work, `#[inline(always)]`.
    fn run(self) -> Self::Output;
}
