//! One segment file: a header, then strictly increasing tags.
//!
//! ```text
//! offset  bytes
//!      0      8  magic "CNCDTAGS"
//!      8      2  format version, 1
//!     10      1  role: 1 base, 2 adds, 3 removes
//!     11      1  prefix bits: how many leading bits all tags of this segment share
//!     12      4  prefix: those bits, as a number
//!     16      8  count of tags
//!     24      8  zero
//!     32  count × 16  tags, strictly increasing as bytes
//! ```
//! Numbers are big-endian. The file's name is the SHA-256 of all of it.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Damage, Error, Fault};
use crate::files::{PART_SUFFIX, SEGMENT_SUFFIX};
use crate::open_segment::Index;
use crate::options::MAX_TAGS;
use crate::segments::MAX_PREFIX_BITS;

pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const HEADER_BYTES: usize = 32;
/// A lookup reads a page, the system caches pages.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Read at once while checking a file: whole pages.
const CHUNK_BYTES: usize = 256 * PAGE_BYTES;
const MAGIC_AND_VERSION: [u8; 10] = *b"CNCDTAGS\x00\x01";

/// What the tags of a segment do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// They are the base.
    Base = 1,
    /// A delta adds them.
    Adds = 2,
    /// A delta removes them.
    Removes = 3,
}

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentHeader {
    /// What its tags do.
    pub role: Role,
    /// How many leading bits its tags share, at most 10.
    pub prefix_bits: u8,
    /// Those bits, as a number.
    pub prefix: u32,
    /// How many tags it has.
    pub count: u64,
}

/// A segment as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentRef {
    /// What its header must say.
    pub header: SegmentHeader,
    /// The SHA-256 of the file.
    pub digest: Digest,
}

/// What [`check_segment`] found.
#[derive(Debug)]
pub struct SegmentCheck {
    /// The SHA-256 of all bytes.
    pub digest: Digest,
    /// The header, if there is one.
    pub header: Option<SegmentHeader>,
    /// The first thing that breaks the format.
    pub fault: Option<Fault>,
    pub(crate) index: Index,
}

/// Reads a segment of `bytes` bytes from start to end, in bounded memory (20 bytes per 4 KiB read, and a buffer of 1 MiB).
///
/// # Errors
/// Only those of `reader`. A broken format is told by [`SegmentCheck::fault`], with the SHA-256 beside it: if that is the signed one,
/// the owner is to blame, otherwise the disk or the transfer.
pub fn check_segment(mut reader: impl Read, bytes: u64) -> io::Result<SegmentCheck> {
    let mut check = SegmentCheck {
        digest: Digest::from([0; 32]),
        header: None,
        fault: None,
        index: Index::default(),
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES.min(usize::try_from(bytes).unwrap_or(CHUNK_BYTES))];
    let mut previous = None;
    let mut offset = 0;
    while offset < bytes {
        let left = usize::try_from(bytes - offset).unwrap_or(CHUNK_BYTES);
        let chunk = &mut buffer[..left.min(CHUNK_BYTES)];
        reader.read_exact(chunk)?;
        hasher.update(&*chunk);
        for page in chunk.chunks(PAGE_BYTES) {
            check.page(page, offset, bytes, &mut previous);
            offset += page.len() as u64;
        }
    }
    check.digest = Digest::from(<[u8; 32]>::from(hasher.finalize()));
    if check.header.is_none() {
        check.fault.get_or_insert(Fault::Magic);
    }
    Ok(check)
}

impl SegmentHeader {
    /// The size of the whole file.
    pub const fn file_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.count * TAG_BYTES as u64
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..10].copy_from_slice(&MAGIC_AND_VERSION);
        bytes[10] = self.role as u8;
        bytes[11] = self.prefix_bits;
        bytes[12..16].copy_from_slice(&self.prefix.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Fault> {
        let (magic, rest) = bytes.split_at(MAGIC_AND_VERSION.len());
        if magic != MAGIC_AND_VERSION {
            return Err(Fault::Magic);
        }
        let role = match rest[0] {
            1 => Role::Base,
            2 => Role::Adds,
            3 => Role::Removes,
            _ => return Err(Fault::Header),
        };
        let header = Self {
            role,
            prefix_bits: rest[1],
            prefix: u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
            count: u64::from_be_bytes([
                bytes[16], bytes[17], bytes[18], bytes[19], bytes[20], bytes[21], bytes[22], bytes[23],
            ]),
        };
        // What does not encode to the same bytes has something in the reserved ones.
        if header.prefix_bits > MAX_PREFIX_BITS
            || header.prefix >> header.prefix_bits != 0
            || header.count > MAX_TAGS
            || header.encode() != *bytes
        {
            return Err(Fault::Header);
        }
        Ok(header)
    }
}

impl SegmentRef {
    /// The size of the file.
    pub const fn bytes(&self) -> u64 {
        self.header.file_bytes()
    }

    /// The file's name: `<sha-256>.seg`.
    pub fn file_name(&self) -> String {
        format!("{}{SEGMENT_SUFFIX}", self.digest)
    }

    /// The name while it is being downloaded: `<sha-256>.part`.
    pub(crate) fn part_name(&self) -> String {
        format!("{}{PART_SUFFIX}", self.digest)
    }

    /// Judges what was found in `file`: first whether these are the signed bytes, then whether those are right.
    pub(crate) fn judge(&self, check: &SegmentCheck, file: &str) -> Result<(), Error> {
        let malformed = |fault| Error::Malformed {
            file: file.to_owned(),
            fault,
        };
        if check.digest != self.digest {
            return Err(Error::Damaged {
                file: file.to_owned(),
                damage: Damage::Digest(check.fault),
            });
        }
        if let Some(fault) = check.fault {
            return Err(malformed(fault));
        }
        match check.header {
            Some(header) if header == self.header => Ok(()),
            Some(header) if header.count != self.header.count => Err(malformed(Fault::Count {
                stated: header.count,
                expected: self.header.count,
            })),
            _ => Err(malformed(Fault::Header)),
        }
    }
}

impl SegmentCheck {
    fn page(&mut self, page: &[u8], offset: u64, file_bytes: u64, previous: &mut Option<u128>) {
        let mut tags = page;
        let mut at = offset;
        if offset == 0
            && let Some((header, rest)) = page.split_first_chunk::<HEADER_BYTES>()
        {
            tags = rest;
            at = HEADER_BYTES as u64;
            match SegmentHeader::decode(header) {
                Ok(header) => {
                    self.header = Some(header);
                    if header.file_bytes() != file_bytes {
                        let expected = file_bytes.saturating_sub(HEADER_BYTES as u64) / TAG_BYTES as u64;
                        self.fault = Some(Fault::Count {
                            stated: header.count,
                            expected,
                        });
                    }
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
        for (index, tag) in tags.as_chunks::<TAG_BYTES>().0.iter().enumerate() {
            let tag = u128::from_be_bytes(*tag);
            if index == 0 {
                self.index.push(tag, page);
            }
            if self.fault.is_none() {
                self.fault = self.header.and_then(|h| tag_fault(h, *previous, tag, at));
            }
            *previous = Some(tag);
            at += TAG_BYTES as u64;
        }
    }
}

fn tag_fault(header: SegmentHeader, previous: Option<u128>, tag: u128, offset: u64) -> Option<Fault> {
    if prefix_of(tag, header.prefix_bits) != header.prefix {
        return Some(Fault::OutOfRange { offset });
    }
    match previous {
        Some(previous) if previous == tag => Some(Fault::Duplicate { offset }),
        Some(previous) if previous > tag => Some(Fault::Unsorted { offset }),
        _ => None,
    }
}

/// The leading `bits` bits of `tag`.
pub(crate) fn prefix_of(tag: u128, bits: u8) -> u32 {
    // A shift by 128 (no bits) is none that u128 has.
    tag.checked_shr(u128::BITS - u32::from(bits))
        .map_or(0, |prefix| prefix as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_decode_to_what_they_encode_and_nothing_else() {
        let header = SegmentHeader {
            role: Role::Adds,
            prefix_bits: 3,
            prefix: 5,
            count: 77,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for position in 0..HEADER_BYTES {
            for bit in 0..8 {
                let mut changed = bytes;
                changed[position] ^= 1 << bit;
                assert_ne!(
                    SegmentHeader::decode(&changed),
                    Ok(header),
                    "byte {position} bit {bit}"
                );
            }
        }
        for (position, value, fault) in [
            (0, b'X', Fault::Magic),
            (9, 2, Fault::Magic),
            (10, 0, Fault::Header),
            (10, 4, Fault::Header),
            (11, 11, Fault::Header),
            (15, 8, Fault::Header),
            (16, 1, Fault::Header),
            (31, 1, Fault::Header),
        ] {
            let mut changed = bytes;
            changed[position] = value;
            assert_eq!(SegmentHeader::decode(&changed), Err(fault), "byte {position}");
        }
    }

    #[test]
    fn no_prefix_bits_means_one_range() {
        assert_eq!(prefix_of(u128::MAX, 0), 0);
        assert_eq!(prefix_of(u128::MAX, 10), 1023);
        assert_eq!(prefix_of(u128::MAX >> 1, 1), 0);
    }
}
