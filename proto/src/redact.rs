//! `Debug` of the messages that hold secrets: it shows what is there and never what it is.

use std::fmt;

use crate::{auth::v1 as auth, user::v1 as user};

/// Shows that a secret is there, not what it is.
struct Secret(bool);

impl Secret {
    fn of<T: Default + PartialEq>(value: &T) -> Self {
        Self(*value != T::default())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "[redacted]" } else { "[empty]" })
    }
}

/// Writes `Debug` for a message: its plain fields as they are, its secret fields as present or empty.
macro_rules! redact {
    ($($message:path { $($plain:ident),* ; $($secret:ident),+ })+) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))
                    $(.field(stringify!($plain), &self.$plain))*
                    $(.field(stringify!($secret), &Secret::of(&self.$secret)))+
                    .finish()
            }
        }
    )+};
}

redact! {
    user::CreateUserRequest {
        username, email, first_name, last_name, phone, address, user_type_id, request_id; password
    }
    user::ImportedUser {
        external_id, username, email, email_verified, first_name, last_name, phone, address, user_type, roles,
        status; password_hash
    }
    user::ConfirmEmailRequest { ; token, password }
    user::PendingMail { mail_id, purpose, email, expire_time; token }
    user::GetCredentialResponse {
        password_change_required, credential_version, access; password_hash, forbidden_passwords
    }
    user::SetPasswordHashRequest {
        user_id, expected_credential_version, operation_id, cause, spared_session_id; password_hash
    }
    auth::TokenSet {
        access_token_expire_time, refresh_token_expire_time, token_type, session_id, user_id;
        access_token, refresh_token
    }
    auth::Challenge { kind, expire_time; challenge_token }
    auth::LoginRequest { identifier, client_id, request_id, assurance; password, device_token }
    auth::PasswordChangeAnswer { ; new_password }
    auth::ContinueLoginRequest { answer, request_id; challenge_token }
    auth::RefreshTokenRequest { client_id, request_id; refresh_token }
    auth::ValidateTokenRequest { min_revision; access_token }
}

impl fmt::Debug for auth::continue_login_request::Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswordChange(answer) => answer.fmt(f),
        }
    }
}
