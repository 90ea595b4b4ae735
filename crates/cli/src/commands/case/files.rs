//! Messages between the two desks, and the files with them.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use concordat_wire::DATA_PIECE;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{AttachOpen, AttachRequest, FetchAttachmentRequest, SayStep, attach_request};
use serde_json::json;

use super::{On, show};
use crate::connect::Node;
use crate::exit::{Exit, Usage};
use crate::out::{Out, OutFile, bytes};

/// A message.
#[derive(Args)]
pub struct Say {
    #[command(flatten)]
    on: On,
    /// A paragraph; may be given again
    #[arg(long = "text", value_name = "TEXT", required = true)]
    texts: Vec<String>,
    /// The message that it answers
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    answers: String,
    /// A file that goes with it, at most 50 MiB; may be given again
    #[arg(long = "attach", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Say {
    pub(super) async fn run(self, out: Out, step: fn(SayStep) -> Step) -> Result<Exit> {
        let node = self.on.open().await?;
        let mut attachments = Vec::new();
        for file in &self.files {
            attachments.push(attach(&node, &self.on, file).await?);
        }
        let say = SayStep {
            text: self.texts,
            answers: self.answers,
            attachments,
        };
        let case = self.on.take(&node, "", step(say)).await?;
        show::taken(&case, out)?;
        Ok(Exit::Done)
    }
}

/// Send files to the other desk.
#[derive(Args)]
pub struct Attach {
    #[command(flatten)]
    on: On,
    /// At most 16 files, each at most 50 MiB
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What they are
    #[arg(long, value_name = "TEXT")]
    text: String,
}

impl Attach {
    pub(super) async fn run(self, out: Out) -> Result<Exit> {
        let say = Say {
            on: self.on,
            texts: vec![self.text],
            answers: String::new(),
            files: self.files,
        };
        say.run(out, Step::Say).await
    }
}

/// Seals a file; what a message names it by.
async fn attach(node: &Node, on: &On, file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Usage::error("a file's name must be readable text"))?;
    let open = AttachOpen {
        case_id: on.id.clone(),
        officer: on.officer.clone(),
        name: name.to_owned(),
        media_type: media_type(file).to_owned(),
    };
    let pieces: Vec<_> = bytes
        .chunks(DATA_PIECE)
        .map(|piece| attach_request::Message::Data(piece.to_vec()))
        .collect();
    let messages = std::iter::once(attach_request::Message::Open(open)).chain(pieces);
    let messages = messages.map(|message| AttachRequest {
        message: Some(message),
    });
    let answer = node
        .disclosure()
        .attach(futures_util::stream::iter(messages))
        .await;
    let answer = answer.with_context(|| file.display().to_string())?;
    Ok(answer.into_inner().manifest)
}

/// As the ending says; the receiver does not rely on it.
fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|end| end.to_str()) {
        Some("pdf") => "application/pdf",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("txt") => "text/plain",
        Some("xml") => "application/xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Write a file that the other desk has sent.
#[derive(Args)]
pub struct Fetch {
    #[command(flatten)]
    on: On,
    /// The attachment's id, as `case show` prints it
    attachment: String,
    /// Where to; the name that the sender gave is never used
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Fetch {
    pub(super) async fn run(self, out: Out) -> Result<Exit> {
        let mut file = OutFile::create(&self.out)?;
        let request = FetchAttachmentRequest {
            case_id: self.on.id.clone(),
            officer: self.on.officer.clone(),
            attachment_id: self.attachment.clone(),
        };
        let node = self.on.open().await?;
        let mut pieces = node.disclosure().fetch_attachment(request).await?.into_inner();
        let mut length = 0;
        while let Some(piece) = pieces.message().await? {
            file.write_all(&piece.data)
                .with_context(|| self.out.display().to_string())?;
            length += piece.data.len() as u64;
        }
        file.finish()?;
        out.result(
            || json!({ "attachment_id": self.attachment, "bytes": length, "file": self.out }),
            || format!("{}: {}", self.out.display(), bytes(length)),
        )?;
        Ok(Exit::Done)
    }
}
