//! What the node wishes to remember about itself: small texts by name. Nothing secret.

use crate::{Result, Store};

impl Store {
    /// The fact of this name.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn fact(&self, key: &str) -> Result<Option<String>> {
        let query = sqlx::query_scalar("SELECT value FROM fact WHERE key = ?").bind(key);
        Ok(query.fetch_optional(&self.inner.reader).await?)
    }

    /// Keeps a fact, replacing an earlier one of the same name.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn set_fact(&self, key: &str, value: &str, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("fact.set").await?;
        sqlx::query(
            "INSERT INTO fact (key, value, updated_ms) VALUES (?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms",
        )
        .bind(key)
        .bind(value)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}
