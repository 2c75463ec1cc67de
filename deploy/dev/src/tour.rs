//! What `cargo dev` shows when the pair is ready: the session, and grpcurl calls that work when pasted.

use std::{env, fmt::Write, path::Path};

use identity_proto::auth::v1::TokenSet;

use crate::{
    administrator::Administrator,
    ports::Ports,
    service::{BACKEND, Endpoints, Service},
    session::SessionFiles,
};

/// How to get grpcurl.
const INSTALL: &str = "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest";

/// Where everything is.
#[must_use]
pub fn places(data: &Path, ports: &Ports) -> String {
    let mut text = String::new();
    line(&mut text, &format!("data folder   {}", data.display()));
    for service in Service::BOTH {
        let Endpoints {
            public,
            internal,
            admin,
        } = ports.of(service);
        line(
            &mut text,
            &format!(
                "{}  {public} (public), {internal} (internal, mTLS), {admin} (metrics)",
                service.name()
            ),
        );
    }
    let key_set = format!("http://{}/.well-known/jwks.json", ports.auth.public);
    line(&mut text, &format!("key set       {key_set}"));
    let backend = data.join(BACKEND);
    line(
        &mut text,
        &format!(
            "for a backend {} (its service key and certificate)",
            backend.display()
        ),
    );
    text
}

/// The administrator's password, shown once, or how to get another administrator.
#[must_use]
pub fn administrator(new: Option<&Administrator>, another: &str) -> String {
    match new {
        Some(new) => format!(
            "administrator {}\npassword      {}   (shown once; nothing keeps it)\n",
            new.username, new.password
        ),
        None => format!(
            "administrator exists already; its password was shown when it was made. For another one:\n{another}\n"
        ),
    }
}

/// The session and the calls.
#[must_use]
pub fn calls(tokens: &TokenSet, files: &SessionFiles, ports: &Ports) -> String {
    let mut text = String::new();
    line(
        &mut text,
        &format!(
            "session       {} of user {}",
            tokens.session_id, tokens.user_id
        ),
    );
    line(
        &mut text,
        "              its access token is replaced before it ends; repeat this line for the new one:",
    );
    line(&mut text, "");
    line(
        &mut text,
        &format!(
            "export TOKEN=\"$(cat {})\"",
            shell_word(&files.access_token.to_string_lossy())
        ),
    );
    line(&mut text, "");
    if !is_installed("grpcurl") {
        line(&mut text, "# grpcurl is not installed; one line gets it:");
        line(&mut text, INSTALL);
        line(&mut text, "");
    }
    let (user, auth) = (ports.user.public, ports.auth.public);
    let me = &tokens.user_id;
    for (comment, call) in [
        ("what there is", format!("grpcurl -plaintext {user} list")),
        (
            "is the token good, and what may its user do?",
            format!(
                "grpcurl -plaintext -d \"{{\\\"access_token\\\": \\\"$TOKEN\\\"}}\" {auth} identity.auth.v1.AuthService/ValidateToken"
            ),
        ),
        (
            "who am I?",
            with_token(
                &format!(r#"{{"user_id": "{me}", "view": "USER_VIEW_FULL"}}"#),
                &format!("{user} identity.user.v1.UserService/GetUser"),
            ),
        ),
        (
            "where am I logged in?",
            with_token(
                &format!(r#"{{"user_id": "{me}"}}"#),
                &format!("{auth} identity.auth.v1.SessionService/ListSessions"),
            ),
        ),
        (
            "a new user; the time in the name lets the line be pasted again",
            format!(
                "grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{{\"username\": \"ada-'$(date +%s)'\", \"email\": \"ada-'$(date +%s)'@example.org\", \"first_name\": \"Ada\", \"last_name\": \"Lovelace\", \"password\": \"a first password for ada\"}}' {user} identity.user.v1.UserService/CreateUser"
            ),
        ),
        (
            "who is there, and which roles?",
            with_token(
                r#"{"page_size": 10}"#,
                &format!("{user} identity.user.v1.UserService/ListUsers"),
            ),
        ),
        (
            "",
            with_token(
                "{}",
                &format!("{user} identity.user.v1.RoleService/ListRoles"),
            ),
        ),
    ] {
        if !comment.is_empty() {
            line(&mut text, &format!("# {comment}"));
        }
        line(&mut text, &call);
    }
    text
}

/// A word for the shell, whatever is in it; quoted where it needs to be.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn with_token(json: &str, target: &str) -> String {
    format!("grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{json}' {target}")
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn is_installed(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_quote_stays_one_word() {
        assert_eq!(shell_word("/tmp/plain-1"), "/tmp/plain-1");
        assert_eq!(shell_word("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }
}
