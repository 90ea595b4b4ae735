//! Registration plates and vehicle identification numbers.

use crate::country;
use crate::derive::Collector;
use crate::identifier::Rule;
use crate::number;
use crate::rejection::{
    PLATE_CHARACTER, PLATE_COUNTRY, PLATE_LENGTH, PLATE_PARTIAL, RejectionRule, VIN_CHECK, VIN_LENGTH,
    VIN_LETTER,
};

/// `COUNTRY|PLATE`: complete plates only (Regulation (EU) 2024/982 Art. 16(2)). The state or province of a federation
/// is not part of the key.
pub(crate) fn derive_plate(country: &str, plate: &str, field: &str, out: &mut Collector) {
    let Some(country) = country::resolve(country) else {
        return out.reject(PLATE_COUNTRY.at(format!("{field}.country")));
    };
    match canonical_plate(country, plate) {
        Ok(plate) => out.add(Rule::VehiclePlate, format!("{country}|{plate}"), false),
        Err(rule) => out.reject(rule.at(format!("{field}.plate"))),
    }
}

/// The 17 characters.
pub(crate) fn derive_vin(text: &str, field: &str, out: &mut Collector) {
    match canonical_vin(text) {
        Ok(vin) => out.add(Rule::Vin, vin, false),
        Err(rule) => out.reject(rule.at(format!("{field}.vin"))),
    }
}

fn canonical_plate(country: country::Code, text: &str) -> Result<String, RejectionRule> {
    if text.len() > 200 {
        return Err(PLATE_LENGTH);
    }
    if text.contains(['*', '?', '%', '_', '…']) {
        return Err(PLATE_PARTIAL);
    }
    // German district letters with an umlaut are other districts than those without.
    let text = if country == "DEU" {
        with_umlauts_spelled(text)
    } else {
        text.to_owned()
    };
    let plate = number::canonical(&text).map_err(|_| PLATE_CHARACTER)?;
    if !(2..=12).contains(&plate.len()) {
        return Err(PLATE_LENGTH);
    }
    Ok(plate.to_string())
}

fn with_umlauts_spelled(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc()
        .flat_map(char::to_uppercase)
        .fold(String::new(), |mut out, c| {
            match c {
                'Ä' => out.push_str("AE"),
                'Ö' => out.push_str("OE"),
                'Ü' => out.push_str("UE"),
                other => out.push(other),
            }
            out
        })
}

fn canonical_vin(text: &str) -> Result<String, RejectionRule> {
    if text.len() > 200 {
        return Err(VIN_LENGTH);
    }
    let vin = number::canonical(text).map_err(|_| VIN_LETTER)?;
    if vin.len() != 17 {
        return Err(VIN_LENGTH);
    }
    if vin.contains(['I', 'O', 'Q']) {
        return Err(VIN_LETTER);
    }
    // 49 CFR 565.15(c): the 9th character checks the others, for vehicles of North America (region 1 to 5).
    let is_north_american = matches!(vin.as_bytes()[0], b'1'..=b'5');
    if is_north_american && vin.chars().nth(8) != Some(vin_check(&vin)) {
        return Err(VIN_CHECK);
    }
    Ok(vin.to_string())
}

fn vin_check(vin: &str) -> char {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |c: char| match c {
        'A' | 'J' => 1,
        'B' | 'K' | 'S' => 2,
        'C' | 'L' | 'T' => 3,
        'D' | 'M' | 'U' => 4,
        'E' | 'N' | 'V' => 5,
        'F' | 'W' => 6,
        'G' | 'P' | 'X' => 7,
        'H' | 'Y' => 8,
        'R' | 'Z' => 9,
        digit => digit.to_digit(10).unwrap_or(0),
    };
    let sum: u32 = vin
        .chars()
        .zip(WEIGHTS)
        .map(|(c, weight)| value(c) * weight)
        .sum();
    char::from_digit(sum % 11, 11).map_or('X', |digit| if digit == 'a' { 'X' } else { digit })
}
