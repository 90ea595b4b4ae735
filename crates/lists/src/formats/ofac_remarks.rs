//! The remarks column of the OFAC files: `DOB 19 Jun 1951; POB Testville; nationality Testland; Gender Male;
//! Passport T1084 (Testland) issued 18 Jan 1984; National ID No. 44 (Testland); a.k.a. 'X'; Linked To: Y.`

use concordat_identifiers::{Document, DocumentClass, NameRank, Other};

use crate::Rule;
use crate::dates;
use crate::documents::{Sort, scan};
use crate::draft::Draft;

const FIELD: &str = "remarks";

/// Reads all parts of a remarks column into the draft.
pub(super) fn read(remarks: &str, draft: &mut Draft) {
    for part in remarks.trim().trim_end_matches('.').split(';') {
        let part = part.trim().trim_end_matches('.');
        let lower = part.get(..5).map(str::to_ascii_lowercase);
        let part = if lower.as_deref() == Some("alt. ") {
            part[5..].trim()
        } else {
            part
        };
        if !part.is_empty() {
            read_part(part, draft);
        }
    }
}

fn read_part(part: &str, draft: &mut Draft) {
    for (label, name) in PUBLISHED {
        if let Some(text) = part.strip_prefix(label) {
            draft.published.add(*name, text);
            return;
        }
    }
    if let Some(text) = part.strip_prefix("DOB ") {
        draft.published.add("date_of_birth", text);
        draft.birth(FIELD, dates::birth(text));
    } else if let Some(alias) = ["a.k.a. ", "f.k.a. ", "n.k.a. "]
        .iter()
        .find_map(|label| part.strip_prefix(label))
    {
        draft.name(NameRank::WeakAlias, unquoted(alias));
    } else if let Some(number) = part.strip_prefix("Phone Number ") {
        // Published as country code and number without a plus.
        draft.other(Other::Phone(format!(
            "+{}",
            number.trim().trim_start_matches('+')
        )));
    } else if let Some(address) = ["Email Address ", "Email:"]
        .iter()
        .find_map(|label| part.strip_prefix(label))
    {
        draft.other(Other::Email(address.trim().to_owned()));
    } else if let Some((country, text)) = national_id(part) {
        let (number, printed) = numbered(text);
        let country = printed.or(country).map(str::to_owned);
        if !number.bytes().any(|byte| byte.is_ascii_digit()) {
            draft.reject(FIELD, Rule::DocumentNumber);
        } else {
            draft.other(Other::NationalId {
                number: number.to_owned(),
                country,
            });
        }
    } else if let Some((_, class)) = DOCUMENTS
        .iter()
        .find(|(word, _)| part.to_ascii_lowercase().contains(word))
    {
        documents(part, *class, draft);
    } else {
        if part.contains("DOB") {
            draft.reject(FIELD, Rule::Unread);
        }
        let other = OTHER_NUMBERS.iter().any(|label| part.starts_with(label));
        draft
            .published
            .add(if other { "other_number" } else { "remarks" }, part);
    }
}

fn documents(part: &str, class: DocumentClass, draft: &mut Draft) {
    let mut found = scan(part, Sort::Travel(class));
    if found.is_empty() {
        draft.reject(FIELD, Rule::DocumentNumber);
        draft.published.add("remarks", part);
    }
    if let ([only], (_, Some(country))) = (found.as_mut_slice(), numbered(part)) {
        only.issuer = Some(country.to_owned());
    }
    for found in found {
        match found.sort {
            Sort::Travel(class) => {
                draft.document(Document {
                    class,
                    number: found.number,
                    issuer: found.issuer,
                });
            }
            Sort::NationalId => draft.other(Other::NationalId {
                number: found.number,
                country: found.issuer,
            }),
        }
    }
}

/// Labels of texts that are published and not matched, with the name they get.
const PUBLISHED: &[(&str, &str)] = &[
    ("POB ", "place_of_birth"),
    ("nationality ", "nationality"),
    ("citizen ", "citizenship"),
    ("Gender ", "gender"),
    ("Linked To: ", "linked_to"),
];

/// Words of travel documents. A part that has one and no number is reported.
const DOCUMENTS: &[(&str, DocumentClass)] = &[
    ("passport", DocumentClass::Passport),
    ("visa", DocumentClass::Visa),
    ("travel document", DocumentClass::Other),
    ("seafarer's identification", DocumentClass::Other),
    ("refugee id card", DocumentClass::Other),
    ("stateless person id card", DocumentClass::Other),
];

/// Labels of national identification numbers, and the country that a label names by itself.
const NATIONAL_IDS: &[(&str, Option<&str>)] = &[
    ("National ID No.", None),
    ("Cedula No.", None),
    ("Cedula de Ciudadania No.", None),
    ("C.U.R.P.", None),
    ("Identification Number", None),
    ("D.N.I.", None),
    ("Personal ID Card", None),
    ("SSN", None),
    ("C.U.I.P.", None),
    ("C.U.I.", None),
    ("LE Number", None),
    ("Citizen's Card Number", None),
    ("Numero de Identidad", None),
    ("National Foreign ID Number", None),
    ("Residency Number", None),
    ("N.I.E.", None),
    ("Tazkira National ID Card", None),
    ("CNP (Personal Numerical Code)", None),
    ("Turkish Identification Number", Some("Turkey")),
    ("UAE Identification", Some("United Arab Emirates")),
    ("Italian Fiscal Code", Some("Italy")),
    ("Kenyan ID No.", Some("Kenya")),
    ("Moroccan Personal ID No.", Some("Morocco")),
    ("Bosnian Personal ID No.", Some("Bosnia and Herzegovina")),
];

/// Numbers of other registers: published, not matched.
const OTHER_NUMBERS: &[&str] = &[
    "R.F.C.",
    "RFC",
    "NIT #",
    "Tax ID No.",
    "RUC #",
    "C.U.I.T.",
    "RTN",
    "Electoral Registry No.",
    "Credencial electoral",
    "I.F.E.",
    "Driver's License No.",
    "Cartilla de Servicio Militar Nacional",
    "Matricula Mercantil No",
    "Birth Certificate Number",
    "Registration ID",
    "Registration Number",
    "Digital Currency Address",
    "Chinese Commercial Code",
    "Immigration No.",
    "Pilot License Number",
    "Serial No.",
];

fn national_id(part: &str) -> Option<(Option<&'static str>, &str)> {
    NATIONAL_IDS.iter().find_map(|(label, country)| {
        let rest = part.strip_prefix(label)?;
        // `SSN`, not `SSNX`.
        (!rest.starts_with(|next: char| next.is_alphanumeric())).then_some((*country, rest))
    })
}

/// `44-55 (Testland) issued 1968` → number and country.
fn numbered(text: &str) -> (&str, Option<&str>) {
    let cut = [" issued ", " expires ", " Issued ", " Expires "]
        .iter()
        .filter_map(|word| text.find(word))
        .min();
    let text = text[..cut.unwrap_or(text.len())]
        .trim()
        .trim_start_matches(['#', ':'])
        .trim();
    match text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once('('))
        .filter(|(number, _)| !number.ends_with(|last: char| last.is_ascii_digit()))
    {
        Some((number, country)) => (number.trim(), Some(country.trim())),
        None => (text, None),
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use crate::draft::Queue;
    use concordat_identifiers::{BirthDate, Name, NameText, Subject};

    fn remarks(text: &str) -> (Subject, Vec<Rule>) {
        let mut draft = Draft::new("sdn.csv".into(), 1);
        draft.name(NameRank::Primary, "TESTA, Pat");
        read(text, &mut draft);
        let mut queue = Queue::default();
        draft.finish("1", &mut queue);
        let mut subject = Subject::default();
        let mut rules = Vec::new();
        for item in queue.items {
            match item {
                Item::Entry(entry) => subject = entry.subject,
                Item::Reject(reject) => rules.push(reject.rule),
            }
        }
        (subject, rules)
    }

    fn passport(number: &str, issuer: &str) -> Document {
        let issuer = (!issuer.is_empty()).then(|| issuer.to_owned());
        Document {
            class: DocumentClass::Passport,
            number: number.to_owned(),
            issuer,
        }
    }

    #[test]
    fn everything_that_identifies() {
        let (subject, rules) = remarks(
            "DOB 19 Jun 1951; alt. DOB circa 1953; POB Testville, Testland; nationality Testland; Gender Male; \
             Passport T1084999 (Testland) issued 18 Jan 1984 expires 17 Jan 1989; alt. Passport RL 1794999; \
             National ID No. 770000 73999 (Belgium); Kenyan ID No. 12773999; SSN 523-33-9999 (United States); \
             Email Address pat@example.org; Phone Number 9647899999999; R.F.C. TEST-600101 (Mexico); \
             a.k.a. 'TESTA, Old Pat'; a.k.a. 'THE TESTER'; Linked To: TEST GROUP.",
        );
        assert_eq!(rules, []);
        assert_eq!(
            subject.births,
            [
                BirthDate::Day {
                    year: 1951,
                    month: 6,
                    day: 19
                },
                BirthDate::Year { year: 1953 }
            ]
        );
        assert_eq!(
            subject.documents,
            [passport("T1084999", "Testland"), passport("RL 1794999", "")]
        );
        let id = |number: &str, country: &str| Other::NationalId {
            number: number.to_owned(),
            country: Some(country.to_owned()),
        };
        assert_eq!(
            subject.others,
            [
                id("770000 73999", "Belgium"),
                id("12773999", "Kenya"),
                id("523-33-9999", "United States"),
                Other::Email("pat@example.org".into()),
                Other::Phone("+9647899999999".into()),
            ]
        );
        let weak = |text| Name {
            rank: NameRank::WeakAlias,
            text,
        };
        assert_eq!(
            subject.names[1..],
            [
                weak(NameText::Parts {
                    primary: "TESTA".into(),
                    secondary: "Old Pat".into()
                }),
                weak(NameText::Whole("THE TESTER".into())),
            ]
        );
    }

    #[test]
    fn documents_in_all_their_dress() {
        for (text, expected) in [
            (
                "Passport Booklet: A5199999 (Pakistan)",
                passport("A5199999", "Pakistan"),
            ),
            (
                "Passport Booklet A5250999 (Pakistan)",
                passport("A5250999", "Pakistan"),
            ),
            (
                "Passport D000000999, Diplomatic (Syria)",
                passport("D000000999", "Syria"),
            ),
            (
                "Diplomatic Passport A0002999 (Iran) issued 1999",
                passport("A0002999", "Iran"),
            ),
            ("Passport #H0044999 (Iraq)", passport("H0044999", "Iraq")),
            ("Passport AF465999 Colombia", passport("AF465999", "Colombia")),
            (
                "Passport No.: 0310999, Eritrea, Issue Date 21 August 2006",
                passport("0310999", "Eritrea"),
            ),
            (
                "British National Overseas Passport 750200999 (United Kingdom)",
                passport("750200999", "United Kingdom"),
            ),
            (
                "Passport NO12345/199 issued Jul 1997",
                passport("NO12345/199", ""),
            ),
            (
                "Passport 72 9279999 (Russia) issued 27 Aug 2014 expires 27 Aug 2024",
                passport("72 9279999", "Russia"),
            ),
        ] {
            let (subject, rules) = remarks(text);
            assert_eq!((subject.documents, rules), (vec![expected], vec![]), "{text}");
        }
        let (subject, _) =
            remarks("Travel Document Number A0020999 (Germany); VisaNumberID 2024999 (Mexico)");
        let classes: Vec<_> = subject.documents.iter().map(|document| document.class).collect();
        assert_eq!(classes, [DocumentClass::Other, DocumentClass::Visa]);
    }

    #[test]
    fn what_cannot_be_read_is_reported() {
        for (text, rule) in [
            ("Passport issued in Testville, Testland", Rule::DocumentNumber),
            ("Holder of a Testlandian passport", Rule::DocumentNumber),
            ("National ID No.  (Testland)", Rule::DocumentNumber),
            ("DOB sometime in spring", Rule::BirthDate),
            ("DOB 24/06/1402", Rule::Calendar),
            ("(Data from another list: Alt. DOB: 10 October 1969", Rule::Unread),
        ] {
            assert_eq!(remarks(text).1, [rule], "{text}");
        }
    }
}
