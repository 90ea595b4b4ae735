//! Whatever happens in whatever order: nothing is released without the signatures, and nothing that is read makes a reader fall over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::*;
use concordat_disclosure::codes::*;
use concordat_disclosure::event::*;
use concordat_disclosure::*;
use concordat_ledger::{Digest, Hex, Side};
use proptest::prelude::*;

/// Everything that random people may throw at a case: two decisions, and approvals of all qualities.
struct Pool {
    fixture: Fixture,
    decisions: Vec<Digest>,
    approvals: Vec<Digest>,
    /// Who really signed what, known from how it was made: the oracle, which verifies nothing itself.
    genuine: Vec<(Digest, Digest, &'static str)>,
}

fn pool() -> Pool {
    let mut fixture = Fixture::new();
    let request = fixture.request();
    let mut second = fixture.decision(&request);
    second.salt = Hex([6; 32]);
    let first = fixture
        .documents
        .add_decision(fixture.decision(&request))
        .unwrap();
    let second = fixture.documents.add_decision(second).unwrap();
    let mut approvals = Vec::new();
    let mut genuine = Vec::new();
    for decision in [first, second] {
        for who in ["anna", "ben", "cleo"] {
            let approval = fixture.sign(who, &decision);
            approvals.push(approval);
            genuine.push((approval, decision, who));
        }
    }
    let console = fixture.rules.console.clone();
    let mut moved = fixture.documents.approval(&approvals[4]).unwrap().clone();
    moved.document = first;
    let odd = [
        fixture.ben_too.approve(&text("anna"), &first, &console).unwrap(),
        passkey(90).approve(&text("cleo"), &first, &console).unwrap(),
        fixture.dora.approve(&text("dora"), &first),
        fixture.admins[0].approve(&text("admin-1"), &first),
        moved,
    ];
    approvals.extend(
        odd.into_iter()
            .map(|odd| fixture.documents.add_approval(odd).unwrap()),
    );
    approvals.push(Hex([0xEE; 32]));
    Pool {
        fixture,
        decisions: vec![first, second],
        approvals,
        genuine,
    }
}

const PEOPLE: &[&str] = &[
    "anna", "ben", "cleo", "dora", "finn", "gil", "admin-1", "rita", "sven", "",
];

fn what(pool: &Pool, kind: usize, pick: usize) -> What {
    let decision = pool.decisions[pick % pool.decisions.len()];
    let message = Hex([pick as u8; 32]);
    let result = [
        Decided::Partial,
        Decided::Partial,
        Decided::Approved,
        Decided::Refused,
    ][pick / 2 % 4];
    match kind {
        0 => What::Triaged,
        1 => What::InfoAsked(message),
        2 => What::InfoGiven(message),
        3 => What::JudicialAwaited(words("Court")),
        4 => What::JudicialGiven(words("12 Gs")),
        5 => What::MoreTime(MoreTime {
            until: at(5000),
            reason: words("Archive"),
        }),
        6..=8 => What::Proposed(decision),
        9..=15 => What::Approved(pool.approvals[pick % pool.approvals.len()]),
        16 => What::Reconsidered(words("Error")),
        17..=19 => What::Decided(DecidedAs { decision, result }),
        20..=22 => What::Released(ReleasedAs {
            decision,
            package: message,
        }),
        23 => What::Received(message),
        24 => What::Outcome(OutcomeStated {
            outcome: CaseOutcome::True,
            action: words("Arrested"),
        }),
        25 => What::Closed,
        26 => What::Withdrawn(words("Found")),
        27 => What::Expired,
        28 => What::Recalled(Recall {
            package: message,
            reason: words("Wrong"),
            corrected_in: None,
        }),
        _ => What::RecallConfirmed,
    }
}

/// One random step: kind, pick, person (or the natural one), side (or the natural one), minutes that pass.
type Random = (usize, usize, usize, usize, i64);

/// Mostly the step that belongs to whoever takes it, so that sequences get far; sometimes anybody's.
fn taken(pool: &Pool, (kind, pick, who, side, _): Random, minutes: i64) -> (Step, What) {
    let what = what(pool, kind, pick);
    let natural = match &what {
        What::Approved(digest) => pool
            .fixture
            .documents
            .approval(digest)
            .map(|a| a.officer.as_str().to_owned()),
        What::Triaged | What::InfoAsked(_) => Some("finn".to_owned()),
        What::Decided(_) | What::Expired => Some(String::new()),
        What::InfoGiven(_) | What::Received(_) | What::Outcome(_) | What::Withdrawn(_) => {
            Some("rita".to_owned())
        }
        _ => Some("anna".to_owned()),
    };
    let by = PEOPLE
        .get(who)
        .map(|by| (*by).to_owned())
        .or(natural)
        .unwrap_or_default();
    let theirs = matches!(
        what,
        What::InfoGiven(_)
            | What::Received(_)
            | What::Outcome(_)
            | What::Withdrawn(_)
            | What::RecallConfirmed
    );
    let side = match side {
        0 => Side::Owner,
        1 => Side::Requester,
        _ if theirs => Side::Requester,
        _ => Side::Owner,
    };
    (step(side, minutes, &by), what)
}

/// Whether the history holds, since the last proposal, the approvals of two people who really signed that decision.
fn signed(pool: &Pool, events: &[Event]) -> bool {
    let mut proposed = None;
    let mut people = BTreeSet::new();
    for event in events {
        match &event.what {
            What::Proposed(decision) => {
                proposed = Some(*decision);
                people.clear();
            }
            What::Approved(approval) => people.extend(
                pool.genuine
                    .iter()
                    .filter(|(digest, decision, _)| digest == approval && Some(*decision) == proposed)
                    .map(|(_, _, who)| *who),
            ),
            _ => {}
        }
    }
    people.len() >= 2
}

fn run(pool: &Pool, steps: Vec<Random>) -> AnyCase {
    let world = pool.fixture.owner();
    let event = requested(pool.fixture.request(), &ESCALATION);
    let key = EscalationKey::new(&ESCALATION);
    let mut case = AnyCase::from(Case::<AskedFor>::receive(&world, &event, &key, at(0), 1).unwrap());
    let mut minutes = 20;
    for random in steps {
        minutes += random.4;
        let (step, what) = taken(pool, random, minutes);
        if let Ok(next) = take(case.clone(), &world, &step, what) {
            case = next;
        }
    }
    case
}

fn released(case: &AnyCase) -> bool {
    case.events()
        .iter()
        .any(|event| matches!(event.what, What::Released(_)))
}

#[test]
fn the_straight_way_gets_there() {
    let pool = pool();
    let steps = [(0, 0), (6, 0), (9, 0), (9, 1), (17, 0), (20, 0)];
    let case = run(&pool, steps.map(|(kind, pick)| (kind, pick, 99, 9, 1)).to_vec());
    assert_eq!(case.name(), "RELEASED");
    assert!(signed(&pool, case.events()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Issue 5, "What it must show" 3.
    #[test]
    fn nothing_is_released_without_the_signatures(
        steps in prop::collection::vec((0..30usize, 0..64usize, 0..40usize, 0..20usize, 0..3i64), 0..=12),
        start in 0..7usize,
    ) {
        thread_local!(static POOL: Pool = pool());
        POOL.with(|pool| {
            // The straight way, up to some step, and then whatever comes.
            let straight = [(0, 0), (6, 0), (9, 0), (9, 1), (17, 0), (20, 0)];
            let way = straight.into_iter().take(start).map(|(kind, pick)| (kind, pick, 99, 9, 1));
            let case = run(pool, way.chain(steps).take(12).collect());
            if released(&case) {
                prop_assert!(signed(pool, case.events()), "{}", case.name());
            }
            // What was reached is reached again from what was kept.
            let again = AnyCase::replay(&pool.fixture.owner(), case.events()).unwrap();
            prop_assert_eq!(again, case);
            Ok(())
        })?;
    }

    /// Nor on the requester's side: it has no documents, and takes steps of the owner as stated; but it opens nothing without them.
    #[test]
    fn readers_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [lossy.as_ref(), text.as_str()] {
            read_all(text);
        }
        let _ = DisclosurePublicKey::from_bytes(&bytes);
        let sealed = Sealed { key: Bytes(bytes.clone()), text: Bytes(bytes) };
        let message = SealedMessage { case: CASE, id: Hex([0; 16]), sealed };
        prop_assert!(message.open(&CASE, Side::Owner, &DisclosureKey::new(&[1; 32])).is_err());
    }

    /// A byte of a genuine document changed, cut or doubled: refused, or read as what it then says and written back the same.
    #[test]
    fn damaged_documents_are_refused_or_read_exactly(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        thread_local!(static DOCUMENTS: Vec<String> = documents());
        DOCUMENTS.with(|documents| {
            for document in documents {
                let mut bytes = document.clone().into_bytes();
                let at = at.index(bytes.len());
                if cut { bytes.truncate(at) } else { bytes[at] = byte }
                if let Ok(text) = String::from_utf8(bytes) {
                    read_all(&text);
                }
            }
        });
    }

    #[test]
    fn assertions_of_any_bytes_do_not_verify(
        credential in prop::collection::vec(any::<u8>(), 0..20),
        authenticator_data in prop::collection::vec(any::<u8>(), 0..80),
        client in prop_oneof!["\\PC{0,80}", Just(r#"{"type":"webauthn.get","challenge":"","origin":"https://console.owner.example"}"#.to_owned())],
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let key = passkey(11).public();
        for credential in [Bytes(credential), key.credential.clone()] {
            let assertion = Assertion {
                credential,
                authenticator_data: Bytes(authenticator_data.clone()),
                client_data: Bytes(client.clone().into_bytes()),
                signature: Bytes(signature.clone()),
            };
            prop_assert!(assertion.verify(&key, &Hex([0; 32]), &console("owner"), 0).is_err());
        }
    }

    #[test]
    fn words_and_cells_hold_for_any_text(given in any::<String>()) {
        if let Ok(words) = Words::new(&given) {
            let json = serde_json::to_string(&words).unwrap();
            prop_assert_eq!(serde_json::from_str::<Words>(&json).unwrap(), words);
        }
        let cell = text::csv_cell(&given);
        let inner = &cell[1..cell.len() - 1];
        prop_assert!(!inner.trim_start().starts_with(['=', '+', '-', '@']));
        prop_assert_eq!(inner.replace("\"\"", "").matches('"').count(), 0);
        prop_assert!(!text::markup(&given).contains(['<', '>', '"']));
    }
}

fn read<T: Document + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(document) = T::decode(text) {
        assert_eq!(document.encode().unwrap(), text);
    }
}

fn read_all(text: &str) {
    read::<DetailRequest>(text);
    read::<Rules>(text);
    read::<Decision>(text);
    read::<Approval>(text);
    read::<Change>(text);
    read::<Event>(text);
    read::<release::SealedRelease>(text);
    read::<release::Package>(text);
    read::<Message>(text);
    read::<SealedMessage>(text);
    let _ = Assertion::from_browser(text);
    let _ = text.parse::<Field>();
    let key = concordat_note::SigningKey::from_seed("owner", &[22; 32]).unwrap();
    let _ = Statement::verify(text, &key.verifier());
}

fn documents() -> Vec<String> {
    let mut fixture = Fixture::new();
    let request = fixture.request();
    let decision = fixture.decision(&request);
    let digest = decision.digest().unwrap();
    let approval = fixture.sign("anna", &digest);
    let approval = fixture.documents.approval(&approval).unwrap().clone();
    let message = Message {
        case: CASE,
        id: Hex([1; 16]),
        answers: None,
        side: Side::Owner,
        by: person("finn"),
        at: at(12),
        text: vec![words("Which of the two?")],
        attachments: vec![],
    };
    let statement = Statement {
        stating: Stating::Release,
        case: CASE,
        request: digest,
        decision: digest,
        package: digest,
        from: text("owner"),
        to: text("requester"),
        at: at(0),
    };
    vec![
        request.encode().unwrap(),
        fixture.rules.encode().unwrap(),
        decision.encode().unwrap(),
        approval.encode().unwrap(),
        message.encode().unwrap(),
        requested(request, &ESCALATION).encode().unwrap(),
        statement.sign(&fixture.owner_key).unwrap(),
    ]
}
