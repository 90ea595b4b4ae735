//! Publishing and fetching when something fails, is damaged, never answers or lies: nobody is lost from a snapshot, and
//! what one offer or partner does stays its own affair.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use concordat_node::clock::Clock;
use concordat_node::jobs::Spec;
use concordat_note::Note;
use concordat_store::{AgreementStatus, JobState, NewJob, ScopeRole, ScopeStatus, Selection};
use concordat_tests::{
    Agency, Lies, OWNER, Offer, Pair, Record, Terms, document, free_port, item, person, wait_for,
};
use concordat_wire::FaultView;
use concordat_wire::v1::{
    DeleteListRequest, Job, ListJobsRequest, PublishRequest, Snapshot, SnapshotStatusRequest, Verdict, job,
    snapshot::Role,
};

use crate::hostile_owner::{RIGHT, another, behind_a_door, changed, incidents, verdicts};
use crate::hostile_requester::listed;

const AGREEMENT: &str = "aa-bb-2026";
const DOCS: &str = "segments/served/aa-bb-2026/docs/0";
const HELD: &str = "segments/held/aa-bb-2026/docs/0";

async fn verdict(pair: &Pair, number: &str) -> Verdict {
    let subject = person(vec![], vec![], vec![document(number, "NLD")]);
    pair.asker.ask(vec![item("p", subject)]).await.results[0].verdict()
}

/// Publishes and waits, whatever comes of it.
async fn try_publish(agency: &Agency) -> Job {
    let job = agency.snapshots().publish(PublishRequest::default()).await;
    agency.finished(&job.expect("a job").into_inner().job_id).await
}

async fn snapshot(agency: &Agency, offer: &str) -> Snapshot {
    let status = agency.snapshots().status(SnapshotStatusRequest {}).await;
    let snapshots = status.expect("status").into_inner().snapshots;
    let found = snapshots.into_iter().find(|snapshot| snapshot.offer_id == offer);
    found.expect("an offer")
}

/// A pair whose owner publishes by itself.
async fn publishing(settings: &[(&str, &str)], terms: &Terms) -> Pair {
    let asker = Agency::new("aa-border").await;
    let settings: Vec<_> = [("auto_publish", "true")]
        .iter()
        .chain(settings)
        .copied()
        .collect();
    let owner = Agency::configured(OWNER, Default::default(), &settings).await;
    Pair::between(asker, owner, terms).await
}

/// The version counts in the database, but its files could not be taken into use: what comes after is built on it all
/// the same, and not on the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_fails_after_its_commit_loses_nobody() {
    let pair = Pair::with(Terms::default(), listed()).await;
    assert_eq!(verdict(&pair, "ZX7741209").await, Verdict::Hit);

    // A folder where the manifest should be: its segments are written, the row is committed, the last step fails.
    let note = pair.owner.folder().join(DOCS).join("manifest.note");
    let kept = std::fs::read(&note).expect("read");
    std::fs::remove_file(&note).expect("removed");
    std::fs::create_dir(&note).expect("made");
    pair.owner.upsert("wanted", vec![another()]).await;
    pair.owner.remove("wanted", &["w1"]).await;
    let over = try_publish(&pair.owner).await;
    assert_eq!(over.state(), job::State::Failed);
    assert!(over.detail.contains("offer docs"), "{}", over.detail);
    std::fs::remove_dir(&note).expect("removed");
    std::fs::write(&note, kept).expect("written");

    // Nothing is on the lists that was not there before.
    pair.refresh().await;
    assert_eq!(
        verdict(&pair, "AB1234567").await,
        Verdict::Hit,
        "added by the one that failed"
    );
    assert_eq!(verdict(&pair, "ZX7741209").await, Verdict::NoHit, "removed by it");
    let third = Record {
        source_id: "w3".into(),
        subject: Some(person(vec![], vec![], vec![document("CD7654321", "NLD")])),
    };
    pair.owner.upsert("wanted", vec![third]).await;
    pair.refresh().await;
    for number in ["AB1234567", "CD7654321"] {
        assert_eq!(verdict(&pair, number).await, Verdict::Hit, "{number}");
    }
}

/// A node that publishes by itself does not try again and again what just failed: it waits, and a person need not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_failed_is_tried_again_after_a_while() {
    let pair = publishing(&[("poll_interval_s", "1")], &Terms::default()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    let version = async || snapshot(&pair.owner, "docs").await.version;
    wait_for("it is published", async || version().await == 1).await;

    // A folder where the manifest should be: the last step fails.
    let note = pair.owner.folder().join(DOCS).join("manifest.note");
    std::fs::remove_file(&note).expect("removed");
    std::fs::create_dir(&note).expect("made");
    pair.owner.upsert("wanted", vec![another()]).await;
    let told = async || !snapshot(&pair.owner, "docs").await.detail.is_empty();
    wait_for("the operator can see that it failed", told).await;
    // How many there are, once none runs: one that still does would meet what the test does next.
    let jobs = async || {
        let request = ListJobsRequest::default();
        let jobs = pair.owner.matching().list_jobs(request).await;
        let jobs = jobs.expect("jobs").into_inner().jobs;
        let over = |job: &Job| matches!(job.state(), job::State::Succeeded | job::State::Failed);
        jobs.iter().all(over).then_some(jobs.len())
    };
    wait_for("it has failed", async || jobs().await.is_some()).await;
    let before = jobs().await.expect("over");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(jobs().await, Some(before), "a round later");
    pair.owner.clock.advance(61);
    wait_for("it is tried again", async || jobs().await == Some(before + 1)).await;

    std::fs::remove_dir(&note).expect("removed");
    assert_eq!(try_publish(&pair.owner).await.state(), job::State::Succeeded);
    wait_for("nothing is left of it", async || !told().await).await;
}

/// The holder of two bases sees that almost all of the padding stayed, and not just the tags that are real.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_base_does_not_tell_which_tags_are_real() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let held = async || -> (BTreeSet<[u8; 16]>, usize) {
        let state = &pair.asker.node().state;
        let entry = state.book.get(AGREEMENT).expect("an agreement");
        let offer = entry.agreement.offer("docs").expect("an offer");
        let scope = state.held.get(state, (&entry.agreement, offer, 0)).await;
        let snapshot = scope.expect("read").expect("pinned").snapshot().expect("held");
        let tags = snapshot.tags().collect::<Result<_, _>>().expect("tags");
        (tags, snapshot.manifest().deltas.len())
    };
    let (before, _) = held().await;
    assert_eq!(before.len(), 2_048);
    let many = (0..700).map(|number| Record {
        source_id: format!("m{number}"),
        subject: Some(person(
            vec![],
            vec![],
            vec![document(&format!("P{number:08}"), "NLD")],
        )),
    });
    for records in many.collect::<Vec<_>>().chunks(500) {
        pair.owner.upsert("wanted", records.to_vec()).await;
    }
    pair.refresh().await;
    let (after, deltas) = held().await;
    assert_eq!((after.len(), deltas), (4_096, 0), "a new base of the next size");
    // Gone are the 16 canaries and a churn class of padding.
    assert_eq!(before.intersection(&after).count(), 2_048 - 16 - 256);
    assert_eq!(verdict(&pair, "P00000699").await, Verdict::Hit);
    assert_eq!(verdicts(&pair).await, RIGHT);
    // The line goes on: a delta removes padding that was carried over or drawn since.
    pair.owner.upsert("wanted", vec![another()]).await;
    pair.refresh().await;
    assert_eq!(verdict(&pair, "AB1234567").await, Verdict::Hit);
    assert_eq!(held().await.1, 1);
}

/// An offer whose list is missing says so, and holds up no other offer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_without_its_list_holds_up_no_other() {
    let absent = Offer {
        list: "absent".into(),
        ..Offer::new("aliens", "person")
    };
    let terms = Terms {
        offers: vec![absent, Offer::new("docs", "travel_document")],
        ..Terms::default()
    };
    let pair = publishing(&[("poll_interval_s", "1")], &terms).await;
    pair.owner.replace_list("wanted", &listed()).await;
    wait_for("the other offer is published", async || {
        snapshot(&pair.owner, "docs").await.version == 1
    })
    .await;
    wait_for("the operator can see why one is not", async || {
        let detail = snapshot(&pair.owner, "aliens").await.detail;
        detail.contains("SNAP-010") && detail.contains("absent")
    })
    .await;
    let over = try_publish(&pair.owner).await;
    assert_eq!(over.state(), job::State::Failed, "not all of it was done");
    assert!(
        over.detail.contains("offer aliens") && !over.detail.contains("offer docs"),
        "{}",
        over.detail
    );
    assert_eq!(over.offers.len(), 1, "the other one was");
    pair.owner.replace_list("absent", &listed()).await;
    wait_for("it is published once it can be", async || {
        let snapshot = snapshot(&pair.owner, "aliens").await;
        snapshot.version == 1 && snapshot.detail.is_empty()
    })
    .await;
}

/// A damaged segment on the owner's disk is replaced by a whole new snapshot, by itself; the other offer goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_published_anew() {
    let mut pair = publishing(&[("poll_interval_s", "1")], &Terms::default()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    for damage in ["a flipped byte", "a missing file", "a manifest cut short"] {
        wait_for("it is published", async || {
            let served = pair.owner.snapshots().status(SnapshotStatusRequest {}).await;
            let served = served.expect("status").into_inner().snapshots;
            served.iter().all(|snapshot| snapshot.version > 0)
        })
        .await;
        let before = snapshot(&pair.owner, "docs").await.version;
        pair.owner.stop().await;
        let files = std::fs::read_dir(pair.owner.folder().join(DOCS)).expect("a folder");
        let segments: Vec<PathBuf> = files
            .map(|file| file.expect("a file").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .collect();
        for path in segments {
            match damage {
                "a flipped byte" => {
                    let mut bytes = std::fs::read(&path).expect("read");
                    bytes[100] ^= 1;
                    std::fs::write(&path, bytes).expect("written");
                }
                "a missing file" => std::fs::remove_file(&path).expect("removed"),
                _ => std::fs::write(path.with_file_name("manifest.note"), "no").expect("written"),
            }
        }
        pair.owner.start().await;
        wait_for(damage, async || {
            snapshot(&pair.owner, "docs").await.version > before
        })
        .await;
        pair.asker.fetch().await.expect("fetched");
        assert_eq!(verdicts(&pair).await, RIGHT, "{damage}");
    }
}

/// What changed before a restart is published after it, without waiting for the snapshot to age.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_published_after_a_restart() {
    let mut pair = publishing(&[], &Terms::default()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    pair.owner.publish().await;
    pair.owner.upsert("wanted", vec![another()]).await;
    pair.owner.stop().await;
    pair.owner.start().await;
    wait_for("the change is published", async || {
        snapshot(&pair.owner, "docs").await.version == 2
    })
    .await;
    pair.asker.fetch().await.expect("fetched");
    assert_eq!(verdict(&pair, "AB1234567").await, Verdict::Hit);
}

/// A publication whose state could not be written has no task any more: it is taken up again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_a_task_does_not_end_publishing() {
    let pair = publishing(&[("poll_interval_s", "1")], &Terms::default()).await;
    let state = &pair.owner.node().state;
    let spec = Spec::Publish {
        agreement: "of another time".into(),
        offers: Vec::new(),
    };
    let job = NewJob {
        id: state.new_uuid(),
        request_id: None,
        kind: "publish".into(),
        spec: serde_json::to_vec(&spec).expect("JSON").into(),
    };
    state.store.create_job(&job, 0).await.expect("kept");
    let running = state.store.set_job_state(job.id, JobState::Running, "", 0).await;
    running.expect("kept");
    pair.owner.replace_list("wanted", &listed()).await;
    wait_for("the list is published", async || {
        snapshot(&pair.owner, "docs").await.version == 1
    })
    .await;
    let over = pair.owner.finished(&job.id.to_string()).await;
    assert_eq!(over.state(), job::State::Succeeded, "{}", over.detail);
}

/// Without its list an offer could not be published, and whoever was on it would go on hitting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_an_offer_names_is_not_deleted() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let delete = async |name: &str| {
        let request = DeleteListRequest { name: name.into() };
        pair.owner.watchlists().delete_list(request).await
    };
    let refused = FaultView::from(&delete("wanted").await.expect_err("refused"));
    assert_eq!(refused.rule, "LIST-008", "{}", refused.message);
    assert!(refused.message.contains("--allow-shrink"), "{}", refused.message);
    pair.owner.create_list("spare").await;
    delete("spare").await.expect("no offer names it");
    // What the message says to do.
    pair.owner.replace_list("wanted", &[]).await;
    pair.refresh().await;
    assert_eq!(verdict(&pair, "ZX7741209").await, Verdict::NoHit);
}

/// A partner that takes questions and never answers them, for longer than the test lasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_never_answers_delays_itself_only() {
    let port = free_port().await;
    let text = port.to_string();
    let settings = [("poll_interval_s", "1"), ("call_deadline_ms", "600000")];
    let asker = Agency::configured("aa-border", Default::default(), &settings).await;
    let deaf = Agency::configured("cc-customs", Default::default(), &[("endpoint_port", &text)]).await;
    let relay = concordat_tests::Relay::open(&asker, &deaf, port).await;
    let terms = Terms {
        id: "aa-cc-2026".into(),
        offers: vec![Offer {
            owner: "cc-customs".into(),
            ..Offer::new("docs", "travel_document")
        }],
        ..Terms::default()
    };
    let with_deaf = Pair::between(asker, deaf, &terms).await;
    let owner = Agency::new(OWNER).await;
    let pair = Pair::between(with_deaf.asker, owner, &Terms::default()).await;
    relay.lie(Lies {
        deaf: true,
        ..Lies::default()
    });
    let heard = relay.heard().len();
    wait_for("it was asked", async || relay.heard().len() > heard).await;

    // Another partner's snapshots come, ...
    pair.owner.replace_list("wanted", &listed()).await;
    pair.owner.publish().await;
    wait_for("a snapshot came", async || {
        let held = snapshot(&pair.asker, "people").await;
        held.role() == Role::Held && held.version == 1
    })
    .await;
    pair.owner.upsert("wanted", vec![another()]).await;
    pair.owner.publish().await;
    wait_for("and another one", async || {
        snapshot(&pair.asker, "people").await.version == 2
    })
    .await;
    // ... and what is over ends.
    let state = &pair.asker.node().state;
    pair.asker.clock.advance(9 * 86_400);
    wait_for("the epoch's scopes are destroyed", async || {
        let scopes = state.store.scopes(AGREEMENT).await.expect("scopes");
        let mut old = scopes.iter().filter(|scope| scope.epoch == 0);
        old.all(|scope| scope.status == ScopeStatus::Destroyed)
    })
    .await;
}

/// Every call has an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_never_answers_is_given_up() {
    let (pair, relay) = behind_a_door(&[("call_deadline_ms", "700")]).await;
    pair.owner.publish().await;
    for lies in [
        Lies {
            deaf: true,
            ..Lies::default()
        },
        Lies {
            stalled_segment: true,
            ..Lies::default()
        },
    ] {
        relay.lie(lies);
        let refused = FaultView::from(&pair.asker.fetch().await.expect_err("no answer"));
        assert_eq!(refused.rule, "PEER-021", "{}", refused.message);
    }
    relay.lie(Lies::default());
    pair.asker.fetch().await.expect("fetched");
    assert_eq!(verdicts(&pair).await, RIGHT);

    let entry = pair.asker.node().state.book.get(AGREEMENT).expect("an agreement");
    assert_eq!(entry.status, AgreementStatus::Active);
    relay.lie(Lies {
        deaf: true,
        ..Lies::default()
    });
    let signed = concordat_node::maintenance::countersign(&pair.asker.node().state, &entry).await;
    assert_eq!(signed.expect_err("no answer").rule, "PEER-021");
}

/// The manifest of one offer with its text changed, signed by the owner.
fn resigned(pair: &Pair, change: impl Fn(&str) -> String + Send + Sync + 'static) -> Lies {
    let owner = pair.owner.identity().signing;
    let manifest = changed(move |note: String| {
        if !note.contains("\noffer docs\n") {
            return note;
        }
        let text = note.split("\n\n").next().expect("a text").to_owned() + "\n";
        Note::sign(&change(&text), &[&owner]).expect("signed").to_string()
    });
    // A little of each segment, and then no more.
    let segment = Arc::new(|_: &[u8]| Some(vec![Bytes::from(vec![7; 1_000])]));
    Lies {
        manifest,
        segment: Some(segment),
        ..Lies::default()
    }
}

/// A manifest's text with another version and a base of one segment of another name.
fn renamed(text: &str, version: u64, name: u8) -> String {
    let line = |line: &str| match line.split(' ').next() {
        Some("version") => format!("version {version}\n"),
        Some("segment") => format!("segment {} 2048\n", hex::encode([name; 32])),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn partial(pair: &Pair) -> Vec<String> {
    let files = std::fs::read_dir(pair.asker.folder().join(HELD)).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".part")).collect()
}

/// Whatever an owner announces, what is kept of it is what its newest manifest names, and no more than we have room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_cannot_fill_the_disk() {
    let (pair, relay) = behind_a_door(&[("max_snapshot_mib", "1")]).await;
    pair.refresh().await;
    pair.owner.upsert("wanted", vec![another()]).await;
    pair.refresh().await;
    let fetch = async || FaultView::from(&pair.asker.fetch().await.expect_err("refused"));

    // An older version: not a byte of it is asked for.
    relay.lie(resigned(&pair, |text| renamed(text, 1, 0xa1)));
    assert_eq!(fetch().await.rule, "SNAP-002");
    assert_eq!(partial(&pair), [""; 0]);

    // Always newer ones, never finished: only the newest is kept.
    for name in 1..=4 {
        relay.lie(resigned(&pair, move |text| {
            renamed(text, 10 + u64::from(name), name)
        }));
        assert_eq!(fetch().await.rule, "SNAP-003");
        assert_eq!(partial(&pair), [format!("{}.part", hex::encode([name; 32]))]);
    }

    // Larger than we have room for.
    let asked = incidents(&pair).await.len();
    relay.lie(resigned(&pair, |text| {
        renamed(text, 20, 0xb2).replace(" 2048\n", " 65536\n")
    }));
    let refused = fetch().await;
    assert_eq!(refused.rule, "SNAP-005", "{}", refused.message);
    assert!(refused.message.contains("2 MiB"), "{}", refused.message);
    assert!(!partial(&pair).contains(&format!("{}.part", hex::encode([0xb2; 32]))));
    assert_eq!(incidents(&pair).await.len(), asked, "a list may honestly grow");

    assert_eq!(verdicts(&pair).await, RIGHT, "the last good one is kept");
    relay.lie(Lies::default());
    pair.asker.fetch().await.expect("honest again");
    assert_eq!(verdicts(&pair).await, RIGHT);
}

/// A snapshot from the future would never go stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_from_the_future_is_refused() {
    let pair = Pair::with(Terms::default(), listed()).await;
    for (ahead, accepted) in [(300, true), (301, false)] {
        let now = pair.asker.clock.seconds();
        pair.owner.clock.advance(now + ahead - pair.owner.clock.seconds());
        pair.owner.upsert("wanted", vec![another()]).await;
        pair.owner.publish().await;
        let fetched = pair.asker.fetch().await;
        assert_eq!(fetched.is_ok(), accepted, "{ahead} s ahead");
        if let Err(status) = fetched {
            assert_eq!(FaultView::from(&status).rule, "SNAP-006");
        }
        assert_eq!(verdicts(&pair).await, RIGHT, "one of them is held");
    }
    pair.asker.clock.advance(60);
    pair.asker.fetch().await.expect("its time has come");
}

/// A read that outlasts the destruction of a key keeps a copy of it in the database's log: it goes when the read ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_key_leaves_the_log_when_nobody_reads() {
    let asker = Agency::new("aa-border").await;
    let owner = Agency::configured(OWNER, Default::default(), &[("poll_interval_s", "1")]).await;
    let pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    pair.refresh().await;
    let state = &pair.owner.node().state;
    let scope = async |epoch| {
        let scope = state
            .store
            .scope_of_epoch(AGREEMENT, "docs", epoch, ScopeRole::Owner);
        scope.await.expect("read").expect("a scope")
    };
    let first = scope(0).await;
    let log = pair.owner.folder().join("node.db-wal");
    let logged = || std::fs::metadata(&log).map_or(0, |file| file.len());

    let selection = Selection {
        lists: vec![
            state
                .store
                .list("wanted")
                .await
                .expect("read")
                .expect("a list")
                .id,
        ],
        kind: 0,
        variants: true,
    };
    let mut reading = state
        .store
        .begin_publication(first.id, selection)
        .await
        .expect("begun");
    reading.next_page(1).await.expect("a page");
    pair.owner.clock.advance(9 * 86_400);
    // A scope's folder goes after its key, when emptying the log was tried for the first time.
    let folders =
        ["docs", "people"].map(|offer| pair.owner.folder().join("segments/served/aa-bb-2026").join(offer));
    wait_for("the keys are destroyed", async || {
        folders.iter().all(|folder| !folder.join("0").exists())
    })
    .await;
    assert_eq!(scope(0).await.status, ScopeStatus::Destroyed);
    assert!(logged() > 0, "the log is still read");
    drop(reading);
    wait_for("the log is empty", async || logged() == 0).await;
}
