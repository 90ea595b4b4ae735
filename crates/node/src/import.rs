//! A list's bytes on their way into the store: read and normalised on a thread of their own, staged in small
//! transactions, visible all at once.

use std::sync::Arc;

use concordat_identifiers::{PROFILE, Severity, Subject, profile_fingerprint};
use concordat_lists::{Entry, Format, Item, Mapping, Options, Published, Summary};
use concordat_store::{
    IdentifierRow, ImportCounts, ImportMode, ListId, NewRecord, Reject as RejectRow, StoreError,
};
use concordat_wire::v1::{ImportSummary, Rejection, SkipCount};
use concordat_wire::{Fault, Reason};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::book::store_fault;
use crate::rows::row_of;
use crate::state::State;
use crate::upload::{Files, Upload};

/// Records normalised and staged at once.
const BATCH: usize = 1_000;

/// What to import.
pub struct Plan {
    /// Into which list.
    pub list: ListId,
    /// Its name.
    pub list_name: String,
    /// How to read it.
    pub format: Format,
    /// For CSV.
    pub mapping: Option<Mapping>,
    /// Fail on the first reject.
    pub strict: bool,
}

/// What an import tells while it runs.
pub enum Event {
    /// Something was rejected.
    Reject(Rejection),
    /// How far it is.
    Progress {
        /// As they came, compressed if they are.
        bytes: u64,
        /// Read so far.
        records: u64,
    },
}

/// Runs one import. `events` hears of rejects and progress.
///
/// # Errors
/// The upload was cut off, the list cannot be read, `strict` met a reject, another import of the list runs, or the
/// database fails. Nothing of it is visible then.
pub async fn run(
    state: &Arc<State>,
    plan: Plan,
    (upload, files): (Upload, Files),
    events: &mpsc::Sender<Event>,
) -> Result<ImportSummary, Fault> {
    let import = state
        .store
        .begin_import(plan.list, ImportMode::Replace, plan.format.name(), state.now_ms())
        .await;
    let mut import = import.map_err(|error| match error {
        StoreError::ImportRunning { .. } => Fault::new(
            Reason::Precondition,
            "IMP-002",
            format!(
                "list {} is being imported already: wait for that import",
                plan.list_name
            ),
        ),
        error => store_fault(&error),
    })?;
    let (sender, mut batches) = mpsc::channel::<Result<Batch, Fault>>(2);
    let today = state.clock.today();
    let (format, mapping) = (plan.format, plan.mapping);
    tokio::task::spawn_blocking(move || read(format, mapping, today, files, &sender));

    let mut tally = Tally::default();
    let outcome = async {
        while let Some(batch) = batches.recv().await {
            let batch = match batch {
                Ok(batch) => batch,
                // A list that could not be read because it did not come whole is not to blame.
                Err(fault) => return Err(upload.fault().unwrap_or(fault)),
            };
            tally.notices += batch.rejects.iter().filter(|reject| reject.notice).count() as u64;
            tally.rejected += batch.rejects.iter().filter(|reject| !reject.notice).count() as u64;
            tally.identifiers += batch
                .records
                .iter()
                .map(|record| record.identifiers.len() as u64)
                .sum::<u64>();
            if plan.strict
                && let Some(first) = batch.rejects.iter().find(|reject| !reject.notice)
            {
                return Err(Fault::invalid(
                    "IMP-003",
                    first.field.clone(),
                    format!(
                        "line {}: {} [{}]; strict imports accept no reject",
                        first.line, first.reason, first.rule
                    ),
                ));
            }
            let rows: Vec<RejectRow> = batch.rejects.iter().map(reject_row).collect();
            import.reject(&rows).await.map_err(|error| store_fault(&error))?;
            for reject in batch.rejects {
                // The caller may have gone: the import goes on or is dropped with it.
                let _ = events.send(Event::Reject(reject)).await;
            }
            for position in import
                .stage(batch.records)
                .await
                .map_err(|error| store_fault(&error))?
            {
                let repeated = Rejection {
                    line: batch.lines.get(position).copied().unwrap_or(0),
                    field: "source_id".into(),
                    rule: "IMP-005".into(),
                    reason: "the id was already used by an earlier record of this list, which was kept"
                        .into(),
                    notice: false,
                };
                import
                    .reject(&[reject_row(&repeated)])
                    .await
                    .map_err(|error| store_fault(&error))?;
                tally.rejected += 1;
                let _ = events.send(Event::Reject(repeated)).await;
            }
            let _ = events
                .send(Event::Progress {
                    bytes: batch.bytes,
                    records: batch.summary.records,
                })
                .await;
            tally.summary = batch.summary;
        }
        upload.complete().await
    };
    if let Err(fault) = outcome.await {
        import
            .abort(state.now_ms())
            .await
            .map_err(|error| store_fault(&error))?;
        return Err(fault);
    }
    if plan.strict && tally.rejected > 0 {
        import
            .abort(state.now_ms())
            .await
            .map_err(|error| store_fault(&error))?;
        return Err(Fault::invalid(
            "IMP-003",
            "source_id",
            "a record id occurs twice; strict imports accept no reject",
        ));
    }
    let counts = import
        .commit(state.now_ms())
        .await
        .map_err(|error| store_fault(&error))?;
    if counts.added + counts.changed + counts.removed > 0 {
        state.changed.mark(&plan.list_name);
    }
    tracing::info!(list = plan.list_name, ?counts, "imported");
    Ok(tally.summarise(&counts))
}

#[derive(Default)]
struct Tally {
    summary: Summary,
    rejected: u64,
    notices: u64,
    identifiers: u64,
}

impl Tally {
    fn summarise(self, counts: &ImportCounts) -> ImportSummary {
        ImportSummary {
            records: self.summary.records,
            added: counts.added,
            changed: counts.changed,
            removed: counts.removed,
            unchanged: counts.unchanged,
            identifiers: self.identifiers,
            rejected: self.rejected,
            notices: self.notices,
            skipped: self
                .summary
                .skipped
                .iter()
                .map(|(kind, count)| SkipCount {
                    r#type: (*kind).to_owned(),
                    count: *count,
                })
                .collect(),
        }
    }
}

/// Some records, ready for the store.
struct Batch {
    records: Vec<NewRecord>,
    /// Line of each record.
    lines: Vec<u64>,
    rejects: Vec<Rejection>,
    summary: Summary,
    bytes: u64,
}

/// Reads a whole list, in the blocking pool; ends early when nobody listens.
fn read(
    format: Format,
    mapping: Option<Mapping>,
    today: jiff::civil::Date,
    files: Files,
    batches: &mpsc::Sender<Result<Batch, Fault>>,
) {
    let mut options = Options::new(today);
    if let Some(mapping) = mapping {
        options = options.with_mapping(mapping);
    }
    let fault = |error: concordat_lists::Error| Fault::invalid("IMP-004", "data", error.to_string());
    let mut reader = match concordat_lists::open(format, files, &options) {
        Ok(reader) => reader,
        Err(error) => return drop(batches.blocking_send(Err(fault(error)))),
    };
    let progress = reader.progress();
    let (mut entries, mut rejects) = (Vec::with_capacity(BATCH), Vec::new());
    loop {
        let item = reader.next();
        let end = item.is_none();
        match item {
            Some(Ok(Item::Entry(entry))) => entries.push(*entry),
            Some(Ok(Item::Reject(reject))) => rejects.push(Rejection {
                line: reject.line,
                field: reject.field,
                rule: reject.rule.id().to_owned(),
                reason: reject.reason,
                notice: false,
            }),
            Some(Err(error)) => return drop(batches.blocking_send(Err(fault(error)))),
            None => {}
        }
        if end || entries.len() == BATCH || rejects.len() >= BATCH {
            let lines = entries.iter().map(|entry: &Entry| entry.line).collect();
            let normalised: Vec<(NewRecord, Vec<Rejection>)> = entries
                .par_drain(..)
                .map(|entry| normalise(entry, today))
                .collect();
            let mut records = Vec::with_capacity(normalised.len());
            for (record, more) in normalised {
                records.push(record);
                rejects.extend(more);
            }
            let batch = Batch {
                records,
                lines,
                rejects: std::mem::take(&mut rejects),
                summary: reader.summary().clone(),
                bytes: progress.bytes(),
            };
            if batches.blocking_send(Ok(batch)).is_err() || end {
                return;
            }
        }
    }
}

/// What is sealed of a record: enough for a later disclosure.
#[derive(Serialize)]
struct Payload<'a> {
    subject: &'a Subject,
    published: &'a Published,
}

/// An entry as a record with identifiers, and what of it could not be used.
fn normalise(entry: Entry, today: jiff::civil::Date) -> (NewRecord, Vec<Rejection>) {
    let (record, rejections) = record(entry.source_id, &entry.subject, &entry.published, today);
    let line = entry.line;
    (
        record,
        rejections
            .into_iter()
            .map(|rejection| Rejection { line, ..rejection })
            .collect(),
    )
}

/// A record of the store with everything derived from its subject.
pub fn record(
    source_id: String,
    subject: &Subject,
    published: &Published,
    today: jiff::civil::Date,
) -> (NewRecord, Vec<Rejection>) {
    let derived = concordat_identifiers::derive(subject, today);
    let payload = Payload { subject, published };
    // Subjects and texts always have a JSON form; were it not so, the record would only lack its payload.
    let payload = Zeroizing::new(serde_json::to_vec(&payload).unwrap_or_default());
    let identifiers: Vec<IdentifierRow> = derived.identifiers.iter().map(row_of).collect();
    let record = NewRecord {
        source_id,
        digest: digest(&payload, &identifiers),
        payload,
        identifiers,
    };
    let rejections = derived.rejections.into_iter().map(|rejected| Rejection {
        line: 0,
        notice: rejected.severity == Severity::Notice,
        field: rejected.field,
        rule: rejected.rule.to_owned(),
        reason: rejected.reason,
    });
    (record, rejections.collect())
}

/// Equal digests mean: nothing to do. A new normalisation is a change even where the source is the same.
fn digest(payload: &[u8], identifiers: &[IdentifierRow]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(PROFILE);
    hash.update(profile_fingerprint());
    hash.update((payload.len() as u64).to_be_bytes());
    hash.update(payload);
    for row in identifiers {
        hash.update([row.kind, row.rule, row.grade, u8::from(row.variant)]);
        hash.update((row.canonical.len() as u64).to_be_bytes());
        hash.update(&row.canonical);
    }
    hash.finalize().into()
}

fn reject_row(reject: &Rejection) -> RejectRow {
    RejectRow {
        line: reject.line,
        field: reject.field.clone(),
        rule: reject.rule.clone(),
        reason: reject.reason.clone(),
    }
}
