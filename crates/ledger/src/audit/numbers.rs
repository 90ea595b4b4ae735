//! The numbers that entries carry, for a log whose tree was built anew over changed entries: the tree is whole, the numbers are not.

use crate::audit::report::Finding;

/// Follows the numbers along.
#[derive(Default)]
pub(super) struct Numbers {
    /// How far numbers are ahead of positions, after entries that were dropped.
    ahead: u64,
    pending: Option<(u64, u64)>,
    displaced: Vec<(u64, u64)>,
    findings: Vec<Finding>,
}

impl Numbers {
    /// The entry at `index` says it is number `number`.
    pub(super) fn entry(&mut self, index: u64, number: u64) {
        if let Some((at, said)) = self.pending.take() {
            if number == said.saturating_add(1) && said > at + self.ahead {
                // It goes on from there: those in between are gone.
                self.findings.push(Finding::EntriesDropped {
                    from: at + self.ahead,
                    count: said - (at + self.ahead),
                });
                self.ahead = said - at;
            } else if self.displaced.len() < 64 {
                self.displaced.push((at, said));
            }
        }
        if number != index + self.ahead {
            self.pending = Some((index, number));
        }
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        if let Some((at, said)) = self.pending.take() {
            self.displaced.push((at, said));
        }
        while let Some((at, said)) = self.displaced.pop() {
            let counterpart = self.displaced.iter().position(|(a, s)| (*s, *a) == (at, said));
            self.findings.push(match counterpart {
                Some(position) => Finding::EntriesReordered {
                    first: self.displaced.remove(position).0,
                    second: at,
                },
                None => Finding::OtherNumber {
                    index: at,
                    number: said,
                },
            });
        }
        self.findings.sort_by_key(Finding::position);
        self.findings
    }
}
