//! Proofs computed from the tiles of a log.

use std::io;

use crate::hash::Hash;
use crate::leaf::Leaf;
use crate::source::Source;
use crate::tile::{TILE_WIDTH, TilePath, decode_bundle, decode_hashes};
use crate::tree::RightEdge;

/// Reads a log of a given size. Nothing it gives is verified: a root, an entry or a proof that comes out of it is checked against a
/// signed checkpoint by the caller.
pub struct TileReader<S> {
    source: S,
    size: u64,
    /// The last tile read of each level.
    cache: Vec<Option<(TilePath, Vec<Hash>)>>,
}

/// A log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk or the network failed.
    #[error("reading {path} failed")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that a log of this size must have is not there, neither partial nor full.
    #[error("{path} is missing")]
    Missing {
        /// The file.
        path: String,
    },
    /// A file has not the form, or not the length, that it must have.
    #[error("{path} is damaged: it does not hold what its name says")]
    Damaged {
        /// The file.
        path: String,
    },
    /// The caller asked for something that a log of this size does not have.
    #[error("a log of {size} entries has no {what}")]
    OutOfRange {
        /// What was asked for.
        what: &'static str,
        /// The size.
        size: u64,
    },
}

impl<S: Source> TileReader<S> {
    /// Reads the log in `source` as it was at `size` entries.
    pub fn new(source: S, size: u64) -> Self {
        Self {
            source,
            size,
            cache: Vec::new(),
        }
    }

    /// The size of the log as it is read.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn root(&mut self) -> Result<Hash, ReadError> {
        self.range(0, self.size)
    }

    /// The root that the log had at `size` entries, computed from its tiles of today.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn root_at(&mut self, size: u64) -> Result<Hash, ReadError> {
        if size > self.size {
            return Err(self.out_of_range("such prefix"));
        }
        self.range(0, size)
    }

    /// The right edge, to append to. O(log n) files.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn right_edge(&mut self) -> Result<RightEdge, ReadError> {
        let mut levels = Vec::new();
        let mut left = self.size;
        while left > 0 {
            let level = levels.len() as u8;
            let hashes = if left.is_multiple_of(TILE_WIDTH) {
                Vec::new()
            } else {
                self.tile(level, left / TILE_WIDTH)?.to_vec()
            };
            levels.push(hashes);
            left /= TILE_WIDTH;
        }
        let out_of_range = self.out_of_range("right edge");
        RightEdge::from_levels(self.size, levels).ok_or(out_of_range)
    }

    /// Entry `index`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&mut self, index: u64) -> Result<Vec<u8>, ReadError> {
        let path = (index < self.size)
            .then(|| TilePath::bundle(index, self.size))
            .flatten()
            .ok_or_else(|| self.out_of_range("such entry"))?;
        let bundle = read_tile(&self.source, path)?;
        let entries = decode_bundle(&bundle).ok_or_else(|| damaged(path))?;
        let entry = entries.get((index % TILE_WIDTH) as usize);
        Ok(entry.ok_or_else(|| damaged(path))?.to_vec())
    }

    /// The numbers and leaves from entry `start` on, a bundle at a time. Not verified: run [`verify`](crate::verify) over the log, or
    /// prove the ones that matter.
    pub fn leaves(&self, start: u64) -> impl Iterator<Item = Result<(u64, Leaf), ReadError>> + '_ {
        let bundles = start / TILE_WIDTH..self.size.div_ceil(TILE_WIDTH);
        let leaves = bundles.flat_map(|number| match self.bundle(number) {
            Ok(leaves) => leaves.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        leaves.skip_while(move |leaf| matches!(leaf, Ok((index, _)) if *index < start))
    }

    pub(crate) fn bundle(&self, number: u64) -> Result<Vec<(u64, Leaf)>, ReadError> {
        let first = number * TILE_WIDTH;
        let path = TilePath::bundle(first, self.size).ok_or_else(|| self.out_of_range("such bundle"))?;
        let bytes = read_tile(&self.source, path)?;
        let entries = decode_bundle(&bytes).filter(|entries| entries.len() >= path.width.into());
        let numbered = (first..).zip(entries.ok_or_else(|| damaged(path))?);
        numbered
            .take(path.width.into())
            .map(|(index, entry)| Leaf::parse(entry).filter(|(number, _)| *number == index))
            .collect::<Option<_>>()
            .ok_or_else(|| damaged(path))
    }

    /// The proof that entry `index` is in the log, for [`verify_inclusion`](crate::verify_inclusion).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn inclusion_proof(&mut self, index: u64) -> Result<Vec<Hash>, ReadError> {
        if index >= self.size {
            return Err(self.out_of_range("such entry"));
        }
        // RFC 6962 §2.1.1, from the root down; the proof goes from the leaf up.
        let mut proof = Vec::new();
        let (mut start, mut end) = (0, self.size);
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(start, middle)?);
                start = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that the log of `old_size` entries is the beginning of this one, for
    /// [`verify_consistency`](crate::verify_consistency). Empty for the empty log and for the same size.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn consistency_proof(&mut self, old_size: u64) -> Result<Vec<Hash>, ReadError> {
        if old_size > self.size {
            return Err(self.out_of_range("larger old size"));
        }
        let mut proof = Vec::new();
        if old_size == 0 {
            return Ok(proof);
        }
        // RFC 6962 §2.1.2, from the root down.
        let (mut start, mut end) = (0, self.size);
        while old_size < end {
            let middle = start + split(end - start);
            if old_size <= middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(start, middle)?);
                start = middle;
            }
        }
        // The old tree's last subtree; the verifier has it if it is the whole old tree.
        if start > 0 {
            proof.push(self.range(start, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// MTH(D[start:end]). `start` is a multiple of the largest power of two below `end - start`, as all ranges of proofs are.
    fn range(&mut self, start: u64, end: u64) -> Result<Hash, ReadError> {
        let mut right: Option<Hash> = None;
        let mut end = end;
        // From the right: complete subtrees, ever larger.
        while start < end {
            let width = 1 << (end - start).trailing_zeros();
            let left = self.subtree((end - width) / width, width.trailing_zeros())?;
            right = Some(right.map_or(left, |right| Hash::node(&left, &right)));
            end -= width;
        }
        Ok(right.unwrap_or(Hash::EMPTY_ROOT))
    }

    /// The root of the complete subtree of 2^`height` entries with this number.
    fn subtree(&mut self, index: u64, height: u32) -> Result<Hash, ReadError> {
        let (level, within) = ((height / 8) as u8, height % 8);
        let first = index << within;
        let hashes = self.tile(level, first / TILE_WIDTH)?;
        let first = (first % TILE_WIDTH) as usize;
        // The tile was checked to have its width, and the subtree lies within the tree.
        Ok(Hash::root(&hashes[first..first + (1 << within)]))
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], ReadError> {
        let path = TilePath::hashes(level, index, self.size).ok_or_else(|| self.out_of_range("such tile"))?;
        let slot = usize::from(level);
        if self.cache.len() <= slot {
            self.cache.resize(slot + 1, None);
        }
        let known = matches!(&self.cache[slot], Some((cached, _)) if *cached == path);
        if !known {
            let bytes = read_tile(&self.source, path)?;
            let mut hashes = decode_hashes(&bytes).ok_or_else(|| damaged(path))?;
            if hashes.len() < path.width.into() {
                return Err(damaged(path));
            }
            hashes.truncate(path.width.into());
            self.cache[slot] = Some((path, hashes));
        }
        Ok(self.cache[slot].as_ref().map_or(&[], |(_, hashes)| hashes))
    }

    fn out_of_range(&self, what: &'static str) -> ReadError {
        ReadError::OutOfRange {
            what,
            size: self.size,
        }
    }
}

/// A tile, or the full one in its place if the partial one is not kept any more.
pub(crate) fn read_tile(source: &impl Source, path: TilePath) -> Result<Vec<u8>, ReadError> {
    for path in [path, path.full()] {
        let path = path.to_string();
        match source.read(&path) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(source) => return Err(ReadError::Io { path, source }),
        }
    }
    Err(ReadError::Missing {
        path: path.to_string(),
    })
}

fn damaged(path: TilePath) -> ReadError {
    ReadError::Damaged {
        path: path.to_string(),
    }
}

/// The largest power of two smaller than `n`, for `n` above 1.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}
