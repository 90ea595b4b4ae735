//! `--keep`: both nodes go on, and a person or a program can ask them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use concordat_synthetic::{write_mrz, write_paxlst};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::agency::Agency;
use super::agreement::LEGAL_BASIS;
use super::lists::Lists;

/// What goes on after the demo.
pub struct Kept {
    root: PathBuf,
    left: PathBuf,
    right: PathBuf,
    pids: Vec<u32>,
    /// Where the first two administrators of each side register, as its node said at its start.
    setups: [String; 2],
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
        let (left_dir, right_dir) = (left.dir.clone(), right.dir.clone());
        let setups = [setup_of(&left_dir)?, setup_of(&right_dir)?];
        let pids = [left.release(), right.release()].into_iter().flatten().collect();
        Ok(Self {
            root: folder.keep(),
            left: left_dir,
            right: right_dir,
            pids,
            setups,
        })
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "folder": self.root,
            "left": self.left,
            "right": self.right,
            "pids": self.pids,
            "console_setup": self.setups,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let why = format!("--purpose border-check --legal-basis {LEGAL_BASIS} --case TEST");
        let (root, left, right) = (self.root.display(), self.left.display(), self.right.display());
        let pids: Vec<String> = self.pids.iter().map(ToString::to_string).collect();
        format!(
            "Both nodes are running. Ask about the flight again, about yourself, or look around:\n\
             \x20 concordat match --dir {left} {why} --paxlst {root}/flight.paxlst\n\
             \x20 concordat match --dir {left} {why} \\\n\
             \x20     --family EXAMPLE --given ANNA --born 1980-02-29 --passport X1234567:NLD\n\
             \x20 concordat snapshot status --dir {left}\n\
             \x20 concordat agreement ls --dir {right}\n\
             The hits wait in the consoles. Let your browser trust {left}/tls/ca.crt and {right}/tls/ca.crt, then open, and\n\
             register two administrators with passkeys; they enrol officers, who sign in at the same address:\n\
             \x20 {}\n\
             \x20 {}\n\
             Stop them and remove everything:\n\
             \x20 kill {} && rm -r {root}\n",
            self.setups[0],
            self.setups[1],
            pids.join(" "),
        )
    }
}

/// What a node's log says of its console: the link holds for an hour after its start.
fn setup_of(dir: &Path) -> Result<String> {
    let log = std::fs::read_to_string(dir.join("node.log")).context("the node's log")?;
    let link = log
        .split("setup=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let link = link.context("the node has not said where its console is set up")?;
    Ok(link.trim_matches('"').to_owned())
}
