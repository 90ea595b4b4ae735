//! How long payloads are kept.

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::entry::EntryType;
use crate::leaf::{Class, Hour};

/// How long the payload of each type of entry is kept. That there was an entry stays for ever.
///
/// All types of an exchange are kept alike, and so are all of access: everybody may read a leaf's class and last day, and a day of its own
/// would tell which type it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Exchanges, access, imports and record changes for one year: the EU's interoperability regulations (CIR, ESP), and the CJIS policy's
    /// minimum.
    OneYear,
    /// The same for three years: Prüm II Articles 18, 40 and 45, SIS Article 12.
    ThreeYears,
}

impl Retention {
    /// For how many years exchanges are kept, and what is kept as long as they are.
    pub fn years(self) -> u8 {
        match self {
            Self::OneYear => 1,
            Self::ThreeYears => 3,
        }
    }

    /// The first day (UTC) on which the payload of an entry written at `time` must be gone. `None` if it is kept without end: lists, clients,
    /// officers, keys, agreements, snapshots, configuration, misbehaviour and erasures hold no personal data beyond that of staff. A date
    /// that the calendar does not have is its last one.
    pub fn erase_after(self, kind: EntryType, time: Timestamp) -> Option<Date> {
        let kept = matches!(
            kind,
            EntryType::ListChanged
                | EntryType::ClientChanged
                | EntryType::RegistryChanged
                | EntryType::OfficerLinked
                | EntryType::AgreementChanged
                | EntryType::KeyChanged
                | EntryType::SnapshotPublished
                | EntryType::SnapshotFetched
                | EntryType::ConfigurationChanged
                | EntryType::Misbehaviour
                | EntryType::Erasure
        );
        let span = || Span::new().years(self.years()).days(1);
        (!kept).then(|| Hour::of(time).date().saturating_add(span()))
    }
}

/// Whether a payload whose leaf says this is due on the day of `now`.
pub fn is_due(class: &Class, erase_after: Option<Date>, now: Timestamp) -> bool {
    let erasable = !matches!(class, Class::Erasure { .. });
    erasable && erase_after.is_some_and(|date| date <= Hour::of(now).date())
}
