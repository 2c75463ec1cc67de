//! Repeated requests: one effect, one answer.

use std::sync::Arc;

use identity_kit::{
    clock::{Clock as _, SystemClock, Timestamp},
    database::{Database, StoreError},
    entropy::SystemEntropy,
    idempotency::{Call, Found, RequestLog, is_concurrent_repeat, purge},
};
use sea_orm::{ConnectionTrait as _, Statement};

use crate::schema::{each, insert, items};

fn log() -> Arc<RequestLog> {
    Arc::new(RequestLog::new([9; 32], Arc::new(SystemEntropy)))
}

const CALL: Call<'static> = Call {
    caller: "user-1",
    request_id: "chosen by the caller",
    method: "/identity.user.v1.UserService/CreateUser",
    request: b"request",
};

/// Creates an item once, however often it is called.
async fn create_once(database: &Database, log: &Arc<RequestLog>, id: &'static str) -> String {
    loop {
        let log = Arc::clone(log);
        let result = database
            .write(move |transaction| {
                let log = Arc::clone(&log);
                Box::pin(async move {
                    match log.find(transaction, CALL).await? {
                        Found::Answer(answer) => Ok(String::from_utf8(answer.to_vec()).unwrap()),
                        Found::Reused => Err(StoreError::Conflict),
                        Found::Nothing => {
                            insert(transaction, id).await?;
                            log.record(transaction, CALL, id.as_bytes(), SystemClock.now())
                                .await?;
                            Ok(id.to_owned())
                        }
                    }
                })
            })
            .await;
        match result {
            Ok(written) => return written.value,
            Err(error) => assert!(is_concurrent_repeat(&error), "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_has_one_effect_and_one_answer() {
    for database in each().await {
        let log = log();
        assert_eq!(create_once(&database, &log, "first").await, "first");
        assert_eq!(create_once(&database, &log, "second").await, "first");
        assert_eq!(items(&database).await, ["first"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_have_one_effect_and_one_answer() {
    for database in each().await {
        let log = log();
        let ids = ["a", "b", "c", "d", "e", "f"];
        let calls = ids.map(|id| create_once(&database, &log, id));
        let answers = futures_util::future::join_all(calls).await;
        let made = items(&database).await;
        assert_eq!(made.len(), 1);
        assert!(
            answers.iter().all(|answer| *answer == made[0]),
            "{answers:?} {made:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn id_belongs_to_its_caller_and_to_one_request() {
    for database in each().await {
        let log = log();
        create_once(&database, &log, "first").await;
        let other_caller = Call {
            caller: "user-2",
            ..CALL
        };
        let other_request = Call {
            request: b"other",
            ..CALL
        };
        let other_method = Call {
            method: "/other",
            ..CALL
        };
        for (call, expected) in [
            (other_caller, Found::Nothing),
            (other_request, Found::Reused),
            (other_method, Found::Reused),
        ] {
            assert_eq!(log.find(database.reader(), call).await.unwrap(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_id_nor_answer_can_be_read_from_the_database() {
    for database in each().await {
        create_once(&database, &log(), "answer").await;
        let row = database
            .reader()
            .query_one_raw(Statement::from_string(
                database.backend(),
                "SELECT request_key, response FROM request_log",
            ))
            .await
            .unwrap()
            .unwrap();
        let key: String = row.try_get("", "request_key").unwrap();
        let response: Vec<u8> = row.try_get("", "response").unwrap();
        assert!(!key.contains("chosen"));
        assert!(!response.windows(6).any(|window| window == b"answer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_are_purged() {
    for database in each().await {
        let log = log();
        create_once(&database, &log, "first").await;
        for (moment, removed) in [(Timestamp::from_seconds(0), 0), (SystemClock.now(), 1)] {
            let purged = database
                .write(move |transaction| Box::pin(async move { purge(transaction, moment).await }))
                .await
                .unwrap();
            assert_eq!(purged.value, removed);
        }
        assert_eq!(
            log.find(database.reader(), CALL).await.unwrap(),
            Found::Nothing
        );
    }
}
