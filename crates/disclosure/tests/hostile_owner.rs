//! An owner's node that packs something else than what its officers signed: sealed and signed properly, with a history made to fit.
//! The package is made here from the documented format, with nothing but an HPKE library.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_disclosure::event::*;
use concordat_disclosure::rule::*;
use concordat_disclosure::*;
use concordat_ledger::{Digest, Hex};
use hpke::{Deserializable, Kem, OpModeS, Serializable};

type XWing = hpke::kem::XWing;

fn sha256(bytes: &[u8]) -> Digest {
    Hex(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}

/// Seals and signs `text` as a release of `cleared`'s decision, and opens it as the requester.
fn open(
    fixture: &Fixture,
    cleared: &Case<ApprovedPart>,
    decision: Digest,
    text: &str,
) -> Result<release::Opened, Refused> {
    let request = fixture.request();
    let about = [&request.case.0[..], &request.digest().unwrap().0, &decision.0].concat();
    let to = fixture.disclosure_key.public().unwrap();
    let to = <XWing as Kem>::PublicKey::from_bytes(to.as_bytes()).unwrap();
    let (key, text) =
        hpke::single_shot_seal_with_rng::<hpke::aead::ChaCha20Poly1305, hpke::kdf::HkdfSha256, XWing>(
            &OpModeS::Base,
            &to,
            b"concordat/v1/release\n",
            text.as_bytes(),
            &about,
            &mut rng(),
        )
        .unwrap();
    let sealed = Sealed {
        key: Bytes(key.to_bytes().to_vec()),
        text: Bytes(text),
    };
    let statement = Statement {
        stating: Stating::Release,
        case: request.case,
        request: request.digest().unwrap(),
        decision,
        package: sha256(&[&sealed.key.0[..], &sealed.text.0].concat()),
        from: request.owner.clone(),
        to: request.requester.clone(),
        at: at(33),
    };
    let release = release::SealedRelease {
        statement: statement.sign(&fixture.owner_key).unwrap(),
        sealed,
    };
    let released = ReleasedAs {
        decision,
        package: release.digest().unwrap(),
    };
    let case = cleared
        .clone()
        .release(&fixture.owner(), &owner(34, "ben"), released)
        .unwrap();
    release::open(
        &case,
        &fixture.requester(),
        &release,
        &fixture.disclosure_key,
        &fixture.owner_key.verifier(),
        &person("rita"),
    )
}

fn package(fixture: &Fixture, cleared: &Case<ApprovedPart>, decision: Digest) -> release::Package {
    let decision = fixture.documents.decision(&decision).unwrap().clone();
    let approvals = cleared.events().iter().filter_map(|event| match event.what {
        What::Approved(approval) => fixture.documents.approval(&approval).cloned(),
        _ => None,
    });
    release::Package {
        approvals: approvals.collect(),
        umf: umf::write(&decision),
        decision,
    }
}

#[test]
fn the_format_is_as_documented() {
    let mut fixture = Fixture::new();
    let (cleared, decision) = fixture.decided();
    let package = package(&fixture, &cleared, decision);
    let opened = open(&fixture, &cleared, decision, &package.encode().unwrap()).unwrap();
    assert_eq!(opened.decision(), &package.decision);
    assert_eq!(opened.approvals().len(), 2);
}

#[test]
fn what_was_not_signed_is_not_opened() {
    let mut fixture = Fixture::new();
    let (cleared, decision) = fixture.decided();
    let genuine = package(&fixture, &cleared, decision);
    type Edit = fn(&mut release::Package);
    let edits: [(Edit, Rule); 8] = [
        (
            |p| p.decision.released[0].values[0] = words("Jean-Marc"),
            PACKAGE_CONTENT,
        ),
        (
            |p| p.decision.marks.handling = codes::HandlingCode::H1,
            PACKAGE_CONTENT,
        ),
        (
            |p| p.decision.marks.retain_until = "2028-01-01".parse().unwrap(),
            PACKAGE_CONTENT,
        ),
        (|p| p.umf = p.umf.replace("1971", "1972"), PACKAGE_CONTENT),
        (|p| p.umf = p.umf.replace(">H2<", ">H1<"), PACKAGE_CONTENT),
        (|p| drop(p.approvals.pop()), PACKAGE_CONTENT),
        (|p| p.approvals.swap(0, 1), PACKAGE_CONTENT),
        (|p| p.approvals[1].officer = text("cleo"), PACKAGE_CONTENT),
    ];
    for (edit, rule) in edits {
        let mut edited = genuine.clone();
        edit(&mut edited);
        let refused = open(&fixture, &cleared, decision, &edited.encode().unwrap()).unwrap_err();
        assert_eq!(refused.rule, rule);
    }
    let refused = open(&fixture, &cleared, decision, "{}").unwrap_err();
    assert_eq!(refused.rule, MALFORMED);
}

/// The owner's node thinks that enough have signed, in the right place; the requester reads the agreement itself.
#[test]
fn the_requester_verifies_quorum_and_signatures_itself() {
    let mut fixture = Fixture::new();
    let (cleared, _) = fixture.decided();
    let held = released(&fixture, &cleared);
    assert!(reopen(&fixture, &held).is_ok());
    fixture.rules.quorums.push(Quorum {
        class: codes::FieldClass::Identity,
        handling: codes::HandlingCode::H2,
        approvers: 3,
    });
    assert_eq!(reopen(&fixture, &held).unwrap_err().rule, QUORUM);
    fixture.rules.quorums.pop();
    fixture.rules.console = console("other");
    assert_eq!(reopen(&fixture, &held).unwrap_err().rule, ORIGIN);
}

type Held = (Case<ReleasedTo>, release::SealedRelease);

fn released(fixture: &Fixture, cleared: &Case<ApprovedPart>) -> Held {
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
    (case, release)
}

fn reopen(fixture: &Fixture, (case, release): &Held) -> Result<release::Opened, Refused> {
    release::open(
        case,
        &fixture.requester(),
        release,
        &fixture.disclosure_key,
        &fixture.owner_key.verifier(),
        &person("rita"),
    )
}
