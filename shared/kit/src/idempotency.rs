//! Requests that may be repeated: the answer to a request id is recorded with its effect and given again.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    database::StoreError,
    entropy::SharedEntropy,
    secret::{Sealer, join, sign},
};

/// The key that a second call with the same id violates while the first one is under way.
const KEY: &str = "request_log.caller,request_key";

/// Creates the table of the log. For a migration.
///
/// # Errors
///
/// The database refused.
pub async fn create_tables(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let binary = match transaction.get_database_backend() {
        DbBackend::Sqlite => "BLOB",
        _ => "BYTEA",
    };
    transaction
        .execute_unprepared(&format!(
            "CREATE TABLE request_log (
                caller TEXT NOT NULL,
                request_key TEXT NOT NULL,
                method TEXT NOT NULL,
                fingerprint {binary} NOT NULL,
                response {binary} NOT NULL,
                created_at BIGINT NOT NULL,
                PRIMARY KEY (caller, request_key)
            )"
        ))
        .await?;
    transaction
        .execute_unprepared("CREATE INDEX ix_request_log_created_at ON request_log (created_at)")
        .await?;
    Ok(())
}

/// A call that carries a request id.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Who calls; ids of different callers never meet.
    pub caller: &'a str,
    /// The id that the caller chose. It opens the recorded answer, so it is not stored.
    pub request_id: &'a str,
    /// The full name of the method.
    pub method: &'a str,
    /// The encoded request.
    pub request: &'a [u8],
}

/// What is known of a request id.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the effect is to be made and recorded.
    Nothing,
    /// The same request was answered with this.
    Answer(Zeroizing<Vec<u8>>),
    /// The id was used for another request: `REQUEST_ID_REUSED`.
    Reused,
}

/// The log of answered requests.
pub struct RequestLog {
    key: hmac::Key,
    entropy: SharedEntropy,
}

impl RequestLog {
    /// Uses a key of its own.
    #[must_use]
    pub fn new(key: [u8; 32], entropy: SharedEntropy) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &*Zeroizing::new(key)),
            entropy,
        }
    }

    /// Looks a call up; in the transaction that would make its effect.
    ///
    /// # Errors
    ///
    /// The database does not answer, or the record is damaged.
    pub async fn find(
        &self,
        connection: &impl ConnectionTrait,
        call: Call<'_>,
    ) -> Result<Found, StoreError> {
        let row = connection
            .query_one_raw(Statement::from_sql_and_values(
                connection.get_database_backend(),
                "SELECT fingerprint, response FROM request_log WHERE caller = $1 AND request_key = $2",
                [call.caller.into(), self.request_key(call).into()],
            ))
            .await?;
        let Some(row) = row else {
            return Ok(Found::Nothing);
        };
        let fingerprint: Vec<u8> = row.try_get("", "fingerprint")?;
        if fingerprint != self.fingerprint(call) {
            return Ok(Found::Reused);
        }
        let sealed: Vec<u8> = row.try_get("", "response")?;
        let response = self
            .sealer(call)
            .open(call.method.as_bytes(), &sealed)
            .map_err(|_| StoreError::Corrupt("a recorded answer does not open".to_owned()))?;
        Ok(Found::Answer(response))
    }

    /// Records the answer to a call in the transaction that makes its effect.
    ///
    /// # Errors
    ///
    /// The database refused; see [`is_concurrent_repeat`] for the one refusal that is not a failure.
    pub async fn record(
        &self,
        transaction: &impl ConnectionTrait,
        call: Call<'_>,
        response: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sealed = self
            .sealer(call)
            .seal(call.method.as_bytes(), response, &*self.entropy);
        transaction
            .execute_raw(Statement::from_sql_and_values(
                transaction.get_database_backend(),
                "INSERT INTO request_log (caller, request_key, method, fingerprint, response, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    call.caller.into(),
                    self.request_key(call).into(),
                    call.method.into(),
                    self.fingerprint(call).to_vec().into(),
                    sealed.into(),
                    now.as_micros().into(),
                ],
            ))
            .await?;
        Ok(())
    }

    // Keyed, because requests may hold passwords, which a plain digest would let a thief of the database guess.
    fn fingerprint(&self, call: Call<'_>) -> [u8; 32] {
        let parts = join(&[b"fingerprint", call.method.as_bytes(), call.request]);
        sign(&self.key, &[&parts])
    }

    fn request_key(&self, call: Call<'_>) -> String {
        let parts = join(&[b"id", call.caller.as_bytes(), call.request_id.as_bytes()]);
        URL_SAFE_NO_PAD.encode(sign(&self.key, &[&parts]))
    }

    fn sealer(&self, call: Call<'_>) -> Sealer {
        let parts = join(&[
            b"answer",
            call.caller.as_bytes(),
            call.request_id.as_bytes(),
        ]);
        Sealer::new(sign(&self.key, &[&parts]))
    }
}

/// Whether a write failed because the same request committed at the same time: look it up again.
#[must_use]
pub fn is_concurrent_repeat(error: &StoreError) -> bool {
    matches!(error, StoreError::Unique { constraint } if constraint == KEY)
}

/// Most records that one call of [`purge`] removes, so that it never holds up other writers.
pub const PURGED_AT_ONCE: u64 = 1_000;

/// Removes what was recorded before a moment, at most [`PURGED_AT_ONCE`]; returns how many.
///
/// # Errors
///
/// The database refused.
pub async fn purge(
    transaction: &impl ConnectionTrait,
    older_than: Timestamp,
) -> Result<u64, StoreError> {
    let purged = transaction
        .execute_raw(Statement::from_sql_and_values(
            transaction.get_database_backend(),
            "DELETE FROM request_log WHERE (caller, request_key) IN (
                SELECT caller, request_key FROM request_log WHERE created_at < $1 LIMIT $2)",
            [
                older_than.as_micros().into(),
                i64::try_from(PURGED_AT_ONCE).unwrap_or(i64::MAX).into(),
            ],
        ))
        .await?;
    Ok(purged.rows_affected())
}
