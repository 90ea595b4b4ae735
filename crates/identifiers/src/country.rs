//! Issuing states and organisations by code, name or adjective.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::text::{Scheme, Separators, tokens};

/// An issuing state or organisation, by its ICAO Doc 9303-3 §5 three-letter code (Germany is `DEU`).
pub(crate) type Code = &'static str;

/// The specimen state of ICAO.
pub(crate) const UTOPIA: Code = "UTO";

const TABLE: &str = include_str!("../data/countries.txt");

/// The state that `text` names: a code with or without MRZ fillers, or a name or adjective as OFAC, the UN and the
/// UK publish them. `None` if it is not known or could be two (`Korean`, `Congolese`).
pub(crate) fn resolve(text: &str) -> Option<Code> {
    static BY_KEY: OnceLock<HashMap<String, Code>> = OnceLock::new();
    if text.len() > 200 {
        return None;
    }
    let by_key = BY_KEY.get_or_init(|| {
        entries()
            .flat_map(|(code, names)| names.map(move |n| (key(n), code)))
            .collect()
    });
    let found = by_key
        .get(&key(text))
        .or_else(|| by_key.get(&without_fillers(&key(text))));
    found.copied()
}

/// Each code with everything it is called by.
fn entries() -> impl Iterator<Item = (Code, impl Iterator<Item = &'static str>)> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (code, rest) = line.split_once(' ')?;
            let (alpha2, names) = rest.split_once(' ')?;
            Some((
                code,
                [code, alpha2]
                    .into_iter()
                    .filter(|&code| code != "-")
                    .chain(names.split('|')),
            ))
        })
}

/// The words of a name, sorted, without those that carry nothing.
fn key(name: &str) -> String {
    let mut words = tokens(name, Scheme::PLAIN, Separators::Any);
    // `AND` alone is Andorra.
    if words.len() > 1 {
        words.retain(|word| !matches!(word.as_str(), "OF" | "THE" | "AND"));
    }
    words.sort();
    words.dedup();
    words.join(" ")
}

/// Lists write `Tunisian passport`, `Iranian citizenship`.
fn without_fillers(key: &str) -> String {
    const FILLERS: [&str; 6] = [
        "CITIZEN",
        "CITIZENSHIP",
        "NATIONAL",
        "NATIONALITY",
        "PASSPORT",
        "PASSPORTS",
    ];
    let words: Vec<&str> = key.split(' ').filter(|word| !FILLERS.contains(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_states() {
        let mut seen: HashMap<String, Code> = HashMap::new();
        for (code, names) in entries() {
            for name in names {
                assert!(!key(name).is_empty(), "{code}: a name that folds to nothing");
                let earlier = seen.insert(key(name), code);
                assert!(
                    earlier.is_none_or(|earlier| earlier == code),
                    "{name:?}: {earlier:?} and {code}"
                );
            }
        }
        assert_eq!(entries().count(), 282);
    }

    #[test]
    fn codes_are_well_formed_and_distinct() {
        let codes: Vec<Code> = entries().map(|(code, _)| code).collect();
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()))
        );
        let distinct: std::collections::HashSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len());
    }

    #[test]
    fn names_as_published() {
        for (text, code) in [
            ("D", "DEU"),
            ("D<<", "DEU"),
            ("de", "DEU"),
            ("Iran", "IRN"),
            ("Islamic Republic of Iran", "IRN"),
            ("Iran (Islamic Republic of)", "IRN"),
            ("Iranian citizenship", "IRN"),
            ("Qatari", "QAT"),
            ("Viet Nam", "VNM"),
            ("Democratic People's Republic of Korea", "PRK"),
            ("Democratic People’s Republic of Korea", "PRK"),
            ("Korea, North", "PRK"),
            ("DPRK", "PRK"),
            ("Korea, Republic of", "KOR"),
            ("Congo, Democratic Republic of the", "COD"),
            ("Congo", "COG"),
            ("United Kingdom of Great Britain and Northern Ireland", "GBR"),
            ("Tunisian passport", "TUN"),
            ("Côte d’Ivoire", "CIV"),
            ("Türkiye", "TUR"),
            ("The Gambia", "GMB"),
            ("GBD", "GBD"),
            ("British National (Overseas)", "GBN"),
            ("AND", "AND"),
            ("XXA", "XXA"),
            ("EUE", "EUE"),
            ("RKS", "RKS"),
            ("XK", "RKS"),
            ("UNO", "UNO"),
            ("UTO", "UTO"),
        ] {
            assert_eq!(resolve(text), Some(code), "{text}");
        }
        for text in [
            "",
            "Korean",
            "Congolese",
            "Dominican",
            "Guyana French",
            "Atlantis",
            "ZZZ",
            "QQ",
            "<<<",
        ] {
            assert_eq!(resolve(text), None, "{text}");
        }
    }
}
