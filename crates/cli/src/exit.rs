//! How a command ends: its exit code, and what it says when it fails.

use std::fmt;
use std::io;
use std::process::ExitCode;

use concordat_wire::FaultView;
use tonic::{Code, Status};

use crate::out;

/// The exit code. Only [`Exit::Done`] is 0: a caller that tests nothing but success never takes a failure, an
/// UNKNOWN or a hit for "not listed".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `match`: every item was checked to the end and none is listed.
    Done,
    /// It did not work, or not completely.
    Failed,
    /// The command line makes no sense; what clap finds by itself ends the same way.
    Usage,
    /// At least one HIT.
    Hit,
    /// No hit, but something could not be checked.
    Unknown,
    /// Imported, but not every record could be used.
    Rejected,
    /// A ledger could not be read: nothing is said about it.
    Unread,
    /// Ctrl-C; what the node was told to do goes on.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Hit => 3,
            Exit::Unknown => 4,
            Exit::Rejected => 5,
            Exit::Unread => 6,
            // As a shell reports a program that SIGINT ended.
            Exit::Interrupted => 130,
        })
    }
}

/// A failure with advice on what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Advice {
    message: String,
    hint: String,
    exit: Exit,
}

impl Advice {
    /// What failed, and what to do about it.
    pub fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self::ending(Exit::Failed, message, hint)
    }

    /// What could not be read, so that nothing is said about it, and what to do.
    pub fn unread(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self::ending(Exit::Unread, message, hint)
    }

    fn ending(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self {
            message: message.into(),
            hint: hint.into(),
            exit,
        })
    }
}

/// A command line that clap could not see through. Never holds the value: it may be an identifier.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// What is wrong with the command line.
    pub fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}

/// Tells a person on stderr why a command failed.
pub fn report(error: &anyhow::Error) -> Exit {
    // Whoever read our output has seen enough (`| head`): nothing to say, but not a success either. A connection that
    // breaks may also be a broken pipe, so only what writing to stdout marked counts.
    if !stdout_is_closed(error) {
        out::note(message(error).trim_end());
    }
    if error.is::<Usage>() {
        Exit::Usage
    } else {
        advice(error).map_or(Exit::Failed, |advice| advice.exit)
    }
}

fn stdout_is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe && out::is_stdout(io))
    })
}

fn advice(error: &anyhow::Error) -> Option<&Advice> {
    error.chain().find_map(|cause| cause.downcast_ref::<Advice>())
}

fn message(error: &anyhow::Error) -> String {
    let mut text = String::from("error: ");
    let status = error.chain().find_map(|cause| cause.downcast_ref::<Status>());
    match status {
        Some(status) => {
            let around = error.chain().take_while(|cause| !cause.is::<Status>());
            let around = joined(around.map(ToString::to_string));
            if !around.is_empty() {
                text += &format!("{around}: ");
            }
            text += &format!("{}\n", Refusal(&FaultView::from(status)));
        }
        None => text += &format!("{}\n", joined(error.chain().map(ToString::to_string))),
    }
    if let Some(advice) = advice(error) {
        text += &format!("hint: {}\n", advice.hint);
    }
    text
}

/// An error and its causes in one line. Many errors already end with the words of their cause, or begin with the words
/// of the context they were given: nothing is said twice.
pub fn joined(causes: impl IntoIterator<Item = String>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes {
        match parts.last_mut() {
            Some(last) if last.ends_with(&cause) => {}
            Some(last)
                if cause.starts_with(&format!("{last}: ")) || cause.starts_with(&format!("{last}, ")) =>
            {
                *last = cause;
            }
            _ => parts.push(cause),
        }
    }
    parts.join(": ")
}

/// A node's refusal in words.
struct Refusal<'a>(&'a FaultView);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.0;
        if view.rule.is_empty() {
            return unruled(view, f);
        }
        write!(f, "{} [{}]", view.message, view.rule)?;
        if let Some(field) = view.field.as_deref().filter(|field| !field.is_empty()) {
            write!(f, "\nfield: {field}")?;
        }
        if let Some(after) = view.retry_after {
            write!(f, "\nhint: try again in {:.1} s", after.as_secs_f64())?;
        }
        Ok(())
    }
}

/// A status that is not one of our node's own refusals: the connection's.
fn unruled(view: &FaultView, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match view.code {
        Code::Unavailable | Code::Cancelled | Code::Unknown => write!(
            f,
            "our node broke off the call ({})\n\
             hint: is it still running?",
            view.message
        ),
        Code::DeadlineExceeded => f.write_str("our node did not answer in time"),
        Code::Unimplemented => f.write_str("our node is of another version and does not know this call"),
        code => write!(f, "{} ({})", view.message, code.description()),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use concordat_wire::{Fault, Reason};

    use super::*;

    #[test]
    fn a_refusal_names_rule_field_and_delay() {
        let fault = Fault::new(Reason::Exhausted, "NODE-010", "the node is full")
            .field("items")
            .retry_after(std::time::Duration::from_millis(1_500));
        let error = Err::<(), _>(Status::from(fault))
            .context("sending the flight")
            .expect_err("a refusal");
        assert_eq!(
            message(&error),
            "error: sending the flight: the node is full [NODE-010]\nfield: items\nhint: try again in 1.5 s\n"
        );
    }

    #[test]
    fn a_broken_connection_has_a_hint() {
        let text = message(&Status::cancelled("operation was canceled").into());
        assert!(
            text.starts_with("error: our node broke off the call (operation was canceled)\nhint: is it"),
            "{text}"
        );
    }

    #[test]
    fn advice_survives_the_context_around_it() {
        let error = Advice::error("no such file", "run init first");
        let error = Err::<(), _>(error).context("starting").expect_err("advice");
        assert_eq!(
            message(&error),
            "error: starting: no such file\nhint: run init first\n"
        );
        assert_eq!(report(&error), Exit::Failed);
        let unread = Err::<(), _>(Advice::unread("no answer", "try again")).context("a ledger");
        assert_eq!(report(&unread.expect_err("advice")), Exit::Unread);
    }

    #[test]
    fn nothing_is_said_twice() {
        let said = |causes: &[&str]| joined(causes.iter().map(|cause| (*cause).to_owned()));
        assert_eq!(
            said(&["the database: wrong key", "wrong key"]),
            "the database: wrong key"
        );
        assert_eq!(said(&["cut.pax", "cut.pax: cut off"]), "cut.pax: cut off");
        assert_eq!(said(&["a.xml", "a.xml, line 3: broken"]), "a.xml, line 3: broken");
        assert_eq!(
            said(&["x.key: File exists (os error 17)", "File exists (os error 17)"]),
            "x.key: File exists (os error 17)"
        );
        assert_eq!(said(&["starting", "out of memory"]), "starting: out of memory");
    }

    /// A socket's broken pipe looks like that of `| head`; only the latter may pass in silence.
    #[test]
    fn only_a_closed_stdout_is_silent() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(stdout_is_closed(
            &anyhow::Error::new(out::of_stdout(broken())).context("writing")
        ));
        assert!(!stdout_is_closed(&anyhow::Error::new(broken())));
        assert!(!stdout_is_closed(&anyhow::Error::new(Status::from_error(
            Box::new(broken())
        ))));
    }

    #[test]
    fn no_failure_exits_with_zero() {
        for exit in [
            Exit::Failed,
            Exit::Usage,
            Exit::Hit,
            Exit::Unknown,
            Exit::Rejected,
            Exit::Unread,
            Exit::Interrupted,
        ] {
            assert_ne!(ExitCode::from(exit), ExitCode::SUCCESS);
        }
        assert_eq!(ExitCode::from(Exit::Done), ExitCode::SUCCESS);
    }
}
