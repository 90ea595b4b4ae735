//! Two agencies by the command line alone, as their clerks would do it: keys, lists, an agreement over files, snapshots,
//! questions, a comparison, a suspension. Every exit code on the way is the documented one.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "common/audited.rs"]
mod audited;
mod common;
#[path = "common/queried.rs"]
mod queried;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use common::{Node, Ran, concordat, init, run};
use serde_json::json;

const WHY: &str = "--purpose border-check --legal-basis EU:2024/982:26 --case FLIGHT-1";

/// The specimen of ICAO Doc 9303, part 4, as if the Netherlands had issued it: Utopia is refused.
const MRZ: &str =
    "P<NLDERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36NLD7408122F1204159ZE184226B<<<<<10\n";

fn write(root: &Path, name: &str, text: &str) -> String {
    let path = root.join(name);
    fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

fn record(id: &str, passport: &str, phone: &str) -> String {
    let document = json!({ "class": "passport", "number": passport, "issuer": "NLD" });
    format!(
        "{}\n",
        json!({ "source_id": id, "subject": { "documents": [document], "others": [{ "phone": phone }] } })
    )
}

/// Many remarks do not hide one lost record.
fn rejects_are_told_apart_from_notices(root: &Path, node: &str) {
    let mononym = |n: u32| {
        let name = json!({ "rank": "primary", "text": { "whole": format!("Mononym{n}") } });
        let subject =
            json!({ "names": [name], "births": [{ "day": { "year": 1970, "month": 1, "day": 2 } }] });
        format!(
            "{}\n",
            json!({ "source_id": format!("M-{n}"), "subject": subject })
        )
    };
    let lines = (0..30)
        .map(|n| mononym(n).replace("\"M-7\"", "7"))
        .collect::<String>();
    let list = write(root, "remarks.jsonl", &lines);
    let import = format!("list import {list} --list remarks --format jsonl --dir {node}");
    let told = run(&import).exits(5);
    let number = |row: &str| {
        let line = told
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(row));
        let line = line.unwrap_or_else(|| panic!("{row} in\n{}", told.stdout));
        line.rsplit(' ').next().expect("a number").to_owned()
    };
    assert_eq!(number("rejected  "), "1");
    assert_eq!(number("rejected records"), "1");
    assert_eq!(number("notices"), "29");
    let json = run(&format!("{import} --json")).exits(5).json().remove(0);
    assert_eq!(
        (json["rejected"].as_u64(), json["notices"].as_u64()),
        (Some(1), Some(29))
    );

    // The same from stdin is the same list.
    let stdin = fs::File::open(&list).expect("the list");
    let import = format!("list import - --list remarks --format jsonl --json --dir {node}");
    let piped = concordat(import.split(' ')).stdin(stdin).output();
    let json = Ran::from(piped.expect("it runs")).exits(5).json().remove(0);
    assert_eq!(
        (json["unchanged"].as_u64(), json["added"].as_u64()),
        (Some(29), Some(0))
    );

    // A broken download.
    let empty = write(root, "empty.jsonl", "");
    let import = format!("list import {empty} --list remarks --format jsonl --dir {node}");
    let refused = run(&import).exits(1);
    assert!(
        refused.stderr.contains("[IMP-009]") && refused.stderr.contains("--allow-shrink"),
        "{}",
        refused.stderr
    );
    run(&format!("{import} --allow-shrink")).exits(0);
    run(&format!("list delete remarks --dir {node}")).exits(0);
}

#[test]
fn two_agencies_by_the_command_line() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    let (aa, bb) = (init(root, "aa"), init(root, "bb"));
    let (a, b) = (aa.display(), bb.display());
    let again = run(&format!("init --agency-id aa --agency-name Again --dir {a}")).exits(1);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);

    // Our own systems: known by certificate; one that was revoked is out.
    run(&format!("client add gate-7 --dir {a}")).exits(0);
    run(&format!("client add gate-8 --dir {a}")).exits(0);
    run(&format!("client revoke gate-8 --dir {a}")).exits(0);
    let clients = run(&format!("client list --json --dir {a}")).exits(0).json();
    let revoked: Vec<_> = clients
        .iter()
        .map(|client| !client["revoked"].is_null())
        .collect();
    assert_eq!(revoked, [false, false, true], "admin, gate-7, gate-8");

    // Another address: the listener's certificate has to stand for it.
    let config = aa.join("concordat.toml");
    let text = fs::read_to_string(&config).expect("a configuration");
    let (before, api) = text.split_once("[api]").expect("a section");
    let moved = format!("{before}[api]{}", api.replacen("\"127.0.0.1:", "\"127.0.0.2:", 1));
    // And what the ledger publishes is served.
    let [port] = common::free_ports();
    let moved = moved.replacen("[ledger]", &format!("[ledger]\nlisten = \"127.0.0.1:{port}\""), 1);
    fs::write(&config, moved).expect("written");

    // A secret that others may read keeps a node from starting.
    let secret = aa.join("identity.key");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("changed");
    let shared = run(&format!("node --config {}", config.display())).exits(1);
    assert!(
        shared
            .stderr
            .contains("identity.key can be read or written by others (mode 0644)"),
        "{}",
        shared.stderr
    );
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("changed");

    let (node_a, node_b) = (Node::start(&aa), Node::start(&bb));
    // The running node does the work, also where nobody else can read its master key.
    let (key, away) = (aa.join("master.key"), root.join("safe"));
    fs::rename(&key, &away).expect("moved");
    run(&format!("client add gate-9 --dir {a}")).exits(0);
    let taken = run(&format!("client add gate-9 --dir {a}")).exits(1);
    assert!(
        taken.stderr.contains("gate-9 has a certificate already"),
        "{}",
        taken.stderr
    );
    assert!(aa.join("clients/gate-9.key").exists(), "and keeps its key");
    let as_client = |command: &str, name: &str| {
        run(&format!(
            "{command} --dir {a} --cert {a}/clients/{name}.crt --key {a}/clients/{name}.key"
        ))
    };
    let gate = |name: &str| as_client("info --json", name);
    assert_eq!(gate("gate-7").exits(0).json()[0]["agency_id"], "aa");
    assert_eq!(gate("gate-9").exits(0).json()[0]["agency_id"], "aa");
    let not_admin = as_client("client add gate-10", "gate-9").exits(1);
    assert!(not_admin.stderr.contains("[NODE-010]"), "{}", not_admin.stderr);
    assert!(
        !aa.join("clients/gate-10.key").exists(),
        "nothing is left of a refused client"
    );
    run(&format!("client revoke gate-9 --dir {a}")).exits(0);
    let clients = run(&format!("client list --json --dir {a}")).exits(0).json();
    assert_eq!(clients.len(), 4, "admin and three gates");
    fs::rename(&away, &key).expect("moved back");
    for gone in ["gate-8", "gate-9"] {
        let refused = gate(gone).exits(1);
        assert!(
            refused.stderr.contains("refused our certificate"),
            "{gone}: {}",
            refused.stderr
        );
    }
    // The partner's certificates do not open our node.
    let stranger = run(&format!(
        "info --dir {a} --cert {b}/clients/admin.crt --key {b}/clients/admin.key"
    ))
    .exits(1);
    assert!(
        stranger.stderr.contains("refused our certificate"),
        "{}",
        stranger.stderr
    );

    // Nor does its authority vouch for our node.
    let other = run(&format!("info --dir {a} --ca {b}/tls/ca.crt")).exits(1);
    assert!(
        other.stderr.contains("is not signed by the authority in") && other.stderr.contains("--ca"),
        "{}",
        other.stderr
    );

    // Lists.
    let stolen = format!(
        "{}{}not json\n",
        record("B-1", "L898902C3", "+31 20 123 4567"),
        record("B-2", "X7654321", "+31 20 765 4321")
    );
    let stolen = write(root, "stolen.jsonl", &stolen);
    let rejects = root.join("rejects.jsonl");
    let strict = run(&format!(
        "list import {stolen} --list stolen --format jsonl --strict --dir {b}"
    ))
    .exits(1);
    assert!(strict.stderr.contains("[IMP-"), "{}", strict.stderr);
    let import = format!(
        "list import {stolen} --list stolen --format jsonl --rejects {} --json --dir {b}",
        rejects.display()
    );
    // A record that could not be used is not a success.
    let summary = run(&import).exits(5).json().remove(0);
    assert_eq!(
        (summary["added"].as_u64(), summary["rejected"].as_u64()),
        (Some(2), Some(1))
    );
    assert_eq!(summary["rejected_records"].as_u64(), Some(1));
    let reject = fs::read_to_string(&rejects).expect("the report");
    assert_eq!(reject.lines().count(), 1);
    assert!(reject.contains("\"line\":3"), "{reject}");
    let again = run(&import).exits(5).json().remove(0);
    assert_eq!(
        (again["added"].as_u64(), again["unchanged"].as_u64()),
        (Some(0), Some(2)),
        "a second import changes nothing"
    );
    rejects_are_told_apart_from_notices(root, &b.to_string());
    let wanted = write(
        root,
        "wanted.jsonl",
        &format!(
            "{}{}",
            record("A-1", "L898902C3", "+31 20 111 1111"),
            record("A-2", "Y1111111", "+31 20 222 2222")
        ),
    );
    run(&format!(
        "list import {wanted} --list wanted --format jsonl --dir {a}"
    ))
    .exits(0);
    let found = run(&format!("list lookup --passport X7654321 --json --dir {b}"))
        .exits(0)
        .json();
    assert_eq!(found[0]["source_id"], "B-2");
    let unusable = run(&format!("list lookup --passport ZZ --dir {b}")).exits(1);
    assert!(
        unusable.stderr.contains("not looked up: documents[0].number: "),
        "{}",
        unusable.stderr
    );
    assert!(!unusable.stderr.contains("ZZ"), "{}", unusable.stderr);
    let half = run(&format!(
        "list lookup --passport X7654321 --phone 12 --json --dir {b}"
    ))
    .exits(1);
    assert_eq!(half.json()[0]["source_id"], "B-2", "what can be looked up is");
    let gone = run(&format!("list delete-records S99 --list stolen --dir {b}")).exits(1);
    assert!(
        gone.stderr.contains("not found: 1 of 1 record"),
        "{}",
        gone.stderr
    );
    let more = format!(
        "{}\n{}",
        record("B-3", "X7654322", "+31 20 765 4322"),
        record("B-4", "X7654323", "12")
    );
    let more = write(root, "more.jsonl", &more);
    let upserted = run(&format!("list upsert {more} --list extra --dir {b}")).exits(1);
    assert!(upserted.stderr.contains("[LIST-001]"), "{}", upserted.stderr);
    run(&format!("list create extra --dir {b}")).exits(0);
    let upserted = run(&format!("list upsert {more} --list extra --dir {b}")).exits(1);
    assert!(
        upserted.stderr.contains("line 3: subject.others[0]"),
        "a line of the file, not a number of the call: {}",
        upserted.stderr
    );

    // An agreement over files.
    let party = run(&format!("agreement party --dir {b}")).exits(0).stdout;
    let party = write(root, "party.toml", &party);
    let draft = run(&format!(
        "agreement template --owner bb --requester aa --list stolen --kind travel_document --kind phone \
         --legal-basis EU:2024/982:26 --quota-per-day 100000 --party {party}"
    ))
    .exits(0);
    // So little that one question uses it up.
    let (documents, phones) = draft.stdout.rsplit_once("[[offer]]").expect("two offers");
    let phones = phones.replace("quota_per_day = 100000", "quota_per_day = 16");
    let text = format!("{documents}[[offer]]{phones}");
    let draft = write(root, "draft.toml", &text);
    let unsigned = run(&format!("agreement sign {draft} --dir {b}")).exits(1);
    assert!(unsigned.stderr.contains("not signed"), "{}", unsigned.stderr);
    let date = |name: &str| {
        let (_, rest) = text.split_once(&format!("{name} = \"")).expect("a date");
        rest.split_once('"').expect("its end").0.to_owned()
    };
    let past = text
        .replace(&date("valid_from"), "2019-01-01T00:00:00Z")
        .replace(&date("valid_until"), "2020-01-01T00:00:00Z");
    let past = write(root, "past.toml", &past);
    let over = run(&format!("agreement propose {past} --dir {a}")).exits(1);
    assert!(over.stderr.contains("[AGR-101]"), "{}", over.stderr);
    let nowhere = run(&format!(
        "agreement propose {draft} --out {}/nope/x --dir {a}",
        root.display()
    ))
    .exits(1);
    assert!(nowhere.stderr.contains("nope/x"), "{}", nowhere.stderr);
    assert!(
        run(&format!("agreement ls --json --dir {a}"))
            .exits(0)
            .stdout
            .is_empty(),
        "nothing was signed"
    );
    let note = |name: &str| root.join(name).to_string_lossy().into_owned();
    run(&format!(
        "agreement propose {draft} --out {} --dir {a}",
        note("one.txt")
    ))
    .exits(0);
    let signed = run(&format!(
        "agreement sign {} --out {} --dir {b}",
        note("one.txt"),
        note("both.txt")
    ))
    .exits(0);
    assert!(
        signed.stdout.contains("aa-bb: active, signed by") && signed.stdout.contains("in force"),
        "{}",
        signed.stdout
    );
    let listed = run(&format!("agreement ls --dir {a}")).exits(0).stdout;
    assert!(
        listed.contains("VALID UNTIL") && listed.contains(&date("valid_until")),
        "{listed}"
    );
    run(&format!("agreement sign {} --json --dir {a}", note("both.txt"))).exits(0);
    let agreement = run(&format!("agreement show aa-bb --json --dir {a}"))
        .exits(0)
        .json()
        .remove(0);
    assert_eq!(agreement["status"], "active");
    assert_eq!(agreement["signed_by"].as_array().map(Vec::len), Some(2));

    // Nothing is held yet: UNKNOWN, and not 0.
    let ask = |what: &str| run(&format!("match {WHY} {what} --json --dir {a}"));
    run(&format!("snapshot publish --dir {b}")).exits(0);
    run(&format!("snapshot fetch --dir {a}")).exits(0);
    run(&format!("snapshot status --dir {a}")).exits(0);
    let nobody = run(&format!("snapshot fetch --partner nobody --dir {a}")).exits(1);
    assert!(nobody.stderr.contains("[QRY-004]"), "{}", nobody.stderr);

    // Questions and their exit codes.
    let hit = ask("--passport L898902C3:NLD").exits(3).json();
    assert_eq!(
        (
            hit[0]["verdict"].as_str(),
            hit[0]["partners"][0]["grade"].as_str()
        ),
        (Some("HIT"), Some("exact"))
    );
    assert_eq!(hit[1]["hits"], 1);
    assert_eq!(
        ask("--passport Z0000001:NLD").exits(0).json()[0]["verdict"],
        "NO_HIT"
    );
    let mrz = write(root, "gate.mrz", MRZ);
    let swipe = ask(&format!("--mrz {mrz}")).exits(3).json();
    assert_eq!(swipe[0]["verdict"], "HIT", "the passport is on the list");
    let not_covered = &swipe[0]["partners"][0]["not_covered"];
    assert_eq!(
        not_covered,
        &json!(["person"]),
        "no offer covers names: said, not passed over"
    );
    let broken = write(root, "broken.mrz", &MRZ.replace("L898902C36", "L898902C37"));
    let broken = ask(&format!("--mrz {broken}")).exits(4).json();
    assert_eq!(
        broken[0]["verdict"], "UNKNOWN",
        "a zone that cannot be read was not checked"
    );
    assert_eq!(
        (broken[0]["item"].as_str(), broken[0]["line"].as_u64()),
        (Some("1"), Some(1)),
        "it has a number like the others"
    );
    let why = broken[0]["rejections"][0]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(why.contains("second line of the zone"), "{why}");
    ask("--email someone@example.org").exits(4);
    let refused = run(&format!(
        "match --purpose fugitive --legal-basis EU:2024/982:26 --case X --passport Z1 --dir {a}"
    ));
    assert!(
        refused.exits(4).stdout.contains("UNKNOWN"),
        "a purpose that the agreement does not permit"
    );
    // One question is all the quota of the phones allows.
    assert_eq!(ask("--phone +31201234567").exits(3).json()[0]["verdict"], "HIT");
    let spent = ask("--phone +31207654321").exits(4).json();
    assert_eq!(spent[0]["partners"][0]["kinds"][0]["reason"], "quota");

    // List against list.
    let csv = root.join("matches.csv");
    let nowhere = run(&format!(
        "intersect --partner bb --list wanted {WHY} --out {}/nope/x.csv --dir {a}",
        root.display()
    ))
    .exits(1);
    assert!(nowhere.stderr.contains("nope/x.csv"), "{}", nowhere.stderr);
    let intersects = || {
        let jobs = run(&format!("job ls --json --dir {a}")).exits(0).json();
        jobs.into_iter().filter(|job| job["type"] == "intersect").count()
    };
    assert_eq!(
        intersects(),
        0,
        "a result that cannot be written is not worked for"
    );
    let line = format!(
        "intersect --partner bb --list wanted --kind travel_document {WHY} --out {} --dir {a}",
        csv.display()
    );
    run(&line).exits(0);
    let csv = fs::read_to_string(csv).expect("the matches");
    assert_eq!(
        csv,
        "list,source_id,partner_id,kind,grade,rule\nwanted,A-1,bb,travel_document,exact,document+issuer/1\n"
    );
    // A kind that was asked for and that no offer covers was not compared: said, and not a success.
    let line = format!(
        "intersect --partner bb --list wanted --kind travel_document --kind iban {WHY} --wait --dir {a}"
    );
    let partly = run(&line).exits(4);
    assert!(
        partly.stdout.contains("iban was not checked") && partly.stdout.contains("QRY-009"),
        "{}",
        partly.stdout
    );
    let jobs = run(&format!("job ls --json --dir {a}")).exits(0).json();
    // The newest come first, and of the newest a kind was not checked.
    let id = jobs
        .iter()
        .rfind(|job| job["type"] == "intersect")
        .and_then(|job| job["job_id"].as_str())
        .expect("a job");
    assert_eq!(
        run(&format!("job matches {id} --json --dir {a}")).exits(0).json()[0]["source_id"],
        "A-1"
    );
    let written = root.join("again.csv");
    let summary = run(&format!(
        "job matches {id} --json --out {} --dir {a}",
        written.display()
    ))
    .exits(0);
    assert_eq!(summary.json()[0]["matches"], 1);
    assert_eq!(fs::read_to_string(written).expect("written"), csv);
    run(&format!(
        "job show 00000000-0000-0000-0000-000000000000 --dir {a}"
    ))
    .exits(1);

    // The owner says stop.
    run(&format!(
        "agreement suspend aa-bb --reason Trial-is-over --dir {b}"
    ))
    .exits(0);
    ask("--passport L898902C3:NLD").exits(4);
    let shown = run(&format!("agreement show aa-bb --dir {b}")).exits(0).stdout;
    assert!(shown.contains("suspended here because: Trial-is-over"), "{shown}");
    run(&format!("agreement resume aa-bb --dir {b}")).exits(0);
    ask("--passport L898902C3:NLD").exits(3);

    audited::audited(root, &aa, &bb, port);
    queried::queried(root, &aa);

    // A dead partner is UNKNOWN.
    let log_b = node_b.stop();
    ask("--passport L898902C3:NLD").exits(4);
    interrupted(&format!(
        "intersect --partner bb --list wanted --wait {WHY} --dir {a}"
    ));
    let log_a = node_a.stop();
    for secret in ["L898902C3", "X7654321", "ERIKSSON", "1234567"] {
        assert!(
            !log_a.contains(secret) && !log_b.contains(secret),
            "no identifier is ever logged"
        );
    }
    run(&format!("info --dir {a}")).exits(1);
}

/// Ctrl-C while a job waits for a partner that is away: the id is known, and the job goes on.
fn interrupted(line: &str) {
    let mut following = concordat(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(following.stderr.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    let first = next();
    let id = first.strip_prefix("job ").expect(&first).to_owned();
    // Once it has told of the pause, it waits.
    while !next().contains("paused") {}
    let pid = following.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill runs").success());
    assert_eq!(following.wait().expect("it ends").code(), Some(130));
    assert_eq!(next(), format!("the job goes on: concordat job watch {id}"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_panic() {
    for line in ["completions bash", "help", "gen --help"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = concordat(line.split_whitespace()).stdout(writer).output();
        let ran = Ran::from(output.expect("it runs"));
        assert!(!ran.stderr.contains("panicked"), "{line}: {}", ran.stderr);
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = concordat(["completions", "bash"]).stdout(writer).output();
    let ran = Ran::from(output.expect("it runs")).exits(1);
    assert_eq!(ran.stderr, "", "nobody wants to know");
}

#[test]
fn outputs_are_held_to_their_names_first() {
    let root = tempfile::tempdir().expect("a folder");
    let same = root.path().join("same").display().to_string();
    let twice = run(&format!(
        "gen --records 10 --left {same} --right {same} --truth {same}.csv"
    ))
    .exits(2);
    assert_eq!(twice.stderr, "error: --left and --right name the same file\n");
    let nowhere = run(&format!("demo --pairs {same}/nope/x.csv")).exits(1);
    assert!(
        nowhere.stderr.contains("nope/x.csv") && !nowhere.stderr.contains("preparing"),
        "{}",
        nowhere.stderr
    );
    let late = run(&format!(
        "gen --records 10 --left {same} --right {same}/nope/r --truth {same}.csv"
    ))
    .exits(1);
    assert!(late.stderr.contains("nope/r"), "{}", late.stderr);
    assert_eq!(
        fs::read_dir(root.path()).expect("readable").count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn fictional_lists_are_the_same_every_time() {
    let root = tempfile::tempdir().expect("a folder");
    let make = |name: &str| {
        let folder = root.path().join(name);
        fs::create_dir(&folder).expect("made");
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let output = concordat([
            "gen",
            "--records",
            "100",
            "--seed",
            "3",
            "--date",
            "2026-11-01",
            "--left",
            &file("l"),
            "--right",
            &file("r"),
            "--truth",
            &file("t"),
            "--flight",
            "50",
            "--mrz",
            &file("m"),
            "--paxlst",
            &file("p"),
            "--json",
        ])
        .output();
        let made = Ran::from(output.expect("it runs")).exits(0).json().remove(0);
        assert_eq!(
            (made["overlap"].as_u64(), made["passengers"].as_u64()),
            (Some(10), Some(50))
        );
        assert_eq!(made["listed_passengers"].as_array().map(Vec::len), Some(1));
        ["l", "r", "t", "m", "p"].map(|name| fs::read(file(name)).expect("written"))
    };
    let first = make("one");
    assert_eq!(first, make("two"));
    assert!(first[2].starts_with(b"left_id,right_id,kind,grade\n"));
    assert_eq!(first[0].iter().filter(|byte| **byte == b'\n').count(), 100);
}
