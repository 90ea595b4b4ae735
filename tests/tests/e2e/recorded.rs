//! What is on record is what happened, whenever the node dies; and no identifier is in what is published of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use concordat_identifiers::derive;
use concordat_ledger::{AuditOptions, Class, ClientChange, Event, Folder, Keys, Leaf, Verdict, verify};
use concordat_node::config::Config;
use concordat_node::ledger::key_of;
use concordat_node::tls::{self, Credentials};
use concordat_node::{Outside, erasure, identity, open_store};
use concordat_store::{EntryFilter, LedgerEntry};
use concordat_synthetic::{Spec, World};
use concordat_tests::{Agency, OWNER, Pair, Record, Run, Terms, document, import_messages, person, wait_for};
use concordat_wire::v1::node_service_client::NodeServiceClient;
use concordat_wire::v1::{
    AddClientRequest, CapabilitiesRequest, ImportOpen, InfoRequest, ListListsRequest, RevokeClientRequest,
    import_response,
};

use crate::hostile_requester::listed;
use crate::ledger::{all_bytes, copy, empty, entries_on_disk, holds};
use crate::matching::records;
use crate::tls::{channel, client_config, stranger};

const FOUR_YEARS: i64 = 4 * 366 * 86_400;

fn child() -> Run {
    Run::Child(PathBuf::from(env!("CARGO_BIN_EXE_concordat-test-node")))
}

fn passports(round: usize, count: usize) -> Vec<Record> {
    let one = |number: usize| Record {
        source_id: format!("r{round}-{number}"),
        subject: Some(person(
            vec![],
            vec![],
            vec![document(&format!("Z{round:02}{number:05}"), "NLD")],
        )),
    };
    (0..count).map(one).collect()
}

/// Imports of different sizes, each killed at another moment: the records there are are those that the entries explain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_an_import_the_ledger_says_what_took_effect() {
    let mut agency = Agency::configured(OWNER, child(), &[]).await;
    let began = std::time::Instant::now();
    agency.replace_list("wanted", &passports(0, 300)).await;
    let whole = began.elapsed();
    let mut acknowledged = 1;
    for round in 1..=10 {
        let mut lines = Vec::new();
        for record in passports(round, 300 + round) {
            let subject =
                concordat_wire::subject_from_proto(&record.subject.expect("one")).expect("a subject");
            let line = serde_json::json!({ "source_id": record.source_id, "subject": subject });
            lines.extend(format!("{line}\n").into_bytes());
        }
        let open = ImportOpen {
            list: "wanted".into(),
            format: "jsonl".into(),
            allow_shrink: true,
            ..ImportOpen::default()
        };
        let messages = import_messages(open, &[("list.jsonl", &lines)]);
        let mut lists = agency.watchlists();
        let importing = tokio::spawn(async move {
            let answers = lists.import(tokio_stream::iter(messages)).await;
            let Ok(mut answers) = answers.map(tonic::Response::into_inner) else {
                return false;
            };
            while let Ok(Some(answer)) = answers.message().await {
                if matches!(answer.message, Some(import_response::Message::Summary(_))) {
                    return true;
                }
            }
            false
        });
        // Before, while and after it takes effect.
        tokio::time::sleep(whole * (50 + 10 * round as u32) / 100).await;
        agency.kill().await;
        acknowledged += usize::from(importing.await.expect("ended"));

        let entries = entries_on_disk(&agency).await;
        let imports: Vec<_> = entries
            .iter()
            .filter_map(|(_, entry)| match &entry.event {
                Event::Import(import) => Some((import.added, import.changed, import.removed)),
                _ => None,
            })
            .collect();
        assert!(imports.len() >= acknowledged, "round {round}: {imports:?}");
        let explained: i64 = imports
            .iter()
            .map(|(added, _, removed)| *added as i64 - *removed as i64)
            .sum();
        agency.start().await;
        let lists = agency.watchlists().list_lists(ListListsRequest {}).await;
        let there = lists.expect("lists").into_inner().lists[0].records;
        assert_eq!(explained, there as i64, "round {round}: {imports:?}");
    }
}

/// The entries whose payload is gone, and those of which an erasure says so.
fn gone_and_said(entries: &[LedgerEntry]) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let gone = entries.iter().filter(|entry| entry.sealed.is_none());
    let said = entries.iter().flat_map(|entry| {
        let leaf = Leaf::parse_draft(std::str::from_utf8(&entry.leaf).expect("text")).expect("a leaf");
        match leaf.class {
            Class::Erasure { erased, .. } => erased.iter().flatten().collect::<Vec<_>>(),
            _ => Vec::new(),
        }
    });
    (gone.map(|entry| entry.number).collect(), said.collect())
}

pub(crate) async fn all_on_disk(agency: &Agency) -> Vec<LedgerEntry> {
    let config = Config::load(&agency.folder().join("concordat.toml")).expect("a config");
    // A process that was killed may hold the folder for a moment longer.
    let mut tries = 0..250;
    let store = loop {
        match open_store(&config, Outside::default().store_entropy).await {
            Ok(store) => break store,
            Err(error) => assert!(tries.next().is_some(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let entries = store.ledger_entries(&EntryFilter::default(), u32::MAX).await;
    store.close().await;
    entries.expect("entries")
}

/// The node erases what is due as soon as it starts, and is killed at another moment each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_an_erasure_either_all_of_it_happened_or_nothing() {
    let mut agency = Agency::configured(OWNER, child(), &[]).await;
    agency.create_list("wanted").await;
    for round in 0..4 {
        agency.upsert("wanted", passports(round, 400)).await;
    }
    agency.stop().await;
    let before = all_on_disk(&agency).await;
    let due = before.iter().filter(|entry| entry.kind == "record.changed");
    let due: BTreeSet<u64> = due.map(|entry| entry.number).collect();
    assert_eq!(due.len(), 1_600);
    let backup = tempfile::tempdir().expect("a folder");
    copy(agency.folder(), backup.path());
    agency.clock.advance(FOUR_YEARS);
    // The erasure begins with the start, and goes on after it.
    let began = std::time::Instant::now();
    agency.start().await;
    let start = began.elapsed();
    agency.kill().await;
    for round in 0..16 {
        empty(agency.folder());
        copy(backup.path(), agency.folder());
        // A start that is given up is killed, the same as one that was told.
        let moment = tokio::time::Instant::now() + start * (80 + 12 * round) / 100;
        if tokio::time::timeout_at(moment, agency.try_start()).await.is_ok() {
            tokio::time::sleep_until(moment).await;
            agency.kill().await;
        }
        let (gone, said) = gone_and_said(&all_on_disk(&agency).await);
        assert_eq!(gone, said, "round {round}");
    }

    // Whatever the last one left is finished, and the log still holds.
    agency.start().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut entries = Vec::new();
    for _ in 0..20 {
        agency.stop().await;
        entries = all_on_disk(&agency).await;
        if due.is_subset(&gone_and_said(&entries).0) {
            break;
        }
        agency.start().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (gone, said) = gone_and_said(&entries);
    assert!(due.is_subset(&gone), "what was due is gone");
    assert_eq!(gone, said);
    let files = all_bytes(agency.folder());
    let sealed = before
        .iter()
        .filter(|entry| due.contains(&entry.number))
        .step_by(97);
    for (payload, _) in sealed.filter_map(|entry| entry.sealed.as_ref()) {
        assert!(!holds(&files, payload), "gone from every file");
    }
    let log = key_of(&agency.identity().signing.verifier()).expect("a key");
    let folder = Folder::read_only(&agency.folder().join("ledger"));
    let options = AuditOptions {
        now: concordat_node::clock::Clock::now(&*agency.clock),
        leaves: true,
    };
    let report = verify(&folder, &Keys::of(log), &[], &options);
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    assert_eq!(report.erased, gone.len() as u64);
}

/// Every identifier of a list, as it is derived and as it was written.
fn secrets(records: &[Record]) -> Vec<Vec<u8>> {
    let mut secrets = Vec::new();
    for record in records {
        let subject = record.subject.as_ref().expect("a subject");
        let names = subject
            .names
            .iter()
            .flat_map(|name| [&name.primary, &name.secondary]);
        let numbers = subject.documents.iter().map(|document| &document.number);
        let written = names.chain(numbers).filter(|text| text.len() >= 4);
        secrets.extend(written.map(|text| text.clone().into_bytes()));
        let subject = concordat_wire::subject_from_proto(subject).expect("a subject");
        let derived = derive(&subject, jiff::civil::date(2026, 3, 2)).identifiers;
        for identifier in derived {
            secrets.push(identifier.canonical().to_vec());
            secrets.push(hex::encode(identifier.canonical()).into_bytes());
        }
    }
    secrets.sort();
    secrets.dedup();
    secrets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_published_of_lists_and_erasures_holds_an_identifier() {
    let world = World::new(Spec {
        seed: 23,
        left: 25,
        right: 5,
        overlap: 2,
        reference_date: jiff::civil::date(2026, 3, 2),
    });
    let list = records(world.expect("a world").left());
    let secrets = secrets(&list);
    assert!(secrets.len() > 100, "{}", secrets.len());
    let agency = Agency::new(OWNER).await;
    agency.replace_list("wanted", &list).await;
    // Each record alone, changed and removed, and then what all that said is erased.
    let mut fewer = list.clone();
    for record in &mut fewer {
        record.subject.as_mut().expect("one").births.clear();
    }
    agency.upsert("wanted", fewer).await;
    let ids: Vec<&str> = list.iter().map(|record| record.source_id.as_str()).collect();
    agency.remove("wanted", &ids).await;
    agency.replace_list("wanted", &list).await;
    let counts = agency.entry_counts().await;
    assert!(
        counts["import"] == 2 && counts["record.changed"] > 40,
        "{counts:?}"
    );

    // Not even in what is sealed.
    for (number, entry) in agency.entries().await {
        let said = entry.encode().expect("canonical").into_bytes();
        for secret in &secrets {
            assert!(!holds(&said, secret), "entry {number} holds an identifier");
        }
    }
    agency.clock.advance(FOUR_YEARS);
    erasure::erase_due(&agency.node().state).await.expect("erased");
    assert_eq!(agency.entry_counts().await["erasure"], 1);
    let size = agency.published().await.size();
    let folder = agency.folder().join("ledger");
    let files = all_bytes(&folder);
    let entries = std::fs::read(folder.join(format!("tile/entries/000.p/{size}"))).expect("entries");
    assert!(
        holds(&files, &entries) && holds(&entries, b"\"class\":\"erasure\""),
        "they were looked at"
    );
    for secret in &secrets {
        assert!(!holds(&files, secret), "an identifier is published");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_refusals_are_recorded_by_the_running_node() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let agency = &pair.owner;
    let port = agency.node().api_address.port();
    let read = |path: &std::path::Path| std::fs::read(path).expect("read");
    let mut admin = NodeServiceClient::new(channel(client_config(agency, identity::ADMIN).await, port));
    let elsewhere = tempfile::tempdir().expect("a folder");
    let request = identity::client_request(elsewhere.path(), "gate-7").expect("a key");
    let add = AddClientRequest {
        name: "gate-7".into(),
        request_pem: request.pem().to_owned(),
        auditor: true,
    };
    let granted = admin.add_client(add).await.expect("signed").into_inner();
    let files = request.granted(&granted.certificate_pem, agency.folder().join("tls/ca.crt"));
    let files = files.expect("a certificate");
    let gate = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    let fingerprint = files.fingerprint;
    let gate = tls::api_client(&gate, &read(&files.ca)).expect("TLS");
    let mut held = NodeServiceClient::new(channel(gate.clone(), port));
    held.info(InfoRequest {}).await.expect("let in");

    // Revoked: over the open connection, and over a new one.
    let revoke = RevokeClientRequest {
        name: "gate-7".into(),
    };
    admin.revoke_client(revoke).await.expect("revoked");
    held.info(InfoRequest {}).await.expect_err("revoked");
    let mut fresh = NodeServiceClient::new(channel(gate, port));
    fresh.info(InfoRequest {}).await.expect_err("revoked");
    // Of the authority and not on the list.
    let files = identity::create_client(agency.folder(), "gate-8").expect("made");
    let unlisted = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    let unlisted = tls::api_client(&unlisted, &read(&files.ca)).expect("TLS");
    let mut unlisted = NodeServiceClient::new(channel(unlisted, port));
    unlisted.info(InfoRequest {}).await.expect_err("not on the list");
    // A partner's name with a key that is in no agreement.
    let (_folder, credentials) = stranger();
    let pin = agency.identity().peer.pin().expect("a pin");
    let wrong = tls::peer_client(&credentials, pin).expect("TLS");
    let wrong = channel(wrong, agency.peer_port);
    let mut wrong = concordat_wire::v1::peer_service_client::PeerServiceClient::new(wrong);
    wrong
        .capabilities(CapabilitiesRequest {})
        .await
        .expect_err("another key");

    let changes = agency.entries_of("client.changed").await;
    let changes: Vec<_> = changes
        .iter()
        .map(|entry| match &entry.event {
            Event::ClientChanged(changed) => changed,
            _ => panic!("a change"),
        })
        .collect();
    assert_eq!(changes.len(), 2);
    for (changed, change) in changes.iter().zip([ClientChange::Added, ClientChange::Revoked]) {
        assert_eq!((changed.client.as_str(), changed.change), ("gate-7", change));
        assert_eq!((changed.certificate.0, changed.auditor), (fingerprint, true));
        let concordat_ledger::Actor::Person(by) = &changed.by else {
            panic!("a person")
        };
        assert_eq!(by.id.as_str(), identity::ADMIN);
    }
    // The refused call is recorded in the background.
    wait_for("four refusals are on record", || async {
        agency.entries_of("refusal").await.len() >= 4
    })
    .await;
    let refused = agency.entries_of("refusal").await;
    let refused: BTreeSet<_> = refused
        .iter()
        .map(|entry| match &entry.event {
            Event::Refusal(refusal) => {
                let claimed = refusal.claimed.as_ref().map(|person| person.id.as_str());
                (claimed, refusal.action.as_str(), refusal.reason.as_str())
            }
            _ => panic!("a refusal"),
        })
        .collect();
    let api = "connecting to the listener for our own systems";
    let expected = BTreeSet::from([
        (
            Some("gate-7"),
            "calling over an open connection",
            "the certificate was revoked",
        ),
        (Some("gate-7"), api, "the certificate was revoked"),
        (None, api, "the certificate is not on the list of clients"),
        (
            None,
            "connecting to the listener for partners",
            "the key is in no agreement",
        ),
    ]);
    assert_eq!(refused, expected);
    let sign_ins = agency.entries_of("sign-in").await;
    assert_eq!(sign_ins.len(), 2, "admin and gate-7, once a minute each");
}
