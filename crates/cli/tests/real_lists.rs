//! The demo on published lists: OFAC against the United Kingdom's and the United Nations' lists. Every pair that plain
//! rules find (`dev/truth`) must be found, but for those named here with the reason. Reads the folder in
//! `CONCORDAT_REAL_DATA`, whose layout docs/cli.md describes; skips loudly without it.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;

use common::{Ran, concordat};
use flate2::read::GzDecoder;

/// `kind` to the pairs of ids it connects, each with its grade.
type Found = BTreeMap<String, BTreeMap<(String, String), String>>;

struct Truth {
    passport: BTreeSet<(String, String)>,
    name_and_day: BTreeSet<(String, String)>,
}

#[test]
fn ofac_and_the_united_kingdom() {
    let Some(data) = data() else { return };
    let right = data.join("dev/lists/uk_ofsi_conlist_2018-04-13.csv.gz");
    let found = demo(&data, "uk-ofsi", right);
    let truth = truth(&data, "overlap__ofac_sdn_2021-07-07__uk_ofsi_2018-04-13.csv.gz");
    assert_eq!((truth.passport.len(), truth.name_and_day.len()), (151, 384));
    check(&found, &truth, &[], &[]);
}

#[test]
fn ofac_and_the_united_nations() {
    let Some(data) = data() else { return };
    let right = data.join("dev/lists/un_sc_consolidated_2020-11-30.xml.gz");
    let found = demo(&data, "un-sc", right);
    let truth = truth(&data, "overlap__ofac_sdn_2021-07-07__un_sc_2020-11-30.csv.gz");
    assert_eq!((truth.passport.len(), truth.name_and_day.len()), (145, 291));
    check(&found, &truth, &[], &[]);
}

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CONCORDAT_REAL_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: CONCORDAT_REAL_DATA is not set, so nothing was tested on published lists");
    }
    folder
}

fn demo(data: &std::path::Path, format: &str, right: PathBuf) -> Found {
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = folder.path().join("pairs.csv");
    let left = data.join("dev/lists/ofac_sdn_2021-07-07");
    let output = concordat(["demo", "--json"])
        .args(["--left".into(), format!("ofac-sdn:{}", left.display())])
        .args(["--right".into(), format!("{format}:{}", right.display())])
        .arg("--pairs")
        .arg(&pairs)
        .env("TMPDIR", folder.path())
        .output();
    let object = Ran::from(output.expect("the demo runs"))
        .exits(0)
        .json()
        .remove(0);
    assert!(
        object["missed"].is_null() && object["false_hits"].is_null(),
        "nobody knows the truth of given lists"
    );
    assert_eq!(object["flight"]["hits"], 0, "no invented traveller is on a list");
    let mut found = Found::new();
    let mut csv = csv::Reader::from_path(&pairs).expect("the pairs");
    let mut rows = 0;
    for row in csv.records() {
        let row = row.expect("a row");
        let (left, right) = (row[0].to_owned(), row[1].to_owned());
        let known = found
            .entry(row[2].to_owned())
            .or_default()
            .insert((left, right), row[3].to_owned());
        assert!(known.is_none(), "one row for each pair and kind");
        rows += 1;
    }
    assert_eq!(Some(rows), object["hits"].as_u64());
    found
}

fn truth(data: &std::path::Path, file: &str) -> Truth {
    let path = data.join("dev/truth").join(file);
    let mut csv = csv::Reader::from_reader(GzDecoder::new(File::open(path).expect("the truth")));
    let mut truth = Truth {
        passport: BTreeSet::new(),
        name_and_day: BTreeSet::new(),
    };
    for row in csv.deserialize::<BTreeMap<String, String>>() {
        let row = row.expect("a row");
        let pair = || (row["a_id"].clone(), row["b_id"].clone());
        if row["by_passport"] == "1" {
            truth.passport.insert(pair());
        }
        if row["by_any_name_full_dob"] == "1" {
            truth.name_and_day.insert(pair());
        }
    }
    truth
}

/// Holds what was found to the truth; `passports` and `people` are the pairs that our rules treat otherwise.
fn check(found: &Found, truth: &Truth, passports: &[(&str, &str)], people: &[(&str, &str)]) {
    let differing =
        |known: &BTreeSet<(String, String)>, ours: BTreeSet<(String, String)>, named: &[(&str, &str)]| {
            let missing: Vec<_> = known.difference(&ours).cloned().collect();
            let named: Vec<_> = named
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect();
            assert_eq!(missing, named, "pairs of the truth that were not found");
        };
    differing(
        &truth.passport,
        found["travel_document"].keys().cloned().collect(),
        passports,
    );
    // A name with a year alone is a candidate; the truth asks for the whole day.
    let certain = found["person"].iter().filter(|(_, grade)| *grade != "candidate");
    differing(
        &truth.name_and_day,
        certain.map(|(pair, _)| pair.clone()).collect(),
        people,
    );
}
