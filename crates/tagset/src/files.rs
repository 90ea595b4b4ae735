//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, io_error};

pub(crate) const MANIFEST_FILE: &str = "manifest.note";
pub(crate) const SEGMENT_SUFFIX: &str = ".seg";
pub(crate) const PART_SUFFIX: &str = ".part";
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file that nobody looks for, removed when dropped. In `dir`, so that it can be renamed into place.
pub(crate) fn temporary(dir: &Path) -> Result<NamedTempFile, Error> {
    NamedTempFile::with_suffix_in(TEMPORARY_SUFFIX, dir).map_err(io_error("create a temporary file in", dir))
}

/// Syncs `file` and gives it its name in `dir`. The name survives a power cut only after [`sync_dir`].
pub(crate) fn persist(file: NamedTempFile, dir: &Path, name: &str) -> Result<File, Error> {
    file.as_file().sync_all().map_err(io_error("sync", file.path()))?;
    let path = dir.join(name);
    file.persist(&path)
        .map_err(|e| io_error("rename into place", &path)(e.error))
}

/// Writes `bytes` to `dir/name` so that a reader sees the old content or the new, and a power cut leaves one of them.
pub(crate) fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let mut file = temporary(dir)?;
    file.write_all(bytes).map_err(io_error("write", file.path()))?;
    persist(file, dir, name)?;
    sync_dir(dir)
}

/// Makes the names in `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(io_error("sync directory", dir))
}

/// Opens a file that should be there; `None` when it is not.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>, Error> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("open", path)(e)),
    }
}
