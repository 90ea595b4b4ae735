//! The ledger's published files over HTTP, read-only, as C2SP tlog-tiles has them.
//!
//! What leaks: to whoever reaches the address, what the files hold (docs/ledger.md, section 2); to the node, who reads.

use std::path::{Path, PathBuf};

use concordat_ledger::{CHECKPOINT_PATH, COSIGNED_PATH, Folder, Source, TilePath};
use hyper::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Answer, Asked};

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
    let tile = TilePath::parse(path);
    if tile.is_none() && path != CHECKPOINT_PATH && path != COSIGNED_PATH {
        return Answer::not_found();
    }
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

fn unreadable() -> Answer {
    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n")
}
