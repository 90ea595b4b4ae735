//! A case as its pages show it, without a partner's node: a request of another agency that an officer has taken up.

use axum::extract::FromRequestParts;
use concordat_disclosure::codes::{Classification, Field, HandlingCode, IntendedUse, SubjectClass};
use concordat_disclosure::deadline::{Profile, Urgency};
use concordat_disclosure::event::Requested;
use concordat_disclosure::{
    AnyCase, AskedFor, Bulk, Case, ConfirmedBy, DetailRequest, DisclosureKey, Documents, EscalationKey,
    Event, ProofOfHit, Rules, Step, What, Words, World,
};
use concordat_ledger::Side;
use concordat_node::desk::CaseView;
use concordat_node::desk::inbox::{CaseClock, CaseRow, CaseSide};
use jiff::SignedDuration;

use super::*;
use crate::guard::{Needs, Signed};

fn words(text: &str) -> Words {
    Words::new(text).expect("words")
}

fn person(id: &str) -> Person {
    Person {
        id: text(id),
        unit: None,
    }
}

/// A case in a list, with `text` wherever a text of somebody else goes.
pub(super) fn row(text: &str) -> CaseRow {
    CaseRow {
        id: [1; 16],
        side: CaseSide::Owner,
        partner: text.to_owned(),
        agreement: text.to_owned(),
        offer: text.to_owned(),
        epoch: 1,
        kind: text.to_owned(),
        exchange: [2; 16],
        tag: [3; 16],
        state: text.to_owned(),
        waits_for: None,
        purpose: text.to_owned(),
        urgency: text.to_owned(),
        opened_ms: START * 1_000,
        updated_ms: START * 1_000,
        clock: Some(CaseClock {
            started_ms: START * 1_000,
            due_ms: START * 1_000 + 60_000,
            stopped: false,
            ended: false,
            reminded: 0,
        }),
        expires_ms: None,
        step: 1,
        head: [0; 32],
    }
}

fn rules(place: &Place) -> Rules {
    Rules {
        agreement: text("aa-bb"),
        offer: text("wanted"),
        requester: text("bb-police"),
        owner: text("aa-border"),
        purposes: [text("CRIM_INVESTIGATION"), text("BORDER_CHECK")].into(),
        legal_bases: [text("EU:2024/982:26")].into(),
        kinds: [text("person")].into(),
        min_penalty_months: 12,
        fields: [Field::FirstNames, Field::DateOfBirth, Field::Offence].into(),
        second_approver: [Field::DateOfBirth].into(),
        quorums: Vec::new(),
        refusal_approvers: 1,
        file_keys: false,
        bulk: Bulk {
            from: 20,
            wait_minutes: 30,
        },
        deadlines: Profile::Prum,
        handling: [HandlingCode::H1, HandlingCode::H2, HandlingCode::H3].into(),
        max_classification: Classification::Restricted,
        max_open_days: 30,
        max_retention_days: 1_100,
        onward: [text("cc-customs")].into(),
        console: place.desk.console.clone(),
    }
}

fn request(place: &Place) -> DetailRequest {
    let made = place.clock.now();
    let ago = made - SignedDuration::from_mins(10);
    let key = DisclosureKey::new(&[21; 32]).public().expect("a key");
    DetailRequest {
        case: Hex([1; 16]),
        exchange: Hex([2; 16]),
        agreement: text("aa-bb"),
        offer: text("wanted"),
        epoch: 1,
        kind: text("person"),
        tag: Hex([3; 16]),
        requester: text("bb-police"),
        owner: text("aa-border"),
        recipient_key: key.digest(),
        made,
        expires: made + SignedDuration::from_hours(24 * 14),
        purpose: text("CRIM_INVESTIGATION"),
        legal_basis: text("EU:2024/982:26"),
        intended_use: IntendedUse::Intelligence,
        subject: SubjectClass::Suspect,
        facts: words("Stopped with forged papers."),
        offence: text("0401"),
        max_penalty_months: 36,
        fields: [Field::FirstNames, Field::DateOfBirth, Field::Offence].into(),
        urgency: Urgency::Normal,
        onward: BTreeSet::new(),
        confirmed: ConfirmedBy {
            person: person("sven"),
            at: ago,
            method: words("photograph and date of birth"),
        },
        by: person("rita"),
        ordered_by: person("tom"),
    }
}

/// Somebody who is signed in, as a page's handler gets her.
pub(super) async fn signed<N: Needs>(place: &Place, name: &str) -> Signed<N> {
    let (cookie, _) = place.session(name);
    let request = Request::get("/").header(header::COOKIE, cookie);
    let (mut parts, ()) = request.body(()).expect("a request").into_parts();
    let signed = Signed::from_request_parts(&mut parts, &place.desk).await;
    signed.unwrap_or_else(|answer| panic!("{name} is not let in: {}", answer.status()))
}

/// The owner's case, taken up by `officer`, our record not at hand.
pub(super) async fn taken_up(place: &Place) -> CaseView {
    let (rules, request, key) = (rules(place), request(place), [9; 32]);
    let registry = officers::registry(&place.desk.state).await.expect("officers");
    let documents = Documents::default();
    let world = World {
        side: Side::Owner,
        rules: &rules,
        registry: &registry,
        documents: &documents,
        authors: &[],
    };
    let proof = ProofOfHit::new(&EscalationKey::new(&key), &request).expect("a proof");
    let event = Event {
        case: request.case,
        step: 1,
        previous: Hex([0; 32]),
        side: Side::Requester,
        at: request.made,
        by: Some(request.by.clone()),
        what: What::Requested(Box::new(Requested { request, proof })),
    };
    let now = place.clock.now();
    let case = Case::<AskedFor>::receive(&world, &event, &EscalationKey::new(&key), now, 1);
    let step = Step {
        side: Side::Owner,
        at: now,
        by: Some(person("officer")),
    };
    let case = case.expect("received").triage(&world, &step).expect("taken up");
    CaseView {
        row: row("bb-police"),
        side: Side::Owner,
        case: AnyCase::from(case),
        rules,
        subject: None,
        records: Vec::new(),
        suggested: [(Field::FirstNames, vec![words("Jean-Luc")])].into(),
        decision: None,
        approvals: Vec::new(),
        decision_text: None,
        umf: None,
        messages: Vec::new(),
        sending: None,
        may: vec!["propose"],
        undelivered: Vec::new(),
    }
}
