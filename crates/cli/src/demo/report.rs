//! What the demo shows at its end.

use std::time::Duration;

use concordat_wire::v1::OfferSummary;
use serde_json::{Value, json};

use super::disclosure::Disclosure;
use super::ledger::Ledgers;
use super::pairs::Score;
use crate::out::{bytes, count, counted};

/// Everything that is worth telling.
pub struct Report {
    /// The side that asks.
    pub left: Known,
    /// The side that is asked.
    pub right: Known,
    /// The arithmetic both nodes use.
    pub engine: String,
    /// How many of its own records the left side found on the right list.
    pub own_records_found: u64,
    /// Pairs found, each kind of each pair counted.
    pub hits: u64,
    /// Against the truth, where it is known.
    pub score: Option<Score>,
    /// The flight.
    pub flight: Flight,
    /// What comparing the lists cost.
    pub intersect: Traffic,
    /// Bytes of the snapshots that the left side fetched.
    pub snapshot_bytes: u64,
    /// The hit that people took to its end.
    pub disclosure: Option<Disclosure>,
    /// Both ledgers, where the nodes were stopped.
    pub ledgers: Option<Ledgers>,
    /// Phases in their order, with the time each took.
    pub phases: Vec<(&'static str, Duration)>,
    /// From the beginning to the last answer.
    pub total: Duration,
}

/// What a side brought.
pub struct Known {
    /// Its name.
    pub agency: &'static str,
    /// Records on its list.
    pub records: u64,
    /// Identifiers made of them.
    pub identifiers: u64,
}

/// One flight.
pub struct Flight {
    /// Seats.
    pub passengers: u64,
    /// Passengers on the right list.
    pub listed: u64,
    /// Passengers that hit in at least one way.
    pub found: u64,
    /// Whether everybody's listing is known.
    pub known: bool,
    /// Found against expected, each kind of each passenger counted.
    pub score: Score,
    /// From the call to the answer, at the caller.
    pub time: Duration,
    /// What it cost.
    pub traffic: Traffic,
}

/// What went over the line between the nodes, before TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Identifiers asked about.
    pub identifiers: u64,
    /// Blinded elements sent: identifiers and dummies.
    pub elements: u64,
    /// Bytes sent by the side that asks.
    pub up: u64,
    /// Bytes it received.
    pub down: u64,
}

impl Traffic {
    /// The sum over offers.
    pub fn of<'a>(offers: impl IntoIterator<Item = &'a OfferSummary>) -> Self {
        offers.into_iter().fold(Self::default(), |sum, offer| Self {
            identifiers: sum.identifiers + offer.identifiers,
            elements: sum.elements + offer.padded_elements,
            up: sum.up + offer.bytes_sent,
            down: sum.down + offer.bytes_received,
        })
    }
}

impl Report {
    /// Nothing missing, nothing false, and ledgers that hold; on given lists, where nobody knows, everything checked to the end.
    pub fn is_exact(&self) -> bool {
        let flight = !self.flight.known || self.flight.score.is_exact();
        let ledgers = self.ledgers.as_ref().is_none_or(Ledgers::is_exact);
        flight && ledgers && self.score.is_none_or(Score::is_exact)
    }

    /// The one object of `--json`; `docs/cli.md` explains every field. `kept` says where the nodes are if they go on.
    pub fn json(&self, kept: Option<Value>) -> Value {
        let mut seconds: serde_json::Map<String, Value> = self
            .phases
            .iter()
            .map(|(name, time)| ((*name).to_owned(), json!(round(time.as_secs_f64()))))
            .collect();
        seconds.insert("total".into(), json!(round(self.total.as_secs_f64())));
        json!({
            "records": { "left": self.left.records, "right": self.right.records },
            "identifiers": { "left": self.left.identifiers, "right": self.right.identifiers },
            "hits": self.hits,
            "missed": self.score.map(|score| score.missed),
            "false_hits": self.score.map(|score| score.false_hits),
            "elements": self.flight.traffic.elements + self.intersect.elements,
            "bytes_up": self.flight.traffic.up + self.intersect.up,
            "bytes_down": self.flight.traffic.down + self.intersect.down + self.snapshot_bytes,
            "seconds": seconds,
            "flight_ms": round(self.flight.time.as_secs_f64() * 1e3),
            "flight": {
                "passengers": self.flight.passengers,
                "listed": self.flight.listed,
                "found": self.flight.found,
                "hits": self.flight.score.hits,
                "missed": self.flight.known.then_some(self.flight.score.missed),
                "false_hits": self.flight.known.then_some(self.flight.score.false_hits),
                "elements": self.flight.traffic.elements,
            },
            "engine": self.engine,
            "disclosure": self.disclosure.as_ref().map(|disclosure| {
                disclosure.json(self.ledgers.as_ref().map(|ledgers| ledgers.verified))
            }),
            "ledger": self.ledgers.as_ref().map(Ledgers::json),
            "kept": kept,
        })
    }

    /// The summary for people.
    pub fn text(&self) -> String {
        let (left, right) = (&self.left, &self.right);
        let row = |name: &str, one: String, other: String| format!("  {name:<9} {one:<36}  {other}\n");
        let mut text = String::from("\n");
        text += &row("", left.agency.into(), right.agency.into());
        text += &row("", "-".repeat(left.agency.len()), "-".repeat(right.agency.len()));
        text += &row("knew", records(left), records(right));
        text += &row("", identifiers(left), identifiers(right));
        let elements = self.flight.traffic.elements + self.intersect.elements;
        text += &row(
            "sent",
            counted(elements, "blinded element"),
            "their evaluations, with proofs".into(),
        );
        text += &row(
            "",
            String::new(),
            format!("{} of padded, sorted tags", bytes(self.snapshot_bytes)),
        );
        text += &row(
            "learned",
            format!(
                "{} of its own records {}",
                count(self.own_records_found),
                if self.own_records_found == 1 { "is" } else { "are" }
            ),
            "how many elements were asked".into(),
        );
        text += &row(
            "",
            "on the other list, and by what".into(),
            "for, when, and for what purpose".into(),
        );
        text += &row(
            "never saw",
            "any other entry of that list".into(),
            "whom it was asked about, or any hit".into(),
        );
        text += "\n";
        text += &format!("  flight    {}\n", self.flight.text());
        text += &format!("  lists     {}\n", self.lists_text());
        if let Some(disclosure) = &self.disclosure {
            text += &format!("  case      {}\n", disclosure.text());
        }
        if let Some(ledgers) = &self.ledgers {
            text += &format!("  ledgers   {}\n", ledgers.text());
        }
        text += "\n";
        text + &self.costs()
    }

    fn lists_text(&self) -> String {
        match self.score {
            Some(score) => format!(
                "{} found, {} missed, {} false",
                counted(score.hits, "hit"),
                count(score.missed),
                count(score.false_hits)
            ),
            None => format!(
                "{} found in {} of its own records",
                counted(self.hits, "hit"),
                count(self.own_records_found)
            ),
        }
    }

    fn costs(&self) -> String {
        let row = |name: &str, seconds: &str, traffic: [String; 3]| {
            let [elements, up, down] = traffic;
            format!("  {name:<12}{seconds:>9}{elements:>12}{up:>12}{down:>12}\n")
                .trim_end()
                .to_owned()
                + "\n"
        };
        let mut text = row("phase", "seconds", ["elements", "up", "down"].map(String::from));
        let of = |traffic: &Traffic| [count(traffic.elements), bytes(traffic.up), bytes(traffic.down)];
        for (name, time) in &self.phases {
            let traffic = match *name {
                "fetch" => [String::new(), String::new(), bytes(self.snapshot_bytes)],
                "flight" => of(&self.flight.traffic),
                "intersect" => of(&self.intersect),
                _ => Default::default(),
            };
            text += &row(name, &format!("{:.2}", time.as_secs_f64()), traffic);
        }
        text += &row(
            "total",
            &format!("{:.2}", self.total.as_secs_f64()),
            Default::default(),
        );
        text + &format!("  engine: {}\n", self.engine)
    }
}

impl Flight {
    fn text(&self) -> String {
        let time = format!("{:.0} ms at the caller", self.time.as_secs_f64() * 1e3);
        let (passengers, found) = (counted(self.passengers, "passenger"), count(self.found));
        if self.known {
            let (
                listed,
                Score {
                    missed, false_hits, ..
                },
            ) = (count(self.listed), self.score);
            format!(
                "{passengers}, {listed} listed: {found} found, {missed} missed, {false_hits} false; {time}"
            )
        } else {
            format!("{passengers}, all invented: {found} found; {time}")
        }
    }
}

fn records(known: &Known) -> String {
    counted(known.records, "record")
}

fn identifiers(known: &Known) -> String {
    counted(known.identifiers, "identifier")
}

/// Milliseconds are precise enough.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::tamper::Tampered;
    use super::*;

    fn report(score: Option<Score>, flight: Score) -> Report {
        let known = || Known {
            agency: "A",
            records: 1_000,
            identifiers: 7_000,
        };
        Report {
            left: known(),
            right: known(),
            engine: "portable".into(),
            own_records_found: 3,
            hits: 4,
            score,
            flight: Flight {
                passengers: 300,
                listed: 6,
                found: 6,
                known: score.is_some(),
                score: flight,
                time: Duration::from_millis(42),
                traffic: Traffic {
                    identifiers: 1,
                    elements: 16,
                    up: 512,
                    down: 600,
                },
            },
            intersect: Traffic {
                identifiers: 10,
                elements: 100,
                up: 3_200,
                down: 3_300,
            },
            snapshot_bytes: 16_384,
            disclosure: None,
            ledgers: Some(Ledgers {
                entries: 40,
                verified: true,
                reconciled: 3,
                unmatched: 0,
                tampered: Vec::new(),
            }),
            phases: vec![
                ("fetch", Duration::from_millis(1_500)),
                ("flight", Duration::from_millis(43)),
            ],
            total: Duration::from_secs(3),
        }
    }

    #[test]
    fn only_an_exact_result_is_a_success() {
        let good = Score {
            hits: 4,
            missed: 0,
            false_hits: 0,
        };
        let bad = Score {
            hits: 4,
            missed: 1,
            false_hits: 0,
        };
        assert!(report(Some(good), good).is_exact());
        assert!(!report(Some(bad), good).is_exact());
        assert!(!report(Some(good), bad).is_exact());
        assert!(report(None, bad).is_exact(), "on given lists nobody knows");
        let ledgers = |verified, unmatched, found| {
            let mut report = report(Some(good), good);
            report.ledgers = Some(Ledgers {
                entries: 40,
                verified,
                reconciled: 3,
                unmatched,
                tampered: vec![Tampered {
                    done: "changed".into(),
                    found,
                }],
            });
            report.is_exact()
        };
        assert!(ledgers(true, 0, Some("found".into())));
        assert!(!ledgers(false, 0, Some("found".into())));
        assert!(!ledgers(true, 1, Some("found".into())));
        assert!(!ledgers(true, 0, None), "something went unnoticed");
    }

    #[test]
    fn the_object_has_every_promised_field() {
        let good = Score {
            hits: 4,
            missed: 0,
            false_hits: 0,
        };
        let value = report(Some(good), good).json(None);
        assert_eq!(value["elements"], 116);
        assert_eq!(value["bytes_up"], 3_712);
        assert_eq!(value["bytes_down"], 20_284);
        assert_eq!(value["seconds"]["fetch"], 1.5);
        assert_eq!(value["flight_ms"], 42.0);
        assert_eq!(value["missed"], 0);
        assert_eq!(value["ledger"]["entries"], 40);
        assert_eq!(value["ledger"]["reconciled"], 3);
        assert_eq!(value["ledger"]["unmatched"], 0);
        assert_eq!(value["ledger"]["verified"], true);
        let unknown = report(None, good).json(None);
        assert!(unknown["missed"].is_null() && unknown["false_hits"].is_null());
    }
}
