//! Rights: what a user holds, and where it comes from.

use identity_guard::{clock::Timestamp, position::Position};

use super::{
    id::{PermissionId, RoleId, UserId},
    name::{PermissionName, RoleName},
    permission::Permission,
    plan::PlanName,
    role::Role,
    user::UserStatus,
};

/// The most roles that one user can have: a token and an answer carry them all.
pub const MAX_ROLES: u64 = 100;

/// The most permissions that one user can have directly.
pub const MAX_DIRECT_PERMISSIONS: u64 = 100;

/// A user's status and rights at one position of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSnapshot {
    /// The user.
    pub user_id: UserId,
    /// Whether the user may use the system.
    pub status: UserStatus,
    /// The user's roles, by name.
    pub roles: Vec<RoleGrant>,
    /// Permissions given to the user directly, by name.
    pub direct: Vec<DirectGrant>,
    /// Everything the user holds, through roles and directly, sorted.
    pub effective: Vec<PermissionName>,
    /// The plan of a subscription that counts.
    pub plan: Option<CurrentPlan>,
    /// Where the feed stood when all of this was read.
    pub position: Position,
}

/// The plan of a subscription that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentPlan {
    /// Its name; what it entitles to is configured.
    pub name: PlanName,
    /// When the subscription ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// A role of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleGrant {
    /// The role.
    pub id: RoleId,
    /// Its name.
    pub name: RoleName,
    /// When the assignment ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// A direct permission of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectGrant {
    /// The permission.
    pub id: PermissionId,
    /// Its name.
    pub name: PermissionName,
    /// When the grant ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// A role that a user has, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedRole {
    /// The role.
    pub role: Role,
    /// When the assignment ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// Roles for one user, of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// The user.
    pub user_id: UserId,
    /// The roles, each once.
    pub role_ids: Vec<RoleId>,
    /// When they end by themselves; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// What became of one item of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignOutcome {
    /// Some of the roles were not the user's, or had another end.
    Assigned,
    /// Everything was as asked for already.
    Unchanged,
    /// No such user.
    UserNotFound,
    /// No such role.
    RoleNotFound,
    /// The caller does not hold as much.
    GrantExceedsCaller,
    /// More roles than one user can have.
    LimitReached,
    /// Nobody would be left who may do everything.
    LastAdministrator,
}

/// What giving has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// How many of what was given the user did not have.
    pub new: u64,
    /// How many the user had with another end.
    pub changed: u64,
}

/// Where a permission of a user comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What gives it.
    pub giver: Giver,
    /// When that ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// What gives a permission to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Giver {
    /// A direct grant.
    Direct,
    /// A role.
    Role(RoleName),
}

/// A permission that a user holds, with everything that gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectivePermission {
    /// The permission.
    pub permission: Permission,
    /// The direct grant first, then roles by name.
    pub sources: Vec<Source>,
}

/// What the store knows about one permission and one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The permission.
    pub name: PermissionName,
    /// What gives it to the user; empty when nothing does.
    pub sources: Vec<Source>,
    /// Roles that would give it, by name.
    pub granting_roles: Vec<RoleName>,
}

/// Why a check was answered as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckReason {
    /// The user holds the permission.
    Granted,
    /// The user does not hold it.
    PermissionMissing,
    /// No permission has this name.
    PermissionUnknown,
    /// The user may do nothing.
    UserNotActive,
}

impl CheckReason {
    /// Decides one check.
    #[must_use]
    pub const fn decide(status: UserStatus, standing: Option<&Standing>) -> Self {
        match (status, standing) {
            (_, None) => Self::PermissionUnknown,
            (UserStatus::Inactive | UserStatus::Suspended, Some(_)) => Self::UserNotActive,
            (UserStatus::Active, Some(standing)) if standing.sources.is_empty() => {
                Self::PermissionMissing
            }
            (UserStatus::Active, Some(_)) => Self::Granted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_holder_may() {
        let held = Standing {
            name: PermissionName::parse("a").unwrap(),
            sources: vec![Source {
                giver: Giver::Direct,
                ends_at: None,
            }],
            granting_roles: vec![],
        };
        let missing = Standing {
            sources: vec![],
            ..held.clone()
        };
        assert_eq!(
            CheckReason::decide(UserStatus::Active, Some(&held)),
            CheckReason::Granted
        );
        assert_eq!(
            CheckReason::decide(UserStatus::Active, Some(&missing)),
            CheckReason::PermissionMissing
        );
        assert_eq!(
            CheckReason::decide(UserStatus::Active, None),
            CheckReason::PermissionUnknown
        );
        for status in [UserStatus::Inactive, UserStatus::Suspended] {
            assert_eq!(
                CheckReason::decide(status, Some(&held)),
                CheckReason::UserNotActive
            );
        }
    }
}
