//! `concordat audit sample`: which entries are looked at, decided by a signed tree and a seed, not by the agency that is audited.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use concordat_ledger::{
    CHECKPOINT_PATH, Cause, CheckedLeaves, Class, Cosigned, Entry, EntryType, Leaf, LeavesError, ReadError,
    Sampler, SignedCheckpoint, Source,
};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::approvals::Approvals;
use super::entries::in_words;
use super::entries::kind;
use super::files::Files;
use super::keys::KeyArgs;
use super::reconcile::exported;
use super::{MAX_CHECKPOINT, cosigned, read_small};
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, Table, count};

/// Drawing looks at every number: more than any agency writes, and some minutes' work.
const MAX_DRAWN_FROM: u64 = 1 << 32;

/// What to draw from.
#[derive(clap::Args)]
pub struct Args {
    /// Any text, not empty; both sides should have a say in it, after the checkpoint was cosigned
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
    Opened(Entry, Approvals),
    /// By the entry of this number, as the ledger itself says.
    Erased(u64, Gone),
    Missing,
}

/// How an entry was erased.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// On its day or later, and before anybody could know what would be drawn: the agency owes nothing.
    Due,
    /// The order is in the erasure's own entry.
    Ordered,
    AfterTheDraw,
    BeforeItsDay,
    /// By an entry that was written before it.
    Impossible,
}

impl Gone {
    /// How entry `number`, drawn from the first `size`, was erased by entry `by`.
    fn of(number: u64, due: Option<Date>, by: u64, erasure: &Leaf, cause: Cause, size: u64) -> Self {
        let was_due = due.is_some_and(|due| due <= erasure.time.date());
        match cause {
            _ if by <= number => Self::Impossible,
            _ if by >= size => Self::AfterTheDraw,
            Cause::Ordered => Self::Ordered,
            Cause::Due if was_due => Self::Due,
            Cause::Due => Self::BeforeItsDay,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Ordered => "by order",
            Self::AfterTheDraw => "after the draw",
            Self::BeforeItsDay => "before its day",
            Self::Impossible => "before it was written",
        }
    }
}

impl State {
    /// What the agency still has to open, or to show the order for.
    fn is_owed(&self) -> bool {
        match self {
            Self::Opened(..) => false,
            Self::Erased(_, gone) => *gone != Gone::Due,
            Self::Missing => true,
        }
    }

    fn is_unapproved(&self) -> bool {
        matches!(self, Self::Opened(_, approvals) if !approvals.hold())
    }
}

/// A sample, and what became of it.
struct Sample<'a> {
    args: &'a Args,
    checkpoint: &'a SignedCheckpoint,
    cosigned: Vec<Cosigned>,
    /// How many must have.
    quorum: usize,
    drawn: Vec<u64>,
    /// Only where the agency was asked to open them.
    states: Option<BTreeMap<u64, State>>,
}

impl Args {
    /// Draws; blocks for files.
    pub fn run(self, out: Out) -> Result<Exit> {
        if self.seed.trim().is_empty() {
            return Err(Usage::error(
                "--seed is empty: whoever chose the checkpoint could have known what is drawn",
            ));
        }
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
        let drawn = self.draw(&checkpoint)?;
        let states = match (&files, &published) {
            (Some(files), Some(published)) => Some(self.states(files, published, &checkpoint, &drawn)?),
            _ => None,
        };
        let sample = Sample {
            args: &self,
            checkpoint: &checkpoint,
            cosigned: keys.cosigned(&checkpoint),
            quorum: keys.quorum,
            drawn,
            // Without an export nobody was asked to open anything.
            states: states.filter(|_| !self.exports.is_empty()),
        };
        out.result(|| sample.json(), || sample.text())?;
        Ok(sample.exit())
    }

    fn draw(&self, checkpoint: &SignedCheckpoint) -> Result<Vec<u64>> {
        let size = checkpoint.size();
        let offered = match size.checked_sub(self.from) {
            _ if size == 0 => {
                bail!("the checkpoint is of a ledger without entries: there is nothing to draw from")
            }
            None | Some(0) => {
                return Err(Usage::error(format!(
                    "--from: the checkpoint is of {} entries, numbered from 0",
                    count(size)
                )));
            }
            Some(offered) => offered,
        };
        if offered > MAX_DRAWN_FROM {
            return Err(Advice::error(
                format!("the checkpoint says that the ledger has {} entries", count(size)),
                format!(
                    "if that can be, draw from the last {} or fewer, with --from",
                    count(MAX_DRAWN_FROM)
                ),
            ));
        }
        let mut sampler = Sampler::new(self.seed.as_bytes(), checkpoint.checkpoint(), self.count as usize);
        (self.from..size).for_each(|number| sampler.offer(number));
        Ok(sampler.finish())
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
        let mut states: BTreeMap<u64, State> = drawn.iter().map(|number| (*number, State::Missing)).collect();
        let mut days: BTreeMap<u64, Option<Date>> = BTreeMap::new();
        let mut other = None;
        let mut leaves = CheckedLeaves::new(files, published).extending(checkpoint);
        for (number, leaf) in leaves.by_ref() {
            if let Class::Erasure { erased, cause } = &leaf.class {
                for range in erased.iter() {
                    for (erased, state) in states.range_mut(range) {
                        let due = days.get(erased).copied().flatten();
                        let gone = Gone::of(*erased, due, number, &leaf, *cause, checkpoint.size());
                        // What one that was due names as well would be gone by now in any case.
                        if matches!(state, State::Missing) || (gone == Gone::Due && state.is_owed()) {
                            *state = State::Erased(number, gone);
                        }
                    }
                }
            }
            let opened = exported_entries.remove(&number);
            if let Some(state) = states.get_mut(&number) {
                days.insert(number, leaf.erase_after);
                if let Some((text, entry)) = opened {
                    if text.as_bytes() == leaf.encode(number) {
                        let approvals = Approvals::of(&entry);
                        *state = State::Opened(entry, approvals);
                    } else {
                        other = other.or(Some(number));
                    }
                }
            } else if opened.is_some_and(|(text, _)| text.as_bytes() != leaf.encode(number)) {
                other = other.or(Some(number));
            }
        }
        leaves.finish().map_err(|error| not_held(files, error))?;
        if let Some(number) = other.or_else(|| exported_entries.keys().next().copied()) {
            bail!("entry {number} of the export is not the one in the published ledger");
        }
        Ok(states)
    }
}

impl Sample<'_> {
    fn states(&self) -> impl Iterator<Item = (u64, &State)> {
        let states = self.states.iter().flatten();
        states.map(|(number, state)| (*number, state))
    }

    fn numbers(&self, wanted: fn(&State) -> bool) -> Vec<u64> {
        let wanted = self.states().filter(|(_, state)| wanted(state));
        wanted.map(|(number, _)| number).collect()
    }

    fn exit(&self) -> Exit {
        if !self.numbers(State::is_unapproved).is_empty() {
            Exit::Failed
        } else if self.has_too_few() || !self.numbers(State::is_owed).is_empty() {
            Exit::Unknown
        } else {
            Exit::Done
        }
    }

    /// The witnesses that were given must have cosigned what is drawn from: before the seed, nobody can then have arranged it after.
    fn has_too_few(&self) -> bool {
        self.cosigned.len() < self.quorum
    }

    /// How many of the drawn entries were opened, and are of other types than the wanted one.
    fn other_types(&self) -> u64 {
        self.states().filter(|(_, state)| !self.shows(state)).count() as u64
    }

    /// Why what is drawn may have been arranged, a sentence each.
    fn not_checked(&self) -> Vec<String> {
        let mut not_checked = Vec::new();
        if self.has_too_few() {
            not_checked.push(format!(
                "Too few witnesses have cosigned this checkpoint, {} of {}: whoever knew the seed could have chosen it. \
                 Draw from one that they have cosigned: the ledger's file checkpoint.cosigned is one.",
                self.cosigned.len(),
                self.quorum
            ));
        } else if self.cosigned.is_empty() {
            not_checked.push(
                "Nobody whose key was given has cosigned this checkpoint: whoever knew the seed could have chosen it.".to_owned(),
            );
        }
        if self.args.checkpoint.is_none() {
            not_checked.push(
                "This checkpoint is the newest in --files, so whoever keeps them chose it: was it cosigned before the seed was known?".to_owned(),
            );
        }
        not_checked
    }

    fn json(&self) -> Value {
        let opened = self.states().filter_map(|(number, state)| match state {
            State::Opened(entry, approvals) if self.shows(state) => Some(json!({
                "number": number,
                "type": entry.kind().name(),
                "entry": entry,
                "approvals": approvals.json(),
            })),
            _ => None,
        });
        let erased = self.states().filter_map(|(number, state)| match state {
            State::Erased(by, gone) => Some(json!({ "number": number, "by": by, "cause": gone.words() })),
            _ => None,
        });
        let asked = self.states.is_some();
        json!({
            "size": self.checkpoint.size(),
            "root": self.checkpoint.root().to_string(),
            "cosigned": cosigned(&self.cosigned),
            "quorum": self.quorum,
            "from": self.args.from,
            "entries": self.drawn,
            "opened": asked.then(|| opened.collect::<Vec<_>>()),
            "other_types": asked.then(|| self.other_types()),
            "erased": asked.then(|| erased.collect::<Vec<_>>()),
            "not_opened": asked.then(|| self.numbers(State::is_owed)),
            "unapproved": asked.then(|| self.numbers(State::is_unapproved)),
            "not_checked": self.not_checked(),
        })
    }

    fn text(&self) -> String {
        let size = self.checkpoint.size();
        let mut text = format!(
            "{} of {}, from the ledger of {} entries with the root {}:\n",
            count(self.drawn.len() as u64),
            count(size.saturating_sub(self.args.from)),
            count(size),
            self.checkpoint.root()
        );
        if self.states.is_some() {
            text += &self.table();
        } else {
            text.extend(self.drawn.iter().map(|number| format!("{number}\n")));
        }
        for cosigned in &self.cosigned {
            text += &format!("The checkpoint was cosigned by {cosigned}.\n");
        }
        for sentence in self.not_checked() {
            text += &format!("Not checked: {sentence}\n");
        }
        text
    }

    /// The entries with what they say, and what is wrong with them.
    fn table(&self) -> String {
        let mut table = Table::new(["ENTRY", "SAYS"]);
        let mut broken = String::new();
        for (number, state) in self.states() {
            let says = match state {
                State::Opened(..) if !self.shows(state) => continue,
                State::Opened(entry, approvals) => {
                    if !approvals.hold() {
                        broken += &format!(
                            "BROKEN: entry {number} holds an approval that does not hold.\n{}",
                            approvals.text()
                        );
                    }
                    in_words(entry)
                }
                State::Erased(by, gone) => format!("ERASED BY ENTRY {by} ({})", gone.words()),
                State::Missing => "NOT OPENED".to_owned(),
            };
            table.row([number.to_string(), says]);
        }
        let mut text = table.to_string() + &broken;
        if let (Some(kind), others @ 1..) = (self.args.kind, self.other_types()) {
            let were = if others == 1 { "other was" } else { "others were" };
            text += &format!(
                "{} {were} opened as well, of another type than {}.\n",
                count(others),
                kind.name()
            );
        }
        let owed = self.numbers(State::is_owed).len() as u64;
        if owed > 0 {
            text += &format!(
                "{} of the drawn entries were neither opened nor erased on their day, before the draw: nothing is said about them, \
                 and the agency owes them, or the order.\n",
                count(owed)
            );
        }
        text
    }

    /// Those of the wanted type, and whatever is wrong.
    fn shows(&self, state: &State) -> bool {
        let State::Opened(entry, _) = state else {
            return true;
        };
        state.is_unapproved() || self.args.kind.is_none_or(|kind| entry.kind() == kind)
    }
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
