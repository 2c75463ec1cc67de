//! Login.

use std::{sync::atomic::Ordering, time::Duration};

use auth_service::{
    domain::{
        account::{AccountStatus, PasswordHash},
        policy::SessionPolicy,
    },
    store::mint,
};
use identity_guard::{
    clock::{Clock as _, Timestamp},
    status::ErrorReason,
};
use identity_kit::password::import_hash;
use identity_proto::auth::v1::login_response;
use tonic::{Code, Status};

use crate::{
    directory::User,
    harness::{ADA, BOB, NEW_PASSWORD, PASSWORD, eventually, hash, refused, worlds},
    mint::new_session,
};

#[tokio::test(flavor = "multi_thread")]
async fn username_and_address_log_in_and_the_token_validates() {
    for world in worlds().await {
        let service = world.start().await;
        for identifier in ["ada", "ADA", "ada@example.org"] {
            let tokens = service.login(identifier).await;
            assert_eq!(tokens.user_id, ADA);
            assert!(tokens.access_token.len() <= 1024);
            let answer = service.validate(&tokens.access_token).await.unwrap();
            assert_eq!(answer.user_id, ADA);
            assert_eq!(answer.session_id, tokens.session_id);
            assert_eq!(answer.client_id, "default");
            assert_eq!(answer.roles, ["editor"]);
            assert_eq!(answer.permissions, ["users.read"]);
            assert_eq!(answer.amr, ["pwd"]);
            assert!(!answer.revision.is_empty());
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_lives_no_longer_than_a_role_that_it_carries() {
    for world in worlds().await {
        let service = world.start().await;
        let end = Timestamp::from_seconds(world.clock.now().seconds() + 60);
        world
            .directory
            .change(ADA, |ada| ada.roles_end_at = Some(end));
        let tokens = service.login("ada").await;
        assert_eq!(tokens.access_token_expire_time, Some(end.into()));
        let tokens = service.refresh(&tokens.refresh_token).await.unwrap();
        assert_eq!(tokens.access_token_expire_time, Some(end.into()));
        service.validate(&tokens.access_token).await.unwrap();
        world
            .clock
            .advance(Duration::from_mins(1) + SessionPolicy::default().leeway);
        let ended = service.validate(&tokens.access_token).await;
        refused(ended, Code::Unauthenticated, ErrorReason::TokenExpired);
        // The session goes on, with what is left.
        world.directory.change(ADA, |ada| ada.roles.clear());
        let tokens = service.refresh(&tokens.refresh_token).await.unwrap();
        let life = SessionPolicy::default().access_token_life;
        let full = world.clock.now().plus(life);
        assert_eq!(tokens.access_token_expire_time, Some(full.into()));
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_long_roles_lock_nobody_out() {
    for world in worlds().await {
        let service = world.start_with(&["--signing-algorithm=RS256"]).await;
        let roles: Vec<_> = (10..72).map(|n| format!("{n}{}", "r".repeat(98))).collect();
        world
            .directory
            .change(ADA, |ada| ada.roles.clone_from(&roles));
        let tokens = service.login("ada").await;
        assert!(tokens.access_token.len() <= 8 * 1024);
        let answer = service.validate(&tokens.access_token).await.unwrap();
        assert_eq!(answer.roles, roles);
        service.logout(&tokens.access_token).await.unwrap();
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_wrong_unset_locked_and_suspended_get_one_answer() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts-per-account=1"]).await;
        let wrong = service
            .try_login("ada", "not the password")
            .await
            .unwrap_err();
        // The one attempt on the account is used up: the right password is as good as a wrong one.
        let locked = service.try_login("ada", PASSWORD).await.unwrap_err();
        let unknown = service.try_login("nobody", PASSWORD).await.unwrap_err();
        world
            .directory
            .change(BOB, |bob| bob.status = AccountStatus::Suspended);
        let suspended = service
            .try_login("bob", "not the password")
            .await
            .unwrap_err();
        world.directory.change(BOB, |bob| bob.hash = None);
        let unset = service
            .try_login("bob@example.org", PASSWORD)
            .await
            .unwrap_err();
        let form = |status: &Status| {
            let sizes: Vec<_> = ["content-type", "x-request-id"]
                .map(|name| {
                    status
                        .metadata()
                        .get(name)
                        .map(tonic::metadata::MetadataValue::len)
                })
                .into();
            (
                status.code(),
                status.message().to_owned(),
                status.details().to_vec(),
                sizes,
            )
        };
        assert_eq!(wrong.code(), Code::Unauthenticated);
        for other in [&locked, &unknown, &suspended, &unset] {
            assert_eq!(form(other), form(&wrong));
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_told_only_after_the_proof() {
    for world in worlds().await {
        let service = world.start().await;
        for (status, reason) in [
            (AccountStatus::Suspended, ErrorReason::AccountSuspended),
            (AccountStatus::Inactive, ErrorReason::AccountInactive),
        ] {
            world.directory.change(ADA, |ada| ada.status = status);
            let answer = service.try_login("ada", PASSWORD).await;
            refused(answer, Code::PermissionDenied, reason);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_directory_is_told_and_costs_no_attempt() {
    for world in worlds().await {
        let service = world.start_with(&["--login-attempts=2"]).await;
        world.directory.away.store(true, Ordering::SeqCst);
        for _ in 0..4 {
            let answer = service.try_login("ada", PASSWORD).await;
            refused(
                answer,
                Code::Unavailable,
                ErrorReason::DependencyUnavailable,
            );
        }
        world.directory.away.store(false, Ordering::SeqCst);
        service.login("ada").await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_below_the_policy_is_renewed_after_the_login() {
    for world in worlds().await {
        let service = world.start_with(&["--password-passes=2"]).await;
        service.login("ada").await;
        eventually("the hash is of two passes", async || {
            let hash = world.directory.user(ADA).hash;
            hash.is_some_and(|hash| hash.as_phc().contains("t=2"))
        })
        .await;
        service.login("ada").await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_reads_again_is_judged_by_what_it_reads() {
    for world in worlds().await {
        let service = world.start().await;
        // What changes between the first reading and the session, which another session of newer rights delays.
        let overtaken = async |change: Box<dyn FnOnce(&mut User)>| {
            world.directory.remember();
            world.directory.change(ADA, change);
            world.directory.remembers_once.store(true, Ordering::SeqCst);
            let (policy, now) = (SessionPolicy::default(), world.clock.now());
            let other = new_session(ADA, world.directory.position(), None, now);
            let database = &service.app.authority().database;
            mint::begin(database, &other, &policy).await.unwrap();
            let reads = world.directory.reads.load(Ordering::SeqCst);
            let answer = service.try_login("ada", PASSWORD).await;
            let more = world.directory.reads.load(Ordering::SeqCst) - reads;
            assert_eq!(more, 2, "read again");
            answer.map(|answer| answer.result.unwrap())
        };

        let tokens = overtaken(Box::new(|ada| ada.roles = vec!["admin".to_owned()])).await;
        assert!(matches!(tokens, Ok(login_response::Result::Tokens(_))));
        // Hashed anew by a login beside this one.
        let same = hash(PASSWORD).await;
        let rehash = move |ada: &mut User| (ada.hash, ada.version) = (Some(same), ada.version + 1);
        let tokens = overtaken(Box::new(rehash)).await;
        assert!(matches!(tokens, Ok(login_response::Result::Tokens(_))));

        let wrong = service.try_login("ada", "not the password").await;
        let wrong = wrong.unwrap_err();
        let other = hash(NEW_PASSWORD).await;
        let change = move |ada: &mut User| (ada.hash, ada.version) = (Some(other), ada.version + 1);
        let changed = refused(
            overtaken(Box::new(change)).await,
            Code::Unauthenticated,
            ErrorReason::InvalidCredentials,
        );
        assert_eq!(
            (changed.message(), changed.details()),
            (wrong.message(), wrong.details())
        );

        let old = hash(PASSWORD).await;
        world.directory.change(ADA, |ada| ada.hash = Some(old));
        let required = overtaken(Box::new(|ada| ada.change_required = true)).await;
        assert!(matches!(required, Ok(login_response::Result::Challenge(_))));
        world
            .directory
            .change(ADA, |ada| ada.change_required = false);
        let suspended = overtaken(Box::new(|ada| ada.status = AccountStatus::Suspended));
        refused(
            suspended.await,
            Code::PermissionDenied,
            ErrorReason::AccountSuspended,
        );
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_another_program_is_replaced_at_the_first_login_however_short_the_password() {
    for world in worlds().await {
        let service = world.start().await;
        // Made by passlib.
        let stored = import_hash("{SSHA}uroioRatVzqmgkcbrX5gXkcyCIa1NqbU").unwrap();
        let foreign = PasswordHash::from_phc(stored);
        let version = world.directory.user(ADA).version;
        world
            .directory
            .change(ADA, |ada| ada.hash = foreign.clone());
        let wrong = service.try_login("ada", "hunter3").await;
        refused(
            wrong,
            Code::Unauthenticated,
            ErrorReason::InvalidCredentials,
        );
        assert_eq!(world.directory.user(ADA).hash, foreign);

        service.try_login("ada", "hunter2").await.unwrap();
        // Nobody waits for it at the login.
        while world.directory.user(ADA).version == version {
            tokio::task::yield_now().await;
        }
        let ours = world.directory.user(ADA).hash.unwrap();
        assert!(ours.as_phc().starts_with("$argon2id$v=19$"));
        service.try_login("ada", "hunter2").await.unwrap();
        service.try_login("ada", "hunter3").await.unwrap_err();
        assert_eq!(world.directory.user(ADA).version, version + 1);
        service.stop().await;
    }
}
