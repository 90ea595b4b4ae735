//! Real lists, read and compared with an independent reading of them. They are no part of this repository: the tests
//! look for them in the folder that `CONCORDAT_REAL_DATA` names, and say so when it is not set.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails the test"
)]
#![expect(clippy::print_stderr, reason = "a test that skips says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use concordat_identifiers::{BirthDate, Identifier, NameText, Rule, Subject, derive};
use concordat_lists::{Entry, Error, Format, Input, Item, Options, Reject, Summary, open};
use flate2::read::GzDecoder;
use jiff::civil::date;
use serde_json::Value;

fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("CONCORDAT_REAL_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: set CONCORDAT_REAL_DATA to the folder of real lists to run this test");
    }
    folder.map(|folder| folder.join("dev"))
}

struct List {
    entries: BTreeMap<String, Entry>,
    rejects: Vec<Reject>,
    summary: Summary,
}

fn read(format: Format, path: &Path) -> List {
    let inputs = Input::at(format, path).unwrap();
    let mut reader = open(format, inputs, &Options::new(date(2026, 11, 20))).unwrap();
    let mut list = List {
        entries: BTreeMap::new(),
        rejects: Vec::new(),
        summary: Summary::default(),
    };
    for item in reader.by_ref() {
        match item.unwrap() {
            Item::Entry(entry) => assert!(list.entries.insert(entry.source_id.clone(), *entry).is_none()),
            Item::Reject(reject) => list.rejects.push(reject),
        }
    }
    list.summary = reader.summary().clone();
    list
}

fn text(path: &Path) -> Box<dyn BufRead> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes: Box<dyn Read> = if path.extension().is_some_and(|end| end == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Box::new(BufReader::new(bytes))
}

/// The persons of an independent reading: one JSON object per line.
fn normalised(path: &Path) -> BTreeMap<String, Value> {
    let lines = text(path)
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    lines
        .map(|person| (person["id"].as_str().unwrap().to_owned(), person))
        .collect()
}

/// Tokens of a name, sorted, marks and punctuation left out: for comparison only.
fn tokens(name: &str) -> String {
    let folded: String = name
        .chars()
        .filter(|c| !"'’‘`ʻʼ".contains(*c))
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    let folded = folded.to_uppercase();
    let mut words: Vec<_> = folded.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
}

fn names(subject: &Subject) -> BTreeSet<String> {
    let whole = |text: &NameText| match text {
        NameText::Whole(text) => tokens(text),
        NameText::Parts { primary, secondary } => tokens(&format!("{primary} {secondary}")),
    };
    subject.names.iter().map(|name| whole(&name.text)).collect()
}

fn births(subject: &Subject) -> BTreeSet<String> {
    let text = |birth: &BirthDate| match birth {
        BirthDate::Day { year, month, day } => format!("{year:04}-{month:02}-{day:02}"),
        BirthDate::Month { year, .. } | BirthDate::Year { year } => format!("{year:04}"),
        BirthDate::Years { from, to } => format!("{from:04}/{to:04}"),
    };
    subject.births.iter().map(text).collect()
}

fn theirs_births(person: &Value) -> BTreeSet<String> {
    let mut births = BTreeSet::new();
    for birth in person["dob"].as_array().unwrap() {
        let number = |field: &str| birth[field].as_i64();
        let Some(year) = number("y") else { continue };
        births.insert(match (number("m"), number("d"), number("y_to")) {
            (_, _, Some(to)) if to != year => format!("{year:04}/{to:04}"),
            (Some(month), Some(day), _) => format!("{year:04}-{month:02}-{day:02}"),
            _ => format!("{year:04}"),
        });
    }
    births
}

fn plain(number: &str) -> String {
    number
        .to_uppercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

fn documents(subject: &Subject) -> BTreeSet<String> {
    subject
        .documents
        .iter()
        .map(|document| plain(&document.number))
        .collect()
}

fn strings(person: &Value, list: &str, field: &str) -> BTreeSet<String> {
    person[list]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item[field].as_str())
        .map(str::to_owned)
        .collect()
}

/// What differs between ours and theirs over all persons: values only ours, values only theirs.
fn differences(
    list: &List,
    theirs: &BTreeMap<String, Value>,
    ours_of: fn(&Subject) -> BTreeSet<String>,
    theirs_of: fn(&Value) -> BTreeSet<String>,
) -> (usize, usize) {
    assert!(
        list.entries.keys().eq(theirs.keys()),
        "both readings have the same persons"
    );
    let (mut only_ours, mut only_theirs) = (0, 0);
    for (id, person) in theirs {
        let (ours, theirs) = (ours_of(&list.entries[id].subject), theirs_of(person));
        only_ours += ours.difference(&theirs).count();
        only_theirs += theirs.difference(&ours).count();
    }
    (only_ours, only_theirs)
}

struct Compared {
    names: (usize, usize),
    births: (usize, usize),
    documents: (usize, usize),
}

fn compare(list: &List, normal: &Path) -> Compared {
    let theirs = normalised(normal);
    let names_of = |person: &Value| {
        strings(person, "names", "name")
            .iter()
            .map(|name| tokens(name))
            .collect()
    };
    let documents_of = |person: &Value| {
        strings(person, "passports", "number")
            .iter()
            .map(|n| plain(n))
            .collect()
    };
    Compared {
        names: differences(list, &theirs, names, names_of),
        births: differences(list, &theirs, births, theirs_births),
        documents: differences(list, &theirs, documents, documents_of),
    }
}

fn rules(list: &List) -> BTreeMap<&'static str, usize> {
    let mut rules = BTreeMap::new();
    for reject in &list.rejects {
        *rules.entry(reject.rule.id()).or_default() += 1;
    }
    rules
}

#[test]
fn ofac() {
    let Some(data) = real_data() else { return };
    let list = read(Format::OfacSdn, &data.join("lists/ofac_sdn_2021-07-07"));
    assert_eq!((list.summary.records, list.summary.entries), (8976, 4620));
    assert_eq!(
        list.summary.skipped,
        BTreeMap::from([("aircraft", 277), ("entity", 3673), ("vessel", 406)])
    );
    // Passports of which only the place of issue is given, or only that they exist.
    assert_eq!(rules(&list), BTreeMap::from([("LST-023", 6)]));
    let compared = compare(
        &list,
        &data.join("normalized/ofac_sdn_2021-07-07.persons.jsonl.gz"),
    );
    // The other reading ends quoted aliases at their first inner apostrophe, and so loses or shortens them.
    assert_eq!(compared.names, (76, 61));
    // It does not read `circa 1979-1982`.
    assert_eq!(compared.births, (1, 0));
    // It takes travel documents, visas and seamen's books for other numbers, and the check digit of one Hong Kong
    // number in parentheses for no part of it.
    assert_eq!(compared.documents, (16, 1));
}

#[test]
fn un() {
    let Some(data) = real_data() else { return };
    let list = read(
        Format::UnSc,
        &data.join("lists/un_sc_consolidated_2020-11-30.xml.gz"),
    );
    assert_eq!((list.summary.records, list.summary.entries), (1018, 713));
    assert_eq!(list.summary.skipped, BTreeMap::from([("entity", 305)]));
    // Ages instead of dates, a Hijri date, documents without a number, aliases with whole stories in them.
    assert_eq!(
        rules(&list),
        BTreeMap::from([("LST-021", 3), ("LST-022", 1), ("LST-023", 2), ("LST-025", 4)])
    );
    let compared = compare(&list, &data.join("normalized/un_sc_2020-11-30.persons.jsonl.gz"));
    // Names with a second script or a remark in parentheses: two names for us, one long name for the other reading.
    assert_eq!(compared.names, (49, 30));
    // Dates given under an alias, and months that stand in a note.
    assert_eq!(compared.births, (28, 0));
    // Numbers in notes; and both halves of a number that has `No.` in the middle, no country code behind another.
    assert_eq!(compared.documents, (10, 2));
}

#[test]
fn uk() {
    let Some(data) = real_data() else { return };
    let list = read(
        Format::UkOfsi,
        &data.join("lists/uk_ofsi_conlist_2018-04-13.csv.gz"),
    );
    assert_eq!((list.summary.records, list.summary.entries), (2106, 1426));
    assert_eq!(list.summary.skipped, BTreeMap::from([("entity", 680)]));
    // A passport without a number; a number that a spreadsheet turned into `2.8E+11`.
    assert_eq!(rules(&list), BTreeMap::from([("LST-023", 2)]));
    let compared = compare(
        &list,
        &data.join("normalized/uk_ofsi_2018-04-13.persons.jsonl.gz"),
    );
    assert_eq!((compared.names, compared.births), ((0, 0), (0, 0)));
    // The other reading takes one number of a text without enumeration, and drops prefixes such as `TR-`.
    assert_eq!(compared.documents, (33, 6));
}

#[test]
fn uk_current_layout() {
    let Some(data) = real_data() else { return };
    let list = read(
        Format::UkOfsi,
        &data.join("lists/uk_ofsi_conlist_2025-04-10.FORMAT_SAMPLE.csv"),
    );
    assert_eq!(list.summary.records, 134);
    let numbers: Vec<_> = list
        .entries
        .values()
        .flat_map(|entry| &entry.subject.documents)
        .collect();
    assert_eq!(numbers.len(), 22);
    assert!(
        list.entries
            .values()
            .flat_map(|entry| entry.published.get("reference"))
            .any(|text| text.starts_with("QDi."))
    );
}

/// OFAC's own structured form of six weeks later holds the same passports and dates of birth.
#[test]
fn ofac_against_its_structured_form() {
    let Some(data) = real_data() else { return };
    let list = read(Format::OfacSdn, &data.join("lists/ofac_sdn_2021-07-07"));
    let path = data.join("lists/ofac_sdn_structured_2021-08-19.json.gz");
    let structured: Value = serde_json::from_reader(text(&path)).unwrap();
    let all = |value: &Value| match value {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        value => vec![value.clone()],
    };
    // All-digit numbers lost their leading zeros in that form.
    let printed = |value: &Value| match value {
        Value::String(text) => plain(text),
        value => value.to_string(),
    };
    let bare = |number: &str| number.trim_start_matches('0').to_owned();
    let (mut passports, mut unlike, mut dates, mut missed) = (0, 0, 0, 0);
    for person in all(&structured["sdnList"]["sdnEntry"]) {
        let Some(entry) = list.entries.get(&person["uid"].to_string()) else {
            continue;
        };
        let ours: BTreeSet<String> = documents(&entry.subject)
            .iter()
            .map(|number| bare(number))
            .collect();
        for id in all(&person["idList"]["id"])
            .iter()
            .filter(|id| id["idType"] == "Passport")
        {
            passports += 1;
            unlike += usize::from(!ours.contains(&bare(&printed(&id["idNumber"]))));
        }
        for date in all(&person["dateOfBirthList"]["dateOfBirthItem"]) {
            let text = match &date["dateOfBirth"] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            dates += 1;
            missed += usize::from(!entry.published.get("date_of_birth").contains(&text));
        }
    }
    // The nine are decorated there (`Booklet A…`, `…, Diplomatic`) and bare here.
    assert_eq!((passports, unlike, dates, missed), (492, 9, 1841, 0));
}

/// Two daily files give the additions, removals and changes that a comparison of their rows gives.
#[test]
fn ofac_from_day_to_day() {
    let Some(data) = real_data() else { return };
    for (old, new) in [
        ("2021-09-21T1849Z", "2021-09-22T1848Z"),
        ("2021-11-23T1848Z", "2021-12-02T0141Z"),
    ] {
        let daily = |day: &str| {
            read(
                Format::OfacSdn,
                &data.join(format!("lists/ofac_daily/sdn_{day}.csv.gz")),
            )
        };
        let (before, after) = (daily(old).entries, daily(new).entries);
        let mut expected = BTreeMap::<String, BTreeSet<String>>::new();
        let delta = data.join(format!("truth/ofac_delta__{old}__{new}.csv"));
        for row in text(&delta).lines().skip(1).map(Result::unwrap) {
            let mut cells = row.split(',');
            let (change, id) = (cells.next().unwrap(), cells.next().unwrap());
            // A remark may hold a line end; what follows it is no row.
            if ["added", "removed", "changed"].contains(&change) {
                expected
                    .entry(change.to_owned())
                    .or_default()
                    .insert(id.to_owned());
            }
        }
        let ids = |these: &BTreeMap<String, Entry>, those: &BTreeMap<String, Entry>| {
            these
                .keys()
                .filter(|id| !those.contains_key(*id))
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(ids(&after, &before), expected["added"]);
        assert_eq!(ids(&before, &after), expected["removed"]);
        let content = |entry: &Entry| (entry.subject.clone(), entry.published.clone());
        let same = |id: &String| {
            after
                .get(id)
                .is_none_or(|entry| content(entry) == content(&before[id]))
        };
        let changed: BTreeSet<String> = before.keys().filter(|id| !same(id)).cloned().collect();
        assert_eq!(changed, expected["changed"]);
    }
}

/// Every pair of persons that the truth file finds by passport or by name and full date of birth is found through
/// identifiers derived from what these readers yield.
fn every_true_pair(format: Format, list: &str, truth: &str, passports: usize, names: usize) {
    let Some(data) = real_data() else { return };
    let left = identifiers(read(Format::OfacSdn, &data.join("lists/ofac_sdn_2021-07-07")));
    let right = identifiers(read(format, &data.join("lists").join(list)));
    let (mut found_passports, mut found_names) = (0, 0);
    let mut missed = Vec::new();
    for row in text(&data.join("truth").join(truth))
        .lines()
        .skip(1)
        .map(Result::unwrap)
    {
        let cells: Vec<&str> = row.split(',').collect();
        let (a, b) = (&left[cells[0]], &right[cells[1]]);
        let shares = |rule: Rule| a.intersection(b).any(|identifier| identifier.rule() == rule);
        for (cell, rule, found) in [
            (2, Rule::DocumentNumber, &mut found_passports),
            (4, Rule::N2, &mut found_names),
        ] {
            if cells[cell] == "1" {
                if shares(rule) {
                    *found += 1;
                } else {
                    missed.push(format!("{} {} {rule:?}", cells[0], cells[1]));
                }
            }
        }
    }
    assert_eq!(
        (found_passports, found_names),
        (passports, names),
        "missed: {missed:?}"
    );
}

fn identifiers(list: List) -> BTreeMap<String, BTreeSet<Identifier>> {
    let today = date(2026, 11, 20);
    let of = |entry: &Entry| derive(&entry.subject, today).identifiers.into_iter().collect();
    list.entries
        .into_iter()
        .map(|(id, entry)| (id, of(&entry)))
        .collect()
}

#[test]
fn every_true_pair_of_ofac_and_un() {
    let truth = "overlap__ofac_sdn_2021-07-07__un_sc_2020-11-30.csv.gz";
    every_true_pair(
        Format::UnSc,
        "un_sc_consolidated_2020-11-30.xml.gz",
        truth,
        145,
        291,
    );
}

#[test]
fn every_true_pair_of_ofac_and_uk() {
    let truth = "overlap__ofac_sdn_2021-07-07__uk_ofsi_2018-04-13.csv.gz";
    every_true_pair(
        Format::UkOfsi,
        "uk_ofsi_conlist_2018-04-13.csv.gz",
        truth,
        151,
        384,
    );
}

/// Passenger lists that their publishers shortened keep the counts of the whole ones. Each such count is refused under
/// its segment's name; then it is mended, so that the rest can be read.
fn shortened(path: &Path) -> (List, Vec<&'static str>) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    let mut refused = Vec::new();
    loop {
        let input = Input::new("list", std::io::Cursor::new(bytes.clone()));
        let mut reader = open(Format::Paxlst, [input], &Options::new(date(2026, 11, 20))).unwrap();
        match reader.find_map(|item| item.err()) {
            None => break,
            Some(Error::Count {
                segment,
                expected,
                found,
                ..
            }) => {
                refused.push(segment);
                let tag = segment.split('+').next().unwrap().as_bytes();
                let tag = bytes.windows(3).rposition(|window| window == tag).unwrap();
                let digits = expected.to_string();
                let width = digits.len();
                let at = bytes[tag..]
                    .windows(width)
                    .position(|window| window == digits.as_bytes());
                let at = tag + at.unwrap();
                bytes.splice(at..at + width, found.to_string().into_bytes());
            }
            Some(error) => panic!("{}: {error}", path.display()),
        }
    }
    let mended = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(mended.path(), &bytes).unwrap();
    (read(Format::Paxlst, mended.path()), refused)
}

/// Passenger lists, clean and as they came by telex.
#[test]
fn passenger_lists() {
    let Some(data) = real_data() else { return };
    let folder = data.join("border/paxlst");
    for (file, people, numbers, counts) in [
        ("ediclean_A.clean.txt", 1, 1, &["UNT"] as &[&str]),
        ("ediclean_A.txt", 1, 1, &["UNT"]),
        ("ediclean_B.clean.txt", 1, 1, &["UNT"]),
        ("ediclean_B.txt", 1, 1, &["UNT"]),
        ("ediclean_D.clean.txt", 1, 1, &["UNT"]),
        ("ediclean_D.txt", 1, 1, &["UNT"]),
        ("gtas_connecting_2.edi", 2, 0, &[]),
        ("gtas_crew_8.edi", 8, 8, &["UNT"]),
        ("gtas_flight1.edi", 10, 15, &["UNT"]),
        ("gtas_multi_leg_2.edi", 2, 2, &[]),
        ("gtas_star_dollar_una_10.edi", 10, 10, &["UNT"]),
    ] {
        let (list, refused) = shortened(&folder.join(file));
        assert_eq!(refused, counts, "{file}");
        let subjects: Vec<_> = list.entries.values().map(|entry| &entry.subject).collect();
        let documents: usize = subjects.iter().map(|subject| subject.documents.len()).sum();
        assert_eq!(
            (subjects.len(), documents, list.rejects.len()),
            (people, numbers, 0),
            "{file}"
        );
        assert!(subjects.iter().all(|subject| subject.births.len() == 1), "{file}");
    }
    for name in ["A", "B", "D"] {
        let subjects = |file: String| shortened(&folder.join(file)).0.entries["1"].subject.clone();
        assert!(
            subjects(format!("ediclean_{name}.txt")) == subjects(format!("ediclean_{name}.clean.txt")),
            "{name}"
        );
    }
}
