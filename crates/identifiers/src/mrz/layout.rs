//! Where the fields are: Doc 9303 parts 4 (TD3), 5 (TD1), 6 (TD2) and 7 (MRV-A, MRV-B).

/// Size and kind of a document with a machine-readable zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Card: three lines of 30.
    Td1,
    /// Larger card: two lines of 36.
    Td2,
    /// Passport: two lines of 44.
    Td3,
    /// Visa of full size: two lines of 44, code `V`.
    MrvA,
    /// Small visa: two lines of 36, code `V`.
    MrvB,
}

/// A field: line and start count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Span {
    /// The character after the field, where its check digit stands.
    pub(super) const fn next(self) -> Self {
        span(self.line, self.start + self.length, 1)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: Format,
    pub(super) names: Span,
    /// Followed by its check digit, as are `birth` and `expiry`.
    pub(super) number: Span,
    pub(super) birth: Span,
    pub(super) expiry: Span,
    pub(super) nationality: Span,
    pub(super) sex: Span,
    /// Where a long document number goes on, in formats that have long numbers.
    pub(super) long_number: Option<Span>,
    /// Never empty. On TD3 the only one is followed by a check digit.
    pub(super) optional: &'static [Span],
    pub(super) composite: &'static [Span],
    pub(super) composite_check: Option<Span>,
}

pub(super) const DOCUMENT_CODE: Span = span(0, 0, 2);
pub(super) const ISSUER: Span = span(0, 2, 3);

/// The layout of lines that have been found to be 3 × 30, 2 × 36 or 2 × 44.
pub(super) fn of(lines: &[String]) -> &'static Layout {
    let is_visa = lines[0].starts_with('V');
    match (lines.len(), lines[0].chars().count(), is_visa) {
        (3, ..) => &TD1,
        (_, 36, false) => &TD2,
        (_, 36, true) => &MRV_B,
        (_, _, false) => &TD3,
        (_, _, true) => &MRV_A,
    }
}

const fn span(line: usize, start: usize, length: usize) -> Span {
    Span { line, start, length }
}

const TD1: Layout = Layout {
    format: Format::Td1,
    names: span(2, 0, 30),
    number: span(0, 5, 9),
    birth: span(1, 0, 6),
    expiry: span(1, 8, 6),
    nationality: span(1, 15, 3),
    sex: span(1, 7, 1),
    long_number: Some(span(0, 15, 15)),
    optional: &[span(0, 15, 15), span(1, 18, 11)],
    composite: &[span(0, 5, 25), span(1, 0, 7), span(1, 8, 7), span(1, 18, 11)],
    composite_check: Some(span(1, 29, 1)),
};

const TD3: Layout = Layout {
    format: Format::Td3,
    names: span(0, 5, 39),
    number: span(1, 0, 9),
    birth: span(1, 13, 6),
    expiry: span(1, 21, 6),
    nationality: span(1, 10, 3),
    sex: span(1, 20, 1),
    long_number: None,
    optional: &[span(1, 28, 14)],
    composite: &[span(1, 0, 10), span(1, 13, 7), span(1, 21, 22)],
    composite_check: Some(span(1, 43, 1)),
};

const TD2: Layout = Layout {
    format: Format::Td2,
    names: span(0, 5, 31),
    long_number: Some(span(1, 28, 7)),
    optional: &[span(1, 28, 7)],
    composite: &[span(1, 0, 10), span(1, 13, 7), span(1, 21, 14)],
    composite_check: Some(span(1, 35, 1)),
    ..TD3
};

const MRV_A: Layout = Layout {
    format: Format::MrvA,
    optional: &[span(1, 28, 16)],
    composite: &[],
    composite_check: None,
    ..TD3
};

const MRV_B: Layout = Layout {
    format: Format::MrvB,
    names: span(0, 5, 31),
    optional: &[span(1, 28, 8)],
    ..MRV_A
};
