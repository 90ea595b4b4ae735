//! Budgets: how many padded elements a scope may still cost, per day and per epoch, and a request in all.
//!
//! Kept on both sides: by the owner to refuse, by the requester to know before asking. An epoch is a scope, so
//! what is used of an epoch is what is used of its scope. A day belongs to the offer: two epochs may meet in it, and
//! a change of key is no second quota.

mod tally;

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;

use crate::ledger::NewEntry;
use crate::log::{Exchange, MAX_EXCHANGES};
use crate::types::{Columns, ScopeId};
use crate::{Result, Store, StoreError};
use tally::Tally;

/// Most charges in one call: some milliseconds of work.
pub const MAX_CHARGES: usize = 256;

/// What an offer allows, in padded elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Per day (UTC).
    pub per_day: u64,
    /// Per epoch.
    pub per_epoch: u64,
}

/// The cost of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The scope that pays.
    pub scope: ScopeId,
    /// What it may cost.
    pub quota: Quota,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// The request.
    pub request_id: [u8; 16],
    /// How many elements the request said it would be, all chunks together. It is what the record of the request
    /// says, so no more is charged under its id.
    pub announced: u64,
    /// The chunk within the request.
    pub chunk_index: u32,
    /// A digest of the chunk's elements: what makes a chunk sent again the same chunk.
    pub digest: [u8; 32],
    /// How many elements, padding included.
    pub elements: u32,
}

/// Which of the two limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// That of the day.
    Day,
    /// That of the epoch.
    Epoch,
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// Charged, and on disk: evaluate.
    Charged {
        /// Elements left today.
        left_day: u64,
        /// Elements left in the epoch.
        left_epoch: u64,
    },
    /// The same chunk was charged before: evaluate again, it costs nothing.
    AlreadyCharged,
    /// The chunk's number was charged for other elements: refuse.
    DigestMismatch,
    /// There is no such scope, or its key was destroyed: refuse. Nothing was charged.
    ScopeEnded,
    /// With this chunk the request would be larger than it announced: refuse. Nothing was charged.
    MoreThanAnnounced {
        /// What is left of what was announced.
        left: u64,
    },
    /// The request's id belongs to another request: refuse. Nothing was charged.
    ForeignRequest,
    /// It does not fit: refuse. Nothing was charged.
    QuotaExceeded {
        /// The limit that it exceeds; if both, that of the epoch.
        which: Budget,
        /// What is left under that limit.
        left: u64,
        /// When that limit is fresh again, Unix milliseconds; `None` for the epoch, whose end the key decides.
        resets_at_ms: Option<i64>,
    },
}

impl ChargeOutcome {
    /// Whether the chunk is paid for, now or before.
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Charged { .. } | Self::AlreadyCharged)
    }
}

/// What the ledger has to be told of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How often the exchange has been closed before.
    pub closed: u32,
    /// `None`: it begins, or goes on after it was closed. Else all that it announced has been charged: it ends here.
    pub ended: Option<Answered>,
}

/// The chunks of a request that were charged, so answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Elements in all of them.
    pub elements: u64,
    /// Number and digest of each, in order.
    pub chunks: Vec<(u32, [u8; 32])>,
}

/// What was charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// On the day, in all epochs of the offer that met in it.
    pub day: u64,
    /// In the epoch.
    pub epoch: u64,
}

impl Store {
    /// Charges chunks, each on its own, all in one transaction: collect what arrives together and pay for the disk
    /// once. Outcomes are in the order of `charges`; one that is refused is refused alone. What is charged is on disk
    /// when this returns, and is never charged again for the same scope, request, chunk number and digest.
    ///
    /// A request that is not known to be on record is given with each of its charges, after the charge's position: it is put on
    /// record with the first one that is charged. Of what is refused nothing is kept here: that costs its sender nothing, and may be
    /// sent without end.
    ///
    /// `record` makes the ledger's entry where the charge in that position begins an exchange or ends one, or goes on with one that
    /// was closed.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] above [`MAX_CHARGES`] or [`MAX_EXCHANGES`]; [`StoreError::NotRecorded`] if `record` gives none; or
    /// the database failed. Then nothing was charged.
    pub async fn charge(
        &self,
        requests: &[(usize, &Exchange)],
        charges: &[Charge],
        now_ms: i64,
        record: impl Fn(usize, Progress) -> Option<NewEntry> + Send,
    ) -> Result<Vec<ChargeOutcome>> {
        for (what, given, max) in [
            ("charges", charges.len(), MAX_CHARGES),
            ("exchanges", requests.len(), MAX_EXCHANGES),
        ] {
            if given > max {
                return Err(StoreError::TooMany { what, given, max });
            }
        }
        let mut tx = self.begin("charge.add").await?;
        let mut tally = Tally::default();
        tally.read(&mut tx, charges).await?;
        let given: BTreeMap<usize, &Exchange> = requests.iter().copied().collect();
        let outcomes = charges.iter().enumerate().map(|(position, charge)| {
            let request = given.get(&position).copied();
            tally.charge(position, charge, request)
        });
        let outcomes = outcomes.collect();
        let begun = tally.begun().iter();
        let begun: Vec<(usize, &Exchange)> = begun
            .filter_map(|position| Some((*position, *given.get(position)?)))
            .collect();
        let rows: Vec<&Exchange> = begun.iter().map(|(_, exchange)| *exchange).collect();
        if self.insert_exchanges(&mut tx, &rows).await?.len() < rows.len() {
            return Err(StoreError::AlreadyExists { what: "exchange" });
        }
        let begun = begun
            .into_iter()
            .map(|(position, _)| (position, Progress::default()));
        let follows = tally.write(&mut tx, charges, now_ms).await?;
        for (position, progress) in begun.chain(follows) {
            let entry = record(position, progress).ok_or(StoreError::NotRecorded)?;
            let [nonce] = self.nonces();
            tx.record(entry, nonce);
        }
        tx.commit().await?;
        Ok(outcomes)
    }

    /// The chunks of a request that were charged.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn answered(&self, scope: ScopeId, request_id: &[u8; 16]) -> Result<Answered> {
        let mut view = self.inner.reader.begin().await?;
        answered(&mut view, scope, request_id).await
    }

    /// What was charged to a scope's offer on a day, and to the scope in its epoch.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn usage(&self, scope: ScopeId, day: i32) -> Result<Usage> {
        let mut view = self.inner.reader.begin().await?;
        usage(&mut view, scope, day).await
    }
}

async fn answered(conn: &mut SqliteConnection, scope: ScopeId, request_id: &[u8; 16]) -> Result<Answered> {
    let rows = sqlx::query(
        "SELECT chunk_index, digest, elements FROM charge WHERE scope_id = ? AND request_id = ? ORDER BY chunk_index",
    )
    .bind(scope.0)
    .bind(request_id.as_slice())
    .fetch_all(conn)
    .await?;
    let mut answered = Answered::default();
    for row in &rows {
        answered.elements += row.int::<u64>("elements")?;
        answered
            .chunks
            .push((row.int("chunk_index")?, row.bytes("digest")?));
    }
    Ok(answered)
}

async fn usage(conn: &mut SqliteConnection, scope: ScopeId, day: i32) -> Result<Usage> {
    let row = sqlx::query(
        "SELECT coalesce((SELECT u.elements FROM scope s CROSS JOIN usage_day u
                          ON u.agreement_id = s.agreement_id AND u.offer_id = s.offer_id AND u.role = s.role
                          WHERE s.id = ?1 AND u.day = ?2), 0) AS day,
                coalesce((SELECT elements FROM usage_epoch WHERE scope_id = ?1), 0) AS epoch",
    )
    .bind(scope.0)
    .bind(day)
    .fetch_one(conn)
    .await?;
    Ok(Usage {
        day: row.int("day")?,
        epoch: row.int("epoch")?,
    })
}
