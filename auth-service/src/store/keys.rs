//! Signing keys: the public halves, and the private ones as the sealed bytes that they are.

use std::sync::Arc;

use identity_guard::{clock::Timestamp, engine::SignatureAlgorithm};
use identity_kit::database::{Database, StoreError, WriteTransaction};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use super::{entity::signing_key, events};
use crate::domain::{
    event::AccessEvent,
    signing_key::{KeyState, SigningKey},
};

/// A key with its sealed private half.
#[derive(Debug, Clone)]
pub struct SealedKey {
    /// The public side.
    pub key: SigningKey,
    /// The private half, sealed.
    pub private_sealed: Vec<u8>,
}

/// All keys, newest first.
///
/// # Errors
///
/// Those of the store.
pub async fn list(connection: &impl ConnectionTrait) -> Result<Vec<SigningKey>, StoreError> {
    signing_key::Entity::find()
        .order_by_desc(signing_key::Column::CreatedAt)
        .order_by_desc(signing_key::Column::Id)
        .all(connection)
        .await?
        .into_iter()
        .map(|row| to_sealed_key(row).map(|sealed| sealed.key))
        .collect()
}

/// One key.
///
/// # Errors
///
/// Those of the store.
pub async fn find(
    connection: &impl ConnectionTrait,
    key_id: &str,
) -> Result<Option<SigningKey>, StoreError> {
    signing_key::Entity::find_by_id(key_id)
        .one(connection)
        .await?
        .map(|row| to_sealed_key(row).map(|sealed| sealed.key))
        .transpose()
}

/// The key that signs.
///
/// # Errors
///
/// Those of the store.
pub async fn find_active(
    connection: &impl ConnectionTrait,
) -> Result<Option<SealedKey>, StoreError> {
    signing_key::Entity::find()
        .filter(signing_key::COLUMN.state.eq(KeyState::Active.as_str()))
        .one(connection)
        .await?
        .map(to_sealed_key)
        .transpose()
}

/// Keeps a key that signs from now, with its event; `false` when another one already does.
///
/// # Errors
///
/// Those of the store.
pub async fn insert_active(database: &Database, new: &SealedKey) -> Result<bool, StoreError> {
    let work = Arc::new(new.clone());
    let written = database
        .write(move |transaction| {
            let new = Arc::clone(&work);
            Box::pin(async move {
                insert(transaction, &new).await?;
                let key_id = new.key.id.clone();
                events::emit(transaction, &AccessEvent::SigningKeyChanged { key_id });
                Ok::<_, StoreError>(())
            })
        })
        .await;
    match written {
        Ok(_) => Ok(true),
        // The index of active keys takes one: another replica was faster.
        Err(StoreError::Unique { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keeps a key, in a transaction that does more.
pub(super) async fn insert(
    transaction: &WriteTransaction,
    new: &SealedKey,
) -> Result<(), StoreError> {
    signing_key::Entity::insert(to_row(new))
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

fn to_row(new: &SealedKey) -> signing_key::ActiveModel {
    signing_key::ActiveModel {
        id: Set(new.key.id.clone()),
        algorithm: Set(new.key.algorithm.as_str().to_owned()),
        state: Set(new.key.state.as_str().to_owned()),
        public_jwk: Set(new.key.public_jwk.clone()),
        private_sealed: Set(new.private_sealed.clone()),
        created_at: Set(new.key.created_at.as_micros()),
        activated_at: Set(new.key.activated_at.map(Timestamp::as_micros)),
        expires_at: Set(new.key.expires_at.map(Timestamp::as_micros)),
    }
}

fn to_sealed_key(row: signing_key::Model) -> Result<SealedKey, StoreError> {
    let unknown = |what: &str, text: &str| StoreError::Corrupt(format!("unknown {what} {text}"));
    let key = SigningKey {
        algorithm: SignatureAlgorithm::parse(&row.algorithm)
            .ok_or_else(|| unknown("algorithm", &row.algorithm))?,
        state: KeyState::parse(&row.state).ok_or_else(|| unknown("key state", &row.state))?,
        id: row.id,
        public_jwk: row.public_jwk,
        created_at: Timestamp::from_micros(row.created_at),
        activated_at: row.activated_at.map(Timestamp::from_micros),
        expires_at: row.expires_at.map(Timestamp::from_micros),
    };
    Ok(SealedKey {
        key,
        private_sealed: row.private_sealed,
    })
}
