//! `concordat audit`: what an auditor does with published files and keys alone, and what the agency's own node opens,
//! proves and counts for him.

mod approvals;
mod entries;
mod files;
mod reconcile;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_ledger::{
    AuditOptions, Bundle, CHECKPOINT_PATH, Cosigned, Keys, MAX_BUNDLE_BYTES, Misbehaviour, Proven, Report,
    SignedCheckpoint, Source, Verdict, verify,
};
use concordat_note::{CosignerKey, VerifierKey};
use serde_json::{Value, json};

use self::approvals::{Approvals, is_signed};
use self::files::Files;
use crate::connect::Connection;
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, OutFile};

/// Verify a ledger, or a piece of it, trusting nobody
///
/// `verify`, `check-bundle`, `check-misbehaviour` and `reconcile` work on files and public keys alone: no node is asked.
/// They exit with 0 if everything holds, with 1 if something does not, and with 4 if what could be looked at holds, but
/// too few witnesses have cosigned, a file could not be read, or an exchange has not ended. The others ask our own node.
/// Where an entry is opened, the signatures of the people who approved what it says are verified.
#[derive(Subcommand)]
pub enum Command {
    /// Verify a whole ledger from its files
    Verify(VerifyArgs),
    /// Verify one entry from a proof bundle, years later
    CheckBundle {
        /// The bundle
        file: PathBuf,
        /// The decision, or the change of the registry, that the entry is about: is it what was signed?
        #[arg(long, value_name = "FILE")]
        document: Option<PathBuf>,
        #[command(flatten)]
        keys: KeyArgs,
    },
    /// Join two agencies' ledgers: what one asked and the other answered
    Reconcile(Box<reconcile::Args>),
    /// List entries, without opening any
    List(Box<entries::ListArgs>),
    /// Show what is public of one entry
    Show {
        /// The entry's number
        number: u64,
        #[command(flatten)]
        connection: Connection,
    },
    /// Open entries; that is recorded first
    Open(Box<entries::OpenArgs>),
    /// Write a proof of one entry that can be verified without the node, years later
    Prove(Box<entries::ProveArgs>),
    /// Draw entries at random, so that a second auditor draws the same
    Sample(Box<entries::SampleArgs>),
    /// Count entries by type, purpose and partner
    Report(Box<report::Args>),
    /// Verify a proof that an agency signed two histories
    CheckMisbehaviour {
        /// The proof
        file: PathBuf,
        /// The agency's ledger key, as its `concordat info` shows it, or a file that holds it
        #[arg(long, value_name = "VKEY|FILE")]
        key: String,
    },
}

/// Whom to believe.
#[derive(clap::Args)]
pub struct KeyArgs {
    /// The agency's ledger key, as its `concordat info` shows it, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    key: String,
    /// Key of a witness: a partner's identity key, or an independent witness's; may be given again
    #[arg(long = "witness", value_name = "VKEY|FILE")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned [default: all that are given]
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
}

/// What to verify.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// Folder of the ledger's files (`ledger` in a node's data folder, or a copy), or the http:// address where they are
    /// served
    #[arg(value_name = "FOLDER|URL")]
    files: String,
    #[command(flatten)]
    keys: KeyArgs,
    /// A checkpoint kept from an earlier audit, which the ledger must extend; may be given again
    #[arg(long = "kept", value_name = "FILE")]
    kept: Vec<PathBuf>,
    /// Keep the checkpoint for the next audit, if everything holds
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::Verify(args) => offline(move || args.run(out)).await,
            Self::CheckBundle { file, document, keys } => {
                offline(move || check_bundle(&file, document.as_deref(), &keys, out)).await
            }
            Self::CheckMisbehaviour { file, key } => {
                offline(move || check_misbehaviour(&file, &key, out)).await
            }
            Self::Reconcile(args) => offline(move || args.run(out)).await,
            Self::List(args) => args.run(out).await,
            Self::Show { number, connection } => entries::show(number, &connection, out).await,
            Self::Open(args) => args.run(out).await,
            Self::Prove(args) => args.run(out).await,
            Self::Sample(args) => args.run(out).await,
            Self::Report(args) => args.run(out).await,
        }
    }
}

/// Files are read, or fetched, on a thread that may wait.
async fn offline(work: impl FnOnce() -> Result<Exit> + Send + 'static) -> Result<Exit> {
    tokio::task::spawn_blocking(work).await?
}

impl KeyArgs {
    fn read(&self) -> Result<Keys> {
        let witness = |text: &String| -> Result<CosignerKey> {
            let text = text_of(text)?;
            // A witness may give its key as one that cosigns, or as the identity key that agreements name.
            match text.parse::<CosignerKey>() {
                Ok(key) => Ok(key),
                Err(_) => Ok(verifier(&text)?.cosigner()),
            }
        };
        let witnesses = self.witnesses.iter().map(witness).collect::<Result<Vec<_>>>()?;
        let quorum = self.quorum.unwrap_or(witnesses.len());
        if quorum > witnesses.len() {
            return Err(Usage::error("--quorum is larger than the number of --witness"));
        }
        Ok(Keys {
            witnesses,
            quorum,
            ..Keys::of(verifier_of(&self.key)?)
        })
    }
}

/// A verifier's key, given as such or as the file that holds it.
///
/// # Errors
/// It is none.
pub fn verifier_of(argument: &str) -> Result<VerifierKey> {
    verifier(&text_of(argument)?)
}

/// A key, or the content of the file of this name.
fn text_of(argument: &str) -> Result<String> {
    if argument.contains('+') && !Path::new(argument).exists() {
        return Ok(argument.to_owned());
    }
    let text = std::fs::read_to_string(argument).with_context(|| format!("reading the key {argument}"))?;
    Ok(text.trim().to_owned())
}

fn verifier(text: &str) -> Result<VerifierKey> {
    text.parse().map_err(|error: concordat_note::KeyError| {
        Advice::error(
            format!("not a key: {error}"),
            "a key is one line, name+id+base64, as `concordat info` shows it",
        )
    })
}

impl VerifyArgs {
    fn run(self, out: Out) -> Result<Exit> {
        let keys = self.keys.read()?;
        let mut kept = Vec::with_capacity(self.kept.len());
        for path in &self.kept {
            let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            kept.push(
                SignedCheckpoint::open(&bytes, &keys.log).with_context(|| format!("{}", path.display()))?,
            );
        }
        let options = AuditOptions {
            now: jiff::Timestamp::now(),
            leaves: true,
        };
        let files = Files::open(&self.files)?;
        let report = verify(&files, &keys, &kept, &options);
        if let (Some(path), Verdict::Holds) = (&self.keep, report.verdict()) {
            let checkpoint = files.read(CHECKPOINT_PATH)?.context("the checkpoint is gone")?;
            let checkpoint = SignedCheckpoint::open(&checkpoint, &keys.log)?;
            let mut file = OutFile::create(path)?;
            std::io::Write::write_all(&mut file, checkpoint.to_string().as_bytes())?;
            file.finish()?;
        }
        out.result(|| report_json(&report), || report.to_string())?;
        Ok(exit(&report))
    }
}

fn exit(report: &Report) -> Exit {
    match report.verdict() {
        Verdict::Holds => Exit::Done,
        Verdict::NoQuorum | Verdict::Incomplete => Exit::Unknown,
        Verdict::Broken => Exit::Failed,
    }
}

fn report_json(report: &Report) -> Value {
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let verdict = match report.verdict() {
        Verdict::Holds => "holds",
        Verdict::NoQuorum => "no_quorum",
        Verdict::Incomplete => "incomplete",
        Verdict::Broken => "broken",
    };
    json!({
        "verdict": verdict,
        "origin": report.origin,
        "size": report.checkpoint.as_ref().map(|checkpoint| checkpoint.size),
        "root": report.checkpoint.as_ref().map(|checkpoint| checkpoint.root.to_string()),
        "entries": report.entries,
        "classes": report.classes,
        "erased": report.erased,
        "due": report.due,
        "cosigned": cosigned(&report.cosigned),
        "cosigned_size": report.cosigned_size,
        "quorum": report.quorum,
        "extends": report.extends,
        "findings": findings,
        "more_findings": report.more_findings,
        "misbehaviour": report.misbehaviour.as_ref().map(ToString::to_string),
    })
}

fn cosigned(cosigned: &[Cosigned]) -> Vec<Value> {
    let one = |cosigned: &Cosigned| json!({ "witness": cosigned.witness, "time": cosigned.time });
    cosigned.iter().map(one).collect()
}

/// Reads a file of at most so many bytes.
fn read_small(path: &Path, limit: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a bundle shows besides that the entry is in the ledger.
struct Shown {
    proven: Proven,
    approvals: Option<Approvals>,
    /// Whether the given document is the one that was signed.
    signed: Option<bool>,
}

fn check_bundle(path: &Path, document: Option<&Path>, keys: &KeyArgs, out: Out) -> Result<Exit> {
    const LIMIT: usize = 1 << 20;
    let keys = keys.read()?;
    let proven = Bundle::parse(&read_small(path, MAX_BUNDLE_BYTES)?)?.check(&keys)?;
    let signed = document.map(|document| {
        let document = read_small(document, LIMIT)?;
        let signed = proven.entry.as_ref().and_then(|entry| is_signed(entry, &document));
        signed.ok_or_else(|| {
            Advice::error(
                "the bundle shows nothing that people sign",
                "leave --document out, or have the entry proven with what it says: `concordat audit prove --purpose …`",
            )
        })
    });
    let shown = Shown {
        approvals: proven.entry.as_ref().map(Approvals::of),
        proven,
        signed: signed.transpose()?,
    };
    out.result(|| shown.json(), || shown.text())?;
    let approved = shown.approvals.as_ref().is_none_or(Approvals::hold);
    Ok(match approved && shown.signed != Some(false) {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

impl Shown {
    fn json(&self) -> Value {
        json!({
            "index": self.proven.index,
            "size": self.proven.checkpoint.size(),
            "cosigned": cosigned(&self.proven.cosigned),
            "entry": self.proven.entry,
            "approvals": self.approvals.as_ref().map(Approvals::json),
            "document_signed": self.signed,
        })
    }

    fn text(&self) -> String {
        let Proven {
            index, checkpoint, ..
        } = &self.proven;
        let mut text = format!(
            "Entry {index} is in the ledger of {} entries.\n",
            checkpoint.size()
        );
        match &self.proven.entry {
            Some(entry) => {
                text += &format!("It says: {}\n", serde_json::to_string(entry).unwrap_or_default());
            }
            None => text += "What it says is not part of this bundle.\n",
        }
        text += &self.approvals.as_ref().map(Approvals::text).unwrap_or_default();
        match self.signed {
            Some(true) => text += "The document is the one that was signed.\n",
            Some(false) => text += "BROKEN: the document is not the one that was signed.\n",
            None => {}
        }
        text
    }
}

fn check_misbehaviour(path: &Path, key: &str, out: Out) -> Result<Exit> {
    const LIMIT: usize = 128 << 10;
    let key = verifier_of(key)?;
    let proof = Misbehaviour::check(&read_small(path, LIMIT)?, &key)?;
    let sentence = proof.sentence();
    out.result(
        || json!({ "proven": true, "sentence": sentence }),
        || format!("The proof holds: {sentence}.\n"),
    )?;
    Ok(Exit::Done)
}
