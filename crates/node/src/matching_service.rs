//! `MatchingService`: queries, streams of queries, jobs.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concordat_identifiers::Rule;
use concordat_wire::v1::matching_service_server::MatchingService;
use concordat_wire::v1::{
    CancelJobRequest, GetJobRequest, IntersectRequest, Job, JobMatch, ListJobsRequest, ListJobsResponse,
    ListMatchesRequest, MatchItem, MatchRequest, MatchResponse, MatchStreamRequest, MatchStreamResponse,
    ResumeJobRequest, match_stream_request,
};
use concordat_wire::{Fault, MAX_MATCH_ITEMS, Reason, kind_from_proto, kind_to_proto, v1};
use futures_util::Stream;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::agreement::purpose_name;
use crate::book::store_fault;
use crate::intersect;
use crate::jobs::{self, Spec};
use crate::matching::{self, Context, Query};
use crate::rows::{grade_of, kind_of, rule_of};
use crate::state::State;

/// Items one stream may hold: their ids are remembered, so that no answer can be taken for another's.
const STREAM_ITEMS: usize = 1_000_000;
/// Items of a stream that are asked about together.
const STREAM_BATCH: usize = 256;
/// How long a stream waits for more items before it asks about those it has.
const STREAM_PAUSE: Duration = Duration::from_millis(5);
/// Kept back from a caller's deadline to answer in.
const ANSWER_TIME: Duration = Duration::from_millis(20);

/// The service.
pub struct Matching(pub Arc<State>);

type Results<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Matching {
    /// The smaller of what the caller asked for, or the default, and what is left of the call's own deadline.
    fn deadline(&self, asked_ms: u32, metadata: &tonic::metadata::MetadataMap) -> Instant {
        let default = self.0.config.matching.partner_deadline_ms;
        let partner = Duration::from_millis(u64::from(if asked_ms == 0 { default } else { asked_ms }));
        let call = metadata
            .get("grpc-timeout")
            .and_then(|text| text.to_str().ok())
            .and_then(parse_timeout);
        let call = call.map(|call| call.saturating_sub(ANSWER_TIME));
        Instant::now() + call.map_or(partner, |call| call.min(partner))
    }
}

/// `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2).
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn check_items(items: &[MatchItem]) -> Result<(), Fault> {
    if items.is_empty() || items.len() > MAX_MATCH_ITEMS {
        return Err(Fault::invalid(
            "QRY-002",
            "items",
            format!("1 to {MAX_MATCH_ITEMS} items"),
        ));
    }
    let mut ids = HashSet::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        check_item_id(&item.item_id, &mut ids)
            .map_err(|fault| fault.field(format!("items[{index}].item_id")))?;
    }
    Ok(())
}

/// Answers are told apart by item id alone.
fn check_item_id(id: &str, known: &mut HashSet<[u8; 16]>) -> Result<(), Fault> {
    let digest: [u8; 32] = Sha256::digest(id).into();
    if id.len() > 256 || !known.insert(std::array::from_fn(|at| digest[at])) {
        return Err(Fault::invalid(
            "QRY-003",
            "item.item_id",
            "an item id has at most 256 bytes and is unique within the request",
        ));
    }
    Ok(())
}

#[tonic::async_trait]
impl MatchingService for Matching {
    async fn r#match(&self, request: Request<MatchRequest>) -> Result<Response<MatchResponse>, Status> {
        let asked = request.get_ref().partner_deadline_ms;
        let deadline = self.deadline(asked, request.metadata());
        let caller = request.extensions().get().cloned();
        let request = request.into_inner();
        let context = Context::check(request.context.as_ref(), caller.as_ref())?;
        check_items(&request.items)?;
        let query = Query {
            context,
            items: request.items,
            partners: request.partners,
            deadline,
        };
        Ok(Response::new(matching::run(&self.0, query).await?))
    }

    type MatchStreamStream = Results<MatchStreamResponse>;

    async fn match_stream(
        &self,
        request: Request<Streaming<MatchStreamRequest>>,
    ) -> Result<Response<Self::MatchStreamStream>, Status> {
        let caller = request.extensions().get().cloned();
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|request| request.message);
        let Some(match_stream_request::Message::Open(open)) = first else {
            return Err(Fault::invalid(
                "QRY-006",
                "message",
                "the first message of a stream is its opening",
            )
            .into());
        };
        let context = Context::check(open.context.as_ref(), caller.as_ref())?;
        let (state, default) = (Arc::clone(&self.0), self.0.config.matching.partner_deadline_ms);
        let allowed = if open.partner_deadline_ms == 0 {
            default
        } else {
            open.partner_deadline_ms
        };
        let allowed = Duration::from_millis(u64::from(allowed));
        let (sender, receiver) = mpsc::channel(STREAM_BATCH);
        tokio::spawn(async move {
            let mut ids = HashSet::new();
            loop {
                let items = match next_items(&mut requests, &mut ids).await {
                    Ok(items) if items.is_empty() => return,
                    Ok(items) => items,
                    Err(status) => return drop(sender.send(Err(status)).await),
                };
                let query = Query {
                    context: context.clone(),
                    items,
                    partners: open.partners.clone(),
                    deadline: Instant::now() + allowed,
                };
                match matching::run(&state, query).await {
                    Ok(response) => {
                        for result in response.results {
                            let answer = MatchStreamResponse { result: Some(result) };
                            if sender.send(Ok(answer)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(fault) => return drop(sender.send(Err(fault.into())).await),
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn intersect(&self, request: Request<IntersectRequest>) -> Result<Response<Job>, Status> {
        let caller = request.extensions().get().cloned();
        let request = request.into_inner();
        let context = Context::check(request.context.as_ref(), caller.as_ref())?;
        if request.lists.is_empty() {
            return Err(Fault::invalid("QRY-007", "lists", "name one or more of your lists").into());
        }
        for (index, name) in request.lists.iter().enumerate() {
            if self
                .0
                .store
                .list(name)
                .await
                .map_err(|error| store_fault(&error))?
                .is_none()
            {
                let field = format!("lists[{index}]");
                return Err(
                    Fault::new(Reason::NotFound, "LIST-001", format!("there is no list {name}"))
                        .field(field)
                        .into(),
                );
            }
        }
        if !self
            .0
            .book
            .all()
            .iter()
            .any(|entry| entry.partner.id == request.partner_id)
        {
            return Err(Fault::invalid("QRY-004", "partner_id", "no agreement with this partner").into());
        }
        let mut kinds = Vec::with_capacity(request.kinds.len());
        for (index, kind) in request.kinds.iter().enumerate() {
            let kind = kind_from_proto(*kind).ok_or_else(|| {
                Fault::invalid("QRY-008", format!("kinds[{index}]"), "not a kind of identifier")
            })?;
            kinds.push(kind.id());
        }
        let spec = Spec::Intersect(intersect::Spec {
            purpose: purpose_name(context.purpose).to_owned(),
            legal_basis: context.legal_basis,
            case_reference: context.case_reference,
            officer: context.officer,
            ordered_by: context.ordered_by,
            client: context.client,
            lists: request.lists,
            partner: request.partner_id,
            kinds,
        });
        let request_id = (!request.request_id.is_empty()).then_some(request.request_id);
        Ok(Response::new(jobs::create(&self.0, &spec, request_id).await?))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<Job>, Status> {
        Ok(Response::new(
            jobs::get(&self.0, jobs::parse_id(&request.get_ref().job_id)?).await?,
        ))
    }

    type WatchJobStream = Results<Job>;

    async fn watch_job(
        &self,
        request: Request<GetJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let id = jobs::parse_id(&request.get_ref().job_id)?;
        let state = Arc::clone(&self.0);
        let mut changes = jobs::watch(&state, id);
        let mut job = jobs::get(&state, id).await?;
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                use v1::job::State as S;
                let over = matches!(job.state(), S::Succeeded | S::Failed | S::Cancelled);
                if sender.send(Ok(job)).await.is_err() || over {
                    return;
                }
                match &mut changes {
                    Some(changed) => {
                        tokio::select! {
                            changed = changed.changed() => if changed.is_err() { changes = None },
                            () = sender.closed() => return,
                        }
                        // At most ten a second, however fast the work goes.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    // It does not run here: it waits for a person or has just ended.
                    None => tokio::time::sleep(Duration::from_secs(1)).await,
                }
                job = match jobs::get(&state, id).await {
                    Ok(job) => job,
                    Err(fault) => return drop(sender.send(Err(fault.into())).await),
                };
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn list_jobs(&self, _: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        Ok(Response::new(ListJobsResponse {
            jobs: jobs::list(&self.0).await?,
        }))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<Job>, Status> {
        Ok(Response::new(
            jobs::cancel(&self.0, jobs::parse_id(&request.get_ref().job_id)?).await?,
        ))
    }

    async fn resume_job(&self, request: Request<ResumeJobRequest>) -> Result<Response<Job>, Status> {
        Ok(Response::new(
            jobs::resume(&self.0, jobs::parse_id(&request.get_ref().job_id)?).await?,
        ))
    }

    type ListMatchesStream = Results<JobMatch>;

    async fn list_matches(
        &self,
        request: Request<ListMatchesRequest>,
    ) -> Result<Response<Self::ListMatchesStream>, Status> {
        let id = jobs::parse_id(&request.get_ref().job_id)?;
        jobs::get(&self.0, id).await?;
        let state = Arc::clone(&self.0);
        let lists = state.store.lists().await.map_err(|error| store_fault(&error))?;
        let names: std::collections::HashMap<_, _> =
            lists.into_iter().map(|list| (list.id, list.name)).collect();
        let (sender, receiver) = mpsc::channel(256);
        tokio::spawn(async move {
            let mut cursor = None;
            loop {
                let page = match state.store.matches_page(id, cursor, 1_000).await {
                    Ok(page) => page,
                    Err(error) => return drop(sender.send(Err(store_fault(&error).into())).await),
                };
                let Some(last) = page.last() else { return };
                cursor = Some(last.seq);
                for row in page {
                    let found = row.found;
                    let (Some(kind), Some(grade)) = (kind_of(found.kind), grade_of(found.grade)) else {
                        continue;
                    };
                    let found = JobMatch {
                        list: names.get(&found.list).cloned().unwrap_or_default(),
                        source_id: found.source_id,
                        partner_id: found.partner,
                        kind: kind_to_proto(kind).into(),
                        grade: v1::Grade::from(grade).into(),
                        rule: rule_of(found.rule).map_or("", Rule::id).to_owned(),
                    };
                    if sender.send(Ok(found)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// What has come and what comes within a short pause; empty at the end of the stream.
async fn next_items(
    requests: &mut Streaming<MatchStreamRequest>,
    ids: &mut HashSet<[u8; 16]>,
) -> Result<Vec<MatchItem>, Status> {
    let mut items = Vec::new();
    while items.len() < STREAM_BATCH {
        let next = if items.is_empty() {
            requests.message().await?
        } else {
            match tokio::time::timeout(STREAM_PAUSE, requests.message()).await {
                Ok(next) => next?,
                Err(_) => break,
            }
        };
        match next.map(|request| request.message) {
            None => break,
            Some(Some(match_stream_request::Message::Item(item))) => {
                if ids.len() >= STREAM_ITEMS {
                    let message = format!("a stream holds at most {STREAM_ITEMS} items: open another one");
                    return Err(Fault::invalid("QRY-002", "message", message).into());
                }
                check_item_id(&item.item_id, ids)?;
                items.push(item);
            }
            Some(_) => {
                return Err(
                    Fault::invalid("QRY-006", "message", "after its opening, a stream holds items").into(),
                );
            }
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read() {
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse_timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "12", "1x", "123456789S", "-1S", "é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn items_are_bounded_and_told_apart() {
        let item = |id: &str| MatchItem {
            item_id: id.into(),
            what: None,
        };
        assert_eq!(check_items(&[]).expect_err("none").rule, "QRY-002");
        assert_eq!(
            check_items(&vec![item("a"); 10_001]).expect_err("too many").rule,
            "QRY-002"
        );
        assert_eq!(
            check_items(&[item("a"), item("a")]).expect_err("twice").rule,
            "QRY-003"
        );
        assert!(check_items(&[item("a"), item("")]).is_ok());
    }
}
