//! Fixed base: kᵢ·B in constant time, by a table of multiples of B.
//!
//! A scalar is written in 43 signed odd digits of six bits; for each digit's place there is a table of the 32 odd
//! multiples, so that nothing is doubled. A table is public, and its entries are chosen within registers: a column
//! of 16 entries is two vectors, from which each lane picks its own.

#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

use crate::edwards::{AffineAddend, Completed, D, Extended, MixedAugend, PointWords};
use crate::field::{Element, ElementWords, invert};
use crate::vector::{Kernel, LANES, Vector, Words};

/// Bits of a digit.
pub(crate) const WIDTH: u32 = 6;
/// How many digits there are: 258 bits' worth.
pub(crate) const DIGITS: u32 = 43;

/// Odd multiples for one digit's place: 1, 3, …, 63.
const MULTIPLES: usize = 32;

/// The multiples for one place: by coordinate (those of [`AffineAddend`]), then limb, then multiple.
type Place = [[[Words; 4]; 5]; 3];

/// All multiples of one point: 161 KiB.
pub(crate) struct Table(Vec<Place>);

/// How many vectors go through the places together: so the table is read from far once for 128 scalars.
const TOGETHER: usize = 16;

/// (p + 1) / 2.
pub(crate) const HALF: [u64; 5] = [
    (1 << 52) - 9,
    (1 << 52) - 1,
    (1 << 52) - 1,
    (1 << 52) - 1,
    (1 << 46) - 1,
];

/// Multiplies the base of `table` by a scalar for each lane.
pub(crate) struct MultiplyBase<'a> {
    pub(crate) table: &'a Table,
    pub(crate) scalars: &'a [[Words; 4]],
    pub(crate) points: &'a mut [PointWords],
}

impl Kernel for MultiplyBase<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        let mut start = 0;
        while start < self.points.len() {
            let count = TOGETHER.min(self.points.len() - start);
            let points = &mut self.points[start..start + count];
            multiply_base::<V>(cpu, self.table, &self.scalars[start..start + count], points);
            start += count;
        }
    }
}

#[cfg(test)]
impl Table {
    /// Entries from zero to the given limbs.
    pub(crate) fn for_bounds(limb: u64, last_limb: u64) -> Self {
        let column = |max| [Words([0, max, max, max, max, max, max, max]); 4];
        let [low, last] = [column(limb), column(last_limb)];
        Self(vec![[[low, low, low, low, last]; 3]; DIGITS as usize])
    }
}

#[inline(always)]
fn multiply_base<V: Vector>(cpu: V::Cpu, table: &Table, scalars: &[[Words; 4]], points: &mut [PointWords]) {
    let identity = Extended::identity(V::load(cpu, &scalars[0][0]));
    let neutral = identity.augend().plus(identity.addend());
    let mut sums: [Completed<V>; TOGETHER] = [neutral; TOGETHER];
    let mut place = 0;
    while place < DIGITS {
        let multiples = &table.0[place as usize];
        for at in 0..scalars.len() {
            let digit = Digit::<V>::of(cpu, &scalars[at], place);
            let augend: MixedAugend<V> = sums[at].mixed_augend();
            sums[at] = augend.plus_signed(digit.pick(multiples), digit.negative);
        }
        place += 1;
    }
    for at in 0..points.len() {
        sums[at].extended().store(&mut points[at]);
    }
}

/// A signed odd digit 2u - 63 in each lane.
struct Digit<V> {
    /// Where the digit is below zero: u < 32.
    negative: V,
    /// Which multiple: u - 32, or 31 - u where negative.
    index: V,
    /// Where that is 16 or more.
    upper: V,
}

impl<V: Vector> Digit<V> {
    #[inline(always)]
    fn of(cpu: V::Cpu, scalar: &[Words; 4], place: u32) -> Self {
        let bit = place * WIDTH;
        let (word, shift) = ((bit / 64) as usize, bit % 64);
        let mut u = V::load(cpu, &scalar[word]).shr_by(shift);
        if word < 3 {
            u = u.or(V::load(cpu, &scalar[word + 1]).shl_by(64 - shift));
        }
        let negative = u.shr::<5>().lowest_bit().xor(u.splat(u64::MAX));
        let index = u.xor(negative);
        Self {
            negative,
            index,
            upper: index.shr::<4>().lowest_bit(),
        }
    }

    #[inline(always)]
    fn pick(&self, multiples: &Place) -> AffineAddend<V> {
        AffineAddend {
            y_plus_x: self.pick_coordinate(&multiples[0]),
            y_minus_x: self.pick_coordinate(&multiples[1]),
            td: self.pick_coordinate(&multiples[2]),
        }
    }

    #[inline(always)]
    fn pick_coordinate(&self, columns: &[[Words; 4]; 5]) -> Element<V> {
        Element::from_limbs([
            self.pick_limb(&columns[0]),
            self.pick_limb(&columns[1]),
            self.pick_limb(&columns[2]),
            self.pick_limb(&columns[3]),
            self.pick_limb(&columns[4]),
        ])
    }

    #[inline(always)]
    fn pick_limb(&self, [a, b, c, d]: &[Words; 4]) -> V {
        let (lower, upper) = (self.index.lookup(a, b), self.index.lookup(c, d));
        V::select(self.upper, upper, lower)
    }
}

/// Computes the table of the point in lane 0 of `base`. Not hardened: a base is public.
pub(crate) struct BuildTable<'a> {
    pub(crate) base: &'a PointWords,
}

impl Kernel for BuildTable<'_> {
    type Output = Table;

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) -> Table {
        let places = DIGITS as usize;
        // The base for each place, one in each lane.
        let mut bases = vec![*self.base; places.div_ceil(LANES)];
        let mut power = Extended::<V>::load(cpu, self.base);
        for place in 0..places {
            let mut words = *self.base;
            power.store(&mut words);
            copy_lane(&words, 0, &mut bases[place / LANES], place % LANES);
            for _ in 0..WIDTH {
                power = power.projective().doubled().extended();
            }
        }

        let mut multiples = Vec::with_capacity(bases.len() * MULTIPLES);
        for base in &bases {
            let mut multiple = Extended::<V>::load(cpu, base);
            let twice = multiple.augend().plus(multiple.addend()).extended().addend();
            for _ in 0..MULTIPLES {
                let mut words = *base;
                multiple.store(&mut words);
                multiples.push(words);
                multiple = multiple.augend().plus(twice).extended();
            }
        }
        normalise::<V>(cpu, &mut multiples);

        let mut table = vec![[[[Words::default(); 4]; 5]; 3]; places];
        for (place, columns) in table.iter_mut().enumerate() {
            for multiple in 0..MULTIPLES {
                let words = &multiples[place / LANES * MULTIPLES + multiple];
                for coordinate in 0..3 {
                    for limb in 0..5 {
                        columns[coordinate][limb][multiple / LANES].0[multiple % LANES] =
                            words[coordinate][limb].0[place % LANES];
                    }
                }
            }
        }
        Table(table)
    }
}

/// Replaces the coordinates of each point by (y + x)/2, (y - x)/2 and d·x·y. One inversion for all.
#[inline(always)]
pub(crate) fn normalise<V: Vector>(cpu: V::Cpu, points: &mut [PointWords]) {
    let Some(first) = points.first() else { return };
    let one = Element::small(V::load(cpu, &first[0][0]), 1);
    let half = Element::constant(one.any_limb(), HALF);
    let d = Element::constant(one.any_limb(), D);
    // The product of all Z before each point takes the place of its T. No point of the curve has Z = 0.
    let mut product = one;
    for at in 0..points.len() {
        let z = Element::load(cpu, &points[at][2]);
        product.store(&mut points[at][3]);
        product = product.times(z);
    }
    let mut inverse = invert(product);
    for at in (0..points.len()).rev() {
        let [x, y, z, before]: [Element<V>; 4] = load_all(cpu, &points[at]);
        let z_inv = inverse.times(before);
        inverse = inverse.times(z);
        let (x, y) = (x.times(z_inv), y.times(z_inv));
        let td = d.times(x.times(y));
        let half_z_one = Extended {
            x: x.times(half),
            y: y.times(half),
            z: one,
            t: one,
        };
        let (y_plus_x, y_minus_x) = half_z_one.sum_and_difference();
        y_plus_x.store(&mut points[at][0]);
        y_minus_x.store(&mut points[at][1]);
        td.store(&mut points[at][2]);
    }
}

#[inline(always)]
fn load_all<V: Vector>(cpu: V::Cpu, words: &[ElementWords; 4]) -> [Element<V>; 4] {
    [
        Element::load(cpu, &words[0]),
        Element::load(cpu, &words[1]),
        Element::load(cpu, &words[2]),
        Element::load(cpu, &words[3]),
    ]
}

/// Copies one point.
pub(crate) fn copy_lane(from: &PointWords, from_lane: usize, to: &mut PointWords, to_lane: usize) {
    for coordinate in 0..4 {
        for limb in 0..5 {
            to[coordinate][limb].0[to_lane] = from[coordinate][limb].0[from_lane];
        }
    }
}
