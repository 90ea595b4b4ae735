//! Files that hold entries for a moment, sealed under a key that never leaves the memory.
//!
//! A file is a row of blocks: the length of a sealed block (4 bytes, big-endian), the block under XChaCha20-Poly1305
//! with its tag. The nonce is counted, because a key serves one reading only: number of the file, number of the block,
//! and whether it is the last one. So blocks can neither change places nor be cut off.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

const BLOCK: usize = 64 << 10;

/// Key and number of a file.
#[derive(Clone)]
struct Seal {
    aead: XChaCha20Poly1305,
    file: u64,
    block: u64,
}

impl Seal {
    fn nonce(&mut self, last: bool) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&self.file.to_be_bytes());
        nonce[8..16].copy_from_slice(&self.block.to_be_bytes());
        nonce[23] = u8::from(last);
        self.block += 1;
        nonce.into()
    }
}

/// Writes a sealed file.
pub(crate) struct Writer {
    seal: Seal,
    file: BufWriter<File>,
    block: Vec<u8>,
}

impl Writer {
    /// `number` must be another one for every file under a key.
    pub(crate) fn new(key: &[u8; 32], number: u64, file: File) -> Self {
        Self {
            seal: Seal {
                aead: XChaCha20Poly1305::new(&(*key).into()),
                file: number,
                block: 0,
            },
            file: BufWriter::new(file),
            block: Vec::with_capacity(BLOCK),
        }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.block.len() == BLOCK {
                self.flush_block(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn flush_block(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.seal.nonce(last);
        let sealed = self.seal.aead.encrypt(&nonce, self.block.as_slice());
        let sealed = sealed.map_err(|_| io::Error::other("a block cannot be sealed"))?;
        self.block.clear();
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        self.file.write_all(&length.to_be_bytes())?;
        self.file.write_all(&sealed)
    }

    /// Ends the file, to be read from its start.
    pub(crate) fn finish(mut self) -> io::Result<Reader> {
        self.flush_block(true)?;
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.seal.block = 0;
        Ok(Reader {
            seal: self.seal,
            file: BufReader::new(file),
            block: Vec::new(),
            at: 0,
            last: false,
        })
    }
}

/// Reads a sealed file.
pub(crate) struct Reader {
    seal: Seal,
    file: BufReader<File>,
    block: Vec<u8>,
    /// Bytes of the block that were read.
    at: usize,
    last: bool,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() && !self.last {
            let mut length = [0; 4];
            self.file.read_exact(&mut length)?;
            let length = u64::from(u32::from_be_bytes(length));
            let mut sealed = Vec::new();
            (&mut self.file).take(length).read_to_end(&mut sealed)?;
            self.last = self.file.buffer().is_empty() && io::BufRead::fill_buf(&mut self.file)?.is_empty();
            let nonce = self.seal.nonce(self.last);
            let opened = self.seal.aead.decrypt(&nonce, sealed.as_slice());
            self.block = opened.map_err(|_| io::Error::other("a block was changed or cut off"))?;
            self.at = 0;
        }
        let left = &self.block[self.at..];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"QUELLA MARIA T1084999 ";

    fn sealed(key: [u8; 32], repeats: usize) -> Reader {
        let mut writer = Writer::new(&key, 3, tempfile::tempfile().unwrap());
        for _ in 0..repeats {
            writer.write(TEXT).unwrap();
        }
        writer.finish().unwrap()
    }

    fn raw(reader: &Reader) -> Vec<u8> {
        let mut file = reader.file.get_ref();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// The same reader on other bytes.
    fn on(mut reader: Reader, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        reader.file = BufReader::new(file);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).map(|_| read)
    }

    #[test]
    fn what_is_on_disk_shows_nothing_and_reads_back() {
        for repeats in [0, 1, 3000, BLOCK] {
            let reader = sealed([7; 32], repeats);
            let bytes = raw(&reader);
            assert!(!bytes.windows(6).any(|window| window == b"QUELLA"));
            assert_eq!(on(reader, &bytes).unwrap(), TEXT.repeat(repeats));
        }
    }

    #[test]
    fn what_was_changed_on_disk_is_an_error() {
        let bytes = raw(&sealed([7; 32], 10_000));
        let first = 4 + BLOCK + 16;
        let mut flipped = bytes.clone();
        flipped[first + 100] ^= 1;
        let swapped = [&bytes[first..2 * first], &bytes[..first], &bytes[2 * first..]].concat();
        for changed in [
            &flipped,
            &swapped,
            &bytes[..first].to_vec(),
            &bytes[..first + 50].to_vec(),
            &Vec::new(),
        ] {
            assert!(on(sealed([7; 32], 10_000), changed).is_err());
        }
        assert!(on(sealed([8; 32], 1), &bytes).is_err());
    }
}
