//! From tags in any order to a padded base.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Tag;
use crate::error::{Error, io_error};
use crate::manifest::{Base, Canaries};
use crate::options::Options;
use crate::padding::Padding;
use crate::segment::Role;
use crate::segments::SegmentsWriter;
use crate::snapshot::Snapshot;
use crate::sort::Sorter;

/// Builds the base of a snapshot from tags in any order, in bounded memory.
pub struct SnapshotBuilder {
    dir: PathBuf,
    options: Options,
    sorter: Sorter,
    canaries: usize,
    pushed: u64,
}

/// What a new base of the same scope comes after. Its padding is carried over: whoever holds both would otherwise find the real tags by
/// looking at what both have.
#[derive(Debug, Clone, Copy)]
pub enum Predecessor<'a> {
    /// The snapshot that was published last.
    Published {
        /// It.
        snapshot: &'a Snapshot,
        /// How many of its tags belong to identifiers that no list has any more.
        removed: u64,
    },
    /// It was published and cannot be read any more. Which of its padding was still there is not known: of all that was ever drawn a
    /// random half comes back, so that neither what stays nor what goes is known to be real.
    Lost,
}

/// What went into a base. The owner's secret: it tells how many real tags there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildReport {
    /// Different tags pushed, canaries included.
    pub tags: u64,
    /// Tags pushed more than once (two records with one identifier), counted each time after the first.
    pub duplicates: u64,
    /// Padding tags in all.
    pub padding: u64,
    /// Of which were in the snapshot before.
    pub carried: u64,
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

    /// Pads to the size class, sorts, cuts, and writes the segments of the first base of a scope. `canary_seed` is what the canaries
    /// pushed were derived from.
    ///
    /// Store `padding` before the snapshot is published.
    ///
    /// # Errors
    /// [`Error::CanaryCount`], [`Error::TooManyTags`], [`Error::PaddingCollision`], [`Error::Io`]. No segment is left half-written;
    /// whole ones may be left over, for [`collect_garbage`](crate::collect_garbage).
    pub fn finish(self, canary_seed: [u8; 32], padding: &mut Padding) -> Result<(Base, BuildReport), Error> {
        self.finish_with(None, canary_seed, padding)
    }

    /// The same for a later base of the scope, with the `padding` of the first. The padding that is still there stays, but for as much
    /// as hides how many real tags are gone: together they are a churn class, or, when there is too little padding left for one, half
    /// of the padding goes. Only what the size class lacks is drawn.
    ///
    /// # Errors
    /// As [`finish`](Self::finish); [`Error::Damaged`] if the snapshot before is.
    pub fn finish_after(
        self,
        before: Predecessor<'_>,
        canary_seed: [u8; 32],
        padding: &mut Padding,
    ) -> Result<(Base, BuildReport), Error> {
        self.finish_with(Some(before), canary_seed, padding)
    }

    fn finish_with(
        mut self,
        before: Option<Predecessor<'_>>,
        canary_seed: [u8; 32],
        padding: &mut Padding,
    ) -> Result<(Base, BuildReport), Error> {
        let canaries = canaries(canary_seed, self.canaries)?;
        let tags = self.sorter.distinct()?;
        let (carried, snapshot) = match before {
            None => (0, None),
            Some(Predecessor::Published { snapshot, removed }) => {
                (self.carry_over(snapshot, removed, padding)?, Some(snapshot))
            }
            Some(Predecessor::Lost) => {
                let sorter = &mut self.sorter;
                (padding.for_each_of_a_half(|tag| sorter.push(tag))?, None)
            }
        };
        let class = self.options.size_class(tags, carried)?;
        let report = BuildReport {
            tags,
            duplicates: self.pushed - tags,
            padding: class - tags,
            carried,
        };
        padding.draw_absent(snapshot, report.padding - carried, |tag| self.sorter.push(tag))?;

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

    /// Takes over the padding that `snapshot` holds, and tells how much.
    fn carry_over(&mut self, snapshot: &Snapshot, removed: u64, padding: &Padding) -> Result<u64, Error> {
        let mut live = 0;
        padding.for_each_live(snapshot, |_| {
            live += 1;
            Ok(())
        })?;
        let hiding = self.options.churn_class(removed)? - removed;
        let gone: HashSet<u128> = padding
            .pick_live(snapshot, hiding.min(live / 2))?
            .into_iter()
            .collect();
        let mut carried = 0;
        padding.for_each_live(snapshot, |tag| {
            if gone.contains(&tag) {
                return Ok(());
            }
            carried += 1;
            self.sorter.push(tag)
        })?;
        Ok(carried)
    }
}

/// The canaries of a layer with `count` of them.
pub(crate) fn canaries(seed: [u8; 32], count: usize) -> Result<Canaries, Error> {
    match u16::try_from(count) {
        Ok(count) if count > 0 => Ok(Canaries { seed, count }),
        _ => Err(Error::CanaryCount(count)),
    }
}
