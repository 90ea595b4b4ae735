//! Texts in the forms that lists publish, with numbers that nobody has.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

use super::*;

const PASSPORT: Sort = Sort::Travel(DocumentClass::Passport);

fn numbers(text: &str) -> Vec<String> {
    scan(text, PASSPORT)
        .into_iter()
        .map(|found| found.number)
        .collect()
}

fn with_issuers(text: &str) -> Vec<(String, Option<String>)> {
    scan(text, PASSPORT)
        .into_iter()
        .map(|found| (found.number, found.issuer))
        .collect()
}

fn pair(number: &str, issuer: &str) -> (String, Option<String>) {
    (number.to_owned(), (!issuer.is_empty()).then(|| issuer.to_owned()))
}

#[test]
fn forms_that_are_published() {
    for (text, expected) in [
        ("Z123456", vec![pair("Z123456", "")]),
        (
            "Passport No: 592999 (Testlandian passport issued on 3 May 2007).",
            vec![pair("592999", "Testlandian")],
        ),
        (
            "Testland number G555170 issued on 16 Nov 1989.",
            vec![pair("G555170", "Testland")],
        ),
        ("2255999 (Syria)", vec![pair("2255999", "Syria")]),
        (
            "0018999/104 (issued on 12 Sept 1993)",
            vec![pair("0018999/104", "")],
        ),
        ("284999, expires 21 Aug 2005 (Iraq)", vec![pair("284999", "Iraq")]),
        (
            "D 000999 (Afghan) Issued in Kabul on 13 Sep 1998",
            vec![pair("D 000999", "Afghan")],
        ),
        (
            "96 03 464999, Russian passport, issued on 01/06/2003",
            vec![pair("96 03 464999", "Russian")],
        ),
        (
            "Russian Passport number 8299 No. 555999",
            vec![pair("8299 555999", "Russian")],
        ),
        (
            "TR-P 614 999 (Turkish). Issued by the Consulate on 22 Mar 2006",
            vec![pair("TR-P 614 999", "Turkish")],
        ),
        (
            "British passport no.205939999 (issued 21.07.2004 expired 21.04.2015)",
            vec![pair("205939999", "British")],
        ),
        ("LIBYAN PASSPORT No.B/001999", vec![pair("B/001999", "LIBYAN")]),
        (
            "German travel document (“Reiseausweis”) A 0139999",
            vec![pair("A 0139999", "German")],
        ),
        ("403062999 (US)", vec![pair("403062999", "US")]),
        (
            "D000000999, Diplomatic (Syria)",
            vec![pair("D000000999", "Syria")],
        ),
        (
            "CV9157999(Pakistan) Issued 8.9.2008, expires on 7.9.2013",
            vec![pair("CV9157999", "Pakistan")],
        ),
        ("Passport no x599999 issued in 2016", vec![pair("x599999", "")]),
        (
            "C234999(0) (United Kingdom)",
            vec![pair("C234999(0)", "United Kingdom")],
        ),
        ("12/OUKAMA(N)006999", vec![pair("12/OUKAMA(N)006999", "")]),
        ("R00005999, South Sudan", vec![pair("R00005999", "South Sudan")]),
        (
            "Republic of Testland and Tobago number TA959999, issued 2013",
            vec![pair("TA959999", "Republic of Testland and Tobago")],
        ),
    ] {
        assert_eq!(with_issuers(text), expected, "{text}");
    }
}

#[test]
fn several_numbers_in_one_text() {
    for (text, expected) in [
        (
            "(1) Provisional 28642999 (German) issued by the city of Hamburg (2) 954999 (Moroccan) issued on 28 June 1995",
            vec![pair("28642999", "German"), pair("954999", "Moroccan")],
        ),
        (
            "Jordanian passport numbers (1) K048999 (2) 486999",
            vec![pair("K048999", "Jordanian"), pair("486999", "Jordanian")],
        ),
        (
            "Kuwaiti passport no. (A)001714999 (B)101505999",
            vec![pair("001714999", "Kuwaiti"), pair("101505999", "Kuwaiti")],
        ),
        (
            "a) Bahraini passport number 2231999 (issued on 2 Jan. 2013) b) Bahraini passport number 1272999(previous, issued on 1 Apr. 2003)",
            vec![pair("2231999", "Bahraini"), pair("1272999", "Bahraini")],
        ),
        (
            "(a) 9003999 issued in Iran/unknown(b) 6620999 issued in Iran/unknown",
            vec![pair("9003999", ""), pair("6620999", "")],
        ),
        (
            "Passport No: 4721202999 (Date of Expiration: 21.2.2017 ),836110999 (diplomatic, expires 1.1.2020",
            vec![pair("4721202999", ""), pair("836110999", "")],
        ),
        (
            "381420999 and 654120999",
            vec![pair("381420999", ""), pair("654120999", "")],
        ),
        (
            "381320999 PS 563410999",
            vec![pair("381320999", ""), pair("PS 563410999", "")],
        ),
        (
            "Passport Number. 290220999. Service passport number: 836220999",
            vec![pair("290220999", ""), pair("836220999", "")],
        ),
        (
            "(1) 6999 (Egypt). Issued 30 Jan 1986. (2) (Egypt). Issued 1993. (3) 388999 (Yemen).",
            vec![pair("6999", "Egypt"), pair("388999", "Yemen")],
        ),
    ] {
        assert_eq!(with_issuers(text), expected, "{text}");
    }
}

#[test]
fn no_number_is_invented() {
    for text in [
        "",
        "Passport issued in Testville, Testland",
        "Holder of a Testlandian passport",
        "Uganda Passport.",
        "2.81083E+11",
        "Issued 30.5.2017, expires 29.5.2027",
        "passport place of issue: Testville",
        "(Reiseausweis)",
        "(((((((((",
        ")))",
    ] {
        assert_eq!(numbers(text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(
        numbers("Passport Number 010312999, issue number 002-15-L093999, date of issue 14 July 2015"),
        ["010312999"]
    );
    assert_eq!(
        numbers("Reference 62. Passport no. 9632999. issued 17/08/2006. expired 17/08/2011"),
        ["9632999"]
    );
}

#[test]
fn the_words_say_what_it_is() {
    let sorts = |text: &str, default| {
        scan(text, default)
            .into_iter()
            .map(|found| found.sort)
            .collect::<Vec<_>>()
    };
    let travel = Sort::Travel;
    assert_eq!(
        sorts(
            "00344999 (Yemeni) (b) 973999 (Yemeni national identification card, issued on 03/07/1996)",
            PASSPORT
        ),
        [PASSPORT, travel(DocumentClass::IdentityCard)]
    );
    assert_eq!(
        sorts(
            "OB0637999 (valid from 20.5.2014) Was granted Schengen visa No 011518999 issued on 2.7.2016",
            PASSPORT
        ),
        [PASSPORT, travel(DocumentClass::Visa)]
    );
    assert_eq!(
        sorts("Laissez-passer no. N°235/TEST", PASSPORT),
        [travel(DocumentClass::Other)]
    );
    assert_eq!(
        sorts(
            "Holder of NIC No 04766999. Holder of French Passport No 11CK51999 expiring on 1.8.2021.",
            PASSPORT
        ),
        [travel(DocumentClass::IdentityCard), PASSPORT]
    );
    assert_eq!(
        sorts(
            "National identification No: 8200203999 (Russian national passport number)",
            Sort::NationalId
        ),
        [PASSPORT]
    );
    assert_eq!(
        sorts("5430312277999 (Pakistan)", Sort::NationalId),
        [Sort::NationalId]
    );
}

#[test]
fn texts_of_any_size_and_nesting_are_safe() {
    for piece in ["(", "a(a", "(1) ", "((1))", "12 "] {
        for times in [100, 1000, 100_000] {
            let text = format!("999 {}", piece.repeat(times));
            let _ = scan(&text, PASSPORT);
            let _ = scan_with_details(&text, &text, PASSPORT);
        }
    }
    assert_eq!(
        numbers(&format!("Z123456 {}", "x".repeat(5000))),
        Vec::<String>::new()
    );
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn any_text_is_read_without_a_panic(text in "[ -~\u{a0}-\u{2ff}№“]{0,80}|[a(1)B. ]{0,40}") {
        for found in scan(&text, PASSPORT) {
            proptest::prop_assert!(found.number.bytes().any(|byte| byte.is_ascii_digit()));
        }
    }
}
