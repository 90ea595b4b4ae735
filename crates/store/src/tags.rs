//! Tags of our own identifiers under a key of ours: what a snapshot is built from.

use crate::records::{
    IndexedIdentifier, RecordRef, Selection, identifiers_sql, open_identifier, records_with,
};
use crate::sql::{after, insert_many};
use crate::types::{BlindIndex, Columns, ScopeId, Tag, to_sql};
use crate::{Result, Store, StoreError};

/// Tags written in one transaction.
pub(crate) const TAG_BATCH: usize = 4_096;

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
            let columns = "INSERT OR IGNORE INTO own_tag (scope_id, blind_index, tag)";
            insert_many(&mut tx, columns, 3, "", batch, |query, kept| {
                query
                    .bind(scope.0)
                    .bind(kept.blind_index.0.as_slice())
                    .bind(kept.tag.as_slice())
            })
            .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// A page of all tags of identifiers in a published version, after `cursor`: what a whole new segment is
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
    ) -> Result<Vec<KeptTag>> {
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
            "SELECT blind_index, tag FROM own_tag
             WHERE scope_id = ?1 AND blind_index > ?2 AND added_in <= ?3 AND (removed_in IS NULL OR removed_in > ?3)
             ORDER BY blind_index LIMIT ?4",
        )
        .bind(scope.0)
        .bind(after(cursor))
        .bind(latest)
        .bind(limit)
        .fetch_all(&mut *view)
        .await?;
        let kept_tag = |row: &sqlx::sqlite::SqliteRow| {
            Ok(KeptTag {
                blind_index: BlindIndex(row.bytes("blind_index")?),
                tag: row.bytes("tag")?,
            })
        };
        rows.iter().map(kept_tag).collect()
    }

    /// The visible records of an offer's lists behind a tag of the scope: none for a foreign tag, and
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
        let row = sqlx::query("SELECT blind_index FROM own_tag WHERE scope_id = ? AND tag = ?")
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
}
