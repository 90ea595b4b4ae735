//! From a dossier to a record: the words, the noise and the check digits.

use concordat_identifiers::{BirthDate, Document, DocumentClass, Name, NameText, Other, Subject};

use crate::dossier::{BirthUse, DocumentUse, Dossier, Layout, NameUse, OtherKind, OtherUse, Side};
use crate::names::{Country, Script};
use crate::permutation::{Dice, Stream};
use crate::person::{Day, Facts, Person, Registry};

/// Writes down `dossier` in the manner of the list on `side`.
pub(crate) fn subject(
    registry: &Registry,
    seed: u64,
    person: Person,
    facts: &Facts,
    dossier: &Dossier,
    side: Side,
) -> Subject {
    let stream = match side {
        Side::Left => Stream::LeftWords(person.index),
        Side::Right => Stream::RightWords(person.index),
    };
    let mut writer = Writer {
        registry,
        person,
        facts,
        side,
        dice: Dice::new(seed, stream),
    };
    Subject {
        names: dossier.names.iter().map(|name| writer.name(name)).collect(),
        births: dossier.births.iter().map(|birth| writer.birth(*birth)).collect(),
        documents: dossier
            .documents
            .iter()
            .map(|document| writer.document(document))
            .collect(),
        others: dossier.others.iter().map(|other| writer.other(*other)).collect(),
    }
}

struct Writer<'a> {
    registry: &'a Registry,
    person: Person,
    facts: &'a Facts,
    side: Side,
    dice: Dice,
}

impl Writer<'_> {
    fn name(&self, name: &NameUse) -> Name {
        let (mut family, given) = self.facts.names[name.slot].parts(name.script, name.extra);
        if self.side == Side::Left && name.script != Script::Native {
            family = family.to_uppercase();
        }
        let unspaced = name.script == Script::Native && self.facts.names[name.slot].culture.common_is_family;
        let text = match name.layout {
            Layout::Parts => NameText::Parts {
                primary: family,
                secondary: given,
            },
            Layout::FamilyFirst | Layout::GivenFirst if unspaced => NameText::Whole(family + &given),
            Layout::FamilyFirst => NameText::Whole(format!("{family} {given}")),
            Layout::GivenFirst => NameText::Whole(format!("{given} {family}")),
        };
        Name {
            rank: name.rank,
            text,
        }
    }

    fn birth(&self, birth: BirthUse) -> BirthDate {
        let day = |(year, month, day): Day| BirthDate::Day { year, month, day };
        let (year, month, _) = self.facts.birth;
        match birth {
            BirthUse::Day => day(self.facts.birth),
            BirthUse::Misprint => day(self.facts.misprint),
            BirthUse::Month => BirthDate::Month { year, month },
            BirthUse::Year => BirthDate::Year { year },
            BirthUse::Years => BirthDate::Years {
                from: self.facts.cell_year,
                to: self.facts.cell_year + 1,
            },
        }
    }

    fn document(&mut self, document: &DocumentUse) -> Document {
        let number = self.registry.document_number(self.person, document.which);
        let number = match self.side {
            Side::Left => number,
            Side::Right => self.noisy(&number),
        };
        let issuer = document.issuer.map(|country| self.country(country).to_owned());
        Document {
            class: DocumentClass::Passport,
            number,
            issuer,
        }
    }

    /// The same number as clerks type it.
    fn noisy(&mut self, number: &str) -> String {
        let (head, tail) = number.split_at(2);
        match self.dice.below(6) {
            0 => format!("{head} {tail}"),
            1 => format!("{head}-{tail}"),
            2 => format!("{head}/{tail}"),
            3 => number.to_lowercase(),
            4 => format!(" {} {} {}", head, &tail[..3], &tail[3..]),
            _ => number.to_owned(),
        }
    }

    fn country(&mut self, country: &Country) -> &'static str {
        match (self.side, self.dice.below(4)) {
            (Side::Left, 0) => country.alpha2,
            (Side::Left, _) => country.alpha3,
            (Side::Right, 0) => country.alpha2,
            (Side::Right, _) => country.name,
        }
    }

    fn other(&self, other: OtherUse) -> Other {
        let serial = self.registry.serial(self.person, other.which);
        let spaced = self.side == Side::Right;
        match other.kind {
            // Brazil's CPF: nine digits and two check digits.
            OtherKind::NationalId => {
                let number = cpf(serial);
                let (a, b, c, d) = (&number[..3], &number[3..6], &number[6..9], &number[9..]);
                let number = if spaced {
                    format!("{a}.{b}.{c}-{d}")
                } else {
                    number.clone()
                };
                Other::NationalId {
                    number,
                    country: Some(if spaced { "Brazil" } else { "BRA" }.to_owned()),
                }
            }
            OtherKind::BiometricReference => {
                let system = ["EURODAC", "SIS", "INTERPOL", "FBI-UCN"][(serial % 4) as usize];
                let number = if spaced {
                    format!("fp {serial:010}")
                } else {
                    format!("FP{serial:010}")
                };
                Other::BiometricReference {
                    system: system.to_owned(),
                    number,
                }
            }
            OtherKind::BiometricRecordDigest => {
                // Not the digest of any record: the serial keeps it unique, its multiples make it look like one.
                let words = (1..=4u64).map(|i| {
                    serial
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .rotate_left(i as u32 * 13)
                        ^ i
                });
                let hex: String = words.map(|word| format!("{word:016x}")).collect();
                let hex = if spaced { hex.to_uppercase() } else { hex };
                Other::BiometricRecordDigest {
                    algorithm: "SHA-256".to_owned(),
                    hex,
                }
            }
            // Spanish and Portuguese mobile numbers.
            OtherKind::Phone => {
                let prefix = ["+346", "+3519", "+347"][(serial / 100_000_000) as usize];
                let rest = format!("{:08}", serial % 100_000_000);
                Other::Phone(if spaced {
                    format!("{prefix} {} {}", &rest[..4], &rest[4..])
                } else {
                    format!("{prefix}{rest}")
                })
            }
            OtherKind::Email => {
                let address = format!("mail.{serial}@example.org");
                Other::Email(if spaced { address.to_uppercase() } else { address })
            }
            OtherKind::Iban => {
                let iban = german_iban(serial);
                let groups = iban
                    .as_bytes()
                    .chunks(4)
                    .map(|group| String::from_utf8_lossy(group))
                    .collect::<Vec<_>>();
                Other::Iban(if spaced { groups.join(" ") } else { iban })
            }
            // France's pattern since 2009.
            OtherKind::VehiclePlate => {
                let (head, digits, tail) = plate(serial);
                let plate = if spaced {
                    format!("{head}-{digits:03}-{tail}")
                } else {
                    format!("{head}{digits:03}{tail}")
                };
                Other::VehiclePlate {
                    country: if spaced { "France" } else { "FRA" }.to_owned(),
                    plate,
                }
            }
            OtherKind::Vin => {
                let vin = format!("VF7ABCDE{serial:09}");
                Other::Vin(if spaced { vin.to_lowercase() } else { vin })
            }
        }
    }
}

/// A CPF with its two check digits (weighted sums modulo 11). Never eleven times the same digit, which stands for
/// "none": multiples of 111,111,111 are left out.
fn cpf(serial: u64) -> String {
    let body = serial / 111_111_110 * 111_111_111 + serial % 111_111_110 + 1;
    let mut digits: Vec<u32> = format!("{body:09}")
        .bytes()
        .map(|digit| u32::from(digit - b'0'))
        .collect();
    for _ in 0..2 {
        let top = digits.len() as u32 + 1;
        let sum: u32 = digits
            .iter()
            .zip((2..=top).rev())
            .map(|(digit, weight)| digit * weight)
            .sum();
        digits.push(match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        });
    }
    digits.iter().map(ToString::to_string).collect()
}

/// A German IBAN with its check digits (ISO 7064, modulo 97), of a bank that does not exist.
fn german_iban(serial: u64) -> String {
    let bban = format!("99990000{serial:010}");
    // `D` = 13, `E` = 14, then the two check digits still zero.
    let remainder = bban
        .bytes()
        .chain(*b"131400")
        .fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{bban}", 98 - remainder)
}

/// Two letters, three digits, two letters.
fn plate(serial: u64) -> (String, u64, String) {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTVWXYZ";
    let letters = |value: u64| {
        [value / 23, value % 23]
            .map(|i| char::from(LETTERS[i as usize % 23]))
            .iter()
            .collect()
    };
    (
        letters(serial / 529_000),
        serial % 1000,
        letters(serial / 1000 % 529),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_agree_with_published_examples() {
        assert_eq!(cpf(111_444_775), "11144477735");
        let iban = german_iban(1);
        let rearranged = format!("{}1314{}", &iban[4..], &iban[2..4]);
        assert_eq!(
            rearranged
                .bytes()
                .fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97),
            1
        );
    }

    #[test]
    fn every_plate_is_different() {
        let mut seen = std::collections::HashSet::new();
        for serial in (0..crate::person::SERIALS).step_by(9973) {
            let (head, digits, tail) = plate(serial);
            assert!(seen.insert(format!("{head}{digits:03}{tail}")));
        }
    }
}
