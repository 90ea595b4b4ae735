//! The auditor: samples, and two ledgers joined.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
#[path = "common/ledgers.rs"]
mod ledgers;

use common::Ran;
use concordat_ledger::{EntryKey, Hash, Person, SealedEntry, SignedCheckpoint, Text};
use ledgers::{audit, decision, entry, erasure, export, export_sealed, key, sealed, write, write_sealed};

#[test]
fn a_sample_is_drawn_from_the_signed_tree_and_nothing_drawn_can_be_kept_back() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let checkpoint = write(&home.path().join("ledger"), 200);
    let (kept, ledger) = (path("kept"), path("ledger"));
    std::fs::write(&kept, checkpoint.to_string()).expect("written");
    let own = key(7, "aa/ledger").verifier().to_string();
    let partner = key(8, "bb").verifier().to_string();
    let sample = |seed: &str, more: &[&str]| {
        let words = [
            "sample",
            "--seed",
            seed,
            "--count",
            "5",
            "--log-key",
            &own,
            "--json",
        ];
        audit(words.into_iter().chain(more.iter().copied()))
    };
    // Key, checkpoint and seed: a second auditor needs no more. The formula has its frozen vector in crates/ledger/tests.
    let drawn = |seed: &str| -> Vec<u64> {
        let ran = sample(seed, &["--checkpoint", &kept, "--witness", &partner]).exits(0);
        serde_json::from_value(ran.json()[0]["entries"].clone()).expect("numbers")
    };
    let mut sampler = concordat_ledger::Sampler::new(b"s1", checkpoint.checkpoint(), 5);
    (0..200).for_each(|number| sampler.offer(number));
    let expected = sampler.finish();
    assert_eq!(drawn("s1"), expected);
    assert_ne!(drawn("s2"), expected);
    let files = ["--checkpoint", kept.as_str(), "--files", &ledger];
    assert_eq!(
        sample("s1", &files).exits(0).json()[0]["entries"],
        serde_json::json!(expected)
    );

    // All opened; then one kept back; then another entry in its place.
    let opened: Vec<(u64, u8)> = expected.iter().map(|number| (*number, *number as u8)).collect();
    let (whole, less, other) = (path("whole"), path("less"), path("other"));
    export(&whole, &opened);
    export(&less, &opened[1..]);
    export(&other, &[&[(opened[0].0, 77)], &opened[1..]].concat());
    let with = |more: &[&str]| sample("s1", &[&files, more].concat());
    let shown = with(&["--export", &whole]).exits(0).json().remove(0);
    assert_eq!(shown["opened"].as_array().map(Vec::len), Some(5));
    assert_eq!(shown["opened"][0]["type"], "sign-in");
    let none = with(&["--export", &whole, "--type", "query"])
        .exits(0)
        .json()
        .remove(0);
    assert_eq!(
        (&none["opened"], &none["not_opened"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    assert_eq!(none["other_types"], expected.len());
    let words = ["sample", "--seed", "s1", "--count", "5", "--log-key", &own];
    let typed = ["--files", &ledger, "--export", &whole, "--type", "query"];
    let text = audit(words.into_iter().chain(typed)).exits(0).stdout;
    assert!(
        text.contains("5 others were opened as well, of another type than query."),
        "{text}"
    );
    let owed = with(&["--export", &less, "--type", "query"])
        .exits(4)
        .json()
        .remove(0);
    assert_eq!(owed["not_opened"], serde_json::json!([expected[0]]));
    let refused = with(&["--export", &other]).exits(1);
    assert!(
        refused.stderr.contains("is not the one in the published ledger"),
        "{}",
        refused.stderr
    );

    // A checkpoint of another history, of another ledger, or that nobody cosigned.
    let (fork, alone) = (path("fork"), path("alone"));
    let signed = |size, root| SignedCheckpoint::sign(size, root, &key(7, "aa/ledger")).expect("signed");
    std::fs::write(&fork, signed(100, Hash([7; 32])).to_string()).expect("written");
    let refused = sample("s1", &["--checkpoint", &fork, "--files", &ledger]).exits(1);
    assert!(
        refused
            .stderr
            .contains("is not the one of which 100 entries were seen"),
        "{}",
        refused.stderr
    );
    std::fs::write(&alone, signed(200, checkpoint.root()).to_string()).expect("written");
    let lonely = sample("s1", &["--checkpoint", &alone, "--witness", &partner]).exits(4);
    assert!(
        lonely
            .stdout
            .contains("Too few witnesses have cosigned this checkpoint, 0 of 1"),
        "{}",
        lonely.stdout
    );
    let stranger = SignedCheckpoint::sign(200, checkpoint.root(), &key(9, "aa/ledger")).expect("signed");
    std::fs::write(path("stranger"), stranger.to_string()).expect("written");
    sample("s1", &["--checkpoint", &path("stranger")]).exits(1);
}

/// Only what was due, and was gone before anybody could know what is drawn, is excused.
#[test]
fn an_erasure_excuses_no_drawn_entry_unless_it_was_due_before_the_draw() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let (folder, own) = (home.path().join("ledger"), key(7, "aa/ledger"));
    // Kept until 2029-11-19.
    let mut entries: Vec<_> = (0..10).map(entry).collect();
    entries.push(erasure("2029-11-19T03:00:00Z", 0..1, None));
    entries.push(erasure("2029-11-19T03:00:00Z", 1..2, Some("order 7")));
    entries.push(erasure("2029-11-18T03:00:00Z", 2..3, None));
    entries.push(erasure("2029-11-19T03:00:00Z", 14..10_000, None));
    entries.extend((14..16).map(entry));
    let drawn_from = write_sealed(&folder, &own, &entries);
    std::fs::write(path("drawn"), drawn_from.to_string()).expect("written");
    entries.push(erasure("2029-11-20T03:00:00Z", 3..5, None));
    write_sealed(&folder, &own, &entries);
    let opened = |numbers: std::ops::Range<u64>| {
        let numbers = numbers.map(|number| (number, &entries[number as usize]));
        export_sealed(&path("export"), numbers);
    };
    let vkey = own.verifier().to_string();
    let (drawn, ledger, export) = (path("drawn"), path("ledger"), path("export"));
    let sample = |more: &[&str]| {
        let words = [
            "sample",
            "--seed",
            "s",
            "--count",
            "16",
            "--log-key",
            &vkey,
            "--checkpoint",
            &drawn,
            "--files",
            &ledger,
            "--export",
            &export,
        ];
        audit(words.into_iter().chain(more.iter().copied()))
    };
    // The agency still has the payload of entry 4, and opens it.
    opened(4..10);
    let told = sample(&["--json"]).exits(4).json().remove(0);
    let gone =
        |number: u64, by: u64, cause: &str| serde_json::json!({ "number": number, "by": by, "cause": cause });
    assert_eq!(
        told["erased"],
        serde_json::json!([
            gone(0, 10, "due"),
            gone(1, 11, "by order"),
            gone(2, 12, "before its day"),
            gone(3, 16, "after the draw"),
            gone(14, 13, "before it was written"),
            gone(15, 13, "before it was written"),
        ])
    );
    assert_eq!(
        told["not_opened"],
        serde_json::json!([1, 2, 3, 10, 11, 12, 13, 14, 15])
    );
    let text = sample(&[]).exits(4).stdout;
    for said in [
        "ERASED BY ENTRY 10 (due)",
        "ERASED BY ENTRY 11 (by order)",
        "ERASED BY ENTRY 16 (after the draw)",
        "9 of the drawn entries were neither opened nor erased on their day, before the draw",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // All but what was due is opened.
    opened(1..16);
    let told = sample(&["--json"]).exits(0).json().remove(0);
    assert_eq!(told["not_opened"], serde_json::json!([]));
    // The whole ledger counts the one by order apart.
    let whole = audit(["verify", &ledger, "--log-key", &vkey, "--json"]).exits(1);
    let whole = whole.json().remove(0);
    assert_eq!(whole["erased_by_order"], 1);
    assert_eq!(
        (&whole["ordered"], &whole["more_ordered"]),
        (
            &serde_json::json!([{ "entry": 11, "erased": [[1, 1]] }]),
            &0.into()
        )
    );
}

#[test]
fn a_sample_says_who_could_have_arranged_it() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let checkpoint = write(&home.path().join("ledger"), 20);
    let (kept, ledger) = (path("kept"), path("ledger"));
    std::fs::write(&kept, checkpoint.to_string()).expect("written");
    let own = key(7, "aa/ledger");
    let (vkey, partner) = (own.verifier().to_string(), key(8, "bb").verifier().to_string());
    let sample = |more: &[&str]| {
        let words = ["sample", "--count", "5", "--log-key", &vkey];
        audit(words.into_iter().chain(more.iter().copied()))
    };
    let nobody = "Not checked: Nobody whose key was given has cosigned this checkpoint";
    let newest = "Not checked: This checkpoint is the newest in --files";
    let alone = sample(&["--seed", "s", "--checkpoint", &kept]).exits(0).stdout;
    assert!(alone.contains(nobody) && !alone.contains(newest), "{alone}");
    let given = sample(&["--seed", "s", "--files", &ledger, "--witness", &partner])
        .exits(0)
        .stdout;
    assert!(
        given.contains("The checkpoint was cosigned by bb at 2026-11-18T")
            && given.contains(newest)
            && !given.contains(nobody),
        "{given}"
    );
    let told = sample(&[
        "--seed",
        "s",
        "--checkpoint",
        &kept,
        "--witness",
        &partner,
        "--json",
    ])
    .exits(0)
    .json()
    .remove(0);
    assert_eq!(
        (&told["cosigned"][0]["witness"], &told["not_checked"]),
        (&"bb".into(), &serde_json::json!([]))
    );
    let time = told["cosigned"][0]["time"].as_str().expect("a text");
    assert_eq!(time, "2026-11-18T11:08:20Z");

    // No seed, no entries, none from there, more than can be.
    sample(&["--seed", " ", "--checkpoint", &kept]).exits(2);
    sample(&["--seed", "s", "--checkpoint", &kept, "--from", "20"]).exits(2);
    for (size, said) in [
        (0, "nothing to draw from"),
        ((1 << 62) - 1, "says that the ledger has"),
    ] {
        let strange = SignedCheckpoint::sign(size, Hash::EMPTY_ROOT, &own).expect("signed");
        std::fs::write(path("strange"), strange.to_string()).expect("written");
        let refused = sample(&["--seed", "s", "--checkpoint", &path("strange")]).exits(1);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }

    // The agency's own key under its other name is no witness.
    let itself = key(7, "aa").verifier().to_string();
    let refused = [
        sample(&["--seed", "s", "--checkpoint", &kept, "--witness", &itself]),
        audit(["verify", &ledger, "--log-key", &vkey, "--witness", &itself]),
    ];
    for refused in refused.map(|ran| ran.exits(2).stderr) {
        assert!(refused.contains("no witness to itself"), "{refused}");
    }
}

#[test]
fn a_broken_approval_in_a_sample_names_its_entry() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let own = key(7, "bb/ledger");
    let (_, mut forged) = decision();
    forged.approvals[0].by.id = Text::new("eve").expect("a text");
    let entries = [sealed("2026-11-18T11:00:00Z", forged)];
    let checkpoint = write_sealed(&home.path().join("ledger"), &own, &entries);
    std::fs::write(path("kept"), checkpoint.to_string()).expect("written");
    export_sealed(&path("export"), [(0, &entries[0])].into_iter());
    let vkey = own.verifier().to_string();
    let (kept, ledger, export) = (path("kept"), path("ledger"), path("export"));
    let words = [
        "sample",
        "--seed",
        "s",
        "--count",
        "1",
        "--log-key",
        &vkey,
        "--checkpoint",
        &kept,
        "--files",
        &ledger,
        "--export",
        &export,
        "--type",
        "query",
    ];
    let text = audit(words).exits(1).stdout;
    assert!(
        text.contains("BROKEN: entry 0 holds an approval that does not hold")
            && text.contains("Approved by eve"),
        "{text}"
    );
    let told = audit(words.into_iter().chain(["--json"]))
        .exits(1)
        .json()
        .remove(0);
    assert_eq!(
        (&told["unapproved"], &told["opened"][0]["number"]),
        (&serde_json::json!([0]), &0.into())
    );
}

/// The two agencies of an exchange, and what each says of it.
fn exchange(number: u8) -> [(SealedEntry, EntryKey); 2] {
    use concordat_ledger::{Evaluation, Hex, Query, Scope, Stated, VerdictCounts, Why};
    let text = |text: &str| Text::new(text).expect("a text");
    let person = || Person {
        id: text("officer"),
        unit: None,
    };
    let scope = || Scope {
        agreement: text("2026/014"),
        offer: text("passports"),
        epoch: 1,
    };
    let (purpose, legal_basis) = (text("FUGITIVE"), text("Art. 26"));
    let query = Query {
        exchange: Hex([number; 16]),
        step: 0,
        by: person(),
        ordered_by: person(),
        why: Why {
            purpose: purpose.clone(),
            legal_basis: legal_basis.clone(),
            case_reference: text("C-1"),
        },
        partner: text("bb"),
        scope: scope(),
        elements: 4,
        items: 1,
        transcript: Hex([number; 32]),
        interrupted: false,
        identifiers: None,
        verdicts: VerdictCounts {
            hit: 0,
            no_hit: 1,
            unknown: 0,
        },
    };
    let evaluation = Evaluation {
        exchange: Hex([number; 16]),
        step: 0,
        partner: text("aa"),
        stated: Stated { purpose, legal_basis },
        scope: scope(),
        elements: 4,
        transcript: Hex([number; 32]),
    };
    let at = "2026-11-18T11:00:00Z";
    [sealed(at, query), sealed(at, evaluation)]
}

/// What one side has erased, or not opened, is no accusation; what it never logged is one.
#[test]
fn an_exchange_that_was_erased_or_left_out_is_not_missing() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for [query, evaluation] in (0..5).map(exchange) {
        asked.push(query);
        answered.push(evaluation);
    }
    // The owner never logged the last one, and erased the first; the requester's decision on a case is not joined.
    answered.truncate(4);
    answered.push(erasure("2029-11-19T03:00:00Z", 0..1, None));
    let mut decided = decision().1;
    decided.partner = Text::new("bb").expect("a text");
    asked.push(sealed("2026-11-18T11:00:00Z", decided));
    let (aa, bb) = (key(7, "aa/ledger"), key(8, "bb/ledger"));
    write_sealed(&home.path().join("aa"), &aa, &asked);
    write_sealed(&home.path().join("bb"), &bb, &answered);
    let (vkey_a, vkey_b) = (aa.verifier().to_string(), bb.verifier().to_string());
    let (files_a, files_b, export_a, export_b) = (path("aa"), path("bb"), path("a.jsonl"), path("b.jsonl"));
    let reconcile = |ours: &[u64], theirs: &[u64]| {
        export_sealed(
            &export_a,
            ours.iter().map(|number| (*number, &asked[*number as usize])),
        );
        export_sealed(
            &export_b,
            theirs.iter().map(|number| (*number, &answered[*number as usize])),
        );
        let words = [
            "reconcile",
            &export_a,
            "--files",
            &files_a,
            "--log-key",
            &vkey_a,
            "--other-files",
            &files_b,
            "--other-log-key",
            &vkey_b,
            "--other-export",
            &export_b,
        ];
        [audit(words), audit(words.into_iter().chain(["--json"]))]
    };
    let reasons = |ran: &Ran| -> Vec<(serde_json::Value, String)> {
        let rows = ran.json()[0]["results"][0]["unmatched"].clone();
        let rows = rows.as_array().expect("rows").clone();
        let row = |row: serde_json::Value| {
            (
                row["first"].clone(),
                row["reason"].as_str().expect("text").to_owned(),
            )
        };
        rows.into_iter().map(row).collect()
    };
    let erased = "the owner logged it, and its entry was erased".to_owned();
    let left_out = "the owner logged it, and its entry is not in the export".to_owned();

    // Both opened what they have left, but for one.
    let [text, json] = reconcile(&[0, 1, 2, 3, 5], &[1, 2]);
    let (text, json) = (text.exits(4).stdout, json.exits(4));
    assert_eq!(reasons(&json), [(0.into(), erased.clone()), (3.into(), left_out)]);
    let result = json.json()[0]["results"][0].clone();
    assert_eq!(
        (&result["contradictions"], &result["undecided"]),
        (&0.into(), &2.into())
    );
    assert_eq!(result["unmatched"][0]["contradicts"], false);
    assert_eq!(json.json()[0]["erased"], 1);
    assert_eq!(
        json.json()[0]["not_opened"],
        2,
        "the query that the owner never logged, and one answer"
    );
    assert_eq!(
        json.json()[0]["not_compared"],
        serde_json::json!({ "decision": 1 })
    );
    for said in [
        "2 entries about exchanges are not in the exports",
        "2 exchanges go together, 0 were not answered, 0 do not match, 2 could not be compared.",
        "1 entry about exchanges was erased: nothing is said about it.",
        "Not compared: 1 decision.",
        "Not checked: Whether each ledger is the one that was shown to others",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // One that is in no leaf of the owner is missing.
    let [missing, _] = reconcile(&[0, 1, 2, 3, 4], &[1, 2, 3]);
    let missing = missing.exits(1).stdout;
    assert!(
        missing.contains("the owner did not log it")
            && missing.contains("1 does not match, 1 could not be compared"),
        "{missing}"
    );
    // The other way round.
    let [text, _] = reconcile(&[1], &[1, 2, 3]);
    let text = text.exits(4).stdout;
    assert!(
        text.contains("the requester logged it, and its entry is not in the export"),
        "{text}"
    );
    // Nothing that could be compared is no agreement.
    let [nothing, _] = reconcile(&[], &[]);
    let nothing = nothing.exits(4).stdout;
    assert!(
        nothing.contains("0 exchanges go together") && nothing.contains("Nothing was compared"),
        "{nothing}"
    );
    let words = [
        "reconcile",
        &export_a,
        "--files",
        &files_a,
        "--log-key",
        &vkey_a,
        "--other-files",
        &files_b,
        "--other-log-key",
        &vkey_b,
    ];
    audit(words).exits(4);
    // Of an exchange whose entries are all erased, or not in the export, nothing is said; and that is said.
    let answers = [
        "reconcile",
        &export_b,
        "--files",
        &files_b,
        "--log-key",
        &vkey_b,
        "--other-files",
        &files_a,
        "--other-log-key",
        &vkey_a,
    ];
    export_sealed(&export_b, [(1, &answered[1])].into_iter());
    let files_only = audit(answers).exits(0).stdout;
    for said in [
        "1 exchange goes together, 0 were not answered, 0 do not match, 0 could not be compared.",
        "What aa logged and bb did not cannot be told without the opened entries of aa: --other-export.",
        "2 entries about exchanges are not in the exports: nothing is said about them.",
        "1 entry about exchanges was erased: nothing is said about it.",
    ] {
        assert!(files_only.contains(said), "{said}: {files_only}");
    }
    // A ledger goes together with itself, which says nothing.
    let itself = answers.map(|word| match word {
        word if word == files_a => files_b.as_str(),
        word if word == vkey_a => vkey_b.as_str(),
        word => word,
    });
    let itself = audit(itself).exits(2).stderr;
    assert!(itself.contains("are the same key, that of bb/ledger"), "{itself}");
}
