//! One test for each thing that an adversary would try: a partner, an administrator, a thief of a session, a colleague.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_disclosure::codes::*;
use concordat_disclosure::event::*;
use concordat_disclosure::rule::*;
use concordat_disclosure::*;
use concordat_ledger::{Hex, Side};

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
