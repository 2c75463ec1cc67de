//! Why a call failed, in the contract's words: one exhaustive match, and defects are logged here.

use identity_kit::{
    database::StoreError,
    status::{ErrorReason, Failure},
};

use crate::{
    domain::{name::PermissionName, refusal::Refusal},
    store::Error,
};

/// The type names of `ResourceInfo`.
const USER: &str = "user";
const USER_TYPE: &str = "user_type";
const ROLE: &str = "role";
const PERMISSION: &str = "permission";
const SUBSCRIPTION: &str = "subscription";
const PLAN: &str = "plan";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Failed(error) => {
                match &error {
                    StoreError::Unavailable(_)
                    | StoreError::Conflict
                    | StoreError::UnknownOutcome => {
                        tracing::warn!(error = ?error, "the database did not carry out a call");
                    }
                    StoreError::Unique { .. }
                    | StoreError::ForeignKey
                    | StoreError::Corrupt(_)
                    | StoreError::Other(_) => {
                        tracing::error!(error = ?error, "a call met a defect");
                    }
                }
                error.into()
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::UserNotFound(id) => Self::not_found(ErrorReason::UserNotFound, USER, &id),
            Refusal::UserTypeNotFound(id) => {
                Self::not_found(ErrorReason::UserTypeNotFound, USER_TYPE, id.as_str())
            }
            Refusal::RoleNotFound(id) => {
                Self::not_found(ErrorReason::RoleNotFound, ROLE, id.as_str())
            }
            Refusal::PermissionNotFound(id) => {
                Self::not_found(ErrorReason::PermissionNotFound, PERMISSION, id.as_str())
            }
            Refusal::UsernameTaken => Self::new(ErrorReason::UsernameTaken, text),
            Refusal::EmailTaken => Self::new(ErrorReason::EmailTaken, text),
            Refusal::NameTaken => Self::new(ErrorReason::NameTaken, text),
            Refusal::LastAdministrator => Self::new(ErrorReason::LastAdministrator, text.clone())
                .with_precondition("LAST_ADMINISTRATOR", "role/admin", text),
            Refusal::BuiltIn => Self::new(ErrorReason::BuiltIn, text.clone())
                .with_precondition("BUILT_IN", "", text),
            Refusal::UserTypeInUse(id) => Self::new(ErrorReason::InUse, text.clone())
                .with_precondition("IN_USE", format!("{USER_TYPE}/{id}"), text),
            Refusal::TooManyRoles(id) | Refusal::TooManyPermissions(id) => Self::new(
                ErrorReason::LimitReached,
                text.clone(),
            )
            .with_precondition("LIMIT_REACHED", format!("{USER}/{id}"), text),
            Refusal::GrantExceedsCaller(permission) => {
                Self::new(ErrorReason::GrantExceedsCaller, text).with_metadata(
                    "permission",
                    permission.map_or_else(|| "*".to_owned(), PermissionName::into_string),
                )
            }
            Refusal::TooManyAttempts(retry_after) => {
                Self::new(ErrorReason::TooManyAttempts, text).with_retry_after(retry_after)
            }
            Refusal::EmailTokenInvalid => Self::new(ErrorReason::EmailTokenInvalid, text),
            Refusal::ListTooBroad => Self::new(ErrorReason::ListTooBroad, text.clone())
                .with_precondition("LIST_TOO_BROAD", USER, text),
            Refusal::SubscriptionExists => Self::new(ErrorReason::SubscriptionExists, text),
            Refusal::SubscriptionNotFound(id) => Self::not_found(
                ErrorReason::SubscriptionNotFound,
                SUBSCRIPTION,
                &format!("{USER}/{id}"),
            ),
            Refusal::SubscriptionExpired(id) => Self::new(
                ErrorReason::SubscriptionExpired,
                text.clone(),
            )
            .with_precondition("SUBSCRIPTION_EXPIRED", format!("{USER}/{id}"), text),
            Refusal::SubscriptionEndless(id) => Self::new(
                ErrorReason::SubscriptionEndless,
                text.clone(),
            )
            .with_precondition("SUBSCRIPTION_ENDLESS", format!("{USER}/{id}"), text),
            Refusal::PlanNotFound(name) => {
                Self::not_found(ErrorReason::PlanNotFound, PLAN, name.as_str())
            }
            Refusal::EtagMismatch => Self::new(ErrorReason::EtagMismatch, text),
            Refusal::Conflict => Self::new(ErrorReason::Conflict, text),
            Refusal::RequestIdReused => Self::new(ErrorReason::RequestIdReused, text),
        }
    }
}
