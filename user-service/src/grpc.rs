//! The services on the wire: one RPC a file, each parses, acts and renders.

mod audit;
mod context;
pub(crate) mod convert;
mod credential;
mod fields;
mod permission;
mod revision;
mod role;
mod status;
mod subscription;
mod user;
mod user_type;

pub use audit::AuditEvents;
pub use context::Context;
pub use credential::Credentials;
pub use permission::Permissions;
pub use revision::Revisions;
pub use role::Roles;
pub use subscription::Subscriptions;
pub use user::Users;
pub use user_type::UserTypes;
