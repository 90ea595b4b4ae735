//! Fingerprints, by what can be compared exactly: a reference number in a named system, and the digest of a record.
//!
//! Neither recognises a person. Two captures of the same finger never have the same bytes, so their digests differ: a
//! digest finds the same record again, sent twice or held twice, and nothing else. A reference number finds the same
//! file of the same system; another system gives the same finger another number.

use crate::country;
use crate::derive::Collector;
use crate::identifier::Rule;
use crate::number;
use crate::rejection::{BIOMETRIC_NUMBER, BIOMETRIC_SYSTEM, DIGEST_ALGORITHM, DIGEST_EMPTY, DIGEST_HEX};

/// Systems that are not of one country.
const SYSTEMS: [&str; 10] = [
    "EURODAC",
    "SIS",
    "VIS",
    "EES",
    "ECRIS-TCN",
    "INTERPOL",
    "EUROPOL",
    "FBI-UCN",
    "FBI-FNU",
    "PRUM",
];

/// `SYSTEM|NUMBER`; a national system is `DEU:BKA-AFIS`.
pub(crate) fn derive_reference(system: &str, number: &str, field: &str, out: &mut Collector) {
    let Some(system) = canonical_system(system) else {
        return out.reject(BIOMETRIC_SYSTEM.at(format!("{field}.system")));
    };
    let number = number::canonical(if number.len() > 400 { "" } else { number });
    match number {
        Ok(number) if (5..=40).contains(&number.len()) && number::digit_count(&number) > 0 => {
            out.add(Rule::BiometricReference, format!("{system}|{}", *number), false);
        }
        _ => out.reject(BIOMETRIC_NUMBER.at(format!("{field}.number"))),
    }
}

fn canonical_system(text: &str) -> Option<String> {
    let name = |text: &str| {
        let words = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty());
        words.map(str::to_ascii_uppercase).collect::<Vec<_>>().join("-")
    };
    if text.len() > 100 || !text.is_ascii() {
        return None;
    }
    match text.split_once(':') {
        Some((owner, system)) => {
            let (owner, system) = (country::resolve(owner)?, name(system));
            (2..=40)
                .contains(&system.len())
                .then(|| format!("{owner}:{system}"))
        }
        None => SYSTEMS.contains(&name(text).as_str()).then(|| name(text)),
    }
}

/// `SHA-256|` and the digest in lower-case hexadecimal.
pub(crate) fn derive_digest(algorithm: &str, hex: &str, field: &str, out: &mut Collector) {
    let name: String = algorithm
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(10)
        .collect();
    let (name, bytes, of_nothing) = match name.to_ascii_uppercase().as_str() {
        "SHA256" => ("SHA-256", 32, "e3b0c44298fc1c14"),
        "SHA384" => ("SHA-384", 48, "38b060a751ac9638"),
        "SHA512" => ("SHA-512", 64, "cf83e1357eefb8bd"),
        _ => return out.reject(DIGEST_ALGORITHM.at(format!("{field}.algorithm"))),
    };
    let hex = hex.trim();
    if hex.len() != 2 * bytes || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return out.reject(DIGEST_HEX.at_with(
            format!("{field}.hex"),
            &format!("{name} has {} characters", 2 * bytes),
        ));
    }
    let hex = hex.to_ascii_lowercase();
    if hex.starts_with(of_nothing) || number::is_placeholder(&hex) {
        return out.reject(DIGEST_EMPTY.at(format!("{field}.hex")));
    }
    out.add(Rule::BiometricRecordDigest, format!("{name}|{hex}"), false);
}
