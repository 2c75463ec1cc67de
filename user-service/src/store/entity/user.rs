//! People.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub username: String,
    #[sea_orm(unique)]
    pub username_key: String,
    pub email: String,
    #[sea_orm(unique)]
    pub email_key: String,
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
    pub phone: Option<String>,
    pub address_street: String,
    pub address_extra: String,
    pub address_city: String,
    pub address_region: String,
    pub address_postal_code: String,
    pub address_country_code: String,
    pub status: String,
    pub status_reason: String,
    pub user_type_id: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub version: i64,
    #[sea_orm(belongs_to, from = "user_type_id", to = "id")]
    pub user_type: BelongsTo<super::user_type::Entity>,
    #[sea_orm(has_one)]
    pub credential: HasOne<super::credential::Entity>,
    #[sea_orm(has_many, via = "user_role")]
    pub roles: HasMany<super::role::Entity>,
    #[sea_orm(has_many, via = "user_permission")]
    pub permissions: HasMany<super::permission::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
