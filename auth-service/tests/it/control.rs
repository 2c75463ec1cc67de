//! The controls of the races: the same without the guard is seen to be lost.

use std::sync::Arc;

use auth_service::{
    domain::{
        account::AccountStatus,
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
        session::{Session, SessionTimes},
    },
    store::refresh::{self, Rotation},
};
use identity_guard::{clock::Clock as _, status::ErrorReason};
use identity_kit::{
    database::{Database, StoreError},
    entropy::SystemEntropy,
};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::sync::Barrier;
use tonic::Code;

use crate::harness::{ADA, PASSWORD, World, refused, worlds};

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

#[tokio::test(flavor = "multi_thread")]
async fn the_rotation_without_its_condition_makes_a_successor_for_every_caller() {
    const CONDITION: &str = " AND sessions.current_token_id = $2";
    for world in worlds().await {
        let service = world.start().await;
        let database: Database = service.app.authority().database.clone();
        for (condition, expected) in [(CONDITION, 1), ("", CALLERS)] {
            let tokens = service.login("ada").await;
            let token = OpaqueToken::parse(TokenKind::Refresh, &tokens.refresh_token).unwrap();
            let stored = refresh::find(database.reader(), token.id()).await.unwrap();
            let session = stored.unwrap().session;
            let rotate = async || {
                let policy = SessionPolicy::default();
                let rotation = rotation(&world, &token, &session, &policy);
                let mut statement = refresh::statement_of(&rotation, database.backend(), &policy);
                assert_eq!(statement.sql.matches(CONDITION).count(), 1);
                statement.sql = statement.sql.replace(CONDITION, condition);
                run(&database, statement).await
            };
            let rotated = futures_util::future::join_all((0..CALLERS).map(|_| rotate())).await;
            let rotated = rotated.into_iter().filter(|rotated| *rotated).count();
            assert_eq!(rotated, expected, "with {condition:?}");
        }
        service.stop().await;
    }
}

fn rotation(
    world: &World,
    token: &OpaqueToken,
    session: &Session,
    policy: &SessionPolicy,
) -> Rotation {
    let successor = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
    let now = world.clock.now();
    Rotation {
        session_id: session.id.clone(),
        token_id: token.id().clone(),
        request_id: None,
        successor_id: successor.id().clone(),
        successor_hash: successor.hash(),
        sealed_successor: vec![7; 60],
        rights_at: world.directory.position(),
        now,
        times: SessionTimes::at(now, session.expires_at, policy),
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
    let sql = "UPDATE sessions SET current_token_id = $1 WHERE id = $2";
    let values = values.map(Into::into);
    let statement = Statement::from_sql_and_values(database.backend(), sql, values);
    run(database, statement).await
}

/// Whether the statement changed anything.
async fn run(database: &Database, statement: Statement) -> bool {
    let written = database.write(move |transaction| {
        let statement = statement.clone();
        Box::pin(async move {
            let done = transaction.execute_raw(statement).await?;
            Ok::<_, StoreError>(done.rows_affected() > 0)
        })
    });
    written.await.unwrap().value
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
