//! `concordat audit reconcile`: two agencies' half-logs, joined.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use concordat_ledger::{
    CHECKPOINT_PATH, CheckedLeaves, Class, Entry, ExchangeRecord, Leaf, LeavesError, MAX_PAYLOAD_BYTES,
    ReadError, Reason, Reconciliation, SignedCheckpoint, Source, reconcile, reconcile_with_leaves,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::approvals::Approvals;
use super::entries::verified;
use super::files::Files;
use super::keys::ledger_key;
use crate::exit::{Advice, Exit};
use crate::out::{Out, Table, count};

/// A line holds a payload, escaped, with its leaf.
const MAX_LINE: u64 = 8 * MAX_PAYLOAD_BYTES as u64;

/// The two ledgers.
#[derive(clap::Args)]
pub struct Args {
    /// The first agency's opened entries, as its `concordat audit open --export` wrote them
    export: PathBuf,
    /// Folder or http(s):// address of the first agency's ledger
    #[arg(long, value_name = "FOLDER|URL")]
    files: String,
    /// The first agency's ledger key, as its `concordat info` shows it, or a file that holds it
    #[arg(long, alias = "key", value_name = "VKEY|FILE")]
    log_key: String,
    /// Folder or http(s):// address of the other agency's ledger
    #[arg(long, value_name = "FOLDER|URL")]
    other_files: String,
    /// The other agency's ledger key, as its `concordat info` shows it, or a file that holds it
    #[arg(long, alias = "other-key", value_name = "VKEY|FILE")]
    other_log_key: String,
    /// The other agency's opened entries, as its `concordat audit open --export` wrote them; without them its public
    /// entries are compared, which do not tell what it logged and the first did not
    #[arg(long, value_name = "FILE")]
    other_export: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    number: u64,
    leaf: String,
    opening: String,
}

/// One agency's log, held to its checkpoint while it is read.
struct Log {
    agency: String,
    files: Files,
    checkpoint: SignedCheckpoint,
}

/// What an export holds of exchanges with the other agency.
struct Opened {
    records: Vec<ExchangeRecord>,
    /// Entries about exchanges that were not erased and are not in the export: with others, or kept back.
    not_opened: u64,
    /// Entries in which an approval does not hold.
    unapproved: Vec<u64>,
}

impl Log {
    fn open(files: &str, key: &str) -> Result<Self> {
        let key = ledger_key(key)?;
        let agency = key
            .name()
            .strip_suffix("/ledger")
            .unwrap_or_else(|| key.name())
            .to_owned();
        let files = Files::open(files)?;
        files.are_of(&key)?;
        let note = files
            .read(CHECKPOINT_PATH)
            .map_err(|error| files.unread(&error))?;
        let note = note.with_context(|| format!("{agency} has published no checkpoint"))?;
        let checkpoint =
            SignedCheckpoint::open(&note, &key).with_context(|| format!("the checkpoint of {agency}"))?;
        Ok(Self {
            agency,
            files,
            checkpoint,
        })
    }

    /// Gives every leaf to `each`; an error unless they are those that the checkpoint signs.
    fn leaves(&self, mut each: impl FnMut(u64, Leaf)) -> Result<()> {
        let mut leaves = CheckedLeaves::new(&self.files, &self.checkpoint);
        for (number, leaf) in leaves.by_ref() {
            each(number, leaf);
        }
        leaves.finish().map_err(|error| self.not_signed(error))
    }

    fn not_signed(&self, error: LeavesError) -> anyhow::Error {
        let agency = &self.agency;
        match error {
            LeavesError::Read(ReadError::Io { source, .. }) => self.files.unread(&source),
            LeavesError::Read(error) => anyhow::Error::new(error).context(format!("the ledger of {agency}")),
            _ => Advice::error(
                format!("the entries published by {agency} are not those that its checkpoint signs"),
                "`concordat audit verify` says what was changed",
            ),
        }
    }

    fn opened(&self, export: &Path, partner: &str) -> Result<Opened> {
        let entries = exported(export)?;
        let mut missing: BTreeSet<u64> = entries.keys().copied().collect();
        let mut other = None;
        let (mut not_opened, mut erased) = (Vec::new(), Vec::new());
        self.leaves(|number, leaf| {
            if let Class::Erasure { erased: ranges, .. } = &leaf.class {
                erased.extend(ranges.iter());
            }
            match entries.get(&number) {
                Some((text, _)) if text.as_bytes() == leaf.encode(number) => {
                    missing.remove(&number);
                }
                Some(_) => other = other.or(Some(number)),
                None if matches!(leaf.class, Class::Exchange(_)) => not_opened.push(number),
                None => {}
            }
        })?;
        let agency = &self.agency;
        if let Some(number) = other {
            bail!("entry {number} of the export is another one in the ledger of {agency}");
        }
        if let Some(number) = missing.first() {
            bail!("the published ledger of {agency} has no entry {number}, which the export has");
        }
        let gone = |number: &u64| erased.iter().any(|range| range.contains(number));
        let not_opened = not_opened.iter().filter(|number| !gone(number)).count() as u64;
        let with = |entry: &Entry| {
            entry
                .event
                .partner()
                .is_some_and(|named| named.as_str() == partner)
        };
        let record = |(number, (_, entry)): (&u64, &(String, Entry))| {
            with(entry)
                .then(|| ExchangeRecord::new(*number, &entry.event))
                .flatten()
        };
        let unapproved = entries
            .iter()
            .filter(|(_, (_, entry))| !Approvals::of(entry).hold());
        Ok(Opened {
            unapproved: unapproved.map(|(number, _)| *number).collect(),
            records: entries.iter().filter_map(record).collect(),
            not_opened,
        })
    }
}

/// The entries of an export, each held to its own leaf.
///
/// # Errors
/// The file cannot be read, or a line is none of an export.
pub fn exported(path: &Path) -> Result<BTreeMap<u64, (String, Entry)>> {
    let file = std::fs::File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let mut file = BufReader::new(file);
    let mut entries = BTreeMap::new();
    for place in 1u64.. {
        let mut line = String::new();
        let about = || format!("{}, line {place}", path.display());
        if (&mut file)
            .take(MAX_LINE)
            .read_line(&mut line)
            .with_context(about)?
            == 0
        {
            break;
        }
        // What stands there may be somebody's case: it is not shown.
        let Ok(line) = serde_json::from_str::<Line>(&line) else {
            bail!("{}: not a line of `concordat audit open --export`", about());
        };
        let entry = verified(line.number, &line.leaf, &line.opening).with_context(about)?;
        if entries.insert(line.number, (line.leaf, entry)).is_some() {
            bail!("{}: entry {} stands there twice", about(), line.number);
        }
    }
    Ok(entries)
}

impl Args {
    /// Joins; blocks for files.
    pub fn run(self, out: Out) -> Result<Exit> {
        let one = Log::open(&self.files, &self.log_key)?;
        let other = Log::open(&self.other_files, &self.other_log_key)?;
        let ours = one.opened(&self.export, &other.agency)?;
        let mut not_opened = ours.not_opened;
        let mut unapproved = vec![(one.agency.as_str(), ours.unapproved.clone())];
        let results = match &self.other_export {
            Some(export) => {
                let theirs = other.opened(export, &one.agency)?;
                not_opened += theirs.not_opened;
                unapproved.push((other.agency.as_str(), theirs.unapproved.clone()));
                let asked = reconcile(ours.records.clone(), theirs.records.clone());
                let answered = reconcile(theirs.records, ours.records);
                vec![
                    (one.agency.as_str(), other.agency.as_str(), asked),
                    (other.agency.as_str(), one.agency.as_str(), answered),
                ]
            }
            None => {
                let mut leaves = CheckedLeaves::new(&other.files, &other.checkpoint);
                let joined = reconcile_with_leaves(ours.records, leaves.by_ref());
                leaves.finish().map_err(|error| other.not_signed(error))?;
                vec![(one.agency.as_str(), other.agency.as_str(), joined)]
            }
        };
        let whole = self.other_export.is_some();
        unapproved.retain(|(_, entries)| !entries.is_empty());
        out.result(
            || {
                let mut json = json_of(&results, whole, not_opened);
                json["unapproved"] = unapproved
                    .iter()
                    .map(|(agency, entries)| json!({ "agency": agency, "entries": entries }))
                    .collect();
                json
            },
            || text_of(&results, whole, not_opened) + &unapproved_text(&unapproved),
        )?;
        Ok(match unapproved.is_empty() {
            true => exit(&results),
            false => Exit::Failed,
        })
    }
}

fn unapproved_text(unapproved: &[(&str, Vec<u64>)]) -> String {
    let lines = unapproved.iter().flat_map(|(agency, entries)| {
        let line =
            move |entry| format!("BROKEN: entry {entry} of {agency} holds an approval that does not hold.\n");
        entries.iter().map(line)
    });
    lines.collect()
}

type Joined<'a> = (&'a str, &'a str, Reconciliation);

/// What may still be put right by waiting is not a contradiction.
fn exit(results: &[Joined<'_>]) -> Exit {
    let mut exit = Exit::Done;
    for unmatched in results.iter().flat_map(|(_, _, joined)| &joined.unmatched) {
        match unmatched.reason {
            Reason::Open(_) | Reason::Interrupted => exit = Exit::Unknown,
            _ => return Exit::Failed,
        }
    }
    exit
}

fn json_of(results: &[Joined<'_>], whole: bool, not_opened: u64) -> Value {
    let joined = |(first, second, joined): &Joined<'_>| {
        let unmatched = joined.unmatched.iter().map(|unmatched| {
            json!({
                "exchange": unmatched.exchange.to_string(),
                "first": unmatched.first,
                "second": unmatched.second,
                "reason": unmatched.reason.to_string(),
            })
        });
        json!({
            "first": first,
            "second": second,
            "matched": joined.matched,
            "unanswered": joined.unanswered,
            "unmatched": unmatched.collect::<Vec<_>>(),
        })
    };
    json!({
        "results": results.iter().map(joined).collect::<Vec<_>>(),
        "both_opened": whole,
        "not_opened": not_opened,
    })
}

fn text_of(results: &[Joined<'_>], whole: bool, not_opened: u64) -> String {
    let mut text = String::new();
    for (first, second, joined) in results {
        let about = match whole {
            true => format!("{first} asked {second}"),
            false => format!("{first}'s opened entries, {second}'s published files"),
        };
        text += &format!(
            "{about}: {} exchanges go together, {} were not answered, {} do not match.\n",
            count(joined.matched),
            count(joined.unanswered),
            count(joined.unmatched.len() as u64),
        );
        if joined.unmatched.is_empty() {
            continue;
        }
        let mut table = Table::new(["EXCHANGE", first, second, "WHY"]);
        for unmatched in &joined.unmatched {
            let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
            table.row([
                unmatched.exchange.to_string(),
                number(unmatched.first),
                number(unmatched.second),
                unmatched.reason.to_string(),
            ]);
        }
        text += &table.to_string();
    }
    if !whole {
        text += "What the second logged and the first did not cannot be told without its opened entries.\n";
    }
    if not_opened > 0 {
        text += &format!(
            "{} entries about exchanges are not in the exports: nothing is said about them.\n",
            count(not_opened)
        );
    }
    text
}
