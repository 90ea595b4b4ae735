//! Errors as callers see them: who is to blame, which rule, what to do next.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of every `google.rpc.ErrorInfo` a node sends.
const DOMAIN: &str = "concordat";

/// Who is to blame and what class of trouble it is; decides the gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The caller sent something malformed: mend it, do not repeat it.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The thing exists already, with another content.
    Conflict,
    /// The state does not allow it now: change the state first.
    Precondition,
    /// The agreement or the caller's role does not permit it.
    NotPermitted,
    /// The caller could not be authenticated.
    Unauthenticated,
    /// A quota is used up, or the node is full: try again later.
    Exhausted,
    /// The partner cannot be reached: try again later.
    Unavailable,
    /// It took too long.
    Deadline,
    /// Stopped on request.
    Cancelled,
    /// Our own fault; the node's log has the details.
    Internal,
    /// Stored data is damaged.
    DataLoss,
}

/// An error on its way to a caller. `rule` is an id of `docs/rules.md`; `message` never holds an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} [{rule}]")]
pub struct Fault {
    /// Class of trouble.
    pub reason: Reason,
    /// Rule id.
    pub rule: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// The request's field that is wrong.
    pub field: Option<String>,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault of this class under this rule.
    pub fn new(reason: Reason, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            rule,
            message: message.into(),
            field: None,
            retry_after: None,
        }
    }

    /// The caller's field `field` is malformed.
    pub fn invalid(rule: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, rule, message).field(field)
    }

    /// Something failed inside; `context` says what was being done, never with whose data.
    pub fn internal(context: impl Into<String>) -> Self {
        Self::new(Reason::Internal, "NODE-001", context)
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(fault.rule, DOMAIN, std::collections::HashMap::new());
        if let Some(field) = &fault.field {
            details.add_bad_request_violation(field.clone(), fault.message.clone());
        }
        if let Some(after) = fault.retry_after {
            details.set_retry_info(Some(after));
        }
        let code = match fault.reason {
            Reason::Invalid => Code::InvalidArgument,
            Reason::NotFound => Code::NotFound,
            Reason::Conflict => Code::AlreadyExists,
            Reason::Precondition => Code::FailedPrecondition,
            Reason::NotPermitted => Code::PermissionDenied,
            Reason::Unauthenticated => Code::Unauthenticated,
            Reason::Exhausted => Code::ResourceExhausted,
            Reason::Unavailable => Code::Unavailable,
            Reason::Deadline => Code::DeadlineExceeded,
            Reason::Cancelled => Code::Cancelled,
            Reason::Internal => Code::Internal,
            Reason::DataLoss => Code::DataLoss,
        };
        Self::with_error_details(code, fault.message, details)
    }
}

/// What a client can read from a status: the same facts as [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultView {
    /// gRPC code.
    pub code: Code,
    /// Rule id, empty where the status is not ours.
    pub rule: String,
    /// The sentence.
    pub message: String,
    /// Field at fault.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl From<&Status> for FaultView {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        Self {
            code: status.code(),
            rule: details
                .error_info()
                .map(|info| info.reason.clone())
                .unwrap_or_default(),
            message: status.message().to_owned(),
            field: details
                .bad_request()
                .and_then(|bad| bad.field_violations.first())
                .map(|violation| violation.field.clone()),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_wire() {
        let fault = Fault::invalid(
            "QRY-001",
            "context.case_reference",
            "a case reference is required",
        )
        .retry_after(Duration::from_millis(250));
        let view = FaultView::from(&Status::from(fault));
        assert_eq!(view.code, Code::InvalidArgument);
        assert_eq!(view.rule, "QRY-001");
        assert_eq!(view.field.as_deref(), Some("context.case_reference"));
        assert_eq!(view.retry_after, Some(Duration::from_millis(250)));
        assert_eq!(view.message, "a case reference is required");
    }
}
