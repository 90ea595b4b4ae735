//! `concordat job`, and waiting for jobs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_wire::v1::{
    self, CancelJobRequest, GetJobRequest, Job, JobMatch, ListJobsRequest, ListMatchesRequest,
    ResumeJobRequest, UnknownReason, job::State,
};

use crate::connect::{Connection, Node};
use crate::exit::Exit;
use crate::out::{Out, Table, count, note};
use crate::progress::{Progress, Unit};
use crate::{json, words};

/// Follow long tasks of our node.
///
/// They survive a restart of either node.
#[derive(Subcommand)]
pub enum Command {
    /// Show all jobs
    Ls {
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one job
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Follow a job to its end
    Watch {
        /// Its id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Stop a job
    Cancel {
        /// Its id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Set a paused or failed job going again where it stopped
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print what an intersect job has found so far, as CSV
    Matches {
        /// Its id
        id: String,
        /// Write to this file instead of stdout
        #[arg(long, value_name = "FILE.csv")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let job = match self {
            Self::Ls { connection } => return ls(&connection, out).await,
            Self::Show { id, connection } => connection
                .open()
                .await?
                .matching()
                .get_job(GetJobRequest { job_id: id })
                .await?
                .into_inner(),
            Self::Watch { id, connection } => {
                let ended = wait(&connection.open().await?, &id, Some("job")).await?;
                show(&ended, out)?;
                return Ok(exit(&ended));
            }
            Self::Cancel { id, connection } => connection
                .open()
                .await?
                .matching()
                .cancel_job(CancelJobRequest { job_id: id })
                .await?
                .into_inner(),
            Self::Resume { id, connection } => connection
                .open()
                .await?
                .matching()
                .resume_job(ResumeJobRequest { job_id: id })
                .await?
                .into_inner(),
            Self::Matches {
                id,
                out: file,
                connection,
            } => {
                let found = write_matches(&connection.open().await?, &id, file.as_deref(), out).await?;
                if let Some(path) = file {
                    note(format_args!("{} matches in {}", count(found), path.display()));
                }
                return Ok(Exit::Done);
            }
        };
        show(&job, out)?;
        Ok(Exit::Done)
    }
}

/// Prints a job.
///
/// # Errors
/// Standard output is closed.
pub fn show(job: &Job, out: Out) -> Result<()> {
    let text = || {
        let mut text = format!("{} {}: {}", job.r#type, job.job_id, words::job_state(job.state));
        text += &format!(", {} of {} identifiers", count(job.done), count(job.total));
        if job.r#type == "intersect" {
            text += &format!(", {} matches", count(job.matches));
        }
        if !job.detail.is_empty() {
            text += &format!("\n  {}", job.detail);
        }
        for offer in job
            .offers
            .iter()
            .filter(|offer| offer.reason != i32::from(UnknownReason::Unspecified))
        {
            text += &format!(
                "\n  {} was not checked to the end: {}",
                words::kind_spoken(offer.kind),
                words::reason_spoken(offer.reason)
            );
            if !offer.detail.is_empty() && offer.detail != job.detail {
                text += &format!(" ({})", offer.detail);
            }
        }
        text
    };
    Ok(out.result(|| json::job(job), text)?)
}

/// Waits until a job ends, and shows how far `what` is, if it has a name.
///
/// # Errors
/// The node cannot be reached; the job goes on without us.
pub async fn wait(node: &Node, job_id: &str, what: Option<&str>) -> Result<Job> {
    let request = GetJobRequest {
        job_id: job_id.to_owned(),
    };
    let mut states = node.matching().watch_job(request.clone()).await?.into_inner();
    let mut progress: Option<Progress> = None;
    let mut told = String::new();
    let mut last = None;
    while let Some(job) = states.message().await? {
        if let Some(what) = what.filter(|_| job.total > 0) {
            progress
                .get_or_insert_with(|| Progress::new(what, Unit::Identifiers, job.total))
                .at(job.done, job.total);
        }
        if job.state() == State::Paused && job.detail != told {
            note(format_args!("{}: paused, {}", what.unwrap_or("job"), job.detail));
            told.clone_from(&job.detail);
        }
        last = Some(job);
    }
    if let Some(progress) = progress {
        progress.finish();
    }
    match last {
        Some(job) if ended(&job) => Ok(job),
        // The node is stopping: what it knows now is all there is.
        _ => Ok(node.matching().get_job(request).await?.into_inner()),
    }
}

fn ended(job: &Job) -> bool {
    matches!(job.state(), State::Succeeded | State::Failed | State::Cancelled)
}

/// What an ended job means for the exit code.
pub fn exit(job: &Job) -> Exit {
    let unchecked = |offer: &v1::OfferSummary| offer.reason != i32::from(UnknownReason::Unspecified);
    match job.state() {
        State::Succeeded if job.offers.iter().any(unchecked) => Exit::Unknown,
        State::Succeeded => Exit::Done,
        _ => Exit::Failed,
    }
}

/// Calls `each` with every match of a job.
///
/// # Errors
/// The node's, or those of `each`.
pub async fn matches(node: &Node, job_id: &str, mut each: impl FnMut(&JobMatch) -> Result<()>) -> Result<()> {
    let request = ListMatchesRequest {
        job_id: job_id.to_owned(),
    };
    let mut found = node.matching().list_matches(request).await?.into_inner();
    while let Some(found) = found.message().await? {
        each(&found)?;
    }
    Ok(())
}

/// Writes the matches of a job to a file or stdout: CSV, or with `--json` on stdout one object per line.
///
/// # Errors
/// The node's, or the file cannot be written.
pub async fn write_matches(node: &Node, job_id: &str, file: Option<&Path>, out: Out) -> Result<u64> {
    let mut found = 0;
    if out.json && file.is_none() {
        matches(node, job_id, |one| {
            found += 1;
            Ok(out.result(|| json::job_match(one), String::new)?)
        })
        .await?;
        return Ok(found);
    }
    let target: Box<dyn std::io::Write> = match file {
        Some(path) => Box::new(std::fs::File::create(path).with_context(|| path.display().to_string())?),
        None => Box::new(std::io::stdout()),
    };
    let mut csv = csv::Writer::from_writer(target);
    csv.write_record(["list", "source_id", "partner_id", "kind", "grade", "rule"])?;
    matches(node, job_id, |one| {
        found += 1;
        let (kind, grade) = (words::kind(one.kind), words::grade(one.grade));
        csv.write_record([&one.list, &one.source_id, &one.partner_id, kind, grade, &one.rule])?;
        Ok(())
    })
    .await?;
    csv.flush().context("writing the matches")?;
    Ok(found)
}

async fn ls(connection: &Connection, out: Out) -> Result<Exit> {
    let jobs = connection
        .open()
        .await?
        .matching()
        .list_jobs(ListJobsRequest {})
        .await?
        .into_inner()
        .jobs;
    if out.json {
        for job in &jobs {
            out.result(|| json::job(job), String::new)?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["JOB", "TYPE", "STATE", "DONE", "TOTAL", "MATCHES", "CREATED"]);
    for job in &jobs {
        table.row([
            job.job_id.clone(),
            job.r#type.clone(),
            words::job_state(job.state).into(),
            count(job.done),
            count(job.total),
            count(job.matches),
            job.created_at.clone(),
        ]);
    }
    out.text(table)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: State, reason: UnknownReason) -> Job {
        let offer = v1::OfferSummary {
            reason: reason.into(),
            ..v1::OfferSummary::default()
        };
        Job {
            state: state.into(),
            offers: vec![offer],
            ..Job::default()
        }
    }

    #[test]
    fn only_a_job_that_checked_everything_is_a_success() {
        assert_eq!(
            exit(&job(State::Succeeded, UnknownReason::Unspecified)),
            Exit::Done
        );
        assert_eq!(exit(&job(State::Succeeded, UnknownReason::Quota)), Exit::Unknown);
        for state in [
            State::Failed,
            State::Cancelled,
            State::Paused,
            State::Running,
            State::Unspecified,
        ] {
            assert_eq!(
                exit(&job(state, UnknownReason::Unspecified)),
                Exit::Failed,
                "{state:?}"
            );
        }
    }
}
