//! Bytes in: names, progress, decompression, and the bounds on all three.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::formats::ofac;
use crate::{Error, Format, Limits};

/// One named stream of bytes: a file, or a part of an upload. Compressed or not: gzip is recognised by its first
/// two bytes, whatever the name says.
pub struct Input {
    name: String,
    bytes: Box<dyn Read + Send>,
}

impl Input {
    /// An input from any source of bytes. The name says which file of a set it is (`sdn.csv`), and is used in
    /// rejects and errors.
    pub fn new(name: impl Into<String>, bytes: impl Read + Send + 'static) -> Self {
        Self {
            name: name.into(),
            bytes: Box::new(bytes),
        }
    }

    /// The input or inputs at a path: a file, or for `ofac-sdn` also a folder, of which the files of the set are
    /// taken and others are left alone.
    pub fn at(format: Format, path: &Path) -> io::Result<Vec<Self>> {
        let mut paths = vec![path.to_owned()];
        if format == Format::OfacSdn && path.is_dir() {
            paths = path
                .read_dir()?
                .map(|file| Ok(file?.path()))
                .collect::<io::Result<_>>()?;
            paths.retain(|path| ofac::Part::of(&file_name(path)).is_some());
            paths.sort();
        }
        paths
            .iter()
            .map(|path| Ok(Self::new(file_name(path), File::open(path)?)))
            .collect()
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How many bytes of the inputs were consumed, as they came (compressed if they are). Clones share the count, so
/// one can be watched from another thread.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The inputs of one reading, opened one after the other: the next is asked for when the last one has ended.
pub(crate) struct Inputs {
    inputs: Box<dyn Iterator<Item = Input> + Send>,
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    pub(crate) progress: Progress,
}

impl Inputs {
    pub(crate) fn new(
        format: Format,
        inputs: impl Iterator<Item = Input> + Send + 'static,
        limits: Limits,
    ) -> Self {
        Self {
            inputs: Box::new(inputs),
            format,
            limits,
            progress: Progress::default(),
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Source>, Error> {
        let Some(input) = self.inputs.next() else {
            return Ok(None);
        };
        Source::open(input, self.format, self.limits, self.progress.clone()).map(Some)
    }

    /// The name of an input that should not be there.
    pub(crate) fn next_name(&mut self) -> Option<String> {
        self.inputs.next().map(|input| input.name)
    }
}

/// One input, decompressed, buffered and bounded. Counts lines; a record larger than the limit is an error, and so
/// is the end of a cut-off gzip stream.
pub(crate) struct Source {
    name: Arc<str>,
    format: Format,
    bytes: BufReader<Peeked<Bounded>>,
    limits: Limits,
    /// Line of the next byte, from 1.
    line: u64,
    record_line: u64,
    record_bytes: usize,
    fault: Option<Error>,
}

impl Source {
    fn open(input: Input, format: Format, limits: Limits, progress: Progress) -> Result<Self, Error> {
        let name: Arc<str> = input.name.into();
        let count = Arc::default();
        let raw = Counted {
            bytes: input.bytes,
            count: Arc::clone(&count),
            progress,
        };
        let raw = Peeked::new(raw).map_err(|error| fault(&name, 1, limits, error))?;
        let gzip = raw.head.starts_with(&[0x1f, 0x8b]);
        let raw = BufReader::with_capacity(BUFFER, raw);
        let stream: Box<dyn Read + Send> = if gzip {
            Box::new(MultiGzDecoder::new(raw))
        } else {
            Box::new(raw)
        };
        let text = Bounded {
            stream,
            out: 0,
            inflated_from: gzip.then_some(count),
            limits,
        };
        let mut text = Peeked::new(text).map_err(|error| fault(&name, 1, limits, error))?;
        if text.head == "\u{feff}".as_bytes() {
            text.head.clear();
        }
        let bytes = BufReader::with_capacity(BUFFER, text);
        Ok(Self {
            name,
            format,
            bytes,
            limits,
            line: 1,
            record_line: 1,
            record_bytes: 0,
            fault: None,
        })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Line of the next byte.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next byte starts a record: the limit on its size counts from here.
    pub(crate) fn start_record(&mut self) {
        self.record_line = self.line;
        self.record_bytes = 0;
    }

    /// Bytes read since the start of the record.
    pub(crate) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Reads one line without its end into `line` and returns its number; none at the end of the input.
    pub(crate) fn read_line(&mut self, line: &mut Vec<u8>) -> Result<Option<u64>, Error> {
        line.clear();
        self.start_record();
        let number = self.line;
        let read = self.read_until(b'\n', line).map_err(|error| self.blame(error))?;
        while let Some(b'\n' | b'\r') = line.last() {
            line.pop();
        }
        Ok((read > 0).then_some(number))
    }

    /// The buffered bytes; empty at the end of the input.
    pub(crate) fn buffer(&mut self) -> Result<&[u8], Error> {
        if let Err(error) = self.fill_buf() {
            return Err(self.blame(error));
        }
        Ok(self.bytes.buffer())
    }

    /// The error behind an I/O error of this source, which other readers may have wrapped.
    pub(crate) fn blame(&mut self, error: io::Error) -> Error {
        self.take_fault().unwrap_or_else(|| Error::Io {
            input: self.name.to_string(),
            source: error,
        })
    }

    /// What went wrong in this source, where a reader above it may have taken the error for something else.
    pub(crate) fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    /// What was read as one entry is larger than the limit.
    pub(crate) fn too_large(&self, limit: usize) -> Error {
        Error::RecordTooLarge {
            input: self.name.to_string(),
            line: self.record_line,
            limit,
        }
    }

    pub(crate) fn truncated(&self) -> Error {
        Error::Truncated {
            input: self.name.to_string(),
            line: self.line,
        }
    }

    pub(crate) fn wrong_format(&self, why: impl Into<String>) -> Error {
        Error::WrongFormat {
            input: self.name.to_string(),
            format: self.format,
            why: why.into(),
        }
    }

    pub(crate) fn syntax(&self, what: &'static str) -> Error {
        Error::Syntax {
            input: self.name.to_string(),
            line: self.line,
            what,
        }
    }

    /// A control count differs. `expected` is what the segment says.
    pub(crate) fn miscounted(
        &self,
        line: u64,
        segment: &'static str,
        what: &'static str,
        expected: u64,
        found: u64,
    ) -> Error {
        Error::Count {
            input: self.name.to_string(),
            line,
            segment,
            what,
            expected,
            found,
        }
    }

    pub(crate) fn refused(&self, what: &'static str) -> Error {
        Error::Refused {
            input: self.name.to_string(),
            line: self.line,
            what,
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let buffer = self.fill_buf()?;
        let length = buffer.len().min(into.len());
        into[..length].copy_from_slice(&buffer[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.record_bytes > self.limits.record_bytes {
            self.fault = Some(self.too_large(self.limits.record_bytes));
        } else {
            loop {
                match self.bytes.fill_buf() {
                    Ok(_) => return Ok(self.bytes.buffer()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.fault = Some(fault(&self.name, self.line, self.limits, error));
                        break;
                    }
                }
            }
        }
        Err(io::Error::other("see Source::blame"))
    }

    fn consume(&mut self, length: usize) {
        self.line += self.bytes.buffer()[..length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        self.record_bytes += length;
        self.bytes.consume(length);
    }
}

const BUFFER: usize = 64 << 10;

/// What an error of the streams below means.
fn fault(name: &str, line: u64, limits: Limits, error: io::Error) -> Error {
    let input = name.to_owned();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Excess>()) {
        Some(Excess::Size) => {
            return Error::InputTooLarge {
                input,
                limit: limits.input_bytes,
            };
        }
        Some(Excess::Ratio) => {
            return Error::Bomb {
                input,
                ratio: limits.inflate_ratio,
            };
        }
        Some(Excess::Damage) => return Error::CorruptGzip { input, line },
        None => {}
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Error::Truncated { input, line }
    } else {
        Error::Io { input, source: error }
    }
}

/// Bytes whose first three can be looked at, however few the reader below gives at a time.
struct Peeked<R> {
    head: Vec<u8>,
    rest: R,
}

impl<R: Read> Peeked<R> {
    fn new(mut rest: R) -> io::Result<Self> {
        let mut head = Vec::new();
        rest.by_ref().take(3).read_to_end(&mut head)?;
        Ok(Self { head, rest })
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() {
            return self.rest.read(into);
        }
        let length = self.head.len().min(into.len());
        into[..length].copy_from_slice(&self.head[..length]);
        self.head.drain(..length);
        Ok(length)
    }
}

/// Raw bytes, counted for this input and for all of them.
struct Counted {
    bytes: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(into)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        self.progress.0.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Decompressed bytes, within the limits on size and ratio.
struct Bounded {
    stream: Box<dyn Read + Send>,
    out: u64,
    /// The count of compressed bytes, if they are compressed.
    inflated_from: Option<Arc<AtomicU64>>,
    limits: Limits,
}

/// What an input may inflate to before its ratio is looked at.
const INFLATE_FREE: u64 = 16 << 20;

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if self.inflated_from.is_some() => {
                io::Error::other(Excess::Damage)
            }
            _ => error,
        })?;
        self.out += length as u64;
        if self.out > self.limits.input_bytes {
            return Err(io::Error::other(Excess::Size));
        }
        if let Some(count) = &self.inflated_from {
            let fair = count
                .load(Ordering::Relaxed)
                .saturating_mul(u64::from(self.limits.inflate_ratio));
            if self.out > fair.max(INFLATE_FREE) {
                return Err(io::Error::other(Excess::Ratio));
            }
        }
        Ok(length)
    }
}

/// What [`Bounded`] says through an I/O error.
#[derive(Debug, thiserror::Error)]
enum Excess {
    #[error("too large")]
    Size,
    #[error("inflates too much")]
    Ratio,
    #[error("damaged")]
    Damage,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn open(bytes: Vec<u8>, limits: Limits) -> Result<Source, Error> {
        let inputs = std::iter::once(Input::new("test", io::Cursor::new(bytes)));
        Ok(Inputs::new(Format::Jsonl, inputs, limits).next()?.unwrap())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn lines(bytes: Vec<u8>, limits: Limits) -> Result<Vec<(u64, String)>, Error> {
        let mut source = open(bytes, limits)?;
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while let Some(number) = source.read_line(&mut line)? {
            lines.push((number, String::from_utf8(line.clone()).unwrap()));
        }
        Ok(lines)
    }

    #[test]
    fn plain_gzip_and_two_gzip_members_read_alike() {
        let text = b"one\r\n\ntwo";
        let expected = vec![(1, "one".to_owned()), (2, String::new()), (3, "two".to_owned())];
        let members = [gzip(b"one\r\n"), gzip(b"\ntwo")].concat();
        for bytes in [text.to_vec(), gzip(text), members] {
            assert_eq!(lines(bytes, Limits::default()).unwrap(), expected);
        }
    }

    #[test]
    fn a_gzip_cut_anywhere_is_an_error() {
        let whole = gzip(b"first\nsecond\n");
        for cut in 2..whole.len() {
            let error = lines(whole[..cut].to_vec(), Limits::default()).unwrap_err();
            assert!(matches!(error, Error::Truncated { .. }), "cut at {cut}: {error}");
        }
    }

    #[test]
    fn a_damaged_gzip_is_an_error() {
        let mut bytes = gzip(b"first\nsecond\n");
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        let error = lines(bytes, Limits::default()).unwrap_err();
        assert!(matches!(error, Error::CorruptGzip { .. }), "{error}");
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = gzip(&vec![0; INFLATE_FREE as usize + BUFFER]);
        let limits = Limits {
            inflate_ratio: 100,
            record_bytes: usize::MAX,
            ..Limits::default()
        };
        let mut source = open(zeros, limits).unwrap();
        let error = io::copy(&mut source, &mut io::sink()).unwrap_err();
        let error = source.blame(error);
        assert!(matches!(error, Error::Bomb { ratio: 100, .. }), "{error}");
    }

    #[test]
    fn sizes_are_bounded() {
        let limits = Limits {
            record_bytes: 10,
            ..Limits::default()
        };
        // The bound is looked at when the buffer is filled again, so the record must not fit in one buffer.
        let long = [vec![b'\n'; 5], vec![b'x'; 2 * BUFFER]].concat();
        let error = lines(long, limits).unwrap_err();
        assert!(
            matches!(
                error,
                Error::RecordTooLarge {
                    line: 6,
                    limit: 10,
                    ..
                }
            ),
            "{error}"
        );
        let limits = Limits {
            input_bytes: 10,
            ..Limits::default()
        };
        let error = lines(b"12345\n67890\n".to_vec(), limits).unwrap_err();
        assert!(matches!(error, Error::InputTooLarge { limit: 10, .. }), "{error}");
    }

    #[test]
    fn progress_counts_compressed_bytes() {
        let bytes = gzip(&vec![b'a'; 100_000]);
        let length = bytes.len() as u64;
        let inputs = std::iter::once(Input::new("test", io::Cursor::new(bytes)));
        let mut inputs = Inputs::new(Format::Jsonl, inputs, Limits::default());
        let progress = inputs.progress.clone();
        io::copy(&mut inputs.next().unwrap().unwrap(), &mut io::sink()).unwrap();
        assert_eq!(progress.bytes(), length);
    }
}
