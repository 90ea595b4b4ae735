//! `demo --tamper`: what somebody with the log's files in hand could do to them, and what an auditor says to it.
//!
//! All in memory: the nodes' own files stay as they are.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use concordat_ledger::{
    AuditOptions, CHECKPOINT_PATH, Finding, Keys, SignedCheckpoint, TilePath, Verdict, decode_bundle,
    encode_bundle, verify,
};

/// The files of a log, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// One thing that was done to the log, and what was found.
pub struct Tampered {
    /// What was done.
    pub done: String,
    /// What the audit says; `None` if it did not notice.
    pub found: Option<String>,
}

/// Reads a log's files.
///
/// # Errors
/// One cannot be read.
pub fn files_of(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with('.') {
                files.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

/// Does five things to a log, each to a fresh copy, and audits each copy with the checkpoint that the auditor kept.
///
/// # Errors
/// The log is too short, or is not one.
pub fn all(files: &Files, keys: &Keys, kept: &SignedCheckpoint, foreign: &[u8]) -> Result<Vec<Tampered>> {
    let path = TilePath::bundle(0, kept.size())
        .context("the log is empty")?
        .to_string();
    let bundle = files.get(&path).context("the log has no entries")?;
    let entries: Vec<Vec<u8>> = decode_bundle(bundle)
        .context("the log's entries cannot be read")?
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    let count = entries.len();
    ensure!(
        count >= 8,
        "a log of {count} entries is too short to show anything"
    );
    let (one, other) = (count / 3, count / 2);
    let with_entries = |change: &dyn Fn(&mut Vec<Vec<u8>>)| -> Result<Files> {
        let mut changed = entries.clone();
        change(&mut changed);
        let mut files = files.clone();
        files.insert(path.clone(), encode_bundle(&changed).context("too large")?);
        Ok(files)
    };
    let mut swapped = files.clone();
    swapped.insert(CHECKPOINT_PATH.to_owned(), foreign.to_vec());
    let copies = [
        (
            format!("altered one entry (number {one})"),
            with_entries(&|entries| alter(&mut entries[one]))?,
        ),
        (
            format!("dropped one entry (number {one})"),
            with_entries(&|entries| drop(entries.remove(one)))?,
        ),
        (
            format!("reordered two entries (numbers {one} and {other})"),
            with_entries(&|entries| entries.swap(one, other))?,
        ),
        (
            format!("cut off the end (from number {other})"),
            with_entries(&|entries| entries.truncate(other))?,
        ),
        ("put another log's checkpoint in its place".to_owned(), swapped),
    ];
    let options = AuditOptions {
        now: jiff::Timestamp::now(),
        leaves: true,
    };
    let audit = |(done, files): (String, Files)| {
        let report = verify(&files, keys, std::slice::from_ref(kept), &options);
        let noticed = report.verdict() != Verdict::Holds;
        Tampered {
            done,
            found: report
                .findings
                .first()
                .map(Finding::to_string)
                .filter(|_| noticed),
        }
    };
    Ok(copies.into_iter().map(audit).collect())
}

/// Another commitment: the entry still looks like one.
fn alter(entry: &mut [u8]) {
    const FIELD: &[u8] = b"\"commitment\":\"";
    if let Some(at) = entry.windows(FIELD.len()).position(|window| window == FIELD)
        && let Some(digit) = entry.get_mut(at + FIELD.len())
    {
        *digit = if *digit == b'0' { b'1' } else { b'0' };
    }
}
