//! The master key, which opens the database: where it is read, and how another takes its place.
//!
//! ```text
//! Rotation::prepare ─► switch ─► finish
//! FILE.new durable     database  FILE.new becomes FILE, which is kept as FILE.old
//! ```
//! The database's transaction is the one commit point. Both keys are on disk before it and after it, and [`open_database`] tries
//! `FILE.new` where `FILE` is the wrong one: whenever the process or the machine dies, the database opens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use concordat_ledger::Digest;
use concordat_store::{MasterKey, Store, StoreError, StoreOptions};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::identity::{IdentityError, parse_master_key, read_secret, write_secret};
use crate::key_record::{MASTER, fingerprint, record_master};
use crate::run::StartError;

type Secret = Zeroizing<[u8; 32]>;

/// The file with the key, unless a variable holds it.
fn file(config: &Config) -> Option<PathBuf> {
    let named = || config.node.data_dir.join(&config.secrets.master_key_file);
    config.secrets.master_key_env.is_none().then(named)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn read(path: &Path) -> Result<Secret, StartError> {
    let text = read_secret(path).map_err(|error| match error {
        IdentityError::File { .. } => StartError::MasterKey(error.to_string()),
        error => StartError::Identity(error),
    })?;
    Ok(parse_master_key(&text)?)
}

fn configured(config: &Config) -> Result<Secret, StartError> {
    match (&config.secrets.master_key_env, file(config)) {
        (Some(name), _) => {
            let unset = |_| StartError::MasterKey(format!("environment variable {name} is not set"));
            Ok(parse_master_key(&Zeroizing::new(
                std::env::var(name).map_err(unset)?,
            ))?)
        }
        (None, Some(path)) => read(&path),
        // One of the two is always there.
        (None, None) => Err(StartError::MasterKey("no file is configured".to_owned())),
    }
}

async fn open(config: &Config, key: &Secret, rng: Box<dyn CryptoRng + Send>) -> Result<Store, StartError> {
    let options = StoreOptions {
        path: config.node.data_dir.join("node.db"),
        master_key: MasterKey::new(**key),
        rng,
        readers: 8,
    };
    Ok(Store::open(options).await?)
}

fn system_rng() -> Box<dyn CryptoRng + Send> {
    Box::new(rand::rand_core::UnwrapErr(rand::rngs::SysRng))
}

/// Opens the database, and says with which master key, by its fingerprint. Finishes a rotation that was interrupted.
pub(crate) async fn open_database(
    config: &Config,
    rng: Box<dyn CryptoRng + Send>,
) -> Result<(Store, Digest), StartError> {
    let key = configured(config)?;
    let wrong = match open(config, &key, rng).await {
        Ok(store) => return Ok((store, fingerprint(MASTER, &key))),
        Err(error) => error,
    };
    let next = file(config).map(|file| (beside(&file, ".new"), file));
    match (&wrong, next) {
        (StartError::Store(StoreError::WrongMasterKey), Some((new, file))) if new.exists() => {
            let key = read(&new)?;
            let store = open(config, &key, system_rng()).await?;
            if let Err(error) = take_place(&new, &file) {
                tracing::warn!(file = %file.display(), %error, "the new master key is in FILE.new: the rotation could not be finished");
            }
            Ok((store, fingerprint(MASTER, &key)))
        }
        _ => Err(wrong),
    }
}

/// The new key's file gets the name of the old one's, which is at `FILE.old` already.
fn take_place(new: &Path, file: &Path) -> io::Result<()> {
    fs::rename(new, file)?;
    sync_folder(file)
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Why the master key was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] StartError),
    /// The database failed.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The key is in a variable, which nobody but the operator can change.
    #[error(
        "the master key is in environment variable {0}: say with --out which file is to hold the new one"
    )]
    Variable(String),
    /// The key in use is still beside the configured file.
    #[error(
        "an earlier rotation could not be finished: the database opens with {}, put that in the place of the configured file first",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// An older key is kept.
    #[error("{} holds an older master key: destroy it, or move it to where the backups' keys are", .0.display())]
    OldKept(PathBuf),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It could not be recorded.
    #[error("{0}")]
    Record(#[from] concordat_wire::Fault),
}

/// The files of the two keys after a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedFiles {
    /// With the new key.
    pub new: PathBuf,
    /// With the old one, unless it is where it was.
    pub old: Option<PathBuf>,
}

/// A new master key on its way into the place of the old one. Each stage is a call of its own, so that a test can stop between any two.
pub struct Rotation<'a> {
    config: &'a Config,
    store: Store,
    key: Secret,
    /// Where the new key is.
    new: PathBuf,
    /// The file whose place it takes.
    replaces: Option<PathBuf>,
}

impl<'a> Rotation<'a> {
    /// Opens the database of a stopped node, and writes a new key: to `out`, or beside the configured file.
    ///
    /// # Errors
    /// The node runs, or a file is there already or cannot be written. Nothing was changed.
    pub async fn prepare(config: &'a Config, out: Option<&Path>) -> Result<Self, RotateError> {
        let file = file(config);
        let (new, replaces) = match (out, file) {
            (Some(out), _) => (out.to_owned(), None),
            (None, Some(file)) => (beside(&file, ".new"), Some(file)),
            (None, None) => {
                let variable = config.secrets.master_key_env.clone();
                return Err(RotateError::Variable(variable.unwrap_or_default()));
            }
        };
        // What an interrupted rotation left is finished here, or of no use.
        let (store, in_use) = open_database(config, system_rng()).await?;
        let named = configured(config)?;
        if fingerprint(MASTER, &named) != in_use {
            // It could not be finished: FILE.new is the only place of the key in use, and is not to be written over.
            store.close().await;
            return Err(RotateError::Unfinished(new));
        }
        let mut key = Secret::new([0; 32]);
        system_rng().fill_bytes(&mut *key);
        let prepared = Self {
            config,
            store,
            key,
            new,
            replaces,
        };
        match prepared.write() {
            Ok(()) => Ok(prepared),
            Err(error) => {
                prepared.store.close().await;
                Err(error)
            }
        }
    }

    fn write(&self) -> Result<(), RotateError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| RotateError::File { path, source }
        };
        if let Some(file) = &self.replaces {
            let old = beside(file, ".old");
            if old.exists() {
                // Unless it is the one in use, of a rotation that did not get further.
                if *read(&old)? != *read(file)? {
                    return Err(RotateError::OldKept(old));
                }
            } else {
                fs::hard_link(file, &old).map_err(fault(&old))?;
            }
            // The database did not open with it.
            match fs::remove_file(&self.new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(&self.new)(error)),
                _ => {}
            }
        }
        write_secret(&self.new, Zeroizing::new(hex::encode(*self.key)).as_bytes())
            .map_err(StartError::Identity)?;
        sync_folder(&self.new).map_err(fault(&self.new))
    }

    /// From here on the database opens with the new key only.
    ///
    /// # Errors
    /// The database failed: it opens with the old key, or, if it failed at the very end, with the new one.
    pub async fn switch(&self) -> Result<(), RotateError> {
        // Both keys are on disk. That the old one is gone from the write-ahead log too may wait until the store is closed.
        let _erasure = self.store.rotate_master_key(&MasterKey::new(*self.key)).await?;
        Ok(())
    }

    /// Gives the new key's file its name, and records the rotation.
    ///
    /// # Errors
    /// The file cannot be renamed: the next start does it. It could not be recorded: the next start records it.
    pub async fn finish(self) -> Result<RotatedFiles, RotateError> {
        let recorded = record_master(self.config, &self.store, fingerprint(MASTER, &self.key)).await;
        self.store.close().await;
        let files = match &self.replaces {
            Some(file) => {
                take_place(&self.new, file).map_err(|source| RotateError::File {
                    path: file.clone(),
                    source,
                })?;
                RotatedFiles {
                    new: file.clone(),
                    old: Some(beside(file, ".old")),
                }
            }
            None => RotatedFiles {
                new: self.new.clone(),
                old: None,
            },
        };
        recorded?;
        Ok(files)
    }
}

impl std::fmt::Debug for Rotation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotation")
            .field("new", &self.new)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().expect("a folder");
        crate::identity::create(folder.path(), "aa", &[], &mut rand::rng()).expect("keys");
        let config = Config::parse(
            "[node]\nagency_id = \"aa\"\nagency_name = \"A\"\ndata_dir = \".\"\n[peer]\nlisten = \"127.0.0.1:1\"\n\
             endpoint = \"https://127.0.0.1:1\"\n[api]\nlisten = \"127.0.0.1:2\"\n",
        );
        let mut config = config.expect("a configuration");
        config.node.data_dir = folder.path().to_owned();
        (folder, config)
    }

    /// Opens as a start does; gives the key's fingerprint.
    async fn opens(config: &Config) -> Digest {
        let (store, with) = open_database(config, system_rng()).await.expect("it opens");
        assert_eq!(store.fact("mark").await.expect("read").as_deref(), Some("here"));
        store.close().await;
        with
    }

    #[tokio::test]
    async fn whenever_it_dies_the_database_opens_and_the_rotation_goes_on() {
        for stages in 0..=2 {
            let (folder, config) = node();
            let at = |name: &str| folder.path().join(name);
            let old = read(&at("master.key")).expect("a key");
            let (store, _) = open_database(&config, system_rng()).await.expect("made");
            store.set_fact("mark", "here", 0).await.expect("kept");
            store.close().await;

            let rotation = Rotation::prepare(&config, None).await.expect("prepared");
            let new = read(&at("master.key.new")).expect("both keys are there");
            assert_ne!(*old, *new);
            if stages > 0 {
                rotation.switch().await.expect("switched");
            }
            assert!(at("master.key").exists() && at("master.key.new").exists());
            if stages > 1 {
                let files = rotation.finish().await.expect("finished");
                assert_eq!(files.new, at("master.key"));
            } else {
                // It dies.
                rotation.store.close().await;
                drop(rotation);
            }
            let (kept, inuse) = (fingerprint(MASTER, &old), fingerprint(MASTER, &new));
            assert_eq!(
                opens(&config).await,
                if stages == 0 { kept } else { inuse },
                "{stages}"
            );
            assert_eq!(*read(&at("master.key.old")).expect("kept"), *old);
            if stages > 0 {
                assert_eq!(
                    *read(&at("master.key")).expect("renamed"),
                    *new,
                    "a start finishes it"
                );
                assert!(!at("master.key.new").exists());
                let again = Rotation::prepare(&config, None)
                    .await
                    .expect_err("an old key is kept");
                assert!(matches!(again, RotateError::OldKept(_)), "{again}");
                fs::remove_file(at("master.key.old")).expect("destroyed");
            }
            // And again, from whatever was left.
            let rotation = Rotation::prepare(&config, None).await.expect("prepared");
            rotation.switch().await.expect("switched");
            rotation.finish().await.expect("finished");
            let last = opens(&config).await;
            assert!(last != kept && last != inuse);
        }
    }

    #[tokio::test]
    async fn a_key_that_is_elsewhere_is_written_where_one_says() {
        let (folder, config) = node();
        let out = folder.path().join("next.key");
        let before = fs::read(folder.path().join("master.key")).expect("read");
        let rotation = Rotation::prepare(&config, Some(&out)).await.expect("prepared");
        rotation.switch().await.expect("switched");
        let files = rotation.finish().await.expect("finished");
        assert_eq!(
            files,
            RotatedFiles {
                new: out.clone(),
                old: None
            }
        );
        assert_eq!(fs::read(folder.path().join("master.key")).expect("read"), before);
        let wrong = open_database(&config, system_rng()).await.err();
        assert!(matches!(
            wrong,
            Some(StartError::Store(StoreError::WrongMasterKey))
        ));
        let mut moved = config.clone();
        moved.secrets.master_key_file = "next.key".into();
        let (store, _) = open_database(&moved, system_rng()).await.expect("it opens");
        store.close().await;
        let mut variable = config.clone();
        variable.secrets.master_key_env = Some("NO_SUCH".into());
        let refused = Rotation::prepare(&variable, None).await.expect_err("no file");
        assert!(refused.to_string().contains("NO_SUCH"), "{refused}");
    }
}
