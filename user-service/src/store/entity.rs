//! The tables as the object-relational mapper sees them; nothing outside the store knows them.

pub(super) mod credential;
pub(super) mod email_proof;
pub(super) mod permission;
pub(super) mod role;
pub(super) mod role_permission;
pub(super) mod subscription;
pub(super) mod user;
pub(super) mod user_import;
pub(super) mod user_permission;
pub(super) mod user_role;
pub(super) mod user_search;
pub(super) mod user_type;
pub(super) mod username_skeleton;
