//! Taking out what can no longer be seen, in small steps that nobody waits for.
//!
//! Dead are: records of aborted imports and deleted lists, records that a committed import removed, and the tags
//! and charges of destroyed scopes. Nothing dead comes to life again, so steps need no coordination.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::import::INDEX_BATCH;
use crate::record_rows::IndexEntry;
use crate::sql::{json_blind_indexes, json_ids};
use crate::types::{BlindIndex, Columns};
use crate::{Result, Store};

/// Dead records gathered at once: with six identifiers each their index entries take 20 MB.
const RUN: u32 = 100_000;
/// Records deleted in one transaction.
const RECORD_BATCH: usize = 500;
/// Tags or charges deleted in one transaction.
const ROW_BATCH: u32 = 4_096;

/// What [`Store::purge_step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// One small transaction; call again.
    Step,
    /// There is nothing to purge.
    Nothing,
}

/// Dead records being deleted. Lost with the process and gathered again after.
#[derive(Default)]
pub(crate) struct PurgeRun {
    /// Sorted descending: taken from the end, in the order of the table.
    entries: Vec<IndexEntry>,
    records: Vec<i64>,
}

impl Store {
    /// Does one small step of purging. Call it again, with pauses, until it returns [`Purged::Nothing`]; then now
    /// and then, and after imports.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn purge_step(&self) -> Result<Purged> {
        let mut run = self.inner.purge.lock().await;
        if run.entries.is_empty() && run.records.is_empty() {
            *run = self.gather().await?;
        }
        if !run.entries.is_empty() {
            let from = run.entries.len().saturating_sub(INDEX_BATCH);
            self.purge_index(&run.entries[from..]).await?;
            run.entries.truncate(from);
        } else if !run.records.is_empty() {
            let from = run.records.len().saturating_sub(RECORD_BATCH);
            self.purge_records(&run.records[from..]).await?;
            run.records.truncate(from);
        } else {
            return self.purge_leftovers().await;
        }
        Ok(Purged::Step)
    }

    async fn gather(&self) -> Result<PurgeRun> {
        self.abort_abandoned_imports().await?;
        let mut view = self.inner.reader.begin().await?;
        let records: Vec<i64> = sqlx::query_scalar(
            "SELECT r.id FROM import i CROSS JOIN record r ON r.added_by = i.id WHERE i.state = 'aborted'
             UNION
             SELECT r.id FROM record r CROSS JOIN import i ON i.id = r.removed_by
             WHERE r.removed_by IS NOT NULL AND i.state = 'committed'
             LIMIT ?",
        )
        .bind(RUN)
        .fetch_all(&mut *view)
        .await?;
        let mut entries = Vec::new();
        for batch in records.chunks(RECORD_BATCH) {
            let rows = sqlx::query(
                "SELECT i.kind, i.blind_index, i.record_id, i.variant
                 FROM json_each(?) j CROSS JOIN identifier i ON i.record_id = j.value",
            )
            .bind(json_ids(batch.iter().copied()))
            .fetch_all(&mut *view)
            .await?;
            for row in &rows {
                entries.push(entry_of(row)?);
            }
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        Ok(PurgeRun { entries, records })
    }

    /// Deletes index entries, and the kept tags of identifiers that no record has any more.
    async fn purge_index(&self, entries: &[IndexEntry]) -> Result<()> {
        let mut tx = self.begin("purge.index").await?;
        for entries in entries.chunk_by(|a, b| a.kind == b.kind) {
            let kind = entries.first().map(|entry| entry.kind);
            let indexes = json_blind_indexes(entries.iter().map(|entry| &entry.blind_index));
            // Any entry of a dead record may go, so the pairs need not be told apart. A row value `(a, b) IN (…)`
            // would use the first column of the key only, and without the plus sign SQLite would try every
            // combination of the two sets.
            sqlx::query(
                "DELETE FROM identifier_index
                 WHERE kind = ?1 AND blind_index IN (SELECT unhex(value) FROM json_each(?2))
                   AND +record_id IN (SELECT value FROM json_each(?3))",
            )
            .bind(kind)
            .bind(indexes.as_str())
            .bind(json_ids(entries.iter().map(|entry| entry.record)))
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "DELETE FROM kept_tag
                 WHERE scope_id IN (SELECT id FROM scope WHERE role = 'requester' AND status <> 'destroyed')
                   AND blind_index IN (SELECT unhex(value) FROM json_each(?2))
                   AND NOT EXISTS (SELECT 1 FROM identifier_index x
                                   WHERE x.kind = ?1 AND x.blind_index = kept_tag.blind_index)",
            )
            .bind(kind)
            .bind(indexes.as_str())
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    async fn purge_records(&self, records: &[i64]) -> Result<()> {
        let ids = json_ids(records.iter().copied());
        let mut tx = self.begin("purge.record").await?;
        for statement in [
            "DELETE FROM identifier WHERE record_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM record_payload WHERE record_id IN (SELECT value FROM json_each(?))",
            "DELETE FROM record WHERE id IN (SELECT value FROM json_each(?))",
        ] {
            sqlx::query(statement)
                .bind(ids.as_str())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    /// What is dead beside records; runs when no dead record is left.
    async fn purge_leftovers(&self) -> Result<Purged> {
        let scope: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM scope s WHERE status = 'destroyed'
             AND (EXISTS (SELECT 1 FROM own_tag WHERE scope_id = s.id)
               OR EXISTS (SELECT 1 FROM kept_tag WHERE scope_id = s.id)
               OR EXISTS (SELECT 1 FROM charge WHERE scope_id = s.id)
               OR EXISTS (SELECT 1 FROM usage_request WHERE scope_id = s.id)) LIMIT 1",
        )
        .fetch_optional(&self.inner.reader)
        .await?;
        let mut tx = self.begin("purge.leftovers").await?;
        let mut gone = 0;
        if let Some(scope) = scope {
            // From the lower end of the key up to the n-th row, or to its upper end.
            for statement in [
                "DELETE FROM own_tag WHERE scope_id = ?1 AND blind_index <= coalesce(
                     (SELECT blind_index FROM own_tag WHERE scope_id = ?1 ORDER BY blind_index LIMIT 1 OFFSET ?2),
                     x'ffffffffffffffffffffffffffffffff')",
                "DELETE FROM kept_tag WHERE scope_id = ?1 AND blind_index <= coalesce(
                     (SELECT blind_index FROM kept_tag WHERE scope_id = ?1 ORDER BY blind_index LIMIT 1 OFFSET ?2),
                     x'ffffffffffffffffffffffffffffffff')",
                "DELETE FROM charge WHERE scope_id = ?1 AND request_id <= coalesce(
                     (SELECT request_id FROM charge WHERE scope_id = ?1 ORDER BY request_id LIMIT 1 OFFSET ?2),
                     x'ffffffffffffffffffffffffffffffff')",
                "DELETE FROM usage_request WHERE scope_id = ?1 AND request_id <= coalesce(
                     (SELECT request_id FROM usage_request WHERE scope_id = ?1 ORDER BY request_id LIMIT 1 OFFSET ?2),
                     x'ffffffffffffffffffffffffffffffff')",
            ] {
                let done = sqlx::query(statement).bind(scope).bind(ROW_BATCH).execute(&mut *tx).await?;
                gone += done.rows_affected();
            }
        }
        for statement in [
            // Marks that aborted imports left on records which stay.
            "UPDATE record SET removed_by = NULL WHERE id IN (
                 SELECT r.id FROM record r CROSS JOIN import i ON i.id = r.removed_by
                 WHERE r.removed_by IS NOT NULL AND i.state = 'aborted' LIMIT 4096)",
            // Deleted lists, once their records are gone.
            "DELETE FROM import_reject WHERE import_id IN (
                 SELECT i.id FROM list l CROSS JOIN import i ON i.list_id = l.id
                 WHERE l.deleted_ms IS NOT NULL AND EXISTS (SELECT 1 FROM import_reject WHERE import_id = i.id)
                 LIMIT 1)",
            "DELETE FROM import WHERE id IN (
                 SELECT i.id FROM list l CROSS JOIN import i ON i.list_id = l.id WHERE l.deleted_ms IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM import_reject WHERE import_id = i.id)
                 AND NOT EXISTS (SELECT 1 FROM record r WHERE r.list_id = l.id) LIMIT 4096)",
            "DELETE FROM list WHERE id IN (
                 SELECT l.id FROM list l WHERE l.deleted_ms IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM import WHERE list_id = l.id)
                 AND NOT EXISTS (SELECT 1 FROM record r WHERE r.list_id = l.id) LIMIT 4096)",
        ] {
            let done = sqlx::query(statement).execute(&mut *tx).await?;
            gone += done.rows_affected();
        }
        tx.commit().await?;
        Ok(if gone == 0 { Purged::Nothing } else { Purged::Step })
    }
}

fn entry_of(row: &SqliteRow) -> Result<IndexEntry> {
    Ok(IndexEntry {
        kind: row.int("kind")?,
        blind_index: BlindIndex(row.bytes("blind_index")?),
        record: row.try_get("record_id")?,
        variant: row.flag("variant")?,
    })
}
