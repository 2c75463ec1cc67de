//! Addresses that wait to be proven: with a username, an account that was begun, otherwise a user's new address.

#![expect(
    unreachable_pub,
    reason = "the derived entity names the model from other modules"
)]

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_proofs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    #[sea_orm(unique)]
    pub user_id: String,
    pub email: String,
    pub email_key: String,
    pub username: Option<String>,
    #[sea_orm(unique)]
    pub username_key: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub secret_hash: Option<String>,
    pub claims: i32,
    pub claimed_until: i64,
    pub expires_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
