//! Brings the lines of one entry together, in bounded memory: an external merge sort.
//!
//! Lines are pushed with the key of their entry, kept in memory up to a budget, then sorted and written, sealed, to an
//! unnamed temporary file; at the end the sorted runs are merged. Lists that governments publish fit in memory and
//! never touch the disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Options, Spill, sealed};

/// Collects lines.
pub(crate) struct Sorter {
    lines: Vec<Line>,
    bytes: usize,
    budget: usize,
    entry_bytes: usize,
    runs: Vec<sealed::Reader>,
    spill: Option<Spill>,
}

/// A key and a line.
type Line = (Vec<u8>, Vec<u8>);

/// The lines of one key, in the order they were pushed.
pub(crate) struct Group<T> {
    pub(crate) lines: Vec<T>,
    /// There were more lines than [`crate::Limits::entry_bytes`]: the rest was passed over.
    pub(crate) too_large: bool,
}

impl Sorter {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lines: Vec::new(),
            bytes: 0,
            budget: options.limits.sort_bytes,
            entry_bytes: options.limits.entry_bytes,
            runs: Vec::new(),
            spill: options.spill.clone(),
        }
    }

    pub(crate) fn push(&mut self, key: &[u8], line: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_vec(line).map_err(|error| Error::Sort(error.into()))?;
        self.bytes += key.len() + line.len() + 2 * size_of::<Line>();
        self.lines.push((key.to_vec(), line));
        if self.bytes > self.budget {
            self.spill().map_err(Error::Sort)
        } else {
            Ok(())
        }
    }

    /// The groups, sorted by key.
    pub(crate) fn finish(self) -> Result<Groups, Error> {
        self.merge().map_err(Error::Sort)
    }

    fn merge(mut self) -> io::Result<Groups> {
        let mut runs = Vec::with_capacity(self.runs.len() + 1);
        // Equal keys keep their order: the sort is stable, and earlier runs come first.
        self.lines.sort_by(|a, b| a.0.cmp(&b.0));
        runs.extend(self.runs.into_iter().map(Run::Disk));
        runs.push(Run::Memory(self.lines.into_iter()));
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|(key, line)| Reverse((key, index, line))));
        }
        Ok(Groups {
            runs,
            heads,
            entry_bytes: self.entry_bytes,
        })
    }

    fn spill(&mut self) -> io::Result<()> {
        self.lines.sort_by(|a, b| a.0.cmp(&b.0));
        let Some(Spill { folder, key }) = &self.spill else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the list is larger than the memory for sorting, and there is no place on disk",
            ));
        };
        let number = self.runs.len() as u64;
        let mut writer = sealed::Writer::new(key, number, tempfile::tempfile_in(folder)?);
        for (key, line) in self.lines.drain(..) {
            for part in [key, line] {
                writer.write(&(part.len() as u64).to_le_bytes())?;
                writer.write(&part)?;
            }
        }
        self.runs.push(writer.finish()?);
        self.bytes = 0;
        Ok(())
    }
}

/// The key of a line, the run it comes from, and the line.
type Head = (Vec<u8>, usize, Vec<u8>);

/// The sorted groups.
pub(crate) struct Groups {
    runs: Vec<Run>,
    /// The next line of each run, smallest first.
    heads: BinaryHeap<Reverse<Head>>,
    entry_bytes: usize,
}

impl Groups {
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Group<T>>, Error> {
        let Some((key, line)) = self.pop().map_err(Error::Sort)? else {
            return Ok(None);
        };
        let mut bytes = line.len();
        let mut group = Group {
            lines: vec![parse(&line)?],
            too_large: false,
        };
        while self
            .heads
            .peek()
            .is_some_and(|Reverse((next, _, _))| *next == key)
        {
            let Some((_, line)) = self.pop().map_err(Error::Sort)? else {
                break;
            };
            bytes += line.len();
            if bytes > self.entry_bytes {
                group.too_large = true;
            } else {
                group.lines.push(parse(&line)?);
            }
        }
        Ok(Some(group))
    }

    /// The smallest of all lines that are left.
    fn pop(&mut self) -> io::Result<Option<Line>> {
        let Some(Reverse((key, index, line))) = self.heads.pop() else {
            return Ok(None);
        };
        let next = self.runs[index].next()?;
        self.heads
            .extend(next.map(|(key, line)| Reverse((key, index, line))));
        Ok(Some((key, line)))
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(line).map_err(|error| Error::Sort(error.into()))
}

enum Run {
    Memory(std::vec::IntoIter<Line>),
    Disk(sealed::Reader),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Line>> {
        match self {
            Self::Memory(lines) => Ok(lines.next()),
            Self::Disk(file) => {
                let Some(key) = read_part(file)? else {
                    return Ok(None);
                };
                let line = read_part(file)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(Some((key, line)))
            }
        }
    }
}

fn read_part(file: &mut sealed::Reader) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match file.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut part = Vec::new();
    let length = u64::from_le_bytes(length);
    if file.take(length).read_to_end(&mut part)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn options() -> Options {
        Options::new(jiff::civil::date(2026, 1, 1)).with_spill(Spill {
            folder: std::env::temp_dir(),
            key: [7; 32].into(),
        })
    }

    fn sorted(lines: &[(u8, u16)], limits: Limits) -> (Vec<Vec<u16>>, usize) {
        let options = options().with_limits(limits);
        let mut sorter = Sorter::new(&options);
        for (key, value) in lines {
            sorter.push(&[*key], value).unwrap();
        }
        let runs = sorter.runs.len();
        let mut groups = sorter.finish().unwrap();
        let mut all = Vec::new();
        while let Some(group) = groups.next().unwrap() {
            all.push(group.lines);
        }
        (all, runs)
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn disk_and_memory_agree_with_a_map(lines in prop::collection::vec((0_u8..5, any::<u16>()), 0..60)) {
            let mut expected = std::collections::BTreeMap::<u8, Vec<u16>>::new();
            for (key, value) in &lines {
                expected.entry(*key).or_default().push(*value);
            }
            let expected: Vec<_> = expected.into_values().collect();
            let (in_memory, runs) = sorted(&lines, Limits::default());
            prop_assert_eq!(&in_memory, &expected);
            prop_assert_eq!(runs, 0);
            let (on_disk, _) = sorted(&lines, Limits { sort_bytes: 300, ..Limits::default() });
            prop_assert_eq!(&on_disk, &expected);
        }
    }

    #[test]
    fn the_budget_sends_lines_to_disk() {
        let lines: Vec<_> = (0..100).map(|value| (value as u8 % 3, value)).collect();
        let (groups, runs) = sorted(
            &lines,
            Limits {
                sort_bytes: 1000,
                ..Limits::default()
            },
        );
        assert!(runs > 3);
        assert_eq!(groups.len(), 3);
    }

    #[test]
    fn without_a_key_nothing_goes_to_disk() {
        let limits = Limits {
            sort_bytes: 100,
            ..Limits::default()
        };
        let options = Options::new(jiff::civil::date(2026, 1, 1)).with_limits(limits);
        let mut sorter = Sorter::new(&options);
        let refused = (0..10).find_map(|value: u64| sorter.push(b"key", &value).err());
        assert!(matches!(refused, Some(Error::Sort(_))), "{refused:?}");
    }

    #[test]
    fn an_entry_without_end_does_not_fill_the_memory() {
        let options = options().with_limits(Limits {
            entry_bytes: 50,
            sort_bytes: 1000,
            ..Limits::default()
        });
        let mut sorter = Sorter::new(&options);
        for _ in 0..1000 {
            sorter.push(b"same", &"12345678").unwrap();
        }
        let group = sorter.finish().unwrap().next::<String>().unwrap().unwrap();
        assert!(group.too_large);
        assert_eq!(group.lines.len(), 5);
    }
}
