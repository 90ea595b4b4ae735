//! What holds for every subject: nothing panics, nothing is lost silently, nothing leaks, and spelling that does not
//! matter does not matter.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and say aloud what they skip"
)]

use std::collections::BTreeSet;

use concordat_identifiers::{
    BirthDate, Derived, Document, DocumentClass, Grade, Identifier, Kind, MAX_IDENTIFIERS, Name, NameRank,
    NameText, Other, PROFILE, REJECTION_RULES, Rule, Subject, derive, profile_fingerprint,
};
use jiff::civil::{Date, date};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

const TODAY: Date = date(2026, 1, 1);
const BIRTH: BirthDate = BirthDate::Day {
    year: 1974,
    month: 8,
    day: 12,
};

#[test]
fn names_and_ids_lead_back() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_id(kind.id()), Some(kind));
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    for grade in Grade::ALL {
        assert_eq!(grade.to_string().parse(), Ok(grade));
        assert_eq!(serde_json::to_value(grade).unwrap(), grade.name());
    }
    for rule in Rule::ALL {
        assert_eq!(Rule::from_id(rule.id()), Some(rule));
    }
    assert!("person/1".parse::<Kind>().is_err() && Kind::from_id(0).is_none() && Rule::from_id("").is_none());
    assert_eq!(
        Rule::ALL.map(Rule::id).into_iter().collect::<BTreeSet<_>>().len(),
        Rule::ALL.len()
    );
    assert!(Grade::Exact < Grade::Strong && Grade::Strong < Grade::Candidate);
}

#[test]
fn the_oprf_input_is_the_framed_profile_rule_and_canonical_form() {
    let identifier = Identifier::from_parts(Rule::DocumentNumber, false, b"L898902C3".to_vec());
    let expected = b"\x00\x10concordat-norm-1\x00\x0adocument/1\x00\x09L898902C3";
    assert_eq!(*identifier.oprf_input(), expected);
    // Whether it is a variant is the owner's business and not part of what is matched.
    assert_eq!(
        Identifier::from_parts(Rule::DocumentNumber, true, b"L898902C3".to_vec()).oprf_input(),
        identifier.oprf_input()
    );
    assert_eq!(format!("{identifier:?}"), "Identifier(document/1, redacted)");
}

/// The fingerprint is frozen with the profile: another value needs another [`PROFILE`], or nodes of this version and the
/// last one refuse each other.
#[test]
fn the_profile_is_frozen() {
    assert_eq!(
        (PROFILE, hex::encode(profile_fingerprint()).as_str()),
        (
            "concordat-norm-1",
            "8bf0af938c1e94aa3028397ac2ed05ff8f477d5cfeae188dbacba5c812918184"
        )
    );
}

#[test]
fn a_subject_of_any_size_is_bounded() {
    let name = |i: usize| whole(&format!("Müñör{i} Đəå Example"));
    let subject = Subject {
        names: (0..600).map(name).collect(),
        births: (0..40)
            .map(|i| BirthDate::Day {
                year: 1950 + i,
                month: 1,
                day: 1,
            })
            .collect(),
        ..Subject::default()
    };
    let derived = derive(&subject, TODAY);
    assert_eq!(derived.identifiers.len(), MAX_IDENTIFIERS);
    assert!(
        derived.identifiers.iter().all(|i| !i.is_variant()),
        "base forms are kept first"
    );
    let rules: BTreeSet<_> = derived
        .rejections
        .iter()
        .map(|r| (r.field.as_str(), r.rule))
        .collect();
    assert!(
        rules.contains(&("names[500..600]", "SUB-002")) && rules.contains(&("", "SUB-001")),
        "{rules:?}"
    );
}

#[test]
fn rejections_are_serialised_for_a_report() {
    let derived = derive(
        &Subject {
            documents: vec![document("123", None)],
            ..Subject::default()
        },
        TODAY,
    );
    let json = serde_json::to_value(&derived.rejections).unwrap();
    assert_eq!(json[0]["field"], "documents[0].number");
    assert_eq!(json[0]["rule"], "DOC-001");
    assert_eq!(json[0]["severity"], "reject");
    assert!(json[0]["reason"].as_str().unwrap().contains("at least 5"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_subject_gives_sound_identifiers(subject in subject()) {
        let derived = derive(&subject, TODAY);
        prop_assert_eq!(&derive(&subject, TODAY), &derived);
        prop_assert!(derived.identifiers.is_sorted());
        let keys: BTreeSet<_> = derived.identifiers.iter().map(|i| i.oprf_input().to_vec()).collect();
        prop_assert_eq!(keys.len(), derived.identifiers.len());
        for identifier in &derived.identifiers {
            let canonical = std::str::from_utf8(identifier.canonical()).unwrap();
            prop_assert!(!canonical.is_empty() && canonical.len() < 2_048);
            prop_assert!(identifier.rule() == Rule::Email || canonical.is_ascii());
            prop_assert!(canonical.split(['|', '@']).all(|part| !part.is_empty()));
            prop_assert!(!canonical.chars().any(char::is_control));
        }
        for rejection in &derived.rejections {
            prop_assert!(REJECTION_RULES.iter().any(|rule| rule.id == rejection.rule && rejection.reason.starts_with(rule.reason)));
        }
    }

    /// Each item alone (a name with all dates, a date with all names) makes an identifier or is named in a rejection.
    #[test]
    fn nothing_is_dropped_silently(subject in subject()) {
        let derived = derive(&subject, TODAY);
        let Subject { names, births, documents, others } = &subject;
        let alone = |field: String, part: Subject| is_rejected(&derived, &field) || !derive(&part, TODAY).identifiers.is_empty();
        for (i, name) in names.iter().enumerate() {
            let used = alone(format!("names[{i}]"), Subject { names: vec![name.clone()], births: births.clone(), ..Subject::default() });
            prop_assert!(used, "names");
        }
        for (i, birth) in births.iter().enumerate() {
            let used = alone(format!("births[{i}]"), Subject { names: names.clone(), births: vec![*birth], ..Subject::default() });
            prop_assert!(used, "births");
        }
        for (i, document) in documents.iter().enumerate() {
            let used = alone(format!("documents[{i}]"), Subject { documents: vec![document.clone()], ..Subject::default() });
            prop_assert!(used, "documents");
        }
        for (i, other) in others.iter().enumerate() {
            let used = alone(format!("others[{i}]"), Subject { others: vec![other.clone()], ..Subject::default() });
            prop_assert!(used, "others");
        }
        prop_assert!(!derived.identifiers.is_empty() || !derived.rejections.is_empty());
    }

    /// What is refused is not repeated: not in a rejection, not in any `Debug`.
    #[test]
    fn no_text_of_the_subject_is_ever_shown(secret in "[BCDFGHJKLMNPQRSTVWXZ]{4}[0-9]{3}", around in text(), which in 0..4usize) {
        let text = match which {
            0 => secret.clone(),
            1 => format!("{around}{secret}"),
            2 => format!("{secret}{around}"),
            _ => format!("{secret} {secret}{secret}"),
        };
        let subject = Subject {
            names: vec![whole(&text), parts(&text, &text)],
            births: vec![BIRTH],
            documents: vec![document(&text, Some(&text)), document("12345", Some(&text))],
            others: others_of(&text),
        };
        let derived = derive(&subject, TODAY);
        let report = serde_json::to_string(&derived.rejections).unwrap();
        for shown in [report, format!("{derived:?}"), format!("{subject:?} {:?} {:?}", subject.documents, subject.others)] {
            prop_assert!(!shown.to_uppercase().contains(&secret), "{}", shown);
        }
    }

    #[test]
    fn the_order_of_tokens_does_not_matter(tokens in vec(word(), 2..6).prop_flat_map(|t| (Just(t.clone()), Just(t).prop_shuffle()))) {
        let (tokens, shuffled) = tokens;
        let keys = |tokens: &[String]| person_keys(&whole(&tokens.join(" ")), &[Rule::N2, Rule::N3, Rule::N6]);
        prop_assert_eq!(keys(&tokens), keys(&shuffled));
    }

    #[test]
    fn a_canonical_name_is_its_own_canonical_form(name in text()) {
        for key in person_keys(&whole(&name), &[Rule::N2]) {
            let (tokens, _) = key.split_once('|').unwrap();
            prop_assert_eq!(person_keys(&whole(tokens), &[Rule::N2]), BTreeSet::from([key.clone()]));
        }
        for key in person_keys(&parts(&name, "Anna"), &[Rule::N1]) {
            let (zone, _) = key.split_once('|').unwrap();
            prop_assert_eq!(person_keys(&whole(zone), &[Rule::N1]), BTreeSet::from([key.clone()]));
        }
    }

    #[test]
    fn a_canonical_number_is_its_own_canonical_form(number in "[-A-Za-z0-9 <./\u{410}\u{412}]{3,30}") {
        let keys = |number: &str| {
            let derived = derive(&Subject { documents: vec![document(number, Some("FRA"))], ..Subject::default() }, TODAY);
            derived.identifiers.iter().map(|i| String::from_utf8(i.canonical().to_vec()).unwrap()).collect::<Vec<_>>()
        };
        let first = keys(&number);
        if let Some(canonical) = first.iter().find(|key| !key.contains('|') && first[0].starts_with(key.as_str())) {
            prop_assert_eq!(&keys(canonical), &first);
        }
    }

    /// Case, composition, apostrophes, direction marks and runs of punctuation make no other name.
    #[test]
    fn spelling_that_does_not_matter_does_not_matter(tokens in vec(word(), 2..5), how in vec(0..6usize, 2..5)) {
        let plain = tokens.join(" ");
        let mut other = String::new();
        for (token, how) in tokens.iter().zip(how.iter().cycle()) {
            let respelled: String = match how {
                0 => token.to_uppercase(),
                1 => token.nfd().collect(),
                2 => token.nfkd().collect(),
                3 => token.chars().flat_map(|c| [c, '\u{200D}']).collect(),
                4 => format!("{token}\u{2019}"),
                _ => format!("\u{200F}{token}"),
            };
            other.push_str(&respelled);
            other.push_str([" ", " - ", "/", ", ", ".", "\u{A0}"][*how]);
        }
        let keys = |name: &str| person_keys(&whole(name), &[Rule::N2, Rule::N6]);
        prop_assert_eq!(keys(&plain), keys(&other));
    }

    /// Two names that plain Unicode folding takes for one are one here too: the tables add hits and lose none.
    #[test]
    fn no_pair_of_plain_folding_is_lost(a in text(), b in text(), same in any::<bool>()) {
        let b = if same { a.to_uppercase().nfd().collect::<String>() } else { b };
        let (folded_a, folded_b) = (plainly_folded(&a), plainly_folded(&b));
        if folded_a == folded_b {
            prop_assert_eq!(person_keys(&whole(&a), &[Rule::N2]), person_keys(&whole(&b), &[Rule::N2]));
        }
    }

    /// The one check digit law all single-error codes share: of the ten last digits exactly one is good.
    #[test]
    fn exactly_one_check_digit_is_good(body in "[1-9][0-9]{8}") {
        let good = |country: &str, number: String| {
            let other = Other::NationalId { number, country: Some(country.to_owned()) };
            usize::from(derive(&Subject { others: vec![other], ..Subject::default() }, TODAY).rejections.is_empty())
        };
        for (country, head) in [("ISR", &body[..8]), ("SWE", &body[..]), ("HRV", &format!("{body}1")[..]), ("IND", &format!("2{body}1")[..])] {
            let all: usize = (0..10).map(|digit| good(country, format!("{head}{digit}"))).sum();
            prop_assert_eq!(all, 1, "{}", country);
        }
    }
}

fn subject() -> impl Strategy<Value = Subject> {
    let name = prop_oneof![
        text().prop_map(|t| whole(&t)),
        (text(), text()).prop_map(|(p, s)| parts(&p, &s))
    ];
    let document =
        (number(), option::of(country())).prop_map(|(number, issuer)| document(&number, issuer.as_deref()));
    (
        vec(name, 0..4),
        vec(birth(), 0..4),
        vec(document, 0..3),
        vec(other(), 0..4),
    )
        .prop_map(|(names, births, documents, others)| Subject {
            names,
            births,
            documents,
            others,
        })
}

/// Arbitrary text, names of several scripts, and the oddities that break normalisers.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        vec(word(), 1..5).prop_map(|words| words.join(" ")),
        vec(
            prop_oneof![any::<char>(), prop::sample::select(ODD.to_vec())],
            0..12
        )
        .prop_map(|c| c.into_iter().collect()),
    ]
}

const ODD: [char; 24] = [
    'ß',
    'ı',
    'İ',
    'ŉ',
    'ǰ',
    'ﬁ',
    'ﷺ',
    'Ŀ',
    '\u{0301}',
    '\u{0651}',
    '\u{0345}',
    '\u{200C}',
    '\u{200D}',
    '\u{202E}',
    '\0',
    'ϒ',
    'ώ',
    'й',
    'ة',
    '각',
    '\u{1100}',
    '毛',
    '😀',
    '\u{E0100}',
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z]{1,10}",
        "[A-Za-zÀ-ÖØ-öø-ž]{1,8}",
        "[Ѐ-џ]{1,8}",
        "[Α-Ωα-ωά]{1,8}",
        "[ء-غف-يپچژکگی]{1,8}",
        "[一-鿿]{2,3}",
        "[가-힣]{2,3}",
        "[ა-ჰ]{2,6}",
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![text(), "[-A-Z0-9 /<]{3,26}", "[0-9]{5,12}"]
}

fn country() -> impl Strategy<Value = String> {
    let known = [
        "D", "FRA", "ES", "Iran", "Russian", "UTO", "Sweden", "Brazil", "IT", "China", "", "Atlantis",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        text()
    ]
}

fn birth() -> impl Strategy<Value = BirthDate> {
    let year = prop_oneof![any::<i16>(), 1840..2040i16];
    (year, 0..15u8, 0..35u8, -2..20i16, 0..4usize).prop_map(|(year, month, day, span, which)| match which {
        0 => BirthDate::Day { year, month, day },
        1 => BirthDate::Month { year, month },
        2 => BirthDate::Year { year },
        _ => BirthDate::Years {
            from: year,
            to: year.saturating_add(span),
        },
    })
}

fn other() -> impl Strategy<Value = Other> {
    prop_oneof![
        (number(), option::of(country())).prop_map(|(number, country)| Other::NationalId { number, country }),
        (country(), number()).prop_map(|(system, number)| Other::BiometricReference {
            system: format!("{system}:AFIS"),
            number
        }),
        (
            prop::sample::select(vec!["SHA-256", "SHA-1", ""]),
            "[0-9a-f]{64}|[0-9a-f]{0,9}"
        )
            .prop_map(|(algorithm, hex)| Other::BiometricRecordDigest {
                algorithm: algorithm.to_owned(),
                hex
            }),
        prop_oneof![text(), "\\+[0-9 ]{6,18}"].prop_map(Other::Phone),
        prop_oneof![text(), "[a-zé.+]{1,9}@[a-zü.-]{1,9}\\.[a-z]{2,4}"].prop_map(Other::Email),
        number().prop_map(Other::Iban),
        (country(), number()).prop_map(|(country, plate)| Other::VehiclePlate { country, plate }),
        prop_oneof![text(), "[A-HJ-NPR-Z0-9]{17}"].prop_map(Other::Vin),
    ]
}

fn others_of(text: &str) -> Vec<Other> {
    let t = || text.to_owned();
    vec![
        Other::NationalId {
            number: t(),
            country: Some("Kenya".into()),
        },
        Other::NationalId {
            number: "12345".into(),
            country: Some(t()),
        },
        Other::BiometricReference {
            system: t(),
            number: "12345".into(),
        },
        Other::BiometricReference {
            system: "SIS".into(),
            number: t(),
        },
        Other::BiometricRecordDigest {
            algorithm: t(),
            hex: t(),
        },
        Other::BiometricRecordDigest {
            algorithm: "SHA-256".into(),
            hex: t(),
        },
        Other::Phone(t()),
        Other::Phone(format!("+44{text}")),
        Other::Email(t()),
        Other::Email(format!("{text}@{text}.example")),
        Other::Iban(t()),
        Other::Iban(format!("DE89{text}")),
        Other::VehiclePlate {
            country: "FRA".into(),
            plate: t(),
        },
        Other::VehiclePlate {
            country: t(),
            plate: "AB123CD".into(),
        },
        Other::Vin(t()),
    ]
}

fn whole(text: &str) -> Name {
    Name {
        rank: NameRank::Primary,
        text: NameText::Whole(text.to_owned()),
    }
}

fn parts(primary: &str, secondary: &str) -> Name {
    let text = NameText::Parts {
        primary: primary.to_owned(),
        secondary: secondary.to_owned(),
    };
    Name {
        rank: NameRank::Primary,
        text,
    }
}

fn document(number: &str, issuer: Option<&str>) -> Document {
    Document {
        class: DocumentClass::Passport,
        number: number.to_owned(),
        issuer: issuer.map(str::to_owned),
    }
}

/// The base forms that one name makes under some rules.
fn person_keys(name: &Name, rules: &[Rule]) -> BTreeSet<String> {
    let subject = Subject {
        names: vec![name.clone()],
        births: vec![BIRTH],
        ..Subject::default()
    };
    let identifiers = derive(&subject, TODAY).identifiers;
    let base = identifiers
        .iter()
        .filter(|i| !i.is_variant() && rules.contains(&i.rule()));
    base.map(|i| String::from_utf8(i.canonical().to_vec()).unwrap())
        .collect()
}

fn is_rejected(derived: &Derived, field: &str) -> bool {
    let of_all = field.split('[').next().unwrap();
    derived
        .rejections
        .iter()
        .any(|r| r.field == of_all || r.field == field || r.field.starts_with(&format!("{field}.")))
}

/// NFKD, combining marks and apostrophes dropped, upper case, anything else than letters and digits a space, sorted;
/// written here independently of the crate. Joiners and direction marks count as marks.
fn plainly_folded(name: &str) -> Vec<String> {
    let ignorable = |c: char| matches!(c, '\u{200B}' | '\u{200D}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{AD}' | '\u{FEFF}');
    let upper: String = name
        .nfkd()
        .filter(|&c| canonical_combining_class(c) == 0 && !ignorable(c))
        .flat_map(char::to_uppercase)
        .collect();
    let upper: String = upper.chars().filter(|c| !"'’‘`ʻʼ".contains(*c)).collect();
    let mut tokens: Vec<String> = upper
        .split(|c: char| !c.is_alphanumeric())
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect();
    tokens.sort();
    tokens
}
