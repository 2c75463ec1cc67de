//! A database that was put back to an earlier copy: refused, and served again after the verb. What such a copy is, the
//! marker says; here it is the marker that is changed. Real copies are put back in the tests of real processes.

use std::{fs, path::Path, sync::Arc};

use identity_guard::{ErrorReason, SystemClock, position::Position};
use identity_kit::{
    consistency::ConsistencyTokens,
    entropy::SystemEntropy,
    outbox::Cursor,
    restore::{Marker, RestoreError, State},
};
use identity_proto::user::v1::{
    self as wire,
    watch_request::{Acknowledge, Message as Say, Ping},
    watch_response::Message as Heard,
};
use sea_orm::DbBackend;
use serde_json::{Value, json};
use tempfile::TempDir;
use user_service::{
    after_restore::{self, AfterRestoreError},
    app::SERVICE,
    config::{AfterRestoreArgs, Config, VerifyAuditArgs},
    setup::{self, SetupError},
    verify_audit,
};

use crate::{
    erasure::dump,
    harness::{Watcher, World, person, reason, refused, start, violated},
};

/// The personal data of who is to be erased.
const GONE: &str = "xanthippe";

async fn after_restore(config: &Config, force: bool) -> Result<Value, AfterRestoreError> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    after_restore::run(config, &AfterRestoreArgs { force }, clock, entropy).await
}

async fn verifies(config: &Config) -> bool {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let args = VerifyAuditArgs { head: Vec::new() };
    verify_audit::run(config, &args, clock, entropy)
        .await
        .is_ok()
}

/// A state folder, and the settings with it.
fn kept(config: &mut Config) -> (TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    config.database.state_dir = Some(folder.path().to_owned());
    let state = config.database.state(SERVICE).unwrap();
    (folder, state)
}

/// The marker of a database whose end was lost, and a journal of who was erased there.
fn lost(folder: &Path, state: &State, position: Position, erased: &[&str]) {
    let text = erased.join("\n") + "\n";
    fs::write(folder.join("user-service.erasures"), &text).unwrap();
    let nonce = Some("lost".to_owned());
    let cursor = Cursor { position, nonce };
    let journal_bytes = text.len() as u64;
    state
        .mark(&Marker {
            cursor,
            journal_bytes,
            journal_since: 0,
        })
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_put_back_is_served_when_those_who_were_erased_are_erased_again() {
    for mut world in World::all().await {
        let gone = world.create(&person(GONE)).await.unwrap().id;
        let stays = world.person().await.id;
        let (folder, state) = kept(&mut world.config);
        let head = world.app.store().head().await.unwrap();
        assert!(contains(&dump(&world).await, GONE));
        let admin = world.admin.id.clone();

        let world = world
            .restarted(async |config| {
                // The administrator is among them: nobody is spared who was erased before.
                let erased = [gone.as_str(), "nobody0000000000000000000", &admin, &gone];
                lost(folder.path(), &state, head.clone(), &erased);
                let problem = refused(config).await;
                assert!(
                    problem.contains("run `user-service after-restore`"),
                    "{problem}"
                );
                // Whoever looks at the database may.
                assert!(verifies(config).await);
                let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
                setup::migrate(config, clock, entropy).await.unwrap();

                let said = after_restore(config, false).await.unwrap();
                assert_eq!(
                    (
                        &said["restored"],
                        &said["journaled_users"],
                        &said["erased_users"]
                    ),
                    (&json!(true), &json!(4), &json!(2))
                );
                let again = after_restore(config, false).await.unwrap();
                assert_eq!(again, json!({ "restored": false }));
                let forced = after_restore(config, true).await.unwrap();
                assert_eq!(
                    (&forced["restored"], &forced["erased_users"]),
                    (&json!(true), &json!(0))
                );
                assert_ne!(forced["epoch"], said["epoch"]);
                assert!(verifies(config).await);
            })
            .await;
        assert_ne!(world.app.store().head().await.unwrap().epoch, head.epoch);
        assert!(!contains(&dump(&world).await, GONE));
        assert!(world.get_self(&stays).await.is_ok());
        for id in [&gone, &admin] {
            let answer = world.get_self(id).await;
            assert!(answer.is_err(), "{answer:?}");
        }
        let journal = fs::read_to_string(folder.path().join("user-service.erasures")).unwrap();
        assert!(journal.contains(&gone), "the next copy may be older");
    }
}

fn contains(dump: &[u8], text: &str) -> bool {
    let dump = dump.to_ascii_lowercase();
    dump.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_was_killed_is_run_again() {
    for mut world in World::all().await {
        let gone = world.create(&person(GONE)).await.unwrap().id;
        let (folder, state) = kept(&mut world.config);
        let old = world.app.store().head().await.unwrap();
        let world = world
            .restarted(async |config| {
                lost(folder.path(), &state, old.clone(), &[&gone]);
                let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
                let database = config.database.config(true).unwrap();
                let store = setup::open(config, &database, clock, entropy)
                    .await
                    .unwrap();
                // Killed behind its first step, and behind its second one: also where no marker says so.
                store.begin_restore().await.unwrap();
                store
                    .erase_again(std::slice::from_ref(&gone))
                    .await
                    .unwrap();
                store.database().close().await;
                drop(store);
                for without in [false, true] {
                    if without {
                        fs::remove_file(folder.path().join("user-service.marker")).unwrap();
                    }
                    let problem = refused(config).await;
                    assert!(problem.contains("run it again"), "{problem}");
                }
                let said = after_restore(config, false).await.unwrap();
                assert_eq!(
                    (&said["journaled_users"], &said["erased_users"]),
                    (&json!(1), &json!(0))
                );
            })
            .await;
        // What the verb wrote itself was told to nobody, and is no part of what the copy had.
        let lost = Position::new(old.epoch, old.revision + 1);
        let past = world.app.store().past(&lost).await.unwrap();
        assert_eq!(past, identity_kit::outbox::Past::Lost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_folder_of_the_service_nobody_is_brought_back_untold() {
    for mut world in World::all().await {
        let (folder, _state) = kept(&mut world.config);
        let world = world
            .restarted(async |config| {
                for file in ["marker", "erasures"] {
                    // There may be no journal.
                    let _ = fs::remove_file(folder.path().join(format!("user-service.{file}")));
                }
                let problem = after_restore(config, false).await.unwrap_err();
                assert!(
                    matches!(
                        problem,
                        AfterRestoreError::Restore(RestoreError::NothingKept)
                    ),
                    "{problem:?}"
                );
                let said = after_restore(config, true).await.unwrap();
                assert_eq!(said["restored"], json!(true));
            })
            .await;
        drop(world);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_begins_behind_the_copy_is_enough_for_nobody_who_is_not_told() {
    for mut world in World::all().await {
        let (_folder, state) = kept(&mut world.config);
        let head = world.app.store().head().await.unwrap();
        let revision = head.revision;
        let world = world
            .restarted(async |config| {
                let mut marker = Marker {
                    cursor: Cursor {
                        position: Position::new(head.epoch.clone(), revision + 9),
                        nonce: Some("lost".to_owned()),
                    },
                    journal_bytes: 0,
                    journal_since: revision + 1,
                };
                state.mark(&marker).unwrap();
                let problem = after_restore(config, false).await.unwrap_err();
                assert!(
                    matches!(
                        problem,
                        AfterRestoreError::Restore(RestoreError::Incomplete { .. })
                    ),
                    "{problem}"
                );
                assert!(refused(config).await.contains("run it again"));
                // Of another folder, or because it must be.
                marker.journal_since = revision;
                state.mark(&marker).unwrap();
                after_restore(config, false).await.unwrap();
                marker.journal_since = u64::MAX;
                state.mark(&marker).unwrap();
                after_restore(config, true).await.unwrap();
                let known = state.marker().unwrap().unwrap().journal_since;
                assert!(known < u64::MAX, "from here on it tells of everybody");
            })
            .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_a_kill_is_none_after_a_restore() {
    for mut world in World::all().await {
        let (_folder, state) = kept(&mut world.config);
        let world = world.restarted(async |_| {}).await;
        let person = world.person().await;
        let deleted = wire::DeleteUserRequest {
            user_id: person.id.clone(),
            ..Default::default()
        };
        let deleted = world.by_admin(deleted);
        world.users().delete_user(deleted).await.unwrap();
        let head = world.app.store().head().await.unwrap();
        let world = world
            .restarted(async |config| {
                let marker = state.marker().unwrap().unwrap();
                assert_eq!(marker.cursor.position, head, "written at the end");
                assert_eq!(marker.journal_bytes, 25);
                let said = after_restore(config, false).await.unwrap();
                assert_eq!(said, json!({ "restored": false }));
            })
            .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_serve_meanwhile_begin_anew_with_their_watchers_and_their_revisions() {
    for world in World::all().await {
        let mut watcher = Watcher::of(&world, start(None, &[])).await.unwrap();
        watcher.hear_snapshot().await;
        let user = world.person().await;
        let held = world.suspend(&user.id).await.unwrap().revision;
        watcher.hear_changes(2).await;
        let old = world.app.store().head().await.unwrap();
        if world.app.store().database().backend() == DbBackend::Sqlite {
            let problem = after_restore(&world.config, true).await;
            assert!(
                matches!(
                    problem,
                    Err(AfterRestoreError::Setup(SetupError::Connect { .. }))
                ),
                "{problem:?}"
            );
            continue;
        }
        after_restore(&world.config, true).await.unwrap();
        let snapshot = watcher.hear_snapshot().await;
        let place = snapshot.position.unwrap();
        assert_ne!(place.epoch, old.epoch);

        // What the copy had is there at once, and waited for as what is now.
        let read = |min_revision: String| {
            world.by_admin(wire::ListRolesRequest {
                min_revision,
                ..Default::default()
            })
        };
        world.roles().list_roles(read(held.clone())).await.unwrap();
        watcher.say(Say::Ping(Ping { nonce: 1 })).await;
        while !matches!(watcher.hear().await, Heard::Pong(_)) {}
        let position = Some(place);
        watcher
            .say(Say::Acknowledge(Acknowledge { position }))
            .await;
        let revision = held;
        let waited = world.by_admin(wire::AwaitRevisionRequest { revision });
        let waited = world.revisions().await_revision(waited).await.unwrap();
        assert_eq!(waited.into_inner().acknowledged_count, 1);

        // What was lost is waited for by nobody.
        let root = world.config.access.root_secret().unwrap();
        let tokens = ConsistencyTokens::new("user", root.derive("consistency tokens"));
        let lost = tokens.encode(&Position::new(old.epoch, old.revision + 1));
        let answer = world.roles().list_roles(read(lost.clone())).await;
        assert_eq!(violated(answer), ["min_revision"]);
        let revision = lost;
        let waited = world.by_admin(wire::AwaitRevisionRequest { revision });
        let answer = world.revisions().await_revision(waited).await;
        assert_eq!(violated(answer), ["revision"]);
        let elsewhere = tokens.encode(&Position::new("elsewhere", 1));
        let answer = world.roles().list_roles(read(elsewhere)).await;
        assert_eq!(reason(answer), ErrorReason::RevisionNotReached);
    }
}
