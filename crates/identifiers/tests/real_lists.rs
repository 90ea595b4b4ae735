//! The normaliser on real watchlists, against pairs that another program found. Runs where `CONCORDAT_REAL_DATA` names
//! a folder with `dev/normalized`, `dev/truth` and `dev/travellers`; says so and returns where it does not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and say aloud what they skip"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use concordat_identifiers::{
    BirthDate, Document, DocumentClass, Grade, Identifier, Name, NameRank, NameText, Rule, Subject, derive,
};
use flate2::read::GzDecoder;
use jiff::civil::{Date, date};
use serde_json::Value;

const TODAY: Date = date(2026, 1, 1);
const OFAC: &str = "ofac_sdn_2021-07-07";
const UN: &str = "un_sc_2020-11-30";
const UK: &str = "uk_ofsi_2018-04-13";
const EU: &str = "eu_travel_bans_2022-09-13";

/// Pairs of (id in the first list, id in the second).
type Pairs = BTreeSet<(String, String)>;

#[test]
fn every_pair_of_real_lists_that_plain_comparison_finds_is_found() {
    let Some(folder) = real_data() else { return };
    // Passport pairs and "any name with full date of birth" pairs, as published with the data.
    for (a, b, passports, names) in [
        (OFAC, UN, 145, 291),
        (OFAC, UK, 151, 384),
        (OFAC, EU, 156, 491),
        (UN, UK, 192, 342),
    ] {
        let (list_a, list_b) = (List::read(&folder, a), List::read(&folder, b));
        for (column, rules, expected) in [
            ("by_passport", &[Rule::DocumentNumber][..], passports),
            ("by_any_name_full_dob", &[Rule::N2], names),
            ("by_any_name_birth_year", &[Rule::N6], 0),
        ] {
            let truth = truth(&folder, a, b, column);
            let base = list_a.pairs(&list_b, rules, false);
            let with_variants = list_a.pairs(&list_b, rules, true);
            let missed: Vec<_> = truth.difference(&with_variants).collect();
            eprintln!(
                "{a} x {b} {column}: truth {}, of it found {}, found by base forms {}, with variants {}",
                truth.len(),
                with_variants.intersection(&truth).count(),
                base.len(),
                with_variants.len(),
            );
            eprintln!(
                "    beyond the truth: {:?}",
                with_variants.difference(&truth).collect::<Vec<_>>()
            );
            assert!(
                expected == 0 || truth.len() == expected,
                "{a} x {b} {column}: not the data this test was written for"
            );
            assert!(missed.is_empty(), "{a} x {b} {column}: {missed:?}");
        }
        let n2 = list_a.pairs(&list_b, &[Rule::N2], true);
        let n3 = list_a.pairs(&list_b, &[Rule::N3], true);
        eprintln!("{a} x {b} N3 beyond N2: {}", n3.difference(&n2).count());
    }
}

#[test]
fn no_innocent_traveller_meets_a_list_on_exact_grade() {
    let Some(folder) = real_data() else { return };
    let travellers = travellers(&folder);
    assert_eq!(travellers.len(), 50_000);
    for list in [OFAC, UN] {
        let list = List::read(&folder, list);
        let listed: HashMap<(Rule, &[u8]), &str> = list
            .identifiers()
            .map(|(id, i)| ((i.rule(), i.canonical()), id))
            .collect();
        let mut hits: BTreeMap<Grade, usize> = BTreeMap::new();
        for (index, traveller) in travellers.iter().enumerate() {
            let derived = derive(traveller, TODAY);
            assert!(
                derived.rejections.iter().all(|r| r.rule == "PER-004"),
                "row {index}: {:?}",
                derived.rejections
            );
            for identifier in &derived.identifiers {
                if listed.contains_key(&(identifier.rule(), identifier.canonical())) {
                    *hits.entry(identifier.grade()).or_default() += 1;
                }
            }
        }
        eprintln!("50,000 travellers: {hits:?}");
        assert_eq!(hits.get(&Grade::Exact), None);
        assert_eq!(hits.get(&Grade::Strong), None);
    }
}

#[test]
fn check_digits_hold_on_most_real_numbers() {
    let Some(folder) = real_data() else { return };
    let mut by_country: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for list in [OFAC, UN, UK, EU] {
        for person in read_jsonl(&folder, list) {
            for id in array(&person["ids"]) {
                let (Some(number), Some(country)) = (id["number"].as_str(), id["country"].as_str()) else {
                    continue;
                };
                let other = concordat_identifiers::Other::NationalId {
                    number: number.into(),
                    country: Some(country.into()),
                };
                let derived = derive(
                    &Subject {
                        others: vec![other],
                        ..Subject::default()
                    },
                    TODAY,
                );
                let outcome = match derived.rejections.first().map(|r| r.rule) {
                    None => 0,
                    Some("NID-002") => 1,
                    Some(_) => 2,
                };
                by_country.entry(country.to_owned()).or_default()[outcome] += 1;
            }
        }
    }
    eprintln!("good, wrong check digit, other: {by_country:?}");
    // A check that is typed wrongly passes about one number in ten.
    for (country, [good, wrong, _]) in &by_country {
        assert!(
            good + wrong < 5 || good > wrong,
            "{country}: {good} good, {wrong} wrong"
        );
    }
}

fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("CONCORDAT_REAL_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: set CONCORDAT_REAL_DATA to the folder of real lists to run this test");
    }
    folder
}

struct List {
    /// Identifiers by the list's own id of their entry.
    entries: Vec<(String, Vec<Identifier>)>,
}

impl List {
    fn read(folder: &Path, name: &str) -> Self {
        let entry = |person: Value| {
            let id = person["id"].as_str().unwrap().to_owned();
            (id, derive(&subject(&person), TODAY).identifiers)
        };
        Self {
            entries: read_jsonl(folder, name).into_iter().map(entry).collect(),
        }
    }

    fn identifiers(&self) -> impl Iterator<Item = (&str, &Identifier)> {
        self.entries
            .iter()
            .flat_map(|(id, identifiers)| identifiers.iter().map(move |i| (id.as_str(), i)))
    }

    /// Pairs that share an identifier under one of the rules. With variants, either list may be the owner that keeps
    /// them; the other asks with base forms only.
    fn pairs(&self, other: &Self, rules: &[Rule], variants: bool) -> Pairs {
        let mut by_key: HashMap<_, Vec<(&str, &Identifier)>> = HashMap::new();
        for (id, identifier) in self.identifiers().filter(|(_, i)| rules.contains(&i.rule())) {
            by_key
                .entry((identifier.rule(), identifier.canonical()))
                .or_default()
                .push((id, identifier));
        }
        let mut pairs = Pairs::new();
        for (id, asked) in other.identifiers() {
            for &(first, held) in by_key
                .get(&(asked.rule(), asked.canonical()))
                .into_iter()
                .flatten()
            {
                let variants_used = usize::from(held.is_variant()) + usize::from(asked.is_variant());
                if variants_used <= usize::from(variants) {
                    pairs.insert((first.to_owned(), id.to_owned()));
                }
            }
        }
        pairs
    }
}

fn subject(person: &Value) -> Subject {
    let names = array(&person["names"])
        .iter()
        .filter_map(|name| name["name"].as_str());
    let names = names
        .map(|name| Name {
            rank: NameRank::Alias,
            text: NameText::Whole(name.to_owned()),
        })
        .collect();
    let births = array(&person["dob"]).iter().filter_map(birth).collect();
    let documents = array(&person["passports"])
        .iter()
        .map(|passport| Document {
            class: DocumentClass::Passport,
            number: passport["number"].as_str().unwrap_or_default().to_owned(),
            issuer: passport["country"].as_str().map(str::to_owned),
        })
        .collect();
    Subject {
        names,
        births,
        documents,
        others: Vec::new(),
    }
}

fn birth(dob: &Value) -> Option<BirthDate> {
    let year = i16::try_from(dob["y"].as_i64()?).ok()?;
    let part = |name: &str| dob[name].as_u64().and_then(|value| u8::try_from(value).ok());
    Some(match (part("m"), part("d"), dob["y_to"].as_i64()) {
        (Some(month), Some(day), _) => BirthDate::Day { year, month, day },
        (Some(month), None, _) => BirthDate::Month { year, month },
        (_, _, Some(to)) => BirthDate::Years {
            from: year,
            to: i16::try_from(to).ok()?,
        },
        _ => BirthDate::Year { year },
    })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn read_jsonl(folder: &Path, name: &str) -> Vec<Value> {
    let path = folder.join(format!("dev/normalized/{name}.persons.jsonl.gz"));
    let lines = BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn truth(folder: &Path, a: &str, b: &str, column: &str) -> Pairs {
    let path = folder.join(format!("dev/truth/overlap__{a}__{b}.csv.gz"));
    rows(&path)
        .into_iter()
        .filter(|row| row[column] == "1")
        .map(|row| (row["a_id"].clone(), row["b_id"].clone()))
        .collect()
}

fn travellers(folder: &Path) -> Vec<Subject> {
    let rows = rows(&folder.join("dev/travellers/yente_negatives_us.csv.gz"));
    let traveller = |row: HashMap<String, String>| {
        let secondary = format!("{} {}", row["first_name"], row["middle_name"]);
        let text = NameText::Parts {
            primary: row["last_name"].clone(),
            secondary,
        };
        let born: Date = row["date_of_birth"].parse().unwrap();
        let part = |value: i8| u8::try_from(value).unwrap();
        let births = vec![BirthDate::Day {
            year: born.year(),
            month: part(born.month()),
            day: part(born.day()),
        }];
        Subject {
            names: vec![Name {
                rank: NameRank::Primary,
                text,
            }],
            births,
            ..Subject::default()
        }
    };
    rows.into_iter().map(traveller).collect()
}

fn rows(path: &Path) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()));
    reader.deserialize().map(|row| row.unwrap()).collect()
}
