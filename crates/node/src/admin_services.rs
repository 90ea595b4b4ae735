//! `AgreementService`, `SnapshotService` and `NodeService`: what the people who run a node ask of it.

use std::sync::Arc;

use concordat_note::Note;
use concordat_store::{AgreementStatus, ScopeRole};
use concordat_tagset::Manifest;
use concordat_wire::v1::agreement_service_server::AgreementService;
use concordat_wire::v1::node_service_server::NodeService;
use concordat_wire::v1::snapshot_service_server::SnapshotService;
use concordat_wire::v1::{
    Agreement as AgreementMessage, FetchRequest, FetchResponse, GetAgreementRequest, InfoRequest,
    InfoResponse, Job, ListAgreementsRequest, ListAgreementsResponse, OfferUsage, ProposeRequest,
    PublishRequest, ResumeRequest, SignRequest, Snapshot as SnapshotMessage, SnapshotStatusRequest,
    SnapshotStatusResponse, SuspendRequest,
};
use concordat_wire::{Fault, Reason, kind_to_proto, v1};
use tonic::{Request, Response, Status};

use crate::agreement::{Agreement, MARKER, Offer};
use crate::book::{Entry, not_a_party, store_fault};
use crate::jobs::{self, Spec};
use crate::maintenance::{countersign, fetch_all, no_such_agreement};
use crate::peer_service::merge;
use crate::publish;
use crate::state::State;

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
        let mut usage = Vec::new();
        if let Some(epoch) = agreement.epoch_at(state.clock.now()) {
            for offer in &agreement.offers {
                usage.push(self.usage(agreement, offer, epoch).await?);
            }
        }
        Ok(AgreementMessage {
            agreement_id: agreement.id.clone(),
            status: match entry.status {
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
        })
    }

    /// What was charged: exact where we own the offer. Where we ask, the partner's books count.
    async fn usage(&self, agreement: &Agreement, offer: &Offer, epoch: u32) -> Result<OfferUsage, Fault> {
        let state = &self.0;
        let mut usage = OfferUsage {
            offer_id: offer.id.clone(),
            owner: offer.owner.clone(),
            kind: kind_to_proto(offer.kind).into(),
            epoch,
            quota_per_day: offer.quota_per_day,
            quota_per_epoch: offer.quota_per_epoch,
            ..OfferUsage::default()
        };
        if offer.owner == state.us() {
            let scope = state
                .store
                .scope_of_epoch(&agreement.id, &offer.id, epoch, ScopeRole::Owner)
                .await;
            if let Some(scope) = scope.map_err(|error| store_fault(&error))? {
                let used = state
                    .store
                    .usage(scope.id, state.clock.day())
                    .await
                    .map_err(|error| store_fault(&error))?;
                (usage.used_today, usage.used_epoch) = (used.day, used.epoch);
            }
        }
        Ok(usage)
    }

    /// Signs, keeps and, where the partner is known to have a copy, exchanges signatures.
    async fn sign_and_keep(&self, agreement: &Agreement, mut note: Note) -> Result<Arc<Entry>, Fault> {
        let state = &self.0;
        let ours = agreement.parties.iter().find(|party| party.id == state.us());
        let ours = ours.ok_or_else(|| not_a_party(&agreement.id, state.us()))?;
        if ours.identity != state.identity.signing.verifier() || ours.tls_spki != state.peer_pin {
            return Err(Fault::invalid(
                "AGR-028",
                "party",
                "the document names other keys for us than this node's: paste the block of `concordat agreement party`",
            ));
        }
        note.add_signature(&state.identity.signing);
        state
            .book
            .keep(&state.store, agreement, &note, state.now_ms())
            .await?;
        self.entry(&agreement.id)
    }

    async fn set_status(&self, id: &str, status: AgreementStatus) -> Result<AgreementMessage, Fault> {
        let state = &self.0;
        self.entry(id)?;
        state
            .store
            .set_agreement_status(id, status, state.now_ms())
            .await
            .map_err(|error| match error {
                concordat_store::StoreError::InvalidTransition { from, to, .. } => Fault::new(
                    Reason::Precondition,
                    "AGR-029",
                    format!("agreement {id} is {from} and cannot become {to}"),
                ),
                error => store_fault(&error),
            })?;
        state.book.reload(&state.store).await?;
        self.describe(&*self.entry(id)?).await
    }
}

#[tonic::async_trait]
impl AgreementService for Agreements {
    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<AgreementMessage>, Status> {
        let state = &self.0;
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
            text.push_str(&state.party_toml());
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
        let entry = self.sign_and_keep(&agreement, note).await?;
        Ok(Response::new(self.describe(&entry).await?))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<AgreementMessage>, Status> {
        let state = &self.0;
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
        let entry = self.sign_and_keep(&agreement, note).await?;
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
        let request = request.into_inner();
        if !crate::agreement::is_label(&request.reason) {
            return Err(Fault::invalid("AGR-031", "reason", "say why, in 1 to 128 characters").into());
        }
        tracing::warn!(
            agreement = request.agreement_id,
            reason = request.reason,
            "suspending an agreement"
        );
        Ok(Response::new(
            self.set_status(&request.agreement_id, AgreementStatus::Suspended)
                .await?,
        ))
    }

    async fn resume(&self, request: Request<ResumeRequest>) -> Result<Response<AgreementMessage>, Status> {
        let entry = self.entry(&request.get_ref().agreement_id)?;
        if entry.status != AgreementStatus::Suspended {
            let message = format!("agreement {} is not suspended", entry.agreement.id);
            return Err(Fault::new(Reason::Precondition, "AGR-029", message).into());
        }
        Ok(Response::new(
            self.set_status(&entry.agreement.id, AgreementStatus::Active)
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
        let mut bytes_received = 0;
        for result in fetch_all(&self.0, partner.as_deref()).await {
            bytes_received += result?;
        }
        let snapshots = self.all().await?;
        let held = snapshots
            .into_iter()
            .filter(|snapshot| snapshot.role() == v1::snapshot::Role::Held)
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

impl State {
    /// Our block for an agreement's draft.
    pub fn party_toml(&self) -> String {
        let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
        format!(
            "[[party]]\nid = {}\nname = {}\nidentity_key = {}\ntls_spki_sha256 = {}\nendpoint = {}\n",
            text(self.us()),
            text(&self.config.node.agency_name),
            text(&self.identity.signing.verifier().to_string()),
            text(&hex::encode(self.peer_pin)),
            text(&self.config.peer.endpoint),
        )
    }
}

#[tonic::async_trait]
impl NodeService for Info {
    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let state = &self.0;
        let (rss, peak) = memory();
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
            party_toml: state.party_toml(),
        }))
    }
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
