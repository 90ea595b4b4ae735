//! Integers modulo p = 2^255 - 19, eight at a time, radix 2^52.
//!
//! An element is five limbs of 52 bits, which is what IFMA multiplies. A multiplier of 32 bits gets them in halves:
//! `multiply52` and `multiply32` compute the same, within the same bounds. There are two stages, and a
//! type for each:
//!
//! - [`Raw`], sums: what a multiplication leaves in its accumulators, what is added and subtracted. Limbs are as
//!   large as they come, below 2^63.
//! - [`Element`], carried: what is multiplied. A multiplication ignores all but the low 52 bits of a limb, so carrying
//!   is adding each limb's excess to the next, *without* masking it off where it was.
//!
//! So: multiply elements, add and subtract the raw results, [`carry`](Raw::carry) once, multiply again.
//!
//! # Bounds
//! With B = 2^9:
//!
//! | what | limbs 0 to 3 | limb 4 |
//! |---|---|---|
//! | [`Element`] | any; the low 52 bits count | at most 2^47 + 2^16 |
//! | [`Raw`] from `mul`, `square` (a *product*) | below 2^56 | below 2^56 |
//! | [`Raw`] from `mul_biased`, `square_biased` | as above plus B·(2^52 - 1), above B·(2^52 - 19) | as above plus B·(2^47 - 1) |
//! | any [`Raw`] to be carried | below 2^63 | below 2^63 |
//!
//! A minuend must not be below its subtrahend in any limb. Adding a multiple of p whose limbs are large enough does
//! that, and costs nothing when it is what the accumulators of the minuend start from: B·p. The last limb of a
//! product stays below 2^56 - 2^9 = B·(2^47 - 1), so one bias is enough to subtract one product. Where something
//! else is subtracted, the function says why it is right. The test `bounds` runs every formula on intervals.

#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

pub(crate) mod multiply32;
pub(crate) mod multiply52;
mod power;
#[cfg(test)]
mod tests;

pub(crate) use power::{invert, power_p58};

use crate::vector::{LANES, Task, Vector, Words};

/// An element at rest: limbs of 52 bits.
pub(crate) type ElementWords = [Words; 5];

const LOW_52: u64 = (1 << 52) - 1;
const LOW_47: u64 = (1 << 47) - 1;

/// 2^8·p, limb by limb.
const HALF_BIAS: [u64; 5] = times_p(1 << 8);
/// 2^9·p, limb by limb: what makes differences positive.
const BIAS: [u64; 5] = times_p(1 << 9);
/// 2^260 modulo p: what a limb of the upper half of a product weighs, five limbs below.
const FOLD: u64 = 19 << 5;

const fn times_p(n: u64) -> [u64; 5] {
    let full = n * LOW_52;
    [n * (LOW_52 - 18), full, full, full, n * LOW_47]
}

/// A carried field element in each lane: ready to be multiplied. Not unique: see [`Element::canonical`].
#[derive(Clone, Copy)]
pub(crate) struct Element<V>([V; 5]);

/// A sum of products, in each lane: ready to be added, subtracted and carried.
#[derive(Clone, Copy)]
pub(crate) struct Raw<V>([V; 5]);

impl<V: Vector> Element<V> {
    /// The element with these limbs of 52 bits, the same in each lane; `like` is any vector.
    #[inline(always)]
    pub(crate) fn constant(like: V, limbs: [u64; 5]) -> Self {
        let [l0, l1, l2, l3, l4] = limbs;
        Self([
            like.splat(l0),
            like.splat(l1),
            like.splat(l2),
            like.splat(l3),
            like.splat(l4),
        ])
    }

    /// Of limbs that were computed elsewhere, within the bounds of an element.
    #[inline(always)]
    pub(crate) fn from_limbs(limbs: [V; 5]) -> Self {
        Self(limbs)
    }

    /// A small integer.
    #[inline(always)]
    pub(crate) fn small(like: V, value: u64) -> Self {
        Self::constant(like, [value, 0, 0, 0, 0])
    }

    /// From memory, where [`Element::store`] put it, or a canonical encoding's limbs.
    #[inline(always)]
    pub(crate) fn load(cpu: V::Cpu, words: &ElementWords) -> Self {
        let [l0, l1, l2, l3, l4] = words;
        Self([
            V::load(cpu, l0),
            V::load(cpu, l1),
            V::load(cpu, l2),
            V::load(cpu, l3),
            V::load(cpu, l4),
        ])
    }

    /// To memory, without the ignored bits.
    #[inline(always)]
    pub(crate) fn store(self, words: &mut ElementWords) {
        let Raw(limbs) = self.raw();
        for at in 0..5 {
            limbs[at].store(&mut words[at]);
        }
    }

    /// The little-endian integers in `words`, modulo 2^255: bit 255 is dropped.
    #[inline(always)]
    pub(crate) fn from_words(cpu: V::Cpu, words: &[Words; 4]) -> Self {
        let [w0, w1, w2, w3] = [
            V::load(cpu, &words[0]),
            V::load(cpu, &words[1]),
            V::load(cpu, &words[2]),
            V::load(cpu, &words[3]),
        ];
        let low_52 = w0.splat(LOW_52);
        Self([
            w0.and(low_52),
            w0.shr::<52>().or(w1.shl::<12>()).and(low_52),
            w1.shr::<40>().or(w2.shl::<24>()).and(low_52),
            w2.shr::<28>().or(w3.shl::<36>()).and(low_52),
            w3.shr::<16>().and(w0.splat(LOW_47)),
        ])
    }

    /// The canonical integers, little-endian.
    #[inline(always)]
    pub(crate) fn to_words(self, words: &mut [Words; 4]) {
        let [l0, l1, l2, l3, l4] = self.canonical();
        l0.or(l1.shl::<52>()).store(&mut words[0]);
        l1.shr::<12>().or(l2.shl::<40>()).store(&mut words[1]);
        l2.shr::<24>().or(l3.shl::<28>()).store(&mut words[2]);
        l3.shr::<36>().or(l4.shl::<16>()).store(&mut words[3]);
    }

    /// For constants that go with it.
    #[inline(always)]
    pub(crate) fn any_limb(self) -> V {
        self.0[0]
    }

    /// Without the ignored bits, so that it can be added. Limbs are below 2^52.
    #[inline(always)]
    pub(crate) fn raw(self) -> Raw<V> {
        let [l0, l1, l2, l3, l4] = self.0;
        let low_52 = l0.splat(LOW_52);
        Raw([l0.and(low_52), l1.and(low_52), l2.and(low_52), l3.and(low_52), l4])
    }

    /// The product.
    #[inline(always)]
    pub(crate) fn mul(self, other: Self) -> Raw<V> {
        let zero = self.0[0].splat(0);
        Raw(V::product([zero; 5], self.0, other.0))
    }

    /// The product plus 2^9·p: another product can be subtracted from it.
    #[inline(always)]
    pub(crate) fn mul_biased(self, other: Self) -> Raw<V> {
        Raw(V::product(Raw::constant(self.0[0], BIAS).0, self.0, other.0))
    }

    /// The product, carried. Compiled elsewhere: not for the innermost loops.
    #[inline(always)]
    pub(crate) fn times(self, other: Self) -> Self {
        self.0[0].call(Times(self, other))
    }

    /// The square.
    #[inline(always)]
    pub(crate) fn square(self) -> Raw<V> {
        let zero = self.0[0].splat(0);
        Raw(V::square([zero; 5], self.0))
    }

    /// The square plus 2^9·p: a product can be subtracted from it.
    #[inline(always)]
    pub(crate) fn square_biased(self) -> Raw<V> {
        Raw(V::square(Raw::constant(self.0[0], HALF_BIAS).0, self.0))
    }

    /// The square, carried. Compiled elsewhere: not for the innermost loops.
    #[inline(always)]
    pub(crate) fn squared(self) -> Self {
        self.0[0].call(SquareTimes([self], 1))[0]
    }

    /// The negative.
    #[inline(always)]
    pub(crate) fn negated(self) -> Self {
        // The subtrahend's limbs are below 2^52: far below the bias.
        Raw::constant(self.0[0], BIAS).minus(self.raw()).carry()
    }

    /// The negative where the mask has ones.
    #[inline(always)]
    pub(crate) fn negated_where(self, mask: V) -> Self {
        Self::select(mask, self.negated(), self)
    }

    /// `a` where the mask has ones, `b` elsewhere.
    #[inline(always)]
    pub(crate) fn select(mask: V, a: Self, b: Self) -> Self {
        let (a, b) = (a.0, b.0);
        Self([
            V::select(mask, a[0], b[0]),
            V::select(mask, a[1], b[1]),
            V::select(mask, a[2], b[2]),
            V::select(mask, a[3], b[3]),
            V::select(mask, a[4], b[4]),
        ])
    }

    /// A mask: where the canonical integer is odd ("negative", RFC 9496 §4.1).
    #[inline(always)]
    pub(crate) fn is_negative(self) -> V {
        self.canonical()[0].lowest_bit()
    }

    /// The one of x and -x that is even (RFC 9496 §4.1, CT_ABS).
    #[inline(always)]
    pub(crate) fn absolute(self) -> Self {
        self.negated_where(self.is_negative())
    }

    /// A mask: where it is zero modulo p.
    #[inline(always)]
    pub(crate) fn is_zero(self) -> V {
        let [l0, l1, l2, l3, l4] = self.canonical();
        l0.or(l1).or(l2).or(l3).or(l4).equals(l0.splat(0))
    }

    /// A mask: where the two are equal modulo p.
    #[inline(always)]
    pub(crate) fn equals(self, other: Self) -> V {
        // The subtrahend's limbs are below 2^52: far below the bias.
        Raw::constant(self.0[0], BIAS)
            .plus(self.raw())
            .minus(other.raw())
            .carry()
            .is_zero()
    }

    /// The limbs of the integer below p.
    ///
    /// The value v is below 2^255 + 2^225, so v < 2p, and v ≥ p just when v + 19 has bit 255 set; then v - p is
    /// v + 19 without that bit.
    #[inline(always)]
    pub(crate) fn canonical(self) -> [V; 5] {
        self.0[0].call(Canonical(self))
    }
}

struct Canonical<V>(Element<V>);

impl<V: Vector> Task<V> for Canonical<V> {
    type Output = [V; 5];

    #[inline(always)]
    fn run(self) -> [V; 5] {
        let Raw([l0, l1, l2, l3, l4]) = self.0.raw();
        let nineteen = l0.splat(19);
        let carry = l0.plus(nineteen).shr::<52>();
        let carry = l1.plus(carry).shr::<52>();
        let carry = l2.plus(carry).shr::<52>();
        let carry = l3.plus(carry).shr::<52>();
        let above = l4.plus(carry).shr::<47>();

        let low_52 = l0.splat(LOW_52);
        let l0 = l0.plus_small_product(above, nineteen);
        let l1 = l1.plus(l0.shr::<52>());
        let l2 = l2.plus(l1.shr::<52>());
        let l3 = l3.plus(l2.shr::<52>());
        let l4 = l4.plus(l3.shr::<52>());
        [
            l0.and(low_52),
            l1.and(low_52),
            l2.and(low_52),
            l3.and(low_52),
            l4.and(l0.splat(LOW_47)),
        ]
    }
}

impl<V: Vector> Raw<V> {
    /// These limbs in each lane.
    #[inline(always)]
    fn constant(like: V, limbs: [u64; 5]) -> Self {
        Self(Element::constant(like, limbs).0)
    }

    /// 2^9·p plus a small integer, from which a product can be subtracted.
    #[inline(always)]
    pub(crate) fn small_biased(like: V, value: u64) -> Self {
        let [l0, l1, l2, l3, l4] = BIAS;
        Self::constant(like, [l0 + value, l1, l2, l3, l4])
    }

    /// Limb by limb.
    #[inline(always)]
    pub(crate) fn plus(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([
            a[0].plus(b[0]),
            a[1].plus(b[1]),
            a[2].plus(b[2]),
            a[3].plus(b[3]),
            a[4].plus(b[4]),
        ])
    }

    /// Limb by limb: `self` must be biased, see the head of this file.
    #[inline(always)]
    pub(crate) fn minus(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([
            a[0].minus(b[0]),
            a[1].minus(b[1]),
            a[2].minus(b[2]),
            a[3].minus(b[3]),
            a[4].minus(b[4]),
        ])
    }

    /// For constants that go with it.
    #[inline(always)]
    pub(crate) fn any_limb(self) -> V {
        self.0[0]
    }

    /// 2·self.
    #[inline(always)]
    pub(crate) fn doubled(self) -> Self {
        self.plus(self)
    }

    /// `a` where the mask has ones, `b` elsewhere.
    #[inline(always)]
    pub(crate) fn select(mask: V, a: Self, b: Self) -> Self {
        Self(Element::select(mask, Element(a.0), Element(b.0)).0)
    }

    /// Makes an element of it.
    ///
    /// What limb 4 has above 2^47 weighs 2^255 = 19 (mod p): it is below 2^17, so its product with 19 is
    /// small. Each limb then takes the excess of the one before, below 2^12; limb 4 ends below 2^47 + 2^12.
    #[inline(always)]
    pub(crate) fn carry(self) -> Element<V> {
        let [r0, r1, r2, r3, r4] = self.0;
        let r0 = r0.plus_small_product(r4.shr::<47>(), r0.splat(19));
        let r4 = r4.and(r0.splat(LOW_47));
        let r1 = r1.plus(r0.shr::<52>());
        let r2 = r2.plus(r1.shr::<52>());
        let r3 = r3.plus(r2.shr::<52>());
        let r4 = r4.plus(r3.shr::<52>());
        Element([r0, r1, r2, r3, r4])
    }
}

/// A product in a function of its own.
struct Times<V>(Element<V>, Element<V>);

impl<V: Vector> Task<V> for Times<V> {
    type Output = Element<V>;

    #[inline(always)]
    fn run(self) -> Element<V> {
        self.0.mul(self.1).carry()
    }
}

/// x^(2^n) for each, in a function of its own.
struct SquareTimes<V, const N: usize>([Element<V>; N], u32);

impl<V: Vector, const N: usize> Task<V> for SquareTimes<V, N> {
    type Output = [Element<V>; N];

    #[inline(always)]
    fn run(self) -> [Element<V>; N] {
        let Self(mut xs, n) = self;
        for _ in 0..n {
            for at in 0..N {
                xs[at] = xs[at].square().carry();
            }
        }
        xs
    }
}

/// One element for each lane, from its 32 little-endian bytes.
pub(crate) fn words_of_bytes(bytes: &[[u8; 32]; LANES]) -> [Words; 4] {
    let mut words = [Words::default(); 4];
    for (lane, bytes) in bytes.iter().enumerate() {
        let (parts, _) = bytes.as_chunks::<8>();
        for (word, part) in words.iter_mut().zip(parts) {
            word.0[lane] = u64::from_le_bytes(*part);
        }
    }
    words
}

/// The inverse of [`words_of_bytes`].
pub(crate) fn bytes_of_words(words: &[Words; 4]) -> [[u8; 32]; LANES] {
    let mut all = [[0; 32]; LANES];
    for (lane, bytes) in all.iter_mut().enumerate() {
        let (parts, _) = bytes.as_chunks_mut::<8>();
        for (part, word) in parts.iter_mut().zip(words) {
            *part = word.0[lane].to_le_bytes();
        }
    }
    all
}
