//! A database that was put back to an earlier copy: refused, and served again after the verb. What such a copy is, the
//! marker says; here it is the marker that is changed. Real copies are put back in the tests of real processes.

use std::sync::Arc;

use auth_service::{
    after_restore::{self, AfterRestoreError},
    app::SERVICE,
    config::AfterRestoreArgs,
    domain::signing_key::{KeyState, SigningKey},
    setup::SetupError,
};
use identity_guard::{
    AccessState,
    clock::Clock as _,
    engine::{
        AccessChange, KeyChange, Refusal, SessionRevocation, Snapshot, Source, SubjectRevocation,
        VerifierConfig, VerifyingKey,
    },
    position::Position,
    status::ErrorReason,
};
use identity_kit::{
    database::StoreError,
    entropy::SystemEntropy,
    outbox::Cursor,
    restore::{Marker, State},
    shutdown::Shutdown,
};
use identity_proto::auth::v1::{ValidateTokenRequest, watch_response::Message as Heard};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::{
    feed::Watcher,
    harness::{ADA, PASSWORD, Service, World, eventually, refused, worlds},
};

async fn after_restore(
    world: &World,
    more: &[&str],
    force: bool,
) -> Result<Value, AfterRestoreError> {
    let (clock, entropy) = (world.clock.clone(), Arc::new(SystemEntropy));
    after_restore::run(
        &world.config(more),
        &AfterRestoreArgs { force },
        clock,
        entropy,
    )
    .await
}

/// Whether a token is good at a moment of the own feed.
async fn validate(service: &Service, token: &str, min_revision: String) -> Result<(), Status> {
    let request = ValidateTokenRequest {
        access_token: token.to_owned(),
        min_revision,
    };
    service.auth.clone().validate_token(request).await.map(drop)
}

fn keys(service: &Service) -> Vec<SigningKey> {
    service.app.authority().keys.list().to_vec()
}

/// As if the changes of users had been followed.
async fn follow_users(world: &World) {
    const FOLLOWED: &str = "UPDATE user_feed SET epoch = 'users', revision = 7, nonce = 'n'";
    let written = world.database.write(|transaction| {
        Box::pin(async move {
            transaction.execute_unprepared(FOLLOWED).await?;
            Ok::<_, StoreError>(())
        })
    });
    written.await.unwrap();
}

/// How many rows of a table there are.
async fn count(world: &World, table: &str) -> i64 {
    let reader = world.database.reader();
    let sql = format!("SELECT COUNT(*) AS found FROM {table}");
    let statement = Statement::from_string(reader.get_database_backend(), sql);
    let row = reader.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "found").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_verb_nothing_from_before_is_believed_and_everybody_can_log_in() {
    for world in worlds().await {
        let folder = tempfile::tempdir().unwrap();
        let more = ["--state-dir", folder.path().to_str().unwrap()];
        let service = world.start_with(&more).await;
        let ada = service.login("ada").await;
        let ended = service.login("ada").await;
        let bob = service.login("bob").await;
        service.logout(&ended.access_token).await.unwrap();
        world
            .directory
            .change(ADA, |ada| ada.change_required = true);
        service.try_login("ada", PASSWORD).await.unwrap();
        world
            .directory
            .change(ADA, |ada| ada.change_required = false);
        let old = keys(&service);
        let position = service.app.authority().tail.applied().borrow().clone();
        service.stop().await;
        assert_eq!(count(&world, "challenges").await, 1);
        follow_users(&world).await;

        let state = State::in_folder(SERVICE, folder.path());
        let marker = state.marker().unwrap().unwrap();
        assert_eq!(marker.cursor.position, position, "written at the end");
        state
            .mark(&Marker {
                cursor: Cursor {
                    position: Position::new(position.epoch.clone(), position.revision + 3),
                    nonce: Some("lost".to_owned()),
                },
                journal_bytes: 0,
                journal_since: 0,
            })
            .unwrap();
        let problem = world.try_start(Shutdown::manual(), &more).await;
        let problem = problem.err().expect("is refused").to_string();
        assert!(
            problem.contains("run `auth-service after-restore`"),
            "{problem}"
        );

        let said = after_restore(&world, &more, false).await.unwrap();
        assert_eq!(
            (
                &said["restored"],
                &said["ended_sessions"],
                &said["withdrawn_keys"]
            ),
            (&json!(true), &json!(2), &json!(1))
        );
        let again = after_restore(&world, &more, false).await.unwrap();
        assert_eq!(again, json!({ "restored": false }));
        for table in ["sessions", "refresh_tokens", "challenges"] {
            assert_eq!(count(&world, table).await, 0, "{table}");
        }
        assert_eq!(count(&world, "user_feed WHERE epoch = ''").await, 1);
        assert_eq!(
            count(&world, "signing_keys WHERE length(private_sealed) > 0").await,
            1,
            "nobody signs with an old one again"
        );

        let service = world.start_with(&more).await;
        for tokens in [&ada, &ended, &bob] {
            let answer = service.validate(&tokens.access_token).await;
            refused(answer, Code::Unauthenticated, ErrorReason::TokenRevoked);
            let answer = service.refresh(&tokens.refresh_token).await;
            let (code, reason) = (Code::Unauthenticated, ErrorReason::RefreshTokenInvalid);
            refused(answer, code, reason);
        }
        let new = service.login("ada").await;
        let rotated = service.refresh(&new.refresh_token).await.unwrap();
        service.validate(&rotated.access_token).await.unwrap();
        let keys = keys(&service);
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].state, KeyState::Active);
        assert_eq!(keys[0].id, said["signing_key"]);
        assert_eq!(
            (keys[1].state, &keys[1].id),
            (KeyState::Withdrawn, &old[0].id)
        );
        guard_that_remembers(&world, &old[0], &keys, &ada.access_token, &new.access_token);
        service.stop().await;
    }
}

/// A guard that had heard of ends that the copy knows nothing of: they stay, and what is new passes them.
fn guard_that_remembers(
    world: &World,
    old: &SigningKey,
    keys: &[SigningKey],
    before: &str,
    after: &str,
) {
    let valid = |key: &SigningKey| {
        KeyChange::Valid(Arc::new(
            VerifyingKey::from_jwk_json(&key.public_jwk).unwrap(),
        ))
    };
    let snapshot = |keys, epoch: &str, revision| Snapshot {
        keys,
        position: Position::new(epoch, revision),
        ..Snapshot::default()
    };
    let clock = world.clock.clone();
    let verifier = VerifierConfig::new("http://127.0.0.1:50061", "identity");
    let state = AccessState::new(verifier, clock, std::time::Duration::from_secs(5));
    let observed = || {
        let position = state.position().unwrap();
        state.observe_source(Source::Auth, position, std::time::Duration::ZERO);
    };
    state.apply_snapshot(snapshot(vec![valid(old)], "old", 90));
    observed();
    state.check(before).unwrap();
    let retain_until = world.clock.now().plus(std::time::Duration::from_mins(10));
    // More ends than any copy is behind.
    state.apply_change(AccessChange::Subject(SubjectRevocation {
        user_id: ADA.to_owned(),
        generation: 1_000_000,
        retain_until,
    }));
    state.apply_change(AccessChange::Session(SessionRevocation {
        session_id: "lost".to_owned(),
        retain_until,
    }));
    assert_eq!(state.check(before).unwrap_err(), Refusal::Revoked);
    let withdrawn = KeyChange::Withdrawn {
        kid: keys[1].id.clone(),
    };
    state.apply_snapshot(snapshot(vec![valid(&keys[0]), withdrawn], "new", 5));
    observed();
    assert_eq!(state.check(before).unwrap_err(), Refusal::Revoked);
    state.check(after).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_serve_meanwhile_begin_anew_with_their_watchers_and_their_revisions() {
    for world in worlds().await {
        let service = world.start().await;
        let ada = service.login("ada").await;
        let bob = service.login("bob").await;
        let mut watcher = Watcher::start(&service, None).await.unwrap();
        watcher.hear_snapshot().await;
        service.logout(&bob.access_token).await.unwrap();
        watcher.hear_revoked().await;
        let authority = service.app.authority();
        let old = authority.tail.applied().borrow().clone();
        if world.database.backend() == DbBackend::Sqlite {
            let problem = after_restore(&world, &[], true).await;
            let expected = Err(AfterRestoreError::Setup(SetupError::Open {
                flag: "--database-url",
                source: StoreError::Conflict,
            }));
            assert_eq!(
                std::mem::discriminant(&problem),
                std::mem::discriminant(&expected),
                "{problem:?}"
            );
            drop(watcher);
            service.stop().await;
            continue;
        }
        after_restore(&world, &[], true).await.unwrap();
        assert!(matches!(watcher.hear().await, Heard::Reset(_)));
        eventually("the own state is of the new epoch", async || {
            authority
                .state
                .position()
                .is_some_and(|at| at.epoch != old.epoch)
        })
        .await;
        let answer = service.validate(&ada.access_token).await;
        refused(answer, Code::Unauthenticated, ErrorReason::TokenRevoked);
        let new = service.login("ada").await;
        service.validate(&new.access_token).await.unwrap();

        let token = |epoch: &str, revision| {
            authority
                .consistency
                .encode(&Position::new(epoch, revision))
        };
        let held = token(&old.epoch, old.revision);
        validate(&service, &new.access_token, held).await.unwrap();
        let lost = token(&old.epoch, old.revision + 1);
        let answer = validate(&service, &new.access_token, lost).await;
        refused(answer, Code::InvalidArgument, ErrorReason::InvalidFields);
        let elsewhere = token("elsewhere", 1);
        let answer = validate(&service, &new.access_token, elsewhere).await;
        refused(answer, Code::Unavailable, ErrorReason::RevisionNotReached);
        drop(watcher);
        service.stop().await;
    }
}
