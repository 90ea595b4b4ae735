//! The lists of the demo: fictional ones whose truth is known, or given ones.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry as Slot, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use concordat_identifiers::Subject;
use concordat_lists::{Format, Item};
use concordat_synthetic::{Flight, Record, Spec, World, write_jsonl};
use concordat_wire::v1::{ImportOpen, ImportProgress, ImportSummary, Rejection};

use super::Args;
use super::agency::Agency;
use super::agreement::LIST;
use super::pairs::Pair;
use crate::read::{read, today};
use crate::upload::{self, Files};

/// `FORMAT:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    format: Format,
    path: PathBuf,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = text
            .split_once(':')
            .ok_or("write FORMAT:PATH, for example ofac-sdn:FOLDER")?;
        match format.parse::<Format>() {
            Ok(Format::Csv) => {
                Err("a csv list needs a mapping: import it with `concordat list import`".into())
            }
            Ok(format) if format.is_query() => Err(format!("{format} is a format of queries, not of lists")),
            Ok(format) if !path.is_empty() => Ok(Self {
                format,
                path: path.into(),
            }),
            Ok(_) => Err("a path is missing after the colon".into()),
            Err(_) => Err("use one of the formats ofac-sdn, un-sc, uk-ofsi, ftm, jsonl".into()),
        }
    }
}

/// What both sides know, and what we know above them.
pub struct Lists {
    /// Of the side that asks.
    pub left: Given,
    /// Of the side that is asked.
    pub right: Given,
    /// Who is on both lists; `None` where nobody knows.
    pub truth: Option<BTreeSet<Pair>>,
    /// Who travels. On given lists everybody is invented and nobody is listed.
    pub flight: Flight,
}

/// One passenger in so many is on the right list.
const HIT_EVERY: u32 = 50;

impl Lists {
    /// Makes the lists in `root`, or takes the given ones.
    ///
    /// # Errors
    /// Impossible numbers, or a file cannot be written.
    pub fn prepare(args: &Args, root: &Path) -> Result<Self> {
        let seats = args.passengers;
        let spec = |records, overlap| Spec {
            seed: args.seed,
            left: records,
            right: records,
            overlap,
            reference_date: today(),
        };
        if let (Some(left), Some(right)) = (&args.left, &args.right) {
            let flight = World::new(spec(1, 0))?.flight(seats, 0)?;
            return Ok(Self {
                left: left.clone(),
                right: right.clone(),
                truth: None,
                flight,
            });
        }
        let world = World::new(spec(args.records, args.overlap.unwrap_or(args.records / 10)))?;
        let list = |name: &str, records: &mut dyn Iterator<Item = Record>| {
            let path = root.join(name);
            let write = || {
                let mut file = BufWriter::new(File::create(&path)?);
                write_jsonl(&mut file, records)?;
                file.flush()
            };
            write().with_context(|| path.display().to_string())?;
            anyhow::Ok(Given {
                format: Format::Jsonl,
                path,
            })
        };
        let left = list("left.jsonl", &mut world.left())?;
        let right = list("right.jsonl", &mut world.right())?;
        let truth = world.truth().flat_map(|pair| {
            let (left, right) = (pair.left_id, pair.right_id);
            pair.expected.into_iter().map(move |found| Pair {
                left: left.clone(),
                right: right.clone(),
                kind: found.kind,
                grade: found.grade,
            })
        });
        let hits = (seats / HIT_EVERY).min(u32::try_from(args.records / 20).unwrap_or(u32::MAX));
        Ok(Self {
            left,
            right,
            truth: Some(truth.collect()),
            flight: world.flight(seats, hits)?,
        })
    }
}

impl Given {
    /// Loads the list into an agency's node.
    ///
    /// # Errors
    /// The file or the node.
    pub async fn import(&self, agency: &Agency) -> Result<ImportSummary> {
        let files = Files::at(self.format, std::slice::from_ref(&self.path))?;
        let open = ImportOpen {
            list: LIST.into(),
            format: self.format.name().into(),
            create: true,
            ..ImportOpen::default()
        };
        let summary = upload::import(&agency.node, open, files, &mut Quiet).await;
        summary.with_context(|| format!("importing the list of {}", agency.name))
    }

    /// The subjects of some records, read from the list again. Of an id that is used twice the node keeps the first
    /// record, and so do we.
    ///
    /// # Errors
    /// The file.
    pub fn subjects(&self, wanted: &BTreeSet<String>) -> Result<HashMap<String, Subject>> {
        let mut found = HashMap::with_capacity(wanted.len());
        for item in read(self.format, &self.path)? {
            if let Item::Entry(entry) = item.with_context(|| self.path.display().to_string())?
                && wanted.contains(&entry.source_id)
                && let Slot::Vacant(slot) = found.entry(entry.source_id)
            {
                slot.insert(entry.subject);
            }
        }
        Ok(found)
    }
}

/// The demo counts rejects; `concordat list import` reports them one by one.
struct Quiet;

impl upload::Watch for Quiet {
    fn progress(&mut self, _: &ImportProgress) {}

    fn reject(&mut self, _: &Rejection) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_id_stands_for_its_first_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bad.jsonl");
        let record = |id: &str, phone: &str| {
            format!("{{\"source_id\":\"{id}\",\"subject\":{{\"others\":[{{\"phone\":\"{phone}\"}}]}}}}\n")
        };
        let text =
            record("B1", "+31201234567") + &record("B2", "+31201111111") + &record("B1", "+31207654321");
        std::fs::write(&path, text).expect("written");
        let given = Given {
            format: Format::Jsonl,
            path,
        };
        let subjects = given.subjects(&BTreeSet::from(["B1".to_owned()])).expect("read");
        assert_eq!(subjects.len(), 1);
        let first = concordat_identifiers::Other::Phone("+31201234567".into());
        assert!(subjects["B1"].others == [first]);
    }

    #[test]
    fn given_lists_name_their_format() {
        let given: Given = "ofac-sdn:a:b".parse().expect("valid");
        assert_eq!(
            given,
            Given {
                format: Format::OfacSdn,
                path: "a:b".into()
            }
        );
        for bad in ["ofac-sdn", "un-sc:", "csv:x", "mrz:x", "pdf:x", ":x"] {
            assert!(bad.parse::<Given>().is_err(), "{bad}");
        }
    }
}
