//! One person, document or reference from the command line.

use anyhow::Result;
use clap::Args;
use concordat_identifiers::{BirthDate, Document, DocumentClass, Name, NameRank, NameText, Other, Subject};

use crate::exit::Usage;

/// What is known of one subject, as it is written: normalising it is the node's work.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "About whom")]
pub struct SubjectArgs {
    /// A whole name, parts not told apart; the first is the primary one
    #[arg(long, value_name = "TEXT")]
    name: Vec<String>,
    /// Family name (primary identifier), with --given
    #[arg(long, value_name = "TEXT")]
    family: Option<String>,
    /// Given names (secondary identifier)
    #[arg(long, value_name = "TEXT", requires = "family")]
    given: Option<String>,
    /// Date of birth as far as it is known: 1980-02-29, 1980-02, 1980 or 1979..1981
    #[arg(long, value_name = "DATE")]
    born: Vec<String>,
    /// Passport
    #[arg(long, value_name = "NUMBER[:ISSUER]")]
    passport: Vec<String>,
    /// Identity card used to travel
    #[arg(long, value_name = "NUMBER[:ISSUER]")]
    identity_card: Vec<String>,
    /// Visa
    #[arg(long, value_name = "NUMBER[:ISSUER]")]
    visa: Vec<String>,
    /// Any other travel document
    #[arg(long, value_name = "NUMBER[:ISSUER]")]
    document: Vec<String>,
    /// National identification number
    #[arg(long, value_name = "NUMBER[:COUNTRY]")]
    national_id: Vec<String>,
    /// Telephone number in international form
    #[arg(long, value_name = "NUMBER")]
    phone: Vec<String>,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// Bank account
    #[arg(long, value_name = "NUMBER")]
    iban: Vec<String>,
    /// Registration plate
    #[arg(long, value_name = "COUNTRY:PLATE")]
    plate: Vec<String>,
    /// Vehicle identification number
    #[arg(long, value_name = "NUMBER")]
    vin: Vec<String>,
    /// Number in a named fingerprint system, for example EURODAC:NL123
    #[arg(long, value_name = "SYSTEM:NUMBER")]
    biometric: Vec<String>,
    /// Digest of a fingerprint record, for example SHA-256:9f86...
    #[arg(long, value_name = "ALGORITHM:HEX")]
    biometric_digest: Vec<String>,
}

impl SubjectArgs {
    /// The subject, or `None` if no option was given.
    ///
    /// # Errors
    /// A value whose parts cannot be told apart; its option is named, the value is not.
    pub fn subject(&self) -> Result<Option<Subject>> {
        let births = self.born.iter().map(|text| birth(text)).collect::<Result<_>>()?;
        let mut subject = Subject {
            births,
            ..Subject::default()
        };
        if let Some(family) = &self.family {
            let secondary = self.given.clone().unwrap_or_default();
            subject.names.push(name(
                0,
                NameText::Parts {
                    primary: family.clone(),
                    secondary,
                },
            ));
        }
        for whole in &self.name {
            subject
                .names
                .push(name(subject.names.len(), NameText::Whole(whole.clone())));
        }
        let documents = [
            (DocumentClass::Passport, &self.passport),
            (DocumentClass::IdentityCard, &self.identity_card),
            (DocumentClass::Visa, &self.visa),
            (DocumentClass::Other, &self.document),
        ];
        for (class, values) in documents {
            for value in values {
                let (number, issuer) = with_country(value);
                subject.documents.push(Document {
                    class,
                    number,
                    issuer,
                });
            }
        }
        subject.others = self.others()?;
        Ok((subject != Subject::default()).then_some(subject))
    }

    fn others(&self) -> Result<Vec<Other>> {
        let mut others = Vec::new();
        for value in &self.national_id {
            let (number, country) = with_country(value);
            others.push(Other::NationalId { number, country });
        }
        others.extend(self.phone.iter().cloned().map(Other::Phone));
        others.extend(self.email.iter().cloned().map(Other::Email));
        others.extend(self.iban.iter().cloned().map(Other::Iban));
        others.extend(self.vin.iter().cloned().map(Other::Vin));
        for value in &self.plate {
            let (country, plate) = two_parts("--plate", value, str::split_once)?;
            others.push(Other::VehiclePlate { country, plate });
        }
        for value in &self.biometric {
            // A national system's own name holds a colon: DE:BKA-AFIS.
            let (system, number) = two_parts("--biometric", value, str::rsplit_once)?;
            others.push(Other::BiometricReference { system, number });
        }
        for value in &self.biometric_digest {
            let (algorithm, hex) = two_parts("--biometric-digest", value, str::split_once)?;
            others.push(Other::BiometricRecordDigest { algorithm, hex });
        }
        Ok(others)
    }
}

fn name(index: usize, text: NameText) -> Name {
    Name {
        rank: if index == 0 {
            NameRank::Primary
        } else {
            NameRank::Alias
        },
        text,
    }
}

/// `NUMBER:COUNTRY`, or a number alone.
fn with_country(value: &str) -> (String, Option<String>) {
    match value.rsplit_once(':') {
        Some((number, country)) => (number.into(), (!country.is_empty()).then(|| country.into())),
        None => (value.into(), None),
    }
}

fn two_parts<'a>(
    option: &str,
    value: &'a str,
    split: impl Fn(&'a str, char) -> Option<(&'a str, &'a str)>,
) -> Result<(String, String)> {
    match split(value, ':') {
        Some((first, second)) if !first.is_empty() && !second.is_empty() => Ok((first.into(), second.into())),
        _ => Err(Usage::error(format!(
            "{option} needs two parts with a colon between them"
        ))),
    }
}

/// A date of birth as far as it is known. Only the shape is checked here; the node judges the date.
fn birth(text: &str) -> Result<BirthDate> {
    let read = || {
        if let Some((from, to)) = text.split_once("..") {
            return Some(BirthDate::Years {
                from: digits(from, 4)?,
                to: digits(to, 4)?,
            });
        }
        let year = |text| digits(text, 4);
        let part = |text| digits::<u8>(text, 2);
        match text.split('-').collect::<Vec<_>>().as_slice() {
            [y] => Some(BirthDate::Year { year: year(y)? }),
            [y, m] => Some(BirthDate::Month {
                year: year(y)?,
                month: part(m)?,
            }),
            [y, m, d] => Some(BirthDate::Day {
                year: year(y)?,
                month: part(m)?,
                day: part(d)?,
            }),
            _ => None,
        }
    };
    read().ok_or_else(|| Usage::error("--born: write 1980-02-29, 1980-02, 1980 or 1979..1981"))
}

/// A number of exactly so many digits.
fn digits<T: std::str::FromStr>(text: &str, length: usize) -> Option<T> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_far_as_they_are_known() {
        let day = BirthDate::Day {
            year: 1980,
            month: 2,
            day: 29,
        };
        assert!(birth("1980-02-29").expect("a date") == day);
        assert!(birth("1980-02").expect("a date") == BirthDate::Month { year: 1980, month: 2 });
        assert!(birth("1980").expect("a date") == BirthDate::Year { year: 1980 });
        assert!(birth("1979..1981").expect("a date") == BirthDate::Years { from: 1979, to: 1981 });
        for bad in [
            "",
            "80",
            "29-02-1980",
            "1980/02/29",
            "1980-2-29",
            "1980-02-29-01",
            "..",
            "1980-",
            "１９８０",
        ] {
            assert!(birth(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_become_a_subject() {
        let args = SubjectArgs {
            name: vec!["An Alias".into()],
            family: Some("Example".into()),
            passport: vec!["X1:NLD".into(), "X2".into(), "X3:".into()],
            biometric: vec!["DE:BKA-AFIS:77".into()],
            plate: vec!["NL:12-AB-34".into()],
            ..SubjectArgs::default()
        };
        let subject = args.subject().expect("valid").expect("given");
        let parts = NameText::Parts {
            primary: "Example".into(),
            secondary: String::new(),
        };
        assert!(subject.names[0] == name(0, parts));
        assert!(subject.names[1] == name(1, NameText::Whole("An Alias".into())));
        let issuers: Vec<_> = subject
            .documents
            .iter()
            .map(|document| document.issuer.as_deref())
            .collect();
        assert_eq!(issuers, [Some("NLD"), None, None]);
        let reference = Other::BiometricReference {
            system: "DE:BKA-AFIS".into(),
            number: "77".into(),
        };
        assert!(subject.others.contains(&reference));
    }

    #[test]
    fn values_in_two_parts_need_both() {
        let args = SubjectArgs {
            plate: vec!["12-AB-34".into()],
            ..SubjectArgs::default()
        };
        let error = args.subject().expect_err("no country").to_string();
        assert_eq!(error, "--plate needs two parts with a colon between them");
        assert!(SubjectArgs::default().subject().expect("empty").is_none());
    }
}
