//! Exchanges begun and closed, each with its entry in the ledger: one statement where one comes alone, one transaction for those
//! that come together.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;

use super::{Exchange, MAX_EXCHANGES, bind_exchange};
use crate::db::Inner;
use crate::group::Group;
use crate::ledger::{NewEntry, seal_key};
use crate::sql::insert_at_once;
use crate::types::to_sql;
use crate::{Result, Store, StoreError};

/// Most that go in one transaction: some milliseconds of work if they are closings, or queries to a few partners.
const MAX_STEPS: usize = 64;

/// What is done with exchanges in one statement. What is on its way is on the heap: an entry holds a key, and is wiped there.
pub(crate) enum Step {
    Begin(Vec<(Exchange, NewEntry)>),
    Close(Box<NewEntry>),
}

/// Ends with the number of entries that each added.
pub(crate) type Steps = Group<Step, Result<u64>>;

pub(crate) fn steps_of(store: &Arc<Inner>) -> Arc<Steps> {
    let store = Arc::clone(store);
    Group::new(MAX_STEPS, move |steps: Vec<Step>| {
        let store = Arc::clone(&store);
        async move { store.take_steps(&steps).await }
    })
}

impl Store {
    /// Records exchanges that are new, each with the entry that opens it: all of them, at most [`MAX_EXCHANGES`], or none. Ends
    /// when they are on disk. It is begun with the call, and goes on if nobody waits.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if an id belongs to another exchange; [`StoreError::TooMany`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn begin_exchanges(
        &self,
        exchanges: Vec<(Exchange, NewEntry)>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let given = exchanges.len();
        let step = (given <= MAX_EXCHANGES).then(|| self.step(Step::Begin(exchanges)));
        async move {
            match step {
                Some(step) => step.await.map(drop),
                None => Err(StoreError::TooMany {
                    what: "exchanges",
                    given,
                    max: MAX_EXCHANGES,
                }),
            }
        }
    }

    /// Adds the entry that says how an exchange ended, which closes it. One that is not open stays as it is, and nothing is
    /// added. Ends when that is on disk, with whether it was open. It is begun with the call, and goes on if nobody waits.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn close_exchange(&self, entry: NewEntry) -> impl Future<Output = Result<bool>> + Send + use<> {
        let step = self.step(Step::Close(Box::new(entry)));
        async move { Ok(step.await? > 0) }
    }

    fn step(&self, step: Step) -> impl Future<Output = Result<u64>> + Send + use<> {
        debug_assert!(self.take_recorded().is_empty(), "nothing would record these");
        let taken = self.steps.give(step);
        async move { taken.await.ok_or(StoreError::ShuttingDown)? }
    }
}

impl Inner {
    async fn take_steps(&self, steps: &[Step]) -> Vec<Result<u64>> {
        let taken = match steps {
            [step] => Ok(vec![self.take_alone(step).await]),
            _ => self.take_together(steps).await,
        };
        taken.unwrap_or_else(|error| {
            let reason = error.to_string();
            let failed = steps.iter().map(|_| {
                Err(StoreError::Together {
                    reason: reason.clone(),
                })
            });
            failed.collect()
        })
    }

    /// A statement by itself is a transaction by itself.
    async fn take_alone(&self, step: &Step) -> Result<u64> {
        let mut writer = self.writer.acquire().await?;
        let next = self.next_entry(&mut writer).await?;
        let added = self.execute(&mut writer, next.number, step).await?;
        next.added(added);
        Ok(added)
    }

    /// What is wrong with one is its own: its statement changed nothing. If the database failed, it failed all of them.
    async fn take_together(&self, steps: &[Step]) -> Result<Vec<Result<u64>>> {
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let next = self.next_entry(&mut tx).await?;
        let (mut all, mut taken) = (0, Vec::with_capacity(steps.len()));
        for step in steps {
            let added = self.execute(&mut tx, next.number + all, step).await;
            match added {
                Ok(added) => all += added,
                Err(error @ StoreError::Database(_)) => return Err(error),
                Err(_) => {}
            }
            taken.push(added);
        }
        tx.commit().await?;
        next.added(all);
        Ok(taken)
    }

    /// Numbers its entries from `number` on.
    async fn execute(&self, conn: &mut SqliteConnection, number: u64, step: &Step) -> Result<u64> {
        match step {
            Step::Begin(exchanges) => self.insert_with_entries(conn, number, exchanges).await,
            Step::Close(entry) => self.insert_if_open(conn, number, entry).await,
        }
    }

    async fn insert_with_entries(
        &self,
        conn: &mut SqliteConnection,
        number: u64,
        exchanges: &[(Exchange, NewEntry)],
    ) -> Result<u64> {
        let rows = (number..).zip(exchanges).map(|(number, (exchange, entry))| {
            let [nonce] = self.nonces();
            let key = seal_key(&self.sealer, number, entry, &nonce)?;
            let sealed = self.seal_asked(exchange)?;
            Ok((exchange, sealed, number, entry, key))
        });
        let rows: Vec<_> = rows.collect::<Result<_>>()?;
        insert_at_once(
            conn,
            "INSERT INTO exchange_with_entry (id, at_ms, direction, partner, scope_id, purpose, legal_basis, elements,
                                              query_id, client, officer_sealed, case_reference_sealed, ordered_by_sealed,
                                              number, entry_at_ms, kind, erase_day, leaf, payload, key_sealed)",
            20,
            "",
            &rows,
            |query, (exchange, sealed, number, entry, key)| {
                bind_exchange(query, exchange, sealed)
                    .bind(to_sql(*number))
                    .bind(entry.at_ms)
                    .bind(entry.kind)
                    .bind(entry.erase_day)
                    .bind(entry.leaf.clone())
                    .bind(entry.payload.clone())
                    .bind(key.clone())
            },
        )
        .await
        .map_err(StoreError::on_insert("exchange", "scope"))?;
        Ok(rows.len() as u64)
    }

    async fn insert_if_open(
        &self,
        conn: &mut SqliteConnection,
        number: u64,
        entry: &NewEntry,
    ) -> Result<u64> {
        let [nonce] = self.nonces();
        let key = seal_key(&self.sealer, number, entry, &nonce)?;
        let closed = sqlx::query(
            "INSERT INTO ledger_entry (number, at_ms, kind, exchange, erase_day, leaf, payload, key_sealed)
             SELECT ?, ?, ?, id, ?, ?, ?, ? FROM exchange_open WHERE id = ?",
        )
        .bind(to_sql(number))
        .bind(entry.at_ms)
        .bind(entry.kind)
        .bind(entry.erase_day)
        .bind(entry.leaf.clone())
        .bind(entry.payload.clone())
        .bind(key)
        .bind(entry.exchange.map(|id| id.to_vec()))
        .execute(conn)
        .await?;
        Ok(closed.rows_affected())
    }
}
