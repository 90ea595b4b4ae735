//! From items in clear to verdicts: derive, ask every offer at once, combine.

mod asking;
mod item;
mod verdict;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use concordat_identifiers::{Identifier, Kind, Subject};
use concordat_store::Asked;
use concordat_wire::v1::{
    MatchItem, MatchResponse, OfferSummary, PartnerSummary, QueryContext, Rejection, UnknownReason,
};
use concordat_wire::{Fault, Reason, v1};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::agreement::{Offer, is_label};
use crate::book::Entry;
use crate::desk::hits::{self, Found, Opened, Origin};
use crate::exchange::Recorded;
use crate::listen::Caller;
use crate::state::State;
use asking::{Prepared, ask, open};
pub use asking::{describe, usable_scope};
use item::read_item;
pub use item::{each_once, identifiers_of, kinds_of_field};
use verdict::judge;

/// Cases that one query opens at most; whoever compares whole lists opens them one by one.
const MAX_CASES: usize = 256;

/// How far apart the clocks of two nodes may be, in seconds. A snapshot from further ahead would stay young too long.
pub const CLOCKS_APART_S: i64 = 300;

/// A query's context, checked.
#[derive(Clone, Debug)]
pub struct Context {
    /// Permitted only by offers that name it.
    pub purpose: v1::Purpose,
    /// Permitted only by agreements that name it.
    pub legal_basis: String,
    /// Stays with us.
    pub case_reference: String,
    /// Stays with us: who carries the query out; the client's name unless stated.
    pub officer: String,
    /// Stays with us: who ordered it; who carries it out unless stated.
    pub ordered_by: String,
    /// Stays with us: who called our node, by certificate.
    pub client: String,
}

impl Context {
    /// Purpose, legal basis and case reference are required on every query.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub fn check(context: Option<&QueryContext>, caller: Option<&Caller>) -> Result<Self, Fault> {
        let client = match caller {
            Some(Caller::Client { name, .. }) => name.clone(),
            Some(Caller::Loopback) => "loopback".to_owned(),
            Some(Caller::Partner(_)) | None => {
                return Err(Fault::new(
                    Reason::Unauthenticated,
                    "QRY-012",
                    "only our own systems may ask",
                ));
            }
        };
        let context =
            context.ok_or_else(|| Fault::invalid("QRY-001", "context", "who asks, and why, is required"))?;
        let field = |name: &str| format!("context.{name}");
        if context.purpose() == v1::Purpose::Unspecified {
            return Err(Fault::invalid(
                "QRY-001",
                field("purpose"),
                "a purpose of the code list is required",
            ));
        }
        for (name, text) in [
            ("legal_basis", &context.legal_basis),
            ("case_reference", &context.case_reference),
        ] {
            if !is_label(text) {
                return Err(Fault::invalid(
                    "QRY-001",
                    field(name),
                    "required, 1 to 128 characters",
                ));
            }
        }
        for (name, text) in [("officer", &context.officer), ("ordered_by", &context.ordered_by)] {
            if !text.is_empty() && !is_label(text) {
                return Err(Fault::invalid(
                    "QRY-001",
                    field(name),
                    "1 to 128 characters, or nothing",
                ));
            }
        }
        let or = |text: &String, other: &String| if text.is_empty() { other } else { text }.clone();
        let officer = or(&context.officer, &client);
        Ok(Self {
            purpose: context.purpose(),
            legal_basis: context.legal_basis.clone(),
            case_reference: context.case_reference.clone(),
            ordered_by: or(&context.ordered_by, &officer),
            officer,
            client,
        })
    }

    /// What the record keeps of it, for a query of this id.
    #[must_use]
    pub fn asked(&self, query: Uuid) -> Asked {
        Asked {
            query,
            client: self.client.clone(),
            officer: Zeroizing::new(self.officer.clone()),
            ordered_by: Zeroizing::new(self.ordered_by.clone()),
            case_reference: Zeroizing::new(self.case_reference.clone()),
        }
    }
}

/// A query.
pub struct Query {
    /// Who and why.
    pub context: Context,
    /// What.
    pub items: Vec<MatchItem>,
    /// Whom; empty means all.
    pub partners: Vec<String>,
    /// When a partner is given up.
    pub deadline: Instant,
}

/// An item after normalisation.
struct Item {
    id: String,
    /// As it was read; for a person who compares, should it hit.
    subject: Option<Subject>,
    identifiers: Vec<Identifier>,
    /// Kinds of which a value was rejected.
    spoilt: Vec<Kind>,
    rejections: Vec<Rejection>,
    /// The item could not be read at all.
    unreadable: bool,
}

/// One offer to ask, or the reason why not.
struct Route {
    entry: Arc<Entry>,
    offer: Offer,
    permitted: Result<(), Fault>,
}

/// What an offer answered, by identifier.
struct Answers {
    partner: String,
    kind: Kind,
    found: HashMap<Identifier, Result<bool, UnknownReason>>,
    /// What proves each hit to the partner.
    proofs: HashMap<Identifier, Found>,
    /// In which exchange it answered.
    exchange: Uuid,
    summary: OfferSummary,
    /// Puts on record how it ended; `None` if nobody was asked.
    closing: Option<Recorded>,
}

/// Runs a query.
///
/// # Errors
/// Only for what is wrong with the query itself; everything that goes wrong with a partner is a verdict.
pub async fn run(state: &Arc<State>, query: Query) -> Result<MatchResponse, Fault> {
    let today = state.clock.today();
    let items: Vec<Item> = {
        let raw = query.items;
        tokio::task::spawn_blocking(move || raw.into_iter().map(|item| read_item(item, today)).collect())
            .await
            .map_err(|_| Fault::internal("reading the items"))?
    };
    let routes = routes(state, &query.partners, &query.context)?;
    let id = state.new_uuid();
    let mut prepared = Vec::new();
    for route in &routes {
        let identifiers = items.iter().flat_map(|item| &item.identifiers);
        let wanted = each_once(identifiers, route.offer.kind);
        if !wanted.is_empty() {
            prepared.push(Prepared::of(state, route, wanted, (&query.context, id)));
        }
    }
    let mut prepared = futures_util::future::join_all(prepared).await;
    let recorded = open(
        state,
        prepared
            .iter_mut()
            .filter_map(|asked| asked.record.take())
            .collect(),
    );
    let asked = prepared.into_iter();
    let asked = asked.map(|asked| ask(state, asked, recorded.clone(), query.deadline));
    let mut answers = futures_util::future::join_all(asked).await;
    let closing: Vec<_> = answers
        .iter_mut()
        .filter_map(|answer| answer.closing.take())
        .collect();
    let partners = partner_ids(&routes);
    let opened = open_cases(state, &query.context, &items, &routes, &answers).await?;
    let results = items
        .into_iter()
        .zip(opened)
        .map(|(item, opened)| {
            let mut result = judge(item, &partners, &routes, &answers);
            for verdict in &mut result.partners {
                let of_partner = opened
                    .iter()
                    .filter(|(partner, _)| *partner == verdict.partner_id);
                for (_, opened) in of_partner {
                    match opened {
                        Opened::Case { id, state } => {
                            verdict.case_ids.push(id.to_string());
                            verdict.case_states.push(state.clone());
                        }
                        Opened::KnownFalse => verdict.known_false = true,
                        Opened::NoTerms => {}
                    }
                }
            }
            result
        })
        .collect();
    let partners = partners
        .iter()
        .map(|partner| PartnerSummary {
            partner_id: partner.clone(),
            offers: answers
                .iter()
                .filter(|answer| answer.partner == *partner)
                .map(|answer| answer.summary.clone())
                .collect(),
        })
        .collect();
    for closed in closing {
        // On disk before the caller is answered.
        closed.await?;
    }
    Ok(MatchResponse {
        results,
        partners,
        query_id: id.to_string(),
    })
}

/// Opens a case for each item and offer that hit, on its best identifier. Per item: with which partner, and what became of it.
///
/// # Errors
/// The database or the ledger failed: a hit that nobody would look at is not told.
async fn open_cases(
    state: &Arc<State>,
    context: &Context,
    items: &[Item],
    routes: &[Route],
    answers: &[Answers],
) -> Result<Vec<Vec<(String, Opened)>>, Fault> {
    let mut left = MAX_CASES;
    let mut opened = Vec::with_capacity(items.len());
    for item in items {
        let mut of_item = Vec::new();
        for answer in answers {
            let found = item
                .identifiers
                .iter()
                .filter_map(|identifier| answer.proofs.get(identifier));
            let best = found.min_by_key(|found| (found.identifier.grade(), found.identifier.rule()));
            let route = routes.iter().find(|route| {
                route.entry.agreement.id == answer.summary.agreement_id
                    && route.offer.id == answer.summary.offer_id
            });
            let (Some(best), Some(route), Some(subject)) = (best, route, &item.subject) else {
                continue;
            };
            if left == 0 || context.purpose == v1::Purpose::AuditCanary {
                continue;
            }
            left -= 1;
            let origin = Origin {
                context,
                entry: &route.entry,
                offer: &route.offer,
                epoch: answer.summary.epoch,
                exchange: answer.exchange,
                item: &item.id,
                subject,
            };
            of_item.push((answer.partner.clone(), hits::open(state, &origin, best).await?));
        }
        opened.push(of_item);
    }
    Ok(opened)
}

/// Every offer in which we may ask the wanted partners, permitted or not.
fn routes(state: &State, partners: &[String], context: &Context) -> Result<Vec<Route>, Fault> {
    let now = state.clock.now();
    let mut routes = Vec::new();
    let entries = state.book.all();
    for (index, partner) in partners.iter().enumerate() {
        let may_ask = |entry: &Arc<Entry>| {
            let offers = &entry.agreement.offers;
            entry.partner.id == *partner && offers.iter().any(|offer| offer.requester == state.us())
        };
        if !entries.iter().any(may_ask) {
            return Err(Fault::invalid(
                "QRY-004",
                format!("partners[{index}]"),
                "there is no agreement under which we may ask this partner",
            ));
        }
    }
    for entry in entries {
        if !partners.is_empty() && !partners.contains(&entry.partner.id) {
            continue;
        }
        for offer in entry
            .agreement
            .offers
            .iter()
            .filter(|offer| offer.requester == state.us())
        {
            let permitted = in_force(&entry).and_then(|()| {
                entry
                    .agreement
                    .permits(offer, context.purpose, &context.legal_basis, now)
            });
            routes.push(Route {
                entry: Arc::clone(&entry),
                offer: offer.clone(),
                permitted,
            });
        }
    }
    // Where one offer of a partner and kind permits the query, others that do not say nothing about it.
    let permitted: Vec<(String, Kind)> = routes
        .iter()
        .filter(|route| route.permitted.is_ok())
        .map(|route| (route.entry.partner.id.clone(), route.offer.kind))
        .collect();
    let covered = |route: &Route| {
        permitted
            .iter()
            .any(|(partner, kind)| *partner == route.entry.partner.id && *kind == route.offer.kind)
    };
    routes.retain(|route| route.permitted.is_ok() || !covered(route));
    if routes.is_empty() {
        return Err(Fault::new(
            Reason::Precondition,
            "QRY-005",
            "there is no agreement under which we may ask anybody",
        ));
    }
    Ok(routes)
}

/// Whether an agreement may be used now.
///
/// # Errors
/// It is only proposed, or suspended.
pub fn in_force(entry: &Entry) -> Result<(), Fault> {
    if entry.status == concordat_store::AgreementStatus::Active {
        return Ok(());
    }
    Err(Fault::new(
        Reason::NotPermitted,
        "AGR-112",
        format!("agreement {} is {}", entry.agreement.id, entry.status.as_str()),
    ))
}

fn partner_ids(routes: &[Route]) -> Vec<String> {
    let ids: BTreeSet<&str> = routes
        .iter()
        .map(|route| route.entry.partner.id.as_str())
        .collect();
    ids.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use concordat_identifiers::Other;

    use super::*;

    #[test]
    fn a_rejected_field_spoils_its_kind_only() {
        let subject = Subject {
            names: vec![],
            births: vec![],
            documents: vec![],
            others: vec![Other::Phone("1".into()), Other::Vin("2".into())],
        };
        assert_eq!(kinds_of_field(&subject, "names[0]"), [Kind::Person]);
        assert_eq!(kinds_of_field(&subject, "births"), [Kind::Person]);
        assert_eq!(
            kinds_of_field(&subject, "documents[3].number"),
            [Kind::TravelDocument]
        );
        assert_eq!(kinds_of_field(&subject, "others[1]"), [Kind::Vin]);
        assert_eq!(kinds_of_field(&subject, "others"), [Kind::Phone, Kind::Vin]);
        assert_eq!(kinds_of_field(&subject, ""), [Kind::Phone, Kind::Vin]);
    }
}
