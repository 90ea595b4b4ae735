//! What the benches share.

use rand::Rng;

/// Our generator under the traits of the rival's generation of libraries.
pub struct Older<R>(pub R);

impl<R: Rng> rand_core_0_9::RngCore for Older<R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

impl<R: Rng> rand_core_0_9::CryptoRng for Older<R> {}
