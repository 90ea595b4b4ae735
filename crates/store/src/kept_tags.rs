//! Tags of our own identifiers under a partner's key, kept for the epoch: a second run asks only for what is new,
//! and a partner's change is matched without asking.

use sqlx::sqlite::SqliteConnection;

use crate::records::{IndexedIdentifier, Selection, identifiers_sql, open_identifier};
use crate::sql::{after, insert_many};
use crate::tags::{KeptTag, TAG_BATCH};
use crate::types::{BlindIndex, Columns, ScopeId};
use crate::{Result, Store};

impl Store {
    /// A page of our own visible identifiers that have no kept tag in the scope, in the order of their blind
    /// indexes, after `cursor`. An empty page is the end.
    ///
    /// # Errors
    /// [`StoreError::Sealed`](crate::StoreError::Sealed) if an identifier was damaged.
    pub async fn unasked_page(
        &self,
        scope: ScopeId,
        selection: &Selection,
        cursor: Option<BlindIndex>,
        limit: u32,
    ) -> Result<Vec<IndexedIdentifier>> {
        let rows = sqlx::query(identifiers_sql!(
            "AND NOT EXISTS (SELECT 1 FROM kept_tag t WHERE t.scope_id = ?6 AND t.blind_index = x.blind_index)"
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

    /// How many distinct visible identifiers of a selection have no kept tag in the scope. Reads all of them.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn count_unasked(&self, scope: ScopeId, selection: &Selection) -> Result<u64> {
        let row = sqlx::query(
            "SELECT count(DISTINCT x.blind_index) AS n
             FROM identifier_index x CROSS JOIN visible_record r ON r.id = x.record_id
             WHERE x.kind = ?1 AND x.variant <= ?2 AND r.list_id IN (SELECT value FROM json_each(?3))
               AND NOT EXISTS (SELECT 1 FROM kept_tag t WHERE t.scope_id = ?4 AND t.blind_index = x.blind_index)",
        )
        .bind(selection.kind)
        .bind(selection.variants)
        .bind(selection.lists_json())
        .bind(scope.0)
        .fetch_one(&self.inner.reader)
        .await?;
        row.int("n")
    }

    /// Keeps tags. A tag that is there stays.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn insert_kept_tags(&self, scope: ScopeId, tags: &[KeptTag]) -> Result<()> {
        for batch in tags.chunks(TAG_BATCH) {
            let mut tx = self.begin("kept_tag.insert").await?;
            insert_kept(&mut tx, scope, batch).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// A page of the kept tags of a scope in the order of their blind indexes, after `cursor`. An empty page is the
    /// end. A tag whose identifier left our lists may still be there until it is purged.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn kept_tags_page(
        &self,
        scope: ScopeId,
        cursor: Option<BlindIndex>,
        limit: u32,
    ) -> Result<Vec<KeptTag>> {
        let rows = sqlx::query(
            "SELECT blind_index, tag FROM kept_tag WHERE scope_id = ? AND blind_index > ? ORDER BY blind_index LIMIT ?",
        )
        .bind(scope.0)
        .bind(after(cursor))
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        let kept = |row: &sqlx::sqlite::SqliteRow| {
            Ok(KeptTag {
                blind_index: BlindIndex(row.bytes("blind_index")?),
                tag: row.bytes("tag")?,
            })
        };
        rows.iter().map(kept).collect()
    }
}

pub(crate) async fn insert_kept(conn: &mut SqliteConnection, scope: ScopeId, tags: &[KeptTag]) -> Result<()> {
    let columns = "INSERT OR IGNORE INTO kept_tag (scope_id, blind_index, tag)";
    insert_many(conn, columns, 3, "", tags, |query, kept| {
        query
            .bind(scope.0)
            .bind(kept.blind_index.0.as_slice())
            .bind(kept.tag.as_slice())
    })
    .await?;
    Ok(())
}
