//! The one builder of errors: from a reason of the contract to a gRPC status with its details.

use std::{borrow::Cow, collections::HashMap, fmt, time::Duration};

pub use identity_proto::error::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "identity";

const REASON_PREFIX: &str = "ERROR_REASON_";

/// Why a call failed: exactly one reason, a text for people, and the details that fit.
///
/// What stands here reaches the caller. Texts of drivers and libraries do not belong in it.
#[derive(Clone)]
pub struct Failure(Box<Content>);

// Boxed, so that a `Result` with this error stays small.
#[derive(Clone)]
struct Content {
    reason: ErrorReason,
    message: Cow<'static, str>,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
}

impl Failure {
    /// A failure with a text for people.
    #[must_use]
    pub fn new(reason: ErrorReason, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Content {
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            details: ErrorDetails::new(),
        }))
    }

    /// `INVALID_FIELDS` with every violated field: pairs of a field's path and what is wrong with it.
    #[must_use]
    pub fn invalid_fields<F, D>(violations: impl IntoIterator<Item = (F, D)>) -> Self
    where
        F: Into<String>,
        D: Into<String>,
    {
        Self::new(
            ErrorReason::InvalidFields,
            "one or more fields are malformed",
        )
        .with_violations(violations)
    }

    /// `PERMISSION_REQUIRED`, naming the permission.
    #[must_use]
    pub fn permission_required(permission: &str) -> Self {
        Self::new(
            ErrorReason::PermissionRequired,
            format!("this call needs the permission {permission}"),
        )
        .with_metadata("permission", permission)
    }

    /// `DEPENDENCY_UNAVAILABLE`: what does not answer, and when to come back.
    #[must_use]
    pub fn unavailable(what: &str, retry_after: Duration) -> Self {
        Self::new(
            ErrorReason::DependencyUnavailable,
            format!("{what} does not answer"),
        )
        .with_retry_after(retry_after)
    }

    /// INTERNAL, which tells nothing. The cause belongs in the log, where it was met.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorReason::Internal, "a defect of the server")
    }

    /// One of the `NOT_FOUND` reasons, naming the object by its type and id.
    #[must_use]
    pub fn not_found(reason: ErrorReason, resource_type: &str, id: &str) -> Self {
        Self::new(reason, format!("no such {resource_type}")).with_resource(resource_type, id)
    }

    /// Adds metadata to the `ErrorInfo`.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a violated field to the `BadRequest`.
    #[must_use]
    pub fn with_violation(
        mut self,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.details.add_bad_request_violation(field, description);
        self
    }

    /// Adds violated fields to the `BadRequest`.
    #[must_use]
    pub fn with_violations<F, D>(self, violations: impl IntoIterator<Item = (F, D)>) -> Self
    where
        F: Into<String>,
        D: Into<String>,
    {
        violations
            .into_iter()
            .fold(self, |failure, (field, description)| {
                failure.with_violation(field, description)
            })
    }

    /// Sets the `RetryInfo`.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.details.set_retry_info(Some(delay));
        self
    }

    /// Sets the `ResourceInfo`.
    #[must_use]
    pub fn with_resource(
        mut self,
        resource_type: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        self.0
            .details
            .set_resource_info(resource_type, name, "", "");
        self
    }

    /// Adds a violation to the `PreconditionFailure`.
    #[must_use]
    pub fn with_precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0
            .details
            .add_precondition_failure_violation(kind, subject, description);
        self
    }

    /// Sets the `RequestInfo`: the id to report a defect with.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.0.details.set_request_info(request_id, "");
        self
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> ErrorReason {
        self.0.reason
    }

    /// The gRPC code of the reason.
    #[must_use]
    pub fn code(&self) -> Code {
        code_of(self.0.reason)
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// The reason in a status that a service of this contract answered; `None` for any other.
#[must_use]
pub fn reason_of(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info()?;
    if info.domain != DOMAIN {
        return None;
    }
    ErrorReason::from_str_name(&format!("{REASON_PREFIX}{}", info.reason))
}

/// A reason as it stands in `ErrorInfo`: without the prefix of the enum.
#[must_use]
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

/// The gRPC code that belongs to a reason.
#[must_use]
pub fn code_of(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidFields | ErrorReason::MalformedMessage => Code::InvalidArgument,
        ErrorReason::InvalidCredentials
        | ErrorReason::TokenMissing
        | ErrorReason::TokenInvalid
        | ErrorReason::TokenExpired
        | ErrorReason::TokenRevoked
        | ErrorReason::RefreshTokenInvalid
        | ErrorReason::ChallengeInvalid
        | ErrorReason::ReauthenticationRequired
        | ErrorReason::EmailTokenInvalid
        | ErrorReason::ServiceIdentityRequired => Code::Unauthenticated,
        ErrorReason::AccountSuspended
        | ErrorReason::AccountInactive
        | ErrorReason::PermissionRequired
        | ErrorReason::ScopeRequired
        | ErrorReason::GrantExceedsCaller => Code::PermissionDenied,
        ErrorReason::UserNotFound
        | ErrorReason::UserTypeNotFound
        | ErrorReason::RoleNotFound
        | ErrorReason::PermissionNotFound
        | ErrorReason::SessionNotFound
        | ErrorReason::SubscriptionNotFound
        | ErrorReason::PlanNotFound
        | ErrorReason::NotFound => Code::NotFound,
        ErrorReason::UsernameTaken
        | ErrorReason::EmailTaken
        | ErrorReason::NameTaken
        | ErrorReason::SubscriptionExists => Code::AlreadyExists,
        ErrorReason::LastAdministrator
        | ErrorReason::BuiltIn
        | ErrorReason::InUse
        | ErrorReason::LimitReached
        | ErrorReason::ListTooBroad
        | ErrorReason::SelfRegistrationOff
        | ErrorReason::SubscriptionExpired
        | ErrorReason::SubscriptionEndless => Code::FailedPrecondition,
        ErrorReason::EtagMismatch | ErrorReason::Conflict | ErrorReason::RequestIdReused => {
            Code::Aborted
        }
        ErrorReason::TooManyAttempts | ErrorReason::Overloaded | ErrorReason::MessageTooLarge => {
            Code::ResourceExhausted
        }
        ErrorReason::DependencyUnavailable | ErrorReason::RevisionNotReached => Code::Unavailable,
        ErrorReason::DeadlinePassed => Code::DeadlineExceeded,
        ErrorReason::MethodNotFound => Code::Unimplemented,
        ErrorReason::Internal | ErrorReason::Unspecified => Code::Internal,
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("reason", &reason_name(self.0.reason))
            .field("message", &self.0.message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", reason_name(self.0.reason), self.0.message)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let Content {
            reason,
            message,
            metadata,
            mut details,
        } = *failure.0;
        details.set_error_info(reason_name(reason), DOMAIN, metadata);
        Status::with_error_details(code_of(reason), message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_one_error_info_and_every_violation() {
        let status = Status::from(Failure::invalid_fields([
            ("email", "is not an address"),
            ("first_name", "is longer than 100 characters"),
        ]));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().expect("has an ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INVALID_FIELDS", "identity")
        );
        let violations = &details
            .bad_request()
            .expect("has a BadRequest")
            .field_violations;
        assert_eq!(violations.len(), 2);
        assert_eq!(violations[1].field, "first_name");
    }

    #[test]
    fn the_other_details_arrive() {
        let status = Status::from(
            Failure::not_found(ErrorReason::RoleNotFound, "role", "r1")
                .with_precondition("IN_USE", "role/r1", "three users have it")
                .with_retry_after(Duration::from_secs(2))
                .with_request_id("q1")
                .with_metadata("k", "v"),
        );
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(details.resource_info().expect("set").resource_name, "r1");
        assert_eq!(
            details
                .precondition_failure()
                .expect("set")
                .violations
                .len(),
            1
        );
        assert_eq!(
            details.retry_info().expect("set").retry_delay,
            Some(Duration::from_secs(2))
        );
        assert_eq!(details.request_info().expect("set").request_id, "q1");
        assert_eq!(details.error_info().expect("set").metadata["k"], "v");
    }

    #[test]
    fn a_reason_is_read_back_only_from_our_domain() {
        let ours = Status::from(Failure::permission_required("users.read"));
        assert_eq!(reason_of(&ours), Some(ErrorReason::PermissionRequired));
        let theirs = Status::with_error_details(
            Code::PermissionDenied,
            "",
            ErrorDetails::with_error_info("PERMISSION_REQUIRED", "example.org", HashMap::new()),
        );
        assert_eq!(reason_of(&theirs), None);
        assert_eq!(reason_of(&Status::internal("")), None);
    }
}
