//! Approvals that must not count: another case's, another text's, another person's, a stolen session's, a revoked key's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::*;
use concordat_disclosure::codes::*;
use concordat_disclosure::event::*;
use concordat_disclosure::rule::*;
use concordat_disclosure::software_passkey::Flags;
use concordat_disclosure::*;
use concordat_ledger::Hex;

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
