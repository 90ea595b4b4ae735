//! `concordat audit`: what an auditor does with published files and keys alone. No node, no database.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_ledger::{
    AuditOptions, Bundle, CHECKPOINT_PATH, Cosigned, Folder, Keys, MAX_BUNDLE_BYTES, Misbehaviour, Proven,
    Report, SignedCheckpoint, Source, Verdict, verify,
};
use concordat_note::{CosignerKey, VerifierKey};
use serde_json::{Value, json};

use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, OutFile};

/// Verify a ledger, or a piece of it, trusting nobody
///
/// Works on published files and public keys alone: no node is asked. Exits with 0 if everything holds, with 1 if
/// something does not, and with 4 if what could be looked at holds, but too few witnesses have cosigned or a file could
/// not be read.
#[derive(Subcommand)]
pub enum Command {
    /// Verify a whole ledger from its files
    Verify(VerifyArgs),
    /// Verify one entry from a proof bundle, years later
    CheckBundle {
        /// The bundle
        file: PathBuf,
        #[command(flatten)]
        keys: KeyArgs,
    },
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
    /// Folder of the ledger's files: `ledger` in a node's data folder, or a copy
    folder: PathBuf,
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
        // Reading files is all there is to wait for.
        tokio::task::spawn_blocking(move || match self {
            Self::Verify(args) => args.run(out),
            Self::CheckBundle { file, keys } => check_bundle(&file, &keys, out),
            Self::CheckMisbehaviour { file, key } => check_misbehaviour(&file, &key, out),
        })
        .await?
    }
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
            ..Keys::of(verifier(&text_of(&self.key)?)?)
        })
    }
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
        if !self.folder.is_dir() {
            return Err(Advice::error(
                format!("{} is no folder", self.folder.display()),
                "give the folder of a ledger's files",
            ));
        }
        let files = Folder::read_only(&self.folder);
        let report = verify(&files, &keys, &kept, &options);
        if let (Some(path), Verdict::Holds) = (&self.keep, report.verdict()) {
            let checkpoint = files.read(CHECKPOINT_PATH)?.context("the checkpoint is gone")?;
            // What was verified, should the ledger have grown since.
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

fn check_bundle(path: &Path, keys: &KeyArgs, out: Out) -> Result<Exit> {
    let keys = keys.read()?;
    let proven = Bundle::parse(&read_small(path, MAX_BUNDLE_BYTES)?)?.check(&keys)?;
    out.result(|| proven_json(&proven), || proven_text(&proven))?;
    Ok(Exit::Done)
}

fn proven_json(proven: &Proven) -> Value {
    json!({
        "index": proven.index,
        "size": proven.checkpoint.size(),
        "cosigned": cosigned(&proven.cosigned),
        "entry": proven.entry,
    })
}

fn proven_text(proven: &Proven) -> String {
    let entry = match &proven.entry {
        Some(entry) => format!("It says: {}\n", serde_json::to_string(entry).unwrap_or_default()),
        None => "What it says is not part of this bundle.\n".to_owned(),
    };
    format!(
        "Entry {} is in the ledger of {} entries.\n{entry}",
        proven.index,
        proven.checkpoint.size()
    )
}

fn check_misbehaviour(path: &Path, key: &str, out: Out) -> Result<Exit> {
    const LIMIT: usize = 128 << 10;
    let key = verifier(&text_of(key)?)?;
    let proof = Misbehaviour::check(&read_small(path, LIMIT)?, &key)?;
    let sentence = proof.sentence();
    out.result(
        || json!({ "proven": true, "sentence": sentence }),
        || format!("The proof holds: {sentence}.\n"),
    )?;
    Ok(Exit::Done)
}
