//! Inputs that both agencies can derive and that nobody's identifier can ever equal.
//!
//! The owner puts the tags of the *present* canaries into each snapshot; the requester pads its batches with present and
//! *absent* ones. Each binds [`PROFILE`] and [`crate::profile_fingerprint`]: if the two nodes normalise differently in
//! any way that the conformance inputs show, the present canaries are not found, and the verdict is `UNKNOWN` instead of
//! a false `NO_HIT`. The seed is public (it comes from the manifest): canaries detect mistakes, not an owner who lies.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::identifier::{PROFILE, framed};
use crate::profile::profile_fingerprint;

/// Reserved rule ids: no [`crate::Rule`] has one of these.
const PRESENT: &str = "canary.present/1";
const ABSENT: &str = "canary.absent/1";

/// The OPRF input of canary `i` that is in every snapshot made with this seed.
pub fn present(seed: &[u8; 32], i: u32) -> Zeroizing<Vec<u8>> {
    canary(PRESENT, seed, i, &profile_fingerprint())
}

/// The OPRF input of canary `i` that is in no snapshot.
pub fn absent(seed: &[u8; 32], i: u32) -> Zeroizing<Vec<u8>> {
    canary(ABSENT, seed, i, &profile_fingerprint())
}

/// Framed like an identifier's input, with a reserved rule id in the place of its rule.
fn canary(rule: &str, seed: &[u8; 32], i: u32, fingerprint: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let bound = framed(&[fingerprint, seed, &i.to_be_bytes()]);
    framed(&[PROFILE.as_bytes(), rule.as_bytes(), &Sha256::digest(&bound)])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Rule;

    #[test]
    fn all_differ_and_none_is_a_rules() {
        let seeds = [[1; 32], [2; 32]];
        let all: HashSet<Vec<u8>> = seeds
            .iter()
            .flat_map(|seed| (0..50).flat_map(move |i| [present(seed, i).to_vec(), absent(seed, i).to_vec()]))
            .collect();
        assert_eq!(all.len(), 200);
        assert!(
            Rule::ALL
                .iter()
                .all(|rule| rule.id() != PRESENT && rule.id() != ABSENT)
        );
    }

    #[test]
    fn another_normalisation_makes_other_canaries() {
        let ours = profile_fingerprint();
        let mut theirs = ours;
        theirs[31] ^= 1;
        assert_ne!(
            canary(PRESENT, &[1; 32], 0, &ours),
            canary(PRESENT, &[1; 32], 0, &theirs)
        );
    }
}
