//! SIGKILL in the middle of work, again and again: nothing that was acknowledged is lost, no ended token lives on.

mod actors;
mod journal;

use std::{sync::Arc, time::Duration};

use identity_dev::service::Service;
use identity_proto::{
    auth::v1::TokenSet,
    user::v1::{BatchGetUsersRequest, ListUserRolesRequest},
};
use tokio::time::{sleep, timeout};

use crate::harness::{
    Store, World,
    person::{refresh, refused, validate},
    requirements,
};
use actors::Actors;
use journal::Journal;

on_both_stores!(nothing_acknowledged_is_lost_when_services_are_killed);

/// Acknowledged writes between two kills, at least.
const WRITES_BETWEEN: usize = 12;

/// How old the knowledge of user-service may be when it decides by itself.
const MAX_STALENESS: Duration = Duration::from_secs(1);

/// How long the pair may take to acknowledge that many after a kill.
const RECOVERY_LIMIT: Duration = Duration::from_mins(1);

async fn nothing_acknowledged_is_lost_when_services_are_killed(store: Store) {
    let kills = requirements::rounds("E2E_KILLS", 4);
    let mut world = World::prepared(store).await;
    let staleness = MAX_STALENESS.as_millis();
    world.user.launch.extra = vec![format!("--max-staleness-milliseconds={staleness}")];
    world.start().await;
    let actors = Actors::start(&world).await;
    for kill in 0..kills {
        let (enough, journal) = (
            actors.journal.acknowledged() + WRITES_BETWEEN,
            &actors.journal,
        );
        timeout(RECOVERY_LIMIT, journal.reaches(enough))
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "no progress before kill {kill}\n{}\n{}",
                    world.user.log_end(),
                    world.auth.log_end()
                )
            });
        let victim = Service::BOTH[kill % 2];
        // A different moment of the work each time.
        sleep(Duration::from_millis(u64::try_from(kill * 7 % 40).unwrap())).await;
        world.replica(victim).kill().await;
        sleep(Duration::from_millis(
            u64::try_from(kill * 31 % 150).unwrap(),
        ))
        .await;
        world.replica(victim).start();
    }
    world.ready().await;
    let journal = actors.stop().await;
    assert_eq!(journal.violations(), Vec::<String>::new());
    verify(&world, &journal).await;
    say(&format!("{kills} kills; {}", journal.summary()));
    world.dispose().await;
}

/// Compares what the services say with what they acknowledged.
async fn verify(world: &World, journal: &Arc<Journal>) {
    for ids in journal.created_users().chunks(100) {
        let request = BatchGetUsersRequest {
            user_ids: ids.to_vec(),
            ..BatchGetUsersRequest::default()
        };
        let answer = world.api.users(&world.admin).batch_get_users(request).await;
        assert_eq!(answer.unwrap().into_inner().missing_user_ids, [""; 0]);
    }
    for (user_id, assigned) in journal.roles() {
        let request = ListUserRolesRequest {
            user_id: user_id.clone(),
            ..ListUserRolesRequest::default()
        };
        let answer = world.api.roles(&world.admin).list_user_roles(request).await;
        let roles = answer.unwrap().into_inner().roles;
        assert_eq!(!roles.is_empty(), assigned, "the roles of {user_id}");
    }
    for ended in journal.logged_out() {
        assert_ended(world, &ended.tokens).await;
    }
    for tokens in journal.live_sessions() {
        let heir = refresh(&world.api, &tokens.refresh_token).await;
        heir.expect("an acknowledged session lives on");
    }
}

async fn assert_ended(world: &World, tokens: &TokenSet) {
    let access = validate(&world.api, &tokens.access_token).await;
    assert_eq!(refused(access), "TOKEN_REVOKED");
    let access = actors::read_self(&world.api, tokens).await;
    assert_eq!(refused(access), "TOKEN_REVOKED");
    let heir = refresh(&world.api, &tokens.refresh_token).await;
    assert_eq!(refused(heir), "REFRESH_TOKEN_INVALID");
}

#[expect(clippy::print_stderr, reason = "the count of a trial is its result")]
fn say(text: &str) {
    eprintln!("{text}");
}
