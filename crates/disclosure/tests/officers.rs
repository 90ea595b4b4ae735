//! The register of officers: who changes it, and what it never holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_disclosure::rule::*;
use concordat_disclosure::*;
use concordat_ledger::Hex;

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
