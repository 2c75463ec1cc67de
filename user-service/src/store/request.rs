//! Requests that callers may repeat: each leaves the id of what it created, for a day, in the same transaction.

use std::sync::Arc;

use identity_kit::{
    clock::Timestamp,
    database::{StoreError, WriteTransaction},
    idempotency::{Call, Found, RequestLog},
};
use sea_orm::{ConnectionTrait, Statement};

use super::{Error, corrupt};
use crate::domain::{id::UserId, identifier::RequestId, refusal::Refusal};

/// One request of one caller.
#[derive(Clone)]
pub struct RequestKey {
    /// Where requests are remembered.
    pub log: Arc<RequestLog>,
    /// Who calls.
    pub caller: UserId,
    /// The method.
    pub method: &'static str,
    /// The id that the caller chose.
    pub request_id: RequestId,
    /// What tells the request from others; only a keyed digest of it is kept.
    pub question: Vec<u8>,
}

impl RequestKey {
    fn call(&self) -> Call<'_> {
        Call {
            caller: self.caller.as_str(),
            request_id: self.request_id.as_str(),
            method: self.method,
            request: &self.question,
        }
    }
}

/// The id that the request created when it came before; otherwise remembers that it creates `id`.
///
/// Only the id is kept, and the answer is built anew from it: the log holds nothing about a person. It comes before
/// everything else in the transaction, so that the same request at the same time meets here and nowhere else.
pub(super) async fn claim(
    transaction: &WriteTransaction,
    request: Option<&RequestKey>,
    id: &str,
    now: Timestamp,
) -> Result<Option<String>, Error> {
    let Some(request) = request else {
        return Ok(None);
    };
    match request.log.find(transaction, request.call()).await? {
        Found::Nothing => {
            request
                .log
                .record(transaction, request.call(), id.as_bytes(), now)
                .await?;
            Ok(None)
        }
        Found::Answer(answer) => {
            let id =
                str::from_utf8(&answer).map_err(|_| corrupt("a remembered request has no id"))?;
            Ok(Some(id.to_owned()))
        }
        Found::Reused => Err(Refusal::RequestIdReused.into()),
    }
}

/// Forgets the requests of a user.
pub(super) async fn forget(
    transaction: &WriteTransaction,
    caller: &UserId,
) -> Result<(), StoreError> {
    transaction
        .execute_raw(Statement::from_sql_and_values(
            transaction.get_database_backend(),
            "DELETE FROM request_log WHERE caller = $1",
            [caller.as_str().into()],
        ))
        .await?;
    Ok(())
}
