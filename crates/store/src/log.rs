//! What happened: exchanges with partners, and incidents. Rows are added, never changed, never deleted; the
//! database itself refuses both.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;
use zeroize::Zeroizing;

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
    /// Records an exchange. Returns when it is on disk. One that goes on after an interruption (same id, partner,
    /// scope, stated reasons and number of elements) stays as first recorded.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the id belongs to another exchange.
    pub async fn append_exchange(&self, exchange: &Exchange) -> Result<()> {
        let [for_officer, for_case] = self.nonces();
        let seal = |column, nonce, text: &Zeroizing<String>| {
            with_cell(exchange.id, column, |cell| {
                self.inner.sealer.seal(cell, nonce, text.as_bytes())
            })
        };
        let asked = exchange.asked.as_ref();
        let officer = asked.map(|asked| seal(OFFICER, &for_officer, &asked.officer));
        let case_reference = asked.map(|asked| seal(CASE, &for_case, &asked.case_reference));
        let (officer, case_reference) = (officer.transpose()?, case_reference.transpose()?);
        let mut tx = self.begin("exchange.append").await?;
        let inserted = sqlx::query(
            "INSERT INTO exchange (id, at_ms, direction, partner, scope_id, purpose, legal_basis, elements,
                                   query_id, client, officer_sealed, case_reference_sealed)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
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
        .execute(&mut *tx)
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
            .fetch_one(&mut *tx)
            .await?;
            if !same {
                return Err(StoreError::AlreadyExists { what: "exchange" });
            }
        }
        tx.commit().await
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

const OFFICER: &str = "officer_sealed";
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
