//! Who wrote a record does not approve its disclosure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_disclosure::rule::CONFLICT;
use concordat_disclosure::*;

#[test]
fn each_author_is_kept_from_approving_and_nobody_else() {
    let mut fixture = Fixture::new();
    fixture.authors = vec![text("harry"), text("ben"), text("finn")];
    let (case, digest) = fixture.approving();
    assert_eq!(
        refused(fixture.approve(case.clone(), 30, "ben", &digest)),
        CONFLICT
    );
    let case = fixture.approve(case, 30, "anna", &digest).unwrap();
    let case = fixture.approve(case, 31, "cleo", &digest).unwrap();
    let case = fixture.decide(case, 32, digest).unwrap();
    assert!(AnyCase::replay(&fixture.owner(), case.events()).is_ok());
}

#[test]
fn an_author_may_still_draw_the_decision_up() {
    let mut fixture = Fixture::new();
    fixture.authors = vec![text("anna")];
    // Anna draws it up in `approving`.
    let (case, digest) = fixture.approving();
    assert_eq!(
        refused(fixture.approve(case.clone(), 30, "anna", &digest)),
        CONFLICT
    );
    assert!(fixture.approve(case, 30, "ben", &digest).is_ok());
}

#[test]
fn a_history_with_an_authors_approval_does_not_hold() {
    let mut fixture = Fixture::new();
    let (case, digest) = fixture.approving();
    let case = fixture.approve(case, 30, "anna", &digest).unwrap();
    let case = fixture.approve(case, 31, "ben", &digest).unwrap();
    let approved = case.events().to_vec();
    let case = fixture.decide(case, 32, digest).unwrap();
    assert!(AnyCase::replay(&fixture.owner(), case.events()).is_ok());
    fixture.authors = vec![text("ben")];
    for history in [&approved[..], case.events()] {
        assert_eq!(refused(AnyCase::replay(&fixture.owner(), history)), CONFLICT);
    }
}

#[test]
fn an_author_is_known_by_every_account_at_our_agency() {
    let name_in_the_records_system = |agency: &str| {
        let mut fixture = Fixture::new();
        let key = passkey(50);
        let mut lena = new_officer("lena", Role::Officer, vec![OfficerKey::Passkey(key.public())]);
        lena.accounts.insert(Account {
            agency: text(agency),
            id: text("P-4711"),
        });
        change(&mut fixture.ours, &fixture.admins, 1, ChangeWhat::Enrol(lena));
        fixture.authors = vec![text("P-4711")];
        let (case, digest) = fixture.approving();
        let mut key = key;
        let approval = key
            .approve(&text("lena"), &digest, &fixture.rules.console)
            .unwrap();
        let approval = fixture.documents.add_approval(approval).unwrap();
        case.step(&fixture.owner(), &owner(30, "lena"), What::Approved(approval))
    };
    assert_eq!(refused(name_in_the_records_system("owner")), CONFLICT);
    // The same number at the other agency is another person's: records are written in our own numbering.
    assert!(name_in_the_records_system("requester").is_ok());
}
