//! The ledger's published files, read-only, as C2SP tlog-tiles has them: over HTTP, and to partners in the peer protocol.
//!
//! What leaks: to whoever reaches the address, and to every partner, what the files hold (docs/ledger.md, section 2); to the node,
//! who reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use concordat_ledger::{CHECKPOINT_PATH, COSIGNED_PATH, Folder, Source, TilePath};
use concordat_wire::v1::ReadLedgerResponse;
use concordat_wire::{DATA_PIECE, Fault, Reason};
use hyper::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::http::{self, Answer, Asked};
use crate::state::State;
use crate::tls::SpkiPin;

/// A partner takes a piece within this time, or its place is free again.
const TAKEN: Duration = Duration::from_secs(20);

/// Serves the files in `folder` until the token is cancelled.
pub async fn serve(listener: TcpListener, folder: PathBuf, stop: CancellationToken) {
    let handler = move |asked: Asked| {
        let folder = folder.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || answer(&folder, &asked)).await;
            read.unwrap_or_else(|_| unreadable())
        }
    };
    http::serve(listener, 0, handler, stop).await;
}

/// Only names of a log's files are looked at, written in the one way: no other path ever reaches the disk.
fn answer(folder: &Path, asked: &Asked) -> Answer {
    if asked.method != Method::GET && asked.method != Method::HEAD {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "these files are only read\n");
    }
    let path = asked.path.strip_prefix('/').unwrap_or_default();
    if !is_published(path) {
        return Answer::not_found();
    }
    let tile = TilePath::parse(path);
    match (Folder::read_only(folder).read(path), tile) {
        (Ok(Some(body)), None) => Answer {
            body,
            ..Answer::text(StatusCode::OK, "")
        },
        (Ok(Some(body)), Some(tile)) => Answer {
            status: StatusCode::OK,
            content_type: "application/octet-stream",
            // A partial tile never changes either, but a full one takes its place.
            cache: if tile.is_partial() {
                "public, max-age=3600"
            } else {
                "public, max-age=31536000, immutable"
            },
            body,
        },
        (Ok(None), _) => Answer::not_found(),
        (Err(error), _) => {
            tracing::error!(%error, path, "a file of the ledger cannot be read");
            unreadable()
        }
    }
}

fn is_published(path: &str) -> bool {
    TilePath::parse(path).is_some() || path == CHECKPOINT_PATH || path == COSIGNED_PATH
}

/// A file for a partner, in pieces.
///
/// # Errors
/// The caller is no partner any more, reads another file already, or there is no such file.
pub(crate) async fn read_for(
    state: &State,
    partner: &SpkiPin,
    path: String,
) -> Result<mpsc::Receiver<Result<ReadLedgerResponse, Status>>, Fault> {
    let known = state.book.all().iter().any(|entry| entry.partner.pin == *partner);
    if !known {
        return Err(Fault::new(
            Reason::NotFound,
            "AGR-110",
            "no such agreement between us",
        ));
    }
    let none = || {
        Fault::new(
            Reason::NotFound,
            "PEER-015",
            "the ledger has no such published file",
        )
    };
    if !is_published(&path) {
        return Err(none().field("path"));
    }
    let place = Arc::clone(&state.fairness.of(partner).ledger).try_acquire_owned();
    let place = place.map_err(|_| {
        let message = "this partner reads another file of the ledger already";
        Fault::new(Reason::Exhausted, "PEER-016", message).retry_after(Duration::from_secs(1))
    })?;
    let folder = state.ledger.folder().to_owned();
    // The place is the reading's: whoever goes away meanwhile gets no second one.
    let read = tokio::task::spawn_blocking(move || (Folder::read_only(&folder).read(&path), place)).await;
    let unreadable = || Fault::new(Reason::DataLoss, "LEDG-002", "the published log cannot be read");
    let (read, place) = read.map_err(|_| unreadable())?;
    let file = match read {
        Ok(file) => bytes::Bytes::from(file.ok_or_else(none)?),
        Err(error) => {
            tracing::error!(%error, "a file of the ledger cannot be read");
            return Err(unreadable());
        }
    };
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        for start in (0..file.len()).step_by(DATA_PIECE) {
            let data = file.slice(start..file.len().min(start + DATA_PIECE));
            // Whoever has gone, or does not take it, gets no more.
            if sender
                .send_timeout(Ok(ReadLedgerResponse { data }), TAKEN)
                .await
                .is_err()
            {
                return;
            }
        }
        // Before the end is seen, so that the next file can be asked for at once.
        drop(place);
        drop(sender);
    });
    Ok(receiver)
}

fn unreadable() -> Answer {
    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n")
}
