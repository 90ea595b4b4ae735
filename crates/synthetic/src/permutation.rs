//! Keyed bijections and dice: where uniqueness comes from and where variety comes from.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A keyed bijection of `0..size`: a six-round Feistel network on the smallest even number of bits that holds
/// `size`, walked until it lands inside. Not a cipher: it only has to look shuffled and to be invertible, so that
/// distinct indices give distinct values without anyone remembering which were taken.
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    size: u64,
    half_bits: u32,
    round_keys: [u64; ROUNDS],
}

const ROUNDS: usize = 6;

impl Permutation {
    /// The bijection of `0..size` that `seed` and `label` choose. `size` is at most 2^62.
    pub(crate) fn new(seed: u64, label: u64, size: u64) -> Self {
        let mut rng = rng(seed, Stream::Permutation(label));
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        Self {
            size,
            half_bits: bits.div_ceil(2).max(1),
            round_keys: core::array::from_fn(|_| rng.next_u64()),
        }
    }

    /// Where `index` goes. `index < size`.
    pub(crate) fn forward(&self, index: u64) -> u64 {
        debug_assert!(index < self.size, "an index outside the domain has no image");
        let mut value = index;
        loop {
            value = self
                .round_keys
                .iter()
                .fold(value, |value, key| self.round(value, *key));
            if value < self.size {
                return value;
            }
        }
    }

    /// What `forward` sends to `value`. `value < size`.
    pub(crate) fn inverse(&self, value: u64) -> u64 {
        debug_assert!(value < self.size, "a value outside the domain has no preimage");
        let mut index = value;
        loop {
            index = self
                .round_keys
                .iter()
                .rev()
                .fold(index, |value, key| self.unround(value, *key));
            if index < self.size {
                return index;
            }
        }
    }

    fn round(&self, value: u64, key: u64) -> u64 {
        let (left, right) = (value >> self.half_bits, value & self.mask());
        (right << self.half_bits) | (left ^ (mix(right ^ key) & self.mask()))
    }

    fn unround(&self, value: u64, key: u64) -> u64 {
        let (left, right) = (value >> self.half_bits, value & self.mask());
        ((right ^ (mix(left ^ key) & self.mask())) << self.half_bits) | left
    }

    fn mask(&self) -> u64 {
        (1 << self.half_bits) - 1
    }
}

/// SplitMix64's finaliser.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What a stream of random numbers is for. Each use has its own ChaCha20 stream under the seed, so any person
/// can be made without making the ones before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// The round keys of a [`Permutation`].
    Permutation(u64),
    /// What is true of a person.
    Facts(u64),
    /// How the left list publishes a person.
    Left(u64),
    /// How the right list publishes a person.
    Right(u64),
    /// In what words the left list does.
    LeftWords(u64),
    /// In what words the right list does.
    RightWords(u64),
    /// How a person travels.
    Travel(u64),
}

fn rng(seed: u64, stream: Stream) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (purpose, index) = match stream {
        Stream::Permutation(label) => (0, label),
        Stream::Facts(person) => (1, person),
        Stream::Left(person) => (2, person),
        Stream::Right(person) => (3, person),
        Stream::LeftWords(person) => (4, person),
        Stream::RightWords(person) => (5, person),
        Stream::Travel(person) => (6, person),
    };
    rng.set_stream(index << 3 | purpose);
    rng
}

/// Random choices. The draws are written out here, so that an update of a library cannot change the lists.
pub(crate) struct Dice(ChaCha20Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        Self(rng(seed, stream))
    }

    /// A number in `0..n` (`n > 0`); biased by less than `n` / 2^32.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        let wide = u64::from(self.0.next_u32()) * u64::from(n);
        (wide >> 32) as u32
    }

    /// True once in `n` on average.
    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`, which is not empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_reaches_every_value_once_and_is_inverted() {
        for size in [1, 2, 3, 5, 16, 17, 1000, 4096, 10_007] {
            let permutation = Permutation::new(7, size, size);
            let mut seen = vec![false; size as usize];
            for index in 0..size {
                let value = permutation.forward(index);
                assert!(
                    !std::mem::replace(&mut seen[value as usize], true),
                    "size {size}: {value} came twice"
                );
                assert_eq!(permutation.inverse(value), index, "size {size}");
            }
        }
    }

    #[test]
    fn seeds_and_labels_choose_different_permutations() {
        let image = |seed, label| {
            (0..8)
                .map(|i| Permutation::new(seed, label, 1 << 20).forward(i))
                .collect::<Vec<_>>()
        };
        assert_eq!(image(1, 1), image(1, 1));
        assert_ne!(image(1, 1), image(2, 1));
        assert_ne!(image(1, 1), image(1, 2));
    }

    #[test]
    fn dice_stay_in_range() {
        let mut dice = Dice::new(1, Stream::Facts(1));
        assert!((0..1000).all(|_| dice.below(7) < 7));
        assert!((0..1000).all(|_| dice.below(1) == 0));
    }
}
