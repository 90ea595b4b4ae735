//! `concordat list`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use concordat_lists::{Entry, Format, Item};
use concordat_wire::v1::{
    CreateListRequest, DeleteListRequest, DeleteRecordsRequest, ListListsRequest, LookupRequest, Record,
    UpsertRequest,
};
use serde_json::json;

use super::import;
use crate::connect::Connection;
use crate::exit::{Exit, Usage};
use crate::out::{Out, Table, count, note};
use crate::read::read;
use crate::subject::SubjectArgs;
use crate::{json, words};

/// Keep our own lists.
#[derive(Subcommand)]
pub enum Command {
    /// Make an empty list
    Create {
        /// Lower-case letters, digits and '-', up to 64 characters
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
                connection,
            } => return upsert(&file, &list, &connection, out).await,
            Self::DeleteRecords {
                source_ids,
                list,
                connection,
            } => {
                let request = DeleteRecordsRequest { list, source_ids };
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
                    || format!("removed {}", count(removed)),
                )?;
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
            list.last_import_at.clone(),
        ]);
    }
    out.text(table)?;
    Ok(Exit::Done)
}

async fn lookup(subject: &SubjectArgs, connection: &Connection, out: Out) -> Result<Exit> {
    let Some(subject) = subject.subject()? else {
        return Err(Usage::error("nothing to look up: give a name, a document, …"));
    };
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
        return Ok(Exit::Done);
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
    Ok(Exit::Done)
}

async fn upsert(file: &Path, list: &str, connection: &Connection, out: Out) -> Result<Exit> {
    let node = connection.open().await?;
    let (mut added, mut changed, mut unchanged) = (0, 0, 0);
    let mut unusable = false;
    let mut records = Vec::new();
    let mut entries = read(Format::Jsonl, file)?;
    loop {
        let entry = entries.next().transpose()?;
        let more = match entry {
            Some(Item::Entry(entry)) => {
                records.push(record(&entry));
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
            };
            let response = node.watchlists().upsert(request).await?.into_inner();
            added += response.added;
            changed += response.changed;
            unchanged += response.unchanged;
            for rejection in &response.rejections {
                unusable |= !rejection.notice;
                note(format_args!(
                    "{}: {} [{}]",
                    rejection.field, rejection.reason, rejection.rule
                ));
            }
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

fn record(entry: &Entry) -> Record {
    Record {
        source_id: entry.source_id.clone(),
        subject: Some(concordat_wire::subject_to_proto(&entry.subject)),
    }
}
