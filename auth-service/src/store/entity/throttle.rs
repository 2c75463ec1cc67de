//! Attempts under one key.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "throttles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Vec<u8>,
    pub attempts: i32,
    pub window_started_at: i64,
    pub blocked_until: Option<i64>,
    pub blocks: i32,
    pub forgotten_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
