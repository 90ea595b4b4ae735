//! Samples that a second auditor can draw again.

use std::collections::BinaryHeap;

use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;

/// Draws `count` of the entries that are offered, each set equally likely.
///
/// Entry *i* has the score SHA-256("concordat/v1/ledger-sample\n" ‖ length of the seed, 8 bytes ‖ seed ‖ root ‖ *i*, 8 bytes); those with
/// the lowest scores are drawn. So the sample depends on the seed, the signed tree and the entries offered, not on their order; and it is the
/// same on every machine. Choose the seed after the checkpoint was cosigned, and let both sides have a say in it: nobody can then have
/// arranged the entries to stay out of it.
pub struct Sampler {
    prefix: Sha256,
    count: usize,
    /// The largest score on top.
    drawn: BinaryHeap<([u8; 32], u64)>,
}

impl Sampler {
    /// A sample of `count` entries of the log with this checkpoint.
    pub fn new(seed: &[u8], checkpoint: &Checkpoint, count: usize) -> Self {
        Self {
            prefix: Sha256::new()
                .chain_update("concordat/v1/ledger-sample\n")
                .chain_update((seed.len() as u64).to_be_bytes())
                .chain_update(seed)
                .chain_update(checkpoint.root.0),
            count,
            drawn: BinaryHeap::new(),
        }
    }

    /// Offers an entry, once: for example every query of a month. Memory is that of the sample.
    pub fn offer(&mut self, index: u64) {
        let score = self.prefix.clone().chain_update(index.to_be_bytes()).finalize();
        self.drawn.push((score.into(), index));
        if self.drawn.len() > self.count {
            self.drawn.pop();
        }
    }

    /// The sample, in the order of the log.
    pub fn finish(self) -> Vec<u64> {
        let mut drawn: Vec<u64> = self.drawn.into_iter().map(|(_, index)| index).collect();
        drawn.sort_unstable();
        drawn
    }
}
