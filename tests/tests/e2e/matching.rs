//! What two honest agencies find.

use std::collections::BTreeMap;

use concordat_synthetic::{Spec, World};
use concordat_tests::{
    Agency, OWNER, Offer, Pair, Record, Terms, born, document, item, name, person, wait_for,
};
use concordat_wire::v1::{
    BiometricReference, Grade, ItemResult, Kind, KindVerdict, MatchItem, MatchResponse, MatchStreamOpen,
    MatchStreamRequest, NationalId, OtherIdentifier, Subject, UnknownReason, VehiclePlate, Verdict, job,
    match_item, match_stream_request, other_identifier,
};
use concordat_wire::{kind_to_proto, subject_to_proto};

/// The specimen of ICAO Doc 9303, with a real issuer.
const MRZ: &str =
    "P<NLDERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36NLD7408122F2804154ZE184226B<<<<<18";

fn record(id: &str, subject: Subject) -> Record {
    Record {
        source_id: id.into(),
        subject: Some(subject),
    }
}

/// A list of four people.
fn wanted() -> Vec<Record> {
    vec![
        record(
            "w1",
            person(
                vec![name("ERIKSSON", "ANNA MARIA")],
                vec![born(1974, 8, 12)],
                vec![document("L898902C3", "NLD")],
            ),
        ),
        record(
            "w2",
            person(
                vec![name("Novotná-Kraus", "Jitka"), name("Brandt", "Irma")],
                vec![born(1981, 3, 9)],
                vec![],
            ),
        ),
        record("w3", person(vec![], vec![], vec![document("ZX 774-1209", "NLD")])),
        record(
            "w4",
            person(vec![name("Okafor", "Chidi")], vec![born(1990, 11, 30)], vec![]),
        ),
    ]
}

fn result<'a>(response: &'a MatchResponse, id: &str) -> &'a ItemResult {
    let result = response.results.iter().find(|result| result.item_id == id);
    result.expect("one result per item")
}

fn of_kind(result: &ItemResult, kind: Kind) -> KindVerdict {
    let kinds = &result.partners[0].kinds;
    let found = kinds.iter().find(|verdict| verdict.kind() == kind);
    found.expect("a verdict of the kind").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_finds_what_is_listed_with_grade_and_rule_and_nothing_else() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    let mrz = MatchItem {
        item_id: "mrz".into(),
        what: Some(match_item::What::Mrz(MRZ.into())),
    };
    let response = pair
        .asker
        .ask(vec![
            mrz,
            item(
                "document",
                person(vec![], vec![], vec![document("zx7741209", "NL")]),
            ),
            item(
                "other issuer",
                person(vec![], vec![], vec![document("ZX7741209", "BEL")]),
            ),
            item(
                "name",
                person(vec![name("OKAFOR", "CHIDI")], vec![born(1990, 11, 30)], vec![]),
            ),
            item(
                "alias",
                person(vec![name("Brandt", "Irma")], vec![born(1981, 3, 9)], vec![]),
            ),
            item(
                "other birth",
                person(vec![name("Brandt", "Irma")], vec![born(1982, 3, 9)], vec![]),
            ),
            item(
                "nobody",
                person(vec![], vec![], vec![document("QQ0000017", "NLD")]),
            ),
        ])
        .await;

    let mrz = result(&response, "mrz");
    assert_eq!(
        (mrz.verdict(), mrz.partners[0].grade()),
        (Verdict::Hit, Grade::Exact)
    );
    let expect = |id: &str, kind, verdict, grade, rule: &str| {
        let found = of_kind(result(&response, id), kind);
        assert_eq!(
            (
                found.verdict(),
                found.grade(),
                found.rule.as_str(),
                found.reason()
            ),
            (verdict, grade, rule, UnknownReason::Unspecified),
            "{id}"
        );
    };
    let (documents, people) = (Kind::TravelDocument, Kind::Person);
    expect("mrz", documents, Verdict::Hit, Grade::Exact, "document+issuer/1");
    expect("mrz", people, Verdict::Hit, Grade::Exact, "person.n1/1");
    expect(
        "document",
        documents,
        Verdict::Hit,
        Grade::Exact,
        "document+issuer/1",
    );
    expect(
        "other issuer",
        documents,
        Verdict::Hit,
        Grade::Strong,
        "document/1",
    );
    expect("name", people, Verdict::Hit, Grade::Exact, "person.n1/1");
    expect("alias", people, Verdict::Hit, Grade::Exact, "person.n1/1");
    expect("other birth", people, Verdict::NoHit, Grade::Unspecified, "");
    expect("nobody", documents, Verdict::NoHit, Grade::Unspecified, "");

    // On what it stands: the snapshot's time, and padding to a class that the owner was charged.
    for offer in &response.partners[0].offers {
        assert_eq!(offer.as_of, "2026-03-02T10:00:00Z");
        assert_eq!(
            (offer.epoch, offer.max_age_s, offer.snapshot_version),
            (0, 86_400, 1)
        );
        assert!(offer.padded_elements.is_power_of_two() && offer.padded_elements > offer.identifiers);
        assert_eq!(pair.charged(&offer.offer_id).await, offer.padded_elements);
        assert!(
            offer.bytes_sent > offer.padded_elements * 32
                && offer.bytes_received > offer.padded_elements * 32
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_identifier_matches_its_own_kind_only() {
    let kinds = [
        "travel_document",
        "person",
        "biometric_reference",
        "biometric_record_digest",
        "national_id",
        "phone",
        "email",
        "iban",
        "vehicle_plate",
        "vin",
    ];
    let terms = Terms {
        offers: kinds
            .iter()
            .map(|kind| Offer::new(&kind.replace('_', "-"), kind))
            .collect(),
        ..Terms::default()
    };
    let others = |values: Vec<other_identifier::Value>| Subject {
        others: values
            .into_iter()
            .map(|value| OtherIdentifier { value: Some(value) })
            .collect(),
        ..Subject::default()
    };
    use other_identifier::Value as V;
    let all = || {
        vec![
            V::Phone("+31 20 555 0142".into()),
            V::Email("irma.brandt@example.org".into()),
            V::Iban("NL91 ABNA 0417 1643 00".into()),
            V::VehiclePlate(VehiclePlate {
                country: "NLD".into(),
                plate: "XX-99-YY".into(),
            }),
            V::BiometricReference(BiometricReference {
                system: "EURODAC".into(),
                number: "NL1-4711".into(),
            }),
            V::NationalId(NationalId {
                number: "850101-1232".into(),
                country: "SWE".into(),
            }),
        ]
    };
    let pair = Pair::with(terms, vec![record("r", others(all()))]).await;
    let items = all()
        .into_iter()
        .enumerate()
        .map(|(index, value)| item(&index.to_string(), others(vec![value])));
    let response = pair.asker.ask(items.collect()).await;
    for result in &response.results {
        assert_eq!(result.partners[0].kinds.len(), 1, "{result:?}");
        // A value our profile rejects is UNKNOWN on both sides, never "no hit"; every other one is found.
        let rejected = result.rejections.iter().any(|rejection| !rejection.notice);
        let wanted = if rejected { Verdict::Unknown } else { Verdict::Hit };
        assert_eq!(result.verdict(), wanted, "{result:?}");
    }
    let hits = response
        .results
        .iter()
        .filter(|result| result.verdict() == Verdict::Hit)
        .count();
    assert!(hits >= 5, "{hits} of 6 kinds hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_queries_answers_each() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    let open = MatchStreamOpen {
        context: Some(pair.asker.context()),
        ..MatchStreamOpen::default()
    };
    let mut messages = vec![match_stream_request::Message::Open(open)];
    for number in 0..40 {
        let id = number.to_string();
        let passport = if number == 7 {
            "ZX7741209".into()
        } else {
            format!("QQ{number:07}")
        };
        let subject = person(vec![], vec![], vec![document(&passport, "NLD")]);
        messages.push(match_stream_request::Message::Item(item(&id, subject)));
    }
    let messages = messages.into_iter().map(|message| MatchStreamRequest {
        message: Some(message),
    });
    let answers = pair
        .asker
        .matching()
        .match_stream(tokio_stream::iter(messages))
        .await;
    let mut answers = answers.expect("open").into_inner();
    let mut verdicts = BTreeMap::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        let result = answer.result.expect("a result");
        verdicts.insert(result.item_id.clone(), result.verdict());
    }
    assert_eq!(verdicts.len(), 40);
    for (id, verdict) in verdicts {
        assert_eq!(
            verdict,
            if id == "7" { Verdict::Hit } else { Verdict::NoHit },
            "{id}"
        );
    }
}

/// Two lists of invented people and who is on both.
fn world() -> World {
    World::new(Spec {
        seed: 7,
        left: 150,
        right: 200,
        overlap: 40,
        reference_date: jiff::civil::date(2026, 3, 2),
    })
    .expect("a world")
}

/// What must be found: by own record and kind, grade and rule.
pub(crate) fn truth(world: &World) -> BTreeMap<(String, i32), (i32, String)> {
    let mut truth = BTreeMap::new();
    for pair in world.truth() {
        for expected in &pair.expected {
            let kind = kind_to_proto(expected.kind);
            if matches!(kind, Kind::TravelDocument | Kind::Person) {
                let grade = Grade::from(expected.grade) as i32;
                let key = (pair.left_id.clone(), kind as i32);
                truth.insert(key, (grade, expected.rule.id().to_owned()));
            }
        }
    }
    assert!(truth.len() > 20, "a world with something in it");
    truth
}

/// What a job found, in the same shape.
pub(crate) async fn found(asker: &Agency, job: &str) -> BTreeMap<(String, i32), (i32, String)> {
    let found = asker.found(job).await;
    found
        .into_iter()
        .map(|found| ((found.source_id, found.kind), (found.grade, found.rule)))
        .collect()
}

pub(crate) fn records(records: impl Iterator<Item = concordat_synthetic::Record>) -> Vec<Record> {
    records
        .map(|one| record(&one.source_id, subject_to_proto(&one.subject)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intersection_is_the_truth_and_a_second_run_costs_nothing() {
    let world = world();
    let pair = Pair::with(Terms::default(), records(world.right())).await;
    pair.asker.replace_list("ours", &records(world.left())).await;

    let job = pair.asker.intersect("ours", OWNER).await;
    let job = pair.asker.finished(&job.job_id).await;
    assert_eq!(job.state(), job::State::Succeeded, "{}", job.detail);
    assert_eq!(found(&pair.asker, &job.job_id).await, truth(&world));
    assert_eq!(job.done, job.total);
    let charged = [pair.charged("docs").await, pair.charged("people").await];
    let planned: Vec<u64> = job.offers.iter().map(|offer| offer.padded_elements).collect();
    assert_eq!(planned, charged, "what was planned was charged, once");

    let again = pair.asker.intersect("ours", OWNER).await;
    assert_ne!(again.job_id, job.job_id);
    let again = pair.asker.finished(&again.job_id).await;
    assert_eq!(again.state(), job::State::Succeeded, "{}", again.detail);
    assert_eq!(found(&pair.asker, &again.job_id).await, truth(&world));
    assert_eq!(
        [pair.charged("docs").await, pair.charged("people").await],
        charged
    );

    // One more record costs one more chunk of the smallest class.
    let more = record("new", person(vec![], vec![], vec![document("QQ0000017", "NLD")]));
    pair.asker.upsert("ours", vec![more]).await;
    let third = pair.asker.intersect("ours", OWNER).await;
    let third = pair.asker.finished(&third.job_id).await;
    assert_eq!(found(&pair.asker, &third.job_id).await, truth(&world));
    assert_eq!(pair.charged("docs").await, charged[0] + 16);
    assert_eq!(pair.charged("people").await, charged[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intersection_asked_for_twice_with_one_request_id_is_one_job() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    pair.asker.replace_list("ours", &wanted()).await;
    let request = concordat_wire::v1::IntersectRequest {
        context: Some(pair.asker.context()),
        lists: vec!["ours".into()],
        partner_id: OWNER.into(),
        request_id: "once".into(),
        ..Default::default()
    };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let job = pair
            .asker
            .matching()
            .intersect(request.clone())
            .await
            .expect("a job");
        ids.push(job.into_inner().job_id);
    }
    assert_eq!(ids[0], ids[1]);
    // Another question under the same id is not answered with this one's matches.
    pair.asker.create_list("others").await;
    let mut others = request.clone();
    others.lists = vec!["others".into()];
    let mut kinds = request.clone();
    kinds.kinds = vec![Kind::Person.into()];
    let mut case = request.clone();
    case.context.as_mut().expect("set").case_reference = "case-2".into();
    for other in [others, kinds, case] {
        let refused = pair.asker.matching().intersect(other).await.expect_err("taken");
        let refused = concordat_wire::FaultView::from(&refused);
        assert_eq!(
            (refused.code, refused.rule.as_str(), refused.field.as_deref()),
            (tonic::Code::AlreadyExists, "JOB-003", Some("request_id"))
        );
    }
    let job = pair.asker.finished(&ids[0]).await;
    assert_eq!(job.matches, 5, "four people: two passports, three names");
}

/// Verdict on one passport.
async fn passport(pair: &Pair, number: &str) -> (Verdict, UnknownReason) {
    let subject = person(vec![], vec![], vec![document(number, "NLD")]);
    let response = pair.asker.ask(vec![item("p", subject)]).await;
    let verdict = of_kind(&response.results[0], Kind::TravelDocument);
    assert_eq!(response.results[0].verdict(), verdict.verdict());
    (verdict.verdict(), verdict.reason())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_the_list_arrive_as_deltas() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    assert_eq!(passport(&pair, "ZX7741209").await.0, Verdict::Hit);
    assert_eq!(passport(&pair, "AB1234567").await.0, Verdict::NoHit);

    let added = record("w5", person(vec![], vec![], vec![document("AB1234567", "NLD")]));
    pair.owner.upsert("wanted", vec![added]).await;
    pair.owner.remove("wanted", &["w3"]).await;
    assert_eq!(
        passport(&pair, "AB1234567").await.0,
        Verdict::NoHit,
        "not published yet"
    );
    pair.owner.publish().await;
    let fetched = pair.asker.fetch().await.expect("fetched");
    let docs = fetched
        .snapshots
        .iter()
        .find(|snapshot| snapshot.offer_id == "docs")
        .expect("held");
    assert_eq!(
        (docs.version, docs.segments),
        (2, 3),
        "a base and one delta of adds and removes"
    );
    assert_eq!(passport(&pair, "AB1234567").await.0, Verdict::Hit, "added");
    assert_eq!(passport(&pair, "ZX7741209").await.0, Verdict::NoHit, "removed");

    // More deltas than are kept beside the base: they are merged, and every one still counts.
    for round in 0..10 {
        let number = format!("CD{round:07}");
        let one = record(&number, person(vec![], vec![], vec![document(&number, "NLD")]));
        pair.owner.upsert("wanted", vec![one]).await;
        pair.refresh().await;
    }
    for round in 0..10 {
        assert_eq!(passport(&pair, &format!("CD{round:07}")).await.0, Verdict::Hit);
    }
    assert_eq!(passport(&pair, "AB1234567").await.0, Verdict::Hit);
    assert_eq!(passport(&pair, "ZX7741209").await.0, Verdict::NoHit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_import_of_the_list_adds_changes_and_removes() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    let same = pair.owner.replace_list("wanted", &wanted()).await;
    assert_eq!(
        (same.unchanged, same.added, same.changed, same.removed),
        (4, 0, 0, 0)
    );
    let mut newer = wanted();
    newer.remove(2);
    newer.push(record(
        "w6",
        person(vec![], vec![], vec![document("EF7654321", "NLD")]),
    ));
    let counts = pair.owner.replace_list("wanted", &newer).await;
    assert_eq!(
        (counts.unchanged, counts.added, counts.changed, counts.removed),
        (3, 1, 0, 1)
    );
    pair.refresh().await;
    assert_eq!(passport(&pair, "EF7654321").await.0, Verdict::Hit);
    assert_eq!(passport(&pair, "ZX7741209").await.0, Verdict::NoHit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_older_than_agreed_is_unknown_until_a_new_one_comes() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    pair.advance(86_400);
    assert_eq!(
        passport(&pair, "ZX7741209").await.0,
        Verdict::Hit,
        "exactly max_age old"
    );
    pair.advance(1);
    let stale = (Verdict::Unknown, UnknownReason::SnapshotStale);
    assert_eq!(passport(&pair, "ZX7741209").await, stale);
    assert_eq!(passport(&pair, "AB1234567").await, stale);
    pair.refresh().await;
    assert_eq!(passport(&pair, "ZX7741209").await.0, Verdict::Hit);
    assert_eq!(passport(&pair, "AB1234567").await.0, Verdict::NoHit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_ends_with_its_key_and_the_next_one_answers() {
    let asker = Agency::configured("aa-border", Default::default(), &[("poll_interval_s", "1")]).await;
    let owner = Agency::configured(
        OWNER,
        Default::default(),
        &[("poll_interval_s", "1"), ("auto_publish", "true")],
    )
    .await;
    let pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.owner.replace_list("wanted", &wanted()).await;
    let hit = (Verdict::Hit, UnknownReason::Unspecified);
    wait_for("the list was published and fetched", async || {
        passport(&pair, "ZX7741209").await == hit
    })
    .await;
    let store = &pair.owner.node().state.store;
    let scope = async |epoch: u32| {
        let role = concordat_store::ScopeRole::Owner;
        store
            .scope_of_epoch("aa-bb-2026", "docs", epoch, role)
            .await
            .expect("read")
    };
    let first = scope(0).await.expect("a scope");

    // The second epoch began an hour ago: the first one's key still answers while the new snapshot is made.
    pair.advance(6 * 86_400 + 3_600);
    wait_for("the new epoch's snapshot is in use", async || {
        let subject = person(vec![], vec![], vec![document("ZX7741209", "NLD")]);
        let response = pair.asker.ask(vec![item("p", subject)]).await;
        let verdict = response.results[0].verdict();
        assert_ne!(verdict, Verdict::NoHit, "never, whatever the moment");
        verdict == Verdict::Hit && response.partners[0].offers[0].epoch == 1
    })
    .await;
    let second = scope(1).await.expect("a scope");
    assert_ne!(first.public_key, second.public_key, "another key");
    assert_eq!(passport(&pair, "AB1234567").await.0, Verdict::NoHit);

    // The grace is over: the old key is destroyed on both sides, with its snapshot.
    pair.advance(86_400);
    wait_for("the old key is destroyed", async || {
        scope(0)
            .await
            .is_some_and(|scope| scope.status == concordat_store::ScopeStatus::Destroyed)
    })
    .await;
    assert!(store.scope_seed(first.id).await.is_err(), "the seed is gone");
    let served = |epoch: u32| {
        pair.owner
            .folder()
            .join(format!("segments/served/aa-bb-2026/docs/{epoch}"))
    };
    wait_for("its segments are gone", async || !served(0).exists()).await;
    assert!(served(1).exists());
    wait_for("the verdict is fresh", async || {
        passport(&pair, "ZX7741209").await == hit
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_agencies_can_ask_each_other() {
    let mut terms = Terms::default();
    terms.offers.push(Offer {
        owner: "aa-border".into(),
        requester: OWNER.into(),
        ..Offer::new("docs-back", "travel_document")
    });
    let pair = Pair::with(terms, wanted()).await;
    let own = record("o1", person(vec![], vec![], vec![document("GH0000042", "BEL")]));
    pair.asker.replace_list("wanted", &[own]).await;
    pair.asker.publish().await;
    pair.owner.fetch().await.expect("fetched");
    let subject = person(vec![], vec![], vec![document("GH0000042", "BEL")]);
    let response = pair.owner.ask(vec![item("back", subject)]).await;
    assert_eq!(response.results[0].verdict(), Verdict::Hit);
}

/// The record says who asked, for whom and under which case, and the answer names it; the partner's says only that
/// it was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_records_of_a_query_say_what_each_side_may_know() {
    let pair = Pair::with(Terms::default(), crate::hostile_requester::listed()).await;
    let asked = item("a", person(vec![], vec![], vec![document("ZX7741209", "NLD")]));
    let response = pair.asker.ask(vec![asked]).await;
    let ours = pair
        .asker
        .node()
        .state
        .store
        .exchanges(None, 10)
        .await
        .expect("read");
    let [ours] = ours.as_slice() else {
        panic!("one exchange: {ours:?}");
    };
    let who = ours.asked.as_ref().expect("we asked");
    assert_eq!(who.query.to_string(), response.query_id);
    assert_eq!(
        (
            who.client.as_str(),
            who.officer.as_str(),
            who.case_reference.as_str()
        ),
        ("loopback", "officer-1", "case-1")
    );
    let theirs = pair
        .owner
        .node()
        .state
        .store
        .exchanges(None, 10)
        .await
        .expect("read");
    let [theirs] = theirs.as_slice() else {
        panic!("one exchange: {theirs:?}");
    };
    assert!(theirs.asked.is_none());
    assert_eq!(
        (theirs.id, theirs.elements, &theirs.purpose, &theirs.legal_basis),
        (ours.id, ours.elements, &ours.purpose, &ours.legal_basis)
    );
}
