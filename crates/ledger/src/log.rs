//! The sequencer's log: numbered entries in, files and signed checkpoints out.
//!
//! Each stage is a value, so that a caller can stop, or be stopped, between any two of them:
//!
//! ```text
//! Log::open ─► prepare(leaves) ─► write(&batch) ─► batch.sign(key) ─► publish(batch, checkpoint) ─► cosigned(checkpoint)
//!              numbers, hashes    tiles durable    a signature         checkpoint durable             cosignatures durable
//! ```
//! The checkpoint file is the one commit point. Before it, a crash leaves tiles that no checkpoint speaks of: they are written again when
//! the log goes on. After it, the entries are in the log for ever.
//!
//! **The order of entries is made durable first**, where the entries come from (the outbox gives them their numbers), and a log that goes on
//! after a crash is given the same entries in the same order. For a reader may see a new checkpoint an instant before the name is durable; if
//! power fails in that instant, only the same entries lead to the same signed tree again.

use std::io;

use concordat_note::{CosignerKey, SigningKey, VerifierKey};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::folder::Folder;
use crate::hash::Hash;
use crate::leaf::Leaf;
use crate::proof::verify_consistency;
use crate::reader::{ReadError, TileReader, read_tile};
use crate::source::Source;
use crate::tile::{
    CHECKPOINT_PATH, COSIGNED_PATH, MAX_SIZE, TILE_WIDTH, TileKind, TilePath, decode_bundle, encode_bundle,
    encode_hashes,
};
use crate::tree::RightEdge;

/// A log that is written to. One per folder.
pub struct Log {
    folder: Folder,
    key: VerifierKey,
    edge: RightEdge,
    /// The entries of the last, partial bundle.
    tail: Vec<Vec<u8>>,
    latest: Option<SignedCheckpoint>,
    /// Publishing failed: it is not known whether readers see the new checkpoint. Going on could sign a second tree of the same size.
    in_doubt: bool,
}

/// Entries that have their numbers and hashes, and are not in the log yet. Made for one state of the log; publishing it twice, or after
/// another batch, is refused.
#[derive(Debug)]
pub struct Batch {
    start: u64,
    leaf_hashes: Vec<Hash>,
    files: Vec<(String, Vec<u8>)>,
    filled: Vec<TilePath>,
    edge: RightEdge,
    tail: Vec<Vec<u8>>,
}

impl Batch {
    /// The number of the first entry; the others follow.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The size of the log with this batch.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root of the log with this batch.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// The leaf hashes of the entries, in order.
    pub fn leaf_hashes(&self) -> &[Hash] {
        &self.leaf_hashes
    }

    /// Signs the log with this batch. Only after [`Log::write`] has returned.
    ///
    /// # Errors
    /// [`LogError::Checkpoint`].
    pub fn sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, LogError> {
        Ok(SignedCheckpoint::sign(self.size(), self.root(), key)?)
    }
}

impl Log {
    /// Opens the log in `folder`, which is `key`'s, and verifies that its files are those of its checkpoint. O(log n). A folder without
    /// checkpoint is an empty log.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if the files do not give the root that was signed; [`LogError::Checkpoint`] if the checkpoint is not `key`'s;
    /// [`LogError::Read`], [`LogError::Io`].
    pub fn open(folder: Folder, key: VerifierKey) -> Result<Self, LogError> {
        let checkpoint = folder.read(CHECKPOINT_PATH).map_err(LogError::Io)?;
        let latest = checkpoint
            .map(|bytes| SignedCheckpoint::open(&bytes, &key))
            .transpose()?;
        let size = latest.as_ref().map_or(0, SignedCheckpoint::size);
        let edge = TileReader::new(&folder, size).right_edge()?;
        if latest.as_ref().is_some_and(|latest| edge.root() != latest.root()) {
            return Err(LogError::Damaged { size });
        }
        let tail = read_tail(&folder, &edge)?;
        Ok(Self {
            folder,
            key,
            edge,
            tail,
            latest,
            in_doubt: false,
        })
    }

    /// How many entries have been published.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The checkpoint published last.
    pub fn latest(&self) -> Option<&SignedCheckpoint> {
        self.latest.as_ref()
    }

    /// The files, to read from.
    pub fn source(&self) -> &impl Source {
        &self.folder
    }

    /// Reads the log as published, for proofs.
    pub fn reader(&self) -> TileReader<&impl Source> {
        TileReader::new(&self.folder, self.size())
    }

    /// Gives `leaves` the next numbers and computes what is to be written. Pure: nothing is written.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] for more than 2^62 - 1 entries, or an entry of more than 65,535 bytes.
    pub fn prepare<'a>(&self, leaves: impl IntoIterator<Item = &'a Leaf>) -> Result<Batch, LogError> {
        let numbered = (self.size()..).zip(leaves);
        self.prepare_raw(numbered.map(|(index, leaf)| leaf.encode(index)))
    }

    /// As [`prepare`](Self::prepare), for entries that are bytes of any kind.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_raw(&self, entries: impl IntoIterator<Item = Vec<u8>>) -> Result<Batch, LogError> {
        let mut batch = Batch {
            start: self.size(),
            leaf_hashes: Vec::new(),
            files: Vec::new(),
            filled: Vec::new(),
            edge: self.edge.clone(),
            tail: self.tail.clone(),
        };
        for entry in entries {
            if batch.size() >= MAX_SIZE {
                return Err(LogError::TooLarge);
            }
            let leaf = Hash::leaf(&entry);
            batch.leaf_hashes.push(leaf);
            batch.tail.push(entry);
            let Batch {
                files, filled, edge, ..
            } = &mut batch;
            edge.push(leaf, |path, hashes| {
                files.push((path.to_string(), encode_hashes(hashes)));
                filled.push(path);
            });
            if batch.tail.len() as u64 == TILE_WIDTH {
                batch.close_bundle()?;
            }
        }
        if batch.size() > batch.start {
            let partial = batch.edge.partial_tiles();
            let partial = partial.map(|(path, hashes)| (path.to_string(), encode_hashes(hashes)));
            batch.files.extend(partial);
            if !batch.tail.is_empty() {
                batch.put_bundle()?;
            }
        }
        Ok(batch)
    }

    /// Writes the batch's tiles. When this has returned they survive a power cut; no checkpoint speaks of them yet.
    ///
    /// # Errors
    /// [`LogError::Stale`], [`LogError::Io`]; it may be called again.
    pub fn write(&self, batch: &Batch) -> Result<(), LogError> {
        self.check_fresh(batch)?;
        self.folder.put(&batch.files).map_err(LogError::Io)
    }

    /// Publishes the batch: writes the checkpoint, the commit point. When this has returned the entries are in the log for ever. Then
    /// removes partial tiles that full ones have replaced.
    ///
    /// # Errors
    /// [`LogError::Stale`]; [`LogError::OtherCheckpoint`] unless `checkpoint` is of this batch; [`LogError::Io`]: open the log again to
    /// see which side of the commit point it is on; this one refuses to go on ([`LogError::InDoubt`]).
    pub fn publish(&mut self, batch: Batch, checkpoint: SignedCheckpoint) -> Result<(), LogError> {
        self.check_fresh(&batch)?;
        let ours = checkpoint.checkpoint().origin == self.key.name()
            && (checkpoint.size(), checkpoint.root()) == (batch.size(), batch.root());
        if !ours {
            return Err(LogError::OtherCheckpoint);
        }
        let file = (CHECKPOINT_PATH.to_owned(), checkpoint.to_string().into_bytes());
        self.in_doubt = true;
        self.folder.put(&[file]).map_err(LogError::Io)?;
        self.in_doubt = false;
        self.edge = batch.edge;
        self.tail = batch.tail;
        self.latest = Some(checkpoint);
        self.remove_partials(&batch.filled)
    }

    /// All stages at once.
    ///
    /// # Errors
    /// As the stages.
    pub fn append<'a>(
        &mut self,
        leaves: impl IntoIterator<Item = &'a Leaf>,
        key: &SigningKey,
    ) -> Result<&SignedCheckpoint, LogError> {
        let batch = self.prepare(leaves)?;
        self.write(&batch)?;
        let checkpoint = batch.sign(key)?;
        self.publish(batch, checkpoint)?;
        self.latest.as_ref().ok_or(LogError::OtherCheckpoint)
    }

    /// Keeps the cosignatures of `witnesses` on a checkpoint of this log: in `checkpoint` if it is the newest, and in
    /// `checkpoint.cosigned` if none newer has one.
    ///
    /// # Errors
    /// [`LogError::OtherCheckpoint`] if the checkpoint is not one that this log extends, or has no cosignature; [`LogError::Read`],
    /// [`LogError::Io`].
    pub fn cosigned(
        &mut self,
        checkpoint: &SignedCheckpoint,
        witnesses: &[CosignerKey],
    ) -> Result<(), LogError> {
        if self.extends(checkpoint)? != Extends::Yes || checkpoint.cosignatures(witnesses).is_empty() {
            return Err(LogError::OtherCheckpoint);
        }
        let mut files = Vec::new();
        let mut newest = checkpoint.clone();
        if let Some(latest) = self
            .latest
            .as_ref()
            .filter(|latest| latest.size() == newest.size())
        {
            newest.merge(latest, witnesses);
            files.push((CHECKPOINT_PATH.to_owned(), newest.to_string().into_bytes()));
        }
        let kept = self.last_cosigned()?;
        if kept.as_ref().is_none_or(|kept| kept.size() <= newest.size()) {
            if let Some(kept) = &kept {
                newest.merge(kept, witnesses);
            }
            files.push((COSIGNED_PATH.to_owned(), newest.to_string().into_bytes()));
        }
        self.folder.put(&files).map_err(LogError::Io)?;
        if self
            .latest
            .as_ref()
            .is_some_and(|latest| latest.size() == newest.size())
        {
            self.latest = Some(newest);
        }
        Ok(())
    }

    /// The newest checkpoint kept by [`cosigned`](Self::cosigned).
    ///
    /// # Errors
    /// [`LogError::Checkpoint`] if the file was damaged; [`LogError::Io`].
    pub fn last_cosigned(&self) -> Result<Option<SignedCheckpoint>, LogError> {
        let bytes = self.folder.read(COSIGNED_PATH).map_err(LogError::Io)?;
        Ok(bytes
            .map(|bytes| SignedCheckpoint::open(&bytes, &self.key))
            .transpose()?)
    }

    /// Rollback protection: whether this log extends a checkpoint of its own that somebody else has kept, for example the one a partner
    /// cosigned last. Anything but [`Extends::Yes`] means that the node came back with an older or another tree: it must not go on.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub fn extends(&self, kept: &SignedCheckpoint) -> Result<Extends, LogError> {
        if kept.size() > self.size() {
            return Ok(Extends::RolledBack {
                kept: kept.size(),
                have: self.size(),
            });
        }
        let mut reader = self.reader();
        let root = reader.root_at(kept.size())?;
        if root != kept.root() {
            return Ok(Extends::Forked { size: kept.size() });
        }
        if kept.size() == 0 {
            return Ok(Extends::Yes);
        }
        // The tiles may have been changed since: the proof ties them to the root that is going to be extended.
        let proof = reader.consistency_proof(kept.size())?;
        let tied = verify_consistency(kept.size(), &root, self.size(), &self.edge.root(), &proof);
        match tied {
            Ok(()) => Ok(Extends::Yes),
            Err(_) => Err(LogError::Damaged { size: self.size() }),
        }
    }

    /// Removes partial tiles that a crash between publishing and tidying left behind. O(n / 256); call it when a node starts.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn tidy(&self) -> Result<(), LogError> {
        let mut hashes = self.size();
        for level in 0.. {
            let full = hashes / TILE_WIDTH;
            let tiles = (0..full).map(|index| TilePath {
                kind: TileKind::Hashes { level },
                index,
                width: TILE_WIDTH as u16,
            });
            self.remove_partials(&tiles.collect::<Vec<_>>())?;
            if full == 0 {
                break;
            }
            hashes = full;
        }
        Ok(())
    }

    fn remove_partials(&self, filled: &[TilePath]) -> Result<(), LogError> {
        for tile in filled {
            self.folder.remove_partials(*tile).map_err(LogError::Io)?;
            if tile.kind == (TileKind::Hashes { level: 0 }) {
                let bundle = TilePath {
                    kind: TileKind::Entries,
                    ..*tile
                };
                self.folder.remove_partials(bundle).map_err(LogError::Io)?;
            }
        }
        Ok(())
    }

    fn check_fresh(&self, batch: &Batch) -> Result<(), LogError> {
        if self.in_doubt {
            return Err(LogError::InDoubt);
        }
        if batch.start == self.size() {
            Ok(())
        } else {
            Err(LogError::Stale {
                batch: batch.start,
                log: self.size(),
            })
        }
    }
}

impl Batch {
    fn put_bundle(&mut self) -> Result<(), LogError> {
        let bundle = encode_bundle(&self.tail).ok_or(LogError::TooLarge)?;
        let last = self.size() - 1;
        let path = TilePath::bundle(last, self.size()).ok_or(LogError::TooLarge)?;
        self.files.push((path.to_string(), bundle));
        Ok(())
    }

    fn close_bundle(&mut self) -> Result<(), LogError> {
        self.put_bundle()?;
        self.tail.clear();
        Ok(())
    }
}

/// Whether a log extends an earlier checkpoint of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extends {
    /// It does.
    Yes,
    /// It is shorter than it was: an old copy came back, or its end was cut off.
    RolledBack {
        /// The size that was kept elsewhere.
        kept: u64,
        /// The size it has now.
        have: u64,
    },
    /// Its first entries are not those that it had signed.
    Forked {
        /// How many it had signed.
        size: u64,
    },
}

/// Why a log does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk failed.
    #[error("the log's folder cannot be read or written")]
    Io(#[source] io::Error),
    /// A file that the checkpoint speaks of cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The checkpoint in the folder was not signed with this key, or is damaged.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The files do not give the root that was signed: somebody, or the disk, changed them. Restore the folder; the entries are still
    /// committed to by the checkpoint.
    #[error(
        "the log's files are not those of its signed checkpoint of {size} entries: somebody or the disk changed them"
    )]
    Damaged {
        /// The size of the checkpoint.
        size: u64,
    },
    /// Publishing failed before, and readers may have seen the checkpoint. Open the log again, which finds out.
    #[error("publishing failed before: open the log again to see whether it took effect")]
    InDoubt,
    /// The caller's batch was made for another state of the log. Prepare it again.
    #[error("the batch starts at entry {batch}, the log has {log}")]
    Stale {
        /// Where it starts.
        batch: u64,
        /// The size of the log.
        log: u64,
    },
    /// The caller gave a checkpoint of another tree.
    #[error("the checkpoint is not of this log as it is now")]
    OtherCheckpoint,
    /// Too many entries, or one too large.
    #[error("an entry has more than 65535 bytes, or the log more entries than it can number")]
    TooLarge,
}

/// The entries of the last, partial bundle, verified against the edge.
fn read_tail(folder: &Folder, edge: &RightEdge) -> Result<Vec<Vec<u8>>, LogError> {
    let first = edge.partial_tiles().next();
    let Some((path, hashes)) = first.filter(|(path, _)| path.kind == TileKind::Hashes { level: 0 }) else {
        return Ok(Vec::new());
    };
    let path = TilePath {
        kind: TileKind::Entries,
        ..path
    };
    let bytes = read_tile(folder, path)?;
    let damaged = || ReadError::Damaged {
        path: path.to_string(),
    };
    let entries = decode_bundle(&bytes).ok_or_else(damaged)?;
    let entries: Vec<Vec<u8>> = entries
        .iter()
        .take(hashes.len())
        .map(|entry| entry.to_vec())
        .collect();
    let same = entries
        .iter()
        .map(|entry| Hash::leaf(entry))
        .eq(hashes.iter().copied());
    if same { Ok(entries) } else { Err(damaged().into()) }
}
