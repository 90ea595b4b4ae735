//! One chunk of a query: real identifiers mixed with dummies that check the query from end to end.
//!
//! Every chunk holds at least one identifier known to be in the partner's snapshot and one known to be absent
//! (`identifiers::canary`). The owner cannot tell them from real ones; if a present one is not found, or an absent
//! one is, the whole chunk counts for nothing. So a snapshot under another key, a damaged segment or another
//! normalisation can never look like "no hit".

use concordat_identifiers::canary;
use concordat_oprf::{Blinded, Client, InputError, PROOF_BYTES};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Dummies every chunk must have room for.
pub const MIN_DUMMIES: usize = 2;

/// The first 16 bytes of a PRF output.
pub type Tag = [u8; 16];

/// Where the canaries of a snapshot come from: the seeds its manifest states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanarySeeds(Vec<([u8; 32], u32)>);

impl CanarySeeds {
    /// One `(seed, present count)` per layer of the snapshot; `None` where there is no present canary at all.
    pub fn new(layers: Vec<([u8; 32], u32)>) -> Option<Self> {
        let usable: Vec<_> = layers.into_iter().filter(|(_, count)| *count > 0).collect();
        (!usable.is_empty()).then_some(Self(usable))
    }

    /// Only the oldest layer: it stays the same for a whole epoch, which a chunk that may be sent again needs.
    #[must_use]
    pub fn oldest_only(&self) -> Self {
        Self(self.0.first().copied().into_iter().collect())
    }

    /// The seeds, oldest layer first.
    pub fn seeds(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.0.iter().map(|(seed, _)| seed)
    }

    fn draw_present(&self, rng: &mut ChaCha20Rng) -> Zeroizing<Vec<u8>> {
        let (seed, count) = self.0[rng.random_range(0..self.0.len())];
        canary::present(&seed, rng.random_range(0..count))
    }

    fn draw_absent(&self, rng: &mut ChaCha20Rng) -> Zeroizing<Vec<u8>> {
        let (seed, _) = self.0[rng.random_range(0..self.0.len())];
        canary::absent(&seed, rng.random())
    }
}

/// A chunk before it is blinded.
pub struct ChunkInput {
    /// Its index within the request.
    pub index: u32,
    /// Real OPRF inputs, each with the caller's own number.
    pub inputs: Vec<(usize, Zeroizing<Vec<u8>>)>,
    /// Elements after padding: at least [`MIN_DUMMIES`] more than inputs.
    pub size: usize,
    /// Secret and fresh. The same seed with the same inputs and canaries gives the same bytes on the wire, so that
    /// a chunk can be sent again after a crash; with any other input it gives unrelated ones.
    pub seed: Zeroizing<[u8; 32]>,
}

#[derive(Clone, Copy)]
enum Slot {
    Real(usize),
    Present,
    Absent,
}

/// A blinded chunk that waits for its answer.
pub struct PreparedChunk {
    /// Its index within the request.
    pub index: u32,
    slots: Vec<Slot>,
    blinded: Blinded,
    digest: [u8; 32],
}

/// Why a chunk's answer counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFault {
    /// The proof does not hold under the pinned key, or an element is not one.
    Proof,
    /// A canary was not where it must be.
    Canary,
    /// The snapshot could not be read.
    Lookup,
}

impl ChunkInput {
    /// Mixes in the dummies, shuffles, blinds.
    ///
    /// # Errors
    /// An input is longer than RFC 9497 allows; cannot happen for inputs made by `identifiers`.
    pub fn prepare(self, client: &Client, canaries: &CanarySeeds) -> Result<PreparedChunk, InputError> {
        let mut rng = self.rng(b"mix");
        let dummies = self.size.saturating_sub(self.inputs.len()).max(MIN_DUMMIES);
        let mut mixed: Vec<(Slot, Zeroizing<Vec<u8>>)> = Vec::with_capacity(self.inputs.len() + dummies);
        for dummy in 0..dummies {
            // The first two are one of each; the others are drawn.
            let present = dummy == 0 || (dummy > 1 && rng.random());
            mixed.push(if present {
                (Slot::Present, canaries.draw_present(&mut rng))
            } else {
                (Slot::Absent, canaries.draw_absent(&mut rng))
            });
        }
        let index = self.index;
        let seed = self.seed.clone();
        mixed.extend(
            self.inputs
                .into_iter()
                .map(|(number, input)| (Slot::Real(number), input)),
        );
        mixed.shuffle(&mut rng);
        let (slots, inputs): (Vec<Slot>, Vec<Zeroizing<Vec<u8>>>) = mixed.into_iter().unzip();
        // The blinds are bound to everything that is blinded: other dummies, other blinds.
        let mut blinds = seeded(&seed, b"blind", inputs.iter().map(|input| input.as_slice()));
        let inputs: Vec<&[u8]> = inputs.iter().map(|input| input.as_slice()).collect();
        let blinded = client.blind(&inputs, &mut blinds)?;
        Ok(PreparedChunk {
            index,
            slots,
            digest: Sha256::digest(blinded.elements()).into(),
            blinded,
        })
    }

    fn rng(&self, label: &[u8]) -> ChaCha20Rng {
        seeded(
            &self.seed,
            label,
            self.inputs.iter().map(|(_, input)| input.as_slice()),
        )
    }
}

/// A generator that depends on the seed and on every input.
fn seeded<'a>(seed: &[u8; 32], label: &[u8], inputs: impl Iterator<Item = &'a [u8]>) -> ChaCha20Rng {
    let mut hash = Sha256::new();
    hash.update(b"concordat/v1/chunk\0");
    hash.update(label);
    hash.update(seed);
    for input in inputs {
        hash.update((input.len() as u64).to_be_bytes());
        hash.update(input);
    }
    let seed = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    ChaCha20Rng::from_seed(*seed)
}

impl PreparedChunk {
    /// What is sent: packed blinded elements.
    pub fn elements(&self) -> &[u8] {
        self.blinded.elements()
    }

    /// SHA-256 of the [`elements`](Self::elements), as the partner computes it too.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// How many elements, dummies included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// SHA-256 over both sides' bytes: names this exchange in an incident.
    pub fn transcript(&self, evaluated: &[u8], proof: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [
            b"concordat/v1/transcript".as_slice(),
            self.elements(),
            evaluated,
            proof,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Verifies the proof, unblinds, and gives the tag of each real input under the caller's number, after
    /// `contains` has answered rightly for every canary.
    ///
    /// # Errors
    /// [`ChunkFault`]: nothing in the answer may be used.
    pub fn finish(
        &self,
        evaluated: &[u8],
        proof: &[u8],
        contains: impl FnOnce(&[Tag]) -> Result<Vec<bool>, String>,
    ) -> Result<Vec<Answer>, ChunkFault> {
        let proof: &[u8; PROOF_BYTES] = proof.try_into().map_err(|_| ChunkFault::Proof)?;
        let verified = self
            .blinded
            .verify(evaluated, proof)
            .map_err(|_| ChunkFault::Proof)?;
        let outputs = verified.finalize();
        let tags: Vec<Tag> = outputs.iter().map(concordat_oprf::Output::tag).collect();
        let found = contains(&tags).map_err(|_| ChunkFault::Lookup)?;
        let mut answers = Vec::with_capacity(tags.len());
        for (((slot, output), tag), found) in self.slots.iter().zip(&outputs).zip(tags).zip(found) {
            match (slot, found) {
                (Slot::Real(number), found) => answers.push(Answer {
                    number: *number,
                    tag,
                    found: found.then(|| output.escalation_key()),
                }),
                (Slot::Present, true) | (Slot::Absent, false) => {}
                (Slot::Present, false) | (Slot::Absent, true) => return Err(ChunkFault::Canary),
            }
        }
        Ok(answers)
    }
}

/// The answer for one real input.
pub struct Answer {
    /// The caller's number.
    pub number: usize,
    /// Its tag.
    pub tag: Tag,
    /// If the partner's snapshot holds it: the key that proves the hit to the partner. Secret.
    pub found: Option<Zeroizing<[u8; 32]>>,
}

/// Cuts `count` inputs into chunks: sizes after padding and how many inputs each holds.
///
/// `class` pads the whole request; `chunk` is the largest chunk, at least 16. Sizes depend on the class alone and
/// differ by at most one; inputs are spread evenly, so that every chunk hides its share among dummies.
pub fn layout(count: usize, chunk: usize, class: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
    let chunk = chunk.max(16);
    // Each chunk gives MIN_DUMMIES places away; pad until everything fits.
    let mut total = class((count + MIN_DUMMIES).max(16));
    while count + total.div_ceil(chunk) * MIN_DUMMIES > total {
        total = class(total + 1);
    }
    let chunks = total.div_ceil(chunk);
    let mut left = count;
    (0..chunks)
        .map(|index| {
            let size = total / chunks + usize::from(index < total % chunks);
            let share = left.div_ceil(chunks - index).min(size - MIN_DUMMIES);
            left -= share;
            (size, share)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use concordat_oprf::KeyPair;
    use proptest::prelude::*;

    use super::*;

    fn canaries() -> CanarySeeds {
        CanarySeeds::new(vec![([3; 32], 8), ([4; 32], 8)]).expect("two layers")
    }

    fn owner() -> (KeyPair, HashSet<Tag>) {
        let key = KeyPair::derive(&[7; 32], b"test").expect("a key");
        let mut listed: Vec<Zeroizing<Vec<u8>>> = vec![Zeroizing::new(b"listed".to_vec())];
        for seed in [[3; 32], [4; 32]] {
            listed.extend((0..8).map(|index| canary::present(&seed, index)));
        }
        let inputs: Vec<&[u8]> = listed.iter().map(|input| input.as_slice()).collect();
        let tags = key
            .evaluate_own(&inputs)
            .expect("tags")
            .iter()
            .map(concordat_oprf::Output::tag)
            .collect();
        (key, tags)
    }

    fn input(seed: u8, texts: &[&str]) -> ChunkInput {
        ChunkInput {
            index: 0,
            inputs: texts
                .iter()
                .enumerate()
                .map(|(number, text)| (number, Zeroizing::new(text.as_bytes().to_vec())))
                .collect(),
            size: 16,
            seed: Zeroizing::new([seed; 32]),
        }
    }

    fn ask(key: &KeyPair, chunk: &PreparedChunk, tags: &HashSet<Tag>) -> Result<Vec<Answer>, ChunkFault> {
        let evaluation = key
            .blind_evaluate(chunk.elements(), &mut rand::rng())
            .expect("evaluates");
        chunk.finish(&evaluation.elements, &evaluation.proof, |asked| {
            Ok(asked.iter().map(|tag| tags.contains(tag)).collect())
        })
    }

    #[test]
    fn a_chunk_finds_what_is_listed_and_nothing_else() {
        let (key, tags) = owner();
        let client = Client::new(*key.public_key());
        let chunk = input(1, &["listed", "unlisted"])
            .prepare(&client, &canaries())
            .expect("prepared");
        assert_eq!(chunk.len(), 16);
        let mut answers = ask(&key, &chunk, &tags).expect("holds");
        answers.sort_by_key(|answer| answer.number);
        let found: Vec<_> = answers
            .iter()
            .map(|answer| (answer.number, answer.found.is_some()))
            .collect();
        assert_eq!(found, [(0, true), (1, false)]);
    }

    #[test]
    fn a_wrong_set_never_looks_like_no_hit() {
        let (key, tags) = owner();
        let client = Client::new(*key.public_key());
        let chunk = input(1, &["unlisted"])
            .prepare(&client, &canaries())
            .expect("prepared");
        // An empty snapshot, one made under another key, one that says yes to everything.
        let fault = |tags: &HashSet<Tag>| ask(&key, &chunk, tags).err();
        assert_eq!(fault(&HashSet::new()), Some(ChunkFault::Canary));
        assert_eq!(
            fault(&tags.iter().map(|tag| tag.map(|byte| !byte)).collect()),
            Some(ChunkFault::Canary)
        );
        let evaluation = key
            .blind_evaluate(chunk.elements(), &mut rand::rng())
            .expect("evaluates");
        let all = chunk.finish(&evaluation.elements, &evaluation.proof, |asked| {
            Ok(vec![true; asked.len()])
        });
        assert_eq!(all.err(), Some(ChunkFault::Canary));
        let unreadable = chunk.finish(&evaluation.elements, &evaluation.proof, |_| Err("disk".into()));
        assert_eq!(unreadable.err(), Some(ChunkFault::Lookup));
        let other = KeyPair::derive(&[8; 32], b"test").expect("a key");
        assert_eq!(ask(&other, &chunk, &tags).err(), Some(ChunkFault::Proof));
        assert_eq!(
            chunk.finish(&evaluation.elements, b"short", |_| Ok(vec![])).err(),
            Some(ChunkFault::Proof)
        );
    }

    #[test]
    fn the_same_seed_sends_the_same_bytes_and_another_input_shares_no_blind() {
        let (key, _) = owner();
        let client = Client::new(*key.public_key());
        let send = |seed, texts: &[&str]| {
            input(seed, texts)
                .prepare(&client, &canaries())
                .expect("prepared")
                .elements()
                .to_vec()
        };
        assert_eq!(send(1, &["a", "b"]), send(1, &["a", "b"]));
        assert_ne!(send(1, &["a", "b"]), send(2, &["a", "b"]));
        let (one, other) = (send(1, &["a", "b"]), send(1, &["a", "c"]));
        let shared = one
            .chunks(32)
            .filter(|element| other.chunks(32).any(|o| o == *element))
            .count();
        assert_eq!(shared, 0, "not one element is repeated, not even a dummy's");
    }

    proptest! {
        #[test]
        fn a_layout_places_every_input_with_room_for_dummies(count in 0usize..70_000, chunk in 16usize..2_048) {
            for class in [|n: usize| n.max(16).next_power_of_two(), |n: usize| n.max(16)] {
                let layout = layout(count, chunk, class);
                prop_assert_eq!(layout.iter().map(|(_, share)| share).sum::<usize>(), count);
                for (size, share) in &layout {
                    prop_assert!(share + MIN_DUMMIES <= *size && *size <= chunk);
                }
            }
        }
    }
}
