//! `concordat gen`.

use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::Result;
use concordat_synthetic::{
    Flight, Passenger, Spec, World, write_jsonl, write_mrz, write_paxlst, write_truth,
};
use jiff::civil::Date;
use serde_json::json;

use crate::exit::{Exit, Usage};
use crate::out::{Out, OutFile, count, counted};
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
        self.outputs_differ()?;
        let world = World::new(Spec {
            seed: self.seed,
            left: self.records,
            right: self.records,
            overlap: self.overlap.unwrap_or(self.records / 10),
            reference_date: self.date.unwrap_or_else(today),
        })?;
        let open = |path: &PathBuf| OutFile::create(path);
        let (left, right, truth) = (open(&self.left)?, open(&self.right)?, open(&self.truth)?);
        let (mrz, paxlst) = (
            self.mrz.as_ref().map(open).transpose()?,
            self.paxlst.as_ref().map(open).transpose()?,
        );
        write(left, |file| write_jsonl(file, world.left()))?;
        write(right, |file| write_jsonl(file, world.right()))?;
        write(truth, |file| write_truth(file, world.truth()))?;
        let flight = self
            .flight
            .map(|seats| world.flight(seats, seats / HIT_EVERY))
            .transpose()?;
        if let Some(flight) = &flight {
            if let Some(file) = mrz {
                write(file, |file| write_mrz(file, flight))?;
            }
            if let Some(file) = paxlst {
                write(file, |file| write_paxlst(file, flight))?;
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
                "{} on each list, {} {} on both\n",
                counted(spec.left, "record"),
                count(spec.overlap),
                if spec.overlap == 1 { "person" } else { "people" },
            );
            if let Some(flight) = &flight {
                let places = listed(flight)
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                let places = if places.is_empty() { "nobody" } else { &places };
                text += &format!(
                    "{}, listed: {places}\n",
                    counted(flight.passengers.len() as u64, "passenger")
                );
            }
            text
        };
        out.result(values, text)?;
        Ok(Exit::Done)
    }

    /// One file under two names would keep the last only.
    fn outputs_differ(&self) -> Result<()> {
        let place = |path: &PathBuf| {
            let path = path.canonicalize().or_else(|_| std::path::absolute(path));
            path.map(|path| path.components().collect::<PathBuf>())
        };
        let outputs = [
            ("--left", Some(&self.left)),
            ("--right", Some(&self.right)),
            ("--truth", Some(&self.truth)),
            ("--mrz", self.mrz.as_ref()),
            ("--paxlst", self.paxlst.as_ref()),
        ];
        let mut seen: Vec<(&str, PathBuf)> = Vec::new();
        for (option, path) in outputs {
            let Some(path) = path else { continue };
            let place = place(path)?;
            let regular = !path.exists() || path.is_file();
            if let Some((other, _)) = seen.iter().find(|(_, known)| regular && *known == place) {
                return Err(Usage::error(format!("{other} and {option} name the same file")));
            }
            seen.push((option, place));
        }
        Ok(())
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
fn write(file: OutFile, content: impl FnOnce(&mut BufWriter<OutFile>) -> std::io::Result<()>) -> Result<()> {
    let mut buffered = BufWriter::new(file);
    content(&mut buffered)?;
    buffered
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .finish()
}
