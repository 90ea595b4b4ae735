//! The chunks of a job: planned before they are sent, so that a chunk can be sent again byte for byte, and
//! completed in one transaction with all that follows from them.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::budget::Answered;
use crate::kept_tags::insert_kept;
use crate::matches::NewMatch;
use crate::seal::{Cell, Sealer};
use crate::tags::KeptTag;
use crate::types::{BlindIndex, Columns, JobId, ScopeId, to_sql};
use crate::{Result, Store, StoreError};

/// One identifier of a chunk.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkItem {
    /// The identifier.
    pub blind_index: BlindIndex,
    /// The rule that made it.
    pub rule: u8,
    /// How well it identifies.
    pub grade: u8,
    /// The normalised value: kept here because its record may be gone when the chunk is sent again.
    pub canonical: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ChunkItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkItem")
            .field("rule", &self.rule)
            .field("grade", &self.grade)
            .finish_non_exhaustive()
    }
}

/// A chunk as it is, or is about to be, sent. The caller derives all that is random in it (blinds, dummies, their
/// places) from the seed, and must do so in the same way after a restart.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkPlan {
    /// The job.
    pub job: JobId,
    /// The scope it is sent to.
    pub scope: ScopeId,
    /// Its number within the job and scope.
    pub index: u32,
    /// The source of the chunk's randomness. Sealed at rest, erased when the chunk is complete.
    pub seed: Zeroizing<[u8; 32]>,
    /// Its identifiers in the order of their blind indexes. None: there are no more, and the chunk is padding only.
    /// Sealed at rest, erased when the chunk is complete.
    pub items: Vec<ChunkItem>,
}

impl fmt::Debug for ChunkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkPlan")
            .field("job", &self.job)
            .field("scope", &self.scope)
            .field("index", &self.index)
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

/// The request that a job makes in a scope. Its size is fixed when it begins, whatever happens to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// The job.
    pub job: JobId,
    /// The scope that is asked.
    pub scope: ScopeId,
    /// As the partner knows it.
    pub request_id: [u8; 16],
    /// The number of its first chunk.
    pub first_index: u32,
    /// How many chunks it has.
    pub chunks: u32,
    /// How many identifiers there were to be asked about when it began.
    pub identifiers: u64,
    /// Elements in all chunks together, after padding.
    pub elements: u64,
}

/// Where planning goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanCursor {
    /// The number of the next chunk.
    pub next_index: u32,
    /// Identifiers up to here are in a chunk.
    pub after: BlindIndex,
}

/// What follows from a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedChunk {
    /// The job.
    pub job: JobId,
    /// The scope.
    pub scope: ScopeId,
    /// The chunk's number.
    pub index: u32,
    /// The tags of its identifiers, kept for the epoch.
    pub tags: Vec<KeptTag>,
    /// What was found.
    pub matches: Vec<NewMatch>,
    /// Elements whose verdict is unknown, by reason.
    pub unknown: Vec<(String, u64)>,
    /// How far the job's progress moves: the chunk's identifiers.
    pub done: u64,
    /// How many of them were found.
    pub found: u64,
    /// SHA-256 of the chunk's blinded elements.
    pub digest: [u8; 32],
    /// How many elements, padding included.
    pub elements: u32,
}

/// What a job was answered in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The chunks that were answered.
    pub answered: Answered,
    /// Identifiers in them.
    pub items: u64,
    /// Of these, found.
    pub found: u64,
}

impl Store {
    /// Keeps the request that a job is about to make in a scope, in the place of the one before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown job or scope.
    pub async fn put_job_request(&self, request: &JobRequest) -> Result<()> {
        let mut tx = self.begin("job_request.put").await?;
        sqlx::query(
            "INSERT OR REPLACE INTO job_request
                 (job_id, scope_id, request_id, first_index, chunks, identifiers, elements)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(request.job.as_bytes().as_slice())
        .bind(request.scope.0)
        .bind(request.request_id.as_slice())
        .bind(request.first_index)
        .bind(request.chunks)
        .bind(to_sql(request.identifiers))
        .bind(to_sql(request.elements))
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("request", "job or scope"))?;
        tx.commit().await
    }

    /// The request that a job makes, or made last, in a scope.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn job_request(&self, job: JobId, scope: ScopeId) -> Result<Option<JobRequest>> {
        let row = sqlx::query("SELECT * FROM job_request WHERE job_id = ? AND scope_id = ?")
            .bind(job.as_bytes().as_slice())
            .bind(scope.0)
            .fetch_optional(&self.inner.reader)
            .await?;
        let request = |row: SqliteRow| {
            Ok(JobRequest {
                job,
                scope,
                request_id: row.bytes("request_id")?,
                first_index: row.int("first_index")?,
                chunks: row.int("chunks")?,
                identifiers: row.int("identifiers")?,
                elements: row.int("elements")?,
            })
        };
        row.map(request).transpose()
    }

    /// What was answered in a request that a job makes or made last.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn compared(&self, request: &JobRequest) -> Result<Compared> {
        let rows = sqlx::query(
            "SELECT idx, digest, elements, items, found FROM job_chunk
             WHERE job_id = ? AND scope_id = ? AND idx >= ? AND idx < ? AND digest IS NOT NULL ORDER BY idx",
        )
        .bind(request.job.as_bytes().as_slice())
        .bind(request.scope.0)
        .bind(request.first_index)
        .bind(i64::from(request.first_index) + i64::from(request.chunks))
        .fetch_all(&self.inner.reader)
        .await?;
        let mut compared = Compared::default();
        for row in &rows {
            compared.answered.elements += row.int::<u64>("elements")?;
            compared
                .answered
                .chunks
                .push((row.int("idx")?, row.bytes("digest")?));
            compared.items += row.int::<u64>("items")?;
            compared.found += row.int::<u64>("found")?;
        }
        Ok(compared)
    }

    /// Forgets the chunks of a job in a scope that are planned and not complete: they will not be sent again, and
    /// their identifiers are to be asked about anew.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn drop_planned_chunks(&self, job: JobId, scope: ScopeId) -> Result<()> {
        let mut tx = self.begin("job_chunk.drop").await?;
        sqlx::query("DELETE FROM job_chunk WHERE job_id = ? AND scope_id = ? AND plan_sealed IS NOT NULL")
            .bind(job.as_bytes().as_slice())
            .bind(scope.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Keeps the plan of a chunk. Returns when it is on disk: only then send the chunk.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the chunk is planned or done; [`StoreError::NotFound`] for an unknown job or
    /// scope.
    pub async fn plan_chunk(&self, plan: &ChunkPlan) -> Result<()> {
        let last = plan.items.iter().map(|item| item.blind_index).max();
        // No item: there is none behind the chunk before, so planning has come to the end of the order.
        let last = last.unwrap_or(BlindIndex([0xff; 16]));
        let [nonce] = self.nonces();
        let plain = encode_plan(plan);
        let seal = |cell: &Cell<'_>| self.inner.sealer.seal(cell, &nonce, &plain);
        let sealed = with_plan_cell(plan.job, plan.scope, plan.index, seal)?;
        let mut tx = self.begin("job_chunk.plan").await?;
        sqlx::query(
            "INSERT INTO job_chunk (job_id, scope_id, idx, last_index, plan_sealed) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(plan.job.as_bytes().as_slice())
        .bind(plan.scope.0)
        .bind(plan.index)
        .bind(last.0.as_slice())
        .bind(sealed)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("chunk", "job or scope"))?;
        tx.commit().await
    }

    /// The chunks of a job in a scope that are planned and not complete, by number: send them (again).
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if one was damaged.
    pub async fn planned_chunks(&self, job: JobId, scope: ScopeId) -> Result<Vec<ChunkPlan>> {
        let rows = sqlx::query(
            "SELECT idx, plan_sealed FROM job_chunk
             WHERE job_id = ? AND scope_id = ? AND plan_sealed IS NOT NULL ORDER BY idx",
        )
        .bind(job.as_bytes().as_slice())
        .bind(scope.0)
        .fetch_all(&self.inner.reader)
        .await?;
        rows.iter()
            .map(|row| plan_of(&self.inner.sealer, job, scope, row))
            .collect()
    }

    /// Where planning goes on; `None` before the first chunk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn plan_cursor(&self, job: JobId, scope: ScopeId) -> Result<Option<PlanCursor>> {
        let row = sqlx::query(
            "SELECT idx, last_index FROM job_chunk WHERE job_id = ? AND scope_id = ? ORDER BY idx DESC LIMIT 1",
        )
        .bind(job.as_bytes().as_slice())
        .bind(scope.0)
        .fetch_optional(&self.inner.reader)
        .await?;
        let cursor = |row: SqliteRow| {
            Ok(PlanCursor {
                next_index: row.int::<u32>("idx")? + 1,
                after: BlindIndex(row.bytes("last_index")?),
            })
        };
        row.map(cursor).transpose()
    }

    /// Completes a chunk: keeps its tags and matches, counts what is unknown, moves the progress and erases the
    /// plan, all in one transaction. Returns `false`, and changes nothing, if it was complete.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the chunk was never planned.
    pub async fn complete_chunk(&self, chunk: &CompletedChunk, now_ms: i64) -> Result<bool> {
        let mut tx = self.begin("job_chunk.complete").await?;
        let planned: Option<bool> = sqlx::query_scalar(
            "SELECT plan_sealed IS NOT NULL FROM job_chunk WHERE job_id = ? AND scope_id = ? AND idx = ?",
        )
        .bind(chunk.job.as_bytes().as_slice())
        .bind(chunk.scope.0)
        .bind(chunk.index)
        .fetch_optional(&mut *tx)
        .await?;
        match planned {
            None => return Err(StoreError::NotFound { what: "chunk" }),
            Some(false) => return Ok(false),
            Some(true) => {}
        }
        insert_kept(&mut tx, chunk.scope, &chunk.tags).await?;
        self.insert_matches(&mut tx, chunk.job, 0, &chunk.matches).await?;
        for (reason, elements) in &chunk.unknown {
            sqlx::query(
                "INSERT INTO job_unknown (job_id, scope_id, reason, elements) VALUES (?, ?, ?, ?)
                 ON CONFLICT (job_id, scope_id, reason) DO UPDATE SET elements = elements + excluded.elements",
            )
            .bind(chunk.job.as_bytes().as_slice())
            .bind(chunk.scope.0)
            .bind(reason.as_str())
            .bind(to_sql(*elements))
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query("UPDATE job SET done = done + ?, updated_ms = ? WHERE id = ?")
            .bind(to_sql(chunk.done))
            .bind(now_ms)
            .bind(chunk.job.as_bytes().as_slice())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "UPDATE job_chunk SET plan_sealed = NULL, digest = ?, elements = ?, items = ?, found = ?
             WHERE job_id = ? AND scope_id = ? AND idx = ?",
        )
        .bind(chunk.digest.as_slice())
        .bind(chunk.elements)
        .bind(to_sql(chunk.done))
        .bind(to_sql(chunk.found))
        .bind(chunk.job.as_bytes().as_slice())
        .bind(chunk.scope.0)
        .bind(chunk.index)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn with_plan_cell<T>(job: JobId, scope: ScopeId, index: u32, work: impl FnOnce(&Cell<'_>) -> T) -> T {
    work(&Cell {
        table: "job_chunk",
        column: "plan_sealed",
        key: &[job.as_bytes(), &scope.0.to_be_bytes(), &index.to_be_bytes()],
    })
}

fn plan_of(sealer: &Sealer, job: JobId, scope: ScopeId, row: &SqliteRow) -> Result<ChunkPlan> {
    let (index, sealed) = (row.int("idx")?, row.try_get("plan_sealed")?);
    let plain = with_plan_cell(job, scope, index, |cell| sealer.open(cell, sealed))?;
    let (seed, items) = decode_plan(&plain).ok_or(StoreError::Corrupt {
        what: "job_chunk.plan_sealed",
    })?;
    Ok(ChunkPlan {
        job,
        scope,
        index,
        seed,
        items,
    })
}

/// `seed (32) ‖ items`, an item being `blind index (16) ‖ rule ‖ grade ‖ length (u32, big-endian) ‖ canonical`.
fn encode_plan(plan: &ChunkPlan) -> Zeroizing<Vec<u8>> {
    let canonical: usize = plan.items.iter().map(|item| 22 + item.canonical.len()).sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(32 + canonical));
    plain.extend_from_slice(plan.seed.as_slice());
    for item in &plan.items {
        plain.extend_from_slice(&item.blind_index.0);
        plain.extend_from_slice(&[item.rule, item.grade]);
        plain.extend_from_slice(&(item.canonical.len() as u32).to_be_bytes());
        plain.extend_from_slice(&item.canonical);
    }
    plain
}

fn decode_plan(plain: &[u8]) -> Option<(Zeroizing<[u8; 32]>, Vec<ChunkItem>)> {
    let (seed, mut rest) = plain.split_first_chunk::<32>()?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (blind_index, tail) = rest.split_first_chunk::<16>()?;
        let ([rule, grade], tail) = tail.split_first_chunk::<2>()?;
        let (length, tail) = tail.split_first_chunk::<4>()?;
        let (canonical, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        items.push(ChunkItem {
            blind_index: BlindIndex(*blind_index),
            rule: *rule,
            grade: *grade,
            canonical: Zeroizing::new(canonical.to_vec()),
        });
        rest = tail;
    }
    Some((Zeroizing::new(*seed), items))
}
