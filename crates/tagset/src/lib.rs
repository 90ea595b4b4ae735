//! Snapshots: the padded, sorted, signed sets of tags that an owner publishes and a requester looks up. Files only: no network, no
//! clock, no random generator, and nothing about how a tag is made.
//!
//! A *tag* is 16 bytes that look random. A *snapshot* is a set of tags in immutable *segment* files named by their SHA-256, and a
//! *manifest* (a signed note) that names them: one *base* and, on top, *deltas* of additions and removals.
//!
//! # The owner
//! ```text
//! SnapshotBuilder::push…, push_canary…, finish ─► Base ─┐
//! DeltaBuilder   ::add…, remove…,      finish ─► Delta ─┼─► Manifest ─► SignedManifest::sign ─► Snapshot::install
//! Snapshot::merge                              ─► Base ─┘
//! ```
//! The owner installs its own manifest exactly as a partner will: nothing is published that a partner would refuse.
//!
//! # The requester
//! ```text
//! SignedManifest::verify ─► (Snapshot::merge_towards) ─► missing_segments ─► SegmentWriter… ─► Snapshot::install ─► contains
//! ```
//!
//! # What a snapshot tells its holder
//! The size class and the churn class, both powers of two; when it was made; and the tags, which say nothing to someone who cannot
//! evaluate. Padding tags look like any other. How many real tags there are stays with the owner ([`BuildReport`], [`DeltaReport`],
//! [`Padding`] are the owner's secrets).
//!
//! # One writer per directory
//! Lookups may run at any time, from any thread. Building, downloading, installing and collecting garbage in one directory must not
//! run at the same time; the caller holds one lock for them.

mod build;
mod delta;
mod digest;
mod error;
mod fetch;
mod files;
mod garbage;
mod manifest;
mod merge;
mod open_segment;
mod options;
mod padding;
mod segment;
mod segments;
mod snapshot;
mod sort;

pub use build::{BuildReport, Predecessor, SnapshotBuilder};
pub use delta::{DeltaBuilder, DeltaReport};
pub use digest::Digest;
pub use error::{Damage, Error, Fault, ManifestError};
pub use fetch::{SegmentWriter, discard_segment, missing_segments};
pub use garbage::{Garbage, collect_garbage};
pub use manifest::{Base, Canaries, Delta, Manifest, Scope, Seen, SignedManifest};
pub use options::Options;
pub use padding::Padding;
pub use segment::{Role, SegmentCheck, SegmentHeader, SegmentRef, check_segment};
pub use segments::Segments;
pub use snapshot::{Snapshot, forget_installed};

/// The first 16 bytes of the PRF output of an identifier. Ordered as bytes.
pub type Tag = [u8; 16];
