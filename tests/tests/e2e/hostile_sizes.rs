//! A partner that sends too much: too large, too often, too long.

use concordat_ledger::Event;
use concordat_tests::Terms;
use concordat_wire::v1::{
    EvaluateOpen, EvaluateRequest, ExchangeAgreementRequest, FetchSegmentRequest, GetManifestRequest,
    chunk_refused::Cause, evaluate_request, evaluate_response,
};
use tonic::Code;

use crate::hostile_requester::{Hostile, chunk, refusals, rule_of, view};

/// What costs a partner nothing leaves nothing behind: it could be sent without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_leaves_no_exchange() {
    let hostile = Hostile::with(Terms::default().quota(16, 16)).await;
    let owner = &hostile.pair.owner;
    let elements = hostile.blind(16).await.elements().to_vec();
    for request in 1..=3 {
        let open = EvaluateOpen {
            padded_elements: 1,
            ..hostile.open(request)
        };
        let refused = hostile.send(open, vec![chunk(0, &elements[..64])]).await;
        assert_eq!(view(refused.expect_err("more than announced")).rule, "PEER-014");
    }
    // The whole quota, and then what does not fit any more.
    hostile.one(4, chunk(0, &elements)).await;
    for request in 5..=8 {
        let answer = hostile.one(request, chunk(0, &elements[..32])).await;
        assert!(matches!(answer, evaluate_response::Message::Refused(_)));
    }
    let opened = owner.entries_of("evaluation.opened").await;
    assert_eq!(opened.len(), 1, "the one that was paid for");
    assert_eq!(owner.entries_of("quota.refused").await.len(), 1, "once a minute");
    let recorded = refusals(owner).await;
    let rules: Vec<&str> = recorded.iter().map(rule_of).collect();
    assert_eq!(rules, ["PEER-014", "AGR-120"], "and once a minute what follows");
    hostile.pair.advance(60);
    hostile.one(9, chunk(0, &elements[..32])).await;
    assert_eq!(owner.entries_of("quota.refused").await.len(), 2);
}

/// Sizes and counts are bounded before memory is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_and_counts_are_bounded() {
    let hostile = Hostile::new().await;
    let most = concordat_wire::MAX_CHUNK_ELEMENTS as usize;
    // One element too many: refused for its size, before a single element is looked at or charged.
    let refused = hostile
        .send(hostile.open(1), vec![chunk(0, &vec![0; (most + 1) * 32])])
        .await;
    assert_eq!(view(refused.expect_err("too many")).rule, "PEER-004");
    // A message above the limit is not read to its end.
    let refused = hostile
        .send(hostile.open(1), vec![chunk(0, &vec![0; 8 << 20])])
        .await
        .expect_err("too large");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    // More elements than announced are not charged, and end the stream; so does one chunk again and again.
    let element = hostile.blind(16).await.elements().to_vec();
    let chunks = (0..64).map(|index| chunk(index, &element)).collect();
    assert_eq!(
        view(hostile.send(hostile.open(2), chunks).await.expect_err("endless")).rule,
        "PEER-014"
    );
    assert_eq!(hostile.charged().await, 64, "what was announced");
    let chunks = (0..64).map(|_| chunk(0, &element)).collect();
    assert_eq!(
        view(hostile.send(hostile.open(3), chunks).await.expect_err("endless")).rule,
        "PEER-005"
    );
    assert_eq!(hostile.charged().await, 64 + 16);
    // A segment's name of the wrong length, and an offset past its end.
    let scope = Some(hostile.scope.clone());
    let mut peer = hostile.peer.clone();
    let request = FetchSegmentRequest {
        scope: scope.clone(),
        sha256: vec![0; 33],
        offset: 0,
    };
    assert_eq!(
        view(peer.fetch_segment(request).await.expect_err("33 bytes")).rule,
        "PEER-009"
    );
    let request = GetManifestRequest { scope: scope.clone() };
    let manifest = peer
        .get_manifest(request)
        .await
        .expect("a manifest")
        .into_inner()
        .note;
    let digest = manifest
        .lines()
        .find_map(|line| line.strip_prefix("segment "))
        .expect("a segment");
    let sha256 = hex::decode(digest.split(' ').next().expect("a digest")).expect("hex");
    for (sha256, offset) in [(sha256, u64::MAX), (vec![7; 32], 0)] {
        let request = FetchSegmentRequest {
            scope: scope.clone(),
            sha256,
            offset,
        };
        let mut pieces = peer.fetch_segment(request).await.expect("a stream").into_inner();
        assert_eq!(
            view(pieces.message().await.expect_err("no such range")).rule,
            "SNAP-004"
        );
    }
    // An agreement larger than any.
    let request = ExchangeAgreementRequest {
        note: "x".repeat(900 << 10),
    };
    assert_eq!(
        view(peer.exchange_agreement(request).await.expect_err("too long")).rule,
        "AGR-010"
    );
}

/// The record of a request says how large it was: nobody stretches a small one over many days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_cannot_outgrow_what_the_owner_recorded() {
    let hostile = Hostile::new().await;
    let blinded = hostile.blind(32).await;
    let half = &blinded.elements()[..16 * 32];
    let announcing = |padded_elements| EvaluateOpen {
        padded_elements,
        ..hostile.open(1)
    };
    let evaluated = |answers: Vec<evaluate_response::Message>| {
        let chunk =
            |answer: &evaluate_response::Message| matches!(answer, evaluate_response::Message::Chunk(_));
        answers.iter().filter(|answer| chunk(answer)).count()
    };
    let first = hostile.send(announcing(16), vec![chunk(0, half)]).await;
    assert_eq!(evaluated(first.expect("answered")), 1);
    // New chunks under the id: today, tomorrow, or with a larger announcement.
    for padded_elements in [16, 16, 1 << 20] {
        let more = hostile
            .send(announcing(padded_elements), vec![chunk(1, half)])
            .await
            .expect_err("more");
        let rule = view(more).rule;
        if padded_elements == 16 {
            assert_eq!(rule, "PEER-014");
        } else {
            assert_eq!(rule, "PEER-011", "the record says another number");
        }
        hostile.pair.advance(3_600);
    }
    // What was charged is answered again.
    let again = hostile.send(announcing(16), vec![chunk(0, half)]).await;
    assert_eq!(evaluated(again.expect("answered")), 1);
    let store = &hostile.pair.owner.node().state.store;
    let recorded = store.exchanges(None, 10).await.expect("read");
    assert_eq!(
        recorded.iter().map(|one| one.elements).collect::<Vec<_>>(),
        [16],
        "one request of sixteen elements, and no other"
    );
}

/// A number that no entry of the ledger can hold is refused at the door: else it would fail all the chunks that are charged with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_beyond_all_bounds_fails_nobody_else() {
    let hostile = Hostile::new().await;
    let elements = hostile.blind(16).await.elements().to_vec();
    let announcing = |id, padded_elements| EvaluateOpen {
        padded_elements,
        ..hostile.open(id)
    };
    let refused = [u64::MAX, 1 << 53, (1 << 30) + 1].map(|announced| {
        let stream = hostile.send(announcing(1, announced), vec![chunk(0, &elements)]);
        async { view(stream.await.expect_err("too many")) }
    });
    // Together with others, which share the transactions.
    let others = (2..18).map(|id| hostile.one(id, chunk(0, &elements)));
    let (refused, others) = tokio::join!(
        futures_util::future::join_all(refused),
        futures_util::future::join_all(others)
    );
    for refused in refused {
        assert_eq!(
            (refused.code, refused.rule.as_str(), refused.field.as_deref()),
            (Code::InvalidArgument, "PEER-017", Some("padded_elements"))
        );
    }
    for answer in others {
        assert!(
            matches!(answer, evaluate_response::Message::Chunk(_)),
            "{answer:?}"
        );
    }
    assert_eq!(hostile.charged().await, 16 * 16);
    // The largest that is let in can be recorded.
    let most = hostile
        .send(announcing(99, 1 << 30), vec![chunk(0, &elements)])
        .await;
    assert_eq!(most.expect("answered").len(), 1);
    let opened = hostile.pair.owner.entries_of("evaluation.opened").await;
    let elements: Vec<u64> = opened
        .iter()
        .map(|entry| match &entry.event {
            Event::EvaluationOpened(opened) => opened.elements,
            _ => panic!("an opening"),
        })
        .collect();
    assert_eq!((elements.len(), elements.last()), (17, Some(&(1 << 30))));
}

/// Asking again is free, but not without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_are_bounded() {
    let hostile = Hostile::with(Terms::default().quota(16, 16)).await;
    let blinded = hostile.blind(16).await;
    for _ in 0..9 {
        let answer = hostile.one(1, chunk(0, blinded.elements())).await;
        assert!(
            matches!(answer, evaluate_response::Message::Chunk(_)),
            "{answer:?}"
        );
    }
    let evaluate_response::Message::Refused(refused) = hostile.one(1, chunk(0, blinded.elements())).await
    else {
        panic!("answered");
    };
    assert_eq!(
        (refused.cause(), refused.rule.as_str()),
        (Cause::Quota, "PEER-013")
    );
    hostile.pair.advance(86_400);
    let answer = hostile.one(1, chunk(0, blinded.elements())).await;
    assert!(
        matches!(answer, evaluate_response::Message::Chunk(_)),
        "another day"
    );
    assert_eq!(hostile.charged().await, 16);
}

/// Streams that are opened and left open cost a place each; and nothing is written for one that asks nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_are_bounded_and_leave_no_trace() {
    let hostile = Hostile::new().await;
    let open = |id| {
        let message = evaluate_request::Message::Open(hostile.open(id));
        let first = EvaluateRequest {
            message: Some(message),
        };
        // The sending half is kept: a stream whose requests never end stays open.
        let (sender, requests) = tokio::sync::mpsc::channel(1);
        sender.try_send(first).expect("room");
        let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
        let mut peer = hostile.peer.clone();
        async move { peer.evaluate(requests).await.map(|answers| (sender, answers)) }
    };
    let mut held = Vec::new();
    for id in 0..128 {
        held.push(open(id).await.expect("a place"));
    }
    let refused = view(open(200).await.expect_err("no place"));
    assert_eq!(
        (refused.code, refused.rule.as_str()),
        (Code::ResourceExhausted, "PEER-012")
    );
    assert!(refused.retry_after.is_some());
    drop(held);
    concordat_tests::wait_for("a place is free", || async { open(201).await.is_ok() }).await;
    let store = &hostile.pair.owner.node().state.store;
    assert_eq!(store.exchanges(None, 10).await.expect("read"), []);
}
