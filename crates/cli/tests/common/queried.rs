//! Whom a query was about, at the command line: shown to an auditor from the agency's own file.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::common::run;

const WHY: &str = "--purpose border-check --legal-basis EU:2024/982:26 --case FLIGHT-17";
const REASON: &str = "--purpose AUDIT --legal-basis EU:2016/680:47 --case AUDIT-1 --recipient authority";

fn passengers(root: &Path, name: &str, passports: &[&str]) -> String {
    let line = |(index, passport): (usize, &&str)| {
        let document = json!({ "class": "passport", "number": passport, "issuer": "NLD" });
        let record = json!({ "source_id": format!("P-{index}"), "subject": { "documents": [document] } });
        format!("{record}\n")
    };
    let path = root.join(name);
    fs::write(&path, passports.iter().enumerate().map(line).collect::<String>()).expect("written");
    path.display().to_string()
}

/// `aa` has asked, and opens whom it asked about.
pub(crate) fn queried(root: &Path, aa: &Path) {
    let a = aa.display();
    let place = |name: &str| root.join(name).display().to_string();
    let info = run(&format!("info --dir {a}")).exits(0).stdout;
    let key = info.lines().find_map(|line| line.strip_prefix("ledger"));
    let key = key.expect("the ledger's key").trim();

    let flight = passengers(root, "flight.jsonl", &["PA1000001", "PA1000002", "PA1000003"]);
    run(&format!("match {WHY} --jsonl {flight} --dir {a}")).exits(0);
    let queries = run(&format!("audit list --type query --json --dir {a}"))
        .exits(0)
        .json();
    let number = queries.last().expect("a query")["number"]
        .as_u64()
        .expect("a number");
    let prove = |out: &str, more: &str| format!("audit prove {number} --out {} --dir {a} {more}", place(out));

    // The log publishes in the background.
    let good = prove("p1.proof", &format!("{REASON} --jsonl {flight} --item P-1"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while run(&good).code != Some(0) {
        assert!(std::time::Instant::now() < end, "{}", run(&good).stderr);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let check = |name: &str| format!("audit check-bundle {} --log-key {key}", place(name));
    let shown = run(&check("p1.proof")).exits(0).stdout;
    for said in [
        "The query's entry commits to this travel document: PA1000002|NLD (identifier 3 of 6)",
        "The query's entry commits to this travel document: PA1000002 (identifier 4 of 6)",
        "Nothing is shown of its other identifiers.",
        "This file discloses how the query's identifiers came out (0 HIT, ",
    ] {
        assert!(shown.contains(said), "{said} in {shown}");
    }
    assert!(
        !shown.contains("PA1000001") && !shown.contains("PA1000003"),
        "{shown}"
    );
    let shown = run(&format!("{} --json", check("p1.proof"))).exits(0).json();
    assert_eq!(shown[0]["identifiers"][1]["text"], "PA1000002");

    // One byte of what is opened.
    let bundle = fs::read_to_string(place("p1.proof")).expect("a bundle");
    let extra = bundle.lines().nth(1).expect("the extra line").to_owned();
    for back in [30, 200, 700] {
        let mut bytes = extra.clone().into_bytes();
        let at = bytes.len() - back;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(bytes).expect("text");
        fs::write(place("altered.proof"), bundle.replace(&extra, &altered)).expect("written");
        run(&check("altered.proof")).exits(1);
    }

    // Another passenger, another order, one left out: nothing is written.
    for (name, others) in [
        ("other.jsonl", &["PA1000001", "PA1000009", "PA1000003"][..]),
        ("turned.jsonl", &["PA1000003", "PA1000002", "PA1000001"]),
        ("short.jsonl", &["PA1000001", "PA1000002"]),
    ] {
        let file = passengers(root, name, others);
        let refused = run(&prove(
            "never.proof",
            &format!("{REASON} --jsonl {file} --item P-1"),
        ))
        .exits(1);
        assert!(
            refused.stderr.contains("[AUD-016]") && !refused.stderr.contains("PA10000"),
            "{}",
            refused.stderr
        );
    }
    for (more, code, said) in [
        (format!("{REASON} --jsonl {flight}"), 2, "--item"),
        (
            format!("{REASON} --jsonl {flight} --item P-9"),
            2,
            "no item of the file has the name",
        ),
        (
            format!(
                "{REASON} --jsonl {} --item P-1",
                passengers(root, "empty.jsonl", &[])
            ),
            1,
            "there is no item",
        ),
        (format!("{REASON} --item P-1"), 2, "--jsonl"),
        (format!("--jsonl {flight} --item P-1"), 2, "--recipient"),
        (format!("{REASON} --passport PA1000002:NLD"), 1, "[AUD-016]"),
    ] {
        let refused = run(&prove("never.proof", &more)).exits(code);
        assert!(refused.stderr.contains(said), "{more}: {}", refused.stderr);
    }
    assert!(!Path::new(&place("never.proof")).exists());

    // One subject by options.
    run(&format!("match {WHY} --passport PA1000005:NLD --dir {a}")).exits(0);
    let queries = run(&format!("audit list --type query --json --dir {a}"))
        .exits(0)
        .json();
    let number = queries.last().expect("a query")["number"]
        .as_u64()
        .expect("a number");
    let single = format!(
        "audit prove {number} --out {} --dir {a} {REASON} --passport PA1000005:NLD --json",
        place("single.proof")
    );
    while run(&single).code != Some(0) {
        assert!(std::time::Instant::now() < end + std::time::Duration::from_secs(20));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let shown = run(&check("single.proof")).exits(0).stdout;
    assert!(shown.contains("PA1000005|NLD (identifier 1 of 2)"), "{shown}");
    assert!(!shown.contains("Nothing is shown"), "{shown}");
}
