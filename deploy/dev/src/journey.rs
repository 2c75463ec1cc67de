//! The journey of a new user, from creation to refusal after logout: what the pair is for, in ten calls.

use identity_proto::{
    auth::v1::{LogoutRequest, TokenSet, ValidateTokenRequest, login_response},
    user::v1::{
        AssignRolesRequest, CreateUserRequest, DeleteUserRequest, ListRolesRequest,
        ListUsersRequest, User,
    },
};
use tonic::Status;

use crate::{
    administrator::random_password,
    api::Api,
    private_file,
    problem::Problem,
    refusal,
    session::{self, RefreshError},
};

/// The role that lets a user read all users.
const READING_ROLE: &str = "viewer";

/// Makes the journey with a user of its own, which is deleted afterwards, also when a step fails.
///
/// # Errors
///
/// The first step that went otherwise than it should.
pub async fn travel(api: &Api, administrator: &str, step: impl Fn(&str)) -> Result<(), Problem> {
    let first_password = random_password()?;
    let user = create_user(api, administrator, &first_password).await?;
    step("an administrator creates a user");
    let outcome = live(api, administrator, &user, &first_password, &step).await;
    let deleted = api
        .users(administrator)
        .delete_user(DeleteUserRequest {
            user_id: user.id,
            etag: String::new(),
        })
        .await
        .map_err(|status| Problem::call("DeleteUser", &status));
    outcome?;
    deleted?;
    step("the user is deleted");
    Ok(())
}

async fn live(
    api: &Api,
    administrator: &str,
    user: &User,
    first_password: &str,
    step: &impl Fn(&str),
) -> Result<(), Problem> {
    let password = random_password()?;
    let challenge = match session::begin(api, &user.username, first_password).await? {
        login_response::Result::Challenge(challenge) => challenge,
        login_response::Result::Tokens(_) => {
            return Err(Problem::new(
                "a password that somebody else chose need not be changed",
            ));
        }
    };
    step("the user logs in and must choose a password");
    let tokens = session::change_password(api, challenge, &password).await?;
    step("the user chooses one and is logged in");

    validate(api, &tokens)
        .await
        .map_err(|status| Problem::call("ValidateToken", &status))?;
    step("auth-service says that the token is good");
    refusal::expect(list_users(api, &tokens).await, "PERMISSION_REQUIRED")?;
    step("user-service refuses a call for want of a permission");

    assign_reading_role(api, administrator, user).await?;
    let tokens = session::log_in(api, &user.email, &password, &password).await?;
    list_users(api, &tokens)
        .await
        .map_err(|status| Problem::call("ListUsers", &status))?;
    step("with a role, and logged in by e-mail address, the call passes");

    let tokens = session::refresh(api, &tokens.refresh_token).await?;
    step("a refresh token gives new tokens");
    api.auth(&tokens.access_token)
        .logout(LogoutRequest {})
        .await
        .map_err(|status| Problem::call("Logout", &status))?;
    step("the user logs out");

    match session::refresh(api, &tokens.refresh_token).await {
        Err(RefreshError::Ended(_)) => {}
        Err(RefreshError::Failed(problem)) => return Err(problem),
        Ok(_) => return Err(Problem::new("a refresh after logout was answered")),
    }
    refusal::expect(validate(api, &tokens).await, "TOKEN_REVOKED")?;
    step("auth-service refuses refresh and validation at once");
    let heard = refusal::until("TOKEN_REVOKED", async || list_users(api, &tokens).await).await?;
    step(&format!(
        "user-service refuses the call: it had heard within {} ms",
        heard.as_millis().max(1)
    ));
    Ok(())
}

async fn create_user(api: &Api, administrator: &str, password: &str) -> Result<User, Problem> {
    let name = format!("journey-{}", &private_file::random_hex()?[..12]);
    api.users(administrator)
        .create_user(CreateUserRequest {
            email: format!("{name}@example.org"),
            username: name,
            first_name: "Journey".to_owned(),
            last_name: "Maker".to_owned(),
            password: password.to_owned(),
            ..CreateUserRequest::default()
        })
        .await
        .map_err(|status| Problem::call("CreateUser", &status))?
        .into_inner()
        .user
        .ok_or_else(|| Problem::new("CreateUser answered no user"))
}

async fn assign_reading_role(api: &Api, administrator: &str, user: &User) -> Result<(), Problem> {
    let mut roles = api.roles(administrator);
    let role = roles
        .list_roles(ListRolesRequest {
            name: READING_ROLE.to_owned(),
            ..ListRolesRequest::default()
        })
        .await
        .map_err(|status| Problem::call("ListRoles", &status))?
        .into_inner()
        .roles
        .pop()
        .ok_or_else(|| Problem::new(format!("there is no role {READING_ROLE}")))?;
    roles
        .assign_roles(AssignRolesRequest {
            user_id: user.id.clone(),
            role_ids: vec![role.id],
            expire_time: None,
        })
        .await
        .map_err(|status| Problem::call("AssignRoles", &status))?;
    Ok(())
}

async fn validate(api: &Api, tokens: &TokenSet) -> Result<(), Status> {
    let request = ValidateTokenRequest {
        access_token: tokens.access_token.clone(),
        ..ValidateTokenRequest::default()
    };
    api.auth("").validate_token(request).await.map(drop)
}

async fn list_users(api: &Api, tokens: &TokenSet) -> Result<(), Status> {
    api.users(&tokens.access_token)
        .list_users(ListUsersRequest::default())
        .await
        .map(drop)
}
