//! Numbers as printed: what document, identity, fingerprint, plate and account numbers have in common.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A number holds a letter or digit that has no A–Z or 0–9 twin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignLetter;

/// NFKC, upper case, A–Z and 0–9 kept, everything that is neither letter nor digit dropped.
///
/// Letters outside A–Z are never dropped, because that would make another number: marks are taken off (`É → E`),
/// decimal digits of other scripts become ASCII digits, Cyrillic and Greek letters that look like Latin ones become
/// those, and any other letter is an error. The result may be empty.
pub(crate) fn canonical(text: &str) -> Result<Zeroizing<String>, ForeignLetter> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    for c in text.nfkc().flat_map(char::to_uppercase) {
        if c.is_ascii() {
            out.extend(Some(c).filter(char::is_ascii_alphanumeric));
        } else if c.is_alphanumeric() {
            out.push(twin(c).ok_or(ForeignLetter)?);
        }
    }
    Ok(out)
}

/// How many of the bytes are ASCII digits.
pub(crate) fn digit_count(number: &str) -> usize {
    number.bytes().filter(u8::is_ascii_digit).count()
}

/// Whether one character is all there is, as in `0000000` or `XXXXXXX`.
pub(crate) fn is_placeholder(number: &str) -> bool {
    let mut bytes = number.bytes();
    bytes.next().is_some_and(|first| bytes.all(|b| b == first))
}

/// The A–Z or 0–9 that a non-ASCII upper-case letter or digit stands for or looks like.
fn twin(c: char) -> Option<char> {
    let position = |from: &str, to: &str| from.chars().position(|f| f == c).and_then(|i| to.chars().nth(i));
    let look_alike = position("АВЕКМНОРСТУХІЈЅ", "ABEKMHOPCTYXIJS")
        .or_else(|| position("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"));
    look_alike.or_else(|| {
        let base = core::iter::once(c).nfkd().next()?;
        let is_digit = c.is_numeric();
        let ascii = if is_digit {
            any_ascii::any_ascii_char(c).chars().next()?
        } else {
            base
        };
        Some(ascii).filter(|a| {
            if is_digit {
                a.is_ascii_digit()
            } else {
                a.is_ascii_uppercase()
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> String {
        canonical(text).unwrap().to_string()
    }

    #[test]
    fn separators_go_and_zeros_stay() {
        assert_eq!(ok(" 0012-34/56.7 < "), "001234567");
        assert_eq!(ok("z-012345"), "Z012345");
        assert_eq!(ok("ＡＢ１２３４"), "AB1234");
        assert_eq!(ok("١٢٣٤٥"), "12345");
        assert_eq!(ok("AB\u{200F}12\0 34😀"), "AB1234");
    }

    #[test]
    fn look_alikes_become_latin_and_others_are_refused() {
        assert_eq!(ok("АН 123456"), "AH123456");
        assert_eq!(ok("ΑΒ 123456"), "AB123456");
        assert_eq!(ok("é12345"), "E12345");
        for foreign in ["Ф-703443", "人民123456", "Ø12345", "ب12345"] {
            assert_eq!(canonical(foreign), Err(ForeignLetter), "{foreign}");
        }
    }
}
