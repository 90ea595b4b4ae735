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
