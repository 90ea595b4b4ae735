//! An auditor at the command line, with the ledgers that the flow has left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Ran, free_ports, run};

const REASON: &str = "--purpose AUDIT --legal-basis EU:2016/680:47 --case AUDIT-1 --recipient authority";

/// Waits until a command ends with this code: what it looks at is published in the background.
fn until(line: &str, code: i32) -> Ran {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let ran = run(line);
        if ran.code == Some(code) || Instant::now() > end {
            return ran.exits(code);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn key(dir: &Path) -> String {
    let info = run(&format!("info --dir {}", dir.display())).exits(0).stdout;
    let line = info.lines().find_map(|line| line.strip_prefix("ledger"));
    line.expect("the ledger's key").trim().to_owned()
}

/// The counts of each row, withheld ones `None`.
fn counts(report: &Value) -> Vec<(String, Vec<Option<u64>>)> {
    let rows = report["rows"].as_array().expect("rows");
    rows.iter()
        .map(|row| {
            let counts = row["counts"].as_array().expect("counts");
            (
                row["type"].as_str().expect("a type").to_owned(),
                counts.iter().map(Value::as_u64).collect(),
            )
        })
        .collect()
}

/// No small count is published, nor any that one line after the other gives by subtraction; no exchange is in two rows.
fn gives_nothing_small_away(own: &Value, released: &Value, threshold: u64) {
    let is_small = |count: &u64| (1..threshold).contains(count);
    let all = counts(own).into_iter().flat_map(|(_, counts)| counts).flatten();
    assert!(
        all.into_iter().any(|count| is_small(&count)),
        "nothing to withhold: {own}"
    );
    let rows = counts(released);
    assert!(
        counts(own).iter().any(|(kind, _)| kind == "query.opened")
            && rows.iter().any(|(kind, _)| kind == "query"),
        "{own} {released}"
    );
    // What is open still may have a row; who was asked and answered has not.
    let both = rows
        .iter()
        .filter(|(kind, _)| kind == "receipt" || kind == "release");
    assert_eq!(both.count(), 0, "{released}");

    let mut cells: Vec<Vec<Option<u64>>> = rows.into_iter().map(|(_, counts)| counts).collect();
    assert!(cells.iter().flatten().any(Option::is_none), "{released}");
    let (height, width) = (cells.len(), cells[0].len());
    let row = |r: usize| (0..width).map(move |c| (r, c)).collect::<Vec<_>>();
    let column = |c: usize| (0..height).map(move |r| (r, c)).collect::<Vec<_>>();
    let lines: Vec<Vec<(usize, usize)>> = (0..height).map(row).chain((0..width).map(column)).collect();
    let mut solved = true;
    while solved {
        solved = false;
        for line in &lines {
            let unknown: Vec<_> = line.iter().filter(|&&(r, c)| cells[r][c].is_none()).collect();
            let (&[&(r, c)], Some((&total, inner))) = (unknown.as_slice(), line.split_last()) else {
                continue;
            };
            let sum: u64 = inner.iter().filter_map(|&(r, c)| cells[r][c]).sum();
            cells[r][c] = Some(cells[total.0][total.1].map_or(sum, |total| total - sum));
            solved = true;
        }
    }
    let small: Vec<u64> = cells.into_iter().flatten().flatten().filter(is_small).collect();
    assert!(small.is_empty(), "{small:?} are given away by {released}");
}

/// The ledgers of `aa`, which asked and serves its files at `port`, and of `bb`, which answered.
pub(crate) fn audited(root: &Path, aa: &Path, bb: &Path, port: u16) {
    let (a, b) = (aa.display(), bb.display());
    let (key_a, key_b) = (key(aa), key(bb));
    let url = format!("http://127.0.0.1:{port}");
    let place = |name: &str| root.join(name).display().to_string();

    // Nothing is opened without a reason; with one, that is on record first.
    let queries = run(&format!("audit list --type query --json --dir {a}"))
        .exits(0)
        .json();
    assert!(queries.len() > 2, "{queries:?}");
    let refused = run(&format!("audit open --type query --dir {a}")).exits(2);
    assert!(refused.stderr.contains("--recipient"), "{}", refused.stderr);
    let opened = run(&format!(
        "audit open --of-case FLIGHT-1 --type query {REASON} --json --dir {a}"
    ));
    let opened = opened.exits(0).json();
    assert_eq!(opened.len(), queries.len());
    assert_eq!(opened[0]["entry"]["event"]["why"]["case_reference"], "FLIGHT-1");
    let consulted = run(&format!("audit open --type opened {REASON} --json --dir {a}"))
        .exits(0)
        .json();
    assert_eq!(consulted[0]["entry"]["event"]["recipient"], "authority");

    // A search that finds nothing says so; a name that nobody has is one that nobody has.
    let none = run(&format!("audit open --of-case FLIGHT-0 {REASON} --dir {a}")).exits(0);
    assert!(
        none.stdout.starts_with("0 entries match: nothing was opened"),
        "{}",
        none.stdout
    );
    let none = run(&format!(
        "audit open --of-case FLIGHT-0 {REASON} --json --dir {a}"
    ))
    .exits(0);
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("0 entries match"), "{}", none.stderr);
    // In both spellings.
    for purpose in ["border-check", "BORDER_CHECK"] {
        let found = run(&format!(
            "audit open --of-purpose {purpose} --type query {REASON} --dir {a}"
        ));
        let said = found.exits(0).stdout;
        assert!(
            said.contains("query by ") && said.contains(" for BORDER_CHECK ("),
            "{said}"
        );
    }
    let none = run(&format!("audit list --until 0 --dir {a}")).exits(0);
    assert_eq!(none.stdout, "0 entries match\n");
    let all = run(&format!("audit list --type query --dir {a}")).exits(0).stdout;
    assert!(
        all.ends_with(&format!("{} entries match\n", queries.len())),
        "{all}"
    );
    let first = run(&format!("audit list --type query --limit 1 --dir {a}")).exits(0);
    assert!(
        first.stdout.ends_with("the first 1 of the entries that match\n"),
        "{}",
        first.stdout
    );
    let nobody = run(&format!("audit open --of-partner bbb {REASON} --dir {a}")).exits(1);
    assert!(nobody.stderr.contains("[AUD-013]"), "{}", nobody.stderr);

    // One entry, years later; with its content only for whoever gave a reason.
    let number = queries[0]["number"].as_u64().expect("a number");
    let (proof, shut) = (place("entry.proof"), place("shut.proof"));
    until(
        &format!("audit prove {number} --out {proof} {REASON} --dir {a}"),
        0,
    );
    run(&format!("audit prove {number} --out {shut} --dir {a}")).exits(0);
    let there = run(&format!("audit prove {number} --out {shut} --dir {a}")).exits(1);
    assert!(there.stderr.contains("exists already"), "{}", there.stderr);
    let proven = run(&format!("audit check-bundle {proof} --key {key_a} --json"))
        .exits(0)
        .json();
    assert_eq!(proven[0]["entry"], opened[0]["entry"]);
    let proven = run(&format!("audit check-bundle {shut} --key {key_a} --json"))
        .exits(0)
        .json();
    assert_eq!(proven[0]["entry"], Value::Null);
    run(&format!("audit check-bundle {proof} --key {key_b}")).exits(1);
    run(&format!("audit show {number} --dir {a}")).exits(0);
    run(&format!("audit show 999999 --dir {a}")).exits(1);
    let word = run(&format!("audit show abc --dir {a}")).exits(2);
    assert!(word.stderr.contains("such as 4711"), "{}", word.stderr);

    // The same seed and checkpoint, the same sample.
    let kept = place("kept");
    run(&format!("audit verify {url} --log-key {key_a} --keep {kept}")).exits(0);
    let draw = |seed: &str| {
        let line =
            format!("audit sample --seed {seed} --count 2 --checkpoint {kept} --log-key {key_a} --json");
        run(&line).exits(0).json().remove(0)
    };
    assert_eq!(draw("s1"), draw("s1"));
    assert_ne!(draw("s1"), draw("s2"));
    // The agency opens each of them, and is held to what it published.
    let drawn = draw("s1");
    let numbers: Vec<u64> = serde_json::from_value(drawn["entries"].clone()).expect("numbers");
    assert_eq!(numbers.len(), 2);
    let mut exports = String::new();
    for number in &numbers {
        let export = place(&format!("drawn-{number}.jsonl"));
        let range = format!("--from {number} --until {}", number + 1);
        run(&format!(
            "audit open {range} --export {export} {REASON} --dir {a}"
        ))
        .exits(0);
        exports += &format!(" --export {export}");
    }
    let sample = format!(
        "audit sample --seed s1 --count 2 --checkpoint {kept} --files {url} --log-key {key_a} --json"
    );
    let looked_at = run(&format!("{sample}{exports}")).exits(0).json();
    assert_eq!(looked_at[0]["entries"], drawn["entries"]);
    assert_eq!(looked_at[0]["opened"].as_array().map(Vec::len), Some(2));

    // Counts, for the house and for others.
    let csv = place("report.csv");
    let report = run(&format!(
        "audit report --csv {csv} --html {} --dir {a}",
        place("report.html")
    ))
    .exits(0);
    assert!(report.stdout.contains("BORDER_CHECK"), "{}", report.stdout);
    assert!(
        report.stdout.starts_with("agency          aa\n"),
        "{}",
        report.stdout
    );
    for (wrong, said) in [
        ("--since 2026-11-28 --before 2026-11-27", "not earlier"),
        ("--csv same --html same", "the same file"),
        ("--release 1", "at least 2"),
        ("--since 2026-11-27T10:00", "such as 2026-11-27"),
    ] {
        let refused = run(&format!("audit report {wrong} --dir {a}")).exits(2);
        assert!(refused.stderr.contains(said), "{wrong}: {}", refused.stderr);
    }
    assert!(
        fs::read_to_string(csv).expect("written").starts_with(
            "\"agency\",\"since\",\"before\",\"threshold\",\"made\",\"ledger entries\",\"type\","
        )
    );
    let own = run(&format!("audit report --json --dir {a}"))
        .exits(0)
        .json()
        .remove(0);
    for threshold in [5, 1_000_000] {
        let line = format!("audit report --release {threshold} --json --dir {a}");
        let released = run(&line).exits(0).json().remove(0);
        gives_nothing_small_away(&own, &released, threshold);
    }

    // Both opened, then one opened and the other's files; the other way round over HTTP.
    let (export_a, export_b) = (place("a.jsonl"), place("b.jsonl"));
    run(&format!(
        "audit open --of-partner bb --export {export_a} {REASON} --dir {a}"
    ))
    .exits(0);
    run(&format!(
        "audit open --of-partner aa --export {export_b} {REASON} --dir {b}"
    ))
    .exits(0);
    let against = format!("--files {url} --key {key_a} --other-files {b}/ledger --other-key {key_b}");
    let both = format!("{against} --other-export {export_b}");
    let joined = until(&format!("audit reconcile {export_a} {both} --json"), 0)
        .json()
        .remove(0);
    let matched = joined["results"][0]["matched"].as_u64().expect("a count");
    assert!(matched >= 3, "{joined}");
    let leaves = run(&format!("audit reconcile {export_a} {against} --json"))
        .exits(0)
        .json();
    assert_eq!(leaves[0]["results"][0]["matched"], matched);
    let turned = format!("--files {b}/ledger --key {key_b} --other-files {url} --other-key {key_a}");
    let turned = run(&format!("audit reconcile {export_b} {turned} --json"))
        .exits(0)
        .json();
    assert_eq!(turned[0]["results"][0]["matched"], matched);

    // A query that the requester does not open is asked for; one that it changes is not its ledger's.
    let whole = fs::read_to_string(&export_a).expect("an export");
    let exchange = queries[0]["exchange"].as_str().expect("an exchange");
    let hidden: String = whole
        .lines()
        .filter(|line| !line.contains(exchange))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(hidden.len() < whole.len());
    fs::write(&export_a, hidden).expect("written");
    let missed = run(&format!("audit reconcile {export_a} {both}")).exits(4).stdout;
    assert!(
        missed.contains(exchange)
            && missed.contains("the requester logged it, and its entry is not in the export"),
        "{missed}"
    );
    fs::write(&export_a, whole.replace("FLIGHT-1", "FLIGHT-2")).expect("written");
    let changed = run(&format!("audit reconcile {export_a} {both}")).exits(1);
    assert!(
        changed.stderr.contains("not what the log's entry committed to"),
        "{}",
        changed.stderr
    );

    // An independent witness is asked by nobody here, and waits with a key of its own.
    let [taken] = free_ports();
    let _listener = std::net::TcpListener::bind(("127.0.0.1", taken)).expect("a port");
    let busy = run(&format!(
        "witness --dir {} --name w.example/1 --listen 127.0.0.1:{taken} --log {key_a}",
        place("witness")
    ));
    assert!(busy.exits(1).stderr.contains("cannot listen on"));

    // What is served is verified as what is in the folder is; an older checkpoint is extended.
    let by_url = run(&format!("audit verify {url} --key {key_a} --kept {kept} --json"))
        .exits(0)
        .json();
    assert_eq!(by_url[0]["verdict"], "holds");
    let other = run(&format!("audit verify {url} --log-key {key_b}")).exits(1);
    assert!(
        other.stderr.contains("under another name: aa/ledger"),
        "{}",
        other.stderr
    );
    let elsewhere = run(&format!("audit verify {url}/elsewhere --log-key {key_a}")).exits(1);
    assert!(
        elsewhere.stderr.contains("holds no ledger"),
        "{}",
        elsewhere.stderr
    );

    // A court has one entry erased: nobody opens it any more, the ledger still holds.
    let erase = format!("audit erase {number} --order Court-order-7 --dir {a}");
    let unasked = run(&erase).exits(2);
    assert!(
        unasked.stderr.contains("nobody to ask")
            && unasked.stderr.contains("will be destroyed")
            && unasked
                .stderr
                .lines()
                .any(|line| line.starts_with(&format!("{number} ")) && line.ends_with(" query")),
        "{}",
        unasked.stderr
    );
    let beyond = run(&format!("audit erase 999999 --order x --yes --dir {a}")).exits(1);
    assert!(
        beyond.stderr.contains("the ledger has no entry 999999") && !beyond.stderr.contains("destroyed"),
        "{}",
        beyond.stderr
    );
    let erased = |line: &str| run(line).exits(0).json()[0]["erased"].clone();
    assert_eq!(erased(&format!("{erase} --yes --json")), 1);
    assert_eq!(erased(&format!("{erase} --yes --json")), 0);
    run(&format!("audit erase 7-5 --order Court-order-7 --dir {a}")).exits(2);
    let range = format!("--from {number} --until {}", number + 1);
    let gone = run(&format!("audit open {range} {REASON} --json --dir {a}"))
        .exits(0)
        .json();
    assert!(gone.is_empty(), "{gone:?}");
    for line in [
        format!("audit open {range} {REASON} --dir {a}"),
        format!("audit open {range} --of-purpose border-check {REASON} --dir {a}"),
    ] {
        let gone = run(&line).exits(0).stdout;
        assert!(
            gone.starts_with("0 entries match")
                && gone.contains("1 that matches as far as leaves tell was erased")
                && gone.contains(&format!("`concordat audit show {number}`")),
            "{gone}"
        );
    }
    let whole = until(
        &format!("audit verify {url} --key {key_a} --kept {kept} --json"),
        0,
    )
    .json();
    assert_eq!(whole[0]["verdict"], "holds");
    run(&format!("audit check-bundle {proof} --key {key_a}")).exits(0);

    // The key of the agreement, as the partner holds it.
    let agreement = place("both.txt");
    let agreed = format!("audit verify {url} --agreement {agreement}");
    run(&format!("{agreed} --agency aa --kept {kept}")).exits(0);
    let other = run(&format!("{agreed} --agency bb")).exits(1);
    assert!(
        other.stderr.contains("aa/ledger, not bb/ledger"),
        "{}",
        other.stderr
    );
    let nobody = run(&format!("{agreed} --agency cc")).exits(2);
    assert!(
        nobody.stderr.contains("aa") && nobody.stderr.contains("use one of bb"),
        "{}",
        nobody.stderr
    );
    let half = format!("audit verify {url} --agreement {} --agency aa", place("one.txt"));
    assert!(run(&half).exits(1).stderr.contains("bb has not signed"));
    let no_agreement = format!("audit verify {url} --agreement {kept} --agency aa");
    assert!(run(&no_agreement).exits(1).stderr.contains("holds no agreement"));

    // A ledger's key is none of TLS.
    let mixed = run(&format!("audit list --dir {a} --key {key_a}")).exits(1);
    assert!(
        mixed.stderr.contains("take a ledger's key as --log-key"),
        "{}",
        mixed.stderr
    );
    // What answers there speaks no TLS: nothing is read, and nothing said. A machine without authorities says so.
    let https = run(&format!("audit verify https://127.0.0.1:{port} --key {key_a}"));
    assert!(
        https.stderr.contains("SSL_CERT_FILE") || https.stdout.contains("UNREAD"),
        "{} {}",
        https.stdout,
        https.stderr
    );
}
