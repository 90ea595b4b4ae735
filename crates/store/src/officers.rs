//! The agency's officers: the changes that make up their registry, and the signature counters of their keys.

use std::fmt;

use sqlx::{Row, SqliteConnection};
use zeroize::Zeroizing;

use crate::cases::text_of;
use crate::packed::{pack, unpack};
use crate::seal::Cell;
use crate::types::{Columns, to_sql};
use crate::{Result, Store, StoreError};

/// A change of officers or of their keys, and who signed it. It names people: sealed at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryChange {
    /// 1, 2, 3 …
    pub sequence: u64,
    /// The change.
    pub document: Zeroizing<String>,
    /// When it was applied here, Unix milliseconds.
    pub applied_ms: i64,
    /// The approvals by administrators.
    pub approvals: Vec<Zeroizing<String>>,
}

impl fmt::Debug for RegistryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryChange")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// All changes of the registry, in order: what it is rebuilt from.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged, or is not in its place.
    pub async fn registry_changes(&self) -> Result<Vec<RegistryChange>> {
        let rows = sqlx::query("SELECT * FROM registry_change ORDER BY sequence")
            .fetch_all(&self.inner.reader)
            .await?;
        let change = |row: &sqlx::sqlite::SqliteRow| {
            let sequence: u64 = row.int("sequence")?;
            let open = |column| {
                let sealed = row.try_get(column)?;
                with_cell(column, sequence, |cell| self.inner.sealer.open(cell, sealed))
            };
            let packed = open(APPROVALS)?;
            let damaged = || StoreError::Corrupt { what: APPROVALS };
            let parts = unpack(&packed).ok_or_else(damaged)?;
            let (applied, approvals) = parts.split_first().ok_or_else(damaged)?;
            let applied = (*applied).try_into().map_err(|_| damaged())?;
            Ok(RegistryChange {
                sequence,
                document: text_of(&open(DOCUMENT)?, DOCUMENT)?,
                applied_ms: i64::from_be_bytes(applied),
                approvals: approvals
                    .iter()
                    .map(|approval| text_of(approval, APPROVALS))
                    .collect::<Result<_>>()?,
            })
        };
        rows.iter().map(change).collect()
    }

    /// Adds the next change of the registry, for good.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if there is a change of this number, [`StoreError::NotFound`] if the one before it is
    /// not there.
    pub async fn add_registry_change(&self, change: &RegistryChange) -> Result<()> {
        let sequence = change.sequence;
        let mut tx = self.begin("registry_change.add").await?;
        let row = sqlx::query("SELECT coalesce(max(sequence), 0) AS last FROM registry_change")
            .fetch_one(&mut *tx)
            .await?;
        let last: u64 = row.int("last")?;
        if sequence <= last {
            return Err(StoreError::AlreadyExists {
                what: "change of the registry",
            });
        }
        if sequence - 1 != last {
            return Err(StoreError::NotFound {
                what: "change of the registry before this one",
            });
        }
        let applied = change.applied_ms.to_be_bytes();
        let approvals = change.approvals.iter().map(|text| text.as_bytes());
        let approvals: Vec<&[u8]> = std::iter::once(applied.as_slice()).chain(approvals).collect();
        let seal = |column, plain: &[u8]| {
            let [nonce] = self.nonces();
            with_cell(column, sequence, |cell| {
                self.inner.sealer.seal(cell, &nonce, plain)
            })
        };
        sqlx::query(
            "INSERT INTO registry_change (sequence, document_sealed, approvals_sealed) VALUES (?, ?, ?)",
        )
        .bind(to_sql(sequence))
        .bind(seal(DOCUMENT, change.document.as_bytes())?)
        .bind(seal(APPROVALS, &pack(&approvals))?)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The last signature counter of an officer's key; 0 if it was never used, or counts nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn key_counter(&self, key: &[u8; 32]) -> Result<u32> {
        let mut view = self.inner.reader.acquire().await?;
        counter_of(&mut view, key).await
    }

    /// Keeps the signature counter of an assertion, as at a sign-in. One of 0 from a key that has always shown 0 counts
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::CounterWentBack`] unless it is higher than the last; then nothing was changed.
    pub async fn raise_key_counter(&self, key: &[u8; 32], counter: u32) -> Result<()> {
        let mut tx = self.begin("key_counter.raise").await?;
        raise_counter(&mut tx, key, counter).await?;
        tx.commit().await
    }
}

/// As WebAuthn, section 6.1.1, has it.
pub(crate) async fn raise_counter(conn: &mut SqliteConnection, key: &[u8; 32], counter: u32) -> Result<()> {
    let last = counter_of(conn, key).await?;
    if counter == 0 && last == 0 {
        return Ok(());
    }
    if counter <= last {
        return Err(StoreError::CounterWentBack);
    }
    sqlx::query(
        "INSERT INTO key_counter (key, counter) VALUES (?, ?)
         ON CONFLICT (key) DO UPDATE SET counter = excluded.counter",
    )
    .bind(key.as_slice())
    .bind(counter)
    .execute(conn)
    .await?;
    Ok(())
}

async fn counter_of(conn: &mut SqliteConnection, key: &[u8; 32]) -> Result<u32> {
    let row = sqlx::query("SELECT counter FROM key_counter WHERE key = ?")
        .bind(key.as_slice())
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| row.int("counter"))
}

const DOCUMENT: &str = "document_sealed";
const APPROVALS: &str = "approvals_sealed";

fn with_cell<T>(column: &'static str, sequence: u64, work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "registry_change",
        column,
        key: &[&sequence.to_be_bytes()],
    })
}
