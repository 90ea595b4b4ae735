//! The ledger: a log of every query and every decision that an auditor can verify who trusts nobody.
//!
//! An append-only Merkle tree (RFC 6962) in the C2SP formats ([tlog-tiles], [tlog-checkpoint], [signed-note], [tlog-cosignature],
//! [tlog-witness], [tlog-proof]), so that any C2SP client can follow it. An entry's public part, the *leaf*, is a few fields and a salted
//! commitment; what the entry says is sealed under a key of its own, and can be erased without a trace in any proof.
//!
//! No network, no SQL, no clock, no random generator: time, keys and files are arguments. Every parser is a pure function on bytes.
//!
//! # Writing
//! ```text
//! Entry ─► SealedEntry::seal ─► (outbox, same transaction) ─► Log::prepare ─► write ─► sign ─► publish ─► cosigned
//! ```
//! # Reading
//! [`verify`] holds a whole log to its checkpoint, and to those that were kept; [`Bundle`] proves one entry offline; [`reconcile`] joins
//! two half-logs; [`Misbehaviour`] turns two contradicting checkpoints into a proof.
//!
//! ```
//! use concordat_ledger::*;
//! use concordat_note::SigningKey;
//!
//! let dir = std::env::temp_dir().join(format!("concordat-ledger-doc-{}", std::process::id()));
//! let key = SigningKey::from_seed("police.example/aa/ledger", &[7; 32])?;
//! let mut log = Log::open(Folder::create(&dir)?, key.verifier())?;
//!
//! let entry = Entry::new(
//!     "2026-11-21T20:15:00Z".parse()?,
//!     SignIn {
//!         by: Person { id: Text::new("officer-4711")?, unit: None },
//!         method: Text::new("client certificate")?,
//!         role: Text::new("officer")?,
//!     },
//! );
//! let entry_key = EntryKey::new([1; 32]); // from a random generator
//! let sealed = SealedEntry::seal(&entry, Retention::ThreeYears, &entry_key)?;
//! let checkpoint = log.append([&sealed.leaf], &key)?.clone();
//!
//! // The auditor: files and a public key.
//! let options = AuditOptions { now: "2026-11-22T08:00:00Z".parse()?, leaves: true };
//! let report = verify(&Folder::read_only(&dir), &Keys::of(key.verifier()), &[], &options);
//! assert_eq!(report.verdict(), Verdict::Holds);
//!
//! // One entry, opened, years later.
//! let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key)?;
//! let bundle = Bundle::new(log.source(), 0, &checkpoint, Some(opening))?.to_string();
//! let proven = Bundle::parse(bundle.as_bytes())?.check(&Keys::of(key.verifier()))?;
//! assert_eq!(proven.entry, Some(entry));
//! # drop(log);
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [tlog-tiles]: https://c2sp.org/tlog-tiles
//! [tlog-checkpoint]: https://c2sp.org/tlog-checkpoint
//! [signed-note]: https://c2sp.org/signed-note
//! [tlog-cosignature]: https://c2sp.org/tlog-cosignature
//! [tlog-witness]: https://c2sp.org/tlog-witness
//! [tlog-proof]: https://c2sp.org/tlog-proof

mod audit;
mod bundle;
mod bytes;
pub mod canonical;
mod cases;
mod checked;
mod checkpoint;
#[cfg(test)]
mod crash_tests;
mod disk;
mod entry;
mod events;
mod folder;
mod hash;
mod identifiers;
mod leaf;
mod log;
mod misbehaviour;
mod proof;
mod reader;
mod reconcile;
mod retention;
mod sample;
mod seal;
mod source;
mod suppress;
mod tally;
mod tile;
mod tree;
mod witness;

pub use audit::{AuditOptions, Cosigned, Extended, Finding, Keys, Ordered, Report, Verdict, verify};
pub use bundle::{Bundle, BundleError, MAX_BUNDLE_BYTES, MAX_OPENED_IDENTIFIERS, Proven};
pub use bytes::{Digest, Hex, NotAText, Text};
pub use cases::{
    Approved, CaseId, CaseStep, Console, Decision, DetailRequested, DetailStep, HitStep, Outcome, Receipt,
    RegistryChanged, Release, Reminded,
};
pub use checked::{CheckedLeaves, LeavesError};
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use entry::{Entry, EntryError, EntryType, Event};
pub use events::{
    Actor, AgreementChange, AgreementChanged, ClientChange, ClientChanged, ConfigurationChanged, Erasure,
    Evaluation, EvaluationOpened, ExchangeId, Import, KeyChange, KeyChanged, ListChange, ListChanged,
    MisbehaviourSeen, OfficerLinked, Opened, Person, ProofFailed, Query, QueryOpened, QuotaRefused,
    RecordChange, RecordChanged, Refusal, Scope, SignIn, SnapshotFetched, SnapshotPublished, Stated,
    VerdictCounts, Why,
};
pub use folder::Folder;
pub use hash::{Hash, NotAHash};
pub use identifiers::{AuditKey, IdentifierCommitment, IdentifierOpening, Queried};
pub use leaf::{Cause, Class, Hour, Join, Leaf, Ranges, Side};
pub use log::{Batch, Extends, Log, LogError};
pub use misbehaviour::{EvidenceError, Misbehaviour};
pub use proof::{MAX_PROOF_HASHES, ProofError, verify_consistency, verify_inclusion};
pub use reader::{ReadError, TileReader};
pub use reconcile::{
    ExchangeRecord, MAX_STEPS, Reason, Reconciliation, Stage, Unmatched, Unopened, reconcile,
    reconcile_export_with_leaves, reconcile_exports, reconcile_with_leaves, transcript,
};
pub use retention::{Retention, is_due};
pub use sample::Sampler;
pub use seal::{EntryKey, MAX_PAYLOAD_BYTES, Opening, OpeningError, SealedEntry};
pub use source::Source;
pub use suppress::{Cell, suppress};
pub use tally::{Row, Tally, Took};
pub use tile::{
    CHECKPOINT_PATH, COSIGNED_PATH, MAX_ENTRY_BYTES, MAX_FILE_BYTES, TILE_WIDTH, TileKind, TilePath,
    decode_bundle, decode_hashes, encode_bundle, encode_hashes,
};
pub use tree::RightEdge;
pub use witness::{
    AddCheckpoint, MAX_REQUEST_BYTES, Refusal as WitnessRefusal, SIZE_CONTENT_TYPE, attach_cosignatures,
    format_cosignatures, parse_size,
};
