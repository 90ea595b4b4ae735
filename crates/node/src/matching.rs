//! From items in clear to verdicts: derive, ask every offer at once, combine.

mod verdict;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use concordat_identifiers::{Identifier, Kind, Other, Severity, Subject};
use concordat_oprf::Client;
use concordat_store::{Answered, Asked, Exchange as ExchangeRow, NewEntry, ScopeId};
use concordat_wire::v1::{
    MatchItem, MatchResponse, OfferSummary, OfferTimings, PartnerSummary, QueryContext, Rejection,
    UnknownReason, match_item,
};
use concordat_wire::{Fault, Reason, kind_to_proto, subject_from_proto, v1};
use futures_util::FutureExt;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::agreement::{Agreement, Offer, is_label, purpose_name};
use crate::asked::{self, Outcome, Question};
use crate::book::{Entry, scope_to_proto, store_fault};
use crate::chunk::{CanarySeeds, ChunkInput, layout};
use crate::compute::Priority;
use crate::desk::hits::{self, Found, Opened, Origin};
use crate::exchange::{AnsweredChunk, Contains, Exchange, Failure, Recorded, Stats, late};
use crate::held::{HeldScope, lookup_of};
use crate::listen::Caller;
use crate::state::State;
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
    /// What is to be recorded of it; `None` if nobody was asked.
    ended: Option<(Question, Outcome)>,
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
        let mut wanted: Vec<Identifier> = Vec::new();
        let mut seen: HashSet<&Identifier> = HashSet::new();
        for identifier in items.iter().flat_map(|item| &item.identifiers) {
            if identifier.kind() == route.offer.kind && seen.insert(identifier) {
                wanted.push(identifier.clone());
            }
        }
        if !wanted.is_empty() {
            prepared.push(Prepared::of(state, route, wanted, (&query.context, id)).await);
        }
    }
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
    let ended = answers.iter_mut().filter_map(|answer| answer.ended.take());
    let ended: Vec<_> = ended.collect();
    // On disk before the caller is answered; what the answer says is worked out meanwhile.
    let closed = {
        let state = Arc::clone(state);
        tokio::spawn(async move { close(&state, ended).await })
    };
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
                        Opened::Case(case) => verdict.case_ids.push(case.to_string()),
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
    closed.await.map_err(|_| Fault::internal("recording a query"))??;
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

fn read_item(item: MatchItem, today: jiff::civil::Date) -> Item {
    let rejection = |field: &str, rule: &str, reason: String, notice| Rejection {
        line: 0,
        field: field.to_owned(),
        rule: rule.to_owned(),
        reason,
        notice,
    };
    let subject = match &item.what {
        Some(match_item::What::Subject(subject)) => subject_from_proto(subject)
            .map_err(|error| rejection(&error.field, "QRY-010", error.reason.to_owned(), false)),
        Some(match_item::What::Mrz(lines)) => concordat_identifiers::mrz::parse(lines, today)
            .map(|mrz| mrz.subject())
            .map_err(|error| rejection("mrz", "QRY-011", error.to_string(), false)),
        None => Err(rejection(
            "what",
            "QRY-010",
            "give a subject or a machine-readable zone".into(),
            false,
        )),
    };
    match subject {
        Err(rejection) => Item {
            id: item.item_id,
            subject: None,
            identifiers: Vec::new(),
            spoilt: Vec::new(),
            rejections: vec![rejection],
            unreadable: true,
        },
        Ok(subject) => {
            let derived = concordat_identifiers::derive(&subject, today);
            let mut spoilt = Vec::new();
            for rejected in derived
                .rejections
                .iter()
                .filter(|rejected| rejected.severity == Severity::Reject)
            {
                spoilt.extend(kinds_of_field(&subject, &rejected.field));
            }
            let identifiers: Vec<Identifier> = derived
                .identifiers
                .into_iter()
                .filter(|identifier| !identifier.is_variant())
                .collect();
            Item {
                id: item.item_id,
                subject: Some(subject),
                unreadable: identifiers.is_empty() && spoilt.is_empty(),
                identifiers,
                spoilt,
                rejections: derived
                    .rejections
                    .into_iter()
                    .map(|rejected| {
                        let notice = rejected.severity == Severity::Notice;
                        rejection(&rejected.field, rejected.rule, rejected.reason, notice)
                    })
                    .collect(),
            }
        }
    }
}

/// The kinds that a rejected field would have made.
pub fn kinds_of_field(subject: &Subject, field: &str) -> Vec<Kind> {
    let stem = field.split(['[', '.']).next().unwrap_or_default();
    match stem {
        "names" | "births" => vec![Kind::Person],
        "documents" => vec![Kind::TravelDocument],
        "others" => {
            let index = field
                .split(['[', ']'])
                .nth(1)
                .and_then(|index| index.parse::<usize>().ok());
            match index.and_then(|index| subject.others.get(index)) {
                Some(other) => vec![kind_of_other(other)],
                None => subject.others.iter().map(kind_of_other).collect(),
            }
        }
        // About the subject as a whole: every kind it has.
        _ => {
            let mut kinds: Vec<Kind> = subject.others.iter().map(kind_of_other).collect();
            kinds.extend((!subject.names.is_empty()).then_some(Kind::Person));
            kinds.extend((!subject.documents.is_empty()).then_some(Kind::TravelDocument));
            kinds
        }
    }
}

fn kind_of_other(other: &Other) -> Kind {
    match other {
        Other::NationalId { .. } => Kind::NationalId,
        Other::BiometricReference { .. } => Kind::BiometricReference,
        Other::BiometricRecordDigest { .. } => Kind::BiometricRecordDigest,
        Other::Phone(_) => Kind::Phone,
        Other::Email(_) => Kind::Email,
        Other::Iban(_) => Kind::Iban,
        Other::VehiclePlate { .. } => Kind::VehiclePlate,
        Other::Vin(_) => Kind::Vin,
    }
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

/// What one offer is to be asked.
struct Prepared<'a> {
    route: &'a Route,
    wanted: Vec<Identifier>,
    summary: OfferSummary,
    start: Instant,
    /// The request, or why it cannot be asked.
    request: Result<Request, Failure>,
    /// What puts it on record.
    record: Option<(Result<NewEntry, Fault>, ExchangeRow)>,
}

/// One request to a partner.
struct Request {
    question: Question,
    open: v1::EvaluateOpen,
    client: Client,
    canaries: CanarySeeds,
    contains: Contains,
    chunks: Vec<ChunkInput>,
    /// Which identifiers are in each chunk.
    numbers: Vec<Vec<usize>>,
}

impl<'a> Prepared<'a> {
    async fn of(
        state: &Arc<State>,
        route: &'a Route,
        wanted: Vec<Identifier>,
        (context, query): (&Context, Uuid),
    ) -> Self {
        let start = Instant::now();
        let mut summary = OfferSummary {
            agreement_id: route.entry.agreement.id.clone(),
            offer_id: route.offer.id.clone(),
            kind: kind_to_proto(route.offer.kind).into(),
            identifiers: wanted.len() as u64,
            ..OfferSummary::default()
        };
        let request = request(state, route, &wanted, context, &mut summary).await;
        let (request, record) = match request {
            Ok((request, scope)) => {
                let question = &request.question;
                let row = ExchangeRow {
                    id: question.exchange,
                    at_ms: state.now_ms(),
                    partner: route.entry.partner.id.clone(),
                    scope: Some(scope),
                    purpose: purpose_name(context.purpose).to_owned(),
                    legal_basis: context.legal_basis.clone(),
                    elements: question.elements,
                    asked: Some(context.asked(query)),
                };
                let entry = question.opened(state, wanted.len() as u64, &[]);
                (Ok(request), Some((entry, row)))
            }
            Err(failure) => (Err(failure), None),
        };
        Self {
            route,
            wanted,
            summary,
            start,
            request,
            record,
        }
    }
}

/// Works out one request, in a scope that can be asked.
async fn request(
    state: &Arc<State>,
    route: &Route,
    wanted: &[Identifier],
    context: &Context,
    summary: &mut OfferSummary,
) -> Result<(Request, ScopeId), Failure> {
    let (agreement, offer) = (&route.entry.agreement, &route.offer);
    if let Err(fault) = &route.permitted {
        asked::not_permitted(state, context, &route.entry, offer, fault).await;
        return Err(Failure::new(UnknownReason::NotPermitted, fault.to_string()));
    }
    let scope = usable_scope(state, agreement, offer, summary).await?;
    let snapshot = scope.snapshot().ok_or_else(no_snapshot)?;
    let (canaries, contains) = lookup_of(&snapshot).ok_or_else(no_snapshot)?;

    let chunk = state.config.matching.query_chunk_elements as usize;
    let padding = offer.padding;
    let mut inputs = wanted
        .iter()
        .enumerate()
        .map(|(number, identifier)| (number, identifier.oprf_input()));
    let layout = layout(wanted.len(), chunk, |elements| padding.class(elements));
    let padded: usize = layout.iter().map(|(size, _)| size).sum();
    let mut chunks = Vec::with_capacity(layout.len());
    let mut numbers: Vec<Vec<usize>> = Vec::with_capacity(layout.len());
    for (index, (size, share)) in layout.into_iter().enumerate() {
        let inputs: Vec<_> = inputs.by_ref().take(share).collect();
        numbers.push(inputs.iter().map(|(number, _)| *number).collect());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        chunks.push(ChunkInput {
            index,
            inputs,
            size,
            seed: state.entropy.seed(),
        });
    }
    let exchange = state.new_uuid();
    let question = Question {
        context: context.clone(),
        entry: Arc::clone(&route.entry),
        offer: offer.clone(),
        epoch: scope.epoch,
        exchange,
        step: 0,
        elements: padded as u64,
    };
    let open = v1::EvaluateOpen {
        scope: Some(scope_to_proto(agreement, offer, scope.epoch)),
        request_id: exchange.as_bytes().to_vec(),
        purpose: context.purpose.into(),
        legal_basis: context.legal_basis.clone(),
        padded_elements: padded as u64,
    };
    let request = Request {
        question,
        open,
        client: scope.client.clone(),
        canaries,
        contains,
        chunks,
        numbers,
    };
    Ok((request, scope.scope))
}

/// Asks one offer about identifiers of its kind. Never fails: trouble becomes UNKNOWN for each of them.
async fn ask(state: &Arc<State>, prepared: Prepared<'_>, recorded: Recorded, deadline: Instant) -> Answers {
    let Prepared {
        route,
        wanted,
        mut summary,
        start,
        request,
        record: _,
    } = prepared;
    let mut found: HashMap<Identifier, Result<bool, UnknownReason>> = HashMap::with_capacity(wanted.len());
    let mut ended = None;
    let mut proofs = HashMap::new();
    let mut exchange = Uuid::nil();
    let asked = match request {
        Ok(request) => try_ask(state, request, &wanted, (recorded, deadline), &mut summary).await,
        Err(failure) => Err(failure),
    };
    match asked {
        Ok(asking) => {
            // Not answered and not refused cannot happen; were it so, it would be UNKNOWN.
            found.extend(wanted.into_iter().zip(asking.found));
            let found = asking.proofs.into_iter();
            proofs.extend(found.map(|found| (found.identifier.clone(), found)));
            exchange = asking.ended.0.exchange;
            ended = Some(asking.ended);
            if let Some(failure) = asking.failures.first() {
                summary.reason = failure.reason.into();
                summary.detail.clone_from(&failure.detail);
            }
        }
        Err(failure) => {
            summary.reason = failure.reason.into();
            summary.detail.clone_from(&failure.detail);
            found.extend(
                wanted
                    .into_iter()
                    .map(|identifier| (identifier, Err(failure.reason))),
            );
        }
    }
    if let Some(timings) = &mut summary.timings {
        timings.wall_us = micros(start.elapsed());
    }
    Answers {
        partner: route.entry.partner.id.clone(),
        kind: route.offer.kind,
        found,
        proofs,
        exchange,
        summary,
        ended,
    }
}

type Verdicts = Vec<Result<bool, UnknownReason>>;

/// What came of asking an offer.
struct Asking {
    found: Verdicts,
    proofs: Vec<Found>,
    failures: Vec<Failure>,
    ended: (Question, Outcome),
}

async fn try_ask(
    state: &Arc<State>,
    request: Request,
    wanted: &[Identifier],
    (recorded, deadline): (Recorded, Instant),
    summary: &mut OfferSummary,
) -> Result<Asking, Failure> {
    let Request {
        question,
        open,
        client,
        canaries,
        contains,
        chunks,
        numbers,
    } = request;
    let exchange_id = question.exchange;
    let exchange = Exchange {
        partner: question.entry.partner.clone(),
        open,
        client,
        canaries,
        contains,
        compute: state.compute.clone(),
        priority: Priority::Interactive,
        deadline,
        window: chunks.len(),
        recorded: recorded.clone(),
    };
    let late = late();
    let mut found: Verdicts = vec![Err(late.reason); wanted.len()];
    let mut failures = Vec::new();
    let mut proofs = Vec::new();
    let mut done = Vec::new();
    let committed = {
        let (ledger, wanted) = (Arc::clone(&state.ledger), wanted.to_vec());
        tokio::task::spawn_blocking(move || asked::commit(ledger.audit_key(), exchange_id, &wanted))
    };
    let stats = exchange
        .run(futures_util::stream::iter(chunks), |chunk| done.push(chunk))
        .await;
    if recorded.await.is_err() {
        return Err(Failure::new(
            UnknownReason::Failed,
            "the query could not be recorded, so it was not asked",
        ));
    }
    if done.len() < numbers.len() {
        failures.push(late);
    }
    done.sort_unstable_by_key(|chunk| chunk.index);
    let mut answered = Answered::default();
    for chunk in done {
        if let Some(AnsweredChunk { digest, elements }) = chunk.answered {
            answered.elements += u64::from(elements);
            answered.chunks.push((chunk.index, digest));
        }
        let members = numbers
            .get(chunk.index as usize)
            .map(Vec::as_slice)
            .unwrap_or_default();
        match chunk.result {
            Ok(answers) => {
                for answer in answers {
                    found[answer.number] = Ok(answer.found.is_some());
                    if let Some(key) = answer.found {
                        proofs.push(Found {
                            identifier: wanted[answer.number].clone(),
                            tag: answer.tag,
                            key,
                        });
                    }
                }
            }
            Err(failure) => {
                for number in members {
                    found[*number] = Err(failure.reason);
                }
                question.failed(state, &failure).await;
                failures.push(failure);
            }
        }
    }
    describe(summary, &stats);
    let count = |wanted: bool| found.iter().filter(|found| **found == Ok(wanted)).count() as u64;
    let outcome = Outcome {
        answered,
        items: wanted.len() as u64,
        identifiers: committed.await.map_err(|_| uncommitted())?,
        hit: count(true),
        no_hit: count(false),
        interrupted: false,
    };
    Ok(Asking {
        found,
        proofs,
        failures,
        ended: (question, outcome),
    })
}

/// Puts the exchanges of a query on record, all at once; ends when that is on disk.
fn open(state: &Arc<State>, records: Vec<(Result<NewEntry, Fault>, ExchangeRow)>) -> Recorded {
    if records.is_empty() {
        return async { Ok(()) }.boxed().shared();
    }
    let store = state.store.clone();
    // A task of its own: blinding goes on meanwhile.
    let recording = tokio::spawn(async move {
        let (entries, rows): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        let entries = entries.into_iter().collect::<Result<Vec<_>, Fault>>()?;
        let recorded = store.recording_all(entries).append_exchanges(&rows).await;
        recorded.map_err(|error| store_fault(&error))
    });
    async move {
        recording
            .await
            .unwrap_or_else(|_| Err(Fault::internal("recording a query")))
    }
    .boxed()
    .shared()
}

/// Puts on record how exchanges ended, all at once.
async fn close(state: &State, ended: Vec<(Question, Outcome)>) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = ended.iter().map(|(question, _)| question.exchange).collect();
    let entries = ended
        .into_iter()
        .map(|(question, outcome)| question.closed(state, outcome))
        .collect::<Result<Vec<_>, _>>()?;
    let closed = state.store.recording_all(entries).close_exchanges(&ids).await;
    closed.map(drop).map_err(|error| store_fault(&error))
}

fn uncommitted() -> Failure {
    Failure::new(UnknownReason::Failed, "the query could not be recorded")
}

fn no_snapshot() -> Failure {
    Failure::new(
        UnknownReason::SnapshotMissing,
        "no snapshot of the partner's list is held for this epoch yet",
    )
}

/// The scope to ask in: the current epoch's, or that of the epoch before as long as its grace lasts, with a snapshot
/// that is young enough.
///
/// # Errors
/// Why the offer cannot be asked.
pub async fn usable_scope(
    state: &State,
    agreement: &Agreement,
    offer: &Offer,
    summary: &mut OfferSummary,
) -> Result<Arc<HeldScope>, Failure> {
    let now = state.clock.now();
    let current = agreement
        .epoch_at(now)
        .ok_or_else(|| Failure::new(UnknownReason::NotPermitted, "the agreement is not valid now"))?;
    let mut best = no_snapshot();
    for epoch in [Some(current), current.checked_sub(1)].into_iter().flatten() {
        if !agreement.epoch_usable(epoch, now) {
            continue;
        }
        let scope = state.held.get(state, (agreement, offer, epoch)).await;
        let scope = scope.map_err(|fault| Failure::new(UnknownReason::Failed, fault.to_string()))?;
        let Some(scope) = scope else { continue };
        let Some(snapshot) = scope.snapshot() else {
            continue;
        };
        let manifest = snapshot.manifest();
        summary.epoch = epoch;
        summary.as_of = manifest.as_of.to_string();
        summary.max_age_s = u64::from(manifest.max_age_seconds).min(offer.max_age_s);
        summary.snapshot_version = manifest.version;
        let age = now.as_second() - manifest.as_of.as_second();
        if age < -CLOCKS_APART_S {
            best = Failure::new(
                UnknownReason::SnapshotStale,
                format!(
                    "the partner's snapshot claims to be of {}, which is yet to come: one of the two clocks is wrong",
                    manifest.as_of
                ),
            );
            continue;
        }
        if age > i64::try_from(summary.max_age_s).unwrap_or(i64::MAX) {
            best = Failure::new(
                UnknownReason::SnapshotStale,
                format!(
                    "the partner's snapshot is of {} and older than the agreement allows",
                    manifest.as_of
                ),
            );
            continue;
        }
        return Ok(scope);
    }
    Err(best)
}

/// Writes counts and times into a summary.
pub fn describe(summary: &mut OfferSummary, stats: &Stats) {
    summary.padded_elements = stats.elements;
    summary.bytes_sent = stats.bytes_sent;
    summary.bytes_received = stats.bytes_received;
    summary.timings = Some(OfferTimings {
        blind_us: micros(stats.blind),
        verify_finalize_us: micros(stats.verify_finalize),
        lookup_us: micros(stats.lookup),
        partner_evaluate_us: micros(stats.partner_evaluate),
        wall_us: 0,
    });
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
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
