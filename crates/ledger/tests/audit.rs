//! Everything that can be done to a log, and the sentence that says what was done.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::BTreeMap;

use common::*;
use concordat_ledger::*;
use concordat_note::SigningKey;

type Files = BTreeMap<String, Vec<u8>>;

const SIZE: u64 = 700;

fn log() -> (Files, Vec<SignedCheckpoint>) {
    let written = write(&[300, SIZE]);
    (written.files(), written.checkpoints)
}

fn audit(files: &Files, kept: &[SignedCheckpoint]) -> Report {
    verify(files, &keys(), kept, &now())
}

/// Changes the entries of one bundle and leaves the tree as it was.
fn change_bundle(files: &mut Files, path: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let bytes = files.get_mut(path).unwrap();
    let mut entries: Vec<Vec<u8>> = decode_bundle(bytes)
        .unwrap()
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    change(&mut entries);
    *bytes = encode_bundle(&entries).unwrap();
}

/// Changes the entries and builds tiles and tree anew, and if there is a key the checkpoint too.
fn rewrite(files: &Files, key: Option<&SigningKey>, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    let mut all = entries(files, SIZE);
    change(&mut all);
    let (mut rebuilt, edge) = rebuild(&all);
    let checkpoint = match key {
        Some(key) => SignedCheckpoint::sign(edge.size(), edge.root(), key)
            .unwrap()
            .to_string()
            .into_bytes(),
        None => files["checkpoint"].clone(),
    };
    rebuilt.insert("checkpoint".to_owned(), checkpoint);
    rebuilt
}

/// Another commitment: the entry stays one of the ledger's.
fn alter(entry: &mut [u8]) {
    let commitment = entry.windows(14).position(|w| w == b"\"commitment\":\"").unwrap() + 14;
    entry[commitment] = if entry[commitment] == b'0' { b'1' } else { b'0' };
}

fn sentences(report: &Report) -> Vec<String> {
    assert_eq!(report.verdict(), Verdict::Broken, "{report}");
    report.findings.iter().map(Finding::to_string).collect()
}

#[test]
fn an_honest_log_holds() {
    let (files, kept) = log();
    let report = audit(&files, &kept);
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    assert_eq!(
        (report.entries, report.extends.as_slice()),
        (SIZE, [(300, 0), (SIZE, 1)].map(extended).as_slice())
    );
    assert_eq!(report.classes["exchange"], SIZE);
    insta_like(
        &report,
        &[
            "Log         police.example/aa/ledger",
            "Entries     700 read and as signed, exchange 700",
            "Extends     a kept checkpoint, of 300 entries",
            "Not checked No key of a witness was given: whether partners were shown the same log was not looked at.",
            "What was checked holds.",
        ],
    );
    let named = report.text(&["march".into(), "april".into()]);
    assert!(named.contains("Extends     april, of 700 entries\n"), "{named}");
    let alone = audit(&files, &[]).to_string();
    assert!(
        alone.contains("Not checked No checkpoint of an earlier audit was given"),
        "{alone}"
    );
}

fn extended((size, place): (u64, usize)) -> Extended {
    Extended {
        size,
        kept: Some(place),
    }
}

fn insta_like(report: &Report, lines: &[&str]) {
    let shown = report.to_string();
    for line in lines {
        assert!(shown.lines().any(|l| l == *line), "{line}\nin\n{shown}");
    }
}

/// Whatever is cut out of a file, the log does not hold: what is not there was not looked at.
#[test]
fn no_file_may_be_empty_or_cut() {
    let (files, kept) = log();
    // Those of its size; there are partial ones of smaller sizes.
    let paths = [
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/188",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/188",
    ];
    for path in paths {
        let bytes = &files[path];
        for length in [0, 1, 2, 10, bytes.len() / 2, bytes.len() - 1] {
            let mut cut = files.clone();
            cut.insert(path.to_owned(), bytes[..length].to_vec());
            let report = audit(&cut, &kept);
            assert_eq!(
                report.verdict(),
                Verdict::Broken,
                "{path}, {length} bytes: {report}"
            );
        }
        let mut without = files.clone();
        without.remove(path);
        let report = audit(&without, &kept);
        assert_eq!(report.verdict(), Verdict::Broken, "without {path}: {report}");
    }
    // All of one sort.
    for sort in ["tile/entries/", "tile/0/"] {
        let mut none = files.clone();
        let ours = none.iter_mut().filter(|(path, _)| path.starts_with(sort));
        ours.for_each(|(_, bytes)| bytes.clear());
        assert_eq!(audit(&none, &kept).verdict(), Verdict::Broken, "{sort}");
    }
}

#[test]
fn an_altered_entry() {
    let (mut files, kept) = log();
    change_bundle(&mut files, "tile/entries/001", |entries| alter(&mut entries[10]));
    let report = audit(&files, &kept);
    assert!(
        sentences(&report).contains(&"Entry 266 was altered.".to_owned()),
        "{report}"
    );
    assert_eq!(report.entries, SIZE - 1);
    assert!(
        report.misbehaviour.is_none(),
        "the log's signatures do not contradict each other"
    );
}

#[test]
fn a_dropped_entry_and_several() {
    for (from, count, expected) in [
        (10, 1, "Entry 266 was dropped."),
        (10, 3, "3 entries were dropped, from entry 266."),
        (0, 1, "Entry 256 was dropped."),
        (255, 1, "Entry 511 was dropped."),
    ] {
        let (mut files, kept) = log();
        change_bundle(&mut files, "tile/entries/001", |entries| {
            entries.drain(from..from + count);
        });
        assert_eq!(sentences(&audit(&files, &kept)), [expected]);
    }
}

/// All later entries move up, into the bundles before.
#[test]
fn a_dropped_entry_whose_gap_was_closed() {
    let (files, kept) = log();
    let mut all = entries(&files, SIZE);
    all.remove(17);
    let mut changed = files.clone();
    for (number, bundle) in all.chunks(256).enumerate() {
        let path = TilePath::bundle(number as u64 * 256, SIZE).unwrap();
        changed.insert(path.to_string(), encode_bundle(bundle).unwrap());
    }
    assert_eq!(sentences(&audit(&changed, &kept)), ["Entry 17 was dropped."]);
}

#[test]
fn reordered_entries() {
    for (a, b) in [(10, 11), (10, 200), (0, 255)] {
        let (mut files, kept) = log();
        change_bundle(&mut files, "tile/entries/000", |entries| entries.swap(a, b));
        let expected = format!("Entries {a} and {b} were reordered: each is in the other's place.");
        assert_eq!(sentences(&audit(&files, &kept)), [expected]);
    }
    // In different bundles.
    let (mut files, kept) = log();
    let mut all = entries(&files, SIZE);
    all.swap(3, 600);
    for (number, bundle) in all.chunks(256).enumerate() {
        let path = TilePath::bundle(number as u64 * 256, SIZE).unwrap();
        files.insert(path.to_string(), encode_bundle(bundle).unwrap());
    }
    assert_eq!(
        sentences(&audit(&files, &kept)),
        ["Entries 3 and 600 were reordered: each is in the other's place."]
    );
}

#[test]
fn an_inserted_entry() {
    let (mut files, kept) = log();
    let forged = leaves(900..901)[0].encode(5);
    change_bundle(&mut files, "tile/entries/002.p/188", |entries| {
        entries.insert(40, forged);
    });
    let found = sentences(&audit(&files, &kept));
    assert!(
        found.contains(&"An entry was inserted before entry 552.".to_owned()),
        "{found:?}"
    );
}

#[test]
fn a_truncated_log() {
    // The end of the last bundle.
    let (mut files, kept) = log();
    change_bundle(&mut files, "tile/entries/002.p/188", |entries| {
        entries.truncate(100);
    });
    assert_eq!(
        sentences(&audit(&files, &kept)),
        ["The log was truncated: entries 612 to 699 are gone."]
    );
    // Whole files.
    let (mut files, kept) = log();
    files.retain(|path, _| !path.contains("/002"));
    let found = sentences(&audit(&files, &kept));
    assert!(
        found.contains(&"The log was truncated: entries 512 to 699 are gone.".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"The file tile/entries/002.p/188 is missing.".to_owned()));
    // With the older checkpoint put back, everything is consistent; who kept the newer one sees it.
    let (mut files, kept) = log();
    files.insert("checkpoint".to_owned(), kept[0].to_string().into_bytes());
    assert_eq!(audit(&files, &kept[..1]).verdict(), Verdict::Holds);
    assert_eq!(
        sentences(&audit(&files, &kept)),
        ["The log was rolled back: 700 entries had been signed, an older checkpoint of 300 is shown now."]
    );
}

#[test]
fn a_swapped_checkpoint() {
    let (files, kept) = log();
    let with = |checkpoint: &str| {
        let mut files = files.clone();
        files.insert("checkpoint".to_owned(), checkpoint.as_bytes().to_vec());
        sentences(&audit(&files, &kept)).join(" ")
    };
    let stranger = SigningKey::from_seed("police.example/aa/ledger", &[9; 32]).unwrap();
    let forged = SignedCheckpoint::sign(SIZE, kept[1].root(), &stranger).unwrap();
    assert!(with(&forged.to_string()).contains("The checkpoint was swapped or damaged"));
    let other = SigningKey::from_seed("police.example/bb/ledger", &[8; 32]).unwrap();
    let foreign = SignedCheckpoint::sign(SIZE, kept[1].root(), &other).unwrap();
    assert!(with(&foreign.to_string()).contains("The checkpoint was swapped or damaged"));
    assert!(
        with(&kept[1].to_string().replace("700", "701")).contains("The checkpoint was swapped or damaged")
    );
    assert!(with("").contains("The checkpoint was swapped or damaged"));
    // Signed by the right key, of another tree.
    let split = SignedCheckpoint::sign(SIZE, Hash([3; 32]), &key()).unwrap();
    assert!(with(&split.to_string()).contains("The checkpoint of 700 entries is of another tree"));

    let mut none = files.clone();
    none.remove("checkpoint");
    assert_eq!(
        sentences(&audit(&none, &kept)),
        ["The checkpoint is missing: nothing is vouched for."]
    );
}

#[test]
fn an_altered_tree() {
    let (mut files, kept) = log();
    files.get_mut("tile/0/001").unwrap()[77] ^= 1;
    let report = audit(&files, &kept);
    assert_eq!(
        sentences(&report),
        [
            "The tree was altered: tile/1/000.p/2 is not what the entries give.",
            "The tree was altered: tile/0 is not what the entries give."
        ]
    );
    let (mut files, kept) = log();
    files.get_mut("tile/1/000.p/2").unwrap()[3] ^= 1;
    assert_eq!(
        sentences(&audit(&files, &kept)),
        ["The tree was altered: tile/1/000.p/2 is not what the entries give."]
    );
}

/// The tree was built anew over the changed entries; the checkpoint could not be signed.
#[test]
fn entries_and_tree_changed_together() {
    let (files, kept) = log();
    let altered = rewrite(&files, None, |entries| alter(&mut entries[17]));
    let found = sentences(&audit(&altered, &kept));
    assert!(
        found[0].starts_with("The checkpoint of 700 entries is of another tree"),
        "{found:?}"
    );
    assert!(found[1].contains("between entry 0 and entry 300"), "{found:?}");

    // The numbers in the entries still say what was done.
    let swapped = rewrite(&files, None, |entries| entries.swap(400, 450));
    let found = sentences(&audit(&swapped, &kept));
    assert!(
        found.contains(&"Entries 400 and 450 were reordered: each is in the other's place.".to_owned()),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|s| s.contains("between entry 300 and entry 700")),
        "{found:?}"
    );
}

/// The log's own operator rewrites history and signs it: the tree is whole, and the kept checkpoint is proof for anybody.
#[test]
fn history_rewritten_by_the_holder_of_the_key() {
    let (files, kept) = log();
    for (change, sentence) in [
        (
            &(|entries: &mut Vec<Vec<u8>>| alter(&mut entries[17])) as &dyn Fn(&mut Vec<Vec<u8>>),
            "History was rewritten",
        ),
        (
            &|entries: &mut Vec<Vec<u8>>| drop(entries.remove(17)),
            "Entry 17 was dropped.",
        ),
        (
            &|entries: &mut Vec<Vec<u8>>| entries.swap(17, 18),
            "Entries 17 and 18 were reordered: each is in the other's place.",
        ),
    ] {
        let rewritten = rewrite(&files, Some(&key()), |entries| {
            change(entries);
            entries.push(leaves(700..701)[0].encode(700));
            entries.push(leaves(701..702)[0].encode(701));
        });
        assert_eq!(audit(&rewritten, &[]).misbehaviour, None);
        let report = audit(&rewritten, &kept);
        let found = sentences(&report);
        assert!(found.iter().any(|s| s.starts_with(sentence)), "{found:?}");

        let evidence = report.misbehaviour.unwrap().to_string();
        let proof = Misbehaviour::check(evidence.as_bytes(), &key().verifier()).unwrap();
        assert!(
            proof.sentence().contains("rewrote its history"),
            "{}",
            proof.sentence()
        );
        assert_eq!((proof.earlier().size(), proof.to_string()), (300, evidence));
    }
}

#[test]
fn a_split_view_is_proof_by_itself() {
    let (files, kept) = log();
    let other = rewrite(&files, Some(&key()), |entries| alter(&mut entries[650]));
    let report = audit(&other, &kept);
    let proof = report.misbehaviour.unwrap();
    assert!(
        proof
            .sentence()
            .contains("signed two different logs of 700 entries")
    );
    let text = proof.to_string();
    Misbehaviour::check(text.as_bytes(), &key().verifier()).unwrap();

    // Without any file: two notes are enough.
    let shown = SignedCheckpoint::open(&other["checkpoint"], &key().verifier()).unwrap();
    assert_eq!(Misbehaviour::same_size(&kept[1], &shown).unwrap(), proof);
    // An honest log cannot be accused.
    assert_eq!(Misbehaviour::same_size(&kept[1], &kept[1]), None);
    assert_eq!(Misbehaviour::same_size(&kept[0], &kept[1]), None);
    assert_eq!(
        Misbehaviour::from_tiles(&kept[0], &kept[1], &files).unwrap(),
        None
    );
    // Files that are not those of the signed tree prove nothing against the log's key.
    let mut damaged = files.clone();
    damaged.get_mut("tile/0/000").unwrap()[0] ^= 1;
    assert_eq!(
        Misbehaviour::from_tiles(&kept[0], &kept[1], &damaged).unwrap(),
        None
    );
    // Nor does a proof under another key, or one that was touched.
    assert!(Misbehaviour::check(text.as_bytes(), &witness().verifier()).is_err());
    for bad in [
        text.replacen("700", "701", 1),
        text.replace("earlier 5", "earlier 4"),
        text[1..].to_owned(),
        String::new(),
    ] {
        assert!(Misbehaviour::check(bad.as_bytes(), &key().verifier()).is_err());
    }
}

#[test]
fn quorum_and_cosigned_checkpoint() {
    let written = write(&[300]);
    let cosigners = [witness().verifier().cosigner()];
    let mut log = Log::open(Folder::create(written.dir.path()).unwrap(), key().verifier()).unwrap();
    let mut keys = keys();
    keys.witnesses = cosigners.to_vec();
    keys.quorum = 1;
    let audit = |keys: &Keys| verify(&Folder::read_only(written.dir.path()), keys, &[], &now());
    assert_eq!(audit(&keys).verdict(), Verdict::NoQuorum);

    let mut checkpoint = log.latest().unwrap().clone();
    checkpoint.cosign(&witness(), 1_795_000_000).unwrap();
    log.cosigned(&checkpoint, &cosigners).unwrap();
    assert_eq!(
        log.latest().unwrap().cosigned_by(&cosigners[0]),
        Some(1_795_000_000)
    );
    assert_eq!(audit(&keys).verdict(), Verdict::Holds);

    // The log grows; the cosigned checkpoint is kept, and the quorum with it.
    log.append(&leaves(300..310), &key()).unwrap();
    let report = verify(
        &Folder::read_only(written.dir.path()),
        &keys,
        &written.checkpoints,
        &now(),
    );
    // What came since is vouched for by nobody else yet, and that is said.
    insta_like(
        &report,
        &[
            "Not checked Entries 300 to 309 are in no checkpoint that the witnesses cosigned (the last is of 2026-11-18T11:06:40Z).",
            "What was checked holds.",
        ],
    );
    let report = audit(&keys);
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    assert_eq!(
        (report.cosigned_size, report.extends.as_slice()),
        (
            300,
            [Extended {
                size: 300,
                kept: None
            }]
            .as_slice()
        )
    );
    assert_eq!(report.cosigned[0].witness, "police.example/bb");
    // One key under two names is one witness.
    keys.witnesses.push(
        witness()
            .verifier()
            .renamed("police.example/cc")
            .unwrap()
            .cosigner(),
    );
    keys.quorum = 2;
    assert_eq!(audit(&keys).verdict(), Verdict::NoQuorum);
    // A rewritten log does not extend what was cosigned.
    let mut files = written.files();
    let mut all = entries(&files, 310);
    alter(&mut all[5]);
    let (rebuilt, edge) = rebuild(&all);
    files.extend(rebuilt);
    let signed = SignedCheckpoint::sign(310, edge.root(), &key()).unwrap();
    files.insert("checkpoint".to_owned(), signed.to_string().into_bytes());
    let report = verify(&files, &keys, &[], &now());
    assert!(report.misbehaviour.is_some(), "{report}");
}

#[test]
fn everything_holds_only_if_the_witnesses_have_seen_all_of_it() {
    let written = write(&[300, 301]);
    let mut keys = keys();
    keys.witnesses = vec![witness().verifier().cosigner()];
    keys.quorum = 1;
    let mut cosigned = written.checkpoints.clone();
    for checkpoint in &mut cosigned {
        checkpoint.cosign(&witness(), 1_795_000_000).unwrap();
    }
    let folder = Folder::read_only(written.dir.path());
    let text = |kept: &[SignedCheckpoint]| {
        let report = verify(&folder, &keys, kept, &now());
        assert_eq!(report.verdict(), Verdict::Holds, "{report}");
        report.to_string()
    };
    // An old checkpoint of the auditor's own has its cosignature, and the log's newest has none.
    let old = text(&cosigned[..1]);
    assert!(
        old.contains("Not checked Entry 300 is in no checkpoint") && old.ends_with("What was checked holds."),
        "{old}"
    );
    assert!(text(&cosigned).ends_with("Everything holds."));
}

/// An agency signs its ledger with its identity key, under another name: its own cosignature shows nothing.
#[test]
fn the_log_is_no_witness_to_itself() {
    let written = write(&[300]);
    let itself = key().renamed("police.example/aa").unwrap();
    let mut checkpoint = written.checkpoints[0].clone();
    checkpoint.cosign(&itself, 1_795_000_000).unwrap();
    let keys = Keys {
        log: key().verifier(),
        witnesses: vec![itself.verifier().cosigner()],
        quorum: 1,
    };
    assert_eq!(keys.cosigned(&checkpoint), []);
    let report = verify(
        &Folder::read_only(written.dir.path()),
        &keys,
        &[checkpoint],
        &now(),
    );
    assert_eq!(report.verdict(), Verdict::NoQuorum, "{report}");
    assert!(
        report.to_string().contains("No key of a witness was given"),
        "{report}"
    );
}

#[test]
fn a_source_that_fails_is_not_called_a_liar() {
    /// Files whose path holds this are not read.
    struct Failing(Files, &'static str);
    impl Source for Failing {
        fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
            match path.contains(self.1) {
                true => Err(std::io::Error::other("connection reset")),
                false => self.0.read(path),
            }
        }
    }
    let (files, kept) = log();
    let report = verify(&Failing(files.clone(), "entries/001"), &keys(), &kept, &now());
    assert_eq!(report.verdict(), Verdict::Incomplete, "{report}");
    assert_eq!((report.entries, report.extends.len()), (SIZE - 256, 2));
    assert!(
        report
            .to_string()
            .contains("UNREAD      The file tile/entries/001"),
        "{report}"
    );
    // Neither entries nor tile: the log may go on behind them.
    let report = verify(&Failing(files.clone(), "001"), &keys(), &kept, &now());
    assert_eq!(report.verdict(), Verdict::Incomplete, "{report}");
    // Nothing at all, with and without a checkpoint from elsewhere.
    for kept in [kept.as_slice(), &[]] {
        let report = verify(&Failing(files.clone(), ""), &keys(), kept, &now());
        assert_eq!(report.verdict(), Verdict::Unread, "{report}");
        let said = report.to_string();
        let mut lines = said.lines();
        assert_eq!(
            lines.next_back(),
            Some("Nothing could be read: nothing is said about this log. Try again.")
        );
        assert!(lines.all(|line| line.starts_with("UNREAD ")), "{said}");
    }
    // What is gone is not excused by what could not be read.
    let mut gone = files;
    gone.retain(|path, _| !path.contains("tile/0/000"));
    let report = verify(&Failing(gone, "entries/001"), &keys(), &kept, &now());
    assert_eq!(report.verdict(), Verdict::Broken, "{report}");
}

#[test]
fn erasures_are_held_to_their_day() {
    let erase = |at: &str, ranges: &mut dyn Iterator<Item = u64>, order: Option<&str>| {
        let erasure = Erasure {
            by: Actor::Node,
            erased: Ranges::take(&mut ranges.peekable()).unwrap(),
            order: order.map(text),
        };
        Entry::new(at.parse().unwrap(), erasure)
    };
    let check = |erasure: Entry| {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(Folder::create(dir.path()).unwrap(), key().verifier()).unwrap();
        let mut all = leaves(0..300);
        all.push(seal(300, &erasure).leaf);
        log.append(&all, &key()).unwrap();
        let options = AuditOptions {
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
            leaves: true,
        };
        verify(log.source(), &keys(), &[], &options)
    };
    // Written on 2026-11-21, kept for three years.
    let due = check(erase("2029-11-22T03:00:00Z", &mut (0..300), None));
    assert_eq!(due.verdict(), Verdict::Holds, "{due}");
    assert_eq!((due.erased, due.due), (300, 300));
    let early = check(erase("2029-11-21T23:59:59Z", &mut (0..300), None));
    assert_eq!(
        early.findings,
        [Finding::EarlyErasure {
            index: 300,
            erased: 0
        }]
    );
    let ordered = check(erase(
        "2027-01-01T00:00:00Z",
        &mut (7..8),
        Some("order of the supervisory authority"),
    ));
    assert_eq!(ordered.verdict(), Verdict::Holds, "{ordered}");
    assert_eq!(
        (ordered.erased, ordered.ordered, due.ordered),
        (1, 1, 0),
        "told apart from what was due"
    );
    insta_like(
        &ordered,
        &[
            "Erasure     1 payloads erased, 1 of them by order; 300 due",
            "By order    7 (entry 300)",
        ],
    );
    assert!(!due.to_string().contains("By order"), "{due}");
    let ordered =
        |which: &mut dyn Iterator<Item = u64>| check(erase("2027-01-01T00:00:00Z", which, Some("order 7")));
    insta_like(
        &ordered(&mut (0..100_u64).filter(|n| matches!(n, 18..=20 | 40..=42 | 44))),
        &["By order    18 to 20, 40 to 42 and 44 (entry 300)"],
    );
    // However many there are, it stays one line.
    let many = ordered(&mut (0..300_u64).step_by(2));
    assert_eq!((many.orders[0].erased.count(), many.more_orders), (150, 0));
    assert!(
        many.to_string().contains(", 36, 38 and 130 more (entry 300)"),
        "{many}"
    );
    let impossible = check(erase("2029-11-22T03:00:00Z", &mut (299..301), None));
    assert_eq!(impossible.findings, [Finding::FalseErasure { index: 300 }]);
}

/// Files that are other ones each time they are read: the second time, what is given here.
struct Fickle {
    files: Files,
    second: Files,
    read: std::cell::RefCell<std::collections::BTreeSet<String>>,
}

impl Source for Fickle {
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        let again = !self.read.borrow_mut().insert(path.to_owned());
        let second = self.second.get(path).filter(|_| again);
        match second {
            // What is gone at the second time could not be read.
            Some(bytes) if bytes.is_empty() => Err(std::io::Error::other("connection reset")),
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.files.read(path),
        }
    }
}

/// Erased before its day, by a log that shows another day whenever it is asked again; small, and so large that the right edge of the tree
/// does not reach back.
#[test]
fn a_day_that_is_another_at_the_second_reading() {
    const EARLY: &str = "2029-11-21";
    for size in [300, 65_536 + 300] {
        let day = |date: &str| Leaf {
            class: Class::Access,
            time: Hour::of(at(0)),
            erase_after: Some(date.parse().unwrap()),
            commitment: Hex([1; 32]),
        };
        let erasure = Leaf {
            class: Class::Erasure {
                erased: Ranges::take(&mut (0..256).peekable()).unwrap(),
                cause: Cause::Due,
            },
            time: Hour::of(format!("{EARLY}T03:00:00Z").parse().unwrap()),
            erase_after: None,
            commitment: Hex([2; 32]),
        };
        let mut all: Vec<Vec<u8>> = (0..size).map(|n| day("2029-11-22").encode(n)).collect();
        all.push(erasure.encode(size));
        let (mut files, edge) = rebuild(&all);
        let signed = SignedCheckpoint::sign(edge.size(), edge.root(), &key()).unwrap();
        files.insert("checkpoint".to_owned(), signed.to_string().into_bytes());
        let audit = |second: Files| {
            let source = Fickle {
                files: files.clone(),
                second,
                read: std::cell::RefCell::default(),
            };
            verify(&source, &keys(), &[], &now())
        };
        let early = Finding::EarlyErasure {
            index: size,
            erased: 0,
        };
        let damaged = Finding::FileDamaged {
            path: "tile/entries/000".to_owned(),
        };
        assert_eq!(audit(Files::new()).findings, [early]);

        let forged: Vec<Vec<u8>> = (0..256).map(|n| day(EARLY).encode(n)).collect();
        let hashes: Vec<Hash> = forged.iter().map(|entry| Hash::leaf(entry)).collect();
        let bundle = ("tile/entries/000".to_owned(), encode_bundle(&forged).unwrap());
        assert_eq!(
            audit([bundle.clone()].into()).findings,
            std::slice::from_ref(&damaged),
            "{size}"
        );
        // Short ones, and the tiles above changed with it.
        let short = encode_bundle(&forged[..1]).unwrap();
        assert_eq!(
            audit([(bundle.0.clone(), short)].into()).findings,
            std::slice::from_ref(&damaged)
        );
        let mut above = bundle_above(&files, size);
        above[..32].copy_from_slice(&Hash::root(&hashes).0);
        let both = [bundle.clone(), ("tile/1/000".to_owned(), above)].into();
        assert_eq!(audit(both).findings, [damaged], "{size}");
        // What cannot be read again accuses nobody.
        let gone = audit([(bundle.0, Vec::new())].into());
        assert_eq!(gone.verdict(), Verdict::Incomplete, "{gone}");
    }
}

/// The tile above the first bundle, or what would stand there.
fn bundle_above(files: &Files, size: u64) -> Vec<u8> {
    match size < 65_536 {
        true => vec![0; 8192],
        false => files["tile/1/000"].clone(),
    }
}

/// Any files under any names: a report, never a panic, and never a false acquittal.
#[test]
fn hostile_logs_are_reported() {
    let (files, kept) = log();
    let mut state = 1u64;
    let mut random = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let paths: Vec<String> = files
        .keys()
        .filter(|path| !path.contains(".p/") || path.ends_with("188") || path.ends_with("p/2"))
        .cloned()
        .collect();
    for round in 0..300 {
        let mut bad = files.clone();
        let path = &paths[random(paths.len())];
        let other = files[&paths[random(paths.len())]].clone();
        let bytes = bad.get_mut(path).unwrap();
        let place = random(bytes.len());
        match round % 5 {
            0 => bytes[place] ^= 1 << random(8),
            1 => bytes.truncate(place),
            2 => bytes.insert(place, 0),
            3 => drop(bytes.drain(place..(place + 300).min(bytes.len()))),
            _ => *bytes = other,
        }
        if bad == files {
            continue;
        }
        let report = audit(&bad, &kept);
        // Whitespace in a signature line and the like is refused as well; nothing that was changed passes.
        assert_ne!(report.verdict(), Verdict::Holds, "round {round}, {path}");
        assert!(report.to_string().len() < 20_000);
    }
    // Wrong in every entry.
    let garbage = rewrite(&files, None, |entries| entries.reverse());
    assert_eq!(audit(&garbage, &kept).verdict(), Verdict::Broken);
    let garbage = rewrite(&files, None, |entries| {
        entries.iter_mut().for_each(|entry| *entry = vec![0]);
    });
    assert_eq!(audit(&garbage, &[]).more_findings, 601);
}
