//! The files of a log: [C2SP tlog-tiles](https://c2sp.org/tlog-tiles).

use std::fmt;

use crate::hash::Hash;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// A bundle gives two bytes to an entry's length.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;
/// No file of a log is larger: a full bundle of the largest entries. Whoever fetches files stops here.
pub const MAX_FILE_BYTES: usize = TILE_WIDTH as usize * (MAX_ENTRY_BYTES + 2);
/// The path of the newest checkpoint.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// The path of the newest checkpoint that carries a cosignature. Not in the specification: a log that grows faster than its witnesses
/// answer would otherwise never show one.
pub const COSIGNED_PATH: &str = "checkpoint.cosigned";

/// Trees have at most this many entries.
pub(crate) const MAX_SIZE: u64 = (1 << 62) - 1;
const MAX_LEVEL: u8 = 63;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// The entries themselves (a bundle).
    Entries,
    /// Hashes: of entries at level 0, of full tiles of the level below at all others.
    Hashes {
        /// 0 to 63.
        level: u8,
    },
}

/// The place of a tile. `Display` gives its path, `tile/<level>/<index>[.p/<width>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its number within its level.
    pub index: u64,
    /// How many hashes or entries, 1 to 256; fewer than 256 make it a partial tile.
    pub width: u16,
}

impl TilePath {
    /// The bundle with entry `entry` in a tree of `size` entries; `None` if it is not in it.
    pub fn bundle(entry: u64, size: u64) -> Option<Self> {
        let index = entry / TILE_WIDTH;
        Some(Self {
            kind: TileKind::Entries,
            index,
            width: width(index, size)?,
        })
    }

    /// The tile at `level` with number `index` in a tree of `size` entries; `None` if there is none.
    pub fn hashes(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        Some(Self {
            kind: TileKind::Hashes { level },
            index,
            width: width(index, hashes)?,
        })
    }

    /// Reads a path; `None` unless it is written in the one way.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes {
                level: decimal(level).filter(|level| *level <= u64::from(MAX_LEVEL))? as u8,
            },
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, decimal(width).filter(|w| (1..TILE_WIDTH).contains(w))?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        let mut parts = number.split('/').peekable();
        while let Some(part) = parts.next() {
            let digits = match parts.peek() {
                Some(_) => part.strip_prefix('x')?,
                None => part,
            };
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            index = index
                .checked_mul(1000)?
                .checked_add(digits.parse::<u64>().ok()?)?;
        }
        let parsed = Self {
            kind,
            index,
            width: width as u16,
        };
        // Leading elements of zeros are another way to write the same.
        (parsed.to_string() == path).then_some(parsed)
    }

    /// The full tile in this place.
    pub fn full(self) -> Self {
        Self {
            width: TILE_WIDTH as u16,
            ..self
        }
    }

    /// Whether it can still grow.
    pub fn is_partial(&self) -> bool {
        u64::from(self.width) < TILE_WIDTH
    }

    /// The folder in which partial tiles of this place lie, `….p`.
    pub fn partials(&self) -> String {
        format!("{}.p", self.full())
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
        }
        let mut divisor = 1;
        while self.index / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(f, "x{:03}/", self.index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_partial() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Writes the hashes of a tile.
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads the hashes of a tile, one or more; `None` if the length is no multiple of 32 or above 256 hashes.
pub fn decode_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    let fits = rest.is_empty() && (1..=TILE_WIDTH as usize).contains(&hashes.len());
    fits.then(|| hashes.iter().copied().map(Hash).collect())
}

/// Writes a bundle: each entry after its length, two bytes big-endian. `None` if an entry is longer than [`MAX_ENTRY_BYTES`].
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(entries.iter().map(|e| e.as_ref().len() + 2).sum());
    for entry in entries {
        let length = u16::try_from(entry.as_ref().len()).ok()?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry.as_ref());
    }
    Some(bytes)
}

/// Reads a bundle of 1 to 256 entries; `None` if its last entry is cut, or there are more or none.
pub fn decode_bundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    if bytes.is_empty() {
        return None;
    }
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        if entries.len() == TILE_WIDTH as usize {
            return None;
        }
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

/// The width of tile `index` among `count` hashes or entries.
fn width(index: u64, count: u64) -> Option<u16> {
    let left = count.checked_sub(index.checked_mul(TILE_WIDTH)?)?;
    (left > 0).then(|| left.min(TILE_WIDTH) as u16)
}

/// A decimal number without leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
