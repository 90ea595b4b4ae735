//! What an audit found, in words.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::leaf::{Hour, Ranges};
use crate::misbehaviour::Misbehaviour;

/// A witness that cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Its name.
    pub witness: String,
    /// When, Unix seconds, by its clock.
    pub time: u64,
}

impl Cosigned {
    /// When, by the witness's clock; `None` for a time that the calendar does not have.
    pub fn at(&self) -> Option<Timestamp> {
        let time = i64::try_from(self.time).ok()?;
        Timestamp::from_second(time).ok()
    }
}

/// The witness and its time, RFC 3339.
impl fmt::Display for Cosigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at() {
            Some(time) => write!(f, "{} at {time}", self.witness),
            None => f.write_str(&self.witness),
        }
    }
}

/// Payloads that were erased by order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The erasure's entry.
    pub entry: u64,
    /// Whose payloads.
    pub erased: Ranges,
}

impl Ordered {
    const MAX_SHOWN: usize = 20;
}

/// Which entries, and the one that erased them; of very many ranges the first ones.
impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.erased.iter();
        let mut ranges: Vec<String> = ranges
            .map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first} to {last}"),
            })
            .collect();
        let last = match ranges.len().checked_sub(Self::MAX_SHOWN) {
            None | Some(0) => ranges.pop().unwrap_or_default(),
            Some(more) => {
                ranges.truncate(Self::MAX_SHOWN);
                format!("{more} more")
            }
        };
        if !ranges.is_empty() {
            write!(f, "{} and ", ranges.join(", "))?;
        }
        write!(f, "{last} (entry {})", self.entry)
    }
}

/// A checkpoint from before that the log extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    /// How many entries it has.
    pub size: u64,
    /// Which of those that were kept, by its place among them; `None` for the one that the log publishes as cosigned.
    pub kept: Option<usize>,
}

/// One thing that does not hold. `Display` says what was done, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// There is no checkpoint.
    NoCheckpoint,
    /// The checkpoint is not the log's, or not one at all.
    CheckpointSwapped {
        /// Why it is not.
        reason: String,
    },
    /// The checkpoint is older than one that is kept.
    RolledBack {
        /// The size that was signed before.
        kept: u64,
        /// The size that is shown now.
        shown: u64,
    },
    /// The first entries are not those that were signed before.
    Rewritten {
        /// The largest checkpoint that still holds, or zero: the change lies behind it.
        after: u64,
        /// The smallest kept checkpoint that does not hold: the change lies before its end.
        size: u64,
    },
    /// Entries and tree agree with each other, and not with the signed root.
    OtherTree {
        /// The size that was signed.
        size: u64,
    },
    /// An entry is not what it was.
    EntryAltered {
        /// Which.
        index: u64,
    },
    /// Entries are gone.
    EntriesDropped {
        /// The first.
        from: u64,
        /// How many.
        count: u64,
    },
    /// Entries were cut off at the end.
    Truncated {
        /// The first that is gone.
        from: u64,
        /// The size that was signed.
        size: u64,
    },
    /// Fewer entries could be held to the tree than were signed.
    NotAllRead {
        /// How many there were.
        read: u64,
        /// The size that was signed.
        size: u64,
    },
    /// Entries that were never signed.
    EntriesInserted {
        /// Before which entry.
        from: u64,
        /// How many.
        count: u64,
    },
    /// Two entries have changed places.
    EntriesReordered {
        /// One.
        first: u64,
        /// The other.
        second: u64,
    },
    /// The entry in this place says that it is another.
    OtherNumber {
        /// Its place.
        index: u64,
        /// The number it says.
        number: u64,
    },
    /// An entry is none of this ledger's.
    NotALeaf {
        /// Which.
        index: u64,
    },
    /// Time ran backwards from one entry to the next.
    TimeRanBack {
        /// The later entry.
        index: u64,
    },
    /// A file of hashes is not what the entries give.
    TileAltered {
        /// The file.
        path: String,
    },
    /// A file is not there.
    FileMissing {
        /// The file.
        path: String,
    },
    /// A file has not the form that it must have.
    FileDamaged {
        /// The file.
        path: String,
    },
    /// A file could not be read. Nothing is said about what is in it: try again.
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// An erasure names entries that are not there to be erased, or more than there are.
    FalseErasure {
        /// The erasure's entry.
        index: u64,
    },
    /// An erasure said to be due was not.
    EarlyErasure {
        /// The erasure's entry.
        index: u64,
        /// The entry erased too early.
        erased: u64,
    },
}

impl Finding {
    /// Nothing does not hold: it could not be found out.
    fn is_unread(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }

    /// Where in the log.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::EntryAltered { index }
            | Self::OtherNumber { index, .. }
            | Self::NotALeaf { index }
            | Self::TimeRanBack { index }
            | Self::FalseErasure { index }
            | Self::EarlyErasure { index, .. } => *index,
            Self::EntriesDropped { from, .. }
            | Self::Truncated { from, .. }
            | Self::EntriesInserted { from, .. } => *from,
            Self::EntriesReordered { first, .. } => *first,
            _ => 0,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCheckpoint => f.write_str("The checkpoint is missing: nothing is vouched for."),
            Self::CheckpointSwapped { reason } => {
                write!(f, "The checkpoint was swapped or damaged: {reason}.")
            }
            Self::RolledBack { kept, shown } => write!(
                f,
                "The log was rolled back: {kept} entries had been signed, an older checkpoint of {shown} is shown now."
            ),
            Self::Rewritten { after, size } => write!(
                f,
                "History was rewritten: a change between entry {after} and entry {size}, which had been signed before."
            ),
            Self::OtherTree { size } => write!(
                f,
                "The checkpoint of {size} entries is of another tree: the entries and the tree were changed together, or the checkpoint was swapped."
            ),
            Self::EntryAltered { index } => write!(f, "Entry {index} was altered."),
            Self::EntriesDropped { from, count: 1 } => write!(f, "Entry {from} was dropped."),
            Self::EntriesDropped { from, count } => {
                write!(f, "{count} entries were dropped, from entry {from}.")
            }
            Self::Truncated { from, size } => write!(
                f,
                "The log was truncated: entries {from} to {} are gone.",
                size.saturating_sub(1)
            ),
            Self::NotAllRead { read, size } => {
                write!(
                    f,
                    "Only {read} of {size} entries could be held to the signed tree."
                )
            }
            Self::EntriesInserted { from, count: 1 } => {
                write!(f, "An entry was inserted before entry {from}.")
            }
            Self::EntriesInserted { from, count } => {
                write!(f, "{count} entries were inserted before entry {from}.")
            }
            Self::EntriesReordered { first, second } => {
                write!(
                    f,
                    "Entries {first} and {second} were reordered: each is in the other's place."
                )
            }
            Self::OtherNumber { index, number } => {
                write!(
                    f,
                    "Entry {index} says it is number {number}: it was moved or put there."
                )
            }
            Self::NotALeaf { index } => write!(f, "Entry {index} is not an entry of this ledger."),
            Self::TimeRanBack { index } => {
                write!(f, "Entry {index} is dated hours before the one it follows.")
            }
            Self::TileAltered { path } => {
                write!(f, "The tree was altered: {path} is not what the entries give.")
            }
            Self::FileMissing { path } => write!(f, "The file {path} is missing."),
            Self::FileDamaged { path } => write!(f, "The file {path} is damaged."),
            Self::Unreadable { path, reason } => {
                write!(
                    f,
                    "The file {path} could not be read, and nothing is said about it: {reason}."
                )
            }
            Self::FalseErasure { index } => {
                write!(
                    f,
                    "Entry {index} records an erasure of entries that could not be erased."
                )
            }
            Self::EarlyErasure { index, erased } => write!(
                f,
                "Entry {erased} was erased before its day, and entry {index} says that it was due."
            ),
        }
    }
}

/// The whole outcome in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything holds.
    Holds,
    /// Everything that was looked at holds, and too few witnesses have cosigned.
    NoQuorum,
    /// Files could not be read; what could be holds.
    Incomplete,
    /// Nothing could be read: nothing is said about the log.
    Unread,
    /// Something does not hold.
    Broken,
}

/// What an audit found. `Display` says it on one screen.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The log.
    pub origin: String,
    /// The size and root of the checkpoint that was verified against; `None` if there is none to be believed.
    pub checkpoint: Option<crate::checkpoint::Checkpoint>,
    /// Entries that were read and are what the tree says.
    pub entries: u64,
    /// Entries by class.
    pub classes: BTreeMap<&'static str, u64>,
    /// The hours of the first and the last entry.
    pub period: Option<(Hour, Hour)>,
    /// Payloads that were erased, as the log says.
    pub erased: u64,
    /// Of these, before their day, because somebody entitled ordered it.
    pub ordered: u64,
    /// The erasures by order, at most twenty.
    pub orders: Vec<Ordered>,
    /// How many more there are.
    pub more_orders: u64,
    /// Payloads that must be gone by the time of the audit.
    pub due: u64,
    /// Who cosigned the newest cosigned checkpoint that holds.
    pub cosigned: Vec<Cosigned>,
    /// The size of that checkpoint.
    pub cosigned_size: u64,
    /// How many witnesses must have cosigned.
    pub quorum: usize,
    /// The names of the witnesses whose keys were given; the log itself is none.
    pub witnesses: Vec<String>,
    /// How many kept checkpoints of this log were given.
    pub kept: usize,
    /// The checkpoints, kept or cosigned, that this log extends.
    pub extends: Vec<Extended>,
    /// What does not hold, at most a hundred.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more_findings: u64,
    /// Proof that the log's key signed two histories, for anybody to check.
    pub misbehaviour: Option<Misbehaviour>,
}

impl Report {
    const MAX_FINDINGS: usize = 100;
    const MAX_ORDERS: usize = 20;

    /// The whole outcome in a word.
    pub fn verdict(&self) -> Verdict {
        match self.findings.as_slice() {
            _ if self.misbehaviour.is_some() => Verdict::Broken,
            findings if !findings.iter().all(Finding::is_unread) => Verdict::Broken,
            [] if self.cosigned.len() < self.quorum => Verdict::NoQuorum,
            [] => Verdict::Holds,
            _ if self.entries == 0 => Verdict::Unread,
            _ => Verdict::Incomplete,
        }
    }

    /// What an audit can look at and this one did not, a sentence each: nobody had given it what it takes, or the witnesses have not seen
    /// it yet.
    pub fn not_checked(&self) -> Vec<String> {
        let mut not_checked = Vec::new();
        if self.kept == 0 {
            not_checked.push(
                "No checkpoint of an earlier audit was given: history that was rewritten and signed again since would not be seen.".to_owned(),
            );
        }
        if self.witnesses.is_empty() {
            not_checked.push(
                "No key of a witness was given: whether partners were shown the same log was not looked at."
                    .to_owned(),
            );
        } else if self.quorum == 0 {
            not_checked.push("No quorum was asked for: it holds without any witness.".to_owned());
        } else {
            not_checked.extend(self.not_cosigned());
        }
        not_checked
    }

    /// What was written since the newest checkpoint that witnesses cosigned, which may be years ago.
    fn not_cosigned(&self) -> Option<String> {
        let size = self.checkpoint.as_ref()?.size;
        let newest = self.cosigned.iter().max_by_key(|cosigned| cosigned.time)?;
        let last = size.checked_sub(1).filter(|_| self.cosigned_size < size)?;
        let entries = match self.cosigned_size {
            first if first == last => format!("Entry {first} is"),
            first => format!("Entries {first} to {last} are"),
        };
        let when = newest
            .at()
            .map(|time| format!(" (the last is of {time})"))
            .unwrap_or_default();
        Some(format!(
            "{entries} in no checkpoint that the witnesses cosigned{when}."
        ))
    }

    /// What was found, on one screen, with the names of the kept checkpoints in the order in which they were given.
    pub fn text(&self, kept: &[String]) -> String {
        Named { report: self, kept }.to_string()
    }

    /// The witnesses that have not cosigned.
    fn missing(&self) -> Vec<&str> {
        let names = self.witnesses.iter().map(String::as_str);
        names
            .filter(|name| !self.cosigned.iter().any(|cosigned| cosigned.witness == *name))
            .collect()
    }

    pub(super) fn add_order(&mut self, entry: u64, erased: &Ranges) {
        self.ordered = self.ordered.saturating_add(erased.count());
        if self.orders.len() < Self::MAX_ORDERS {
            let erased = erased.clone();
            self.orders.push(Ordered { entry, erased });
        } else {
            self.more_orders += 1;
        }
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() < Self::MAX_FINDINGS {
            return self.findings.push(finding);
        }
        self.more_findings += 1;
        // Whoever serves the files makes as many of them unreadable as it likes: that hides nothing that was found.
        let unread = self.findings.iter_mut().rfind(|kept| kept.is_unread());
        if let Some(unread) = unread.filter(|_| !finding.is_unread()) {
            *unread = finding;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = &[];
        Named { report: self, kept }.fmt(f)
    }
}

/// A report, with the names of the checkpoints that were kept.
struct Named<'a> {
    report: &'a Report,
    kept: &'a [String],
}

impl Named<'_> {
    /// What was read.
    fn read(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, kept } = self;
        writeln!(f, "Log         {}", report.origin)?;
        if let Some(checkpoint) = &report.checkpoint {
            writeln!(
                f,
                "Checkpoint  {} entries, root {}",
                checkpoint.size, checkpoint.root
            )?;
        }
        write!(f, "Entries     {} read and as signed", report.entries)?;
        for (class, count) in &report.classes {
            write!(f, ", {class} {count}")?;
        }
        writeln!(f)?;
        if let Some((first, last)) = &report.period {
            writeln!(
                f,
                "Period      {} to {}, by the hour",
                first.start(),
                last.start()
            )?;
        }
        writeln!(
            f,
            "Erasure     {} payloads erased, {} of them by order; {} due",
            report.erased, report.ordered, report.due
        )?;
        if !report.orders.is_empty() {
            let orders: Vec<String> = report.orders.iter().map(ToString::to_string).collect();
            write!(f, "By order    {}", orders.join(", "))?;
            if report.more_orders > 0 {
                write!(f, ", and {} more", report.more_orders)?;
            }
            writeln!(f)?;
        }
        let found = report.cosigned.len();
        let have = if found == 1 { "has" } else { "have" };
        write!(f, "Witnesses   {found} {have} cosigned, {} needed", report.quorum)?;
        for cosigned in &report.cosigned {
            write!(f, ", {cosigned}")?;
        }
        if found > 0 {
            write!(f, ", of {} entries", report.cosigned_size)?;
        }
        writeln!(f)?;
        let missing = report.missing();
        if found < report.quorum && !missing.is_empty() {
            writeln!(f, "            not cosigned by {}", missing.join(", "))?;
        }
        for Extended { size, kept: place } in &report.extends {
            let name = match place {
                Some(place) => kept.get(*place).map_or("a kept checkpoint", String::as_str),
                None => "its own checkpoint.cosigned",
            };
            writeln!(f, "Extends     {name}, of {size} entries")?;
        }
        Ok(())
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let (verdict, not_checked) = (report.verdict(), report.not_checked());
        // Of what could not be read, nothing was.
        let is_read = verdict != Verdict::Unread;
        if is_read {
            self.read(f)?;
        }
        for finding in &report.findings {
            let label = if finding.is_unread() { "UNREAD" } else { "BROKEN" };
            writeln!(f, "{label:<12}{finding}")?;
        }
        if report.more_findings > 0 {
            writeln!(f, "            and {} more.", report.more_findings)?;
        }
        if let Some(misbehaviour) = &report.misbehaviour {
            writeln!(f, "PROOF       {}.", misbehaviour.sentence())?;
        }
        for sentence in not_checked.iter().filter(|_| is_read) {
            writeln!(f, "Not checked {sentence}")?;
        }
        f.write_str(match verdict {
            Verdict::Holds if not_checked.is_empty() => "Everything holds.",
            Verdict::Holds => "What was checked holds.",
            Verdict::NoQuorum => {
                "What is there holds, but too few witnesses have cosigned: another log may have been shown to others."
            }
            Verdict::Incomplete => "What could be read holds; not everything could be read. Try again.",
            Verdict::Unread => "Nothing could be read: nothing is said about this log. Try again.",
            Verdict::Broken => {
                "Something does not hold. Keep these files and the checkpoints, and ask the agency."
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_read_hide_nothing_that_was_found() {
        let mut report = Report {
            entries: 1,
            ..Report::default()
        };
        for number in 0..Report::MAX_FINDINGS {
            report.find(Finding::Unreadable {
                path: format!("tile/entries/{number}"),
                reason: "503".to_owned(),
            });
        }
        assert_eq!(report.verdict(), Verdict::Incomplete);
        let found = Finding::NotALeaf { index: 7 };
        report.find(found.clone());
        assert_eq!(report.verdict(), Verdict::Broken);
        assert!(report.findings.contains(&found));
        assert_eq!(
            (report.findings.len(), report.more_findings),
            (Report::MAX_FINDINGS, 1)
        );
    }
}
