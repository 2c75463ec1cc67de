//! Permissions.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "permissions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    #[sea_orm(unique)]
    pub name: String,
    pub description: String,
    pub built_in: bool,
    pub created_at: i64,
    pub updated_at: i64,
    pub version: i64,
    #[sea_orm(has_many, via = "role_permission")]
    pub roles: HasMany<super::role::Entity>,
    #[sea_orm(has_many, via = "user_permission")]
    pub users: HasMany<super::user::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
