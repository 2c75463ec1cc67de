//! Domain to wire, and the enums of the wire to the domain.

use identity_kit::{clock::Timestamp, position::Position, status::Failure};
use identity_proto::user::v1 as wire;

use crate::domain::{
    access::{
        AccessSnapshot, AssignOutcome, AssignedRole, CheckReason, EffectivePermission, Giver,
        Source,
    },
    address::Address,
    name::{PermissionName, RoleName},
    permission::Permission,
    phone::Phone,
    plan::{PlanName, Plans},
    role::Role,
    subscription::{Subscription, SubscriptionStatus},
    user::{User, UserStatus},
    user_type::UserType,
};

pub(super) fn user(user: User) -> wire::User {
    wire::User {
        etag: user.etag().to_string(),
        id: user.id.into_string(),
        username: user.username.into_string(),
        email: user.email.into_string(),
        email_verified: user.email_verified,
        first_name: user.first_name.into_string(),
        last_name: user.last_name.into_string(),
        phone: user.phone.map(Phone::into_string).unwrap_or_default(),
        address: user.address.map(address),
        status: status(user.status).into(),
        status_reason: user.status_reason.into_string(),
        user_type_id: user.user_type_id.into_string(),
        create_time: time(user.created_at),
        update_time: time(user.updated_at),
    }
}

pub(super) fn address(address: Address) -> wire::Address {
    wire::Address {
        street: address.street,
        extra: address.extra,
        city: address.city,
        region: address.region,
        postal_code: address.postal_code,
        country_code: address.country_code,
    }
}

pub(super) fn address_parts(address: wire::Address) -> Address {
    Address {
        street: address.street,
        extra: address.extra,
        city: address.city,
        region: address.region,
        postal_code: address.postal_code,
        country_code: address.country_code,
    }
}

pub(crate) const fn status(status: UserStatus) -> wire::UserStatus {
    match status {
        UserStatus::Active => wire::UserStatus::Active,
        UserStatus::Inactive => wire::UserStatus::Inactive,
        UserStatus::Suspended => wire::UserStatus::Suspended,
    }
}

/// A status as a filter: unspecified means any.
pub(super) const fn status_filter(status: wire::UserStatus) -> Option<UserStatus> {
    match status {
        wire::UserStatus::Unspecified => None,
        wire::UserStatus::Active => Some(UserStatus::Active),
        wire::UserStatus::Inactive => Some(UserStatus::Inactive),
        wire::UserStatus::Suspended => Some(UserStatus::Suspended),
    }
}

pub(super) fn role(role: Role) -> wire::Role {
    wire::Role {
        etag: role.etag().to_string(),
        id: role.id.into_string(),
        name: role.name.into_string(),
        description: role.description.into_string(),
        built_in: role.built_in,
        create_time: time(role.created_at),
        update_time: time(role.updated_at),
    }
}

pub(super) const fn assign_outcome(outcome: AssignOutcome) -> wire::AssignOutcome {
    match outcome {
        AssignOutcome::Assigned => wire::AssignOutcome::Assigned,
        AssignOutcome::Unchanged => wire::AssignOutcome::Unchanged,
        AssignOutcome::UserNotFound => wire::AssignOutcome::UserNotFound,
        AssignOutcome::RoleNotFound => wire::AssignOutcome::RoleNotFound,
        AssignOutcome::GrantExceedsCaller => wire::AssignOutcome::GrantExceedsCaller,
        AssignOutcome::LimitReached => wire::AssignOutcome::LimitReached,
        AssignOutcome::LastAdministrator => wire::AssignOutcome::LastAdministrator,
    }
}

/// When an assignment ends by itself; nothing when it never does.
pub(super) fn role_end(assigned: &AssignedRole) -> Option<wire::RoleEnd> {
    let ends_at = assigned.ends_at?;
    Some(wire::RoleEnd {
        role_id: assigned.role.id.as_str().to_owned(),
        expire_time: time(ends_at),
    })
}

pub(super) fn permission(permission: Permission) -> wire::Permission {
    wire::Permission {
        etag: permission.etag().to_string(),
        id: permission.id.into_string(),
        name: permission.name.into_string(),
        description: permission.description.into_string(),
        built_in: permission.built_in,
        create_time: time(permission.created_at),
        update_time: time(permission.updated_at),
    }
}

pub(super) fn user_type(user_type: UserType) -> wire::UserType {
    wire::UserType {
        etag: user_type.etag().to_string(),
        id: user_type.id.into_string(),
        name: user_type.name.into_string(),
        description: user_type.description.into_string(),
        built_in: user_type.built_in,
        create_time: time(user_type.created_at),
        update_time: time(user_type.updated_at),
    }
}

pub(super) fn effective_permission(effective: EffectivePermission) -> wire::EffectivePermission {
    wire::EffectivePermission {
        permission: Some(permission(effective.permission)),
        sources: sources(effective.sources),
    }
}

pub(super) fn sources(sources: Vec<Source>) -> Vec<wire::PermissionSource> {
    use wire::permission_source::Source as Wire;
    sources
        .into_iter()
        .map(|source| wire::PermissionSource {
            source: Some(match source.giver {
                Giver::Direct => Wire::Direct(true),
                Giver::Role(name) => Wire::Role(name.into_string()),
            }),
            expire_time: source.ends_at.map(Into::into),
        })
        .collect()
}

pub(super) const fn check_reason(reason: CheckReason) -> wire::CheckReason {
    match reason {
        CheckReason::Granted => wire::CheckReason::Granted,
        CheckReason::PermissionMissing => wire::CheckReason::PermissionMissing,
        CheckReason::PermissionUnknown => wire::CheckReason::PermissionUnknown,
        CheckReason::UserNotActive => wire::CheckReason::UserNotActive,
    }
}

pub(super) fn subscription(subscription: Subscription, plans: &Plans) -> wire::Subscription {
    let features = match subscription.status {
        SubscriptionStatus::Expired => Vec::new(),
        SubscriptionStatus::Active | SubscriptionStatus::Cancelled => {
            features(plans, &subscription.plan)
        }
    };
    wire::Subscription {
        etag: subscription.etag().to_string(),
        id: subscription.id.into_string(),
        user_id: subscription.user_id.into_string(),
        plan: subscription.plan.into_string(),
        status: subscription_status(subscription.status).into(),
        start_time: time(subscription.starts_at),
        expire_time: subscription.ends_at.map(Into::into),
        features,
        create_time: time(subscription.created_at),
        update_time: time(subscription.updated_at),
    }
}

const fn subscription_status(status: SubscriptionStatus) -> wire::SubscriptionStatus {
    match status {
        SubscriptionStatus::Active => wire::SubscriptionStatus::Active,
        SubscriptionStatus::Cancelled => wire::SubscriptionStatus::Cancelled,
        SubscriptionStatus::Expired => wire::SubscriptionStatus::Expired,
    }
}

/// What a plan entitles to.
pub(super) fn features(plans: &Plans, plan: &PlanName) -> Vec<String> {
    plans
        .features(plan)
        .map(|feature| feature.as_str().to_owned())
        .collect()
}

pub(super) fn access(access: AccessSnapshot, plans: &Plans) -> wire::AccessSnapshot {
    let features = access
        .plan
        .as_ref()
        .map(|plan| features(plans, &plan.name))
        .unwrap_or_default();
    wire::AccessSnapshot {
        features_until_time: access
            .plan
            .and_then(|plan| plan.ends_at)
            .filter(|_| !features.is_empty())
            .map(Into::into),
        features,
        user_id: access.user_id.into_string(),
        status: status(access.status).into(),
        roles: access
            .roles
            .into_iter()
            .map(|grant| wire::RoleGrant {
                role_id: grant.id.into_string(),
                name: grant.name.into_string(),
                until_time: grant.ends_at.map(Into::into),
            })
            .collect(),
        direct_permissions: access
            .direct
            .into_iter()
            .map(|grant| wire::DirectGrant {
                permission_id: grant.id.into_string(),
                name: grant.name.into_string(),
                until_time: grant.ends_at.map(Into::into),
            })
            .collect(),
        effective_permissions: permission_names(access.effective),
        position: Some(position(access.position)),
    }
}

pub(super) fn position(position: Position) -> wire::UserFeedPosition {
    wire::UserFeedPosition {
        epoch: position.epoch,
        revision: position.revision,
    }
}

pub(super) fn permission_names(names: Vec<PermissionName>) -> Vec<String> {
    names.into_iter().map(PermissionName::into_string).collect()
}

pub(super) fn role_names(names: Vec<RoleName>) -> Vec<String> {
    names.into_iter().map(RoleName::into_string).collect()
}

/// A count that is small.
///
/// # Errors
/// INTERNAL when it is not.
pub(super) fn count(count: u64) -> Result<i32, Failure> {
    i32::try_from(count).map_err(|_| Failure::internal())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the wire has every message as optional"
)]
pub(super) fn time(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(at.into())
}
