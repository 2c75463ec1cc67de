//! The tables as the object-relational mapper sees them; nothing outside the store knows them.

pub(super) mod credential;
pub(super) mod permission;
pub(super) mod role;
pub(super) mod role_permission;
pub(super) mod subscription;
pub(super) mod user;
pub(super) mod user_permission;
pub(super) mod user_role;
pub(super) mod user_type;
