//! Budgets: how many padded elements a scope may still cost, per day and per epoch, and a request in all.
//!
//! Kept on both sides: by the owner to refuse, by the requester to know before asking. An epoch is a scope, so
//! what is used of an epoch is what is used of its scope. A day belongs to the offer: two epochs may meet in it, and
//! a change of key is no second quota.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::ledger::{NewEntry, entries_of};
use crate::log::{close_exchange, open_exchange};
use crate::types::{Columns, ScopeId, to_sql};
use crate::{Result, Store, StoreError};

/// Most charges in one call: some milliseconds of work.
pub const MAX_CHARGES: usize = 256;

const DAY_MS: i64 = 86_400_000;

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

/// What the ledger has to be told of a request that was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How often the exchange has been closed before.
    pub closed: u32,
    /// `None`: it goes on after it was closed. Else all that it announced has been charged: it ends here.
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
    /// `record` makes the ledger's entry where the charge in that position ends an exchange, or goes on with one that was
    /// closed.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] above [`MAX_CHARGES`]; [`StoreError::NotRecorded`] if `record` gives none; or the database
    /// failed. Then nothing was charged.
    pub async fn charge(
        &self,
        charges: &[Charge],
        now_ms: i64,
        record: impl Fn(usize, Progress) -> Option<NewEntry> + Send,
    ) -> Result<Vec<ChargeOutcome>> {
        if charges.len() > MAX_CHARGES {
            return Err(StoreError::TooMany {
                what: "charges",
                given: charges.len(),
                max: MAX_CHARGES,
            });
        }
        let mut tx = self.begin("charge.add").await?;
        let mut tally = Tally::default();
        let mut outcomes = Vec::with_capacity(charges.len());
        for (position, charge) in charges.iter().enumerate() {
            outcomes.push(tally.charge(&mut tx, (position, charge), now_ms).await?);
        }
        tally.write(&mut tx).await?;
        for request in tally.requests.values() {
            let Some(position) = request.charged else { continue };
            let Some(charge) = charges.get(position) else {
                continue;
            };
            if let Some(progress) = progress(&mut tx, charge, request.used.now(), now_ms).await? {
                let entry = record(position, progress).ok_or(StoreError::NotRecorded)?;
                let [nonce] = self.nonces();
                tx.record(entry, nonce);
            }
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

/// What was used before this call, and in it.
#[derive(Clone, Copy, Default)]
struct Counter {
    before: u64,
    added: u64,
}

impl Counter {
    fn now(self) -> u64 {
        self.before + self.added
    }
}

/// An offer in one direction: agreement, offer, role.
type OfferKey = (String, String, String);

struct Request {
    used: Counter,
    /// The last of this call's charges that was charged to it.
    charged: Option<usize>,
}

/// The counters that a call has to do with: each is read once and written once, whatever the number of chunks.
#[derive(Default)]
struct Tally {
    /// The offer of each scope that may be charged; `None` where it may not.
    scopes: BTreeMap<(i64, i32), Option<OfferKey>>,
    days: BTreeMap<(OfferKey, i32), Counter>,
    epochs: BTreeMap<i64, Counter>,
    requests: BTreeMap<(i64, [u8; 16]), Request>,
}

impl Tally {
    async fn charge(
        &mut self,
        conn: &mut SqliteConnection,
        (position, charge): (usize, &Charge),
        now_ms: i64,
    ) -> Result<ChargeOutcome> {
        let Some(offer) = self.offer(conn, charge).await? else {
            return Ok(ChargeOutcome::ScopeEnded);
        };
        let scope = charge.scope.0;
        let day = self.days.entry((offer, charge.day)).or_default();
        let epoch = self.epochs.entry(scope).or_default();
        let request = match self.requests.entry((scope, charge.request_id)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Request {
                used: Counter {
                    before: used_by_request(conn, charge).await?,
                    added: 0,
                },
                charged: None,
            }),
        };
        let elements = u64::from(charge.elements);
        let left = charge.announced.saturating_sub(request.used.now());
        let outcome = if elements > left {
            ChargeOutcome::MoreThanAnnounced { left }
        } else {
            let used = Usage {
                day: day.now(),
                epoch: epoch.now(),
            };
            decide(charge, used)
        };
        // A chunk that came before is what it was then, whatever is left now.
        let fits = matches!(outcome, ChargeOutcome::Charged { .. });
        if !fits || !insert(conn, charge, now_ms).await? {
            return Ok(match charged_digest(conn, charge).await? {
                Some(digest) if digest == charge.digest => ChargeOutcome::AlreadyCharged,
                Some(_) => ChargeOutcome::DigestMismatch,
                None => outcome,
            });
        }
        for counter in [day, epoch, &mut request.used] {
            counter.added += elements;
        }
        request.charged = Some(position);
        Ok(outcome)
    }

    /// The offer that a charge is under, its counters read; `None` if its scope may not be charged.
    async fn offer(&mut self, conn: &mut SqliteConnection, charge: &Charge) -> Result<Option<OfferKey>> {
        let place = (charge.scope.0, charge.day);
        if let Some(known) = self.scopes.get(&place) {
            return Ok(known.clone());
        }
        let row = sqlx::query(
            "SELECT s.agreement_id, s.offer_id, s.role,
                    coalesce((SELECT u.elements FROM usage_day u
                              WHERE u.agreement_id = s.agreement_id AND u.offer_id = s.offer_id AND u.role = s.role
                                  AND u.day = ?2), 0) AS day,
                    coalesce((SELECT elements FROM usage_epoch WHERE scope_id = s.id), 0) AS epoch
             FROM scope s WHERE s.id = ?1 AND s.status <> 'destroyed'",
        )
        .bind(charge.scope.0)
        .bind(charge.day)
        .fetch_optional(conn)
        .await?;
        let offer = match row {
            None => None,
            Some(row) => {
                let offer = (
                    row.try_get("agreement_id")?,
                    row.try_get("offer_id")?,
                    row.try_get("role")?,
                );
                // Another scope of the offer may have been charged in this call: then its counter is newer.
                let before = row.int("day")?;
                self.days
                    .entry((OfferKey::clone(&offer), charge.day))
                    .or_insert(Counter { before, added: 0 });
                let before = row.int("epoch")?;
                self.epochs
                    .entry(charge.scope.0)
                    .or_insert(Counter { before, added: 0 });
                Some(offer)
            }
        };
        self.scopes.insert(place, offer.clone());
        Ok(offer)
    }

    /// Adds what was charged to the counters.
    async fn write(&self, conn: &mut SqliteConnection) -> Result<()> {
        for ((scope, request), Request { used, .. }) in &self.requests {
            if used.added > 0 {
                sqlx::query(
                    "INSERT INTO usage_request (scope_id, request_id, elements) VALUES (?, ?, ?)
                     ON CONFLICT (scope_id, request_id) DO UPDATE SET elements = elements + excluded.elements",
                )
                .bind(scope)
                .bind(request.as_slice())
                .bind(to_sql(used.added))
                .execute(&mut *conn)
                .await?;
            }
        }
        for (((agreement, offer, role), day), used) in &self.days {
            if used.added > 0 {
                sqlx::query(
                    "INSERT INTO usage_day (agreement_id, offer_id, role, day, elements) VALUES (?, ?, ?, ?, ?)
                     ON CONFLICT (agreement_id, offer_id, role, day) DO UPDATE SET elements = elements + excluded.elements",
                )
                .bind(agreement)
                .bind(offer)
                .bind(role)
                .bind(day)
                .bind(to_sql(used.added))
                .execute(&mut *conn)
                .await?;
            }
        }
        for (scope, used) in &self.epochs {
            if used.added > 0 {
                sqlx::query(
                    "INSERT INTO usage_epoch (scope_id, elements) VALUES (?, ?)
                     ON CONFLICT (scope_id) DO UPDATE SET elements = elements + excluded.elements",
                )
                .bind(scope)
                .bind(to_sql(used.added))
                .execute(&mut *conn)
                .await?;
            }
        }
        Ok(())
    }
}

fn decide(charge: &Charge, used: Usage) -> ChargeOutcome {
    let elements = u64::from(charge.elements);
    let left_day = charge.quota.per_day.saturating_sub(used.day);
    let left_epoch = charge.quota.per_epoch.saturating_sub(used.epoch);
    if elements > left_epoch {
        return ChargeOutcome::QuotaExceeded {
            which: Budget::Epoch,
            left: left_epoch,
            resets_at_ms: None,
        };
    }
    if elements > left_day {
        return ChargeOutcome::QuotaExceeded {
            which: Budget::Day,
            left: left_day,
            resets_at_ms: Some((i64::from(charge.day) + 1) * DAY_MS),
        };
    }
    ChargeOutcome::Charged {
        left_day: left_day - elements,
        left_epoch: left_epoch - elements,
    }
}

async fn used_by_request(conn: &mut SqliteConnection, charge: &Charge) -> Result<u64> {
    let row = sqlx::query("SELECT elements FROM usage_request WHERE scope_id = ? AND request_id = ?")
        .bind(charge.scope.0)
        .bind(charge.request_id.as_slice())
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| row.int("elements"))
}

async fn charged_digest(conn: &mut SqliteConnection, charge: &Charge) -> Result<Option<[u8; 32]>> {
    let row =
        sqlx::query("SELECT digest FROM charge WHERE scope_id = ? AND request_id = ? AND chunk_index = ?")
            .bind(charge.scope.0)
            .bind(charge.request_id.as_slice())
            .bind(charge.chunk_index)
            .fetch_optional(conn)
            .await?;
    row.map(|row| row.bytes("digest")).transpose()
}

/// Whether it was not there.
async fn insert(conn: &mut SqliteConnection, charge: &Charge, now_ms: i64) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO charge (scope_id, request_id, chunk_index, digest, elements, day, charged_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope_id, request_id, chunk_index) DO NOTHING",
    )
    .bind(charge.scope.0)
    .bind(charge.request_id.as_slice())
    .bind(charge.chunk_index)
    .bind(charge.digest.as_slice())
    .bind(charge.elements)
    .bind(charge.day)
    .bind(now_ms)
    .execute(&mut *conn)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// What follows for the exchange that was charged, `used` in all.
async fn progress(
    conn: &mut SqliteConnection,
    charge: &Charge,
    used: u64,
    now_ms: i64,
) -> Result<Option<Progress>> {
    let was_open = open_exchange(conn, &charge.request_id, now_ms).await?;
    let ended = used >= charge.announced;
    if was_open && !ended {
        return Ok(None);
    }
    let closed = entries_of(conn, &charge.request_id, "evaluation").await?;
    if !ended {
        return Ok(Some(Progress { closed, ended: None }));
    }
    close_exchange(conn, &charge.request_id).await?;
    let answered = answered(conn, charge.scope, &charge.request_id).await?;
    Ok(Some(Progress {
        closed,
        ended: Some(answered),
    }))
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
