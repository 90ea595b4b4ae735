//! `concordat list`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_identifiers::{Severity, derive};
use concordat_lists::{Entry, Format, Item};
use concordat_wire::FaultView;
use concordat_wire::v1::{
    ChangeContext, CreateListRequest, DeleteListRequest, DeleteRecordsRequest, ListListsRequest,
    LookupRequest, Record, UpsertRequest,
};
use serde_json::json;

use super::import;
use crate::connect::Connection;
use crate::exit::{Exit, Usage};
use crate::out::{Out, Table, count, counted, note, time};
use crate::read::{read, today};
use crate::subject::SubjectArgs;
use crate::{json, words};

/// Why single records are changed, and by whom: recorded in the ledger.
#[derive(clap::Args)]
pub struct WhyArgs {
    /// What for [recorded as "list maintenance" unless stated]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    purpose: String,
    /// On what legal basis
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    legal_basis: String,
    /// In which case
    #[arg(
        long = "case",
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    case_reference: String,
    /// The officer who makes the change; of a record that is added or changed she is an author, and does not approve its disclosure
    /// [default: nobody]
    #[arg(
        long,
        value_name = "ID",
        env = "CONCORDAT_OFFICER",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    officer: String,
}

impl From<WhyArgs> for ChangeContext {
    fn from(args: WhyArgs) -> Self {
        Self {
            purpose: args.purpose,
            legal_basis: args.legal_basis,
            case_reference: args.case_reference,
            officer: args.officer,
        }
    }
}

/// Keep our own lists.
#[derive(Subcommand)]
pub enum Command {
    /// Make an empty list
    Create {
        /// Lower-case letters, digits, '-' and '.', up to 64 characters
        list: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a list and everything on it
    Delete {
        /// The list
        list: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show our lists
    Ls {
        #[command(flatten)]
        connection: Connection,
    },
    Import(import::Args),
    /// Add or replace single records from a file of JSON lines
    Upsert {
        /// File in the format `jsonl`, or - for stdin
        file: PathBuf,
        /// The list
        #[arg(long)]
        list: String,
        #[command(flatten)]
        why: WhyArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete single records
    DeleteRecords {
        /// The records' own ids
        #[arg(required = true)]
        source_ids: Vec<String>,
        /// The list
        #[arg(long)]
        list: String,
        #[command(flatten)]
        why: WhyArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Find our own records that share an identifier with a subject
    Lookup {
        #[command(flatten)]
        subject: Box<SubjectArgs>,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Records in one `Upsert` call.
const UPSERT_RECORDS: usize = 500;

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::Create { list, connection } => {
                let request = CreateListRequest { name: list };
                let list = connection
                    .open()
                    .await?
                    .watchlists()
                    .create_list(request)
                    .await?
                    .into_inner();
                out.result(|| json::list(&list), || format!("created {}", list.name))?;
            }
            Self::Delete { list, connection } => {
                let request = DeleteListRequest { name: list.clone() };
                connection.open().await?.watchlists().delete_list(request).await?;
                out.result(|| json!({ "deleted": list }), || format!("deleted {list}"))?;
            }
            Self::Ls { connection } => return ls(&connection, out).await,
            Self::Import(args) => return args.run(out).await,
            Self::Upsert {
                file,
                list,
                why,
                connection,
            } => return upsert(&file, &list, why, &connection, out).await,
            Self::DeleteRecords {
                source_ids,
                list,
                why,
                connection,
            } => {
                let source_ids: BTreeSet<String> = source_ids.into_iter().collect();
                let asked = source_ids.len() as u64;
                let request = DeleteRecordsRequest {
                    list,
                    source_ids: source_ids.into_iter().collect(),
                    context: Some(why.into()),
                };
                let removed = connection
                    .open()
                    .await?
                    .watchlists()
                    .delete_records(request)
                    .await?
                    .into_inner()
                    .removed;
                out.result(
                    || json!({ "removed": removed }),
                    || format!("removed {}", counted(removed, "record")),
                )?;
                let missing = asked.saturating_sub(removed);
                if missing > 0 {
                    note(format_args!(
                        "not found: {} of {}",
                        count(missing),
                        counted(asked, "record")
                    ));
                    return Ok(Exit::Failed);
                }
            }
            Self::Lookup { subject, connection } => return lookup(&subject, &connection, out).await,
        }
        Ok(Exit::Done)
    }
}

async fn ls(connection: &Connection, out: Out) -> Result<Exit> {
    let lists = connection
        .open()
        .await?
        .watchlists()
        .list_lists(ListListsRequest {})
        .await?
        .into_inner()
        .lists;
    if out.json {
        for list in &lists {
            out.result(|| json::list(list), String::new)?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["LIST", "RECORDS", "IDENTIFIERS", "LAST IMPORT"]);
    for list in &lists {
        let identifiers = list.identifiers.iter().map(|kind| kind.count).sum();
        table.row([
            list.name.clone(),
            count(list.records),
            count(identifiers),
            time(&list.last_import_at),
        ]);
    }
    out.text(table)?;
    Ok(Exit::Done)
}

async fn lookup(subject: &SubjectArgs, connection: &Connection, out: Out) -> Result<Exit> {
    let Some(subject) = subject.subject()? else {
        return Err(Usage::error("nothing to look up: give a name, a document, …"));
    };
    // What of it the node can look up at all: it normalises as this program does.
    let derived = derive(&subject, today());
    let mut unusable = derived.identifiers.is_empty();
    for rejected in &derived.rejections {
        let notice = rejected.severity == Severity::Notice;
        unusable |= !notice;
        let weight = if notice { "notice" } else { "not looked up" };
        note(format_args!(
            "{weight}: {}: {} [{}]",
            rejected.field, rejected.reason, rejected.rule
        ));
    }
    if derived.identifiers.is_empty() {
        note("nothing of this can be looked up");
    }
    let exit = if unusable { Exit::Failed } else { Exit::Done };
    let request = LookupRequest {
        subject: Some(concordat_wire::subject_to_proto(&subject)),
    };
    let matches = connection
        .open()
        .await?
        .watchlists()
        .lookup(request)
        .await?
        .into_inner()
        .matches;
    if out.json {
        for found in &matches {
            out.result(|| json::lookup_match(found), String::new)?;
        }
        return Ok(exit);
    }
    let mut table = Table::new(["LIST", "RECORD", "KIND", "GRADE", "RULE"]);
    for found in &matches {
        table.row([
            found.list.clone(),
            found.source_id.clone(),
            words::kind(found.kind).into(),
            words::grade(found.grade).into(),
            found.rule.clone(),
        ]);
    }
    out.text(table)?;
    Ok(exit)
}

async fn upsert(file: &Path, list: &str, why: WhyArgs, connection: &Connection, out: Out) -> Result<Exit> {
    let node = connection.open().await?;
    let why = ChangeContext::from(why);
    let (mut added, mut changed, mut unchanged) = (0, 0, 0);
    let mut unusable = false;
    let mut records = Vec::new();
    // Where each of them stands in the file.
    let mut lines: Vec<u64> = Vec::new();
    let mut entries = read(Format::Jsonl, file)?;
    loop {
        let entry = entries.next().transpose()?;
        let more = match entry {
            Some(Item::Entry(entry)) => {
                records.push(record(&entry));
                lines.push(entry.line);
                true
            }
            Some(Item::Reject(reject)) => {
                unusable = true;
                note(format_args!(
                    "line {}: {} [{}]",
                    reject.line,
                    reject.reason,
                    reject.rule.id()
                ));
                true
            }
            None => false,
        };
        if records.len() == UPSERT_RECORDS || (!more && !records.is_empty()) {
            let request = UpsertRequest {
                list: list.to_owned(),
                records: std::mem::take(&mut records),
                context: Some(why.clone()),
            };
            let response = match node.watchlists().upsert(request).await {
                Ok(response) => response.into_inner(),
                Err(status) => {
                    let field = FaultView::from(&status).field.unwrap_or_default();
                    return Err(status).with_context(|| match place(&field, &lines) {
                        (Some(line), _) => format!("line {line}"),
                        (None, _) => list.to_owned(),
                    });
                }
            };
            added += response.added;
            changed += response.changed;
            unchanged += response.unchanged;
            for rejection in &response.rejections {
                unusable |= !rejection.notice;
                let (line, field) = place(&rejection.field, &lines);
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let weight = if rejection.notice { "notice: " } else { "" };
                note(format_args!(
                    "{line}{weight}{field}: {} [{}]",
                    rejection.reason, rejection.rule
                ));
            }
            lines.clear();
        }
        if !more {
            break;
        }
    }
    out.result(
        || json!({ "added": added, "changed": changed, "unchanged": unchanged }),
        || format!("{list}: {added} added, {changed} changed, {unchanged} unchanged"),
    )?;
    Ok(if unusable { Exit::Failed } else { Exit::Done })
}

/// The line of the file, and the field in it, that the node calls `records[7].subject.names[0]`.
fn place<'a>(field: &'a str, lines: &[u64]) -> (Option<u64>, &'a str) {
    let split = || {
        let (index, rest) = field.strip_prefix("records[")?.split_once(']')?;
        Some((*lines.get(index.parse::<usize>().ok()?)?, rest.strip_prefix('.')?))
    };
    match split() {
        Some((line, rest)) => (Some(line), rest),
        None => (None, field),
    }
}

fn record(entry: &Entry) -> Record {
    Record {
        source_id: entry.source_id.clone(),
        subject: Some(concordat_wire::subject_to_proto(&entry.subject)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_call_is_a_line_of_the_file() {
        let lines = [1, 4, 9];
        assert_eq!(
            place("records[1].subject.names[0]", &lines),
            (Some(4), "subject.names[0]")
        );
        assert_eq!(
            place("records[3].source_id", &lines),
            (None, "records[3].source_id")
        );
        assert_eq!(place("list", &lines), (None, "list"));
    }
}
