//! Cases: what follows a hit, step by step.
//!
//! ```text
//! store.recording(entry).change_case(change)    all that one step changes, and its entry, or nothing
//! store.case_events(id)                          what a case is rebuilt from
//! store.cases(filter, after, limit)              what a list shows of it
//! ```
//! The steps are only added to. A [`CaseRow`] follows from them: a list is made of it, and nothing is decided by it. What
//! persons wrote, and what names one, is sealed; ids, states and times are not.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::authors::{pack_texts, unpack_texts};
use crate::case_types::{
    CaseChange, CaseClock, CaseDocument, CaseEventRow, CaseKey, CasePrivate, CaseRow, CaseSide, NewEvent,
    PendingStep,
};
use crate::db::Tx;
use crate::packed::{pack, unpack};
use crate::seal::{Cell, Sealer};
use crate::types::{Columns, Tag};
use crate::{Result, Store, StoreError, officers};

impl Store {
    /// Does all that one step changes, in one transaction.
    ///
    /// # Errors
    /// Then nothing was changed: [`StoreError::Stale`] if the case has other steps than `events_before` or a step waits
    /// already; [`StoreError::AlreadyExists`] if its id stands for another case, or the same hit has one that has not ended;
    /// [`StoreError::CounterWentBack`]; [`StoreError::Invalid`] for more delivered than there is, or a malformed row.
    pub async fn change_case(&self, change: CaseChange) -> Result<()> {
        let id = &change.row.id;
        let mut tx = self.begin("disclosure_case.change").await?;
        let steps = sqlx::query("SELECT coalesce(max(seq), 0) AS steps FROM case_event WHERE case_id = ?")
            .bind(id.as_slice())
            .fetch_one(&mut *tx)
            .await?;
        if steps.int::<u32>("steps")? != change.events_before {
            return Err(StoreError::Stale { what: "case" });
        }
        let found = sqlx::query("SELECT * FROM disclosure_case WHERE id = ?")
            .bind(id.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        match found {
            None => self.open_case(&mut tx, &change.row).await?,
            Some(found) => {
                if !same_case(&row_of(&self.inner.sealer, &found)?, &change.row) {
                    return Err(StoreError::AlreadyExists { what: "case" });
                }
            }
        }
        project(&mut tx, &change.row).await?;
        self.add_events(&mut tx, id, change.events_before, &change.events)
            .await?;
        self.add_documents(&mut tx, id, &change.documents).await?;
        for digest in &change.forget {
            sqlx::query("DELETE FROM case_document WHERE case_id = ? AND digest = ?")
                .bind(id.as_slice())
                .bind(digest.as_slice())
                .execute(&mut *tx)
                .await?;
        }
        if let Some(private) = &change.private {
            self.put_private(&mut tx, id, private).await?;
        }
        match &change.pending {
            None => {}
            Some(None) => {
                sqlx::query("DELETE FROM case_pending WHERE case_id = ?")
                    .bind(id.as_slice())
                    .execute(&mut *tx)
                    .await?;
            }
            Some(Some(pending)) => self.put_pending(&mut tx, id, pending).await?,
        }
        if let Some(delivered) = change.delivered {
            sqlx::query("UPDATE disclosure_case SET delivered = max(delivered, ?) WHERE id = ?")
                .bind(delivered)
                .bind(id.as_slice())
                .execute(&mut *tx)
                .await?;
        }
        for (key, counter) in &change.counters {
            officers::raise_counter(&mut tx, key, *counter).await?;
        }
        if let Some((tag, until_ms)) = &change.suppress {
            sqlx::query(
                "INSERT INTO suppression (tag, until_ms) VALUES (?, ?)
                 ON CONFLICT (tag) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)",
            )
            .bind(tag.as_slice())
            .bind(until_ms)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// What a list shows of a case.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it was damaged.
    pub async fn case_row(&self, id: &CaseKey) -> Result<Option<CaseRow>> {
        let row = sqlx::query("SELECT * FROM disclosure_case WHERE id = ?")
            .bind(id.as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        row.map(|row| row_of(&self.inner.sealer, &row)).transpose()
    }

    /// What is ours alone of a case; `None` if nothing ever was.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it was damaged.
    pub async fn case_private(&self, id: &CaseKey) -> Result<Option<CasePrivate>> {
        let row = sqlx::query("SELECT * FROM case_private WHERE case_id = ?")
            .bind(id.as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let open = |column: &'static str| {
            let sealed: Option<&[u8]> = row.try_get(column)?;
            let open = |sealed| self.inner.sealer.open(&private_cell(column, &[id]), sealed);
            sealed.map(open).transpose()
        };
        let authors = open("authors_sealed")?.map(|packed| {
            unpack_texts(&packed).ok_or(StoreError::Corrupt {
                what: "case_private.authors_sealed",
            })
        });
        let key = open("escalation_key_sealed")?;
        let key = key.map(|key| key.as_slice().try_into().map(Zeroizing::new));
        Ok(Some(CasePrivate {
            escalation_key: key.transpose().map_err(|_| StoreError::Corrupt {
                what: "case_private.escalation_key_sealed",
            })?,
            subject: open("subject_sealed")?,
            authors: authors.transpose()?,
        }))
    }

    /// The steps of a case, in order.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged, or is not in its place.
    pub async fn case_events(&self, id: &CaseKey) -> Result<Vec<CaseEventRow>> {
        let rows = sqlx::query("SELECT * FROM case_event WHERE case_id = ? ORDER BY seq")
            .bind(id.as_slice())
            .fetch_all(&self.inner.reader)
            .await?;
        let event = |row: &SqliteRow| {
            let (seq, at_ms, private) = (row.int("seq")?, row.try_get("at_ms")?, row.flag("private")?);
            let sealed = row.try_get("document_sealed")?;
            let document = with_event_cell(id, seq, at_ms, private, |cell| {
                self.inner.sealer.open(cell, sealed)
            })?;
            Ok(CaseEventRow {
                seq,
                at_ms,
                private,
                document: text_of(&document, "case_event.document_sealed")?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// The documents of a case, in the order they came.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged.
    pub async fn case_documents(&self, id: &CaseKey) -> Result<Vec<CaseDocument>> {
        self.documents(id, None).await
    }

    /// The documents of one kind of a case, in the order they came.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged.
    pub async fn case_documents_of_kind(&self, id: &CaseKey, kind: &str) -> Result<Vec<CaseDocument>> {
        self.documents(id, Some(kind)).await
    }

    /// The step of ours that the owner has not taken yet.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it was damaged.
    pub async fn case_pending(&self, id: &CaseKey) -> Result<Option<PendingStep>> {
        let row = sqlx::query("SELECT * FROM case_pending WHERE case_id = ?")
            .bind(id.as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let since_ms = row.try_get("since_ms")?;
        let sealed = row.try_get("step_sealed")?;
        let packed = self.inner.sealer.open(&pending_cell(&[id]), sealed)?;
        decode_pending(since_ms, &packed).map(Some)
    }

    /// How many shared steps the partner has acknowledged.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn case_delivered(&self, id: &CaseKey) -> Result<u32> {
        let row = sqlx::query("SELECT delivered FROM disclosure_case WHERE id = ?")
            .bind(id.as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        row.ok_or(StoreError::NotFound { what: "case" })?.int("delivered")
    }

    /// The case of a requester's hit that has not ended: the same hit opens no second one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_case_of_tag(
        &self,
        agreement: &str,
        offer: &str,
        epoch: u32,
        tag: &Tag,
    ) -> Result<Option<CaseKey>> {
        let mut view = self.inner.reader.acquire().await?;
        open_case(
            &mut view,
            &tag_digest(&self.inner.sealer, agreement, offer, epoch, tag),
        )
        .await
    }

    /// The open case in which a partner has asked about the record of this tag.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn open_request_of_tag(
        &self,
        agreement: &str,
        offer: &str,
        epoch: u32,
        tag: &Tag,
    ) -> Result<Option<CaseKey>> {
        let row = sqlx::query(
            "SELECT id FROM disclosure_case WHERE tag_digest = ? AND side = 'owner' AND waits_for IS NOT NULL",
        )
        .bind(tag_digest(&self.inner.sealer, agreement, offer, epoch, tag).as_slice())
        .fetch_optional(&self.inner.reader)
        .await?;
        row.map(|row| row.bytes("id")).transpose()
    }

    /// The time of the latest step of any case, Unix milliseconds; 0 if there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn latest_step_ms(&self) -> Result<i64> {
        let row = sqlx::query("SELECT coalesce(max(at_ms), 0) AS latest FROM case_event")
            .fetch_one(&self.inner.reader)
            .await?;
        Ok(row.try_get("latest")?)
    }

    async fn open_case(&self, tx: &mut Tx, row: &CaseRow) -> Result<()> {
        let digest = tag_digest(
            &self.inner.sealer,
            &row.agreement,
            &row.offer,
            row.epoch,
            &row.tag,
        );
        if row.side == CaseSide::Requester && open_case(tx, &digest).await?.is_some() {
            return Err(StoreError::AlreadyExists {
                what: "case of this hit",
            });
        }
        let [nonce] = self.nonces();
        let tag = self.inner.sealer.seal(&tag_cell(&[&row.id]), &nonce, &row.tag)?;
        sqlx::query(
            "INSERT INTO disclosure_case (id, side, partner, agreement, offer, epoch, kind, exchange, tag_sealed,
                 tag_digest, opened_ms, state, purpose, urgency, updated_ms, step, head)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', ?, 0, ?)",
        )
        .bind(row.id.as_slice())
        .bind(row.side.as_str())
        .bind(&row.partner)
        .bind(&row.agreement)
        .bind(&row.offer)
        .bind(row.epoch)
        .bind(&row.kind)
        .bind(row.exchange.as_slice())
        .bind(tag)
        .bind(digest.as_slice())
        .bind(row.opened_ms)
        .bind(&row.state)
        .bind(row.updated_ms)
        .bind(row.head.as_slice())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn add_events(&self, tx: &mut Tx, id: &CaseKey, before: u32, events: &[NewEvent]) -> Result<()> {
        for (seq, event) in (1..).map(|n| before.saturating_add(n)).zip(events) {
            let [nonce] = self.nonces();
            let sealed = with_event_cell(id, seq, event.at_ms, event.private, |cell| {
                self.inner.sealer.seal(cell, &nonce, event.document.as_bytes())
            })?;
            sqlx::query(
                "INSERT INTO case_event (case_id, seq, at_ms, private, document_sealed) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id.as_slice())
            .bind(seq)
            .bind(event.at_ms)
            .bind(event.private)
            .bind(sealed)
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }

    async fn add_documents(&self, tx: &mut Tx, id: &CaseKey, documents: &[CaseDocument]) -> Result<()> {
        for new in documents {
            let [nonce] = self.nonces();
            let place: [&[u8]; 3] = [id, &new.digest, new.kind.as_bytes()];
            let sealed = self
                .inner
                .sealer
                .seal(&document_cell(&place), &nonce, new.document.as_bytes())?;
            sqlx::query(
                "INSERT INTO case_document (case_id, digest, kind, document_sealed) VALUES (?, ?, ?, ?)
                 ON CONFLICT (case_id, digest) DO NOTHING",
            )
            .bind(id.as_slice())
            .bind(new.digest.as_slice())
            .bind(&new.kind)
            .bind(sealed)
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }

    async fn put_private(&self, tx: &mut Tx, id: &CaseKey, private: &CasePrivate) -> Result<()> {
        let seal = |column, plain: Option<&[u8]>| {
            let [nonce] = self.nonces();
            let seal = |plain| {
                self.inner
                    .sealer
                    .seal(&private_cell(column, &[id]), &nonce, plain)
            };
            plain.map(seal).transpose()
        };
        let key = private.escalation_key.as_ref().map(|key| key.as_slice());
        let subject = private.subject.as_ref().map(|subject| subject.as_slice());
        let authors = private.authors.as_deref().map(pack_texts);
        sqlx::query(
            "INSERT INTO case_private (case_id, escalation_key_sealed, subject_sealed, authors_sealed)
             VALUES (?, ?, ?, ?)
             ON CONFLICT (case_id) DO UPDATE SET
                 escalation_key_sealed = excluded.escalation_key_sealed, subject_sealed = excluded.subject_sealed,
                 authors_sealed = excluded.authors_sealed",
        )
        .bind(id.as_slice())
        .bind(seal("escalation_key_sealed", key)?)
        .bind(seal("subject_sealed", subject)?)
        .bind(seal("authors_sealed", authors.as_ref().map(|packed| packed.as_slice()))?)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn put_pending(&self, tx: &mut Tx, id: &CaseKey, pending: &PendingStep) -> Result<()> {
        let [nonce] = self.nonces();
        let sealed = self
            .inner
            .sealer
            .seal(&pending_cell(&[id]), &nonce, &encode_pending(pending))?;
        let added = sqlx::query(
            "INSERT INTO case_pending (case_id, since_ms, step_sealed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(id.as_slice())
        .bind(pending.since_ms)
        .bind(sealed)
        .execute(&mut **tx)
        .await?;
        // Two people acted at once: the first one's step must not be lost.
        match added.rows_affected() {
            0 => Err(StoreError::Stale { what: "case" }),
            _ => Ok(()),
        }
    }

    async fn documents(&self, id: &CaseKey, kind: Option<&str>) -> Result<Vec<CaseDocument>> {
        let rows = sqlx::query(
            "SELECT * FROM case_document WHERE case_id = ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY seq",
        )
        .bind(id.as_slice())
        .bind(kind)
        .fetch_all(&self.inner.reader)
        .await?;
        let document = |row: &SqliteRow| {
            let (digest, kind): ([u8; 32], String) = (row.bytes("digest")?, row.try_get("kind")?);
            let place: [&[u8]; 3] = [id, &digest, kind.as_bytes()];
            let sealed = row.try_get("document_sealed")?;
            let plain = self.inner.sealer.open(&document_cell(&place), sealed)?;
            Ok(CaseDocument {
                digest,
                document: text_of(&plain, "case_document.document_sealed")?,
                kind,
            })
        };
        rows.iter().map(document).collect()
    }
}

async fn open_case(conn: &mut sqlx::SqliteConnection, tag_digest: &[u8; 16]) -> Result<Option<CaseKey>> {
    let row = sqlx::query(
        "SELECT id FROM disclosure_case
         WHERE tag_digest = ? AND side = 'requester' AND waits_for IS NOT NULL LIMIT 1",
    )
    .bind(tag_digest.as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.bytes("id")).transpose()
}

/// Writes what follows from the steps.
async fn project(tx: &mut Tx, row: &CaseRow) -> Result<()> {
    let clock = row.clock;
    sqlx::query(
        "UPDATE disclosure_case SET state = ?, waits_for = ?, purpose = ?, urgency = ?, updated_ms = ?,
             clock_started_ms = ?, clock_due_ms = ?, clock_stopped = ?, clock_ended = ?, clock_reminded = ?,
             expires_ms = ?, step = ?, head = ?
         WHERE id = ?",
    )
    .bind(&row.state)
    .bind(row.waits_for.map(CaseSide::as_str))
    .bind(&row.purpose)
    .bind(&row.urgency)
    .bind(row.updated_ms)
    .bind(clock.map(|clock| clock.started_ms))
    .bind(clock.map(|clock| clock.due_ms))
    .bind(clock.map(|clock| clock.stopped))
    .bind(clock.map(|clock| clock.ended))
    .bind(clock.map(|clock| clock.reminded))
    .bind(row.expires_ms)
    .bind(row.step)
    .bind(row.head.as_slice())
    .bind(row.id.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether two rows are about the same case.
fn same_case(a: &CaseRow, b: &CaseRow) -> bool {
    a.side == b.side
        && a.partner == b.partner
        && (&a.agreement, &a.offer, a.epoch) == (&b.agreement, &b.offer, b.epoch)
        && (&a.kind, a.exchange, a.tag, a.opened_ms) == (&b.kind, b.exchange, b.tag, b.opened_ms)
}

pub(crate) fn row_of(sealer: &Sealer, row: &SqliteRow) -> Result<CaseRow> {
    let id: CaseKey = row.bytes("id")?;
    let tag = sealer.open(&tag_cell(&[&id]), row.try_get("tag_sealed")?)?;
    let clock = |started_ms| {
        Ok::<_, StoreError>(CaseClock {
            started_ms,
            due_ms: row.try_get("clock_due_ms")?,
            stopped: row.flag("clock_stopped")?,
            ended: row.flag("clock_ended")?,
            reminded: row.int("clock_reminded")?,
        })
    };
    Ok(CaseRow {
        id,
        side: CaseSide::from_column(row, "side")?,
        partner: row.try_get("partner")?,
        agreement: row.try_get("agreement")?,
        offer: row.try_get("offer")?,
        epoch: row.int("epoch")?,
        kind: row.try_get("kind")?,
        exchange: row.bytes("exchange")?,
        tag: tag.as_slice().try_into().map_err(|_| StoreError::Corrupt {
            what: "disclosure_case.tag_sealed",
        })?,
        state: row.try_get("state")?,
        waits_for: waits_for(row)?,
        purpose: row.try_get("purpose")?,
        urgency: row.try_get("urgency")?,
        opened_ms: row.try_get("opened_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        clock: row
            .try_get::<Option<i64>, _>("clock_started_ms")?
            .map(clock)
            .transpose()?,
        expires_ms: row.try_get("expires_ms")?,
        step: row.int("step")?,
        head: row.bytes("head")?,
    })
}

pub(crate) fn waits_for(row: &SqliteRow) -> Result<Option<CaseSide>> {
    let word: Option<&str> = row.try_get("waits_for")?;
    word.map(|_| CaseSide::from_column(row, "waits_for")).transpose()
}

/// What finds a tag in its scope without showing it.
fn tag_digest(sealer: &Sealer, agreement: &str, offer: &str, epoch: u32, tag: &Tag) -> [u8; 16] {
    sealer.digest(&[
        b"disclosure_case.tag",
        agreement.as_bytes(),
        offer.as_bytes(),
        &epoch.to_be_bytes(),
        tag,
    ])
}

fn tag_cell<'a>(key: &'a [&'a [u8]; 1]) -> Cell<'a> {
    Cell {
        table: "disclosure_case",
        column: "tag_sealed",
        key,
    }
}

fn private_cell<'a>(column: &'static str, key: &'a [&'a [u8]; 1]) -> Cell<'a> {
    Cell {
        table: "case_private",
        column,
        key,
    }
}

/// Time and privacy are bound too: a step that is made public behind our back does not open.
fn with_event_cell<T>(
    id: &CaseKey,
    seq: u32,
    at_ms: i64,
    private: bool,
    work: impl FnOnce(&Cell<'_>) -> T,
) -> T {
    work(&Cell {
        table: "case_event",
        column: "document_sealed",
        key: &[id, &seq.to_be_bytes(), &at_ms.to_be_bytes(), &[u8::from(private)]],
    })
}

fn document_cell<'a>(key: &'a [&'a [u8]; 3]) -> Cell<'a> {
    Cell {
        table: "case_document",
        column: "document_sealed",
        key,
    }
}

fn pending_cell<'a>(key: &'a [&'a [u8]; 1]) -> Cell<'a> {
    Cell {
        table: "case_pending",
        column: "step_sealed",
        key,
    }
}

/// The step, then digest, kind and text of each document.
fn encode_pending(pending: &PendingStep) -> Zeroizing<Vec<u8>> {
    let mut parts = vec![pending.event.as_bytes()];
    for document in &pending.documents {
        parts.extend([
            document.digest.as_slice(),
            document.kind.as_bytes(),
            document.document.as_bytes(),
        ]);
    }
    pack(&parts)
}

fn decode_pending(since_ms: i64, packed: &[u8]) -> Result<PendingStep> {
    const WHAT: &str = "case_pending.step_sealed";
    let corrupt = || StoreError::Corrupt { what: WHAT };
    let parts = unpack(packed).ok_or_else(corrupt)?;
    let (event, documents) = parts.split_first().ok_or_else(corrupt)?;
    let document = |parts: &[&[u8]]| match parts {
        [digest, kind, document] => Ok(CaseDocument {
            digest: (*digest).try_into().map_err(|_| corrupt())?,
            kind: text_of(kind, WHAT)?.to_string(),
            document: text_of(document, WHAT)?,
        }),
        _ => Err(corrupt()),
    };
    Ok(PendingStep {
        since_ms,
        event: text_of(event, WHAT)?,
        documents: documents.chunks(3).map(document).collect::<Result<_>>()?,
    })
}

pub(crate) fn text_of(plain: &[u8], what: &'static str) -> Result<Zeroizing<String>> {
    let text = std::str::from_utf8(plain).map_err(|_| StoreError::Corrupt { what })?;
    Ok(Zeroizing::new(text.to_owned()))
}
