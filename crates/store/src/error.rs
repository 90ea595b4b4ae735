//! What can go wrong, and who is to blame.

use std::path::PathBuf;

use crate::types::{ImportId, ListId, ScopeId};

/// Why the store refused or failed. No message holds an identifier, a payload, a source id or a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    // ---- the operator: the node cannot start
    /// The sealed data key does not open.
    #[error(
        "the master key does not belong to this database: give the one that was put in its place last (after `concordat key rotate-master --out FILE`, that file), or restore both from the same backup"
    )]
    WrongMasterKey,
    /// A master key is 32 bytes.
    #[error("a master key is 32 bytes, this one is {found}")]
    MasterKeyLength {
        /// Bytes given.
        found: usize,
    },
    /// Another process has the database open.
    #[error("{} is in use by another process: stop the other node first", path.display())]
    AlreadyOpen {
        /// The database file.
        path: PathBuf,
    },
    /// The file is a SQLite database of something else.
    #[error("{} is not a Concordat store: check the path", path.display())]
    NotAStore {
        /// The database file.
        path: PathBuf,
    },
    /// A newer program wrote the database.
    #[error(
        "the database has schema {found}, this program knows up to {known}: start the newer version, or restore a backup made before the upgrade"
    )]
    SchemaTooNew {
        /// In the file.
        found: u32,
        /// Known here.
        known: u32,
    },
    /// The text of an applied migration differs from ours.
    #[error(
        "schema step {version} of the database is not the one this program knows: it was written by a modified program"
    )]
    SchemaDiffers {
        /// Which step.
        version: u32,
    },
    /// The file system refused.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    // ---- the caller
    /// No such row.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// There is one already, and it differs.
    #[error("there is already a different {what} of this name")]
    AlreadyExists {
        /// What exists.
        what: &'static str,
    },
    /// A list changes in one way at a time.
    #[error("list {list} is being imported: wait for the import to end, or abort it")]
    ImportRunning {
        /// The list.
        list: ListId,
    },
    /// A call of [`Import::stage`](crate::Import::stage) failed or was dropped half way.
    #[error("import {import} is incomplete: abort it and import again")]
    ImportIncomplete {
        /// The import.
        import: ImportId,
    },
    /// The import was decided elsewhere, for example because its list was deleted.
    #[error("import {import} is no longer running")]
    ImportEnded {
        /// The import.
        import: ImportId,
    },
    /// A scope is published by one at a time.
    #[error("scope {scope} is being published: wait for it to end")]
    PublicationRunning {
        /// The scope.
        scope: ScopeId,
    },
    /// Not every identifier was visited, or not every one that needs a tag got it.
    #[error(
        "the publication of scope {scope} is incomplete: take every page and give every missing tag first"
    )]
    PublicationIncomplete {
        /// The scope.
        scope: ScopeId,
    },
    /// What must be recorded could not be: nothing was changed.
    #[error("it could not be recorded, so it was not done")]
    NotRecorded,
    /// It is not what it was when the change was worked out: nothing was changed.
    #[error("the {what} has changed meanwhile: look at it again")]
    Stale {
        /// What has changed.
        what: &'static str,
    },
    /// The signature counter of an officer's key did not go on: nothing was changed.
    #[error("the signature counter of a key did not go on: somebody may have a copy of the key, revoke it")]
    CounterWentBack,
    /// More in one call than the store takes.
    #[error("{given} {what} in one call, at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many came.
        given: usize,
        /// The most.
        max: usize,
    },
    /// There is no room for more, though there is on the disk.
    #[error("there is no room for more {what}")]
    Full {
        /// Of what.
        what: &'static str,
    },
    /// A value that no row may have, such as an empty name.
    #[error("refused by the table: {rule}")]
    Invalid {
        /// The rule as SQL has it; it holds no value.
        rule: String,
    },
    /// A state that does not follow from the present one.
    #[error("a {what} that is {from} cannot become {to}")]
    InvalidTransition {
        /// Of what.
        what: &'static str,
        /// Its state.
        from: &'static str,
        /// The state asked for.
        to: &'static str,
    },
    /// The seed of this scope is not here: destroyed, or never ours.
    #[error("scope {scope} has no key here: {}", if *destroyed { "it was destroyed" } else { "the partner owns it" })]
    NoKey {
        /// The scope.
        scope: ScopeId,
        /// Destroyed, or never ours.
        destroyed: bool,
    },

    // ---- the peer
    /// The partner offered a snapshot that is older than one we hold.
    #[error(
        "snapshot version {offered} is older than version {held}, which is held: refused, the newer one stays in use"
    )]
    OlderSnapshot {
        /// The newest held.
        held: u64,
        /// The one offered.
        offered: u64,
    },
    /// The partner offered the same version with another manifest.
    #[error(
        "snapshot version {version} was seen before with another manifest: refused, the first one stays in use"
    )]
    SnapshotEquivocation {
        /// Which version.
        version: u64,
    },

    // ---- the store itself
    /// A sealed value does not open in its place: damaged, or moved there by someone.
    #[error(
        "a sealed value in {table}.{column} does not open: the database is damaged or was tampered with; restore a backup"
    )]
    Sealed {
        /// Its table.
        table: &'static str,
        /// Its column.
        column: &'static str,
    },
    /// A value that this program never wrote.
    #[error("a value of {what} in the database is malformed: it is damaged; restore a backup")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
    /// SQLite failed: disk full, I/O error, locked by a foreign process.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// The transaction that it shared with others failed: nothing of it was changed.
    #[error("what was written together failed: {reason}")]
    Together {
        /// As the error of the transaction says.
        reason: String,
    },
    /// The runtime is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(db) if db.is_check_violation() => Self::Invalid {
                rule: db.message().to_owned(),
            },
            _ => Self::Database(error),
        }
    }
}

impl StoreError {
    /// For an insertion: a row that exists is [`StoreError::AlreadyExists`], a row it refers to that does not exist is
    /// [`StoreError::NotFound`].
    pub(crate) fn on_insert(what: &'static str, refers_to: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match error.as_database_error() {
            Some(db) if db.is_unique_violation() => Self::AlreadyExists { what },
            Some(db) if db.is_foreign_key_violation() => Self::NotFound { what: refers_to },
            _ => error.into(),
        }
    }
}
