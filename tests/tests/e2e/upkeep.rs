//! What happens to lists, agreements, keys, snapshots and the configuration is in the ledger, once each; and what has had
//! its day is gone from every file.

use std::collections::HashSet;

use concordat_ledger::{
    Actor, AgreementChange, Bundle, Event, KeyChange, Keys, ListChange, Person, RecordChange, SignIn,
    Verdict as Audit,
};
use concordat_node::erasure;
use concordat_node::ledger::key_of;
use concordat_store::EntryFilter;
use concordat_tests::staff::text;
use concordat_tests::{Agency, OWNER, Pair, Terms, document, item, person};
use concordat_wire::v1::{
    DeleteListRequest, DeleteRecordsRequest, EndRequest, ProveEntryRequest, UpsertRequest,
};

use crate::audit::reason;
use crate::hostile_requester::listed;

const YEAR: i64 = 366 * 86_400;
/// So many entries have their day, beside those of one query.
const MANY: u64 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_recorded_once() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let counts = pair.owner.entry_counts().await;
    // One list made and filled, one agreement signed and in force, two scopes' keys and the node's seven, two snapshots, one configuration.
    for (kind, expected) in [
        ("list.changed", 1),
        ("import", 1),
        ("snapshot.published", 2),
        ("key.changed", 9),
        ("configuration.changed", 1),
    ] {
        assert_eq!(counts.get(kind), Some(&expected), "{kind} in {counts:?}");
    }
    let changes = agreement_changes(&pair.owner).await;
    assert!(changes.contains(&AgreementChange::Signed), "{changes:?}");
    let imports = pair.owner.entries_of("import").await;
    let Event::Import(import) = &imports[0].event else {
        panic!("an import")
    };
    assert_eq!(
        (import.added, import.changed, import.removed, import.rejected),
        (1, 0, 0, 0)
    );
    assert!(matches!(&import.by, Actor::Person(person) if person.id.as_str() == "loopback"));
    let fetched = pair.asker.entry_counts().await;
    assert_eq!(fetched.get("snapshot.fetched"), Some(&2), "{fetched:?}");

    // The same again changes nothing, and nothing is recorded.
    let before = pair.owner.entries().await.len();
    pair.owner.upsert("wanted", listed()).await;
    assert_eq!(pair.owner.entries().await.len(), before);

    // Single records, with and without a reason.
    let mut record = listed().remove(0);
    record.source_id = "w2".into();
    let request = UpsertRequest {
        list: "wanted".into(),
        records: vec![record],
        context: Some(concordat_wire::v1::ChangeContext {
            purpose: "correction".into(),
            legal_basis: "Art. 16".into(),
            case_reference: "C-7".into(),
            officer: "P-4711".into(),
        }),
    };
    pair.owner.watchlists().upsert(request).await.expect("kept");
    let request = DeleteRecordsRequest {
        list: "wanted".into(),
        source_ids: vec!["w2".into()],
        context: None,
    };
    pair.owner
        .watchlists()
        .delete_records(request)
        .await
        .expect("removed");
    let changed: Vec<_> = pair
        .owner
        .entries_of("record.changed")
        .await
        .into_iter()
        .map(|entry| match entry.event {
            Event::RecordChanged(changed) => {
                let Actor::Person(by) = changed.by else {
                    panic!("a person")
                };
                let (by, purpose) = (by.id.as_str().to_owned(), changed.why.purpose);
                (changed.change, purpose.as_str().to_owned(), by)
            }
            _ => panic!("a change"),
        })
        .collect();
    assert_eq!(
        changed,
        [
            (RecordChange::Added, "correction".to_owned(), "P-4711".to_owned()),
            (
                RecordChange::Removed,
                "list maintenance".to_owned(),
                "loopback".to_owned()
            )
        ]
    );

    pair.owner.suspend(&pair.agreement).await;
    pair.owner.resume(&pair.agreement).await;
    let changes = agreement_changes(&pair.owner).await;
    assert_eq!(
        changes[changes.len() - 2..],
        [AgreementChange::Suspended, AgreementChange::Resumed]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_is_recorded_too() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let changes = agreement_changes(&pair.owner).await;
    assert_eq!(changes, [AgreementChange::Signed, AgreementChange::InForce]);
    let pinned = pair.asker.entries_of("key.changed").await;
    let pinned = pinned.iter().filter(
        |entry| matches!(&entry.event, Event::KeyChanged(changed) if changed.change == KeyChange::Pinned),
    );
    assert_eq!(pinned.count(), 2, "one for each offer");

    let end = EndRequest {
        agreement_id: pair.agreement.clone(),
        reason: "a test".into(),
    };
    pair.owner.agreements().end(end).await.expect("ended");
    assert_eq!(
        agreement_changes(&pair.owner).await.last(),
        Some(&AgreementChange::Ended)
    );
    let delete = DeleteListRequest {
        name: "wanted".into(),
    };
    pair.owner
        .watchlists()
        .delete_list(delete)
        .await
        .expect("deleted");
    let lists = pair.owner.entries_of("list.changed").await;
    let lists = lists.iter().map(|entry| match &entry.event {
        Event::ListChanged(changed) => changed.change,
        _ => panic!("a change"),
    });
    assert_eq!(
        lists.collect::<Vec<_>>(),
        [ListChange::Created, ListChange::Deleted]
    );
}

/// The digest of an import is that of what was sent, so that the file can be held to it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_names_its_source_by_digest() {
    use sha2::{Digest, Sha256};
    let agency = concordat_tests::Agency::new(OWNER).await;
    let subject = person(vec![], vec![], vec![document("ZX7741209", "NLD")]);
    let subject = concordat_wire::subject_from_proto(&subject).expect("a subject");
    let line = serde_json::json!({ "source_id": "n1", "subject": subject });
    let bytes = format!("{line}\n").into_bytes();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    agency.import_jsonl("wanted", bytes).await.expect("imported");
    let imports = agency.entries_of("import").await;
    let Event::Import(import) = &imports[0].event else {
        panic!("an import")
    };
    assert_eq!(import.source.0, digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_erased_before_their_day_by_order_only() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let passport = item("p", person(vec![], vec![], vec![document("ZX7741209", "NLD")]));
    pair.asker.ask(vec![passport]).await;
    let state = &pair.asker.node().state;
    let queries = pair.asker.entries().await;
    let of_exchange = |entry: &concordat_ledger::Entry| entry.kind().name().starts_with("query");
    let numbers: Vec<u64> = queries
        .iter()
        .filter(|(_, entry)| of_exchange(entry))
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers.len(), 2);
    let refused = pair
        .asker
        .erase(numbers[0], "a test")
        .await
        .expect_err("not the admin");
    assert_eq!(concordat_wire::FaultView::from(&refused).rule, "NODE-010");

    let by = Actor::Person(concordat_node::ledger::person("chief-1"));
    let order = concordat_node::ledger::text("court order 7 of 2026");
    let range = numbers[0]..=numbers[1];
    let ordered = async || erasure::erase_ordered(state, std::slice::from_ref(&range), &by, &order).await;
    assert_eq!(ordered().await.expect("erased"), 2);
    assert_eq!(ordered().await.expect("again"), 0, "what is gone is gone once");
    let says = pair.asker.entries_of("erasure").await;
    let [Event::Erasure(says)] = says.iter().map(|entry| &entry.event).collect::<Vec<_>>()[..] else {
        panic!("one erasure")
    };
    assert_eq!(says.order.as_ref(), Some(&order));
    // The public part says so: an audit does not take it for one that came too early.
    pair.asker.published().await;
    let keys = Keys::of(key_of(&pair.asker.identity().signing.verifier()).expect("a key"));
    let report = pair.asker.audit(&keys, &[]);
    assert_eq!((report.verdict(), report.erased), (Audit::Holds, 2), "{report}");
}

async fn agreement_changes(agency: &concordat_tests::Agency) -> Vec<AgreementChange> {
    let entries = agency.entries_of("agreement.changed").await;
    let change = |entry: concordat_ledger::Entry| match entry.event {
        Event::AgreementChanged(changed) => changed.change,
        _ => panic!("a change"),
    };
    entries.into_iter().map(change).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_destroyed_is_recorded() {
    let pair = Pair::with(Terms::default(), listed()).await;
    // Two epochs later the first one's keys are gone.
    pair.advance(15 * 86_400);
    let state = &pair.owner.node().state;
    concordat_node::maintenance::end_epochs(state).await;
    let changes = pair.owner.entries_of("key.changed").await;
    let destroyed = changes.iter().filter(
        |entry| matches!(&entry.event, Event::KeyChanged(changed) if changed.change == KeyChange::Destroyed),
    );
    assert_eq!(destroyed.count(), 2);
}

/// The node's own keys as they are recorded, in order: what, its fingerprint, what became of it, by whom.
async fn own_keys(agency: &Agency) -> Vec<(String, [u8; 32], KeyChange, Actor)> {
    let entries = agency.entries_of("key.changed").await;
    let key = |entry: concordat_ledger::Entry| match entry.event {
        Event::KeyChanged(changed) if changed.scope.is_none() => {
            let digest = changed.public_key.or(changed.fingerprint).expect("one of them");
            Some((
                changed.what.as_str().to_owned(),
                digest.0,
                changed.change,
                changed.by,
            ))
        }
        _ => None,
    };
    entries.into_iter().filter_map(key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_own_keys_are_recorded_when_they_are_new_or_others() {
    use concordat_node::master_key::{Prepared, Rotation};
    let mut agency = Agency::new(OWNER).await;
    let first = own_keys(&agency).await;
    let names: Vec<&str> = first.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(
        names,
        [
            "audit",
            "disclosure",
            "identity and ledger",
            "master",
            "tls api",
            "tls authority",
            "tls peer"
        ]
    );
    assert!(
        first
            .iter()
            .all(|(_, _, change, by)| *change == KeyChange::Created && *by == Actor::Node)
    );
    let peer = agency.identity().peer.pin().expect("a pin");
    assert_eq!(first[6].1, peer);

    // The same again: nothing is recorded. Another disclosure key and another TLS key: each by its name.
    agency.stop().await;
    agency.start().await;
    assert_eq!(own_keys(&agency).await, first);
    agency.stop().await;
    std::fs::remove_file(agency.folder().join("disclosure.key")).expect("removed");
    let other = tempfile::tempdir().expect("a folder");
    concordat_node::identity::create(other.path(), OWNER, &[], &mut rand::rng()).expect("keys");
    for file in ["tls/peer.key", "tls/peer.crt"] {
        std::fs::copy(other.path().join(file), agency.folder().join(file)).expect("copied");
    }
    agency.start().await;
    let keys = own_keys(&agency).await;
    let new: Vec<_> = keys[7..]
        .iter()
        .map(|(what, _, change, _)| (what.as_str(), *change))
        .collect();
    assert_eq!(
        new,
        [
            ("disclosure", KeyChange::Rotated),
            ("tls peer", KeyChange::Rotated)
        ]
    );
    assert_eq!(keys[8].1, agency.identity().peer.pin().expect("a pin"));

    // The master key is rotated: to the end, and once more with a crash before it is recorded. Each is recorded once.
    agency.stop().await;
    let config =
        concordat_node::config::Config::load(&agency.folder().join("concordat.toml")).expect("a config");
    let rotation = async || match Rotation::prepare(&config, None).await.expect("prepared") {
        Prepared::New(rotation) => rotation,
        Prepared::Finished(files) => panic!("nothing was interrupted: {files:?}"),
    };
    let first_rotation = rotation().await;
    first_rotation.switch().await.expect("switched");
    first_rotation.finish().await.expect("finished");
    std::fs::remove_file(agency.folder().join("master.key.old")).expect("destroyed");
    let second = rotation().await;
    second.switch().await.expect("switched");
    drop(second);
    // Its database is closed in the background.
    let mut started = agency.try_start().await;
    for _ in 0..250 {
        if started.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        started = agency.try_start().await;
    }
    started.expect("it opens with the new key");
    let keys = own_keys(&agency).await;
    let new: Vec<_> = keys[9..]
        .iter()
        .map(|(what, _, change, _)| (what.as_str(), *change))
        .collect();
    assert_eq!(
        new,
        [("master", KeyChange::Rotated), ("master", KeyChange::Rotated)]
    );
    assert_eq!(
        (&keys[9].3, &keys[10].3),
        (&concordat_node::upkeep::local_operator(), &Actor::Node)
    );
    let distinct: std::collections::BTreeSet<_> = keys.iter().map(|(_, digest, ..)| digest).collect();
    assert_eq!(distinct.len(), keys.len(), "each is another one");
    // No secret is in what was recorded.
    let secrets = ["master.key", "disclosure.key"].map(|file| {
        let text = std::fs::read_to_string(agency.folder().join(file)).expect("a key");
        text.trim().to_owned()
    });
    for (_, entry) in agency.entries().await {
        let said = entry.encode().expect("canonical");
        assert!(!secrets.iter().any(|secret| said.contains(secret.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_setting_is_recorded_by_its_name() {
    let mut pair = Pair::with(Terms::default(), listed()).await;
    pair.owner.stop().await;
    pair.owner.configure(&[("queue_chunks", "99")]);
    pair.owner.start().await;
    pair.owner.stop().await;
    pair.owner.start().await;
    let changes = pair.owner.entries_of("configuration.changed").await;
    let Some(Event::ConfigurationChanged(changed)) = changes.get(1).map(|entry| &entry.event) else {
        panic!("the second change")
    };
    let names: Vec<&str> = changed
        .settings
        .iter()
        .map(concordat_ledger::Text::as_str)
        .collect();
    assert_eq!(names, ["compute.queue_chunks"]);
    assert_eq!(changes.len(), 2, "a start without a change records none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_had_its_day_is_erased_and_everything_still_holds() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let passport = || item("p", person(vec![], vec![], vec![document("ZX7741209", "NLD")]));
    pair.asker.ask(vec![passport()]).await;
    pair.asker.published().await;
    let state = &pair.asker.node().state;
    for batch in 0..10 {
        let signed_in = (0..MANY / 10).map(|n| {
            let event = SignIn {
                by: Person {
                    id: text(&format!("officer-{batch}-{n}")),
                    unit: None,
                },
                method: text("security key"),
                role: text("officer"),
            };
            state.entry(event).expect("sealed")
        });
        let appended = state.store.append_entries(signed_in.collect()).await;
        appended.expect("on disk");
    }
    assert_eq!(erasure::erase_due(state).await.expect("nothing is due"), 0);
    let before = pair.asker.published().await;
    // What is due of every entry: its payload and its key as they lie in the database, and its key as it opened it.
    let all = state
        .store
        .ledger_entries(&EntryFilter::default(), u32::MAX)
        .await;
    let due = all.expect("entries").into_iter();
    let due: Vec<_> = due
        .filter(|entry| entry.exchange.is_some() || entry.kind == "sign-in")
        .collect();
    assert_eq!(due.len() as u64, MANY + 2, "and one query, opened and closed");
    let mut needles: HashSet<Needle> = sealed_keys(&pair.asker).await;
    for (payload, key) in due.iter().filter_map(|entry| entry.sealed.as_ref()) {
        needles.extend(payload.first_chunk().into_iter().chain(key.first_chunk()));
    }
    let found = |needles: &HashSet<Needle>| {
        let files = crate::ledger::all_bytes(pair.asker.folder());
        let windows = files.array_windows().filter(|window| needles.contains(*window));
        windows.copied().collect::<HashSet<_>>().len() as u64
    };
    assert!(
        found(&needles) >= 2 * MANY,
        "they are looked for as they lie there"
    );
    let first = due[0].number;
    let opened = proof(&pair.asker, first, true).await.expect("open");

    pair.advance(4 * YEAR);
    let erased = erasure::erase_due(state).await.expect("erased");
    assert!(erased >= MANY + 2, "{erased}");
    assert!(erasure::empty_log(state).await, "nobody reads the log");
    assert!(pair.asker.entries_of("query").await.is_empty());
    let gone: HashSet<_> = &needles - &sealed_keys(&pair.asker).await;
    assert!(gone.len() as u64 >= 3 * MANY);
    assert_eq!(found(&gone), 0, "gone from every file");

    // Everything still holds: the log, what was shown of it, what is proven of an erased entry, what was proven before.
    pair.asker.published().await;
    let keys = Keys::of(key_of(&pair.asker.identity().signing.verifier()).expect("a key"));
    let report = pair.asker.audit(&keys, &[before]);
    assert_eq!(report.verdict(), Audit::Holds, "{report}");
    assert_eq!(report.erased, erased);
    for number in due.iter().map(|entry| entry.number).step_by(1_009) {
        let bundle = proof(&pair.asker, number, false).await.expect("proven");
        let proven = bundle.check(&keys).expect("it holds");
        assert_eq!((proven.index, proven.entry), (number, None));
        let refused = proof(&pair.asker, number, true).await.expect_err("erased");
        assert!(refused.message().contains("erased"), "{refused}");
    }
    let proven = opened.check(&keys).expect("it holds as it did");
    assert!(proven.entry.is_some());
    assert_eq!(erasure::erase_due(state).await.expect("again"), 0);
    // The owner's ledger is another: it erases its own.
    assert!(!pair.owner.entries_of("evaluation").await.is_empty(), "{OWNER}");
}

/// The beginning of something that is looked for in files.
type Needle = [u8; 20];

/// The keys of entries as they lie sealed in the database.
async fn sealed_keys(agency: &Agency) -> HashSet<Needle> {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(agency.folder().join("node.db"))
        .read_only(true);
    let mut conn = sqlx::ConnectOptions::connect(&options).await.expect("opened");
    let keys = sqlx::query_scalar("SELECT key_sealed FROM ledger_entry WHERE key_sealed IS NOT NULL");
    let keys: Vec<Vec<u8>> = keys.fetch_all(&mut conn).await.expect("keys");
    keys.iter().filter_map(|key| key.first_chunk().copied()).collect()
}

/// A proof of an entry as its node makes it, with what the entry says or without.
async fn proof(agency: &Agency, number: u64, opened: bool) -> Result<Bundle, tonic::Status> {
    let request = ProveEntryRequest {
        number,
        context: opened.then(reason),
        queried: None,
    };
    let bundle = agency.auditing().prove_entry(request).await?.into_inner().bundle;
    Ok(Bundle::parse(bundle.as_bytes()).expect("a bundle"))
}
