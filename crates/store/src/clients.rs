//! The agency's own systems that may call this node, by their certificates.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::types::Columns;
use crate::{Result, Store, StoreError};

/// A system that may call, or might once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiClient {
    /// Unique among those not revoked.
    pub name: String,
    /// SHA-256 of its certificate in DER.
    pub cert_sha256: [u8; 32],
    /// It may audit, and do nothing else.
    pub auditor: bool,
    /// When it was added, Unix milliseconds.
    pub created_ms: i64,
    /// When it was revoked, Unix milliseconds.
    pub revoked_ms: Option<i64>,
}

impl Store {
    /// Lets a system call. Adding the same name and certificate again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name stands for another certificate, or the certificate was ever given to
    /// a client, revoked ones included: a revocation is final.
    pub async fn add_client(&self, name: &str, cert_sha256: &[u8; 32], now_ms: i64) -> Result<()> {
        self.add(name, cert_sha256, false, now_ms).await
    }

    /// Lets an auditor call, who may do nothing else. As [`add_client`](Self::add_client).
    ///
    /// # Errors
    /// As [`add_client`](Self::add_client).
    pub async fn add_auditor(&self, name: &str, cert_sha256: &[u8; 32], now_ms: i64) -> Result<()> {
        self.add(name, cert_sha256, true, now_ms).await
    }

    async fn add(&self, name: &str, cert_sha256: &[u8; 32], auditor: bool, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("api_client.add").await?;
        let same: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM api_client WHERE name = ? AND cert_sha256 = ? AND auditor = ? AND revoked_ms IS NULL",
        )
        .bind(name)
        .bind(cert_sha256.as_slice())
        .bind(auditor)
        .fetch_one(&mut *tx)
        .await?;
        if same > 0 {
            return Ok(());
        }
        sqlx::query("INSERT INTO api_client (name, cert_sha256, auditor, created_ms) VALUES (?, ?, ?, ?)")
            .bind(name)
            .bind(cert_sha256.as_slice())
            .bind(auditor)
            .bind(now_ms)
            .execute(&mut *tx)
            .await
            .map_err(StoreError::on_insert("client", "client"))?;
        tx.commit().await
    }

    /// Stops a system from calling, for good. Its name may be given to a new certificate.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_client(&self, name: &str, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("api_client.revoke").await?;
        let revoked =
            sqlx::query("UPDATE api_client SET revoked_ms = ? WHERE name = ? AND revoked_ms IS NULL")
                .bind(now_ms)
                .bind(name)
                .execute(&mut *tx)
                .await?;
        if revoked.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "client" });
        }
        tx.commit().await
    }

    /// The client that this certificate was given to, one that was revoked included.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn client_of_certificate(&self, cert_sha256: &[u8; 32]) -> Result<Option<ApiClient>> {
        let row = sqlx::query("SELECT * FROM api_client WHERE cert_sha256 = ?")
            .bind(cert_sha256.as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        row.as_ref().map(client_of).transpose()
    }

    /// All clients by name, revoked ones included.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn clients(&self) -> Result<Vec<ApiClient>> {
        let rows = sqlx::query("SELECT * FROM api_client ORDER BY name, id")
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(client_of).collect()
    }
}

fn client_of(row: &SqliteRow) -> Result<ApiClient> {
    Ok(ApiClient {
        name: row.try_get("name")?,
        cert_sha256: row.bytes("cert_sha256")?,
        auditor: row.try_get("auditor")?,
        created_ms: row.try_get("created_ms")?,
        revoked_ms: row.try_get("revoked_ms")?,
    })
}
