//! One case from the hit to the end, on both sides, as two nodes would run it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_disclosure::codes::*;
use concordat_disclosure::event::*;
use concordat_disclosure::*;
use concordat_ledger::{Event as LedgerEvent, Hex, Side};

/// The requester's case up to the request, with its first shared event.
fn ask(fixture: &Fixture) -> (AnyCase, Event) {
    let request = fixture.request();
    let world = fixture.requester();
    let hit = Hit {
        exchange: request.exchange,
        tag: request.tag,
        kind: request.kind.clone(),
    };
    let case = Case::open(CASE, &world, &requester(-20, ""), hit).unwrap();
    let said = Confirmed {
        comparison: Comparison::Same,
        method: request.confirmed.method.clone(),
    };
    let Comparing::Same(case) = case.confirm(&world, &requester(-10, "sven"), said).unwrap() else {
        panic!("SAME was said");
    };
    let proof = ProofOfHit::new(&EscalationKey::new(&ESCALATION), &request).unwrap();
    let case = case
        .ask_for_details(&world, &requester(0, "rita"), request, proof)
        .unwrap();
    let event = case.events().last().unwrap().clone();
    (case.into(), event)
}

fn ours(fixture: &Fixture, case: AnyCase, step: &Step, what: What) -> (AnyCase, Event) {
    let case = case.step(&fixture.owner(), step, what).unwrap();
    let event = case.events().last().unwrap().clone();
    (case, event)
}

#[test]
fn a_case_from_hit_to_closed_on_both_sides() {
    let mut fixture = Fixture::new();
    let (mut theirs, first) = ask(&fixture);
    let received = Case::<AskedFor>::receive(
        &fixture.owner(),
        &first,
        &EscalationKey::new(&ESCALATION),
        at(1),
        1,
    )
    .unwrap();
    let mut case = AnyCase::from(received);
    theirs = theirs
        .accept(&fixture.requester(), case.events().last().unwrap())
        .unwrap();
    assert_eq!(case.head(), theirs.head());
    assert_eq!(case.clock(at(1)), theirs.clock(at(1)));

    let decision = fixture.decision(&fixture.request());
    let digest = fixture.documents.add_decision(decision.clone()).unwrap();
    let (anna, ben) = (fixture.sign("anna", &digest), fixture.sign("ben", &digest));
    let decided = DecidedAs {
        decision: digest,
        result: Decided::Partial,
    };
    let before_release = [
        (owner(10, "finn"), What::Triaged),
        (requester(11, "rita"), What::Said(Hex([7; 32]))),
        (owner(12, "finn"), What::InfoAsked(Hex([8; 32]))),
        (requester(13, "rita"), What::InfoGiven(Hex([9; 32]))),
        (owner(14, "finn"), What::JudicialAwaited(words("District court"))),
        (owner(20, "finn"), What::JudicialGiven(words("12 Gs 34/26"))),
        (owner(25, "anna"), What::Proposed(digest)),
        (owner(30, "anna"), What::Approved(anna)),
        (owner(31, "ben"), What::Approved(ben)),
        (owner(32, ""), What::Decided(decided)),
    ];
    for (step, what) in before_release {
        if step.side == Side::Requester {
            theirs = theirs.step(&fixture.requester(), &step, what).unwrap();
            case = case
                .accept(&fixture.owner(), theirs.events().last().unwrap())
                .unwrap();
        } else {
            case = case.step(&fixture.owner(), &step, what).unwrap();
            theirs = theirs
                .accept(&fixture.requester(), case.events().last().unwrap())
                .unwrap();
        }
        assert_eq!((case.name(), case.head()), (theirs.name(), theirs.head()));
    }
    assert_eq!(case.name(), "PARTIAL");

    let AnyCase::Partial(cleared) = case else {
        panic!("PARTIAL")
    };
    let to = fixture.disclosure_key.public().unwrap();
    let (release, released) = release::seal(
        &cleared,
        &fixture.owner(),
        at(33),
        &to,
        &fixture.owner_key,
        &mut rng(),
    )
    .unwrap();
    let case = cleared
        .release(&fixture.owner(), &owner(34, "ben"), released)
        .unwrap();
    theirs = theirs
        .accept(&fixture.requester(), case.events().last().unwrap())
        .unwrap();

    // The requester reads what travelled, opens it, and acknowledges.
    let release = SealedReleaseRoundTrip::check(&release);
    let AnyCase::Released(held) = theirs else {
        panic!("RELEASED")
    };
    let owner_key = fixture.owner_key.verifier();
    let opened = release::open(
        &held,
        &fixture.requester(),
        &release,
        &fixture.disclosure_key,
        &owner_key,
        &person("sven"),
    )
    .unwrap();
    assert_eq!(opened.decision(), &decision);
    assert_eq!(opened.decision().marks.handling, HandlingCode::H2);
    assert!(
        opened
            .umf()
            .contains("<FamilyNames>Müller &lt;b&gt;</FamilyNames>")
    );
    let receipt = opened.receipt(at(40), &fixture.requester_key).unwrap();
    let requester_key = fixture.requester_key.verifier();
    release
        .check_answer(&receipt, Stating::Receipt, &owner_key, &requester_key)
        .unwrap();
    assert!(!receipt.contains("sven"));

    let theirs = held
        .receive_package(&fixture.requester(), &requester(40, "sven"), opened.digest())
        .unwrap();
    let stated = OutcomeStated {
        outcome: CaseOutcome::False,
        action: words("Let go."),
    };
    let theirs = theirs
        .outcome(&fixture.requester(), &requester(50, "rita"), stated.clone())
        .unwrap();
    let mut case = AnyCase::from(case);
    for event in theirs.events().iter().rev().take(2).rev() {
        case = case.accept(&fixture.owner(), event).unwrap();
    }
    let (case, event) = ours(&fixture, case, &owner(60, ""), What::Closed);
    let theirs = AnyCase::from(theirs)
        .accept(&fixture.requester(), &event)
        .unwrap();
    assert_eq!((case.name(), case.head()), ("CLOSED", theirs.head()));
    assert_eq!(case.waits_for(), None);

    // Both are rebuilt from what was kept, and nothing is lost.
    assert_eq!(AnyCase::replay(&fixture.owner(), case.events()).unwrap(), case);
    assert_eq!(
        AnyCase::replay(&fixture.requester(), theirs.events()).unwrap(),
        theirs
    );
    for event in case.events() {
        assert_eq!(&Event::decode(&event.encode().unwrap()).unwrap(), event);
    }

    recorded_alike(&fixture, case.events(), theirs.events(), &opened);

    // The recall reaches a closed case, too.
    let package = opened.digest();
    let recall = Recall {
        package,
        reason: words("Another person of this name."),
        corrected_in: None,
    };
    let (case, event) = ours(&fixture, case, &owner(100, "anna"), What::Recalled(recall));
    let notice = release.recall(at(100), &fixture.owner_key).unwrap();
    release.check_recall(&notice, &owner_key).unwrap();
    let theirs = theirs.accept(&fixture.requester(), &event).unwrap();
    let AnyCase::Recalled(theirs) = theirs else {
        panic!("RECALLED")
    };
    assert_eq!(theirs.due(), at(100 + 48 * 60));
    assert!(
        theirs
            .clone()
            .close(&fixture.requester(), &requester(105, "rita"))
            .is_err()
    );
    let theirs = theirs
        .confirm_recall(&fixture.requester(), &requester(110, "rita"))
        .unwrap();
    let done = release
        .recall_done(at(110), &owner_key, &fixture.requester_key)
        .unwrap();
    release
        .check_answer(&done, Stating::RecallDone, &owner_key, &requester_key)
        .unwrap();
    let case = case
        .accept(&fixture.owner(), theirs.events().last().unwrap())
        .unwrap();
    let (case, _) = ours(&fixture, case, &owner(120, "anna"), What::Closed);
    assert_eq!(case.name(), "CLOSED");
}

fn recorded(history: &[Event], side: Side, documents: &Documents) -> Vec<LedgerEvent> {
    let console = console("owner");
    let steps = (1..=history.len()).flat_map(|n| {
        let events = ledger_events(&history[..n], side, documents, &console);
        events.unwrap()
    });
    steps.collect()
}

/// What both ledgers say of one case: every step once, the decision with its approvals on both sides, no released value.
fn recorded_alike(fixture: &Fixture, ours: &[Event], theirs: &[Event], opened: &release::Opened) {
    let mut documents = Documents::default();
    documents.add_decision(opened.decision().clone()).unwrap();
    for approval in opened.approvals() {
        documents.add_approval(approval.clone()).unwrap();
    }
    let owner = recorded(ours, Side::Owner, &fixture.documents);
    let requester = recorded(theirs, Side::Requester, &documents);
    let names = |events: &[LedgerEvent]| {
        let names = events.iter().map(|event| match event {
            LedgerEvent::DetailStep(step) => step.what.as_str().to_owned(),
            LedgerEvent::HitStep(step) => step.what.as_str().to_owned(),
            other => other.kind().name().to_owned(),
        });
        names.collect::<Vec<_>>()
    };
    let until_decided = [
        "detail.requested",
        "acknowledged",
        "triaged",
        "said",
        "info-asked",
        "info-given",
        "judicial-awaited",
        "judicial-given",
        "proposed",
        "approved",
        "approved",
    ];
    let end = ["outcome", "closed"];
    let at_owner = [&until_decided[..], &["decision", "release", "receipt"], &end].concat();
    let at_requester = [
        &["hit", "confirmed"],
        &until_decided[..],
        &["decided", "released", "decision", "receipt"],
        &end,
    ];
    assert_eq!(names(&owner), at_owner);
    assert_eq!(names(&requester), at_requester.concat());

    // Whether or not anything was released to it, the requester's ledger says how it was decided.
    let told = requester.iter().filter_map(|event| match event {
        LedgerEvent::DetailStep(step) => step.outcome,
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [concordat_ledger::Outcome::Partly]);

    let decision = |events: &[LedgerEvent]| {
        events.iter().find_map(|event| match event {
            LedgerEvent::Decision(decision) => Some(decision.clone()),
            _ => None,
        })
    };
    let (one, other) = (decision(&owner).unwrap(), decision(&requester).unwrap());
    assert_eq!(
        (&one.step.digest, one.step.step),
        (&other.step.digest, other.step.step)
    );
    assert_eq!((&one.approvals, one.document), (&other.approvals, other.document));
    let signers: Vec<_> = one
        .approvals
        .iter()
        .map(|approved| approved.by.id.as_str())
        .collect();
    assert_eq!(signers, ["anna", "ben"]);
    assert_eq!(one.document, opened.decision().digest().unwrap());

    for (n, event) in (0..).zip(owner.iter().chain(&requester)) {
        let line = concordat_ledger::Entry::new(at(n), event.clone())
            .encode()
            .unwrap();
        for secret in [
            "Jean-Luc",
            "ller <b>",
            "1971-02-03",
            "Call the desk",
            "forged papers",
            "Let go",
        ] {
            assert!(!line.contains(secret), "{line}");
        }
    }

    // Without its documents a decision is not recorded, rather than recorded without them.
    let place = ours
        .iter()
        .position(|event| matches!(event.what, What::Decided(_)));
    let until = &ours[..=place.unwrap()];
    let refused = ledger_events(until, Side::Owner, &Documents::default(), &console("owner"));
    assert_eq!(refused.unwrap_err().rule.id, rule::DOCUMENT_MISSING.id);
    assert!(ledger_events(&[], Side::Owner, &fixture.documents, &console("owner")).is_err());
    let headless = ledger_events(&ours[1..3], Side::Owner, &fixture.documents, &console("owner"));
    assert!(headless.is_err(), "whose case it is cannot be told");
}

#[test]
fn approvals_of_a_decision_that_was_reconsidered_are_not_recorded_with_the_next() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let case = fixture.approve(case, 30, "cleo", &digest).unwrap();
    let why = What::Reconsidered(words("The photograph first."));
    let case = case.step(&fixture.owner(), &owner(31, "anna"), why).unwrap();
    let mut decision = fixture.decision(&fixture.request());
    decision.salt = Hex([6; 32]);
    let digest = fixture.documents.add_decision(decision).unwrap();
    let case = case
        .step(&fixture.owner(), &owner(32, "anna"), What::Proposed(digest))
        .unwrap();
    let case = fixture.approve(case, 33, "anna", &digest).unwrap();
    let case = fixture.approve(case, 34, "ben", &digest).unwrap();
    let case = fixture.decide(case, 35, digest).unwrap();
    let events = ledger_events(case.events(), Side::Owner, &fixture.documents, &console("owner")).unwrap();
    let [LedgerEvent::Decision(decision)] = events.as_slice() else {
        panic!("one decision")
    };
    let signers: Vec<_> = decision
        .approvals
        .iter()
        .map(|approved| approved.by.id.as_str())
        .collect();
    assert_eq!(signers, ["anna", "ben"]);
}

#[test]
fn changes_of_the_registry_and_refused_steps_are_recorded() {
    let fixture = Fixture::new();
    let change = next_change(
        &fixture.ours,
        0,
        ChangeWhat::Retire {
            officer: text("cleo"),
            reason: words("Left for the coast guard."),
        },
    );
    let digest = change.digest().unwrap();
    let signed = [
        fixture.admins[0].approve(&text("admin-1"), &digest),
        fixture.admins[1].approve(&text("admin-2"), &digest),
    ];
    let LedgerEvent::RegistryChanged(recorded) =
        registry_changed(&change, &signed, &console("owner")).unwrap()
    else {
        panic!("a change of the registry")
    };
    assert_eq!((recorded.what.as_str(), recorded.document), ("retire", digest));
    for (approved, signed) in recorded.approvals.iter().zip(&signed) {
        assert_eq!(&Approval::decode(&approved.approval).unwrap(), signed);
    }
    let event = LedgerEvent::from(*recorded);
    let people: Vec<_> = event.people().iter().map(|person| person.id.as_str()).collect();
    assert_eq!(people, ["cleo", "admin-1", "admin-2"]);
}

struct SealedReleaseRoundTrip;

impl SealedReleaseRoundTrip {
    fn check(release: &release::SealedRelease) -> release::SealedRelease {
        let text = release.encode().unwrap();
        assert!(!text.contains("Jean-Luc"));
        release::SealedRelease::decode(&text).unwrap()
    }
}

#[test]
fn a_refusal_is_signed_and_ends_the_case() {
    let mut fixture = Fixture::new();
    let mut decision = fixture.decision(&fixture.request());
    decision.released.clear();
    let withheld = fixture.request().fields.into_iter();
    decision.withheld = withheld
        .map(|field| Withheld {
            field,
            ground: Ground::NotHeld,
        })
        .collect();
    decision.verdict = Verdict::Refused(Refusal {
        ground: Ground::NotHeld,
        text: words("No longer held."),
    });
    let (case, digest) = fixture.approving_of(decision);
    let case = fixture.approve(case, 30, "cleo", &digest).unwrap();
    let stated = DecidedAs {
        decision: digest,
        result: Decided::Refused,
    };
    let case = case
        .step(&fixture.owner(), &owner(31, "cleo"), What::Decided(stated))
        .unwrap();
    assert_eq!(case.name(), "REFUSED");
    let case = case.step(&fixture.owner(), &owner(32, ""), What::Closed).unwrap();
    let recall = Recall {
        package: Hex([0; 32]),
        reason: words("x"),
        corrected_in: None,
    };
    let refused = case
        .step(&fixture.owner(), &owner(33, "anna"), What::Recalled(recall))
        .unwrap_err();
    assert_eq!(refused.rule.id, "DISC-039");
}

#[test]
fn a_hit_ends_in_a_request_or_a_reason_and_a_false_one_is_suppressed() {
    let fixture = Fixture::new();
    let world = fixture.requester();
    let request = fixture.request();
    let hit = Hit {
        exchange: request.exchange,
        tag: request.tag,
        kind: request.kind.clone(),
    };
    let case = Case::open(CASE, &world, &requester(-20, ""), hit).unwrap();
    let said = |comparison| Confirmed {
        comparison,
        method: words("photograph"),
    };

    // Nobody but a person of the requester confirms.
    for step in [
        requester(-10, ""),
        owner(-10, "anna"),
        requester(-10, "anna"),
        requester(-10, "admin-1"),
    ] {
        assert!(
            case.clone()
                .confirm(&world, &step, said(Comparison::Same))
                .is_err()
        );
    }
    let unsure = case
        .confirm(&world, &requester(-10, "sven"), said(Comparison::Unsure))
        .unwrap();
    let case = AnyCase::from(unsure);
    assert_eq!(
        (case.name(), case.waits_for()),
        ("CONFIRMED_UNSURE", Some(Side::Requester))
    );
    // An unsure one cannot ask.
    let event = requested(request, &ESCALATION);
    let refused = case
        .clone()
        .step(&world, &requester(0, "rita"), event.what)
        .unwrap_err();
    assert_eq!(refused.rule.id, "DISC-020");
    let case = case
        .step(
            &world,
            &requester(-5, "sven"),
            What::Confirmed(said(Comparison::Different)),
        )
        .unwrap();

    let what = &case.events().last().unwrap().what;
    let key = SuppressionKey::new(&[6; 32]);
    let tag = key.tag(&text("aa-bb"), b"ours", b"theirs");
    assert_ne!(tag, key.tag(&text("aa-cc"), b"ours", b"theirs"));
    assert_ne!(tag, key.tag(&text("aa-bb"), b"our", b"stheirs"));
    let suppression = Suppression::after(what, at(0), tag, 30).unwrap();
    assert!(suppression.holds(at(60 * 24 * 30 - 1)) && !suppression.holds(at(60 * 24 * 30)));
    assert!(Suppression::after(&What::Closed, at(0), tag, 30).is_err());
    assert!(Suppression::after(what, at(0), tag, 367).is_err());

    let why = NotPursued {
        reason: NotPursuedReason::Different,
        text: words("Another person."),
    };
    let case = case
        .step(&world, &requester(-4, "sven"), What::NotPursued(why))
        .unwrap();
    assert_eq!(case.waits_for(), None);
    assert!(AnyCase::replay(&world, case.events()).is_ok());
}

#[test]
fn a_request_that_states_another_hit_than_the_confirmed_one_is_not_made() {
    let fixture = Fixture::new();
    let world = fixture.requester();
    let request = fixture.request();
    let hit = Hit {
        exchange: request.exchange,
        tag: Hex([99; 16]),
        kind: request.kind.clone(),
    };
    let case = Case::open(CASE, &world, &requester(-20, ""), hit).unwrap();
    let said = Confirmed {
        comparison: Comparison::Same,
        method: request.confirmed.method.clone(),
    };
    let Comparing::Same(case) = case.confirm(&world, &requester(-10, "sven"), said).unwrap() else {
        panic!("SAME was said");
    };
    let proof = ProofOfHit::new(&EscalationKey::new(&ESCALATION), &request).unwrap();
    let refused = case
        .ask_for_details(&world, &requester(0, "rita"), request, proof)
        .unwrap_err();
    assert_eq!(refused.rule.id, "DISC-027");
}

#[test]
fn messages_and_attachments_are_for_the_desk_alone() {
    let fixture = Fixture::new();
    let to = fixture.disclosure_key.public().unwrap();
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| i as u8).collect();
    let (id, key) = (Hex([7; 16]), AttachmentKey::new(&[8; 32]));
    let size = bytes.len() as u64;
    let parts: Vec<_> = (0u32..).zip(bytes.chunks(PART_BYTES)).collect();
    let sealed: Vec<_> = parts
        .iter()
        .map(|(i, part)| seal_part(&id, &key, size, *i, part).unwrap())
        .collect();
    let sha = |bytes: &[u8]| Hex(<sha2::Sha256 as sha2::Digest>::digest(bytes).into());
    let manifest = Manifest {
        id,
        key,
        name: words("photo.jpg"),
        media_type: text("image/jpeg"),
        bytes: size,
        sha256: sha(&bytes),
        parts: sealed.iter().map(|part| sha(part)).collect(),
    };
    let message = Message {
        case: CASE,
        id: Hex([1; 16]),
        answers: None,
        side: Side::Owner,
        by: person("finn"),
        at: at(12),
        text: vec![words("Which of the two?")],
        attachments: vec![manifest],
    };
    let sealed_message = message.seal(&to, &mut rng()).unwrap();
    let read = SealedMessage::decode(&sealed_message.encode().unwrap()).unwrap();
    let opened = read.open(&CASE, Side::Owner, &fixture.disclosure_key).unwrap();
    assert_eq!(opened, message);
    let manifest = &opened.attachments[0];
    let whole: Vec<u8> = (0u32..)
        .zip(&sealed)
        .flat_map(|(i, part)| manifest.open_part(i, part).unwrap())
        .collect();
    assert_eq!(whole, bytes);

    // Another desk, another case, another side, another message's id.
    assert!(
        read.open(&CASE, Side::Owner, &DisclosureKey::new(&[1; 32]))
            .is_err()
    );
    assert!(
        read.open(&ANOTHER_CASE, Side::Owner, &fixture.disclosure_key)
            .is_err()
    );
    assert!(
        read.open(&CASE, Side::Requester, &fixture.disclosure_key)
            .is_err()
    );
    let moved = SealedMessage {
        id: Hex([2; 16]),
        ..read.clone()
    };
    assert!(moved.open(&CASE, Side::Owner, &fixture.disclosure_key).is_err());
}
