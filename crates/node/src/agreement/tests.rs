use concordat_disclosure::codes::{Field, HandlingCode};
use concordat_disclosure::deadline::Profile;
use concordat_note::SigningKey;

use super::*;

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &[name.len() as u8; 32]).expect("a name")
}

fn text() -> String {
    format!(
        r#"{MARKER}
[agreement]
id = "aa-bbb-2026"
title = "Trial"
profile = "{profile}"
suite = "ristretto255-SHA512"
valid_from = "2026-01-01T00:00:00Z"
valid_until = "2027-01-01T00:00:00Z"
epoch_days = 7
legal_bases = ["EU:2024/982:26"]

[[party]]
id = "aa"
name = "Agency A"
identity_key = "{a}"
tls_spki_sha256 = "{pin_a}"
endpoint = "https://127.0.0.1:7443"

[[party]]
id = "bbb"
name = "Agency B"
identity_key = "{b}"
tls_spki_sha256 = "{pin_b}"
endpoint = "https://node.bbb.example:7443"

[[offer]]
id = "docs"
owner = "bbb"
requester = "aa"
lists = ["stolen"]
kind = "travel_document"
purposes = ["BORDER_CHECK", "DOCUMENT_FRAUD"]
quota_per_day = 1000
quota_per_epoch = 5000
reveal = "requester_only"
padding = "octave"
max_age_h = 24
disclosure_profile = "PRUM"
"#,
        profile = concordat_identifiers::PROFILE,
        a = key("aa").verifier(),
        b = key("bbb").verifier(),
        pin_a = "aa".repeat(32),
        pin_b = "bb".repeat(32),
    )
}

#[test]
fn a_good_document_is_read() {
    let agreement = Agreement::parse(&text()).expect("valid");
    assert_eq!(
        agreement.partner_of("aa").map(|party| party.id.as_str()),
        Some("bbb")
    );
    assert_eq!(agreement.partner_of("cc"), None);
    let offer = agreement.offer("docs").expect("there");
    assert_eq!((offer.kind, offer.max_age_s), (Kind::TravelDocument, 86_400));
}

#[test]
fn every_broken_rule_is_named() {
    let broken = |from: &str, to: &str| {
        let text = text();
        assert!(text.contains(from), "the document holds {from}");
        let fault = Agreement::parse(&text.replacen(from, to, 1)).expect_err(to);
        (fault.rule, fault.field.unwrap_or_default())
    };
    assert_eq!(broken(MARKER, "# concordat/v1/other\n").0, "AGR-001");
    assert_eq!(
        broken("epoch_days = 7", "epoch_days = 7\nsurprise = 1").0,
        "AGR-002"
    );
    assert_eq!(
        broken("reveal = \"requester_only\"", "reveal = \"mutual\"").0,
        "AGR-002"
    );
    assert_eq!(broken(concordat_identifiers::PROFILE, "norm-0").0, "AGR-003");
    assert_eq!(broken("ristretto255-SHA512", "P256-SHA256").0, "AGR-004");
    assert_eq!(broken("2027-01-01", "2025-01-01").0, "AGR-005");
    assert_eq!(broken("epoch_days = 7", "epoch_days = 0").0, "AGR-006");
    assert_eq!(broken("[\"EU:2024/982:26\"]", "[]").0, "AGR-007");
    assert_eq!(broken(&"bb".repeat(32), &"aa".repeat(32)).0, "AGR-008");
    assert_eq!(
        broken("identity_key = \"aa+", "identity_key = \"ab+").0,
        "AGR-012"
    );
    assert_eq!(broken(&"bb".repeat(32), "bb").0, "AGR-013");
    assert_eq!(broken("https://node", "http://node").0, "AGR-014");
    assert_eq!(broken("requester = \"aa\"", "requester = \"bbb\"").0, "AGR-015");
    assert_eq!(broken("[\"stolen\"]", "[]").0, "AGR-016");
    assert_eq!(broken("travel_document", "handwriting").0, "AGR-017");
    assert_eq!(
        broken("DOCUMENT_FRAUD", "CURIOSITY"),
        ("AGR-018", "offer[0].purposes".into())
    );
    assert_eq!(
        broken("quota_per_epoch = 5000", "quota_per_epoch = 10").0,
        "AGR-019"
    );
    assert_eq!(
        broken("quota_per_epoch = 5000", "quota_per_epoch = 1073741825").0,
        "AGR-020"
    );
    assert_eq!(broken("max_age_h = 24", "max_age_h = 0").0, "AGR-021");
    assert_eq!(broken("\"PRUM\"", "\"\"").0, "AGR-022");
    assert_eq!(broken("id = \"docs\"", "id = \"Docs!\"").0, "AGR-023");
    let twice = text().replace("[[offer]]", "[[offer]]\nid = \"x\"\n[[offer]]");
    assert_eq!(
        Agreement::parse(&twice).expect_err("half an offer").rule,
        "AGR-002"
    );
}

#[test]
fn only_the_parties_own_signatures_count() {
    let mut note = Note::sign(&text(), &[&key("aa")]).expect("signs");
    let (agreement, parsed) = Agreement::from_note(&note.to_string()).expect("valid");
    assert_eq!(agreement.signers(&parsed).expect("holds"), ["aa"]);
    note.add_signature(&key("stranger"));
    assert_eq!(agreement.signers(&note).expect("holds"), ["aa"]);
    note.add_signature(&key("bbb"));
    assert_eq!(agreement.signers(&note).expect("holds"), ["aa", "bbb"]);
    let forged = note.to_string().replace("Trial", "Trail");
    let (forged_agreement, forged_note) = Agreement::from_note(&forged).expect("a valid text");
    assert_eq!(
        forged_agreement
            .signers(&forged_note)
            .expect_err("does not hold")
            .rule,
        "AGR-011"
    );
}

#[test]
fn epochs_count_from_the_first_day_and_end_after_a_grace() {
    let agreement = Agreement::parse(&text()).expect("valid");
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    assert_eq!(agreement.epoch_at(at("2025-12-31T23:59:59Z")), None);
    assert_eq!(agreement.epoch_at(at("2026-01-01T00:00:00Z")), Some(0));
    assert_eq!(agreement.epoch_at(at("2026-01-07T23:59:59Z")), Some(0));
    assert_eq!(agreement.epoch_at(at("2026-01-08T00:00:00Z")), Some(1));
    assert_eq!(agreement.epoch_at(at("2027-01-01T00:00:00Z")), None);
    assert!(
        agreement.epoch_usable(0, at("2026-01-08T13:59:59Z")),
        "14 hours of grace"
    );
    assert!(!agreement.epoch_usable(0, at("2026-01-08T14:00:00Z")));
    assert!(
        !agreement.epoch_usable(1, at("2026-01-07T23:59:59Z")),
        "not before it starts"
    );
}

#[test]
fn a_query_outside_the_agreement_is_refused_with_its_rule() {
    let agreement = Agreement::parse(&text()).expect("valid");
    let offer = agreement.offer("docs").expect("there");
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a time");
    let rule = |purpose, basis, now| {
        agreement
            .permits(offer, purpose, basis, now)
            .map_err(|fault| fault.rule)
    };
    assert_eq!(rule(Purpose::BorderCheck, "EU:2024/982:26", now), Ok(()));
    let late = "2028-01-01T00:00:00Z".parse().expect("a time");
    assert_eq!(rule(Purpose::BorderCheck, "EU:2024/982:26", late), Err("AGR-101"));
    assert_eq!(
        rule(Purpose::FinancialIntel, "EU:2024/982:26", now),
        Err("AGR-102")
    );
    assert_eq!(rule(Purpose::BorderCheck, "NATIONAL:xx", now), Err("AGR-103"));
}

#[test]
fn padding_classes_hold_what_they_pad() {
    for elements in 1..5_000 {
        let octave = Padding::Octave.class(elements);
        let quarter = Padding::QuarterOctave.class(elements);
        assert!(octave >= elements && octave.is_power_of_two() && octave >= 16);
        assert!(quarter >= elements && quarter <= octave);
        assert!(
            quarter <= 16 || quarter <= elements + elements / 4 + 1,
            "{elements} → {quarter}"
        );
    }
    assert_eq!(Padding::QuarterOctave.class(1_200), 1_280);
}

/// The agreement with a block of rules, and what it needs.
fn disclosing(block: &str) -> String {
    let parties = text()
        .replace(
            "endpoint = \"https://127.0.0.1:7443\"",
            &format!(
                "endpoint = \"https://127.0.0.1:7443\"\ndisclosure_key_sha256 = \"{}\"",
                "0a".repeat(32)
            ),
        )
        .replace(
            "endpoint = \"https://node.bbb.example:7443\"",
            &format!(
                "endpoint = \"https://node.bbb.example:7443\"\ndisclosure_key_sha256 = \"{}\"\nconsole = \"https://desk.bbb.example:7448\"",
                "0b".repeat(32)
            ),
        );
    format!("{parties}\n[[disclosure]]\nprofile = \"PRUM\"\n{block}")
}

#[test]
fn the_least_block_has_the_rules_of_its_offer() {
    let agreement = Agreement::parse(&disclosing("")).expect("valid");
    let offer = agreement.offer("docs").expect("there");
    let rules = agreement.disclosure_rules(offer).expect("rules");
    let names = |texts: &std::collections::BTreeSet<concordat_ledger::Text>| {
        texts
            .iter()
            .map(|text| text.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&rules.purposes), ["BORDER_CHECK", "DOCUMENT_FRAUD"]);
    assert_eq!(names(&rules.legal_bases), ["EU:2024/982:26"]);
    assert_eq!(names(&rules.kinds), ["travel_document"]);
    assert_eq!((rules.owner.as_str(), rules.requester.as_str()), ("bbb", "aa"));
    assert_eq!(rules.deadlines, Profile::Prum);
    assert_eq!(rules.fields, Field::CORE.into());
    assert!(!rules.file_keys, "passkeys only, unless it is said");
    assert_eq!(rules.approvers(&Field::CORE, HandlingCode::H0), 1);
    assert_eq!(rules.console.id.as_str(), "desk.bbb.example");
    assert!(
        Agreement::parse(&text())
            .expect("valid")
            .disclosure_rules(offer)
            .is_none(),
        "without a block details are asked for by other means"
    );
}

#[test]
fn a_block_says_what_it_says() {
    let block = r#"
fields = ["b", "i", "x:plate"]
second_approver = ["i"]
refusal_approvers = 2
file_keys = true
bulk = { from = 5, wait_minutes = 60 }
min_penalty_months = 12
handling = ["H1"]
purposes = ["BORDER_CHECK"]
[disclosure.deadlines]
urgent_minutes = 5
urgent_indirect_minutes = 10
normal_minutes = 20
stops_for_judicial = true
stops_for_information = true
more_time = false
[[disclosure.quorum]]
class = "IDENTITY"
handling = "H1"
approvers = 3
"#;
    let agreement = Agreement::parse(&disclosing(block)).expect("valid");
    let rules = agreement
        .disclosure_rules(agreement.offer("docs").expect("there"))
        .expect("rules");
    assert_eq!(rules.deadlines.terms().normal_minutes, 20);
    assert_eq!(rules.approvers(&[Field::FamilyNames], HandlingCode::H1), 3);
    assert_eq!(rules.approvers(&[Field::Offence], HandlingCode::H1), 2);
    assert_eq!((rules.bulk.from, rules.refusal_approvers), (5, 2));
    assert!(rules.file_keys && rules.purposes.len() == 1);
}

#[test]
fn rules_of_disclosure_that_cannot_be_kept_are_named() {
    let broken = |text: String| {
        let fault = Agreement::parse(&text).expect_err("refused");
        (fault.rule, fault.field.unwrap_or_default())
    };
    let at = |field: &str| format!("disclosure[0].{field}");
    let twice = disclosing("[[disclosure]]\nprofile = \"PRUM\"\n");
    assert_eq!(broken(twice), ("AGR-035", "disclosure[1].profile".into()));
    let nobody = disclosing("").replace("profile = \"PRUM\"\n", "profile = \"EU977\"\n");
    let nobody = nobody.replace("disclosure_profile = \"EU977\"", "disclosure_profile = \"PRUM\"");
    assert_eq!(broken(nobody), ("AGR-035", at("profile")));
    for (block, field) in [
        ("second_approver = [\"x:plate\"]", "second_approver"),
        ("fields = []", "fields"),
        ("refusal_approvers = 0", "refusal_approvers"),
        ("bulk = { from = 1, wait_minutes = 0 }", "bulk.from"),
        ("max_open_days = 0", "max_open_days"),
        ("purposes = []", "purposes"),
    ] {
        assert_eq!(broken(disclosing(block)), ("AGR-036", at(field)));
    }
    for unknown in [
        "surprise = 1",
        "deadlines = \"WHENEVER\"",
        "fields = [\"z\"]",
        "bulk = { from = 2, wait_minutes = 0, surprise = 1 }",
        "[disclosure.deadlines]\nurgent_minutes = 5",
    ] {
        assert_eq!(broken(disclosing(unknown)).0, "AGR-002", "{unknown}");
    }
    let key = format!("disclosure_key_sha256 = \"{}\"\n", "0a".repeat(32));
    assert_eq!(
        broken(disclosing("").replace(&key, "")),
        ("AGR-037", "party[aa].disclosure_key_sha256".into())
    );
    assert_eq!(
        broken(disclosing("").replace(&"0a".repeat(32), "0a")).0,
        "AGR-037"
    );
    let console = "console = \"https://desk.bbb.example:7448\"";
    assert_eq!(
        broken(disclosing("").replace(console, "")),
        ("AGR-038", "party[bbb].console".into())
    );
    for address in [
        "http://desk.bbb.example",
        "https://192.0.2.1",
        "https://desk.bbb.example/desk",
        "https://desk.bbb.example:443",
        "desk.bbb.example",
    ] {
        let text = disclosing("").replace("https://desk.bbb.example:7448", address);
        assert_eq!(
            broken(text),
            ("AGR-038", "party[bbb].console".into()),
            "{address}"
        );
    }
}
