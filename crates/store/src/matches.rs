//! What a job found: our records that a partner also has, and what stayed unknown.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::seal::{Cell, Sealer};
use crate::types::{Columns, JobId, ListId, ScopeId};
use crate::{Result, Store, StoreError};

/// A record of ours that a partner also has.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMatch {
    /// Our list.
    pub list: ListId,
    /// The list's own id of our record. Sealed at rest: which records matched is nobody else's business.
    pub source_id: String,
    /// The partner.
    pub partner: String,
    /// What matched.
    pub kind: u8,
    /// By which rule.
    pub rule: u8,
    /// How well it identifies; the smaller, the better.
    pub grade: u8,
}

impl fmt::Debug for NewMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMatch")
            .field("list", &self.list)
            .field("kind", &self.kind)
            .field("grade", &self.grade)
            .finish_non_exhaustive()
    }
}

/// A match with its place in the order of a job's matches; the cursor of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobMatch {
    /// Rises with the time of discovery.
    pub seq: i64,
    /// What was found.
    pub found: NewMatch,
}

/// Elements of a scope whose verdict is unknown, by reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCount {
    /// The scope.
    pub scope: ScopeId,
    /// Why.
    pub reason: String,
    /// How many.
    pub elements: u64,
}

impl Store {
    /// Adds matches found outside of a chunk, in a pass over kept tags ([`Store::next_match_pass`]; 0 for one that
    /// will be made again). Of one record, partner and kind one match is kept: that of the latest pass, and of that
    /// pass the one with the best grade.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn add_matches(&self, job: JobId, pass: u32, matches: &[NewMatch]) -> Result<()> {
        for batch in matches.chunks(500) {
            let mut tx = self.begin("job_match.add").await?;
            self.insert_matches(&mut tx, job, pass, batch).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The number of a new pass over all kept tags of a job, above that of every earlier one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn next_match_pass(&self, job: JobId) -> Result<u32> {
        let row = sqlx::query("SELECT coalesce(max(pass), 0) + 1 AS next FROM job_match WHERE job_id = ?")
            .bind(job.as_bytes().as_slice())
            .fetch_one(&self.inner.reader)
            .await?;
        row.int("next")
    }

    /// Takes out the matches of a job that a finished pass did not find again, some at a time. Returns how many;
    /// call it until that is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn sweep_matches(&self, job: JobId, pass: u32) -> Result<u64> {
        let mut tx = self.begin("job_match.sweep").await?;
        let done = sqlx::query(
            "DELETE FROM job_match WHERE seq IN
                 (SELECT seq FROM job_match WHERE job_id = ? AND pass < ? LIMIT 4096)",
        )
        .bind(job.as_bytes().as_slice())
        .bind(pass)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// A page of a job's matches in the order of discovery, after `cursor` (a [`JobMatch::seq`]).
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged.
    pub async fn matches_page(&self, job: JobId, cursor: Option<i64>, limit: u32) -> Result<Vec<JobMatch>> {
        let rows = sqlx::query("SELECT * FROM job_match WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(job.as_bytes().as_slice())
            .bind(cursor.unwrap_or(0))
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(|row| match_of(&self.inner.sealer, row)).collect()
    }

    /// How many matches a job has found.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn count_matches(&self, job: JobId) -> Result<u64> {
        let row = sqlx::query("SELECT count(*) AS n FROM job_match WHERE job_id = ?")
            .bind(job.as_bytes().as_slice())
            .fetch_one(&self.inner.reader)
            .await?;
        row.int("n")
    }

    /// The unknown verdicts of a job by scope and reason.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unknown_counts(&self, job: JobId) -> Result<Vec<UnknownCount>> {
        let query =
            "SELECT scope_id, reason, elements FROM job_unknown WHERE job_id = ? ORDER BY scope_id, reason";
        let rows = sqlx::query(query)
            .bind(job.as_bytes().as_slice())
            .fetch_all(&self.inner.reader)
            .await?;
        let count = |row: &SqliteRow| {
            Ok(UnknownCount {
                scope: ScopeId(row.try_get("scope_id")?),
                reason: row.try_get("reason")?,
                elements: row.int("elements")?,
            })
        };
        rows.iter().map(count).collect()
    }

    pub(crate) async fn insert_matches(
        &self,
        conn: &mut SqliteConnection,
        job: JobId,
        pass: u32,
        matches: &[NewMatch],
    ) -> Result<()> {
        for found in matches {
            let match_key = match_key(&self.inner.sealer, job, found);
            let [nonce] = self.nonces();
            let source = with_match_cell(&match_key, |cell| {
                self.inner.sealer.seal(cell, &nonce, found.source_id.as_bytes())
            })?;
            sqlx::query(
                "INSERT INTO job_match
                     (job_id, match_key, list_id, source_id_sealed, partner, kind, rule, grade, pass)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (match_key) DO UPDATE
                 SET rule = excluded.rule, grade = excluded.grade, pass = excluded.pass
                 WHERE excluded.pass > pass OR (excluded.pass = pass AND excluded.grade < grade)",
            )
            .bind(job.as_bytes().as_slice())
            .bind(match_key.as_slice())
            .bind(found.list.0)
            .bind(source)
            .bind(found.partner.as_str())
            .bind(found.kind)
            .bind(found.rule)
            .bind(found.grade)
            .bind(pass)
            .execute(&mut *conn)
            .await
            .map_err(StoreError::on_insert("match", "job"))?;
        }
        Ok(())
    }
}

fn match_key(sealer: &Sealer, job: JobId, found: &NewMatch) -> [u8; 16] {
    sealer.digest(&[
        b"job_match",
        job.as_bytes(),
        found.partner.as_bytes(),
        &found.list.0.to_be_bytes(),
        found.source_id.as_bytes(),
        &[found.kind],
    ])
}

/// The place of a match's source id; the key covers job, partner, list, source id and kind.
fn with_match_cell<T>(match_key: &[u8; 16], work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "job_match",
        column: "source_id_sealed",
        key: &[match_key],
    })
}

fn match_of(sealer: &Sealer, row: &SqliteRow) -> Result<JobMatch> {
    let (match_key, sealed) = (row.bytes("match_key")?, row.try_get("source_id_sealed")?);
    let source_id = with_match_cell(&match_key, |cell| sealer.open(cell, sealed))?;
    let source_id = String::from_utf8(source_id.to_vec());
    Ok(JobMatch {
        seq: row.try_get("seq")?,
        found: NewMatch {
            list: ListId(row.try_get("list_id")?),
            source_id: source_id.map_err(|_| StoreError::Corrupt {
                what: "job_match.source_id_sealed",
            })?,
            partner: row.try_get("partner")?,
            kind: row.int("kind")?,
            rule: row.int("rule")?,
            grade: row.int("grade")?,
        },
    })
}
