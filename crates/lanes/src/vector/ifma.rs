//! AVX-512 with its 52-bit multiplier (IFMA). The unsafe code of the arithmetic is in this file and in `avx2`.
//!
//! Of what is used here, Intel lists every instruction among those whose time does not depend on operands ("data
//! operand independent timing"): VPMADD52, VPADDQ, VPSUBQ, VPSRLQ, VPSLLQ, VPAND, VPOR, VPXOR, VPTERNLOGQ, VPCMPEQQ,
//! VPRORQ, VPMOVM2Q, VPERMI2Q and plain loads and stores. Masked loads are not used: `tests/assembly.rs` looks for them.

#![expect(unsafe_code, reason = "intrinsics of the processor")]

use std::arch::x86_64 as x86;

use super::{Kernel, Multiply52, Task, Vector, Words};
use crate::field::multiply52;

/// Evidence that the processor has AVX-512 F, DQ and IFMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IfmaCpu(());

impl IfmaCpu {
    /// Looks, once; the answer is kept by the standard library.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma"))
        .then_some(Self(()))
    }
}

/// Eight integers in a 512-bit register. It can only be made with an [`IfmaCpu`]: that it exists shows that the
/// processor has the features.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Ifma(x86::__m512i);

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline(never)]
fn run_with_features<K: Kernel>(cpu: IfmaCpu, kernel: K) -> K::Output {
    kernel.run::<Ifma>(cpu)
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline(never)]
fn call_with_features<T: Task<Ifma>>(task: T) -> T::Output {
    task.run()
}

impl Vector for Ifma {
    type Cpu = IfmaCpu;

    #[inline(always)]
    fn run<K: Kernel>(cpu: IfmaCpu, kernel: K) -> K::Output {
        // SAFETY: `cpu` is evidence of the features.
        unsafe { run_with_features(cpu, kernel) }
    }

    #[inline(always)]
    fn call<T: Task<Self>>(self, task: T) -> T::Output {
        // SAFETY: `self` is evidence of the features.
        unsafe { call_with_features(task) }
    }

    #[inline(always)]
    fn cpu(self) -> IfmaCpu {
        IfmaCpu(())
    }

    #[inline(always)]
    fn load(_cpu: IfmaCpu, words: &Words) -> Self {
        // SAFETY: `_cpu` is evidence of the features; `Words` is 64 bytes long and aligned to 64.
        Self(unsafe { x86::_mm512_load_si512(words.0.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut Words) {
        // SAFETY: `self` is evidence of the features; `Words` is 64 bytes long and aligned to 64.
        unsafe { x86::_mm512_store_si512(words.0.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn splat(self, value: u64) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_set1_epi64(value.cast_signed()) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn plus_small_product(self, a: Self, b: Self) -> Self {
        self.madd_lo(a, b)
    }

    #[inline(always)]
    fn product(start: [Self; 5], a: [Self; 5], b: [Self; 5]) -> [Self; 5] {
        multiply52::product(start, a, b)
    }

    #[inline(always)]
    fn square(half_start: [Self; 5], a: [Self; 5]) -> [Self; 5] {
        multiply52::square(half_start, a)
    }

    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_srli_epi64::<N>(self.0) })
    }

    #[inline(always)]
    fn shl<const N: u32>(self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_slli_epi64::<N>(self.0) })
    }

    #[inline(always)]
    fn shr_by(self, n: u32) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_srlv_epi64(self.0, x86::_mm512_set1_epi64(i64::from(n))) })
    }

    #[inline(always)]
    fn shl_by(self, n: u32) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_sllv_epi64(self.0, x86::_mm512_set1_epi64(i64::from(n))) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn wrapping_plus(self, other: Self) -> Self {
        self.plus(other)
    }

    #[inline(always)]
    fn rotated<const N: i32>(self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_ror_epi64::<N>(self.0) })
    }

    #[inline(always)]
    fn xor3(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: `a` is evidence of the features.
        Self(unsafe { x86::_mm512_ternarylogic_epi64::<0x96>(a.0, b.0, c.0) })
    }

    #[inline(always)]
    fn choose(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: `a` is evidence of the features.
        Self(unsafe { x86::_mm512_ternarylogic_epi64::<0xca>(a.0, b.0, c.0) })
    }

    #[inline(always)]
    fn majority(a: Self, b: Self, c: Self) -> Self {
        // SAFETY: `a` is evidence of the features.
        Self(unsafe { x86::_mm512_ternarylogic_epi64::<0xe8>(a.0, b.0, c.0) })
    }

    #[inline(always)]
    fn select(mask: Self, a: Self, b: Self) -> Self {
        // The truth table of "mask ? a : b". Not a mask register: of a blend whose operand is in memory, LLVM makes
        // a masked load, and which bytes that reads depends on the mask.
        // SAFETY: `mask` is evidence of the features.
        Self(unsafe { x86::_mm512_ternarylogic_epi64::<0xca>(mask.0, a.0, b.0) })
    }

    #[inline(always)]
    fn equals(self, other: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_movm_epi64(x86::_mm512_cmpeq_epi64_mask(self.0, other.0)) })
    }

    #[inline(always)]
    fn lowest_bit(self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_srai_epi64::<63>(x86::_mm512_slli_epi64::<63>(self.0)) })
    }

    #[inline(always)]
    fn lookup(self, low: &Words, high: &Words) -> Self {
        let low = Self::load(self.cpu(), low);
        let high = Self::load(self.cpu(), high);
        // SAFETY: `self` is evidence of the features. The instruction looks at the low four bits of each index.
        Self(unsafe { x86::_mm512_permutex2var_epi64(low.0, self.0, high.0) })
    }
}

impl Multiply52 for Ifma {
    #[inline(always)]
    fn madd_lo(self, a: Self, b: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_madd52lo_epu64(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn madd_hi(self, a: Self, b: Self) -> Self {
        // SAFETY: `self` is evidence of the features.
        Self(unsafe { x86::_mm512_madd52hi_epu64(self.0, a.0, b.0) })
    }
}
