//! The auditor: files and keys, no node.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::path::Path;

use common::{Ran, concordat, init};
use concordat_ledger::{
    AddCheckpoint, Bundle, Entry, EntryKey, Folder, Hash, Log, Misbehaviour, Opening, Person, Retention,
    SealedEntry, SignIn, SignedCheckpoint, Text,
};
use concordat_note::SigningKey;

fn key(seed: u8, name: &str) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).expect("a key")
}

fn entry(number: u8) -> (SealedEntry, EntryKey) {
    let entry = Entry::new(
        jiff::Timestamp::from_second(1_795_000_000).expect("a time"),
        SignIn {
            by: Person {
                id: Text::new(format!("officer-{number}")).expect("a text"),
                unit: None,
            },
            method: Text::new("client certificate").expect("a text"),
            role: Text::new("officer").expect("a text"),
        },
    );
    let key = EntryKey::new([number; 32]);
    (
        SealedEntry::seal(&entry, Retention::ThreeYears, &key).expect("sealed"),
        key,
    )
}

/// A log of `size` entries in `folder`, cosigned by a partner; gives its newest checkpoint.
fn write(folder: &Path, size: u8) -> SignedCheckpoint {
    let (own, partner) = (key(7, "aa/ledger"), key(8, "bb"));
    let mut log = Log::open(Folder::create(folder).expect("a folder"), own.verifier()).expect("a log");
    let leaves: Vec<_> = (log.size() as u8..size)
        .map(|number| entry(number).0.leaf)
        .collect();
    let mut checkpoint = log.append(&leaves, &own).expect("appended").clone();
    checkpoint.cosign(&partner, 1_795_000_100).expect("cosigned");
    log.cosigned(&checkpoint, &[partner.verifier().cosigner()])
        .expect("kept");
    checkpoint
}

fn audit<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    let words = ["audit"].into_iter().chain(args);
    Ran::from(concordat(words).output().expect("it runs"))
}

#[test]
fn a_ledger_is_verified_from_its_files_and_keys() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let folder = home.path().join("ledger");
    write(&folder, 20);
    let own = key(7, "aa/ledger").verifier().to_string();
    let partner = key(8, "bb").verifier().to_string();
    let (ledger, kept) = (path("ledger"), path("kept"));
    let verify = |more: &[&str]| {
        let words = ["verify", ledger.as_str(), "--key", own.as_str()];
        audit(words.into_iter().chain(more.iter().copied()))
    };

    let holds = verify(&["--witness", &partner, "--keep", &kept]).exits(0);
    assert!(
        holds.stdout.contains("20 read and as signed, access 20"),
        "{}",
        holds.stdout
    );
    assert!(
        holds
            .stdout
            .contains("Not checked No checkpoint of an earlier audit was given")
            && holds.stdout.ends_with("What was checked holds.\n"),
        "{}",
        holds.stdout
    );
    // What was kept is not lost to another audit; one that goes on from it puts the next in its place.
    let there = verify(&["--keep", &kept]).exits(1);
    assert!(there.stderr.contains("kept exists already"), "{}", there.stderr);
    let whole = verify(&["--witness", &partner, "--kept", &kept]).exits(0);
    assert!(whole.stdout.ends_with("Everything holds.\n"), "{}", whole.stdout);
    let json = verify(&["--json"]).exits(0).json();
    assert_eq!(
        (&json[0]["verdict"], &json[0]["size"]),
        (&"holds".into(), &20.into())
    );
    // A key may also be in a file.
    std::fs::write(home.path().join("vkey"), &own).expect("written");
    audit(["verify", &ledger, "--key", &path("vkey")]).exits(0);

    // It grows, and extends what was kept.
    write(&folder, 30);
    let grown = verify(&["--kept", &kept]).exits(0);
    for said in [
        format!("Extends     {kept}, of 20 entries\n"),
        "Extends     its own checkpoint.cosigned, of 30 entries\n".into(),
        "Not checked No key of a witness was given".into(),
    ] {
        assert!(grown.stdout.contains(&said), "{said}{}", grown.stdout);
    }
    let unasked = verify(&["--witness", &partner, "--quorum", "0", "--json", "--kept", &kept]).exits(0);
    let unasked = unasked.json().remove(0);
    assert_eq!(
        unasked["not_checked"].as_array().map(Vec::len),
        Some(1),
        "{unasked}"
    );
    assert_eq!(
        unasked["extends"][0],
        serde_json::json!({ "size": 20, "kept": &kept })
    );
    verify(&["--kept", &kept, "--keep", &kept]).exits(0);
    let newer = verify(&["--kept", &kept]).exits(0).stdout;
    assert!(newer.contains(&format!("Extends     {kept}, of 30")), "{newer}");

    // Somebody who never cosigned.
    let stranger = key(9, "cc").verifier().to_string();
    let lonely = verify(&["--witness", &stranger]).exits(4);
    assert!(lonely.stdout.contains("too few witnesses"), "{}", lonely.stdout);
    // Another key, no key, no folder.
    audit([
        "verify",
        &ledger,
        "--key",
        &key(9, "aa/ledger").verifier().to_string(),
    ])
    .exits(1);
    let nonsense = audit(["verify", &ledger, "--key", "a+b"]).exits(1);
    assert!(nonsense.stderr.contains("not a key"), "{}", nonsense.stderr);
    audit(["verify", &path("nothing"), "--key", &own]).exits(1);
    verify(&["--quorum", "2"]).exits(2);

    // Changed.
    let bundle = folder.join("tile/entries/000.p/30");
    let mut bytes = std::fs::read(&bundle).expect("entries");
    let at = bytes
        .windows(14)
        .position(|window| window == b"\"commitment\":\"")
        .expect("a commitment")
        + 14;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    std::fs::write(&bundle, bytes).expect("written");
    let broken = verify(&["--keep", &path("never")]).exits(1);
    assert!(
        broken.stdout.contains("BROKEN      Entry 0 was altered."),
        "{}",
        broken.stdout
    );
    assert!(
        !Path::new(&path("never")).exists(),
        "what does not hold is not kept"
    );
}

/// A folder, a key or an address that was mixed up is not called a forgery; a forgery is.
#[test]
fn what_was_mixed_up_is_not_called_broken() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let node = home.path().to_str().expect("text");
    let checkpoint = write(&home.path().join("ledger"), 20);
    let ledger = path("ledger");
    let own = key(7, "aa/ledger").verifier().to_string();
    let mixed_up = |args: &[&str], code: i32, said: &[&str]| {
        let ran = audit(args.iter().copied()).exits(code);
        for said in said {
            assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
        }
        assert!(!ran.stdout.contains("BROKEN"), "{}", ran.stdout);
    };
    let folder = ["verify", node, "--log-key", &own];
    mixed_up(
        &folder,
        1,
        &["holds no ledger", &format!("its ledger is in {ledger}")],
    );
    std::fs::create_dir(path("empty")).expect("made");
    let empty = ["verify", &path("empty"), "--log-key", &own];
    mixed_up(&empty, 1, &["empty holds no ledger", "the folder `ledger`"]);
    let others = key(8, "bb/ledger").verifier().to_string();
    let other = ["verify", &ledger, "--log-key", &others];
    mixed_up(
        &other,
        1,
        &["signed under another name: aa/ledger, not bb/ledger"],
    );
    let identity = key(7, "aa").verifier().to_string();
    let identity = ["verify", &ledger, "--log-key", &identity];
    mixed_up(
        &identity,
        1,
        &["this is the identity key of aa", &format!("is {own}")],
    );
    let witness = ["verify", &ledger, "--log-key", &own, "--witness", &others];
    mixed_up(&witness, 1, &["the key of bb/ledger, which cosigns nothing"]);
    std::fs::write(path("tls.key"), "-----BEGIN PRIVATE KEY-----\n").expect("written");
    let tls = ["verify", &ledger, "--log-key", &path("tls.key")];
    mixed_up(&tls, 1, &["tls.key holds a key or certificate of TLS"]);

    // Nobody answers there.
    let [port] = common::free_ports();
    let url = format!("http://127.0.0.1:{port}");
    let silent = audit(["verify", &url, "--log-key", &own]).exits(6).stdout;
    assert!(
        silent.contains("UNREAD ") && !silent.contains("BROKEN"),
        "{silent}"
    );
    std::fs::write(path("kept"), checkpoint.to_string()).expect("written");
    let kept = [
        "verify",
        &url,
        "--log-key",
        &own,
        "--kept",
        &path("kept"),
        "--json",
    ];
    assert_eq!(audit(kept).exits(6).json()[0]["verdict"], "unread");
    std::fs::write(path("export"), "").expect("written");
    let one = [
        "reconcile",
        &path("export"),
        "--files",
        &ledger,
        "--log-key",
        &own,
    ];
    let two = ["--other-files", &url, "--other-log-key", &others];
    mixed_up(&[one.as_slice(), &two].concat(), 6, &["UNREAD", &url]);

    // Another log's checkpoint among these files, and none at all: that is no mistake of the auditor.
    let foreign = SignedCheckpoint::sign(20, Hash([1; 32]), &key(8, "bb/ledger")).expect("signed");
    std::fs::write(path("ledger/checkpoint"), foreign.to_string()).expect("written");
    let swapped = audit(["verify", &ledger, "--log-key", &own]).exits(1).stdout;
    assert!(
        swapped.contains("BROKEN      The checkpoint was swapped"),
        "{swapped}"
    );
    // Nor is a checkpoint whose name was changed: what the key has signed says whose it was.
    let renamed = checkpoint.to_string().replacen("aa/ledger", "bb/ledger", 1);
    let empty = SignedCheckpoint::sign(0, Hash::root(&[]), &key(8, "bb/ledger")).expect("signed");
    for staged in [renamed, empty.to_string()] {
        std::fs::write(path("ledger/checkpoint"), &staged).expect("written");
        for cosigned in [true, false] {
            let aside = [path("ledger/checkpoint.cosigned"), path("aside")];
            if !cosigned {
                std::fs::rename(&aside[0], &aside[1]).expect("moved");
            }
            let swapped = audit(["verify", &ledger, "--log-key", &own]).exits(1).stdout;
            assert!(swapped.contains("BROKEN"), "{cosigned}: {staged}{swapped}");
            if !cosigned {
                std::fs::rename(&aside[1], &aside[0]).expect("moved");
            }
        }
    }
    std::fs::remove_file(path("ledger/checkpoint")).expect("removed");
    std::fs::remove_file(path("ledger/checkpoint.cosigned")).expect("removed");
    let gone = audit(["verify", &ledger, "--log-key", &own]).exits(1).stdout;
    assert!(gone.contains("BROKEN      The checkpoint is missing"), "{gone}");
}

#[test]
fn a_bundle_proves_one_entry_and_a_proof_convicts() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let own = key(7, "aa/ledger");
    let checkpoint = write(&home.path().join("ledger"), 20);
    let (sealed, entry_key) = entry(5);
    let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key).expect("it opens");
    let files = Folder::read_only(&home.path().join("ledger"));
    let bundle = Bundle::new(&files, 5, &checkpoint, Some(opening))
        .expect("a bundle")
        .to_string();
    std::fs::write(path("bundle"), &bundle).expect("written");
    let vkey = own.verifier().to_string();
    let proven = audit(["check-bundle", &path("bundle"), "--key", &vkey]).exits(0);
    for said in [
        "officer-5",
        "in the ledger aa/ledger of 20 entries",
        "written in the hour from 2026-11-18T",
        "Nobody whose key was given has cosigned",
    ] {
        assert!(proven.stdout.contains(said), "{said} in {}", proven.stdout);
    }
    let partner = key(8, "bb").verifier().to_string();
    let check = ["check-bundle", &path("bundle"), "--log-key", &vkey];
    let seen = audit(check.into_iter().chain(["--witness", &partner])).exits(0);
    assert!(
        seen.stdout
            .contains("This checkpoint was cosigned by bb at 2026-11-18T"),
        "{}",
        seen.stdout
    );
    // Somebody who never cosigned.
    let stranger = key(9, "cc").verifier().to_string();
    let few = audit(check.into_iter().chain(["--witness", &stranger])).exits(4);
    assert!(
        few.stdout
            .contains("Too few witnesses have cosigned: 0 of 1 needed")
    );
    let others = key(8, "bb/ledger").verifier().to_string();
    let other = audit(["check-bundle", &path("bundle"), "--log-key", &others]).exits(1);
    assert!(
        other
            .stderr
            .contains("signed under another name: aa/ledger, not bb/ledger"),
        "{}",
        other.stderr
    );
    // One sign of the middle, where the proof and what it says are.
    let mut bytes = bundle.into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    std::fs::write(path("bundle"), bytes).expect("written");
    audit(["check-bundle", &path("bundle"), "--key", &vkey]).exits(1);

    let other = SignedCheckpoint::sign(20, Hash([1; 32]), &own).expect("signed");
    let proof = Misbehaviour::same_size(&checkpoint, &other)
        .expect("a contradiction")
        .to_string();
    std::fs::write(path("proof"), &proof).expect("written");
    let convicted = audit(["check-misbehaviour", &path("proof"), "--key", &vkey]).exits(0);
    assert!(
        convicted.stdout.contains("two different logs"),
        "{}",
        convicted.stdout
    );
    // An audit that finds it writes a proof.
    std::fs::write(path("kept"), other.to_string()).expect("written");
    let verify = ["verify", &path("ledger"), "--log-key", &vkey];
    let found = ["--kept", &path("kept"), "--proof", &path("found")];
    let broken = audit(verify.into_iter().chain(found)).exits(1);
    assert!(broken.stdout.contains("PROOF"), "{}", broken.stdout);
    audit(["check-misbehaviour", &path("found"), "--log-key", &vkey]).exits(0);
    // There is none where everything holds.
    audit(verify.into_iter().chain(["--proof", &path("none")])).exits(0);
    assert!(!std::path::Path::new(&path("none")).exists());
    // Two checkpoints that go together prove nothing.
    let request = AddCheckpoint {
        old_size: 0,
        proof: vec![],
        checkpoint: checkpoint.to_string(),
    };
    std::fs::write(path("proof"), request.to_string()).expect("written");
    audit(["check-misbehaviour", &path("proof"), "--key", &vkey]).exits(1);
}

/// A decision document, approved by two people with passkeys and one with a file key; as the ledger holds it.
fn decision() -> (&'static str, concordat_ledger::Decision) {
    use concordat_disclosure::software_passkey::SoftwarePasskey;
    use concordat_disclosure::{Document, FileKey, RelyingParty};
    use concordat_ledger::{Approved, CaseStep, Console, Hex, Outcome, Side, Stated};
    // What matters here is that these bytes, and no others, were signed.
    let document =
        r#"{"body":{"released":[{"field":"b","values":["Example"]}]},"kind":"concordat/v1/decision"}"#;
    let digest = Hex(<sha2::Sha256 as sha2::Digest>::digest(document).into());
    let text = |text: &str| Text::new(text).expect("a text");
    let person = |id: &str| Person {
        id: text(id),
        unit: None,
    };
    let origin = text("https://console.bb.example");
    let console = RelyingParty {
        id: text("bb.example"),
        origins: [origin.clone()].into(),
    };
    let mut keys = [[1; 32], [2; 32]].map(|secret| SoftwarePasskey::new(&secret).expect("a key"));
    let mut sign = |key: usize, id: &str| keys[key].approve(&text(id), &digest, &console).expect("signed");
    let approvals = [
        sign(0, "anna"),
        sign(1, "ben"),
        FileKey::from_seed(&[3; 32]).approve(&text("cleo"), &digest),
    ];
    let approvals = approvals.map(|approval| Approved {
        by: person(approval.officer.as_str()),
        approval: approval.encode().expect("canonical"),
    });
    let decision = concordat_ledger::Decision {
        step: CaseStep {
            exchange: Hex([1; 16]),
            case: Hex([2; 16]),
            side: Side::Owner,
            step: 7,
            digest: Hex([3; 32]),
        },
        by: person("anna"),
        partner: text("aa"),
        outcome: Outcome::Released,
        stated: Stated {
            purpose: text("FUGITIVE"),
            legal_basis: text("Art. 26"),
        },
        ground: None,
        request: Hex([4; 32]),
        document: digest,
        approvals: approvals.into(),
        console: Console {
            id: text("bb.example"),
            origins: vec![origin],
        },
    };
    (document, decision)
}

/// A bundle in `folder` that opens an entry with this decision; gives its path and the key of its log.
fn bundle_of(folder: &Path, decision: concordat_ledger::Decision) -> (String, String) {
    let own = key(7, "bb/ledger");
    let at = jiff::Timestamp::from_second(1_795_000_000).expect("a time");
    let (entry, entry_key) = (Entry::new(at, decision), EntryKey::new([9; 32]));
    let sealed = SealedEntry::seal(&entry, Retention::ThreeYears, &entry_key).expect("sealed");
    let log_folder = tempfile::tempdir_in(folder).expect("a folder");
    let mut log = Log::open(
        Folder::create(log_folder.path()).expect("a folder"),
        own.verifier(),
    )
    .expect("a log");
    let checkpoint = log.append([&sealed.leaf], &own).expect("appended").clone();
    let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key).expect("it opens");
    let bundle = Bundle::new(log.source(), 0, &checkpoint, Some(opening)).expect("a bundle");
    let path = folder.join("decision.bundle");
    std::fs::write(&path, bundle.to_string()).expect("written");
    (
        path.to_str().expect("text").to_owned(),
        own.verifier().to_string(),
    )
}

/// Whoever shows something false may write it so that a terminal wipes out what we say about it.
#[test]
fn nothing_that_is_shown_steers_a_terminal() {
    const HOSTILE: &str = "x\u{9b}2J\u{9b}8m\u{7f}\u{202e}\u{2066}\u{200b}\u{e0041}";
    const SHOWN: &str = r"x\u009b2J\u009b8m\u007f\u202e\u2066\u200b\udb40\udc41";
    let steers = |text: &str| {
        let hidden = |c: char| HOSTILE.contains(c) && !c.is_ascii_graphic();
        text.contains(hidden)
    };
    let home = tempfile::tempdir().expect("a folder");
    let (_, mut decision) = decision();
    decision.approvals[0].approval = HOSTILE.to_owned();
    let (bundle, key) = bundle_of(home.path(), decision);
    let check = ["check-bundle", &bundle, "--log-key", &key];
    let shown = audit(check).exits(1).stdout;
    assert!(
        shown.contains(SHOWN) && shown.contains("BROKEN") && !steers(&shown),
        "{shown:?}"
    );
    let json = audit(check.into_iter().chain(["--json"])).exits(1);
    assert!(!steers(&json.stdout), "{:?}", json.stdout);
    assert_eq!(
        json.json()[0]["entry"]["event"]["approvals"][0]["approval"],
        HOSTILE
    );

    // A name that nobody has signed.
    let file = std::fs::read_to_string(&bundle).expect("the bundle");
    let named = file.replace("\nbb/ledger\n", &format!("\n{HOSTILE}\n"));
    std::fs::write(&bundle, named).expect("written");
    for form in [None, Some("--json")] {
        let other = audit(check.into_iter().chain(form)).exits(1).stderr;
        let said = format!("signed under another name: {SHOWN}, not bb/ledger");
        assert!(other.contains(&said) && !steers(&other), "{other:?}");
    }
}

#[test]
fn who_approved_a_decision_is_verified_from_its_entry() {
    let home = tempfile::tempdir().expect("a folder");
    let (document, good) = decision();
    let file = home.path().join("document");
    let file = file.to_str().expect("text");
    let check = |decision: &concordat_ledger::Decision, document: &str| {
        let (bundle, key) = bundle_of(home.path(), decision.clone());
        std::fs::write(file, document).expect("written");
        audit(["check-bundle", &bundle, "--key", &key, "--document", file])
    };

    let holds = check(&good, document).exits(0).stdout;
    for said in [
        "Approved by anna with the passkey ",
        "Approved by ben with the passkey ",
        "Approved by cleo with the file key ",
        "The document is the one that was signed.",
    ] {
        assert!(holds.contains(said), "{said}: {holds}");
    }
    assert_eq!(holds.matches(": holds\n").count(), 3, "{holds}");
    let (bundle, key) = bundle_of(home.path(), good.clone());
    let json = audit(["check-bundle", &bundle, "--key", &key, "--json"])
        .exits(0)
        .json();
    assert_eq!(json[0]["approvals"][2]["key"], "file key");
    assert_eq!(json[0]["approvals"][2]["holds"], true);

    // One value of the decision is another: it is not what they signed.
    let forged = document.replace("Example", "Example2");
    let broken = check(&good, &forged).exits(1).stdout;
    assert!(broken.contains("BROKEN: the document is not the one"), "{broken}");
    let mut other = good.clone();
    other.document = concordat_ledger::Hex(<sha2::Sha256 as sha2::Digest>::digest(&forged).into());
    let broken = check(&other, &forged).exits(1).stdout;
    assert_eq!(
        broken.matches("BROKEN: the signature does not hold").count(),
        3,
        "{broken}"
    );

    // Somebody else's name, one officer twice, nobody, another page, nonsense.
    let mut named = good.clone();
    named.approvals[0].by.id = Text::new("eve").expect("a text");
    let broken = check(&named, document).exits(1).stdout;
    assert!(
        broken.contains("Approved by eve") && broken.contains("(officer) [DISC-040]"),
        "{broken}"
    );
    let mut twice = good.clone();
    twice.approvals[1] = twice.approvals[0].clone();
    let broken = check(&twice, document).exits(1).stdout;
    assert!(broken.contains("[DISC-047]"), "{broken}");
    let mut nobody = good.clone();
    nobody.approvals.clear();
    let broken = check(&nobody, document).exits(1).stdout;
    assert!(broken.contains("BROKEN: nobody has approved it"), "{broken}");
    let mut elsewhere = good.clone();
    elsewhere.console.origins = vec![Text::new("https://evil.bb.example").expect("a text")];
    let broken = check(&elsewhere, document).exits(1).stdout;
    assert_eq!(
        broken.matches("[DISC-042]").count(),
        2,
        "the file key signs on no page: {broken}"
    );
    let mut nonsense = good;
    nonsense.approvals[2].approval = "{}".into();
    let broken = check(&nonsense, document).exits(1).stdout;
    assert!(
        broken.contains("with something that is no approval: BROKEN"),
        "{broken}"
    );
}

/// What is done in the folder of a node that does not run is in its ledger too.
#[tokio::test]
async fn clients_of_a_stopped_node_are_on_record() {
    let home = tempfile::tempdir().expect("a folder");
    let dir = init(home.path(), "aa");
    let dir = dir.to_str().expect("text");
    let run = |line: &str| Ran::from(concordat(line.split(' ')).output().expect("it runs"));
    run(&format!("client add gate-7 --dir {dir}")).exits(0);
    run(&format!("client revoke gate-7 --dir {dir}")).exits(0);
    run(&format!("client revoke gate-7 --dir {dir}")).exits(1);
    let config = Path::new(dir).join("concordat.toml");
    let config = concordat_node::config::Config::load(&config).expect("a configuration");
    let entropy = concordat_node::Outside::default().store_entropy;
    let store = concordat_node::open_store(&config, entropy)
        .await
        .expect("a store");
    let entries = store
        .ledger_entries(&concordat_store::EntryFilter::default(), 100)
        .await
        .expect("entries");
    let changes: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == "client.changed")
        .map(|entry| {
            let leaf = std::str::from_utf8(&entry.leaf).expect("text");
            let leaf = concordat_ledger::Leaf::parse_draft(leaf).expect("a leaf");
            let (payload, key) = entry.sealed.as_ref().expect("not erased");
            let opening = Opening::unseal(&leaf, payload, &EntryKey::new(**key)).expect("it opens");
            match opening.verify(&leaf).expect("an entry").event {
                concordat_ledger::Event::ClientChanged(changed) => {
                    (changed.client.as_str().to_owned(), changed.change)
                }
                _ => panic!("a change"),
            }
        })
        .collect();
    use concordat_ledger::ClientChange::{Added, Revoked};
    let name = |name: &str| name.to_owned();
    assert_eq!(
        changes,
        [
            (name("admin"), Added),
            (name("gate-7"), Added),
            (name("gate-7"), Revoked)
        ]
    );
}

/// Writes entries as `audit open --export` does.
fn export(path: &str, entries: &[(u64, u8)]) {
    let entries: Vec<_> = entries
        .iter()
        .map(|(number, who)| (*number, entry(*who)))
        .collect();
    export_sealed(path, entries.iter().map(|(number, sealed)| (*number, sealed)));
}

fn export_sealed<'a>(path: &str, entries: impl Iterator<Item = (u64, &'a (SealedEntry, EntryKey))>) {
    let lines = entries.map(|(number, (sealed, key))| {
        let leaf = String::from_utf8(sealed.leaf.encode(number)).expect("text");
        let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, key).expect("it opens");
        format!(
            "{}\n",
            serde_json::json!({ "number": number, "leaf": leaf, "opening": opening.encode().expect("text") })
        )
    });
    std::fs::write(path, lines.collect::<String>()).expect("written");
}

/// Seals what happened at that time.
fn sealed(at: &str, event: impl Into<concordat_ledger::Event>) -> (SealedEntry, EntryKey) {
    let entry = Entry::new(at.parse().expect("a time"), event);
    let key = EntryKey::new([9; 32]);
    (
        SealedEntry::seal(&entry, Retention::ThreeYears, &key).expect("sealed"),
        key,
    )
}

/// Appends to the log in `folder` what is not in it yet.
fn write_sealed(folder: &Path, own: &SigningKey, entries: &[(SealedEntry, EntryKey)]) -> SignedCheckpoint {
    let mut log = Log::open(Folder::create(folder).expect("a folder"), own.verifier()).expect("a log");
    let new = &entries[log.size() as usize..];
    let leaves: Vec<_> = new.iter().map(|(sealed, _)| sealed.leaf.clone()).collect();
    log.append(&leaves, own).expect("appended").clone()
}

fn erasure(at: &str, erased: std::ops::Range<u64>, order: Option<&str>) -> (SealedEntry, EntryKey) {
    let erasure = concordat_ledger::Erasure {
        by: concordat_ledger::Actor::Node,
        erased: concordat_ledger::Ranges::take(&mut erased.peekable()).expect("entries"),
        order: order.map(|order| Text::new(order).expect("a text")),
    };
    sealed(at, erasure)
}

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
    let refused = sample("s1", &["--checkpoint", &alone, "--witness", &partner]).exits(1);
    assert!(
        refused.stderr.contains("0 of the witnesses have cosigned"),
        "{}",
        refused.stderr
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
    assert_eq!(whole.json()[0]["erased_by_order"], 1);
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
        "Not compared: 1 decision.",
        "Not checked: Whether each ledger is the one that was shown to others",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // One that is in no leaf of the owner is missing.
    let [missing, _] = reconcile(&[0, 1, 2, 3, 4], &[1, 2, 3]);
    let missing = missing.exits(1).stdout;
    assert!(missing.contains("the owner did not log it"), "{missing}");
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
}
