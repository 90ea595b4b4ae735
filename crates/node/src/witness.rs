//! An independent witness ([C2SP tlog-witness](https://c2sp.org/tlog-witness)): cosigns a log's checkpoint if it extends
//! the one that it cosigned last, and says no otherwise.
//!
//! ```text
//! DIR/witness.key          its key, made at the first start, mode 0600
//! DIR/<SHA-256 of the log's name>/checkpoint      what was cosigned last; .lock, held while the witness runs
//! DIR/<SHA-256 of the log's name>/misbehaviour    the first proof that this log signed two histories
//! ```
//! A cosignature leaves only after its checkpoint is on disk, so a witness that is killed never takes one back. It sees
//! sizes, hashes and names of logs, and nothing of what is in them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use concordat_ledger::{
    AddCheckpoint, CHECKPOINT_PATH, CheckpointError, Folder, MAX_REQUEST_BYTES, Misbehaviour,
    SIZE_CONTENT_TYPE, SignedCheckpoint, Source, WitnessRefusal, format_cosignatures,
};
use concordat_note::{CosignerKey, KeyError, SigningKey, VerifierKey};
use hyper::{Method, StatusCode};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::{self, Answer, Asked};
use crate::identity::{self, IdentityError};

const KEY: &str = "witness.key";
const EVIDENCE: &str = "misbehaviour";
const PATH: &str = "/add-checkpoint";

/// A witness of some logs.
pub struct Witness {
    key: SigningKey,
    /// By origin.
    logs: BTreeMap<String, Watched>,
}

struct Watched {
    key: VerifierKey,
    folder: PathBuf,
    /// One request at a time: judging, keeping and cosigning are one step.
    files: Mutex<Folder>,
}

/// Why a witness cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// Its own key.
    #[error(transparent)]
    Secret(#[from] IdentityError),
    /// Its own key, or its name.
    #[error("the witness's key: {0}")]
    Key(#[from] KeyError),
    /// The key in the folder is another one's.
    #[error("the key in this folder is named {found}: start it with that name, or choose another folder")]
    OtherName {
        /// Its name.
        found: String,
    },
    /// A log is given twice.
    #[error("two keys are given for the log {origin}")]
    Twice {
        /// Which.
        origin: String,
    },
    /// Another process witnesses there.
    #[error("another witness uses the folder of the log {origin}: stop it, or choose another folder")]
    InUse {
        /// Which log.
        origin: String,
    },
    /// The disk failed.
    #[error("the folder of the log {origin}: {source}")]
    Folder {
        /// Which log.
        origin: String,
        /// The system's word.
        source: io::Error,
    },
    /// What is kept of a log is not of the log that is to be witnessed.
    #[error("the checkpoint kept of the log {origin}: {source}")]
    Kept {
        /// Which log.
        origin: String,
        /// What is wrong.
        source: CheckpointError,
    },
}

impl Witness {
    /// Opens the witness in `dir`; at the first start it gets its key, under `name`.
    ///
    /// # Errors
    /// [`WitnessError`]; nothing is cosigned then.
    pub fn open(
        dir: &Path,
        name: &str,
        logs: Vec<VerifierKey>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, WitnessError> {
        identity::make_folder(dir)?;
        let place = dir.join(KEY);
        if !place.exists() {
            let key = SigningKey::generate(name, rng)?;
            identity::write_secret(&place, key.encode().as_bytes())?;
            sync(dir).map_err(|source| IdentityError::File {
                path: dir.to_owned(),
                source,
            })?;
        }
        let key = SigningKey::decode(identity::read_secret(&place)?.trim())?;
        if key.name() != name {
            return Err(WitnessError::OtherName {
                found: key.name().to_owned(),
            });
        }
        let mut watched = BTreeMap::new();
        for log in logs {
            let origin = log.name().to_owned();
            let folder = dir.join(hex::encode(Sha256::digest(&origin)));
            let fault = |source| WitnessError::Folder {
                origin: origin.clone(),
                source,
            };
            if watched.contains_key(&origin) {
                return Err(WitnessError::Twice { origin });
            }
            let files = match Folder::create(&folder) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(WitnessError::InUse { origin });
                }
                files => files.map_err(fault)?,
            };
            sync(dir).map_err(fault)?;
            let log = Watched {
                key: log,
                folder,
                files: Mutex::new(files),
            };
            // Damage is found now, not when somebody asks.
            let files = log.files.lock().unwrap_or_else(PoisonError::into_inner);
            log.latest(&files)
                .map_err(fault)?
                .map_err(|source| WitnessError::Kept {
                    origin: origin.clone(),
                    source,
                })?;
            drop(files);
            watched.insert(origin, log);
        }
        Ok(Self { key, logs: watched })
    }

    /// The key that verifies its cosignatures.
    pub fn cosigner(&self) -> CosignerKey {
        self.key.verifier().cosigner()
    }

    /// Answers `POST /add-checkpoint` at `time` (Unix seconds). Blocks for the disk.
    pub fn answer(&self, asked: &Asked, time: u64) -> Answer {
        if asked.path != PATH {
            return Answer::not_found();
        }
        if asked.method != Method::POST {
            return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "checkpoints are sent with POST\n");
        }
        match self.add_checkpoint(&asked.body, time) {
            Ok(cosignature) => Answer::text(StatusCode::OK, cosignature),
            Err(Failure::Refused(refusal)) => {
                let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
                match refusal.body() {
                    Some(size) => Answer {
                        content_type: SIZE_CONTENT_TYPE,
                        ..Answer::text(status, size)
                    },
                    None => Answer::text(status, format!("{refusal}\n")),
                }
            }
            Err(Failure::Disk(error)) => {
                tracing::error!(%error, "nothing is cosigned: the witness's folder cannot be used");
                Answer::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the witness cannot keep checkpoints now\n",
                )
            }
        }
    }

    fn add_checkpoint(&self, body: &[u8], time: u64) -> Result<String, Failure> {
        let request = AddCheckpoint::parse(body).map_err(Failure::Refused)?;
        let origin = request.unverified_origin().unwrap_or_default();
        let log = self
            .logs
            .get(origin)
            .ok_or(Failure::Refused(WitnessRefusal::UnknownLog))?;
        let files = log.files.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = log
            .latest(&files)?
            .map_err(|error| Failure::Disk(io::Error::new(io::ErrorKind::InvalidData, error.to_string())))?;
        let judged = request.judge(&log.key, kept.as_ref().map(SignedCheckpoint::checkpoint));
        let mut signed = match judged {
            Ok(signed) => signed,
            Err(refusal) => {
                if let (WitnessRefusal::Inconsistent { .. }, Some(kept)) = (&refusal, &kept) {
                    log.contradicted(kept, &request)?;
                }
                return Err(Failure::Refused(refusal));
            }
        };
        let cosignature = signed
            .cosign(&self.key, time)
            .map_err(|error| Failure::Disk(io::Error::new(io::ErrorKind::InvalidInput, error.to_string())))?;
        let known = kept.is_some_and(|kept| kept.checkpoint() == signed.checkpoint());
        if !known {
            let file = (CHECKPOINT_PATH.to_owned(), signed.to_string().into_bytes());
            files.put(&[file])?;
        }
        Ok(format_cosignatures(&[cosignature]))
    }
}

enum Failure {
    Refused(WitnessRefusal),
    Disk(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Watched {
    fn latest(&self, files: &Folder) -> io::Result<Result<Option<SignedCheckpoint>, CheckpointError>> {
        let kept = files.read(CHECKPOINT_PATH)?;
        Ok(kept
            .map(|note| SignedCheckpoint::open(&note, &self.key))
            .transpose())
    }

    /// Two signed checkpoints of one size prove that the log lied: the first such proof is kept. For two sizes the log's
    /// files are needed to prove anything, and the request may just have been sent with a wrong proof.
    fn contradicted(&self, kept: &SignedCheckpoint, request: &AddCheckpoint) -> io::Result<()> {
        let origin = self.key.name();
        let shown = SignedCheckpoint::open(request.checkpoint.as_bytes(), &self.key).ok();
        let Some(proof) = shown.and_then(|shown| Misbehaviour::same_size(kept, &shown)) else {
            tracing::warn!(origin, "a checkpoint came with a proof that does not hold");
            return Ok(());
        };
        tracing::error!(
            origin,
            "this log has signed two histories: the proof is in its folder"
        );
        let place = self.folder.join(EVIDENCE);
        if place.exists() {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(proof.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(place).map_err(|error| error.error)?;
        sync(&self.folder)
    }
}

/// Makes new names in a folder survive a power cut.
fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Answers requests until the token is cancelled.
pub async fn serve(
    witness: Arc<Witness>,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let handler = move |asked: Asked| {
        let (witness, clock) = (Arc::clone(&witness), Arc::clone(&clock));
        async move {
            let time = u64::try_from(clock.now().as_second()).unwrap_or(0);
            let answered = tokio::task::spawn_blocking(move || witness.answer(&asked, time)).await;
            answered.unwrap_or_else(|_| {
                Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the witness has stopped\n")
            })
        }
    };
    http::serve(listener, MAX_REQUEST_BYTES, handler, stop).await;
}

#[cfg(test)]
mod tests {
    use concordat_ledger::{Hash, attach_cosignatures};

    use super::*;

    const TIME: u64 = 1_790_000_000;

    struct World {
        dir: tempfile::TempDir,
        log: SigningKey,
    }

    impl World {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().expect("a folder"),
                log: SigningKey::from_seed("police.example/aa/ledger", &[7; 32]).expect("a key"),
            }
        }

        fn open(&self) -> Result<Witness, WitnessError> {
            let logs = vec![self.log.verifier()];
            Witness::open(self.dir.path(), "witness.example/w1", logs, &mut rand::rng())
        }

        fn checkpoint(&self, size: u64, root: u8) -> SignedCheckpoint {
            SignedCheckpoint::sign(size, Hash([root; 32]), &self.log).expect("signed")
        }
    }

    fn ask(witness: &Witness, old_size: u64, proof: Vec<Hash>, checkpoint: &str) -> Answer {
        let request = AddCheckpoint {
            old_size,
            proof,
            checkpoint: checkpoint.to_owned(),
        };
        let asked = Asked {
            method: Method::POST,
            path: PATH.to_owned(),
            body: request.to_string().into_bytes().into(),
        };
        witness.answer(&asked, TIME)
    }

    #[test]
    fn what_was_cosigned_is_never_taken_back() {
        let world = World::new();
        let witness = world.open().expect("open");
        let (one, other) = (world.checkpoint(5, 1), world.checkpoint(5, 2));
        let mut cosigned = one.clone();
        let answer = ask(&witness, 0, vec![], &one.to_string());
        assert_eq!(answer.status, StatusCode::OK);
        let keys = [witness.cosigner()];
        assert_eq!(attach_cosignatures(&mut cosigned, &keys, &answer.body), Some(1));
        assert_eq!(cosigned.cosigned_by(&keys[0]), Some(TIME));

        // The process dies without a word; the next one has the same key and the same memory.
        let key = witness.cosigner();
        drop(witness);
        let witness = world.open().expect("open again");
        assert_eq!(witness.cosigner(), key);
        let stale = ask(&witness, 0, vec![], &other.to_string());
        assert_eq!(
            (stale.status, stale.body.as_slice()),
            (StatusCode::CONFLICT, b"5\n".as_slice())
        );
        assert_eq!(stale.content_type, SIZE_CONTENT_TYPE);
        let forked = ask(&witness, 5, vec![], &other.to_string());
        assert_eq!(forked.status, StatusCode::CONFLICT);
        let again = ask(&witness, 5, vec![], &one.to_string());
        assert_eq!(again.status, StatusCode::OK, "the same one is cosigned again");

        // The two checkpoints are a proof that anybody can check.
        let place = witness.logs[world.log.name()].folder.join(EVIDENCE);
        let proof = std::fs::read(place).expect("evidence");
        assert!(Misbehaviour::check(&proof, &world.log.verifier()).is_ok());
    }

    #[test]
    fn a_wrong_proof_accuses_nobody() {
        let world = World::new();
        let witness = world.open().expect("open");
        ask(&witness, 0, vec![], &world.checkpoint(5, 1).to_string());
        let answer = ask(
            &witness,
            5,
            vec![Hash([9; 32])],
            &world.checkpoint(6, 3).to_string(),
        );
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!witness.logs[world.log.name()].folder.join(EVIDENCE).exists());
    }

    #[test]
    fn strangers_and_nonsense_are_refused() {
        let world = World::new();
        let witness = world.open().expect("open");
        let stranger = SigningKey::from_seed("other.example/ledger", &[8; 32]).expect("a key");
        let forger = SigningKey::from_seed(world.log.name(), &[9; 32]).expect("a key");
        let signed = |key| {
            SignedCheckpoint::sign(1, Hash([1; 32]), key)
                .expect("signed")
                .to_string()
        };
        assert_eq!(
            ask(&witness, 0, vec![], &signed(&stranger)).status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            ask(&witness, 0, vec![], &signed(&forger)).status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(ask(&witness, 0, vec![], "nonsense").status, StatusCode::NOT_FOUND);
        let asked = |method, path: &str| Asked {
            method,
            path: path.to_owned(),
            body: vec![0xff; 9].into(),
        };
        let status = |method, path| witness.answer(&asked(method, path), TIME).status;
        assert_eq!(status(Method::POST, PATH), StatusCode::BAD_REQUEST);
        assert_eq!(status(Method::GET, PATH), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status(Method::POST, "/../witness.key"), StatusCode::NOT_FOUND);
    }

    #[test]
    fn two_at_once_get_one_answer() {
        let world = World::new();
        let witness = world.open().expect("open");
        let statuses: Vec<StatusCode> = std::thread::scope(|scope| {
            let ask = |root| {
                let (witness, note) = (&witness, world.checkpoint(5, root).to_string());
                scope.spawn(move || ask(witness, 0, vec![], &note).status)
            };
            let asking: Vec<_> = (1..=8).map(ask).collect();
            asking.into_iter().map(|one| one.join().expect("ended")).collect()
        });
        let cosigned = statuses.iter().filter(|status| **status == StatusCode::OK);
        assert_eq!(cosigned.count(), 1, "{statuses:?}");
    }

    #[test]
    fn one_process_one_name_one_key_for_a_log() {
        let world = World::new();
        let first = world.open().expect("open");
        assert!(
            matches!(world.open(), Err(WitnessError::InUse { .. })),
            "it is locked"
        );
        drop(first);
        let open = |name, logs| Witness::open(world.dir.path(), name, logs, &mut rand::rng());
        assert!(matches!(open("w2", vec![]), Err(WitnessError::OtherName { .. })));
        let twice = vec![world.log.verifier(), world.log.verifier()];
        assert!(matches!(
            open("witness.example/w1", twice),
            Err(WitnessError::Twice { .. })
        ));
    }
}
