//! What a call charges: everything it has to do with is read once, decided in memory, and written at once, whatever the number
//! of chunks (the sums by a trigger). Each statement waits for a thread of its own, which on a busy machine is longer than the statement.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::{Answered, Budget, Charge, ChargeOutcome, Progress, Usage};
use crate::Result;
use crate::log::{Exchange, direction, touch_exchange};
use crate::sql::insert_many;
use crate::types::{Columns, to_sql};

const DAY_MS: i64 = 86_400_000;
/// That something is done in an exchange is written down when this long has passed since it was last: whether it is idle is
/// asked in hours.
const TOUCH_MS: i64 = 60_000;

/// What was used before this call, and in it.
#[derive(Clone, Copy, Default)]
struct Counter {
    before: u64,
    added: u64,
}

impl Counter {
    fn of(before: u64) -> Self {
        Self { before, added: 0 }
    }

    fn now(self) -> u64 {
        self.before + self.added
    }
}

/// An offer in one direction: agreement, offer, role.
type OfferKey = (String, String, String);

/// A request within its scope.
type RequestKey = (i64, [u8; 16]);

struct Request {
    used: Counter,
    /// The digests of those of its chunks that this call is about and that are charged; of all, where this call may end it.
    chunks: BTreeMap<u32, [u8; 32]>,
    /// When something was done in the exchange last; `None` if it is not open.
    touched_ms: Option<i64>,
    /// How often the exchange has been closed.
    closed: u32,
    /// The last of this call's charges that was charged to it.
    charged: Option<usize>,
}

/// What an exchange on record has to have in common with a request that goes on with it.
#[derive(PartialEq, Eq)]
struct Terms {
    direction: String,
    partner: String,
    scope: Option<i64>,
    purpose: String,
    legal_basis: String,
    elements: u64,
}

impl Terms {
    fn of(exchange: &Exchange) -> Self {
        Self {
            direction: direction(exchange).to_owned(),
            partner: exchange.partner.clone(),
            scope: exchange.scope.map(|scope| scope.0),
            purpose: exchange.purpose.clone(),
            legal_basis: exchange.legal_basis.clone(),
            elements: exchange.elements,
        }
    }
}

#[derive(Default)]
pub(super) struct Tally {
    /// The offer of each scope that may be charged; `None` where it may not.
    scopes: BTreeMap<(i64, i32), Option<OfferKey>>,
    days: BTreeMap<(OfferKey, i32), Counter>,
    epochs: BTreeMap<i64, Counter>,
    requests: BTreeMap<RequestKey, Request>,
    /// Those that are on record, or begin in this call.
    exchanges: BTreeMap<[u8; 16], Terms>,
    /// Positions of the charges with which one begins.
    begun: Vec<usize>,
    /// Positions of what is charged.
    charged: Vec<usize>,
}

impl Tally {
    /// Reads what is needed to decide on `charges`.
    pub(super) async fn read(&mut self, conn: &mut SqliteConnection, charges: &[Charge]) -> Result<()> {
        let mut asked: BTreeMap<RequestKey, Asked> = BTreeMap::new();
        for charge in charges {
            self.read_offer(conn, charge).await?;
            let asked = asked.entry(key(charge)).or_insert_with(|| Asked {
                announced: charge.announced,
                ..Asked::default()
            });
            asked.chunks.push(charge.chunk_index);
            asked.elements += u64::from(charge.elements);
            asked.announced = asked.announced.min(charge.announced);
        }
        for (key, asked) in asked {
            let (request, exchange) = read_request(conn, key, &asked).await?;
            self.requests.insert(key, request);
            self.exchanges.extend(exchange.map(|exchange| (key.1, exchange)));
        }
        Ok(())
    }

    /// The offer that a charge is under, and its counters.
    async fn read_offer(&mut self, conn: &mut SqliteConnection, charge: &Charge) -> Result<()> {
        let Entry::Vacant(place) = self.scopes.entry((charge.scope.0, charge.day)) else {
            return Ok(());
        };
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
        let Some(row) = row else {
            place.insert(None);
            return Ok(());
        };
        let offer: OfferKey = (
            row.try_get("agreement_id")?,
            row.try_get("offer_id")?,
            row.try_get("role")?,
        );
        let (day, epoch) = (Counter::of(row.int("day")?), Counter::of(row.int("epoch")?));
        self.days.insert((offer.clone(), charge.day), day);
        self.epochs.insert(charge.scope.0, epoch);
        place.insert(Some(offer));
        Ok(())
    }

    /// Decides on the charge in this position, after those before it. With the first one that is charged, its `request` begins.
    pub(super) fn charge(
        &mut self,
        position: usize,
        charge: &Charge,
        request: Option<&Exchange>,
    ) -> ChargeOutcome {
        let offer = self.scopes.get(&(charge.scope.0, charge.day)).cloned().flatten();
        let (Some(offer), Some(used)) = (offer, self.requests.get_mut(&key(charge))) else {
            return ChargeOutcome::ScopeEnded;
        };
        let terms = request.map(Terms::of);
        let known = self.exchanges.get(&charge.request_id);
        if known.is_some() && terms.is_some() && terms.as_ref() != known {
            return ChargeOutcome::ForeignRequest;
        }
        let begins = terms.filter(|_| known.is_none());
        // A chunk that came before is what it was then, whatever is left now.
        match used.chunks.get(&charge.chunk_index) {
            Some(digest) if *digest == charge.digest => return ChargeOutcome::AlreadyCharged,
            Some(_) => return ChargeOutcome::DigestMismatch,
            None => {}
        }
        let elements = u64::from(charge.elements);
        let left = charge.announced.saturating_sub(used.used.now());
        if elements > left {
            return ChargeOutcome::MoreThanAnnounced { left };
        }
        let day = self.days.entry((offer, charge.day)).or_default();
        let epoch = self.epochs.entry(charge.scope.0).or_default();
        let so_far = Usage {
            day: day.now(),
            epoch: epoch.now(),
        };
        let outcome = decide(charge, so_far);
        if matches!(outcome, ChargeOutcome::Charged { .. }) {
            for counter in [day, epoch, &mut used.used] {
                counter.added += elements;
            }
            used.chunks.insert(charge.chunk_index, charge.digest);
            used.charged = Some(position);
            self.charged.push(position);
            if let Some((terms, request)) = begins.zip(request) {
                // As the row's own trigger has it.
                used.touched_ms = Some(request.at_ms);
                self.exchanges.insert(charge.request_id, terms);
                self.begun.push(position);
            }
        }
        outcome
    }

    /// The positions of the charges with which a request begins.
    pub(super) fn begun(&self) -> &[usize] {
        &self.begun
    }

    /// Writes what was charged. Returns what follows for the exchanges, each with the position of the last charge to it.
    pub(super) async fn write(
        self,
        conn: &mut SqliteConnection,
        charges: &[Charge],
        now_ms: i64,
    ) -> Result<Vec<(usize, Progress)>> {
        let charged = self.charged.iter().filter_map(|position| charges.get(*position));
        let charged: Vec<&Charge> = charged.collect();
        insert_many(
            conn,
            "INSERT INTO charge (scope_id, request_id, chunk_index, digest, elements, day, charged_ms)",
            7,
            "",
            &charged,
            |query, charge| {
                query
                    .bind(charge.scope.0)
                    .bind(charge.request_id.to_vec())
                    .bind(charge.chunk_index)
                    .bind(charge.digest.to_vec())
                    .bind(charge.elements)
                    .bind(charge.day)
                    .bind(now_ms)
            },
        )
        .await?;
        self.write_progress(conn, charges, now_ms).await
    }

    /// Opens and touches the exchanges that were charged; the entry that follows closes one that has ended.
    async fn write_progress(
        &self,
        conn: &mut SqliteConnection,
        charges: &[Charge],
        now_ms: i64,
    ) -> Result<Vec<(usize, Progress)>> {
        let mut follows = Vec::new();
        for ((_, id), request) in &self.requests {
            let Some((position, charge)) = request.charged.and_then(|at| Some((at, charges.get(at)?))) else {
                continue;
            };
            let closed = request.closed;
            if request.used.now() >= charge.announced {
                let chunks = request.chunks.iter();
                let answered = Answered {
                    elements: request.used.now(),
                    chunks: chunks.map(|(index, digest)| (*index, *digest)).collect(),
                };
                follows.push((
                    position,
                    Progress {
                        closed,
                        ended: Some(answered),
                    },
                ));
                continue;
            }
            if request.touched_ms.is_none() {
                follows.push((position, Progress { closed, ended: None }));
            }
            if request
                .touched_ms
                .is_none_or(|touched| touched + TOUCH_MS <= now_ms)
            {
                touch_exchange(conn, id, now_ms).await?;
            }
        }
        Ok(follows)
    }
}

fn key(charge: &Charge) -> RequestKey {
    (charge.scope.0, charge.request_id)
}

/// What a call asks of a request.
#[derive(Default)]
struct Asked {
    chunks: Vec<u32>,
    /// In all of them.
    elements: u64,
    /// The least that one of them says.
    announced: u64,
}

async fn read_request(
    conn: &mut SqliteConnection,
    (scope, id): RequestKey,
    asked: &Asked,
) -> Result<(Request, Option<Terms>)> {
    // One row at least: what is known of the request stands in each. All of its chunks only where all this may end it: what ends is
    // recorded with all of them.
    let rows = sqlx::query(
        "SELECT u.used,
                (SELECT touched_ms FROM exchange_open WHERE id = ?2) AS touched_ms,
                (SELECT count(*) FROM ledger_entry WHERE exchange = ?2 AND kind = 'evaluation') AS closed,
                e.direction, e.partner, e.scope_id, e.purpose, e.legal_basis, e.elements AS announced,
                c.chunk_index, c.digest
         FROM (SELECT coalesce((SELECT elements FROM usage_request WHERE scope_id = ?1 AND request_id = ?2), 0) AS used) u
         LEFT JOIN exchange e ON e.id = ?2
         LEFT JOIN charge c ON c.scope_id = ?1 AND c.request_id = ?2
             AND (u.used + ?4 >= ?5 OR c.chunk_index IN (SELECT value FROM json_each(?3)))",
    )
    .bind(scope)
    .bind(id.to_vec())
    .bind(serde_json::Value::from(asked.chunks.as_slice()).to_string())
    .bind(to_sql(asked.elements))
    .bind(to_sql(asked.announced))
    .fetch_all(conn)
    .await?;
    let mut request = Request {
        used: Counter::default(),
        chunks: BTreeMap::new(),
        touched_ms: None,
        closed: 0,
        charged: None,
    };
    let mut exchange = None;
    for row in &rows {
        if let Some(direction) = row.try_get::<Option<String>, _>("direction")? {
            exchange = Some(Terms {
                direction,
                partner: row.try_get("partner")?,
                scope: row.try_get("scope_id")?,
                purpose: row.try_get("purpose")?,
                legal_basis: row.try_get("legal_basis")?,
                elements: row.int("announced")?,
            });
        }
        request.used = Counter::of(row.int("used")?);
        request.touched_ms = row.int_opt("touched_ms")?;
        request.closed = row.int("closed")?;
        if let (Some(index), Some(digest)) = (row.int_opt("chunk_index")?, row.bytes_opt("digest")?) {
            request.chunks.insert(index, digest);
        }
    }
    Ok((request, exchange))
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
