//! The table: each RPC, its rule, and what an admitted caller gets for an empty message.

use std::fmt;

use identity_dev::service::Service;
use tonic::Code;

use Admitted::{Invalid, Ok as Succeeds, Refused};
use Rule::{Authenticated, Permission, Public, SelfOr, Service as ServiceOnly};

/// A status code and a reason; `Code::Ok` has an empty reason.
pub(super) type Expected = (Code, &'static str);

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule<'a> {
    Public,
    Authenticated,
    Permission(&'a str),
    /// The permission and the field that names the user.
    SelfOr(&'a str, &'a str),
    /// The scope.
    Service(&'a str),
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => write!(f, "public"),
            Self::Authenticated => write!(f, "authenticated"),
            Self::Permission(name) => write!(f, "permission {name}"),
            Self::SelfOr(name, field) => write!(f, "the user of {field} or permission {name}"),
            Self::Service(scope) => write!(f, "service with scope {scope}"),
        }
    }
}

/// What a caller who is let in gets for an empty message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    Ok,
    /// Refused for its fields.
    Invalid,
    /// Refused as unauthenticated with this reason.
    Refused(&'static str),
}

impl Admitted {
    pub(super) fn expected(self) -> Expected {
        match self {
            Self::Ok => (Code::Ok, ""),
            Self::Invalid => (Code::InvalidArgument, "INVALID_FIELDS"),
            Self::Refused(reason) => (Code::Unauthenticated, reason),
        }
    }
}

/// One RPC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) rule: Rule<'static>,
    pub(super) admitted: Admitted,
}

impl Row {
    /// Which service serves it.
    pub(super) fn service(&self) -> Service {
        if self.path.starts_with("/identity.user.") {
            Service::User
        } else {
            Service::Auth
        }
    }
}

/// The reason as a constant, so that cells compare; one that the table does not know is shown as it is.
pub(super) fn known_reason(reason: &str) -> &'static str {
    // A few strings in a test that ends soon.
    reason.to_owned().leak()
}

const fn row(path: &'static str, rule: Rule<'static>, admitted: Admitted) -> Row {
    Row {
        path,
        rule,
        admitted,
    }
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("/identity.user.v1.UserService/CreateUser", Permission("users.create"), Invalid),
    row("/identity.user.v1.UserService/GetUser", SelfOr("users.read", "user_id"), Invalid),
    row("/identity.user.v1.UserService/BatchGetUsers", Permission("users.read"), Invalid),
    row("/identity.user.v1.UserService/ListUsers", Permission("users.read"), Succeeds),
    row("/identity.user.v1.UserService/UpdateUser", SelfOr("users.update", "user_id"), Invalid),
    row("/identity.user.v1.UserService/DeleteUser", Permission("users.delete"), Invalid),
    row("/identity.user.v1.UserService/ActivateUser", Permission("users.set_status"), Invalid),
    row("/identity.user.v1.UserService/DeactivateUser", Permission("users.set_status"), Invalid),
    row("/identity.user.v1.UserService/SuspendUser", Permission("users.set_status"), Invalid),
    row("/identity.user.v1.UserService/ConfirmEmail", Public, Invalid),
    row("/identity.user.v1.UserService/ExportUser", SelfOr("users.export", "user_id"), Invalid),
    row("/identity.user.v1.UserService/ExportUsers", Permission("users.export"), Succeeds),
    row("/identity.user.v1.UserService/ImportUsers", Permission("users.import"), Invalid),
    row("/identity.user.v1.UserService/RegisterUser", Public, Invalid),
    row("/identity.user.v1.UserService/RequestEmailChange", Authenticated, Invalid),

    row("/identity.user.v1.UserTypeService/CreateUserType", Permission("user_types.create"), Invalid),
    row("/identity.user.v1.UserTypeService/GetUserType", Permission("user_types.read"), Invalid),
    row("/identity.user.v1.UserTypeService/ListUserTypes", Permission("user_types.read"), Succeeds),
    row("/identity.user.v1.UserTypeService/UpdateUserType", Permission("user_types.update"), Invalid),
    row("/identity.user.v1.UserTypeService/DeleteUserType", Permission("user_types.delete"), Invalid),

    row("/identity.user.v1.RoleService/CreateRole", Permission("roles.create"), Invalid),
    row("/identity.user.v1.RoleService/GetRole", Permission("roles.read"), Invalid),
    row("/identity.user.v1.RoleService/ListRoles", Permission("roles.read"), Succeeds),
    row("/identity.user.v1.RoleService/UpdateRole", Permission("roles.update"), Invalid),
    row("/identity.user.v1.RoleService/DeleteRole", Permission("roles.delete"), Invalid),
    row("/identity.user.v1.RoleService/GrantRolePermissions", Permission("roles.grant"), Invalid),
    row("/identity.user.v1.RoleService/RevokeRolePermissions", Permission("roles.grant"), Invalid),
    row("/identity.user.v1.RoleService/AssignRoles", Permission("roles.assign"), Invalid),
    row("/identity.user.v1.RoleService/BatchAssignRoles", Permission("roles.assign"), Invalid),
    row("/identity.user.v1.RoleService/UnassignRoles", Permission("roles.assign"), Invalid),
    row("/identity.user.v1.RoleService/ListUserRoles", SelfOr("roles.read", "user_id"), Invalid),

    row("/identity.user.v1.PermissionService/CreatePermission", Permission("permissions.create"), Invalid),
    row("/identity.user.v1.PermissionService/GetPermission", Permission("permissions.read"), Invalid),
    row("/identity.user.v1.PermissionService/ListPermissions", Permission("permissions.read"), Succeeds),
    row("/identity.user.v1.PermissionService/UpdatePermission", Permission("permissions.update"), Invalid),
    row("/identity.user.v1.PermissionService/DeletePermission", Permission("permissions.delete"), Invalid),
    row("/identity.user.v1.PermissionService/GrantUserPermissions", Permission("permissions.grant"), Invalid),
    row("/identity.user.v1.PermissionService/RevokeUserPermissions", Permission("permissions.grant"), Invalid),
    row("/identity.user.v1.PermissionService/ListUserPermissions", SelfOr("permissions.read", "user_id"), Invalid),
    row("/identity.user.v1.PermissionService/CheckPermissions", SelfOr("permissions.read", "user_id"), Invalid),

    row("/identity.user.v1.RevisionService/AwaitRevision", Authenticated, Invalid),
    row("/identity.user.v1.SubscriptionService/CancelSubscription", Permission("subscriptions.cancel"), Invalid),
    row("/identity.user.v1.SubscriptionService/CreateSubscription", Permission("subscriptions.create"), Invalid),
    row("/identity.user.v1.SubscriptionService/GetSubscription", SelfOr("subscriptions.read", "user_id"), Invalid),
    row("/identity.user.v1.SubscriptionService/ListSubscriptions", Permission("subscriptions.read"), Succeeds),
    row("/identity.user.v1.SubscriptionService/RenewSubscription", Permission("subscriptions.renew"), Invalid),
    row("/identity.user.v1.SubscriptionService/UpdateSubscription", Permission("subscriptions.update"), Invalid),
    row("/identity.user.v1.AuditService/ListAuditEvents", Permission("audit.read"), Succeeds),

    row("/identity.user.v1.CredentialService/GetCredential", ServiceOnly("credentials"), Invalid),
    row("/identity.user.v1.CredentialService/SetPasswordHash", ServiceOnly("credentials"), Invalid),
    row("/identity.user.v1.CredentialService/GetAccessSnapshot", ServiceOnly("credentials"), Invalid),
    row("/identity.user.v1.CredentialService/ConfirmEmailAddress", ServiceOnly("credentials"), Invalid),
    row("/identity.user.v1.CredentialService/CreateFederatedUser", ServiceOnly("credentials"), Invalid),
    row("/identity.user.v1.CredentialService/ClaimPendingMails", ServiceOnly("credentials"), Succeeds),

    row("/identity.user.v1.ChangeFeedService/Watch", ServiceOnly("change_feed"), Invalid),

    row("/identity.auth.v1.AuthService/Login", Public, Invalid),
    row("/identity.auth.v1.AuthService/ContinueLogin", Public, Invalid),
    row("/identity.auth.v1.AuthService/RefreshToken", Public, Invalid),
    row("/identity.auth.v1.AuthService/Logout", Authenticated, Succeeds),
    row("/identity.auth.v1.AuthService/ValidateToken", Public, Refused("TOKEN_MISSING")),

    row("/identity.auth.v1.SessionService/ListSessions", SelfOr("sessions.read", "user_id"), Invalid),
    row("/identity.auth.v1.SessionService/RevokeSession", SelfOr("sessions.revoke", "user_id"), Invalid),
    row("/identity.auth.v1.SessionService/RevokeAllSessions", SelfOr("sessions.revoke", "user_id"), Invalid),

    row("/identity.auth.v1.SigningKeyService/ListSigningKeys", Permission("signing_keys.read"), Succeeds),

    row("/identity.auth.v1.AccessFeedService/Watch", ServiceOnly("access_feed"), Invalid),
];
