//! Padding: random tags that hide how many real ones there are, and that can be taken back later.

use std::collections::HashSet;
use std::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::Tag;
use crate::error::Error;
use crate::segment::TAG_BYTES;
use crate::snapshot::Snapshot;

/// Rounds of guessing before [`Padding::pick_live`] looks at every padding tag.
const GUESSING_ROUNDS: usize = 8;
/// Looked up at once while looking at every padding tag: 1 MiB of tags.
const SCAN_TAGS: usize = 1 << 16;

/// The owner's padding for all snapshots of a scope: bases, deltas and merges.
///
/// Padding tags are the ChaCha20 stream of a secret seed, 16 bytes each: they look random to everyone else, and the owner, who must know
/// them later to remove some, stores 40 bytes instead of the tags. **Secret**: whoever has it can tell padding from real tags.
///
/// One seed for one scope, whatever becomes of its snapshots: a new base goes on with it
/// ([`finish_after`](crate::SnapshotBuilder::finish_after)), because under a fresh one only real tags would stay. Store
/// [`drawn`](Self::drawn) before the snapshot that uses it is published; having drawn more than was published does no harm.
pub struct Padding {
    seed: Zeroizing<[u8; 32]>,
    drawn: u64,
}

impl Padding {
    /// Fresh padding from 32 random bytes.
    pub fn new(seed: [u8; 32]) -> Self {
        Self::resume(seed, 0)
    }

    /// Padding of which `drawn` tags were drawn before.
    pub fn resume(seed: [u8; 32], drawn: u64) -> Self {
        Self {
            seed: Zeroizing::new(seed),
            drawn,
        }
    }

    /// How many tags have been drawn so far. To be stored, as secret as the seed.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// The next padding tag, never drawn before.
    pub(crate) fn draw(&mut self) -> impl FnMut() -> u128 + '_ {
        let mut stream = self.stream_from(self.drawn);
        move || {
            self.drawn += 1;
            next_tag(&mut stream)
        }
    }

    /// Draws `count` padding tags that `snapshot` does not hold. Tags drawn before a crash and published all the same are passed over.
    pub(crate) fn draw_absent(
        &mut self,
        snapshot: Option<&Snapshot>,
        mut count: u64,
        mut take: impl FnMut(u128) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut draw = self.draw();
        while count > 0 {
            let batch: Vec<Tag> = (0..count.min(SCAN_TAGS as u64))
                .map(|_| draw().to_be_bytes())
                .collect();
            let found = match snapshot {
                Some(snapshot) => snapshot.contains_many(&batch)?,
                None => vec![false; batch.len()],
            };
            for (tag, _) in batch.iter().zip(found).filter(|(_, found)| !found) {
                take(u128::from_be_bytes(*tag))?;
                count -= 1;
            }
        }
        Ok(())
    }

    /// Hands out every padding tag that `snapshot` holds, in the order in which they were drawn.
    pub(crate) fn for_each_live(
        &self,
        snapshot: &Snapshot,
        mut take: impl FnMut(u128) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut stream = self.stream_from(0);
        let mut left = self.drawn;
        while left > 0 {
            let batch: Vec<Tag> = (0..left.min(SCAN_TAGS as u64))
                .map(|_| next_tag(&mut stream).to_be_bytes())
                .collect();
            left -= batch.len() as u64;
            let live = snapshot.contains_many(&batch)?;
            for (tag, _) in batch.iter().zip(live).filter(|(_, live)| *live) {
                take(u128::from_be_bytes(*tag))?;
            }
        }
        Ok(())
    }

    /// Hands out each padding tag ever drawn with probability one half, the same ones for the same state of the padding, and tells how
    /// many.
    pub(crate) fn for_each_of_a_half(
        &self,
        mut take: impl FnMut(u128) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut random = ChaCha20Rng::from_seed(*self.seed);
        // Neither the tags' own stream nor one of those that pick live ones: these begin at 0 and count up.
        random.set_stream(!self.drawn);
        let mut stream = self.stream_from(0);
        let mut taken = 0;
        for _ in 0..self.drawn {
            let tag = next_tag(&mut stream);
            if random.next_u32() & 1 == 1 {
                take(tag)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// `count` different padding tags that `snapshot` holds, each of them as likely as any other.
    ///
    /// Choosing at random matters: if the oldest went first, a tag removed out of turn would be known to be real.
    pub(crate) fn pick_live(&self, snapshot: &Snapshot, count: u64) -> Result<Vec<u128>, Error> {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let mut random = ChaCha20Rng::from_seed(*self.seed);
        // The tags are stream 0. Another choice for another state of the padding.
        random.set_stream(self.drawn.wrapping_add(1));

        let mut picked = Vec::new();
        let mut tried = HashSet::new();
        for _ in 0..GUESSING_ROUNDS {
            let missing = wanted - picked.len();
            if missing == 0 || self.drawn == 0 {
                break;
            }
            let guesses: Vec<Tag> = (0..missing.saturating_mul(2).min(SCAN_TAGS))
                .map(|_| below(&mut random, self.drawn))
                .filter(|index| tried.insert(*index))
                .map(|index| next_tag(&mut self.stream_from(index)).to_be_bytes())
                .collect();
            let live = snapshot.contains_many(&guesses)?;
            let live = guesses.iter().zip(live).filter(|(_, live)| *live);
            picked.extend(live.map(|(tag, _)| u128::from_be_bytes(*tag)).take(missing));
        }
        if picked.len() < wanted {
            self.pick_from_all(snapshot, wanted, &mut picked, &mut random)?;
        }
        Ok(picked)
    }

    /// Fills `picked` up to `wanted` from every padding tag ever drawn (reservoir sampling: bounded memory).
    fn pick_from_all(
        &self,
        snapshot: &Snapshot,
        wanted: usize,
        picked: &mut Vec<u128>,
        random: &mut ChaCha20Rng,
    ) -> Result<(), Error> {
        let taken: HashSet<u128> = picked.iter().copied().collect();
        let room = wanted - taken.len();
        let mut seen: u64 = 0;
        self.for_each_live(snapshot, |tag| {
            if taken.contains(&tag) {
                return Ok(());
            }
            seen += 1;
            if picked.len() < wanted {
                picked.push(tag);
            } else if let Ok(place) = usize::try_from(below(random, seen))
                && place < room
            {
                picked[taken.len() + place] = tag;
            }
            Ok(())
        })?;
        if picked.len() < wanted {
            return Err(Error::PaddingExhausted {
                needed: wanted as u64,
                live: picked.len() as u64,
            });
        }
        Ok(())
    }

    fn stream_from(&self, index: u64) -> ChaCha20Rng {
        let mut stream = ChaCha20Rng::from_seed(*self.seed);
        stream.set_word_pos(u128::from(index) * (TAG_BYTES / 4) as u128);
        stream
    }
}

impl fmt::Debug for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Padding(redacted)")
    }
}

fn next_tag(stream: &mut ChaCha20Rng) -> u128 {
    let mut tag = [0; TAG_BYTES];
    stream.fill_bytes(&mut tag);
    u128::from_be_bytes(tag)
}

/// A number below `bound`; the bias of the product method is below 2^-34 for any number of tags a snapshot can have.
fn below(random: &mut ChaCha20Rng, bound: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, appendix A.1, test vector 1: the stream of the zero key. Padding drawn today must be found again in years.
    #[test]
    fn the_stream_is_chacha20() {
        let mut padding = Padding::new([0; 32]);
        let mut draw = padding.draw();
        let tags: Vec<_> = (0..4).map(|_| hex::encode(draw().to_be_bytes())).collect();
        assert_eq!(
            tags.concat(),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        );
    }

    #[test]
    fn resumed_padding_goes_on_where_it_stopped() {
        let seed = [3; 32];
        let mut whole = Padding::new(seed);
        let all: Vec<_> = {
            let mut draw = whole.draw();
            (0..100).map(|_| draw()).collect()
        };
        assert_eq!(whole.drawn(), 100);
        for stop in [0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 99] {
            let mut padding = Padding::resume(seed, stop);
            let mut draw = padding.draw();
            assert!((stop..100).all(|i| draw() == all[i as usize]), "from {stop}");
        }
    }

    /// 300 of 1,000 drawn tags are live: guessing finds some, looking at all finds the rest, none is taken twice, and not the oldest
    /// first.
    #[test]
    fn live_padding_is_picked_from_everywhere() {
        let dir = tempfile::tempdir().unwrap();
        let mut padding = Padding::new([5; 32]);
        let all: Vec<u128> = {
            let mut draw = padding.draw();
            (0..1000).map(|_| draw()).collect()
        };
        let live: HashSet<u128> = all.iter().copied().skip(100).step_by(3).collect();
        let options = crate::Options {
            padding_reserve: 0,
            ..crate::Options::default()
        };
        let mut builder = crate::SnapshotBuilder::new(dir.path(), options).unwrap();
        live.iter()
            .for_each(|tag| builder.push(&tag.to_be_bytes()).unwrap());
        builder.push_canary(&[1; 16]).unwrap();
        let (base, _) = builder.finish([0; 32], &mut Padding::new([6; 32])).unwrap();
        let snapshot = crate::snapshot::tests::signed_and_installed(dir.path(), base);

        for count in [0, 1, 150, 299, 300] {
            let picked = padding.pick_live(&snapshot, count).unwrap();
            let distinct: HashSet<u128> = picked.iter().copied().collect();
            assert_eq!((picked.len() as u64, distinct.len() as u64), (count, count));
            assert!(distinct.is_subset(&live));
            let young = all[550..].iter().filter(|tag| distinct.contains(tag)).count() as u64;
            assert!(young >= count / 3, "{young} of {count} from the younger half");
        }
        let error = padding.pick_live(&snapshot, 301).unwrap_err();
        assert!(matches!(
            error,
            Error::PaddingExhausted {
                needed: 301,
                live: 300
            }
        ));
        let none = Padding::new([5; 32]).pick_live(&snapshot, 1).unwrap_err();
        assert!(matches!(none, Error::PaddingExhausted { needed: 1, live: 0 }));
    }

    #[test]
    fn padding_is_not_shown() {
        assert_eq!(format!("{:?}", Padding::new([7; 32])), "Padding(redacted)");
    }
}
