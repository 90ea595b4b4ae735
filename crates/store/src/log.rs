//! What happened: exchanges with partners, and incidents. Rows are added, never changed, never deleted; the
//! database itself refuses both. What the ledger has erased of an exchange is blanked.

mod steps;

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::budget::Usage;
use crate::db::{Inner, Tx};
use crate::seal::{Cell, Sealer};
use crate::sql::{Binding, insert_at_once};
use crate::types::{Columns, ScopeId, to_sql};
use crate::{Result, Store, StoreError};
pub(crate) use steps::{Steps, steps_of};

/// Most exchanges put on record in one call.
pub const MAX_EXCHANGES: usize = 64;

/// What only our side knows of a question that we asked; none of it goes to the partner.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// The query it belongs to, as our caller was told: one query is an exchange with each partner for each offer.
    pub query: Uuid,
    /// The system or person that called our node, as its certificate says.
    pub client: String,
    /// Who carried the query out, as stated. Sealed at rest.
    pub officer: Zeroizing<String>,
    /// Who ordered it, as stated. Sealed at rest.
    pub ordered_by: Zeroizing<String>,
    /// As stated. Sealed at rest.
    pub case_reference: Zeroizing<String>,
}

/// A query, from either side. Who, why and for which case are empty once the ledger's entries of it were erased
/// ([`Store::erase_entries`]).
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its id.
    pub id: Uuid,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The other agency.
    pub partner: String,
    /// Under which key; `None` if it was refused before a scope was known.
    pub scope: Option<ScopeId>,
    /// As stated.
    pub purpose: String,
    /// As stated.
    pub legal_basis: String,
    /// Elements, padding included.
    pub elements: u64,
    /// Where we asked; `None` where the partner asked us.
    pub asked: Option<Asked>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("direction", &direction(self))
            .field("partner", &self.partner)
            .field("elements", &self.elements)
            .finish_non_exhaustive()
    }
}

/// Something that should not happen between honest nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The other agency.
    pub partner: String,
    /// What, for example `proof_failed`.
    pub kind: String,
    /// In which exchange.
    pub exchange: Option<Uuid>,
    /// SHA-256 of the messages that show it.
    pub transcript_digest: Option<[u8; 32]>,
    /// For a person. Kept in clear: no identifiers.
    pub detail: String,
}

impl Store {
    /// Records an exchange, and that it is open. Returns when it is on disk. One that goes on after an interruption
    /// (same id, partner, scope, stated reasons and number of elements) stays as first recorded, and changes nothing unless
    /// we ask and it was closed: then it is open again.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the id belongs to another exchange.
    pub async fn append_exchange(&self, exchange: &Exchange) -> Result<()> {
        let mut tx = self.begin("exchange.append").await?;
        let new = !self.insert_exchanges(&mut tx, &[exchange]).await?.is_empty();
        match if new {
            Appended::Changed
        } else {
            goes_on(&mut tx, exchange).await?
        } {
            Appended::Changed => tx.commit().await,
            Appended::AsBefore => Ok(()),
            Appended::Foreign => Err(StoreError::AlreadyExists { what: "exchange" }),
        }
    }

    /// Puts those on record whose ids are not, and gives these ids.
    pub(crate) async fn insert_exchanges(
        &self,
        tx: &mut Tx,
        exchanges: &[&Exchange],
    ) -> Result<Vec<[u8; 16]>> {
        let rows = exchanges
            .iter()
            .map(|exchange| Ok((*exchange, self.inner.seal_asked(exchange)?)));
        let rows: Vec<(&Exchange, SealedAsked)> = rows.collect::<Result<_>>()?;
        let new = insert_at_once(
            tx,
            "INSERT INTO exchange (id, at_ms, direction, partner, scope_id, purpose, legal_basis, elements,
                                   query_id, client, officer_sealed, case_reference_sealed, ordered_by_sealed)",
            13,
            "ON CONFLICT (id) DO NOTHING RETURNING id",
            &rows,
            |query, (exchange, sealed)| bind_exchange(query, exchange, sealed),
        )
        .await
        .map_err(StoreError::on_insert("exchange", "scope"))?;
        new.iter().map(|row| row.bytes("id")).collect()
    }

    /// Exchanges that are open and in which nothing was done since before `before_ms`: those in which we asked, or those in
    /// which we were asked; at most `limit`, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if a case reference was damaged.
    pub async fn idle_exchanges(&self, asked: bool, before_ms: i64, limit: u32) -> Result<Vec<Exchange>> {
        let rows = sqlx::query(
            "SELECT e.* FROM exchange_open o JOIN exchange e ON e.id = o.id
             WHERE (e.query_id IS NOT NULL) = ? AND o.touched_ms < ? ORDER BY o.touched_ms, o.id LIMIT ?",
        )
        .bind(asked)
        .bind(before_ms)
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter()
            .map(|row| exchange_of(&self.inner.sealer, row))
            .collect()
    }

    /// The exchange with this id.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if a case reference was damaged.
    pub async fn exchange(&self, id: Uuid) -> Result<Option<Exchange>> {
        let row = sqlx::query("SELECT * FROM exchange WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        row.map(|row| exchange_of(&self.inner.sealer, &row)).transpose()
    }

    /// The newest exchanges, the newest first; before the one with id `cursor`.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if a case reference was damaged.
    pub async fn exchanges(&self, cursor: Option<Uuid>, limit: u32) -> Result<Vec<Exchange>> {
        let rows = sqlx::query(
            "SELECT * FROM exchange WHERE ?1 IS NULL OR seq < (SELECT seq FROM exchange WHERE id = ?1)
             ORDER BY seq DESC LIMIT ?2",
        )
        .bind(cursor.map(|id| id.as_bytes().to_vec()))
        .bind(limit)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter()
            .map(|row| exchange_of(&self.inner.sealer, row))
            .collect()
    }

    /// The elements that our requests under a scope announced: on a day (UTC, days since 1970), and in all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn announced(&self, scope: ScopeId, day: i32) -> Result<Usage> {
        let row = sqlx::query(
            "SELECT coalesce(sum(elements) FILTER (WHERE at_ms / 86400000 = ?2), 0) AS day,
                    coalesce(sum(elements), 0) AS epoch
             FROM exchange WHERE scope_id = ?1 AND query_id IS NOT NULL",
        )
        .bind(scope.0)
        .bind(day)
        .fetch_one(&self.inner.reader)
        .await?;
        Ok(Usage {
            day: row.int("day")?,
            epoch: row.int("epoch")?,
        })
    }

    /// Records an incident. Returns when it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn append_incident(&self, incident: &Incident) -> Result<()> {
        let mut tx = self.begin("incident.append").await?;
        sqlx::query(
            "INSERT INTO incident (at_ms, partner, kind, exchange_id, transcript_digest, detail)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(incident.at_ms)
        .bind(incident.partner.as_str())
        .bind(incident.kind.as_str())
        .bind(incident.exchange.map(|id| id.as_bytes().to_vec()))
        .bind(incident.transcript_digest.map(|digest| digest.to_vec()))
        .bind(incident.detail.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The newest incidents, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn incidents(&self, limit: u32) -> Result<Vec<Incident>> {
        let rows = sqlx::query("SELECT * FROM incident ORDER BY seq DESC LIMIT ?")
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(incident_of).collect()
    }
}

impl Inner {
    fn seal_asked(&self, exchange: &Exchange) -> Result<SealedAsked> {
        let Some(asked) = &exchange.asked else {
            return Ok(SealedAsked::default());
        };
        let seal = |column, nonce, text: &Zeroizing<String>| {
            with_cell(exchange.id, column, |cell| {
                self.sealer.seal(cell, nonce, text.as_bytes())
            })
        };
        let [officer, ordered_by, case_reference] = self.nonces();
        Ok(SealedAsked {
            officer: Some(seal(OFFICER, &officer, &asked.officer)?),
            ordered_by: Some(seal(ORDERED_BY, &ordered_by, &asked.ordered_by)?),
            case_reference: Some(seal(CASE, &case_reference, &asked.case_reference)?),
        })
    }
}

fn bind_exchange(query: Binding, exchange: &Exchange, sealed: &SealedAsked) -> Binding {
    let asked = exchange.asked.as_ref();
    query
        .bind(exchange.id.as_bytes().to_vec())
        .bind(exchange.at_ms)
        .bind(direction(exchange))
        .bind(exchange.partner.clone())
        .bind(exchange.scope.map(|scope| scope.0))
        .bind(exchange.purpose.clone())
        .bind(exchange.legal_basis.clone())
        .bind(to_sql(exchange.elements))
        .bind(asked.map(|asked| asked.query.as_bytes().to_vec()))
        .bind(asked.map(|asked| asked.client.clone()))
        .bind(sealed.officer.clone())
        .bind(sealed.case_reference.clone())
        .bind(sealed.ordered_by.clone())
}

/// What became of an exchange that was to be recorded.
enum Appended {
    /// It is new, or it was closed and goes on.
    Changed,
    /// It was on record as it is.
    AsBefore,
    /// Its id belongs to another.
    Foreign,
}

/// What is sealed of [`Asked`].
#[derive(Default)]
struct SealedAsked {
    officer: Option<Vec<u8>>,
    ordered_by: Option<Vec<u8>>,
    case_reference: Option<Vec<u8>>,
}

/// Whether an exchange whose id is known is the one that is known.
async fn goes_on(conn: &mut SqliteConnection, exchange: &Exchange) -> Result<Appended> {
    let same: bool = sqlx::query_scalar(
        "SELECT direction = ?2 AND partner = ?3 AND scope_id IS ?4 AND purpose = ?5 AND legal_basis = ?6
             AND elements = ?7
         FROM exchange WHERE id = ?1",
    )
    .bind(exchange.id.as_bytes().as_slice())
    .bind(direction(exchange))
    .bind(exchange.partner.as_str())
    .bind(exchange.scope.map(|scope| scope.0))
    .bind(exchange.purpose.as_str())
    .bind(exchange.legal_basis.as_str())
    .bind(to_sql(exchange.elements))
    .fetch_one(&mut *conn)
    .await?;
    if !same {
        return Ok(Appended::Foreign);
    }
    // An owner goes on when a chunk is charged.
    if exchange.asked.is_none() || touch_exchange(conn, exchange.id.as_bytes(), exchange.at_ms).await? {
        return Ok(Appended::AsBefore);
    }
    Ok(Appended::Changed)
}

/// Something was done in an exchange: it is open. Returns whether it was before.
pub(crate) async fn touch_exchange(conn: &mut SqliteConnection, id: &[u8; 16], now_ms: i64) -> Result<bool> {
    let touched = sqlx::query("UPDATE exchange_open SET touched_ms = ? WHERE id = ?")
        .bind(now_ms)
        .bind(id.as_slice())
        .execute(&mut *conn)
        .await?;
    if touched.rows_affected() > 0 {
        return Ok(true);
    }
    sqlx::query("INSERT INTO exchange_open (id, touched_ms) VALUES (?, ?)")
        .bind(id.as_slice())
        .bind(now_ms)
        .execute(conn)
        .await?;
    Ok(false)
}

const OFFICER: &str = "officer_sealed";
const ORDERED_BY: &str = "ordered_by_sealed";
const CASE: &str = "case_reference_sealed";

fn with_cell<T>(exchange: Uuid, column: &'static str, work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "exchange",
        column,
        key: &[exchange.as_bytes()],
    })
}

pub(crate) fn direction(exchange: &Exchange) -> &'static str {
    match exchange.asked {
        Some(_) => "asked",
        None => "answered",
    }
}

fn exchange_of(sealer: &Sealer, row: &SqliteRow) -> Result<Exchange> {
    let id = Uuid::from_bytes(row.bytes("id")?);
    let open = |column| -> Result<Zeroizing<String>> {
        let sealed: &[u8] = row.try_get(column)?;
        if sealed.is_empty() {
            return Ok(Zeroizing::default()); // Forgotten.
        }
        let plain = with_cell(id, column, |cell| sealer.open(cell, sealed))?;
        let text = String::from_utf8(plain.to_vec());
        text.map(Zeroizing::new)
            .map_err(|_| StoreError::Corrupt { what: "exchange" })
    };
    let asked = match row.bytes_opt("query_id")? {
        None => None,
        Some(query) => Some(Asked {
            query: Uuid::from_bytes(query),
            client: row.try_get("client")?,
            officer: open(OFFICER)?,
            // Exchanges of an older version have none.
            ordered_by: match row.try_get::<Option<&[u8]>, _>(ORDERED_BY)? {
                Some(_) => open(ORDERED_BY)?,
                None => open(OFFICER)?,
            },
            case_reference: open(CASE)?,
        }),
    };
    Ok(Exchange {
        id,
        at_ms: row.try_get("at_ms")?,
        partner: row.try_get("partner")?,
        scope: row.int_opt("scope_id")?.map(ScopeId),
        purpose: row.try_get("purpose")?,
        legal_basis: row.try_get("legal_basis")?,
        elements: row.int("elements")?,
        asked,
    })
}

fn incident_of(row: &SqliteRow) -> Result<Incident> {
    Ok(Incident {
        at_ms: row.try_get("at_ms")?,
        partner: row.try_get("partner")?,
        kind: row.try_get("kind")?,
        exchange: row.bytes_opt("exchange_id")?.map(Uuid::from_bytes),
        transcript_digest: row.bytes_opt("transcript_digest")?,
        detail: row.try_get("detail")?,
    })
}
