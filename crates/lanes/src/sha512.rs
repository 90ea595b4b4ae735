//! SHA-512 (FIPS 180-4) of many messages, eight at a time.
//!
//! A protocol hashes a batch: the same tags around each element. So the blocks that all messages begin with are
//! compressed once ([`Prefix`]), and on an engine with lanes each of eight messages has a lane of its own.
//!
//! Constant time for given lengths. How many messages there are and how long each is decides what runs.

#![expect(
    clippy::needless_range_loop,
    reason = "closures and iterator adapters would be compiled without the processor's features"
)]

use sha2::block_api::compress512;
use zeroize::{Zeroize, Zeroizing};

use crate::engine::{Engine, Kind};
use crate::vector::{Kernel, LANES, Vector, Words};

/// Bytes of one block.
pub const BLOCK_BYTES: usize = 128;

/// Bytes of one hash.
pub const HASH_BYTES: usize = 64;

/// The state after blocks that many messages begin with.
#[derive(Clone)]
pub struct Prefix {
    state: [u64; 8],
    bytes: u128,
}

impl Prefix {
    /// Nothing: messages begin at their beginning.
    pub const EMPTY: Self = Self {
        state: INITIAL,
        bytes: 0,
    };

    /// The state after whole blocks.
    pub fn new(blocks: &[[u8; BLOCK_BYTES]]) -> Self {
        let mut state = INITIAL;
        compress512(&mut state, blocks);
        Self {
            state,
            bytes: blocks.len() as u128 * BLOCK_BYTES as u128,
        }
    }

    /// Hashes the prefix followed by a message, for each of `hashes`.
    ///
    /// `write` is called once for each index, in order, and writes what follows the prefix. What it wrote is wiped.
    pub fn hash_each(&self, hashes: &mut [[u8; HASH_BYTES]], write: impl FnMut(usize, &mut Message)) {
        self.hash_each_on(Engine::for_points(hashes.len()), hashes, write);
    }

    /// [`Prefix::hash_each`] on a given engine.
    #[doc(hidden)]
    pub fn hash_each_on(
        &self,
        engine: Engine,
        hashes: &mut [[u8; HASH_BYTES]],
        mut write: impl FnMut(usize, &mut Message),
    ) {
        let mut messages: [Message; LANES] = std::array::from_fn(|_| Message(Zeroizing::new(Vec::new())));
        for (group, hashes) in hashes.chunks_mut(LANES).enumerate() {
            for (lane, message) in messages.iter_mut().take(hashes.len()).enumerate() {
                message.0.clear();
                write(group * LANES + lane, message);
                message.pad(self.bytes);
            }
            let messages = &messages[..hashes.len()];
            match engine.0 {
                Kind::Portable => self.one_by_one(messages, hashes),
                // One message does not fill eight lanes; from two on they are ahead.
                Kind::Lanes(_) if messages.len() == 1 => self.one_by_one(messages, hashes),
                Kind::Lanes(lanes) => lanes.run(Compress {
                    state: &self.state,
                    messages,
                    hashes,
                }),
            }
        }
    }

    fn one_by_one(&self, messages: &[Message], hashes: &mut [[u8; HASH_BYTES]]) {
        for (message, hash) in messages.iter().zip(hashes) {
            let mut state = self.state;
            compress512(&mut state, message.blocks());
            for (bytes, word) in hash.as_chunks_mut::<8>().0.iter_mut().zip(state) {
                *bytes = word.to_be_bytes();
            }
            state.zeroize();
        }
    }
}

/// One message, as it is written. Wiped when dropped.
pub struct Message(Zeroizing<Vec<u8>>);

impl Message {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            // A vector that grows by itself leaves a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity((2 * needed).max(4 * BLOCK_BYTES)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// A one bit, zeros, and the length in bits, to whole blocks (FIPS 180-4 §5.1.2).
    fn pad(&mut self, bytes_before: u128) {
        let bits = 8 * (bytes_before + self.0.len() as u128);
        self.push(&[0x80]);
        let zeros = (BLOCK_BYTES - (self.0.len() + 16) % BLOCK_BYTES) % BLOCK_BYTES;
        self.push(&[0; BLOCK_BYTES][..zeros]);
        self.push(&bits.to_be_bytes());
    }

    fn blocks(&self) -> &[[u8; BLOCK_BYTES]] {
        self.0.as_chunks().0
    }
}

/// Compresses up to eight padded messages side by side, a lane for each.
struct Compress<'a> {
    state: &'a [u64; 8],
    messages: &'a [Message],
    hashes: &'a mut [[u8; HASH_BYTES]],
}

impl Kernel for Compress<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, cpu: V::Cpu) {
        let first = V::load(cpu, &Words([self.state[0]; LANES]));
        let mut state = [first; 8];
        for word in 1..8 {
            state[word] = first.splat(self.state[word]);
        }
        let mut blocks = 0;
        for message in self.messages {
            blocks = blocks.max(message.blocks().len());
        }
        let mut words = [Words::default(); 16];
        for block in 0..blocks {
            let mut unfinished = Words::default();
            for (lane, message) in self.messages.iter().enumerate() {
                // A message that has ended gets its last block once more, which then does not count.
                let of_message = message.blocks();
                unfinished.0[lane] = u64::from(block < of_message.len());
                let bytes = &of_message[block.min(of_message.len() - 1)];
                for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    word.0[lane] = u64::from_be_bytes(*bytes);
                }
            }
            let next = compress::<V>(cpu, state, &words);
            let unfinished = V::load(cpu, &unfinished).lowest_bit();
            for word in 0..8 {
                state[word] = V::select(unfinished, next[word], state[word]);
            }
        }
        for word in 0..8 {
            state[word].store(&mut words[word]);
        }
        for (lane, hash) in self.hashes.iter_mut().enumerate() {
            for (bytes, word) in hash.as_chunks_mut::<8>().0.iter_mut().zip(&words) {
                *bytes = word.0[lane].to_be_bytes();
            }
        }
        words.zeroize();
    }
}

/// The compression function (FIPS 180-4 §6.4.2).
#[inline(always)]
fn compress<V: Vector>(cpu: V::Cpu, state: [V; 8], block: &[Words; 16]) -> [V; 8] {
    let mut w = [state[0]; 16];
    for at in 0..16 {
        w[at] = V::load(cpu, &block[at]);
    }
    let mut s = state;
    let mut round = 0;
    while round < 80 {
        for at in 0..16 {
            let [a, b, c, d, e, f, g, h] = s;
            let big_1 = V::xor3(e.rotated::<14>(), e.rotated::<18>(), e.rotated::<41>());
            let t1 = h
                .wrapping_plus(big_1)
                .wrapping_plus(V::choose(e, f, g))
                .wrapping_plus(w[at].wrapping_plus(e.splat(ROUND[round + at])));
            let big_0 = V::xor3(a.rotated::<28>(), a.rotated::<34>(), a.rotated::<39>());
            let t2 = big_0.wrapping_plus(V::majority(a, b, c));
            s = [t1.wrapping_plus(t2), a, b, c, d.wrapping_plus(t1), e, f, g];
            // The word of 16 rounds later takes this one's place.
            let (early, late) = (w[(at + 1) % 16], w[(at + 14) % 16]);
            let small_0 = V::xor3(early.rotated::<1>(), early.rotated::<8>(), early.shr::<7>());
            let small_1 = V::xor3(late.rotated::<19>(), late.rotated::<61>(), late.shr::<6>());
            w[at] = w[at]
                .wrapping_plus(small_0)
                .wrapping_plus(w[(at + 9) % 16])
                .wrapping_plus(small_1);
        }
        round += 16;
    }
    for word in 0..8 {
        s[word] = s[word].wrapping_plus(state[word]);
    }
    s
}

/// The fractional parts of the square roots of the first eight primes (FIPS 180-4 §5.3.5).
#[rustfmt::skip]
const INITIAL: [u64; 8] = [
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
];

/// The fractional parts of the cube roots of the first eighty primes (FIPS 180-4 §4.2.3).
#[rustfmt::skip]
const ROUND: [u64; 80] = [
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `root` holds the first 64 fractional bits of the real root of `prime`: root ≤ prime^(1/n) < root + 1.
    fn is_root(fraction: u64, prime: u64, degree: u32) -> bool {
        let whole = (1..)
            .take_while(|whole: &u64| whole.pow(degree) <= prime)
            .last()
            .unwrap_or(0);
        // Compared as 256-bit integers: (whole·2^64 + fraction)^degree against prime·2^(64·degree).
        let power = |root: u128| {
            let mut product = vec![1u64];
            for _ in 0..degree {
                let mut next = vec![0u64; product.len() + 3];
                for (at, a) in product.iter().enumerate() {
                    let mut carry = 0u128;
                    for (shift, b) in [root as u64, (root >> 64) as u64, 0].iter().enumerate() {
                        let sum = u128::from(*a) * u128::from(*b) + u128::from(next[at + shift]) + carry;
                        next[at + shift] = sum as u64;
                        carry = sum >> 64;
                    }
                }
                product = next;
            }
            // Whether prime·2^(64·degree) is not above it.
            product[degree as usize..]
                .iter()
                .rev()
                .skip_while(|word| **word == 0)
                .copied()
                .collect::<Vec<_>>()
        };
        let root = (u128::from(whole) << 64) | u128::from(fraction);
        power(root) < vec![prime] && power(root + 1) >= vec![prime]
    }

    #[test]
    fn constants_from_their_definition() {
        let primes: Vec<u64> = (2..).filter(|n| (2..*n).all(|d| n % d != 0)).take(80).collect();
        for (prime, constant) in primes.iter().zip(INITIAL) {
            assert!(is_root(constant, *prime, 2), "{prime}");
        }
        for (prime, constant) in primes.iter().zip(ROUND) {
            assert!(is_root(constant, *prime, 3), "{prime}");
        }
    }
}
