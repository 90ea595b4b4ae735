//! What we answer other agencies' nodes.

use std::pin::Pin;
use std::sync::Arc;

use concordat_ledger::Actor;
use concordat_note::Note;
use concordat_tagset::{Digest, Error as TagsetError};
use concordat_wire::v1::peer_service_server::PeerService;
use concordat_wire::v1::{
    AddCheckpointRequest, AddCheckpointResponse, CapabilitiesRequest, CapabilitiesResponse, EvaluateRequest,
    EvaluateResponse, ExchangeAgreementRequest, ExchangeAgreementResponse, FetchSegmentRequest,
    FetchSegmentResponse, GetDisclosureKeyRequest, GetDisclosureKeyResponse, GetManifestRequest,
    GetManifestResponse, GetScopeKeyRequest, GetScopeKeyResponse, PutAttachmentPartRequest,
    PutAttachmentPartResponse, ReadLedgerRequest, ReadLedgerResponse, TakeCaseStepsRequest,
    TakeCaseStepsResponse,
};
use concordat_wire::{DATA_PIECE, Fault, MAX_CHUNK_ELEMENTS, PROTOCOL, Reason, SUITE, v1};
use futures_util::{Stream, StreamExt};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::access::PartnerCall;
use crate::agreement::{Agreement, Offer};
use crate::book::Entry;
use crate::listen::Caller;
use crate::state::State;
use crate::tls::SpkiPin;
use crate::{cosigning, desk, evaluate, log_files, publish};

/// The service.
pub struct Peer(pub Arc<State>);

type Results<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The partner's key, as TLS proved it.
fn partner<T>(request: &Request<T>) -> Result<SpkiPin, Status> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Partner(partner)) => Ok(*partner),
        _ => Err(Fault::new(
            Reason::Unauthenticated,
            "PEER-000",
            "only a pinned partner may call this",
        )
        .into()),
    }
}

#[tonic::async_trait]
impl PeerService for Peer {
    async fn capabilities(
        &self,
        request: Request<CapabilitiesRequest>,
    ) -> Result<Response<CapabilitiesResponse>, Status> {
        partner(&request)?;
        Ok(Response::new(CapabilitiesResponse {
            protocols: vec![PROTOCOL.into()],
            suites: vec![SUITE.into()],
            profile: concordat_identifiers::PROFILE.into(),
            profile_fingerprint: concordat_identifiers::profile_fingerprint().to_vec(),
            max_chunk_elements: MAX_CHUNK_ELEMENTS,
            version: env!("CARGO_PKG_VERSION").into(),
        }))
    }

    async fn exchange_agreement(
        &self,
        request: Request<ExchangeAgreementRequest>,
    ) -> Result<Response<ExchangeAgreementResponse>, Status> {
        let partner = partner(&request)?;
        let (agreement, note) = Agreement::from_note(&request.get_ref().note)?;
        // A partner can only add its signature to a document that we signed: a person signs first, on each side.
        let ours = self
            .0
            .book
            .get(&agreement.id)
            .filter(|entry| entry.partner.pin == partner);
        let ours =
            ours.ok_or_else(|| Fault::new(Reason::NotFound, "AGR-110", "no such agreement between us"))?;
        let merged = merge(&ours.agreement, &ours.note, &agreement, &note)?;
        self.0
            .book
            .keep(&self.0, &ours.agreement, &merged, Actor::Node)
            .await?;
        Ok(Response::new(ExchangeAgreementResponse {
            note: merged.to_string(),
        }))
    }

    async fn get_scope_key(
        &self,
        request: Request<GetScopeKeyRequest>,
    ) -> Result<Response<GetScopeKeyResponse>, Status> {
        let partner = partner(&request)?;
        let state = &self.0;
        let scope = request.get_ref().scope.as_ref();
        let (entry, offer, epoch) = admit(state, &partner, "get the key", scope).await?;
        let key = state
            .own_keys
            .get(state, (&entry.agreement, &offer, epoch))
            .await?;
        Ok(Response::new(GetScopeKeyResponse {
            note: key.note.clone(),
        }))
    }

    type EvaluateStream = Results<EvaluateResponse>;

    async fn evaluate(
        &self,
        request: Request<Streaming<EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let partner = partner(&request)?;
        let answers = evaluate::serve(Arc::clone(&self.0), partner, request.into_inner()).await?;
        // The place for an answer is free when the connection takes the answer.
        let answers = ReceiverStream::new(answers).map(|(answer, _place)| answer);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn add_checkpoint(
        &self,
        request: Request<AddCheckpointRequest>,
    ) -> Result<Response<AddCheckpointResponse>, Status> {
        let partner = partner(&request)?;
        let answer = cosigning::add_checkpoint(&self.0, &partner, request.get_ref()).await?;
        Ok(Response::new(answer))
    }

    type ReadLedgerStream = Results<ReadLedgerResponse>;

    async fn read_ledger(
        &self,
        request: Request<ReadLedgerRequest>,
    ) -> Result<Response<Self::ReadLedgerStream>, Status> {
        let partner = partner(&request)?;
        let pieces = log_files::read_for(&self.0, &partner, request.into_inner().path).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(pieces))))
    }

    async fn get_disclosure_key(
        &self,
        request: Request<GetDisclosureKeyRequest>,
    ) -> Result<Response<GetDisclosureKeyResponse>, Status> {
        partner(&request)?;
        let key = self.0.identity.disclosure.public().map_err(desk::refused)?;
        Ok(Response::new(GetDisclosureKeyResponse {
            key: key.as_bytes().to_vec(),
        }))
    }

    async fn take_case_steps(
        &self,
        request: Request<TakeCaseStepsRequest>,
    ) -> Result<Response<TakeCaseStepsResponse>, Status> {
        let partner = partner(&request)?;
        let (state, request) = (Arc::clone(&self.0), request.into_inner());
        let taken = async move { desk::peers::take_steps(&state, &partner, request).await };
        let answer = self.0.in_any_case(taken).await??;
        Ok(Response::new(answer))
    }

    async fn put_attachment_part(
        &self,
        request: Request<PutAttachmentPartRequest>,
    ) -> Result<Response<PutAttachmentPartResponse>, Status> {
        let partner = partner(&request)?;
        let (state, request) = (Arc::clone(&self.0), request.into_inner());
        let put = async move { desk::peers::put_part(&state, &partner, request).await };
        self.0.in_any_case(put).await??;
        Ok(Response::new(PutAttachmentPartResponse {}))
    }

    async fn get_manifest(
        &self,
        request: Request<GetManifestRequest>,
    ) -> Result<Response<GetManifestResponse>, Status> {
        let partner = partner(&request)?;
        let state = &self.0;
        let scope = request.get_ref().scope.as_ref();
        let (entry, offer, epoch) = admit(state, &partner, "get the manifest", scope).await?;
        let served = publish::served(state, (&entry.agreement, &offer, epoch)).await?;
        let snapshot = served.ok_or_else(not_published)?;
        Ok(Response::new(GetManifestResponse {
            note: snapshot.signed_manifest().note().to_owned(),
        }))
    }

    type FetchSegmentStream = Results<FetchSegmentResponse>;

    async fn fetch_segment(
        &self,
        request: Request<FetchSegmentRequest>,
    ) -> Result<Response<Self::FetchSegmentStream>, Status> {
        let partner = partner(&request)?;
        let state = &self.0;
        let request = request.into_inner();
        let scope = request.scope.as_ref();
        let (entry, offer, epoch) = admit(state, &partner, "fetch a segment", scope).await?;
        let snapshot = publish::served(state, (&entry.agreement, &offer, epoch))
            .await?
            .ok_or_else(not_published)?;
        let digest: [u8; 32] = request
            .sha256
            .as_slice()
            .try_into()
            .map_err(|_| Fault::invalid("PEER-009", "sha256", "a segment's name has 32 bytes"))?;
        let digest = Digest::from(digest);
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            let mut offset = request.offset;
            loop {
                // A thread is taken for one piece, never while a slow partner has not taken the piece before.
                let Ok(place) = sender.reserve().await else { return };
                let snapshot = Arc::clone(&snapshot);
                let read =
                    tokio::task::spawn_blocking(move || snapshot.read_segment(&digest, offset, DATA_PIECE));
                let fault = match read.await {
                    Ok(Ok(piece)) if piece.is_empty() => return,
                    Ok(Ok(piece)) => {
                        offset += piece.len() as u64;
                        place.send(Ok(FetchSegmentResponse { data: piece.into() }));
                        continue;
                    }
                    Ok(Err(TagsetError::NoSuchRange)) => Fault::new(
                        Reason::NotFound,
                        "SNAP-004",
                        "no such segment in the newest snapshot",
                    ),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "reading a segment");
                        Fault::internal("reading a segment failed")
                    }
                    Err(_) => Fault::internal("reading a segment failed"),
                };
                return place.send(Err(fault.into()));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// As [`Book::admit`](crate::book::Book::admit); what is refused is on record.
async fn admit(
    state: &Arc<State>,
    partner: &SpkiPin,
    name: &'static str,
    scope: Option<&v1::Scope>,
) -> Result<(Arc<Entry>, Offer, u32), Fault> {
    let call = PartnerCall {
        partner,
        name,
        scope,
        stated: None,
    };
    let admitted = state.book.admit(partner, scope, state.clock.now());
    state.noting(&call, admitted).await
}

fn not_published() -> Fault {
    Fault::new(
        Reason::NotFound,
        "SNAP-001",
        "no snapshot has been published for this epoch yet",
    )
}

/// Our note with the signatures of both.
///
/// # Errors
/// The two are about different texts, or a signature does not hold.
pub fn merge(ours: &Agreement, our_note: &str, theirs: &Agreement, their_note: &Note) -> Result<Note, Fault> {
    if ours.digest != theirs.digest {
        return Err(Fault::new(
            Reason::Conflict,
            "AGR-026",
            format!("agreement {} exists with another text", ours.id),
        ));
    }
    let (_, mut merged) = Agreement::from_note(our_note)?;
    let signers: Vec<_> = ours.parties.iter().map(|party| party.identity.clone()).collect();
    merged
        .merge(their_note, &signers)
        .map_err(|error| Fault::invalid("AGR-011", "note", format!("a signature does not hold: {error}")))?;
    Ok(merged)
}
