//! A set of tags cut by prefix into segment files.

use std::collections::HashMap;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use tempfile::NamedTempFile;

use crate::digest::Digest;
use crate::error::{Error, io_error};
use crate::files::{persist, sync_dir, temporary};
use crate::open_segment::{Page, Segment};
use crate::options::MAX_TAGS;
use crate::segment::{HEADER_BYTES, Role, SegmentHeader, SegmentRef, check_segment, prefix_of};

pub(crate) const MAX_PREFIX_BITS: u8 = 10;
pub(crate) const MAX_SEGMENTS_PER_SET: usize = 1 << MAX_PREFIX_BITS;

/// The segments of one set: for *b* prefix bits all 2^*b* of them, in order, empty ones included. The same set of tags cut with the
/// same bits is always the same segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    role: Role,
    prefix_bits: u8,
    list: Vec<SegmentRef>,
}

impl Segments {
    /// Puts together the segments with these digests and counts, in order of prefix. `None` unless there are 2^`prefix_bits` of
    /// them, `prefix_bits` is at most 10 and no count is out of bounds.
    pub(crate) fn from_parts(role: Role, prefix_bits: u8, parts: &[(Digest, u64)]) -> Option<Self> {
        if prefix_bits > MAX_PREFIX_BITS || parts.len() != 1 << prefix_bits {
            return None;
        }
        let mut total: u64 = 0;
        let list = (0..).zip(parts).map(|(prefix, &(digest, count))| {
            total = total.saturating_add(count);
            SegmentRef {
                header: SegmentHeader {
                    role,
                    prefix_bits,
                    prefix,
                    count,
                },
                digest,
            }
        });
        let list = list.collect();
        (total <= MAX_TAGS).then_some(Self {
            role,
            prefix_bits,
            list,
        })
    }

    /// What the tags do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How many leading bits tell the segments apart.
    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    /// All tags together.
    pub fn count(&self) -> u64 {
        self.list.iter().map(|s| s.header.count).sum()
    }

    /// The segments in order of prefix.
    pub fn iter(&self) -> std::slice::Iter<'_, SegmentRef> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Segments {
    type Item = &'a SegmentRef;
    type IntoIter = std::slice::Iter<'a, SegmentRef>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The segments of one set, verified and open.
#[derive(Debug)]
pub(crate) struct OpenSegments {
    prefix_bits: u8,
    list: Vec<Arc<Segment>>,
}

impl OpenSegments {
    /// Opens and verifies every segment that is not `known`, on all cores. Of several errors, the first in order of prefix.
    pub(crate) fn open(
        dir: &Path,
        segments: &Segments,
        known: &HashMap<Digest, Arc<Segment>>,
    ) -> Result<Self, Error> {
        let open = |wanted: &SegmentRef| match known.get(&wanted.digest) {
            Some(segment) if segment.reference() == wanted => Ok(Arc::clone(segment)),
            _ => Segment::open(dir, wanted).map(Arc::new),
        };
        let opened: Vec<_> = segments.list.par_iter().map(open).collect();
        let list = opened.into_iter().collect::<Result<_, _>>()?;
        Ok(Self {
            prefix_bits: segments.prefix_bits,
            list,
        })
    }

    pub(crate) fn contains(&self, tag: u128, page: &mut Page) -> Result<bool, Error> {
        self.list[prefix_of(tag, self.prefix_bits) as usize].contains(tag, page)
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = Result<u128, Error>> + '_ {
        self.list.iter().flat_map(|segment| segment.tags())
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Arc<Segment>> {
        self.list.iter()
    }
}

/// Writes tags that come in order into segment files. Each file gets its name only when it is whole, synced and checked.
pub(crate) struct SegmentsWriter<'a> {
    dir: &'a Path,
    role: Role,
    prefix_bits: u8,
    draft: Draft,
    done: Vec<(Digest, u64)>,
}

impl<'a> SegmentsWriter<'a> {
    pub(crate) fn new(dir: &'a Path, role: Role, prefix_bits: u8) -> Result<Self, Error> {
        Ok(Self {
            dir,
            role,
            prefix_bits,
            draft: Draft::new(dir)?,
            done: Vec::new(),
        })
    }

    /// Takes the next tag, greater than all before.
    pub(crate) fn push(&mut self, tag: u128) -> Result<(), Error> {
        self.close_until(prefix_of(tag, self.prefix_bits))?;
        self.draft.push(tag)
    }

    /// Writes what is left, and makes the names survive a power cut.
    pub(crate) fn finish(mut self) -> Result<Segments, Error> {
        self.close_until((1 << self.prefix_bits) - 1)?;
        let header = self.header();
        self.done.push(self.draft.close(self.dir, header)?);
        sync_dir(self.dir)?;
        Segments::from_parts(self.role, self.prefix_bits, &self.done).ok_or_else(|| Error::TooManyTags {
            tags: self.done.iter().map(|(_, count)| count).sum(),
            limit: MAX_TAGS,
        })
    }

    /// Closes the segments before that of `prefix`.
    fn close_until(&mut self, prefix: u32) -> Result<(), Error> {
        while self.done.len() < prefix as usize {
            let header = self.header();
            let draft = std::mem::replace(&mut self.draft, Draft::new(self.dir)?);
            self.done.push(draft.close(self.dir, header)?);
        }
        Ok(())
    }

    /// The header of the segment being written.
    fn header(&self) -> SegmentHeader {
        SegmentHeader {
            role: self.role,
            prefix_bits: self.prefix_bits,
            prefix: self.done.len() as u32,
            count: self.draft.count,
        }
    }
}

/// A segment being written under a temporary name.
struct Draft {
    file: BufWriter<NamedTempFile>,
    count: u64,
}

impl Draft {
    fn new(dir: &Path) -> Result<Self, Error> {
        let mut file = BufWriter::with_capacity(256 << 10, temporary(dir)?);
        // Room for the header, known at the end.
        file.write_all(&[0; HEADER_BYTES])
            .map_err(io_error("write a segment in", dir))?;
        Ok(Self { file, count: 0 })
    }

    fn push(&mut self, tag: u128) -> Result<(), Error> {
        self.count += 1;
        self.file
            .write_all(&tag.to_be_bytes())
            .map_err(|e| io_error("write", self.file.get_ref().path())(e))
    }

    /// Completes the header, reads the file back as a partner's would be read, and names it.
    fn close(self, dir: &Path, header: SegmentHeader) -> Result<(Digest, u64), Error> {
        let failed = io_error("write a segment in", dir);
        let mut file = self
            .file
            .into_inner()
            .map_err(|e| io_error("write a segment in", dir)(e.into_error()))?;
        let check = (|| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header.encode())?;
            file.seek(SeekFrom::Start(0))?;
            check_segment(&mut file, header.file_bytes())
        })()
        .map_err(failed)?;
        let reference = SegmentRef {
            header,
            digest: check.digest,
        };
        reference.judge(&check, &reference.file_name())?;
        persist(file, dir, &reference.file_name())?;
        Ok((reference.digest, header.count))
    }
}
