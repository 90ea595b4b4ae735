//! Visible records and identifiers: looking up, walking in order, changing a few at once.

use std::collections::BTreeMap;
use std::fmt;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use zeroize::Zeroizing;

use crate::authors::{authors_of, inherit, unpack_payload};
use crate::db::Tx;
use crate::import::ImportCounts;
use crate::ledger::NewEntry;
use crate::lists::apply_counts;
use crate::record_rows::{
    IdentifierRow, KindCounts, NewRecord, PayloadForm, insert_index, insert_records, mark_removed,
    record_digest, subtract_kinds, versions, with_payload_cell,
};
use crate::seal::{Sealer, identifier_cell};
use crate::sql::{after, json_ids, json_texts};
use crate::types::{BlindIndex, Columns, ImportId, ListId, RecordId, to_sql};
use crate::{Result, Store, StoreError};

/// Most records in one [`Store::upsert_records`] or [`Store::delete_records`]: one transaction each.
pub const MAX_UPSERT: usize = 1_000;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Added,
    /// It was there with other content.
    Changed,
    /// It was there.
    Removed,
}

/// Makes the ledger's entry of what became of a record, by the list's own id of it.
type MakeEntry<'a> = &'a (dyn Fn(&str, Change) -> Option<NewEntry> + Send + Sync);

const NOT_RECORDED: Option<MakeEntry<'static>> = None;

/// Which identifiers: those of one kind on some lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// On any of these lists.
    pub lists: Vec<ListId>,
    /// Of this kind.
    pub kind: u8,
    /// Spelling variants too: yes for the owner of an offer, no for a requester.
    pub variants: bool,
}

impl Selection {
    pub(crate) fn lists_json(&self) -> String {
        json_ids(self.lists.iter().map(|list| list.0))
    }
}

/// A visible record.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Its list.
    pub list: ListId,
    /// The list's own id of it.
    pub source_id: String,
    /// What it says, opened.
    pub payload: Zeroizing<Vec<u8>>,
    /// Who wrote it, oldest first. Nobody if a system did and named no officer, or if it was written before authors were kept.
    pub authors: Vec<String>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

/// A visible record that has a certain identifier.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordRef {
    /// Its id.
    pub record: RecordId,
    /// Its list.
    pub list: ListId,
    /// The list's own id of it.
    pub source_id: String,
    /// The identifier's rule.
    pub rule: u8,
    /// The identifier's grade in this record.
    pub grade: u8,
    /// Whether this record has it as a variant only.
    pub variant: bool,
}

impl fmt::Debug for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRef")
            .field("record", &self.record)
            .field("list", &self.list)
            .field("rule", &self.rule)
            .field("grade", &self.grade)
            .finish_non_exhaustive()
    }
}

/// An identifier, opened, with its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedIdentifier {
    /// Where it stands; the cursor of pages.
    pub blind_index: BlindIndex,
    /// Kind, rule, grade, variant, canonical bytes.
    pub identifier: IdentifierRow,
}

/// The visible identifiers of a selection in the order of their blind indexes, each once. The row that is not a
/// variant speaks for all (a bare column beside `min()` comes from the row with the minimum).
macro_rules! identifiers_sql {
    ($condition:literal) => {
        concat!(
            "SELECT x.blind_index, min(x.variant) AS variant, i.kind, i.rule, i.grade, i.sealed
             FROM identifier_index x
             CROSS JOIN visible_record r ON r.id = x.record_id
             CROSS JOIN identifier i
                 ON i.record_id = x.record_id AND i.kind = x.kind AND i.blind_index = x.blind_index
             WHERE x.kind = ?1 AND x.blind_index > ?2 AND x.variant <= ?3
               AND r.list_id IN (SELECT value FROM json_each(?4)) ",
            $condition,
            " GROUP BY x.blind_index ORDER BY x.blind_index LIMIT ?5"
        )
    };
}
pub(crate) use identifiers_sql;

impl Store {
    /// The blind index of an identifier, for the methods that take one.
    pub fn blind_index(&self, kind: u8, rule: u8, canonical: &[u8]) -> BlindIndex {
        self.inner.sealer.blind_index(kind, rule, canonical)
    }

    /// The visible records, of any list, that have this identifier.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn records_with(&self, kind: u8, blind_index: BlindIndex) -> Result<Vec<RecordRef>> {
        let mut conn = self.inner.reader.acquire().await?;
        records_with(&mut conn, kind, blind_index).await
    }

    /// A visible record by the list's own id.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if its payload was damaged.
    pub async fn record(&self, list: ListId, source_id: &str) -> Result<Option<Record>> {
        let row = sqlx::query(
            "SELECT r.id, r.list_id, r.source_id, r.digest, p.form, p.sealed
             FROM visible_record r JOIN record_payload p ON p.record_id = r.id
             WHERE r.list_id = ? AND r.source_id = ?",
        )
        .bind(list.0)
        .bind(source_id)
        .fetch_optional(&self.inner.reader)
        .await?;
        row.as_ref()
            .map(|row| open_record(&self.inner.sealer, row))
            .transpose()
    }

    /// The identifiers of a visible record by kind and blind index; empty if it is not visible.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged.
    pub async fn record_identifiers(&self, record: RecordId) -> Result<Vec<IndexedIdentifier>> {
        let rows = sqlx::query(
            "SELECT i.* FROM visible_record r JOIN identifier i ON i.record_id = r.id WHERE r.id = ?
             ORDER BY i.kind, i.blind_index",
        )
        .bind(record.0)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter()
            .map(|row| open_identifier(&self.inner.sealer, row))
            .collect()
    }

    /// A page of the visible identifiers of a selection, each once, in the order of their blind indexes, beginning
    /// after `cursor`. An empty page is the end. Memory is bounded by `limit`.
    ///
    /// Each page sees the lists as they are when it is read.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged.
    pub async fn identifiers_page(
        &self,
        selection: &Selection,
        cursor: Option<BlindIndex>,
        limit: u32,
    ) -> Result<Vec<IndexedIdentifier>> {
        let rows = sqlx::query(identifiers_sql!(""))
            .bind(selection.kind)
            .bind(after(cursor))
            .bind(selection.variants)
            .bind(selection.lists_json())
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter()
            .map(|row| open_identifier(&self.inner.sealer, row))
            .collect()
    }

    /// Adds or replaces records in one transaction: all are visible when this returns, or none. Of several with one
    /// source id the last counts.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] above [`MAX_UPSERT`], [`StoreError::ImportRunning`], [`StoreError::NotFound`].
    pub async fn upsert_records(&self, list: ListId, records: Vec<NewRecord>) -> Result<ImportCounts> {
        self.upsert(list, records, NOT_RECORDED).await
    }

    /// The same together with the ledger's entries: `record` makes one of each record that is added or changed.
    ///
    /// # Errors
    /// As [`upsert_records`](Self::upsert_records); [`StoreError::NotRecorded`] if `record` gives none.
    pub async fn upsert_records_with(
        &self,
        list: ListId,
        records: Vec<NewRecord>,
        record: impl Fn(&str, Change) -> Option<NewEntry> + Send + Sync,
    ) -> Result<ImportCounts> {
        self.upsert(list, records, Some(&record)).await
    }

    async fn upsert(
        &self,
        list: ListId,
        records: Vec<NewRecord>,
        record: Option<MakeEntry<'_>>,
    ) -> Result<ImportCounts> {
        at_most("records", records.len())?;
        let mut last: BTreeMap<String, NewRecord> = BTreeMap::new();
        for record in records {
            last.insert(record.source_id.clone(), record);
        }
        let digests: Vec<(String, [u8; 16])> = last
            .values()
            .map(|record| {
                let digest = record_digest(&self.inner.sealer, list, &record.source_id, &record.digest);
                (record.source_id.clone(), digest)
            })
            .collect();

        let mut tx = self.begin("record.upsert").await?;
        let direct = self.direct_import(&mut tx, list).await?;
        let known = versions(
            &mut tx,
            list,
            None,
            digests.iter().map(|(source, _)| source.as_str()),
        )
        .await?;
        let (mut counts, mut kinds, mut superseded) =
            (ImportCounts::default(), KindCounts::new(), Vec::new());
        let mut fresh = Vec::with_capacity(last.len());
        for (new, (source_id, digest)) in last.into_values().zip(&digests) {
            match known.get(source_id) {
                Some(version) if version.digest == *digest => counts.unchanged += 1,
                Some(version) => {
                    counts.changed += 1;
                    superseded.push(version.id);
                    fresh.push(new);
                    self.record_change(&mut tx, record, source_id, Change::Changed)?;
                }
                None => {
                    counts.added += 1;
                    fresh.push(new);
                    self.record_change(&mut tx, record, source_id, Change::Added)?;
                }
            }
        }
        // Sealed in the transaction: nobody becomes an author of the earlier version after it was looked at.
        let mut earlier = authors_of(&mut tx, &self.inner.sealer, &superseded).await?;
        inherit(&mut fresh, &mut earlier);
        let fresh = self.seal_records(list, fresh).await?;
        subtract_kinds(&mut tx, &superseded, &mut kinds).await?;
        mark_removed(&mut tx, direct, &superseded).await?;
        let mut entries = insert_records(&mut tx, list, direct, &fresh).await?;
        entries.sort_unstable();
        insert_index(&mut tx, &entries).await?;
        for entry in &entries {
            *kinds.entry(entry.kind).or_default() += 1;
        }
        apply_counts(
            &mut tx,
            list,
            counts.added + counts.changed,
            to_sql(counts.added),
            &kinds,
        )
        .await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// Removes records by the list's own ids in one transaction. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] above [`MAX_UPSERT`], [`StoreError::ImportRunning`], [`StoreError::NotFound`] if there
    /// is no such list.
    pub async fn delete_records(&self, list: ListId, source_ids: &[String]) -> Result<u64> {
        self.delete(list, source_ids, NOT_RECORDED).await
    }

    /// The same together with the ledger's entries: `record` makes one of each record that is removed.
    ///
    /// # Errors
    /// As [`delete_records`](Self::delete_records); [`StoreError::NotRecorded`] if `record` gives none.
    pub async fn delete_records_with(
        &self,
        list: ListId,
        source_ids: &[String],
        record: impl Fn(&str, Change) -> Option<NewEntry> + Send + Sync,
    ) -> Result<u64> {
        self.delete(list, source_ids, Some(&record)).await
    }

    async fn delete(
        &self,
        list: ListId,
        source_ids: &[String],
        record: Option<MakeEntry<'_>>,
    ) -> Result<u64> {
        at_most("source ids", source_ids.len())?;
        let mut tx = self.begin("record.delete").await?;
        let direct = self.direct_import(&mut tx, list).await?;
        let rows = sqlx::query(
            "SELECT DISTINCT r.id, r.source_id
             FROM json_each(?2) j CROSS JOIN visible_record r ON r.list_id = ?1 AND r.source_id = j.value",
        )
        .bind(list.0)
        .bind(json_texts(source_ids.iter().map(String::as_str)))
        .fetch_all(&mut *tx)
        .await?;
        let mut ids: Vec<i64> = Vec::with_capacity(rows.len());
        for row in &rows {
            ids.push(row.try_get("id")?);
            self.record_change(&mut tx, record, row.try_get("source_id")?, Change::Removed)?;
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let mut kinds = KindCounts::new();
        subtract_kinds(&mut tx, &ids, &mut kinds).await?;
        mark_removed(&mut tx, direct, &ids).await?;
        apply_counts(&mut tx, list, ids.len() as u64, -(ids.len() as i64), &kinds).await?;
        tx.commit().await?;
        Ok(ids.len() as u64)
    }

    fn record_change(
        &self,
        tx: &mut Tx,
        record: Option<MakeEntry<'_>>,
        source_id: &str,
        change: Change,
    ) -> Result<()> {
        if let Some(record) = record {
            let [nonce] = self.nonces();
            tx.record(record(source_id, change).ok_or(StoreError::NotRecorded)?, nonce);
        }
        Ok(())
    }

    /// The import row under which single records of a list change; refused while a real import is running.
    async fn direct_import(&self, conn: &mut SqliteConnection, list: ListId) -> Result<ImportId> {
        self.settle_list(&mut *conn, list).await?;
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM import WHERE list_id = ? AND mode = 'direct' AND state = 'committed'",
        )
        .bind(list.0)
        .fetch_optional(conn)
        .await?;
        id.map(ImportId).ok_or(StoreError::NotFound { what: "list" })
    }
}

pub(crate) async fn records_with(
    conn: &mut SqliteConnection,
    kind: u8,
    blind_index: BlindIndex,
) -> Result<Vec<RecordRef>> {
    let rows = sqlx::query(
        "SELECT r.id, r.list_id, r.source_id, i.rule, i.grade, i.variant
         FROM identifier_index x
         CROSS JOIN visible_record r ON r.id = x.record_id
         CROSS JOIN identifier i ON i.record_id = x.record_id AND i.kind = x.kind AND i.blind_index = x.blind_index
         WHERE x.kind = ? AND x.blind_index = ?
         ORDER BY r.list_id, r.source_id",
    )
    .bind(kind)
    .bind(blind_index.0.as_slice())
    .fetch_all(conn)
    .await?;
    let record_ref = |row: &SqliteRow| {
        Ok(RecordRef {
            record: RecordId(row.try_get("id")?),
            list: ListId(row.try_get("list_id")?),
            source_id: row.try_get("source_id")?,
            rule: row.int("rule")?,
            grade: row.int("grade")?,
            variant: row.flag("variant")?,
        })
    };
    rows.iter().map(record_ref).collect()
}

pub(crate) fn open_identifier(sealer: &Sealer, row: &SqliteRow) -> Result<IndexedIdentifier> {
    let blind_index = BlindIndex(row.bytes("blind_index")?);
    let canonical = sealer.open(&identifier_cell(&[&blind_index.0]), row.try_get("sealed")?)?;
    Ok(IndexedIdentifier {
        blind_index,
        identifier: IdentifierRow {
            kind: row.int("kind")?,
            rule: row.int("rule")?,
            grade: row.int("grade")?,
            variant: row.flag("variant")?,
            canonical,
        },
    })
}

pub(crate) fn open_record(sealer: &Sealer, row: &SqliteRow) -> Result<Record> {
    let (list, source_id) = (
        ListId(row.try_get("list_id")?),
        row.try_get::<String, _>("source_id")?,
    );
    let (digest, sealed) = (row.bytes("digest")?, row.try_get("sealed")?);
    let form = PayloadForm::of(row.int("form")?)?;
    let opened = with_payload_cell(list, &source_id, &digest, form, |cell| sealer.open(cell, sealed))?;
    let (payload, authors) = match form {
        PayloadForm::Alone => (opened, Vec::new()),
        PayloadForm::WithAuthors => unpack_payload(&opened).ok_or(StoreError::Corrupt {
            what: "record_payload.sealed",
        })?,
    };
    Ok(Record {
        id: RecordId(row.try_get("id")?),
        list,
        source_id,
        payload,
        authors,
    })
}

fn at_most(what: &'static str, given: usize) -> Result<()> {
    match given {
        0..=MAX_UPSERT => Ok(()),
        _ => Err(StoreError::TooMany {
            what,
            given,
            max: MAX_UPSERT,
        }),
    }
}
