//! What the feed tells: each change of people, rights, roles, permissions, types and subscriptions.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use identity_guard::{clock::Timestamp, position::Position};

use super::{
    credential::ChangeCause,
    id::{PermissionId, RoleId, UserId, UserTypeId},
    identifier::OperationId,
    name::{PermissionName, RoleName},
    user::UserStatus,
};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A user was created.
    UserCreated(UserId),
    /// A profile changed.
    UserUpdated(UserId),
    /// A status changed.
    UserStatusChanged(UserId, UserStatus),
    /// A user was deleted.
    UserDeleted(UserId),
    /// Roles or direct permissions of a user changed.
    UserRightsChanged(UserId),
    /// A password hash changed.
    PasswordChanged(PasswordChanged),
    /// A role was created, or it or its permissions changed: as it is now.
    RoleChanged(RolePolicy),
    /// A role was deleted.
    RoleDeleted(RoleId),
    /// A permission was created or changed.
    PermissionChanged(PermissionId, PermissionName),
    /// A permission was deleted.
    PermissionDeleted(PermissionId, PermissionName),
    /// A type of users was created, changed or deleted.
    UserTypeChanged(UserTypeId),
    /// A subscription was created, changed, cancelled or renewed, or has ended.
    SubscriptionChanged(UserId),
}

impl Change {
    /// The user whose status, rights or features it changes, where it is one alone.
    #[must_use]
    pub const fn subject(&self) -> Option<&UserId> {
        match self {
            Self::UserStatusChanged(id, _)
            | Self::UserDeleted(id)
            | Self::UserRightsChanged(id)
            | Self::SubscriptionChanged(id) => Some(id),
            Self::UserCreated(_)
            | Self::UserUpdated(_)
            | Self::PasswordChanged(_)
            | Self::RoleChanged(_)
            | Self::RoleDeleted(_)
            | Self::PermissionChanged(..)
            | Self::PermissionDeleted(..)
            | Self::UserTypeChanged(_) => None,
        }
    }
}

/// A change and when it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The change.
    pub change: Change,
    /// When.
    pub at: Timestamp,
}

/// A password hash that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChanged {
    /// Whose.
    pub user_id: UserId,
    /// By which operation.
    pub operation_id: OperationId,
    /// Why.
    pub cause: ChangeCause,
    /// The session that goes on.
    pub spared_session_id: Option<String>,
    /// The version of the credential after it.
    pub credential_version: u64,
}

/// What a role gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePolicy {
    /// The role.
    pub id: RoleId,
    /// Its name.
    pub name: RoleName,
    /// Whether it is `admin`, which holds everything and lists nothing here.
    pub built_in: bool,
    /// Its permissions, sorted.
    pub permissions: Vec<PermissionName>,
}

/// Everything that a follower of the feed has to know at one position: the policy, and who changed lately.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    roles: BTreeMap<RoleId, RolePolicy>,
    /// The last change of each user that changed above the floor.
    subjects: BTreeMap<UserId, u64>,
    /// The same changes in their order, which the floor follows; a user may stand there more than once.
    recent: VecDeque<(u64, UserId)>,
    floor: u64,
}

impl Policy {
    /// Most changes of users that are remembered; the floor rises above older ones.
    pub const MAX_RECENT: usize = 16_384;

    /// The roles at a revision, above which nobody has changed.
    #[must_use]
    pub fn new(roles: Vec<RolePolicy>, floor: u64) -> Self {
        Self {
            roles: roles
                .into_iter()
                .map(|role| (role.id.clone(), role))
                .collect(),
            floor,
            ..Self::default()
        }
    }

    /// No user but those remembered has changed above this revision.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The next roles behind one, in the order of their ids.
    pub fn roles_after(&self, after: Option<&RoleId>) -> impl Iterator<Item = &RolePolicy> {
        behind(&self.roles, after).map(|(_, role)| role)
    }

    /// The next users behind one, in the order of their ids, each with the last change.
    pub fn subjects_after(&self, after: Option<&UserId>) -> impl Iterator<Item = (&UserId, u64)> {
        behind(&self.subjects, after).map(|(id, revision)| (id, *revision))
    }

    /// Takes a change; perhaps one that it has taken before.
    pub fn add(&mut self, position: &Position, change: &Change) {
        match change {
            Change::RoleChanged(role) => {
                self.roles.insert(role.id.clone(), role.clone());
            }
            Change::RoleDeleted(id) => {
                self.roles.remove(id);
            }
            Change::PermissionDeleted(_, name) => {
                for role in self.roles.values_mut() {
                    role.permissions.retain(|held| held != name);
                }
            }
            _ => {}
        }
        if let Some(id) = change.subject() {
            self.remember(id, position.revision);
        }
    }

    /// Remembers that a user changed, as far as that is above the floor.
    pub fn remember(&mut self, id: &UserId, revision: u64) {
        if revision <= self.floor {
            return;
        }
        self.subjects.insert(id.clone(), revision);
        self.recent.push_back((revision, id.clone()));
        if self.recent.len() > Self::MAX_RECENT
            && let Some((oldest, id)) = self.recent.pop_front()
        {
            self.floor = oldest;
            if self.subjects.get(&id) == Some(&oldest) {
                self.subjects.remove(&id);
            }
        }
    }
}

fn behind<'m, K: Ord, V>(
    map: &'m BTreeMap<K, V>,
    after: Option<&K>,
) -> impl Iterator<Item = (&'m K, &'m V)> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range((from, Bound::Unbounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name.to_owned())
    }

    fn role(id: &str, permissions: &[&str]) -> RolePolicy {
        RolePolicy {
            id: RoleId::new(id.to_owned()),
            name: RoleName::parse(id).unwrap(),
            built_in: false,
            permissions: permissions
                .iter()
                .map(|name| PermissionName::parse(name).unwrap())
                .collect(),
        }
    }

    fn subjects(policy: &Policy) -> Vec<(String, u64)> {
        policy
            .subjects_after(None)
            .map(|(id, revision)| (id.as_str().to_owned(), revision))
            .collect()
    }

    #[test]
    fn the_last_change_of_each_user_is_remembered() {
        let mut policy = Policy::new(Vec::new(), 4);
        for (revision, name) in [(4, "old"), (5, "a"), (6, "b"), (7, "a")] {
            policy.add(
                &Position::new("e", revision),
                &Change::UserDeleted(user(name)),
            );
        }
        assert_eq!(
            subjects(&policy),
            [("a".to_owned(), 7), ("b".to_owned(), 6)]
        );
        assert_eq!(policy.floor(), 4);
    }

    #[test]
    fn beyond_its_cap_it_raises_the_floor_and_never_forgets_above_it() {
        let mut policy = Policy::new(Vec::new(), 0);
        let last = Policy::MAX_RECENT as u64 + 2;
        for revision in 1..=last {
            // One user who changes all the time, and others.
            let name = if revision % 2 == 0 {
                "busy".to_owned()
            } else {
                format!("u{revision}")
            };
            policy.remember(&user(&name), revision);
        }
        assert_eq!(policy.floor(), 2);
        let subjects = subjects(&policy);
        assert!(!subjects.iter().any(|(name, _)| name == "u1"));
        assert!(subjects.contains(&("u3".to_owned(), 3)));
        assert!(subjects.contains(&("busy".to_owned(), last)));
    }

    #[test]
    fn a_deleted_permission_is_of_no_role_any_more() {
        let mut policy = Policy::new(vec![role("editor", &["a.read", "b.read"])], 0);
        let id = PermissionId::new("p".to_owned());
        let name = PermissionName::parse("a.read").unwrap();
        policy.add(&Position::new("e", 1), &Change::PermissionDeleted(id, name));
        let left: Vec<_> = policy.roles_after(None).cloned().collect();
        assert_eq!(left, [role("editor", &["b.read"])]);
        policy.add(
            &Position::new("e", 2),
            &Change::RoleDeleted(left[0].id.clone()),
        );
        assert!(policy.roles_after(None).next().is_none());
    }
}
