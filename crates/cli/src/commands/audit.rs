//! `concordat audit`: what an auditor does with published files and keys alone, and what the agency's own node opens,
//! proves and counts for him.

mod approvals;
mod bundle;
mod entries;
mod erase;
mod files;
mod keys;
mod prove;
mod reconcile;
mod report;
mod sample;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_ledger::{Cosigned, Misbehaviour};
use serde_json::{Value, json};

pub use self::keys::verifier_of;

use crate::connect::Connection;
use crate::exit::Exit;
use crate::out::Out;

/// Verify a ledger, or a piece of it, trusting nobody
///
/// `verify`, `check-bundle`, `check-misbehaviour`, `reconcile` and `sample` work on files and public keys alone: no node is asked.
/// They exit with 0 if everything holds, with 1 if something does not, with 4 if what could be looked at holds, but too
/// few witnesses have cosigned, a file could not be read, an exchange has not ended, or an entry is not opened that should
/// be, and with 6 if a ledger could not be read and nothing is said about it. The others ask our own node: their `--key` is the private key of our client
/// certificate, and a ledger's key is `--log-key`. Where an entry is opened, the signatures of the people who approved what it says are verified.
#[derive(Subcommand)]
pub enum Command {
    /// Verify a whole ledger from its files
    Verify(Box<verify::Args>),
    /// Verify one entry from a proof bundle, years later
    CheckBundle(Box<bundle::Args>),
    /// Join two agencies' ledgers: what one asked and the other answered
    ///
    /// Verify each ledger first, with `audit verify --kept --witness`: here both are held to their own signed checkpoints alone.
    Reconcile(Box<reconcile::Args>),
    /// List entries, without opening any
    List(Box<entries::ListArgs>),
    /// Show what is public of one entry
    Show {
        /// The entry's number
        #[arg(value_parser = entries::number)]
        number: u64,
        #[command(flatten)]
        connection: Connection,
    },
    /// Open entries; that is recorded first
    Open(Box<entries::OpenArgs>),
    /// Write a proof of one entry that can be verified without the node, years later
    ///
    /// With a reason, it shows what the entry says. Of a query, also whom it was about: give all that was asked about again, with the
    /// options and the file that `concordat match` was given, and --item for one of several. The node derives the identifiers as on
    /// that day and holds them to what it committed to then. The bundle shows those of this item, and nothing of the others but how
    /// many there are. What an entry says cannot be shown in part: an opened query discloses as well how many of its identifiers were
    /// hits, which of a small query is the partner's answer, and the secret id of the exchange.
    Prove(Box<prove::ProveArgs>),
    /// Draw entries at random, so that a second auditor draws the same
    Sample(Box<sample::Args>),
    /// Count entries by type, purpose and partner
    Report(Box<report::Args>),
    /// Destroy what entries say before their day, by order
    ///
    /// As the client `admin` only. An audit sees that entries were erased, when, and that there was an order; who has the erasure's own
    /// entry opened sees whose.
    Erase(Box<erase::Args>),
    /// Verify a proof that an agency signed two histories
    CheckMisbehaviour {
        /// The proof
        file: PathBuf,
        /// Ledger key of the agency that is accused, as its `concordat info` shows it, or a file that holds it
        #[arg(long, alias = "key", value_name = "VKEY|FILE")]
        log_key: String,
    },
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::Verify(args) => offline(move || args.run(out)).await,
            Self::CheckBundle(args) => offline(move || args.run(out)).await,
            Self::CheckMisbehaviour { file, log_key } => {
                offline(move || check_misbehaviour(&file, &log_key, out)).await
            }
            Self::Reconcile(args) => offline(move || args.run(out)).await,
            Self::List(args) => args.run(out).await,
            Self::Show { number, connection } => entries::show(number, &connection, out).await,
            Self::Open(args) => args.run(out).await,
            Self::Prove(args) => args.run(out).await,
            Self::Sample(args) => offline(move || args.run(out)).await,
            Self::Report(args) => args.run(out).await,
            Self::Erase(args) => args.run(out).await,
        }
    }
}

/// Files are read, or fetched, on a thread that may wait.
async fn offline(work: impl FnOnce() -> Result<Exit> + Send + 'static) -> Result<Exit> {
    tokio::task::spawn_blocking(work).await?
}

fn cosigned(cosigned: &[Cosigned]) -> Vec<Value> {
    let one = |cosigned: &Cosigned| {
        let time = cosigned.at().map(|time| time.to_string());
        json!({ "witness": cosigned.witness, "time": time })
    };
    cosigned.iter().map(one).collect()
}

/// Far more than a signed checkpoint has.
const MAX_CHECKPOINT: usize = 64 << 10;

/// Reads a file of at most so many bytes, or what comes through a pipe: it is one that the auditor named.
fn read_small(path: &Path, limit: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let reading = || format!("reading {}", path.display());
    let file = std::fs::File::open(path).with_context(reading)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    anyhow::ensure!(
        bytes.len() <= limit,
        "{} has more than {limit} bytes: it is not what belongs here",
        path.display()
    );
    Ok(bytes)
}

fn check_misbehaviour(path: &Path, key: &str, out: Out) -> Result<Exit> {
    const LIMIT: usize = 128 << 10;
    let key = keys::ledger_key(key)?;
    let proof = Misbehaviour::check(&read_small(path, LIMIT)?, &key)?;
    let sentence = proof.sentence();
    out.result(
        || json!({ "proven": true, "sentence": sentence }),
        || format!("The proof holds: {sentence}.\n"),
    )?;
    Ok(Exit::Done)
}
