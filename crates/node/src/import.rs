//! A list's bytes on their way into the store: read and normalised on a thread of their own, staged in small
//! transactions, visible all at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use concordat_identifiers::{PROFILE, Severity, Subject, profile_fingerprint};
use concordat_ledger::{Actor, Import};
use concordat_lists::{Entry, Format, Item, Mapping, Options, Published, Rule, SourceId, Spill, Summary};
use concordat_store::{
    IdentifierRow, ImportCounts, ImportMode, ListId, NewRecord, Reject as RejectRow, StoreError,
};
use concordat_wire::v1::{ImportSummary, Rejection, SkipCount};
use concordat_wire::{Fault, Reason};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::book::store_fault;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::ledger::{digest as ledger_digest, text};
use crate::rows::row_of;
use crate::state::State;
use crate::upkeep::Refused;
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
    /// Who imports it.
    pub by: Actor,
    /// Who writes it, if the caller names an officer: an author of what it adds or changes.
    pub officer: Option<String>,
    /// Accept a list without a usable entry, or one that removes most of what is there.
    pub allow_shrink: bool,
}

/// A list of so many records or fewer may lose any number of them.
const SMALL_LIST: u64 = 20;

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
/// The upload was cut off, the list cannot be read, `strict` met a reject, the list has shrunk beyond belief, another
/// import of the list runs, or the database fails. Nothing of it is visible then.
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
    let format = plan.format;
    let options = options(state, plan.mapping);
    tokio::task::spawn_blocking(move || read(format, &options, files, &sender));

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
            import
                .keep(&batch.named)
                .await
                .map_err(|error| store_fault(&error))?;
            for reject in batch.rejects {
                // The caller may have gone: the import goes on or is dropped with it.
                let _ = events.send(Event::Reject(reject)).await;
            }
            let mut records = batch.records;
            for record in &mut records {
                record.authors.extend(plan.officer.clone());
            }
            for position in import.stage(records).await.map_err(|error| store_fault(&error))? {
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
                tally.repeated += 1;
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
        let source = upload.complete().await?;
        if !plan.allow_shrink {
            believable(&plan.list_name, &tally.summary, import.before(), import.missing())?;
        }
        Ok(source)
    };
    let source = match outcome.await {
        Ok(source) => source,
        Err(fault) => {
            import
                .abort(state.now_ms())
                .await
                .map_err(|error| store_fault(&error))?;
            return Err(fault);
        }
    };
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
    let kept = import.kept();
    let refused = Refused::default();
    let record = |counts: &ImportCounts| {
        refused.keep(state.entry(Import {
            by: plan.by,
            list: text(&plan.list_name),
            source: ledger_digest(source),
            added: counts.added,
            changed: counts.changed,
            removed: counts.removed,
            rejected: counts.rejected,
        }))
    };
    let committed = import.commit_with(state.now_ms(), record).await;
    let counts = committed.map_err(|error| refused.fault(&error))?;
    tracing::info!(list = plan.list_name, ?counts, kept, "imported");
    Ok(tally.summarise(&counts, kept))
}

/// Refuses what is more likely a fault of the source than the truth: an empty list, or one that has lost more than
/// half of its records.
fn believable(list: &str, summary: &Summary, before: u64, missing: u64) -> Result<(), Fault> {
    if summary.entries == 0 {
        return Err(Fault::new(
            Reason::Precondition,
            "IMP-009",
            format!(
                "nothing to import: of {} records none is a usable entry ({} rejected); the list {list} stays as it \
                 is. If that is right, import it with allow_shrink (--allow-shrink)",
                summary.records, summary.rejected_records
            ),
        ));
    }
    if before > SMALL_LIST && missing > before / 2 {
        return Err(Fault::new(
            Reason::Precondition,
            "IMP-010",
            format!(
                "{missing} of the {before} records of {list} would be removed; the list stays as it is. If that is \
                 right, import it with allow_shrink (--allow-shrink)"
            ),
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    summary: Summary,
    rejected: u64,
    notices: u64,
    /// Records left out because of their id.
    repeated: u64,
    identifiers: u64,
}

impl Tally {
    fn summarise(self, counts: &ImportCounts, kept: u64) -> ImportSummary {
        ImportSummary {
            records: self.summary.records,
            added: counts.added,
            changed: counts.changed,
            removed: counts.removed,
            unchanged: counts.unchanged,
            identifiers: self.identifiers,
            rejected: self.rejected,
            notices: self.notices,
            rejected_records: self.summary.rejected_records + self.repeated,
            kept,
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
    /// Ids of rejected records.
    named: Vec<String>,
    summary: Summary,
    bytes: u64,
}

/// How the list is read.
fn options(state: &State, mapping: Option<Mapping>) -> Options {
    let options = Options::new(state.clock.today()).with_spill(spill(&state.config, &state.entropy));
    match mapping {
        Some(mapping) => options.with_mapping(mapping),
        None => options,
    }
}

/// Lines that outgrow the memory lie in a folder of our own, sealed under a key that nothing else is sealed under and
/// that is gone with the reader.
fn spill(config: &Config, entropy: &Entropy) -> Spill {
    Spill {
        folder: sorting_folder(config),
        key: entropy.seed(),
    }
}

fn sorting_folder(config: &Config) -> PathBuf {
    config.node.data_dir.join("sorting")
}

/// Makes the folder for sorting, empty: files have no names there, so that they vanish with the process, but not every
/// file system can do that.
///
/// # Errors
/// It cannot be made.
pub fn prepare_sorting(config: &Config) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = sorting_folder(config);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(&folder)
}

/// Reads a whole list, in the blocking pool; ends early when nobody listens.
fn read(format: Format, options: &Options, files: Files, batches: &mpsc::Sender<Result<Batch, Fault>>) {
    let today = options.today;
    let fault = |error: concordat_lists::Error| Fault::invalid("IMP-004", "data", error.to_string());
    let mut reader = match concordat_lists::open(format, files, options) {
        Ok(reader) => reader,
        Err(error) => return drop(batches.blocking_send(Err(fault(error)))),
    };
    let progress = reader.progress();
    let (mut entries, mut rejects, mut named) = (Vec::with_capacity(BATCH), Vec::new(), Vec::new());
    loop {
        let item = reader.next();
        let end = item.is_none();
        match item {
            Some(Ok(Item::Entry(entry))) => entries.push(*entry),
            // Nobody knows what the rest of the file would have been: nothing that it lacks was removed.
            Some(Ok(Item::Reject(reject))) if reject.rule == Rule::QuoteNotClosed => {
                let what = format!("{}, line {}: {}", reject.input, reject.line, reject.reason);
                return drop(batches.blocking_send(Err(Fault::invalid("IMP-004", "data", what))));
            }
            Some(Ok(Item::Reject(reject))) => {
                named.extend(reject.source_id.map(SourceId::into_string));
                rejects.push(Rejection {
                    line: reject.line,
                    field: reject.field,
                    rule: reject.rule.id().to_owned(),
                    reason: reject.reason,
                    notice: false,
                });
            }
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
                named: std::mem::take(&mut named),
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

/// What was sealed of a record, opened.
#[derive(Deserialize)]
pub(crate) struct OpenedPayload {
    /// Names, births, documents, other identifiers.
    pub(crate) subject: Subject,
    /// What the source says besides, by its own names.
    pub(crate) published: std::collections::BTreeMap<String, Vec<String>>,
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
        // Whoever hands it over says who wrote it.
        authors: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_a_list_is_not_believed_to_be_gone() {
        let some = Summary {
            records: 3,
            entries: 1,
            ..Summary::default()
        };
        let rule = |summary: &Summary, before, missing| {
            believable("l", summary, before, missing)
                .err()
                .map(|fault| fault.rule)
        };
        for (before, missing, expected) in [
            (0, 0, None),
            (20, 20, None),
            (21, 10, None),
            (21, 11, Some("IMP-010")),
            (1_000, 500, None),
            (1_000, 501, Some("IMP-010")),
        ] {
            assert_eq!(rule(&some, before, missing), expected, "{missing} of {before}");
        }
        assert_eq!(rule(&Summary::default(), 0, 0), Some("IMP-009"));
    }
    #[test]
    fn large_lists_are_sorted_in_the_data_folder_under_a_key_of_their_own() {
        let config = Config::parse(
            "[node]\nagency_id = \"aa\"\nagency_name = \"A\"\ndata_dir = \"/data\"\n\
             [peer]\nlisten = \"127.0.0.1:1\"\nendpoint = \"https://a.example:1\"\n\
             [api]\nlisten = \"127.0.0.1:2\"\n",
        );
        let config = config.expect("a configuration");
        let entropy = Entropy::system();
        let (one, two) = (spill(&config, &entropy), spill(&config, &entropy));
        assert_eq!(one.folder, std::path::Path::new("/data/sorting"));
        assert_ne!(*one.key, *two.key);
        assert_ne!(*one.key, [0; 32]);
    }
}
