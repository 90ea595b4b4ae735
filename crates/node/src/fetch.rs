//! Fetching what partners publish: the key statement once per epoch, then manifests and missing segments.

use std::sync::Arc;

use concordat_store::{Incident, NewScopeRole};
use concordat_tagset::{
    Error as TagsetError, SegmentRef, SegmentWriter, SignedManifest, Snapshot, missing_segments,
};
use concordat_wire::v1::{FetchSegmentRequest, GetManifestRequest, GetScopeKeyRequest};
use concordat_wire::{Fault, FaultView, Reason};
use tonic::{Code, Status};

use crate::agreement::{Agreement, Offer};
use crate::book::{Entry, scope_to_proto, store_fault};
use crate::held::{HeldScope, owner_key, tag_scope};
use crate::keys;
use crate::state::State;

/// Fetches the newest snapshot of an offer in its current epoch, if there is a newer one than ours. Returns the
/// bytes received.
///
/// # Errors
/// The partner cannot be reached, has nothing to give, or gave something that is refused; what is held stays in use.
pub async fn fetch(state: &State, entry: &Entry, offer: &Offer, epoch: u32) -> Result<u64, Fault> {
    let agreement = &entry.agreement;
    let scope = pinned_scope(state, entry, offer, epoch).await?;
    let _one_at_a_time = scope.fetching.lock().await;
    let request = GetManifestRequest {
        scope: Some(scope_to_proto(agreement, offer, epoch)),
    };
    let note = entry
        .partner
        .client()
        .get_manifest(request)
        .await
        .map_err(|status| from_partner(&status))?;
    let note = note.into_inner().note;
    let mut received = note.len() as u64;
    let public_key = *scope.client.public_key().as_bytes();
    let signed = SignedManifest::verify(
        note.as_bytes(),
        &owner_key(agreement, offer)?,
        &tag_scope(agreement, offer, epoch, public_key),
    );
    let signed = match signed {
        Ok(signed) => signed,
        Err(error) => return Err(refused(state, entry, &error).await),
    };
    let current = scope.snapshot();
    if current
        .as_ref()
        .is_some_and(|current| current.signed_manifest().seen() == signed.seen())
    {
        return Ok(received);
    }
    let (folder, next) = (scope.folder.clone(), signed.manifest().clone());
    let missing = {
        let current = current.clone();
        blocking(move || {
            std::fs::create_dir_all(&folder)
                .map_err(|error| Fault::internal(format!("segments folder: {error}")))?;
            // A new base that is the old one with deltas merged is made here instead of being fetched.
            if let Some(current) = current
                && let Err(error) = current.merge_towards(&next)
            {
                tracing::warn!(%error, "merging deltas");
            }
            missing_segments(&folder, &next).map_err(|error| Fault::internal(error.to_string()))
        })
        .await?
    };
    for segment in &missing {
        received += fetch_segment(state, entry, (agreement, offer, epoch), &scope, segment).await?;
    }
    let installed = {
        let (folder, signed) = (scope.folder.clone(), signed.clone());
        blocking(move || {
            let installed = match &current {
                Some(current) => current.advance(signed),
                None => Snapshot::install(&folder, signed, None),
            };
            if let Err(TagsetError::Damaged { file, .. }) = &installed {
                discard(&folder, file);
            }
            Ok(installed)
        })
        .await?
    };
    let snapshot = match installed {
        Ok(snapshot) => Arc::new(snapshot),
        Err(error) => return Err(refused(state, entry, &error).await),
    };
    state
        .store
        .install_snapshot(
            scope.scope,
            snapshot.manifest().version,
            snapshot.signed_manifest().note(),
            state.now_ms(),
        )
        .await
        .map_err(|error| store_fault(&error))?;
    let manifest = snapshot.manifest();
    tracing::info!(
        agreement = agreement.id,
        offer = offer.id,
        epoch,
        version = manifest.version,
        size_class = manifest.size_class(),
        received,
        "holding a new snapshot"
    );
    scope.replace(Arc::clone(&snapshot));
    let folder = scope.folder.clone();
    blocking(move || {
        if let Err(error) = concordat_tagset::collect_garbage(&folder, [snapshot.manifest()]) {
            tracing::warn!(%error, "removing old segments");
        }
        Ok(())
    })
    .await?;
    Ok(received)
}

/// The scope with its key pinned: known already, or learnt now from the partner's signed statement.
async fn pinned_scope(
    state: &State,
    entry: &Entry,
    offer: &Offer,
    epoch: u32,
) -> Result<Arc<HeldScope>, Fault> {
    let agreement = &entry.agreement;
    if let Some(scope) = state.held.get(state, (agreement, offer, epoch)).await? {
        return Ok(scope);
    }
    let request = GetScopeKeyRequest {
        scope: Some(scope_to_proto(agreement, offer, epoch)),
    };
    let note = entry
        .partner
        .client()
        .get_scope_key(request)
        .await
        .map_err(|status| from_partner(&status))?;
    let note = note.into_inner().note;
    let key = keys::verify_statement(agreement, offer, epoch, &note)?;
    let new = keys::new_scope(
        (agreement, offer, epoch),
        NewScopeRole::Requester,
        *key.as_bytes(),
        &note,
    );
    match state.store.create_scope(&new, state.now_ms()).await {
        // Two at once: both asked the same partner; the first key stays pinned.
        Ok(_) | Err(concordat_store::StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(store_fault(&error)),
    }
    let scope = state.held.get(state, (agreement, offer, epoch)).await?;
    scope.ok_or_else(|| Fault::internal("a scope that was just pinned"))
}

/// Fetches one segment, from where an earlier attempt stopped.
async fn fetch_segment(
    state: &State,
    entry: &Entry,
    (agreement, offer, epoch): (&Agreement, &Offer, u32),
    scope: &HeldScope,
    segment: &SegmentRef,
) -> Result<u64, Fault> {
    let tagset = |error: TagsetError| Fault::new(Reason::Unavailable, "SNAP-003", error.to_string());
    let mut writer = SegmentWriter::open(&scope.folder, segment).map_err(tagset)?;
    let mut received = 0;
    if writer.remaining() > 0 {
        let request = FetchSegmentRequest {
            scope: Some(scope_to_proto(agreement, offer, epoch)),
            sha256: segment.digest.as_bytes().to_vec(),
            offset: writer.offset(),
        };
        let pieces = entry
            .partner
            .client()
            .fetch_segment(request)
            .await
            .map_err(|status| from_partner(&status))?;
        let mut pieces = pieces.into_inner();
        while let Some(piece) = pieces.message().await.map_err(|status| from_partner(&status))? {
            received += piece.data.len() as u64;
            let offset = writer.offset();
            let (appended, taken) = blocking(move || {
                let appended = writer.append(offset, &piece.data);
                Ok((appended, writer))
            })
            .await?;
            writer = taken;
            match appended {
                Ok(()) => {}
                Err(error @ TagsetError::TooLong { .. }) => return Err(refused(state, entry, &error).await),
                Err(error) => return Err(tagset(error)),
            }
        }
    }
    match blocking(move || Ok(writer.finish())).await? {
        Ok(()) => Ok(received),
        // The owner signed nonsense: no transport and no disk of ours did that.
        Err(error @ TagsetError::Malformed { .. }) => Err(refused(state, entry, &error).await),
        Err(error) => Err(tagset(error)),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fault::internal("a file operation"))?
}

fn discard(folder: &std::path::Path, file: &str) {
    tracing::error!(file, "a segment is damaged; it will be fetched again");
    let _ = std::fs::remove_file(folder.join(file));
}

/// A manifest or segment that is refused: the last good snapshot stays in use, and the refusal is recorded.
async fn refused(state: &State, entry: &Entry, error: &TagsetError) -> Fault {
    tracing::error!(partner = entry.partner.id, %error, "refused a snapshot");
    let incident = Incident {
        at_ms: state.now_ms(),
        partner: entry.partner.id.clone(),
        kind: "snapshot_refused".into(),
        exchange: None,
        transcript_digest: None,
        detail: error.to_string(),
    };
    if let Err(error) = state.store.append_incident(&incident).await {
        tracing::error!(%error, "recording an incident");
    }
    Fault::new(
        Reason::Unavailable,
        "SNAP-002",
        format!("the snapshot of {} is refused: {error}", entry.partner.id),
    )
}

/// A partner's error on its way to our own caller.
pub fn from_partner(status: &Status) -> Fault {
    let view = FaultView::from(status);
    let reason = match view.code {
        Code::NotFound => Reason::NotFound,
        Code::PermissionDenied => Reason::NotPermitted,
        Code::ResourceExhausted => Reason::Exhausted,
        Code::DeadlineExceeded => Reason::Deadline,
        _ => Reason::Unavailable,
    };
    let message = if view.rule.is_empty() {
        format!(
            "the partner's node cannot be reached ({})",
            view.code.description()
        )
    } else {
        format!("the partner refuses: {} [{}]", view.message, view.rule)
    };
    Fault {
        retry_after: view.retry_after,
        ..Fault::new(reason, "PEER-020", message)
    }
}
