//! People.

use identity_kit::migrate::run;
use sea_orm::{DatabaseTransaction, DbErr};

/// Applies it.
pub(super) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    run(
        transaction,
        &[
            "CREATE TABLE users (
                id {key} PRIMARY KEY,
                username text NOT NULL,
                username_key {key} NOT NULL CONSTRAINT users_username_key_unique UNIQUE,
                email text NOT NULL,
                email_key {key} NOT NULL CONSTRAINT users_email_key_unique UNIQUE,
                email_verified boolean NOT NULL,
                first_name text NOT NULL,
                last_name text NOT NULL,
                phone text,
                address_street text NOT NULL,
                address_extra text NOT NULL,
                address_city text NOT NULL,
                address_region text NOT NULL,
                address_postal_code text NOT NULL,
                address_country_code text NOT NULL,
                status text NOT NULL CHECK (status IN ('active', 'inactive', 'suspended')),
                status_reason text NOT NULL,
                user_type_id {key} NOT NULL REFERENCES user_types (id),
                created_at bigint NOT NULL,
                updated_at bigint NOT NULL,
                version bigint NOT NULL
            )",
            "CREATE INDEX users_by_created ON users (created_at, id)",
            "CREATE INDEX users_by_status_created ON users (status, created_at, id)",
            "CREATE INDEX users_by_type_created ON users (user_type_id, created_at, id)",
        ],
    )
    .await
}
