//! What a search for people looks at.

#![expect(
    unreachable_pub,
    reason = "the derived entity names the model from other modules"
)]

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_search")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub text: String,
}

impl ActiveModelBehavior for ActiveModel {}
