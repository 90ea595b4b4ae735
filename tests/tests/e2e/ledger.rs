//! Every exchange in both ledgers: opened, closed, joined, cosigned; and what a node does that came back with less.

use std::path::Path;

use concordat_ledger::{
    AddCheckpoint, Event, Folder, Hash, Keys, Misbehaviour, Reason, SignedCheckpoint, TileReader, Verdict,
    reconcile, reconcile_with_leaves,
};
use concordat_node::asked;
use concordat_node::ledger::key_of;
use concordat_synthetic::{Spec, World};
use concordat_tests::{
    Agency, Lies, OWNER, Pair, Relay, Run, Terms, document, free_port, item, opened, person, wait_for,
};
use concordat_wire::FaultView;
use concordat_wire::v1::{self, AddCheckpointRequest, job};

use crate::hostile_requester::{Hostile, chunk, listed};
use crate::matching::records;

const NUMBER: &str = "ZX7741209";
const DAY: i64 = 86_400;

async fn pair() -> Pair {
    Pair::with(Terms::default(), listed()).await
}

fn passport(number: &str) -> v1::MatchItem {
    item(number, person(vec![], vec![], vec![document(number, "NLD")]))
}

async fn joined(pair: &Pair) -> concordat_ledger::Reconciliation {
    reconcile(pair.asker.exchanges().await, pair.owner.exchanges().await)
}

fn leaves_of(agency: &Agency, size: u64) -> Vec<(u64, concordat_ledger::Leaf)> {
    let folder = Folder::read_only(&agency.folder().join("ledger"));
    let leaves: Result<Vec<_>, _> = TileReader::new(folder, size).leaves(0).collect();
    leaves.expect("published leaves")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exchange_is_in_both_ledgers() {
    let pair = pair().await;
    let world = World::new(Spec {
        seed: 5,
        left: 150,
        right: 10,
        overlap: 3,
        reference_date: jiff::civil::date(2026, 3, 2),
    })
    .expect("a world");
    pair.asker
        .ask(vec![passport(NUMBER), passport("XX0000001")])
        .await;
    pair.asker.replace_list("mine", &records(world.left())).await;
    let job = pair.asker.intersect("mine", OWNER).await;
    let job = pair.asker.finished(&job.job_id).await;
    assert_eq!(job.state(), job::State::Succeeded, "{}", job.detail);

    // One query about documents, and a list against two offers.
    let result = joined(&pair).await;
    assert_eq!(
        (result.matched, result.unanswered, result.unmatched),
        (3, 0, vec![])
    );
    let counts = pair.asker.entry_counts().await;
    assert_eq!((counts["query.opened"], counts["query"]), (3, 3), "{counts:?}");
    let counts = pair.owner.entry_counts().await;
    assert_eq!(
        (counts["evaluation.opened"], counts["evaluation"]),
        (3, 3),
        "{counts:?}"
    );

    // Who, why, what, how it came out.
    let queries = pair.asker.entries_of("query").await;
    let Event::Query(query) = &queries[0].event else {
        panic!("a query")
    };
    assert_eq!(
        (query.by.id.as_str(), query.ordered_by.id.as_str()),
        ("officer-1", "commander-1")
    );
    assert_eq!(query.why.purpose.as_str(), "BORDER_CHECK");
    assert_eq!(query.why.case_reference.as_str(), "case-1");
    assert_eq!(query.partner.as_str(), OWNER);
    // Each passport is two identifiers: with and without its issuer.
    assert_eq!(
        (query.items, query.verdicts.hit, query.verdicts.no_hit),
        (4, 2, 2)
    );
    assert_eq!(query.identifiers.map(|committed| committed.count), Some(4));
    let opened = pair.asker.entries_of("query.opened").await;
    let lists = opened.iter().filter_map(|entry| match &entry.event {
        Event::QueryOpened(opened) => Some(opened.lists.len()),
        _ => None,
    });
    assert_eq!(
        lists.collect::<Vec<_>>(),
        [0, 1, 1],
        "a list is named, not its people"
    );

    // The same with nothing of the owner's but its published files, and the other way round.
    let (asked, answered) = (
        pair.asker.published().await.size(),
        pair.owner.published().await.size(),
    );
    let ours = reconcile_with_leaves(pair.asker.exchanges().await, leaves_of(&pair.owner, answered));
    assert_eq!((ours.matched, ours.unmatched), (3, vec![]));
    let theirs = reconcile_with_leaves(pair.owner.exchanges().await, leaves_of(&pair.asker, asked));
    assert_eq!((theirs.matched, theirs.unmatched), (3, vec![]));

    // Each has cosigned the other's; an auditor needs the files and the keys.
    pair.asker.cosigned_by(OWNER).await;
    pair.owner.cosigned_by("aa-border").await;
    for (one, other) in [(&pair.asker, &pair.owner), (&pair.owner, &pair.asker)] {
        let identity = one.identity().signing.verifier();
        let mut keys = Keys::of(key_of(&identity).expect("a key"));
        keys.witnesses
            .push(other.identity().signing.verifier().cosigner());
        keys.quorum = 1;
        let report = one.audit(&keys, &[]);
        assert_eq!(report.verdict(), Verdict::Holds, "{report:?}");
    }
    // Nothing that was asked or is listed is in the published files, nor who asked.
    for agency in [&pair.asker, &pair.owner] {
        let files = all_bytes(&agency.folder().join("ledger"));
        for secret in [
            NUMBER,
            "officer-1",
            "commander-1",
            "case-1",
            "BORDER_CHECK",
            "docs",
        ] {
            assert!(!holds(&files, secret.as_bytes()), "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn which_identifiers_were_asked_about_can_be_opened_one_by_one() {
    use concordat_identifiers::derive;
    use concordat_ledger::{IdentifierOpening, Queried};
    let pair = pair().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    let queries = pair.asker.entries_of("query").await;
    let Event::Query(query) = &queries[0].event else {
        panic!("a query")
    };
    // What the agency still knows of its own question: the case file.
    let subject = person(vec![], vec![], vec![document(NUMBER, "NLD")]);
    let subject = concordat_wire::subject_from_proto(&subject).expect("a subject");
    let derived = derive(&subject, jiff::civil::date(2026, 3, 2)).identifiers;
    let asked: Vec<Queried<'_>> = derived
        .iter()
        .filter(|identifier| !identifier.is_variant())
        .map(|identifier| Queried {
            kind: identifier.kind().name(),
            canonical: Some(identifier.canonical()),
        })
        .collect();
    let key = &pair.asker.node().state.ledger;
    let opening = IdentifierOpening::new(key.audit_key(), &query.exchange, &asked, 0).expect("the first");
    let committed = query.identifiers.expect("committed");
    assert_eq!(opening.verify(&committed), Ok(()));
    let other = Queried {
        kind: "travel_document",
        canonical: Some(b"XX0000001"),
    };
    let opening = IdentifierOpening::new(key.audit_key(), &query.exchange, &[other, other], 0).expect("one");
    assert!(
        opening.verify(&committed).is_err(),
        "another identifier was not asked about"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_never_answered_is_on_record() {
    let relay_port = free_port().await;
    let asker = Agency::configured("aa-border", Run::Here, &[("partner_deadline_ms", "400")]).await;
    let owner = Agency::configured(OWNER, Run::Here, &[("endpoint_port", &relay_port.to_string())]).await;
    let pair = Pair::between(asker, owner, &Terms::default()).await;
    let relay = Relay::open(&pair.asker, &pair.owner, relay_port).await;
    pair.owner.replace_list("wanted", &listed()).await;
    pair.refresh().await;
    relay.lie(Lies {
        silent: true,
        ..Lies::default()
    });
    pair.asker.ask(vec![passport(NUMBER)]).await;
    let queries = pair.asker.entries_of("query").await;
    let Event::Query(query) = &queries[0].event else {
        panic!("a query")
    };
    assert_eq!((query.elements, query.verdicts.unknown), (0, 2));
    // The owner heard nothing, and the ledgers agree that nothing was answered.
    let result = joined(&pair).await;
    assert_eq!(
        (result.matched, result.unanswered, result.unmatched),
        (0, 1, vec![])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_partner_did_not_finish_is_closed_after_a_day() {
    let hostile = Hostile::of(pair().await).await;
    let pair = &hostile.pair;
    let blinded = hostile.blind(32).await;
    let (one, other) = blinded.elements().split_at(16 * 32);
    let open = v1::EvaluateOpen {
        padded_elements: 32,
        ..hostile.open(1)
    };
    let answers = hostile
        .send(open.clone(), vec![chunk(0, one)])
        .await
        .expect("answered");
    assert_eq!(answers.len(), 1);
    let state = &pair.owner.node().state;
    asked::close_left(state, false).await.expect("closed");
    assert!(
        pair.owner.entries_of("evaluation").await.is_empty(),
        "it may go on"
    );
    assert_eq!(joined(pair).await.unmatched[0].reason, Reason::MissingAtRequester);

    pair.advance(DAY + 1);
    asked::close_left(state, false).await.expect("closed");
    asked::close_left(state, false).await.expect("closed once");
    let answers = hostile.send(open, vec![chunk(1, other)]).await.expect("answered");
    assert_eq!(answers.len(), 1);
    let steps = pair
        .owner
        .entries_of("evaluation")
        .await
        .into_iter()
        .map(|entry| match entry.event {
            Event::Evaluation(evaluation) => (evaluation.step, evaluation.elements),
            _ => panic!("an evaluation"),
        });
    assert_eq!(
        steps.collect::<Vec<_>>(),
        [(0, 16), (1, 32)],
        "it went on, and ended"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_in_the_middle_says_so() {
    let relay_port = free_port().await;
    let child = Run::Child(env!("CARGO_BIN_EXE_concordat-test-node").into());
    let asker = Agency::configured("aa-border", child, &[]).await;
    let owner = Agency::configured(OWNER, Run::Here, &[("endpoint_port", &relay_port.to_string())]).await;
    let mut pair = Pair::between(asker, owner, &Terms::default()).await;
    let relay = Relay::open(&pair.asker, &pair.owner, relay_port).await;
    pair.owner.replace_list("wanted", &listed()).await;
    pair.refresh().await;
    // The owner's answers are held back on the way.
    relay.lie(Lies {
        gate: Some(std::sync::Arc::new(tokio::sync::Semaphore::new(0))),
        ..Lies::default()
    });
    let mut matching = pair.asker.matching();
    let request = v1::MatchRequest {
        context: Some(pair.asker.context()),
        items: vec![passport(NUMBER)],
        ..v1::MatchRequest::default()
    };
    let asking = tokio::spawn(async move { matching.r#match(request).await });
    wait_for("the owner has answered", || async {
        !pair.owner.entries_of("evaluation").await.is_empty()
    })
    .await;
    pair.asker.kill().await;
    assert!(asking.await.expect("ended").is_err(), "nobody was told anything");
    pair.asker.start().await;
    pair.asker.stop().await;
    let asked: Vec<_> = {
        let entries = entries_on_disk(&pair.asker).await;
        let record = |(index, entry): &(u64, concordat_ledger::Entry)| {
            concordat_ledger::ExchangeRecord::new(*index, &entry.event)
        };
        entries.iter().filter_map(record).collect()
    };
    let result = reconcile(asked, pair.owner.exchanges().await);
    assert_eq!(result.matched, 0);
    let reasons: Vec<_> = result
        .unmatched
        .iter()
        .map(|unmatched| unmatched.reason)
        .collect();
    assert_eq!(
        reasons,
        [Reason::Interrupted],
        "both know of it, and why one does not know how it ended"
    );
}

/// The entries of a node that does not run.
pub(crate) async fn entries_on_disk(agency: &Agency) -> Vec<(u64, concordat_ledger::Entry)> {
    let config =
        concordat_node::config::Config::load(&agency.folder().join("concordat.toml")).expect("a config");
    let store = concordat_node::open_store(&config, concordat_node::Outside::default().store_entropy)
        .await
        .expect("a store");
    let entries = opened(&store).await;
    store.close().await;
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_with_less_does_not_start() {
    let mut pair = self::pair().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair.asker.cosigned_by(OWNER).await;
    pair.asker.stop().await;
    let backup = tempfile::tempdir().expect("a folder");
    copy(pair.asker.folder(), backup.path());

    pair.asker.start().await;
    pair.asker.ask(vec![passport("XX0000001")]).await;
    pair.asker.cosigned_by(OWNER).await;
    pair.asker.stop().await;
    // An old backup comes back.
    empty(pair.asker.folder());
    copy(backup.path(), pair.asker.folder());
    let refused = pair.asker.try_start().await.expect_err("it must not go on");
    assert!(
        refused.contains("older copy") && refused.contains(OWNER),
        "{refused}"
    );

    // The database alone: the published log knows better.
    let mut pair = self::pair().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair.asker.published().await;
    pair.asker.stop().await;
    std::fs::copy(
        pair.asker.folder().join("node.db"),
        backup.path().join("older.db"),
    )
    .expect("copied");
    pair.asker.start().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair.asker.published().await;
    pair.asker.stop().await;
    std::fs::copy(
        backup.path().join("older.db"),
        pair.asker.folder().join("node.db"),
    )
    .expect("copied");
    let refused = pair.asker.try_start().await.expect_err("it must not go on");
    assert!(refused.contains("older copy of the database"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_log_is_written_again_from_the_database() {
    let mut pair = pair().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair.asker.cosigned_by(OWNER).await;
    let before = pair.asker.published().await;
    pair.asker.stop().await;
    std::fs::remove_dir_all(pair.asker.folder().join("ledger")).expect("removed");
    pair.asker.start().await;
    let after = pair.asker.published().await;
    assert!(after.size() >= before.size());
    let folder = Folder::read_only(&pair.asker.folder().join("ledger"));
    let root = TileReader::new(folder, after.size()).root_at(before.size());
    assert_eq!(
        root.expect("readable"),
        before.root(),
        "the same entries, the same tree"
    );
}

/// The requester signs a second history with its own key, and shows it to its partner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_history_is_on_record_with_both_checkpoints() {
    let mut pair = pair().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair.asker.cosigned_by(OWNER).await;
    let key = pair.asker.identity().signing;
    let key = key
        .renamed(&concordat_node::ledger::origin(key.name()))
        .expect("a key");
    // Nothing more is published by the node itself.
    pair.asker.stop().await;
    let kept = pair
        .owner
        .node()
        .state
        .store
        .witness("aa-border")
        .await
        .expect("kept")
        .theirs;
    let kept = SignedCheckpoint::open(kept.expect("cosigned").as_bytes(), &key.verifier()).expect("signed");
    let other = SignedCheckpoint::sign(kept.size(), Hash([7; 32]), &key).expect("signed");
    let mut partner = pair.asker.impersonate(&pair.owner);
    let show = |old_size, checkpoint: &SignedCheckpoint| AddCheckpointRequest {
        add_checkpoint: AddCheckpoint {
            old_size,
            proof: vec![],
            checkpoint: checkpoint.to_string(),
        }
        .to_string()
        .into_bytes(),
    };
    for _ in 0..3 {
        let refused = partner
            .add_checkpoint(show(kept.size(), &other))
            .await
            .expect_err("refused");
        assert_eq!(FaultView::from(&refused).rule, "LEDG-012");
    }
    let seen = pair.owner.entries_of("misbehaviour").await;
    assert_eq!(seen.len(), 1, "once, however often it is shown");
    let Event::Misbehaviour(seen) = &seen[0].event else {
        panic!("misbehaviour")
    };
    // What the owner recorded is a proof that anybody can check.
    let open = |note: &str| SignedCheckpoint::open(note.as_bytes(), &key.verifier()).expect("signed");
    let proof = Misbehaviour::same_size(&open(&seen.kept), &open(&seen.shown)).expect("a contradiction");
    let proof = Misbehaviour::check(proof.to_string().as_bytes(), &key.verifier()).expect("it proves it");
    assert!(proof.sentence().contains("two different logs"));
    // Signed by another key, or damaged: that is nobody's history.
    let stranger = concordat_note::SigningKey::from_seed(key.name(), &[9; 32]).expect("a key");
    let forged = SignedCheckpoint::sign(kept.size(), Hash([7; 32]), &stranger).expect("signed");
    let refused = partner
        .add_checkpoint(show(kept.size(), &forged))
        .await
        .expect_err("refused");
    assert_eq!(FaultView::from(&refused).rule, "LEDG-010");
    assert_eq!(pair.owner.entries_of("misbehaviour").await.len(), 1);
}

/// An agency cannot use its node while its ledger is not the one that others have seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_ledger_lets_nothing_happen() {
    let pair = pair().await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair.owner.node().state.ledger.halt("a test".into());
    let charged = pair.charged("docs").await;
    let answer = pair.asker.ask(vec![passport(NUMBER)]).await;
    assert_eq!(
        answer.results[0].verdict(),
        v1::Verdict::Unknown,
        "the owner evaluates nothing that it cannot record"
    );
    assert_eq!(pair.charged("docs").await, charged);
    pair.asker.node().state.ledger.halt("a test".into());
    let refused = pair.asker.try_ask(vec![passport(NUMBER)]).await;
    match refused {
        Ok(answer) => assert_eq!(answer.results[0].verdict(), v1::Verdict::Unknown),
        Err(status) => assert_eq!(FaultView::from(&status).rule, "LEDG-001"),
    }
}

/// `kill -9` at any moment, again and again: what was acknowledged is recorded, nothing is recorded twice, and every
/// checkpoint that anybody saw is a beginning of the log as it is now. `CONCORDAT_CRASH_ROUNDS` makes it longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again() {
    let rounds = std::env::var("CONCORDAT_CRASH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let rounds: u64 = rounds.unwrap_or(5);
    let child = || Run::Child(env!("CARGO_BIN_EXE_concordat-test-node").into());
    let asker = Agency::configured("aa-border", child(), &[]).await;
    let owner = Agency::configured(OWNER, child(), &[]).await;
    let mut pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    pair.refresh().await;
    let (mut acknowledged, mut seen) = (0, [Vec::new(), Vec::new()]);
    for round in 0..rounds {
        let asking = {
            let (mut matching, context) = (pair.asker.matching(), pair.asker.context());
            tokio::spawn(async move {
                let mut answered = 0;
                loop {
                    let request = v1::MatchRequest {
                        context: Some(context.clone()),
                        items: vec![passport(NUMBER)],
                        ..v1::MatchRequest::default()
                    };
                    match matching.r#match(request).await {
                        Ok(answer) => {
                            let verdict = answer.into_inner().results[0].verdict();
                            answered += u64::from(verdict == v1::Verdict::Hit);
                        }
                        Err(_) => return answered,
                    }
                }
            })
        };
        // Another moment in each round, in the course of some queries, publications and cosignatures.
        tokio::time::sleep(std::time::Duration::from_millis(150 + round * 137 % 900)).await;
        for (seen, agency) in seen.iter_mut().zip([&pair.asker, &pair.owner]) {
            seen.extend(published(agency));
        }
        if round % 2 == 0 {
            pair.asker.kill().await;
            acknowledged += asking.await.expect("ended");
            pair.asker.start().await;
        } else {
            pair.owner.kill().await;
            pair.owner.start().await;
            pair.asker.kill().await;
            acknowledged += asking.await.expect("ended");
            pair.asker.start().await;
        }
    }
    pair.asker.stop().await;
    pair.owner.stop().await;
    let (asked, answered) = (
        entries_on_disk(&pair.asker).await,
        entries_on_disk(&pair.owner).await,
    );
    let hits = asked
        .iter()
        .filter(|(_, entry)| matches!(&entry.event, Event::Query(query) if query.verdicts.hit > 0));
    assert!(
        hits.count() as u64 >= acknowledged,
        "what was acknowledged is recorded"
    );
    let records = |entries: &[(u64, concordat_ledger::Entry)]| {
        let record = |(index, entry): &(u64, concordat_ledger::Entry)| {
            concordat_ledger::ExchangeRecord::new(*index, &entry.event)
        };
        entries.iter().filter_map(record).collect::<Vec<_>>()
    };
    let result = reconcile(records(&asked), records(&answered));
    assert!(result.matched >= acknowledged, "{result:?}");
    for unmatched in &result.unmatched {
        let legitimate = match unmatched.reason {
            // Where a node died in the middle, both sides know of it, and one says that it does not know how it ended.
            Reason::Interrupted | Reason::Open(_) => unmatched.first.is_some() && unmatched.second.is_some(),
            // The owner recorded its answer and died before it was sent: the requester, which lives, saw less.
            Reason::OtherCount { first, second } => first < second,
            _ => false,
        };
        assert!(legitimate, "{unmatched:?}");
    }
    for (agency, entries, seen) in [(&pair.asker, asked, &seen[0]), (&pair.owner, answered, &seen[1])] {
        let folder = agency.folder().join("ledger");
        let latest = published(agency).expect("a checkpoint");
        assert_eq!(
            latest.size(),
            entries.len() as u64,
            "all of it is published when a node has stopped"
        );
        let mut reader = TileReader::new(Folder::read_only(&folder), latest.size());
        assert!(!seen.is_empty());
        for checkpoint in seen {
            assert_eq!(
                reader.root_at(checkpoint.size()).expect("readable"),
                checkpoint.root()
            );
        }
    }
}

/// The checkpoint in the published files.
fn published(agency: &Agency) -> Option<SignedCheckpoint> {
    let note = std::fs::read(agency.folder().join("ledger/checkpoint")).ok()?;
    let key = key_of(&agency.identity().signing.verifier()).expect("a key");
    Some(SignedCheckpoint::open(&note, &key).expect("signed"))
}

pub(crate) fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => bytes.extend(all_bytes(&path)),
            false => bytes.extend(std::fs::read(&path).expect("a file")),
        }
    }
    bytes
}

pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => {
                std::fs::create_dir_all(&target).expect("made");
                copy(&entry.path(), &target);
            }
            false => drop(std::fs::copy(entry.path(), &target).expect("copied")),
        }
    }
}

pub(crate) fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).expect("removed"),
            false => std::fs::remove_file(&path).expect("removed"),
        }
    }
}
