//! List against list: what a job finds, what it says that it did not check, and what it tells the partner.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use concordat_store::{JobId, KeptTag, Purged, ScopeId, ScopeRole, Store};
use concordat_tests::{Agency, Lies, OWNER, Offer, Pair, Record, Relay, Terms, document, person, wait_for};
use concordat_wire::v1::{
    DeleteListRequest, IntersectRequest, Job, Kind, OfferSummary, PublishRequest, UnknownReason, job,
};
use tokio::sync::Semaphore;

use crate::hostile_owner::{behind_a_door, behind_a_door_with};
use crate::hostile_requester::{refusals, rule_of};

/// People with a passport each, which has two identifiers: with and without its issuer.
fn passports(numbers: Range<u32>) -> Vec<Record> {
    let record = |number| Record {
        source_id: format!("p{number}"),
        subject: Some(person(
            vec![],
            vec![],
            vec![document(&format!("QQ{number:07}"), "NLD")],
        )),
    };
    numbers.map(record).collect()
}

fn names(numbers: Range<u32>) -> BTreeSet<String> {
    numbers.map(|number| format!("p{number}")).collect()
}

async fn found(pair: &Pair, job: &Job) -> BTreeSet<String> {
    let found = pair.asker.found(&job.job_id).await;
    found.into_iter().map(|found| found.source_id).collect()
}

async fn succeeded(pair: &Pair, job: &Job) -> Job {
    let over = pair.asker.finished(&job.job_id).await;
    assert_eq!(over.state(), job::State::Succeeded, "{}", over.detail);
    assert_eq!(over.done, over.total);
    over
}

fn store(agency: &Agency) -> &Store {
    &agency.node().state.store
}

/// The scope in which the asker asks about documents in the first epoch.
async fn asked(pair: &Pair) -> ScopeId {
    let scope = store(&pair.asker).scope_of_epoch(&pair.agreement, "docs", 0, ScopeRole::Requester);
    scope.await.expect("read").expect("a scope").id
}

/// The partner answers as many chunks as the test allows.
fn gate(relay: &Relay, permits: usize) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(permits));
    relay.lie(Lies {
        gate: Some(Arc::clone(&gate)),
        ..Lies::default()
    });
    gate
}

/// Waits until a job has planned its first chunks.
async fn planning(pair: &Pair, job: &Job) {
    let (id, scope): (JobId, _) = (job.job_id.parse().expect("an id"), asked(pair).await);
    wait_for("chunks are planned", async || {
        let planned = store(&pair.asker).planned_chunks(id, scope).await;
        !planned.expect("read").is_empty()
    })
    .await;
}

/// Another job may ask for a tag while this one runs: whoever asked, both find what is listed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_jobs_at_once_miss_nothing() {
    let (pair, relay) = behind_a_door(&[("job_chunk_elements", "16")]).await;
    pair.owner.replace_list("wanted", &passports(100..150)).await;
    pair.refresh().await;
    pair.asker.replace_list("ours", &passports(0..150)).await;
    let first = pair.asker.intersect("ours", OWNER).await;
    let first = succeeded(&pair, &first).await;
    assert_eq!(found(&pair, &first).await, names(100..150));
    let charged = pair.charged("docs").await;
    assert_eq!(
        charged, 512,
        "300 identifiers in chunks of 16, each with two dummies"
    );

    // The same tags, but kept by another job after ours has begun: taken away first, then put back.
    let (kept, scope) = (store(&pair.asker), asked(&pair).await);
    let tags: Vec<KeptTag> = kept.kept_tags_page(scope, None, 10_000).await.expect("read");
    assert_eq!(tags.len(), 300);
    let request = DeleteListRequest { name: "ours".into() };
    pair.asker
        .watchlists()
        .delete_list(request)
        .await
        .expect("deleted");
    while kept.purge_step().await.expect("purged") == Purged::Step {}
    let none = kept.kept_tags_page(scope, None, 1).await.expect("read");
    assert!(none.is_empty(), "the tags left with their list");
    pair.asker.replace_list("ours", &passports(0..150)).await;

    let gate = gate(&relay, 0);
    let second = pair.asker.intersect("ours", OWNER).await;
    planning(&pair, &second).await;
    kept.insert_kept_tags(scope, &tags).await.expect("kept");
    gate.add_permits(10_000);
    let second = succeeded(&pair, &second).await;
    assert_eq!(found(&pair, &second).await, names(100..150));
    assert_eq!(
        pair.charged("docs").await,
        2 * charged,
        "what another job knew does not show in what was asked"
    );
}

/// Answers that came before a new snapshot count as little as the old snapshot: the job names one snapshot, and
/// finds what that one holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_finds_what_the_snapshot_that_it_names_holds() {
    let (pair, relay) = behind_a_door(&[("job_chunk_elements", "16")]).await;
    pair.owner.replace_list("wanted", &passports(0..50)).await;
    pair.refresh().await;
    pair.asker.replace_list("ours", &passports(0..150)).await;
    let gate = gate(&relay, 6);
    let job = pair.asker.intersect("ours", OWNER).await;
    pair.asker.job_when(&job.job_id, |job| job.done >= 40).await;

    pair.owner.replace_list("wanted", &passports(10..150)).await;
    pair.owner.clock.advance(60);
    pair.refresh().await;
    gate.add_permits(10_000);
    let job = succeeded(&pair, &job).await;
    let docs = &job.offers[0];
    assert_eq!(
        (docs.offer_id.as_str(), docs.snapshot_version, docs.as_of.as_str()),
        ("docs", 2, "2026-03-02T10:01:00Z")
    );
    assert_eq!(found(&pair, &job).await, names(10..150));
    assert_eq!(job.matches, 140);
}

/// A job that waits for tomorrow's quota meets a snapshot with another base: its canaries are others, so what was
/// planned cannot be sent again. It is asked anew under another id, announced with its own size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_on_after_the_snapshot_was_made_anew() {
    let terms = Terms::default().quota(256, 10_000);
    let (pair, _relay) = behind_a_door_with(&[("job_chunk_elements", "16")], &terms).await;
    pair.owner.replace_list("wanted", &passports(0..50)).await;
    pair.refresh().await;
    pair.asker.replace_list("ours", &passports(0..150)).await;
    let job = pair.asker.intersect("ours", OWNER).await;
    let paused = |job: &Job| job.state() == job::State::Paused;
    let waiting = pair.asker.job_when(&job.job_id, paused).await;
    assert!(waiting.detail.contains("AGR-120"), "{}", waiting.detail);
    assert_eq!(waiting.offers[0].reason(), UnknownReason::Quota);
    assert_eq!(pair.charged("docs").await, 256);
    let manifest = async || {
        let held = store(&pair.asker).latest_held(asked(&pair).await).await;
        held.expect("read").expect("held").manifest
    };
    let base = |manifest: &str| {
        let canaries = manifest.lines().find(|line| line.starts_with("canaries "));
        canaries.expect("a line").to_owned()
    };
    let before = manifest().await;

    // More is added than the padding can give way to.
    pair.owner.replace_list("wanted", &passports(10..1_500)).await;
    pair.refresh().await;
    assert_ne!(base(&before), base(&manifest().await), "another base");
    pair.advance(86_400);
    let mut days = 1;
    let over = loop {
        let now = pair
            .asker
            .job_when(&job.job_id, |job| {
                job.state() == job::State::Succeeded
                    || (paused(job) && job.done > waiting.done && job.detail.contains("AGR-120"))
            })
            .await;
        if now.state() == job::State::Succeeded {
            break now;
        }
        days += 1;
        assert!(days < 3, "{now:?}");
        pair.advance(86_400);
        pair.refresh().await;
    };
    assert_eq!(found(&pair, &over).await, names(10..150));
    let answered = store(&pair.owner).exchanges(None, 10).await.expect("read");
    let requests: BTreeSet<_> = answered.iter().map(|one| one.id).collect();
    assert_eq!(
        (answered.len(), requests.len()),
        (2, 2),
        "two requests, each recorded once"
    );
    let announced: u64 = answered.iter().map(|one| one.elements).sum();
    assert!(
        pair.charged("docs").await <= announced,
        "the record does not say less than was asked"
    );
}

fn request(pair: &Pair, kinds: &[Kind]) -> IntersectRequest {
    IntersectRequest {
        context: Some(pair.asker.context()),
        lists: vec!["ours".into()],
        partner_id: OWNER.into(),
        kinds: kinds.iter().map(|kind| i32::from(*kind)).collect(),
        ..IntersectRequest::default()
    }
}

/// What a job says of each kind.
fn said(job: &Job) -> Vec<(Kind, UnknownReason)> {
    let said = |offer: &OfferSummary| (offer.kind(), offer.reason());
    let mut said: Vec<_> = job.offers.iter().map(said).collect();
    said.sort();
    said
}

/// A kind that was to be compared and was not is named, with the rule that forbade it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_may_not_ask_is_said() {
    let documents = Terms {
        offers: vec![Offer::new("one", "travel_document")],
        ..Terms::default()
    };
    // The same id of the offer, in another agreement.
    let people = Terms {
        id: "aa-bb-people".into(),
        offers: vec![Offer::new("one", "person")],
        ..Terms::default()
    };
    let pair = Pair::with(documents, passports(0..10)).await;
    let pair = Pair::between(pair.asker, pair.owner, &people).await;
    pair.refresh().await;
    pair.asker.replace_list("ours", &passports(5..20)).await;
    let run = async |kinds: &[Kind]| {
        let job = pair.asker.matching().intersect(request(&pair, kinds)).await;
        pair.asker
            .finished(&job.expect("a job").into_inner().job_id)
            .await
    };
    let (ok, forbidden) = (UnknownReason::Unspecified, UnknownReason::NotPermitted);
    let all = run(&[]).await;
    assert_eq!(said(&all), [(Kind::TravelDocument, ok), (Kind::Person, ok)]);

    pair.asker.suspend("aa-bb-people").await;
    let all = run(&[]).await;
    assert_eq!(all.state(), job::State::Succeeded);
    assert_eq!(
        said(&all),
        [(Kind::TravelDocument, ok), (Kind::Person, forbidden)]
    );
    assert_eq!(
        found(&pair, &all).await,
        names(5..10),
        "what was permitted was compared"
    );
    let detail = &all
        .offers
        .iter()
        .find(|offer| offer.reason() == forbidden)
        .expect("said")
        .detail;
    assert!(detail.contains("AGR-112"), "{detail}");
    // It is still said when the job is read again from the disk.
    assert_eq!(
        said(&pair.asker.job(&all.job_id).await.expect("known")),
        said(&all)
    );

    let wanted = run(&[Kind::TravelDocument, Kind::Phone]).await;
    assert_eq!(wanted.state(), job::State::Succeeded);
    assert_eq!(
        said(&wanted),
        [(Kind::TravelDocument, ok), (Kind::Phone, forbidden)]
    );
    let detail = &wanted
        .offers
        .iter()
        .find(|offer| offer.kind() == Kind::Phone)
        .expect("said")
        .detail;
    assert!(detail.contains("QRY-009"), "{detail}");

    let nothing = run(&[Kind::Phone, Kind::Person]).await;
    assert_eq!(
        nothing.state(),
        job::State::Failed,
        "there is nothing that it may ask"
    );
    assert_eq!(
        said(&nothing),
        [(Kind::Person, forbidden), (Kind::Phone, forbidden)]
    );
    // On record of the asker: by each job that would have compared people.
    let refused = refusals(&pair.asker).await;
    assert_eq!(refused.len(), 2, "{refused:?}");
    for refusal in refused {
        assert_eq!(rule_of(&refusal), "AGR-112");
        assert_eq!(refusal.partner.as_ref().map(|id| id.as_str()), Some(OWNER));
        let action = refusal.action.as_str();
        assert!(
            action.starts_with("query under one of aa-bb-people for BORDER_CHECK"),
            "{action}"
        );
    }
    assert!(nothing.detail.contains("AGR-112"), "{}", nothing.detail);
}

/// The owner sees a class of sizes, not the size: lists that differ by a tenth look the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_a_list_is_hidden_in_its_class() {
    let pair = Pair::with(Terms::default(), passports(0..10)).await;
    let mut seen = Vec::new();
    for numbers in [0..100, 1_000..1_110, 2_000..2_124] {
        pair.asker.replace_list("ours", &passports(numbers)).await;
        let before = pair.charged("docs").await;
        let job = pair.asker.intersect("ours", OWNER).await;
        succeeded(&pair, &job).await;
        let answered = store(&pair.owner).exchanges(None, 1).await.expect("read");
        seen.push((pair.charged("docs").await - before, answered[0].elements));
    }
    assert_eq!(seen, [(256, 256); 3], "200, 220 and 248 identifiers");
    // So is what is new in a later run.
    let mut seen = Vec::new();
    for more in [3_000..3_040, 4_000..4_056] {
        let before = pair.charged("docs").await;
        pair.asker.upsert("ours", passports(more)).await;
        let job = pair.asker.intersect("ours", OWNER).await;
        succeeded(&pair, &job).await;
        seen.push(pair.charged("docs").await - before);
    }
    assert_eq!(seen, [128, 128], "80 and 112 new identifiers");
}

/// A partner that fails inside may be well again in a minute: the job waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_a_partner_that_failed_inside() {
    let (pair, relay) = behind_a_door(&[]).await;
    pair.owner.replace_list("wanted", &passports(0..10)).await;
    pair.refresh().await;
    pair.asker.replace_list("ours", &passports(5..20)).await;
    relay.lie(Lies {
        broken: true,
        ..Lies::default()
    });
    let job = pair.asker.intersect("ours", OWNER).await;
    let paused = pair
        .asker
        .job_when(&job.job_id, |job| {
            assert_ne!(job.state(), job::State::Failed, "{}", job.detail);
            job.state() == job::State::Paused
        })
        .await;
    assert_eq!(paused.offers[0].reason(), UnknownReason::Failed);
    relay.lie(Lies::default());
    let job = succeeded(&pair, &job).await;
    assert_eq!(found(&pair, &job).await, names(5..10));
    assert!(
        job.offers
            .iter()
            .all(|offer| offer.reason() == UnknownReason::Unspecified)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_ended_long_ago_are_forgotten() {
    let agency = Agency::configured(OWNER, Default::default(), &[("poll_interval_s", "1")]).await;
    let publish = async || {
        let job = agency.snapshots().publish(PublishRequest::default()).await;
        let id = job.expect("a job").into_inner().job_id;
        agency.finished(&id).await.job_id
    };
    let old = publish().await;
    agency.clock.advance(90 * 86_400);
    let young = publish().await;
    agency.clock.advance(86_400);
    wait_for("the old job is deleted", async || agency.job(&old).await.is_err()).await;
    let gone = agency.job(&old).await.expect_err("gone");
    assert_eq!(concordat_wire::FaultView::from(&gone).rule, "JOB-001");
    agency.job(&young).await.expect("it ended yesterday");
}
