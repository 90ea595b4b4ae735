//! A verified segment, open for lookups.
//!
//! # Why positioned reads and not a memory map
//! A lookup reads one 4 KiB page with `pread`, after an index of the pages' first tags (16 bytes per 4 KiB) told which. The page comes
//! out of the page cache as it would through a map; the copy costs less than a microsecond, where a query costs tens of
//! microseconds of group arithmetic. In return a truncated file is an error with a name, where a map kills the process with SIGBUS;
//! and each page is checked (CRC-32, taken while the SHA-256 was verified), so that a page that has rotted since can never
//! look like an absent tag. A map has no safe interface in Rust that keeps its promise: any process may change the file beneath. The
//! wrappers that offer one (`mmap-io` 1.1, `fmmap` 0.5) hold hundreds of `unsafe` lines for features not needed here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::digest::Digest;
use crate::error::{Damage, Error, io_error};
use crate::files::open_existing;
use crate::segment::{HEADER_BYTES, PAGE_BYTES, SegmentRef, TAG_BYTES, check_segment};

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

/// What is kept in memory of a segment: the first tag and the checksum of each page.
#[derive(Debug, Default)]
pub(crate) struct Index {
    first_tags: Vec<u128>,
    checksums: Vec<u32>,
}

impl Index {
    /// Takes the next page and the first tag in it.
    pub(crate) fn push(&mut self, first_tag: u128, page: &[u8]) {
        self.first_tags.push(first_tag);
        self.checksums.push(crc32fast::hash(page));
    }

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
}
