//! The leaves of a log on their way out, held to its checkpoint while they pass.

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::Hash;
use crate::leaf::Leaf;
use crate::reader::{ReadError, TileReader};
use crate::source::Source;
use crate::tile::TILE_WIDTH;
use crate::tree::RightEdge;

/// Every leaf of a log in its order, hashed as it passes. What passed is worth something only once [`finish`](Self::finish) has said that
/// it is what was signed. One bundle is in memory at a time.
pub struct CheckedLeaves<S> {
    reader: TileReader<S>,
    signed: Checkpoint,
    seen: Option<Checkpoint>,
    next_bundle: u64,
    bundle: std::vec::IntoIter<(u64, Leaf)>,
    edge: RightEdge,
    /// Whether the log was, at its size then, what was seen before.
    extends: Option<bool>,
    failed: Option<ReadError>,
}

/// Why leaves that passed are worth nothing. Whoever keeps the log's files is to blame, or the way they travelled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeavesError {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They are not the ones that the checkpoint signs.
    #[error("the entries are not those that the checkpoint of {size} entries signs")]
    NotSigned {
        /// The checkpoint's size.
        size: u64,
    },
    /// They are signed, and the log was signed before with other ones: it does not extend what was seen.
    #[error("the log of {size} entries is not the one of which {seen} entries were seen before")]
    OtherHistory {
        /// The checkpoint's size.
        size: u64,
        /// The size of the one seen before.
        seen: u64,
    },
    /// The checkpoint is older than what was seen before.
    #[error("the log has {size} entries, and {seen} were seen before")]
    Shorter {
        /// The checkpoint's size.
        size: u64,
        /// The size of the one seen before.
        seen: u64,
    },
}

impl<S: Source> CheckedLeaves<S> {
    /// The leaves in `source` that `signed` signs.
    pub fn new(source: S, signed: &SignedCheckpoint) -> Self {
        Self {
            reader: TileReader::new(source, signed.size()),
            signed: signed.checkpoint().clone(),
            seen: None,
            next_bundle: 0,
            bundle: Vec::new().into_iter(),
            edge: RightEdge::new(),
            extends: None,
            failed: None,
        }
    }

    /// Holds the log to a checkpoint of it that was seen before, too.
    #[must_use]
    pub fn extending(mut self, seen: &SignedCheckpoint) -> Self {
        self.seen = Some(seen.checkpoint().clone());
        self.compare();
        self
    }

    /// Whether all of them are what was signed. Reads what has not passed yet.
    ///
    /// # Errors
    /// [`LeavesError`]: nothing that passed is to be believed.
    pub fn finish(mut self) -> Result<(), LeavesError> {
        self.by_ref().for_each(drop);
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let size = self.signed.size;
        if (self.edge.size(), self.edge.root()) != (size, self.signed.root) {
            return Err(LeavesError::NotSigned { size });
        }
        match self.seen.map(|seen| seen.size) {
            Some(seen) if seen > size => Err(LeavesError::Shorter { size, seen }),
            Some(seen) if self.extends != Some(true) => Err(LeavesError::OtherHistory { size, seen }),
            _ => Ok(()),
        }
    }

    fn compare(&mut self) {
        if let Some(seen) = &self.seen
            && seen.size == self.edge.size()
        {
            self.extends = Some(seen.root == self.edge.root());
        }
    }
}

impl<S: Source> Iterator for CheckedLeaves<S> {
    type Item = (u64, Leaf);

    fn next(&mut self) -> Option<(u64, Leaf)> {
        if self.bundle.len() == 0 {
            if self.failed.is_some() || self.next_bundle >= self.reader.size().div_ceil(TILE_WIDTH) {
                return None;
            }
            match self.reader.bundle(self.next_bundle) {
                Ok(leaves) => self.bundle = leaves.into_iter(),
                Err(error) => self.failed = Some(error),
            }
            self.next_bundle += 1;
        }
        let (number, leaf) = self.bundle.next()?;
        self.edge.push(Hash::leaf(&leaf.encode(number)), |_, _| {});
        self.compare();
        Some((number, leaf))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use concordat_note::SigningKey;

    use super::*;
    use crate::{
        Actor, AgreementChange, AgreementChanged, Entry, EntryKey, Folder, Hex, Log, Retention, SealedEntry,
        Text, TilePath, decode_bundle, encode_bundle,
    };

    const NAME: &str = "aa.example/ledger";

    fn key() -> SigningKey {
        SigningKey::from_seed(NAME, &[7; 32]).expect("a key")
    }

    fn leaf(number: u32) -> Leaf {
        let entry = Entry::new(
            "2026-03-02T08:00:00Z".parse().expect("a time"),
            AgreementChanged {
                by: Actor::Node,
                partner: Text::new("bb.example").expect("a text"),
                agreement: Text::new(format!("agreement-{number}")).expect("a text"),
                digest: Hex([0; 32]),
                change: AgreementChange::Signed,
            },
        );
        let key = EntryKey::new([u8::try_from(number % 251).expect("small"); 32]);
        SealedEntry::seal(&entry, Retention::OneYear, &key)
            .expect("sealed")
            .leaf
    }

    /// The files of a log of `size` entries, and its checkpoints at 300 and at the end.
    fn log(size: u32, first: u32) -> (BTreeMap<String, Vec<u8>>, SignedCheckpoint, SignedCheckpoint) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = Log::open(Folder::create(dir.path()).expect("made"), key().verifier()).expect("opened");
        let leaves: Vec<Leaf> = (first..first + size).map(leaf).collect();
        let early = log.append(&leaves[..300], &key()).expect("appended").clone();
        let late = log.append(&leaves[300..], &key()).expect("appended").clone();
        let mut files = BTreeMap::new();
        for start in [0, 256, 512] {
            let path = TilePath::bundle(start, late.size())
                .expect("a bundle")
                .to_string();
            let bytes = log.source().read(&path).expect("read").expect("there");
            files.insert(path, bytes);
        }
        (files, early, late)
    }

    #[test]
    fn what_was_signed_passes_and_holds() {
        let (files, early, late) = log(700, 0);
        let mut leaves = CheckedLeaves::new(&files, &late).extending(&early);
        assert_eq!(
            leaves.by_ref().map(|(number, _)| number).collect::<Vec<_>>(),
            (0..700).collect::<Vec<_>>()
        );
        leaves.finish().expect("signed");
        // Stopping early does not leave anything unread.
        let mut leaves = CheckedLeaves::new(&files, &late).extending(&late);
        assert!(leaves.next().is_some());
        leaves.finish().expect("signed");
    }

    #[test]
    fn what_was_not_signed_is_told() {
        let (mut files, _, late) = log(700, 0);
        let path = TilePath::bundle(256, 700).expect("a bundle").to_string();
        let honest = files[&path].clone();
        let mut entries: Vec<Vec<u8>> = decode_bundle(&honest)
            .expect("a bundle")
            .into_iter()
            .map(<[u8]>::to_vec)
            .collect();
        entries[3] = leaf(9_999).encode(259);
        files.insert(path.clone(), encode_bundle(&entries).expect("short"));
        let changed = CheckedLeaves::new(&files, &late).finish();
        assert!(
            matches!(changed, Err(LeavesError::NotSigned { size: 700 })),
            "{changed:?}"
        );

        files.insert(path.clone(), honest[..honest.len() - 1].to_vec());
        let cut = CheckedLeaves::new(&files, &late).finish();
        assert!(
            matches!(cut, Err(LeavesError::Read(ReadError::Damaged { .. }))),
            "{cut:?}"
        );
        files.remove(&path);
        let gone = CheckedLeaves::new(&files, &late).finish();
        assert!(
            matches!(gone, Err(LeavesError::Read(ReadError::Missing { .. }))),
            "{gone:?}"
        );
    }

    #[test]
    fn another_history_and_an_older_one_are_told() {
        let (files, early, late) = log(700, 0);
        let (_, other_early, other_late) = log(700, 1_000);
        for seen in [&other_early, &other_late] {
            let told = CheckedLeaves::new(&files, &late).extending(seen).finish();
            assert!(
                matches!(told, Err(LeavesError::OtherHistory { size: 700, .. })),
                "{told:?}"
            );
        }
        let mut short = files;
        for (start, width) in [(0, 256), (256, 44)] {
            let bytes = &short[&TilePath::bundle(start, 700).expect("a bundle").to_string()];
            let entries = decode_bundle(bytes).expect("a bundle");
            let bytes = encode_bundle(&entries[..width]).expect("short");
            short.insert(TilePath::bundle(start, 300).expect("a bundle").to_string(), bytes);
        }
        CheckedLeaves::new(&short, &early).finish().expect("signed");
        let older = CheckedLeaves::new(&short, &early).extending(&late).finish();
        assert!(
            matches!(older, Err(LeavesError::Shorter { size: 300, seen: 700 })),
            "{older:?}"
        );
    }
}
