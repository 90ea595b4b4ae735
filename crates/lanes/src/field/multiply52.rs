//! Multiplication with a multiplier of 52 bits, which gives products in two halves.

use super::FOLD;
use crate::vector::Multiply52;

macro_rules! add_product {
    ($z:ident[$at:literal] += $a:expr, $b:expr) => {
        $z[$at] = $z[$at].madd_lo($a, $b);
        $z[$at + 1] = $z[$at + 1].madd_hi($a, $b);
    };
}

/// `start` + a·b, schoolbook: 25 products of two halves each.
///
/// Column k of the lower half holds at most 2k + 1 halves, each below 2^52: below 2^55.2 together.
#[inline(always)]
pub(crate) fn product<V: Multiply52>(start: [V; 5], a: [V; 5], b: [V; 5]) -> [V; 5] {
    let zero = a[0].splat(0);
    let [s0, s1, s2, s3, s4] = start;
    let mut z = [s0, s1, s2, s3, s4, zero, zero, zero, zero, zero];
    add_product!(z[0] += a[0], b[0]);
    add_product!(z[1] += a[0], b[1]);
    add_product!(z[2] += a[0], b[2]);
    add_product!(z[3] += a[0], b[3]);
    add_product!(z[4] += a[0], b[4]);
    add_product!(z[1] += a[1], b[0]);
    add_product!(z[2] += a[1], b[1]);
    add_product!(z[3] += a[1], b[2]);
    add_product!(z[4] += a[1], b[3]);
    add_product!(z[5] += a[1], b[4]);
    add_product!(z[2] += a[2], b[0]);
    add_product!(z[3] += a[2], b[1]);
    add_product!(z[4] += a[2], b[2]);
    add_product!(z[5] += a[2], b[3]);
    add_product!(z[6] += a[2], b[4]);
    add_product!(z[3] += a[3], b[0]);
    add_product!(z[4] += a[3], b[1]);
    add_product!(z[5] += a[3], b[2]);
    add_product!(z[6] += a[3], b[3]);
    add_product!(z[7] += a[3], b[4]);
    add_product!(z[4] += a[4], b[0]);
    add_product!(z[5] += a[4], b[1]);
    add_product!(z[6] += a[4], b[2]);
    add_product!(z[7] += a[4], b[3]);
    add_product!(z[8] += a[4], b[4]);
    fold(z)
}

/// 2·`half_start` + a²: the 10 products of different limbs once, doubled, and the 5 squares.
#[inline(always)]
pub(crate) fn square<V: Multiply52>(half_start: [V; 5], a: [V; 5]) -> [V; 5] {
    let zero = a[0].splat(0);
    let [s0, s1, s2, s3, s4] = half_start;
    let mut z = [s0, s1, s2, s3, s4, zero, zero, zero, zero, zero];
    add_product!(z[1] += a[0], a[1]);
    add_product!(z[2] += a[0], a[2]);
    add_product!(z[3] += a[0], a[3]);
    add_product!(z[4] += a[0], a[4]);
    add_product!(z[3] += a[1], a[2]);
    add_product!(z[4] += a[1], a[3]);
    add_product!(z[5] += a[1], a[4]);
    add_product!(z[5] += a[2], a[3]);
    add_product!(z[6] += a[2], a[4]);
    add_product!(z[7] += a[3], a[4]);
    // Column 9 gets no mixed product: it is still zero.
    let mut z = [
        z[0].plus(z[0]),
        z[1].plus(z[1]),
        z[2].plus(z[2]),
        z[3].plus(z[3]),
        z[4].plus(z[4]),
        z[5].plus(z[5]),
        z[6].plus(z[6]),
        z[7].plus(z[7]),
        z[8].plus(z[8]),
        zero,
    ];
    add_product!(z[0] += a[0], a[0]);
    add_product!(z[2] += a[1], a[1]);
    add_product!(z[4] += a[2], a[2]);
    add_product!(z[6] += a[3], a[3]);
    add_product!(z[8] += a[4], a[4]);
    fold(z)
}

/// Ten columns to five: the upper ones weigh 2^260 = 608 (mod p) each, five columns below.
///
/// The upper columns are carried first, so that the multiplier sees all of them. The last, h9, is the high half of
/// the product of two limbs 4 and a carry: below 2^42.5, so 608·h9 is below 2^52 and has no high half. Two more
/// halves come to each lower column: below 2^56 together.
#[inline(always)]
fn fold<V: Multiply52>(z: [V; 10]) -> [V; 5] {
    let [z0, z1, z2, z3, z4, h5, h6, h7, h8, h9] = z;
    let weight = z0.splat(FOLD);
    let h6 = h6.plus(h5.shr::<52>());
    let h7 = h7.plus(h6.shr::<52>());
    let h8 = h8.plus(h7.shr::<52>());
    let h9 = h9.plus(h8.shr::<52>());
    [
        z0.madd_lo(h5, weight),
        z1.madd_lo(h6, weight).madd_hi(h5, weight),
        z2.madd_lo(h7, weight).madd_hi(h6, weight),
        z3.madd_lo(h8, weight).madd_hi(h7, weight),
        z4.madd_lo(h9, weight).madd_hi(h8, weight),
    ]
}
