//! `DisclosureService`: cases, for the agency's own systems and the command line. Converts, calls the desk, converts.
//!
//! Who takes a step is who the calling system says it is, as with queries; an approval alone carries its officer's own signature.

mod read;
mod steps;

use std::pin::Pin;
use std::sync::Arc;

use concordat_disclosure::{
    Approval, Change, ChangeWhat, Document, MAX_ATTACHMENT_BYTES, OfficerKey, Role, Words,
};
use concordat_ledger::{Hex, Person, Text};
use concordat_store::{CaseCursor, CaseFilter, CaseSide, CaseTurn};
use concordat_wire::v1::disclosure_service_server::DisclosureService;
use concordat_wire::v1::{
    AttachRequest, AttachResponse, Case, ChangeOfficersRequest, FetchAttachmentRequest,
    FetchAttachmentResponse, GetCaseRequest, LinkOfficerRequest, LinkOfficerResponse, ListCasesRequest,
    ListCasesResponse, ListOfficersRequest, ListOfficersResponse, Officer, OpenMatchRequest,
    OpenMatchResponse, QueryContext, TakeStepRequest, WaitingChangesRequest, WaitingChangesResponse,
    attach_request,
};
use concordat_wire::{DATA_PIECE, Fault, v1};
use futures_util::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::access::refuse_client;
use crate::admin_services::not_for_auditors;
use crate::agreement::purpose_from_name;
use crate::desk::{self, Via, Who, attachments, console, hits, inbox, officers, refused};
use crate::identity::ADMIN;
use crate::ledger::person;
use crate::listen::Caller;
use crate::matching::Context;
use crate::state::State;

/// Cases on a page, if the caller does not say.
const PAGE: u32 = 100;

/// The service.
pub struct Disclosures(pub Arc<State>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Which of our own systems calls; an auditor's certificate reads, and does nothing else.
fn system<T>(state: &Arc<State>, request: &Request<T>) -> Result<String, Fault> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Client {
            name, auditor: false, ..
        }) => Ok(name.clone()),
        Some(Caller::Loopback) => Ok("loopback".to_owned()),
        _ => Err(refuse_client(state, request, not_for_auditors())),
    }
}

/// Who acts: an officer, as the calling system names her.
fn who(client: String, officer: &str) -> Result<Who, Fault> {
    if officer.is_empty() || officer.chars().any(char::is_control) || officer.len() > 128 {
        return Err(Fault::invalid(
            "DESK-021",
            "officer",
            "who takes the step, as the registry of officers names her",
        ));
    }
    Ok(Who {
        person: person(officer),
        via: Via::Client(client),
    })
}

#[tonic::async_trait]
impl DisclosureService for Disclosures {
    async fn list_cases(
        &self,
        request: Request<ListCasesRequest>,
    ) -> Result<Response<ListCasesResponse>, Status> {
        Ok(Response::new(page(&self.0, request.get_ref()).await?))
    }

    type WatchCasesStream = Answers<ListCasesResponse>;

    async fn watch_cases(
        &self,
        request: Request<ListCasesRequest>,
    ) -> Result<Response<Self::WatchCasesStream>, Status> {
        let (state, request) = (Arc::clone(&self.0), request.into_inner());
        let mut changes = inbox::changes(&state);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                changes.mark_unchanged();
                let answer = page(&state, &request).await.map_err(Status::from);
                let failed = answer.is_err();
                if sender.send(answer).await.is_err() || failed {
                    return;
                }
                tokio::select! {
                    () = state.stop.cancelled() => return,
                    () = sender.closed() => return,
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_case(&self, request: Request<GetCaseRequest>) -> Result<Response<Case>, Status> {
        let id = read::case_id(&request.get_ref().case_id)?;
        let officer = &request.get_ref().officer;
        let who = match officer.as_str() {
            "" => None,
            officer => Some(who(system(&self.0, &request)?, officer)?),
        };
        let view = desk::view(&self.0, who.as_ref(), id).await?;
        Ok(Response::new(read::case(&view, self.0.clock.now())?))
    }

    async fn take_step(&self, request: Request<TakeStepRequest>) -> Result<Response<Case>, Status> {
        let who = who(system(&self.0, &request)?, &request.get_ref().officer)?;
        let request = request.into_inner();
        let id = read::case_id(&request.case_id)?;
        let seen = match request.seen.as_str() {
            "" => None,
            seen => Some(Hex::parse(seen).ok_or_else(|| {
                Fault::invalid(
                    "DESK-021",
                    "seen",
                    "64 hexadecimal digits: Case.head as the officer saw it",
                )
            })?),
        };
        let action = steps::action(request.step, &who)?;
        let view = desk::act(&self.0, &who, id, seen, action).await?;
        Ok(Response::new(read::case(&view, self.0.clock.now())?))
    }

    async fn open_match(
        &self,
        request: Request<OpenMatchRequest>,
    ) -> Result<Response<OpenMatchResponse>, Status> {
        system(&self.0, &request)?;
        let asked = request.get_ref();
        let purpose = purpose_from_name(&asked.purpose)
            .ok_or_else(|| Fault::invalid("QRY-001", "purpose", "a purpose of the code list is required"))?;
        let context = QueryContext {
            purpose: purpose.into(),
            legal_basis: asked.legal_basis.clone(),
            case_reference: asked.case_reference.clone(),
            officer: asked.officer.clone(),
            ordered_by: asked.ordered_by.clone(),
        };
        let context = Context::check(Some(&context), request.extensions().get::<Caller>())?;
        let record = (asked.list.as_str(), asked.source_id.as_str());
        let cases = hits::open_match(&self.0, context, &asked.partner_id, record).await?;
        Ok(Response::new(OpenMatchResponse {
            case_ids: cases.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<AttachResponse>, Status> {
        let client = system(&self.0, &request)?;
        let mut messages = request.into_inner();
        let first = messages.message().await?.and_then(|first| first.message);
        let Some(attach_request::Message::Open(open)) = first else {
            return Err(Fault::invalid("DESK-021", "open", "the first message says what is attached").into());
        };
        let who = who(client, &open.officer)?;
        let mut bytes = Vec::new();
        while let Some(message) = messages.message().await? {
            if let Some(attach_request::Message::Data(data)) = message.message {
                if (bytes.len() + data.len()) as u64 > MAX_ATTACHMENT_BYTES {
                    let too_large = concordat_disclosure::rule::ATTACHMENT_SIZE;
                    return Err(Fault::invalid(too_large.id, "data", too_large.says).into());
                }
                bytes.extend_from_slice(&data);
            }
        }
        let name = Words::new(&open.name).map_err(refused)?;
        let media_type = crate::ledger::text(&open.media_type);
        let id = read::case_id(&open.case_id)?;
        let manifest = attachments::attach(&self.0, &who, id, (name, media_type), &bytes).await?;
        let manifest = serde_json::to_string(&manifest).map_err(|_| Fault::internal("writing a manifest"))?;
        Ok(Response::new(AttachResponse { manifest }))
    }

    type FetchAttachmentStream = Answers<FetchAttachmentResponse>;

    async fn fetch_attachment(
        &self,
        request: Request<FetchAttachmentRequest>,
    ) -> Result<Response<Self::FetchAttachmentStream>, Status> {
        let who = who(system(&self.0, &request)?, &request.get_ref().officer)?;
        let id = read::case_id(&request.get_ref().case_id)?;
        let attachment = read::case_id(&request.get_ref().attachment_id)?;
        let (_, bytes) = attachments::fetch(&self.0, &who, id, attachment).await?;
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            for piece in bytes.chunks(DATA_PIECE) {
                let data = FetchAttachmentResponse { data: piece.to_vec() };
                if sender.send(Ok(data)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn list_officers(
        &self,
        _: Request<ListOfficersRequest>,
    ) -> Result<Response<ListOfficersResponse>, Status> {
        Ok(Response::new(officers_of(&self.0).await?))
    }

    async fn change_officers(
        &self,
        request: Request<ChangeOfficersRequest>,
    ) -> Result<Response<ListOfficersResponse>, Status> {
        system(&self.0, &request)?;
        let change = Change::decode(&request.get_ref().change).map_err(refused)?;
        if matches!(change.what, ChangeWhat::Found(_)) {
            // Nobody has signed before the first: whoever founds the registry is every later change's root.
            let message =
                "only the client admin, or the console's set-up page, founds the registry of officers";
            only_admin(&self.0, &request, message)?;
            console::check_founding(&self.0, request.get_ref().no_console)?;
        }
        let request = request.into_inner();
        let approvals = request
            .approvals
            .iter()
            .map(|approval| Approval::decode(approval));
        let approvals = approvals.collect::<Result<_, _>>().map_err(refused)?;
        officers::change_registry(&self.0, change, approvals).await?;
        Ok(Response::new(officers_of(&self.0).await?))
    }

    async fn link_officer(
        &self,
        request: Request<LinkOfficerRequest>,
    ) -> Result<Response<LinkOfficerResponse>, Status> {
        let by = crate::ledger::person(&system(&self.0, &request)?);
        let message = "only the client admin, or an administrator at the console, makes a link";
        only_admin(&self.0, &request, message)?;
        let asked = request.get_ref();
        let text = |field: &str, text: &str| {
            Text::new(text)
                .map_err(|_| Fault::invalid("DESK-021", field, "1 to 1,024 bytes without controls"))
        };
        let person = Person {
            id: text("officer", &asked.officer)?,
            unit: match asked.unit.as_str() {
                "" => None,
                unit => Some(text("unit", unit)?),
            },
        };
        let roles = asked.roles.iter().map(|name| {
            let role = Role::ALL.iter().find(|role| role.name() == name).copied();
            role.ok_or_else(|| Fault::invalid("DESK-021", "roles", "a role of the registry of officers"))
        });
        let roles = roles.collect::<Result<_, Fault>>()?;
        let (link, until) = console::link(&self.0, by, person, roles).await?;
        Ok(Response::new(LinkOfficerResponse {
            link,
            valid_until: until.to_string(),
        }))
    }

    async fn waiting_changes(
        &self,
        request: Request<WaitingChangesRequest>,
    ) -> Result<Response<WaitingChangesResponse>, Status> {
        system(&self.0, &request)?;
        let message = "only the client admin, or an administrator at the console, sees the changes that wait";
        only_admin(&self.0, &request, message)?;
        let waiting = console::waiting(&self.0).await?;
        let changes = waiting.iter().map(Document::encode).collect::<Result<_, _>>();
        Ok(Response::new(WaitingChangesResponse {
            changes: changes.map_err(refused)?,
        }))
    }
}

/// The client `admin`, or somebody at the listener without authentication, for trials.
fn only_admin<T>(state: &Arc<State>, request: &Request<T>, message: &'static str) -> Result<(), Fault> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Client { name, .. }) if name != ADMIN => {
            let fault = Fault::new(concordat_wire::Reason::NotPermitted, "NODE-010", message);
            Err(refuse_client(state, request, fault))
        }
        _ => Ok(()),
    }
}

async fn page(state: &State, request: &ListCasesRequest) -> Result<ListCasesResponse, Fault> {
    let filter = CaseFilter {
        side: match request.side() {
            v1::CaseSide::Unspecified => None,
            v1::CaseSide::Requester => Some(CaseSide::Requester),
            v1::CaseSide::Owner => Some(CaseSide::Owner),
        },
        turn: request.ours.then_some(CaseTurn::Ours),
        state: (!request.state.is_empty()).then(|| request.state.clone()),
        partner: (!request.partner_id.is_empty()).then(|| request.partner_id.clone()),
    };
    let after = match request.after.as_slice() {
        [] => None,
        after => {
            Some(cursor(after).ok_or_else(|| Fault::invalid("DESK-021", "after", "the `next` of a page"))?)
        }
    };
    let limit = match request.limit {
        0 => PAGE,
        limit => limit.clamp(1, 500),
    };
    let rows = inbox::cases(state, &filter, after, limit).await?;
    let next = match rows.last() {
        Some(last) if rows.len() as u64 == u64::from(limit) => bytes_of(&CaseCursor::after(last)),
        _ => Vec::new(),
    };
    let now = state.clock.now();
    Ok(ListCasesResponse {
        cases: rows.iter().map(|row| read::summary(row, now)).collect(),
        next,
    })
}

fn bytes_of(cursor: &CaseCursor) -> Vec<u8> {
    [
        cursor.due_ms.to_be_bytes().as_slice(),
        &cursor.opened_ms.to_be_bytes(),
        &cursor.id,
    ]
    .concat()
}

fn cursor(bytes: &[u8]) -> Option<CaseCursor> {
    let (due, rest) = bytes.split_first_chunk()?;
    let (opened, id) = rest.split_first_chunk()?;
    Some(CaseCursor {
        due_ms: i64::from_be_bytes(*due),
        opened_ms: i64::from_be_bytes(*opened),
        id: id.try_into().ok()?,
    })
}

async fn officers_of(state: &State) -> Result<ListOfficersResponse, Fault> {
    let registry = officers::registry_or_nobody(state).await?;
    let page = officers::relying_party(state).await?;
    let (sequence, head) = registry.head();
    let officers = registry.officers().map(|listed| {
        let keys = listed.officer.keys.iter().map(|key| v1::OfficerKey {
            key_id: key.id().to_string(),
            r#type: match key {
                OfficerKey::Passkey(_) => "passkey",
                OfficerKey::FileKey(_) => "file-key",
            }
            .to_owned(),
            revoked_at: listed
                .revoked
                .get(&key.id())
                .map(ToString::to_string)
                .unwrap_or_default(),
        });
        Officer {
            id: listed.officer.person.id.as_str().to_owned(),
            unit: listed
                .officer
                .person
                .unit
                .as_ref()
                .map(|unit| unit.as_str().to_owned())
                .unwrap_or_default(),
            roles: listed
                .officer
                .roles
                .iter()
                .map(|role| role.name().to_owned())
                .collect(),
            since: listed.since.to_string(),
            retired_at: listed.retired.map(|at| at.to_string()).unwrap_or_default(),
            keys: keys.collect(),
        }
    });
    Ok(ListOfficersResponse {
        sequence,
        head: head.to_string(),
        officers: officers.collect(),
        console_id: page.id.as_str().to_owned(),
        console_origins: page
            .origins
            .iter()
            .map(|origin| origin.as_str().to_owned())
            .collect(),
        console_listens: state.config.console.listen.is_some(),
    })
}
