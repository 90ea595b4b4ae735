//! A snapshot in a directory: installed, looked up, merged.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concordat_note::{Limits, Note, VerifierKey};
use rayon::prelude::*;

use crate::Tag;
use crate::digest::Digest;
use crate::error::{Damage, Error, io_error};
use crate::files::{MANIFEST_FILE, open_existing, sync_dir, write_whole};
use crate::manifest::{
    Base, Canaries, MAX_BASE_CANARIES, MAX_NOTE_BYTES, Manifest, Scope, Seen, SignedManifest,
};
use crate::merge::{Merge, are_disjoint};
use crate::open_segment::{Page, Segment};
use crate::segment::Role;
use crate::segments::{OpenSegments, SegmentsWriter};

/// Looked up by one core at a time in [`Snapshot::contains_many`].
const LOOKUP_CHUNK: usize = 4096;
/// The most [`Snapshot::read_segment`] gives at once, and a message between nodes holds.
const MAX_READ_BYTES: usize = 1 << 20;

/// A verified snapshot, ready for lookups from any thread.
///
/// Holds one open file per segment, and in memory 20 bytes per 4 KiB of segment: 1.3 MB for 2^24 tags. The files are immutable: a
/// snapshot goes on working while a newer one is installed beside it, and after garbage collection.
#[derive(Debug)]
pub struct Snapshot {
    dir: PathBuf,
    signed: SignedManifest,
    base: OpenSegments,
    /// Oldest first.
    deltas: Vec<OpenDelta>,
}

#[derive(Debug)]
struct OpenDelta {
    adds: OpenSegments,
    removes: OpenSegments,
}

impl Snapshot {
    /// Makes `signed` the snapshot of `dir`, where all of its segments must be. Every byte of them is verified: size, SHA-256, header,
    /// count, order, range. `seen` is the last manifest accepted for the scope, as the caller remembers it.
    ///
    /// Only when all is well does `manifest.note` change, at once. After any error the last good snapshot is still there.
    ///
    /// # Errors
    /// [`Error::Rollback`], [`Error::Fork`] (against `seen` and against what `dir` holds), [`Error::Missing`], [`Error::Damaged`],
    /// [`Error::Malformed`], [`Error::Contradiction`], [`Error::Io`].
    pub fn install(dir: &Path, signed: SignedManifest, seen: Option<Seen>) -> Result<Self, Error> {
        Self::install_knowing(dir, signed, seen, &HashMap::new())
    }

    /// As [`install`](Self::install), for the manifest that follows this one: segments that this snapshot has verified are not read
    /// again, so that a delta costs what the delta is.
    ///
    /// # Errors
    /// As [`install`](Self::install).
    pub fn advance(&self, signed: SignedManifest) -> Result<Self, Error> {
        let known = self
            .open_segments()
            .map(|s| (s.reference().digest, Arc::clone(s)))
            .collect();
        Self::install_knowing(&self.dir, signed, Some(self.signed.seen()), &known)
    }

    /// Opens the snapshot last installed in `dir` and verifies all of it again; `None` if there is none.
    ///
    /// # Errors
    /// As [`install`](Self::install) and [`SignedManifest::verify`]. [`Error::Rollback`] also means that the directory is older than
    /// what the caller has seen, as after restoring a backup.
    pub fn open(
        dir: &Path,
        owner: &VerifierKey,
        scope: &Scope,
        seen: Option<Seen>,
    ) -> Result<Option<Self>, Error> {
        let Some(note) = read_note(dir)? else {
            return Ok(None);
        };
        let signed = SignedManifest::verify(&note, owner, scope)?;
        if let Some(seen) = seen {
            seen.check_successor(&signed.seen())?;
        }
        Self::load(dir, signed, &HashMap::new()).map(Some)
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        self.signed.manifest()
    }

    /// Its manifest as it was signed.
    pub fn signed_manifest(&self) -> &SignedManifest {
        &self.signed
    }

    /// Whether the set holds `tag`. Costs one page read per layer, whatever the size of the set.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`]. The answer is then unknown, never "no".
    pub fn contains(&self, tag: &Tag) -> Result<bool, Error> {
        self.lookup(u128::from_be_bytes(*tag), &mut Pages::new(self.deltas.len()))
    }

    /// Whether the set holds each of `tags`, in their order. On all cores; each page is read once or little more.
    ///
    /// # Errors
    /// As [`contains`](Self::contains), for all of them together.
    pub fn contains_many(&self, tags: &[Tag]) -> Result<Vec<bool>, Error> {
        let mut order: Vec<usize> = (0..tags.len()).collect();
        order.par_sort_unstable_by_key(|&index| tags[index]);
        let chunks: Vec<Vec<bool>> = order
            .par_chunks(LOOKUP_CHUNK)
            .map(|chunk| {
                let mut pages = Pages::new(self.deltas.len());
                chunk
                    .iter()
                    .map(|&index| self.lookup(u128::from_be_bytes(tags[index]), &mut pages))
                    .collect()
            })
            .collect::<Result<_, _>>()?;
        let mut found = vec![false; tags.len()];
        for (index, present) in order.into_iter().zip(chunks.into_iter().flatten()) {
            found[index] = present;
        }
        Ok(found)
    }

    /// All tags of the set in order, padding and canaries included. Ends after an error.
    pub fn tags(&self) -> impl Iterator<Item = Result<Tag, Error>> + '_ {
        self.merged(self.deltas.len())
            .map(|tag| tag.map(u128::to_be_bytes))
    }

    /// At most `max_bytes` (and at most 1 MiB) of one of its segment files from `offset` on, for a partner that fetches it. Empty at
    /// the end of the file.
    ///
    /// # Errors
    /// [`Error::NoSuchRange`] if the segment is not part of this snapshot or ends before `offset`; [`Error::Io`],
    /// [`Error::Damaged`].
    pub fn read_segment(&self, digest: &Digest, offset: u64, max_bytes: usize) -> Result<Vec<u8>, Error> {
        let segment = self
            .open_segments()
            .find(|s| s.reference().digest == *digest)
            .ok_or(Error::NoSuchRange)?;
        segment.read_range(offset, max_bytes.min(MAX_READ_BYTES))
    }

    /// Merges the oldest `deltas` deltas into the base: writes the segments of a new base beside the old ones. They depend on the
    /// tags alone: whoever merges the same layers gets the same files, and so does whoever builds the set anew.
    ///
    /// The owner then signs a manifest with the new base and the deltas that are left; partners merge for themselves
    /// ([`merge_towards`](Self::merge_towards)) instead of fetching.
    ///
    /// # Errors
    /// [`Error::NotEnoughDeltas`]; [`Error::Unbalanced`]; [`Error::Damaged`], [`Error::Io`].
    pub fn merge(&self, deltas: usize) -> Result<Base, Error> {
        let manifest = self.manifest();
        if deltas > manifest.deltas.len() {
            return Err(Error::NotEnoughDeltas {
                wanted: deltas,
                deltas: manifest.deltas.len(),
            });
        }
        let old = manifest.base.segments();
        let mut writer = SegmentsWriter::new(&self.dir, Role::Base, old.prefix_bits())?;
        for tag in self.merged(deltas) {
            writer.push(tag?)?;
        }
        let segments = writer.finish()?;
        if segments.count() != old.count() {
            return Err(Error::Unbalanced {
                expected: old.count(),
                found: segments.count(),
            });
        }
        Ok(Base {
            canaries: self.merged_canaries(deltas),
            segments,
        })
    }

    /// If `next` has another base that can be this snapshot's base with some of its deltas merged, merges them, so that nothing of it
    /// need be fetched. Tells whether the merged segments are those of `next`; if not, they are garbage and no harm is done.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn merge_towards(&self, next: &Manifest) -> Result<bool, Error> {
        let ours = self.manifest();
        let (from, to) = (ours.base.segments(), next.base.segments());
        if from == to {
            return Ok(true);
        }
        if from.count() != to.count() || from.prefix_bits() != to.prefix_bits() {
            return Ok(false);
        }
        // The canaries of a base tell what was merged into it.
        let matches = |&deltas: &usize| self.merged_canaries(deltas) == next.base.canaries;
        let Some(merged) = (1..=ours.deltas.len()).find(matches) else {
            return Ok(false);
        };
        match self.merge(merged) {
            Ok(base) => Ok(base.segments() == to),
            Err(Error::Unbalanced { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn install_knowing(
        dir: &Path,
        signed: SignedManifest,
        seen: Option<Seen>,
        known: &HashMap<Digest, Arc<Segment>>,
    ) -> Result<Self, Error> {
        for earlier in [seen, stored(dir)?].into_iter().flatten() {
            earlier.check_successor(&signed.seen())?;
        }
        let snapshot = Self::load(dir, signed, known)?;
        write_whole(dir, MANIFEST_FILE, snapshot.signed.note().as_bytes())?;
        Ok(snapshot)
    }

    fn load(
        dir: &Path,
        signed: SignedManifest,
        known: &HashMap<Digest, Arc<Segment>>,
    ) -> Result<Self, Error> {
        let manifest = signed.manifest();
        let base = OpenSegments::open(dir, manifest.base.segments(), known)?;
        let mut deltas = Vec::with_capacity(manifest.deltas.len());
        for (number, delta) in (1..).zip(&manifest.deltas) {
            let adds = OpenSegments::open(dir, delta.adds(), known)?;
            let removes = OpenSegments::open(dir, delta.removes(), known)?;
            if !are_disjoint(adds.tags(), removes.tags())? {
                return Err(Error::Contradiction { delta: number });
            }
            deltas.push(OpenDelta { adds, removes });
        }
        Ok(Self {
            dir: dir.to_owned(),
            signed,
            base,
            deltas,
        })
    }

    /// The newest layer that knows the tag decides.
    fn lookup(&self, tag: u128, pages: &mut Pages) -> Result<bool, Error> {
        for (delta, (adds, removes)) in self.deltas.iter().zip(&mut pages.deltas).rev() {
            if delta.adds.contains(tag, adds)? {
                return Ok(true);
            }
            if delta.removes.contains(tag, removes)? {
                return Ok(false);
            }
        }
        self.base.contains(tag, &mut pages.base)
    }

    /// The base with the oldest `deltas` deltas, in order of tags.
    fn merged(&self, deltas: usize) -> impl Iterator<Item = Result<u128, Error>> + '_ {
        let newest_first = self.deltas[..deltas].iter().rev();
        let layers = newest_first
            .flat_map(|delta| [&delta.adds, &delta.removes])
            .chain([&self.base]);
        // Even streams hold what is there, odd ones what is not; the first, thus newest, stream that has a tag decides.
        Merge::new(layers.map(OpenSegments::tags)).filter_map(|next| match next {
            Ok((tag, layer)) => (layer % 2 == 0).then_some(Ok(tag)),
            Err(e) => Some(Err(e)),
        })
    }

    /// The canaries of the base with the oldest `deltas` deltas merged into it.
    fn merged_canaries(&self, deltas: usize) -> Vec<Canaries> {
        let Manifest {
            base, deltas: all, ..
        } = self.manifest();
        let canaries: Vec<_> = base
            .canaries
            .iter()
            .copied()
            .chain(all[..deltas].iter().map(|d| d.canaries))
            .collect();
        canaries[canaries.len().saturating_sub(MAX_BASE_CANARIES)..].to_vec()
    }

    fn sets(&self) -> impl Iterator<Item = &OpenSegments> {
        [&self.base]
            .into_iter()
            .chain(self.deltas.iter().flat_map(|d| [&d.adds, &d.removes]))
    }

    fn open_segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.sets().flat_map(OpenSegments::iter)
    }
}

/// Makes `dir` forget which manifest was installed last, so that any may be installed; segments stay. For an owner whose own directory is
/// damaged and who knows its versions from elsewhere. A requester has nothing but this against rollback, and never calls it.
///
/// # Errors
/// [`Error::Io`].
pub fn forget_installed(dir: &Path) -> Result<(), Error> {
    let path = dir.join(MANIFEST_FILE);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &path)(e)),
        Err(_) => Ok(()),
        Ok(()) => sync_dir(dir),
    }
}

/// A page per set of segments, so that lookups in order read each page once.
struct Pages {
    base: Page,
    deltas: Vec<(Page, Page)>,
}

impl Pages {
    fn new(deltas: usize) -> Self {
        Self {
            base: Page::default(),
            deltas: std::iter::repeat_with(Default::default).take(deltas).collect(),
        }
    }
}

/// The manifest that `dir` holds. It was verified when it was installed; here only its version and content matter.
fn stored(dir: &Path) -> Result<Option<Seen>, Error> {
    let Some(note) = read_note(dir)? else {
        return Ok(None);
    };
    let unreadable = || Error::Damaged {
        file: MANIFEST_FILE.to_owned(),
        damage: Damage::Unreadable,
    };
    let limits = Limits {
        max_bytes: MAX_NOTE_BYTES,
        ..Limits::default()
    };
    let note = Note::parse(&note, limits).map_err(|_| unreadable())?;
    let manifest = Manifest::parse(note.unverified_text()).map_err(|_| unreadable())?;
    Ok(Some(manifest.seen()))
}

fn read_note(dir: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = dir.join(MANIFEST_FILE);
    let Some(file) = open_existing(&path)? else {
        return Ok(None);
    };
    let mut note = Vec::new();
    // One byte more than is allowed, so that too much is noticed.
    file.take(MAX_NOTE_BYTES as u64 + 1)
        .read_to_end(&mut note)
        .map_err(io_error("read", &path))?;
    Ok(Some(note))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn signed_and_installed(dir: &Path, base: Base) -> Snapshot {
        let key = concordat_note::SigningKey::from_seed("owner.example", &[1; 32]).unwrap();
        let name = || "test".to_owned();
        let scope = Scope {
            agreement: name(),
            offer: name(),
            epoch: 1,
            owner: name(),
            requester: name(),
            profile: name(),
            profile_fingerprint: [0; 32],
            public_key: [0; 32],
        };
        let as_of = jiff::Timestamp::UNIX_EPOCH;
        let manifest = Manifest {
            scope,
            version: 1,
            as_of,
            max_age_seconds: 1,
            base,
            deltas: vec![],
        };
        Snapshot::install(dir, SignedManifest::sign(manifest, &key).unwrap(), None).unwrap()
    }
}
