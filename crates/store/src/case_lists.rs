//! Many cases at once: pages, counts, what the node has to do next, and what it no longer keeps.

use sqlx::{AssertSqlSafe, Row};

use crate::case_types::{CaseKey, CaseRow, CaseSide};
use crate::cases::{row_of, waits_for};
use crate::types::Columns;
use crate::{Result, Store};

/// Parts of attachments deleted in one transaction: 16 MiB.
const PART_BATCH: u32 = 64;

/// Whose turn it is, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaseTurn {
    /// Somebody here has something to do.
    Ours,
    /// The partner has.
    Theirs,
    /// Nobody has: the case has ended.
    Nobody,
}

impl CaseTurn {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Nobody => "nobody",
        }
    }
}

/// Which cases: those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// Where we are this side.
    pub side: Option<CaseSide>,
    /// Where it is this one's turn.
    pub turn: Option<CaseTurn>,
    /// In the state of this name.
    pub state: Option<String>,
    /// With this partner.
    pub partner: Option<String>,
}

/// The place of a case in the order of a list: by the time that its running clock is due, cases without one last; then
/// the one opened last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseCursor {
    /// When it is due, Unix milliseconds; [`i64::MAX`] without a running clock.
    pub due_ms: i64,
    /// When it was opened, Unix milliseconds.
    pub opened_ms: i64,
    /// The case.
    pub id: CaseKey,
}

impl CaseCursor {
    /// The place of this case: the next page is after it.
    pub fn after(row: &CaseRow) -> Self {
        let running = row.clock.filter(|clock| !clock.stopped && !clock.ended);
        Self {
            due_ms: running.map_or(i64::MAX, |clock| clock.due_ms),
            opened_ms: row.opened_ms,
            id: row.id,
        }
    }
}

/// How many cases are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseCount {
    /// Where we are this side.
    pub side: CaseSide,
    /// In the state of this name.
    pub state: String,
    /// Whose turn it is; `None`: nobody's.
    pub waits_for: Option<CaseSide>,
    /// How many.
    pub cases: u64,
}

impl Store {
    /// A page of cases, at most `limit`, after `after`.
    ///
    /// # Errors
    /// [`StoreError::Sealed`](crate::StoreError::Sealed) if one was damaged.
    pub async fn cases(
        &self,
        filter: &CaseFilter,
        after: Option<CaseCursor>,
        limit: u32,
    ) -> Result<Vec<CaseRow>> {
        let (due_ms, newest, id) = after.map_or((i64::MIN, i64::MIN, Vec::new()), |after| {
            (after.due_ms, after.opened_ms.saturating_neg(), after.id.to_vec())
        });
        // Only our own literals are in the text.
        let rows = sqlx::query(AssertSqlSafe(page_sql(filter)))
            .bind(filter.side.map(CaseSide::as_str))
            .bind(filter.turn.map(CaseTurn::as_str))
            .bind(filter.state.as_deref())
            .bind(filter.partner.as_deref())
            .bind(due_ms)
            .bind(newest)
            .bind(id)
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(|row| row_of(&self.inner.sealer, row)).collect()
    }

    /// How many cases there are of each sort: what the tabs of an inbox show.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn case_counts(&self) -> Result<Vec<CaseCount>> {
        let rows = sqlx::query(COUNTS).fetch_all(&self.inner.reader).await?;
        let count = |row| {
            Ok(CaseCount {
                side: CaseSide::from_column(row, "side")?,
                state: row.try_get("state")?,
                waits_for: waits_for(row)?,
                cases: row.int("cases")?,
            })
        };
        rows.iter().map(count).collect()
    }

    /// Cases with a step of ours that the owner has not taken, or with shared steps that the requester has not
    /// acknowledged, in the order of their ids after `after`, at most `limit`. Go on after the last one, or a partner who is
    /// away keeps all others waiting.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn cases_to_deliver(&self, after: Option<&CaseKey>, limit: u32) -> Result<Vec<CaseKey>> {
        let rows = sqlx::query(TO_DELIVER)
            .bind(after.map_or(&[][..], CaseKey::as_slice))
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(|row| row.bytes("id")).collect()
    }

    /// Cases whose next reminder is due by `now_ms`, and requests made to us that are void by then, the longest due first,
    /// at most `limit`. Each is among them until it was changed: its reminder counted, its request expired.
    ///
    /// # Errors
    /// [`StoreError::Sealed`](crate::StoreError::Sealed) if one was damaged.
    pub async fn cases_due(&self, now_ms: i64, limit: u32) -> Result<Vec<CaseRow>> {
        let rows = sqlx::query(DUE)
            .bind(now_ms)
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(|row| row_of(&self.inner.sealer, row)).collect()
    }

    /// How many requests a partner has made to us since a time (Unix milliseconds), as far as their cases are kept.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn requests_since(&self, partner: &str, since_ms: i64) -> Result<u32> {
        let row = sqlx::query(ASKED)
            .bind(partner)
            .bind(since_ms)
            .fetch_one(&self.inner.reader)
            .await?;
        row.int("requests")
    }

    /// Whether a hit of this pair opens no case at `now_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn suppressed(&self, tag: &[u8; 32], now_ms: i64) -> Result<bool> {
        let found: i64 =
            sqlx::query_scalar("SELECT count(*) FROM suppression WHERE tag = ? AND until_ms > ?")
                .bind(tag.as_slice())
                .bind(now_ms)
                .fetch_one(&self.inner.reader)
                .await?;
        Ok(found > 0)
    }

    /// Deletes suppressions that have ended; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn expire_suppressions(&self, now_ms: i64) -> Result<u64> {
        let mut tx = self.begin("suppression.expire").await?;
        let gone = sqlx::query("DELETE FROM suppression WHERE until_ms <= ?")
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() > 0 {
            tx.commit().await?;
        }
        Ok(gone.rows_affected())
    }

    /// The agreements that cases are under, in order.
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database).
    pub async fn agreements_of_cases(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(AGREEMENTS)
            .fetch_all(&self.inner.reader)
            .await?)
    }

    /// Deletes cases under an agreement that were last changed before `before_ms` (Unix milliseconds), with everything of them, at most `limit`;
    /// returns how many. Ended or not: what the other agency never answers does not stay for ever. What the ledger committed to of them stays. The bytes are overwritten in the
    /// database file, and gone from its log after [`Store::checkpoint`].
    ///
    /// # Errors
    /// [`StoreError::Database`](crate::StoreError::Database). Parts of attachments may be deleted by then: they go first, in
    /// transactions of their own, for no transaction is long.
    pub async fn erase_cases(&self, agreement: &str, before_ms: i64, limit: u32) -> Result<u64> {
        let rows = sqlx::query(OLDEST)
            .bind(agreement)
            .bind(before_ms)
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        let ids = rows.iter().map(|row| row.bytes("id"));
        let ids: Vec<CaseKey> = ids.collect::<Result<_>>()?;
        if ids.is_empty() {
            return Ok(0);
        }
        for id in &ids {
            self.erase_parts(id, before_ms).await?;
        }
        let mut tx = self.begin("disclosure_case.erase").await?;
        let mut erased = 0;
        for id in &ids {
            // What refers to it follows, and triggers let it.
            let gone = sqlx::query("DELETE FROM disclosure_case WHERE id = ? AND updated_ms < ?")
                .bind(id.as_slice())
                .bind(before_ms)
                .execute(&mut *tx)
                .await?;
            erased += gone.rows_affected();
        }
        if erased > 0 {
            tx.commit().await?;
        }
        Ok(erased)
    }

    async fn erase_parts(&self, id: &CaseKey, before_ms: i64) -> Result<()> {
        loop {
            // The entry about the erasure goes with the cases, not with this.
            let mut tx = self.recording_all(Vec::new()).begin("case_part.erase").await?;
            let gone = sqlx::query(
                "DELETE FROM case_part WHERE rowid IN (
                     SELECT p.rowid FROM case_part p JOIN disclosure_case c ON c.id = p.case_id
                     WHERE p.case_id = ? AND c.updated_ms < ? LIMIT ?)",
            )
            .bind(id.as_slice())
            .bind(before_ms)
            .bind(PART_BATCH)
            .execute(&mut *tx)
            .await?;
            if gone.rows_affected() == 0 {
                return Ok(());
            }
            tx.commit().await?;
        }
    }
}

const COUNTS: &str =
    "SELECT side, state, waits_for, count(*) AS cases FROM disclosure_case GROUP BY side, state, waits_for";

const TO_DELIVER: &str = "SELECT case_id AS id FROM case_pending WHERE case_id > ?1
    UNION SELECT id FROM disclosure_case INDEXED BY disclosure_case_undelivered
        WHERE side = 'owner' AND step > delivered AND id > ?1
    ORDER BY id LIMIT ?2";

const DUE: &str = "SELECT * FROM disclosure_case WHERE wake_ms <= ? ORDER BY wake_ms LIMIT ?";

const ASKED: &str = "SELECT count(*) AS requests FROM disclosure_case WHERE side = 'owner' AND partner = ? AND opened_ms >= ?";

const OLDEST: &str =
    "SELECT id FROM disclosure_case WHERE agreement = ? AND updated_ms < ? ORDER BY updated_ms LIMIT ?";
/// From each to the next: there are few agreements and many cases.
const AGREEMENTS: &str = "WITH RECURSIVE each (agreement) AS (
     SELECT min(agreement) FROM disclosure_case
     UNION ALL
     SELECT (SELECT min(agreement) FROM disclosure_case c WHERE c.agreement > each.agreement) FROM each
     WHERE each.agreement IS NOT NULL)
 SELECT agreement FROM each WHERE agreement IS NOT NULL";

/// The statement of a page. Its index is named: the planner knows nothing of how rare a partner or a state is.
fn page_sql(filter: &CaseFilter) -> String {
    let given = [
        (filter.partner.is_some(), "partner", "AND partner = ?4"),
        (filter.state.is_some(), "state", "AND state = ?3"),
        (filter.turn.is_some(), "turn", "AND turn = ?2"),
        (filter.side.is_some(), "side", "AND side = ?1"),
    ];
    let index = given
        .iter()
        .find(|(given, ..)| *given)
        .map_or("list", |(_, name, _)| name);
    let conditions: Vec<&str> = given
        .iter()
        .filter(|(given, ..)| *given)
        .map(|(.., condition)| *condition)
        .collect();
    format!(
        "SELECT * FROM disclosure_case INDEXED BY disclosure_case_{index}
         WHERE (due_order, newest_first, id) > (?5, ?6, ?7) {}
         ORDER BY due_order, newest_first, id LIMIT ?8",
        conditions.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;
    use sqlx::sqlite::SqliteConnection;

    use super::*;
    use crate::migrate;

    /// How SQLite answers a statement: one line for each table it reads.
    async fn plan(conn: &mut SqliteConnection, sql: &str) -> Vec<String> {
        let text = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(text).fetch_all(conn).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    /// A hundred thousand cases are read by an index, in its order: a plan that sorts or scans the table is none.
    #[tokio::test]
    async fn every_list_of_cases_is_read_by_an_index() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for step in migrate::STEPS {
            sqlx::raw_sql(*step).execute(&mut conn).await.unwrap();
        }
        let mut pages = Vec::new();
        for given in 0..16_u8 {
            let has = |bit: u8| given & bit != 0;
            pages.push(page_sql(&CaseFilter {
                side: has(1).then_some(CaseSide::Owner),
                turn: has(2).then_some(CaseTurn::Ours),
                state: has(4).then(|| "HIT".to_owned()),
                partner: has(8).then(|| "agency-b".to_owned()),
            }));
        }
        for sql in &pages {
            let plan = plan(&mut conn, sql).await;
            let [only] = plan.as_slice() else {
                panic!("{sql}: {plan:?}")
            };
            // It begins behind the cursor, not at the start of the index.
            assert!(
                only.starts_with("SEARCH disclosure_case USING INDEX"),
                "{sql}: {only}"
            );
            assert!(
                only.contains("(due_order,newest_first,id)>(?,?,?)"),
                "{sql}: {only}"
            );
        }
        for (sql, index) in [
            (COUNTS, "disclosure_case_count"),
            (DUE, "disclosure_case_wake"),
            (ASKED, "disclosure_case_asked"),
            (OLDEST, "disclosure_case_oldest"),
            (AGREEMENTS, "disclosure_case_oldest"),
            (TO_DELIVER, "disclosure_case_undelivered"),
        ] {
            let plan = plan(&mut conn, sql).await;
            assert!(plan.iter().any(|line| line.contains(index)), "{sql}: {plan:?}");
            assert!(
                !plan.iter().any(|line| line.contains("TEMP B-TREE")),
                "{sql}: {plan:?}"
            );
        }
    }
}
