//! From tags in any order to a padded base.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Tag;
use crate::error::{Error, io_error};
use crate::manifest::{Base, Canaries};
use crate::options::Options;
use crate::padding::Padding;
use crate::segment::Role;
use crate::segments::SegmentsWriter;
use crate::sort::Sorter;

/// Builds the base of a snapshot from tags in any order, in bounded memory.
pub struct SnapshotBuilder {
    dir: PathBuf,
    options: Options,
    sorter: Sorter,
    canaries: usize,
    pushed: u64,
}

/// What went into a base. The owner's secret: it tells how many real tags there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildReport {
    /// Different tags pushed, canaries included.
    pub tags: u64,
    /// Tags pushed more than once (two records with one identifier), counted each time after the first.
    pub duplicates: u64,
    /// Padding tags added.
    pub padding: u64,
}

impl SnapshotBuilder {
    /// Starts a base in `dir`, which is made if need be.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(dir: &Path, options: Options) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(io_error("create directory", dir))?;
        let sorter = Sorter::new(dir, options.memory_bytes);
        Ok(Self {
            dir: dir.to_owned(),
            options,
            sorter,
            canaries: 0,
            pushed: 0,
        })
    }

    /// Takes the tag of an identifier on a list.
    ///
    /// # Errors
    /// [`Error::Io`] when tags have to be put aside and the disk refuses.
    pub fn push(&mut self, tag: &Tag) -> Result<(), Error> {
        self.pushed += 1;
        self.sorter.push(u128::from_be_bytes(*tag))
    }

    /// Takes the tag of a canary.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_canary(&mut self, tag: &Tag) -> Result<(), Error> {
        self.canaries += 1;
        self.push(tag)
    }

    /// Pads to the size class, sorts, cuts, and writes the segments. `canary_seed` is what the canaries pushed were derived from.
    ///
    /// Store `padding` before the snapshot is published.
    ///
    /// # Errors
    /// [`Error::CanaryCount`], [`Error::TooManyTags`], [`Error::PaddingCollision`], [`Error::Io`]. No segment is left half-written;
    /// whole ones may be left over, for [`collect_garbage`](crate::collect_garbage).
    pub fn finish(
        mut self,
        canary_seed: [u8; 32],
        padding: &mut Padding,
    ) -> Result<(Base, BuildReport), Error> {
        let canaries = canaries(canary_seed, self.canaries)?;
        let tags = self.sorter.distinct()?;
        let class = self.options.size_class(tags)?;
        let report = BuildReport {
            tags,
            duplicates: self.pushed - tags,
            padding: class - tags,
        };

        let mut draw = padding.draw();
        for _ in 0..report.padding {
            self.sorter.push(draw())?;
        }
        let mut writer = SegmentsWriter::new(&self.dir, Role::Base, self.options.prefix_bits(class))?;
        for tag in self.sorter.sorted() {
            writer.push(tag?)?;
        }
        let segments = writer.finish()?;
        if segments.count() != class {
            return Err(Error::PaddingCollision);
        }
        Ok((
            Base {
                canaries: vec![canaries],
                segments,
            },
            report,
        ))
    }
}

/// The canaries of a layer with `count` of them.
pub(crate) fn canaries(seed: [u8; 32], count: usize) -> Result<Canaries, Error> {
    match u16::try_from(count) {
        Ok(count) if count > 0 => Ok(Canaries { seed, count }),
        _ => Err(Error::CanaryCount(count)),
    }
}
