//! The group law on eight points at a time: the twisted Edwards curve -x² + y² = 1 + d·x²·y², in extended
//! coordinates (Hisil, Wong, Carter, Dawson 2008, §3.1 to §3.3, with a = -1).
//!
//! The formulas are complete: there is no exception to test for, for any two points of the curve. What an addition
//! leaves is not multiplied out until it is known what for ([`Completed`]): a doubling needs no T, an addition no X
//! and Y but their sum and difference.

use crate::field::{Element, ElementWords, Raw};
use crate::vector::{Task, Vector, Words};

/// d = -121665/121666.
pub(crate) const D: [u64; 5] = [
    0xb4dca135978a3,
    0x4d4141d8ab75e,
    0x779e89800700a,
    0xfe738cc740797,
    0x052036cee2b6f,
];
/// 2·d.
pub(crate) const D2: [u64; 5] = [
    0x69b9426b2f159,
    0x9a8283b156ebd,
    0xef3d13000e014,
    0xfce7198e80f2e,
    0x02406d9dc56df,
];

/// A point in each lane at rest: X, Y, Z and T.
pub(crate) type PointWords = [ElementWords; 4];

/// The neutral element in each lane, at rest.
pub(crate) const IDENTITY_WORDS: PointWords = {
    let zero = [Words([0; 8]); 5];
    let mut one = zero;
    one[0] = Words([1; 8]);
    [zero, one, one, zero]
};

/// Extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
pub(crate) struct Extended<V> {
    pub(crate) x: Element<V>,
    pub(crate) y: Element<V>,
    pub(crate) z: Element<V>,
    pub(crate) t: Element<V>,
}

/// Without T: what a doubling starts from.
#[derive(Clone, Copy)]
pub(crate) struct Projective<V> {
    x: Element<V>,
    y: Element<V>,
    z: Element<V>,
}

/// The result of a doubling or an addition: X = E·F, Y = G·H, Z = F·G, T = E·H.
#[derive(Clone, Copy)]
pub(crate) struct Completed<V> {
    e: Element<V>,
    f: Element<V>,
    g: Element<V>,
    h: Element<V>,
}

/// What an addition takes as its first operand.
#[derive(Clone, Copy)]
pub(crate) struct Augend<V> {
    y_plus_x: Element<V>,
    y_minus_x: Element<V>,
    z: Element<V>,
    t: Element<V>,
}

/// What an addition takes as its second operand: Y + X, Y - X, 2·Z, 2·d·T.
#[derive(Clone, Copy)]
pub(crate) struct Addend<V> {
    pub(crate) y_plus_x: Element<V>,
    pub(crate) y_minus_x: Element<V>,
    pub(crate) z2: Element<V>,
    pub(crate) t2d: Element<V>,
}

/// What an addition of a point with Z = 1 takes as its first operand. Z is raw and biased.
#[derive(Clone, Copy)]
pub(crate) struct MixedAugend<V> {
    y_plus_x: Element<V>,
    y_minus_x: Element<V>,
    z: Raw<V>,
    t: Element<V>,
}

/// A point with Z = 1, as a second operand: (y + x)/2, (y - x)/2, d·x·y.
#[derive(Clone, Copy)]
pub(crate) struct AffineAddend<V> {
    pub(crate) y_plus_x: Element<V>,
    pub(crate) y_minus_x: Element<V>,
    pub(crate) td: Element<V>,
}

impl<V: Vector> Extended<V> {
    /// The neutral element; `like` is any vector.
    #[inline(always)]
    pub(crate) fn identity(like: V) -> Self {
        let (zero, one) = (Element::small(like, 0), Element::small(like, 1));
        Self {
            x: zero,
            y: one,
            z: one,
            t: zero,
        }
    }

    #[inline(always)]
    pub(crate) fn load(cpu: V::Cpu, words: &PointWords) -> Self {
        Self {
            x: Element::load(cpu, &words[0]),
            y: Element::load(cpu, &words[1]),
            z: Element::load(cpu, &words[2]),
            t: Element::load(cpu, &words[3]),
        }
    }

    #[inline(always)]
    pub(crate) fn store(self, words: &mut PointWords) {
        self.x.store(&mut words[0]);
        self.y.store(&mut words[1]);
        self.z.store(&mut words[2]);
        self.t.store(&mut words[3]);
    }

    #[inline(always)]
    pub(crate) fn projective(self) -> Projective<V> {
        Projective {
            x: self.x,
            y: self.y,
            z: self.z,
        }
    }

    #[inline(always)]
    pub(crate) fn augend(self) -> Augend<V> {
        let (y_plus_x, y_minus_x) = self.sum_and_difference();
        Augend {
            y_plus_x,
            y_minus_x,
            z: self.z,
            t: self.t,
        }
    }

    #[inline(always)]
    pub(crate) fn addend(self) -> Addend<V> {
        self.augend().addend()
    }

    #[inline(always)]
    pub(crate) fn sum_and_difference(self) -> (Element<V>, Element<V>) {
        let (x, y) = (self.x.raw(), self.y.raw());
        // Limbs of x are below 2^52: far below the bias.
        let y_biased = Raw::small_biased(x.any_limb(), 0).plus(y);
        (x.plus(y).carry(), y_biased.minus(x).carry())
    }
}

impl<V: Vector> Projective<V> {
    /// 2·P: 4 squarings' worth in 3 and a product, which spares an addition and a carry.
    ///
    /// With A = X², B = Y², the formulas want E = 2XY, F = B - A - 2Z², G = B - A, H = -(A + B). All four products of
    /// them change sign together when F and H do, which is the same point; so F = 2Z² - G and H = A + B here.
    #[inline(always)]
    pub(crate) fn doubled(self) -> Completed<V> {
        let a = self.x.square();
        let b = self.y.square_biased();
        let xy = self.x.mul(self.y);
        let zz = self.z.square_biased();
        let g = b.minus(a);
        Completed {
            e: xy.doubled().carry(),
            // G is at most one bias and a product, in each limb; 2Z² holds two biases: 2^10·(2^47 - 1) in limb 4,
            // where G is below 2^9·(2^47 - 1) + 2^55.5.
            f: zz.doubled().minus(g).carry(),
            g: g.carry(),
            h: a.plus(b).carry(),
        }
    }
}

impl<V: Vector> Completed<V> {
    /// Three multiplications.
    #[inline(always)]
    pub(crate) fn projective(self) -> Projective<V> {
        Projective {
            x: self.e.mul(self.f).carry(),
            y: self.g.mul(self.h).carry(),
            z: self.f.mul(self.g).carry(),
        }
    }

    /// Four multiplications, compiled elsewhere: not for the innermost loops.
    #[inline(always)]
    pub(crate) fn extended(self) -> Extended<V> {
        Extended {
            x: self.e.times(self.f),
            y: self.g.times(self.h),
            z: self.f.times(self.g),
            t: self.e.times(self.h),
        }
    }

    /// Four multiplications.
    #[inline(always)]
    pub(crate) fn augend(self) -> Augend<V> {
        let x = self.e.mul(self.f);
        let y = self.g.mul_biased(self.h);
        Augend {
            y_plus_x: y.plus(x).carry(),
            y_minus_x: y.minus(x).carry(),
            z: self.f.mul(self.g).carry(),
            t: self.e.mul(self.h).carry(),
        }
    }

    /// Four multiplications.
    #[inline(always)]
    pub(crate) fn mixed_augend(self) -> MixedAugend<V> {
        let x = self.e.mul(self.f);
        let y = self.g.mul_biased(self.h);
        MixedAugend {
            y_plus_x: y.plus(x).carry(),
            y_minus_x: y.minus(x).carry(),
            z: self.f.mul_biased(self.g),
            t: self.e.mul(self.h).carry(),
        }
    }
}

impl<V: Vector> Augend<V> {
    /// P + Q. Four multiplications, compiled elsewhere: not for the innermost loops.
    #[inline(always)]
    pub(crate) fn plus(self, q: Addend<V>) -> Completed<V> {
        self.z.any_limb().call(Plus(self, q))
    }

    /// The same, for the innermost loops.
    #[inline(always)]
    pub(crate) fn plus_here(self, q: Addend<V>) -> Completed<V> {
        let a = self.y_minus_x.mul(q.y_minus_x);
        let b = self.y_plus_x.mul_biased(q.y_plus_x);
        let c = self.t.mul(q.t2d);
        let d = self.z.mul_biased(q.z2);
        Completed {
            e: b.minus(a).carry(),
            f: d.minus(c).carry(),
            g: d.plus(c).carry(),
            h: b.plus(a).carry(),
        }
    }

    /// P - Q where the mask has ones, P + Q elsewhere. Four multiplications.
    #[inline(always)]
    pub(crate) fn plus_signed(self, q: Addend<V>, negative: V) -> Completed<V> {
        let y_plus_x = Element::select(negative, q.y_minus_x, q.y_plus_x);
        let y_minus_x = Element::select(negative, q.y_plus_x, q.y_minus_x);
        let a = self.y_minus_x.mul(y_minus_x);
        let b = self.y_plus_x.mul_biased(y_plus_x);
        let c = self.t.mul(q.t2d);
        let d = self.z.mul_biased(q.z2);
        let (less, more) = (d.minus(c), d.plus(c));
        Completed {
            e: b.minus(a).carry(),
            f: Raw::select(negative, more, less).carry(),
            g: Raw::select(negative, less, more).carry(),
            h: b.plus(a).carry(),
        }
    }

    /// The same point as a second operand. One multiplication.
    #[inline(always)]
    pub(crate) fn addend(self) -> Addend<V> {
        let d2 = Element::constant(self.t.any_limb(), D2);
        Addend {
            y_plus_x: self.y_plus_x,
            y_minus_x: self.y_minus_x,
            z2: self.z.raw().doubled().carry(),
            t2d: self.t.mul(d2).carry(),
        }
    }

    /// P - Q. Four multiplications.
    #[inline(always)]
    pub(crate) fn minus(self, q: Addend<V>) -> Completed<V> {
        let sum = self.plus(Addend {
            y_plus_x: q.y_minus_x,
            y_minus_x: q.y_plus_x,
            ..q
        });
        Completed {
            f: sum.g,
            g: sum.f,
            ..sum
        }
    }
}

struct Plus<V>(Augend<V>, Addend<V>);

impl<V: Vector> Task<V> for Plus<V> {
    type Output = Completed<V>;

    #[inline(always)]
    fn run(self) -> Completed<V> {
        self.0.plus_here(self.1)
    }
}

impl<V: Vector> MixedAugend<V> {
    /// P - Q where the mask has ones, P + Q elsewhere. Three multiplications.
    ///
    /// Everything is half of what the general addition computes, which is the same point: so that Z need not be
    /// doubled.
    #[inline(always)]
    pub(crate) fn plus_signed(self, q: AffineAddend<V>, negative: V) -> Completed<V> {
        let y_plus_x = Element::select(negative, q.y_minus_x, q.y_plus_x);
        let y_minus_x = Element::select(negative, q.y_plus_x, q.y_minus_x);
        let a = self.y_minus_x.mul(y_minus_x);
        let b = self.y_plus_x.mul_biased(y_plus_x);
        let c = self.t.mul(q.td);
        let (less, more) = (self.z.minus(c), self.z.plus(c));
        Completed {
            e: b.minus(a).carry(),
            f: Raw::select(negative, more, less).carry(),
            g: Raw::select(negative, less, more).carry(),
            h: b.plus(a).carry(),
        }
    }
}
