//! Rows of users and what they stand for.

use identity_kit::{clock::Timestamp, database::StoreError};

use super::super::{corrupt, entity::user};
use crate::domain::{
    address::Address,
    email::Email,
    id::{UserId, UserTypeId},
    phone::Phone,
    text::{PersonName, Reason},
    user::{User, UserStatus},
    username::Username,
};

impl TryFrom<user::Model> for User {
    type Error = StoreError;

    fn try_from(row: user::Model) -> Result<Self, StoreError> {
        let address = Address {
            street: row.address_street,
            extra: row.address_extra,
            city: row.address_city,
            region: row.address_region,
            postal_code: row.address_postal_code,
            country_code: row.address_country_code,
        };
        Ok(Self {
            id: UserId::stored(row.id),
            username: Username::stored(row.username),
            email: Email::stored(row.email),
            email_verified: row.email_verified,
            first_name: PersonName::stored(row.first_name),
            last_name: PersonName::stored(row.last_name),
            phone: row.phone.map(Phone::stored),
            address: (address != Address::default()).then_some(address),
            status: UserStatus::from_stored(&row.status)
                .ok_or_else(|| corrupt("a user has an unknown status"))?,
            status_reason: Reason::stored(row.status_reason),
            user_type_id: UserTypeId::stored(row.user_type_id),
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            version: row.version,
        })
    }
}

impl From<&User> for user::Model {
    fn from(user: &User) -> Self {
        let address = user.address.clone().unwrap_or_default();
        Self {
            id: user.id.as_str().to_owned(),
            username: user.username.as_str().to_owned(),
            username_key: user.username.key(),
            email: user.email.as_str().to_owned(),
            email_key: user.email.key(),
            email_verified: user.email_verified,
            first_name: user.first_name.as_str().to_owned(),
            last_name: user.last_name.as_str().to_owned(),
            phone: user.phone.clone().map(Phone::into_string),
            address_street: address.street,
            address_extra: address.extra,
            address_city: address.city,
            address_region: address.region,
            address_postal_code: address.postal_code,
            address_country_code: address.country_code,
            status: user.status.as_str().to_owned(),
            status_reason: user.status_reason.as_str().to_owned(),
            user_type_id: user.user_type_id.as_str().to_owned(),
            created_at: user.created_at.as_micros(),
            updated_at: user.updated_at.as_micros(),
            version: user.version,
        }
    }
}
