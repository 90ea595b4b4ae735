//! `concordat list import`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use concordat_lists::Format;
use concordat_wire::v1::{ImportOpen, ImportProgress, ImportSummary, Rejection};

use crate::connect::Connection;
use crate::exit::Exit;
use crate::json;
use crate::out::{Out, count, counted, note};
use crate::progress::{Progress, Unit};
use crate::upload::{self, Files};

/// Load a whole list.
///
/// What is new is added, what changed is replaced, what is gone is removed, all at one moment. A second import of the
/// same file changes nothing. What cannot be used is counted and, with --rejects, written down; a record that cannot be
/// used stays on the list as it was, and the command exits with 5.
#[derive(clap::Args)]
pub struct Args {
    /// The list's file, or - for stdin; for ofac-sdn its files or their folder. Plain or gzip
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The list; it is made if it does not exist
    #[arg(long)]
    list: String,
    /// ofac-sdn, un-sc, uk-ofsi, ftm, jsonl or csv (docs/lists.md)
    #[arg(long, value_parser = list_format)]
    format: Format,
    /// What the columns of a csv file are (docs/lists.md)
    #[arg(long, value_name = "FILE.toml", required_if_eq("format", "csv"))]
    mapping: Option<PathBuf>,
    /// Fail on the first reject and leave the list as it is
    #[arg(long)]
    strict: bool,
    /// Accept a file without a usable entry, or one that removes more than half of a list of more than 20
    #[arg(long)]
    allow_shrink: bool,
    /// The officer who wrote the list: an author of what is added or changed, who does not approve its disclosure. Not for lists that
    /// others wrote [default: nobody]
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    officer: String,
    /// Write what could not be used to this file, one JSON object per line
    #[arg(long, value_name = "FILE.jsonl")]
    rejects: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let files = Files::at(self.format, &self.files)?;
        let csv_mapping = match &self.mapping {
            Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
            None => String::new(),
        };
        let open = ImportOpen {
            list: self.list.clone(),
            format: self.format.name().into(),
            csv_mapping,
            strict: self.strict,
            create: true,
            allow_shrink: self.allow_shrink,
            officer: self.officer.clone(),
        };
        let report = match &self.rejects {
            Some(path) => Some(BufWriter::new(
                File::create(path).with_context(|| path.display().to_string())?,
            )),
            None => None,
        };
        let node = self.connection.open().await?;
        let mut watch = Watch {
            total: files.bytes,
            progress: Progress::new(format!("importing {}", self.list), Unit::Bytes, files.bytes),
            report,
        };
        let summary = upload::import(&node, open, files, &mut watch).await;
        // What was rejected may be why it failed.
        watch.finish()?;
        let summary = summary?;
        out.result(
            || json::import_summary(&summary),
            || summary_text(&self.list, &summary),
        )?;
        if summary.rejected > 0 && self.rejects.is_none() && !out.json {
            note("what could not be used is named line by line with --rejects FILE.jsonl");
        }
        Ok(match summary.rejected_records {
            0 => Exit::Done,
            _ => Exit::Rejected,
        })
    }
}

struct Watch {
    total: u64,
    progress: Progress,
    report: Option<BufWriter<File>>,
}

impl upload::Watch for Watch {
    fn progress(&mut self, progress: &ImportProgress) {
        self.progress.at(progress.bytes_read, self.total);
    }

    fn reject(&mut self, reject: &Rejection) -> Result<()> {
        if let Some(report) = &mut self.report {
            writeln!(report, "{}", json::rejection(reject)).context("writing the reject report")?;
        }
        Ok(())
    }
}

impl Watch {
    fn finish(self) -> Result<()> {
        self.progress.finish();
        if let Some(report) = self.report {
            report
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)
                .context("writing the reject report")?;
        }
        Ok(())
    }
}

fn summary_text(list: &str, summary: &ImportSummary) -> String {
    let mut text = format!("{list}: {}\n", counted(summary.records, "record"));
    let mut row = |name: &str, number: u64| text += &format!("  {name:<22}{:>12}\n", count(number));
    row("added", summary.added);
    row("changed", summary.changed);
    row("removed", summary.removed);
    row("unchanged", summary.unchanged);
    row("identifiers", summary.identifiers);
    row("rejected", summary.rejected);
    row("rejected records", summary.rejected_records);
    row("kept as they were", summary.kept);
    row("notices", summary.notices);
    for skip in &summary.skipped {
        row(&format!("skipped: {}", skip.r#type), skip.count);
    }
    text
}

fn list_format(name: &str) -> Result<Format, String> {
    match name.parse::<Format>() {
        Ok(format) if !format.is_query() => Ok(format),
        Ok(format) => Err(format!(
            "{format} is a format of queries: use `concordat match --{format}`"
        )),
        Err(_) => Err("use one of ofac-sdn, un-sc, uk-ofsi, ftm, jsonl, csv".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_formats_are_not_lists() {
        assert_eq!(list_format("un-sc"), Ok(Format::UnSc));
        assert!(list_format("mrz").expect_err("a query format").contains("--mrz"));
        assert!(list_format("pdf").is_err());
    }

    #[test]
    fn the_summary_leaves_nothing_out() {
        let summary = ImportSummary {
            records: 7,
            rejected: 5,
            notices: 300,
            rejected_records: 4,
            kept: 3,
            skipped: vec![concordat_wire::v1::SkipCount {
                r#type: "vessel".into(),
                count: 9,
            }],
            ..ImportSummary::default()
        };
        let text = summary_text("l", &summary);
        for part in [
            "7 records",
            "rejected                         5",
            "rejected records                 4",
            "kept as they were                3",
            "notices                        300",
            "skipped: vessel",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
