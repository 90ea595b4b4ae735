//! `kill -9` of either node in the middle of its work: nothing acknowledged is lost, nothing is charged twice, and
//! the job goes on to the truth.

use std::path::PathBuf;

use concordat_synthetic::{Spec, World};
use concordat_tests::{Agency, OWNER, Pair, Run, Terms, document, item, person, wait_for};
use concordat_wire::v1::{
    ImportFile, ImportOpen, ImportRequest, Kind, ListListsRequest, PublishRequest, SnapshotStatusRequest,
    Verdict, evaluate_response, import_request, import_response, job,
};

use crate::hostile_requester::{Hostile, chunk, listed};
use crate::matching::{found, records, truth};

fn child() -> Run {
    Run::Child(PathBuf::from(env!("CARGO_BIN_EXE_concordat-test-node")))
}

async fn processes(asker: &[(&str, &str)]) -> Pair {
    let asker = Agency::configured("aa-border", child(), asker).await;
    let owner = Agency::configured(OWNER, child(), &[]).await;
    Pair::between(asker, owner, &Terms::default()).await
}

fn world() -> World {
    World::new(Spec {
        seed: 11,
        left: 400,
        right: 300,
        overlap: 60,
        reference_date: jiff::civil::date(2026, 3, 2),
    })
    .expect("a world")
}

async fn verdict(pair: &Pair, number: &str) -> Verdict {
    let subject = person(vec![], vec![], vec![document(number, "NLD")]);
    pair.asker.ask(vec![item("p", subject)]).await.results[0].verdict()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_an_import() {
    let mut agency = Agency::configured(OWNER, child(), &[]).await;
    let before = agency.replace_list("wanted", &listed()).await;
    assert_eq!(before.added, 1, "acknowledged");

    // A second import that never ends: some batches are staged when the node dies.
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let open = ImportOpen {
        list: "wanted".into(),
        format: "jsonl".into(),
        ..ImportOpen::default()
    };
    let file = ImportFile {
        name: "list.jsonl".into(),
    };
    let send = async |message| {
        let request = ImportRequest {
            message: Some(message),
        };
        sender.send(request).await.expect("taken");
    };
    send(import_request::Message::Open(open)).await;
    send(import_request::Message::File(file)).await;
    let mut answers = {
        let import = agency
            .watchlists()
            .import(tokio_stream::wrappers::ReceiverStream::new(receiver))
            .await;
        import.expect("begun").into_inner()
    };
    let line = |number: u32| format!("{{\"source_id\":\"n{number}\",\"subject\":{{\"names\":[]}}}}\n");
    let lines: String = (0..2_500).map(line).collect();
    for piece in lines.as_bytes().chunks(32 << 10) {
        send(import_request::Message::Data(piece.to_vec().into())).await;
    }
    loop {
        let answer = answers
            .message()
            .await
            .expect("an answer")
            .expect("not the end")
            .message;
        if matches!(answer, Some(import_response::Message::Progress(progress)) if progress.records >= 1_000) {
            break;
        }
    }
    agency.kill().await;
    agency.start().await;

    let lists = agency
        .watchlists()
        .list_lists(ListListsRequest {})
        .await
        .expect("lists")
        .into_inner()
        .lists;
    assert_eq!(
        (lists.len(), lists[0].records),
        (1, 1),
        "what was acknowledged, and nothing of the rest"
    );
    let again = agency.replace_list("wanted", &listed()).await;
    assert_eq!(again.unchanged, 1, "another import may begin at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_a_publication() {
    let mut pair = processes(&[]).await;
    let world = world();
    pair.owner.replace_list("wanted", &listed()).await;
    pair.refresh().await;
    assert_eq!(verdict(&pair, "ZX7741209").await, Verdict::Hit);

    let mut more = records(world.right());
    more.extend(listed());
    pair.owner.replace_list("wanted", &more).await;
    let publish = pair
        .owner
        .snapshots()
        .publish(PublishRequest::default())
        .await
        .expect("a job")
        .into_inner();
    // Whatever it was doing: before, in the middle or after.
    pair.owner
        .job_when(&publish.job_id, |job| job.state() != job::State::Queued)
        .await;
    pair.owner.kill().await;
    assert_eq!(
        verdict(&pair, "ZX7741209").await,
        Verdict::Unknown,
        "the owner is down"
    );
    pair.owner.start().await;
    let served = pair
        .owner
        .snapshots()
        .status(SnapshotStatusRequest {})
        .await
        .expect("status")
        .into_inner();
    assert!(
        served.snapshots.iter().all(|snapshot| snapshot.version >= 1),
        "what was served is served"
    );

    // The job goes on by itself.
    let over = pair.owner.finished(&publish.job_id).await;
    assert_eq!(over.state(), job::State::Succeeded, "{}", over.detail);
    let fetched = pair.asker.fetch().await.expect("fetched");
    assert!(fetched.snapshots.iter().all(|snapshot| snapshot.version >= 2));
    assert_eq!(verdict(&pair, "ZX7741209").await, Verdict::Hit);
    assert_eq!(verdict(&pair, "QQ0000017").await, Verdict::NoHit);
    pair.asker.replace_list("ours", &records(world.left())).await;
    let job = pair.asker.intersect("ours", OWNER).await;
    let job = pair.asker.finished(&job.job_id).await;
    assert_eq!(found(&pair.asker, &job.job_id).await, truth(&world));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_a_charge_and_its_answer() {
    let mut hostile = Hostile::of(processes(&[]).await).await;
    let blinded = hostile.blind(64).await;
    // Killed at whatever point of the evaluation, five times; sent again until it is answered.
    for _ in 0..5 {
        let open = hostile.open(1);
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let send = |message| {
            let request = concordat_wire::v1::EvaluateRequest {
                message: Some(message),
            };
            sender.try_send(request).expect("room");
        };
        send(concordat_wire::v1::evaluate_request::Message::Open(open));
        send(concordat_wire::v1::evaluate_request::Message::Chunk(chunk(
            0,
            blinded.elements(),
        )));
        let answers = hostile
            .peer
            .evaluate(tokio_stream::wrappers::ReceiverStream::new(receiver))
            .await;
        let answers = answers.expect("opened");
        hostile.pair.owner.kill().await;
        drop(answers);
        hostile.pair.owner.start().await;
        hostile.peer = hostile.pair.asker.impersonate(&hostile.pair.owner);
        let charged = hostile.pair.charged("docs").await;
        assert!(charged == 0 || charged == 64, "all of it or nothing: {charged}");
    }
    let answer = hostile.one(1, chunk(0, blinded.elements())).await;
    let evaluate_response::Message::Chunk(answer) = answer else {
        panic!("refused: {answer:?}");
    };
    let proof = answer.proof.as_slice().try_into().expect("64 bytes");
    assert!(
        blinded.verify(&answer.elements, proof).is_ok(),
        "under the same key as before"
    );
    assert_eq!(hostile.pair.charged("docs").await, 64, "once");
}

/// Padded elements of a job over `count` identifiers in chunks of at most 64, two of which are dummies.
fn planned(count: u64) -> u64 {
    let mut total = (count + 2).next_power_of_two().max(16);
    while count + 2 * total.div_ceil(64) > total {
        total *= 2;
    }
    total
}

/// Kills one of the nodes again and again while the job runs; the job must end at the truth at the planned price.
async fn intersect_with_kills(kill_asker: bool) {
    let world = world();
    let mut pair = processes(&[("partner_deadline_ms", "5000")]).await;
    pair.owner.replace_list("wanted", &records(world.right())).await;
    pair.asker.replace_list("ours", &records(world.left())).await;
    pair.refresh().await;
    let lists = pair
        .asker
        .watchlists()
        .list_lists(ListListsRequest {})
        .await
        .expect("lists")
        .into_inner()
        .lists;

    let job = pair.asker.intersect("ours", OWNER).await.job_id;
    for done in [1, 200, 500] {
        pair.asker
            .job_when(&job, |job| {
                job.done >= done || job.state() == job::State::Succeeded
            })
            .await;
        let victim = if kill_asker {
            &mut pair.asker
        } else {
            &mut pair.owner
        };
        victim.kill().await;
        victim.start().await;
        let after = pair.asker.job(&job).await.expect("the job is known");
        assert!(after.done >= done.min(after.total), "what was done stays done");
    }
    let over = pair.asker.finished(&job).await;
    assert_eq!(over.state(), job::State::Succeeded, "{}", over.detail);
    assert_eq!(found(&pair.asker, &job).await, truth(&world));

    // An independent account: identifiers of the list that a query sends, cut into chunks.
    let today = jiff::civil::date(2026, 3, 2);
    for (offer, kind) in [("docs", Kind::TravelDocument), ("people", Kind::Person)] {
        let mut identifiers = std::collections::HashSet::new();
        for record in world.left() {
            let derived = concordat_identifiers::derive(&record.subject, today).identifiers;
            identifiers.extend(derived.into_iter().filter(|identifier| {
                !identifier.is_variant() && concordat_wire::kind_to_proto(identifier.kind()) == kind
            }));
        }
        assert_eq!(
            pair.charged(offer).await,
            planned(identifiers.len() as u64),
            "{offer}: once each"
        );
    }
    assert_eq!(lists[0].records, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_is_killed_during_an_intersection() {
    intersect_with_kills(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_asker_is_killed_during_an_intersection() {
    intersect_with_kills(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intersection_waits_for_a_partner_that_is_down() {
    let world = world();
    let mut pair = processes(&[]).await;
    pair.owner.replace_list("wanted", &records(world.right())).await;
    pair.asker.replace_list("ours", &records(world.left())).await;
    pair.refresh().await;
    pair.owner.kill().await;
    let job = pair.asker.intersect("ours", OWNER).await.job_id;
    wait_for("the job waits", async || {
        pair.asker
            .job(&job)
            .await
            .is_ok_and(|job| job.state() == job::State::Paused)
    })
    .await;
    pair.owner.start().await;
    let over = pair.asker.finished(&job).await;
    assert_eq!(over.state(), job::State::Succeeded, "{}", over.detail);
    assert_eq!(found(&pair.asker, &job).await, truth(&world));
}
