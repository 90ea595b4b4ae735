//! Publishing a scope: from what is visible and what was published before to what to add and to remove.
//!
//! A publication works like an import: marks are written in small transactions under the version to come, and
//! count from the moment that version's row is there. A publication that never came to its end leaves marks that
//! the next one, of the same version, puts right.
//!
//! It reads the lists in one view: an import that is committed meanwhile is in the next version, whole.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnection;

use crate::claims::Claim;
use crate::ledger::NewEntry;
use crate::records::{IndexedIdentifier, Selection, open_identifier};
use crate::snapshots::KEPT_BEFORE;
use crate::sql::{after, insert_many, json_blind_indexes};
use crate::tags::{KeptTag, TAG_BATCH};
use crate::types::{BlindIndex, Columns, ScopeId, Tag, to_sql};
use crate::{Result, Store, StoreError};

/// A version of a scope in the making. Dropping it leaves what is served as it is.
#[must_use = "a publication that is dropped changes nothing"]
pub struct Publication {
    store: Store,
    scope: ScopeId,
    selection: Selection,
    version: u64,
    /// Which lists it shows, each at which revision.
    lists: String,
    /// The lists and tags as they were at the beginning: a connection of its own, in one read transaction.
    view: SqliteConnection,
    cursor: Option<BlindIndex>,
    ended: bool,
    /// Handed out to be evaluated, not yet given back.
    missing: BTreeSet<BlindIndex>,
    identifiers: u64,
    _claim: Claim<ScopeId>,
}

/// A piece of what a version changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicationPage {
    /// Visible and without a tag: evaluate them and give the tags to [`Publication::add_tags`] before the next page.
    /// They are additions and not among [`adds`](Self::adds).
    pub untagged: Vec<IndexedIdentifier>,
    /// Tags to add.
    pub adds: Vec<Tag>,
    /// Tags to remove.
    pub removes: Vec<Tag>,
}

impl Store {
    /// Begins the next version of a scope: that after the latest served, or 1. One publication of a scope at a time.
    ///
    /// # Errors
    /// [`StoreError::PublicationRunning`].
    pub async fn begin_publication(&self, scope: ScopeId, selection: Selection) -> Result<Publication> {
        let claim = self.inner.publishing.claim(scope);
        let claim = claim.ok_or(StoreError::PublicationRunning { scope })?;
        let latest: i64 =
            sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM snapshot_served WHERE scope_id = ?")
                .bind(scope.0)
                .fetch_one(&self.inner.reader)
                .await?;
        let mut view = self.inner.reader.connect_options().connect().await?;
        sqlx::raw_sql("BEGIN").execute(&mut view).await?;
        // The first read of the view: from here on it does not move.
        let lists = revisions(&mut view, &selection).await?;
        let corrupt = |_| StoreError::Corrupt {
            what: "snapshot_served.version",
        };
        Ok(Publication {
            store: self.clone(),
            scope,
            selection,
            version: u64::try_from(latest).map_err(corrupt)? + 1,
            lists,
            view,
            cursor: None,
            ended: false,
            missing: BTreeSet::new(),
            identifiers: 0,
            _claim: claim,
        })
    }

    /// Whether the latest version of a scope shows `selection`'s lists as they are now: none of them was changed,
    /// deleted or replaced by another of its name since. `false` if nothing was published yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn shows_lists_as_they_are(&self, scope: ScopeId, selection: &Selection) -> Result<bool> {
        let mut view = self.inner.reader.begin().await?;
        let query = "SELECT lists FROM snapshot_served WHERE scope_id = ? ORDER BY version DESC LIMIT 1";
        let published: Option<String> = sqlx::query_scalar(query)
            .bind(scope.0)
            .fetch_optional(&mut *view)
            .await?;
        Ok(published == Some(revisions(&mut view, selection).await?))
    }
}

impl Publication {
    /// The version that is being made.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many distinct identifiers it holds as far as it has come; final once the last page was taken.
    pub fn identifiers(&self) -> u64 {
        self.identifiers
    }

    /// The next piece, of at most `limit` identifiers each of what is visible and of what was published; `None`
    /// at the end. A page may be empty in all its parts.
    ///
    /// # Errors
    /// [`StoreError::PublicationIncomplete`] if tags of the page before are missing.
    pub async fn next_page(&mut self, limit: u32) -> Result<Option<PublicationPage>> {
        if !self.missing.is_empty() {
            return Err(self.incomplete());
        }
        if self.ended {
            return Ok(None);
        }
        let limit = limit.max(1);
        let full = limit as usize;
        let visible = self.visible(limit).await?;
        let known = self.known(limit).await?;
        // Where either list goes on beyond its page, the other one must not run ahead.
        let ends = [
            (visible.len() == full).then(|| visible.last().copied()).flatten(),
            (known.len() == full)
                .then(|| known.last().map(|row| row.blind_index))
                .flatten(),
        ];
        let end = ends.into_iter().flatten().min();
        let within = |index: BlindIndex| end.is_none_or(|end| index <= end);

        let mut marks = Marks::default();
        let mut page = PublicationPage::default();
        let mut visible = visible.into_iter().filter(|index| within(*index)).peekable();
        let mut known = known.into_iter().filter(|row| within(row.blind_index)).peekable();
        loop {
            let order = match (visible.peek(), known.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(index), Some(row)) => index.cmp(&row.blind_index),
            };
            let index = if order.is_le() { visible.next() } else { None };
            let row = if order.is_ge() { known.next() } else { None };
            self.identifiers += u64::from(index.is_some());
            self.decide(index, row, &mut marks, &mut page);
        }
        self.write(&marks).await?;
        page.untagged = self.open_untagged(&marks.untagged).await?;
        self.missing.extend(marks.untagged);
        self.cursor = end.or(self.cursor);
        self.ended = end.is_none();
        Ok(Some(page))
    }

    /// Gives tags of identifiers that a page named as [`PublicationPage::untagged`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an identifier that was not asked for.
    pub async fn add_tags(&mut self, tags: &[KeptTag]) -> Result<()> {
        if tags.iter().any(|kept| !self.missing.contains(&kept.blind_index)) {
            return Err(StoreError::NotFound {
                what: "identifier that waits for a tag",
            });
        }
        self.insert_added(tags).await?;
        for kept in tags {
            self.missing.remove(&kept.blind_index);
        }
        Ok(())
    }

    /// Makes the version the one that is served. Its segments must be on disk before.
    ///
    /// # Errors
    /// [`StoreError::PublicationIncomplete`] unless every page was taken and every missing tag given.
    pub async fn commit(self, manifest: &str, now_ms: i64) -> Result<()> {
        self.finish(manifest, now_ms, None).await
    }

    /// The same together with the ledger's entry.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_with(self, manifest: &str, now_ms: i64, entry: NewEntry) -> Result<()> {
        self.finish(manifest, now_ms, Some(entry)).await
    }

    async fn finish(self, manifest: &str, now_ms: i64, entry: Option<NewEntry>) -> Result<()> {
        if !self.ended || !self.missing.is_empty() {
            return Err(self.incomplete());
        }
        let mut tx = self.store.begin("snapshot_served.publish").await?;
        sqlx::query(
            "INSERT INTO snapshot_served (scope_id, version, manifest, lists, published_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(self.scope.0)
        .bind(to_sql(self.version))
        .bind(manifest)
        .bind(self.lists.as_str())
        .bind(now_ms)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("snapshot", "scope"))?;
        sqlx::query("DELETE FROM snapshot_served WHERE scope_id = ? AND version < ?")
            .bind(self.scope.0)
            .bind(to_sql(self.version.saturating_sub(KEPT_BEFORE)))
            .execute(&mut *tx)
            .await?;
        if let Some(entry) = entry {
            let [nonce] = self.store.nonces();
            tx.record(entry, nonce);
        }
        tx.commit().await
    }

    /// What becomes of one identifier: `visible` now, and `row` if it has a tag.
    fn decide(
        &self,
        visible: Option<BlindIndex>,
        row: Option<Known>,
        marks: &mut Marks,
        page: &mut PublicationPage,
    ) {
        match (visible, row) {
            (None, None) => {}
            (Some(index), None) => marks.untagged.push(index),
            (Some(index), Some(row)) if row.published => {
                if row.removed_mark {
                    marks.keep.push(index);
                }
            }
            (Some(index), Some(row)) => {
                marks.add.push(index);
                page.adds.push(row.tag);
            }
            (None, Some(row)) if row.published => {
                marks.remove.push(row.blind_index);
                page.removes.push(row.tag);
            }
            // Neither visible nor published: there is no reason to keep it.
            (None, Some(row)) => marks.forget.push(row.blind_index),
        }
    }

    /// The next distinct visible identifiers.
    async fn visible(&mut self, limit: u32) -> Result<Vec<BlindIndex>> {
        let rows = sqlx::query(
            "SELECT x.blind_index FROM identifier_index x CROSS JOIN visible_record r ON r.id = x.record_id
             WHERE x.kind = ?1 AND x.blind_index > ?2 AND x.variant <= ?3
               AND r.list_id IN (SELECT value FROM json_each(?4))
             GROUP BY x.blind_index ORDER BY x.blind_index LIMIT ?5",
        )
        .bind(self.selection.kind)
        .bind(after(self.cursor))
        .bind(self.selection.variants)
        .bind(self.selection.lists_json())
        .bind(limit)
        .fetch_all(&mut self.view)
        .await?;
        rows.iter()
            .map(|row| row.bytes("blind_index").map(BlindIndex))
            .collect()
    }

    /// The next tags, published or not.
    async fn known(&mut self, limit: u32) -> Result<Vec<Known>> {
        let latest = to_sql(self.version - 1);
        let rows = sqlx::query(
            "SELECT blind_index, tag, removed_in IS NOT NULL AS removed_mark,
                    coalesce(added_in <= ?3, 0) AND (removed_in IS NULL OR removed_in > ?3) AS published
             FROM own_tag WHERE scope_id = ?1 AND blind_index > ?2
             ORDER BY blind_index LIMIT ?4",
        )
        .bind(self.scope.0)
        .bind(after(self.cursor))
        .bind(latest)
        .bind(limit)
        .fetch_all(&mut self.view)
        .await?;
        let known = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Known {
                blind_index: BlindIndex(row.bytes("blind_index")?),
                tag: row.bytes("tag")?,
                published: row.flag("published")?,
                removed_mark: row.flag("removed_mark")?,
            })
        };
        rows.iter().map(known).collect()
    }

    async fn open_untagged(&mut self, indexes: &[BlindIndex]) -> Result<Vec<IndexedIdentifier>> {
        let rows = sqlx::query(
            "SELECT x.blind_index, min(x.variant) AS variant, i.kind, i.rule, i.grade, i.sealed
             FROM json_each(?1) j
             CROSS JOIN identifier_index x ON x.kind = ?2 AND x.blind_index = unhex(j.value)
             CROSS JOIN visible_record r ON r.id = x.record_id
             CROSS JOIN identifier i
                 ON i.record_id = x.record_id AND i.kind = x.kind AND i.blind_index = x.blind_index
             WHERE x.variant <= ?3 AND r.list_id IN (SELECT value FROM json_each(?4))
             GROUP BY x.blind_index ORDER BY x.blind_index",
        )
        .bind(json_blind_indexes(indexes))
        .bind(self.selection.kind)
        .bind(self.selection.variants)
        .bind(self.selection.lists_json())
        .fetch_all(&mut self.view)
        .await?;
        let sealer = &self.store.inner.sealer;
        rows.iter().map(|row| open_identifier(sealer, row)).collect()
    }

    async fn write(&self, marks: &Marks) -> Result<()> {
        let statements = [
            (
                "UPDATE own_tag SET added_in = ?2, removed_in = NULL
                 WHERE scope_id = ?1 AND blind_index IN (SELECT unhex(value) FROM json_each(?3))",
                &marks.add,
            ),
            (
                "UPDATE own_tag SET removed_in = ?2
                 WHERE scope_id = ?1 AND blind_index IN (SELECT unhex(value) FROM json_each(?3))",
                &marks.remove,
            ),
            (
                "UPDATE own_tag SET removed_in = NULL
                 WHERE scope_id = ?1 AND blind_index IN (SELECT unhex(value) FROM json_each(?3))",
                &marks.keep,
            ),
            (
                "DELETE FROM own_tag
                 WHERE scope_id = ?1 AND blind_index IN (SELECT unhex(value) FROM json_each(?3))",
                &marks.forget,
            ),
        ];
        for (statement, indexes) in statements {
            for batch in indexes.chunks(TAG_BATCH) {
                let mut tx = self.store.begin("own_tag.mark").await?;
                mark(&mut tx, statement, self.scope, self.version, batch).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn insert_added(&self, tags: &[KeptTag]) -> Result<()> {
        for batch in tags.chunks(TAG_BATCH) {
            let mut tx = self.store.begin("own_tag.add").await?;
            let columns = "INSERT INTO own_tag (scope_id, blind_index, tag, added_in)";
            // The row may have come from `insert_own_tags` since the view was opened.
            let conflict = "ON CONFLICT (scope_id, blind_index) DO UPDATE SET added_in = excluded.added_in";
            insert_many(&mut tx, columns, 4, conflict, batch, |query, kept| {
                query
                    .bind(self.scope.0)
                    .bind(kept.blind_index.0.as_slice())
                    .bind(kept.tag.as_slice())
                    .bind(to_sql(self.version))
            })
            .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    fn incomplete(&self) -> StoreError {
        StoreError::PublicationIncomplete { scope: self.scope }
    }
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publication")
            .field("scope", &self.scope)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A row of `own_tag`.
struct Known {
    blind_index: BlindIndex,
    tag: Tag,
    /// In the version that is served now.
    published: bool,
    /// Marked for removal: by a publication that never ended if it is published, by the one before if not.
    removed_mark: bool,
}

#[derive(Default)]
struct Marks {
    add: Vec<BlindIndex>,
    remove: Vec<BlindIndex>,
    keep: Vec<BlindIndex>,
    forget: Vec<BlindIndex>,
    untagged: Vec<BlindIndex>,
}

/// The lists of a selection that exist, each with its revision.
async fn revisions(conn: &mut SqliteConnection, selection: &Selection) -> Result<String> {
    let lists: Vec<String> = sqlx::query_scalar(
        "SELECT id || ':' || revision FROM list
         WHERE deleted_ms IS NULL AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
    )
    .bind(selection.lists_json())
    .fetch_all(conn)
    .await?;
    Ok(lists.join(" "))
}

async fn mark(
    conn: &mut SqliteConnection,
    statement: &'static str,
    scope: ScopeId,
    version: u64,
    batch: &[BlindIndex],
) -> Result<()> {
    sqlx::query(statement)
        .bind(scope.0)
        .bind(to_sql(version))
        .bind(json_blind_indexes(batch))
        .execute(conn)
        .await?;
    Ok(())
}
