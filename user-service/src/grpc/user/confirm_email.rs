//! Proves an address by the token that was mailed to it; with an account that was begun, its password is chosen here.

use identity_kit::{deadline, password::NewPassword, status::Failure, violations::Violations};
use identity_proto::user::v1::{ConfirmEmailRequest, ConfirmEmailResponse};
use tonic::Request;

use super::super::{
    context::{Context, act, place},
    fields::failure,
};
use crate::domain::{
    credential::{PasswordHash, forbidden_passwords},
    email_proof::{Begun, EmailToken},
    refusal::Refusal,
    user::NewUser,
};

/// Passwords that are hashed for one token in an hour.
const OF_TOKEN: i64 = 10;

pub(super) async fn handle(
    context: &Context,
    request: Request<ConfirmEmailRequest>,
) -> Result<ConfirmEmailResponse, Failure> {
    let act = act(&request, "ConfirmEmail");
    let message = request.get_ref();
    let token = parse(message)?.ok_or(Refusal::EmailTokenInvalid)?;
    // Nothing is hashed for whoever has no good token.
    let begun = context.store.find_begun(&token, context.now()).await?;
    let password = chosen(&begun, &message.password)?;
    let hash = match password {
        Some(password) => Some(hash(context, &token, &password).await?),
        None => None,
    };
    let done = context
        .store
        .confirm_email(act, token, hash, context.now())
        .await?;
    Ok(ConfirmEmailResponse {
        user_id: done.value.into_string(),
        revision: context.revision(&done.position),
    })
}

/// The password of an account that was begun; a change of an address has none.
fn chosen(begun: &Begun, password: &str) -> Result<Option<NewPassword>, Failure> {
    let mut fields = Violations::new();
    match begun {
        Begun::Account(new) => {
            let password = NewPassword::parse(password, &forbidden(new));
            let password = fields.take("password", password);
            password.map(Some).ok_or_else(|| failure(fields))
        }
        Begun::Change(_) if password.is_empty() => Ok(None),
        Begun::Change(_) => {
            fields.add("password", "must be empty: the token changes an address");
            Err(failure(fields))
        }
    }
}

fn forbidden(new: &NewUser) -> Vec<String> {
    forbidden_passwords(
        new.username.as_str(),
        new.email.as_str(),
        new.first_name.as_str(),
        new.last_name.as_str(),
    )
}

async fn hash(
    context: &Context,
    token: &EmailToken,
    password: &NewPassword,
) -> Result<PasswordHash, Failure> {
    let asker = context.askers.asker("confirm", token.id(), OF_TOKEN);
    context.store.spend(vec![asker], context.now()).await?;
    // So that everybody else's passwords are not behind those of strangers.
    let _place = place(&context.confirming).await?;
    let hash = context.hasher.hash(password, deadline::current()).await?;
    Ok(PasswordHash::stored(hash))
}

/// The outer answer is that the fields can be what they should be. Whose name the password may not be is known later.
fn parse(request: &ConfirmEmailRequest) -> Result<Option<EmailToken>, Failure> {
    let mut fields = Violations::new();
    let token = fields.take("token", EmailToken::parse(&request.token));
    if !request.password.is_empty() {
        fields.take("password", NewPassword::parse(&request.password, &[]));
    }
    match token {
        Some(token) if fields.is_empty() => Ok(token),
        _ => Err(failure(fields)),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::domain::{email::Email, id::UserId, text::PersonName, username::Username};

    fn account() -> Begun {
        Begun::Account(Box::new(NewUser {
            id: UserId::new("u".to_owned()),
            username: Username::parse("grace.hopper").unwrap(),
            email: Email::parse("grace@example.org").unwrap(),
            first_name: PersonName::parse("Grace").unwrap(),
            last_name: PersonName::parse("Hopper").unwrap(),
            phone: None,
            address: None,
            user_type_id: None,
        }))
    }

    #[test]
    fn an_account_needs_a_password_that_is_not_its_own_name() {
        for password in ["", "too short", "grace.hopper grace.hopper"] {
            assert!(chosen(&account(), password).is_err(), "{password}");
        }
        assert!(chosen(&account(), "a long enough passphrase").is_ok_and(|it| it.is_some()));
    }

    #[test]
    fn a_change_takes_none() {
        let change = Begun::Change(Email::parse("new@example.org").unwrap());
        assert!(chosen(&change, "").is_ok_and(|it| it.is_none()));
        assert!(chosen(&change, "a long enough passphrase").is_err());
    }

    #[test]
    fn both_fields_are_told_at_once() {
        let request = ConfirmEmailRequest {
            token: String::new(),
            password: "short".to_owned(),
        };
        let details = Status::from(parse(&request).unwrap_err()).get_details_bad_request();
        let violations = details.unwrap().field_violations;
        let fields: Vec<_> = violations.into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["token", "password"]);
    }
}
