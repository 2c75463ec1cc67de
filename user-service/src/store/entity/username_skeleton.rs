//! What no two usernames have in common: see the skeletons of a username.

#![expect(
    unreachable_pub,
    reason = "the derived entity names the model from other modules"
)]

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "username_skeletons")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub skeleton: String,
    pub user_id: String,
}

impl ActiveModelBehavior for ActiveModel {}
