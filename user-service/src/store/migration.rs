//! The schema, one file a step; a step that was released is never changed. Numbers that are missing were never used.

use identity_kit::{
    migrate::{Schema, Step},
    steps,
};
use sea_orm::Value;

mod m0001_user_types;
mod m0002_users;
mod m0003_credentials;
mod m0004_roles;
mod m0005_permissions;
mod m0006_grants;
mod m0007_feed;
mod m0008_request_log;
mod m0009_user_lists;
mod m0010_ends;
mod m0011_upkeep_lease;
mod m0012_subscriptions;
mod m0013_user_imports;
mod m0016_feed_watchers;
mod m0017_audit;
mod m0020_username_skeletons;
mod m0021_user_search;
mod m0022_email_proofs;
mod m0023_feed_past;
mod m0026_passwords_with_proofs;

/// The schema of this service.
#[derive(Debug)]
pub struct Migrator;

impl Schema for Migrator {
    const STEPS: &'static [Step] = steps![
        m0001_user_types,
        m0002_users,
        m0003_credentials,
        m0004_roles,
        m0005_permissions,
        m0006_grants,
        m0007_feed,
        m0008_request_log,
        m0009_user_lists,
        m0010_ends,
        m0011_upkeep_lease,
        m0012_subscriptions,
        m0013_user_imports,
        m0016_feed_watchers,
        m0017_audit,
        m0020_username_skeletons,
        m0021_user_search,
        m0022_email_proofs,
        m0023_feed_past,
        m0026_passwords_with_proofs,
    ];
}

/// The places of pairs in a list of values, `($1, $2), ($3, $4)`, and the values.
fn values(rows: &[(&str, &str)]) -> (String, Vec<Value>) {
    let places: Vec<_> = (0..rows.len())
        .map(|row| format!("(${}, ${})", 2 * row + 1, 2 * row + 2))
        .collect();
    let values = rows
        .iter()
        .flat_map(|(left, right)| [Value::from(*left), Value::from(*right)])
        .collect();
    (places.join(", "), values)
}

#[cfg(test)]
mod tests;
