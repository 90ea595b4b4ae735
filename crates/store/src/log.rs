//! What happened: exchanges with partners, and incidents. Rows are added, never changed, never deleted; the
//! database itself refuses both.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::seal::{Cell, Sealer};
use crate::types::{Columns, ScopeId, to_sql, words};
use crate::{Result, Store, StoreError};

words! {
    /// Who asked.
    Direction {
        /// We asked the partner.
        Asked = "asked",
        /// The partner asked us.
        Answered = "answered",
    }
}

/// How an exchange came out; only the asking side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictCounts {
    /// `HIT`.
    pub hits: u64,
    /// `NO_HIT`.
    pub no_hits: u64,
    /// `UNKNOWN`.
    pub unknowns: u64,
}

/// A query, from either side.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its id.
    pub id: Uuid,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Who asked.
    pub direction: Direction,
    /// The other agency.
    pub partner: String,
    /// Under which key; `None` if it was refused before a scope was known.
    pub scope: Option<ScopeId>,
    /// As stated.
    pub purpose: String,
    /// As stated.
    pub legal_basis: String,
    /// As stated to our own node; it never goes to the partner. Sealed at rest.
    pub case_reference: Option<Zeroizing<String>>,
    /// Elements, padding included.
    pub elements: u64,
    /// How it came out, if we asked.
    pub verdicts: Option<VerdictCounts>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("direction", &self.direction)
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
        let [nonce] = self.nonces();
        let seal = |text: &Zeroizing<String>| {
            with_case_cell(exchange.id, |cell| {
                self.inner.sealer.seal(cell, &nonce, text.as_bytes())
            })
        };
        let case_reference = exchange.case_reference.as_ref().map(seal).transpose()?;
        let mut tx = self.begin("exchange.append").await?;
        let inserted = sqlx::query(
            "INSERT INTO exchange (id, at_ms, direction, partner, scope_id, purpose, legal_basis,
                                   case_reference_sealed, elements, hits, no_hits, unknowns)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(exchange.id.as_bytes().as_slice())
        .bind(exchange.at_ms)
        .bind(exchange.direction.as_str())
        .bind(exchange.partner.as_str())
        .bind(exchange.scope.map(|scope| scope.0))
        .bind(exchange.purpose.as_str())
        .bind(exchange.legal_basis.as_str())
        .bind(case_reference)
        .bind(to_sql(exchange.elements))
        .bind(exchange.verdicts.map(|verdicts| to_sql(verdicts.hits)))
        .bind(exchange.verdicts.map(|verdicts| to_sql(verdicts.no_hits)))
        .bind(exchange.verdicts.map(|verdicts| to_sql(verdicts.unknowns)))
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
            .bind(exchange.direction.as_str())
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

fn with_case_cell<T>(exchange: Uuid, work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "exchange",
        column: "case_reference_sealed",
        key: &[exchange.as_bytes()],
    })
}

fn exchange_of(sealer: &Sealer, row: &SqliteRow) -> Result<Exchange> {
    let id = Uuid::from_bytes(row.bytes("id")?);
    let open = |sealed: &[u8]| -> Result<Zeroizing<String>> {
        let plain = with_case_cell(id, |cell| sealer.open(cell, sealed))?;
        let text = String::from_utf8(plain.to_vec());
        text.map(Zeroizing::new).map_err(|_| StoreError::Corrupt {
            what: "exchange.case_reference_sealed",
        })
    };
    let counts = (
        row.int_opt("hits")?,
        row.int_opt("no_hits")?,
        row.int_opt("unknowns")?,
    );
    Ok(Exchange {
        id,
        at_ms: row.try_get("at_ms")?,
        direction: Direction::from_column(row, "direction")?,
        partner: row.try_get("partner")?,
        scope: row.int_opt("scope_id")?.map(ScopeId),
        purpose: row.try_get("purpose")?,
        legal_basis: row.try_get("legal_basis")?,
        case_reference: row
            .try_get::<Option<&[u8]>, _>("case_reference_sealed")?
            .map(open)
            .transpose()?,
        elements: row.int("elements")?,
        verdicts: match counts {
            (Some(hits), Some(no_hits), Some(unknowns)) => Some(VerdictCounts {
                hits,
                no_hits,
                unknowns,
            }),
            _ => None,
        },
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
