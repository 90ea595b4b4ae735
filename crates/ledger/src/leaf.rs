//! What the tree holds, and so what everybody who may read the log sees: the entry's public part.
//!
//! A leaf is one line of canonical JSON (RFC 8785: keys sorted, no spaces, integers only). JSON because an auditor's own script reads it
//! without a library of ours; canonical because a hash needs one way to write a thing.
//!
//! ```json
//! {"class":"exchange","commitment":"…64","erase_after":"2029-11-22","facts":"…64","n":17,"tag":"…32","time":"2026-11-21T20:00:00Z","v":1}
//! {"class":"upkeep","commitment":"…64","n":18,"time":"2026-11-21T20:00:00Z","v":1}
//! {"cause":"due","class":"erasure","commitment":"…64","erased":"0-99,105","n":19,"time":"2030-01-01T03:00:00Z","v":1}
//! ```
//!
//! Why so little: a partner may read this log. From the *type* of entries it could see, for example, that a query was followed by a
//! detail request somewhere, so that there was a hit; so the leaf shows one of four classes, and the type is in the sealed payload. Times
//! are whole hours. The partner is not named. The tag is a keyed hash that only the two parties of that exchange can compute, another for
//! each side and each step, so that a third party can neither join two logs nor two entries of one.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::bytes::{Digest, Hex};
use crate::tile::{MAX_ENTRY_BYTES, MAX_SIZE, decimal};

const SECONDS_PER_HOUR: i64 = 3600;
/// Years that RFC 3339 can write and an agency's clock can show.
const HOURS: std::ops::Range<i64> = 0..70_389_528;

/// A whole hour, in hours since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour in which `time` lies; the first or last there is for times before 1970 or after 9999.
    pub fn of(time: Timestamp) -> Self {
        let hours = time.as_second().div_euclid(SECONDS_PER_HOUR);
        Self(hours.clamp(HOURS.start, HOURS.end - 1))
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0 * SECONDS_PER_HOUR).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The day in UTC.
    pub fn date(self) -> Date {
        TimeZone::UTC.to_datetime(self.start()).date()
    }

    /// Hours since the Unix epoch.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// The public part of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What kind of thing happened, as coarsely as can be.
    pub class: Class,
    /// When.
    pub time: Hour,
    /// The first day (UTC) on which the payload must be gone; `None` if it is kept.
    pub erase_after: Option<Date>,
    /// The salted commitment to the payload.
    pub commitment: Digest,
}

/// What an entry is about, as far as everybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Something between the agency and a partner about an inquiry: a query, an answer, a refusal, a request for details, a decision, a
    /// release, a receipt.
    Exchange(Join),
    /// Lists, snapshots, keys, agreements, configuration.
    Upkeep,
    /// Who came in, who was refused, what an auditor opened.
    Access,
    /// Payloads were destroyed.
    Erasure {
        /// Of which entries.
        erased: Ranges,
        /// Why.
        cause: Cause,
    },
}

impl Class {
    /// The word in the leaf.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Upkeep => "upkeep",
            Self::Access => "access",
            Self::Erasure { .. } => "erasure",
        }
    }
}

/// Why payloads were destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Their day had come.
    Due,
    /// Before their day, because somebody entitled ordered it. The order is in the payload.
    Ordered,
}

/// What joins an entry to its counterpart in the partner's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Join {
    /// Names the entry to those who know the exchange's id.
    pub tag: Hex<16>,
    /// Commits to what both sides must agree on. Equal facts under another tag look unrelated.
    pub facts: Digest,
}

/// Which side of an exchange an entry is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Who asks.
    Requester,
    /// Who is asked.
    Owner,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Owner => "owner",
        }
    }
}

impl Join {
    /// The join of an entry of type `kind` about the exchange with id `exchange`; `step` tells entries of one type apart.
    ///
    /// The id is the key: it is random, and only the two parties have it. `transcript` and `elements` are what both must have alike.
    pub fn new(
        exchange: &Hex<16>,
        side: Side,
        kind: &str,
        step: u32,
        transcript: &Digest,
        elements: u64,
    ) -> Self {
        let step = step.to_be_bytes();
        let place = [side.name().as_bytes(), kind.as_bytes(), &step];
        let elements = elements.to_be_bytes();
        let facts = [&place[..], &[&transcript.0, &elements]].concat();
        let tag = keyed(&exchange.0, "concordat/v1/ledger-tag", &place);
        Self {
            tag: Hex(first_16(&tag)),
            facts: Hex(keyed(&exchange.0, "concordat/v1/ledger-facts", &facts)),
        }
    }
}

/// Sets of entries, as ranges in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// As many as fit into a leaf with certainty: two numbers of 19 digits and two signs each.
    pub const MAX: usize = 1500;

    /// Ranges over `indices`, which are in strictly increasing order. Takes as many as fit into one leaf; the rest is left in the
    /// iterator for the next. `None` if they are out of order, or there are none.
    pub fn take(indices: &mut std::iter::Peekable<impl Iterator<Item = u64>>) -> Option<Self> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        while let Some(&index) = indices.peek() {
            let full = ranges.len() == Self::MAX;
            match ranges.last_mut() {
                Some((_, last)) if index <= *last => return None,
                Some((_, last)) if index == *last + 1 => *last = index,
                _ if full => break,
                _ => ranges.push((index, index)),
            }
            indices.next();
        }
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// The ranges, both ends included.
    pub fn iter(&self) -> impl Iterator<Item = std::ops::RangeInclusive<u64>> {
        self.0.iter().map(|&(first, last)| first..=last)
    }

    /// How many entries.
    pub fn count(&self) -> u64 {
        let count = |&(first, last): &(u64, u64)| last - first + 1;
        self.0.iter().map(count).fold(0, u64::saturating_add)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (decimal(first)?, decimal(last)?),
                None => (decimal(part)?, decimal(part)?),
            };
            // In order, with a gap between any two; u64::MAX as an end could not be followed.
            let after = ranges
                .last()
                .is_none_or(|&(_, end)| end.checked_add(1).is_some_and(|next| first > next));
            if !after || last < first || last == u64::MAX || ranges.len() == Self::MAX {
                return None;
            }
            ranges.push((first, last));
        }
        Some(Self(ranges))
    }

    fn write(&self, text: &mut String) {
        for (i, (first, last)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            // Writing to a string does not fail.
            let _ = match first == last {
                true => write!(text, "{comma}{first}"),
                false => write!(text, "{comma}{first}-{last}"),
            };
        }
    }
}

impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        self.write(&mut text);
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected ranges in order"))
    }
}

impl Leaf {
    /// The bytes of entry `index`, as they are hashed into the tree.
    pub fn encode(&self, index: u64) -> Vec<u8> {
        self.text(Some(index)).into_bytes()
    }

    /// The leaf before it has a number: what an outbox keeps.
    pub fn draft(&self) -> String {
        self.text(None)
    }

    /// Reads [`draft`](Self::draft). `None` unless it is written in the one way.
    pub fn parse_draft(text: &str) -> Option<Self> {
        match parse(text)? {
            (None, leaf) => Some(leaf),
            _ => None,
        }
    }

    /// Reads an entry and its number. `None` unless it is written in the one way, in a version that is known.
    pub fn parse(bytes: &[u8]) -> Option<(u64, Self)> {
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() <= MAX_ENTRY_BYTES)?;
        match parse(text)? {
            (Some(index), leaf) => Some((index, leaf)),
            _ => None,
        }
    }

    fn text(&self, index: Option<u64>) -> String {
        let mut text = String::with_capacity(320);
        // Writing to a string does not fail.
        let _ = self.write(&mut text, index);
        text
    }

    /// Keys in the order of their bytes.
    fn write(&self, text: &mut String, index: Option<u64>) -> std::fmt::Result {
        text.push('{');
        if let Class::Erasure { cause, .. } = &self.class {
            let cause = match cause {
                Cause::Due => "due",
                Cause::Ordered => "ordered",
            };
            write!(text, "\"cause\":\"{cause}\",")?;
        }
        write!(
            text,
            "\"class\":\"{}\",\"commitment\":\"{}\",",
            self.class.name(),
            self.commitment
        )?;
        if let Some(date) = self.erase_after {
            write!(text, "\"erase_after\":\"{date}\",")?;
        }
        match &self.class {
            Class::Erasure { erased, .. } => {
                text.push_str("\"erased\":\"");
                erased.write(text);
                text.push_str("\",");
            }
            Class::Exchange(join) => write!(text, "\"facts\":\"{}\",", join.facts)?,
            Class::Upkeep | Class::Access => {}
        }
        if let Some(index) = index {
            write!(text, "\"n\":{index},")?;
        }
        if let Class::Exchange(join) = &self.class {
            write!(text, "\"tag\":\"{}\",", join.tag)?;
        }
        write!(
            text,
            "\"time\":\"{}T{:02}:00:00Z\",\"v\":1}}",
            self.time.date(),
            self.time.0.rem_euclid(24)
        )
    }
}

/// There is one way to write a leaf, so reading is walking along it.
fn parse(text: &str) -> Option<(Option<u64>, Leaf)> {
    let mut rest = text.strip_prefix('{')?;
    let cause = match optional(&mut rest, "\"cause\":\"", "\",") {
        Some("due") => Some(Cause::Due),
        Some("ordered") => Some(Cause::Ordered),
        Some(_) => return None,
        None => None,
    };
    let class = optional(&mut rest, "\"class\":\"", "\",")?;
    let commitment = Hex::parse(optional(&mut rest, "\"commitment\":\"", "\",")?)?;
    let erase_after = match optional(&mut rest, "\"erase_after\":\"", "\",") {
        Some(date) => Some(parse_date(date)?),
        None => None,
    };
    let erased = optional(&mut rest, "\"erased\":\"", "\",");
    let facts = optional(&mut rest, "\"facts\":\"", "\",");
    let index = match optional(&mut rest, "\"n\":", ",") {
        Some(number) => Some(decimal(number).filter(|number| *number < MAX_SIZE)?),
        None => None,
    };
    let tag = optional(&mut rest, "\"tag\":\"", "\",");
    let time = parse_hour(optional(&mut rest, "\"time\":\"", "\",")?)?;
    if rest != "\"v\":1}" {
        return None;
    }
    let class = match (class, cause, erased, facts, tag) {
        ("upkeep", None, None, None, None) => Class::Upkeep,
        ("access", None, None, None, None) => Class::Access,
        ("erasure", Some(cause), Some(erased), None, None) => Class::Erasure {
            erased: Ranges::parse(erased)?,
            cause,
        },
        ("exchange", None, None, Some(facts), Some(tag)) => Class::Exchange(Join {
            tag: Hex::parse(tag)?,
            facts: Hex::parse(facts)?,
        }),
        _ => return None,
    };
    let leaf = Leaf {
        class,
        time,
        erase_after,
        commitment,
    };
    Some((index, leaf))
}

fn optional<'a>(rest: &mut &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (value, after) = rest.strip_prefix(start)?.split_once(end)?;
    *rest = after;
    Some(value)
}

fn parse_hour(text: &str) -> Option<Hour> {
    let (date, time) = text.split_once('T')?;
    let hour = time.strip_suffix(":00:00Z").filter(|hour| hour.len() == 2)?;
    let hour: u8 = hour
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| hour.parse().ok())??;
    let start = parse_date(date)?.at(i8::try_from(hour).ok().filter(|h| *h < 24)?, 0, 0, 0);
    let hour = Hour(TimeZone::UTC.to_timestamp(start).ok()?.as_second() / SECONDS_PER_HOUR);
    HOURS.contains(&hour.0).then_some(hour)
}

/// `YYYY-MM-DD`, 1970 to 9999.
fn parse_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| {
        let digits = &bytes[range];
        let digit = |sum: i16, b: &u8| b.is_ascii_digit().then(|| sum * 10 + i16::from(b - b'0'));
        digits.iter().try_fold(0, digit)
    };
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    Date::new(year, month as i8, day as i8)
        .ok()
        .filter(|date| date.year() >= 1970)
}

/// HMAC-SHA256 over parts, each after its length.
pub(crate) fn keyed(key: &[u8], domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn first_16(bytes: &[u8; 32]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    first
}
