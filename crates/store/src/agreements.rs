//! Agreements: the documents both agencies signed, and whether they are in force.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::types::{Columns, words};
use crate::{Result, Store, StoreError};

words! {
    /// Whether an agreement is in force.
    AgreementStatus {
        /// Signed by one side only.
        Proposed = "proposed",
        /// In force.
        Active = "active",
        /// Stopped for now by one side.
        Suspended = "suspended",
        /// Replaced by a newer document.
        Superseded = "superseded",
        /// Over.
        Ended = "ended",
    }
}

impl AgreementStatus {
    const fn can_become(self, next: Self) -> bool {
        use AgreementStatus::{Active, Ended, Proposed, Superseded, Suspended};
        match self {
            Proposed => matches!(next, Active | Superseded | Ended),
            Active => matches!(next, Suspended | Superseded | Ended),
            Suspended => matches!(next, Active | Superseded | Ended),
            Superseded | Ended => false,
        }
    }
}

/// An agreement to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAgreement {
    /// Its id, as in the document.
    pub id: String,
    /// SHA-256 of the document's text. Never changes; another text is another agreement.
    pub digest: [u8; 32],
    /// The signed note: the text and the signatures so far.
    pub note: String,
    /// Whether it is in force.
    pub status: AgreementStatus,
    /// The other agency's id.
    pub partner: String,
    /// We own an offer of it: the partner asks us.
    pub owns: bool,
    /// The partner owns an offer of it: we ask.
    pub asks: bool,
}

/// An agreement that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// What was kept.
    pub agreement: NewAgreement,
    /// Where we suspended it, why.
    pub stopped_because: Option<String>,
    /// When it was first kept, Unix milliseconds.
    pub created_ms: i64,
    /// When its note or status last changed, Unix milliseconds.
    pub updated_ms: i64,
}

impl Store {
    /// Keeps an agreement. Keeping the same text again replaces note and roles, and what was proposed is active if `new`
    /// says so (with the other signature, say); every other status stays as it is.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the id stands for another text or another partner.
    pub async fn put_agreement(&self, new: &NewAgreement, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("agreement.put").await?;
        let kept = sqlx::query(
            "INSERT INTO agreement (id, digest, note, status, partner, owns, asks, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
             ON CONFLICT (id) DO UPDATE
             SET note = excluded.note, owns = excluded.owns, asks = excluded.asks, updated_ms = excluded.updated_ms,
                 status = iif(status = 'proposed' AND excluded.status = 'active', 'active', status)
             WHERE digest = excluded.digest AND partner = excluded.partner",
        )
        .bind(new.id.as_str())
        .bind(new.digest.as_slice())
        .bind(new.note.as_str())
        .bind(new.status.as_str())
        .bind(new.partner.as_str())
        .bind(new.owns)
        .bind(new.asks)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() == 0 {
            return Err(StoreError::AlreadyExists { what: "agreement" });
        }
        tx.commit().await
    }

    /// Stops it for now and keeps why. One that is suspended already keeps its first reason.
    ///
    /// # Errors
    /// As [`Store::set_agreement_status`].
    pub async fn suspend_agreement(&self, id: &str, because: &str, now_ms: i64) -> Result<()> {
        self.change_agreement(id, AgreementStatus::Suspended, Some(because), now_ms)
            .await
    }

    /// Ends it for good and keeps why. One that has not been signed by both is withdrawn by that.
    ///
    /// # Errors
    /// As [`Store::set_agreement_status`].
    pub async fn end_agreement(&self, id: &str, because: &str, now_ms: i64) -> Result<()> {
        self.change_agreement(id, AgreementStatus::Ended, Some(because), now_ms)
            .await
    }

    /// Changes the status. The same status again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::InvalidTransition`] unless proposed → active ↔ suspended, and from
    /// each of these → superseded or ended.
    pub async fn set_agreement_status(&self, id: &str, status: AgreementStatus, now_ms: i64) -> Result<()> {
        self.change_agreement(id, status, None, now_ms).await
    }

    async fn change_agreement(
        &self,
        id: &str,
        status: AgreementStatus,
        because: Option<&str>,
        now_ms: i64,
    ) -> Result<()> {
        let mut tx = self.begin("agreement.set_status").await?;
        let row = sqlx::query("SELECT status FROM agreement WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let row = row.ok_or(StoreError::NotFound { what: "agreement" })?;
        let present = AgreementStatus::from_column(&row, "status")?;
        if present == status {
            return Ok(());
        }
        if !present.can_become(status) {
            return Err(StoreError::InvalidTransition {
                what: "agreement",
                from: present.as_str(),
                to: status.as_str(),
            });
        }
        sqlx::query("UPDATE agreement SET status = ?, stopped_because = ?, updated_ms = ? WHERE id = ?")
            .bind(status.as_str())
            .bind(because)
            .bind(now_ms)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// The agreement of this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn agreement(&self, id: &str) -> Result<Option<Agreement>> {
        let row = sqlx::query("SELECT * FROM agreement WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.inner.reader)
            .await?;
        row.as_ref().map(agreement_of).transpose()
    }

    /// All agreements by id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn agreements(&self) -> Result<Vec<Agreement>> {
        let rows = sqlx::query("SELECT * FROM agreement ORDER BY id")
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(agreement_of).collect()
    }
}

fn agreement_of(row: &SqliteRow) -> Result<Agreement> {
    Ok(Agreement {
        agreement: NewAgreement {
            id: row.try_get("id")?,
            digest: row.bytes("digest")?,
            note: row.try_get("note")?,
            status: AgreementStatus::from_column(row, "status")?,
            partner: row.try_get("partner")?,
            owns: row.flag("owns")?,
            asks: row.flag("asks")?,
        },
        stopped_because: row.try_get("stopped_because")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}
