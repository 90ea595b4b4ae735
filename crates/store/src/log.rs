//! What happened: exchanges with partners, and incidents. Rows are added, never changed, never deleted; the
//! database itself refuses both.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::budget::Usage;
use crate::db::Tx;
use crate::seal::{Cell, Sealer};
use crate::types::{Columns, ScopeId, to_sql};
use crate::{Result, Store, StoreError};

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

/// A query, from either side.
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
        self.append_exchanges(std::slice::from_ref(exchange)).await
    }

    /// The same for several new ones, all or none of them.
    ///
    /// # Errors
    /// As [`Store::append_exchange`].
    pub async fn append_exchanges(&self, exchanges: &[Exchange]) -> Result<()> {
        let mut tx = self.begin("exchange.append").await?;
        let mut changed = false;
        for exchange in exchanges {
            changed |= self.insert_exchange(&mut tx, exchange).await?;
        }
        if changed {
            tx.commit().await?;
        }
        Ok(())
    }

    /// Whether that changed anything.
    async fn insert_exchange(&self, tx: &mut Tx, exchange: &Exchange) -> Result<bool> {
        let [for_officer, for_orderer, for_case] = self.nonces();
        let seal = |column, nonce, text: &Zeroizing<String>| {
            with_cell(exchange.id, column, |cell| {
                self.inner.sealer.seal(cell, nonce, text.as_bytes())
            })
        };
        let asked = exchange.asked.as_ref();
        let officer = asked.map(|asked| seal(OFFICER, &for_officer, &asked.officer));
        let ordered_by = asked.map(|asked| seal(ORDERED_BY, &for_orderer, &asked.ordered_by));
        let case_reference = asked.map(|asked| seal(CASE, &for_case, &asked.case_reference));
        let (officer, ordered_by) = (officer.transpose()?, ordered_by.transpose()?);
        let case_reference = case_reference.transpose()?;
        let inserted = sqlx::query(
            "INSERT INTO exchange (id, at_ms, direction, partner, scope_id, purpose, legal_basis, elements,
                                   query_id, client, officer_sealed, case_reference_sealed, ordered_by_sealed)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(exchange.id.as_bytes().as_slice())
        .bind(exchange.at_ms)
        .bind(direction(exchange))
        .bind(exchange.partner.as_str())
        .bind(exchange.scope.map(|scope| scope.0))
        .bind(exchange.purpose.as_str())
        .bind(exchange.legal_basis.as_str())
        .bind(to_sql(exchange.elements))
        .bind(asked.map(|asked| asked.query.as_bytes().to_vec()))
        .bind(asked.map(|asked| asked.client.as_str()))
        .bind(officer)
        .bind(case_reference)
        .bind(ordered_by)
        .execute(&mut **tx)
        .await
        .map_err(StoreError::on_insert("exchange", "scope"))?;
        if inserted.rows_affected() == 0 {
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
            .fetch_one(&mut **tx)
            .await?;
            if !same {
                return Err(StoreError::AlreadyExists { what: "exchange" });
            }
            // An owner goes on when a chunk is charged.
            if exchange.asked.is_none() {
                return Ok(false);
            }
        }
        if inserted.rows_affected() > 0 {
            insert_open(tx, exchange.id.as_bytes(), exchange.at_ms).await?;
            return Ok(true);
        }
        Ok(!open_exchange(tx, exchange.id.as_bytes(), exchange.at_ms).await?)
    }

    /// Says that exchanges have ended; the store is [`recording`](Self::recording) how. Those that were not open are left
    /// out; if none was, nothing is recorded. Returns how many were.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn close_exchanges(&self, ids: &[Uuid]) -> Result<u64> {
        let mut tx = self.begin("exchange.close").await?;
        let mut closed = 0;
        for id in ids {
            closed += close_exchange(&mut tx, id.as_bytes()).await?;
        }
        if closed > 0 {
            tx.commit().await?;
        }
        Ok(closed)
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

/// Something was done in an exchange. Returns whether it was open before.
pub(crate) async fn open_exchange(conn: &mut SqliteConnection, id: &[u8; 16], now_ms: i64) -> Result<bool> {
    let touched = sqlx::query("UPDATE exchange_open SET touched_ms = ? WHERE id = ?")
        .bind(now_ms)
        .bind(id.as_slice())
        .execute(&mut *conn)
        .await?;
    if touched.rows_affected() > 0 {
        return Ok(true);
    }
    insert_open(conn, id, now_ms).await?;
    Ok(false)
}

async fn insert_open(conn: &mut SqliteConnection, id: &[u8; 16], now_ms: i64) -> Result<()> {
    sqlx::query("INSERT INTO exchange_open (id, touched_ms) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET touched_ms = excluded.touched_ms")
        .bind(id.as_slice())
        .bind(now_ms)
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns how many were open: one or none.
pub(crate) async fn close_exchange(conn: &mut SqliteConnection, id: &[u8; 16]) -> Result<u64> {
    let closed = sqlx::query("DELETE FROM exchange_open WHERE id = ?")
        .bind(id.as_slice())
        .execute(&mut *conn)
        .await?;
    Ok(closed.rows_affected())
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

fn direction(exchange: &Exchange) -> &'static str {
    match exchange.asked {
        Some(_) => "asked",
        None => "answered",
    }
}

fn exchange_of(sealer: &Sealer, row: &SqliteRow) -> Result<Exchange> {
    let id = Uuid::from_bytes(row.bytes("id")?);
    let open = |column| -> Result<Zeroizing<String>> {
        let sealed: &[u8] = row.try_get(column)?;
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
