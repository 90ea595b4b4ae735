//! Variable base: k·P in constant time, with one scalar for all points or one for each.
//!
//! The scalar is written in 64 signed odd digits of four bits ([`crate::Scalar::odd_digits`]): no digit is zero, so
//! each step adds one of the eight odd multiples P, 3P, …, 15P or its negative. The multiple is chosen by reading
//! all eight.

#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

use crate::edwards::{Addend, Completed, Extended, PointWords};
use crate::field::{Element, ElementWords};
use crate::vector::{Kernel, Vector, Words};

/// Bits of a digit.
pub(crate) const WIDTH: u32 = 4;
/// How many digits there are: 256 bits' worth.
pub(crate) const DIGITS: u32 = 64;

/// P, 3P, …, 15P, each as Y + X, Y - X, 2Z, 2dT.
type Table = [[ElementWords; 4]; 8];

/// How many vectors go side by side: enough to fill the multiplier, few enough for their tables to stay in the
/// nearest cache.
const SIDE_BY_SIDE: usize = 2;

/// Memory for the tables of multiples; as secret as the points.
pub(crate) type Workspace = [Table; SIDE_BY_SIDE];

/// An empty one.
pub(crate) fn workspace() -> Workspace {
    [[[[Words::default(); 5]; 4]; 8]; SIDE_BY_SIDE]
}

/// Multiplies `points` in place. The digits in `scalars` are one for all blocks, or one for each.
pub(crate) struct Multiply<'a> {
    pub(crate) points: &'a mut [PointWords],
    pub(crate) scalars: &'a [[Words; 4]],
    pub(crate) workspace: &'a mut Workspace,
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        let shared = self.scalars.len() == 1;
        let mut start = 0;
        while start < self.points.len() {
            let count = SIDE_BY_SIDE.min(self.points.len() - start);
            let points = &mut self.points[start..start + count];
            let scalars = if shared {
                self.scalars
            } else {
                &self.scalars[start..start + count]
            };
            multiply::<V>(cpu, points, scalars, self.workspace);
            start += count;
        }
    }
}

#[inline(always)]
fn multiply<V: Vector>(
    cpu: V::Cpu,
    points: &mut [PointWords],
    scalars: &[[Words; 4]],
    workspace: &mut Workspace,
) {
    let first = V::load(cpu, &points[0][0][0]);
    let mut sums = [Extended::identity(first).augend(); SIDE_BY_SIDE];
    let mut products = [sums[0].plus(Extended::identity(first).addend()); SIDE_BY_SIDE];
    for at in 0..points.len() {
        odd_multiples::<V>(cpu, &points[at], &mut workspace[at]);
    }
    let mut window = DIGITS;
    while window > 0 {
        window -= 1;
        for at in 0..points.len() {
            if window < DIGITS - 1 {
                for _ in 0..WIDTH {
                    products[at] = products[at].projective().doubled();
                }
                sums[at] = products[at].augend();
            }
            let scalar = &scalars[if scalars.len() == 1 { 0 } else { at }];
            let digit = Digit::<V>::of(cpu, scalar, window);
            let multiple = digit.scan(cpu, &workspace[at]);
            products[at] = sums[at].plus_signed(multiple, digit.negative);
        }
    }
    for at in 0..points.len() {
        products[at].extended().store(&mut points[at]);
    }
}

/// Fills the table of one vector.
#[inline(always)]
fn odd_multiples<V: Vector>(cpu: V::Cpu, point: &PointWords, table: &mut Table) {
    let point = Extended::<V>::load(cpu, point);
    let twice = point.augend().plus(point.addend()).extended().addend();
    let mut multiple = point;
    for entry in 0..table.len() {
        let Addend {
            y_plus_x,
            y_minus_x,
            z2,
            t2d,
        } = multiple.addend();
        y_plus_x.store(&mut table[entry][0]);
        y_minus_x.store(&mut table[entry][1]);
        z2.store(&mut table[entry][2]);
        t2d.store(&mut table[entry][3]);
        let next: Completed<V> = multiple.augend().plus(twice);
        multiple = next.extended();
    }
}

/// A signed odd digit 2u - 15 in each lane, as masks.
struct Digit<V> {
    /// Where the digit is below zero: u < 8.
    negative: V,
    /// The bits of the entry's index: u - 8, or 7 - u where negative.
    index: [V; 3],
}

impl<V: Vector> Digit<V> {
    #[inline(always)]
    fn of(cpu: V::Cpu, scalar: &[Words; 4], window: u32) -> Self {
        let bit = window * WIDTH;
        let u = V::load(cpu, &scalar[(bit / 64) as usize]).shr_by(bit % 64);
        let negative = u.shr::<3>().lowest_bit().xor(u.splat(u64::MAX));
        Self {
            negative,
            index: [
                u.lowest_bit().xor(negative),
                u.shr::<1>().lowest_bit().xor(negative),
                u.shr::<2>().lowest_bit().xor(negative),
            ],
        }
    }

    /// Reads the whole table, keeps one entry.
    #[inline(always)]
    fn scan(&self, cpu: V::Cpu, table: &Table) -> Addend<V> {
        Addend {
            y_plus_x: self.scan_coordinate(cpu, table, 0),
            y_minus_x: self.scan_coordinate(cpu, table, 1),
            z2: self.scan_coordinate(cpu, table, 2),
            t2d: self.scan_coordinate(cpu, table, 3),
        }
    }

    #[inline(always)]
    fn scan_coordinate(&self, cpu: V::Cpu, table: &Table, coordinate: usize) -> Element<V> {
        let [m0, m1, m2] = self.index;
        let below_4 = Element::select(
            m1,
            Element::select(
                m0,
                Element::load(cpu, &table[3][coordinate]),
                Element::load(cpu, &table[2][coordinate]),
            ),
            Element::select(
                m0,
                Element::load(cpu, &table[1][coordinate]),
                Element::load(cpu, &table[0][coordinate]),
            ),
        );
        let from_4 = Element::select(
            m1,
            Element::select(
                m0,
                Element::load(cpu, &table[7][coordinate]),
                Element::load(cpu, &table[6][coordinate]),
            ),
            Element::select(
                m0,
                Element::load(cpu, &table[5][coordinate]),
                Element::load(cpu, &table[4][coordinate]),
            ),
        );
        Element::select(m2, from_4, below_4)
    }
}
