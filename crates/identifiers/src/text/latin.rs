//! Latin letters: ICAO Doc 9303-3 §6.A.

/// Letters with more than one spelling, in the order of the [`Choice`] indices. The first spelling drops the mark;
/// the others are the ones Doc 9303-3 §6.A allows, and two that states are known to use: `Đ → DJ` and, for `Ə`,
/// which ICAO does not list, `A` and `E`.
const SEVERAL: [(char, &[&str]); 8] = [
    ('Ä', &["A", "AE"]),
    ('Å', &["A", "AA"]),
    ('Ö', &["O", "OE"]),
    ('Ø', &["O", "OE"]),
    ('Ü', &["U", "UE", "UXX"]),
    ('Ñ', &["N", "NXX"]),
    ('Đ', &["D", "DJ"]),
    ('Ə', &["A", "E"]),
];

/// Which spelling of each letter of [`SEVERAL`] a scheme uses, everywhere in a name: an office has one table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice([u8; SEVERAL.len()]);

impl Choice {
    /// Marks dropped.
    pub(super) const PLAIN: Self = Self([0; SEVERAL.len()]);

    /// The first recommendation of §6.A: `AE AA OE OE UE N D`, and `A`.
    pub(super) const ICAO: Self = Self([1, 1, 1, 1, 1, 0, 0, 0]);

    /// Every combination of spellings of the letters that occur in `upper` (composed, upper case), but for those
    /// that [`Choice::PLAIN`] and [`Choice::ICAO`] make already. There are at most 382.
    pub(super) fn mixed_for(upper: &[char]) -> Vec<Self> {
        let (mut all, mut icao) = (vec![Self::PLAIN], Self::PLAIN);
        for (letter, (c, spellings)) in SEVERAL.iter().enumerate() {
            if !upper.contains(c) {
                continue;
            }
            icao.0[letter] = Self::ICAO.0[letter];
            all = all
                .iter()
                .flat_map(|choice| {
                    (0u8..).zip(spellings.iter()).map(|(spelling, _)| {
                        let mut choice = *choice;
                        choice.0[letter] = spelling;
                        choice
                    })
                })
                .collect();
        }
        all.retain(|choice| *choice != Self::PLAIN && *choice != icao);
        all
    }

    pub(super) fn spelling(self, letter: usize) -> &'static str {
        let spellings = SEVERAL[letter].1;
        spellings[usize::from(self.0[letter]).min(spellings.len() - 1)]
    }
}

/// The index in [`SEVERAL`] of a composed upper-case letter.
pub(super) fn several(upper: char) -> Option<usize> {
    SEVERAL.iter().position(|(c, _)| *c == upper)
}

/// Letters that decomposition leaves alone and that have one spelling.
pub(super) fn one(upper: char) -> Option<&'static str> {
    Some(match upper {
        'Æ' => "AE",
        'Ð' => "D",
        'Þ' => "TH",
        'Ħ' => "H",
        'Ŧ' => "T",
        'Ł' | 'Ŀ' => "L",
        'Ŋ' => "N",
        'Œ' => "OE",
        'ẞ' | 'ß' => "SS",
        'ı' => "I",
        'Ĳ' => "IJ",
        'ĸ' => "K",
        _ => return None,
    })
}
