//! Arabic script: ICAO Doc 9303-3 §6.C and Appendix B.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// A way to write Arabic letters in A–Z.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arabic {
    /// Marks (hamza above or below a letter among them) dropped, Persian and Urdu forms of yeh, kaf and heh as the
    /// Arabic ones, and Appendix B without its escape character `X`, as §B.5.3 tells a human reader to do.
    Plain,
    /// Appendix B to the letter: `محمد → MXHMD`. Few states print it; most print a transcription instead, which no
    /// table can predict.
    Icao,
}

/// The mark that doubles the letter under it; it is often left out in writing.
pub(super) const SHADDA: char = '\u{0651}';

pub(super) fn is_arabic(c: char) -> bool {
    matches!(c, '\u{0600}'..='\u{06FF}' | '\u{0750}'..='\u{077F}' | '\u{08A0}'..='\u{08FF}')
}

/// Appends the spelling of `word[index]`.
pub(super) fn spell(word: &[char], index: usize, table: Arabic, out: &mut String) {
    let c = word[index];
    match table {
        Arabic::Plain => {
            for base in core::iter::once(c)
                .nfkd()
                .filter(|&d| canonical_combining_class(d) == 0)
            {
                match plain(base) {
                    Some(piece) => out.push_str(piece),
                    None => super::transliterate(base, out),
                }
            }
        }
        Arabic::Icao => match c {
            SHADDA => {
                if let Some(doubled) = word[..index].iter().rposition(|&d| d != SHADDA) {
                    spell(word, doubled, table, out);
                }
            }
            'ة' => out.push_str(if is_last_letter(word, index) { "XAH" } else { "XTA" }),
            _ => match icao(c) {
                Some(piece) => out.push_str(piece),
                None => spell(word, index, Arabic::Plain, out),
            },
        },
    }
}

fn is_last_letter(word: &[char], index: usize) -> bool {
    word[index + 1..].iter().all(|&c| c == SHADDA)
}

fn plain(base: char) -> Option<&'static str> {
    Some(match base {
        'ء' | 'ٱ' | 'ا' => "A",
        'ب' => "B",
        'ة' | 'ۃ' => "AH",
        'ت' | 'ٹ' | 'ټ' => "T",
        'ث' => "TH",
        'ج' => "J",
        'ح' | 'ه' | 'ھ' | 'ہ' | 'ە' | 'ځ' | 'څ' => "H",
        'خ' => "KH",
        'د' | 'ڈ' | 'ډ' => "D",
        'ذ' => "DH",
        'ر' | 'ڑ' | 'ړ' | 'ږ' => "R",
        'ز' => "Z",
        'س' | 'ښ' => "S",
        'ش' => "SH",
        'ص' => "SS",
        'ض' => "DZ",
        'ط' => "TT",
        'ظ' => "ZZ",
        'ع' => "E",
        'غ' | 'گ' => "G",
        'ف' | 'ڥ' => "F",
        'ق' => "Q",
        'ك' | 'ک' | 'ګ' => "K",
        'ل' => "L",
        'م' => "M",
        'ن' | 'ں' | 'ڼ' => "N",
        'ڭ' => "NG",
        'و' => "W",
        'ى' | 'ي' | 'ی' | 'ې' | 'ۍ' | 'ے' => "Y",
        'پ' => "P",
        'چ' => "C",
        'ژ' => "J",
        'ڤ' => "V",
        'ـ' => "",
        _ => return None,
    })
}

/// The letters of §6.C whose spelling is not the plain one.
fn icao(c: char) -> Option<&'static str> {
    Some(match c {
        'ء' => "XE",
        'آ' => "XAA",
        'أ' => "XAE",
        'ؤ' => "U",
        'إ' => "I",
        'ئ' => "XI",
        'ث' => "XTH",
        'ح' => "XH",
        'خ' => "XKH",
        'ذ' => "XDH",
        'ش' => "XSH",
        'ص' => "XSS",
        'ض' => "XDZ",
        'ط' => "XTT",
        'ظ' => "XZZ",
        'ى' => "XAY",
        'ٱ' => "XXA",
        'ٹ' => "XXT",
        'ټ' => "XRT",
        'ځ' => "XKE",
        'څ' => "XXH",
        'چ' => "XC",
        'ڈ' => "XXD",
        'ډ' => "XDR",
        'ڑ' => "XXR",
        'ړ' => "XRR",
        'ږ' => "XRX",
        'ژ' => "XJ",
        'ښ' => "XXS",
        'ڥ' => "XF",
        'ک' => "XKK",
        'ګ' => "XXK",
        'ڭ' => "XNG",
        'گ' => "XGG",
        'ں' => "XNN",
        'ڼ' => "XXN",
        'ھ' => "XDO",
        'ۀ' => "XYH",
        'ہ' => "XXG",
        'ۂ' => "XGE",
        'ۃ' => "XTG",
        'ی' => "XYA",
        'ۍ' => "XXY",
        'ے' => "XYB",
        'ۓ' => "XBE",
        'ڜ' | 'ڢ' | 'ڧ' | 'ڨ' => "",
        _ => return None,
    })
}
