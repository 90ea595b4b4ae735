//! Sending the files of a list to the node.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use concordat_lists::Format;
use concordat_wire::DATA_PIECE;
use concordat_wire::v1::{
    ImportEnd, ImportFile, ImportOpen, ImportProgress, ImportRequest, ImportSummary, Rejection,
    import_request, import_response,
};
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use crate::connect::Node;

/// The files of a list, in the order they are sent.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// Bytes of all files together, as they lie on disk; of stdin nothing is known.
    pub bytes: u64,
}

impl Files {
    /// The files at `paths`: each a file, `-` for stdin, or for `ofac-sdn` a folder of the set.
    ///
    /// # Errors
    /// A path does not exist, or is a folder without files of the set.
    pub fn at(format: Format, paths: &[PathBuf]) -> Result<Self> {
        let mut files = Self {
            paths: Vec::new(),
            bytes: 0,
        };
        for path in paths {
            if path.is_dir() {
                files.paths.extend(files_of_set(format, path)?);
            } else {
                files.paths.push(path.clone());
            }
        }
        for path in files.paths.iter().filter(|path| !is_stdin(path)) {
            files.bytes += std::fs::metadata(path)
                .with_context(|| path.display().to_string())?
                .len();
        }
        Ok(files)
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn files_of_set(format: Format, folder: &Path) -> Result<Vec<PathBuf>> {
    if format != Format::OfacSdn {
        bail!("{} is a folder; {format} takes a file", folder.display());
    }
    let is_part = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        ["sdn", "alt", "add", "cons_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| is_part(path) && path.is_file());
    paths.sort();
    if paths.is_empty() {
        bail!(
            "{} holds none of the files sdn, alt, add, sdn_comments",
            folder.display()
        );
    }
    Ok(paths)
}

/// What the caller is told while an import runs.
pub trait Watch {
    /// The node has read so far.
    fn progress(&mut self, progress: &ImportProgress);
    /// Something could not be used.
    ///
    /// # Errors
    /// The report cannot be written; the import is given up.
    fn reject(&mut self, reject: &Rejection) -> Result<()>;
}

/// Sends `files` as the list that `open` describes. When this returns, the node has committed the import.
///
/// # Errors
/// A file cannot be read, or the node refuses; the list is then as it was before.
pub async fn import(
    node: &Node,
    open: ImportOpen,
    files: Files,
    watch: &mut impl Watch,
) -> Result<ImportSummary> {
    let (trouble, mut reading_failed) = oneshot::channel();
    let requests = requests(open, files, trouble);
    let answers = async {
        let mut responses = node.watchlists().import(requests).await?.into_inner();
        while let Some(response) = responses.message().await? {
            match response.message {
                Some(import_response::Message::Progress(progress)) => watch.progress(&progress),
                Some(import_response::Message::Reject(reject)) => watch.reject(&reject)?,
                Some(import_response::Message::Summary(summary)) => return Ok(summary),
                None => {}
            }
        }
        bail!("the node ended the import without a summary; the list is as it was before")
    };
    tokio::select! {
        summary = answers => summary,
        Ok(error) = &mut reading_failed => Err(error),
    }
}

struct Reading {
    waiting: VecDeque<PathBuf>,
    current: Option<(PathBuf, File)>,
    /// What was sent.
    sent: ImportEnd,
    hash: Sha256,
    ended: bool,
    trouble: Option<oneshot::Sender<anyhow::Error>>,
}

/// The messages of an import, made as the node takes them. The last one says that it is the last and what was sent:
/// without it the node takes the list for cut off.
///
/// When a file cannot be read the error goes to `trouble`, the stream stands still, and the call is dropped by whoever
/// waits for it.
fn requests(
    open: ImportOpen,
    files: Files,
    trouble: oneshot::Sender<anyhow::Error>,
) -> impl Stream<Item = ImportRequest> + Send + 'static {
    let reading = Reading {
        waiting: files.paths.into(),
        current: None,
        sent: ImportEnd::default(),
        hash: Sha256::new(),
        ended: false,
        trouble: Some(trouble),
    };
    let pieces = stream::unfold(reading, |mut reading| async move {
        match reading.next().await {
            Ok(None) => None,
            Ok(Some(message)) => Some((
                ImportRequest {
                    message: Some(message),
                },
                reading,
            )),
            Err(error) => {
                // Nobody listens once the call has failed by itself.
                let _ = reading.trouble.take().map(|trouble| trouble.send(error));
                std::future::pending().await
            }
        }
    });
    let open = ImportRequest {
        message: Some(import_request::Message::Open(open)),
    };
    stream::once(async { open }).chain(pieces)
}

impl Reading {
    async fn next(&mut self) -> Result<Option<import_request::Message>> {
        if let Some((path, file)) = &mut self.current {
            let piece = read_piece(file)
                .await
                .with_context(|| path.display().to_string())?;
            if !piece.is_empty() {
                self.sent.bytes += piece.len() as u64;
                self.hash.update(&piece);
                return Ok(Some(import_request::Message::Data(piece)));
            }
        }
        let Some(path) = self.waiting.pop_front() else {
            if std::mem::replace(&mut self.ended, true) {
                return Ok(None);
            }
            self.current = None;
            self.sent.sha256 = self.hash.finalize_reset().to_vec();
            return Ok(Some(import_request::Message::End(self.sent.clone())));
        };
        let file = if is_stdin(&path) {
            let stdin = std::io::stdin().as_fd().try_clone_to_owned();
            stdin.map(|stdin| File::from_std(stdin.into()))
        } else {
            File::open(&path).await
        };
        let file = file.with_context(|| path.display().to_string())?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        self.current = Some((path, file));
        self.sent.files += 1;
        Ok(Some(import_request::Message::File(ImportFile { name })))
    }
}

async fn read_piece(file: &mut File) -> std::io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(DATA_PIECE);
    while piece.len() < DATA_PIECE && file.read_buf(&mut piece).await? > 0 {}
    Ok(piece.freeze())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(files: &Files) -> Vec<String> {
        files
            .paths
            .iter()
            .map(|path| path.file_name().expect("a file").to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_folder_stands_for_the_files_of_its_set() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "SDN.CSV",
            "alt.csv.gz",
            "add.csv",
            "sdn_comments.csv",
            "readme.txt",
        ] {
            std::fs::write(folder.path().join(name), name).expect("written");
        }
        let files = Files::at(Format::OfacSdn, &[folder.path().to_owned()]).expect("a set");
        assert_eq!(
            names(&files),
            ["SDN.CSV", "add.csv", "alt.csv.gz", "sdn_comments.csv"]
        );
        assert_eq!(files.bytes, 7 + 7 + 10 + 16);
        assert!(
            Files::at(Format::UnSc, &[folder.path().to_owned()]).is_err(),
            "only the set is a folder"
        );
        assert!(Files::at(Format::UnSc, &[folder.path().join("nothing")]).is_err());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_does_not_end_the_stream() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.jsonl");
        std::fs::write(&path, "{}").expect("written");
        let files = Files::at(Format::Jsonl, std::slice::from_ref(&path)).expect("there");
        std::fs::remove_file(&path).expect("removed");
        let (trouble, failed) = oneshot::channel();
        let mut requests = Box::pin(requests(ImportOpen::default(), files, trouble));
        assert!(matches!(
            requests.next().await.and_then(|request| request.message),
            Some(import_request::Message::Open(_))
        ));
        tokio::select! {
            next = requests.next() => panic!("the stream went on: {}", next.is_some()),
            error = failed => assert!(error.expect("told").to_string().contains("list.jsonl")),
        }
    }

    #[tokio::test]
    async fn pieces_are_bounded_and_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.jsonl");
        let content = vec![7; DATA_PIECE * 2 + 3];
        std::fs::write(&path, &content).expect("written");
        let files = Files::at(Format::Jsonl, &[path]).expect("there");
        let (trouble, _failed) = oneshot::channel();
        let all = tokio::time::timeout(
            Duration::from_secs(60),
            requests(ImportOpen::default(), files, trouble).collect::<Vec<_>>(),
        );
        let mut received = Vec::new();
        let all = all.await.expect("it ends");
        let end = ImportEnd {
            files: 1,
            bytes: content.len() as u64,
            sha256: Sha256::digest(&content).to_vec(),
        };
        let last = all.last().and_then(|request| request.message.clone());
        assert_eq!(last, Some(import_request::Message::End(end)), "the end is said");
        for request in all {
            if let Some(import_request::Message::Data(data)) = request.message {
                assert!(data.len() <= DATA_PIECE);
                received.extend_from_slice(&data);
            }
        }
        assert_eq!(received, content);
    }
}
