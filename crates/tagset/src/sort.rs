//! Sorting more tags than fit in memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::slice::ParallelSliceMut;

use crate::error::{Error, io_error};
use crate::merge::Merge;
use crate::segment::TAG_BYTES;

/// Read at once from each run while merging.
const RUN_BUFFER_BYTES: usize = 64 << 10;

/// Takes tags in any order, gives them back in increasing order without duplicates. Memory: the budget, and 64 KiB per run (a budget's
/// worth of tags) while reading back. Runs are nameless files in `dir`: the system removes them whatever happens.
pub(crate) struct Sorter {
    dir: PathBuf,
    capacity: usize,
    buffer: Vec<u128>,
    runs: Vec<Run>,
}

struct Run {
    file: File,
    tags: u64,
}

impl Sorter {
    pub(crate) fn new(dir: &Path, memory_bytes: usize) -> Self {
        let capacity = (memory_bytes / TAG_BYTES).max(1024);
        Self {
            dir: dir.to_owned(),
            capacity,
            buffer: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, tag: u128) -> Result<(), Error> {
        if self.buffer.len() == self.capacity {
            self.spill()?;
        }
        if self.buffer.capacity() == 0 {
            // At once: a vector that doubles holds the old and the new memory for a moment.
            self.buffer.reserve_exact(self.capacity);
        }
        self.buffer.push(tag);
        Ok(())
    }

    /// How many different tags there are. More may be pushed after.
    pub(crate) fn distinct(&mut self) -> Result<u64, Error> {
        let mut count = 0;
        for tag in self.sorted() {
            tag?;
            count += 1;
        }
        Ok(count)
    }

    /// The tags in increasing order, each once. More may be pushed after.
    pub(crate) fn sorted(&mut self) -> impl Iterator<Item = Result<u128, Error>> + '_ {
        self.sort_buffer();
        let runs = self
            .runs
            .iter()
            .map(|run| Source::Run(RunReader::new(run, &self.dir)));
        Merge::new(runs.chain([Source::Memory(self.buffer.iter())])).map(|next| next.map(|(tag, _)| tag))
    }

    fn sort_buffer(&mut self) {
        self.buffer.par_sort_unstable();
        self.buffer.dedup();
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.sort_buffer();
        let failed = || io_error("write a sorted run in", &self.dir);
        let file = tempfile::tempfile_in(&self.dir).map_err(failed())?;
        let mut writer = BufWriter::with_capacity(RUN_BUFFER_BYTES, file);
        for tag in &self.buffer {
            writer.write_all(&tag.to_be_bytes()).map_err(failed())?;
        }
        let file = writer.into_inner().map_err(|e| failed()(e.into_error()))?;
        self.runs.push(Run {
            file,
            tags: self.buffer.len() as u64,
        });
        self.buffer.clear();
        Ok(())
    }
}

enum Source<'a> {
    Run(RunReader<'a>),
    Memory(std::slice::Iter<'a, u128>),
}

impl Iterator for Source<'_> {
    type Item = Result<u128, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Source::Run(run) => run.next(),
            Source::Memory(tags) => tags.next().copied().map(Ok),
        }
    }
}

/// Reads a run from its start, beside other readers of it.
struct RunReader<'a> {
    run: &'a Run,
    dir: &'a Path,
    read: u64,
    buffer: Vec<u8>,
    position: usize,
}

impl<'a> RunReader<'a> {
    fn new(run: &'a Run, dir: &'a Path) -> Self {
        Self {
            run,
            dir,
            read: 0,
            buffer: Vec::new(),
            position: 0,
        }
    }

    fn fill(&mut self) -> Result<(), Error> {
        let left = self.run.tags * TAG_BYTES as u64 - self.read;
        self.buffer.resize(left.min(RUN_BUFFER_BYTES as u64) as usize, 0);
        let file = &self.run.file;
        file.read_exact_at(&mut self.buffer, self.read)
            .map_err(io_error("read a sorted run in", self.dir))?;
        self.read += self.buffer.len() as u64;
        self.position = 0;
        Ok(())
    }
}

impl Iterator for RunReader<'_> {
    type Item = Result<u128, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position == self.buffer.len()
            && let Err(e) = self.fill()
        {
            return Some(Err(e));
        }
        let tag = self.buffer[self.position..].first_chunk::<TAG_BYTES>()?;
        self.position += TAG_BYTES;
        Some(Ok(u128::from_be_bytes(*tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), failure_persistence: None, ..ProptestConfig::with_cases(24) })]

        /// From a single buffer to a few runs; the least capacity is 1,024 tags.
        #[test]
        fn gives_back_the_set(tags in prop::collection::vec(0u128..4000, 0..5000), more in prop::collection::vec(any::<u128>(), 0..1500)) {
            let dir = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(dir.path(), 0);
            let mut model = std::collections::BTreeSet::new();
            for part in [tags, more] {
                for tag in part {
                    sorter.push(tag).unwrap();
                    model.insert(tag);
                }
                prop_assert_eq!(sorter.distinct().unwrap(), model.len() as u64);
                let sorted: Result<Vec<_>, _> = sorter.sorted().collect();
                prop_assert!(sorted.unwrap().iter().eq(&model));
            }
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "runs have no names");
        }
    }
}
