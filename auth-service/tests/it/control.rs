//! The controls of the races: the same without the guard is seen to be lost.

use std::sync::Arc;

use auth_service::{
    domain::{
        account::AccountStatus,
        opaque_token::{OpaqueToken, TokenKind},
    },
    store::refresh,
};
use identity_guard::status::ErrorReason;
use identity_kit::{
    database::{Database, StoreError},
    entropy::SystemEntropy,
};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::sync::Barrier;
use tonic::Code;

use crate::harness::{ADA, PASSWORD, refused, worlds};

const CALLERS: usize = 8;

/// Rounds of the parallel tests, from `AUTH_TEST_ROUNDS`.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment how long to try"
)]
pub(crate) fn rounds() -> usize {
    std::env::var("AUTH_TEST_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(20)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_reads_and_then_writes_makes_two_successors() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        let token = OpaqueToken::parse(TokenKind::Refresh, &tokens.refresh_token).unwrap();
        let read_by_all = Arc::new(Barrier::new(CALLERS));
        let database: Database = service.app.authority().database.clone();
        let successes = futures_util::future::join_all(
            (0..CALLERS)
                .map(|_| rotate_without_arbiter(&database, &token, Arc::clone(&read_by_all))),
        )
        .await;
        let successes = successes.into_iter().filter(|success| *success).count();
        assert!(
            successes >= 2,
            "the control must fail, and {successes} rotated"
        );
        service.stop().await;
    }
}

/// Looks whether the token is unused, and marks it then.
async fn rotate_without_arbiter(
    database: &Database,
    token: &OpaqueToken,
    read_by_all: Arc<Barrier>,
) -> bool {
    let stored = refresh::find(database.reader(), token.id())
        .await
        .unwrap()
        .unwrap();
    let unused = stored.current_token_id == *token.id();
    read_by_all.wait().await;
    if !unused {
        return false;
    }
    let successor = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
    let values = [
        successor.id().as_str().to_owned(),
        stored.session.id.as_str().to_owned(),
    ];
    let written = database
        .write(move |transaction| {
            let values = values.clone().map(Into::into);
            Box::pin(async move {
                let sql = "UPDATE sessions SET current_token_id = $1 WHERE id = $2";
                let backend = transaction.get_database_backend();
                let done = transaction
                    .execute_raw(Statement::from_sql_and_values(backend, sql, values))
                    .await?;
                Ok::<_, StoreError>(done.rows_affected() == 1)
            })
        })
        .await;
    written.unwrap().value
}

#[tokio::test]
async fn rights_that_are_remembered_instead_of_read_let_a_suspended_user_in() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        world.directory.remember();
        world
            .directory
            .change(ADA, |user| user.status = AccountStatus::Suspended);

        // Without the guard, which is that each mint reads status and rights anew.
        let successor = service.refresh(&tokens.refresh_token).await.unwrap();
        service.login("ada").await;

        // With it.
        world.directory.forget();
        let login = service.try_login("ada", PASSWORD).await;
        refused(login, Code::PermissionDenied, ErrorReason::AccountSuspended);
        let refresh = service.refresh(&successor.refresh_token).await;
        assert!(refresh.is_err());
        service.stop().await;
    }
}
