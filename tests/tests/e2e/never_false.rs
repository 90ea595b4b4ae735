//! Whatever goes wrong, nothing is ever reported as "no hit" that was not checked to the end.

use std::time::{Duration, Instant};

use concordat_ledger::Side;
use concordat_tests::{
    Agency, Lies, OWNER, Offer, Pair, Terms, born, document, free_port, item, name, person,
};
use concordat_wire::FaultView;
use concordat_wire::v1::{
    Kind, MatchItem, MatchRequest, MatchResponse, MatchStreamOpen, MatchStreamRequest, PublishRequest,
    UnknownReason, Verdict, job, match_item, match_stream_request,
};

use crate::hostile_owner::{RIGHT, behind_a_door, verdicts};
use crate::hostile_requester::{listed, refusals, rule_of};
use crate::quota::quota_refusals;

fn unknown(reason: UnknownReason) -> [(Verdict, UnknownReason); 2] {
    [(Verdict::Unknown, reason); 2]
}

fn passport(id: &str, number: &str) -> MatchItem {
    item(id, person(vec![], vec![], vec![document(number, "NLD")]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_is_down() {
    let mut pair = Pair::with(Terms::default(), listed()).await;
    pair.owner.stop().await;
    assert_eq!(verdicts(&pair).await, unknown(UnknownReason::Unreachable));
    pair.owner.start().await;
    assert_eq!(verdicts(&pair).await, RIGHT, "it came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_takes_chunks_and_never_answers() {
    let (pair, relay) = behind_a_door(&[("partner_deadline_ms", "700")]).await;
    pair.refresh().await;
    relay.lie(Lies {
        silent: true,
        ..Lies::default()
    });
    assert_eq!(verdicts(&pair).await, unknown(UnknownReason::Deadline));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_accepts_and_says_nothing_delays_itself_only() {
    let port = free_port().await;
    let (text, deadline) = (port.to_string(), "1500");
    let asker = Agency::configured(
        "aa-border",
        Default::default(),
        &[("partner_deadline_ms", deadline)],
    )
    .await;
    let good = Agency::new(OWNER).await;
    let hung = Agency::configured("cc-customs", Default::default(), &[("endpoint_port", &text)]).await;
    let relay = concordat_tests::Relay::open(&asker, &hung, port).await;
    let terms = Terms {
        id: "aa-cc-2026".into(),
        offers: vec![Offer {
            owner: "cc-customs".into(),
            ..Offer::new("docs", "travel_document")
        }],
        ..Terms::default()
    };
    let with_hung = Pair::between(asker, hung, &terms).await;
    let pair = Pair::between(with_hung.asker, good, &Terms::default()).await;
    with_hung.owner.replace_list("wanted", &listed()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    with_hung.owner.publish().await;
    pair.refresh().await;
    // From now on the third agency's port accepts connections and says nothing at all.
    drop(relay);
    let listener = bind(port).await;
    let _deaf = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });

    let start = Instant::now();
    let response = pair
        .asker
        .ask(vec![
            passport("listed", "ZX7741209"),
            passport("other", "QQ0000017"),
        ])
        .await;
    let of = |item: usize, partner: &str| {
        let partners = &response.results[item].partners;
        let found = partners
            .iter()
            .find(|verdict| verdict.partner_id == partner)
            .expect("asked");
        found.verdict()
    };
    assert_eq!(
        (of(0, OWNER), of(1, OWNER)),
        (Verdict::Hit, Verdict::NoHit),
        "the other one's verdicts stand"
    );
    assert_eq!(
        (of(0, "cc-customs"), of(1, "cc-customs")),
        (Verdict::Unknown, Verdict::Unknown)
    );
    assert_eq!(
        response.results[0].verdict(),
        Verdict::Hit,
        "a hit anywhere is a hit"
    );
    assert_eq!(
        response.results[1].verdict(),
        Verdict::Unknown,
        "one partner's silence is not a no"
    );
    // Not a measurement: the deadline is 1.5 s, a hung call would last for ever.
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "answered after {:?}",
        start.elapsed()
    );

    // A partner that is not asked delays nobody.
    let request = MatchRequest {
        context: Some(pair.asker.context()),
        items: vec![passport("other", "QQ0000017")],
        partners: vec![OWNER.into()],
        ..MatchRequest::default()
    };
    let response = pair
        .asker
        .matching()
        .r#match(request)
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(response.results[0].verdict(), Verdict::NoHit);
}

async fn bind(port: u16) -> tokio::net::TcpListener {
    for _ in 0..500 {
        match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("port {port} stays taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_used_up() {
    let pair = Pair::with(Terms::default().quota(16, 16), listed()).await;
    assert_eq!(verdicts(&pair).await, RIGHT);
    assert_eq!(verdicts(&pair).await, unknown(UnknownReason::Quota));
    pair.advance(86_400 - 36_000 + 1);
    assert_eq!(
        verdicts(&pair).await,
        unknown(UnknownReason::Quota),
        "the epoch's is used up too"
    );
    // Both have each on record, as one exchange.
    let [ours, theirs] = [
        quota_refusals(&pair.asker).await,
        quota_refusals(&pair.owner).await,
    ];
    assert_eq!((ours.len(), theirs.len()), (2, 2));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!((ours.side, theirs.side), (Side::Requester, Side::Owner));
        assert_eq!(
            (ours.partner.as_str(), theirs.partner.as_str()),
            (OWNER, "aa-border")
        );
        assert_eq!(
            (ours.exchange, &ours.scope, ours.elements),
            (theirs.exchange, &theirs.scope, theirs.elements)
        );
    }
    assert_ne!(ours[0].exchange, ours[1].exchange);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intersection_without_quota_waits_instead_of_guessing() {
    let pair = Pair::with(Terms::default().quota(16, 64), listed()).await;
    let people = (0..40).map(|number| concordat_tests::Record {
        source_id: format!("o{number}"),
        subject: Some(person(
            vec![],
            vec![],
            vec![document(&format!("QQ{number:07}"), "NLD")],
        )),
    });
    pair.asker.replace_list("ours", &people.collect::<Vec<_>>()).await;
    let started = pair.asker.intersect("ours", OWNER).await;
    let paused = pair
        .asker
        .job_when(&started.job_id, |job| job.state() == job::State::Paused)
        .await;
    assert!(paused.detail.contains("AGR-120"), "{}", paused.detail);
    assert_eq!((paused.done, paused.matches), (0, 0));
    assert_eq!(pair.charged("docs").await, 0, "what was refused was not charged");
    let cancel = concordat_wire::v1::CancelJobRequest {
        job_id: started.job_id.clone(),
    };
    pair.asker.matching().cancel_job(cancel).await.expect("cancelled");
    let over = pair.asker.finished(&started.job_id).await;
    assert_eq!(over.state(), job::State::Cancelled);
}

async fn ask_for(pair: &Pair, change: impl FnOnce(&mut concordat_wire::v1::QueryContext)) -> MatchResponse {
    let mut context = pair.asker.context();
    change(&mut context);
    let request = MatchRequest {
        context: Some(context),
        items: vec![passport("listed", "ZX7741209")],
        ..MatchRequest::default()
    };
    pair.asker
        .matching()
        .r#match(request)
        .await
        .expect("answered")
        .into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purpose_or_basis_that_is_not_permitted() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let purpose = ask_for(&pair, |context| {
        context.set_purpose(concordat_wire::v1::Purpose::FinancialIntel);
    })
    .await;
    let basis = ask_for(&pair, |context| context.legal_basis = "because".into()).await;
    for (response, rule) in [(purpose, "AGR-102"), (basis, "AGR-103")] {
        let kind = &response.results[0].partners[0].kinds[0];
        assert_eq!(
            (kind.verdict(), kind.reason()),
            (Verdict::Unknown, UnknownReason::NotPermitted)
        );
        let detail = &response.partners[0].offers[0].detail;
        assert!(detail.contains(rule), "{detail}");
    }
    assert_eq!(pair.charged("docs").await, 0, "nothing was sent");
    let refused = refusals(&pair.asker).await;
    let rules: Vec<&str> = refused.iter().map(rule_of).collect();
    assert_eq!(rules, ["AGR-102", "AGR-103"], "the asker has it on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_that_either_side_suspends_or_that_is_over() {
    let pair = Pair::with(Terms::default(), listed()).await;
    pair.asker.suspend("aa-bb-2026").await;
    assert_eq!(
        verdicts(&pair).await,
        unknown(UnknownReason::NotPermitted),
        "by the asker"
    );
    pair.asker.resume("aa-bb-2026").await;
    assert_eq!(verdicts(&pair).await, RIGHT);
    pair.owner.suspend("aa-bb-2026").await;
    assert_eq!(
        verdicts(&pair).await,
        unknown(UnknownReason::NotPermitted),
        "by the owner"
    );
    pair.owner.resume("aa-bb-2026").await;
    assert_eq!(verdicts(&pair).await, RIGHT);
    pair.advance(365 * 86_400);
    assert_eq!(
        verdicts(&pair).await,
        unknown(UnknownReason::NotPermitted),
        "it is over"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_missing_or_damaged() {
    let mut pair = Pair::between(
        Agency::new("aa-border").await,
        Agency::new(OWNER).await,
        &Terms::default(),
    )
    .await;
    assert_eq!(
        verdicts(&pair).await,
        unknown(UnknownReason::SnapshotMissing),
        "nothing was published"
    );
    let status = pair
        .owner
        .snapshots()
        .publish(PublishRequest::default())
        .await
        .expect("a job")
        .into_inner();
    let failed = pair.owner.finished(&status.job_id).await;
    assert_eq!(failed.state(), job::State::Failed);
    assert!(
        failed.detail.contains("SNAP-010"),
        "a list that does not exist: {}",
        failed.detail
    );
    pair.owner.replace_list("wanted", &listed()).await;
    pair.owner.publish().await;
    assert_eq!(
        verdicts(&pair).await,
        unknown(UnknownReason::SnapshotMissing),
        "published, but not fetched"
    );
    pair.asker.fetch().await.expect("fetched");
    assert_eq!(verdicts(&pair).await, RIGHT);

    // One byte of the held segment changes on the disk while the node is down.
    pair.asker.stop().await;
    let folder = pair.asker.folder().join("segments/held/aa-bb-2026/docs/0");
    let files = std::fs::read_dir(folder)
        .expect("held")
        .map(|file| file.expect("a file").path());
    let mut damaged = 0;
    for path in files.filter(|path| path.metadata().is_ok_and(|metadata| metadata.len() > 10_000)) {
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[5_000] ^= 1;
        let mut permissions = path.metadata().expect("there").permissions();
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "in a folder of the test's own"
        )]
        permissions.set_readonly(false);
        std::fs::set_permissions(&path, permissions).expect("ours");
        std::fs::write(&path, bytes).expect("written");
        damaged += 1;
    }
    assert_eq!(damaged, 1, "one segment is held");
    pair.asker.start().await;
    // The node mends itself at its first look at the partner: until then it is UNKNOWN, after it right again.
    let seen = verdicts(&pair).await;
    assert!(
        seen == RIGHT || seen.iter().all(|verdict| verdict.0 == Verdict::Unknown),
        "{seen:?}"
    );
    let _ = pair.asker.fetch().await;
    pair.asker.fetch().await.expect("fetched again");
    assert_eq!(verdicts(&pair).await, RIGHT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_cannot_be_read_or_whose_kind_nobody_offers() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let mrz = "P<NLDERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C37NLD7408122F2804154ZE184226B<<<<<18";
    let phone = concordat_wire::v1::Subject {
        others: vec![concordat_wire::v1::OtherIdentifier {
            value: Some(concordat_wire::v1::other_identifier::Value::Phone(
                "+31 20 555 0142".into(),
            )),
        }],
        ..Default::default()
    };
    let spoilt = person(
        vec![name("Okafor", "Chidi")],
        vec![born(1990, 13, 30)],
        vec![document("QQ0000017", "NLD")],
    );
    let response = pair
        .asker
        .ask(vec![
            MatchItem {
                item_id: "digit".into(),
                what: Some(match_item::What::Mrz(mrz.into())),
            },
            MatchItem {
                item_id: "nothing".into(),
                what: None,
            },
            item("empty", person(vec![], vec![], vec![])),
            item("phone", phone),
            item("spoilt", spoilt),
            passport("good", "ZX7741209"),
        ])
        .await;
    for result in &response.results {
        let wanted = if result.item_id == "good" {
            Verdict::Hit
        } else {
            Verdict::Unknown
        };
        assert_eq!(result.verdict(), wanted, "{}", result.item_id);
    }
    let [digit, nothing, _, phone, spoilt, _] = response.results.as_slice() else {
        panic!("one result per item");
    };
    assert_eq!(digit.rejections[0].rule, "QRY-011");
    assert!(
        digit.rejections[0].reason.contains("document number"),
        "{}",
        digit.rejections[0].reason
    );
    assert_eq!(nothing.rejections[0].rule, "QRY-010");
    assert_eq!(phone.partners[0].not_covered, [Kind::Phone as i32]);
    let kinds: Vec<_> = spoilt.partners[0]
        .kinds
        .iter()
        .map(|kind| (kind.kind(), kind.verdict(), kind.reason()))
        .collect();
    assert_eq!(
        kinds,
        [
            (Kind::TravelDocument, Verdict::NoHit, UnknownReason::Unspecified),
            (Kind::Person, Verdict::Unknown, UnknownReason::InvalidItem),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_itself_wrong_is_refused_with_rule_and_field() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let good = || MatchRequest {
        context: Some(pair.asker.context()),
        items: vec![passport("a", "ZX7741209")],
        ..MatchRequest::default()
    };
    type Change = fn(&mut MatchRequest);
    let cases: [(&str, &str, Change); 8] = [
        ("QRY-001", "context", |request| request.context = None),
        ("QRY-001", "context.purpose", |request| {
            request.context.as_mut().expect("set").purpose = 0;
        }),
        ("QRY-001", "context.legal_basis", |request| {
            request.context.as_mut().expect("set").legal_basis.clear();
        }),
        ("QRY-001", "context.case_reference", |request| {
            request.context.as_mut().expect("set").case_reference.clear();
        }),
        ("QRY-002", "items", |request| request.items.clear()),
        ("QRY-003", "items[1].item_id", |request| {
            request.items.push(request.items[0].clone());
        }),
        ("QRY-003", "items[0].item_id", |request| {
            request.items[0].item_id = "x".repeat(257);
        }),
        ("QRY-004", "partners[0]", |request| {
            request.partners.push("nobody".into());
        }),
    ];
    for (rule, field, change) in cases {
        let mut request = good();
        change(&mut request);
        let refused = FaultView::from(&pair.asker.matching().r#match(request).await.expect_err(rule));
        assert_eq!(
            (refused.rule.as_str(), refused.field.as_deref()),
            (rule, Some(field))
        );
    }
    let alone = Agency::new("dd-alone").await;
    let refused = FaultView::from(
        &alone
            .try_ask(vec![passport("a", "ZX7741209")])
            .await
            .expect_err("alone"),
    );
    assert_eq!(refused.rule, "QRY-005");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_with_too_much_to_do() {
    // One thread and one place to wait: of many queries at once some find no place. None of them may say "no hit"
    // of the listed one, and every NO_HIT of the other must have been checked.
    let small = [
        ("queue_chunks", "1"),
        ("query_chunk_elements", "16"),
        ("partner_deadline_ms", "3000"),
    ];
    let asker = Agency::new("aa-border").await;
    let owner = Agency::configured(OWNER, Default::default(), &small).await;
    let pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.owner.replace_list("wanted", &listed()).await;
    pair.refresh().await;
    let questions = (0..24).map(|_| pair.asker.ask(vec![passport("listed", "ZX7741209")]));
    for response in futures_util::future::join_all(questions).await {
        let kind = &response.results[0].partners[0].kinds[0];
        let allowed = matches!(
            (kind.verdict(), kind.reason()),
            (Verdict::Hit, _)
                | (
                    Verdict::Unknown,
                    UnknownReason::Overloaded | UnknownReason::Deadline
                )
        );
        assert!(allowed, "{kind:?}");
    }
    assert_eq!(verdicts(&pair).await, RIGHT, "and it recovers");
}

/// A partner that may only ask us cannot answer: asking it by name is an error, not an answer without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_partner_that_cannot_be_asked_is_not_left_out() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let request = MatchRequest {
        context: Some(pair.owner.context()),
        items: vec![passport("a", "ZX7741209")],
        partners: vec!["aa-border".into()],
        ..MatchRequest::default()
    };
    let refused = FaultView::from(&pair.owner.matching().r#match(request).await.expect_err("refused"));
    assert_eq!(
        (refused.rule.as_str(), refused.field.as_deref()),
        ("QRY-004", Some("partners[0]"))
    );
}

/// What claims to come from the future would stay young for too long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_tomorrow_is_not_believed() {
    let pair = Pair::with(Terms::default(), listed()).await;
    pair.asker.clock.advance(-3_600);
    let response = pair
        .asker
        .ask(vec![passport("a", "ZX7741209"), passport("b", "ZX0000000")])
        .await;
    for result in &response.results {
        let kind = &result.partners[0].kinds[0];
        assert_eq!(
            (kind.verdict(), kind.reason()),
            (Verdict::Unknown, UnknownReason::SnapshotStale)
        );
    }
}

/// In a stream, answers come in any order and are told apart by item id alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_one_id_twice_is_refused() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let open = MatchStreamOpen {
        context: Some(pair.asker.context()),
        ..MatchStreamOpen::default()
    };
    let messages = [
        match_stream_request::Message::Open(open),
        match_stream_request::Message::Item(passport("a", "ZX7741209")),
        match_stream_request::Message::Item(passport("a", "ZX0000000")),
    ];
    let requests = messages.map(|message| MatchStreamRequest {
        message: Some(message),
    });
    let answers = pair
        .asker
        .matching()
        .match_stream(tokio_stream::iter(requests))
        .await;
    let mut answers = answers.expect("begun").into_inner();
    let refused = loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("answered"),
            Err(status) => break FaultView::from(&status),
        }
    };
    assert_eq!(refused.rule, "QRY-003");
}
