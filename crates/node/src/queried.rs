//! Which identifiers a query of ours was about, shown to an auditor one by one.
//!
//! The ledger has no identifier, only a keyed commitment to those of each query. Here they are derived again from what the query
//! was about, as it was derived then, held to the commitment, and those of the items named are opened. That test tells whoever
//! calls whether a guess is right, so it is made only after the opening of the entry is on record.

use std::collections::HashSet;

use concordat_identifiers::{Identifier, Kind};
use concordat_ledger::{
    AuditKey, Entry, Event, IdentifierCommitment, IdentifierOpening, MAX_OPENED_IDENTIFIERS, Query,
};
use concordat_wire::v1::{MatchItem, QueriedItems};
use concordat_wire::{Fault, MAX_MATCH_ITEMS, Reason};
use jiff::civil::Date;
use uuid::Uuid;

use crate::asked;
use crate::matching::{each_once, identifiers_of};

/// The items of a query, given again, checked.
pub struct Given {
    items: Vec<MatchItem>,
    /// Those whose identifiers are to be opened.
    open: HashSet<String>,
}

/// An item's identifiers, and whether they are to be opened.
type Item = (Vec<Identifier>, bool);

impl Given {
    /// Checks the form of what was given.
    ///
    /// # Errors
    /// Names what the caller has to mend.
    pub fn check(message: QueriedItems) -> Result<Self, Fault> {
        let invalid = |field: &str, message: &str| Err(Fault::invalid("AUD-014", field, message));
        let QueriedItems { items, open } = message;
        if items.is_empty() || items.len() > MAX_MATCH_ITEMS {
            let message = format!("1 to {MAX_MATCH_ITEMS} items");
            return invalid("queried.items", &message);
        }
        let ids: HashSet<&str> = items.iter().map(|item| item.item_id.as_str()).collect();
        if ids.len() < items.len() {
            return invalid("queried.items", "an item's id is unique within the request");
        }
        if open.is_empty() || !open.iter().all(|id| ids.contains(id.as_str())) {
            let message = "name one or more of the items given: those whose identifiers are opened";
            return invalid("queried.open", message);
        }
        Ok(Self {
            open: open.into_iter().collect(),
            items,
        })
    }

    /// Opens the identifiers of the items named, if all the items are those that the query of this entry was about. Takes some
    /// time: not for a thread of the runtime.
    ///
    /// # Errors
    /// The entry commits to no identifiers, or to others.
    pub fn open(&self, key: &AuditKey, entry: &Entry) -> Result<Vec<IdentifierOpening>, Fault> {
        let (query, commitment) = committed(entry)?;
        let at = entry.at.to_zoned(jiff::tz::TimeZone::UTC).date();
        // A query that ended after midnight was derived on the day before.
        let days = std::iter::once(at).chain(at.yesterday().ok());
        for today in days {
            let items = self.derive(today);
            for kind in Kind::ALL {
                let asked = asked_about(&items, kind);
                let exchange = Uuid::from_bytes(query.exchange.0);
                if asked.len() as u64 == commitment.count
                    && asked::commit(key, exchange, &asked).as_ref() == Some(commitment)
                {
                    return openings(key, query, &items, &asked);
                }
            }
        }
        let message = "what was given is not what this query was about: give all that was asked about together, nothing else, \
                       in the same order and as it was written then; one query makes an entry for each partner and kind";
        Err(Fault::invalid("AUD-016", "queried.items", message))
    }

    fn derive(&self, today: Date) -> Vec<Item> {
        let derive = |item: &MatchItem| {
            (
                identifiers_of(item, today),
                self.open.contains(item.item_id.as_str()),
            )
        };
        self.items.iter().map(derive).collect()
    }
}

fn committed(entry: &Entry) -> Result<(&Query, &IdentifierCommitment), Fault> {
    if let Event::Query(query) = &entry.event
        && let Some(commitment) = &query.identifiers
    {
        return Ok((query, commitment));
    }
    let message = "the entry commits to no identifiers: only a query that came to its end does, and none that compares whole lists";
    Err(Fault::new(Reason::Precondition, "AUD-015", message).field("number"))
}

fn asked_about(items: &[Item], kind: Kind) -> Vec<Identifier> {
    each_once(items.iter().flat_map(|(identifiers, _)| identifiers), kind)
}

fn openings(
    key: &AuditKey,
    query: &Query,
    items: &[Item],
    asked: &[Identifier],
) -> Result<Vec<IdentifierOpening>, Fault> {
    let chosen: HashSet<&Identifier> = items
        .iter()
        .filter(|(_, open)| *open)
        .flat_map(|(identifiers, _)| identifiers)
        .collect();
    let positions: Vec<usize> = (0..asked.len())
        .filter(|position| chosen.contains(&asked[*position]))
        .collect();
    let invalid = |message: String| Err(Fault::invalid("AUD-017", "queried.open", message));
    if positions.is_empty() {
        let message = "the items named have nothing of the kind that this entry is about: another entry of the same query may be";
        return invalid(message.to_owned());
    }
    if positions.len() > MAX_OPENED_IDENTIFIERS {
        return invalid(format!(
            "the items named have more than {MAX_OPENED_IDENTIFIERS} identifiers: name fewer"
        ));
    }
    let queried = asked::queried(asked);
    positions
        .into_iter()
        .map(|position| IdentifierOpening::new(key, &query.exchange, &queried, position))
        .collect::<Option<_>>()
        .ok_or_else(|| Fault::internal("opening an identifier"))
}

#[cfg(test)]
mod tests {
    use concordat_ledger::{Digest, ExchangeId, Hex, Scope, VerdictCounts, Why};
    use concordat_wire::subject_to_proto;
    use concordat_wire::v1::match_item;
    use jiff::Timestamp;

    use super::*;
    use crate::ledger::{person, text};

    const EXCHANGE: ExchangeId = Hex([7; 16]);

    fn entry(at: &str, identifiers: Option<IdentifierCommitment>) -> Entry {
        let query = Query {
            exchange: EXCHANGE,
            step: 0,
            by: person("officer-1"),
            ordered_by: person("officer-1"),
            why: Why {
                purpose: text("FUGITIVE"),
                legal_basis: text("Art. 26"),
                case_reference: text("case-1"),
            },
            partner: text("bb"),
            scope: Scope {
                agreement: text("aa-bb"),
                offer: text("people"),
                epoch: 0,
            },
            elements: 64,
            items: 1,
            transcript: Digest::parse(&"0".repeat(64)).expect("a digest"),
            interrupted: false,
            identifiers,
            verdicts: VerdictCounts {
                hit: 0,
                no_hit: 1,
                unknown: 0,
            },
        };
        let at: Timestamp = at.parse().expect("a time");
        Entry::new(at, query)
    }

    fn item(id: &str, subject: &concordat_identifiers::Subject) -> MatchItem {
        MatchItem {
            item_id: id.into(),
            what: Some(match_item::What::Subject(subject_to_proto(subject))),
        }
    }

    fn named(day: i16) -> concordat_identifiers::Subject {
        let json = format!(
            r#"{{"names":[{{"rank":"primary","text":{{"parts":{{"primary":"DEROZA","secondary":"ELENA"}}}}}}],
                "births":[{{"day":{{"year":2026,"month":11,"day":{day}}}}}]}}"#
        );
        serde_json::from_str(&json).expect("a subject")
    }

    /// A date of birth that was yet to come is none: derivation depends on the day.
    #[test]
    fn a_query_that_ended_after_midnight_is_derived_on_the_day_before() {
        let key = AuditKey::new([9; 32]);
        let items = vec![item("old", &named(1)), item("new", &named(21))];
        let given = Given::check(QueriedItems {
            items: items.clone(),
            open: vec!["old".into()],
        })
        .expect("well formed");
        let day: Date = "2026-11-20".parse().expect("a day");
        let asked = asked_about(&given.derive(day), Kind::Person);
        let today = asked_about(&given.derive(day.tomorrow().expect("a day")), Kind::Person);
        assert!(
            !asked.is_empty() && asked.len() < today.len(),
            "{} {}",
            asked.len(),
            today.len()
        );
        let commitment = asked::commit(&key, Uuid::from_bytes(EXCHANGE.0), &asked);
        for (at, opens) in [
            ("2026-11-20T23:59:59Z", true),
            ("2026-11-21T00:00:01Z", true),
            ("2026-11-22T00:00:01Z", false),
        ] {
            let opened = given.open(&key, &entry(at, commitment));
            assert_eq!(opened.is_ok(), opens, "{at}");
            for opening in opened.into_iter().flatten() {
                opening.verify(&commitment.expect("some")).expect("it holds");
            }
        }
        let none = given.open(&key, &entry("2026-11-20T12:00:00Z", None));
        assert_eq!(none.expect_err("refused").rule, "AUD-015");
    }

    /// Of a biometric one only that it was used, whoever it was.
    #[test]
    fn a_biometric_one_is_not_shown() {
        let key = AuditKey::new([9; 32]);
        let subject = concordat_identifiers::Subject {
            others: vec![concordat_identifiers::Other::BiometricReference {
                system: "EURODAC".into(),
                number: "NL123".into(),
            }],
            ..Default::default()
        };
        let given = Given::check(QueriedItems {
            items: vec![item("1", &subject)],
            open: vec!["1".into()],
        })
        .expect("well formed");
        let at = "2026-11-20T12:00:00Z";
        let asked = asked_about(
            &given.derive("2026-11-20".parse().expect("a day")),
            Kind::BiometricReference,
        );
        let commitment = asked::commit(&key, Uuid::from_bytes(EXCHANGE.0), &asked).expect("some");
        let opened = given.open(&key, &entry(at, Some(commitment))).expect("opened");
        assert_eq!(opened.len(), 1);
        assert_eq!(opened[0].canonical, None);
        opened[0].verify(&commitment).expect("it holds");
    }
}
