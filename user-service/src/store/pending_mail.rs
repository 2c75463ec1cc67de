//! Mails about addresses to be proven: handed out to a mailer with a new token each, until they are sent.

use std::collections::HashMap;

use identity_kit::{
    audit::Act, clock::Timestamp, database::WriteTransaction, entropy::SharedEntropy,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    Value,
    sea_query::{LockBehavior, LockType},
};

use super::{
    Error, Store,
    entity::{email_proof, user},
    rights::Touched,
};
use crate::domain::{
    email::Email,
    email_proof::{EmailToken, LEASE, MAX_CLAIMS, MailPurpose, PendingMail},
};

impl Store {
    /// Hands out at most `limit` mails, each with a new token, after those that were sent are marked so.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn claim_mails(
        &self,
        act: Act,
        limit: u64,
        sent: Vec<String>,
        entropy: SharedEntropy,
        now: Timestamp,
    ) -> Result<Vec<PendingMail>, Error> {
        let done = self.write(
            act,
            Touched::Nothing,
            (sent, entropy),
            move |transaction, _, (sent, entropy)| {
                Box::pin(async move {
                    mark_sent(transaction, sent).await?;
                    let rows = email_proof::Entity::find()
                        .filter(email_proof::Column::ClaimedUntil.lte(now.as_micros()))
                        .filter(email_proof::Column::ExpiresAt.gt(now.as_micros()))
                        .filter(email_proof::Column::Claims.lt(MAX_CLAIMS))
                        .order_by_asc(email_proof::Column::ClaimedUntil)
                        .order_by_asc(email_proof::Column::Id)
                        .limit(limit)
                        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                        .all(transaction)
                        .await?;
                    let owners = owners(transaction, &rows).await?;
                    let mut mails = Vec::with_capacity(rows.len());
                    for row in rows {
                        let is_known = owners
                            .get(&row.email_key)
                            .is_some_and(|owner| *owner != row.user_id);
                        let token =
                            (!is_known).then(|| EmailToken::generate(row.id.clone(), &**entropy));
                        mails.push(mail(&row, token));
                    }
                    hand_out(transaction, &mails, now).await?;
                    Ok(mails)
                })
            },
        );
        Ok(done.await?.value)
    }
}

/// Mails that were sent are handed out no more; their tokens stay good.
async fn mark_sent(transaction: &WriteTransaction, sent: &[String]) -> Result<(), Error> {
    if sent.is_empty() {
        return Ok(());
    }
    email_proof::Entity::update_many()
        .set(email_proof::ActiveModel {
            claimed_until: Set(i64::MAX),
            ..Default::default()
        })
        .filter(email_proof::Column::Id.is_in(sent.iter().map(String::as_str)))
        // What was never handed out was not sent.
        .filter(email_proof::Column::Claims.gt(0))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Who has the addresses.
async fn owners(
    transaction: &WriteTransaction,
    rows: &[email_proof::Model],
) -> Result<HashMap<String, String>, Error> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let owners: Vec<(String, String)> = user::Entity::find()
        .select_only()
        .column(user::Column::EmailKey)
        .column(user::Column::Id)
        .filter(user::Column::EmailKey.is_in(rows.iter().map(|row| row.email_key.as_str())))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(owners.into_iter().collect())
}

/// Writes down in one statement that mails are handed out, with the hashes of their tokens.
async fn hand_out(
    transaction: &WriteTransaction,
    mails: &[PendingMail],
    now: Timestamp,
) -> Result<(), Error> {
    if mails.is_empty() {
        return Ok(());
    }
    let places: Vec<_> = (0..mails.len())
        .map(|place| format!("(${}, ${})", 2 * place + 2, 2 * place + 3))
        .collect();
    let values = mails.iter().flat_map(|mail| {
        let hash = mail.token.as_ref().map(EmailToken::hash);
        [Value::from(mail.id.as_str()), Value::from(hash)]
    });
    let until = Value::from(now.plus(LEASE).as_micros());
    transaction
        .execute_raw(Statement::from_sql_and_values(
            transaction.get_database_backend(),
            format!(
                "WITH new (id, hash) AS (VALUES {})
                 UPDATE email_proofs SET secret_hash = new.hash, claims = claims + 1, claimed_until = $1
                 FROM new WHERE email_proofs.id = new.id",
                places.join(", ")
            ),
            std::iter::once(until).chain(values),
        ))
        .await?;
    Ok(())
}

fn mail(row: &email_proof::Model, token: Option<EmailToken>) -> PendingMail {
    let purpose = match (&token, &row.username) {
        (None, _) => MailPurpose::AddressKnown,
        (Some(_), Some(_)) => MailPurpose::Registration,
        (Some(_), None) => MailPurpose::Change,
    };
    PendingMail {
        id: row.id.clone(),
        purpose,
        email: Email::stored(row.email.clone()),
        token,
        expires_at: Timestamp::from_micros(row.expires_at),
    }
}
