//! AVX2: its multiplier takes 32 bits, its registers hold four integers. Unsafe code, as `ifma`.
//!
//! What is used here adds, subtracts, multiplies, shifts, combines bit by bit, compares and permutes within registers,
//! and loads and stores them whole: none of it takes a time that depends on its operands. `tests/assembly.rs` looks
//! for what would.

#![expect(unsafe_code, reason = "intrinsics of the processor")]
#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

use std::arch::x86_64::{self as x86, __m256i};

use super::{Kernel, LANES, Multiply32, Task, Vector, Words};
use crate::field::multiply32;

/// Evidence that the processor has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2Cpu(());

impl Avx2Cpu {
    /// Looks, once; the answer is kept by the standard library.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Integers in a register.
const WIDTH: usize = 4;

/// Four integers in each of N 256-bit registers. Eight are a vector; four go through a multiplication together,
/// because there are only sixteen registers.
///
/// It can only be made with an [`Avx2Cpu`]: that it exists shows that the processor has the features.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Registers<const N: usize>([__m256i; N]);

/// Eight integers.
pub(crate) type Avx2 = Registers<{ LANES / WIDTH }>;

/// An operation on each register.
macro_rules! each {
    ($evidence:expr, |$at:ident| $operation:expr) => {{
        let mut result = $evidence.0;
        for $at in 0..N {
            // SAFETY: `$evidence` is evidence of the features.
            result[$at] = unsafe { $operation };
        }
        Self(result)
    }};
}

#[target_feature(enable = "avx2")]
#[inline(never)]
fn run_with_features<K: Kernel>(cpu: Avx2Cpu, kernel: K) -> K::Output {
    kernel.run::<Avx2>(cpu)
}

#[target_feature(enable = "avx2")]
#[inline(never)]
fn call_with_features<const N: usize, T: Task<Registers<N>>>(task: T) -> T::Output {
    task.run()
}

/// Adds a·b to `sum`, four lanes after the other four.
#[target_feature(enable = "avx2")]
#[inline(never)]
fn product_with_features<const N: usize>(
    sum: &mut [Registers<N>; 5],
    a: &[Registers<N>; 5],
    b: &[Registers<N>; 5],
) {
    for at in 0..N {
        let limbs = multiply32::product(one_of(sum, at), one_of(a, at), one_of(b, at));
        put_back(limbs, sum, at);
    }
}

/// Doubles `sum` and adds a², four lanes after the other four.
#[target_feature(enable = "avx2")]
#[inline(never)]
fn square_with_features<const N: usize>(sum: &mut [Registers<N>; 5], a: &[Registers<N>; 5]) {
    for at in 0..N {
        let limbs = multiply32::square(one_of(sum, at), one_of(a, at));
        put_back(limbs, sum, at);
    }
}

/// One register of each limb.
#[inline(always)]
fn one_of<const N: usize>(limbs: &[Registers<N>; 5], at: usize) -> [Registers<1>; 5] {
    let [l0, l1, l2, l3, l4] = limbs;
    [
        Registers([l0.0[at]]),
        Registers([l1.0[at]]),
        Registers([l2.0[at]]),
        Registers([l3.0[at]]),
        Registers([l4.0[at]]),
    ]
}

/// The inverse of [`one_of`].
#[inline(always)]
fn put_back<const N: usize>(limbs: [Registers<1>; 5], to: &mut [Registers<N>; 5], at: usize) {
    for limb in 0..5 {
        to[limb].0[at] = limbs[limb].0[0];
    }
}

impl<const N: usize> Registers<N> {
    /// A mask: where bit `BIT` is set.
    #[inline(always)]
    fn bit<const BIT: i32>(self) -> Self {
        // There is no arithmetic shift of 64 bits: the upper half's sign goes to both.
        each!(self, |at| {
            let signs = x86::_mm256_srai_epi32::<31>(x86::_mm256_sll_epi64(
                self.0[at],
                x86::_mm_cvtsi32_si128(63 - BIT),
            ));
            x86::_mm256_shuffle_epi32::<0b11_11_01_01>(signs)
        })
    }

    /// For each lane, entry `lane % 4` of part `part` of `entries`, which is a register's worth.
    #[inline(always)]
    fn pick(self, entries: &Words, part: usize) -> Self {
        let entries = Avx2::load(self.cpu(), entries).0[part];
        each!(self, |at| {
            // Entry e is at the 32-bit places 2e and 2e + 1; the instruction looks at the low three bits of each.
            let twice = x86::_mm256_slli_epi64::<1>(self.0[at]);
            let twice = x86::_mm256_shuffle_epi32::<0b10_10_00_00>(twice);
            let places = x86::_mm256_add_epi32(twice, x86::_mm256_set1_epi64x(1 << 32));
            x86::_mm256_permutevar8x32_epi32(entries, places)
        })
    }
}

impl<const N: usize> Vector for Registers<N> {
    type Cpu = Avx2Cpu;

    #[inline(always)]
    fn run<K: Kernel>(cpu: Avx2Cpu, kernel: K) -> K::Output {
        // SAFETY: `cpu` is evidence of the features.
        unsafe { run_with_features(cpu, kernel) }
    }

    #[inline(always)]
    fn call<T: Task<Self>>(self, task: T) -> T::Output {
        // SAFETY: `self` is evidence of the features.
        unsafe { call_with_features(task) }
    }

    #[inline(always)]
    fn cpu(self) -> Avx2Cpu {
        Avx2Cpu(())
    }

    #[inline(always)]
    fn load(_cpu: Avx2Cpu, words: &Words) -> Self {
        let (parts, _) = words.0.as_chunks::<WIDTH>();
        // SAFETY: `_cpu` is evidence of the features.
        let mut result = [unsafe { x86::_mm256_setzero_si256() }; N];
        for at in 0..N {
            // SAFETY: `_cpu` is evidence of the features; a part is 32 bytes long and, in `Words`, aligned to 32.
            result[at] = unsafe { x86::_mm256_load_si256(parts[at].as_ptr().cast()) };
        }
        Self(result)
    }

    #[inline(always)]
    fn store(self, words: &mut Words) {
        let (parts, _) = words.0.as_chunks_mut::<WIDTH>();
        for at in 0..N {
            // SAFETY: `self` is evidence of the features; a part is 32 bytes long and, in `Words`, aligned to 32.
            unsafe { x86::_mm256_store_si256(parts[at].as_mut_ptr().cast(), self.0[at]) }
        }
    }

    #[inline(always)]
    fn splat(self, value: u64) -> Self {
        each!(self, |at| x86::_mm256_set1_epi64x(value.cast_signed()))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_add_epi64(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_sub_epi64(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn plus_small_product(self, a: Self, b: Self) -> Self {
        self.plus(a.times(b))
    }

    #[inline(always)]
    fn product(mut start: [Self; 5], a: [Self; 5], b: [Self; 5]) -> [Self; 5] {
        // SAFETY: `a` is evidence of the features.
        unsafe { product_with_features(&mut start, &a, &b) }
        start
    }

    #[inline(always)]
    fn square(mut half_start: [Self; 5], a: [Self; 5]) -> [Self; 5] {
        // SAFETY: `a` is evidence of the features.
        unsafe { square_with_features(&mut half_start, &a) }
        half_start
    }

    #[inline(always)]
    fn shr<const SHIFT: u32>(self) -> Self {
        self.shr_by(SHIFT)
    }

    #[inline(always)]
    fn shl<const SHIFT: u32>(self) -> Self {
        self.shl_by(SHIFT)
    }

    #[inline(always)]
    fn shr_by(self, n: u32) -> Self {
        // The count is known when this is compiled, or public.
        each!(self, |at| x86::_mm256_srl_epi64(
            self.0[at],
            x86::_mm_cvtsi32_si128(n.cast_signed())
        ))
    }

    #[inline(always)]
    fn shl_by(self, n: u32) -> Self {
        each!(self, |at| x86::_mm256_sll_epi64(
            self.0[at],
            x86::_mm_cvtsi32_si128(n.cast_signed())
        ))
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_and_si256(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_or_si256(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_xor_si256(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn wrapping_plus(self, other: Self) -> Self {
        self.plus(other)
    }

    #[inline(always)]
    fn rotated<const BITS: i32>(self) -> Self {
        let bits = BITS.unsigned_abs();
        self.shr_by(bits).or(self.shl_by(64 - bits))
    }

    #[inline(always)]
    fn xor3(a: Self, b: Self, c: Self) -> Self {
        a.xor(b).xor(c)
    }

    #[inline(always)]
    fn choose(a: Self, b: Self, c: Self) -> Self {
        let from_c = each!(a, |at| x86::_mm256_andnot_si256(a.0[at], c.0[at]));
        a.and(b).or(from_c)
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        a.and(b).or(a.or(b).and(c))
    }

    #[inline(always)]
    fn select(mask: Self, a: Self, b: Self) -> Self {
        Self::choose(mask, a, b)
    }

    #[inline(always)]
    fn equals(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_cmpeq_epi64(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn lowest_bit(self) -> Self {
        self.bit::<0>()
    }

    /// Each register holds four of the 16 entries: the lanes pick one of the four from each, as two halves, and then
    /// the register.
    #[inline(always)]
    fn lookup(self, low: &Words, high: &Words) -> Self {
        let (bit_2, bit_3) = (self.bit::<2>(), self.bit::<3>());
        let of_low = Self::select(bit_2, self.pick(low, 1), self.pick(low, 0));
        let of_high = Self::select(bit_2, self.pick(high, 1), self.pick(high, 0));
        Self::select(bit_3, of_high, of_low)
    }
}

impl<const N: usize> Multiply32 for Registers<N> {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        each!(self, |at| x86::_mm256_mul_epu32(self.0[at], other.0[at]))
    }

    #[inline(always)]
    fn less(self, a: Self, b: Self, _max: u64) -> Self {
        self.minus(a).minus(b)
    }
}
