//! Lists: creating, deleting, telling what is in them.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::import::{ImportCounts, ImportMode};
use crate::types::{Columns, ImportId, ListId, words};
use crate::{Result, Store, StoreError};

/// A list of the agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// Unique among lists that are not deleted.
    pub name: String,
    /// When it was created, Unix milliseconds.
    pub created_ms: i64,
    /// Whether it ever held a record. A list that never did says nothing about anybody.
    pub filled: bool,
}

/// What is visible in a list now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListStats {
    /// Records.
    pub records: u64,
    /// Identifiers by kind. One that two records share counts twice.
    pub identifiers: BTreeMap<u8, u64>,
    /// The newest import that was committed.
    pub last_import: Option<ImportInfo>,
}

words! {
    /// What became of an import.
    ImportState {
        /// Running: nothing of it is visible.
        Staging = "staging",
        /// Visible, all of it.
        Committed = "committed",
        /// Never visible; what it staged is purged in the background.
        Aborted = "aborted",
    }
}

/// An import, past or running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportInfo {
    /// Its id.
    pub id: ImportId,
    /// Whether records that it does not name are removed.
    pub mode: ImportMode,
    /// The format its bytes had.
    pub format: String,
    /// What became of it.
    pub state: ImportState,
    /// When it began, Unix milliseconds.
    pub started_ms: i64,
    /// When it was committed or aborted, Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// What it changed; all zero until it is committed.
    pub counts: ImportCounts,
}

impl Store {
    /// Creates an empty list.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if a list has the name.
    pub async fn create_list(&self, name: &str, now_ms: i64) -> Result<ListId> {
        let mut tx = self.begin("list.create").await?;
        let list: i64 = sqlx::query_scalar("INSERT INTO list (name, created_ms) VALUES (?, ?) RETURNING id")
            .bind(name)
            .bind(now_ms)
            .fetch_one(&mut *tx)
            .await
            .map_err(StoreError::on_insert("list", "list"))?;
        sqlx::query(
            "INSERT INTO import (list_id, mode, format, state, started_ms, finished_ms)
             VALUES (?1, 'direct', '', 'committed', ?2, ?2)",
        )
        .bind(list)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(ListId(list))
    }

    /// The list of this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(&self, name: &str) -> Result<Option<List>> {
        let row = sqlx::query("SELECT id, name, created_ms, revision > 0 AS filled FROM list WHERE name = ? AND deleted_ms IS NULL")
            .bind(name)
            .fetch_optional(&self.inner.reader)
            .await?;
        row.as_ref().map(list_of).transpose()
    }

    /// All lists by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lists(&self) -> Result<Vec<List>> {
        let rows =
            sqlx::query("SELECT id, name, created_ms, revision > 0 AS filled FROM list WHERE deleted_ms IS NULL ORDER BY name")
                .fetch_all(&self.inner.reader)
                .await?;
        rows.iter().map(list_of).collect()
    }

    /// Deletes a list. Its records are invisible at once, whatever their number: their imports turn from committed
    /// to aborted. Their rows go in the background ([`Store::purge_step`]).
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::ImportRunning`].
    pub async fn delete_list(&self, list: ListId, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("list.delete").await?;
        self.settle_list(&mut tx, list).await?;
        let deleted =
            sqlx::query("UPDATE list SET deleted_ms = ?, records = 0 WHERE id = ? AND deleted_ms IS NULL")
                .bind(now_ms)
                .bind(list.0)
                .execute(&mut *tx)
                .await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "list" });
        }
        sqlx::query("UPDATE import SET state = 'aborted' WHERE list_id = ? AND state = 'committed'")
            .bind(list.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM list_kind WHERE list_id = ?")
            .bind(list.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// What is visible in a list. Reads counters: the cost does not grow with the list.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn list_stats(&self, list: ListId) -> Result<ListStats> {
        let mut view = self.inner.reader.begin().await?;
        let records: Option<i64> =
            sqlx::query_scalar("SELECT records FROM list WHERE id = ? AND deleted_ms IS NULL")
                .bind(list.0)
                .fetch_optional(&mut *view)
                .await?;
        let Some(records) = records else {
            return Err(StoreError::NotFound { what: "list" });
        };
        let kinds =
            sqlx::query("SELECT kind, identifiers FROM list_kind WHERE list_id = ? AND identifiers > 0")
                .bind(list.0)
                .fetch_all(&mut *view)
                .await?;
        let last = sqlx::query(
            "SELECT * FROM import WHERE list_id = ? AND state = 'committed' AND mode <> 'direct'
             ORDER BY finished_ms DESC, id DESC LIMIT 1",
        )
        .bind(list.0)
        .fetch_optional(&mut *view)
        .await?;
        let counts = kinds
            .iter()
            .map(|row| Ok((row.int("kind")?, row.int("identifiers")?)));
        Ok(ListStats {
            records: u64::try_from(records).map_err(|_| StoreError::Corrupt { what: "list.records" })?,
            identifiers: counts.collect::<Result<_>>()?,
            last_import: last.as_ref().map(import_of).transpose()?,
        })
    }

    /// The newest imports of a list, running, committed and aborted, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn imports(&self, list: ListId, limit: u32) -> Result<Vec<ImportInfo>> {
        let rows = sqlx::query(
            "SELECT * FROM import WHERE list_id = ? AND mode <> 'direct' ORDER BY id DESC LIMIT ?",
        )
        .bind(list.0)
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter().map(import_of).collect()
    }

    /// Makes sure that no import of `list` is running. One whose handle is gone is aborted.
    pub(crate) async fn settle_list(&self, conn: &mut SqliteConnection, list: ListId) -> Result<()> {
        if self.inner.importing.is_claimed(list) {
            return Err(StoreError::ImportRunning { list });
        }
        sqlx::query("UPDATE import SET state = 'aborted' WHERE list_id = ? AND state = 'staging'")
            .bind(list.0)
            .execute(conn)
            .await?;
        Ok(())
    }
}

/// Adds to the counters of a list, in the transaction that makes the records visible; `changes` of it, so that a list
/// of which nothing changed keeps its revision.
pub(crate) async fn apply_counts(
    conn: &mut SqliteConnection,
    list: ListId,
    changes: u64,
    records: i64,
    kinds: &BTreeMap<u8, i64>,
) -> Result<()> {
    let found = sqlx::query(
        "UPDATE list SET records = records + ?, revision = revision + ? WHERE id = ? AND deleted_ms IS NULL",
    )
    .bind(records)
    .bind(changes > 0)
    .bind(list.0)
    .execute(&mut *conn)
    .await?;
    if found.rows_affected() == 0 {
        return Err(StoreError::NotFound { what: "list" });
    }
    for (kind, change) in kinds {
        sqlx::query("INSERT OR IGNORE INTO list_kind (list_id, kind, identifiers) VALUES (?, ?, 0)")
            .bind(list.0)
            .bind(kind)
            .execute(&mut *conn)
            .await?;
        sqlx::query("UPDATE list_kind SET identifiers = identifiers + ? WHERE list_id = ? AND kind = ?")
            .bind(change)
            .bind(list.0)
            .bind(kind)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn list_of(row: &SqliteRow) -> Result<List> {
    Ok(List {
        id: ListId(row.try_get("id")?),
        name: row.try_get("name")?,
        created_ms: row.try_get("created_ms")?,
        filled: row.flag("filled")?,
    })
}

fn import_of(row: &SqliteRow) -> Result<ImportInfo> {
    Ok(ImportInfo {
        id: ImportId(row.try_get("id")?),
        mode: ImportMode::from_column(row, "mode")?,
        format: row.try_get("format")?,
        state: ImportState::from_column(row, "state")?,
        started_ms: row.try_get("started_ms")?,
        finished_ms: row.try_get("finished_ms")?,
        counts: ImportCounts {
            added: row.int("added")?,
            changed: row.int("changed")?,
            removed: row.int("removed")?,
            unchanged: row.int("unchanged")?,
            rejected: row.int("rejected")?,
        },
    })
}
