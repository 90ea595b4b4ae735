//! One pass over a log, in bounded memory: a bundle, a tile and a right edge at a time.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::audit::Keys;
use crate::audit::align::Alignment;
use crate::audit::numbers::Numbers;
use crate::audit::report::{Extended, Finding, Report};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::Hash;
use crate::leaf::{Cause, Class, Hour, Leaf};
use crate::misbehaviour::Misbehaviour;
use crate::reader::{ReadError, read_tile};
use crate::retention::is_due;
use crate::source::Source;
use crate::tile::{
    CHECKPOINT_PATH, COSIGNED_PATH, TILE_WIDTH, TileKind, TilePath, decode_bundle, decode_hashes,
    encode_hashes,
};
use crate::tree::RightEdge;

/// What an audit looks at.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// The time of the audit: what is due by then.
    pub now: Timestamp,
    /// Whether the entries are this ledger's. With `false` any C2SP log can be verified, its entries being opaque.
    pub leaves: bool,
}

/// Verifies the log in `source`: signature, tree, every entry, consistency with the checkpoints that were `kept`, cosignatures. Trusts
/// `keys` and nothing else.
///
/// Time is linear in the entries, memory does not grow with them. `kept` are checkpoints of this log from earlier audits, mails,
/// partners; the more there are, the narrower a change in history can be placed.
pub fn verify(source: &dyn Source, keys: &Keys, kept: &[SignedCheckpoint], options: &AuditOptions) -> Report {
    let mut report = Report {
        origin: keys.log.name().to_owned(),
        quorum: keys.quorum,
        witnesses: keys.others().map(|witness| witness.name().to_owned()).collect(),
        ..Report::default()
    };
    let mut anchors: Vec<Anchor<'_>> = (0..)
        .zip(kept)
        .filter(|(_, kept)| kept.checkpoint().origin == keys.log.name())
        .map(|(place, checkpoint)| Anchor {
            checkpoint,
            kept: Some(place),
        })
        .collect();
    report.kept = anchors.len();
    let published = open(source, CHECKPOINT_PATH, keys, &mut report);
    let cosigned = open(source, COSIGNED_PATH, keys, &mut report);
    if published.is_none() && matches!(source.read(CHECKPOINT_PATH), Ok(None)) {
        report.find(Finding::NoCheckpoint);
    }
    // Without a checkpoint of its own the log is held to the largest that was kept.
    anchors.extend(cosigned.iter().map(|checkpoint| Anchor {
        checkpoint,
        kept: None,
    }));
    let largest = anchors.iter().map(|anchor| anchor.checkpoint);
    let largest = largest.max_by_key(|anchor| anchor.size());
    let Some(target) = published.as_ref().or(largest).cloned() else {
        return report;
    };
    if let Some(larger) = largest.filter(|larger| larger.size() > target.size()) {
        report.find(Finding::RolledBack {
            kept: larger.size(),
            shown: target.size(),
        });
    }
    report.checkpoint = Some(target.checkpoint().clone());

    anchors.retain(|anchor| anchor.checkpoint.size() <= target.size());
    anchors.sort_by_key(|anchor| anchor.checkpoint.size());
    let mut pass = Pass {
        source,
        options,
        target: target.checkpoint(),
        edge: RightEdge::new(),
        entries_edge: None,
        alignment: Alignment::default(),
        numbers: Numbers::default(),
        anchors: anchors.into(),
        broken_anchor: None,
        held: Vec::new(),
        last_hour: None,
        erased: 0,
        days: (0, Vec::new()),
        lookback: None,
        report,
    };
    pass.run();
    pass.finish(&target, keys)
}

/// A checkpoint from before, which the log must extend.
#[derive(Clone, Copy)]
struct Anchor<'a> {
    checkpoint: &'a SignedCheckpoint,
    /// Its place among those that were kept; `None` for the log's own.
    kept: Option<usize>,
}

struct Pass<'a> {
    source: &'a dyn Source,
    options: &'a AuditOptions,
    target: &'a Checkpoint,
    /// Built from the tiles.
    edge: RightEdge,
    /// Built from the entries, from where they part from the tiles.
    entries_edge: Option<RightEdge>,
    alignment: Alignment,
    numbers: Numbers,
    /// Checkpoints that the log must extend, smallest first.
    anchors: VecDeque<Anchor<'a>>,
    /// The first that it does not extend, with the root it has there instead.
    broken_anchor: Option<(&'a SignedCheckpoint, u64)>,
    held: Vec<Anchor<'a>>,
    last_hour: Option<Hour>,
    erased: u64,
    /// The bundle that passes: its number, and for each entry so far the day it is due.
    days: (u64, Vec<Option<Date>>),
    /// The last bundle before it that an erasure referred to; without days if it could not be had once more.
    lookback: Option<(u64, Vec<Option<Date>>)>,
    report: Report,
}

impl Pass<'_> {
    fn run(&mut self) {
        self.check_anchors();
        let mut start = 0;
        while start < self.target.size {
            let (Some(bundle), Some(tile)) = (
                TilePath::bundle(start, self.target.size),
                TilePath::hashes(0, start / TILE_WIDTH, self.target.size),
            ) else {
                return;
            };
            let bytes = self.read(bundle, |bytes| decode_bundle(&bytes).is_some().then_some(bytes));
            let entries = bytes.as_deref().and_then(decode_bundle);
            let tile = self.read(tile, |bytes| {
                decode_hashes(&bytes).filter(|hashes| hashes.len() >= tile.width.into())
            });
            if !self.step(start, bundle, entries, tile) {
                return;
            }
            start += u64::from(bundle.width);
        }
        let partial: Vec<_> = self
            .edge
            .partial_tiles()
            .map(|(path, hashes)| (path, hashes.to_vec()))
            .collect();
        for (path, hashes) in partial {
            self.check_tile(path, &hashes);
        }
    }

    /// One bundle with its tile; `false` if neither can be used and the tree ends here.
    fn step(
        &mut self,
        start: u64,
        bundle: TilePath,
        entries: Option<Vec<&[u8]>>,
        tile: Option<Vec<Hash>>,
    ) -> bool {
        let width = usize::from(bundle.width);
        let mut hashes: Vec<Hash> = Vec::new();
        let were_read = entries.is_some();
        if let Some(mut entries) = entries {
            // The full bundle may stand for a partial one.
            let more = entries.len() > width && bundle.is_partial();
            if more && tile.as_ref().is_none_or(|tile| tile.len() != entries.len()) || entries.len() > 256 {
                self.find(Finding::EntriesInserted {
                    from: start + width as u64,
                    count: (entries.len() - width) as u64,
                });
            }
            entries.truncate(width);
            hashes = entries.iter().map(|entry| Hash::leaf(entry)).collect();
            if self.options.leaves {
                self.days = (start / TILE_WIDTH, Vec::with_capacity(width));
                for (index, entry) in (start..).zip(&entries) {
                    self.leaf(index, entry);
                }
            }
        }
        let tile = match tile {
            Some(mut tile) => {
                tile.truncate(width);
                if were_read {
                    if hashes != tile && self.entries_edge.is_none() {
                        self.entries_edge = Some(self.edge.clone());
                    }
                    self.alignment.tile(start, &hashes, &tile);
                }
                self.report.entries += hashes.iter().zip(&tile).filter(|(a, b)| a == b).count() as u64;
                tile
            }
            None => {
                self.report.entries += hashes.len() as u64;
                hashes.clone()
            }
        };
        if let Some(edge) = &mut self.entries_edge {
            hashes.iter().for_each(|hash| edge.push(*hash, |_, _| {}));
        }
        for hash in &tile {
            let mut full = Vec::new();
            self.edge.push(*hash, |path, hashes| {
                // The lowest level is what was pushed.
                if path.kind != (TileKind::Hashes { level: 0 }) {
                    full.push((path, hashes.to_vec()));
                }
            });
            for (path, hashes) in full {
                self.check_tile(path, &hashes);
            }
            self.check_anchors();
        }
        if tile.len() < width {
            // What could not be read may be there.
            if !(tile.is_empty() && self.is_unread(start)) {
                let from = start + tile.len() as u64;
                self.find(Finding::Truncated {
                    from,
                    size: self.target.size,
                });
            }
            return false;
        }
        true
    }

    /// Whether entries or tile from here on could not be read.
    fn is_unread(&self, start: u64) -> bool {
        let bundle = TilePath::bundle(start, self.target.size);
        let tile = TilePath::hashes(0, start / TILE_WIDTH, self.target.size);
        let paths = bundle.into_iter().chain(tile);
        let names: Vec<String> = paths
            .flat_map(|path| [path, path.full()])
            .map(|path| path.to_string())
            .collect();
        let unread =
            |finding: &Finding| matches!(finding, Finding::Unreadable { path, .. } if names.contains(path));
        self.report.findings.iter().any(unread)
    }

    fn leaf(&mut self, index: u64, entry: &[u8]) {
        let leaf = Leaf::parse(entry);
        let due = leaf.as_ref().and_then(|(_, leaf)| leaf.erase_after);
        self.days.1.push(due);
        let Some((number, leaf)) = leaf else {
            return self.find(Finding::NotALeaf { index });
        };
        self.numbers.entry(index, number);
        *self.report.classes.entry(leaf.class.name()).or_default() += 1;
        self.report.due += u64::from(is_due(&leaf.class, leaf.erase_after, self.options.now));
        // Nodes that share a log may differ by some minutes, and so by an hour's number.
        if self
            .last_hour
            .is_some_and(|last| leaf.time.number() + 1 < last.number())
        {
            self.find(Finding::TimeRanBack { index });
        }
        let last = self.last_hour.max(Some(leaf.time)).unwrap_or(leaf.time);
        self.last_hour = Some(last);
        let first = self.report.period.map_or(leaf.time, |(first, _)| first);
        self.report.period = Some((first, last));
        if let Class::Erasure { erased, cause } = &leaf.class {
            self.report.erased = self.report.erased.saturating_add(erased.count());
            if *cause == Cause::Ordered {
                self.report.add_order(index, erased);
            }
            let possible = erased.iter().all(|range| *range.end() < index);
            self.erased = self.erased.saturating_add(erased.count());
            // Each payload is erased once at most, so the work is bounded by the log's size.
            if !possible || self.erased > self.target.size {
                return self.find(Finding::FalseErasure { index });
            }
            if *cause == Cause::Due {
                let day = leaf.time.date();
                for erased in erased.iter().flatten() {
                    if self.was_due(erased, day) == Some(false) {
                        self.find(Finding::EarlyErasure { index, erased });
                        break;
                    }
                }
            }
        }
    }

    /// Whether an earlier entry was due on `day`; `None` if it could not be had once more as it was, which is a finding itself.
    fn was_due(&mut self, index: u64, day: Date) -> Option<bool> {
        let (number, place) = (index / TILE_WIDTH, (index % TILE_WIDTH) as usize);
        let days = if self.days.0 == number {
            &self.days.1
        } else {
            if self.lookback.as_ref().is_none_or(|(cached, _)| *cached != number) {
                let days = self.days_again(number).unwrap_or_default();
                self.lookback = Some((number, days));
            }
            &self.lookback.as_ref()?.1
        };
        let due = days.get(place)?;
        Some(due.is_some_and(|due| due <= day))
    }

    /// The days of a full bundle that has passed. It is read again, and whoever serves it may give another one each time: it is held to
    /// the tree that the first one went into.
    fn days_again(&mut self, number: u64) -> Option<Vec<Option<Date>>> {
        let path = TilePath::bundle(number * TILE_WIDTH, self.target.size)?;
        let (hashes, days): (Vec<Hash>, Vec<Option<Date>>) = self.read(path, |bytes| {
            let entries = decode_bundle(&bytes).filter(|entries| entries.len() as u64 == TILE_WIDTH)?;
            let day = |entry| Leaf::parse(entry).and_then(|(_, leaf)| leaf.erase_after);
            Some(
                entries
                    .into_iter()
                    .map(|entry| (Hash::leaf(entry), day(entry)))
                    .unzip(),
            )
        })?;
        if !self.has_passed(number, hashes)? {
            self.find(Finding::FileDamaged {
                path: path.to_string(),
            });
            return None;
        }
        Some(days)
    }

    /// Whether a bundle of these hashes is the one that went into the tree in this place. Tiles that have left the right edge are read again,
    /// each held to the one above it; `None` if one cannot be.
    fn has_passed(&mut self, number: u64, mut hashes: Vec<Hash>) -> Option<bool> {
        let (mut level, mut index) = (0, number);
        loop {
            let root = Hash::root(&hashes);
            let place = (index % TILE_WIDTH) as usize;
            (level, index) = (level + 1, index / TILE_WIDTH);
            let edge = self.entries_edge.as_ref().unwrap_or(&self.edge);
            let here = (TileKind::Hashes { level }, index);
            let on_edge = edge
                .partial_tiles()
                .find(|(path, _)| (path.kind, path.index) == here);
            if let Some((_, tile)) = on_edge {
                return Some(tile.get(place) == Some(&root));
            }
            let Some(path) = TilePath::hashes(level, index, edge.size()) else {
                return Some(false);
            };
            hashes = self.read(path, |bytes| {
                decode_hashes(&bytes).filter(|hashes| hashes.len() as u64 == TILE_WIDTH)
            })?;
            if hashes.get(place) != Some(&root) {
                return Some(false);
            }
        }
    }

    /// Compares a tile above the lowest level with what the tree gives.
    fn check_tile(&mut self, path: TilePath, hashes: &[Hash]) {
        if path.kind == (TileKind::Hashes { level: 0 }) {
            return;
        }
        let expected = encode_hashes(hashes);
        let same = self.read(path, |bytes| Some(bytes.starts_with(&expected)));
        if same == Some(false) {
            self.find(Finding::TileAltered {
                path: path.to_string(),
            });
        }
    }

    fn check_anchors(&mut self) {
        while let Some(anchor) = self.anchors.front().copied() {
            let checkpoint = anchor.checkpoint;
            if checkpoint.size() != self.edge.size() {
                return;
            }
            if self.edge.root() == checkpoint.root() {
                self.held.push(anchor);
            } else if self.broken_anchor.is_none() {
                let after = self.held.last().map_or(0, |held| held.checkpoint.size());
                self.broken_anchor = Some((checkpoint, after));
            }
            self.anchors.pop_front();
        }
    }

    /// Draws the conclusions.
    fn finish(self, target: &SignedCheckpoint, keys: &Keys) -> Report {
        let whole = self.edge.size() == target.size();
        let tree_holds = whole && self.edge.root() == target.root();
        let entries_hold = self
            .entries_edge
            .as_ref()
            .is_some_and(|edge| edge.size() == target.size() && edge.root() == target.root());
        let parted = self.alignment.finish();
        let numbers = self.numbers.finish();
        let mut report = self.report;
        if entries_hold {
            // The tree's files were changed; the entries are those that were signed.
            report.find(Finding::TileAltered {
                path: "tile/0".to_owned(),
            });
            report.entries = target.size();
        } else {
            let parts = !parted.is_empty();
            for finding in parted {
                report.find(at_the_end(finding, target.size()));
            }
            if !parts {
                numbers.into_iter().for_each(|finding| report.find(finding));
            }
            if whole && !tree_holds {
                report.find(Finding::OtherTree { size: target.size() });
            }
        }
        // Whatever was seen above: what was not read is not what was signed.
        if report.findings.is_empty() && report.entries != target.size() {
            report.find(Finding::NotAllRead {
                read: report.entries,
                size: target.size(),
            });
        }
        if let Some((anchor, after)) = self.broken_anchor.filter(|_| !entries_hold) {
            report.find(Finding::Rewritten {
                after,
                size: anchor.size(),
            });
            // Two signatures that contradict each other, if the later one is about this tree.
            report.misbehaviour = if anchor.size() == target.size() {
                Misbehaviour::same_size(anchor, target)
            } else {
                Misbehaviour::from_tiles(anchor, target, self.source)
                    .ok()
                    .flatten()
            };
        }
        let held = self.held.iter().map(|held| held.checkpoint);
        let vouched = held.chain(tree_holds.then_some(target));
        for checkpoint in vouched {
            let cosigned = keys.cosigned(checkpoint);
            if !cosigned.is_empty() && cosigned.len() >= report.cosigned.len().min(keys.quorum.max(1)) {
                report.cosigned = cosigned;
                report.cosigned_size = checkpoint.size();
            }
        }
        let extended = |held: &Anchor<'_>| Extended {
            size: held.checkpoint.size(),
            kept: held.kept,
        };
        report.extends = self.held.iter().map(extended).collect();
        report
    }

    fn read<T>(&mut self, path: TilePath, decode: impl FnOnce(Vec<u8>) -> Option<T>) -> Option<T> {
        let finding = match read_tile(&self.source, path) {
            Ok(bytes) => match decode(bytes) {
                Some(decoded) => return Some(decoded),
                None => Finding::FileDamaged {
                    path: path.to_string(),
                },
            },
            Err(ReadError::Io { path, source }) => Finding::Unreadable {
                path,
                reason: source.to_string(),
            },
            Err(_) => Finding::FileMissing {
                path: path.to_string(),
            },
        };
        self.find(finding);
        None
    }

    fn find(&mut self, finding: Finding) {
        self.report.find(finding);
    }
}

/// Entries that are gone at the very end were cut off.
fn at_the_end(finding: Finding, size: u64) -> Finding {
    match finding {
        Finding::EntriesDropped { from, count } if from + count == size && count > 1 => {
            Finding::Truncated { from, size }
        }
        other => other,
    }
}

fn open(source: &dyn Source, path: &str, keys: &Keys, report: &mut Report) -> Option<SignedCheckpoint> {
    match source.read(path) {
        Ok(None) => None,
        Ok(Some(bytes)) => match SignedCheckpoint::open(&bytes, &keys.log) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                report.find(Finding::CheckpointSwapped {
                    reason: error.to_string(),
                });
                None
            }
        },
        Err(error) => {
            report.find(Finding::Unreadable {
                path: path.to_owned(),
                reason: error.to_string(),
            });
            None
        }
    }
}
