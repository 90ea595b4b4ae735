//! Σ kᵢ·Pᵢ of public points and scalars, in variable time: the bucket method (Pippenger).
//!
//! A scalar is written in signed digits of c bits. For each digit's place, a *window*, each point belongs to the
//! bucket of its digit's absolute value; the points of each bucket are added up, then b times the sum of bucket b.
//! Eight lanes add up eight buckets: buckets of eight windows are sorted by size, so that those that go together are
//! about equally full, and the points are fetched one for each lane.

#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

use crate::edwards::{AffineAddend, Extended, IDENTITY_WORDS, MixedAugend, PointWords};
use crate::field::{Element, ElementWords};
use crate::fixed::{copy_lane, normalise};
use crate::vector::{Kernel, LANES, Vector, Words};

/// Up to here, multiplying each point is as fast.
pub(crate) const FEW: usize = 16;

/// How many points are summed at once: more cost more each, because they are fetched from everywhere, and no cache
/// that one core has for itself holds them.
pub(crate) const PIECE: usize = 16_384;

/// The sum of the first `scalars.len()` points, each times its scalar, in lane 0.
pub(crate) struct SumOfProducts<'a> {
    pub(crate) points: &'a [PointWords],
    /// Little-endian integers below 2^253.
    pub(crate) scalars: &'a [[u8; 32]],
}

impl Kernel for SumOfProducts<'_> {
    type Output = PointWords;

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) -> PointWords {
        let rows = rows::<V>(cpu, self.points, self.scalars.len());
        let windows = Windows::for_count(self.scalars.len());
        let digits: Vec<Digits> = self.scalars.iter().map(|scalar| windows.digits(scalar)).collect();

        let identity = Extended::<V>::load(cpu, &IDENTITY_WORDS);
        let mut sum = identity.augend().plus(identity.addend());
        let mut pool = Pool::new(windows, digits.len());
        let mut group = windows.count.div_ceil(LANES);
        while group > 0 {
            group -= 1;
            pool.fill(&digits, group * LANES);
            pool.add_up::<V>(cpu, &rows);
            let mut totals = IDENTITY_WORDS;
            weigh::<V>(cpu, &pool.sums).store(&mut totals);
            for lane in (0..LANES).rev() {
                for _ in 0..windows.width {
                    sum = sum.projective().doubled();
                }
                let mut total = IDENTITY_WORDS;
                copy_lane(&totals, lane, &mut total, 0);
                sum = sum.augend().plus(Extended::load(cpu, &total).addend());
            }
        }
        let mut words = IDENTITY_WORDS;
        sum.extended().store(&mut words);
        words
    }
}

/// The sum of the first `count` points, in lane 0.
pub(crate) struct Sum<'a> {
    pub(crate) points: &'a [PointWords],
    pub(crate) count: usize,
}

impl Kernel for Sum<'_> {
    type Output = PointWords;

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) -> PointWords {
        let mut sum = Extended::<V>::load(cpu, &IDENTITY_WORDS);
        for at in 0..self.count {
            let mut point = IDENTITY_WORDS;
            copy_lane(&self.points[at / LANES], at % LANES, &mut point, 0);
            sum = sum.augend().plus(Extended::load(cpu, &point).addend()).extended();
        }
        let mut words = IDENTITY_WORDS;
        sum.store(&mut words);
        words
    }
}

/// One point by itself: three coordinates of five limbs, those of [`AffineAddend`]. Two cache lines.
#[derive(Clone, Copy)]
#[repr(align(128))]
struct Row([u64; 15]);

/// The rows of `count` points, and at index `count` that of the neutral element.
#[inline(always)]
fn rows<V: Vector>(cpu: V::Cpu, points: &[PointWords], count: usize) -> Vec<Row> {
    let mut points = points.to_vec();
    points.push(IDENTITY_WORDS);
    normalise::<V>(cpu, &mut points);
    let row = |block: &PointWords, lane: usize| Row(std::array::from_fn(|at| block[at / 5][at % 5].0[lane]));
    let neutral = points.len() - 1;
    let mut rows: Vec<Row> = (0..count)
        .map(|at| row(&points[at / LANES], at % LANES))
        .collect();
    rows.push(row(&points[neutral], 0));
    rows
}

/// How scalars are cut.
#[derive(Clone, Copy)]
struct Windows {
    /// Bits of a digit.
    width: usize,
    /// How many windows there are.
    count: usize,
}

/// A scalar plus 2^(c-1) in each window: its windows are then the signed digits plus 2^(c-1), without carries.
type Digits = [u64; 5];

impl Windows {
    /// The cheapest, by what adding a point to a bucket and weighing a bucket were measured to cost.
    fn for_count(points: usize) -> Self {
        let of_width = |width: usize| Self {
            width,
            count: 255usize.div_ceil(width),
        };
        let cost = |width: &usize| {
            let windows = of_width(*width);
            windows.count.next_multiple_of(LANES) * (windows.buckets() * 110) + windows.count * points * 60
        };
        of_width((4..=13).min_by_key(cost).unwrap_or(8))
    }

    /// Buckets of one window: the absolute values of digits that are not zero.
    const fn buckets(self) -> usize {
        1 << (self.width - 1)
    }

    fn digits(self, scalar: &[u8; 32]) -> Digits {
        let mut offset = [0u64; 5];
        for window in 0..self.count {
            let bit = window * self.width + self.width - 1;
            offset[bit / 64] |= 1 << (bit % 64);
        }
        let mut sum = [0; 5];
        let mut carry = false;
        let (words, _) = scalar.as_chunks::<8>();
        for at in 0..5 {
            let word = words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
            let (partial, first) = word.overflowing_add(offset[at]);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            sum[at] = total;
            carry = first | second;
        }
        sum
    }

    /// The digit of one window; zero beyond the last.
    fn digit(self, digits: &Digits, window: usize) -> i32 {
        if window >= self.count {
            return 0;
        }
        let bit = window * self.width;
        let (word, shift) = (bit / 64, bit % 64);
        let mut bits = digits[word] >> shift;
        if shift + self.width > 64 && word + 1 < digits.len() {
            bits |= digits[word + 1] << (64 - shift);
        }
        (bits as usize & (2 * self.buckets() - 1)) as i32 - self.buckets() as i32
    }
}

/// The buckets of eight windows: bucket b of the window in lane w has the index b·8 + w, for b + 1 as its weight.
struct Pool {
    windows: Windows,
    /// Where each bucket's entries end.
    ends: Vec<u32>,
    /// Points, by bucket: twice the index, plus one where it is subtracted.
    entries: Vec<u32>,
    /// The bucket of each point in each window: twice its index, plus one where the point is subtracted.
    buckets: Vec<u32>,
    /// Buckets, the fullest first.
    order: Vec<u32>,
    /// What each bucket adds up to: weight b + 1 at b, a window in each lane.
    sums: Vec<PointWords>,
}

impl Pool {
    fn new(windows: Windows, points: usize) -> Self {
        let buckets = windows.buckets();
        Self {
            windows,
            ends: vec![0; buckets * LANES],
            entries: vec![0; points * LANES],
            buckets: vec![0; points * LANES],
            order: vec![0; buckets * LANES],
            sums: vec![IDENTITY_WORDS; buckets],
        }
    }

    /// Puts each point in its bucket of each of the eight windows from `first` on.
    fn fill(&mut self, digits: &[Digits], first: usize) {
        // How many entries each bucket gets, then where they start; filling moves that on to where they end.
        self.ends.fill(0);
        for (digits, buckets) in digits.iter().zip(self.buckets.as_chunks_mut::<LANES>().0) {
            for lane in 0..LANES {
                let digit = self.windows.digit(digits, first + lane);
                let bucket = (digit.unsigned_abs() as usize)
                    .wrapping_sub(1)
                    .wrapping_mul(LANES)
                    | lane;
                buckets[lane] = (bucket as u32) << 1 | u32::from(digit < 0);
                // Zero has no bucket.
                if let Some(size) = self.ends.get_mut(bucket) {
                    *size += 1;
                }
            }
        }
        self.sort_by_size();
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        for (at, buckets) in (0..).zip(self.buckets.as_chunks::<LANES>().0) {
            for bucket in buckets {
                if let Some(end) = self.ends.get_mut(*bucket as usize >> 1) {
                    self.entries[*end as usize] = at << 1 | (bucket & 1);
                    *end += 1;
                }
            }
        }
    }

    /// Orders the buckets while `ends` still holds their sizes.
    fn sort_by_size(&mut self) {
        let largest = self.ends.iter().copied().max().unwrap_or(0) as usize;
        let mut places = vec![0u32; largest + 2];
        for &size in &self.ends {
            places[largest - size as usize + 1] += 1;
        }
        for at in 1..places.len() {
            places[at] += places[at - 1];
        }
        for (bucket, &size) in (0..).zip(&self.ends) {
            let place = &mut places[largest - size as usize];
            self.order[*place as usize] = bucket;
            *place += 1;
        }
    }

    /// Adds up the points of every bucket, eight buckets at a time.
    #[inline(always)]
    fn add_up<V: Vector>(&mut self, cpu: V::Cpu, rows: &[Row]) {
        let neutral = 2 * (rows.len() - 1) as u32;
        for at in (0..self.order.len()).step_by(LANES) {
            let mut entries: [&[u32]; LANES] = [&[]; LANES];
            let mut steps = 0;
            for lane in 0..LANES {
                let bucket = self.order[at + lane] as usize;
                let start = if bucket == 0 { 0 } else { self.ends[bucket - 1] };
                entries[lane] = &self.entries[start as usize..self.ends[bucket] as usize];
                steps = steps.max(entries[lane].len());
            }
            let identity = Extended::<V>::load(cpu, &IDENTITY_WORDS);
            let mut sum = identity.augend().plus(identity.addend());
            // Points are fetched a step ahead: what was just written lane by lane cannot be read as a whole at once.
            let mut fetched = [Fetched::EMPTY; 2];
            fetched[0].fetch(rows, &entries, 0, neutral);
            for step in 0..steps {
                fetched[(step + 1) % 2].fetch(rows, &entries, step + 1, neutral);
                let (addend, negative) = fetched[step % 2].load::<V>(cpu);
                let augend: MixedAugend<V> = sum.mixed_augend();
                sum = augend.plus_signed(addend, negative);
            }
            let mut words = IDENTITY_WORDS;
            sum.extended().store(&mut words);
            for lane in 0..LANES {
                let bucket = self.order[at + lane] as usize;
                copy_lane(&words, lane, &mut self.sums[bucket / LANES], bucket % LANES);
            }
        }
    }
}

/// A point for each lane, and whether it is subtracted.
#[derive(Clone, Copy)]
struct Fetched([ElementWords; 3], Words);

impl Fetched {
    const EMPTY: Self = Self([[Words([0; LANES]); 5]; 3], Words([0; LANES]));

    fn fetch(&mut self, rows: &[Row], entries: &[&[u32]; LANES], step: usize, neutral: u32) {
        for lane in 0..LANES {
            let entry = entries[lane].get(step).copied().unwrap_or(neutral);
            let Row(row) = &rows[entry as usize / 2];
            for at in 0..15 {
                self.0[at / 5][at % 5].0[lane] = row[at];
            }
            self.1.0[lane] = u64::from(entry % 2);
        }
    }

    #[inline(always)]
    fn load<V: Vector>(&self, cpu: V::Cpu) -> (AffineAddend<V>, V) {
        let addend = AffineAddend {
            y_plus_x: Element::load(cpu, &self.0[0]),
            y_minus_x: Element::load(cpu, &self.0[1]),
            td: Element::load(cpu, &self.0[2]),
        };
        (addend, V::load(cpu, &self.1).lowest_bit())
    }
}

/// Σ (b + 1)·sums[b], in each lane: the sum of all sums from b on, for every b.
#[inline(always)]
fn weigh<V: Vector>(cpu: V::Cpu, sums: &[PointWords]) -> Extended<V> {
    let identity = Extended::<V>::load(cpu, &IDENTITY_WORDS);
    let (mut running, mut total) = (identity.augend(), identity.augend());
    for at in (0..sums.len()).rev() {
        let sum = Extended::load(cpu, &sums[at]);
        running = running.plus_here(sum.addend()).augend();
        total = total.plus_here(running.addend()).augend();
    }
    total.plus(identity.addend()).extended()
}
