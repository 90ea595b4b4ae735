//! `concordat audit sample`: which entries are looked at, decided by a signed tree and a seed, not by the agency that is audited.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use concordat_ledger::{
    CHECKPOINT_PATH, CheckedLeaves, Class, Entry, EntryType, Keys, LeavesError, ReadError, Sampler,
    SignedCheckpoint, Source,
};
use serde_json::{Value, json};

use super::approvals::Approvals;
use super::entries::kind;
use super::files::Files;
use super::keys::KeyArgs;
use super::read_small;
use super::reconcile::exported;
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, Table, count};

/// Far more than a signed checkpoint has.
const MAX_CHECKPOINT: usize = 64 << 10;

/// What to draw from.
#[derive(clap::Args)]
pub struct Args {
    /// Any text; both sides should have a say in it, after the checkpoint was cosigned
    #[arg(long, value_name = "TEXT")]
    seed: String,
    /// How many entries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Draw from the ledger as of this checkpoint, as `audit verify --keep` wrote it [default: the newest in --files]
    #[arg(long, value_name = "FILE", required_unless_present = "files")]
    checkpoint: Option<PathBuf>,
    /// Folder or http(s):// address of the ledger's files, which are held to the checkpoint
    #[arg(long, value_name = "FOLDER|URL")]
    files: Option<String>,
    /// Opened entries, as the agency's `concordat audit open --export` wrote them, each held to the ledger's files; says of
    /// each drawn entry whether it was opened; may be given again
    #[arg(long = "export", value_name = "FILE", requires = "files")]
    exports: Vec<PathBuf>,
    /// Of the drawn and opened entries show those of this type, for example "query"; docs/ledger.md, section 3, has them all
    #[arg(long = "type", value_name = "TYPE", value_parser = kind, requires = "exports")]
    kind: Option<EntryType>,
    /// Draw from entries not before this number; a second auditor must give the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    keys: KeyArgs,
}

/// What became of a drawn entry.
enum State {
    Opened(Entry),
    /// The ledger says so.
    Erased,
    Missing,
}

impl Args {
    /// Draws; blocks for files.
    pub fn run(self, out: Out) -> Result<Exit> {
        let keys = self.keys.read()?;
        let files = self.files.as_deref().map(Files::open).transpose()?;
        let published = match &files {
            Some(files) => {
                files.are_of(&keys.log)?;
                let note = files
                    .read(CHECKPOINT_PATH)
                    .map_err(|error| files.unread(&error))?;
                let note = note.context("the ledger has no checkpoint: nothing was published yet")?;
                Some(SignedCheckpoint::open(&note, &keys.log).context("the published checkpoint")?)
            }
            None => None,
        };
        let given = match &self.checkpoint {
            Some(path) => {
                let note = read_small(path, MAX_CHECKPOINT)?;
                Some(
                    SignedCheckpoint::open(&note, &keys.log)
                        .with_context(|| format!("{} is no checkpoint of this ledger", path.display()))?,
                )
            }
            None => None,
        };
        let Some(checkpoint) = given.or_else(|| published.clone()) else {
            // The command line has one of them.
            return Err(Usage::error("give --checkpoint, or --files"));
        };
        cosigned(&checkpoint, &keys)?;
        let size = checkpoint.size();
        let mut sampler = Sampler::new(self.seed.as_bytes(), checkpoint.checkpoint(), self.count as usize);
        (self.from..size).for_each(|number| sampler.offer(number));
        let drawn = sampler.finish();
        let states = match (&files, &published) {
            (Some(files), Some(published)) => Some(self.states(files, published, &checkpoint, &drawn)?),
            _ => None,
        };
        // Without an export nobody was asked to open anything.
        let states = states.filter(|_| !self.exports.is_empty());
        let missing = states.iter().flat_map(BTreeMap::values);
        let missing = missing.filter(|state| matches!(state, State::Missing)).count();
        let unapproved = states
            .iter()
            .flat_map(BTreeMap::values)
            .any(|state| matches!(state, State::Opened(entry) if !Approvals::of(entry).hold()));
        out.result(
            || self.json(&checkpoint, &drawn, states.as_ref()),
            || self.text(&checkpoint, &drawn, states.as_ref(), missing),
        )?;
        Ok(match (unapproved, missing) {
            (true, _) => Exit::Failed,
            (false, 0) => Exit::Done,
            (false, _) => Exit::Unknown,
        })
    }

    /// Holds the files to their checkpoint, that to the one drawn from, and the exports to the files.
    fn states(
        &self,
        files: &Files,
        published: &SignedCheckpoint,
        checkpoint: &SignedCheckpoint,
        drawn: &[u64],
    ) -> Result<BTreeMap<u64, State>> {
        let mut exported_entries = BTreeMap::new();
        for path in &self.exports {
            exported_entries.extend(exported(path)?);
        }
        let wanted: BTreeSet<u64> = drawn.iter().copied().collect();
        let mut states: BTreeMap<u64, State> = drawn.iter().map(|number| (*number, State::Missing)).collect();
        let (mut other, mut erased) = (None, BTreeSet::new());
        let mut leaves = CheckedLeaves::new(files, published).extending(checkpoint);
        for (number, leaf) in leaves.by_ref() {
            if let Class::Erasure { erased: ranges, .. } = &leaf.class {
                erased.extend(
                    wanted
                        .iter()
                        .filter(|number| ranges.iter().any(|range| range.contains(number))),
                );
            }
            if let Some((text, entry)) = exported_entries.remove(&number) {
                if text.as_bytes() != leaf.encode(number) {
                    other = other.or(Some(number));
                } else if let Some(state) = states.get_mut(&number) {
                    *state = State::Opened(entry);
                }
            }
        }
        leaves.finish().map_err(|error| not_held(files, error))?;
        if let Some(number) = other.or_else(|| exported_entries.keys().next().copied()) {
            bail!("entry {number} of the export is not the one in the published ledger");
        }
        for number in erased {
            if let Some(state) = states.get_mut(&number)
                && matches!(state, State::Missing)
            {
                *state = State::Erased;
            }
        }
        Ok(states)
    }

    fn json(
        &self,
        checkpoint: &SignedCheckpoint,
        drawn: &[u64],
        states: Option<&BTreeMap<u64, State>>,
    ) -> Value {
        let numbers = |wanted: fn(&State) -> bool| {
            let numbers = states
                .into_iter()
                .flatten()
                .filter(move |(_, state)| wanted(state));
            numbers.map(|(number, _)| *number).collect::<Vec<_>>()
        };
        let opened = states
            .into_iter()
            .flatten()
            .filter_map(|(number, state)| match state {
                State::Opened(entry) if self.shows(entry) => Some(json!({
                    "number": number,
                    "type": entry.kind().name(),
                    "entry": entry,
                    "approvals": Approvals::of(entry).json(),
                })),
                _ => None,
            });
        json!({
            "size": checkpoint.size(),
            "root": checkpoint.root().to_string(),
            "from": self.from,
            "entries": drawn,
            "opened": states.map(|_| opened.collect::<Vec<_>>()),
            "erased": states.map(|_| numbers(|state| matches!(state, State::Erased))),
            "not_opened": states.map(|_| numbers(|state| matches!(state, State::Missing))),
        })
    }

    fn text(
        &self,
        checkpoint: &SignedCheckpoint,
        drawn: &[u64],
        states: Option<&BTreeMap<u64, State>>,
        missing: usize,
    ) -> String {
        let size = checkpoint.size();
        let mut text = format!(
            "{} of {}, from the ledger of {} entries with the root {}:\n",
            count(drawn.len() as u64),
            count(size.saturating_sub(self.from)),
            count(size),
            checkpoint.root()
        );
        let Some(states) = states else {
            text.extend(drawn.iter().map(|number| format!("{number}\n")));
            return text;
        };
        let mut table = Table::new(["ENTRY", "TYPE", "SAYS"]);
        for (number, state) in states {
            let row = match state {
                State::Opened(entry) if !self.shows(entry) => continue,
                State::Opened(entry) => [
                    number.to_string(),
                    entry.kind().name().to_owned(),
                    serde_json::to_string(entry).unwrap_or_else(|error| error.to_string()),
                ],
                State::Erased => [
                    number.to_string(),
                    "-".into(),
                    "ERASED, as the ledger says".into(),
                ],
                State::Missing => [number.to_string(), "-".into(), "NOT OPENED".into()],
            };
            table.row(row);
        }
        text += &table.to_string();
        if missing > 0 {
            text += &format!(
                "{} of the drawn entries were not opened: nothing is said about them, and the agency owes them.\n",
                count(missing as u64)
            );
        }
        text
    }

    fn shows(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| entry.kind() == kind)
    }
}

/// The witnesses that were given must have cosigned what is drawn from: before the seed, nobody can then have arranged it after.
fn cosigned(checkpoint: &SignedCheckpoint, keys: &Keys) -> Result<()> {
    let found = checkpoint.cosignatures(&keys.witnesses).len();
    if found >= keys.quorum {
        return Ok(());
    }
    Err(Advice::error(
        format!(
            "{found} of the witnesses have cosigned this checkpoint, {} must have",
            keys.quorum
        ),
        "draw from a checkpoint that they have cosigned: the ledger's file checkpoint.cosigned is one",
    ))
}

fn not_held(files: &Files, error: LeavesError) -> anyhow::Error {
    match error {
        LeavesError::Read(ReadError::Io { source, .. }) => files.unread(&source),
        LeavesError::Read(error) => anyhow::Error::new(error).context("the ledger's files"),
        error => Advice::error(
            error.to_string(),
            "nothing drawn here is to be believed: `concordat audit verify --kept` with the same checkpoint says what was changed",
        ),
    }
}
