//! What the rules refuse: one closed set, rendered to the wire by one exhaustive match.

use std::time::Duration;

use thiserror::Error;

use super::{
    access::{MAX_DIRECT_PERMISSIONS, MAX_ROLES},
    id::{PermissionId, RoleId, UserId, UserTypeId},
    name::PermissionName,
    plan::PlanName,
};

/// Why a well-formed request was not carried out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// No such user.
    #[error("no such user")]
    UserNotFound(String),
    /// No such type.
    #[error("no such user type")]
    UserTypeNotFound(UserTypeId),
    /// No such role.
    #[error("no such role")]
    RoleNotFound(RoleId),
    /// No such permission.
    #[error("no such permission")]
    PermissionNotFound(PermissionId),
    /// Another user has the username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another user has the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another one has the name.
    #[error("the name is taken")]
    NameTaken,
    /// Nobody would be left who may do everything.
    #[error("the change would leave no active administrator")]
    LastAdministrator,
    /// The system needs it as it is.
    #[error("it is built in and cannot be changed that way")]
    BuiltIn,
    /// Users have the type.
    #[error("users have this type")]
    UserTypeInUse(UserTypeId),
    /// A user would have more roles than one can have.
    #[error("a user can have at most {MAX_ROLES} roles")]
    TooManyRoles(UserId),
    /// A user would have more direct permissions than one can have.
    #[error("a user can have at most {MAX_DIRECT_PERMISSIONS} permissions directly")]
    TooManyPermissions(UserId),
    /// The caller lacks what is to be given or taken, or what the user acted on holds; `None` when the caller lacks
    /// only what comes later.
    #[error("nobody gives what they do not hold, or acts on somebody who holds more")]
    GrantExceedsCaller(Option<PermissionName>),
    /// Somebody asks too often; after this time they may again.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// Nothing waits for the token, or something newer does.
    #[error("the token is not good, or no longer")]
    EmailTokenInvalid,
    /// The database took too long to find what a list asks for.
    #[error("the list would take too long: narrow it by more filters or a longer query")]
    ListTooBroad,
    /// The resource changed since it was read.
    #[error("the resource has changed since it was read")]
    EtagMismatch,
    /// The credential changed since it was read.
    #[error("a race was lost and nothing was changed")]
    Conflict,
    /// The user has a subscription.
    #[error("the user has a subscription, which may have expired")]
    SubscriptionExists,
    /// The user has none, or is not there.
    #[error("no such subscription")]
    SubscriptionNotFound(UserId),
    /// It is over.
    #[error("the subscription has expired")]
    SubscriptionExpired(UserId),
    /// It has no end that could be waited for.
    #[error("the subscription has no end")]
    SubscriptionEndless(UserId),
    /// No such plan is configured.
    #[error("no such plan")]
    PlanNotFound(PlanName),
    /// The request id stands for another request.
    #[error("the request id was used before with another request")]
    RequestIdReused,
}
