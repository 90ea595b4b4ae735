//! Imports: a whole list, or changes to it, staged in small transactions and made visible by one row.

use std::collections::HashSet;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::authors::{authors_of, inherit};
use crate::claims::Claim;
use crate::idset::IdSet;
use crate::ledger::NewEntry;
use crate::lists::apply_counts;
use crate::record_rows::{
    IndexEntry, KindCounts, NewRecord, SealedRecord, insert_index, insert_records, mark_removed,
    record_digest, subtract_kinds, versions,
};
use crate::sql::insert_many;
use crate::types::{Columns, ImportId, ListId, to_sql, words};
use crate::{Result, Store, StoreError};

/// Records in one transaction: some milliseconds of work.
const BATCH: usize = 500;
/// Entries of `identifier_index` in one transaction.
pub(crate) const INDEX_BATCH: usize = 4_096;
/// Entries of `identifier_index` held back to be written in order: 32 MiB. Blind indexes are random, so entries
/// written as they come would touch a page each; a sorted run touches each page of the table once.
const INDEX_RUN: usize = 1 << 20;
/// Rejects of one import that are kept; more are only counted.
pub const MAX_REJECTS_KEPT: u64 = 10_000;

words! {
    /// What an import says about records that it does not name.
    ImportMode {
        /// They are removed: the import is the whole list.
        Replace = "replace",
        /// They stay: the import is a set of changes.
        Merge = "merge",
    }
}

/// What an import, or an upsert, changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Records whose source id was not on the list.
    pub added: u64,
    /// Records whose content differed.
    pub changed: u64,
    /// Records that are gone.
    pub removed: u64,
    /// Records that were there with the same content.
    pub unchanged: u64,
    /// Rejects reported with [`Import::reject`].
    pub rejected: u64,
}

/// Something in the source that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Line, or ordinal number where the format has no lines.
    pub line: u64,
    /// The field.
    pub field: String,
    /// The id of the rule that refused it.
    pub rule: String,
    /// Why, for a person. Kept in clear: it must not hold the value.
    pub reason: String,
}

/// A running import. Nothing of it is visible before [`Import::commit`]. Dropping it, or the end of the process,
/// aborts it; its rows are purged in the background.
#[derive(Debug)]
#[must_use = "an import that is dropped is aborted"]
pub struct Import {
    store: Store,
    id: ImportId,
    list: ListId,
    mode: ImportMode,
    counts: ImportCounts,
    kinds: KindCounts,
    /// Records that were visible when it began.
    before: u64,
    /// Visible records that the source still has, or has in a new version.
    seen: IdSet,
    /// Visible records that the source has in a form that could not be used.
    kept: IdSet,
    /// Of these, how many are not in `seen`.
    kept_count: u64,
    /// Entries of `identifier_index` not yet written.
    run: Vec<IndexEntry>,
    /// A batch failed or was dropped half way.
    broken: bool,
    _claim: Claim<ListId>,
}

impl Store {
    /// Begins to import a list. One import of a list at a time.
    ///
    /// # Errors
    /// [`StoreError::ImportRunning`], [`StoreError::NotFound`].
    pub async fn begin_import(
        &self,
        list: ListId,
        mode: ImportMode,
        format: &str,
        now_ms: i64,
    ) -> Result<Import> {
        let mut tx = self.begin("import.begin").await?;
        self.settle_list(&mut tx, list).await?;
        let claim = self.inner.importing.claim(list);
        let claim = claim.ok_or(StoreError::ImportRunning { list })?;
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO import (list_id, mode, format, state, started_ms)
             SELECT id, ?2, ?3, 'staging', ?4 FROM list WHERE id = ?1 AND deleted_ms IS NULL RETURNING id",
        )
        .bind(list.0)
        .bind(mode.as_str())
        .bind(format)
        .bind(now_ms)
        .fetch_optional(&mut *tx)
        .await?;
        let id = ImportId(id.ok_or(StoreError::NotFound { what: "list" })?);
        let before: i64 = sqlx::query_scalar("SELECT records FROM list WHERE id = ?")
            .bind(list.0)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Import {
            store: self.clone(),
            id,
            list,
            mode,
            counts: ImportCounts::default(),
            kinds: KindCounts::new(),
            before: u64::try_from(before).unwrap_or_default(),
            seen: IdSet::default(),
            kept: IdSet::default(),
            kept_count: 0,
            run: Vec::new(),
            broken: false,
            _claim: claim,
        })
    }

    /// The first rejects of an import, at most [`MAX_REJECTS_KEPT`], in the order they came.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn rejects(&self, import: ImportId) -> Result<Vec<Reject>> {
        let rows = sqlx::query(
            "SELECT line, field, rule, reason FROM import_reject WHERE import_id = ? ORDER BY seq",
        )
        .bind(import.0)
        .fetch_all(&self.inner.reader)
        .await?;
        let reject = |row: &SqliteRow| {
            Ok(Reject {
                line: row.int("line")?,
                field: row.try_get("field")?,
                rule: row.try_get("rule")?,
                reason: row.try_get("reason")?,
            })
        };
        rows.iter().map(reject).collect()
    }

    /// Aborts every running import that nobody holds.
    pub(crate) async fn abort_abandoned_imports(&self) -> Result<()> {
        let mut tx = self.begin("import.abort_abandoned").await?;
        let held = crate::sql::json_ids(self.inner.importing.all().into_iter().map(|list| list.0));
        sqlx::query(
            "UPDATE import SET state = 'aborted'
             WHERE state = 'staging' AND list_id NOT IN (SELECT value FROM json_each(?))",
        )
        .bind(held)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

impl Import {
    /// Its id, for [`Store::rejects`].
    pub fn id(&self) -> ImportId {
        self.id
    }

    /// What it would change as far as it has come; what a replacing import removes is known at its end.
    pub fn counts(&self) -> ImportCounts {
        self.counts
    }

    /// Records of the list that were visible when the import began.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Visible records kept by [`Import::keep`] that the import has not named otherwise.
    pub fn kept(&self) -> u64 {
        self.kept_count
    }

    /// Visible records that were neither staged nor kept so far. At the end of a replacing import these are what
    /// [`Import::commit`] removes; a caller that doubts the source looks here first.
    pub fn missing(&self) -> u64 {
        let seen = self.counts.unchanged + self.counts.changed;
        self.before.saturating_sub(seen + self.kept_count)
    }

    /// Keeps what is visible of these records: the source names them, but in a form that could not be used. An id
    /// that is unknown, or that the import also stages, changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep(&mut self, source_ids: &[String]) -> Result<()> {
        for piece in source_ids.chunks(BATCH) {
            let mut conn = self.store.inner.reader.acquire().await?;
            let sources = piece.iter().map(String::as_str);
            let known = versions(&mut conn, self.list, None, sources).await?;
            for version in known.values() {
                if self.kept.insert(version.id) && !self.seen.contains(version.id) {
                    self.kept_count += 1;
                }
            }
        }
        Ok(())
    }

    /// Stages records: any number, in transactions of 500. Records with known content cost a read. Hand over some
    /// thousands at a time, then sealing and writing overlap.
    ///
    /// Returns the positions in `batch` of records whose source id this import has had before; the first one
    /// counts, they are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`]. After an error, or when the future was dropped, the import can only be aborted.
    pub async fn stage(&mut self, batch: Vec<NewRecord>) -> Result<Vec<usize>> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(StoreError::ImportIncomplete { import: self.id });
        }
        let (mut duplicates, mut here) = (Vec::new(), HashSet::new());
        let mut records = batch.into_iter().enumerate().peekable();
        let mut sealing: Option<Staging> = None;
        while records.peek().is_some() {
            let piece: Vec<_> = records.by_ref().take(BATCH).collect();
            let fresh = self.classify(piece, &mut here, &mut duplicates).await?;
            // The batch before is written while this one is sealed.
            let (written, sealed) = tokio::join!(
                write_staged(&self.store, self.list, self.id, sealing.take()),
                self.store.seal_records(self.list, fresh.records),
            );
            self.hold(written?).await?;
            sealing = Some(Staging {
                records: sealed?,
                superseded: fresh.superseded,
            });
        }
        let written = write_staged(&self.store, self.list, self.id, sealing).await?;
        self.hold(written).await?;
        self.broken = false;
        Ok(duplicates)
    }

    /// Reports what could not be used. The first [`MAX_REJECTS_KEPT`] are kept, all are counted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reject(&mut self, rejects: &[Reject]) -> Result<()> {
        let first = self.counts.rejected;
        let room = usize::try_from(MAX_REJECTS_KEPT.saturating_sub(first)).unwrap_or(usize::MAX);
        let rows: Vec<(u64, &Reject)> = (first..).zip(rejects.iter().take(room)).collect();
        if !rows.is_empty() {
            let import = self.id.0;
            let mut tx = self.store.begin("import.reject").await?;
            let columns = "INSERT INTO import_reject (import_id, seq, line, field, rule, reason)";
            insert_many(&mut tx, columns, 6, "", &rows, |query, (seq, reject)| {
                query
                    .bind(import)
                    .bind(to_sql(*seq))
                    .bind(to_sql(reject.line))
                    .bind(reject.field.as_str())
                    .bind(reject.rule.as_str())
                    .bind(reject.reason.as_str())
            })
            .await?;
            tx.commit().await?;
        }
        self.counts.rejected += rejects.len() as u64;
        Ok(())
    }

    /// Makes the whole import visible at one moment, and with [`ImportMode::Replace`] what it neither staged nor
    /// kept invisible.
    ///
    /// # Errors
    /// [`StoreError::ImportIncomplete`] after a failed batch, [`StoreError::ImportEnded`].
    pub async fn commit(self, now_ms: i64) -> Result<ImportCounts> {
        self.finish(now_ms, None::<fn(&ImportCounts) -> Option<NewEntry>>)
            .await
    }

    /// The same together with the ledger's entry, which `record` makes of what has changed.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`StoreError::NotRecorded`] if `record` gives none.
    pub async fn commit_with(
        self,
        now_ms: i64,
        record: impl FnOnce(&ImportCounts) -> Option<NewEntry> + Send,
    ) -> Result<ImportCounts> {
        self.finish(now_ms, Some(record)).await
    }

    async fn finish(
        mut self,
        now_ms: i64,
        record: Option<impl FnOnce(&ImportCounts) -> Option<NewEntry> + Send>,
    ) -> Result<ImportCounts> {
        if self.broken {
            return Err(StoreError::ImportIncomplete { import: self.id });
        }
        self.write_run().await?;
        if self.mode == ImportMode::Replace {
            self.remove_unseen().await?;
        }
        let counts = self.counts;
        let mut tx = self.store.begin("import.commit").await?;
        let decided = sqlx::query(
            "UPDATE import SET state = 'committed', finished_ms = ?2, added = ?3, changed = ?4, removed = ?5,
             unchanged = ?6, rejected = ?7 WHERE id = ?1 AND state = 'staging'",
        )
        .bind(self.id.0)
        .bind(now_ms)
        .bind(to_sql(counts.added))
        .bind(to_sql(counts.changed))
        .bind(to_sql(counts.removed))
        .bind(to_sql(counts.unchanged))
        .bind(to_sql(counts.rejected))
        .execute(&mut *tx)
        .await?;
        if decided.rows_affected() == 0 {
            return Err(StoreError::ImportEnded { import: self.id });
        }
        let records = to_sql(counts.added) - to_sql(counts.removed);
        let changes = counts.added + counts.changed + counts.removed;
        apply_counts(&mut tx, self.list, changes, records, &self.kinds).await?;
        if let Some(record) = record {
            let [nonce] = self.store.nonces();
            tx.record(record(&counts).ok_or(StoreError::NotRecorded)?, nonce);
        }
        tx.commit().await?;
        Ok(counts)
    }

    /// Gives the import up; nothing of it was ever visible. Its rejects stay readable.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn abort(self, now_ms: i64) -> Result<()> {
        let mut tx = self.store.begin("import.abort").await?;
        sqlx::query(
            "UPDATE import SET state = 'aborted', finished_ms = ?, rejected = ? WHERE id = ? AND state = 'staging'",
        )
        .bind(now_ms)
        .bind(to_sql(self.counts.rejected))
        .bind(self.id.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Tells new, changed and unchanged records apart. Reads beside the writer: while this import runs, nobody
    /// else changes what is visible of the list.
    async fn classify(
        &mut self,
        piece: Vec<(usize, NewRecord)>,
        here: &mut HashSet<String>,
        duplicates: &mut Vec<usize>,
    ) -> Result<Fresh> {
        let mut conn = self.store.inner.reader.acquire().await?;
        let sources = piece.iter().map(|(_, record)| record.source_id.as_str());
        let known = versions(&mut conn, self.list, Some(self.id), sources).await?;
        let mut fresh = Fresh::default();
        for (position, record) in piece {
            let repeated = !here.insert(record.source_id.clone());
            let version = known.get(&record.source_id);
            if repeated || version.is_some_and(|version| version.staged || self.seen.contains(version.id)) {
                duplicates.push(position);
                continue;
            }
            match version {
                Some(version) => {
                    self.seen.insert(version.id);
                    if self.kept.contains(version.id) {
                        self.kept_count -= 1;
                    }
                    let sealer = &self.store.inner.sealer;
                    if version.digest == record_digest(sealer, self.list, &record.source_id, &record.digest) {
                        self.counts.unchanged += 1;
                    } else {
                        self.counts.changed += 1;
                        fresh.superseded.push(version.id);
                        fresh.records.push(record);
                    }
                }
                None => {
                    self.counts.added += 1;
                    fresh.records.push(record);
                }
            }
        }
        subtract_kinds(&mut conn, &fresh.superseded, &mut self.kinds).await?;
        let mut earlier = authors_of(&mut conn, &self.store.inner.sealer, &fresh.superseded).await?;
        inherit(&mut fresh.records, &mut earlier);
        Ok(fresh)
    }

    async fn hold(&mut self, entries: Vec<IndexEntry>) -> Result<()> {
        for entry in &entries {
            *self.kinds.entry(entry.kind).or_default() += 1;
        }
        self.run.extend(entries);
        if self.run.len() >= INDEX_RUN {
            self.write_run().await?;
        }
        Ok(())
    }

    async fn write_run(&mut self) -> Result<()> {
        self.run.sort_unstable();
        for entries in self.run.chunks(INDEX_BATCH) {
            let mut tx = self.store.begin("import.index").await?;
            insert_index(&mut tx, entries).await?;
            tx.commit().await?;
        }
        self.run.clear();
        Ok(())
    }

    /// Marks every visible record of the list that the source did not name in any form.
    async fn remove_unseen(&mut self) -> Result<()> {
        let (mut source_id, mut id) = (String::new(), 0_i64);
        loop {
            let mut conn = self.store.inner.reader.acquire().await?;
            let rows = sqlx::query(
                "SELECT id, source_id FROM visible_record
                 WHERE list_id = ?1 AND (source_id, id) > (?2, ?3) ORDER BY source_id, id LIMIT 4096",
            )
            .bind(self.list.0)
            .bind(source_id.as_str())
            .bind(id)
            .fetch_all(&mut *conn)
            .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            (source_id, id) = (last.try_get("source_id")?, last.try_get("id")?);
            let ids: Vec<i64> = rows.iter().map(|row| row.int("id")).collect::<Result<_>>()?;
            let named = |id: i64| self.seen.contains(id) || self.kept.contains(id);
            let gone: Vec<i64> = ids.into_iter().filter(|id| !named(*id)).collect();
            for batch in gone.chunks(BATCH) {
                subtract_kinds(&mut conn, batch, &mut self.kinds).await?;
                let mut tx = self.store.begin("import.remove").await?;
                mark_removed(&mut tx, self.id, batch).await?;
                tx.commit().await?;
                self.counts.removed += batch.len() as u64;
            }
        }
    }
}

/// What a batch brings.
#[derive(Default)]
struct Fresh {
    records: Vec<NewRecord>,
    /// Visible versions that these replace.
    superseded: Vec<i64>,
}

/// A batch ready to be written.
struct Staging {
    records: Vec<SealedRecord>,
    superseded: Vec<i64>,
}

async fn write_staged(
    store: &Store,
    list: ListId,
    import: ImportId,
    staging: Option<Staging>,
) -> Result<Vec<IndexEntry>> {
    let Some(staging) = staging.filter(|staging| !staging.records.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut tx = store.begin("import.stage").await?;
    mark_removed(&mut tx, import, &staging.superseded).await?;
    let entries = insert_records(&mut tx, list, import, &staging.records).await?;
    tx.commit().await?;
    Ok(entries)
}
