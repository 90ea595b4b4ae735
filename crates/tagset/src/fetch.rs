//! What a requester has yet to fetch, and fetching it in pieces.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, io_error};
use crate::files::{SEGMENT_SUFFIX, open_existing, sync_dir};
use crate::manifest::Manifest;
use crate::segment::{SegmentRef, check_segment};

/// The segments of `manifest` that `dir` does not have, or has in another size. What is inside the others is verified by
/// [`Snapshot::install`](crate::Snapshot::install).
///
/// # Errors
/// [`Error::Io`].
pub fn missing_segments(dir: &Path, manifest: &Manifest) -> Result<Vec<SegmentRef>, Error> {
    let mut missing: Vec<SegmentRef> = Vec::new();
    for segment in manifest.segments() {
        let path = dir.join(segment.file_name());
        let length = match open_existing(&path)? {
            Some(file) => Some(
                file.metadata()
                    .map_err(io_error("read the size of", &path))?
                    .len(),
            ),
            None => None,
        };
        if length != Some(segment.bytes()) && !missing.contains(segment) {
            missing.push(*segment);
        }
    }
    Ok(missing)
}

/// Removes a segment file that was found damaged, so that it is fetched again.
///
/// # Errors
/// [`Error::Io`].
pub fn discard_segment(dir: &Path, digest: &Digest) -> Result<(), Error> {
    let path = dir.join(format!("{digest}{SEGMENT_SUFFIX}"));
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &path)(e)),
        _ => sync_dir(dir),
    }
}

/// Writes one segment as it arrives, and goes on after an interruption where it stopped.
///
/// The bytes are in `<sha-256>.part` until all of them are there and verified; only then the segment has its name. Locked against
/// a second download of the same segment, also by another process.
#[derive(Debug)]
pub struct SegmentWriter {
    dir: PathBuf,
    segment: SegmentRef,
    file: File,
    length: u64,
}

impl SegmentWriter {
    /// Starts or resumes the download of `segment` into `dir`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Io`].
    pub fn open(dir: &Path, segment: &SegmentRef) -> Result<Self, Error> {
        let path = dir.join(segment.part_name());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy {
                    file: segment.part_name(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(io_error("lock", &path)(e)),
        }
        let mut length = file
            .metadata()
            .map_err(io_error("read the size of", &path))?
            .len();
        if length > segment.bytes() {
            // Not ours: start again.
            file.set_len(0).map_err(io_error("truncate", &path))?;
            length = 0;
        }
        Ok(Self {
            dir: dir.to_owned(),
            segment: *segment,
            file,
            length,
        })
    }

    /// How many bytes are there: where to go on.
    pub fn offset(&self) -> u64 {
        self.length
    }

    /// How many bytes are still to come.
    pub fn remaining(&self) -> u64 {
        self.segment.bytes() - self.length
    }

    /// Takes the bytes at `offset`, which must be [`self.offset()`](Self::offset).
    ///
    /// # Errors
    /// [`Error::WrongOffset`], [`Error::TooLong`] (nothing is written), [`Error::Io`].
    pub fn append(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let file = || self.segment.part_name();
        if offset != self.length {
            return Err(Error::WrongOffset {
                file: file(),
                expected: self.length,
                found: offset,
            });
        }
        if bytes.len() as u64 > self.remaining() {
            return Err(Error::TooLong {
                file: file(),
                limit: self.segment.bytes(),
            });
        }
        if let Err(e) = self.file.write_all_at(bytes, offset) {
            // What was written of it are the right bytes at the right place.
            self.length = self
                .file
                .metadata()
                .map_or(self.length, |m| m.len().min(self.segment.bytes()));
            return Err(io_error("write", &self.dir.join(self.segment.part_name()))(e));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Verifies the whole segment and gives it its name.
    ///
    /// # Errors
    /// [`Error::Incomplete`]: the partial file stays, and can be resumed. [`Error::Damaged`]: the peer sent (or an interruption left)
    /// other bytes; [`Error::Malformed`]: the owner signed nonsense. The partial file is then removed. [`Error::Io`].
    pub fn finish(mut self) -> Result<(), Error> {
        let (part, name) = (self.dir.join(self.segment.part_name()), self.segment.file_name());
        if self.remaining() > 0 {
            return Err(Error::Incomplete {
                file: self.segment.part_name(),
                expected: self.segment.bytes(),
                found: self.length,
            });
        }
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(io_error("read", &part))?;
        let check = check_segment(&self.file, self.length).map_err(io_error("read", &part))?;
        if let Err(refused) = self.segment.judge(&check, &name) {
            fs::remove_file(&part).map_err(io_error("remove", &part))?;
            return Err(refused);
        }
        self.file.sync_all().map_err(io_error("sync", &part))?;
        fs::rename(&part, self.dir.join(name)).map_err(io_error("rename", &part))?;
        sync_dir(&self.dir)
    }
}
