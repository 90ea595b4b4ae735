//! The files of an import as they arrive: handed on to the reader while they come, counted and hashed on the way.
//!
//! The end of a gRPC stream proves nothing: a call that was cancelled, or whose deadline passed, ends for its receiver
//! like a complete one. So every end is said, never inferred: of a file and of the upload by `None` in their channels,
//! of the whole by the caller's [`ImportEnd`]. A channel that is only closed is an upload that was cut off, and an
//! error for its reader.

use std::io::{self, Read};

use bytes::Bytes;
use concordat_lists::Input;
use concordat_wire::Fault;
use concordat_wire::v1::{ImportEnd, ImportRequest, import_request::Message};
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

/// An upload that is being received; it is given up when this is dropped.
pub struct Upload {
    outcome: oneshot::Receiver<Result<[u8; 32], Fault>>,
    _receiving: AbortOnDropHandle<()>,
}

impl Upload {
    /// Receives what follows the opening. The files are for a reader on a thread that may block.
    pub fn receive<S>(requests: S) -> (Self, Files)
    where
        S: Stream<Item = Result<ImportRequest, Status>> + Send + Unpin + 'static,
    {
        let (files_sender, files) = mpsc::channel(1);
        let (outcome_sender, outcome) = oneshot::channel();
        let receiving = tokio::spawn(async move {
            let mut file = None;
            let received = forward(requests, &files_sender, &mut file).await;
            let complete = received.is_ok();
            // Told before the reader hears of it, so that whoever hears of the reader's error finds the reason.
            let _ = outcome_sender.send(received);
            if complete {
                finish(&mut file).await;
                let _ = files_sender.send(None).await;
            }
        });
        let upload = Self {
            outcome,
            _receiving: AbortOnDropHandle::new(receiving),
        };
        (upload, Files(files))
    }

    /// Waits until the caller has said that everything was sent and it is what was received. Returns the SHA-256 of
    /// that, file after file.
    ///
    /// # Errors
    /// It was cut off, its messages are out of order, or something else was received than was sent.
    pub async fn complete(self) -> Result<[u8; 32], Fault> {
        self.outcome
            .await
            .unwrap_or_else(|_| Err(cut_off("the node stopped receiving")))
    }

    /// Why the upload failed, if it has failed already.
    pub fn fault(mut self) -> Option<Fault> {
        self.outcome.try_recv().ok()?.err()
    }
}

/// A piece of a file, or its end.
type Pieces = mpsc::Receiver<Option<Bytes>>;

/// The files of an upload, each readable while it arrives.
pub struct Files(mpsc::Receiver<Option<File>>);

struct File {
    name: String,
    pieces: Pieces,
}

impl Iterator for Files {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        match self.0.blocking_recv() {
            Some(None) => None,
            Some(Some(file)) => Some(Input::new(file.name, Reader::new(file.pieces))),
            // Cut off between two files: the reader must not take the last one for the end of the set.
            None => Some(Input::new("the next file", Reader::new(mpsc::channel(1).1))),
        }
    }
}

struct Reader {
    pieces: Pieces,
    piece: Bytes,
    ended: bool,
}

impl Reader {
    fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            piece: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the upload was cut off",
                    ));
                }
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// Passes files on until the caller's last message. A reader that has seen enough of a file, or of all, takes no
/// more; the rest is counted all the same.
async fn forward(
    mut requests: impl Stream<Item = Result<ImportRequest, Status>> + Unpin,
    files: &mpsc::Sender<Option<File>>,
    current: &mut Option<mpsc::Sender<Option<Bytes>>>,
) -> Result<[u8; 32], Fault> {
    let mut received = Received::default();
    loop {
        let request = match requests.next().await {
            Some(Ok(request)) => request,
            Some(Err(status)) => return Err(cut_off(status.message())),
            None => return Err(cut_off("the stream ended without the message that says so")),
        };
        match request.message {
            Some(Message::File(file)) => {
                finish(current).await;
                received.files += 1;
                let (sender, pieces) = mpsc::channel(8);
                // A path is nobody's business here: the base name tells the parts of a set apart.
                let name = file.name.rsplit(['/', '\\']).next().unwrap_or_default();
                let name = name.to_owned();
                *current = Some(sender);
                let _ = files.send(Some(File { name, pieces })).await;
            }
            Some(Message::Data(data)) => {
                let Some(file) = current else {
                    return Err(out_of_order("data before the name of its file"));
                };
                received.bytes += data.len() as u64;
                received.hash.update(&data);
                let _ = file.send(Some(data)).await;
            }
            Some(Message::End(end)) => return received.check(&end),
            Some(Message::Open(_)) => return Err(out_of_order("a second opening")),
            None => return Err(out_of_order("a message of no known kind")),
        }
    }
}

/// Says that the current file is complete.
async fn finish(current: &mut Option<mpsc::Sender<Option<Bytes>>>) {
    if let Some(file) = current.take() {
        let _ = file.send(None).await;
    }
}

#[derive(Default)]
struct Received {
    files: u32,
    bytes: u64,
    hash: Sha256,
}

impl Received {
    fn check(self, end: &ImportEnd) -> Result<[u8; 32], Fault> {
        let differs = |field: &str, sent: &dyn std::fmt::Display, received: &dyn std::fmt::Display| {
            let text = format!("{sent} were sent, {received} were received: send the list again");
            Err(Fault::invalid("IMP-008", format!("end.{field}"), text))
        };
        if end.files != self.files {
            return differs("files", &end.files, &self.files);
        }
        if end.bytes != self.bytes {
            return differs("bytes", &end.bytes, &self.bytes);
        }
        let hash: [u8; 32] = self.hash.finalize().into();
        if end.sha256 != hash {
            return Err(Fault::invalid(
                "IMP-008",
                "end.sha256",
                "other bytes were received than were sent: send the list again",
            ));
        }
        Ok(hash)
    }
}

fn cut_off(how: &str) -> Fault {
    let text = format!("the upload was cut off ({how}): send the list again");
    Fault::invalid("IMP-008", "end", text)
}

fn out_of_order(what: &str) -> Fault {
    let text = format!("{what}; an import is an opening, then each file's name and data, then the end");
    Fault::invalid("IMP-007", "message", text)
}

#[cfg(test)]
mod tests {
    use concordat_wire::v1::{ImportFile, ImportOpen};

    use super::*;

    fn file(name: &str) -> Message {
        Message::File(ImportFile { name: name.into() })
    }

    fn data(text: &str) -> Message {
        Message::Data(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn end(files: u32, text: &str) -> Message {
        Message::End(ImportEnd {
            files,
            bytes: text.len() as u64,
            sha256: Sha256::digest(text).to_vec(),
        })
    }

    type Outcomes = Vec<Result<(String, String), io::ErrorKind>>;

    /// What a reader gets of each file, and the rule under which the upload is refused.
    async fn read(messages: Vec<Message>) -> (Outcomes, Option<&'static str>) {
        let request = |message| {
            Ok(ImportRequest {
                message: Some(message),
            })
        };
        let requests: Vec<_> = messages.into_iter().map(request).collect();
        let (upload, Files(mut files)) = Upload::receive(futures_util::stream::iter(requests));
        let read = move || {
            let mut read = Outcomes::new();
            loop {
                let file = match files.blocking_recv() {
                    Some(None) => return read,
                    Some(Some(file)) => file,
                    None => {
                        read.push(Err(io::ErrorKind::UnexpectedEof));
                        return read;
                    }
                };
                let mut text = String::new();
                let result = Reader::new(file.pieces).read_to_string(&mut text);
                read.push(result.map(|_| (file.name, text)).map_err(|error| error.kind()));
            }
        };
        let read = tokio::task::spawn_blocking(read).await.expect("read");
        (read, upload.complete().await.err().map(|fault| fault.rule))
    }

    #[tokio::test]
    async fn what_was_sent_is_read_and_agreed() {
        let messages = vec![
            file("/a/sdn.csv"),
            data("on"),
            data("e"),
            file("alt.csv"),
            end(2, "one"),
        ];
        let (read, rule) = read(messages).await;
        let expected = [("sdn.csv", "one"), ("alt.csv", "")];
        assert_eq!(read, expected.map(|(name, text)| Ok((name.into(), text.into()))));
        assert_eq!(rule, None);
    }

    #[tokio::test]
    async fn an_end_that_is_not_said_is_an_error_wherever_it_comes() {
        let all = [file("a"), data("one"), file("b"), data("two")];
        for sent in 0..=all.len() {
            let (read, rule) = read(all[..sent].to_vec()).await;
            assert_eq!(rule, Some("IMP-008"), "after {sent} messages");
            assert!(read.last().expect("something").is_err(), "after {sent} messages");
        }
    }

    #[tokio::test]
    async fn another_upload_than_was_sent_is_an_error() {
        for (end, field) in [
            (end(2, "one"), "files"),
            (end(1, "ones"), "bytes"),
            (end(1, "two"), "sha256"),
        ] {
            let requests = [file("a"), data("one"), end].map(|message| {
                Ok(ImportRequest {
                    message: Some(message),
                })
            });
            let (upload, _files) = Upload::receive(futures_util::stream::iter(requests));
            let fault = upload.complete().await.expect_err("refused");
            assert_eq!(
                (fault.rule, fault.field),
                ("IMP-008", Some(format!("end.{field}")))
            );
        }
    }

    #[tokio::test]
    async fn messages_out_of_order_are_errors() {
        let open = || Message::Open(ImportOpen::default());
        for messages in [
            vec![data("one"), end(0, "one")],
            vec![file("a"), open(), data("one"), end(1, "one")],
            vec![file("a"), data("one"), open(), end(1, "one")],
        ] {
            let (read, rule) = read(messages).await;
            assert_eq!(rule, Some("IMP-007"));
            assert!(read.last().expect("something").is_err());
        }
    }
}
