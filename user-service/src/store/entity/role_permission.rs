//! Which role has which permission.

#![expect(
    unreachable_pub,
    reason = "the derived relations name the model from other modules"
)]

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "role_permissions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub role_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub permission_id: String,
    pub created_at: i64,
    #[sea_orm(belongs_to, from = "role_id", to = "id")]
    pub role: BelongsTo<super::role::Entity>,
    #[sea_orm(belongs_to, from = "permission_id", to = "id")]
    pub permission: BelongsTo<super::permission::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
