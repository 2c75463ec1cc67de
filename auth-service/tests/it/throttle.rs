//! Attempts are counted, over restarts and side by side.

use std::{sync::Arc, time::Duration};

use auth_service::{
    domain::{
        account::AccountStatus,
        id::UserId,
        identifier::LoginIdentifier,
        throttle::{
            Counter, Limit, LoginCounters, LoginKeys, ThrottleKey, ThrottleKeys, ThrottleLimits,
        },
    },
    store::throttles,
};
use identity_guard::{
    clock::{Clock as _, Timestamp},
    status::{ErrorReason, reason_of},
};
use identity_kit::database::{Database, StoreError};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::sync::Barrier;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{ADA, PASSWORD, Service, eventually, refused, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn the_count_survives_a_restart_and_ends_with_its_window() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=3"]).await;
        for _ in 0..3 {
            let answer = service.try_login("ada", "not the password").await;
            refused(
                answer,
                Code::Unauthenticated,
                ErrorReason::InvalidCredentials,
            );
        }
        service.stop().await;

        let service = world.start_with(&["--login-attempts=3"]).await;
        let answer = service.try_login("ada", PASSWORD).await;
        let status = refused(
            answer,
            Code::ResourceExhausted,
            ErrorReason::TooManyAttempts,
        );
        let retry = status.get_details_retry_info().unwrap().retry_delay;
        let window = Duration::from_mins(15);
        assert!(
            retry.is_some_and(|retry| retry <= window && retry > window / 2),
            "{retry:?}"
        );
        // Another identifier from the same place is another count.
        service.login("bob").await;
        world.clock.advance(Duration::from_mins(15));
        service.login("ada").await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_nobody_can_have_is_counted_like_any_unknown_one() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=2"]).await;
        let mut answers = Vec::new();
        for identifier in ["nobody".to_owned(), "\u{e9}".repeat(130)] {
            for _ in 0..2 {
                let answer = service.try_login(&identifier, PASSWORD).await;
                answers.push(refused(
                    answer,
                    Code::Unauthenticated,
                    ErrorReason::InvalidCredentials,
                ));
            }
            let answer = service.try_login(&identifier, PASSWORD).await;
            refused(
                answer,
                Code::ResourceExhausted,
                ErrorReason::TooManyAttempts,
            );
        }
        assert!(answers.iter().all(|answer| {
            (answer.message(), answer.details()) == (answers[0].message(), answers[0].details())
        }));
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_side_by_side_do_not_slip_through() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=5"]).await;
        let answers = futures_util::future::join_all(
            (0..40).map(|_| service.try_login("ada", "not the password")),
        )
        .await;
        let tried = answers
            .into_iter()
            .filter(|answer| {
                let status = answer.as_ref().unwrap_err();
                reason_of(status) == Some(ErrorReason::InvalidCredentials)
            })
            .count();
        assert_eq!(tried, 5);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_begins_the_count_anew() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=3"]).await;
        for _ in 0..3 {
            for _ in 0..2 {
                let answer = service.try_login("ada", "not the password").await;
                refused(
                    answer,
                    Code::Unauthenticated,
                    ErrorReason::InvalidCredentials,
                );
            }
            service.login("ada").await;
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_is_no_failure_whatever_stands_in_its_way() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=3"]).await;
        world
            .directory
            .change(ADA, |ada| ada.status = AccountStatus::Suspended);
        for _ in 0..4 {
            let answer = service.try_login("ada", PASSWORD).await;
            refused(
                answer,
                Code::PermissionDenied,
                ErrorReason::AccountSuspended,
            );
        }
        world.directory.change(ADA, |ada| {
            ada.status = AccountStatus::Active;
            ada.change_required = true;
        });
        for _ in 0..4 {
            assert!(service.try_login("ada", PASSWORD).await.is_ok());
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_of_an_account_that_cannot_be_used_begins_no_count_anew() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=3"]).await;
        world
            .directory
            .change(ADA, |ada| ada.status = AccountStatus::Suspended);
        for password in ["wrong", "wrong too", PASSWORD, "wrong as well"] {
            let answer = service.try_login("ada", password).await;
            assert_ne!(answer.unwrap_err().code(), Code::ResourceExhausted);
        }
        let answer = service.try_login("ada", PASSWORD).await;
        refused(
            answer,
            Code::ResourceExhausted,
            ErrorReason::TooManyAttempts,
        );
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_counts_although_its_caller_leaves() {
    for world in worlds().await {
        // A hash that outlives its caller.
        let service = world
            .start_with(&[
                "--login-attempts=1",
                "--password-memory-kib=65536",
                "--password-passes=3",
            ])
            .await;
        let mut auth = service.auth.clone();
        let leaver = tokio::spawn(async move {
            let request = identity_proto::auth::v1::LoginRequest {
                identifier: "ada".to_owned(),
                password: "not the password".to_owned(),
                ..Default::default()
            };
            auth.login(request).await
        });
        eventually("the attempt is counted", async || {
            !counters(&service).await.is_empty()
        })
        .await;
        leaver.abort();
        assert!(leaver.await.is_err_and(|error| error.is_cancelled()));
        let answer = service.try_login("ada", PASSWORD).await;
        refused(
            answer,
            Code::ResourceExhausted,
            ErrorReason::TooManyAttempts,
        );
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn successes_side_by_side_leave_nothing_counted() {
    for world in worlds().await {
        let service = world.start().await;
        futures_util::future::join_all(
            (0..16).map(|caller| service.login(["ada", "bob"][caller % 2])),
        )
        .await;
        let left = counters(&service).await;
        assert_eq!(left.len(), 5, "a network, two identifiers, two accounts");
        assert!(
            left.iter().all(|(_, counter)| counter.attempts == 0),
            "{left:?}"
        );
        service.stop().await;
    }
}

/// The control: two that read what they then write settle one attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_reads_and_then_writes_leaves_an_attempt_of_another_counted() {
    for world in worlds().await {
        let service = world.start().await;
        let database: Database = service.app.authority().database.clone();
        let (keys, limits, now) = (keys(), ThrottleLimits::default(), world.clock.now());
        for _ in 0..2 {
            throttles::charge(&database, &keys, &limits, now)
                .await
                .unwrap();
        }
        let read_by_both = Barrier::new(2);
        let settle = async || {
            let mut network = find(&service, &keys.network).await;
            read_by_both.wait().await;
            network.refund(&limits.network);
            set_attempts(&database, &keys.network, network.attempts).await;
        };
        tokio::join!(settle(), settle());
        assert_eq!(find(&service, &keys.network).await.attempts, 1);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_of_a_success_does_what_the_rule_says() {
    const LIMIT: Limit = Limit {
        attempts: 3,
        window: Duration::from_mins(15),
        longest_block: Duration::from_hours(1),
    };
    let limits = ThrottleLimits {
        pair: LIMIT,
        network: LIMIT,
        account: LIMIT,
    };
    for world in worlds().await {
        let service = world.start().await;
        let database = &service.app.authority().database;
        let keys = keys();
        let start = world.clock.now();
        let mut expected = LoginCounters {
            pair: Counter::new(start),
            network: Counter::new(start),
            account: Counter::new(start),
        };
        // Each round begins behind the block of the one before.
        for (round, attempts) in [1, 3, 0, 2, 3, 3, 2].into_iter().enumerate() {
            let now = start.plus(LIMIT.longest_block * u32::try_from(round).unwrap());
            for _ in 0..attempts {
                let counted = throttles::charge(database, &keys, &limits, now).await;
                assert_eq!(counted.unwrap(), expected.charge(&limits, now));
            }
            throttles::succeed(database, &keys, &limits, now)
                .await
                .unwrap();
            expected.succeed(&limits, now);
            let found = LoginCounters {
                pair: find(&service, &keys.pair).await,
                network: find(&service, &keys.network).await,
                account: find(&service, &keys.account).await,
            };
            assert_eq!(found, expected, "round {round}");
        }
        service.stop().await;
    }
}

fn keys() -> LoginKeys {
    let keys = ThrottleKeys::new(&[7; 32]);
    LoginKeys {
        pair: keys.pair(&LoginIdentifier::parse("eve").unwrap(), "192.0.2.1"),
        network: keys.network("192.0.2.1"),
        account: keys.account(&UserId::trusted("eve")),
    }
}

async fn find(service: &Service, key: &ThrottleKey) -> Counter {
    let counters = counters(service).await;
    let found = counters.into_iter().find(|(id, _)| id == key.as_bytes());
    found.expect("a counter").1
}

async fn counters(service: &Service) -> Vec<(Vec<u8>, Counter)> {
    let database = service.app.authority().database.clone();
    let sql = "SELECT id, attempts, window_started_at, blocked_until, blocks FROM throttles";
    let reader = database.reader();
    let rows = reader
        .query_all_raw(Statement::from_string(reader.get_database_backend(), sql))
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let count = |column| u32::try_from(row.try_get::<i32>("", column).unwrap()).unwrap();
            let blocked_until: Option<i64> = row.try_get("", "blocked_until").unwrap();
            let counter = Counter {
                attempts: count("attempts"),
                window_started_at: Timestamp::from_micros(
                    row.try_get("", "window_started_at").unwrap(),
                ),
                blocked_until: blocked_until.map(Timestamp::from_micros),
                blocks: count("blocks"),
            };
            (row.try_get("", "id").unwrap(), counter)
        })
        .collect()
}

async fn set_attempts(database: &Database, key: &ThrottleKey, attempts: u32) {
    let key = Arc::new(key.clone());
    let written = database.write(move |transaction| {
        let key = Arc::clone(&key);
        Box::pin(async move {
            let sql = "UPDATE throttles SET attempts = $1 WHERE id = $2";
            let values = [
                i32::try_from(attempts).unwrap().into(),
                key.as_bytes().to_vec().into(),
            ];
            let backend = transaction.get_database_backend();
            transaction
                .execute_raw(Statement::from_sql_and_values(backend, sql, values))
                .await?;
            Ok::<_, StoreError>(())
        })
    });
    written.await.unwrap();
}
