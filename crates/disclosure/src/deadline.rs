//! Deadlines: how long a decision may take, when the clock stands still, whom it wakes. UTC throughout; business hours do not exist.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::text::Words;

/// How urgent a request is. Every urgent mark needs its reason in words (SIRENE rule).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Urgency {
    /// Not urgent.
    Normal,
    /// Urgent, and the owner has the data directly at hand.
    Urgent(Words),
    /// Urgent, and the owner must get the data from elsewhere.
    UrgentIndirect(Words),
}

/// The agreement's deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Profile {
    /// Regulation (EU) 2024/982 Art. 47: 48 hours; judicial authorisation stops the clock (Art. 47(6)).
    Prum,
    /// Directive (EU) 2023/977 Art. 5(1): 8 hours, 3 days, 7 days; judicial authorisation stops the clock.
    Eu977,
    /// NCIC hit confirmation: 10 minutes, 1 hour; the owner may state more time.
    Ncic,
    /// Regulation (EU) 2018/1862 Art. 8(3): 12 hours. "Immediately" for the urgent is measured as 1 hour.
    Sirene,
    /// What the two agencies agreed on.
    Custom(Custom),
}

/// A profile of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// Minutes for the urgent. At least 1.
    pub urgent_minutes: u32,
    /// Minutes for the urgent whose data are not directly at hand. At least `urgent_minutes`.
    pub urgent_indirect_minutes: u32,
    /// Minutes for all others. At least `urgent_indirect_minutes`.
    pub normal_minutes: u32,
    /// Whether waiting for a judicial authority stops the clock.
    pub stops_for_judicial: bool,
    /// Whether waiting for the requester's answer stops the clock.
    pub stops_for_information: bool,
    /// Whether the owner may state more time.
    pub more_time: bool,
}

const fn custom(urgent: u32, indirect: u32, normal: u32, judicial: bool, more_time: bool) -> Custom {
    Custom {
        urgent_minutes: urgent,
        urgent_indirect_minutes: indirect,
        normal_minutes: normal,
        stops_for_judicial: judicial,
        // Both regimes count from a request that is complete: a question does not stop the clock unless the agencies agree so.
        stops_for_information: false,
        more_time,
    }
}

impl Profile {
    /// What the profile says, in numbers.
    pub fn terms(&self) -> Custom {
        const HOUR: u32 = 60;
        const DAY: u32 = 24 * HOUR;
        match self {
            Self::Prum => custom(2 * DAY, 2 * DAY, 2 * DAY, true, false),
            Self::Eu977 => custom(8 * HOUR, 3 * DAY, 7 * DAY, true, false),
            Self::Ncic => custom(10, 10, HOUR, false, true),
            Self::Sirene => custom(HOUR, HOUR, 12 * HOUR, false, false),
            Self::Custom(custom) => custom.clone(),
        }
    }

    pub(crate) fn holds(&self) -> bool {
        let terms = self.terms();
        (1..=terms.urgent_indirect_minutes).contains(&terms.urgent_minutes)
            && terms.urgent_indirect_minutes <= terms.normal_minutes
            && terms.normal_minutes <= 366 * 24 * 60
    }

    /// How long a decision may take.
    pub fn limit(&self, urgency: &Urgency) -> SignedDuration {
        let terms = self.terms();
        let minutes = match urgency {
            Urgency::Normal => terms.normal_minutes,
            Urgency::Urgent(_) => terms.urgent_minutes,
            Urgency::UrgentIndirect(_) => terms.urgent_indirect_minutes,
        };
        SignedDuration::from_mins(i64::from(minutes))
    }
}

/// The 48 hours in which wrong data must be corrected or deleted (Regulation (EU) 2024/982 Art. 64(1)(m)).
pub fn correction_due(noticed: Timestamp) -> Timestamp {
    later(noticed, SignedDuration::from_hours(48))
}

/// The time of a case, computed from its history whenever it is needed and kept nowhere: nobody can move a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    started: Timestamp,
    limit: SignedDuration,
    /// Time spent in stops that are over.
    stood: SignedDuration,
    stopped: Option<Timestamp>,
    ended: Option<Timestamp>,
    more_until: Option<Timestamp>,
}

/// What the clock shows at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When a decision is due, if the clock does not stop again. While it stands, this moves on with `now`.
    pub due: Timestamp,
    /// What is left; negative if overdue.
    pub left: SignedDuration,
    /// How much of the time is used, 0 to 100, and above if overdue.
    pub percent: u32,
    /// Whether the clock stands still.
    pub stopped: bool,
    /// Whether the decision is late. Both sides compute the same from the same history.
    pub overdue: bool,
    /// The last reminder that is due by now.
    pub reminder: Option<Reminder>,
}

/// Whom to remind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reminder {
    /// Half of the time is used: the desk.
    Half,
    /// 80 % is used: the second desk as well, while it can still act.
    SecondDesk,
    /// The time is used up: the supervisor, and the other side sees it.
    Overdue,
}

impl Clock {
    /// Starts at the receipt of the request.
    pub fn start(at: Timestamp, limit: SignedDuration) -> Self {
        Self {
            started: at,
            limit,
            stood: SignedDuration::ZERO,
            stopped: None,
            ended: None,
            more_until: None,
        }
    }

    pub(crate) fn stop(&mut self, at: Timestamp) {
        self.stopped = self.stopped.or(Some(at));
    }

    pub(crate) fn go_on(&mut self, at: Timestamp) {
        if let Some(stopped) = self.stopped.take() {
            self.stood = self.stood.saturating_add(at.duration_since(stopped));
        }
    }

    pub(crate) fn end(&mut self, at: Timestamp) {
        self.go_on(at);
        self.ended = Some(at);
    }

    pub(crate) fn more(&mut self, until: Timestamp) {
        self.more_until = Some(until);
    }

    /// What it shows at `now`.
    pub fn read(&self, now: Timestamp) -> Reading {
        let now = self.ended.unwrap_or(now).max(self.started);
        let standing = self.stopped.map_or(SignedDuration::ZERO, |since| {
            now.duration_since(since).max(SignedDuration::ZERO)
        });
        let stood = self.stood.saturating_add(standing);
        let due = later(later(self.started, self.limit), stood);
        let due = self.more_until.map_or(due, |until| due.max(until));
        let left = due.duration_since(now);
        let used = now.duration_since(self.started).saturating_sub(stood).as_secs();
        let whole = due
            .duration_since(self.started)
            .saturating_sub(stood)
            .as_secs()
            .max(1);
        let percent = u32::try_from(used.max(0).saturating_mul(100) / whole).unwrap_or(u32::MAX);
        let overdue = left.is_negative();
        let reminder = match percent {
            _ if overdue => Some(Reminder::Overdue),
            100.. => Some(Reminder::Overdue),
            80.. => Some(Reminder::SecondDesk),
            50.. => Some(Reminder::Half),
            _ => None,
        };
        Reading {
            due,
            left,
            percent,
            stopped: self.stopped.is_some(),
            overdue,
            reminder,
        }
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
