//! `--keep`: both nodes go on, and a person or a program can ask them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use concordat_synthetic::{write_mrz, write_paxlst};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::agency::Agency;
use super::agreement::LEGAL_BASIS;
use super::lists::Lists;
use crate::commands::info::ledger_key;
use crate::out::time;

/// What goes on after the demo.
pub struct Kept {
    root: PathBuf,
    left: Side,
    right: Side,
    pids: Vec<u32>,
}

/// One of the two agencies.
struct Side {
    name: &'static str,
    dir: PathBuf,
    /// The key that verifies its ledger.
    ledger: String,
    /// With which it cosigns.
    identity: String,
    /// Where its first two administrators register, as its node said at its start, and until when.
    setup: String,
    until: Timestamp,
}

impl Kept {
    /// Leaves both nodes running, with the flight beside them to ask about.
    ///
    /// # Errors
    /// The flight cannot be written; the nodes are then stopped.
    pub fn new(folder: TempDir, left: Agency, right: Agency, lists: &Lists) -> Result<Self> {
        let file = |name: &str| {
            let path = folder.path().join(name);
            File::create(&path)
                .map(BufWriter::new)
                .with_context(|| path.display().to_string())
        };
        let mut mrz = file("flight.mrz")?;
        write_mrz(&mut mrz, &lists.flight)?;
        mrz.flush()?;
        let mut paxlst = file("flight.paxlst")?;
        write_paxlst(&mut paxlst, &lists.flight)?;
        paxlst.flush()?;
        let sides = (Side::of(&left)?, Side::of(&right)?);
        let pids = [left.release(), right.release()].into_iter().flatten().collect();
        Ok(Self {
            root: folder.keep(),
            left: sides.0,
            right: sides.1,
            pids,
        })
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let sides = [&self.left, &self.right];
        json!({
            "folder": self.root,
            "left": self.left.dir,
            "right": self.right.dir,
            "pids": self.pids,
            "console_setup": sides.map(|side| &side.setup),
            "console_sign_in": sides.map(Side::sign_in),
        })
    }

    /// For people; `program` is how this one was called.
    pub fn text(&self, program: &str) -> String {
        let why = format!("--purpose border-check --legal-basis {LEGAL_BASIS} --case TEST");
        let (root, left, right) = (
            self.root.display(),
            self.left.dir.display(),
            self.right.dir.display(),
        );
        let pids: Vec<String> = self.pids.iter().map(ToString::to_string).collect();
        let until = self.left.until.min(self.right.until);
        format!(
            "Both nodes are running. Ask about the flight again, about yourself, or look around:\n\
             \x20 {program} match --dir {left} {why} --paxlst {root}/flight.paxlst\n\
             \x20 {program} match --dir {left} {why} \\\n\
             \x20     --family EXAMPLE --given ANNA --born 1980-02-29 --passport X1234567:NLD\n\
             \x20 {program} snapshot status --dir {left}\n\
             \x20 {program} agreement ls --dir {right}\n\
             See the cases that the hits have opened (`case show ID` shows one), and what both ledgers say:\n\
             \x20 {program} case list --dir {left}\n\
             \x20 {program} audit list --dir {left}\n\
             \x20 {program} audit report --dir {left}\n\
             \x20 {program} audit verify {left}/ledger --log-key {left_key} --witness {right_identity}\n\
             \x20 {program} audit verify {right}/ledger --log-key {right_key} --witness {left_identity}\n\
             Lead a case at the consoles. At each agency two administrators open its set-up link, which holds for an hour, until {until},\n\
             and register passkeys; then everybody signs in at its sign-in link, and they enrol officers. Let the browser trust the\n\
             authority of each:\n\
             {}{}\
             A node that is started again makes a new set-up link, and writes it into its log:\n\
             \x20 {program} node --config {left}/concordat.toml\n\
             Stop them and remove everything:\n\
             \x20 kill {} && sleep 2 && rm -r {root}\n",
            self.left.text(),
            self.right.text(),
            pids.join(" "),
            left_key = self.left.ledger,
            right_key = self.right.ledger,
            left_identity = self.left.identity,
            right_identity = self.right.identity,
            until = time(&until.to_string()),
        )
    }
}

impl Side {
    fn of(agency: &Agency) -> Result<Self> {
        let (setup, until) = setup_of(&agency.dir)?;
        Ok(Self {
            name: agency.name,
            dir: agency.dir.clone(),
            ledger: ledger_key(&agency.info.identity_key),
            identity: agency.info.identity_key.clone(),
            setup,
            until,
        })
    }

    /// Where its people sign in.
    fn sign_in(&self) -> String {
        let origin = self.setup.split("/setup/").next().unwrap_or_default();
        format!("{origin}/sign-in")
    }

    fn text(&self) -> String {
        format!(
            "\x20 {}\n\
             \x20     set-up     {}\n\
             \x20     sign-in    {}\n\
             \x20     authority  {}/tls/ca.crt\n",
            self.name,
            self.setup,
            self.sign_in(),
            self.dir.display()
        )
    }
}

/// How this program was called.
pub fn program() -> String {
    let called = std::env::args().next();
    called.unwrap_or_else(|| env!("CARGO_BIN_NAME").to_owned())
}

/// What a node's log says of its console: the link, and until when it holds, an hour after its start.
fn setup_of(dir: &Path) -> Result<(String, Timestamp)> {
    let log = std::fs::read_to_string(dir.join("node.log")).context("the node's log")?;
    let line = log.lines().find(|line| line.contains("setup="));
    let line = line.context("the node has not said where its console is set up")?;
    let link = line
        .split("setup=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let link = link.context("the node has not said where its console is set up")?;
    let said = line.split_whitespace().next().and_then(|at| at.parse().ok());
    let said: Timestamp = said.unwrap_or_else(Timestamp::now);
    Ok((
        link.trim_matches('"').to_owned(),
        said + SignedDuration::from_hours(1),
    ))
}
