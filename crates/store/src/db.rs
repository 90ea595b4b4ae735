//! The database: opening it, its two pools, its named transactions.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::CryptoRng;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row, Sqlite, Transaction};
use tokio::sync::watch;

use crate::claims::Claims;
use crate::ledger::{NewEntry, insert_entries, next_entry};
use crate::log::{Steps, steps_of};
use crate::purge::PurgeRun;
use crate::seal::{DataKey, MasterKey, Nonce, Sealer};
use crate::types::{ListId, ScopeId};
use crate::{Result, StoreError, migrate};

/// How long a statement waits for a foreign process (a backup tool) that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a transaction waits for its turn. Each one takes milliseconds: a longer queue is a node in trouble.
const TURN: Duration = Duration::from_secs(60);

/// How to open a store.
pub struct StoreOptions {
    /// The database file. Created, readable by its owner only, if it does not exist.
    pub path: PathBuf,
    /// Opens the sealed data key, or seals a fresh one in a new database.
    pub master_key: MasterKey,
    /// Draws the data key and the nonces of sealed values. It must never repeat itself, not after a restart either.
    pub rng: Box<dyn CryptoRng + Send>,
    /// Read connections: how many long reads can run beside each other. At least one; a
    /// [`Publication`](crate::Publication) opens one more of its own.
    pub readers: u32,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("path", &self.path)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

/// A node's memory. Cheap to clone; all clones are one store.
///
/// Every method may be dropped before it ends: a transaction that was not acknowledged is rolled back, unless the method says
/// that it goes on.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// What the next transaction of this handle also adds to the ledger.
    pub(crate) recorded: Arc<Mutex<Vec<NewEntry>>>,
    /// Exchanges that begin or are closed.
    pub(crate) steps: Arc<Steps>,
}

pub(crate) struct Inner {
    /// One connection: transactions take turns, in the order they came.
    pub(crate) writer: SqlitePool,
    /// Reads see the last commit before they began and wait for nobody.
    pub(crate) reader: SqlitePool,
    pub(crate) sealer: Arc<Sealer>,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
    /// The number of the ledger's next entry, once it was read. Held from when it is taken until what it numbers is on disk.
    next_entry: tokio::sync::Mutex<Option<u64>>,
    /// Counts entries of the ledger added since the store was opened.
    pub(crate) appended: watch::Sender<u64>,
    pub(crate) importing: Claims<ListId>,
    pub(crate) publishing: Claims<ScopeId>,
    pub(crate) purge: tokio::sync::Mutex<PurgeRun>,
    /// Held as long as the store is open, so that no second process opens it.
    lock: Mutex<Option<File>>,
}

/// Whether erased bytes are also gone from the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "while a reader holds the log, call `Store::checkpoint` again later"]
pub enum Erasure {
    /// Overwritten in the database file, and the log is empty.
    Complete,
    /// A long read still needs the log: call [`Store::checkpoint`] again when it has ended.
    LogInUse,
}

impl Store {
    /// Opens the database, brings its schema up to date and aborts what an earlier process left half done.
    ///
    /// # Errors
    /// Those of the operator in [`StoreError`]: wrong key, file in use, schema too new, not a store.
    pub async fn open(options: StoreOptions) -> Result<Self> {
        let StoreOptions {
            path,
            master_key,
            mut rng,
            readers,
        } = options;
        let lock = lock_file(&path)?;
        create_private(&path)?;
        let writer = pool(1, connect_options(&path, 32 << 10));
        migrate::run(&writer, &path).await?;
        let data_key = load_data_key(&writer, &master_key, rng.as_mut()).await?;
        let reader = pool(readers.max(1), connect_options(&path, 8 << 10).read_only(true));
        let inner = Arc::new(Inner {
            writer,
            reader,
            sealer: Arc::new(Sealer::new(data_key)),
            rng: Mutex::new(rng),
            next_entry: tokio::sync::Mutex::new(None),
            appended: watch::Sender::new(0),
            importing: Claims::new(),
            publishing: Claims::new(),
            purge: tokio::sync::Mutex::default(),
            lock: Mutex::new(Some(lock)),
        });
        let store = Self {
            steps: steps_of(&inner),
            inner,
            recorded: Arc::default(),
        };
        store.abort_abandoned_imports().await?;
        Ok(store)
    }

    /// Waits for what is running, then closes all connections, empties the log and lets another process open the
    /// file, whoever still holds a clone of this handle: its calls fail with [`StoreError::Database`].
    pub async fn close(&self) {
        self.inner.reader.close().await;
        self.inner.writer.close().await;
        drop(
            self.inner
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Seals the data key under another master key. Nothing else needs to be sealed again. When this returns, the
    /// database opens with `new` only; a backup made before still opens with the old key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn rotate_master_key(&self, new: &MasterKey) -> Result<Erasure> {
        let [nonce] = self.nonces();
        let sealed = self.inner.sealer.reseal(new, &nonce)?;
        let mut tx = self.begin("meta.rotate_master_key").await?;
        sqlx::query("UPDATE meta SET value = ? WHERE key = 'data_key'")
            .bind(sealed)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.checkpoint().await
    }

    /// Moves the write-ahead log into the database file and empties it, so that bytes erased before are gone from
    /// both. Waits some seconds for readers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn checkpoint(&self) -> Result<Erasure> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.inner.writer)
            .await?;
        erasure(&row)
    }

    /// The same without waiting for readers: for trying again and again while others write.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn checkpoint_unless_read(&self) -> Result<Erasure> {
        let mut writer = self.inner.writer.acquire().await?;
        sqlx::raw_sql("PRAGMA busy_timeout = 0")
            .execute(&mut *writer)
            .await?;
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *writer)
            .await;
        // A writer that never waits would be a nuisance, no danger: this process has no other.
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA busy_timeout = {}",
            BUSY.as_millis()
        )))
        .execute(&mut *writer)
        .await?;
        erasure(&row?)
    }

    /// Begins a transaction. `name` is `table.action`, for the traces.
    pub(crate) async fn begin(&self, name: &'static str) -> Result<Tx> {
        let inner = self.inner.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Tx {
            name,
            inner,
            recorded: self.take_recorded(),
            store: Arc::clone(&self.inner),
        })
    }

    /// Fresh nonces.
    pub(crate) fn nonces<const N: usize>(&self) -> [Nonce; N] {
        self.inner.nonces()
    }

    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        self.inner.fill_random(bytes);
    }
}

fn erasure(row: &sqlx::sqlite::SqliteRow) -> Result<Erasure> {
    Ok(match row.try_get::<i64, _>("busy")? {
        0 => Erasure::Complete,
        _ => Erasure::LogInUse,
    })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// A write transaction. Dropped without [`Tx::commit`], it is rolled back.
pub(crate) struct Tx {
    name: &'static str,
    inner: Transaction<'static, Sqlite>,
    /// What it adds to the ledger.
    recorded: Vec<(NewEntry, Nonce)>,
    store: Arc<Inner>,
}

impl Tx {
    /// Also adds `entry` to the ledger. `nonce` seals its key.
    pub(crate) fn record(&mut self, entry: NewEntry, nonce: Nonce) {
        self.recorded.push((entry, nonce));
    }

    /// Returns when the transaction is on disk.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self {
            name,
            mut inner,
            recorded,
            store,
        } = self;
        let count = recorded.len() as u64;
        if count == 0 {
            inner.commit().await?;
        } else {
            let next = store.next_entry(&mut inner).await?;
            insert_entries(&mut inner, &store.sealer, next.number, recorded).await?;
            inner.commit().await?;
            next.added(count);
        }
        tracing::trace!(tx = name, "committed");
        Ok(())
    }
}

/// The number of the ledger's next entry, for one transaction.
pub(crate) struct NextEntry<'a> {
    pub(crate) number: u64,
    /// Empty: were the transaction not to end well, or nobody see how it ends, the number is read again.
    known: tokio::sync::MutexGuard<'a, Option<u64>>,
    appended: &'a watch::Sender<u64>,
}

impl NextEntry<'_> {
    /// So many entries are on disk from this number on.
    pub(crate) fn added(mut self, count: u64) {
        *self.known = Some(self.number + count);
        if count > 0 {
            self.appended.send_modify(|appended| *appended += count);
        }
    }
}

impl Inner {
    pub(crate) fn nonces<const N: usize>(&self) -> [Nonce; N] {
        let mut nonces = [[0; 24]; N];
        self.fill_random(nonces.as_flattened_mut());
        nonces
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(bytes);
    }

    /// For whoever has the writer.
    pub(crate) async fn next_entry(&self, writer: &mut SqliteConnection) -> Result<NextEntry<'_>> {
        // Whoever had the writer before gives it back first, and this a moment later.
        let mut known = self.next_entry.lock().await;
        let number = match known.take() {
            Some(number) => number,
            None => next_entry(writer).await?,
        };
        Ok(NextEntry {
            number,
            known,
            appended: &self.appended,
        })
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

fn connect_options(path: &Path, cache_kib: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(4_096)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("secure_delete", "ON")
        // No SQL that came with the file may do more than ours.
        .pragma("trusted_schema", "OFF")
        // No temporary file: what is sorted stays in memory.
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", format!("-{cache_kib}"))
        // Checkpoint each 16 MiB of log, and give back what a long read made it grow to.
        .pragma("wal_autocheckpoint", "4096")
        .pragma("journal_size_limit", "67108864")
        .statement_cache_capacity(256)
        // Pages have thousands of rows: do not wake the reader for each fifty.
        .row_buffer_size(1_024)
        .disable_statement_logging()
}

fn pool(connections: u32, options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|conn, _| {
            Box::pin(async move {
                if conn.is_in_transaction() {
                    // Dropped, not committed: the answer comes after the rollback.
                    conn.ping().await?;
                }
                // SQLite itself rolls back what the disk refused, and then has none to roll back: sqlx would go on counting it, and
                // refuse each transaction after it.
                Ok(!conn.is_in_transaction())
            })
        })
        .connect_lazy_with(options)
}

/// An advisory lock beside the database; the system lets go of it when the process ends, however it ends.
fn lock_file(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = open_private(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::AlreadyOpen {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path: name, source }),
    }
}

/// SQLite gives its log files the mode of the database file.
fn create_private(path: &Path) -> Result<()> {
    open_private(path).map(drop)
}

fn open_private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| StoreError::Io {
        path: path.to_owned(),
        source,
    })
}

async fn load_data_key(
    writer: &SqlitePool,
    master: &MasterKey,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<DataKey> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'data_key'")
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(sealed) = sealed {
        return master.open_data_key(&sealed);
    }
    let (mut data_key, mut nonce) = (DataKey([0; 32]), [0; 24]);
    rng.fill_bytes(&mut data_key.0);
    rng.fill_bytes(&mut nonce);
    sqlx::query("INSERT INTO meta (key, value) VALUES ('data_key', ?)")
        .bind(master.seal_data_key(&data_key, &nonce)?)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(data_key)
}
