//! Snapshots: which version of a scope we serve, which we hold. The segments themselves are files.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::types::{Columns, ScopeId, to_sql};
use crate::{Result, Store, StoreError};

/// Manifests kept before the newest one, served and held: enough to tell what changed last.
pub(crate) const KEPT_BEFORE: u64 = 8;

/// A version of a scope's tag set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its scope.
    pub scope: ScopeId,
    /// Counts up from 1.
    pub version: u64,
    /// The owner's signed manifest.
    pub manifest: String,
    /// When it was published (served) or installed (held), Unix milliseconds.
    pub at_ms: i64,
}

impl Store {
    /// The newest snapshot of a scope that we serve. New ones come from
    /// [`Publication::commit`](crate::Publication::commit).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn latest_served(&self, scope: ScopeId) -> Result<Option<Snapshot>> {
        let row = sqlx::query(
            "SELECT scope_id, version, manifest, published_ms AS at_ms FROM snapshot_served
             WHERE scope_id = ? ORDER BY version DESC LIMIT 1",
        )
        .bind(scope.0)
        .fetch_optional(&self.inner.reader)
        .await?;
        row.as_ref().map(snapshot_of).transpose()
    }

    /// The newest snapshot of a scope that we hold.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn latest_held(&self, scope: ScopeId) -> Result<Option<Snapshot>> {
        let row = sqlx::query(
            "SELECT scope_id, version, manifest, installed_ms AS at_ms FROM snapshot_held
             WHERE scope_id = ? ORDER BY version DESC LIMIT 1",
        )
        .bind(scope.0)
        .fetch_optional(&self.inner.reader)
        .await?;
        row.as_ref().map(snapshot_of).transpose()
    }

    /// Takes a partner's snapshot into use, once all its segments are there and verified. The same version with the
    /// same manifest again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::OlderSnapshot`] if a newer version is held; [`StoreError::SnapshotEquivocation`] if this version
    /// came before with another manifest. In both cases what is held stays in use.
    pub async fn install_snapshot(
        &self,
        scope: ScopeId,
        version: u64,
        manifest: &str,
        now_ms: i64,
    ) -> Result<()> {
        let mut tx = self.begin("snapshot_held.install").await?;
        let newest = sqlx::query(
            "SELECT version, manifest FROM snapshot_held WHERE scope_id = ? ORDER BY version DESC LIMIT 1",
        )
        .bind(scope.0)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = newest {
            let held: u64 = row.int("version")?;
            if version < held {
                return Err(StoreError::OlderSnapshot {
                    held,
                    offered: version,
                });
            }
            if version == held {
                let same = row.try_get::<&str, _>("manifest")? == manifest;
                return if same {
                    Ok(())
                } else {
                    Err(StoreError::SnapshotEquivocation { version })
                };
            }
        }
        sqlx::query(
            "INSERT INTO snapshot_held (scope_id, version, manifest, installed_ms) VALUES (?, ?, ?, ?)",
        )
        .bind(scope.0)
        .bind(to_sql(version))
        .bind(manifest)
        .bind(now_ms)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("snapshot", "scope"))?;
        sqlx::query("DELETE FROM snapshot_held WHERE scope_id = ? AND version < ?")
            .bind(scope.0)
            .bind(to_sql(version.saturating_sub(KEPT_BEFORE)))
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

fn snapshot_of(row: &SqliteRow) -> Result<Snapshot> {
    Ok(Snapshot {
        scope: ScopeId(row.try_get("scope_id")?),
        version: row.int("version")?,
        manifest: row.try_get("manifest")?,
        at_ms: row.try_get("at_ms")?,
    })
}
