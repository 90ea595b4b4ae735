//! The ledger's rows: entries in the order of their numbers, added in the transaction of the change they record.
//!
//! ```text
//! store.recording(entry).put_agreement(…)     the change and its entry in one transaction, or neither
//! store.append_entries(entries)               what happened without a change of ours
//! ```
//! What an entry says is sealed by the caller under a key of its own. That key is sealed here under the data key, and
//! destroyed with the payload when its day has come ([`Store::erase_entries`]).

use std::fmt;
use std::sync::PoisonError;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use zeroize::Zeroizing;

use crate::seal::{Cell, Nonce, Sealer};
use crate::sql::{insert_many, json_ids};
use crate::types::{Columns, to_sql};
use crate::{Result, Store, StoreError};

/// An entry that has no number yet.
#[derive(Clone)]
pub struct NewEntry {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Its type.
    pub kind: &'static str,
    /// The exchange that it belongs to.
    pub exchange: Option<[u8; 16]>,
    /// The first day (days since 1970, UTC) on which its payload must be gone.
    pub erase_day: Option<i32>,
    /// The public part, without its number.
    pub leaf: Vec<u8>,
    /// The payload, sealed under `key`.
    pub payload: Vec<u8>,
    /// The entry's own key. Sealed at rest.
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEntry")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An entry, as kept.
#[derive(Clone)]
pub struct LedgerEntry {
    /// Its number in the log.
    pub number: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Its type.
    pub kind: String,
    /// The exchange that it belongs to.
    pub exchange: Option<[u8; 16]>,
    /// The public part, without its number.
    pub leaf: Vec<u8>,
    /// The sealed payload and the key that opens it; `None` once erased.
    pub sealed: Option<(Vec<u8>, Zeroizing<[u8; 32]>)>,
}

impl fmt::Debug for LedgerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerEntry")
            .field("number", &self.number)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Which entries, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Not before this one.
    pub from: u64,
    /// Not at or after this one.
    pub until: Option<u64>,
    /// Not before this time, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Before this time, Unix milliseconds.
    pub before_ms: Option<i64>,
    /// Of this type.
    pub kind: Option<String>,
    /// Of this exchange.
    pub exchange: Option<[u8; 16]>,
}

/// Checkpoints kept about a partner, as signed notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// Of the partner's log: the newest that we cosigned.
    pub theirs: Option<String>,
    /// Of our log: the newest that the partner cosigned.
    pub ours: Option<String>,
}

impl Store {
    /// This store, whose next transaction also adds `entry`: they take effect together or not at all. A method that
    /// finds nothing to change adds nothing.
    #[must_use]
    pub fn recording(&self, entry: NewEntry) -> Self {
        self.recording_all(vec![entry])
    }

    /// The same with several entries.
    #[must_use]
    pub fn recording_all(&self, entries: Vec<NewEntry>) -> Self {
        Self {
            recorded: std::sync::Arc::new(std::sync::Mutex::new(entries)),
            ..self.clone()
        }
    }

    /// Adds entries about what changed nothing else. Returns when they are on disk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn append_entries(&self, entries: Vec<NewEntry>) -> Result<()> {
        self.recording_all(entries)
            .begin("ledger_entry.append")
            .await?
            .commit()
            .await
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_size(&self) -> Result<u64> {
        let mut view = self.inner.reader.acquire().await?;
        next_entry(&mut view).await
    }

    /// Tells when entries were added: holds the number of entries added since the store was opened.
    pub fn ledger_appended(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.appended.subscribe()
    }

    /// Entries that pass `filter`, at most `limit`, in the order of their numbers.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if a key was damaged.
    pub async fn ledger_entries(&self, filter: &EntryFilter, limit: u32) -> Result<Vec<LedgerEntry>> {
        let rows = sqlx::query(
            "SELECT * FROM ledger_entry
             WHERE number >= ?1 AND (?2 IS NULL OR number < ?2) AND (?3 IS NULL OR at_ms >= ?3)
                 AND (?4 IS NULL OR at_ms < ?4) AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR exchange = ?6)
             ORDER BY number LIMIT ?7",
        )
        .bind(to_sql(filter.from))
        .bind(filter.until.map(to_sql))
        .bind(filter.since_ms)
        .bind(filter.before_ms)
        .bind(filter.kind.as_deref())
        .bind(filter.exchange.map(|id| id.to_vec()))
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter().map(|row| entry_of(&self.inner.sealer, row)).collect()
    }

    /// The public parts of entries from number `from` on, at most `limit`: what the log's files are written from.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_leaves(&self, from: u64, limit: u32) -> Result<Vec<Vec<u8>>> {
        let leaves =
            sqlx::query_scalar("SELECT leaf FROM ledger_entry WHERE number >= ? ORDER BY number LIMIT ?")
                .bind(to_sql(from))
                .bind(limit)
                .fetch_all(&self.inner.reader)
                .await?;
        Ok(leaves)
    }

    /// The numbers of entries whose payload must be gone on `day` (days since 1970, UTC), in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn entries_due(&self, day: i32, limit: u32) -> Result<Vec<u64>> {
        let rows = sqlx::query(
            "SELECT number FROM ledger_entry WHERE erase_day <= ? AND payload IS NOT NULL ORDER BY number LIMIT ?",
        )
        .bind(day)
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter().map(|row| row.int("number")).collect()
    }

    /// The numbers of entries from `first` to `last` that have a payload and are not of type `except`, in order, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn entries_with_payload(
        &self,
        first: u64,
        last: u64,
        except: &str,
        limit: u32,
    ) -> Result<Vec<u64>> {
        let rows = sqlx::query(
            "SELECT number FROM ledger_entry WHERE number BETWEEN ? AND ? AND payload IS NOT NULL AND kind <> ?
             ORDER BY number LIMIT ?",
        )
        .bind(to_sql(first))
        .bind(to_sql(last))
        .bind(except)
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter().map(|row| row.int("number")).collect()
    }

    /// Destroys payloads and keys of entries; together with the entry that says so, this store being
    /// [`recording`](Self::recording) it. The bytes are overwritten in the database file, and gone from its log after
    /// [`Store::checkpoint`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] unless all of them have a payload; then nothing is erased.
    pub async fn erase_entries(&self, numbers: &[u64]) -> Result<()> {
        let mut tx = self.begin("ledger_entry.erase").await?;
        let erased = sqlx::query(
            "UPDATE ledger_entry SET payload = NULL, key_sealed = NULL
             WHERE number IN (SELECT value FROM json_each(?)) AND payload IS NOT NULL",
        )
        .bind(json_ids(numbers.iter().map(|number| to_sql(*number))))
        .execute(&mut *tx)
        .await?;
        if erased.rows_affected() != numbers.len() as u64 {
            return Err(StoreError::NotFound {
                what: "payload of an entry",
            });
        }
        tx.commit().await
    }

    /// How many entries of one type an exchange has.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn entries_of(&self, exchange: &[u8; 16], kind: &str) -> Result<u32> {
        let mut view = self.inner.reader.acquire().await?;
        entries_of(&mut view, exchange, kind).await
    }

    /// The checkpoints kept about a partner.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn witness(&self, partner: &str) -> Result<Witness> {
        let row = sqlx::query("SELECT theirs, ours FROM ledger_witness WHERE partner = ?")
            .bind(partner)
            .fetch_optional(&self.inner.reader)
            .await?;
        row.map_or(Ok(Witness::default()), |row| {
            Ok(Witness {
                theirs: row.try_get("theirs")?,
                ours: row.try_get("ours")?,
            })
        })
    }

    /// Keeps the newest checkpoint of a partner's log that we cosign, if the one kept is still `before`. Returns
    /// whether it was: if not, another was kept meanwhile, and this one must be judged again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_theirs(&self, partner: &str, before: Option<&str>, now: &str) -> Result<bool> {
        let mut tx = self.begin("ledger_witness.theirs").await?;
        let kept = sqlx::query(
            "INSERT INTO ledger_witness (partner, theirs) SELECT ?1, ?3
             WHERE (SELECT theirs FROM ledger_witness WHERE partner = ?1) IS ?2
             ON CONFLICT (partner) DO UPDATE SET theirs = excluded.theirs",
        )
        .bind(partner)
        .bind(before)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Keeps the newest checkpoint of our log that a partner cosigned.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_ours(&self, partner: &str, checkpoint: &str) -> Result<()> {
        let mut tx = self.begin("ledger_witness.ours").await?;
        sqlx::query(
            "INSERT INTO ledger_witness (partner, ours) VALUES (?, ?)
             ON CONFLICT (partner) DO UPDATE SET ours = excluded.ours",
        )
        .bind(partner)
        .bind(checkpoint)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// A secret of 32 bytes by name, drawn when it is first asked for. Sealed at rest.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it was damaged.
    pub async fn secret(&self, name: &'static str) -> Result<Zeroizing<[u8; 32]>> {
        let key = [name.as_bytes()];
        let cell = Cell {
            table: "meta",
            column: "value",
            key: &key,
        };
        let mut tx = self.begin("meta.secret").await?;
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(sealed) = sealed {
            let secret = self.inner.sealer.open(&cell, &sealed)?;
            return key_of(&secret);
        }
        let mut secret = Zeroizing::new([0; 32]);
        self.fill_random(secret.as_mut());
        let [nonce] = self.nonces();
        sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?)")
            .bind(name)
            .bind(self.inner.sealer.seal(&cell, &nonce, secret.as_ref())?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// Takes what is to be recorded with the next transaction.
    pub(crate) fn take_recorded(&self) -> Vec<(NewEntry, Nonce)> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *recorded)
            .into_iter()
            .map(|entry| {
                let [nonce] = self.nonces();
                (entry, nonce)
            })
            .collect()
    }
}

pub(crate) async fn entries_of(conn: &mut SqliteConnection, exchange: &[u8; 16], kind: &str) -> Result<u32> {
    let row = sqlx::query("SELECT count(*) AS entries FROM ledger_entry WHERE exchange = ? AND kind = ?")
        .bind(exchange.as_slice())
        .bind(kind)
        .fetch_one(conn)
        .await?;
    row.int("entries")
}

/// The number of the next entry, which is how many there are.
pub(crate) async fn next_entry(conn: &mut SqliteConnection) -> Result<u64> {
    let row = sqlx::query("SELECT coalesce(max(number) + 1, 0) AS size FROM ledger_entry")
        .fetch_one(conn)
        .await?;
    row.int("size")
}

/// Adds entries with the numbers from `start` on, the last thing in a transaction.
pub(crate) async fn insert_entries(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    start: u64,
    entries: Vec<(NewEntry, Nonce)>,
) -> Result<()> {
    let sealed = (start..).zip(entries).map(|(number, (entry, nonce))| {
        let key = seal_key(sealer, number, &entry, &nonce)?;
        Ok((number, entry, key))
    });
    let sealed: Vec<_> = sealed.collect::<Result<_>>()?;
    insert_many(
        conn,
        "INSERT INTO ledger_entry (number, at_ms, kind, exchange, erase_day, leaf, payload, key_sealed)",
        8,
        "",
        &sealed,
        |query, (number, entry, key)| {
            query
                .bind(to_sql(*number))
                .bind(entry.at_ms)
                .bind(entry.kind)
                .bind(entry.exchange.map(|id| id.to_vec()))
                .bind(entry.erase_day)
                .bind(entry.leaf.clone())
                .bind(entry.payload.clone())
                .bind(key.clone())
        },
    )
    .await?;
    Ok(())
}

/// An entry's key, sealed in its place.
pub(crate) fn seal_key(sealer: &Sealer, number: u64, entry: &NewEntry, nonce: &Nonce) -> Result<Vec<u8>> {
    with_cell(number, |cell| sealer.seal(cell, nonce, entry.key.as_ref()))
}

fn with_cell<T>(number: u64, work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "ledger_entry",
        column: "key_sealed",
        key: &[&number.to_be_bytes()],
    })
}

fn key_of(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    let key = bytes.try_into().map(Zeroizing::new);
    key.map_err(|_| StoreError::Corrupt { what: "key" })
}

fn entry_of(sealer: &Sealer, row: &SqliteRow) -> Result<LedgerEntry> {
    let number: u64 = row.int("number")?;
    let (payload, key): (Option<Vec<u8>>, Option<&[u8]>) =
        (row.try_get("payload")?, row.try_get("key_sealed")?);
    let sealed = match (payload, key) {
        (Some(payload), Some(key)) => {
            let key = with_cell(number, |cell| sealer.open(cell, key))?;
            Some((payload, key_of(&key)?))
        }
        _ => None,
    };
    Ok(LedgerEntry {
        number,
        at_ms: row.try_get("at_ms")?,
        kind: row.try_get("kind")?,
        exchange: row.bytes_opt("exchange")?,
        leaf: row.try_get("leaf")?,
        sealed,
    })
}
