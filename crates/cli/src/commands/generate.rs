//! `concordat gen`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use concordat_synthetic::{
    Flight, Passenger, Spec, World, write_jsonl, write_mrz, write_paxlst, write_truth,
};
use jiff::civil::Date;
use serde_json::json;

use crate::exit::Exit;
use crate::out::{Out, count};
use crate::read::today;

/// Make fictional lists of any size whose overlap is known.
///
/// The same options give the same bytes on every machine. Names come in several scripts, with aliases, missing dates
/// and noisy document numbers; all people are invented.
#[derive(clap::Args)]
pub struct Args {
    /// Records on each list
    #[arg(long, value_name = "N")]
    records: u64,
    /// People on both lists [default: a tenth]
    #[arg(long, value_name = "N")]
    overlap: Option<u64>,
    /// Chooses the people
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The day the lists are made, which decides the dates of birth [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// Write the left list here, in the format `jsonl`
    #[arg(long, value_name = "FILE")]
    left: PathBuf,
    /// Write the right list here
    #[arg(long, value_name = "FILE")]
    right: PathBuf,
    /// Write what the two have in common here: CSV left_id,right_id,kind,grade
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Also make a flight with so many passengers, one in fifty of them on the right list
    #[arg(long, value_name = "N")]
    flight: Option<u32>,
    /// Write the passengers' machine-readable zones here
    #[arg(long, value_name = "FILE", requires = "flight")]
    mrz: Option<PathBuf>,
    /// Write the passenger list message here
    #[arg(long, value_name = "FILE", requires = "flight")]
    paxlst: Option<PathBuf>,
}

/// One passenger in so many is on the right list.
const HIT_EVERY: u32 = 50;

impl Args {
    /// Runs the command.
    pub fn run(self, out: Out) -> Result<Exit> {
        let world = World::new(Spec {
            seed: self.seed,
            left: self.records,
            right: self.records,
            overlap: self.overlap.unwrap_or(self.records / 10),
            reference_date: self.date.unwrap_or_else(today),
        })?;
        write(&self.left, |file| write_jsonl(file, world.left()))?;
        write(&self.right, |file| write_jsonl(file, world.right()))?;
        write(&self.truth, |file| write_truth(file, world.truth()))?;
        let flight = self
            .flight
            .map(|seats| world.flight(seats, seats / HIT_EVERY))
            .transpose()?;
        if let Some(flight) = &flight {
            if let Some(path) = &self.mrz {
                write(path, |file| write_mrz(file, flight))?;
            }
            if let Some(path) = &self.paxlst {
                write(path, |file| write_paxlst(file, flight))?;
            }
        }
        let spec = world.spec();
        let values = || {
            json!({
                "records": { "left": spec.left, "right": spec.right },
                "overlap": spec.overlap,
                "seed": spec.seed,
                "date": spec.reference_date,
                "passengers": flight.as_ref().map(|flight| flight.passengers.len()),
                "listed_passengers": flight.as_ref().map(listed),
            })
        };
        let text = || {
            let mut text = format!(
                "{} records on each list, {} people on both\n",
                count(spec.left),
                count(spec.overlap)
            );
            if let Some(flight) = &flight {
                let places = listed(flight)
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                text += &format!("{} passengers, listed: {places}\n", flight.passengers.len());
            }
            text
        };
        out.result(values, text)?;
        Ok(Exit::Done)
    }
}

/// The places of the listed passengers, counted from 1 as readers of both formats count them.
fn listed(flight: &Flight) -> Vec<usize> {
    let is_listed = |passenger: &Passenger| passenger.right_id.is_some();
    (1..)
        .zip(&flight.passengers)
        .filter(|(_, passenger)| is_listed(passenger))
        .map(|(place, _)| place)
        .collect()
}

/// Writes a file.
///
/// # Errors
/// It cannot be written.
fn write(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        content(&mut file)?;
        file.flush()
    };
    write().with_context(|| path.display().to_string())
}
