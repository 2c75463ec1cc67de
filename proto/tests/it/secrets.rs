//! No message shows a secret through `Debug`.

use std::{
    collections::BTreeSet,
    fmt::{Debug, Write as _},
};

use identity_proto::{
    auth::v1::{
        self as auth, continue_login_request::Answer, continue_login_response::Result as Continued,
        login_response::Result as LoggedIn,
    },
    user::v1::{self as user, import_users_request::Message as Import},
};
use prost_reflect::Kind;

use crate::contract::{comment, messages};

/// Parts of a field's name that speak of a secret.
const SECRET_WORDS: [&str; 4] = ["password", "hash", "token", "secret"];
/// Fields of such names that hold none: positions in a list, and the word `Bearer`.
const NO_SECRETS: [&str; 3] = ["page_token", "next_page_token", "token_type"];

/// How a message shows itself with a text in one of its secret fields.
struct Shown {
    field: &'static str,
    show: fn(&str) -> String,
}

/// Both forms of `Debug`.
fn debug(value: &impl Debug) -> String {
    let mut shown = String::new();
    write!(shown, "{value:?} {value:#?}").unwrap();
    shown
}

/// For a single text and for a list of them: nothing, or one.
fn filled(text: &str) -> impl Iterator<Item = String> {
    (!text.is_empty()).then(|| text.to_owned()).into_iter()
}

macro_rules! secrets {
    ($($package:literal $module:ident :: $message:ident { $($field:ident),+ })+) => {
        &[$($(Shown {
            field: concat!($package, ".", stringify!($message), ".", stringify!($field)),
            show: |text| {
                let mut message = $module::$message::default();
                message.$field = filled(text).collect();
                debug(&message)
            },
        }),+),+]
    };
}

/// Every field of the contract that holds a secret.
const SECRETS: &[Shown] = secrets! {
    "identity.user.v1" user::CreateUserRequest { password }
    "identity.user.v1" user::ImportedUser { password_hash }
    "identity.user.v1" user::ConfirmEmailRequest { token, password }
    "identity.user.v1" user::PendingMail { token }
    "identity.user.v1" user::GetCredentialResponse { password_hash, forbidden_passwords }
    "identity.user.v1" user::SetPasswordHashRequest { password_hash }
    "identity.auth.v1" auth::TokenSet { access_token, refresh_token }
    "identity.auth.v1" auth::Challenge { challenge_token }
    "identity.auth.v1" auth::LoginRequest { password, device_token }
    "identity.auth.v1" auth::PasswordChangeAnswer { new_password }
    "identity.auth.v1" auth::ContinueLoginRequest { challenge_token }
    "identity.auth.v1" auth::RefreshTokenRequest { refresh_token }
    "identity.auth.v1" auth::ValidateTokenRequest { access_token }
};

/// Unlike any word that a message writes about itself.
const MARKER: &str = "x7Qz-marker-9Kp";

#[test]
fn every_secret_field_of_the_contract_is_in_the_table() {
    let expected: BTreeSet<String> = messages()
        .iter()
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .filter(|field| matches!(field.kind(), Kind::String | Kind::Bytes))
        .filter(|field| {
            let documented = comment(&field.parent_message().parent_file(), field.path());
            let named = SECRET_WORDS.iter().any(|word| field.name().contains(word));
            documented.contains("Secret.") || named && !NO_SECRETS.contains(&field.name())
        })
        .map(|field| field.full_name().to_owned())
        .collect();
    let table: BTreeSet<String> = SECRETS.iter().map(|shown| shown.field.to_owned()).collect();
    assert_eq!(expected, table);
}

#[test]
fn no_secret_field_is_shown() {
    for Shown { field, show } in SECRETS {
        let shown = show(MARKER);
        assert!(!shown.contains(MARKER), "{field}: {shown}");
        // The right field was filled: whether something is there may show.
        assert_ne!(shown, show(""), "{field} looks the same when it is empty");
    }
}

#[test]
fn a_secret_stays_hidden_inside_other_messages() {
    let marker = || MARKER.to_owned();
    let tokens = || auth::TokenSet {
        access_token: marker(),
        refresh_token: marker(),
        ..Default::default()
    };
    let challenge = || auth::Challenge {
        challenge_token: marker(),
        ..Default::default()
    };
    let answer = Answer::PasswordChange(auth::PasswordChangeAnswer {
        new_password: marker(),
    });
    for shown in [
        debug(&auth::LoginResponse {
            result: Some(LoggedIn::Tokens(tokens())),
        }),
        debug(&auth::LoginResponse {
            result: Some(LoggedIn::Challenge(challenge())),
        }),
        debug(&auth::ContinueLoginResponse {
            result: Some(Continued::Tokens(tokens())),
        }),
        debug(&auth::ContinueLoginResponse {
            result: Some(Continued::Challenge(challenge())),
        }),
        debug(&user::ImportUsersRequest {
            message: Some(Import::User(user::ImportedUser {
                password_hash: marker(),
                ..Default::default()
            })),
        }),
        debug(&auth::RefreshTokenResponse {
            tokens: Some(tokens()),
        }),
        debug(&auth::ContinueLoginRequest {
            answer: Some(answer),
            ..Default::default()
        }),
    ] {
        assert!(!shown.contains(MARKER), "{shown}");
    }
}

#[test]
fn what_is_no_secret_is_shown() {
    let request = auth::LoginRequest {
        identifier: "ada".into(),
        client_id: MARKER.into(),
        ..Default::default()
    };
    assert!(debug(&request).contains(MARKER));
}
