//! Entries, their leaves, sealing, erasing, opening, retention.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::HashSet;

use common::*;
use concordat_ledger::*;
use proptest::prelude::*;

fn case_step(side: Side, step: u32) -> CaseStep {
    CaseStep {
        exchange: exchange(1),
        case: Hex([0xca; 16]),
        side,
        step,
        digest: Hex([step as u8; 32]),
    }
}

fn approvals() -> Vec<Approved> {
    ["chief-1", "chief-2"]
        .map(|id| Approved {
            by: person(id),
            approval: format!("{{\"officer\":\"{id}\"}}"),
        })
        .into()
}

fn console() -> Console {
    Console {
        id: text("police.example"),
        origins: vec![text("https://console.police.example")],
    }
}

/// One entry of every type.
fn every_event() -> Vec<Event> {
    let by = || Actor::Person(person("officer-4711"));
    let digest = |n| Hex([n; 32]);
    let partner = || text("police.example/bb");
    vec![
        query(1).event,
        evaluation(1).event,
        QueryOpened {
            exchange: exchange(1),
            step: 0,
            by: person("officer-4711"),
            ordered_by: person("lead-12"),
            why: why(),
            partner: partner(),
            scope: scope(),
            elements: 1024,
            items: 300,
            lists: Vec::new(),
        }
        .into(),
        EvaluationOpened {
            exchange: exchange(1),
            step: 0,
            partner: partner(),
            stated: stated(),
            scope: scope(),
            elements: 1024,
        }
        .into(),
        SnapshotPublished {
            partner: partner(),
            scope: scope(),
            version: 4,
            manifest: digest(1),
        }
        .into(),
        SnapshotFetched {
            partner: partner(),
            scope: scope(),
            version: 4,
            manifest: digest(1),
        }
        .into(),
        Import {
            by: by(),
            list: text("red"),
            source: digest(2),
            added: 3,
            changed: 2,
            removed: 1,
            rejected: 0,
        }
        .into(),
        RecordChanged {
            by: by(),
            why: why(),
            list: text("red"),
            record: text("R-17"),
            change: RecordChange::Removed,
        }
        .into(),
        ListChanged {
            by: by(),
            list: text("red"),
            change: ListChange::Deleted,
        }
        .into(),
        ClientChanged {
            by: by(),
            client: text("gate-7"),
            certificate: digest(9),
            auditor: true,
            change: ClientChange::Revoked,
        }
        .into(),
        OfficerLinked {
            by: by(),
            officer: Person {
                id: text("carol"),
                unit: None,
            },
            new: true,
        }
        .into(),
        AgreementChanged {
            by: by(),
            partner: partner(),
            agreement: text("2026/014"),
            digest: digest(3),
            change: AgreementChange::Signed,
        }
        .into(),
        KeyChanged {
            by: Actor::Node,
            what: text("scope"),
            scope: Some(scope()),
            public_key: Some(digest(4)),
            fingerprint: None,
            change: KeyChange::Destroyed,
        }
        .into(),
        QuotaRefused {
            exchange: exchange(1),
            side: Side::Owner,
            partner: partner(),
            scope: scope(),
            elements: 4096,
        }
        .into(),
        ProofFailed {
            exchange: exchange(1),
            partner: partner(),
            scope: scope(),
            transcript: digest(5),
        }
        .into(),
        HitStep {
            step: case_step(Side::Requester, 2),
            by: by(),
            what: text("confirmed"),
        }
        .into(),
        DetailRequested {
            step: case_step(Side::Requester, 1),
            by: Some(person("officer-4711")),
            ordered_by: None,
            partner: partner(),
            stated: stated(),
            case_reference: Some(text("C-1")),
            request: digest(6),
        }
        .into(),
        DetailStep {
            step: case_step(Side::Owner, 2),
            by: by(),
            what: text("triaged"),
            outcome: None,
            request: digest(6),
        }
        .into(),
        DetailStep {
            step: case_step(Side::Requester, 5),
            by: by(),
            what: text("decided"),
            outcome: Some(Outcome::Refused),
            request: digest(6),
        }
        .into(),
        Reminded {
            exchange: exchange(1),
            case: Hex([0xca; 16]),
            side: Side::Owner,
            number: 1,
            partner: partner(),
            to: text("desk"),
            due: at(9),
        }
        .into(),
        Decision {
            step: case_step(Side::Owner, 5),
            by: person("chief-1"),
            partner: partner(),
            outcome: Outcome::Partly,
            stated: stated(),
            ground: None,
            request: digest(6),
            document: digest(7),
            approvals: approvals(),
            console: console(),
        }
        .into(),
        Release {
            step: case_step(Side::Owner, 6),
            by: person("chief-1"),
            partner: partner(),
            stated: stated(),
            document: digest(7),
            package: digest(8),
            fields: vec![text("name"), text("warrant")],
        }
        .into(),
        Receipt {
            step: case_step(Side::Requester, 7),
            by: None,
            partner: partner(),
            package: digest(8),
        }
        .into(),
        RegistryChanged {
            number: 3,
            what: text("enrol"),
            officer: Some(person("officer-4712")),
            document: digest(9),
            approvals: approvals(),
            console: console(),
        }
        .into(),
        Erasure {
            by: Actor::Node,
            erased: Ranges::take(&mut [1, 2, 3, 9].into_iter().peekable()).unwrap(),
            order: None,
        }
        .into(),
        ConfigurationChanged {
            by: by(),
            settings: vec![text("retention")],
            before: digest(1),
            after: digest(2),
        }
        .into(),
        SignIn {
            by: person("officer-4711"),
            method: text("client certificate"),
            role: text("officer"),
        }
        .into(),
        Refusal {
            claimed: None,
            partner: Some(partner()),
            case: Some(Hex([0xca; 16])),
            action: text("sign in"),
            rule: Some(text("DISC-024")),
            reason: text("certificate expired"),
        }
        .into(),
        Opened {
            by: person("dpo-1"),
            why: why(),
            recipient: text("supervisory authority"),
            entries: Ranges::take(&mut [5].into_iter().peekable()).unwrap(),
        }
        .into(),
        MisbehaviourSeen {
            partner: partner(),
            what: text("split view"),
            kept: "a\n".to_owned(),
            shown: "b\n".to_owned(),
        }
        .into(),
    ]
}

#[test]
fn every_type_is_written_sealed_and_opened() {
    let events = every_event();
    let kinds: HashSet<_> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds.len(), EntryType::ALL.len(), "one of every type");
    let mut joins = HashSet::new();
    for (n, event) in (0..).zip(events) {
        let entry = Entry::new(at(n), event);
        assert_eq!(EntryType::parse(entry.kind().name()), Some(entry.kind()));
        let line = entry.encode().unwrap();
        assert_eq!(Entry::parse(&line).as_ref(), Some(&entry), "{line}");
        let sealed = seal(n, &entry);
        let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(n)).unwrap();
        assert_eq!(opening.verify(&sealed.leaf).unwrap(), entry);
        assert_eq!(Opening::parse(&opening.encode().unwrap()).unwrap(), opening);
        let bytes = sealed.leaf.encode(n);
        assert_eq!(Leaf::parse(&bytes), Some((n, sealed.leaf.clone())));
        assert_eq!(Leaf::parse_draft(&sealed.leaf.draft()), Some(sealed.leaf.clone()));
        // Nothing of what it says is in the public part.
        let public = String::from_utf8(bytes).unwrap();
        for secret in [
            "officer",
            "police",
            "C-2026",
            "terrorism",
            "chief",
            "passports",
            "2026/014",
            "e0e0e0e0",
            "cacacaca",
            "DISC",
        ] {
            assert!(!public.contains(secret), "{public}");
        }
        assert!(public.len() < 400, "{public}");
        if let Class::Exchange(join) = sealed.leaf.class {
            assert!(joins.insert(join.tag) && joins.insert(Hex(join.facts.0[..16].try_into().unwrap())));
        }
    }
}

#[test]
fn the_forms_are_frozen() {
    let entry = query(1);
    assert_eq!(
        entry.encode().unwrap(),
        "{\"at\":\"2026-11-21T20:15:01.25Z\",\"event\":{\"by\":{\"id\":\"officer-4711\"},\"elements\":1024,\
         \"exchange\":\"e0e0e0e0e0e0e0e00000000000000001\",\"items\":300,\"ordered_by\":{\"id\":\"lead-12\"},\
         \"partner\":\"police.example/bb\",\"scope\":{\"agreement\":\"2026/014\",\"epoch\":3,\"offer\":\"passports\"},\
         \"transcript\":\"0101010101010101010101010101010101010101010101010101010101010101\",\"type\":\"query\",\
         \"verdicts\":{\"hit\":1,\"no_hit\":299,\"unknown\":0},\"why\":{\"case_reference\":\"C-2026-0815\",\
         \"legal_basis\":\"Art. 5\",\"purpose\":\"terrorism\"}},\"v\":1}"
    );
    let erasure = Erasure {
        by: Actor::Node,
        erased: Ranges::take(&mut (0..100).chain([105]).peekable()).unwrap(),
        order: None,
    };
    let leaf = seal(2, &Entry::new(at(2), erasure)).leaf;
    let commitment = leaf.commitment;
    assert_eq!(
        String::from_utf8(leaf.encode(106)).unwrap(),
        format!(
            "{{\"cause\":\"due\",\"class\":\"erasure\",\"commitment\":\"{commitment}\",\"erased\":\"0-99,105\",\"n\":106,\
             \"time\":\"2026-11-21T20:00:00Z\",\"v\":1}}"
        )
    );
    // Computed by hand in Python: sha256(domain ‖ salt ‖ payload), hmac(id, lengths and parts).
    let sealed = seal(1, &entry);
    let opening: serde_json::Value = serde_json::from_str(
        &Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(1))
            .unwrap()
            .encode()
            .unwrap(),
    )
    .unwrap();
    use sha2::Digest as _;
    let salt = hex::decode(opening["salt"].as_str().unwrap()).unwrap();
    let mut hash = sha2::Sha256::new();
    hash.update(b"concordat/v1/ledger-commitment\n");
    hash.update(&salt);
    hash.update(entry.encode().unwrap());
    assert_eq!(hex::encode(hash.finalize()), sealed.leaf.commitment.to_string());
}

#[test]
fn an_entry_is_read_in_one_form_only() {
    let line = query(1).encode().unwrap();
    for bad in [
        line.replace(",\"v\":1}", ",\"v\":2}"),
        line.replace("\"items\":300", "\"items\":300.0"),
        line.replace("\"items\":300", "\"items\":\"300\""),
        line.replace("\"items\":300,", "\"items\":300,\"items\":300,"),
        line.replace("\"items\":300,", "\"items\":300,\"more\":1,"),
        line.replace("\"items\":300,", "\"items\": 300,"),
        line.replace("\"items\":300,", ""),
        line.replace("\"ordered_by\":{\"id\":\"lead-12\"},", ""),
        line.replace("\"purpose\":\"terrorism\"", "\"purpose\":\"\""),
        line.replace("\"purpose\":\"terrorism\"", "\"purpose\":\"  \""),
        line.replace("\"purpose\":\"terrorism\"", "\"purpose\":\"\\u0074errorism\""),
        line.replace("C-2026-0815", "C\\n2026"),
        line.replace("e0e0e0e0e0e0e0e0", "E0E0E0E0E0E0E0E0"),
        line.replace("query", "queries"),
        format!("{line} "),
        format!(" {line}"),
        format!("{line}\n"),
        String::new(),
        "{}".to_owned(),
        "[".repeat(100_000),
    ] {
        assert_ne!(bad, line);
        assert_eq!(Entry::parse(&bad), None, "{bad:.200}");
    }
    let huge = Entry::new(
        at(1),
        QuotaRefused {
            exchange: exchange(1),
            side: Side::Owner,
            partner: text("a"),
            scope: scope(),
            elements: u64::MAX,
        },
    );
    assert_eq!(huge.encode(), Err(EntryError::NumberTooLarge));
    let many = Entry::new(
        at(1),
        ConfigurationChanged {
            by: Actor::Node,
            settings: vec![text("setting"); 60_000],
            before: Hex([0; 32]),
            after: Hex([0; 32]),
        },
    );
    assert_eq!(many.encode(), Err(EntryError::TooLarge));
    for bad in ["", " \t ", "a\u{7}b", "a\nb", &"x".repeat(1025)] {
        assert!(Text::new(bad).is_err());
    }
}

#[test]
fn a_leaf_is_read_in_one_form_only() {
    let good = String::from_utf8(leaves(1..2)[0].encode(17)).unwrap();
    assert!(Leaf::parse(good.as_bytes()).is_some());
    let replace = |from: &str, to: &str| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        bad
    };
    for bad in [
        replace("\"v\":1", "\"v\":2"),
        replace("\"n\":17", "\"n\":017"),
        replace("\"n\":17", "\"n\":-1"),
        replace("\"n\":17,", ""),
        replace("T20:00:00Z", "T24:00:00Z"),
        replace("T20:00:00Z", "T20:30:00Z"),
        replace("T20:00:00Z", "T2:00:00Z"),
        replace("2026-11-21", "2026-02-30"),
        replace("2026-11-21", "0026-11-21"),
        replace("2026-11-21", "1969-12-31"),
        replace("\"erase_after\":\"2029-11-22\"", "\"erase_after\":\"2029-13-22\""),
        replace("exchange", "exchangE"),
        replace("exchange", "upkeep"),
        replace("{", "{ "),
        replace("}", "}\n"),
        replace("\"tag\":\"", "\"tag\":\"A"),
        replace("\"class\"", "\"cause\":\"due\",\"class\""),
        replace("{", ""),
        String::new(),
        replace("\"facts\":", "\"erased\":\"1\",\"facts\":"),
    ] {
        assert_eq!(Leaf::parse(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(Leaf::parse(b"\xff"), None);
    let erasure = |ranges: &str| {
        let text = format!(
            "{{\"cause\":\"due\",\"class\":\"erasure\",\"commitment\":\"{}\",\"erased\":\"{ranges}\",\"n\":1,\"time\":\"2026-11-21T20:00:00Z\",\"v\":1}}",
            "0".repeat(64)
        );
        Leaf::parse(text.as_bytes()).is_some()
    };
    assert!(erasure("0-99,105") && erasure("0") && erasure("0,2"));
    for bad in [
        "",
        "1-",
        "-1",
        "2-1",
        "0,1",
        "0-3,4",
        "3,1",
        "1,1",
        "00",
        "0-18446744073709551615",
        "18446744073709551616",
        "0,",
        "a",
    ] {
        assert!(!erasure(bad), "{bad}");
    }
}

#[test]
fn what_was_sealed_opens_with_its_key_only() {
    let entry = query(1);
    let sealed = seal(1, &entry);
    assert_eq!(
        seal(1, &entry),
        sealed,
        "the same key and entry give the same bytes"
    );
    assert_ne!(
        seal(2, &entry).leaf.commitment,
        sealed.leaf.commitment,
        "a commitment hides"
    );
    let error = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(2)).unwrap_err();
    assert_eq!(error, OpeningError::Unsealable);
    for bit in 0..sealed.sealed.len() * 8 {
        let mut bad = sealed.sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Opening::unseal(&sealed.leaf, &bad, &entry_key(1)).is_err());
    }
    assert!(Opening::unseal(&sealed.leaf, &[], &entry_key(1)).is_err());
    // Another entry's leaf.
    let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(1)).unwrap();
    assert_eq!(opening.verify(&leaves(2..3)[0]), Err(OpeningError::OtherEntry));
    // A leaf that says something else than its payload, logged so.
    let lying = Leaf {
        class: Class::Upkeep,
        ..sealed.leaf.clone()
    };
    assert_eq!(opening.verify(&lying), Err(OpeningError::Contradiction));
    let lying = Leaf {
        time: Hour::of("2026-11-21T21:00:00Z".parse().unwrap()),
        ..sealed.leaf.clone()
    };
    assert_eq!(opening.verify(&lying), Err(OpeningError::Contradiction));
    // A wrong salt.
    let text = opening.encode().unwrap();
    let salt = serde_json::from_str::<serde_json::Value>(&text).unwrap()["salt"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = Opening::parse(&text.replace(&salt, &"0".repeat(64))).unwrap();
    assert_eq!(other.verify(&sealed.leaf), Err(OpeningError::OtherEntry));
    let shown = format!("{opening:?} {:?} {:?}", entry_key(1), text.len());
    assert!(!shown.contains("officer") && !shown.contains("5a5a"), "{shown}");
}

#[test]
fn nothing_is_shown_by_debug() {
    let shown = format!("{:?}", query(1));
    for secret in ["officer-4711", "C-2026-0815", "terrorism"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn retention_follows_profile_and_type() {
    let time: jiff::Timestamp = "2028-02-29T23:30:00Z".parse().unwrap();
    let day = |retention: Retention, kind| retention.erase_after(kind, time).map(|date| date.to_string());
    let three = Retention::ThreeYears;
    assert_eq!(
        day(Retention::OneYear, EntryType::SignIn).as_deref(),
        Some("2029-03-01")
    );
    assert_eq!(day(three, EntryType::Erasure), None);
    assert_eq!(day(three, EntryType::AgreementChanged), None);
    assert_eq!(day(three, EntryType::RegistryChanged), None);
    let end: jiff::Timestamp = "9998-02-01T00:00:00Z".parse().unwrap();
    let last = three.erase_after(EntryType::Query, end).unwrap();
    assert_eq!(last.to_string(), "9999-12-31");
    // What a leaf shows to everybody tells no type of its class from another.
    use EntryType::{
        Decision, DetailRequested, DetailStep, Evaluation, EvaluationOpened, HitStep, Opened, ProofFailed,
        Query, QueryOpened, QuotaRefused, Receipt, Refusal, Release, Reminded, SignIn,
    };
    let exchange = [
        QueryOpened,
        Query,
        EvaluationOpened,
        Evaluation,
        QuotaRefused,
        ProofFailed,
        HitStep,
        DetailRequested,
        DetailStep,
        Reminded,
        Decision,
        Release,
        Receipt,
    ];
    for kind in exchange.into_iter().chain([SignIn, Refusal, Opened]) {
        assert_eq!(day(three, kind).as_deref(), Some("2031-03-01"), "{kind:?}");
    }

    let leaf = &leaves(0..1)[0];
    assert!(!is_due(
        &leaf.class,
        leaf.erase_after,
        "2029-11-21T23:59:59Z".parse().unwrap()
    ));
    assert!(is_due(
        &leaf.class,
        leaf.erase_after,
        "2029-11-22T00:00:00Z".parse().unwrap()
    ));
}

#[test]
fn ranges_fill_leaf_after_leaf() {
    let mut indices = (0..10_000).map(|n| n * 2).peekable();
    let mut total = 0;
    let mut leaves = 0;
    while let Some(ranges) = Ranges::take(&mut indices) {
        total += ranges.count();
        leaves += 1;
        let erasure = Erasure {
            by: Actor::Node,
            erased: ranges,
            order: None,
        };
        assert!(
            seal(1, &Entry::new(at(1), erasure))
                .leaf
                .encode(u64::MAX >> 2)
                .len()
                <= MAX_ENTRY_BYTES
        );
    }
    assert_eq!((total, leaves), (10_000, 7));
    assert_eq!(Ranges::take(&mut [3, 3].into_iter().peekable()), None);
    assert_eq!(Ranges::take(&mut std::iter::empty().peekable()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any bytes: read or refused; what is read is written alike.
    #[test]
    fn hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>(), flip in any::<u8>()) {
        let leaf = leaves(1..2)[0].encode(3);
        let line = query(1).encode().unwrap().into_bytes();
        let request = b"old 3\n\nlog\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\xe2\x80\x94 a AAAAAAA=\n".to_vec();
        for mut bytes in [bytes, leaf, line, request] {
            if !bytes.is_empty() {
                let place = cut.index(bytes.len());
                bytes[place] = flip;
            }
            if let Some((n, leaf)) = Leaf::parse(&bytes) {
                prop_assert_eq!(leaf.encode(n), bytes.clone());
            }
            if let Ok(request) = AddCheckpoint::parse(&bytes) {
                prop_assert_eq!(request.to_string().into_bytes(), bytes.clone());
                let _ = request.judge(&key().verifier(), None);
            }
            if let Some(entries) = decode_bundle(&bytes) {
                prop_assert_eq!(encode_bundle(&entries).unwrap(), bytes.clone());
            }
            let _ = (Bundle::parse(&bytes).is_ok(), decode_hashes(&bytes), Misbehaviour::check(&bytes, &key().verifier()).is_ok());
            if let Ok(text) = std::str::from_utf8(&bytes) {
                if let Some(entry) = Entry::parse(text) {
                    prop_assert_eq!(entry.encode().unwrap(), text);
                }
                if let Some(checkpoint) = Checkpoint::parse(text) {
                    prop_assert_eq!(checkpoint.to_string(), text);
                }
                if let Some(path) = TilePath::parse(text) {
                    prop_assert_eq!(path.to_string(), text);
                }
                let _ = (Leaf::parse_draft(text), Opening::parse(text), SignedCheckpoint::open(&bytes, &key().verifier()).is_ok());
            }
        }
    }
}
