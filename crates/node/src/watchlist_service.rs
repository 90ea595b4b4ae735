//! `WatchlistService`: the agency's own lists.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use concordat_identifiers::Rule;
use concordat_ledger::{Actor, ListChange, ListChanged, RecordChange, RecordChanged, Why};
use concordat_lists::{Format, Mapping, Published};
use concordat_store::{Change, List as ListRow, ListId, MAX_UPSERT, StoreError};
use concordat_wire::v1::watchlist_service_server::WatchlistService;
use concordat_wire::v1::{
    ChangeContext, CreateListRequest, DeleteListRequest, DeleteListResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, ImportOpen, ImportProgress, ImportRequest, ImportResponse, KindCount, List,
    ListListsRequest, ListListsResponse, LookupMatch, LookupRequest, LookupResponse, Rejection,
    UpsertRequest, UpsertResponse, import_request, import_response,
};
use concordat_wire::{Fault, Reason, kind_to_proto, subject_from_proto};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::book::store_fault;
use crate::config::is_agency_id;
use crate::import::{self, Event, Plan};
use crate::ledger::text;
use crate::rows::{grade_of, kind_of, row_of, rule_of};
use crate::state::State;
use crate::upkeep::{self, Refused};
use crate::upload::Upload;

/// The service.
pub struct Watchlists(pub Arc<State>);

impl Watchlists {
    async fn find(&self, name: &str) -> Result<ListRow, Fault> {
        let list = self
            .0
            .store
            .list(name)
            .await
            .map_err(|error| store_fault(&error))?;
        list.ok_or_else(|| {
            Fault::new(Reason::NotFound, "LIST-001", format!("there is no list {name}")).field("list")
        })
    }

    async fn create(&self, name: &str, by: Actor) -> Result<ListId, Fault> {
        if !is_agency_id(name) {
            return Err(Fault::invalid(
                "LIST-002",
                "name",
                "1 to 64 lower-case letters, digits, '-' or '.', starting with a letter or digit",
            ));
        }
        let created = self.0.entry(ListChanged {
            by,
            list: text(name),
            change: ListChange::Created,
        })?;
        self.0
            .store
            .recording(created)
            .create_list(name, self.0.now_ms())
            .await
            .map_err(|error| match error {
                StoreError::AlreadyExists { .. } => {
                    Fault::new(Reason::Conflict, "LIST-003", format!("a list {name} exists")).field("name")
                }
                error => store_fault(&error),
            })
    }

    async fn describe(&self, list: &ListRow) -> Result<List, Fault> {
        let stats = self
            .0
            .store
            .list_stats(list.id)
            .await
            .map_err(|error| store_fault(&error))?;
        let time = |ms| {
            jiff::Timestamp::from_millisecond(ms)
                .map(|time| time.to_string())
                .unwrap_or_default()
        };
        Ok(List {
            name: list.name.clone(),
            created_at: time(list.created_ms),
            records: stats.records,
            identifiers: stats
                .identifiers
                .iter()
                .filter_map(|(kind, count)| {
                    Some(KindCount {
                        kind: kind_to_proto(kind_of(*kind)?).into(),
                        count: *count,
                    })
                })
                .collect(),
            last_import_at: stats
                .last_import
                .and_then(|import| import.finished_ms)
                .map(time)
                .unwrap_or_default(),
        })
    }

    async fn plan(&self, open: ImportOpen, client: Actor) -> Result<Plan, Fault> {
        let officer = upkeep::officer("officer", &open.officer)?;
        let by = upkeep::changer(officer.as_deref(), client);
        let format: Format = open.format.parse().map_err(|_| {
            Fault::invalid(
                "IMP-001",
                "format",
                "ofac-sdn, un-sc, uk-ofsi, ftm, jsonl or csv (docs/lists.md)",
            )
        })?;
        if format.is_query() {
            return Err(Fault::invalid(
                "IMP-001",
                "format",
                "this is a format of queries, not of lists",
            ));
        }
        let mapping = match (format, open.csv_mapping.is_empty()) {
            (Format::Csv, true) => {
                return Err(Fault::invalid(
                    "IMP-006",
                    "csv_mapping",
                    "a CSV list needs a mapping (docs/lists.md)",
                ));
            }
            (_, true) => None,
            (_, false) => Some(
                open.csv_mapping
                    .parse::<Mapping>()
                    .map_err(|error| Fault::invalid("IMP-006", "csv_mapping", error.to_string()))?,
            ),
        };
        let list = match self.find(&open.list).await {
            Ok(list) => list.id,
            Err(fault) if fault.reason == Reason::NotFound && open.create => {
                self.create(&open.list, by.clone()).await?
            }
            Err(fault) => return Err(fault),
        };
        Ok(Plan {
            list,
            list_name: open.list,
            format,
            mapping,
            by,
            officer,
            strict: open.strict,
            allow_shrink: open.allow_shrink,
        })
    }
}

fn officer_of(context: Option<&ChangeContext>) -> Result<Option<String>, Fault> {
    let named = context.map_or("", |context| &context.officer);
    upkeep::officer("context.officer", named)
}

/// What became of a record, for the ledger.
fn changed(by: &Actor, why: &Why, list: &str, source_id: &str, change: Change) -> RecordChanged {
    RecordChanged {
        by: by.clone(),
        why: why.clone(),
        list: text(list),
        record: text(source_id),
        change: match change {
            Change::Added => RecordChange::Added,
            Change::Changed => RecordChange::Changed,
            Change::Removed => RecordChange::Removed,
        },
    }
}

#[tonic::async_trait]
impl WatchlistService for Watchlists {
    async fn create_list(&self, request: Request<CreateListRequest>) -> Result<Response<List>, Status> {
        let by = upkeep::caller(&request);
        let name = request.into_inner().name;
        self.create(&name, by).await?;
        let list = self.find(&name).await?;
        Ok(Response::new(self.describe(&list).await?))
    }

    async fn delete_list(
        &self,
        request: Request<DeleteListRequest>,
    ) -> Result<Response<DeleteListResponse>, Status> {
        let by = upkeep::caller(&request);
        let list = self.find(&request.into_inner().name).await?;
        if let Some((agreement, offer)) = self.0.book.offer_of_list(&list.name) {
            let message = format!(
                "offer {offer} of agreement {agreement} names this list, and could not be published without it: to take \
                 everybody off it, import an empty file in its place with allow_shrink (--allow-shrink)"
            );
            return Err(Fault::new(Reason::Precondition, "LIST-008", message)
                .field("name")
                .into());
        }
        let deleted = self.0.entry(ListChanged {
            by,
            list: text(&list.name),
            change: ListChange::Deleted,
        })?;
        self.0
            .store
            .recording(deleted)
            .delete_list(list.id, self.0.now_ms())
            .await
            .map_err(|error| match error {
                StoreError::ImportRunning { .. } => Fault::new(
                    Reason::Precondition,
                    "IMP-002",
                    "the list is being imported: wait or stop the import",
                ),
                error => store_fault(&error),
            })?;
        Ok(Response::new(DeleteListResponse {}))
    }

    async fn list_lists(&self, _: Request<ListListsRequest>) -> Result<Response<ListListsResponse>, Status> {
        let mut lists = Vec::new();
        for list in self.0.store.lists().await.map_err(|error| store_fault(&error))? {
            lists.push(self.describe(&list).await?);
        }
        Ok(Response::new(ListListsResponse { lists }))
    }

    type ImportStream = Pin<Box<dyn Stream<Item = Result<ImportResponse, Status>> + Send>>;

    async fn import(
        &self,
        request: Request<Streaming<ImportRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let by = upkeep::caller(&request);
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|request| request.message);
        let Some(import_request::Message::Open(open)) = first else {
            return Err(Fault::invalid(
                "IMP-007",
                "message",
                "the first message of an import is its opening",
            )
            .into());
        };
        let plan = self.plan(open, by).await?;
        let upload = Upload::receive(requests);
        let (events_sender, mut events) = mpsc::channel(64);
        let (answers_sender, answers) = mpsc::channel(64);
        let telling = {
            let answers = answers_sender.clone();
            tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    let message = match event {
                        Event::Reject(reject) => import_response::Message::Reject(reject),
                        Event::Progress { bytes, records } => {
                            import_response::Message::Progress(ImportProgress {
                                bytes_read: bytes,
                                records,
                            })
                        }
                    };
                    if answers
                        .send(Ok(ImportResponse {
                            message: Some(message),
                        }))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            })
        };
        let state = Arc::clone(&self.0);
        tokio::spawn(async move {
            let outcome = import::run(&state, plan, upload, &events_sender).await;
            drop(events_sender);
            // Every reject is told before the end is.
            let _ = telling.await;
            let last = outcome.map_err(Status::from).map(|summary| ImportResponse {
                message: Some(import_response::Message::Summary(summary)),
            });
            let _ = answers_sender.send(last).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn upsert(&self, request: Request<UpsertRequest>) -> Result<Response<UpsertResponse>, Status> {
        let client = upkeep::caller(&request);
        let request = request.into_inner();
        let why = upkeep::why(request.context.as_ref())?;
        let officer = officer_of(request.context.as_ref())?;
        let by = upkeep::changer(officer.as_deref(), client);
        let list = self.find(&request.list).await?;
        if request.records.len() > MAX_UPSERT {
            return Err(Fault::invalid(
                "LIST-004",
                "records",
                format!("at most {MAX_UPSERT} at once; import more"),
            )
            .into());
        }
        let today = self.0.clock.today();
        let mut rows = BTreeMap::new();
        let mut rejections: Vec<Rejection> = Vec::new();
        for (index, record) in request.records.iter().enumerate() {
            let at = |field: &str| format!("records[{index}].{field}");
            if record.source_id.is_empty() || record.source_id.len() > 256 {
                return Err(Fault::invalid("LIST-005", at("source_id"), "1 to 256 bytes").into());
            }
            let subject = record
                .subject
                .as_ref()
                .ok_or_else(|| Fault::invalid("LIST-006", at("subject"), "a record needs a subject"))?;
            let subject = subject_from_proto(subject).map_err(|error| {
                Fault::invalid("LIST-006", at(&format!("subject.{}", error.field)), error.reason)
            })?;
            let (mut row, rejected) =
                import::record(record.source_id.clone(), &subject, &Published::default(), today);
            row.authors.extend(officer.clone());
            rejections.extend(rejected.into_iter().map(|rejection| Rejection {
                field: at(&format!("subject.{}", rejection.field)),
                ..rejection
            }));
            if rows.insert(record.source_id.clone(), row).is_some() {
                return Err(
                    Fault::invalid("LIST-007", at("source_id"), "the id occurs twice in this call").into(),
                );
            }
        }
        let refused = Refused::default();
        let record = |source_id: &str, change| {
            let changed = changed(&by, &why, &list.name, source_id, change);
            refused.keep(self.0.entry(changed))
        };
        let counts = self
            .0
            .store
            .upsert_records_with(list.id, rows.into_values().collect(), record)
            .await;
        let counts = counts.map_err(|error| match error {
            StoreError::ImportRunning { .. } => Fault::new(
                Reason::Precondition,
                "IMP-002",
                "the list is being imported: wait for that import",
            ),
            error => refused.fault(&error),
        })?;
        Ok(Response::new(UpsertResponse {
            added: counts.added,
            changed: counts.changed,
            unchanged: counts.unchanged,
            rejections,
        }))
    }

    async fn delete_records(
        &self,
        request: Request<DeleteRecordsRequest>,
    ) -> Result<Response<DeleteRecordsResponse>, Status> {
        let client = upkeep::caller(&request);
        let request = request.into_inner();
        let why = upkeep::why(request.context.as_ref())?;
        let officer = officer_of(request.context.as_ref())?;
        let by = upkeep::changer(officer.as_deref(), client);
        let list = self.find(&request.list).await?;
        let refused = Refused::default();
        let record = |source_id: &str, change| {
            let changed = changed(&by, &why, &list.name, source_id, change);
            refused.keep(self.0.entry(changed))
        };
        let mut removed = 0;
        for ids in request.source_ids.chunks(MAX_UPSERT) {
            let deleted = self
                .0
                .store
                .delete_records_with(list.id, ids, record)
                .await
                .map_err(|error| match error {
                    StoreError::ImportRunning { .. } => Fault::new(
                        Reason::Precondition,
                        "IMP-002",
                        "the list is being imported: wait for that import",
                    ),
                    error => refused.fault(&error),
                });
            removed += deleted?;
        }
        Ok(Response::new(DeleteRecordsResponse { removed }))
    }

    async fn lookup(&self, request: Request<LookupRequest>) -> Result<Response<LookupResponse>, Status> {
        let subject = request.into_inner().subject.unwrap_or_default();
        let subject = subject_from_proto(&subject)
            .map_err(|error| Fault::invalid("LIST-006", format!("subject.{}", error.field), error.reason))?;
        let derived = concordat_identifiers::derive(&subject, self.0.clock.today());
        let lists = self.0.store.lists().await.map_err(|error| store_fault(&error))?;
        let names: HashMap<ListId, String> = lists.into_iter().map(|list| (list.id, list.name)).collect();
        let mut best: BTreeMap<(String, String, u8), (u8, u8)> = BTreeMap::new();
        for identifier in derived
            .identifiers
            .iter()
            .filter(|identifier| !identifier.is_variant())
        {
            let row = row_of(identifier);
            let index = self.0.store.blind_index(row.kind, row.rule, &row.canonical);
            let records = self
                .0
                .store
                .records_with(row.kind, index)
                .await
                .map_err(|error| store_fault(&error))?;
            for record in records {
                let Some(list) = names.get(&record.list) else {
                    continue;
                };
                let found = (record.grade, record.rule);
                let entry = best
                    .entry((list.clone(), record.source_id, row.kind))
                    .or_insert(found);
                *entry = (*entry).min(found);
            }
        }
        let matches = best
            .into_iter()
            .filter_map(|((list, source_id, kind), (grade, rule))| {
                Some(LookupMatch {
                    list,
                    source_id,
                    kind: kind_to_proto(kind_of(kind)?).into(),
                    grade: concordat_wire::v1::Grade::from(grade_of(grade)?).into(),
                    rule: rule_of(rule).map_or("", Rule::id).to_owned(),
                })
            })
            .collect();
        Ok(Response::new(LookupResponse { matches }))
    }
}
