//! Rights: what a user holds, and where it comes from.

use identity_guard::position::Position;

use super::{
    id::{PermissionId, RoleId, UserId},
    name::{PermissionName, RoleName},
    permission::Permission,
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
    pub roles: Vec<(RoleId, RoleName)>,
    /// Permissions given to the user directly, by name.
    pub direct: Vec<(PermissionId, PermissionName)>,
    /// Everything the user holds, through roles and directly, sorted.
    pub effective: Vec<PermissionName>,
    /// Where the feed stood when all of this was read.
    pub position: Position,
}

/// Where a permission of a user comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
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
            sources: vec![Source::Direct],
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
