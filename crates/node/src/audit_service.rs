//! `AuditService`: lists, opens, proves and counts what the ledger holds.

use std::sync::Arc;

use concordat_ledger::{
    Bundle, CaseId, Entry, EntryKey, EntryType, Event, Hex, Leaf, LogError, Opened, Opening, Outcome, Ranges,
    SignedCheckpoint, Tally, Text, Took, Why,
};
use concordat_store::{EntryFilter, LedgerEntry};
use concordat_wire::v1::audit_service_server::AuditService;
use concordat_wire::v1::{
    AuditContext, EntryFilter as FilterMessage, GetCheckpointRequest, GetCheckpointResponse,
    LedgerEntry as EntryMessage, ListEntriesRequest, OpenEntriesRequest, OpenedEntry, ProveEntryRequest,
    ProveEntryResponse, ReconcileRequest, ReconcileResponse, ReportRequest, ReportResponse, ReportRow,
    UnmatchedExchange,
};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::agreement::{is_label, purpose_from_name, purpose_name};
use crate::book::store_fault;
use crate::ledger::{person, text};
use crate::listen::Caller;
use crate::queried::Given;
use crate::reconcile;
use crate::state::State;

/// Entries read at once.
const PAGE: u32 = 256;
/// Entries opened in one call.
const MAX_OPENED: u32 = 10_000;
/// Rows of a report: types, purposes, partners and outcomes are few.
const MAX_ROWS: usize = 10_000;

/// The ledger, for auditors.
pub struct Audit(pub Arc<State>);

/// A stream of answers.
type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl AuditService for Audit {
    type ListEntriesStream = Answers<EntryMessage>;

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        let request = request.into_inner();
        let wanted = Wanted::new(request.filter.unwrap_or_default())?;
        if wanted.looks_inside() {
            return Err(Fault::invalid(
                "AUD-002",
                "filter",
                "purpose, person, case and partner are sealed: entries are opened to find them, with a reason",
            )
            .into());
        }
        let mut left = if request.limit == 0 {
            u64::MAX
        } else {
            u64::from(request.limit)
        };
        let mut pages = Pages::new(Arc::clone(&self.0), wanted.filter).await?;
        Ok(answering(move |answers| async move {
            while let Some(page) = pages.next().await? {
                for kept in page {
                    if left == 0 || answers.send(Ok(message(&kept)?)).await.is_err() {
                        return Ok(());
                    }
                    left -= 1;
                }
            }
            Ok(())
        }))
    }

    type OpenEntriesStream = Answers<OpenedEntry>;

    async fn open_entries(
        &self,
        request: Request<OpenEntriesRequest>,
    ) -> Result<Response<Self::OpenEntriesStream>, Status> {
        let opener = Opener::check(request.get_ref().context.as_ref(), request.extensions().get())?;
        let request = request.into_inner();
        let wanted = Wanted::new(request.filter.unwrap_or_default())?;
        if request.limit > MAX_OPENED {
            let message = format!("at most {MAX_OPENED} entries are opened in one call");
            return Err(Fault::invalid("AUD-003", "limit", message).into());
        }
        let limit = if request.limit == 0 {
            MAX_OPENED
        } else {
            request.limit
        } as usize;
        let state = Arc::clone(&self.0);
        let mut numbers = Vec::new();
        let mut pages = Pages::new(Arc::clone(&state), wanted.filter.clone()).await?;
        while numbers.len() < limit
            && let Some(page) = pages.next().await?
        {
            for kept in &page {
                if numbers.len() < limit
                    && let Some((_, entry)) = open(kept)?
                    && wanted.matches(&entry)
                {
                    numbers.push(kept.number);
                }
            }
        }
        let partner = &wanted.partner;
        if numbers.is_empty() && !partner.is_empty() && !is_known(&state, partner) {
            let message = "no agreement is with this partner, and no entry that was looked at names it";
            return Err(Fault::new(Reason::NotFound, "AUD-013", message)
                .field("filter.partner")
                .into());
        }
        // Before anybody sees one of them.
        opener.record(&state, &numbers).await?;
        Ok(answering(move |answers| async move {
            for number in numbers {
                let Some(kept) = one(&state, number).await? else {
                    continue;
                };
                // One that was erased in this moment is not opened any more.
                let Some((opening, _)) = open(&kept)? else {
                    continue;
                };
                let opened = OpenedEntry {
                    entry: Some(message(&kept)?),
                    opening: opening.encode().ok_or_else(|| damaged(number))?,
                };
                if answers.send(Ok(opened)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        }))
    }

    async fn prove_entry(
        &self,
        request: Request<ProveEntryRequest>,
    ) -> Result<Response<ProveEntryResponse>, Status> {
        let caller = request.extensions().get().cloned();
        let (state, request) = (&self.0, request.into_inner());
        let number = request.number;
        let given = request.queried.map(Given::check).transpose()?;
        let opener = match &request.context {
            None if given.is_none() => None,
            context => Some(Opener::check(context.as_ref(), caller.as_ref())?),
        };
        let kept = one(state, number).await?.ok_or_else(|| {
            Fault::new(
                Reason::NotFound,
                "AUD-004",
                "the ledger has no entry of this number",
            )
            .field("number")
        })?;
        let latest = state.ledger.checkpoints().borrow().clone();
        let latest = latest.filter(|latest| latest.size() > number).ok_or_else(|| {
            let message = "the log has not published this entry yet";
            Fault::new(Reason::Precondition, "AUD-005", message)
                .retry_after(std::time::Duration::from_secs(1))
        })?;
        let mut opening = None;
        let mut identifiers = Vec::new();
        if let Some(opener) = &opener {
            let (opened, entry) = open(&kept)?.ok_or_else(|| {
                Fault::new(
                    Reason::Precondition,
                    "AUD-006",
                    "what the entry said was erased, the commitment to identifiers with it: it can be proven, not opened",
                )
            })?;
            opener.record(state, &[number]).await?;
            opening = Some(opened);
            if let Some(given) = given {
                let ledger = Arc::clone(&state.ledger);
                let opened = tokio::task::spawn_blocking(move || given.open(ledger.audit_key(), &entry));
                identifiers = opened
                    .await
                    .map_err(|_| Fault::internal("opening identifiers"))??;
            }
        }
        let ledger = Arc::clone(&state.ledger);
        let bundle = tokio::task::spawn_blocking(move || {
            ledger.with_log(|log| {
                // Witnesses have seen this one; if it has the entry, it proves more.
                let cosigned = log.last_cosigned()?.filter(|cosigned| cosigned.size() > number);
                let checkpoint = cosigned.unwrap_or(latest);
                let bundle = Bundle::new(log.source(), number, &checkpoint, opening);
                Ok(bundle.and_then(|bundle| bundle.with_identifiers(identifiers)))
            })
        });
        let bundle = bundle
            .await
            .map_err(|_| Fault::internal("reading the ledger's log"))?
            .map_err(|error| log_fault(&error))?
            .map_err(|error| {
                tracing::error!(%error, number, "an entry cannot be proven");
                Fault::new(
                    Reason::DataLoss,
                    "LEDG-002",
                    "the published log does not prove the entry",
                )
            })?;
        Ok(Response::new(ProveEntryResponse {
            bundle: bundle.to_string(),
        }))
    }

    async fn get_checkpoint(
        &self,
        _: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let ledger = Arc::clone(&self.0.ledger);
        let read = tokio::task::spawn_blocking(move || {
            ledger.with_log(|log| Ok((log.latest().cloned(), log.last_cosigned()?)))
        });
        let (latest, cosigned) = read
            .await
            .map_err(|_| Fault::internal("reading the ledger's log"))?
            .map_err(|error| log_fault(&error))?;
        let note = |checkpoint: Option<SignedCheckpoint>| {
            checkpoint
                .map(|checkpoint| checkpoint.to_string())
                .unwrap_or_default()
        };
        Ok(Response::new(GetCheckpointResponse {
            key: self.0.ledger.verifier().to_string(),
            checkpoint: note(latest),
            cosigned: note(cosigned),
        }))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        let request = request.into_inner();
        let wanted = Wanted::new(FilterMessage {
            since: request.since,
            before: request.before,
            ..FilterMessage::default()
        })?;
        let mut tally = Tally::new();
        if let Some(since) = wanted.filter.since_ms {
            let before = EntryFilter {
                before_ms: Some(since),
                kind: Some(EntryType::DetailRequested.name().to_owned()),
                ..EntryFilter::default()
            };
            let mut pages = Pages::new(Arc::clone(&self.0), before).await?;
            while let Some(page) = pages.next().await? {
                for kept in page {
                    if let Some((_, entry)) = open(&kept)? {
                        tally.know(&entry);
                    }
                }
            }
        }
        let mut pages = Pages::new(Arc::clone(&self.0), wanted.filter).await?;
        while let Some(page) = pages.next().await? {
            for kept in page {
                let opened = open(&kept)?;
                let kind = EntryType::parse(&kept.kind).ok_or_else(|| damaged(kept.number))?;
                tally.add(
                    kind,
                    kept.exchange.map(Hex),
                    opened.as_ref().map(|(_, entry)| entry),
                );
                if tally.rows() > MAX_ROWS {
                    let message = "the report has too many rows: choose fewer days";
                    return Err(Fault::new(Reason::Exhausted, "AUD-007", message).into());
                }
            }
        }
        let rows = tally.finish().into_iter().map(|(row, entries)| ReportRow {
            r#type: row.kind.name().to_owned(),
            purpose: row.purpose,
            partner: row.partner,
            outcome: row.outcome.map(Outcome::name).unwrap_or_default().to_owned(),
            erased: row.erased,
            entries,
            took: row.took.map(Took::name).unwrap_or_default().to_owned(),
            repeats: row.repeats,
        });
        Ok(Response::new(ReportResponse { rows: rows.collect() }))
    }

    async fn reconcile(
        &self,
        request: Request<ReconcileRequest>,
    ) -> Result<Response<ReconcileResponse>, Status> {
        let partner = request.into_inner().partner_id;
        let outcome = reconcile::start(&self.0, &partner)?.await;
        let outcome = outcome.map_err(|_| Fault::internal("comparing two ledgers"))?;
        let compared = outcome.result.as_ref().map_err(Clone::clone)?;
        let unmatched = compared.listed.iter().map(|unmatched| UnmatchedExchange {
            exchange: unmatched.exchange.0.to_vec(),
            ours: unmatched.first,
            theirs: unmatched.second,
            reason: unmatched.reason.to_string(),
        });
        Ok(Response::new(ReconcileResponse {
            partner_id: partner,
            at: outcome.at.to_string(),
            checkpoint_size: compared.checkpoint_size,
            cosigned_size: compared.cosigned_size,
            matched: compared.matched,
            unanswered: compared.unanswered,
            too_young: compared.too_young,
            erased: compared.erased,
            left_out: compared.left_out,
            unmatched: compared.unmatched,
            unmatched_exchanges: unmatched.collect(),
        }))
    }
}

/// Streams what `work` sends; how it ends, if it fails, comes last.
fn answering<T, W>(work: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> W) -> Response<Answers<T>>
where
    T: Send + 'static,
    W: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let (answers, stream) = mpsc::channel(16);
    let working = work(answers.clone());
    tokio::spawn(async move {
        if let Err(fault) = working.await {
            // Whoever has gone does not hear it.
            let _ = answers.send(Err(fault.into())).await;
        }
    });
    Response::new(ReceiverStream::new(stream))
}

/// Entries that pass a filter, as far as the ledger went when it was asked for.
pub(crate) struct Pages {
    state: Arc<State>,
    filter: EntryFilter,
}

impl Pages {
    pub(crate) async fn new(state: Arc<State>, mut filter: EntryFilter) -> Result<Self, Fault> {
        let size = state
            .store
            .ledger_size()
            .await
            .map_err(|error| store_fault(&error))?;
        filter.until = Some(filter.until.map_or(size, |until| until.min(size)));
        Ok(Self { state, filter })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<LedgerEntry>>, Fault> {
        let page = self.state.store.ledger_entries(&self.filter, PAGE).await;
        let page = page.map_err(|error| store_fault(&error))?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        self.filter.from = last.number + 1;
        Ok(Some(page))
    }
}

async fn one(state: &State, number: u64) -> Result<Option<LedgerEntry>, Fault> {
    let filter = EntryFilter {
        from: number,
        until: number.checked_add(1),
        ..EntryFilter::default()
    };
    let found = state.store.ledger_entries(&filter, 1).await;
    Ok(found.map_err(|error| store_fault(&error))?.pop())
}

/// Whether an agreement, in force or not, is with this agency.
fn is_known(state: &State, partner: &str) -> bool {
    let entries = state.book.even_ended();
    entries.iter().any(|entry| entry.partner.id == partner)
}

/// Which entries, checked.
struct Wanted {
    filter: EntryFilter,
    /// What looks into what is sealed; empty filters nothing.
    purpose: String,
    /// The purpose of the code list that it spells, if it does: `border-check` is `BORDER_CHECK`.
    code: Option<&'static str>,
    person: String,
    case_reference: String,
    partner: String,
}

impl Wanted {
    fn new(message: FilterMessage) -> Result<Self, Fault> {
        let time = |field: &str, text: &str| -> Result<Option<i64>, Fault> {
            if text.is_empty() {
                return Ok(None);
            }
            let time: Result<Timestamp, _> = text.parse();
            let time = time.map_err(|_| {
                let message = "not a time such as 2026-11-21T20:00:00Z";
                Fault::invalid("AUD-001", format!("filter.{field}"), message)
            })?;
            Ok(Some(time.as_millisecond()))
        };
        let exchange = match message.exchange.as_slice() {
            [] => None,
            bytes => Some(bytes.try_into().map_err(|_| {
                Fault::invalid("AUD-001", "filter.exchange", "an exchange's id has 16 bytes")
            })?),
        };
        let kind = (!message.r#type.is_empty()).then_some(message.r#type);
        if kind
            .as_deref()
            .is_some_and(|kind| EntryType::parse(kind).is_none())
        {
            return Err(Fault::invalid(
                "AUD-001",
                "filter.type",
                "no entry is of this type",
            ));
        }
        // Numbers go into the database as signed ones.
        let number = |number: u64| number.min(i64::MAX as u64);
        Ok(Self {
            filter: EntryFilter {
                from: number(message.from),
                until: message.until.map(number),
                since_ms: time("since", &message.since)?,
                before_ms: time("before", &message.before)?,
                kind,
                exchange,
            },
            code: purpose_from_name(&message.purpose.to_ascii_uppercase().replace('-', "_"))
                .map(purpose_name),
            purpose: message.purpose,
            person: message.person,
            case_reference: message.case_reference,
            partner: message.partner,
        })
    }

    /// A case by the agency's own reference, or by the id that it has with the partner.
    fn is_case(&self, event: &Event) -> bool {
        let wanted = self.case_reference.as_str();
        wanted.is_empty()
            || event.case_reference().is_some_and(|case| case.as_str() == wanted)
            || event
                .case()
                .is_some_and(|case| CaseId::parse(wanted).as_ref() == Some(case))
    }

    fn looks_inside(&self) -> bool {
        let sealed = [&self.purpose, &self.person, &self.case_reference, &self.partner];
        sealed.iter().any(|wanted| !wanted.is_empty())
    }

    fn matches(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        let is = |wanted: &str, said: Option<&Text>| {
            wanted.is_empty() || said.is_some_and(|said| said.as_str() == wanted)
        };
        let by = |wanted: &str| event.people().iter().any(|person| person.id.as_str() == wanted);
        // As it was typed, for whoever opens entries types anything; or as the code list has it.
        let said = event.purpose();
        let is_code = self.code.is_some() && said.map(Text::as_str) == self.code;
        (is_code || is(&self.purpose, said))
            && is(&self.partner, event.partner())
            && self.is_case(event)
            && (self.person.is_empty() || by(&self.person))
    }
}

/// Who opens entries, and why.
struct Opener {
    by: String,
    why: Why,
    recipient: String,
}

impl Opener {
    fn check(context: Option<&AuditContext>, caller: Option<&Caller>) -> Result<Self, Fault> {
        let client = match caller {
            Some(Caller::Client { name, .. }) => name.as_str(),
            Some(Caller::Loopback) => "loopback",
            Some(Caller::Partner(_)) | None => {
                let message = "only our own systems may have entries opened";
                return Err(Fault::new(Reason::Unauthenticated, "AUD-008", message));
            }
        };
        let context = context.ok_or_else(|| {
            let message = "who has entries opened, why, and for whom, is required";
            Fault::invalid("AUD-009", "context", message)
        })?;
        let required = [
            ("purpose", &context.purpose),
            ("legal_basis", &context.legal_basis),
            ("case_reference", &context.case_reference),
            ("recipient", &context.recipient),
        ];
        let optional = Some(("officer", &context.officer)).filter(|(_, officer)| !officer.is_empty());
        for (name, text) in required.into_iter().chain(optional) {
            if !is_label(text) {
                let message = "1 to 128 printable characters";
                return Err(Fault::invalid("AUD-009", format!("context.{name}"), message));
            }
        }
        Ok(Self {
            by: match context.officer.as_str() {
                "" => client.to_owned(),
                officer => officer.to_owned(),
            },
            why: Why {
                purpose: text(&context.purpose),
                legal_basis: text(&context.legal_basis),
                case_reference: text(&context.case_reference),
            },
            recipient: context.recipient.clone(),
        })
    }

    /// Records that these entries are opened; they are in order. Returns when that is on disk.
    async fn record(&self, state: &State, numbers: &[u64]) -> Result<(), Fault> {
        let mut entries = Vec::new();
        let mut left = numbers.iter().copied().peekable();
        while let Some(ranges) = Ranges::take(&mut left) {
            entries.push(state.entry(Opened {
                by: person(&self.by),
                why: self.why.clone(),
                recipient: text(&self.recipient),
                entries: ranges,
            })?);
        }
        if entries.is_empty() {
            return Ok(());
        }
        let recorded = state.store.append_entries(entries).await;
        recorded.map_err(|error| store_fault(&error))
    }
}

fn leaf_of(kept: &LedgerEntry) -> Result<Leaf, Fault> {
    let leaf = std::str::from_utf8(&kept.leaf).ok().and_then(Leaf::parse_draft);
    leaf.ok_or_else(|| damaged(kept.number))
}

/// `None` once it was erased.
pub(crate) fn open(kept: &LedgerEntry) -> Result<Option<(Opening, Entry)>, Fault> {
    let Some((payload, key)) = &kept.sealed else {
        return Ok(None);
    };
    let leaf = leaf_of(kept)?;
    let opened = Opening::unseal(&leaf, payload, &EntryKey::new(**key))
        .and_then(|opening| Ok((opening.verify(&leaf)?, opening)));
    match opened {
        Ok((entry, opening)) => Ok(Some((opening, entry))),
        Err(error) => {
            tracing::error!(%error, number = kept.number, "an entry of the ledger cannot be opened");
            Err(damaged(kept.number))
        }
    }
}

fn message(kept: &LedgerEntry) -> Result<EntryMessage, Fault> {
    let leaf = leaf_of(kept)?.encode(kept.number);
    let at = Timestamp::from_millisecond(kept.at_ms);
    Ok(EntryMessage {
        number: kept.number,
        at: at.map(|at| at.to_string()).unwrap_or_default(),
        r#type: kept.kind.clone(),
        exchange: kept.exchange.map(|id| id.to_vec()).unwrap_or_default(),
        leaf: String::from_utf8(leaf).map_err(|_| damaged(kept.number))?,
        erased: kept.sealed.is_none(),
    })
}

fn damaged(number: u64) -> Fault {
    let message = format!("entry {number} is damaged in the database: restore it");
    Fault::new(Reason::DataLoss, "AUD-010", message)
}

fn log_fault(error: &LogError) -> Fault {
    tracing::error!(%error, "reading the ledger's log");
    Fault::new(Reason::DataLoss, "LEDG-002", "the published log cannot be read")
}
