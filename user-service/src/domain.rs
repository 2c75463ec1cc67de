//! What people, roles and permissions are, and the rules they obey: pure types, free of transport and storage.

pub mod access;
pub mod address;
pub mod audit;
pub mod change;
pub mod credential;
pub mod email;
pub mod etag;
pub mod id;
pub mod identifier;
pub mod name;
pub mod page;
pub mod permission;
pub mod phone;
pub mod problem;
pub mod refusal;
pub mod role;
pub mod text;
pub mod user;
pub mod user_type;
pub mod username;
