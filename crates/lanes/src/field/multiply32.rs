//! Multiplication with a multiplier of 32 bits: each limb of 52 bits is cut into two halves of 26.
//!
//! With limbs l + 2^26·h, the product of two limbs is l·l' + 2^26·(l·h' + h·l') + 2^52·h·h', and the middle is
//! (l + h)·(l' + h') - l·l' - h·h' (Karatsuba): three products of five limbs by five instead of four.

use super::FOLD;
use crate::vector::Multiply32;

const LOW_26: u64 = (1 << 26) - 1;

/// The halves of each limb, below 2^26, and their sums.
struct Halves<V> {
    low: [V; 5],
    high: [V; 5],
    both: [V; 5],
}

impl<V: Multiply32> Halves<V> {
    #[inline(always)]
    fn of(limbs: [V; 5]) -> Self {
        let low_26 = limbs[0].splat(LOW_26);
        let (mut low, mut high, mut both) = (limbs, limbs, limbs);
        for at in 0..5 {
            low[at] = limbs[at].and(low_26);
            high[at] = limbs[at].shr::<26>().and(low_26);
            both[at] = low[at].plus(high[at]);
        }
        Self { low, high, both }
    }
}

/// `start` + a·b.
#[inline(always)]
pub(crate) fn product<V: Multiply32>(start: [V; 5], a: [V; 5], b: [V; 5]) -> [V; 5] {
    let (a, b) = (Halves::of(a), Halves::of(b));
    fold(
        start,
        columns(a.low, b.low),
        columns(a.high, b.high),
        columns(a.both, b.both),
    )
}

/// 2·`half_start` + a².
#[inline(always)]
pub(crate) fn square<V: Multiply32>(half_start: [V; 5], a: [V; 5]) -> [V; 5] {
    let mut start = half_start;
    for at in 0..5 {
        start[at] = half_start[at].plus(half_start[at]);
    }
    let a = Halves::of(a);
    fold(
        start,
        columns_of_square(a.low),
        columns_of_square(a.high),
        columns_of_square(a.both),
    )
}

/// Five limbs by five, schoolbook: column k has as many products as there are pairs that add up to k, at most 5.
#[inline(always)]
fn columns<V: Multiply32>(a: [V; 5], b: [V; 5]) -> [V; 9] {
    let [a0, a1, a2, a3, a4] = a;
    let [b0, b1, b2, b3, b4] = b;
    [
        a0.times(b0),
        a0.times(b1).plus(a1.times(b0)),
        a0.times(b2).plus(a1.times(b1)).plus(a2.times(b0)),
        a0.times(b3)
            .plus(a1.times(b2))
            .plus(a2.times(b1))
            .plus(a3.times(b0)),
        a0.times(b4)
            .plus(a1.times(b3))
            .plus(a2.times(b2))
            .plus(a3.times(b1))
            .plus(a4.times(b0)),
        a1.times(b4)
            .plus(a2.times(b3))
            .plus(a3.times(b2))
            .plus(a4.times(b1)),
        a2.times(b4).plus(a3.times(b3)).plus(a4.times(b2)),
        a3.times(b4).plus(a4.times(b3)),
        a4.times(b4),
    ]
}

/// The same of equal factors: products of different limbs once, by twice one of them.
#[inline(always)]
fn columns_of_square<V: Multiply32>(a: [V; 5]) -> [V; 9] {
    let [a0, a1, a2, a3, a4] = a;
    let (d0, d1, d2, d3) = (a0.plus(a0), a1.plus(a1), a2.plus(a2), a3.plus(a3));
    [
        a0.times(a0),
        d0.times(a1),
        d0.times(a2).plus(a1.times(a1)),
        d0.times(a3).plus(d1.times(a2)),
        d0.times(a4).plus(d1.times(a3)).plus(a2.times(a2)),
        d1.times(a4).plus(d2.times(a3)),
        d2.times(a4).plus(a3.times(a3)),
        d3.times(a4),
        a4.times(a4),
    ]
}

/// Puts the three products together: five limbs of 52 bits.
///
/// In columns of 26 bits, number 2k is low[k] + high[k - 1], at most 9·2^52, and number 2k + 1 the middle one. The
/// upper columns, from number 10 on, weigh 2^260 = 608 (mod p) each, ten below: they are carried, so that each fits
/// the multiplier, and add less than 2^36. Then two columns make a limb: the excess of the odd one above 2^26, below
/// 2^30, belongs to the next limb, and that of the last, times 608, to the first. So a limb is at most
/// 10·2^52 + 2^40: below 2^56 - 2^9, as [`crate::field`] wants it.
#[inline(always)]
fn fold<V: Multiply32>(start: [V; 5], low: [V; 9], high: [V; 9], both: [V; 9]) -> [V; 5] {
    let low_26 = start[0].splat(LOW_26);
    let weight = start[0].splat(FOLD);
    let mut even = [low[0], low[1], low[2], low[3], low[4]];
    let mut odd = even;
    let mut carry = start[0].splat(0);
    for k in 0..5 {
        if k > 0 {
            even[k] = even[k].plus(high[k - 1]);
        }
        odd[k] = middle(low[k], high[k], both[k]);
    }
    for k in 0..4 {
        let column = low[k + 5].plus(high[k + 4]).plus(carry);
        even[k] = even[k].plus(column.and(low_26).times(weight));
        let column = middle(low[k + 5], high[k + 5], both[k + 5]).plus(column.shr::<26>());
        odd[k] = odd[k].plus(column.and(low_26).times(weight));
        carry = column.shr::<26>();
    }
    let column = high[8].plus(carry);
    even[4] = even[4].plus(column.and(low_26).times(weight));
    odd[4] = odd[4].plus(column.shr::<26>().times(weight));

    let mut above = odd[4].shr::<26>().times(weight);
    let mut limbs = start;
    for k in 0..5 {
        let upper = odd[k].and(low_26).shl::<26>();
        limbs[k] = start[k].plus(even[k]).plus(upper).plus(above);
        above = odd[k].shr::<26>();
    }
    limbs
}

/// Σ (l·h' + h·l'), from Σ l·l', Σ h·h' and Σ (l + h)·(l' + h'). At most ten products of halves.
#[inline(always)]
fn middle<V: Multiply32>(low: V, high: V, both: V) -> V {
    both.less(low, high, 10 * LOW_26 * LOW_26)
}
