//! Randomness comes from outside, so that a test can fix it.

use std::sync::{Mutex, PoisonError};

use rand::{CryptoRng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

/// A shared source of randomness.
pub struct Entropy(Mutex<Box<dyn CryptoRng + Send>>);

impl Entropy {
    /// The operating system's generator: the only right choice outside tests. It never repeats, not even after a
    /// virtual machine is set back.
    pub fn system() -> Self {
        Self::new(Box::new(rand::rand_core::UnwrapErr(rand::rngs::SysRng)))
    }

    /// Another source.
    pub fn new(source: Box<dyn CryptoRng + Send>) -> Self {
        Self(Mutex::new(source))
    }

    /// Fresh random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut bytes);
        bytes
    }

    /// A fresh secret seed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.bytes())
    }

    /// A generator of its own for one piece of work.
    pub fn rng(&self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(*self.seed())
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}
