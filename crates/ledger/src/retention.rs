//! How long payloads are kept.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use crate::entry::EntryType;
use crate::leaf::{Class, Hour};

/// How long the payload of one type of entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// For this many years after the day it was written.
    Years(u16),
    /// For this many days.
    Days(u32),
    /// Without end: it holds no personal data beyond that of staff, or the law says so.
    Forever,
}

/// How long the payload of each type is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    exchanges: Keep,
    others: BTreeMap<EntryType, Keep>,
}

impl Retention {
    /// Exchanges and access for one year: the EU's interoperability regulations (CIR, ESP), and the CJIS policy's minimum.
    pub fn one_year() -> Self {
        Self::with_exchanges(Keep::Years(1))
    }

    /// Exchanges and access for three years: Prüm II Articles 18, 40 and 45, SIS Article 12.
    pub fn three_years() -> Self {
        Self::with_exchanges(Keep::Years(3))
    }

    /// Keeps one type differently.
    #[must_use]
    pub fn with(mut self, kind: EntryType, keep: Keep) -> Self {
        self.others.insert(kind, keep);
        self
    }

    /// How long a type is kept: what [`with`](Self::with) said; else exchanges, all that follows a hit, access, imports and record
    /// changes as the profile says, lists, clients, officers, keys, agreements, snapshots, configuration, misbehaviour and erasures
    /// without end.
    pub fn keep(&self, kind: EntryType) -> Keep {
        if let Some(keep) = self.others.get(&kind) {
            return *keep;
        }
        match kind {
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
            | EntryType::Erasure => Keep::Forever,
            _ => self.exchanges,
        }
    }

    /// The first day (UTC) on which the payload of an entry written at `time` must be gone. `None` if it is kept; a date that the calendar
    /// does not have is its last one.
    pub fn erase_after(&self, kind: EntryType, time: Timestamp) -> Option<Date> {
        let span = match self.keep(kind) {
            Keep::Years(years) => Span::new().years(years.min(9999)).days(1),
            Keep::Days(days) => Span::new().days(days.min(3_000_000) + 1),
            Keep::Forever => return None,
        };
        Some(Hour::of(time).date().saturating_add(span))
    }

    fn with_exchanges(keep: Keep) -> Self {
        Self {
            exchanges: keep,
            others: BTreeMap::new(),
        }
    }
}

/// Whether a payload whose leaf says this is due on the day of `now`.
pub fn is_due(class: &Class, erase_after: Option<Date>, now: Timestamp) -> bool {
    let erasable = !matches!(class, Class::Erasure { .. });
    erasable && erase_after.is_some_and(|date| date <= Hour::of(now).date())
}
