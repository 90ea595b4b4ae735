//! Where a ledger's files are read from: a folder, or a server.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::Result;
use concordat_ledger::{CHECKPOINT_PATH, COSIGNED_PATH, Folder, MAX_FILE_BYTES, Source};
use concordat_node::http::Client;
use tokio::runtime::Handle;

use crate::exit::{Advice, Usage};

/// A ledger's files, as published. The checkpoint is read once, so that all that is said is about one moment, however fast
/// the ledger grows.
pub struct Files {
    place: Place,
    checkpoints: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
}

enum Place {
    Folder(Box<dyn Source>),
    Server { client: Client, runtime: Handle },
}

impl Files {
    /// The files in a folder, or below an `http://` address. Reading blocks: not for a thread of the runtime.
    ///
    /// # Errors
    /// There is no such folder, or the address cannot be used.
    pub fn open(place: &str) -> Result<Self> {
        let place = if place.contains("://") {
            let client = Client::new(place).map_err(|error| Usage::error(format!("{place}: {error}")))?;
            Place::Server {
                client,
                runtime: Handle::current(),
            }
        } else if Path::new(place).is_dir() {
            Place::Folder(Box::new(Folder::read_only(Path::new(place))))
        } else {
            return Err(Advice::error(
                format!("{place} is no folder"),
                "give the folder of a ledger's files, or their http:// address",
            ));
        };
        Ok(Self {
            place,
            checkpoints: RefCell::default(),
        })
    }
}

impl Source for Files {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let read = || match &self.place {
            Place::Folder(folder) => folder.read(path),
            Place::Server { client, runtime } => {
                let body = runtime.block_on(client.get(path, MAX_FILE_BYTES))?;
                Ok(body.map(Vec::from))
            }
        };
        if path != CHECKPOINT_PATH && path != COSIGNED_PATH {
            return read();
        }
        let kept = self.checkpoints.borrow().get(path).cloned();
        match kept {
            Some(kept) => Ok(kept),
            None => {
                let file = read()?;
                self.checkpoints
                    .borrow_mut()
                    .insert(path.to_owned(), file.clone());
                Ok(file)
            }
        }
    }
}
