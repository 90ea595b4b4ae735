//! What a node remembers, in SQL: one SQLite file, opened by one process.
//!
//! # In scope
//! Lists and their records, agreements, scopes and their keys, tags, snapshots, jobs, budgets, callers, the record of
//! what happened, and cases of disclosure. `docs/data-model.md` describes every table.
//!
//! # Out of scope
//! Meaning. Identifiers arrive as numbers and bytes ([`IdentifierRow`]), documents as signed text, job
//! specifications as opaque bytes. Nothing here asks the clock or the system's random generator: the time is an
//! argument (`now_ms`, Unix milliseconds), randomness comes in through [`StoreOptions::rng`].
//!
//! # Promises
//! - What a method acknowledged survives `kill -9` and power loss (`synchronous=FULL`).
//! - No transaction is long. An import of millions of records is many small transactions and becomes visible by
//!   the change of one row, so that a border check never waits behind it.
//! - Identifiers, payloads, OPRF seeds, job specifications, planned chunks, case references and what is written in a
//!   case of disclosure are sealed ([`MasterKey`]) and each is bound to its place: a value moved to another row does not open.
//! - Deleted bytes are overwritten in the file (`secure_delete`).
//!
//! # What a stolen database file shows without the master key
//! List names and the lists' own record ids (`source_id`), how many identifiers of which kind each record has,
//! which records share an identifier (equal blind indexes), the agreements, all public keys, tags as published,
//! volumes and times, partners, states and purposes of cases. Not: identifiers, payloads, keys, case references, which
//! record a job found or a case is about, who acts in a case and what is written in it.

mod agreements;
mod attachments;
mod authors;
mod budget;
mod case_lists;
mod case_types;
mod cases;
mod chunks;
mod claims;
mod clients;
mod db;
mod error;
mod facts;
mod group;
mod idset;
mod import;
mod jobs;
mod kept_tags;
mod ledger;
mod lists;
mod log;
mod matches;
mod migrate;
mod officers;
mod packed;
mod publication;
mod purge;
mod record_rows;
mod records;
mod scopes;
mod seal;
mod snapshots;
mod sql;
mod tags;
mod types;

pub use agreements::{Agreement, AgreementStatus, NewAgreement};
pub use attachments::{MAX_ATTACHMENTS, MAX_PARTNER_BYTES, PartName};
pub use authors::MAX_AUTHORS;
pub use budget::{Answered, Budget, Charge, ChargeOutcome, MAX_CHARGES, Progress, Quota, Usage};
pub use case_lists::{CaseCount, CaseCursor, CaseFilter, CaseTurn};
pub use case_types::{
    CaseChange, CaseClock, CaseDocument, CaseEventRow, CaseKey, CasePrivate, CaseRow, CaseSide, NewEvent,
    PendingStep,
};
pub use chunks::{ChunkItem, ChunkPlan, Compared, CompletedChunk, JobRequest, PlanCursor};
pub use clients::ApiClient;
pub use db::{Erasure, Store, StoreOptions};
pub use error::StoreError;
pub use group::Group;
pub use import::{Import, ImportCounts, ImportMode, MAX_REJECTS_KEPT, Reject};
pub use jobs::{Job, JobState, NewJob};
pub use ledger::{EntryFilter, LedgerEntry, NewEntry, Witness};
pub use lists::{ImportInfo, ImportState, List, ListStats};
pub use log::{Asked, Exchange, Incident, MAX_EXCHANGES};
pub use matches::{JobMatch, NewMatch, UnknownCount};
pub use migrate::SCHEMA_VERSION;
pub use officers::RegistryChange;
pub use publication::{Publication, PublicationPage};
pub use purge::Purged;
pub use record_rows::{IdentifierRow, NewRecord};
pub use records::{Change, IndexedIdentifier, MAX_UPSERT, Record, RecordRef, Selection};
pub use scopes::{NewScope, NewScopeRole, Scope, ScopeRole, ScopeStatus};
pub use seal::MasterKey;
pub use snapshots::Snapshot;
pub use tags::KeptTag;
pub use types::{BlindIndex, ImportId, JobId, ListId, RecordId, ScopeId, Tag};

/// The result of everything this crate does.
pub type Result<T> = std::result::Result<T, StoreError>;
