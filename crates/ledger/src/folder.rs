//! A local directory as object store: files that appear whole or not at all.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, Os};
use crate::source::Source;
use crate::tile::{CHECKPOINT_PATH, COSIGNED_PATH, TilePath};

const TEMPORARY_SUFFIX: &str = "tmp";

/// The files of one log in a directory. One writer at a time: [`Folder::create`] holds a lock on `<dir>/.lock` as long as it lives.
///
/// A file is written under a temporary name, synced, renamed, and the directory synced. So a reader never sees half of one, and what was
/// written before [`put`](Self::put) returned survives a power cut.
pub struct Folder {
    dir: PathBuf,
    disk: Box<dyn Disk>,
    _lock: Option<File>,
}

impl Folder {
    /// Opens a directory for writing; makes it if it is not there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process writes to it; or the disk failed.
    pub fn create(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let lock = File::create(dir.join(".lock"))?;
        lock.try_lock()?;
        Ok(Self {
            dir: dir.to_owned(),
            disk: Box::new(Os),
            _lock: Some(lock),
        })
    }

    /// Opens a directory for reading only; it need not exist.
    pub fn read_only(dir: &Path) -> impl Source + use<> {
        Self {
            dir: dir.to_owned(),
            disk: Box::new(Os),
            _lock: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn on(disk: impl Disk + 'static) -> Self {
        Self {
            dir: PathBuf::from("log"),
            disk: Box::new(disk),
            _lock: None,
        }
    }

    /// Writes files, each whole or not at all; all of them survive a power cut once this has returned. After an error some may be there.
    ///
    /// # Errors
    /// The disk failed.
    pub fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut names = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            let place = self.place(path).ok_or(io::ErrorKind::InvalidInput)?;
            let temporary = temporary(&place);
            let parent = place.parent().unwrap_or(&self.dir);
            self.create_dirs(parent)?;
            self.disk.write(&temporary, bytes)?;
            names.push((temporary, place));
        }
        for (temporary, _) in &names {
            self.disk.sync_file(temporary)?;
        }
        let mut dirs = BTreeSet::new();
        for (temporary, place) in &names {
            self.disk.rename(temporary, place)?;
            dirs.extend(place.parent());
        }
        dirs.into_iter().try_for_each(|dir| self.disk.sync_dir(dir))
    }

    /// Removes the partial tiles in the place of a full one. Does nothing if the full one is not there.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove_partials(&self, tile: TilePath) -> io::Result<()> {
        let known = |path: String| self.place(&path).ok_or(io::ErrorKind::InvalidInput);
        if self.disk.exists(&known(tile.full().to_string())?)? {
            self.disk.remove_dir(&self.dir.join(tile.partials()))?;
        }
        Ok(())
    }

    /// Where a file of a log lies; `None` for a path that is none of a log's, so nothing outside of the directory is ever touched.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let ours = path == CHECKPOINT_PATH || path == COSIGNED_PATH || TilePath::parse(path).is_some();
        ours.then(|| self.dir.join(path))
    }

    /// Makes `dir` and what is above it, within the log's directory, and makes new names survive a power cut.
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        if dir == self.dir || self.disk.exists(dir)? {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(&self.dir);
        self.create_dirs(parent)?;
        if self.disk.create_dir(dir)? {
            self.disk.sync_dir(parent)?;
        }
        Ok(())
    }
}

impl Source for Folder {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.place(path) {
            Some(place) => self.disk.read(&place),
            None => Ok(None),
        }
    }
}

fn temporary(place: &Path) -> PathBuf {
    // Partial tiles are named by numbers and full ones have no dot: an extension is never taken away.
    let mut name = place.to_owned();
    name.set_extension(match place.extension() {
        Some(extension) => format!("{}.{TEMPORARY_SUFFIX}", extension.display()),
        None => TEMPORARY_SUFFIX.to_owned(),
    });
    name
}
