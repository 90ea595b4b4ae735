//! Scopes (agreement, offer, epoch) and the key of each: pinned, sealed, and in the end destroyed.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::db::Erasure;
use crate::seal::Cell;
use crate::types::{Columns, ScopeId, words};
use crate::{Result, Store, StoreError};

/// Before the seed in what is sealed, so that the seed lies on an overflow page of its own: SQLite overwrites such a
/// page when its row is deleted and never copies it, whereas a row inside a page may leave a copy behind when it is
/// moved to another.
const PADDING: [u8; 4_096] = [0; 4_096];

words! {
    /// Which side of a scope we are.
    ScopeRole {
        /// Our lists, our key: we are asked.
        Owner = "owner",
        /// Our questions, the partner's key.
        Requester = "requester",
    }
}

words! {
    /// Whether a scope's key may be used.
    ScopeStatus {
        /// In use during its time.
        Active = "active",
        /// No longer for new exchanges; the key is still there.
        Retired = "retired",
        /// The key is gone, and with it what was computed under it.
        Destroyed = "destroyed",
    }
}

/// Which side we are in a new scope, with the key if it is ours.
#[derive(Clone)]
pub enum NewScopeRole {
    /// We own it.
    Owner {
        /// The OPRF seed, drawn fresh for this epoch (RFC 9497 §3.2.1). Sealed at rest.
        seed: Zeroizing<[u8; 32]>,
    },
    /// The partner owns it; only the public key is known here.
    Requester,
}

impl NewScopeRole {
    /// The role without the key.
    pub fn role(&self) -> ScopeRole {
        match self {
            Self::Owner { .. } => ScopeRole::Owner,
            Self::Requester => ScopeRole::Requester,
        }
    }
}

impl fmt::Debug for NewScopeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.role().as_str())
    }
}

/// A scope to be created.
#[derive(Clone, Debug)]
pub struct NewScope {
    /// The agreement.
    pub agreement_id: String,
    /// Its offer.
    pub offer_id: String,
    /// The epoch.
    pub epoch: u32,
    /// Which side we are.
    pub role: NewScopeRole,
    /// The pinned public key.
    pub public_key: [u8; 32],
    /// The owner's signed statement that pins it.
    pub key_note: String,
    /// The key is used from here, Unix milliseconds, ...
    pub not_before_ms: i64,
    /// ... until before here.
    pub not_after_ms: i64,
}

/// A scope that is kept. The seed is read apart ([`Store::scope_seed`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its id.
    pub id: ScopeId,
    /// The agreement.
    pub agreement_id: String,
    /// Its offer.
    pub offer_id: String,
    /// The epoch.
    pub epoch: u32,
    /// Which side we are.
    pub role: ScopeRole,
    /// The pinned public key.
    pub public_key: [u8; 32],
    /// The owner's signed statement that pins it.
    pub key_note: String,
    /// The key is used from here, Unix milliseconds, ...
    pub not_before_ms: i64,
    /// ... until before here.
    pub not_after_ms: i64,
    /// Whether the key may be used.
    pub status: ScopeStatus,
}

impl Store {
    /// Creates a scope. Its key never changes.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the epoch has its key; [`StoreError::NotFound`] if there is no such agreement.
    pub async fn create_scope(&self, new: &NewScope, now_ms: i64) -> Result<ScopeId> {
        let mut tx = self.begin("scope.create").await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO scope (agreement_id, offer_id, epoch, role, public_key, key_note, not_before_ms,
                                not_after_ms, status, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'active', ?9, ?9) RETURNING id",
        )
        .bind(new.agreement_id.as_str())
        .bind(new.offer_id.as_str())
        .bind(new.epoch)
        .bind(new.role.role().as_str())
        .bind(new.public_key.as_slice())
        .bind(new.key_note.as_str())
        .bind(new.not_before_ms)
        .bind(new.not_after_ms)
        .bind(now_ms)
        .fetch_one(&mut *tx)
        .await
        .map_err(StoreError::on_insert("scope", "agreement"))?;
        if let NewScopeRole::Owner { seed } = &new.role {
            let [nonce] = self.nonces();
            let plain = Zeroizing::new([&PADDING[..], seed.as_slice()].concat());
            let seal = |cell: &Cell<'_>| self.inner.sealer.seal(cell, &nonce, &plain);
            let sealed = with_seed_cell(&new.agreement_id, &new.offer_id, new.epoch, &new.public_key, seal)?;
            sqlx::query("INSERT INTO scope_key (scope_id, seed_sealed) VALUES (?, ?)")
                .bind(id)
                .bind(sealed)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(ScopeId(id))
    }

    /// The scope of this id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn scope(&self, scope: ScopeId) -> Result<Scope> {
        let row = sqlx::query("SELECT * FROM scope WHERE id = ?")
            .bind(scope.0)
            .fetch_optional(&self.inner.reader)
            .await?;
        scope_of(&row.ok_or(StoreError::NotFound { what: "scope" })?)
    }

    /// The scope of an offer's epoch, as the side that we are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn scope_of_epoch(
        &self,
        agreement_id: &str,
        offer_id: &str,
        epoch: u32,
        role: ScopeRole,
    ) -> Result<Option<Scope>> {
        let query = "SELECT * FROM scope WHERE agreement_id = ? AND offer_id = ? AND epoch = ? AND role = ?";
        let row = sqlx::query(query)
            .bind(agreement_id)
            .bind(offer_id)
            .bind(epoch)
            .bind(role.as_str())
            .fetch_optional(&self.inner.reader)
            .await?;
        row.as_ref().map(scope_of).transpose()
    }

    /// The active scope of an offer at a time: of several, the newest epoch.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn active_scope(
        &self,
        agreement_id: &str,
        offer_id: &str,
        role: ScopeRole,
        at_ms: i64,
    ) -> Result<Option<Scope>> {
        let row = sqlx::query(
            "SELECT * FROM scope WHERE agreement_id = ?1 AND offer_id = ?2 AND role = ?3 AND status = 'active'
             AND not_before_ms <= ?4 AND ?4 < not_after_ms ORDER BY epoch DESC LIMIT 1",
        )
        .bind(agreement_id)
        .bind(offer_id)
        .bind(role.as_str())
        .bind(at_ms)
        .fetch_optional(&self.inner.reader)
        .await?;
        row.as_ref().map(scope_of).transpose()
    }

    /// All scopes of an agreement by offer and epoch.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn scopes(&self, agreement_id: &str) -> Result<Vec<Scope>> {
        let rows = sqlx::query("SELECT * FROM scope WHERE agreement_id = ? ORDER BY offer_id, epoch, role")
            .bind(agreement_id)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(scope_of).collect()
    }

    /// The OPRF seed of a scope we own, opened. Wiped when dropped.
    ///
    /// # Errors
    /// [`StoreError::NoKey`] if the key was destroyed or is the partner's; [`StoreError::Sealed`].
    pub async fn scope_seed(&self, scope: ScopeId) -> Result<Zeroizing<[u8; 32]>> {
        let row = sqlx::query(
            "SELECT s.*, k.seed_sealed FROM scope s LEFT JOIN scope_key k ON k.scope_id = s.id WHERE id = ?",
        )
        .bind(scope.0)
        .fetch_optional(&self.inner.reader)
        .await?;
        let row = row.ok_or(StoreError::NotFound { what: "scope" })?;
        let kept = scope_of(&row)?;
        let Some(sealed) = row.try_get::<Option<&[u8]>, _>("seed_sealed")? else {
            let destroyed = kept.role == ScopeRole::Owner;
            return Err(StoreError::NoKey { scope, destroyed });
        };
        let open = |cell: &Cell<'_>| self.inner.sealer.open(cell, sealed);
        let opened = with_seed_cell(
            &kept.agreement_id,
            &kept.offer_id,
            kept.epoch,
            &kept.public_key,
            open,
        )?;
        let seed = opened.last_chunk::<32>().ok_or(StoreError::Corrupt {
            what: "scope_key.seed_sealed",
        })?;
        Ok(Zeroizing::new(*seed))
    }

    /// Takes a scope out of use; its key stays until it is destroyed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::InvalidTransition`] if it was destroyed.
    pub async fn retire_scope(&self, scope: ScopeId, now_ms: i64) -> Result<()> {
        self.end_scope(scope, ScopeStatus::Retired, now_ms).await
    }

    /// Destroys the key of a scope: the sealed seed is overwritten in the database, and the log that may hold an
    /// earlier copy is emptied. For a requester it ends the scope. Tags and charges of the scope go in the
    /// background ([`Store::purge_step`]). Backups made before still hold the sealed seed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn destroy_key(&self, scope: ScopeId, now_ms: i64) -> Result<Erasure> {
        self.end_scope(scope, ScopeStatus::Destroyed, now_ms).await?;
        self.checkpoint().await
    }

    async fn end_scope(&self, scope: ScopeId, status: ScopeStatus, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("scope.end").await?;
        let row = sqlx::query("SELECT status FROM scope WHERE id = ?")
            .bind(scope.0)
            .fetch_optional(&mut *tx)
            .await?;
        let row = row.ok_or(StoreError::NotFound { what: "scope" })?;
        let present = ScopeStatus::from_column(&row, "status")?;
        if present == status {
            return Ok(());
        }
        if present == ScopeStatus::Destroyed {
            return Err(StoreError::InvalidTransition {
                what: "scope",
                from: present.as_str(),
                to: status.as_str(),
            });
        }
        // A trigger deletes the seed of a scope that is destroyed.
        sqlx::query("UPDATE scope SET status = ?, updated_ms = ? WHERE id = ?")
            .bind(status.as_str())
            .bind(now_ms)
            .bind(scope.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

/// The place of a seed: its scope and the public key it makes.
fn with_seed_cell<T>(
    agreement_id: &str,
    offer_id: &str,
    epoch: u32,
    public_key: &[u8; 32],
    work: impl FnOnce(&Cell<'_>) -> T,
) -> T {
    work(&Cell {
        table: "scope_key",
        column: "seed_sealed",
        key: &[
            agreement_id.as_bytes(),
            offer_id.as_bytes(),
            &epoch.to_be_bytes(),
            public_key,
        ],
    })
}

fn scope_of(row: &SqliteRow) -> Result<Scope> {
    Ok(Scope {
        id: ScopeId(row.try_get("id")?),
        agreement_id: row.try_get("agreement_id")?,
        offer_id: row.try_get("offer_id")?,
        epoch: row.int("epoch")?,
        role: ScopeRole::from_column(row, "role")?,
        public_key: row.bytes("public_key")?,
        key_note: row.try_get("key_note")?,
        not_before_ms: row.try_get("not_before_ms")?,
        not_after_ms: row.try_get("not_after_ms")?,
        status: ScopeStatus::from_column(row, "status")?,
    })
}
