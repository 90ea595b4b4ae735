//! A record, or what was asked about, in lines that a person reads.

use concordat_identifiers::{DocumentClass, NameRank, NameText, Other, Subject};
use concordat_node::desk::records::date;

/// The lines of a subject, each with its label; what cannot be read stays as it was sent.
pub(super) fn lines(json: &str) -> Vec<String> {
    let Ok(subject) = serde_json::from_str::<Subject>(json) else {
        return vec![format!("  {json}")];
    };
    let mut rows: Vec<(&str, String)> = Vec::new();
    for name in &subject.names {
        let label = match name.rank {
            NameRank::Primary => "name",
            _ => "alias",
        };
        let text = match &name.text {
            NameText::Whole(whole) => whole.clone(),
            NameText::Parts { primary, secondary } if secondary.is_empty() => primary.clone(),
            NameText::Parts { primary, secondary } => format!("{primary}, {secondary}"),
        };
        rows.push((label, text));
    }
    rows.extend(subject.births.iter().map(|birth| ("born", date(birth))));
    for document in &subject.documents {
        let label = match document.class {
            DocumentClass::Passport => "passport",
            DocumentClass::IdentityCard => "identity card",
            DocumentClass::Visa => "visa",
            DocumentClass::Other => "document",
        };
        rows.push((label, with(&document.number, document.issuer.as_deref())));
    }
    rows.extend(subject.others.iter().map(other));
    rows.into_iter()
        .map(|(label, text)| format!("  {label:<14} {text}"))
        .collect()
}

fn other(other: &Other) -> (&'static str, String) {
    match other {
        Other::NationalId { number, country } => ("national id", with(number, country.as_deref())),
        Other::BiometricReference { system, number } => ("biometric", with(number, Some(system))),
        Other::BiometricRecordDigest { algorithm, hex } => ("record digest", with(hex, Some(algorithm))),
        Other::Phone(number) => ("phone", number.clone()),
        Other::Email(address) => ("e-mail", address.clone()),
        Other::Iban(number) => ("IBAN", number.clone()),
        Other::VehiclePlate { country, plate } => ("plate", with(plate, Some(country))),
        Other::Vin(number) => ("VIN", number.clone()),
    }
}

fn with(text: &str, of: Option<&str>) -> String {
    match of {
        Some(of) => format!("{text}, {of}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_well() {
        let json = r#"{"names":[{"rank":"primary","text":{"parts":{"primary":"MARKOV","secondary":"IVAN"}}},
            {"rank":"weak_alias","text":{"whole":"Vanya"}}],"births":[{"day":{"year":1975,"month":4,"day":12}}],
            "documents":[{"class":"passport","number":"X1234567","issuer":"NLD"}],"others":[{"phone":"+31612345678"}]}"#;
        assert_eq!(
            lines(json),
            [
                "  name           MARKOV, IVAN",
                "  alias          Vanya",
                "  born           1975-04-12",
                "  passport       X1234567, NLD",
                "  phone          +31612345678"
            ]
        );
        assert_eq!(lines("{}x"), ["  {}x"], "of another version");
    }
}
