//! Jobs: long work that survives restarts, and its progress.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::seal::{Cell, Sealer};
use crate::types::{Columns, JobId, to_sql, words};
use crate::{Purged, Result, Store, StoreError};

words! {
    /// How far a job is.
    JobState {
        /// Waits for its turn.
        Queued = "queued",
        /// At work.
        Running = "running",
        /// Waits for the partner or for quota.
        Paused = "paused",
        /// Done.
        Succeeded = "succeeded",
        /// Given up; may be queued again.
        Failed = "failed",
        /// Stopped by a person.
        Cancelled = "cancelled",
    }
}

impl JobState {
    const fn can_become(self, next: Self) -> bool {
        use JobState::{Cancelled, Failed, Paused, Queued, Running, Succeeded};
        match self {
            Queued => matches!(next, Running | Cancelled | Failed),
            Running => matches!(next, Queued | Paused | Succeeded | Failed | Cancelled),
            Paused => matches!(next, Queued | Running | Failed | Cancelled),
            Failed => matches!(next, Queued),
            Succeeded | Cancelled => false,
        }
    }

    /// Whether the job is over: succeeded, failed or cancelled.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A job to be queued.
#[derive(Clone)]
pub struct NewJob {
    /// A UUID of version 7: jobs are listed by it, the newest first.
    pub id: JobId,
    /// The caller's own id of the request, if it has one.
    pub request_id: Option<String>,
    /// What it does, for example `intersect`.
    pub kind: String,
    /// What exactly, in the caller's encoding. Sealed at rest: it may name a case.
    pub spec: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewJob")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A job.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// What exactly, opened.
    pub spec: Zeroizing<Vec<u8>>,
    /// How far it is.
    pub state: JobState,
    /// Units done.
    pub done: u64,
    /// Units in all, once known.
    pub total: Option<u64>,
    /// Why it is paused or failed; empty otherwise.
    pub detail: String,
    /// What its end tells, in the caller's encoding; empty before.
    pub summary: String,
    /// A person asked to stop it.
    pub cancel_requested: bool,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub updated_ms: i64,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("done", &self.done)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Queues a job. If a job of the same request id exists, nothing is done and its id is returned.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the job id is taken.
    pub async fn create_job(&self, new: &NewJob, now_ms: i64) -> Result<JobId> {
        let [nonce] = self.nonces();
        let spec = with_spec_cell(new.id, |cell| self.inner.sealer.seal(cell, &nonce, &new.spec))?;
        let mut tx = self.begin("job.create").await?;
        let earlier = sqlx::query("SELECT id FROM job WHERE request_id = ?")
            .bind(new.request_id.as_deref())
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = earlier {
            return Ok(JobId::from_bytes(row.bytes("id")?));
        }
        sqlx::query(
            "INSERT INTO job (id, request_id, kind, state, spec_sealed, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?5)",
        )
        .bind(new.id.as_bytes().as_slice())
        .bind(new.request_id.as_deref())
        .bind(new.kind.as_str())
        .bind(spec)
        .bind(now_ms)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("job", "job"))?;
        tx.commit().await?;
        Ok(new.id)
    }

    /// The job of this id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn job(&self, job: JobId) -> Result<Job> {
        let row = sqlx::query("SELECT * FROM job WHERE id = ?")
            .bind(job.as_bytes().as_slice())
            .fetch_optional(&self.inner.reader)
            .await?;
        job_of(
            &self.inner.sealer,
            &row.ok_or(StoreError::NotFound { what: "job" })?,
        )
    }

    /// Jobs, the newest first, before `cursor`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn jobs(&self, cursor: Option<JobId>, limit: u32) -> Result<Vec<Job>> {
        let rows = sqlx::query("SELECT * FROM job WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2")
            .bind(cursor.map(|job| job.as_bytes().to_vec()))
            .bind(limit)
            .fetch_all(&self.inner.reader)
            .await?;
        rows.iter().map(|row| job_of(&self.inner.sealer, row)).collect()
    }

    /// Every job that is queued, running or paused, the oldest first: what a node takes up again when it starts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        let rows =
            sqlx::query("SELECT * FROM job WHERE state IN ('queued', 'running', 'paused') ORDER BY id")
                .fetch_all(&self.inner.reader)
                .await?;
        rows.iter().map(|row| job_of(&self.inner.sealer, row)).collect()
    }

    /// Moves a job on. `detail` says why; it must not hold an identifier. The same state again only replaces the
    /// detail. A failed job that is queued again forgets an earlier wish to cancel it.
    ///
    /// # Errors
    /// [`StoreError::InvalidTransition`]: see the state diagram in `docs/data-model.md`.
    pub async fn set_job_state(&self, job: JobId, state: JobState, detail: &str, now_ms: i64) -> Result<()> {
        let mut tx = self.begin("job.set_state").await?;
        let row = sqlx::query("SELECT state FROM job WHERE id = ?")
            .bind(job.as_bytes().as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        let present = JobState::from_column(&row.ok_or(StoreError::NotFound { what: "job" })?, "state")?;
        if present != state && !present.can_become(state) {
            return Err(StoreError::InvalidTransition {
                what: "job",
                from: present.as_str(),
                to: state.as_str(),
            });
        }
        sqlx::query(
            "UPDATE job SET state = ?2, detail = ?3, updated_ms = ?4,
             cancel_requested = cancel_requested AND NOT (state = 'failed' AND ?2 = 'queued') WHERE id = ?1",
        )
        .bind(job.as_bytes().as_slice())
        .bind(state.as_str())
        .bind(detail)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Sets how much there is to do.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_job_total(&self, job: JobId, total: u64, now_ms: i64) -> Result<()> {
        let statement = "UPDATE job SET total = ?2, updated_ms = ?3 WHERE id = ?1";
        self.update_job(statement, job, to_sql(total), now_ms).await
    }

    /// Adds to what is done. Chunks do this themselves ([`Store::complete_chunk`]).
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn add_job_progress(&self, job: JobId, done: u64, now_ms: i64) -> Result<()> {
        let statement = "UPDATE job SET done = done + ?2, updated_ms = ?3 WHERE id = ?1";
        self.update_job(statement, job, to_sql(done), now_ms).await
    }

    /// Keeps what the job's end tells, in the caller's encoding. Kept in clear: no identifiers.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_job_summary(&self, job: JobId, summary: &str, now_ms: i64) -> Result<()> {
        let statement = "UPDATE job SET summary = ?2, updated_ms = ?3 WHERE id = ?1";
        self.update_job(statement, job, summary, now_ms).await
    }

    /// Asks a job to stop; it does so at its next step. Returns `false` if it was over.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn request_cancel(&self, job: JobId, now_ms: i64) -> Result<bool> {
        let open = !self.job(job).await?.state.is_over();
        if open {
            let statement = "UPDATE job SET cancel_requested = ?2, updated_ms = ?3 WHERE id = ?1";
            self.update_job(statement, job, true, now_ms).await?;
        }
        Ok(open)
    }

    /// Does one small step of deleting the jobs that ended before `before_ms`, with their chunks and matches. Call it
    /// again until it returns [`Purged::Nothing`]. The request id of a deleted job is free again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn purge_jobs_step(&self, before_ms: i64) -> Result<Purged> {
        let old: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT id FROM job WHERE state IN ('succeeded', 'failed', 'cancelled') AND updated_ms < ? LIMIT 1",
        )
        .bind(before_ms)
        .fetch_optional(&self.inner.reader)
        .await?;
        let Some(job) = old else {
            return Ok(Purged::Nothing);
        };
        let mut tx = self.begin("purge.job").await?;
        // Nobody takes up again what is half deleted. One that was taken up since we looked stays.
        let over = sqlx::query(
            "UPDATE job SET state = CASE state WHEN 'failed' THEN 'cancelled' ELSE state END
             WHERE id = ?1 AND state IN ('succeeded', 'failed', 'cancelled') AND updated_ms < ?2",
        )
        .bind(job.as_slice())
        .bind(before_ms)
        .execute(&mut *tx)
        .await?;
        if over.rows_affected() == 0 {
            return Ok(Purged::Step);
        }
        for statement in [
            "DELETE FROM job_match WHERE seq IN (SELECT seq FROM job_match WHERE job_id = ? LIMIT 4096)",
            "DELETE FROM job_chunk WHERE (job_id, scope_id, idx) IN
                 (SELECT job_id, scope_id, idx FROM job_chunk WHERE job_id = ? LIMIT 4096)",
        ] {
            let done = sqlx::query(statement)
                .bind(job.as_slice())
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() > 0 {
                tx.commit().await?;
                return Ok(Purged::Step);
            }
        }
        for statement in [
            "DELETE FROM job_unknown WHERE job_id = ?",
            "DELETE FROM job_request WHERE job_id = ?",
            "DELETE FROM job WHERE id = ?",
        ] {
            sqlx::query(statement)
                .bind(job.as_slice())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Purged::Step)
    }

    async fn update_job<'q, V>(
        &self,
        statement: &'static str,
        job: JobId,
        value: V,
        now_ms: i64,
    ) -> Result<()>
    where
        V: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send,
    {
        let query = sqlx::query(statement)
            .bind(job.as_bytes().as_slice())
            .bind(value)
            .bind(now_ms);
        let mut tx = self.begin("job.update").await?;
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "job" });
        }
        tx.commit().await
    }
}

fn with_spec_cell<T>(job: JobId, work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "job",
        column: "spec_sealed",
        key: &[job.as_bytes()],
    })
}

fn job_of(sealer: &Sealer, row: &SqliteRow) -> Result<Job> {
    let id = JobId::from_bytes(row.bytes("id")?);
    let sealed = row.try_get("spec_sealed")?;
    Ok(Job {
        id,
        kind: row.try_get("kind")?,
        spec: with_spec_cell(id, |cell| sealer.open(cell, sealed))?,
        state: JobState::from_column(row, "state")?,
        done: row.int("done")?,
        total: row.int_opt("total")?,
        detail: row.try_get("detail")?,
        summary: row.try_get("summary")?,
        cancel_requested: row.flag("cancel_requested")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}
