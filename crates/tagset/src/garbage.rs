//! Files that no manifest needs any more.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::error::{Error, io_error};
use crate::files::{PART_SUFFIX, SEGMENT_SUFFIX, TEMPORARY_SUFFIX, sync_dir};
use crate::manifest::Manifest;

/// What [`collect_garbage`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Garbage {
    /// How many files.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
}

/// Removes from `dir` every segment and partial download that none of the manifests `keep` names, and all temporary files left by a
/// crash. Other files are not touched.
///
/// Snapshots that are open go on working. Call it when nothing is being built, fetched or installed in `dir`, and name every manifest
/// that is still served, held or about to be signed; with none, all segments go.
///
/// # Errors
/// [`Error::Io`]; what was removed before stays removed.
pub fn collect_garbage<'a>(
    dir: &Path,
    keep: impl IntoIterator<Item = &'a Manifest>,
) -> Result<Garbage, Error> {
    let kept: HashSet<String> = keep
        .into_iter()
        .flat_map(Manifest::segments)
        .flat_map(|segment| [segment.file_name(), segment.part_name()])
        .collect();
    let mut garbage = Garbage::default();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let entry = entry.map_err(io_error("list", dir))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let ours = [SEGMENT_SUFFIX, PART_SUFFIX, TEMPORARY_SUFFIX]
            .iter()
            .any(|suffix| name.ends_with(suffix));
        if !ours || kept.contains(&name) {
            continue;
        }
        let path = entry.path();
        garbage.bytes += entry
            .metadata()
            .map_err(io_error("read the size of", &path))?
            .len();
        garbage.files += 1;
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    sync_dir(dir)?;
    Ok(garbage)
}
