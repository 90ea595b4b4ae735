//! Powers with fixed exponents. Each is a long chain of dependent squarings, so several vectors go side by side: the
//! processor works on one while it waits for another.

use super::{Element, SquareTimes};
use crate::vector::Vector;

/// x^((p - 5) / 8) = x^(2^252 - 3) for each of `xs`: the heart of the square root.
#[inline(always)]
pub(crate) fn power_p58<V: Vector, const N: usize>(xs: [Element<V>; N]) -> [Element<V>; N] {
    let (power, _) = power_250(xs);
    times(square_times(power, 2), xs)
}

/// x^(p - 2) = x^(2^255 - 21), the inverse, and zero for zero.
#[inline(always)]
pub(crate) fn invert<V: Vector>(x: Element<V>) -> Element<V> {
    let (power, eleventh) = power_250([x]);
    times(square_times(power, 5), eleventh)[0]
}

/// x^(2^250 - 1) and x^11.
#[inline(always)]
fn power_250<V: Vector, const N: usize>(x: [Element<V>; N]) -> ([Element<V>; N], [Element<V>; N]) {
    let two = square_times(x, 1);
    let nine = times(square_times(two, 2), x);
    let eleven = times(nine, two);
    let ones_5 = times(square_times(eleven, 1), nine);
    let ones_10 = times(square_times(ones_5, 5), ones_5);
    let ones_20 = times(square_times(ones_10, 10), ones_10);
    let ones_40 = times(square_times(ones_20, 20), ones_20);
    let ones_50 = times(square_times(ones_40, 10), ones_10);
    let ones_100 = times(square_times(ones_50, 50), ones_50);
    let ones_200 = times(square_times(ones_100, 100), ones_100);
    (times(square_times(ones_200, 50), ones_50), eleven)
}

/// x^(2^n) for each.
#[inline(always)]
fn square_times<V: Vector, const N: usize>(xs: [Element<V>; N], n: u32) -> [Element<V>; N] {
    xs[0].any_limb().call(SquareTimes(xs, n))
}

#[inline(always)]
fn times<V: Vector, const N: usize>(mut xs: [Element<V>; N], others: [Element<V>; N]) -> [Element<V>; N] {
    for at in 0..N {
        xs[at] = xs[at].times(others[at]);
    }
    xs
}
