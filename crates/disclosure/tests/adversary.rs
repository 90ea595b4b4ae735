//! One test for each thing that an adversary would try: a partner, an administrator, a thief of a session, a colleague.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::*;
use concordat_disclosure::codes::*;
use concordat_disclosure::event::*;
use concordat_disclosure::rule::*;
use concordat_disclosure::software_passkey::Flags;
use concordat_disclosure::*;
use concordat_ledger::{Hex, Side};

fn refused<T: std::fmt::Debug>(result: Result<T, Refused>) -> Rule {
    result.unwrap_err().rule
}

#[test]
fn a_tag_from_the_snapshot_without_its_escalation_key_asks_for_nothing() {
    let fixture = Fixture::new();
    let key = EscalationKey::new(&ESCALATION);
    let forged = requested(fixture.request(), &[0; 32]);
    assert_eq!(
        refused(Case::<AskedFor>::receive(
            &fixture.owner(),
            &forged,
            &key,
            at(1),
            1
        )),
        PROOF_OF_HIT
    );
    // A genuine request, kept back until it is void, or sent by a clock that runs ahead.
    let genuine = requested(fixture.request(), &ESCALATION);
    let receive = |now| Case::<AskedFor>::receive(&fixture.owner(), &genuine, &key, now, 1);
    assert_eq!(refused(receive(at(60 * 24 * 14))), EXPIRY);
    assert_eq!(refused(receive(at(-6))), REQUEST_TIME);
    assert_eq!(receive(at(-5)).unwrap().clock(at(0)).unwrap().due, at(2880));
    // A genuine proof, moved to a request for more.
    let mut moved = requested(fixture.request(), &ESCALATION);
    let What::Requested(asked) = &mut moved.what else {
        panic!()
    };
    asked.request.fields.insert(Field::Gender);
    assert_eq!(
        refused(Case::<AskedFor>::receive(
            &fixture.owner(),
            &moved,
            &key,
            at(1),
            1
        )),
        PROOF_OF_HIT
    );
}

#[test]
fn a_request_outside_the_agreement_is_refused_with_the_rule() {
    let fixture = Fixture::new();
    type Edit = fn(&mut DetailRequest);
    let edits: [(Edit, Rule); 13] = [
        (|r| r.agreement = text("aa-cc"), OTHER_AGREEMENT),
        (|r| r.offer = text("stolen"), OTHER_AGREEMENT),
        (|r| r.requester = text("third"), OTHER_AGREEMENT),
        (|r| r.owner = text("third"), OTHER_AGREEMENT),
        (|r| r.purpose = text("IMMIGRATION_CONTROL"), PURPOSE),
        (|r| r.legal_basis = text("EU:2023/977:4"), LEGAL_BASIS),
        (|r| r.kind = text("iban"), KIND),
        (|r| r.max_penalty_months = 11, OFFENCE_THRESHOLD),
        (|r| r.fields.clear(), FIELD_NOT_OFFERED),
        (
            |r| r.fields.extend(["x:informant".parse().unwrap()]),
            FIELD_NOT_OFFERED,
        ),
        (|r| r.onward.extend([text("third")]), ONWARD),
        (|r| r.expires = at(60 * 24 * 31), EXPIRY),
        (|r| r.confirmed.at = at(1), REQUEST_TIME),
    ];
    for (edit, rule) in edits {
        let mut request = fixture.request();
        edit(&mut request);
        let event = requested(request, &ESCALATION);
        let key = EscalationKey::new(&ESCALATION);
        assert_eq!(
            refused(Case::<AskedFor>::receive(
                &fixture.owner(),
                &event,
                &key,
                at(1),
                1
            )),
            rule
        );
    }
    assert!(fixture.rules.permits(&fixture.request(), at(0)).is_ok());
    assert_eq!(
        refused(fixture.rules.permits(&fixture.request(), at(60 * 24 * 14))),
        EXPIRY
    );
    assert_eq!(
        refused(fixture.rules.permits(&fixture.request(), at(-6))),
        REQUEST_TIME
    );
}

#[test]
fn a_database_edited_to_approved_does_not_replay() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let mut events = case.events().to_vec();
    let mut append = |side, by: &str, what| {
        let last = events.last().unwrap();
        let event = Event {
            step: last.step + 1,
            previous: last.digest().unwrap(),
            side,
            at: at(40),
            by: (!by.is_empty()).then(|| person(by)),
            what,
            ..last.clone()
        };
        events.push(event);
    };
    // An approval that nobody signed, then the decision: the administrator knows how chains are made.
    let stranger = passkey(77)
        .approve(&text("ben"), &digest, &fixture.rules.console.clone())
        .unwrap();
    let stranger = fixture.documents.add_approval(stranger).unwrap();
    append(Side::Owner, "ben", What::Approved(stranger));
    assert_eq!(refused(AnyCase::replay(&fixture.owner(), &events)), UNKNOWN_KEY);

    let stated = DecidedAs {
        decision: digest,
        result: Decided::Partial,
    };
    let world = fixture.owner();
    let undecided = AnyCase::replay(&world, case.events()).unwrap();
    assert_eq!(
        refused(undecided.step(&world, &owner(40, ""), What::Decided(stated))),
        QUORUM
    );
}

#[test]
fn a_step_taken_out_or_changed_does_not_replay() {
    let mut fixture = Fixture::new();
    let (case, _) = fixture.decided();
    let events = case.events().to_vec();
    assert!(AnyCase::replay(&fixture.owner(), &events).is_ok());
    for i in 1..events.len() - 1 {
        let mut shorter = events.clone();
        shorter.remove(i);
        assert_eq!(refused(AnyCase::replay(&fixture.owner(), &shorter)), STALE);
    }
    // A deadline moved by a later date of receipt, a longer expiry: another digest, another chain.
    let mut moved = events;
    moved[1].at = at(11);
    assert_eq!(refused(AnyCase::replay(&fixture.owner(), &moved)), STALE);
    let What::Requested(asked) = &mut moved[0].what else {
        panic!()
    };
    asked.request.expires = at(60 * 24 * 20);
    assert_eq!(refused(AnyCase::replay(&fixture.owner(), &moved)), STALE);
}

#[test]
fn a_partner_takes_no_step_in_our_name() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let forged = |side, by: &str, what| {
        let last = case.events().last().unwrap();
        Event {
            step: last.step + 1,
            previous: case.head(),
            side,
            at: at(40),
            by: Some(person(by)),
            what,
            ..last.clone()
        }
    };
    // Named as ours, though it came from there; and as theirs, though it is ours.
    let back = What::Reconsidered(words("Please."));
    let event = forged(Side::Owner, "anna", back.clone());
    assert_eq!(refused(case.clone().accept(&fixture.owner(), &event)), WRONG_SIDE);
    let event = forged(Side::Requester, "rita", back);
    assert_eq!(refused(case.clone().accept(&fixture.owner(), &event)), WRONG_SIDE);
    // Another agency's case.
    let mut event = forged(Side::Requester, "rita", What::Withdrawn(words("x")));
    event.case = ANOTHER_CASE;
    assert_eq!(
        refused(case.clone().accept(&fixture.owner(), &event)),
        rule::OTHER_CASE
    );
    // In time, but on top of something older: the case has moved on.
    let event = forged(Side::Requester, "rita", What::Withdrawn(words("x")));
    let moved = fixture.approve(case.clone(), 30, "ben", &digest).unwrap();
    assert_eq!(refused(moved.accept(&fixture.owner(), &event)), STALE);
    assert_eq!(case.accept(&fixture.owner(), &event).unwrap().name(), "WITHDRAWN");
}

#[test]
fn nobody_moves_a_deadline() {
    let mut fixture = Fixture::new();
    let more = |until| {
        What::MoreTime(MoreTime {
            until: at(until),
            reason: words("Archive."),
        })
    };
    let case = fixture.triage();
    let refuse = |fixture: &Fixture, step, what| refused(case.clone().step(&fixture.owner(), &step, what));
    assert_eq!(refuse(&fixture, owner(20, "finn"), more(9_000)), NO_MORE_TIME);
    fixture.rules.deadlines = deadline::Profile::Ncic;
    let case = fixture.triage();
    let refuse = |fixture: &Fixture, step, what| refused(case.clone().step(&fixture.owner(), &step, what));
    assert_eq!(refuse(&fixture, requester(20, "rita"), more(90)), WRONG_SIDE);
    assert_eq!(refuse(&fixture, owner(20, ""), more(90)), NEEDS_PERSON);
    assert_eq!(refuse(&fixture, owner(20, "finn"), more(59)), NO_MORE_TIME);
    assert_eq!(refuse(&fixture, owner(61, "finn"), more(90)), NO_MORE_TIME);
    assert_eq!(
        refuse(&fixture, owner(20, "finn"), more(60 * 24 * 14 + 1)),
        NO_MORE_TIME
    );
    let case = case.step(&fixture.owner(), &owner(20, "finn"), more(90)).unwrap();
    assert_eq!(case.clock(at(20)).unwrap().due, at(90));
}

#[test]
fn an_approval_of_another_case_does_not_count_here() {
    let mut fixture = Fixture::new();
    let mut other = fixture.decision(&fixture.request());
    other.case = ANOTHER_CASE;
    let elsewhere = fixture.sign("ben", &other.digest().unwrap());
    let (case, digest) = fixture.approving();
    let what = What::Approved(elsewhere);
    assert_eq!(
        refused(case.clone().step(&fixture.owner(), &owner(30, "ben"), what)),
        SIGNATURE
    );
    // Relabelled for this one.
    let mut moved = fixture.documents.approval(&elsewhere).unwrap().clone();
    moved.document = digest;
    let moved = fixture.documents.add_approval(moved).unwrap();
    assert_eq!(
        refused(
            case.clone()
                .step(&fixture.owner(), &owner(30, "ben"), What::Approved(moved))
        ),
        SIGNATURE
    );
    // Or the right signature under a wrong label.
    let mut labelled = fixture
        .ben
        .approve(&text("ben"), &digest, &console("owner"))
        .unwrap();
    labelled.document = elsewhere;
    let labelled = fixture.documents.add_approval(labelled).unwrap();
    let what = What::Approved(labelled);
    assert_eq!(
        refused(case.step(&fixture.owner(), &owner(30, "ben"), what)),
        SIGNATURE
    );
    // And a decision on another case is no decision on this one.
    let other = fixture.documents.add_decision(other).unwrap();
    let proposed = fixture
        .triage()
        .step(&fixture.owner(), &owner(20, "anna"), What::Proposed(other));
    assert_eq!(refused(proposed), rule::OTHER_CASE);
}

#[test]
fn an_approval_of_a_decision_that_was_taken_back_does_not_come_back() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let case = fixture.approve(case, 30, "ben", &digest).unwrap();
    let case = case
        .step(
            &fixture.owner(),
            &owner(31, "anna"),
            What::Reconsidered(words("Typing error.")),
        )
        .unwrap();
    let again = case.step(&fixture.owner(), &owner(32, "anna"), What::Proposed(digest));
    assert_eq!(refused(again), SUPERSEDED);
}

#[test]
fn a_value_or_a_handling_code_changed_after_signing_is_another_decision() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let case = fixture.approve(case, 30, "anna", &digest).unwrap();
    let case = fixture.approve(case, 31, "ben", &digest).unwrap();
    let signed = fixture.documents.decision(&digest).unwrap().clone();
    let mut value = signed.clone();
    value.released[0].values[0] = words("Jean-Marc");
    let mut stripped = signed.clone();
    stripped.marks.handling = HandlingCode::H1;
    let mut kept = signed.clone();
    kept.marks.retain_until = "2028-11-21".parse().unwrap();
    let mut condition = signed;
    condition.conditions.clear();
    for changed in [value, stripped, kept, condition] {
        let other = fixture.documents.add_decision(changed).unwrap();
        assert_ne!(other, digest);
        assert_eq!(refused(fixture.decide(case.clone(), 32, other)), SUPERSEDED);
    }
    // An H3 without its words, a code or a class that was not agreed, a date too far.
    type Edit = fn(&mut Marks);
    let edits: [(Edit, Rule); 6] = [
        (|m| m.handling = HandlingCode::H3, HANDLING),
        (|m| m.handling = HandlingCode::H0, HANDLING),
        (|m| m.classification = Classification::Confidential, HANDLING),
        (|m| m.retain_until = "2026-11-20".parse().unwrap(), RETENTION),
        (|m| m.retain_until = "2036-11-21".parse().unwrap(), RETENTION),
        (|m| m.onward = Onward::To(BTreeSet::from([text("third")])), ONWARD),
    ];
    for (edit, rule) in edits {
        let mut decision = fixture.decision(&fixture.request());
        edit(&mut decision.marks);
        let digest = fixture.documents.add_decision(decision).unwrap();
        let proposed = fixture
            .triage()
            .step(&fixture.owner(), &owner(20, "anna"), What::Proposed(digest));
        assert_eq!(refused(proposed), rule);
    }
}

#[test]
fn a_decision_covers_what_was_asked_and_nothing_else() {
    let fixture = Fixture::new();
    let request = fixture.request();
    type Edit = fn(&mut Decision);
    let edits: [(Edit, Rule); 10] = [
        (|d| drop(d.released.pop()), DECISION_FIELDS),
        (|d| d.released.swap(0, 1), DECISION_FIELDS),
        (|d| d.released.push(d.released[0].clone()), DECISION_FIELDS),
        (|d| d.released[0].field = Field::Gender, DECISION_FIELDS),
        (|d| d.released[0].values.clear(), DECISION_FIELDS),
        (|d| d.withheld[0].field = Field::FirstNames, DECISION_FIELDS),
        (|d| d.verdict = Verdict::Approved, DECISION_RESULT),
        (|d| d.recipient = text("third"), DECISION_MISMATCH),
        (|d| d.recipient_key = Hex([0; 32]), DECISION_MISMATCH),
        (|d| d.request = Hex([0; 32]), DECISION_MISMATCH),
    ];
    for (edit, rule) in edits {
        let mut decision = fixture.decision(&request);
        edit(&mut decision);
        assert_eq!(refused(decision.check(&request, &fixture.rules)), rule);
    }
}

#[test]
fn one_officer_is_one_officer_with_two_keys_too() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let case = fixture.approve(case, 30, "ben", &digest).unwrap();
    assert_eq!(
        refused(fixture.approve(case.clone(), 31, "ben", &digest)),
        SAME_OFFICER
    );
    let console = fixture.rules.console.clone();
    let second = fixture.ben_too.approve(&text("ben"), &digest, &console).unwrap();
    let second = fixture.documents.add_approval(second).unwrap();
    let what = What::Approved(second);
    assert_eq!(
        refused(case.clone().step(&fixture.owner(), &owner(31, "ben"), what)),
        SAME_OFFICER
    );
    // Ben's key under Anna's name, by Anna and by Ben.
    let posing = fixture.ben_too.approve(&text("anna"), &digest, &console).unwrap();
    let posing = fixture.documents.add_approval(posing).unwrap();
    for (by, rule) in [("anna", UNKNOWN_KEY), ("ben", NEEDS_PERSON)] {
        let step = owner(31, by);
        assert_eq!(
            refused(case.clone().step(&fixture.owner(), &step, What::Approved(posing))),
            rule
        );
    }
    assert_eq!(refused(fixture.decide(case, 32, digest)), QUORUM);
}

#[test]
fn a_stolen_session_without_the_key_signs_nothing() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let console = fixture.rules.console.clone();
    let try_with = |fixture: &mut Fixture, assertion: Assertion| {
        let approval = Approval {
            officer: text("ben"),
            key: OfficerKey::Passkey(fixture.ben.public()),
            document: digest,
            signature: Signature::Passkey(assertion),
        };
        let approval = fixture.documents.add_approval(approval).unwrap();
        refused(
            case.clone()
                .step(&fixture.owner(), &owner(30, "ben"), What::Approved(approval)),
        )
    };
    let both = Flags {
        present: true,
        verified: true,
    };
    // Another's key under Ben's public key and credential id.
    let mut forged = passkey(78).assert(&digest, &console, both).unwrap();
    forged.credential = fixture.ben.public().credential;
    assert_eq!(try_with(&mut fixture, forged), SIGNATURE);
    // Ben's key at hand, but not Ben's finger.
    let unverified = Flags {
        verified: false,
        ..both
    };
    let unverified = fixture.ben.assert(&digest, &console, unverified).unwrap();
    assert_eq!(try_with(&mut fixture, unverified), USER_VERIFICATION);
    let absent = Flags {
        present: false,
        ..both
    };
    let absent = fixture.ben.assert(&digest, &console, absent).unwrap();
    assert_eq!(try_with(&mut fixture, absent), USER_VERIFICATION);
    // Ben signed on another page.
    let phished = fixture
        .ben
        .assert(&digest, &common::console("evil"), both)
        .unwrap();
    assert_eq!(try_with(&mut fixture, phished), ORIGIN);
    let mut page = console.clone();
    page.origins = BTreeSet::from([text("https://evil.console.owner.example")]);
    let below = fixture.ben.assert(&digest, &page, both).unwrap();
    assert_eq!(try_with(&mut fixture, below), ORIGIN);
    // Flags and client data changed after signing.
    let genuine = fixture.ben.assert(&digest, &console, both).unwrap();
    let mut flags = genuine.clone();
    flags.authenticator_data.0[32] |= 0x40;
    assert_eq!(try_with(&mut fixture, flags), SIGNATURE);
    let mut client = genuine.clone();
    client.client_data.0.push(b' ');
    assert_eq!(try_with(&mut fixture, client), SIGNATURE);
    let mut cut = genuine.clone();
    cut.authenticator_data.0.truncate(36);
    assert_eq!(try_with(&mut fixture, cut), SIGNATURE);
    // A counter that does not go on: a copy of the key, or an assertion sent twice.
    let key = fixture.ben.public();
    let asserted = genuine.verify(&key, &digest, &console, 0).unwrap();
    assert_eq!(
        refused(genuine.verify(&key, &digest, &console, asserted.counter)),
        COUNTER
    );
}

#[test]
fn a_registration_is_not_an_approval_nor_is_a_framed_page() {
    let mut fixture = Fixture::new();
    let console = fixture.rules.console.clone();
    let key = fixture.ben.public();
    let digest = Hex([1; 32]);
    for (found, put) in [
        ("webauthn.get", "webauthn.create"),
        ("\"crossOrigin\":false", "\"crossOrigin\":true"),
        (
            "\"crossOrigin\":false",
            "\"crossOrigin\":false,\"topOrigin\":\"https://evil.example\"",
        ),
    ] {
        let signed = fixture
            .ben
            .assert_edited(&digest, &console, |client| client.replace(found, put))
            .unwrap();
        assert!(signed.verify(&key, &digest, &console, 0).is_err(), "{put}");
    }
    let same = fixture
        .ben
        .assert_edited(&digest, &console, |client| client)
        .unwrap();
    assert!(same.verify(&key, &digest, &console, 0).is_ok());
}

#[test]
fn a_revoked_key_counts_neither_now_nor_for_open_approvals() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let case = fixture.approve(case, 30, "anna", &digest).unwrap();
    let case = fixture.approve(case, 31, "ben", &digest).unwrap();
    let complete = fixture.decide(case.clone(), 32, digest).unwrap();

    let key = OfficerKey::Passkey(fixture.ben.public()).id();
    let revoke = ChangeWhat::RevokeKey {
        officer: text("ben"),
        key,
        reason: words("Lost."),
    };
    change(&mut fixture.ours, &fixture.admins, 40, revoke);
    assert_eq!(refused(fixture.decide(case.clone(), 41, digest)), QUORUM);
    assert_eq!(
        refused(fixture.approve(case.clone(), 41, "ben", &digest)),
        SAME_OFFICER
    );
    // Decided, but not released: the release is open still.
    let AnyCase::Partial(cleared) = complete else {
        panic!()
    };
    let to = fixture.disclosure_key.public().unwrap();
    let sealed = release::seal(
        &cleared,
        &fixture.owner(),
        at(42),
        &to,
        &fixture.owner_key,
        &mut rng(),
    );
    assert_eq!(refused(sealed), QUORUM);
    let released = ReleasedAs {
        decision: digest,
        package: Hex([0; 32]),
    };
    assert_eq!(
        refused(
            cleared
                .clone()
                .release(&fixture.owner(), &owner(42, "anna"), released)
        ),
        QUORUM
    );
    // What was decided before stays decided: the history replays.
    assert!(AnyCase::replay(&fixture.owner(), cleared.events()).is_ok());
    // Cleo can take Ben's place.
    let case = fixture.approve(case, 43, "cleo", &digest).unwrap();
    assert!(fixture.decide(case, 44, digest).is_ok());
    // A new approval by the revoked key.
    let (mut other, digest) = (Fixture::new(), digest);
    let revoke = ChangeWhat::RevokeKey {
        officer: text("ben"),
        key,
        reason: words("Lost."),
    };
    change(&mut other.ours, &other.admins, 5, revoke);
    let (case, same) = other.approving();
    assert_eq!(same, digest);
    assert_eq!(refused(other.approve(case, 31, "ben", &digest)), REVOKED_KEY);
}

#[test]
fn whoever_has_a_part_in_the_matter_does_not_decide() {
    // The requesting, the ordering and the confirming officer under another account: a liaison officer with two desks.
    for there in ["rita", "tom", "sven"] {
        let mut fixture = Fixture::new();
        let mut liaison = new_officer(
            "lena",
            Role::Officer,
            vec![OfficerKey::Passkey(passkey(50).public())],
        );
        liaison.accounts.insert(Account {
            agency: text("requester"),
            id: text(there),
        });
        change(&mut fixture.ours, &fixture.admins, 1, ChangeWhat::Enrol(liaison));
        let (case, digest) = fixture.approving();
        let approval = passkey(50)
            .approve(&text("lena"), &digest, &fixture.rules.console)
            .unwrap();
        let approval = fixture.documents.add_approval(approval).unwrap();
        let what = What::Approved(approval);
        assert_eq!(
            refused(case.step(&fixture.owner(), &owner(30, "lena"), what)),
            CONFLICT
        );
    }
}

#[test]
fn roles_are_kept_apart() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let any = What::Reconsidered(words("x"));
    for by in ["finn", "gil", "admin-1", "rita", "nobody"] {
        assert_eq!(
            refused(case.clone().step(&fixture.owner(), &owner(30, by), any.clone())),
            ROLE
        );
    }
    let admin = fixture.admins[0].approve(&text("admin-1"), &digest);
    let admin = fixture.documents.add_approval(admin).unwrap();
    let step = owner(30, "admin-1");
    assert_eq!(
        refused(case.step(&fixture.owner(), &step, What::Approved(admin))),
        ROLE
    );
}

#[test]
fn a_file_key_counts_only_where_the_agreement_says_so() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let approval = fixture.dora.approve(&text("dora"), &digest);
    let approval = fixture.documents.add_approval(approval).unwrap();
    let what = What::Approved(approval);
    assert_eq!(
        refused(
            case.clone()
                .step(&fixture.owner(), &owner(30, "dora"), what.clone())
        ),
        FILE_KEY
    );
    fixture.rules.file_keys = true;
    let case = case.step(&fixture.owner(), &owner(30, "dora"), what).unwrap();
    let case = fixture.approve(case, 31, "ben", &digest).unwrap();
    assert!(fixture.decide(case, 32, digest).is_ok());
    // A file key's signature under a passkey, and the other way round.
    let mut mixed = fixture.documents.approval(&approval).unwrap().clone();
    mixed.key = OfficerKey::Passkey(fixture.ben.public());
    assert_eq!(
        refused(mixed.verify(&digest, &fixture.rules.console, 0)),
        SIGNATURE
    );
}

#[test]
fn bulk_waits_and_a_quorum_nobody_can_reach_is_said_at_once() {
    let mut fixture = Fixture::new();
    let decision = fixture.decision(&fixture.request());
    let digest = fixture.documents.add_decision(decision).unwrap();
    let case = fixture.triage_of(fixture.request(), 20);
    let case = case
        .step(&fixture.owner(), &owner(20, "anna"), What::Proposed(digest))
        .unwrap();
    let case = fixture.approve(case, 30, "anna", &digest).unwrap();
    let case = fixture.approve(case, 31, "ben", &digest).unwrap();
    assert_eq!(refused(fixture.decide(case.clone(), 60, digest)), COOLING_OFF);
    assert!(fixture.decide(case, 61, digest).is_ok());

    fixture.rules.quorums.push(Quorum {
        class: FieldClass::Identity,
        handling: HandlingCode::H2,
        approvers: 5,
    });
    let proposed = fixture
        .triage()
        .step(&fixture.owner(), &owner(20, "anna"), What::Proposed(digest));
    assert_eq!(refused(proposed), TOO_FEW_OFFICERS);
}

#[test]
fn time_runs_on_and_out() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let end = 60 * 24 * 14;
    assert_eq!(
        refused(fixture.approve(case.clone(), 19, "ben", &digest)),
        TIME_RUNS_BACK
    );
    assert_eq!(
        refused(fixture.approve(case.clone(), end, "ben", &digest)),
        EXPIRY
    );
    let expire = |minutes, by| {
        case.clone()
            .step(&fixture.owner(), &owner(minutes, by), What::Expired)
    };
    assert_eq!(refused(expire(end - 1, "")), NOT_EXPIRED);
    assert_eq!(refused(expire(end, "anna")), NEEDS_PERSON);
    assert_eq!(expire(end, "").unwrap().name(), "EXPIRED");
}

#[test]
fn a_release_is_for_one_recipient_one_case_and_its_people() {
    let mut fixture = Fixture::new();
    let (cleared, decision) = fixture.decided();
    let seal = |fixture: &Fixture, to: &DisclosureKey, key: &concordat_note::SigningKey| {
        let to = to.public().unwrap();
        release::seal(&cleared, &fixture.owner(), at(33), &to, key, &mut rng())
    };
    let elsewhere = DisclosureKey::new(&[99; 32]);
    assert_eq!(
        refused(seal(&fixture, &elsewhere, &fixture.owner_key)),
        DISCLOSURE_KEY
    );
    let (release, released) = seal(&fixture, &fixture.disclosure_key, &fixture.owner_key).unwrap();
    // The requester's node seals nothing, whatever it knows.
    let to = fixture.disclosure_key.public().unwrap();
    let sealed = release::seal(
        &cleared,
        &fixture.requester(),
        at(33),
        &to,
        &fixture.owner_key,
        &mut rng(),
    );
    assert_eq!(refused(sealed), WRONG_SIDE);

    // The requester's view: the same history without the owner's documents.
    let held = |fixture: &Fixture, released: ReleasedAs| {
        let case = cleared.clone();
        case.release(&fixture.owner(), &owner(34, "ben"), released)
            .unwrap()
    };
    let case = held(&fixture, released);
    let open = |fixture: &Fixture, release: &release::SealedRelease, key: &DisclosureKey, by: &str| {
        let world = fixture.requester();
        release::open(
            &case,
            &world,
            release,
            key,
            &fixture.owner_key.verifier(),
            &person(by),
        )
    };
    assert!(open(&fixture, &release, &fixture.disclosure_key, "rita").is_ok());
    assert_eq!(
        refused(open(&fixture, &release, &fixture.disclosure_key, "ulf")),
        READER
    );
    assert_eq!(refused(open(&fixture, &release, &elsewhere, "rita")), UNSEALABLE);
    // Any byte changed, on the way or in the store.
    let mut damaged = release.clone();
    damaged.sealed.text.0[5] ^= 1;
    assert_eq!(
        refused(open(&fixture, &damaged, &fixture.disclosure_key, "rita")),
        RECEIPT
    );
    // The same, with a history that was made to fit: the statement still names what was sealed.
    let refit = ReleasedAs {
        decision,
        package: damaged.digest().unwrap(),
    };
    let case = held(&fixture, refit);
    let owner_key = fixture.owner_key.verifier();
    let opened = release::open(
        &case,
        &fixture.requester(),
        &damaged,
        &fixture.disclosure_key,
        &owner_key,
        &person("rita"),
    );
    assert_eq!(refused(opened), SUPERSEDED);
    // Signed by another node.
    let other = concordat_note::SigningKey::from_seed("owner", &[88; 32]).unwrap();
    let (posed, released) = seal(&fixture, &fixture.disclosure_key, &other).unwrap();
    let case = held(&fixture, released);
    let opened = release::open(
        &case,
        &fixture.requester(),
        &posed,
        &fixture.disclosure_key,
        &owner_key,
        &person("rita"),
    );
    assert_eq!(refused(opened), NOT_SIGNED);
    // A receipt for another package, or by the owner itself.
    let receipt = open_receipt(&fixture, &cleared);
    let requester_key = fixture.requester_key.verifier();
    assert!(
        release
            .check_answer(&receipt, Stating::Receipt, &owner_key, &requester_key)
            .is_ok()
    );
    assert_eq!(
        refused(release.check_answer(&receipt, Stating::RecallDone, &owner_key, &requester_key)),
        RECEIPT
    );
    assert_eq!(
        refused(damaged.check_answer(&receipt, Stating::Receipt, &owner_key, &requester_key)),
        RECEIPT
    );
    assert_eq!(
        refused(release.check_answer(&receipt, Stating::Receipt, &owner_key, &owner_key)),
        NOT_SIGNED
    );
    assert_eq!(
        refused(release.check_recall(&receipt, &requester_key)),
        NOT_SIGNED
    );
}

fn open_receipt(fixture: &Fixture, cleared: &Case<ApprovedPart>) -> String {
    let to = fixture.disclosure_key.public().unwrap();
    let (release, released) = release::seal(
        cleared,
        &fixture.owner(),
        at(33),
        &to,
        &fixture.owner_key,
        &mut rng(),
    )
    .unwrap();
    let case = cleared
        .clone()
        .release(&fixture.owner(), &owner(34, "ben"), released)
        .unwrap();
    let opened = release::open(
        &case,
        &fixture.requester(),
        &release,
        &fixture.disclosure_key,
        &fixture.owner_key.verifier(),
        &person("rita"),
    );
    opened.unwrap().receipt(at(40), &fixture.requester_key).unwrap()
}

#[test]
fn an_officer_is_registered_by_two_administrators_and_by_nobody_else() {
    let fixture = Fixture::new();
    let enrol = |officer| next_change(&fixture.ours, 1, ChangeWhat::Enrol(officer));
    let add = enrol(new_officer(
        "mole",
        Role::Officer,
        vec![FileKey::from_seed(&[66; 32]).public()],
    ));
    let digest = add.digest().unwrap();
    let [one, two] = &fixture.admins;
    let first = one.approve(&text("admin-1"), &digest);
    let second = two.approve(&text("admin-2"), &digest);
    let mut console = passkey(12);
    let officer = console
        .approve(&text("ben"), &digest, &fixture.rules.console)
        .unwrap();
    let apply = |change: &Change, signed: &[Approval]| fixture.ours.clone().apply(change, signed, change.at);
    assert_eq!(refused(apply(&add, &[])), SECOND_ADMINISTRATOR);
    assert_eq!(
        refused(apply(&add, std::slice::from_ref(&first))),
        SECOND_ADMINISTRATOR
    );
    assert_eq!(
        refused(apply(&add, &[first.clone(), first.clone()])),
        SECOND_ADMINISTRATOR
    );
    assert_eq!(
        refused(apply(&add, &[first.clone(), officer])),
        SECOND_ADMINISTRATOR
    );
    let forged = Approval {
        officer: text("admin-2"),
        ..first.clone()
    };
    assert_eq!(refused(apply(&add, &[first.clone(), forged])), UNKNOWN_KEY);
    assert!(apply(&add, &[first.clone(), second.clone()]).is_ok());
    // Another's name put in after the two had signed.
    let mut swapped = add.clone();
    swapped.at = at(2);
    assert_eq!(
        refused(apply(&swapped, &[first.clone(), second.clone()])),
        SIGNATURE
    );
    // Twice, or out of order.
    let mut after = fixture.ours.clone();
    after
        .apply(&add, &[first.clone(), second.clone()], add.at)
        .unwrap();
    assert_eq!(
        refused(after.apply(&add, &[first, second], add.at)),
        REGISTRY_ORDER
    );
}

#[test]
fn one_key_is_one_persons_and_two_administrators_remain() {
    let fixture = Fixture::new();
    let sign = |change: &Change| {
        let digest = change.digest().unwrap();
        let [one, two] = &fixture.admins;
        [
            one.approve(&text("admin-1"), &digest),
            two.approve(&text("admin-2"), &digest),
        ]
    };
    let try_to = |what| {
        let change = next_change(&fixture.ours, 1, what);
        refused(fixture.ours.clone().apply(&change, &sign(&change), change.at))
    };
    let bens = OfficerKey::Passkey(fixture.ben.public());
    let mut renamed = fixture.ben.public();
    renamed.credential.0.push(0);
    let renamed = OfficerKey::Passkey(renamed);
    for key in [bens, renamed] {
        let what = ChangeWhat::Enrol(new_officer("ida", Role::Officer, vec![key.clone()]));
        assert_eq!(try_to(what), OFFICER_EXISTS);
        assert_eq!(
            try_to(ChangeWhat::AddKey {
                officer: text("anna"),
                key
            }),
            OFFICER_EXISTS
        );
    }
    let own = ChangeWhat::AddKey {
        officer: text("admin-1"),
        key: FileKey::from_seed(&[67; 32]).public(),
    };
    assert_eq!(try_to(own), SECOND_ADMINISTRATOR);
    let retire = ChangeWhat::Retire {
        officer: text("admin-2"),
        reason: words("Left."),
    };
    assert_eq!(try_to(retire), LAST_ADMINISTRATORS);
    let mut both = new_officer("ida", Role::Administrator, vec![]);
    both.roles.insert(Role::Officer);
    assert_eq!(try_to(ChangeWhat::Enrol(both)), ROLE);
    // Small order and off the curve.
    let mut off = passkey(1).public();
    off.y.0[31] ^= 1;
    for key in [OfficerKey::FileKey(Hex([0; 32])), OfficerKey::Passkey(off)] {
        assert_eq!(
            try_to(ChangeWhat::Enrol(new_officer("ida", Role::Officer, vec![key]))),
            KEY_SHAPE
        );
    }
}

#[test]
fn attachments_are_bounded_and_whole() {
    let (id, key) = (Hex([7; 16]), AttachmentKey::new(&[8; 32]));
    assert_eq!(refused(Manifest::count(0)), ATTACHMENT_SIZE);
    assert_eq!(
        refused(Manifest::count(MAX_ATTACHMENT_BYTES + 1)),
        ATTACHMENT_SIZE
    );
    assert_eq!(Manifest::count(MAX_ATTACHMENT_BYTES).unwrap(), 200);
    let size = PART_BYTES as u64 + 3;
    let whole = vec![1; PART_BYTES];
    let parts = [
        seal_part(&id, &key, size, 0, &whole).unwrap(),
        seal_part(&id, &key, size, 1, &[1, 2, 3]).unwrap(),
    ];
    for (part, given) in [(0, &whole[1..]), (1, &whole[..]), (2, &whole[..3])] {
        assert_eq!(refused(seal_part(&id, &key, size, part, given)), ATTACHMENT_CHUNK);
    }
    let sha = |bytes: &[u8]| Hex(<sha2::Sha256 as sha2::Digest>::digest(bytes).into());
    let manifest = Manifest {
        id,
        key,
        name: words("photo.jpg"),
        media_type: text("image/jpeg"),
        bytes: size,
        sha256: Hex([0; 32]),
        parts: parts.iter().map(|part| sha(part)).collect(),
    };
    assert!(manifest.check().is_ok());
    assert_eq!(refused(manifest.open_part(0, &parts[1])), ATTACHMENT_CHUNK);
    assert_eq!(refused(manifest.open_part(1, &parts[1][..18])), ATTACHMENT_CHUNK);
    assert_eq!(refused(manifest.open_part(u32::MAX, &parts[1])), ATTACHMENT_CHUNK);
    // Cut after the first part, with a manifest made to fit: the last part says that it is the last.
    let mut cut = manifest.clone();
    cut.bytes = PART_BYTES as u64;
    cut.parts.truncate(1);
    assert!(cut.check().is_ok());
    assert_eq!(refused(cut.open_part(0, &parts[0])), ATTACHMENT_CHUNK);
    let mut grown = manifest.clone();
    grown.bytes = MAX_ATTACHMENT_BYTES + 1;
    assert_eq!(refused(grown.check()), ATTACHMENT_SIZE);
    for name in ["../etc/passwd", "a\\b", ".."] {
        let renamed = Manifest {
            name: words(name),
            ..manifest.clone()
        };
        assert_eq!(refused(renamed.check()), ATTACHMENT_SIZE);
    }
}

#[test]
fn text_is_what_it_looks_like_wherever_it_is_shown() {
    let too_long = "a".repeat(4097);
    for bad in [
        "",
        " ",
        "\u{200D}",
        "a\nb",
        "a\tb",
        "a\0b",
        "\u{202E}live",
        "a\u{2066}b",
        "a\u{200B}b",
        "\u{E0041}x",
        &too_long,
    ] {
        assert_eq!(refused(Words::new(bad)), BAD_TEXT, "{bad:?}");
    }
    assert_eq!(words("e\u{301}").as_str(), "é");
    assert!(serde_json::from_str::<Words>("\"e\u{301}\"").is_err());
    assert!(Words::new("نامه\u{200C}ای").is_ok());
    for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "＝1"] {
        assert!(text::csv_cell(formula).starts_with("\"'"), "{formula}");
    }
    assert_eq!(text::csv_cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
    let script = "<script>alert('x')</script> & \"";
    assert!(!text::markup(script).contains(['<', '>', '"', '\'']));
    assert_eq!(format!("{:?}", words("Jean-Luc")), "Words(8 bytes)");
}

#[test]
fn nothing_secret_and_nobodys_data_is_in_debug() {
    let fixture = Fixture::new();
    let decision = format!("{:?}", fixture.decision(&fixture.request()));
    assert!(!decision.contains("Jean-Luc") && !decision.contains("1971"));
    assert!(!format!("{:?}", fixture.request()).contains("forged papers"));
    let secrets = [
        format!("{:?}", EscalationKey::new(&[9; 32])),
        format!("{:?}", fixture.disclosure_key),
        format!("{:?}", AttachmentKey::new(&[9; 32])),
        format!("{:?}", SuppressionKey::new(&[9; 32])),
        format!("{:?}", fixture.dora),
    ];
    for secret in secrets {
        assert!(secret.ends_with("(redacted)"), "{secret}");
    }
    let shown = format!("{:?}", passkey(9));
    assert!(
        !shown.contains("09090909") && !shown.contains("9, 9, 9"),
        "{shown}"
    );
}
