//! Where a ledger's files are read from: a folder, or a server.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::Result;
use concordat_ledger::{
    CHECKPOINT_PATH, COSIGNED_PATH, Checkpoint, Folder, MAX_FILE_BYTES, SignedCheckpoint, Source, TileReader,
};
use concordat_node::http::Client;
use concordat_note::VerifierKey;
use tokio::runtime::Handle;

use crate::exit::{Advice, Usage};

/// A ledger's files, as published. The checkpoint is read once, so that all that is said is about one moment, however fast
/// the ledger grows.
pub struct Files {
    /// As it was given.
    name: String,
    place: Place,
    checkpoints: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
}

enum Place {
    Folder(Box<dyn Source>),
    Server { client: Client, runtime: Handle },
}

impl Files {
    /// The files in a folder, or below an `http://` or `https://` address. Reading blocks: not for a thread of the runtime.
    ///
    /// # Errors
    /// There is no such folder, or the address cannot be used.
    pub fn open(name: &str) -> Result<Self> {
        let place = if name.contains("://") {
            let client = Client::new(name).map_err(|error| Usage::error(format!("{name}: {error}")))?;
            Place::Server {
                client,
                runtime: Handle::current(),
            }
        } else if Path::new(name).is_dir() {
            Place::Folder(Box::new(Folder::read_only(Path::new(name))))
        } else {
            return Err(Advice::error(
                format!("{name} is no folder"),
                "give the folder of a ledger's files, or their http:// or https:// address",
            ));
        };
        Ok(Self {
            name: name.to_owned(),
            place,
            checkpoints: RefCell::default(),
        })
    }

    /// Tells a place or key that was mixed up from a ledger that was tampered with. What this lets pass is verified after
    /// it, and so is what could not be read. Only where nothing here was ever signed by that key: it would be a mix-up otherwise
    /// that whoever tampers has staged.
    ///
    /// # Errors
    /// There is no ledger here, or a whole one under another name than the key's.
    pub fn are_of(&self, key: &VerifierKey) -> Result<()> {
        let cosigned = self.read(COSIGNED_PATH);
        if let Ok(Some(cosigned)) = &cosigned
            && SignedCheckpoint::open(cosigned, key).is_ok()
        {
            return Ok(());
        }
        match (self.read(CHECKPOINT_PATH), cosigned) {
            (Ok(Some(checkpoint)), _) => self.has_the_name_of(key, &checkpoint),
            (Ok(None), Ok(None)) => self.has_entries(),
            _ => Ok(()),
        }
    }

    /// A checkpoint of another log that was put among these files does not go with their tree; one that does came with it, and
    /// is signed under its own name.
    fn has_the_name_of(&self, key: &VerifierKey, checkpoint: &[u8]) -> Result<()> {
        let Some(Checkpoint {
            origin, size, root, ..
        }) = Checkpoint::unverified(checkpoint)
        else {
            return Ok(());
        };
        let signed = |name: &str| {
            let text = String::from_utf8_lossy(checkpoint);
            let start = format!("\u{2014} {name} ");
            text.lines().any(|line| line.starts_with(&start))
        };
        let its_own = origin != key.name() && size > 0 && signed(&origin) && !signed(key.name());
        if !its_own || TileReader::new(self, size).root().ok() != Some(root) {
            return Ok(());
        }
        Err(Advice::error(
            format!(
                "the ledger in {} is signed under another name: {origin}, not {}",
                self.name,
                key.name()
            ),
            "give that ledger's key, or the place of the one whose key this is; if both are right, ask the agency why another ledger is there",
        ))
    }

    /// A ledger whose checkpoints were taken away still has its tree, as far as a folder shows.
    fn has_entries(&self) -> Result<()> {
        let folder = Path::new(&self.name);
        let hint = match &self.place {
            Place::Server { .. } => {
                "give the http:// or https:// address where the agency's node serves its ledger (`ledger.listen` in its configuration)".to_owned()
            }
            Place::Folder(_) if folder.join("tile").exists() => return Ok(()),
            Place::Folder(_) if folder.join("ledger").join(CHECKPOINT_PATH).exists() => {
                format!("this is a node's folder: its ledger is in {}", folder.join("ledger").display())
            }
            Place::Folder(_) => {
                "give the folder `ledger` of a node's data folder, or a copy of it".to_owned()
            }
        };
        Err(Advice::error(format!("{} holds no ledger", self.name), hint))
    }

    /// What to say where these files could not be read.
    pub fn unread(&self, error: &io::Error) -> anyhow::Error {
        Advice::unread(
            format!("UNREAD: the ledger in {} could not be read: {error}", self.name),
            "nothing is said about it; is the address right, and does the server run?",
        )
    }
}

impl Source for Files {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let read = || match &self.place {
            // What is no file here is not there: it will not be one at the next try either.
            Place::Folder(folder) => folder.read(path).or_else(|error| match error.kind() {
                io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Ok(None),
                _ => Err(error),
            }),
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
