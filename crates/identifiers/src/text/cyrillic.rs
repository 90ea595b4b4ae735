//! Cyrillic letters: ICAO Doc 9303-3 §6.B and the national tables that passports were printed with.

use super::decomposed;

/// A table from Cyrillic to A–Z.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cyrillic {
    /// Doc 9303-3 §6.B without its language exceptions; Russian passports since 2014 (MVD order 996/2019).
    Icao,
    /// BGN/PCGN 1947: `Й → Y`, `Ю → YU`, `Ё → YO`, initial `Е → YE`. The usual English press spelling.
    BgnPcgn,
    /// Russian passports of 1997 (MVD order 310): as BGN/PCGN, but `Е` and `Ё → E`.
    Mvd1997,
    /// Russian passports until 1997, French style: `Ж → J`, `Ч → TCH`, `Ш → CH`, `Ю → IOU`, `У → OU`.
    French,
    /// Ukrainian passports (Cabinet resolution 55/2010): `Г → H`, `И → Y`, initial `Є Ї Й Ю Я → YE YI Y YU YA`.
    Ukrainian,
    /// Belarusian: `Г → H`, `Ё → IO`.
    Belarusian,
    /// Bulgarian (Transliteration Act 2009): `Щ → SHT`, `Ъ → A`, `Ю → YU`, `Х → H`.
    Bulgarian,
    /// Serbian and Macedonian Latin without marks: `Ж → Z`, `Ч → C`, `Х → H`, `Ђ → DJ`.
    Serbian,
    /// Uzbek Latin of 1995 without apostrophes: `Ў → O`, `Қ → Q`, `Х → X`, `Ж → J`.
    Uzbek,
}

impl Cyrillic {
    /// Every table but [`Cyrillic::Icao`].
    pub(super) const NATIONAL: [Self; 8] = [
        Self::BgnPcgn,
        Self::Mvd1997,
        Self::French,
        Self::Ukrainian,
        Self::Belarusian,
        Self::Bulgarian,
        Self::Serbian,
        Self::Uzbek,
    ];
}

pub(super) fn is_cyrillic(c: char) -> bool {
    matches!(c, '\u{0400}'..='\u{052F}' | '\u{1C80}'..='\u{1C8F}')
}

/// Appends the spelling of `word[index]`.
pub(super) fn spell(word: &[char], index: usize, table: Cyrillic, out: &mut String) {
    let c = word[index];
    let before = index.checked_sub(1).map(|before| word[before]);
    if let Some(piece) = national(c, before, table) {
        out.push_str(piece);
        return;
    }
    for base in decomposed(c) {
        match icao(base) {
            Some(piece) => out.push_str(piece),
            None => super::transliterate(base, out),
        }
    }
}

/// Where a national table differs from ICAO's. `c` is composed: `Й` is one letter here.
fn national(c: char, before: Option<char>, table: Cyrillic) -> Option<&'static str> {
    let initial = before.is_none();
    let after_vowel = before.is_none_or(|before| "АЕЁИОУЫЭЮЯЙЪЬЇЄІЎ".contains(before));
    let piece = match table {
        Cyrillic::Icao => return None,
        Cyrillic::BgnPcgn => match c {
            'Е' if after_vowel => "YE",
            'Ё' => "YO",
            _ => return russian(c),
        },
        Cyrillic::Mvd1997 => return russian(c),
        Cyrillic::French => match c {
            'Ж' => "J",
            'Ч' => "TCH",
            'Ш' => "CH",
            'Щ' => "CHTCH",
            'Ъ' => "",
            'Ю' => "IOU",
            'У' => "OU",
            _ => return None,
        },
        Cyrillic::Ukrainian => match c {
            'Г' if before == Some('З') => "GH",
            'Г' => "H",
            'Є' if initial => "YE",
            'Ї' if initial => "YI",
            'Й' if initial => "Y",
            'Ю' if initial => "YU",
            'Я' if initial => "YA",
            'И' => "Y",
            'Ъ' => "",
            _ => return None,
        },
        Cyrillic::Belarusian => match c {
            'Г' => "H",
            'Ё' => "IO",
            _ => return None,
        },
        Cyrillic::Bulgarian => match c {
            'Й' => "Y",
            'Х' => "H",
            'Щ' => "SHT",
            'Ъ' => "A",
            'Ь' => "Y",
            'Ю' => "YU",
            'Я' => "YA",
            _ => return None,
        },
        Cyrillic::Serbian => match c {
            'Ђ' => "DJ",
            'Ж' => "Z",
            'Х' => "H",
            'Ц' | 'Ч' | 'Ћ' => "C",
            'Ш' => "S",
            'Џ' => "DZ",
            'Ѓ' => "GJ",
            'Ќ' => "KJ",
            _ => return None,
        },
        Cyrillic::Uzbek => match c {
            'Ж' => "J",
            'Х' => "X",
            'Қ' => "Q",
            'Ў' => "O",
            'Е' if after_vowel => "YE",
            'Ё' => "YO",
            _ => return russian(c),
        },
    };
    Some(piece)
}

/// What the Russian tables of before 2010 share.
fn russian(c: char) -> Option<&'static str> {
    Some(match c {
        'Й' => "Y",
        'Ъ' => "",
        'Ю' => "YU",
        'Я' => "YA",
        _ => return None,
    })
}

/// §6.B on a letter without marks, and the letters it leaves out: those of Turkic and other languages as their own
/// Latin alphabets write them, `Ь` and the palochka not at all. Two entries of §6.B are read as what they must mean:
/// `0402` is `Ђ`, and `Һ` is `H` (printed `C`).
fn icao(base: char) -> Option<&'static str> {
    Some(match base {
        'А' | 'Ә' | 'Ӕ' => "A",
        'Б' => "B",
        'В' => "V",
        'Г' | 'Ґ' | 'Ғ' | 'Ҝ' | 'Ҕ' => "G",
        'Д' | 'Ђ' => "D",
        'Е' | 'Э' => "E",
        'Ж' | 'Җ' => "ZH",
        'З' | 'Ҙ' => "Z",
        'И' | 'І' => "I",
        'Ј' | 'Ҷ' | 'Ҹ' => "J",
        'К' | 'Қ' | 'Ҡ' | 'Ҟ' | 'Ӄ' => "K",
        'Л' => "L",
        'М' => "M",
        'Н' | 'Ң' | 'Ӊ' | 'Ҥ' => "N",
        'О' | 'Ө' => "O",
        'П' => "P",
        'Р' => "R",
        'С' | 'Ҫ' => "S",
        'Т' => "T",
        'У' | 'Ү' | 'Ұ' | 'Ѫ' => "U",
        'Ф' => "F",
        'Х' => "KH",
        'Һ' | 'Ҳ' => "H",
        'Ц' => "TS",
        'Ч' | 'Ћ' => "CH",
        'Ш' => "SH",
        'Щ' => "SHCH",
        'Ъ' | 'Є' => "IE",
        'Ы' | 'Ѵ' => "Y",
        'Ю' => "IU",
        'Я' => "IA",
        'Ѕ' | 'Џ' => "DZ",
        'Љ' => "LJ",
        'Њ' => "NJ",
        'Ь' | 'Ӏ' => "",
        _ => return None,
    })
}
