//! A session, with its current refresh token and its last rotation.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: String,
    pub client_id: String,
    pub ip_address: String,
    pub user_agent: String,
    pub generation: i64,
    /// Names of RFC 8176, separated by spaces.
    pub amr: String,
    pub authenticated_at: i64,
    pub created_at: i64,
    pub refreshed_at: i64,
    pub idle_expires_at: i64,
    pub expires_at: i64,
    pub token_expires_at: i64,
    pub ended_at: Option<i64>,
    /// The one refresh token that is not used.
    pub current_token_id: String,
    /// The token that was traded for the current one.
    pub rotated_token_id: Option<String>,
    pub rotated_at: Option<i64>,
    pub rotation_request_id: Option<String>,
    pub rotation_retries: i32,
    /// The current token under a key from the traded one.
    pub sealed_successor: Option<Vec<u8>>,
    /// When housekeeping has to look at the row.
    pub due_at: i64,
    /// Where, in the feed of user-service, the rights were read that it began with.
    pub user_epoch: String,
    pub user_revision: i64,
}

impl ActiveModelBehavior for ActiveModel {}
