//! A login's open step.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "challenges")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub secret_hash: Vec<u8>,
    pub kind: String,
    pub user_id: String,
    pub credential_version: i64,
    pub client_id: String,
    pub ip_address: String,
    pub user_agent: String,
    pub expires_at: i64,
    pub attempts: i32,
    /// Until when one answer keeps others waiting; absent before the first.
    pub claimed_until: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
