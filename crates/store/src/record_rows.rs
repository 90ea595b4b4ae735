//! Records on their way into the tables: sealed first, away from the reactor, then written in one go.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use zeroize::Zeroizing;

use crate::authors::pack_payload;
use crate::seal::{Cell, Nonce, Sealer, identifier_cell};
use crate::sql::{insert_many, json_ids, json_texts};
use crate::types::{BlindIndex, Columns, ImportId, ListId};
use crate::{Result, Store, StoreError};

/// An identifier as the store sees it: numbers and bytes. What they mean is the caller's.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentifierRow {
    /// What is matched: decides the offer. Lists and pages are told apart by it.
    pub kind: u8,
    /// The rule that made the canonical bytes. Part of the identity, like the kind.
    pub rule: u8,
    /// How well a hit identifies; the smaller, the better.
    pub grade: u8,
    /// A spelling variant: an owner publishes it, a requester does not send it.
    pub variant: bool,
    /// The normalised value. Sealed at rest, wiped when dropped.
    pub canonical: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for IdentifierRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentifierRow")
            .field("kind", &self.kind)
            .field("rule", &self.rule)
            .field("grade", &self.grade)
            .field("variant", &self.variant)
            .finish_non_exhaustive()
    }
}

/// A record to be staged or upserted.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The list's own id of the record: not empty, unique in its list, kept in clear.
    pub source_id: String,
    /// A digest of the content. Equal digests mean: nothing to do. Kept only in keyed form.
    pub digest: [u8; 32],
    /// What the record says, in the caller's encoding. Sealed at rest, wiped when dropped.
    pub payload: Zeroizing<Vec<u8>>,
    /// Who writes it, oldest first; nobody if a system does and names no officer. The authors of the version that it replaces come before
    /// them, and of all the newest [`MAX_AUTHORS`](crate::MAX_AUTHORS) are kept. No part of the content: a record that says the same is
    /// unchanged, whoever sends it. Sealed at rest.
    pub authors: Vec<String>,
    /// Its identifiers. One that occurs twice is kept once, with its best grade, as a variant only if it always is.
    pub identifiers: Vec<IdentifierRow>,
}

impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRecord")
            .field("identifiers", &self.identifiers.len())
            .finish_non_exhaustive()
    }
}

/// A record ready to be written.
pub(crate) struct SealedRecord {
    source_id: String,
    digest: [u8; 16],
    payload: Vec<u8>,
    identifiers: Vec<SealedIdentifier>,
}

struct SealedIdentifier {
    kind: u8,
    rule: u8,
    grade: u8,
    variant: bool,
    blind_index: BlindIndex,
    sealed: Vec<u8>,
}

/// A row of `identifier_index`; sorts as the table does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IndexEntry {
    pub(crate) kind: u8,
    pub(crate) blind_index: BlindIndex,
    pub(crate) record: i64,
    pub(crate) variant: bool,
}

/// How many identifiers of each kind come or go.
pub(crate) type KindCounts = BTreeMap<u8, i64>;

/// The keyed digest under which the content of a record is remembered.
pub(crate) fn record_digest(sealer: &Sealer, list: ListId, source_id: &str, digest: &[u8; 32]) -> [u8; 16] {
    sealer.digest(&[b"record", &list.0.to_be_bytes(), source_id.as_bytes(), digest])
}

/// What is sealed with a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadForm {
    /// Nothing: it was written before authors were kept.
    Alone,
    /// The record's authors.
    WithAuthors,
}

impl PayloadForm {
    /// As the column has it.
    pub(crate) fn of(number: u8) -> Result<Self> {
        match number {
            1 => Ok(Self::Alone),
            2 => Ok(Self::WithAuthors),
            _ => Err(StoreError::Corrupt {
                what: "record_payload.form",
            }),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Alone => 1,
            Self::WithAuthors => 2,
        }
    }
}

/// The place of a record's payload: the list, the source and the content it belongs to. The form is bound to it, so that nobody makes
/// a record one without authors by writing another number beside it.
pub(crate) fn with_payload_cell<T>(
    list: ListId,
    source_id: &str,
    digest: &[u8; 16],
    form: PayloadForm,
    work: impl FnOnce(&Cell<'_>) -> T,
) -> T {
    let key: [&[u8]; 4] = [
        &list.0.to_be_bytes(),
        source_id.as_bytes(),
        digest,
        &[form.number()],
    ];
    work(&Cell {
        table: "record_payload",
        column: "sealed",
        key: match form {
            PayloadForm::Alone => &key[..3],
            PayloadForm::WithAuthors => &key,
        },
    })
}

impl Store {
    /// Seals records on a thread where blocking is allowed.
    pub(crate) async fn seal_records(
        &self,
        list: ListId,
        records: Vec<NewRecord>,
    ) -> Result<Vec<SealedRecord>> {
        let values: usize = records.iter().map(|record| 1 + record.identifiers.len()).sum();
        let mut nonces = vec![[0; 24]; values];
        self.fill_random(nonces.as_flattened_mut());
        let sealer = Arc::clone(&self.inner.sealer);
        let work = tokio::task::spawn_blocking(move || {
            let mut nonces = nonces.into_iter();
            let seal = |record| seal_record(&sealer, list, record, &mut nonces);
            records.into_iter().map(seal).collect()
        });
        work.await.map_err(|_| StoreError::ShuttingDown)?
    }
}

fn seal_record(
    sealer: &Sealer,
    list: ListId,
    record: NewRecord,
    nonces: &mut impl Iterator<Item = Nonce>,
) -> Result<SealedRecord> {
    let mut nonce = || nonces.next().ok_or(StoreError::Corrupt { what: "nonces" });
    let digest = record_digest(sealer, list, &record.source_id, &record.digest);
    let payload = {
        let nonce = nonce()?;
        let payload = pack_payload(&record.payload, &record.authors);
        with_payload_cell(
            list,
            &record.source_id,
            &digest,
            PayloadForm::WithAuthors,
            |cell| sealer.seal(cell, &nonce, &payload),
        )?
    };
    let mut rows: Vec<_> = record
        .identifiers
        .into_iter()
        .map(|row| (sealer.blind_index(row.kind, row.rule, &row.canonical), row))
        .collect();
    rows.sort_by_key(|(index, row)| (row.kind, *index, row.variant, row.grade));
    rows.dedup_by(|later, first| {
        let same = (later.1.kind, later.0) == (first.1.kind, first.0);
        if same {
            first.1.grade = first.1.grade.min(later.1.grade);
        }
        same
    });
    let identifiers = rows.into_iter().map(|(blind_index, row)| {
        let sealed = sealer.seal(&identifier_cell(&[&blind_index.0]), &nonce()?, &row.canonical)?;
        Ok(SealedIdentifier {
            kind: row.kind,
            rule: row.rule,
            grade: row.grade,
            variant: row.variant,
            blind_index,
            sealed,
        })
    });
    Ok(SealedRecord {
        identifiers: identifiers.collect::<Result<_>>()?,
        source_id: record.source_id,
        digest,
        payload,
    })
}

/// Writes records, their payloads and identifiers. Returns what belongs into `identifier_index`.
pub(crate) async fn insert_records(
    conn: &mut SqliteConnection,
    list: ListId,
    import: ImportId,
    records: &[SealedRecord],
) -> Result<Vec<IndexEntry>> {
    // Ids are ours to choose: only this transaction writes, and the sequence never goes back.
    let last: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'record'")
        .fetch_optional(&mut *conn)
        .await?;
    let rows: Vec<(i64, &SealedRecord)> = (last.unwrap_or(0) + 1..).zip(records).collect();
    let columns = "INSERT INTO record (id, list_id, source_id, digest, added_by)";
    insert_many(conn, columns, 5, "", &rows, |query, (id, record)| {
        query
            .bind(*id)
            .bind(list.0)
            .bind(record.source_id.as_str())
            .bind(record.digest.as_slice())
            .bind(import.0)
    })
    .await?;
    let columns = "INSERT INTO record_payload (record_id, form, sealed)";
    insert_many(conn, columns, 3, "", &rows, |query, (id, record)| {
        query
            .bind(*id)
            .bind(PayloadForm::WithAuthors.number())
            .bind(record.payload.as_slice())
    })
    .await?;
    let identifiers: Vec<(i64, &SealedIdentifier)> = rows
        .iter()
        .flat_map(|(id, record)| record.identifiers.iter().map(|row| (*id, row)))
        .collect();
    let columns = "INSERT INTO identifier (record_id, kind, blind_index, rule, grade, variant, sealed)";
    insert_many(conn, columns, 7, "", &identifiers, |query, (id, row)| {
        query
            .bind(*id)
            .bind(row.kind)
            .bind(row.blind_index.0.as_slice())
            .bind(row.rule)
            .bind(row.grade)
            .bind(row.variant)
            .bind(row.sealed.as_slice())
    })
    .await?;
    let entries = identifiers.iter().map(|&(record, row)| IndexEntry {
        kind: row.kind,
        blind_index: row.blind_index,
        record,
        variant: row.variant,
    });
    Ok(entries.collect())
}

/// Writes sorted entries of `identifier_index`.
pub(crate) async fn insert_index(conn: &mut SqliteConnection, entries: &[IndexEntry]) -> Result<()> {
    let columns = "INSERT INTO identifier_index (kind, blind_index, record_id, variant)";
    insert_many(conn, columns, 4, "", entries, |query, entry| {
        query
            .bind(entry.kind)
            .bind(entry.blind_index.0.as_slice())
            .bind(entry.record)
            .bind(entry.variant)
    })
    .await?;
    Ok(())
}

/// Marks records as removed by an import: invisible as soon as that is committed.
pub(crate) async fn mark_removed(
    conn: &mut SqliteConnection,
    import: ImportId,
    records: &[i64],
) -> Result<()> {
    sqlx::query("UPDATE record SET removed_by = ? WHERE id IN (SELECT value FROM json_each(?))")
        .bind(import.0)
        .bind(json_ids(records.iter().copied()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes the identifiers of `records` off `kinds`.
pub(crate) async fn subtract_kinds(
    conn: &mut SqliteConnection,
    records: &[i64],
    kinds: &mut KindCounts,
) -> Result<()> {
    let rows = sqlx::query(
        "SELECT i.kind, count(*) AS n FROM json_each(?) j CROSS JOIN identifier i ON i.record_id = j.value
         GROUP BY i.kind",
    )
    .bind(json_ids(records.iter().copied()))
    .fetch_all(conn)
    .await?;
    for row in rows {
        *kinds.entry(row.int("kind")?).or_default() -= row.try_get::<i64, _>("n")?;
    }
    Ok(())
}

/// A version of a record.
pub(crate) struct Version {
    pub(crate) id: i64,
    pub(crate) digest: [u8; 16],
    /// Staged by the running import, not visible yet.
    pub(crate) staged: bool,
}

/// What is visible, or staged by `import`, under these source ids. Staged wins over visible.
pub(crate) async fn versions<'a>(
    conn: &mut SqliteConnection,
    list: ListId,
    import: Option<ImportId>,
    sources: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Version>> {
    let rows = sqlx::query(
        "SELECT id, source_id, digest, NOT visible AS staged
         FROM (SELECT r.*, EXISTS (SELECT 1 FROM visible_record v WHERE v.id = r.id) AS visible
               FROM json_each(?2) j CROSS JOIN record r ON r.list_id = ?1 AND r.source_id = j.value)
         WHERE visible OR added_by = ?3 ORDER BY staged",
    )
    .bind(list.0)
    .bind(json_texts(sources))
    .bind(import.map(|import| import.0))
    .fetch_all(conn)
    .await?;
    let version = |row: &SqliteRow| -> Result<(String, Version)> {
        let version = Version {
            id: row.try_get("id")?,
            digest: row.bytes("digest")?,
            staged: row.flag("staged")?,
        };
        Ok((row.try_get("source_id")?, version))
    };
    rows.iter().map(version).collect()
}
