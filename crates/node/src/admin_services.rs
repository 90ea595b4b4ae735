//! `AgreementService`, `SnapshotService` and `NodeService`: what the people who run a node ask of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use concordat_ledger::{Actor, AgreementChange, ClientChange, ClientChanged, Text};
use concordat_note::Note;
use concordat_store::{AgreementStatus, ApiClient, ScopeRole, StoreError, Usage};
use concordat_tagset::Manifest;
use concordat_wire::v1::agreement_service_server::AgreementService;
use concordat_wire::v1::node_service_server::NodeService;
use concordat_wire::v1::snapshot_service_server::SnapshotService;
use concordat_wire::v1::{
    AddClientRequest, AddClientResponse, Agreement as AgreementMessage, Client, EndRequest,
    EraseEntriesRequest, EraseEntriesResponse, FetchRequest, FetchResponse, GetAgreementRequest, InfoRequest,
    InfoResponse, Job, ListAgreementsRequest, ListAgreementsResponse, ListClientsRequest,
    ListClientsResponse, OfferUsage, ProposeRequest, PublishRequest, ResumeRequest, RevokeClientRequest,
    RevokeClientResponse, SignRequest, Snapshot as SnapshotMessage, SnapshotStatusRequest,
    SnapshotStatusResponse, SuspendRequest,
};
use concordat_wire::{Fault, Reason, kind_to_proto, v1};
use tonic::{Request, Response, Status};

use crate::access::refuse_client;
use crate::agreement::{Agreement, MARKER, Offer, is_label};
use crate::book::{Entry, changed, not_a_party, store_fault};
use crate::desk::console;
use crate::identity::{self, IdentityError};
use crate::jobs::{self, Spec};
use crate::ledger::{digest, text};
use crate::listen::Caller;
use crate::maintenance::{self, countersign, fetch_all, no_such_agreement};
use crate::peer_service::merge;
use crate::state::State;
use crate::{erasure, publish, upkeep};

/// Agreements.
pub struct Agreements(pub Arc<State>);

impl Agreements {
    fn entry(&self, id: &str) -> Result<Arc<Entry>, Fault> {
        self.0.book.get(id).ok_or_else(no_such_agreement)
    }

    async fn describe(&self, entry: &Entry) -> Result<AgreementMessage, Fault> {
        use v1::agreement::Status as S;
        let (state, agreement) = (&self.0, &entry.agreement);
        let (_, note) = Agreement::from_note(&entry.note)?;
        let now = state.clock.now();
        // Before its time the first epoch, after it the last.
        let epoch = [now, agreement.valid_until - jiff::SignedDuration::from_secs(1)]
            .into_iter()
            .filter(|time| *time >= agreement.valid_from)
            .find_map(|time| agreement.epoch_at(time))
            .filter(|_| now >= agreement.valid_from)
            .unwrap_or(0);
        let mut usage = Vec::with_capacity(agreement.offers.len());
        for offer in &agreement.offers {
            usage.push(self.usage(agreement, offer, epoch).await?);
        }
        Ok(AgreementMessage {
            agreement_id: agreement.id.clone(),
            status: match entry.status {
                _ if now >= agreement.valid_until => S::Expired,
                AgreementStatus::Proposed => S::Proposed,
                AgreementStatus::Active => S::Active,
                AgreementStatus::Suspended => S::Suspended,
                AgreementStatus::Superseded | AgreementStatus::Ended => S::Ended,
            }
            .into(),
            note: entry.note.clone(),
            digest: agreement.digest.to_vec(),
            partner_id: entry.partner.id.clone(),
            signed_by: agreement.signers(&note)?,
            usage,
            valid_until: agreement.valid_until.to_string(),
            warnings: match entry.status {
                AgreementStatus::Superseded | AgreementStatus::Ended => Vec::new(),
                _ => console::obstacles(state, agreement)
                    .await
                    .unwrap_or_else(|fault| vec![fault.to_string()]),
            },
            status_reason: entry.stopped_because.clone(),
        })
    }

    /// What was charged where we own the offer; where we ask, what our own record says that we announced. The partner's
    /// books count: they are lower after requests that did not come to their end.
    async fn usage(&self, agreement: &Agreement, offer: &Offer, epoch: u32) -> Result<OfferUsage, Fault> {
        let (state, day) = (&self.0, self.0.clock.day());
        let owned = offer.owner == state.us();
        let role = if owned {
            ScopeRole::Owner
        } else {
            ScopeRole::Requester
        };
        let usage = async {
            match state
                .store
                .scope_of_epoch(&agreement.id, &offer.id, epoch, role)
                .await?
            {
                None => Ok(Usage::default()),
                Some(scope) if owned => state.store.usage(scope.id, day).await,
                Some(scope) => state.store.announced(scope.id, day).await,
            }
        };
        let used = usage.await.map_err(|error| store_fault(&error))?;
        Ok(OfferUsage {
            offer_id: offer.id.clone(),
            owner: offer.owner.clone(),
            kind: kind_to_proto(offer.kind).into(),
            epoch,
            quota_per_day: offer.quota_per_day,
            quota_per_epoch: offer.quota_per_epoch,
            used_today: used.day,
            used_epoch: used.epoch,
        })
    }

    /// Signs, keeps and, where the partner is known to have a copy, exchanges signatures.
    async fn sign_and_keep(
        &self,
        agreement: &Agreement,
        mut note: Note,
        by: Actor,
    ) -> Result<Arc<Entry>, Fault> {
        let state = &self.0;
        if state.clock.now() >= agreement.valid_until {
            let message = format!("the agreement ended on {}: make a new one", agreement.valid_until);
            return Err(Fault::invalid("AGR-101", "agreement.valid_until", message));
        }
        let ours = agreement.parties.iter().find(|party| party.id == state.us());
        let ours = ours.ok_or_else(|| not_a_party(&agreement.id, state.us()))?;
        state.check_ours(ours).await?;
        note.add_signature(&state.identity.signing);
        state.book.keep(state, agreement, &note, by).await?;
        self.entry(&agreement.id)
    }

    async fn set_status(&self, id: &str, next: Next<'_>, by: Actor) -> Result<AgreementMessage, Fault> {
        let state = &self.0;
        let entry = self.entry(id)?;
        let now_ms = state.now_ms();
        let change = match next {
            Next::Suspended(_) => AgreementChange::Suspended,
            Next::Ended(_) => AgreementChange::Ended,
            Next::Active => AgreementChange::Resumed,
        };
        let change = state.entry(changed(&entry.agreement, &entry.partner.id, by, change))?;
        let store = state.store.recording(change);
        let changed = match next {
            Next::Suspended(because) => store.suspend_agreement(id, because, now_ms).await,
            Next::Ended(because) => store.end_agreement(id, because, now_ms).await,
            Next::Active => {
                let active = AgreementStatus::Active;
                store.set_agreement_status(id, active, now_ms).await
            }
        };
        changed.map_err(|error| match error {
            StoreError::InvalidTransition { from, to, .. } => Fault::new(
                Reason::Precondition,
                "AGR-029",
                format!("agreement {id} is {from} and cannot become {to}"),
            ),
            error => store_fault(&error),
        })?;
        if let Next::Suspended(reason) | Next::Ended(reason) = next {
            tracing::warn!(agreement = id, reason, "stopped an agreement");
        }
        state.book.reload(&state.store).await?;
        if let Next::Ended(_) = next {
            maintenance::end_epochs(state).await;
        }
        self.describe(&*self.entry(id)?).await
    }
}

/// What a person makes of an agreement.
#[derive(Clone, Copy)]
enum Next<'a> {
    Suspended(&'a str),
    Active,
    Ended(&'a str),
}

/// Why an agreement is stopped, for the record.
fn stated(reason: &str) -> Result<&str, Fault> {
    if is_label(reason) {
        return Ok(reason);
    }
    Err(Fault::invalid(
        "AGR-031",
        "reason",
        "say why, in 1 to 128 characters",
    ))
}

#[tonic::async_trait]
impl AgreementService for Agreements {
    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<AgreementMessage>, Status> {
        let (state, by) = (&self.0, upkeep::caller(&request));
        let mut text = request.into_inner().draft_toml.replace("\r\n", "\n");
        if !text.starts_with(MARKER) {
            text.insert_str(0, MARKER);
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        // A draft may leave our own block to us.
        let named = toml::from_str::<toml::Table>(&text).is_ok_and(|draft| {
            let parties = draft.get("party").and_then(toml::Value::as_array);
            parties.is_some_and(|parties| {
                parties
                    .iter()
                    .any(|party| party.get("id").and_then(toml::Value::as_str) == Some(state.us()))
            })
        });
        if !named {
            text.push('\n');
            text.push_str(&state.party_toml().await?);
        }
        let agreement = Agreement::parse(&text)?;
        if let Some(known) = state.book.get(&agreement.id)
            && known.agreement.digest != agreement.digest
        {
            let message = format!(
                "agreement {} exists with another text: give the new one another id",
                agreement.id
            );
            return Err(Fault::new(Reason::Conflict, "AGR-026", message)
                .field("agreement.id")
                .into());
        }
        let note = Note::sign(&text, &[&state.identity.signing])
            .map_err(|error| Fault::invalid("AGR-001", "draft_toml", error.to_string()))?;
        let entry = self.sign_and_keep(&agreement, note, by).await?;
        Ok(Response::new(self.describe(&entry).await?))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<AgreementMessage>, Status> {
        let state = &self.0;
        // The lines of signatures begin so (C2SP signed-note).
        if !request.get_ref().note.contains("\n\u{2014} ") {
            return Err(Fault::invalid(
                "AGR-010",
                "note",
                "the document is not signed: on a draft, run `concordat agreement propose`",
            )
            .into());
        }
        let (agreement, mut note) = Agreement::from_note(&request.get_ref().note)?;
        let partner = agreement
            .partner_of(state.us())
            .ok_or_else(|| not_a_party(&agreement.id, state.us()))?;
        if !agreement.signers(&note)?.contains(&partner.id) {
            let message = format!(
                "{} has not signed this document: only a signed one can be answered",
                partner.id
            );
            return Err(Fault::invalid("AGR-030", "note", message).into());
        }
        if let Some(known) = state.book.get(&agreement.id) {
            note = merge(&known.agreement, &known.note, &agreement, &note)?;
        }
        let entry = self
            .sign_and_keep(&agreement, note, upkeep::caller(&request))
            .await?;
        // The partner learns of our signature now, or at its next poll.
        if let Err(fault) = countersign(state, &entry).await {
            tracing::info!(agreement = agreement.id, %fault, "the partner will learn of the signature later");
        }
        Ok(Response::new(self.describe(&*self.entry(&agreement.id)?).await?))
    }

    async fn get(&self, request: Request<GetAgreementRequest>) -> Result<Response<AgreementMessage>, Status> {
        let entry = self.entry(&request.get_ref().agreement_id)?;
        // While it waits for the partner's signature, looking at it asks for it.
        if entry.status == AgreementStatus::Proposed && countersign(&self.0, &entry).await.is_ok() {
            let entry = self.entry(&request.get_ref().agreement_id)?;
            return Ok(Response::new(self.describe(&entry).await?));
        }
        Ok(Response::new(self.describe(&entry).await?))
    }

    async fn list(
        &self,
        _: Request<ListAgreementsRequest>,
    ) -> Result<Response<ListAgreementsResponse>, Status> {
        let mut agreements = Vec::new();
        for entry in self.0.book.all() {
            agreements.push(self.describe(&entry).await?);
        }
        Ok(Response::new(ListAgreementsResponse { agreements }))
    }

    async fn suspend(&self, request: Request<SuspendRequest>) -> Result<Response<AgreementMessage>, Status> {
        let (by, request) = (upkeep::caller(&request), request.get_ref());
        let next = Next::Suspended(stated(&request.reason)?);
        Ok(Response::new(
            self.set_status(&request.agreement_id, next, by).await?,
        ))
    }

    async fn end(&self, request: Request<EndRequest>) -> Result<Response<AgreementMessage>, Status> {
        let (by, request) = (upkeep::caller(&request), request.get_ref());
        let next = Next::Ended(stated(&request.reason)?);
        Ok(Response::new(
            self.set_status(&request.agreement_id, next, by).await?,
        ))
    }

    async fn resume(&self, request: Request<ResumeRequest>) -> Result<Response<AgreementMessage>, Status> {
        let entry = self.entry(&request.get_ref().agreement_id)?;
        if entry.status != AgreementStatus::Suspended {
            let message = format!("agreement {} is not suspended", entry.agreement.id);
            return Err(Fault::new(Reason::Precondition, "AGR-029", message).into());
        }
        Ok(Response::new(
            self.set_status(&entry.agreement.id, Next::Active, upkeep::caller(&request))
                .await?,
        ))
    }
}

/// Snapshots.
pub struct Snapshots(pub Arc<State>);

impl Snapshots {
    async fn all(&self) -> Result<Vec<SnapshotMessage>, Fault> {
        let state = &self.0;
        let now = state.clock.now();
        let mut snapshots = Vec::new();
        for entry in state.book.all() {
            let Some(epoch) = entry.agreement.epoch_at(now) else {
                continue;
            };
            // Nothing is published or fetched before both have signed.
            if entry.status == AgreementStatus::Proposed {
                continue;
            }
            for offer in &entry.agreement.offers {
                let owned = offer.owner == state.us();
                let scope = (&entry.agreement, offer, epoch);
                let mut unreadable = false;
                let snapshot = if owned {
                    let served = publish::served(state, scope).await;
                    unreadable = served.is_err();
                    served.unwrap_or_default()
                } else {
                    state
                        .held
                        .get(state, scope)
                        .await?
                        .and_then(|scope| scope.snapshot())
                };
                let mut message = SnapshotMessage {
                    agreement_id: entry.agreement.id.clone(),
                    offer_id: offer.id.clone(),
                    partner_id: entry.partner.id.clone(),
                    kind: kind_to_proto(offer.kind).into(),
                    epoch,
                    role: if owned {
                        v1::snapshot::Role::Served
                    } else {
                        v1::snapshot::Role::Held
                    }
                    .into(),
                    max_age_s: offer.max_age_s,
                    ..SnapshotMessage::default()
                };
                match snapshot {
                    Some(snapshot) => fill(&mut message, snapshot.manifest(), now),
                    None if unreadable => message.detail = "damaged: to be published anew".into(),
                    None if owned => message.detail = "not published in this epoch yet".into(),
                    None => message.detail = "not fetched in this epoch yet".into(),
                }
                if owned && let Some(trouble) = state.troubles.of(&entry.agreement.id, &offer.id) {
                    message.detail = trouble;
                }
                snapshots.push(message);
            }
        }
        Ok(snapshots)
    }
}

fn fill(message: &mut SnapshotMessage, manifest: &Manifest, now: jiff::Timestamp) {
    message.version = manifest.version;
    message.as_of = manifest.as_of.to_string();
    message.stale = now > manifest.expires_at();
    message.size_class = manifest.size_class();
    message.segments = manifest.segments().count() as u64;
    message.bytes = manifest.total_bytes();
}

#[tonic::async_trait]
impl SnapshotService for Snapshots {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<Job>, Status> {
        let agreement = request.into_inner().agreement_id;
        if !agreement.is_empty() && self.0.book.get(&agreement).is_none() {
            return Err(no_such_agreement().into());
        }
        let spec = Spec::Publish {
            agreement,
            offers: Vec::new(),
        };
        Ok(Response::new(jobs::create(&self.0, &spec, None).await?))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<FetchResponse>, Status> {
        let partner = request.into_inner().partner_id;
        let partner = (!partner.is_empty()).then_some(partner);
        if let Some(partner) = &partner
            && !self.0.book.all().iter().any(|entry| entry.partner.id == *partner)
        {
            let message = format!("there is no agreement with {partner}");
            return Err(Fault::new(Reason::NotFound, "QRY-004", message)
                .field("partner_id")
                .into());
        }
        let mut bytes_received = 0;
        for result in fetch_all(&self.0, partner.as_deref()).await {
            bytes_received += result?;
        }
        let snapshots = self.all().await?;
        let held = snapshots
            .into_iter()
            .filter(|snapshot| snapshot.role() == v1::snapshot::Role::Held)
            .filter(|snapshot| {
                partner
                    .as_ref()
                    .is_none_or(|partner| *partner == snapshot.partner_id)
            })
            .collect();
        Ok(Response::new(FetchResponse {
            snapshots: held,
            bytes_received,
        }))
    }

    async fn status(
        &self,
        _: Request<SnapshotStatusRequest>,
    ) -> Result<Response<SnapshotStatusResponse>, Status> {
        Ok(Response::new(SnapshotStatusResponse {
            snapshots: self.all().await?,
        }))
    }
}

/// The node.
pub struct Info(pub Arc<State>);

#[tonic::async_trait]
impl NodeService for Info {
    async fn add_client(
        &self,
        request: Request<AddClientRequest>,
    ) -> Result<Response<AddClientResponse>, Status> {
        only_admin(&self.0, &request)?;
        let by = upkeep::caller(&request);
        let (state, request) = (&self.0, request.into_inner());
        let clients = state.store.clients().await.map_err(|error| store_fault(&error))?;
        let mut known = clients.iter().filter(|client| client.revoked_ms.is_none());
        if known.any(|client| client.name == request.name) {
            return Err(has_a_certificate(&request.name).into());
        }
        let data_dir = state.config.node.data_dir.clone();
        let name = request.name.clone();
        let signed = tokio::task::spawn_blocking(move || {
            identity::sign_client(&data_dir, &name, &request.request_pem)
        });
        let signed = signed
            .await
            .map_err(|error| Fault::internal(error.to_string()))?
            .map_err(|error| match &error {
                IdentityError::Name(message) => Fault::invalid("NODE-011", "name", message),
                IdentityError::Request(_) => Fault::invalid("NODE-014", "request_pem", error.to_string()),
                _ => {
                    tracing::error!(%error, "signing a client's certificate");
                    Fault::internal("the node's own authority cannot sign; the log has the details")
                }
            })?;
        let added = state.entry(ClientChanged {
            by,
            client: text(&request.name),
            certificate: digest(signed.fingerprint),
            auditor: request.auditor,
            change: ClientChange::Added,
        })?;
        let (store, now_ms) = (state.store.recording(added), state.now_ms());
        let added = match request.auditor {
            true => {
                store
                    .add_auditor(&request.name, &signed.fingerprint, now_ms)
                    .await
            }
            false => store.add_client(&request.name, &signed.fingerprint, now_ms).await,
        };
        added.map_err(|error| match error {
            StoreError::AlreadyExists { .. } => has_a_certificate(&request.name),
            error => store_fault(&error),
        })?;
        tracing::info!(client = request.name, "a client may call");
        Ok(Response::new(AddClientResponse {
            certificate_pem: signed.pem,
        }))
    }

    async fn revoke_client(
        &self,
        request: Request<RevokeClientRequest>,
    ) -> Result<Response<RevokeClientResponse>, Status> {
        only_admin(&self.0, &request)?;
        let by = upkeep::caller(&request);
        let (state, name) = (&self.0, request.into_inner().name);
        let clients = state.store.clients().await.map_err(|error| store_fault(&error))?;
        let unknown =
            || Fault::new(Reason::NotFound, "NODE-013", format!("there is no client {name}")).field("name");
        let mut may_call = clients.iter().filter(|client| client.revoked_ms.is_none());
        let client = may_call.find(|client| client.name == name).ok_or_else(unknown)?;
        let revoked = state.entry(ClientChanged {
            by,
            client: text(&name),
            certificate: digest(client.cert_sha256),
            auditor: client.auditor,
            change: ClientChange::Revoked,
        })?;
        state
            .store
            .recording(revoked)
            .revoke_client(&name, state.now_ms())
            .await
            .map_err(|error| match error {
                StoreError::NotFound { .. } => unknown(),
                error => store_fault(&error),
            })?;
        for client in clients.iter().filter(|client| client.name == name) {
            state.revoked.add(client.cert_sha256);
        }
        tracing::info!(client = name, "a client may no longer call");
        Ok(Response::new(RevokeClientResponse {}))
    }

    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        only_admin(&self.0, &request)?;
        let clients = self
            .0
            .store
            .clients()
            .await
            .map_err(|error| store_fault(&error))?;
        Ok(Response::new(ListClientsResponse {
            clients: clients.iter().map(client_to_proto).collect(),
        }))
    }

    async fn erase_entries(
        &self,
        request: Request<EraseEntriesRequest>,
    ) -> Result<Response<EraseEntriesResponse>, Status> {
        only_admin(&self.0, &request)?;
        let (by, request) = (upkeep::caller(&request), request.get_ref());
        let order = Text::new(&request.order)
            .map_err(|_| Fault::invalid("LEDG-030", "order", "say who ordered it and why, in one line"))?;
        let range = |range: &v1::EntryRange| {
            (range.first <= range.last)
                .then_some(range.first..=range.last)
                .ok_or_else(|| Fault::invalid("LEDG-031", "entries", "a range ends before it begins"))
        };
        let entries: Result<Vec<_>, Fault> = request.entries.iter().map(range).collect();
        let entries = entries?;
        if entries.is_empty() {
            return Err(Fault::invalid("LEDG-031", "entries", "say which entries are to be erased").into());
        }
        let size = self.0.store.ledger_size().await;
        let size = size.map_err(|error| store_fault(&error))?;
        if let Some(beyond) = entries
            .iter()
            .map(RangeInclusive::end)
            .find(|last| **last >= size)
        {
            let message = format!("the ledger has no entry {beyond}: nothing was erased");
            return Err(Fault::new(Reason::NotFound, "LEDG-032", message)
                .field("entries")
                .into());
        }
        let erased = erasure::erase_ordered(&self.0, &entries, &by, &order).await?;
        erasure::empty_log(&self.0).await;
        Ok(Response::new(EraseEntriesResponse { erased }))
    }

    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let state = &self.0;
        let (rss, peak) = memory();
        let ledger_witnesses = state.witnesses.standings(state).await?;
        Ok(Response::new(InfoResponse {
            agency_id: state.us().to_owned(),
            agency_name: state.config.node.agency_name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            identity_key: state.identity.signing.verifier().to_string(),
            tls_spki_sha256: hex::encode(state.peer_pin),
            peer_endpoint: state.config.peer.endpoint.clone(),
            profile: concordat_identifiers::PROFILE.into(),
            engine: concordat_lanes::engine().into(),
            rss_bytes: rss,
            peak_rss_bytes: peak,
            // Every command asks for this first: a damaged address must keep nobody from looking into it.
            party_toml: state.party_toml().await.unwrap_or_default(),
            ledger_witnesses,
            console_warnings: console::warnings(state).await,
        }))
    }
}

/// A row of the list of clients.
pub fn client_to_proto(client: &ApiClient) -> Client {
    let time = |ms| {
        jiff::Timestamp::from_millisecond(ms)
            .map(|time| time.to_string())
            .unwrap_or_default()
    };
    Client {
        name: client.name.clone(),
        added_at: time(client.created_ms),
        revoked_at: client.revoked_ms.map(time).unwrap_or_default(),
        cert_sha256: client.cert_sha256.to_vec(),
        auditor: client.auditor,
    }
}

/// Who may make certificates could give itself new ones after it was revoked: one client, not all, and never the
/// listener without authentication.
fn only_admin<T>(state: &Arc<State>, request: &Request<T>) -> Result<(), Fault> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Client {
            name, auditor: false, ..
        }) if name == identity::ADMIN => Ok(()),
        _ => {
            let message = "only the client admin manages clients and orders erasures";
            let fault = Fault::new(Reason::NotPermitted, "NODE-010", message);
            Err(refuse_client(state, request, fault))
        }
    }
}

/// Keeps auditors out of a service that is not theirs.
pub fn no_auditor(state: &Arc<State>) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
    let state = Arc::clone(state);
    move |request| match request.extensions().get::<Caller>() {
        Some(Caller::Client { auditor: true, .. }) => {
            Err(refuse_client(&state, &request, not_for_auditors()).into())
        }
        _ => Ok(request),
    }
}

/// What an auditor is told who would do more than read.
pub(crate) fn not_for_auditors() -> Fault {
    let message = "this certificate is an auditor's: it reads the ledger and the history of cases, and does nothing else";
    Fault::new(Reason::NotPermitted, "NODE-016", message)
}

fn has_a_certificate(name: &str) -> Fault {
    let message = format!("{name} has a certificate already; choose another name");
    Fault::new(Reason::Conflict, "NODE-012", message).field("name")
}

/// What a client hears that was revoked while it is connected.
pub fn revoked() -> Fault {
    Fault::new(Reason::NotPermitted, "NODE-015", "this certificate was revoked")
}

/// Resident set and its peak in bytes, as Linux tells; 0 elsewhere.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok());
        kib.unwrap_or(0) * 1_024
    };
    (line("VmRSS:"), line("VmHWM:"))
}
