//! `concordat job`, and waiting for jobs.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use concordat_wire::v1::{
    self, CancelJobRequest, GetJobRequest, Job, JobMatch, ListJobsRequest, ListMatchesRequest,
    ResumeJobRequest, UnknownReason, job::State,
};
use serde_json::json;

use crate::connect::{Connection, Node};
use crate::exit::{Advice, Exit};
use crate::out::{Out, OutFile, Stdout, Table, count, counted_of, csv_error, note, time};
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
                return follow(&connection.open().await?, &id, "job", out).await;
            }
            Self::Cancel { id, connection } => {
                let job = connection
                    .open()
                    .await?
                    .matching()
                    .cancel_job(CancelJobRequest { job_id: id })
                    .await?
                    .into_inner();
                if !ended(&job) {
                    // It stops at its next step; until then its state is what it was.
                    let text = || format!("{} {}: cancel requested", job.r#type, job.job_id);
                    out.result(|| json::job(&job), text)?;
                    return Ok(Exit::Done);
                }
                job
            }
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
                let target = file.as_deref().map(OutFile::create).transpose()?;
                let node = connection.open().await?;
                return found_so_far(&node, &id, file.zip(target), out).await;
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
        text += &format!(", {}", counted_of(job.done, job.total, "identifier"));
        if job.r#type == "intersect" {
            text += &format!(", {}", found(job.matches));
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

/// `1 match`, `1,200 matches`.
pub fn found(matches: u64) -> String {
    format!(
        "{} {}",
        count(matches),
        if matches == 1 { "match" } else { "matches" }
    )
}

/// Follows a job for a person: names it at once, waits until it ends, prints it. Ctrl-C ends only the waiting.
///
/// # Errors
/// The node cannot be reached; the job goes on without us.
pub async fn follow(node: &Node, job_id: &str, what: &str, out: Out) -> Result<Exit> {
    note(format_args!("job {job_id}"));
    tokio::select! {
        ended = wait(node, job_id, Some(what)) => {
            let ended = ended?;
            show(&ended, out)?;
            Ok(exit(&ended))
        }
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            note(format_args!("the job goes on: concordat job watch {job_id}"));
            Ok(Exit::Interrupted)
        }
    }
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

/// Prints or writes what a job has found so far.
async fn found_so_far(node: &Node, id: &str, file: Option<(PathBuf, OutFile)>, out: Out) -> Result<Exit> {
    let request = GetJobRequest {
        job_id: id.to_owned(),
    };
    let job = node.matching().get_job(request).await?.into_inner();
    if job.r#type != "intersect" {
        bail!("job {id} is no comparison of lists: it has no matches");
    }
    let complete = job.state() == State::Succeeded;
    match file {
        Some((path, _)) if ended(&job) && !complete => Err(Advice::error(
            format!(
                "job {id} has {}: {} is left as it is",
                words::job_state(job.state),
                path.display()
            ),
            "without --out what it found is printed",
        )),
        Some((path, target)) => {
            let matches = write_matches(node, id, target).await?;
            if out.json {
                out.result(
                    || json!({ "job_id": id, "matches": matches, "file": path }),
                    String::new,
                )?;
            }
            note(format_args!("{} in {}", found(matches), path.display()));
            Ok(unfinished(&job))
        }
        None if out.json => {
            matches(node, id, |one| {
                Ok(out.result(|| json::job_match(one), String::new)?)
            })
            .await?;
            Ok(unfinished(&job))
        }
        None => {
            write_csv(node, id, Stdout).await?;
            Ok(unfinished(&job))
        }
    }
}

/// Says that matches are not all there are, where they are not.
fn unfinished(job: &Job) -> Exit {
    if job.state() != State::Succeeded {
        note(format_args!(
            "the job is {}: this is what it found so far",
            words::job_state(job.state)
        ));
    }
    match exit(job) {
        // Found so far is all that was asked for.
        Exit::Failed if !ended(job) => Exit::Done,
        exit => exit,
    }
}

/// Writes the matches of a job to a file as CSV; how many there are.
///
/// # Errors
/// The node's, or the file cannot be written.
pub async fn write_matches(node: &Node, job_id: &str, file: OutFile) -> Result<u64> {
    let (found, file) = write_csv(node, job_id, file).await?;
    file.finish()?;
    Ok(found)
}

async fn write_csv<W: Write>(node: &Node, job_id: &str, target: W) -> Result<(u64, W)> {
    let mut found = 0;
    let mut csv = csv::Writer::from_writer(target);
    csv.write_record(["list", "source_id", "partner_id", "kind", "grade", "rule"])
        .map_err(csv_error)?;
    matches(node, job_id, |one| {
        found += 1;
        let (kind, grade) = (words::kind(one.kind), words::grade(one.grade));
        csv.write_record([&one.list, &one.source_id, &one.partner_id, kind, grade, &one.rule])
            .map_err(csv_error)
    })
    .await?;
    csv.flush()?;
    let target = csv.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok((found, target))
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
            time(&job.created_at),
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
