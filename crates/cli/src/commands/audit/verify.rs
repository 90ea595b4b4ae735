//! `concordat audit verify`: a whole ledger, from its files and public keys alone.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use concordat_ledger::{AuditOptions, CHECKPOINT_PATH, Report, SignedCheckpoint, Source, Verdict, verify};
use serde_json::{Value, json};

use super::files::Files;
use super::keys::KeyArgs;
use super::{MAX_CHECKPOINT, cosigned, read_small};
use crate::exit::{Advice, Exit};
use crate::out::{Out, OutFile, note};

/// What to verify.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the ledger's files (`ledger` in a node's data folder, or a copy), or the http:// or https:// address where
    /// they are served
    #[arg(value_name = "FOLDER|URL")]
    files: String,
    #[command(flatten)]
    keys: KeyArgs,
    /// A checkpoint kept from an earlier audit, which the ledger must extend; may be given again
    #[arg(long = "kept", value_name = "FILE")]
    kept: Vec<PathBuf>,
    /// Keep the checkpoint for the next audit, if everything holds; a file that exists is replaced only if it is also
    /// given with --kept
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Write the proof here, if the agency signed two histories: anybody can check it with `audit check-misbehaviour`
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

impl Args {
    /// Verifies; blocks for files.
    pub fn run(self, out: Out) -> Result<Exit> {
        let keys = self.keys.read()?;
        let mut kept = Vec::with_capacity(self.kept.len());
        for path in &self.kept {
            let bytes = read_small(path, MAX_CHECKPOINT)?;
            kept.push(SignedCheckpoint::open(&bytes, &keys.log).map_err(|error| {
                Advice::error(
                    format!(
                        "--kept: {} is no checkpoint of this ledger: {error}",
                        path.display()
                    ),
                    "give a file that an earlier `concordat audit verify --keep` of the same ledger wrote",
                )
            })?);
        }
        // Whoever holds the ledger to a checkpoint goes on from it; any other that was kept may be evidence.
        let keep = self
            .keep
            .as_deref()
            .map(|path| match self.kept.iter().any(|kept| kept == path) {
                true => OutFile::replace(path),
                false => OutFile::create(path),
            });
        let keep = keep.transpose()?;
        let proof = self.proof.as_deref().map(OutFile::create).transpose()?;
        let options = AuditOptions {
            now: jiff::Timestamp::now(),
            leaves: true,
        };
        let files = Files::open(&self.files)?;
        // Held to a checkpoint of that ledger, other files are no mix-up.
        if kept.is_empty() {
            files.are_of(&keys.log)?;
        }
        let report = verify(&files, &keys, &kept, &options);
        let not_kept = not_kept(report.verdict());
        if let (Some(mut file), None) = (keep, not_kept) {
            let checkpoint = files.read(CHECKPOINT_PATH)?.context("the checkpoint is gone")?;
            let checkpoint = SignedCheckpoint::open(&checkpoint, &keys.log)?;
            file.write_all(checkpoint.to_string().as_bytes())?;
            file.finish()?;
        }
        if let (Some(mut file), Some(misbehaviour)) = (proof, &report.misbehaviour) {
            write!(file, "{misbehaviour}")?;
            file.finish()?;
        }
        let names: Vec<String> = self.kept.iter().map(|path| path.display().to_string()).collect();
        out.result(|| report_json(&report, &names), || report.text(&names))?;
        if let Some(path) = &self.keep {
            note(match not_kept {
                None => format!("Kept {}.", path.display()),
                Some(why) => format!("Not kept: {why}."),
            });
        }
        Ok(exit(&report))
    }
}

/// Why the checkpoint is not kept for the next audit.
fn not_kept(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Holds => None,
        Verdict::NoQuorum => Some("too few witnesses have cosigned"),
        Verdict::Incomplete | Verdict::Unread => Some("not everything could be read"),
        Verdict::Broken => Some("something does not hold"),
    }
}

fn exit(report: &Report) -> Exit {
    match report.verdict() {
        Verdict::Holds => Exit::Done,
        Verdict::NoQuorum | Verdict::Incomplete => Exit::Unknown,
        Verdict::Unread => Exit::Unread,
        Verdict::Broken => Exit::Failed,
    }
}

fn report_json(report: &Report, kept: &[String]) -> Value {
    let extends = report.extends.iter().map(|held| {
        let file = held.kept.and_then(|place| kept.get(place));
        json!({ "size": held.size, "kept": file })
    });
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let verdict = match report.verdict() {
        Verdict::Holds => "holds",
        Verdict::NoQuorum => "no_quorum",
        Verdict::Incomplete => "incomplete",
        Verdict::Unread => "unread",
        Verdict::Broken => "broken",
    };
    let ordered = report.orders.iter().map(|ordered| {
        let ranges = ordered.erased.iter();
        let ranges: Vec<_> = ranges.map(|range| [*range.start(), *range.end()]).collect();
        json!({ "entry": ordered.entry, "erased": ranges })
    });
    let period = report
        .period
        .map(|(first, last)| json!({ "first": first.start().to_string(), "last": last.start().to_string() }));
    json!({
        "verdict": verdict,
        "origin": report.origin,
        "size": report.checkpoint.as_ref().map(|checkpoint| checkpoint.size),
        "root": report.checkpoint.as_ref().map(|checkpoint| checkpoint.root.to_string()),
        "entries": report.entries,
        "classes": report.classes,
        "period": period,
        "erased": report.erased,
        "erased_by_order": report.ordered,
        "ordered": ordered.collect::<Vec<_>>(),
        "more_ordered": report.more_orders,
        "due": report.due,
        "cosigned": cosigned(&report.cosigned),
        "cosigned_size": report.cosigned_size,
        "quorum": report.quorum,
        "extends": extends.collect::<Vec<_>>(),
        "not_checked": report.not_checked(),
        "findings": findings,
        "more_findings": report.more_findings,
        "misbehaviour": report.misbehaviour.as_ref().map(ToString::to_string),
    })
}
