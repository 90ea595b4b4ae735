//! Growing a tree: the right edge, and nothing else, is kept.

use crate::hash::Hash;
use crate::tile::{TILE_WIDTH, TileKind, TilePath};

/// The right edge of a tree: for every level the hashes of its partial tile. O(log n) memory, whatever the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RightEdge {
    size: u64,
    /// `levels[l]` are the hashes of the last tile at level `l`, fewer than 256.
    levels: Vec<Vec<Hash>>,
}

impl RightEdge {
    /// The edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an edge together from the hashes of its partial tiles, as [`partial_tiles`](Self::partial_tiles) lists them. `None` unless
    /// their number is that of a tree of `size` entries.
    pub fn from_levels(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let mut left = size;
        for level in &levels {
            if level.len() as u64 != left % TILE_WIDTH {
                return None;
            }
            left /= TILE_WIDTH;
        }
        (left == 0).then_some(Self { size, levels })
    }

    /// How many entries the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the entry whose leaf hash is `leaf`. Every tile that is full with it is given to `full`, lower levels first.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(TilePath, &[Hash])) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH as usize {
                return;
            }
            let path = TilePath {
                kind: TileKind::Hashes { level: level as u8 },
                index: shifted(self.size, level as u8) - 1,
                width: TILE_WIDTH as u16,
            };
            full(path, hashes);
            hash = Hash::root(hashes);
            hashes.clear();
        }
    }

    /// The partial tiles of the edge, lower levels first.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (TilePath, &[Hash])> {
        (0u8..)
            .zip(&self.levels)
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|(level, hashes)| {
                let path = TilePath {
                    kind: TileKind::Hashes { level },
                    index: shifted(self.size, level),
                    width: hashes.len() as u16,
                };
                (path, hashes.as_slice())
            })
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        // From the lowest level up: what lies right of a level's hashes is one hash, or nothing.
        let mut right: Option<Hash> = None;
        for hashes in &self.levels {
            let mut hashes = hashes.as_slice();
            while !hashes.is_empty() {
                // The last complete subtree within this tile.
                let (rest, subtree) = hashes.split_at(hashes.len() & (hashes.len() - 1));
                let left = Hash::root(subtree);
                right = Some(right.map_or(left, |right| Hash::node(&left, &right)));
                hashes = rest;
            }
        }
        right.unwrap_or(Hash::EMPTY_ROOT)
    }
}

/// How many full tiles a level has.
fn shifted(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
}
