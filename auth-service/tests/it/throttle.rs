//! Attempts are counted, over restarts and side by side.

use std::time::Duration;

use identity_guard::status::{ErrorReason, reason_of};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{PASSWORD, refused, worlds};

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
