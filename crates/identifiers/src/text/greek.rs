//! Greek letters: ELOT 743 (ISO 843), which Greek and Cypriot passports are printed with.

use super::decomposed;

pub(super) fn is_greek(c: char) -> bool {
    matches!(c, '\u{0370}'..='\u{03E1}' | '\u{1F00}'..='\u{1FFF}')
}

/// Appends the spelling of `word[index]`. Digraphs are spelled by their letters' neighbours, so each letter is
/// spelled once: `ΑΥ → AV/AF`, `ΟΥ → OU`, `ΓΓ → NG`, initial and final `ΜΠ → B`.
pub(super) fn spell(word: &[char], index: usize, out: &mut String) {
    let before = index.checked_sub(1).and_then(|before| base(word[before]));
    let after = word.get(index + 1).and_then(|&after| base(after));
    let bilabial_is_b = |first: usize| first == 0 || first + 2 == word.len();
    let Some(letter) = base(word[index]) else {
        decomposed(word[index]).for_each(|base| super::spell_base(base, out));
        return;
    };
    let piece = match letter {
        'Υ' if matches!(before, Some('Α' | 'Ε' | 'Η')) => match after {
            None | Some('Θ' | 'Κ' | 'Ξ' | 'Π' | 'Σ' | 'Τ' | 'Φ' | 'Χ' | 'Ψ') => "F",
            Some(_) => "V",
        },
        'Υ' if before == Some('Ο') => "U",
        'Γ' if matches!(after, Some('Γ' | 'Ξ' | 'Χ')) => "N",
        'Μ' if after == Some('Π') && bilabial_is_b(index) => "B",
        'Π' if before == Some('Μ') && bilabial_is_b(index - 1) => "",
        'Α' => "A",
        'Β' => "V",
        'Γ' => "G",
        'Δ' => "D",
        'Ε' => "E",
        'Ζ' => "Z",
        'Η' | 'Ι' => "I",
        'Θ' => "TH",
        'Κ' => "K",
        'Λ' => "L",
        'Μ' => "M",
        'Ν' => "N",
        'Ξ' => "X",
        'Ο' | 'Ω' => "O",
        'Π' => "P",
        'Ρ' => "R",
        'Σ' => "S",
        'Τ' => "T",
        'Υ' => "Y",
        'Φ' => "F",
        'Χ' => "CH",
        'Ψ' => "PS",
        _ => return super::transliterate(letter, out),
    };
    out.push_str(piece);
}

/// The letter without its marks; `None` for a mark on its own.
fn base(c: char) -> Option<char> {
    decomposed(c).next()
}
