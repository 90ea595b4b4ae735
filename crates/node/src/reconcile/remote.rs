//! A partner's published files, over the peer protocol.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use concordat_ledger::{MAX_FILE_BYTES, Source};
use concordat_wire::v1::ReadLedgerRequest;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::{Fault, FaultView, Reason};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Code;
use tonic::transport::Channel;

use super::stopping;
use crate::book::Entry;
use crate::fetch::{answer, from_partner, patience};
use crate::state::State;

/// A partner's ledger that takes longer to read is given up: its size is the partner's word.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// A partner's published files, read one after another. For a thread that may block.
pub(super) struct Remote {
    state: Arc<State>,
    client: PeerServiceClient<Channel>,
    runtime: Handle,
    end: Instant,
    /// Why the last file could not be read.
    pub(super) trouble: RefCell<Option<Fault>>,
}

impl Remote {
    pub(super) fn new(state: &Arc<State>, entry: &Entry) -> Self {
        Self {
            state: Arc::clone(state),
            client: entry.partner.client(),
            runtime: Handle::current(),
            end: Instant::now() + LONGEST,
            trouble: RefCell::default(),
        }
    }

    async fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let request = ReadLedgerRequest {
            path: path.to_owned(),
        };
        let mut client = self.client.clone();
        let mut refusal = None;
        let called = answer(&self.state, async {
            let called = client.read_ledger(request).await;
            called.inspect_err(|status| refusal = Some(FaultView::from(status)))
        });
        let mut pieces = match (called.await, refusal) {
            (Ok(pieces), _) => pieces,
            (Err(_), Some(view)) if view.rule == "PEER-015" => return Ok(None),
            (Err(_), Some(view)) if view.code == Code::Unimplemented => {
                let message = "the partner's node is of a version that does not let partners read its ledger: ask the partner to bring it up to date";
                return Err(Fault::new(Reason::Unavailable, "PEER-020", message));
            }
            (Err(fault), _) => return Err(fault),
        };
        let slow = || {
            Fault::new(
                Reason::Deadline,
                "PEER-021",
                "the partner's ledger comes too slowly",
            )
        };
        let mut file = Vec::new();
        loop {
            let piece = timeout(patience(&self.state), pieces.message()).await;
            let piece = piece
                .map_err(|_| slow())?
                .map_err(|status| from_partner(&status))?;
            let Some(piece) = piece else {
                return Ok(Some(file));
            };
            if file.len() + piece.data.len() > MAX_FILE_BYTES {
                let message = "the partner's node sends a file that is larger than any of a ledger";
                return Err(Fault::new(Reason::Unavailable, "LEDG-019", message));
            }
            file.extend_from_slice(&piece.data);
        }
    }
}

impl Source for Remote {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let read = async {
            tokio::select! {
                () = self.state.stop.cancelled() => Err(stopping()),
                read = timeout_at(self.end, self.fetch(path)) => read.unwrap_or_else(|_| {
                    let message = "the partner's ledger could not be read within half an hour";
                    Err(Fault::new(Reason::Deadline, "PEER-021", message))
                }),
            }
        };
        self.runtime.block_on(read).map_err(|fault| {
            let error = io::Error::other(fault.to_string());
            self.trouble.replace(Some(fault));
            error
        })
    }
}
