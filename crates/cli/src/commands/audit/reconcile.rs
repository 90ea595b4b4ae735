//! `concordat audit reconcile`: two agencies' half-logs, joined.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use concordat_ledger::{
    CHECKPOINT_PATH, CheckedLeaves, Class, Entry, Event, ExchangeRecord, Hex, Join, Leaf, LeavesError,
    MAX_PAYLOAD_BYTES, ReadError, Reconciliation, Side, SignedCheckpoint, Source, Unopened,
    reconcile_export_with_leaves, reconcile_exports,
};
use concordat_note::VerifierKey;
use serde::Deserialize;
use serde_json::{Value, json};

use super::approvals::Approvals;
use super::entries::verified;
use super::files::Files;
use super::keys::ledger_key;
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, Table, count, counted};

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
    /// Entries about exchanges that are not in the export, by their tags: erased, with others, or kept back.
    unopened: HashMap<Hex<16>, Unopened>,
    /// How many of them were not erased.
    not_opened: u64,
    /// How many of them were.
    erased: u64,
    /// Entries of the export about exchanges with the other agency that are not joined, by their type.
    not_compared: BTreeMap<&'static str, u64>,
    /// Entries in which an approval does not hold.
    unapproved: Vec<u64>,
}

impl Log {
    fn open(files: &str, key: &VerifierKey) -> Result<Self> {
        let agency = key
            .name()
            .strip_suffix("/ledger")
            .unwrap_or_else(|| key.name())
            .to_owned();
        let files = Files::open(files)?;
        files.are_of(key)?;
        let note = files
            .read(CHECKPOINT_PATH)
            .map_err(|error| files.unread(&error))?;
        let note = note.with_context(|| format!("{agency} has published no checkpoint"))?;
        let checkpoint =
            SignedCheckpoint::open(&note, key).with_context(|| format!("the checkpoint of {agency}"))?;
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
        let mut unopened: BTreeMap<u64, (Join, bool)> = BTreeMap::new();
        self.leaves(|number, leaf| {
            // It names what was written before it, or nothing was erased.
            if let Class::Erasure { erased, .. } = &leaf.class {
                let ranges = erased.iter();
                ranges.for_each(|range| {
                    unopened
                        .range_mut(range)
                        .for_each(|(_, (_, erased))| *erased = true);
                });
            }
            match (entries.get(&number), &leaf.class) {
                (Some((text, _)), _) if text.as_bytes() == leaf.encode(number) => {
                    missing.remove(&number);
                }
                (Some(_), _) => other = other.or(Some(number)),
                (None, Class::Exchange(join)) => {
                    unopened.insert(number, (*join, false));
                }
                (None, _) => {}
            }
        })?;
        let agency = &self.agency;
        if let Some(number) = other {
            bail!("entry {number} of the export is another one in the ledger of {agency}");
        }
        if let Some(number) = missing.first() {
            bail!("the published ledger of {agency} has no entry {number}, which the export has");
        }
        let mut records = Vec::new();
        let mut not_compared = BTreeMap::new();
        for (number, (_, entry)) in &entries {
            let with = entry.event.partner().map(|named| named.as_str());
            // Steps of a case that name no partner are with one all the same.
            if entry.event.exchange().is_none() || with.is_some_and(|with| with != partner) {
                continue;
            }
            match (ExchangeRecord::new(*number, &entry.event), &entry.event) {
                (Some(record), _) => records.push(record),
                // That an exchange goes on says nothing that its closing does not; the others have no counterpart.
                (
                    None,
                    Event::QueryOpened(_)
                    | Event::EvaluationOpened(_)
                    | Event::HitStep(_)
                    | Event::Reminded(_),
                ) => {}
                (None, event) => *not_compared.entry(event.kind().name()).or_default() += 1,
            }
        }
        let unapproved = entries
            .iter()
            .filter(|(_, (_, entry))| !Approvals::of(entry).hold());
        let erased = unopened.values().filter(|(_, erased)| *erased).count();
        Ok(Opened {
            unapproved: unapproved.map(|(number, _)| *number).collect(),
            records,
            not_opened: (unopened.len() - erased) as u64,
            erased: erased as u64,
            unopened: unopened
                .into_values()
                .map(|(Join { tag, facts }, erased)| (tag, Unopened { facts, erased }))
                .collect(),
            not_compared,
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
        let (key, other_key) = (ledger_key(&self.log_key)?, ledger_key(&self.other_log_key)?);
        if key.public_key() == other_key.public_key() {
            return Err(Usage::error(format!(
                "--log-key and --other-log-key are the same key, that of {}: a ledger is joined with another agency's, not with itself",
                key.name()
            )));
        }
        let one = Log::open(&self.files, &key)?;
        let other = Log::open(&self.other_files, &other_key)?;
        let ours = one.opened(&self.export, &other.agency)?;
        let mut looked = Looked {
            whole: self.other_export.is_some(),
            ..Looked::default()
        };
        looked.add(&one.agency, &ours);
        looked.results = match &self.other_export {
            Some(export) => {
                let theirs = other.opened(export, &one.agency)?;
                looked.add(&other.agency, &theirs);
                let joined = |asking: &Opened, answering: &Opened| {
                    let records = |opened: &Opened| opened.records.clone();
                    reconcile_exports(records(asking), records(answering), |side, tag| {
                        let log = match side {
                            Side::Requester => asking,
                            Side::Owner => answering,
                        };
                        log.unopened.get(tag).copied()
                    })
                };
                vec![
                    (one.agency.clone(), other.agency.clone(), joined(&ours, &theirs)),
                    (other.agency.clone(), one.agency.clone(), joined(&theirs, &ours)),
                ]
            }
            None => {
                let mut leaves = CheckedLeaves::new(&other.files, &other.checkpoint);
                let unopened = |tag: &Hex<16>| ours.unopened.get(tag).copied();
                let joined = reconcile_export_with_leaves(ours.records, unopened, leaves.by_ref());
                leaves.finish().map_err(|error| other.not_signed(error))?;
                vec![(one.agency.clone(), other.agency.clone(), joined)]
            }
        };
        out.result(|| looked.json(), || looked.text())?;
        Ok(looked.exit())
    }
}

/// What came of it.
#[derive(Default)]
struct Looked {
    /// Of the first agency and the second.
    results: Vec<(String, String, Reconciliation)>,
    /// Both sides' entries were opened.
    whole: bool,
    /// Entries about exchanges that are not in the exports, and were not erased.
    not_opened: u64,
    /// Those that were.
    erased: u64,
    not_compared: BTreeMap<&'static str, u64>,
    unapproved: Vec<(String, Vec<u64>)>,
}

/// What a signature alone does not show.
const NOT_CHECKED: &str = "Whether each ledger is the one that was shown to others, and nothing was rolled back: `concordat audit verify` \
     of each, with --kept and --witness, says that.";

impl Looked {
    fn add(&mut self, agency: &str, opened: &Opened) {
        self.not_opened += opened.not_opened;
        self.erased += opened.erased;
        for (kind, entries) in &opened.not_compared {
            *self.not_compared.entry(*kind).or_default() += entries;
        }
        if !opened.unapproved.is_empty() {
            self.unapproved
                .push((agency.to_owned(), opened.unapproved.clone()));
        }
    }

    /// There are exchanges, maybe between the two, and the exports hold none of them.
    fn is_empty(&self) -> bool {
        let nothing =
            |joined: &Reconciliation| joined.matched + joined.unanswered == 0 && joined.unmatched.is_empty();
        self.not_opened + self.erased > 0 && self.results.iter().all(|(_, _, joined)| nothing(joined))
    }

    /// What may still be put right by waiting or opening is not a contradiction.
    fn exit(&self) -> Exit {
        let (mut contradictions, mut undecided) = (0, 0);
        for (_, _, joined) in &self.results {
            let (contradicting, rest) = counts(joined);
            (contradictions, undecided) = (contradictions + contradicting, undecided + rest);
        }
        if !self.unapproved.is_empty() || contradictions > 0 {
            Exit::Failed
        } else if undecided > 0 || self.is_empty() {
            Exit::Unknown
        } else {
            Exit::Done
        }
    }

    fn json(&self) -> Value {
        let joined = |(first, second, joined): &(String, String, Reconciliation)| {
            let unmatched = joined.unmatched.iter().map(|unmatched| {
                json!({
                    "exchange": unmatched.exchange.to_string(),
                    "first": unmatched.first,
                    "second": unmatched.second,
                    "reason": unmatched.reason.to_string(),
                    "contradicts": unmatched.reason.contradicts(),
                })
            });
            let (contradictions, undecided) = counts(joined);
            json!({
                "first": first,
                "second": second,
                "matched": joined.matched,
                "unanswered": joined.unanswered,
                "contradictions": contradictions,
                "undecided": undecided,
                "unmatched": unmatched.collect::<Vec<_>>(),
            })
        };
        let unapproved = self.unapproved.iter();
        let unapproved = unapproved.map(|(agency, entries)| json!({ "agency": agency, "entries": entries }));
        json!({
            "results": self.results.iter().map(joined).collect::<Vec<_>>(),
            "both_opened": self.whole,
            "not_opened": self.not_opened,
            "erased": self.erased,
            "not_compared": self.not_compared,
            "not_checked": [NOT_CHECKED],
            "unapproved": unapproved.collect::<Vec<_>>(),
        })
    }

    /// The entries that nobody could join.
    fn left_out(&self) -> String {
        let mut text = String::new();
        if self.not_opened > 0 {
            text += &format!(
                "{} about exchanges {} not in the exports: nothing is said about {}.\n",
                counted(self.not_opened, "entry"),
                verb(self.not_opened, "is", "are"),
                verb(self.not_opened, "it", "them"),
            );
        }
        if self.erased > 0 {
            text += &format!(
                "{} about exchanges {} erased: nothing is said about {}.\n",
                counted(self.erased, "entry"),
                verb(self.erased, "was", "were"),
                verb(self.erased, "it", "them"),
            );
        }
        if text.is_empty() {
            text += "No entry about an exchange is left out of the exports.\n";
        }
        text
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (first, second, joined) in &self.results {
            let about = match self.whole {
                true => format!("{first} asked {second}"),
                false => format!("{first}'s opened entries, {second}'s published files"),
            };
            let (contradictions, undecided) = counts(joined);
            text += &format!(
                "{about}: {} {} together, {} {} not answered, {} {} not match, {} could not be compared.\n",
                counted(joined.matched, "exchange"),
                verb(joined.matched, "goes", "go"),
                count(joined.unanswered),
                verb(joined.unanswered, "was", "were"),
                count(contradictions),
                verb(contradictions, "does", "do"),
                count(undecided),
            );
            text += &table(first, second, joined);
        }
        for (first, second, _) in self.results.iter().filter(|_| !self.whole) {
            text += &format!(
                "What {second} logged and {first} did not cannot be told without the opened entries of {second}: --other-export.\n"
            );
        }
        text += &self.left_out();
        if !self.not_compared.is_empty() {
            let kinds = self.not_compared.iter();
            let kinds: Vec<String> = kinds
                .map(|(kind, entries)| format!("{} {kind}", count(*entries)))
                .collect();
            text += &format!(
                "Only queries and their answers are joined. Not compared: {}.\n",
                kinds.join(", ")
            );
        }
        text += &format!("Not checked: {NOT_CHECKED}\n");
        for (agency, entries) in &self.unapproved {
            for entry in entries {
                text += &format!("BROKEN: entry {entry} of {agency} holds an approval that does not hold.\n");
            }
        }
        if self.is_empty() {
            text += "Nothing was compared: the ledgers have entries about exchanges, and the exports hold none that could be joined.\n";
        }
        text
    }
}

fn verb(number: u64, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}

/// How many exchanges contradict each other, and of how many it cannot be said yet, or any more.
fn counts(joined: &Reconciliation) -> (u64, u64) {
    let unmatched = joined.unmatched.iter();
    let contradictions = unmatched.filter(|unmatched| unmatched.reason.contradicts());
    let contradictions = contradictions.count();
    (
        contradictions as u64,
        (joined.unmatched.len() - contradictions) as u64,
    )
}

fn table(first: &str, second: &str, joined: &Reconciliation) -> String {
    if joined.unmatched.is_empty() {
        return String::new();
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
    table.to_string()
}
