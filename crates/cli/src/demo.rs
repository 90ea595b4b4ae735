//! `concordat demo`: two agencies on one machine find what is on both their lists, and nothing more.
//!
//! Each agency is a process of its own with fresh keys, mTLS and its own database in a temporary folder. The demo
//! stands over both: it plays the clerks of both sides, and it alone knows the truth.

mod agency;
mod agreement;
mod disclosure;
mod keep;
mod ledger;
mod lists;
mod pairs;
mod report;
mod steps;
mod tamper;

use std::path::PathBuf;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::out::Out;
use lists::Given;

/// Let two agencies find what is on both their lists, on this machine.
///
/// Starts two nodes as two processes on loopback, with fresh keys and databases in a temporary folder; makes two
/// fictional lists, signs an agreement, publishes snapshots, sends a flight, compares the lists, and checks every
/// answer against the truth; then verifies both ledgers and joins them. Exits with 0 only when nothing is missing,
/// nothing is false and both ledgers tell the same.
#[derive(clap::Args)]
pub struct Args {
    /// Records on each list
    #[arg(long, value_name = "N", default_value_t = 50_000, conflicts_with_all = ["left", "right"])]
    records: u64,
    /// People on both lists [default: a tenth]
    #[arg(long, value_name = "N", conflicts_with_all = ["left", "right"])]
    overlap: Option<u64>,
    /// Chooses the people and the flight
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Passengers of the flight
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    passengers: u32,
    /// A list of our own for the agency that asks: FORMAT:PATH, for example ofac-sdn:FOLDER
    #[arg(long, value_name = "FORMAT:PATH", requires = "right")]
    left: Option<Given>,
    /// A list of our own for the agency that is asked
    #[arg(long, value_name = "FORMAT:PATH", requires = "left")]
    right: Option<Given>,
    /// Write the matched pairs to this file: CSV left_id,right_id,kind,grade
    #[arg(long, value_name = "FILE.csv")]
    pairs: Option<PathBuf>,
    /// Change copies of a ledger in every way that an auditor must notice, and show what the audit says
    #[arg(long, conflicts_with = "keep")]
    tamper: bool,
    /// Leave both nodes running and say how to query them
    #[arg(long)]
    keep: bool,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // Whatever ends the steps early, both nodes are stopped and their folder is removed as they are dropped.
        tokio::select! {
            ended = steps::run(&self, out) => ended,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; both nodes were stopped"),
            _ = terminate.recv() => bail!("asked to stop; both nodes were stopped"),
            _ = hangup.recv() => bail!("the terminal is gone; both nodes were stopped"),
        }
    }
}
