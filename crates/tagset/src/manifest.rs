//! What a snapshot is: a readable text, signed by the owner.

mod text;

use concordat_note::{Limits, Note, Policy, SigningKey, VerifierKey};
use jiff::Timestamp;

use crate::digest::Digest;
use crate::error::{Error, ManifestError};
use crate::segment::SegmentRef;
use crate::segments::Segments;

/// A manifest's note is at most this large. A peer's is not read further.
pub(crate) const MAX_NOTE_BYTES: usize = 512 << 10;
/// Deltas on one base. Each costs two more page reads per lookup and at least two open files: merge long before.
pub(crate) const MAX_DELTAS: usize = 64;
/// Sets of canaries that a base lists: its own and those of the deltas merged into it, the newest ones if there are more.
pub(crate) const MAX_BASE_CANARIES: usize = 32;
/// All segments of a snapshot.
const MAX_SEGMENTS: usize = 4096;
/// Whoever fetches it writes the version into its ledger, which holds no larger number.
const MAX_VERSION: u64 = (1 << 53) - 1;

/// For whom and under which key a snapshot is: everything that was agreed beforehand and a peer cannot choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The agreement's id. This and the other names: 1 to 128 visible ASCII characters.
    pub agreement: String,
    /// The offer's id.
    pub offer: String,
    /// The epoch of the key.
    pub epoch: u64,
    /// The agency whose tags these are.
    pub owner: String,
    /// The agency that looks them up.
    pub requester: String,
    /// The normalisation profile.
    pub profile: String,
    /// The profile's SHA-256: equal ids with unequal rules would never match.
    pub profile_fingerprint: [u8; 32],
    /// The scope's pinned OPRF public key.
    pub public_key: [u8; 32],
}

/// The canaries of one layer: both sides derive from the seed identifiers whose tags must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canaries {
    /// What the identifiers are derived from. Known to both sides.
    pub seed: [u8; 32],
    /// How many there are.
    pub count: u16,
}

/// The tags a snapshot starts from. Made by [`SnapshotBuilder`](crate::SnapshotBuilder), [`Snapshot::merge`](crate::Snapshot::merge),
/// or read from a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub(crate) canaries: Vec<Canaries>,
    pub(crate) segments: Segments,
}

/// Additions and as many removals. Made by [`DeltaBuilder`](crate::DeltaBuilder), or read from a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub(crate) canaries: Canaries,
    pub(crate) adds: Segments,
    pub(crate) removes: Segments,
}

/// What the owner says about one version of its snapshot.
///
/// Its text is the one way to write it: the same manifest is always the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is for.
    pub scope: Scope,
    /// Greater than that of every manifest of the scope before; from 1.
    pub version: u64,
    /// The lists' state that it shows. Whole seconds.
    pub as_of: Timestamp,
    /// For how long after `as_of` it may be relied upon, in seconds.
    pub max_age_seconds: u32,
    /// The tags it starts from.
    pub base: Base,
    /// Changes since, oldest first.
    pub deltas: Vec<Delta>,
}

/// A manifest whose signature and scope were verified, or that was just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedManifest {
    note: String,
    manifest: Manifest,
}

/// The last manifest that was accepted, as a node remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its version.
    pub version: u64,
    /// The SHA-256 of its text (without signatures).
    pub digest: Digest,
}

impl Base {
    /// The canaries it holds: its own and those of the deltas merged into it; of more than 32 sets, the newest.
    pub fn canaries(&self) -> &[Canaries] {
        &self.canaries
    }

    /// Its segments.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }
}

impl Delta {
    /// The canaries among the added tags.
    pub fn canaries(&self) -> &Canaries {
        &self.canaries
    }

    /// The added tags.
    pub fn adds(&self) -> &Segments {
        &self.adds
    }

    /// The removed tags, as many as are added.
    pub fn removes(&self) -> &Segments {
        &self.removes
    }
}

impl Manifest {
    /// The number of tags in the base, padding included. Deltas do not change it.
    pub fn size_class(&self) -> u64 {
        self.base.segments.count()
    }

    /// The canaries of every layer, base first. The tags of all of them must be found.
    pub fn canaries(&self) -> impl Iterator<Item = &Canaries> {
        self.base
            .canaries
            .iter()
            .chain(self.deltas.iter().map(|d| &d.canaries))
    }

    /// Every segment, base first.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentRef> {
        let deltas = self.deltas.iter().flat_map(|d| d.adds.iter().chain(&d.removes));
        self.base.segments.iter().chain(deltas)
    }

    /// The size of all files. For deciding whether to fetch them.
    pub fn total_bytes(&self) -> u64 {
        self.segments().map(SegmentRef::bytes).sum()
    }

    /// Until when the snapshot may be relied upon; a verdict after that is `UNKNOWN`.
    pub fn expires_at(&self) -> Timestamp {
        let age = jiff::SignedDuration::from_secs(i64::from(self.max_age_seconds));
        self.as_of.checked_add(age).unwrap_or(Timestamp::MAX)
    }

    /// The text that is signed.
    ///
    /// # Errors
    /// [`ManifestError::Invalid`] if a value is out of bounds.
    pub fn to_text(&self) -> Result<String, ManifestError> {
        self.check()?;
        Ok(text::write(self))
    }

    /// Reads a manifest's text. Strict: whatever is accepted is written back as the same bytes.
    ///
    /// # Errors
    /// [`ManifestError`], with the line.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest = text::parse(text)?;
        manifest.check()?;
        let canonical = text::write(&manifest);
        match canonical
            .lines()
            .zip(text.lines())
            .position(|(ours, theirs)| ours != theirs)
        {
            Some(index) => Err(ManifestError::NotCanonical { line: index + 1 }),
            None if canonical != text => Err(ManifestError::NotCanonical {
                line: canonical.lines().count(),
            }),
            None => Ok(manifest),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            version: self.version,
            digest: Digest::of(text::write(self).as_bytes()),
        }
    }

    fn check(&self) -> Result<(), ManifestError> {
        let rules = [
            (
                self.scope.names().all(|(_, name)| is_name(name)),
                "a name is 1 to 128 visible ASCII characters",
            ),
            (
                (1..=MAX_VERSION).contains(&self.version),
                "a version is 1 to 2^53 - 1",
            ),
            (self.max_age_seconds > 0, "max-age is at least a second"),
            (self.as_of.subsec_nanosecond() == 0, "as-of is in whole seconds"),
            (
                text::YEARS.contains(&self.as_of.to_zoned(jiff::tz::TimeZone::UTC).year()),
                "as-of is not in a year from 1970 to 9999",
            ),
            (self.size_class() > 0, "the base holds no tag"),
            (
                (1..=MAX_BASE_CANARIES).contains(&self.base.canaries.len()),
                "a base has between 1 and 32 sets of canaries",
            ),
            (
                self.canaries().all(|c| c.count > 0),
                "a set of canaries holds at least one",
            ),
            (self.deltas.len() <= MAX_DELTAS, "there are at most 64 deltas"),
            (
                self.deltas
                    .iter()
                    .all(|d| d.adds.count() == d.removes.count() && d.adds.count() > 0),
                "a delta adds as many tags as it removes, and at least one",
            ),
            (
                self.segments().count() <= MAX_SEGMENTS,
                "there are at most 4096 segments",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ManifestError::Invalid(rule)),
            None => Ok(()),
        }
    }
}

impl SignedManifest {
    /// Signs `manifest` as its owner.
    ///
    /// # Errors
    /// [`Error::Manifest`] if a value is out of bounds.
    pub fn sign(manifest: Manifest, key: &SigningKey) -> Result<Self, Error> {
        let note = Note::sign(&manifest.to_text()?, &[key])?.to_string();
        Ok(Self { note, manifest })
    }

    /// Reads a peer's (or one's own stored) manifest, verifies the owner's signature and that it is for `scope` and nothing else.
    ///
    /// # Errors
    /// [`Error::Note`], [`Error::Manifest`], [`Error::OutOfScope`].
    pub fn verify(note: &[u8], owner: &VerifierKey, scope: &Scope) -> Result<Self, Error> {
        let parsed = Note::parse(
            note,
            Limits {
                max_bytes: MAX_NOTE_BYTES,
                max_signatures: 16,
            },
        )?;
        let manifest = Manifest::parse(parsed.open(std::slice::from_ref(owner), Policy::All)?.text)?;
        manifest.scope.check_against(scope)?;
        Ok(Self {
            note: parsed.to_string(),
            manifest,
        })
    }

    /// The signed note, as it travels.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What it says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What to remember of it against rollback and forks.
    pub fn seen(&self) -> Seen {
        self.manifest.seen()
    }
}

impl Seen {
    /// Whether `next` may follow: a later version, or the very same manifest. To be asked before anything is fetched;
    /// [`Snapshot::install`](crate::Snapshot::install) asks again.
    ///
    /// # Errors
    /// [`Error::Rollback`], [`Error::Fork`].
    pub fn check_successor(&self, next: &Self) -> Result<(), Error> {
        match next.version.cmp(&self.version) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Equal if next.digest == self.digest => Ok(()),
            std::cmp::Ordering::Equal => Err(Error::Fork {
                version: self.version,
            }),
            std::cmp::Ordering::Less => Err(Error::Rollback {
                seen: self.version,
                offered: next.version,
            }),
        }
    }
}

impl Scope {
    fn names(&self) -> impl Iterator<Item = (&'static str, &String)> {
        [
            ("agreement", &self.agreement),
            ("offer", &self.offer),
            ("owner", &self.owner),
            ("requester", &self.requester),
            ("profile", &self.profile),
        ]
        .into_iter()
    }

    fn check_against(&self, agreed: &Self) -> Result<(), Error> {
        let names = agreed
            .names()
            .zip(self.names())
            .map(|((field, a), (_, b))| (field, a.clone(), b.clone()));
        let others = [
            ("epoch", agreed.epoch.to_string(), self.epoch.to_string()),
            (
                "profile fingerprint",
                hex::encode(agreed.profile_fingerprint),
                hex::encode(self.profile_fingerprint),
            ),
            (
                "public-key",
                hex::encode(agreed.public_key),
                hex::encode(self.public_key),
            ),
        ];
        match names.chain(others).find(|(_, expected, found)| expected != found) {
            Some((field, expected, found)) => Err(Error::OutOfScope {
                field,
                expected,
                found,
            }),
            None => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}
