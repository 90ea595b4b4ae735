//! Parts of attachments as they travel. They are encrypted under a key that only a sealed message holds, so they are not
//! sealed again.

use crate::case_types::CaseKey;
use crate::types::Columns;
use crate::{Result, Store, StoreError};

/// Most attachments of one side of a case: with at most 200 parts of 256 KiB each, no more than 800 MiB.
pub const MAX_ATTACHMENTS: usize = 16;
/// Most bytes of attachments that one partner's cases keep: 8 GiB.
pub const MAX_PARTNER_BYTES: u64 = 8 << 30;

/// Which part of a case's attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartName {
    /// The attachment's id.
    pub attachment: [u8; 16],
    /// 0, 1, 2 …
    pub part: u32,
}

impl Store {
    /// Keeps a part of an attachment. `sha256` is that of `bytes`, `ours` says that the partner is to have it. The same
    /// part again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown case; [`StoreError::AlreadyExists`] if the part has other bytes, or the
    /// attachment is the other side's; [`StoreError::TooMany`] above [`MAX_ATTACHMENTS`]; [`StoreError::Full`] above
    /// [`MAX_PARTNER_BYTES`] of the other side's; [`StoreError::Invalid`] for part 200 and later, or more bytes than a part has.
    pub async fn put_part(
        &self,
        case: &CaseKey,
        name: PartName,
        sha256: &[u8; 32],
        bytes: &[u8],
        ours: bool,
    ) -> Result<()> {
        let mut tx = self.begin("case_part.put").await?;
        let differs = StoreError::AlreadyExists {
            what: "part of an attachment",
        };
        let there = sqlx::query(
            "SELECT ours, sha256 FROM case_part WHERE case_id = ? AND attachment = ? AND part = ?",
        )
        .bind(case.as_slice())
        .bind(name.attachment.as_slice())
        .bind(name.part)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(there) = there {
            let same = there.flag("ours")? == ours && there.bytes("sha256")? == *sha256;
            return if same { Ok(()) } else { Err(differs) };
        }
        let kept = sqlx::query(
            "SELECT count(DISTINCT CASE WHEN ours = ?3 AND attachment <> ?2 THEN attachment END) AS others,
                 coalesce(max(ours <> ?3 AND attachment = ?2), 0) AS foreign_one
             FROM case_part WHERE case_id = ?1",
        )
        .bind(case.as_slice())
        .bind(name.attachment.as_slice())
        .bind(ours)
        .fetch_one(&mut *tx)
        .await?;
        if kept.flag("foreign_one")? {
            return Err(differs);
        }
        let others: usize = kept.int("others")?;
        if others >= MAX_ATTACHMENTS {
            return Err(StoreError::TooMany {
                what: "attachments",
                given: others + 1,
                max: MAX_ATTACHMENTS,
            });
        }
        if !ours {
            let kept = sqlx::query_scalar(
                "SELECT bytes FROM partner_attachments
                 WHERE partner = (SELECT partner FROM disclosure_case WHERE id = ?)",
            )
            .bind(case.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
            let kept: i64 = kept.unwrap_or(0);
            if u64::try_from(kept).unwrap_or(0) + bytes.len() as u64 > MAX_PARTNER_BYTES {
                return Err(StoreError::Full {
                    what: "attachments of this partner",
                });
            }
        }
        sqlx::query(
            "INSERT INTO case_part (case_id, attachment, part, sha256, ours, delivered, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, NOT ?5, ?6)",
        )
        .bind(case.as_slice())
        .bind(name.attachment.as_slice())
        .bind(name.part)
        .bind(sha256.as_slice())
        .bind(ours)
        .bind(bytes)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("part of an attachment", "case"))?;
        tx.commit().await
    }

    /// The parts of an attachment that are here, in order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn parts(&self, case: &CaseKey, attachment: &[u8; 16]) -> Result<Vec<u32>> {
        let rows =
            sqlx::query("SELECT part FROM case_part WHERE case_id = ? AND attachment = ? ORDER BY part")
                .bind(case.as_slice())
                .bind(attachment.as_slice())
                .fetch_all(&self.inner.reader)
                .await?;
        rows.iter().map(|row| row.int("part")).collect()
    }

    /// The bytes of a part.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn part(&self, case: &CaseKey, name: PartName) -> Result<Option<Vec<u8>>> {
        let bytes = sqlx::query_scalar(
            "SELECT bytes FROM case_part WHERE case_id = ? AND attachment = ? AND part = ?",
        )
        .bind(case.as_slice())
        .bind(name.attachment.as_slice())
        .bind(name.part)
        .fetch_optional(&self.inner.reader)
        .await?;
        Ok(bytes)
    }

    /// Parts of ours that the partner has not acknowledged, by attachment and number, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn parts_to_deliver(&self, case: &CaseKey, limit: u32) -> Result<Vec<PartName>> {
        let rows = sqlx::query(
            "SELECT attachment, part FROM case_part WHERE case_id = ? AND delivered = 0
             ORDER BY attachment, part LIMIT ?",
        )
        .bind(case.as_slice())
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        let name = |row: &sqlx::sqlite::SqliteRow| {
            Ok(PartName {
                attachment: row.bytes("attachment")?,
                part: row.int("part")?,
            })
        };
        rows.iter().map(name).collect()
    }

    /// The partner has acknowledged a part of ours.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn part_delivered(&self, case: &CaseKey, name: PartName) -> Result<()> {
        let mut tx = self.begin("case_part.delivered").await?;
        let changed = sqlx::query(
            "UPDATE case_part SET delivered = 1 WHERE case_id = ? AND attachment = ? AND part = ? AND ours = 1",
        )
        .bind(case.as_slice())
        .bind(name.attachment.as_slice())
        .bind(name.part)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NotFound {
                what: "part of an attachment",
            });
        }
        tx.commit().await
    }
}
