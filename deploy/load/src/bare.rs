//! The reference of Y8: one RPC on the bare server library, one statement through sqlx, nothing else.

use std::{error::Error, net::SocketAddr};

use identity_proto::user::v1::{
    self as wire, User,
    user_service_server::{UserService, UserServiceServer},
};
use sqlx::{PgPool, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tonic::{Request, Response, Status, transport::Server};

/// Reads a user with roles and permissions as one row.
const READ: &str = "
    SELECT u.id, u.username, u.email, u.first_name, u.last_name,
      (SELECT string_agg(r.name, ',') FROM user_roles ur JOIN roles r ON r.id = ur.role_id
        WHERE ur.user_id = u.id),
      (SELECT string_agg(held.name, ',') FROM (
        SELECT p.name FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
          JOIN permissions p ON p.id = rp.permission_id WHERE ur.user_id = u.id
        UNION
        SELECT p.name FROM user_permissions up JOIN permissions p ON p.id = up.permission_id
          WHERE up.user_id = u.id) held)
    FROM users u WHERE u.id = $1";

const CONNECTIONS: u32 = 16;

type Row = (
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
);

/// Serves until it is killed.
pub(crate) async fn serve(listen: SocketAddr, database_url: &str) -> Result<(), Box<dyn Error>> {
    let pool = if database_url.starts_with("sqlite:") {
        let connections = u32::try_from(std::thread::available_parallelism()?.get())?;
        let options = SqlitePoolOptions::new().max_connections(connections);
        Pool::Sqlite(options.connect(database_url).await?)
    } else {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS);
        Pool::Postgres(options.connect(database_url).await?)
    };
    Server::builder()
        .add_service(UserServiceServer::new(Bare(pool)))
        .serve(listen)
        .await?;
    Ok(())
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

struct Bare(Pool);

impl Bare {
    async fn read(&self, id: &str) -> Result<Option<Row>, sqlx::Error> {
        match &self.0 {
            Pool::Sqlite(pool) => sqlx::query_as(READ).bind(id).fetch_optional(pool).await,
            Pool::Postgres(pool) => sqlx::query_as(READ).bind(id).fetch_optional(pool).await,
        }
    }
}

fn names(joined: Option<String>) -> Vec<String> {
    joined
        .unwrap_or_default()
        .split(',')
        .map(str::to_owned)
        .collect()
}

fn not_measured() -> Status {
    Status::unimplemented("only GetUser is measured")
}

/// The methods that are not measured.
macro_rules! not_served {
    ($($method:ident($request:ident) -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl UserService for Bare {
            async fn get_user(
                &self,
                request: Request<wire::GetUserRequest>,
            ) -> Result<Response<wire::GetUserResponse>, Status> {
                let row = self.read(&request.into_inner().user_id).await;
                let row = row.map_err(|_| Status::unavailable("the database does not answer"))?;
                let (id, username, email, first_name, last_name, roles, permissions) =
                    row.ok_or_else(|| Status::not_found("no such user"))?;
                Ok(Response::new(wire::GetUserResponse {
                    user: Some(User { id, username, email, first_name, last_name, ..User::default() }),
                    roles: names(roles),
                    permissions: names(permissions),
                    ..wire::GetUserResponse::default()
                }))
            }

            type ImportUsersStream = tonic::codegen::BoxStream<wire::ImportUsersResponse>;

            async fn import_users(
                &self,
                _: Request<tonic::Streaming<wire::ImportUsersRequest>>,
            ) -> Result<Response<Self::ImportUsersStream>, Status> {
                Err(not_measured())
            }

            type ExportUsersStream = tonic::codegen::BoxStream<wire::ExportUsersResponse>;

            async fn export_users(
                &self,
                _: Request<wire::ExportUsersRequest>,
            ) -> Result<Response<Self::ExportUsersStream>, Status> {
                Err(not_measured())
            }

            $(async fn $method(
                &self,
                _: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                Err(not_measured())
            })+
        }
    };
}

not_served! {
    create_user(CreateUserRequest) -> CreateUserResponse;
    batch_get_users(BatchGetUsersRequest) -> BatchGetUsersResponse;
    list_users(ListUsersRequest) -> ListUsersResponse;
    update_user(UpdateUserRequest) -> UpdateUserResponse;
    delete_user(DeleteUserRequest) -> DeleteUserResponse;
    activate_user(ActivateUserRequest) -> ActivateUserResponse;
    deactivate_user(DeactivateUserRequest) -> DeactivateUserResponse;
    suspend_user(SuspendUserRequest) -> SuspendUserResponse;
    register_user(RegisterUserRequest) -> RegisterUserResponse;
    request_email_change(RequestEmailChangeRequest) -> RequestEmailChangeResponse;
    confirm_email(ConfirmEmailRequest) -> ConfirmEmailResponse;
    export_user(ExportUserRequest) -> ExportUserResponse;
}
