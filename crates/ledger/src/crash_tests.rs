//! A disk that loses power at every step: whatever was not synced is there, is not, or is there in part.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use concordat_note::SigningKey;
use jiff::Timestamp;

use crate::audit::{AuditOptions, Keys, Verdict, verify};
use crate::checkpoint::SignedCheckpoint;
use crate::disk::Disk;
use crate::folder::Folder;
use crate::hash::Hash;
use crate::log::{Log, LogError};
use crate::reader::TileReader;
use crate::source::Source;
use crate::tile::CHECKPOINT_PATH;

/// What is on the platters, and what only the cache knows.
#[derive(Clone, Default)]
struct State {
    /// What any process sees.
    seen: BTreeMap<PathBuf, Vec<u8>>,
    dirs: BTreeSet<PathBuf>,
    /// What survives.
    durable: BTreeMap<PathBuf, Vec<u8>>,
    durable_dirs: BTreeSet<PathBuf>,
    /// Files whose content was synced, under whatever name.
    synced: BTreeMap<PathBuf, Vec<u8>>,
    steps_left: u64,
    steps: Vec<&'static str>,
}

#[derive(Clone, Default)]
struct Faulty(Arc<Mutex<State>>);

/// How a cache is lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The process dies, the machine lives: nothing is lost.
    Kill,
    /// Power is cut: nothing survives that was not synced.
    Power,
    /// Power is cut: names that were not synced survive, contents that were not synced are cut in half.
    Torn,
}

impl Faulty {
    fn step<T>(&self, name: &'static str, work: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        if state.steps_left == 0 {
            return Err(io::Error::other("power cut"));
        }
        state.steps_left -= 1;
        state.steps.push(name);
        Ok(work(&mut state))
    }

    /// The disk after the machine has come back, which then runs for `steps` steps.
    fn restarted(&self, loss: Loss, steps: u64) -> Self {
        let state = self.0.lock().unwrap();
        let (files, dirs) = match loss {
            Loss::Kill => (state.seen.clone(), state.dirs.clone()),
            Loss::Power => (state.durable.clone(), state.durable_dirs.clone()),
            Loss::Torn => {
                let torn = |(path, bytes): (&PathBuf, &Vec<u8>)| {
                    let whole =
                        state.synced.get(path) == Some(bytes) || state.durable.get(path) == Some(bytes);
                    let length = if whole { bytes.len() } else { bytes.len() / 2 };
                    (path.clone(), bytes[..length].to_vec())
                };
                (state.seen.iter().map(torn).collect(), state.dirs.clone())
            }
        };
        // A file in a directory that was lost is lost.
        let files: BTreeMap<_, _> = files
            .into_iter()
            .filter(|(path, _)| {
                path.parent()
                    .is_none_or(|dir| dir == Path::new("log") || dirs.contains(dir))
            })
            .collect();
        Self(Arc::new(Mutex::new(State {
            seen: files.clone(),
            dirs: dirs.clone(),
            durable: files.clone(),
            durable_dirs: dirs,
            synced: files,
            steps_left: steps,
            steps: Vec::new(),
        })))
    }
}

impl Disk for Faulty {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().seen.get(path).cloned())
    }

    fn create_dir(&self, path: &Path) -> io::Result<bool> {
        self.step("create directory", |state| state.dirs.insert(path.to_owned()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step("write", |state| {
            state.synced.remove(path);
            state.seen.insert(path.to_owned(), bytes.to_vec());
        })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.step("sync file", |state| {
            let bytes = state.seen[path].clone();
            state.synced.insert(path.to_owned(), bytes);
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", |state| {
            let bytes = state.seen.remove(from).unwrap();
            state.seen.insert(to.to_owned(), bytes);
            match state.synced.remove(from) {
                Some(bytes) => state.synced.insert(to.to_owned(), bytes),
                None => state.synced.remove(to),
            };
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step("sync directory", |state| {
            let inside = |file: &Path| file.parent() == Some(path);
            state.durable.retain(|file, _| !inside(file));
            let here: Vec<_> = state.seen.keys().filter(|file| inside(file)).cloned().collect();
            for file in here {
                // The name is durable; the content only if it was synced itself.
                let bytes = state.synced.get(&file).cloned().unwrap_or_default();
                state.durable.insert(file, bytes);
            }
            let dirs: Vec<_> = state.dirs.iter().filter(|dir| inside(dir)).cloned().collect();
            state.durable_dirs.extend(dirs);
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.step("remove directory", |state| {
            state.seen.retain(|file, _| !file.starts_with(path));
            state.dirs.retain(|dir| !dir.starts_with(path));
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.0.lock().unwrap();
        Ok(state.seen.contains_key(path) || state.dirs.contains(path))
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed("log.example", &[1; 32]).unwrap()
}

fn witness() -> SigningKey {
    SigningKey::from_seed("witness.example", &[2; 32]).unwrap()
}

fn entry(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

/// What the outside has seen: nothing of it may ever be taken back.
#[derive(Default)]
struct Outside {
    shown: Vec<SignedCheckpoint>,
}

/// Opens the log and appends up to each size, cosigning in between, as a sequencer does.
fn work(disk: Faulty, sizes: &[u64], outside: &mut Outside) -> Result<(), LogError> {
    let cosigners = [witness().verifier().cosigner()];
    let mut log = Log::open(Folder::on(disk), key().verifier())?;
    // Whoever has the files sees a checkpoint as soon as it has its name.
    outside.shown.extend(log.latest().cloned());
    log.tidy()?;
    for &size in sizes {
        if log.size() >= size {
            continue;
        }
        let batch = log.prepare_raw((log.size()..size).map(entry))?;
        log.write(&batch)?;
        let checkpoint = batch.sign(&key())?;
        let published = log.publish(batch, checkpoint.clone());
        // A reader may see the new name before it is durable.
        let seen = log.source().read(CHECKPOINT_PATH).map_err(LogError::Io)?;
        if seen.as_deref() == Some(checkpoint.to_string().as_bytes()) {
            outside.shown.push(checkpoint.clone());
        }
        published?;
        let mut cosigned = checkpoint;
        cosigned.cosign(&witness(), 1_795_000_000)?;
        log.cosigned(&cosigned, &cosigners)?;
    }
    Ok(())
}

/// Every step of a run is the last one, three ways; then the log goes on to its end.
#[test]
fn power_is_cut_at_every_step() {
    const SIZES: &[u64] = &[3, 255, 256, 520];
    let whole = Faulty::default().restarted(Loss::Kill, u64::MAX);
    work(whole.clone(), SIZES, &mut Outside::default()).unwrap();
    let steps = whole.0.lock().unwrap().steps.clone();
    for name in [
        "create directory",
        "write",
        "sync file",
        "rename",
        "sync directory",
        "remove directory",
    ] {
        assert!(steps.contains(&name), "{name} is a step that is broken");
    }
    assert!(steps.len() > 60, "{}", steps.len());

    for cut in 0..steps.len() as u64 {
        for loss in [Loss::Kill, Loss::Power, Loss::Torn] {
            let place = format!("{loss:?} after step {cut} ({})", steps[cut as usize]);
            let mut outside = Outside::default();
            let disk = Faulty::default().restarted(Loss::Kill, cut);
            assert!(work(disk.clone(), SIZES, &mut outside).is_err(), "{place}");
            // Power is cut a second time while it recovers.
            let disk = disk.restarted(loss, cut / 2);
            let _ = work(disk.clone(), SIZES, &mut outside);
            let disk = disk.restarted(loss, u64::MAX);
            work(disk.clone(), SIZES, &mut outside).unwrap_or_else(|error| panic!("{place}: {error}"));

            let folder = Folder::on(disk);
            let options = AuditOptions {
                now: Timestamp::UNIX_EPOCH,
                leaves: false,
            };
            let report = verify(&folder, &Keys::of(key().verifier()), &outside.shown, &options);
            assert_eq!(report.verdict(), Verdict::Holds, "{place}\n{report}");
            assert_eq!(report.entries, 520, "{place}");
            // None lost, none twice, none out of order.
            let mut reader = TileReader::new(&folder, 520);
            for n in (0..520).step_by(37) {
                assert_eq!(reader.entry(n).unwrap(), entry(n), "{place}");
            }
        }
    }
}

/// A checkpoint that was perhaps published is never signed a second time with other content.
#[test]
fn a_log_in_doubt_does_not_go_on() {
    let whole = Faulty::default().restarted(Loss::Kill, u64::MAX);
    work(whole.clone(), &[3], &mut Outside::default()).unwrap();
    let mut log = Log::open(Folder::on(whole.clone()), key().verifier()).unwrap();
    let batch = log.prepare_raw([entry(3)]).unwrap();
    log.write(&batch).unwrap();
    let checkpoint = batch.sign(&key()).unwrap();
    // The rename takes effect, the sync after it fails.
    whole.0.lock().unwrap().steps_left = 3;
    assert!(log.publish(batch, checkpoint).is_err());
    whole.0.lock().unwrap().steps_left = u64::MAX;
    let other = log.prepare_raw([b"something else".to_vec()]).unwrap();
    assert!(matches!(log.write(&other), Err(LogError::InDoubt)));
    let log = Log::open(Folder::on(whole), key().verifier()).unwrap();
    assert_eq!(log.size(), 4);
}

/// Files that were changed under a log are noticed before anything is signed over them.
#[test]
fn a_damaged_log_does_not_open() {
    let disk = Faulty::default().restarted(Loss::Kill, u64::MAX);
    work(disk.clone(), &[3, 300], &mut Outside::default()).unwrap();
    let paths: Vec<_> = disk.0.lock().unwrap().seen.keys().cloned().collect();
    let mut noticed = 0;
    for path in paths {
        let broken = disk.restarted(Loss::Kill, u64::MAX);
        let last = {
            let mut state = broken.0.lock().unwrap();
            let bytes = state.seen.get_mut(&path).unwrap();
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            path.display().to_string()
        };
        // The right edge is what is read when it opens; an audit reads the rest.
        if Log::open(Folder::on(broken), key().verifier()).is_err() {
            noticed += 1;
        } else {
            assert!(!last.contains(".p/44") && last != "log/checkpoint", "{last}");
        }
    }
    assert!(noticed >= 4, "{noticed}");
    let mut log = Log::open(Folder::on(disk), key().verifier()).unwrap();
    let stale = log.prepare_raw([entry(300)]).unwrap();
    let batch = log.prepare_raw([entry(300)]).unwrap();
    let wrong = SignedCheckpoint::sign(301, Hash([0; 32]), &key()).unwrap();
    let checkpoint = batch.sign(&key()).unwrap();
    assert!(log.publish(stale, wrong).is_err());
    log.write(&batch).unwrap();
    log.publish(batch, checkpoint.clone()).unwrap();
    let stale = LogError::Stale { batch: 300, log: 301 };
    let again = log.prepare_raw([entry(301)]).unwrap();
    assert!(log.publish(again, checkpoint).is_err());
    assert!(stale.to_string().contains("300"));
}
