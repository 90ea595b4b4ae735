//! The auditor: files and keys, no node.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
#[path = "common/ledgers.rs"]
mod ledgers;

use std::path::Path;

use common::{Ran, concordat, init};
use concordat_ledger::{
    AddCheckpoint, Bundle, EntryKey, Folder, Hash, Misbehaviour, Opening, SignedCheckpoint, Text,
};
use ledgers::{audit, bundle_of, decision, entry, key, write};

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
    let told = verify(&["--kept", &kept, "--keep", &kept]).exits(0).stderr;
    assert!(told.contains(&format!("Kept {kept}.")), "{told}");
    let newer = verify(&["--kept", &kept]).exits(0).stdout;
    assert!(newer.contains(&format!("Extends     {kept}, of 30")), "{newer}");

    // Somebody who never cosigned.
    let stranger = key(9, "cc").verifier().to_string();
    let lonely = verify(&["--witness", &stranger]).exits(4);
    assert!(
        lonely.stdout.contains("too few witnesses")
            && lonely
                .stdout
                .contains("0 have cosigned, 1 needed\n            not cosigned by cc\n"),
        "{}",
        lonely.stdout
    );
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
        broken.stderr.contains("Not kept: something does not hold."),
        "{}",
        broken.stderr
    );
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

    // Keys in files: none, a witness's where a ledger's belongs, and what a witness printed when it was ready.
    std::fs::write(path("text"), "no key\n").expect("written");
    let text = ["verify", &ledger, "--log-key", &path("text")];
    mixed_up(&text, 1, &["text is not a key\n"]);
    let cosigner = key(8, "bb").verifier().cosigner().to_string();
    let cosigns = ["verify", &ledger, "--log-key", &cosigner];
    mixed_up(&cosigns, 1, &["this is the key of a witness"]);
    for printed in [
        format!("witnessing on http://127.0.0.1:7 with the key\n{cosigner}\n"),
        format!("{{\"key\":\"{cosigner}\",\"listen\":\"127.0.0.1:7\"}}\n"),
    ] {
        std::fs::write(path("witness"), printed).expect("written");
        audit([
            "verify",
            &ledger,
            "--log-key",
            &own,
            "--witness",
            &path("witness"),
        ])
        .exits(0);
    }
    // What nobody signed is no agreement, and an empty file no checkpoint.
    let draft = ["verify", &ledger, "--agreement", &path("text"), "--agency", "aa"];
    mixed_up(
        &draft,
        1,
        &["text is not a signed agreement", "concordat agreement sign"],
    );
    std::fs::write(path("nothing"), "").expect("written");
    let nothing = ["verify", &ledger, "--log-key", &own, "--kept", &path("nothing")];
    mixed_up(
        &nothing,
        1,
        &["nothing is no checkpoint of this ledger", "--keep"],
    );

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
