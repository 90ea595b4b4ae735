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
//!
//! # Why positioned reads and not a memory map
//! A lookup reads one 4 KiB page with `pread`, after an index of the pages' first tags (16 bytes per 4 KiB) told which. The page comes
//! out of the page cache as it would through a map; the copy costs less than a microsecond, where a query costs tens of
//! microseconds of group arithmetic. In return a truncated file is an error with a name, where a map kills the process with SIGBUS;
//! and each page is checked (CRC-32, taken while the SHA-256 was verified), so that a page that has rotted since can never
//! look like an absent tag. A map has no safe interface in Rust that keeps its promise: any process may change the file beneath. The
//! wrappers that offer one (`mmap-io` 1.1, `fmmap` 0.5) hold hundreds of `unsafe` lines for features not needed here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Damage, Error, Fault, io_error};
use crate::files::{PART_SUFFIX, SEGMENT_SUFFIX, open_existing};
use crate::options::MAX_TAGS;
use crate::segments::MAX_PREFIX_BITS;

pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const HEADER_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;
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
    index: Index,
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
                self.index.first_tags.push(tag);
                self.index.checksums.push(crc32fast::hash(page));
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

/// What is kept in memory of a segment: the first tag and the checksum of each page.
#[derive(Debug, Default)]
struct Index {
    first_tags: Vec<u128>,
    checksums: Vec<u32>,
}

impl Index {
    /// The page that would hold `tag`: the last one that starts at or below it. Interpolation finds the neighbourhood in constant
    /// time when tags are spread evenly; doubling steps and a binary search from there never take more than O(log pages),
    /// however the owner has chosen the tags.
    fn page_of(&self, tag: u128) -> Option<usize> {
        let pages = &self.first_tags;
        let (&first, &last) = (pages.first()?, pages.last()?);
        if tag < first {
            return None;
        }
        if tag >= last {
            return Some(pages.len() - 1);
        }
        // first <= tag < last. 64 bits are precise enough for a guess, and keep the product within u128.
        let span = last - first;
        let shift = u64::BITS.saturating_sub(span.leading_zeros());
        let guess = ((tag - first) >> shift) * (pages.len() as u128 - 1) / (span >> shift);
        let guess = usize::try_from(guess).unwrap_or(usize::MAX).min(pages.len() - 1);

        // The page is in low..high: pages[low] <= tag < pages[high].
        let (mut low, mut high) = (0, pages.len() - 1);
        let mut step = 1;
        if pages[guess] <= tag {
            low = guess;
            while low + step < high {
                if pages[low + step] > tag {
                    high = low + step;
                    break;
                }
                low += step;
                step *= 2;
            }
        } else {
            high = guess;
            while low + step < high {
                if pages[high - step] <= tag {
                    low = high - step;
                    break;
                }
                high -= step;
                step *= 2;
            }
        }
        Some(low + pages[low..high].partition_point(|first| *first <= tag) - 1)
    }
}

/// A verified segment, open for lookups.
#[derive(Debug)]
pub(crate) struct Segment {
    reference: SegmentRef,
    file: File,
    index: Index,
}

impl Segment {
    /// Opens and verifies all of `dir/<digest>.seg`.
    pub(crate) fn open(dir: &Path, reference: &SegmentRef) -> Result<Self, Error> {
        let name = reference.file_name();
        let path = dir.join(&name);
        let Some(file) = open_existing(&path)? else {
            return Err(Error::Missing { file: name });
        };
        let found = file
            .metadata()
            .map_err(io_error("read the size of", &path))?
            .len();
        if found != reference.bytes() {
            let damage = Damage::Length {
                expected: reference.bytes(),
                found,
            };
            return Err(Error::Damaged { file: name, damage });
        }
        let check = check_segment(&file, found).map_err(io_error("read", &path))?;
        reference.judge(&check, &name)?;
        Ok(Self {
            reference: *reference,
            file,
            index: check.index,
        })
    }

    pub(crate) fn reference(&self) -> &SegmentRef {
        &self.reference
    }

    /// Whether `tag` is in the segment. Reads one page unless `page` holds it already.
    pub(crate) fn contains(&self, tag: u128, page: &mut Page) -> Result<bool, Error> {
        let Some(number) = self.index.page_of(tag) else {
            return Ok(false);
        };
        self.load(number, page)?;
        Ok(page.tags().binary_search(&tag.to_be_bytes()).is_ok())
    }

    /// All tags in order.
    pub(crate) fn tags(&self) -> Tags<'_> {
        Tags {
            segment: self,
            page: Page::default(),
            next_page: 0,
            position: 0,
        }
    }

    /// Part of the file, as a peer fetches it; empty at the end.
    pub(crate) fn read_range(&self, offset: u64, max_bytes: usize) -> Result<Vec<u8>, Error> {
        let left = self
            .reference
            .bytes()
            .checked_sub(offset)
            .ok_or(Error::NoSuchRange)?;
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(max_bytes).min(max_bytes)];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn load(&self, number: usize, page: &mut Page) -> Result<(), Error> {
        if page.loaded == Some((self.reference.digest, number)) {
            return Ok(());
        }
        page.loaded = None;
        let offset = (number * PAGE_BYTES) as u64;
        let length = (self.reference.bytes() - offset).min(PAGE_BYTES as u64);
        page.bytes.resize(length as usize, 0);
        self.read_at(offset, &mut page.bytes)?;
        if crc32fast::hash(&page.bytes) != self.index.checksums[number] {
            return Err(self.damaged(Damage::Page { offset }));
        }
        page.header_bytes = if number == 0 { HEADER_BYTES } else { 0 };
        page.loaded = Some((self.reference.digest, number));
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.file
            .read_exact_at(bytes, offset)
            .map_err(|e| match (e.kind(), self.file.metadata()) {
                (io::ErrorKind::UnexpectedEof, Ok(now)) => self.damaged(Damage::Length {
                    expected: self.reference.bytes(),
                    found: now.len(),
                }),
                _ => io_error("read", Path::new(&self.reference.file_name()))(e),
            })
    }

    fn damaged(&self, damage: Damage) -> Error {
        Error::Damaged {
            file: self.reference.file_name(),
            damage,
        }
    }
}

/// A page buffer, reused from lookup to lookup.
#[derive(Debug, Default)]
pub(crate) struct Page {
    loaded: Option<(Digest, usize)>,
    header_bytes: usize,
    bytes: Vec<u8>,
}

impl Page {
    fn tags(&self) -> &[[u8; TAG_BYTES]] {
        self.bytes
            .get(self.header_bytes..)
            .unwrap_or_default()
            .as_chunks()
            .0
    }
}

/// The tags of a segment in order, read page by page. Ends after an error.
pub(crate) struct Tags<'a> {
    segment: &'a Segment,
    page: Page,
    next_page: usize,
    position: usize,
}

impl Iterator for Tags<'_> {
    type Item = Result<u128, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(tag) = self.page.tags().get(self.position) {
                self.position += 1;
                return Some(Ok(u128::from_be_bytes(*tag)));
            }
            if self.next_page == self.segment.index.first_tags.len() {
                return None;
            }
            let loaded = self.segment.load(self.next_page, &mut self.page);
            self.next_page += 1;
            self.position = 0;
            if let Err(e) = loaded {
                self.next_page = self.segment.index.first_tags.len();
                self.page = Page::default();
                return Some(Err(e));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(first_tags: Vec<u128>) -> Index {
        Index {
            checksums: vec![0; first_tags.len()],
            first_tags,
        }
    }

    fn plain(pages: &[u128], tag: u128) -> Option<usize> {
        pages.iter().rposition(|first| *first <= tag)
    }

    /// Spread evenly, in two far clusters, packed at either end, in geometric steps: interpolation guesses wrong in most of them.
    #[test]
    fn the_page_is_found_however_the_tags_lie() {
        let shapes: [Vec<u128>; 7] = [
            (0..1000).map(|i| i * (u128::MAX / 1000)).collect(),
            (0..1000).collect(),
            (0..1000).map(|i| u128::MAX - 1000 + i).collect(),
            (0..999).chain([u128::MAX]).collect(),
            [0].into_iter()
                .chain((0..999).map(|i| u128::MAX - 999 + i))
                .collect(),
            (0..128).map(|i| 1 << i).collect(),
            vec![42],
        ];
        for pages in shapes {
            let index = index(pages.clone());
            for &first in &pages {
                for tag in [first.saturating_sub(1), first, first.saturating_add(1)] {
                    assert_eq!(
                        index.page_of(tag),
                        plain(&pages, tag),
                        "{tag} in {} pages",
                        pages.len()
                    );
                }
            }
            for tag in [0, 1, 500, u128::MAX / 2, u128::MAX - 500, u128::MAX] {
                assert_eq!(index.page_of(tag), plain(&pages, tag));
            }
        }
        assert_eq!(index(vec![]).page_of(7), None);
    }

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
