//! The master key, which opens the database: where it is read, and how another takes its place.
//!
//! ```text
//! Rotation::prepare ─► switch ─► finish
//! FILE.new durable     database  a copy of FILE is FILE.old, FILE.new becomes FILE
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

/// An open database.
struct Opened {
    store: Store,
    /// The fingerprint of the key that opened it.
    key: Digest,
    /// What became of a rotation that had been interrupted.
    rotation: Option<Result<RotatedFiles, RotateError>>,
}

/// Opens the database, and says with which master key, by its fingerprint. Finishes a rotation that was interrupted.
pub(crate) async fn open_database(
    config: &Config,
    rng: Box<dyn CryptoRng + Send>,
) -> Result<(Store, Digest), StartError> {
    let opened = open_and_finish(config, rng).await?;
    match &opened.rotation {
        Some(Ok(files)) => tracing::warn!(
            key = %files.new.display(),
            "a rotation of the master key that was interrupted is finished: put a copy of the new key into the safe"
        ),
        Some(Err(error)) => tracing::warn!(%error, "the master key's rotation could not be finished"),
        None => {
            let left = file(config).map(|file| beside(&file, ".new"));
            if let Some(left) = left.filter(|left| left.exists()) {
                tracing::warn!(
                    file = %left.display(),
                    "left from a rotation of the master key that changed nothing: it opens nothing, remove it"
                );
            }
        }
    }
    Ok((opened.store, opened.key))
}

async fn open_and_finish(config: &Config, rng: Box<dyn CryptoRng + Send>) -> Result<Opened, StartError> {
    let next = file(config).map(|file| (beside(&file, ".new"), file));
    let key = match (configured(config), &next) {
        (Err(_), Some((new, file))) if !file.exists() && new.exists() => {
            let (file, new) = (file.clone(), new.clone());
            return Err(StartError::MasterKeyBeside { file, new });
        }
        (key, _) => key?,
    };
    let wrong = match open(config, &key, rng).await {
        Ok(store) => {
            return Ok(Opened {
                store,
                key: fingerprint(MASTER, &key),
                rotation: None,
            });
        }
        Err(error) => error,
    };
    match (&wrong, next) {
        (StartError::Store(StoreError::WrongMasterKey), Some((new, file))) if new.exists() => {
            let key = read(&new)?;
            Ok(Opened {
                store: open(config, &key, system_rng()).await?,
                key: fingerprint(MASTER, &key),
                rotation: Some(take_place(&new, &file)),
            })
        }
        _ => Err(wrong),
    }
}

/// The new key's file gets the name of the old one's, of which a copy is kept: whoever destroys that destroys nothing else.
fn take_place(new: &Path, file: &Path) -> Result<RotatedFiles, RotateError> {
    let old = beside(file, ".old");
    let key = read(file)?;
    let whole = Zeroizing::new(hex::encode(*key));
    let kept = match old.exists() {
        true => Some(read_secret(&old).map_err(StartError::Identity)?),
        false => None,
    };
    match kept {
        Some(kept) if kept.trim_end() == *whole => {}
        // Ours, not written to its end. Anything else is somebody's, and may be the only copy of its key.
        Some(kept) if whole.starts_with(kept.as_str()) => {
            fs::remove_file(&old).map_err(|source| RotateError::file(&old, source))?;
            write_like(file, &old, &key)?;
        }
        Some(_) => return Err(RotateError::OldKept(old)),
        None => write_like(file, &old, &key)?,
    }
    fs::rename(new, file).map_err(|source| RotateError::file(file, source))?;
    sync_folder(file)?;
    Ok(RotatedFiles {
        new: file.to_owned(),
        old: Some(old),
    })
}

/// Writes a key to a new file, durably, for the same owner, group and mode as `file`: root may rotate what the service reads.
fn write_like(file: &Path, path: &Path, key: &Secret) -> Result<(), RotateError> {
    use std::os::unix::fs::MetadataExt;
    write_secret(path, Zeroizing::new(hex::encode(**key)).as_bytes()).map_err(StartError::Identity)?;
    let alike = || -> io::Result<()> {
        let (like, written) = (fs::metadata(file)?, fs::metadata(path)?);
        if (like.uid(), like.gid()) != (written.uid(), written.gid()) {
            std::os::unix::fs::chown(path, Some(like.uid()), Some(like.gid()))?;
        }
        fs::set_permissions(path, like.permissions())?;
        fs::File::open(path)?.sync_all()
    };
    alike().map_err(|source| RotateError::file(path, source))?;
    sync_folder(path)
}

fn sync_folder(file: &Path) -> Result<(), RotateError> {
    let synced = fs::File::open(folder_of(file)).and_then(|folder| folder.sync_all());
    synced.map_err(|source| RotateError::file(file, source))
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

/// Whether two names are of one place, be there a file or not.
fn same_place(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| fs::canonicalize(folder_of(path)).ok();
    one.file_name() == other.file_name() && folder(one) == folder(other)
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
    /// A name that rotations need themselves.
    #[error("{}: this name is for the rotation itself, choose another", .0.display())]
    Reserved(PathBuf),
    /// The key in use is still beside the configured file.
    #[error(
        "an earlier rotation could not be finished ({why}): the database opens with the key in {}, put that in the place of the configured file first",
        key.display()
    )]
    Unfinished {
        /// Where the key in use is.
        key: PathBuf,
        /// Why it is not in the configured file.
        why: Box<Self>,
    },
    /// It failed when the database may have been switched already.
    #[error(
        "{why}. From here on the database may open with the key in {} only: keep that file, and the old key too, until the node runs again",
        key.display()
    )]
    AfterSwitch {
        /// Where the new key is.
        key: PathBuf,
        /// What failed.
        why: Box<Self>,
    },
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
    /// It is done, and could not be recorded.
    #[error(
        "the rotation is done: the database opens with the key in {}. It could not be recorded ({why}); the next start of the node does that",
        key.display()
    )]
    NotRecorded {
        /// Where the key in use is.
        key: PathBuf,
        /// Why it could not be recorded.
        why: concordat_wire::Fault,
    },
}

impl RotateError {
    fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::File { path, source }
    }
}

/// The files of the two keys after a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedFiles {
    /// With the new key.
    pub new: PathBuf,
    /// With the old one, unless it is where it was.
    pub old: Option<PathBuf>,
}

impl RotatedFiles {
    fn recorded(self, recorded: Result<(), concordat_wire::Fault>) -> Result<Self, RotateError> {
        match recorded {
            Ok(()) => Ok(self),
            Err(why) => Err(RotateError::NotRecorded { key: self.new, why }),
        }
    }
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

/// Where a rotation stands.
#[derive(Debug)]
pub enum Prepared<'a> {
    /// A new key is on disk beside the old one.
    New(Rotation<'a>),
    /// An earlier rotation had been interrupted after its switch: it is finished now, and recorded.
    Finished(RotatedFiles),
}

impl<'a> Rotation<'a> {
    /// Opens the database of a stopped node, and writes a new key: to `out`, or beside the configured file. Where an earlier rotation was
    /// interrupted, that is finished instead.
    ///
    /// # Errors
    /// The node runs, or a file is there already or cannot be written. Nothing was changed.
    pub async fn prepare(config: &'a Config, out: Option<&Path>) -> Result<Prepared<'a>, RotateError> {
        let file = file(config);
        let (new, replaces) = match (out, &file) {
            (Some(out), _) => (out.to_owned(), None),
            (None, Some(file)) => (beside(file, ".new"), Some(file.clone())),
            (None, None) => {
                let variable = config.secrets.master_key_env.clone();
                return Err(RotateError::Variable(variable.unwrap_or_default()));
            }
        };
        let reserved = file
            .iter()
            .flat_map(|file| [beside(file, ".new"), beside(file, ".old")]);
        if out.is_some_and(|out| reserved.into_iter().any(|name| same_place(out, &name))) {
            return Err(RotateError::Reserved(new));
        }
        let Opened { store, key, rotation } = open_and_finish(config, system_rng()).await?;
        match (rotation, file) {
            (None, _) => {}
            (Some(Ok(files)), _) => {
                let recorded = record_master(config, &store, key).await;
                store.close().await;
                return Ok(Prepared::Finished(files.recorded(recorded)?));
            }
            (Some(Err(why)), file) => {
                // FILE.new is the only place of the key in use, and is not to be written over.
                store.close().await;
                let key = file.map_or(new, |file| beside(&file, ".new"));
                let why = Box::new(why);
                return Err(RotateError::Unfinished { key, why });
            }
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
            Ok(()) => Ok(Prepared::New(prepared)),
            Err(error) => {
                prepared.store.close().await;
                Err(error)
            }
        }
    }

    fn write(&self) -> Result<(), RotateError> {
        let Some(file) = &self.replaces else {
            let hex = Zeroizing::new(hex::encode(*self.key));
            write_secret(&self.new, hex.as_bytes()).map_err(StartError::Identity)?;
            return sync_folder(&self.new);
        };
        let old = beside(file, ".old");
        if old.exists() {
            return Err(RotateError::OldKept(old));
        }
        // The database did not open with it.
        match fs::remove_file(&self.new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RotateError::file(&self.new, error));
            }
            _ => {}
        }
        write_like(file, &self.new, &self.key)
    }

    /// From here on the database opens with the new key only.
    ///
    /// # Errors
    /// The database failed: it opens with the old key, or, if it failed at the very end, with the new one.
    pub async fn switch(&self) -> Result<(), RotateError> {
        // Both keys are on disk. That the old one is gone from the write-ahead log too may wait until the store is closed.
        let switched = self.store.rotate_master_key(&MasterKey::new(*self.key)).await;
        let _erasure = switched.map_err(|error| self.after_switch(error.into()))?;
        Ok(())
    }

    /// Keeps a copy of the old key, gives the new key's file its name, and records the rotation.
    ///
    /// # Errors
    /// A file cannot be written or renamed: the next start does it. It could not be recorded: the next start records it.
    pub async fn finish(self) -> Result<RotatedFiles, RotateError> {
        let recorded = record_master(self.config, &self.store, fingerprint(MASTER, &self.key)).await;
        // While the database is ours: a node that starts meanwhile would do the same.
        let placed = match &self.replaces {
            Some(file) => take_place(&self.new, file),
            None => Ok(RotatedFiles {
                new: self.new.clone(),
                old: None,
            }),
        };
        self.store.close().await;
        let files = placed.map_err(|error| self.after_switch(error))?;
        files.recorded(recorded)
    }

    fn after_switch(&self, why: RotateError) -> RotateError {
        RotateError::AfterSwitch {
            key: self.new.clone(),
            why: Box::new(why),
        }
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

    /// A rotation of which a new key is on disk.
    async fn prepared<'a>(config: &'a Config, out: Option<&Path>) -> Rotation<'a> {
        match Rotation::prepare(config, out).await.expect("prepared") {
            Prepared::New(rotation) => rotation,
            Prepared::Finished(files) => panic!("nothing was interrupted: {files:?}"),
        }
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

            let rotation = prepared(&config, None).await;
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
            if stages == 0 {
                assert!(
                    !at("master.key.old").exists(),
                    "nothing that could be taken for an old key"
                );
            } else {
                assert_eq!(*read(&at("master.key.old")).expect("kept"), *old);
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
                // Whoever destroys the old key overwrites that file and no other.
                fs::write(at("master.key.old"), "0".repeat(64)).expect("overwritten");
                assert_eq!(opens(&config).await, inuse);
                fs::remove_file(at("master.key.old")).expect("destroyed");
            }
            // And again, from whatever was left.
            let rotation = prepared(&config, None).await;
            rotation.switch().await.expect("switched");
            rotation.finish().await.expect("finished");
            let last = opens(&config).await;
            assert!(last != kept && last != inuse);
        }
    }

    /// A rotation that stopped after its switch, and the two keys.
    async fn switched(config: &Config) -> [Secret; 2] {
        let file = file(config).expect("a file");
        let old = read(&file).expect("a key");
        let rotation = prepared(config, None).await;
        rotation.store.set_fact("mark", "here", 0).await.expect("kept");
        let new = read(&rotation.new).expect("a key");
        rotation.switch().await.expect("switched");
        rotation.store.close().await;
        [old, new]
    }

    #[tokio::test]
    async fn the_same_command_finishes_what_was_interrupted() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let (folder, config) = node();
        let at = |name: &str| folder.path().join(name);
        fs::set_permissions(at("master.key"), fs::Permissions::from_mode(0o400)).expect("read only");
        let [old, new] = switched(&config).await;
        // Without the first file nobody is told to make a new node.
        fs::rename(at("master.key"), at("aside")).expect("moved");
        let missing = open_database(&config, system_rng()).await.err();
        assert!(
            matches!(missing, Some(StartError::MasterKeyBeside { .. })),
            "{missing:?}"
        );
        fs::rename(at("aside"), at("master.key")).expect("moved");
        // It died while it kept the old key.
        fs::write(at("master.key.old"), &hex::encode(*old)[..20]).expect("written");
        fs::set_permissions(at("master.key.old"), fs::Permissions::from_mode(0o600)).expect("ours");
        let finished = Rotation::prepare(&config, None).await.expect("finished");
        let Prepared::Finished(files) = finished else {
            panic!("no other rotation begins: {finished:?}")
        };
        assert_eq!(files.old.as_deref(), Some(&*at("master.key.old")));
        assert_eq!(*read(&at("master.key.old")).expect("whole"), *old);
        assert_eq!(*read(&at("master.key")).expect("in use"), *new);
        for name in ["master.key", "master.key.old"] {
            let mode = fs::metadata(at(name)).expect("there").mode();
            assert_eq!(mode & 0o777, 0o400, "{name} is as the first one was");
        }
        assert_eq!(opens(&config).await, fingerprint(MASTER, &new));
    }

    #[tokio::test]
    async fn a_key_in_use_is_never_written_over() {
        let (folder, config) = node();
        let at = |name: &str| folder.path().join(name);
        let [_, new] = switched(&config).await;
        // Somebody's older key is where ours has to go, in whatever form.
        for (older, out) in [
            ("ab".repeat(32), None),
            (
                "-----BEGIN AGE ENCRYPTED FILE-----\n".to_owned(),
                Some(at("elsewhere.key")),
            ),
        ] {
            let _ = fs::remove_file(at("master.key.old"));
            write_secret(&at("master.key.old"), older.as_bytes()).expect("written");
            let refused = Rotation::prepare(&config, out.as_deref())
                .await
                .expect_err("unfinished");
            let RotateError::Unfinished { key, .. } = &refused else {
                panic!("{refused}")
            };
            assert_eq!(*key, at("master.key.new"));
            assert!(refused.to_string().contains("master.key.old"), "{refused}");
            assert_eq!(*read(key).expect("in use"), *new);
            assert_eq!(opens(&config).await, fingerprint(MASTER, &new));
            assert_eq!(fs::read_to_string(at("master.key.old")).expect("there"), older);
        }
    }

    #[tokio::test]
    async fn a_key_that_is_elsewhere_is_written_where_one_says() {
        let (folder, config) = node();
        let out = folder.path().join("next.key");
        let before = fs::read(folder.path().join("master.key")).expect("read");
        for reserved in ["master.key.new", "master.key.old"] {
            let refused = Rotation::prepare(&config, Some(&folder.path().join(reserved))).await;
            assert!(matches!(refused, Err(RotateError::Reserved(_))), "{refused:?}");
        }
        let rotation = prepared(&config, Some(&out)).await;
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
