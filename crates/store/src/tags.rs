//! Tags of our own identifiers under a key of ours: what a snapshot is built from.

use crate::records::{
    IndexedIdentifier, RecordRef, Selection, identifiers_sql, open_identifier, records_with,
};
use crate::sql::{after, insert_many, json_blind_indexes};
use crate::types::{BlindIndex, Columns, ScopeId, Tag, to_sql};
use crate::{Result, Store, StoreError};

/// Tags written in one transaction.
pub(crate) const TAG_BATCH: usize = 4_096;

/// A published tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnTag {
    /// Its identifier; for padding a cursor only.
    pub blind_index: BlindIndex,
    /// The tag.
    pub tag: Tag,
    /// Random, of no identifier.
    pub is_padding: bool,
}

/// A tag of an identifier of ours, under a key of ours or of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptTag {
    /// The identifier.
    pub blind_index: BlindIndex,
    /// Its tag.
    pub tag: Tag,
}

impl Store {
    /// A page of the visible identifiers of an offer that have no tag in the scope yet, in the order of their blind
    /// indexes, after `cursor`. An empty page is the end. Evaluate them and give the tags to
    /// [`Store::insert_own_tags`]; when a page comes back empty, publish. Identifiers that become visible meanwhile
    /// are met again by the [`Publication`](crate::Publication).
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if an identifier was damaged.
    pub async fn untagged_page(
        &self,
        scope: ScopeId,
        selection: &Selection,
        cursor: Option<BlindIndex>,
        limit: u32,
    ) -> Result<Vec<IndexedIdentifier>> {
        let rows = sqlx::query(identifiers_sql!(
            "AND NOT EXISTS (SELECT 1 FROM own_tag t WHERE t.scope_id = ?6 AND t.blind_index = x.blind_index)"
        ))
        .bind(selection.kind)
        .bind(after(cursor))
        .bind(selection.variants)
        .bind(selection.lists_json())
        .bind(limit)
        .bind(scope.0)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter()
            .map(|row| open_identifier(&self.inner.sealer, row))
            .collect()
    }

    /// Keeps tags that were evaluated; unpublished as yet. A tag that is there stays.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn insert_own_tags(&self, scope: ScopeId, tags: &[KeptTag]) -> Result<()> {
        for batch in tags.chunks(TAG_BATCH) {
            let mut tx = self.begin("own_tag.insert").await?;
            let columns = "INSERT OR IGNORE INTO own_tag (scope_id, blind_index, tag, is_padding)";
            insert_many(&mut tx, columns, 4, "", batch, |query, kept| {
                query
                    .bind(scope.0)
                    .bind(kept.blind_index.0.as_slice())
                    .bind(kept.tag.as_slice())
                    .bind(false)
            })
            .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// A page of all tags in a published version, padding included, after `cursor`: what a whole new segment is
    /// built from. Only the latest version can be asked for: earlier ones are not remembered.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] unless `version` is the latest served.
    pub async fn published_tags_page(
        &self,
        scope: ScopeId,
        version: u64,
        cursor: Option<BlindIndex>,
        limit: u32,
    ) -> Result<Vec<OwnTag>> {
        let mut view = self.inner.reader.begin().await?;
        let latest: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM snapshot_served WHERE scope_id = ?")
                .bind(scope.0)
                .fetch_one(&mut *view)
                .await?;
        if latest != Some(to_sql(version)) {
            return Err(StoreError::NotFound {
                what: "published version",
            });
        }
        let rows = sqlx::query(
            "SELECT blind_index, tag, is_padding FROM own_tag
             WHERE scope_id = ?1 AND blind_index > ?2 AND added_in <= ?3 AND (removed_in IS NULL OR removed_in > ?3)
             ORDER BY blind_index LIMIT ?4",
        )
        .bind(scope.0)
        .bind(after(cursor))
        .bind(latest)
        .bind(limit)
        .fetch_all(&mut *view)
        .await?;
        let own_tag = |row: &sqlx::sqlite::SqliteRow| {
            Ok(OwnTag {
                blind_index: BlindIndex(row.bytes("blind_index")?),
                tag: row.bytes("tag")?,
                is_padding: row.flag("is_padding")?,
            })
        };
        rows.iter().map(own_tag).collect()
    }

    /// The visible records of an offer's lists behind a tag of the scope: none for padding, for a foreign tag, and
    /// once the record is gone.
    ///
    /// Reads all tags of the scope (about a second for ten million): a person asks for this, about one tag. An
    /// index by tag would cost every publication more than all such questions together.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn records_by_tag(
        &self,
        scope: ScopeId,
        selection: &Selection,
        tag: &Tag,
    ) -> Result<Vec<RecordRef>> {
        let mut view = self.inner.reader.begin().await?;
        let row =
            sqlx::query("SELECT blind_index FROM own_tag WHERE scope_id = ? AND tag = ? AND is_padding = 0")
                .bind(scope.0)
                .bind(tag.as_slice())
                .fetch_optional(&mut *view)
                .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let blind_index = BlindIndex(row.bytes("blind_index")?);
        let mut records = records_with(&mut view, selection.kind, blind_index).await?;
        records.retain(|record| {
            selection.lists.contains(&record.list) && (selection.variants || !record.variant)
        });
        Ok(records)
    }

    /// Puts right the padding that a publication which never came to its end left behind, and drops what was
    /// removed before. Reads beside the writer, writes in small transactions.
    pub(crate) async fn settle_padding(&self, scope: ScopeId, latest: i64) -> Result<()> {
        let mut cursor = None;
        loop {
            let rows = sqlx::query(
                "SELECT blind_index, coalesce(added_in > ?3 OR removed_in <= ?3, 0) AS dead
                 FROM own_tag INDEXED BY own_tag_padding
                 WHERE scope_id = ?1 AND is_padding = 1 AND blind_index > ?2
                   AND (added_in > ?3 OR removed_in IS NOT NULL)
                 ORDER BY blind_index LIMIT ?4",
            )
            .bind(scope.0)
            .bind(after(cursor))
            .bind(latest)
            .bind(TAG_BATCH as i64)
            .fetch_all(&self.inner.reader)
            .await?;
            let (mut dead, mut kept) = (Vec::new(), Vec::new());
            for row in &rows {
                let index = BlindIndex(row.bytes("blind_index")?);
                cursor = Some(index);
                if row.flag("dead")? { &mut dead } else { &mut kept }.push(index);
            }
            if rows.is_empty() {
                return Ok(());
            }
            let mut tx = self.begin("own_tag.settle_padding").await?;
            for (statement, indexes) in [
                (
                    "DELETE FROM own_tag WHERE scope_id = ? AND blind_index IN (SELECT unhex(value) FROM json_each(?))",
                    dead,
                ),
                (
                    "UPDATE own_tag SET removed_in = NULL
                     WHERE scope_id = ? AND blind_index IN (SELECT unhex(value) FROM json_each(?))",
                    kept,
                ),
            ] {
                sqlx::query(statement)
                    .bind(scope.0)
                    .bind(json_blind_indexes(&indexes))
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
        }
    }
}
