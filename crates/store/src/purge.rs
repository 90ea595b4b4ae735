//! Taking out what can no longer be seen, in small steps that nobody waits for.
//!
//! Dead are: records of aborted imports and deleted lists, records that a committed import removed, and the tags
//! and charges of destroyed scopes. Nothing dead comes to life again, so steps need no coordination.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::import::INDEX_BATCH;
use crate::record_rows::IndexEntry;
use crate::sql::{insert_many, json_ids};
use crate::types::{BlindIndex, Columns};
use crate::{Result, Store};

/// Dead records gathered at once: with six identifiers each their index entries take 20 MB.
const RUN: u32 = 100_000;
/// Records deleted in one transaction.
const RECORD_BATCH: usize = 500;
/// Tags, charges, marks deleted in one transaction.
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
        sqlx::raw_sql(
            "CREATE TEMP TABLE IF NOT EXISTS dead (kind INTEGER, blind_index BLOB, record_id INTEGER)",
        )
        .execute(&mut *tx)
        .await?;
        let columns = "INSERT INTO temp.dead (kind, blind_index, record_id)";
        insert_many(&mut tx, columns, 3, "", entries, |query, entry| {
            query
                .bind(entry.kind)
                .bind(entry.blind_index.0.as_slice())
                .bind(entry.record)
        })
        .await?;
        sqlx::query(
            "DELETE FROM identifier_index
             WHERE (kind, blind_index, record_id) IN (SELECT kind, blind_index, record_id FROM temp.dead)",
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM kept_tag
             WHERE scope_id IN (SELECT id FROM scope WHERE role = 'requester' AND status <> 'destroyed')
               AND blind_index IN (
                   SELECT d.blind_index FROM temp.dead d WHERE NOT EXISTS (
                       SELECT 1 FROM identifier_index x WHERE x.kind = d.kind AND x.blind_index = d.blind_index))",
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM temp.dead").execute(&mut *tx).await?;
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
        let mut tx = self.begin("purge.leftovers").await?;
        for statement in [
            // Marks that aborted imports left on records which stay.
            "UPDATE record SET removed_by = NULL WHERE id IN (
                 SELECT r.id FROM record r CROSS JOIN import i ON i.id = r.removed_by
                 WHERE r.removed_by IS NOT NULL AND i.state = 'aborted' LIMIT ?)",
            "DELETE FROM own_tag WHERE (scope_id, blind_index) IN (
                 SELECT t.scope_id, t.blind_index FROM scope s CROSS JOIN own_tag t ON t.scope_id = s.id
                 WHERE s.status = 'destroyed' LIMIT ?)",
            "DELETE FROM kept_tag WHERE (scope_id, blind_index) IN (
                 SELECT t.scope_id, t.blind_index FROM scope s CROSS JOIN kept_tag t ON t.scope_id = s.id
                 WHERE s.status = 'destroyed' LIMIT ?)",
            "DELETE FROM charge WHERE (scope_id, request_id, chunk_index) IN (
                 SELECT c.scope_id, c.request_id, c.chunk_index FROM scope s CROSS JOIN charge c ON c.scope_id = s.id
                 WHERE s.status = 'destroyed' LIMIT ?)",
            // Deleted lists, once their records are gone.
            "DELETE FROM import_reject WHERE (import_id, seq) IN (
                 SELECT j.import_id, j.seq FROM list l CROSS JOIN import i ON i.list_id = l.id
                 CROSS JOIN import_reject j ON j.import_id = i.id WHERE l.deleted_ms IS NOT NULL LIMIT ?)",
            "DELETE FROM import WHERE id IN (
                 SELECT i.id FROM list l CROSS JOIN import i ON i.list_id = l.id WHERE l.deleted_ms IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM record r WHERE r.list_id = l.id) LIMIT ?)",
            "DELETE FROM list WHERE id IN (
                 SELECT l.id FROM list l WHERE l.deleted_ms IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM record r WHERE r.list_id = l.id) LIMIT ?)",
        ] {
            let done = sqlx::query(statement).bind(ROW_BATCH).execute(&mut *tx).await?;
            if done.rows_affected() > 0 {
                tx.commit().await?;
                return Ok(Purged::Step);
            }
        }
        Ok(Purged::Nothing)
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
