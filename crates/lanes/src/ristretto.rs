//! The encoding of RFC 9496 §4.3, eight elements at a time. Constant time: decoding too, up to the verdict.
//!
//! Each function takes N vectors, because a square root is one long chain of dependent squarings.

use crate::edwards::{D, Extended};
use crate::field::{Element, Raw, power_p58};
use crate::vector::Vector;

/// The even square root of -1.
pub(crate) const SQRT_M1: [u64; 5] = [
    0xe1b274a0ea0b0,
    0x06ad2fe478c4e,
    0xdfbd7a72f4318,
    0xdf0b2b4d00993,
    0x02b8324804fc1,
];
/// The even 1/sqrt(-1 - d).
pub(crate) const INVSQRT_A_MINUS_D: [u64; 5] = [
    0x8fdaa805d40ea,
    0x175a4172be99c,
    0xe01d8409d2f16,
    0xfca216c27b91f,
    0x0786c8905cfaf,
];
/// The odd sqrt(-d - 1).
pub(crate) const SQRT_AD_MINUS_ONE: [u64; 5] = [
    0x7f6a0497b2e1b,
    0x0c1b7854bd7e9,
    0x1f5d1fdaf9d8e,
    0x48ac0f3cfcc93,
    0x0376931bf2b83,
];
/// 1 - d².
pub(crate) const ONE_MINUS_D_SQ: [u64; 5] = [
    0xc09c1945fc176,
    0x38cd5e350fe27,
    0xe70dfe42c81a1,
    0xe0d79994abddb,
    0x0029072a8b2b3,
];
/// (d - 1)².
pub(crate) const D_MINUS_ONE_SQ: [u64; 5] = [
    0xd5aaa44ed4d20,
    0x2cb01e199931a,
    0x29b4eebd29e4a,
    0x22414cdcd32f5,
    0x05968b37af66c,
];

/// DECODE (RFC 9496 §4.3.1) of integers below 2^255 that are known to be canonical and even, and a mask: where they
/// decode. Where not, the point is none of the curve.
#[inline(always)]
pub(crate) fn decode<V: Vector, const N: usize>(s: [Element<V>; N]) -> ([Extended<V>; N], [V; N]) {
    let like = s[0].any_limb();
    let one = Element::small(like, 1);
    let d = Element::constant(like, D);

    let mut u1 = s;
    let mut u2 = s;
    let mut v = s;
    let mut v_u2_sqr = s;
    for at in 0..N {
        let ss = s[at].square();
        u1[at] = Raw::small_biased(like, 1).minus(ss).carry();
        u2[at] = one.raw().plus(ss).carry();
        let u2_sqr = u2[at].squared();
        let d_u1_sqr = d.mul(u1[at].squared());
        // The bias is above one product and an element's limbs.
        v[at] = Raw::small_biased(like, 0)
            .minus(d_u1_sqr)
            .minus(u2_sqr.raw())
            .carry();
        v_u2_sqr[at] = v[at].times(u2_sqr);
    }
    let (mut good, inv_sqrt) = sqrt_ratio([one; N], v_u2_sqr);

    let mut points = [Extended::identity(like); N];
    for at in 0..N {
        let den_x = inv_sqrt[at].times(u2[at]);
        let den_y = inv_sqrt[at].times(den_x).times(v[at]);
        let x = s[at].mul(den_x).doubled().carry().absolute();
        let y = u1[at].times(den_y);
        let t = x.times(y);
        let bad = t.is_negative().or(y.is_zero());
        good[at] = V::select(bad, like.splat(0), good[at]);
        points[at] = Extended { x, y, z: one, t };
    }
    (points, good)
}

/// ENCODE (RFC 9496 §4.3.2), before the result is written as bytes.
#[inline(always)]
pub(crate) fn encode<V: Vector, const N: usize>(points: [Extended<V>; N]) -> [Element<V>; N] {
    let like = points[0].x.any_limb();
    let one = Element::small(like, 1);
    let sqrt_m1 = Element::constant(like, SQRT_M1);

    let mut u1 = [one; N];
    let mut u2 = [one; N];
    let mut u1_u2_sqr = [one; N];
    for at in 0..N {
        let Extended { x, y, z, .. } = points[at];
        let z_biased = Raw::small_biased(like, 0).plus(z.raw());
        u1[at] = z_biased
            .plus(y.raw())
            .carry()
            .times(z_biased.minus(y.raw()).carry());
        u2[at] = x.times(y);
        u1_u2_sqr[at] = u1[at].times(u2[at].squared());
    }
    let (_, inv_sqrt) = sqrt_ratio([one; N], u1_u2_sqr);

    let mut encodings = [one; N];
    for at in 0..N {
        let Extended { x, y, z, t } = points[at];
        let den1 = inv_sqrt[at].times(u1[at]);
        let den2 = inv_sqrt[at].times(u2[at]);
        let z_inv = den1.times(den2.times(t));
        let enchanted = den1.times(Element::constant(like, INVSQRT_A_MINUS_D));
        let rotate = t.times(z_inv).is_negative();
        let x_rotated = Element::select(rotate, y.times(sqrt_m1), x);
        let y_rotated = Element::select(rotate, x.times(sqrt_m1), y);
        let den_inv = Element::select(rotate, enchanted, den2);
        let y = y_rotated.negated_where(x_rotated.times(z_inv).is_negative());
        let difference = Raw::small_biased(like, 0).plus(z.raw()).minus(y.raw()).carry();
        encodings[at] = den_inv.times(difference).absolute();
    }
    encodings
}

/// MAP (RFC 9496 §4.3.4) of integers below 2^255.
#[inline(always)]
pub(crate) fn map<V: Vector, const N: usize>(ts: [Element<V>; N]) -> [Extended<V>; N] {
    let like = ts[0].any_limb();
    let one = Element::small(like, 1);
    let minus_one = one.negated();
    let d = Element::constant(like, D);
    let sqrt_m1 = Element::constant(like, SQRT_M1);

    let mut r = ts;
    let mut u = ts;
    let mut v = ts;
    for at in 0..N {
        r[at] = sqrt_m1.times(ts[at].squared());
        u[at] = r[at]
            .raw()
            .plus(one.raw())
            .carry()
            .times(Element::constant(like, ONE_MINUS_D_SQ));
        // (-1 - r·d)·(r + d)
        let left = Raw::small_biased(like, 0)
            .minus(r[at].mul(d))
            .minus(one.raw())
            .carry();
        v[at] = left.times(r[at].raw().plus(d.raw()).carry());
    }
    let (was_square, roots) = sqrt_ratio(u, v);

    let mut points = [Extended::identity(like); N];
    for at in 0..N {
        let (r, v) = (r[at], v[at]);
        let other = roots[at].times(ts[at]).absolute().negated();
        let s = Element::select(was_square[at], roots[at], other);
        let c = Element::select(was_square[at], minus_one, r);

        let r_less_one = Raw::small_biased(like, 0).plus(r.raw()).minus(one.raw()).carry();
        let n = c
            .times(r_less_one)
            .mul_biased(Element::constant(like, D_MINUS_ONE_SQ))
            .minus(v.raw())
            .carry();
        let w0 = s.mul(v).doubled().carry();
        let w1 = n.times(Element::constant(like, SQRT_AD_MINUS_ONE));
        let ss = s.square();
        let w2 = Raw::small_biased(like, 1).minus(ss).carry();
        let w3 = one.raw().plus(ss).carry();
        points[at] = Extended {
            x: w0.times(w3),
            y: w2.times(w1),
            z: w1.times(w3),
            t: w0.times(w2),
        };
    }
    points
}

/// SQRT_RATIO_M1 (RFC 9496 §4.2): a mask, where u/v is a square, and the root of u/v, or of i·u/v elsewhere.
#[inline(always)]
fn sqrt_ratio<V: Vector, const N: usize>(
    u: [Element<V>; N],
    v: [Element<V>; N],
) -> ([V; N], [Element<V>; N]) {
    let like = u[0].any_limb();
    let sqrt_m1 = Element::constant(like, SQRT_M1);
    let mut u_v3 = u;
    let mut u_v7 = u;
    for at in 0..N {
        let v3 = v[at].squared().times(v[at]);
        u_v3[at] = u[at].times(v3);
        u_v7[at] = u_v3[at].times(v3.times(v[at]));
    }
    let power = power_p58(u_v7);

    let mut roots = u;
    let mut was_square = [like; N];
    for at in 0..N {
        let root = u_v3[at].times(power[at]);
        let check = v[at].times(root.squared());
        let minus_u = u[at].negated();
        let correct = check.equals(u[at]);
        let flipped = check.equals(minus_u);
        let flipped_i = check.equals(minus_u.times(sqrt_m1));
        let root = Element::select(flipped.or(flipped_i), root.times(sqrt_m1), root);
        roots[at] = root.absolute();
        was_square[at] = correct.or(flipped);
    }
    (was_square, roots)
}
