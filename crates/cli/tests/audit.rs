//! The auditor: files and keys, no node.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::path::Path;

use common::{Ran, concordat};
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
        SealedEntry::seal(&entry, &Retention::three_years(), &key).expect("sealed"),
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
    assert!(holds.stdout.ends_with("Everything holds.\n"), "{}", holds.stdout);
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
    assert!(
        grown.stdout.contains("Extends     the checkpoints of 20"),
        "{}",
        grown.stdout
    );

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
    assert!(proven.stdout.contains("officer-5"), "{}", proven.stdout);
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
    // Two checkpoints that go together prove nothing.
    let request = AddCheckpoint {
        old_size: 0,
        proof: vec![],
        checkpoint: checkpoint.to_string(),
    };
    std::fs::write(path("proof"), request.to_string()).expect("written");
    audit(["check-misbehaviour", &path("proof"), "--key", &vkey]).exits(1);
}

/// What is done in the folder of a node that does not run is in its ledger too.
#[tokio::test]
async fn clients_of_a_stopped_node_are_on_record() {
    let home = tempfile::tempdir().expect("a folder");
    let dir = home.path().join("node");
    let dir = dir.to_str().expect("text");
    let run = |line: &str| Ran::from(concordat(line.split(' ')).output().expect("it runs"));
    run(&format!("init --agency-id aa --agency-name Agency --dir {dir}")).exits(0);
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
