//! Where the files of a log are read from.

use std::collections::BTreeMap;
use std::io;

/// Read access to the files of a log: a folder, memory, or a server.
pub trait Source {
    /// The whole file at `path`, a path as [`TilePath`](crate::TilePath) writes it or one of [`CHECKPOINT_PATH`](crate::CHECKPOINT_PATH),
    /// [`COSIGNED_PATH`](crate::COSIGNED_PATH); `None` if there is none. What comes is not trusted. Whoever reads from a network or a
    /// disk stops after [`MAX_FILE_BYTES`](crate::MAX_FILE_BYTES).
    ///
    /// # Errors
    /// It could not be found out: the disk or the network failed.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
}

impl<S: Source + ?Sized> Source for &S {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(path)
    }
}

/// Files in memory, by path.
impl Source for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get(path).cloned())
    }
}
