//! What is done to whole batches: bytes in and out, the group law, the identity.
//!
//! A batch is a slice of blocks of eight points. The lanes beyond the last element hold points too, of no meaning.

#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

#[cfg(test)]
mod tests;

use zeroize::Zeroize;

use crate::ELEMENT_BYTES;
use crate::edwards::{Extended, IDENTITY_WORDS, PointWords};
use crate::field::{Element, ElementWords, Raw, bytes_of_words, invert, words_of_bytes};
use crate::ristretto::{INVSQRT_A_MINUS_D, SQRT_M1, decode, encode, map};
use crate::vector::{Kernel, LANES, Vector, Words};

/// How many vectors take a square root together.
const SIDE_BY_SIDE: usize = 4;

/// Calls a step with four blocks at a time, then with one.
macro_rules! in_groups {
    ($count:expr, |$at:ident, $n:ident| $step:expr) => {
        let count = $count;
        let mut $at = 0;
        while $at + SIDE_BY_SIDE <= count {
            const $n: usize = SIDE_BY_SIDE;
            $step;
            $at += $n;
        }
        while $at < count {
            const $n: usize = 1;
            $step;
            $at += $n;
        }
    };
}

/// Decodes packed elements; gives the index of the first that is at fault (the identity is), if there is one.
pub(crate) struct Decode<'a> {
    pub(crate) packed: &'a [[u8; ELEMENT_BYTES]],
    pub(crate) points: &'a mut [PointWords],
}

impl Kernel for Decode<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) -> Option<usize> {
        in_groups!(self.points.len(), |at, N| {
            let rest = &self.packed[at * LANES..];
            let bad = decode_group::<V, N>(cpu, rest, &mut self.points[at..at + N]);
            if let Some(bad) = bad {
                return Some(at * LANES + bad);
            }
        });
        None
    }
}

#[inline(always)]
fn decode_group<V: Vector, const N: usize>(
    cpu: V::Cpu,
    packed: &[[u8; ELEMENT_BYTES]],
    points: &mut [PointWords],
) -> Option<usize> {
    let mut integers = [[Words::default(); 4]; N];
    for at in 0..N {
        integers[at] = block_of_bytes(packed, at);
    }
    let mut elements = [Element::<V>::from_words(cpu, &integers[0]); N];
    let mut usable = [elements[0].any_limb(); N];
    for at in 0..N {
        elements[at] = Element::from_words(cpu, &integers[at]);
        usable[at] = is_canonical_and_not_zero(cpu, elements[at], &integers[at]);
    }
    let (decoded, good) = decode(elements);
    let mut masks = [Words::default(); N];
    for at in 0..N {
        decoded[at].store(&mut points[at]);
        good[at].and(usable[at]).store(&mut masks[at]);
    }
    let lanes = packed.len().min(N * LANES);
    (0..lanes).find(|lane| masks[lane / LANES].0[lane % LANES] == 0)
}

/// A mask: where `words` are an integer below p, even and not zero.
#[inline(always)]
fn is_canonical_and_not_zero<V: Vector>(cpu: V::Cpu, element: Element<V>, words: &[Words; 4]) -> V {
    let mut canonical = [Words::default(); 4];
    element.to_words(&mut canonical);
    let mut any = element.any_limb().splat(0);
    let mut differing = any;
    for at in 0..4 {
        let word = V::load(cpu, &words[at]);
        any = any.or(word);
        differing = differing.or(word.xor(V::load(cpu, &canonical[at])));
    }
    let zero = any.splat(0);
    let odd_or_zero = V::load(cpu, &words[0]).lowest_bit().or(any.equals(zero));
    V::select(odd_or_zero, zero, differing.equals(zero))
}

/// Encodes points, packed.
pub(crate) struct Encode<'a> {
    pub(crate) points: &'a [PointWords],
    pub(crate) packed: &'a mut [[u8; ELEMENT_BYTES]],
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        in_groups!(self.points.len(), |at, N| {
            let mut points = [Extended::<V>::load(cpu, &self.points[at]); N];
            for next in 0..N {
                points[next] = Extended::load(cpu, &self.points[at + next]);
            }
            let encodings = encode(points);
            for next in 0..N {
                write_block(encodings[next], self.packed, at + next);
            }
        });
    }
}

/// Maps 64 uniform bytes to a point, for each: the sum of the images of both halves.
pub(crate) struct FromUniformBytes<'a> {
    pub(crate) uniform: &'a [[u8; 64]],
    pub(crate) points: &'a mut [PointWords],
}

impl Kernel for FromUniformBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        let mut at = 0;
        while at < self.points.len() {
            let (first, second) = halves_of_block(self.uniform, at);
            let first = Element::<V>::from_words(cpu, &first);
            let second = Element::from_words(cpu, &second);
            if at + 1 < self.points.len() {
                let (third, fourth) = halves_of_block(self.uniform, at + 1);
                let third = Element::from_words(cpu, &third);
                let fourth = Element::from_words(cpu, &fourth);
                let [first, second, third, fourth] = map([first, second, third, fourth]);
                store_sum(first, second, &mut self.points[at]);
                store_sum(third, fourth, &mut self.points[at + 1]);
            } else {
                let [first, second] = map([first, second]);
                store_sum(first, second, &mut self.points[at]);
            }
            at += 2;
        }
    }
}

#[inline(always)]
fn store_sum<V: Vector>(a: Extended<V>, b: Extended<V>, words: &mut PointWords) {
    a.augend().plus(b.addend()).extended().store(words);
}

/// Adds `others` to `points`, or subtracts them.
pub(crate) struct Add<'a> {
    pub(crate) points: &'a mut [PointWords],
    pub(crate) others: &'a [PointWords],
    pub(crate) subtract: bool,
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        for at in 0..self.points.len() {
            let augend = Extended::<V>::load(cpu, &self.points[at]).augend();
            let addend = Extended::<V>::load(cpu, &self.others[at]).addend();
            let sum = if self.subtract {
                augend.minus(addend)
            } else {
                augend.plus(addend)
            };
            sum.extended().store(&mut self.points[at]);
        }
    }
}

/// The first of `count` points that is the identity, by any of its four representations: x = 0 or y = 0.
pub(crate) struct FirstIdentity<'a> {
    pub(crate) points: &'a [PointWords],
    pub(crate) count: usize,
}

impl Kernel for FirstIdentity<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) -> Option<usize> {
        for at in 0..self.points.len() {
            let Extended { x, y, .. } = Extended::<V>::load(cpu, &self.points[at]);
            let mut mask = Words::default();
            x.is_zero().or(y.is_zero()).store(&mut mask);
            let lanes = LANES.min(self.count - at * LANES);
            for lane in 0..lanes {
                if mask.0[lane] != 0 {
                    return Some(at * LANES + lane);
                }
            }
        }
        None
    }
}

/// How many blocks share one inverse: enough for it to cost little, few enough for the workspace to stay in the
/// nearest cache but one.
const SHARE_INVERSE: usize = 64;

/// What of a point is kept until the inverse is known: E, F, G, H of its double, and the product so far.
type Doubling = [ElementWords; 5];

/// Encodes 2·P for each P, packed. One inverse serves many points (Montgomery), and the double of a point of the
/// curve has a known square root: so there is no square root at all.
pub(crate) struct DoubleAndEncode<'a> {
    pub(crate) points: &'a [PointWords],
    pub(crate) packed: &'a mut [[u8; ELEMENT_BYTES]],
}

impl Kernel for DoubleAndEncode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        let size = SHARE_INVERSE.min(self.points.len());
        let mut workspace: Vec<Doubling> = vec![[[Words::default(); 5]; 5]; size];
        let mut start = 0;
        while start < self.points.len() {
            let count = SHARE_INVERSE.min(self.points.len() - start);
            let points = &self.points[start..start + count];
            let packed = &mut self.packed[start * LANES..];
            double_and_encode::<V>(cpu, points, &mut workspace[..count], packed);
            start += count;
        }
        workspace.zeroize();
    }
}

#[inline(always)]
fn double_and_encode<V: Vector>(
    cpu: V::Cpu,
    points: &[PointWords],
    workspace: &mut [Doubling],
    packed: &mut [[u8; ELEMENT_BYTES]],
) {
    let one = Element::small(V::load(cpu, &points[0][0][0]), 1);
    let d = Element::constant(one.any_limb(), crate::edwards::D);
    let mut product = one;
    for at in 0..points.len() {
        let Extended { x, y, z, t } = Extended::<V>::load(cpu, &points[at]);
        let dtt = d.mul(t.squared());
        let zz = z.square_biased();
        let e = x.mul(y).doubled().carry();
        let f = zz.plus(dtt).carry();
        let g = x.square().plus(y.square()).carry();
        let h = zz.minus(dtt).carry();
        let [w_e, w_f, w_g, w_h, w_product] = &mut workspace[at];
        e.store(w_e);
        f.store(w_f);
        g.store(w_g);
        h.store(w_h);
        product.store(w_product);
        product = product.times(not_zero(e.times(g).times(f.times(h))).0);
    }
    let mut inverse = invert(product);
    for at in (0..points.len()).rev() {
        let [e, f, g, h, before] = load_doubling::<V>(cpu, &workspace[at]);
        let (eg, fh) = (e.times(g), f.times(h));
        let (efgh, zero) = not_zero(eg.times(fh));
        let own = inverse.times(before);
        inverse = inverse.times(efgh);
        let own = Element::select(zero, Element::small(zero, 0), own);
        write_block(encode_double([e, f, g, h, eg, fh], own), packed, at);
    }
}

/// As the batched encoding of curve25519-dalek does it; `inverse` is that of E·F·G·H, zero for zero.
#[inline(always)]
fn encode_double<V: Vector>([e, f, g, h, eg, fh]: [Element<V>; 6], inverse: Element<V>) -> Element<V> {
    let like = e.any_limb();
    let sqrt_m1 = Element::constant(like, SQRT_M1);
    let z_inv = eg.times(inverse);
    let t_inv = fh.times(inverse);

    let rotate = eg.times(z_inv).is_negative();
    let e_rotated = Element::select(rotate, g, e);
    let g_rotated = Element::select(rotate, e.negated(), g);
    let h_rotated = Element::select(rotate, f.times(sqrt_m1), h);
    let magic = Element::select(rotate, sqrt_m1, Element::constant(like, INVSQRT_A_MINUS_D));

    let negate = h_rotated.times(e_rotated).times(z_inv).is_negative();
    let g = g_rotated.negated_where(negate);
    let difference = Raw::small_biased(like, 0)
        .plus(h_rotated.raw())
        .minus(g.raw())
        .carry();
    difference.times(magic.times(g.times(t_inv))).absolute()
}

/// One instead of zero, and a mask: where that was so.
#[inline(always)]
fn not_zero<V: Vector>(x: Element<V>) -> (Element<V>, V) {
    let zero = x.is_zero();
    (Element::select(zero, Element::small(zero, 1), x), zero)
}

#[inline(always)]
fn load_doubling<V: Vector>(cpu: V::Cpu, words: &Doubling) -> [Element<V>; 5] {
    [
        Element::load(cpu, &words[0]),
        Element::load(cpu, &words[1]),
        Element::load(cpu, &words[2]),
        Element::load(cpu, &words[3]),
        Element::load(cpu, &words[4]),
    ]
}

/// Block `at` of packed elements; lanes beyond the last are zero, which decodes as the identity.
fn block_of_bytes(packed: &[[u8; ELEMENT_BYTES]], at: usize) -> [Words; 4] {
    let mut block = [[0; ELEMENT_BYTES]; LANES];
    for (lane, element) in block.iter_mut().zip(packed.iter().skip(at * LANES)) {
        *lane = *element;
    }
    words_of_bytes(&block)
}

/// Block `at` of 64-byte strings, as first and second halves.
fn halves_of_block(uniform: &[[u8; 64]], at: usize) -> ([Words; 4], [Words; 4]) {
    let mut halves = ([[0; 32]; LANES], [[0; 32]; LANES]);
    for (lane, bytes) in uniform.iter().skip(at * LANES).take(LANES).enumerate() {
        halves.0[lane].copy_from_slice(&bytes[..32]);
        halves.1[lane].copy_from_slice(&bytes[32..]);
    }
    (words_of_bytes(&halves.0), words_of_bytes(&halves.1))
}

/// Writes block `at`, as far as `packed` goes.
#[inline(always)]
fn write_block<V: Vector>(encodings: Element<V>, packed: &mut [[u8; ELEMENT_BYTES]], at: usize) {
    let mut words = [Words::default(); 4];
    encodings.to_words(&mut words);
    write_words(&words, packed, at);
}

fn write_words(words: &[Words; 4], packed: &mut [[u8; ELEMENT_BYTES]], at: usize) {
    let lanes = bytes_of_words(words);
    for (element, bytes) in packed.iter_mut().skip(at * LANES).zip(lanes) {
        *element = bytes;
    }
}

/// As many blocks as `count` points need, all neutral.
pub(crate) fn neutral_blocks(count: usize) -> Vec<PointWords> {
    vec![IDENTITY_WORDS; count.div_ceil(LANES)]
}
