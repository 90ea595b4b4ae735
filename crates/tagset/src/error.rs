use std::io;
use std::path::{Path, PathBuf};

use concordat_note::NoteError;

/// What went wrong, who is to blame, what to do. No error shows a tag.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Our machine.
    /// The disk or the file system refused. Nothing half-done is visible; try again once there is room or permission.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file the manifest names is not there. Fetch it.
    #[error("{file} is missing: fetch it")]
    Missing {
        /// Its name.
        file: String,
    },
    /// A file does not hold the bytes that were signed: the disk or the transfer is to blame.
    /// [`discard_segment`](crate::discard_segment) it and fetch it again.
    #[error("{file} is damaged ({damage}): discard it and fetch it again")]
    Damaged {
        /// Its name.
        file: String,
        /// How one can tell.
        damage: Damage,
    },
    /// Another download of the same segment is under way.
    #[error("{file} is being written by another download")]
    Busy {
        /// Its name.
        file: String,
    },

    // The owner.
    /// A segment has exactly the bytes that the owner signed, and they break the format. Refuse the snapshot and tell the owner.
    #[error("{file} is what the owner signed, but it breaks the segment format ({fault})")]
    Malformed {
        /// Its name.
        file: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The note around the manifest is malformed, or not signed by the owner's pinned key.
    #[error("the manifest's note was refused: {0}")]
    Note(#[from] NoteError),
    /// The signed text is not a manifest.
    #[error("the manifest was refused: {0}")]
    Manifest(#[from] ManifestError),
    /// The manifest is for something else than was agreed.
    #[error("the manifest's {field} is {found}, agreed is {expected}")]
    OutOfScope {
        /// Which part of the scope.
        field: &'static str,
        /// What was agreed.
        expected: String,
        /// What the manifest says.
        found: String,
    },
    /// The manifest is older than one already accepted. The last good one stays.
    #[error("version {offered} is older than {seen}, which was already accepted")]
    Rollback {
        /// The version accepted before.
        seen: u64,
        /// The version offered now.
        offered: u64,
    },
    /// Two different manifests with one version: the owner signed a fork. The last good one stays; keep both as evidence.
    #[error(
        "version {version} was already accepted with other content: the owner has signed two different ones"
    )]
    Fork {
        /// The version of both.
        version: u64,
    },
    /// A delta both adds and removes a tag.
    #[error("delta {delta} adds and removes the same tag")]
    Contradiction {
        /// Counted from 1, oldest first.
        delta: usize,
    },
    /// The deltas to be merged do not add as many tags as they remove, or add what is there already.
    #[error("merging gives {found} tags instead of {expected}: the deltas do not balance")]
    Unbalanced {
        /// As many as the base has.
        expected: u64,
        /// As many as came out.
        found: u64,
    },

    // The caller.
    /// More tags than a set may hold.
    #[error("{tags} tags are more than a snapshot may hold ({limit})")]
    TooManyTags {
        /// How many there would be.
        tags: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Every layer needs canaries, at most 65,535. Push some before finishing.
    #[error("a layer needs between 1 and 65535 canaries, {0} were given")]
    CanaryCount(usize),
    /// A canary of a new delta is in the snapshot already: its seed was used before. Draw a fresh seed.
    #[error("a canary of the new delta is in the snapshot already: draw a fresh canary seed")]
    StaleCanary,
    /// The same tag was given to a delta builder as an addition and as a removal. Net the changes first.
    #[error("the same tag was both added and removed: net the changes of a delta first")]
    AddedAndRemoved,
    /// A padding tag is among the tags pushed: the padding seed was used for another snapshot of this scope. Draw a fresh seed.
    #[error("a padding tag is among the tags pushed: draw a fresh padding seed")]
    PaddingCollision,
    /// There is not enough padding left in the snapshot to hide how many tags are removed. Build and publish a new base.
    #[error("{needed} padding tags are to be removed and {live} are left: publish a new base")]
    PaddingExhausted {
        /// How many padded removals the delta needs.
        needed: u64,
        /// How many padding tags the snapshot still holds.
        live: u64,
    },
    /// The snapshot has as many deltas as a manifest may name. Merge first.
    #[error("a snapshot has at most {limit} deltas: merge first")]
    TooManyDeltas {
        /// How many there may be.
        limit: usize,
    },
    /// More deltas were to be merged than there are.
    #[error("{wanted} deltas were to be merged, the snapshot has {deltas}")]
    NotEnoughDeltas {
        /// How many were to be merged.
        wanted: usize,
        /// How many there are.
        deltas: usize,
    },
    /// Downloaded bytes must be appended where the file ends.
    #[error("{file} ends at byte {expected}, but bytes for offset {found} were given")]
    WrongOffset {
        /// The partial file.
        file: String,
        /// Where to go on.
        expected: u64,
        /// The offset given.
        found: u64,
    },
    /// The peer sends more than the manifest announced.
    #[error("{file} would grow beyond its announced {limit} bytes")]
    TooLong {
        /// The partial file.
        file: String,
        /// Its size in the manifest.
        limit: u64,
    },
    /// The download is not complete. It can be resumed.
    #[error("{file} has {found} of {expected} bytes: resume the download")]
    Incomplete {
        /// The partial file.
        file: String,
        /// Its size in the manifest.
        expected: u64,
        /// How much is there.
        found: u64,
    },
    /// No segment of this snapshot has this name, or the range lies outside of it.
    #[error("no such segment or range in this snapshot")]
    NoSuchRange,
}

/// How one can tell that a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It is too short (truncated) or too long.
    #[error("it has {found} bytes instead of {expected}")]
    Length {
        /// The size in the manifest.
        expected: u64,
        /// The size on disk.
        found: u64,
    },
    /// Its SHA-256 is not its name; the first place that breaks the format, if there is one, is a hint where.
    #[error("its SHA-256 is not its name; first oddity: {}", .0.map_or_else(|| "none".to_owned(), |fault| fault.to_string()))]
    Digest(Option<Fault>),
    /// The page at this offset is no longer what was verified when the snapshot was opened.
    #[error("the page at byte {offset} has changed since it was verified")]
    Page {
        /// In bytes, from the start of the file.
        offset: u64,
    },
    /// It is not a manifest of this scope (for `manifest.note` only).
    #[error("it is not a readable manifest")]
    Unreadable,
}

/// What breaks the segment format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first bytes are not those of a segment of a known version.
    #[error("not a segment file of version 1")]
    Magic,
    /// Role, prefix or reserved bytes make no sense, or are not those the manifest asks for.
    #[error("the header is for another segment")]
    Header,
    /// The header's count is not the number of tags in the file, or not the manifest's.
    #[error("the header counts {stated} tags, expected {expected}")]
    Count {
        /// The header's.
        stated: u64,
        /// As the length of the file, or the manifest, has it.
        expected: u64,
    },
    /// A tag is smaller than the one before it.
    #[error("unsorted at byte {offset}")]
    Unsorted {
        /// In bytes, from the start of the file.
        offset: u64,
    },
    /// A tag is the same as the one before it.
    #[error("duplicate at byte {offset}")]
    Duplicate {
        /// In bytes, from the start of the file.
        offset: u64,
    },
    /// A tag does not begin with the segment's prefix.
    #[error("a tag out of the segment's range at byte {offset}")]
    OutOfRange {
        /// In bytes, from the start of the file.
        offset: u64,
    },
}

/// Why a text is not a manifest. The text itself is foreign and not repeated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A line is not what it should be.
    #[error("line {line}: expected {expected}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// The text means something, but is not written in the one way it should be (leading zeros, capitals, fractions of seconds).
    #[error("line {line} is not in canonical form")]
    NotCanonical {
        /// Counted from 1.
        line: usize,
    },
    /// A value is outside its bounds, or contradicts another.
    #[error("{0}")]
    Invalid(&'static str),
}

/// For `map_err`: which action failed on which path.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
