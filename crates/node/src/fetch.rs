//! Fetching what partners publish: the key statement once per epoch, then manifests and missing segments.

use std::sync::Arc;
use std::time::Duration;

use concordat_ledger::{KeyChange, Refusal, SnapshotFetched};
use concordat_store::{Incident, NewScopeRole};
use concordat_tagset::{
    Error as TagsetError, Manifest, SegmentRef, SegmentWriter, SignedManifest, Snapshot, collect_garbage,
    missing_segments,
};
use concordat_wire::v1::{FetchSegmentRequest, GetManifestRequest, GetScopeKeyRequest};
use concordat_wire::{Fault, FaultView, Reason};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Response, Status};

use crate::agreement::{Agreement, Offer};
use crate::book::{Entry, scope_to_proto, store_fault};
use crate::held::{HeldScope, owner_key, tag_scope};
use crate::state::State;
use crate::{keys, ledger};

/// A partner whose segments come more slowly, in bytes per second, is not waited for.
const SLOWEST_BYTES_PER_S: u64 = 16 << 10;
/// The kind of incident that a refused manifest or segment is.
const SNAPSHOT_REFUSED: &str = "snapshot_refused";
/// How far a partner's clock may be ahead of ours.
const CLOCK_TOLERANCE_S: i64 = 300;

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
    let note = answer(state, entry.partner.client().get_manifest(request))
        .await?
        .note;
    let mut received = note.len() as u64;
    let public_key = *scope.client.public_key().as_bytes();
    let verify = |note: &str| {
        let expected = tag_scope(agreement, offer, epoch, public_key);
        Ok(SignedManifest::verify(
            note.as_bytes(),
            &owner_key(agreement, offer)?,
            &expected,
        ))
    };
    let signed = match verify(&note)? {
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
    // What was accepted last, whether or not it could be opened.
    let kept = state.store.latest_held(scope.scope).await;
    let kept = kept.map_err(|error| store_fault(&error))?;
    let kept = match kept.map(|kept| verify(&kept.manifest)).transpose()? {
        Some(Ok(kept)) => Some(kept),
        Some(Err(error)) => {
            tracing::error!(%error, agreement = agreement.id, offer = offer.id, "the manifest in the database");
            None
        }
        None => None,
    };
    if let Some(kept) = &kept
        && let Err(error) = kept.seen().check_successor(&signed.seen())
    {
        return Err(refused(state, entry, &error).await);
    }
    check_limits(state, entry, signed.manifest())?;
    let (folder, next) = (scope.folder.clone(), signed.manifest().clone());
    let missing = {
        let current = current.clone();
        blocking(move || {
            std::fs::create_dir_all(&folder)
                .map_err(|error| Fault::internal(format!("segments folder: {error}")))?;
            // A new base that is the old one with deltas merged is made here instead of being fetched.
            if let Some(current) = &current
                && let Err(error) = current.merge_towards(&next)
            {
                tracing::warn!(%error, "merging deltas");
            }
            // What was begun for another manifest is not added to without end.
            let current = current.as_ref().map(|current| current.manifest());
            let keep = current
                .into_iter()
                .chain(kept.as_ref().map(SignedManifest::manifest))
                .chain([&next]);
            collect_garbage(&folder, keep).map_err(|error| Fault::internal(error.to_string()))?;
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
    let note = snapshot.signed_manifest().note();
    let fetched = state.entry(SnapshotFetched {
        partner: ledger::text(&entry.partner.id),
        scope: ledger::scope(agreement, offer, epoch),
        version: snapshot.manifest().version,
        manifest: ledger::digest(Sha256::digest(note).into()),
    })?;
    state
        .store
        .recording(fetched)
        .install_snapshot(scope.scope, snapshot.manifest().version, note, state.now_ms())
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
        if let Err(error) = collect_garbage(&folder, [snapshot.manifest()]) {
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
    let note = answer(state, entry.partner.client().get_scope_key(request))
        .await?
        .note;
    let key = keys::verify_statement(agreement, offer, epoch, &note)?;
    let new = keys::new_scope(
        (agreement, offer, epoch),
        NewScopeRole::Requester,
        *key.as_bytes(),
        &note,
    );
    let pinned = state.entry(keys::changed(
        keys::THEIRS,
        ledger::scope(agreement, offer, epoch),
        key.as_bytes(),
        KeyChange::Pinned,
    ))?;
    match state
        .store
        .recording(pinned)
        .create_scope(&new, state.now_ms())
        .await
    {
        // Two at once: both asked the same partner; the first key stays pinned.
        Ok(_) | Err(concordat_store::StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(store_fault(&error)),
    }
    let scope = state.held.get(state, (agreement, offer, epoch)).await?;
    scope.ok_or_else(|| Fault::internal("a scope that was just pinned"))
}

/// Refuses, before anything of it is fetched, a snapshot that is larger than we have room for or dated in the future: such
/// a one would never go stale.
fn check_limits(state: &State, entry: &Entry, manifest: &Manifest) -> Result<(), Fault> {
    let limit = u64::from(state.config.snapshot.max_snapshot_mib);
    let size = manifest.total_bytes().div_ceil(1 << 20);
    if size > limit {
        return Err(Fault::new(
            Reason::Exhausted,
            "SNAP-005",
            format!(
                "version {} of {} has {size} MiB, snapshot.max_snapshot_mib allows {limit}",
                manifest.version, entry.partner.id
            ),
        ));
    }
    let ahead = manifest.as_of.as_second() - state.clock.now().as_second();
    if ahead > CLOCK_TOLERANCE_S {
        return Err(Fault::new(
            Reason::Unavailable,
            "SNAP-006",
            format!(
                "version {} of {} is dated {}, {ahead} s ahead of this node's clock",
                manifest.version, entry.partner.id, manifest.as_of
            ),
        ));
    }
    Ok(())
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
        let patience = patience(state);
        let end = Instant::now() + patience + Duration::from_secs(writer.remaining() / SLOWEST_BYTES_PER_S);
        let mut pieces = answer(state, entry.partner.client().fetch_segment(request)).await?;
        loop {
            let piece = timeout_at(end.min(Instant::now() + patience), pieces.message()).await;
            let piece = piece.map_err(|_| too_slow(entry))?;
            let Some(piece) = piece.map_err(|status| from_partner(&status))? else {
                break;
            };
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

pub(crate) fn patience(state: &State) -> Duration {
    Duration::from_millis(u64::from(state.config.snapshot.call_deadline_ms))
}

/// What a partner answers to a call outside of matching, which it must do within `snapshot.call_deadline_ms`.
///
/// # Errors
/// It refuses, cannot be reached, or does not answer in time.
pub async fn answer<T>(
    state: &State,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(patience(state), call).await {
        Ok(answer) => Ok(answer.map_err(|status| from_partner(&status))?.into_inner()),
        Err(_) => Err(Fault::new(
            Reason::Deadline,
            "PEER-021",
            format!(
                "the partner's node did not answer within {} ms",
                state.config.snapshot.call_deadline_ms
            ),
        )),
    }
}

fn too_slow(entry: &Entry) -> Fault {
    Fault::new(
        Reason::Deadline,
        "PEER-021",
        format!("a segment of {} comes too slowly", entry.partner.id),
    )
}

/// A manifest or segment that is refused: the last good snapshot stays in use, and the refusal is recorded.
async fn refused(state: &State, entry: &Entry, error: &TagsetError) -> Fault {
    tracing::error!(partner = entry.partner.id, %error, "refused a snapshot");
    let incident = Incident {
        at_ms: state.now_ms(),
        partner: entry.partner.id.clone(),
        kind: SNAPSHOT_REFUSED.into(),
        exchange: None,
        transcript_digest: None,
        detail: error.to_string(),
    };
    let fault = Fault::new(
        Reason::Unavailable,
        "SNAP-002",
        format!("the snapshot of {} is refused: {error}", entry.partner.id),
    );
    let refusal = Refusal {
        claimed: None,
        partner: Some(ledger::text(&entry.partner.id)),
        case: None,
        action: ledger::text(&format!("give us its snapshot under {}", entry.agreement.id)),
        rule: Some(ledger::text(fault.rule)),
        reason: ledger::text(&fault.message),
    };
    let refusal = state.entry_under(&entry.agreement, refusal);
    if let Err(fault) = state.recorded_incident(refusal, &incident).await {
        tracing::error!(%fault, "recording an incident");
    }
    fault
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
