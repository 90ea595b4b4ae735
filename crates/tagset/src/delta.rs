//! From changes to a padded delta.

use crate::Tag;
use crate::build::canaries;
use crate::error::Error;
use crate::manifest::{Delta, MAX_DELTAS};
use crate::merge::are_disjoint;
use crate::options::Options;
use crate::padding::Padding;
use crate::segment::Role;
use crate::segments::{Segments, SegmentsWriter};
use crate::snapshot::Snapshot;
use crate::sort::Sorter;

/// Looked up at once while comparing changes with the snapshot.
const LOOKUP_BATCH: usize = 8192;

/// Builds the next delta on a snapshot.
///
/// As many tags are added as are removed, both padded to a churn class: what a partner sees is that something may have changed.
pub struct DeltaBuilder<'a> {
    snapshot: &'a Snapshot,
    options: Options,
    adds: Sorter,
    removes: Sorter,
    canaries: Vec<Tag>,
}

/// What went into a delta. The owner's secret: it tells how many changes are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaReport {
    /// Different tags added, canaries included.
    pub added: u64,
    /// Different tags that were to be added and were in the snapshot already.
    pub already_present: u64,
    /// Different tags removed.
    pub removed: u64,
    /// Different tags that were to be removed and were not in the snapshot.
    pub already_absent: u64,
    /// Padding tags added.
    pub padding_added: u64,
    /// Padding tags removed.
    pub padding_removed: u64,
}

impl<'a> DeltaBuilder<'a> {
    /// Starts a delta on top of `snapshot`, in its directory.
    ///
    /// # Errors
    /// [`Error::TooManyDeltas`].
    pub fn new(snapshot: &'a Snapshot, options: Options) -> Result<Self, Error> {
        if snapshot.manifest().deltas.len() >= MAX_DELTAS {
            return Err(Error::TooManyDeltas { limit: MAX_DELTAS });
        }
        // Four sorters: changes as given, and those that are changes indeed.
        let sorter = || Sorter::new(snapshot.dir(), options.memory_bytes / 4);
        let (adds, removes) = (sorter(), sorter());
        Ok(Self {
            snapshot,
            options,
            adds,
            removes,
            canaries: Vec::new(),
        })
    }

    /// Takes the tag of an identifier that no list had and one has now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add(&mut self, tag: &Tag) -> Result<(), Error> {
        self.adds.push(u128::from_be_bytes(*tag))
    }

    /// Takes the tag of an identifier that no list has any more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&mut self, tag: &Tag) -> Result<(), Error> {
        self.removes.push(u128::from_be_bytes(*tag))
    }

    /// Takes the tag of one of the delta's own canaries.
    pub fn add_canary(&mut self, tag: &Tag) {
        self.canaries.push(*tag);
    }

    /// Pads, sorts and writes the segments. `canary_seed` is what the canaries were derived from, fresh for each delta.
    ///
    /// Store `padding` before the delta is published.
    ///
    /// # Errors
    /// [`Error::AddedAndRemoved`], [`Error::CanaryCount`], [`Error::StaleCanary`], [`Error::PaddingExhausted`] (publish a new base),
    /// [`Error::TooManyTags`], [`Error::Damaged`], [`Error::Io`].
    pub fn finish(
        mut self,
        canary_seed: [u8; 32],
        padding: &mut Padding,
    ) -> Result<(Delta, DeltaReport), Error> {
        let canaries = canaries(canary_seed, self.canaries.len())?;
        if self.snapshot.contains_many(&self.canaries)?.contains(&true) {
            return Err(Error::StaleCanary);
        }
        if !are_disjoint(self.adds.sorted(), self.removes.sorted())? {
            return Err(Error::AddedAndRemoved);
        }
        let (mut adds, already_present) = self.keep(|builder| &mut builder.adds, false)?;
        for canary in &self.canaries {
            adds.push(u128::from_be_bytes(*canary))?;
        }
        let (mut removes, already_absent) = self.keep(|builder| &mut builder.removes, true)?;

        let (added, removed) = (adds.distinct()?, removes.distinct()?);
        let class = self.options.churn_class(added.max(removed))?;
        let report = DeltaReport {
            added,
            already_present,
            removed,
            already_absent,
            padding_added: class - added,
            padding_removed: class - removed,
        };
        for tag in padding.pick_live(self.snapshot, report.padding_removed)? {
            removes.push(tag)?;
        }
        padding.draw_absent(Some(self.snapshot), report.padding_added, |tag| adds.push(tag))?;
        let delta = Delta {
            canaries,
            adds: self.write(Role::Adds, class, &mut adds)?,
            removes: self.write(Role::Removes, class, &mut removes)?,
        };
        Ok((delta, report))
    }

    /// Those of the given changes whose tags the snapshot holds (`present`) or does not hold, and how many others there were.
    fn keep(&mut self, which: fn(&mut Self) -> &mut Sorter, present: bool) -> Result<(Sorter, u64), Error> {
        let snapshot = self.snapshot;
        let mut kept = Sorter::new(snapshot.dir(), self.options.memory_bytes / 4);
        let mut dropped = 0;
        let mut batch: Vec<Tag> = Vec::with_capacity(LOOKUP_BATCH);
        let mut changes = which(self).sorted();
        loop {
            batch.clear();
            for tag in changes.by_ref().take(LOOKUP_BATCH) {
                batch.push(tag?.to_be_bytes());
            }
            if batch.is_empty() {
                return Ok((kept, dropped));
            }
            for (tag, found) in batch.iter().zip(snapshot.contains_many(&batch)?) {
                if found == present {
                    kept.push(u128::from_be_bytes(*tag))?;
                } else {
                    dropped += 1;
                }
            }
        }
    }

    fn write(&self, role: Role, class: u64, tags: &mut Sorter) -> Result<Segments, Error> {
        let mut writer = SegmentsWriter::new(self.snapshot.dir(), role, self.options.prefix_bits(class))?;
        for tag in tags.sorted() {
            writer.push(tag?)?;
        }
        let segments = writer.finish()?;
        if segments.count() == class {
            Ok(segments)
        } else {
            Err(Error::PaddingCollision)
        }
    }
}
