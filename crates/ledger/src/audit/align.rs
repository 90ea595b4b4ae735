//! Where the entries of a bundle and the hashes of its tile part, and what that looks like.

use crate::audit::report::Finding;
use crate::hash::Hash;

/// Displacements kept to tell reordered entries from altered ones; beyond, everything is called altered.
const MAX_DISPLACED: usize = 1024;

/// Follows the entries and the hashes of a log along, tile by tile.
#[derive(Default)]
pub(super) struct Alignment {
    /// Leaf hashes of entries that came after dropped ones and belong to the next tile.
    carried: Vec<Hash>,
    displaced: Vec<(u64, Hash, Hash)>,
    findings: Vec<Finding>,
}

impl Alignment {
    /// Aligns the leaf hashes of one bundle with the hashes of its tile, which starts at entry `start`.
    pub(super) fn tile(&mut self, start: u64, entries: &[Hash], tile: &[Hash]) {
        if self.carried.is_empty() && entries == tile {
            return;
        }
        let entries = [std::mem::take(&mut self.carried).as_slice(), entries].concat();
        let (mut e, mut t) = (0, 0);
        let mut dropped = false;
        while t < tile.len() {
            let (here, index) = (&entries[e.min(entries.len())..], start + t as u64);
            match here {
                [] => {
                    self.drop_entries(index, (tile.len() - t) as u64);
                    break;
                }
                [first, ..] if *first == tile[t] => (e, t) = (e + 1, t + 1),
                _ => match judge(here, &tile[t..]) {
                    Judgement::Displaced => {
                        self.displace(index, here[0], tile[t]);
                        (e, t) = (e + 1, t + 1);
                    }
                    Judgement::Dropped(count) => {
                        self.drop_entries(index, count as u64);
                        dropped = true;
                        t += count;
                    }
                    Judgement::Inserted(count) => {
                        self.findings.push(Finding::EntriesInserted {
                            from: index,
                            count: count as u64,
                        });
                        e += count;
                    }
                },
            }
        }
        let left = entries.get(e..).unwrap_or_default();
        // After a dropped entry all later ones may have moved up.
        if dropped || left.len() < 256 && !self.findings.is_empty() {
            self.carried = left.to_vec();
        } else if !left.is_empty() {
            self.findings.push(Finding::EntriesInserted {
                from: start + tile.len() as u64,
                count: left.len() as u64,
            });
        }
    }

    /// What was found, after the last tile.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        while let Some((index, found, expected)) = self.displaced.pop() {
            let counterpart = self
                .displaced
                .iter()
                .position(|(_, f, x)| *f == expected && *x == found);
            self.findings.push(match counterpart {
                Some(position) => Finding::EntriesReordered {
                    first: self.displaced.remove(position).0,
                    second: index,
                },
                None => Finding::EntryAltered { index },
            });
        }
        self.findings.sort_by_key(Finding::position);
        self.findings
    }

    fn displace(&mut self, index: u64, found: Hash, expected: Hash) {
        if self.displaced.len() < MAX_DISPLACED {
            self.displaced.push((index, found, expected));
        } else if self.findings.len() < MAX_DISPLACED {
            self.findings.push(Finding::EntryAltered { index });
        }
    }

    fn drop_entries(&mut self, from: u64, count: u64) {
        match self.findings.last_mut() {
            Some(Finding::EntriesDropped {
                from: before,
                count: n,
            }) if *before + *n == from => *n += count,
            _ => self.findings.push(Finding::EntriesDropped { from, count }),
        }
    }
}

enum Judgement {
    Displaced,
    Dropped(usize),
    Inserted(usize),
}

/// Why the first entry is not the first hash.
fn judge(entries: &[Hash], tile: &[Hash]) -> Judgement {
    let next_fits = entries.len() > 1 && tile.len() > 1 && entries[1] == tile[1];
    let swapped = entries.len() > 1 && tile.len() > 1 && entries[0] == tile[1] && entries[1] == tile[0];
    if next_fits || swapped {
        return Judgement::Displaced;
    }
    // Later hashes that fit, and go on fitting.
    let goes_on = |e: usize, t: usize| match (entries.get(e), tile.get(t)) {
        (Some(entry), Some(hash)) => entry == hash,
        _ => true,
    };
    let dropped = (1..tile.len()).find(|&d| tile[d] == entries[0] && goes_on(1, d + 1));
    let inserted = (1..entries.len()).find(|&i| entries[i] == tile[0] && goes_on(i + 1, 1));
    match (dropped, inserted) {
        (Some(count), Some(other)) if other < count => Judgement::Inserted(other),
        (Some(count), _) => Judgement::Dropped(count),
        (None, Some(count)) => Judgement::Inserted(count),
        (None, None) => Judgement::Displaced,
    }
}
