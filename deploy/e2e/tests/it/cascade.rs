//! What happens to a user at user-service ends what the user has at auth-service, though nobody asks.

use std::time::Duration;

use identity_dev::{
    api::Api,
    health,
    refusal::{self, PATIENCE},
    service::{Link, Service},
};
use identity_proto::{
    auth::v1::{
        FeedCursor, WatchRequest, WatchResponse, access_change,
        access_feed_service_client::AccessFeedServiceClient,
        watch_request::{Acknowledge, Message as Say, Ping, Start},
        watch_response::Message as Heard,
    },
    user::v1::{ActivateUserRequest, AwaitRevisionRequest, DeleteUserRequest, SuspendUserRequest},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use crate::harness::{
    Person, Store, World,
    person::{refresh, refused, validate},
    raw, store,
};

on_both_stores!(
    a_suspension_ends_every_token_though_nobody_asks,
    a_suspension_that_came_and_went_while_nobody_listened_ends_what_was_before_it,
    a_deletion_removes_the_sessions_for_good,
    a_new_password_ends_the_other_sessions_and_not_the_one_that_set_it,
    a_suspension_that_was_waited_for_counts_everywhere_at_once,
    a_suspension_is_waited_for_at_everybody_who_decides_by_the_feed_of_auth_service,
);

/// Long enough to see that something does not come, and much shorter than a lease.
const WHILE: Duration = Duration::from_secs(1);

async fn a_suspension_ends_every_token_though_nobody_asks(store: Store) {
    let world = World::running(store).await;
    let ada = world.person("ada").await;
    let bob = world.person("bob").await;
    let tokens = ada.log_in(&world.api).await.unwrap();
    let other = bob.log_in(&world.api).await.unwrap();
    suspend(&world, &ada).await;
    // ValidateToken answers from memory: it has heard of the end by itself.
    until_revoked(&world, &tokens.access_token).await;
    validate(&world.api, &other.access_token).await.unwrap();

    activate(&world, &ada).await;
    let ended = refresh(&world.api, &tokens.refresh_token).await;
    assert_eq!(refused(ended), "REFRESH_TOKEN_INVALID");
    let again = ada.log_in(&world.api).await.unwrap();
    ada.read_self(&world.api, &again.access_token)
        .await
        .unwrap();
    world.dispose().await;
}

async fn a_suspension_that_came_and_went_while_nobody_listened_ends_what_was_before_it(
    store: Store,
) {
    let mut world = World::running(store).await;
    let ada = world.person("ada").await;
    let before = ada.log_in(&world.api).await.unwrap();
    world.auth.kill().await;
    suspend(&world, &ada).await;
    activate(&world, &ada).await;
    world.auth.start();
    world.ready().await;
    // It began with rights from after both, so it stays, however late they are heard of.
    let after = ada.log_in(&world.api).await.unwrap();
    until_revoked(&world, &before.access_token).await;
    let ended = refresh(&world.api, &before.refresh_token).await;
    assert_eq!(refused(ended), "REFRESH_TOKEN_INVALID");
    validate(&world.api, &after.access_token).await.unwrap();
    refresh(&world.api, &after.refresh_token).await.unwrap();
    world.dispose().await;
}

async fn a_deletion_removes_the_sessions_for_good(store: Store) {
    let mut world = World::running(store).await;
    let ada = world.person("ada").await;
    let tokens = ada.log_in(&world.api).await.unwrap();
    let request = DeleteUserRequest {
        user_id: ada.id.clone(),
        ..DeleteUserRequest::default()
    };
    let answer = world.api.users(&world.admin).delete_user(request).await;
    answer.unwrap();
    until_revoked(&world, &tokens.access_token).await;
    // The rows went with the end of the tokens, in one transaction; stopped, nobody else writes.
    world.auth.kill().await;
    for table in ["sessions", "challenges"] {
        let sql = format!("DELETE FROM {table} WHERE user_id = '{}'", ada.id);
        let left = store::execute(&world.auth.launch.database_url, sql.leak()).await;
        assert_eq!(left, 0, "{table}");
    }
    world.auth.start();
    world.ready().await;
    let revoked = validate(&world.api, &tokens.access_token).await;
    assert_eq!(refused(revoked), "TOKEN_REVOKED");
    world.dispose().await;
}

async fn a_new_password_ends_the_other_sessions_and_not_the_one_that_set_it(store: Store) {
    let world = World::running(store).await;
    // Settling ends with a session that the new password began.
    let ada = world.person("ada").await;
    let first = ada.log_in(&world.api).await.unwrap();
    let witness = world.person("witness").await;
    let seen = witness.log_in(&world.api).await.unwrap();
    // Whatever was told of ada before this has been applied when this has.
    suspend(&world, &witness).await;
    until_revoked(&world, &seen.access_token).await;
    validate(&world.api, &first.access_token).await.unwrap();
    refresh(&world.api, &first.refresh_token).await.unwrap();
    world.dispose().await;
}

async fn a_suspension_that_was_waited_for_counts_everywhere_at_once(store: Store) {
    const ROUNDS: usize = 5;
    let replicated = matches!(store, Store::Postgres(_));
    let world = World::running(store).await;
    let mut second = replicated.then(|| world.second(Service::Auth));
    let mut apis = vec![world.api.clone()];
    if let Some(second) = &mut second {
        second.start();
        second.ready().await;
        apis.push(Api {
            auth: second.channel.clone(),
            ..world.api.clone()
        });
    }
    let ada = world.person("ada").await;
    for _ in 0..ROUNDS {
        let tokens = ada.log_in(&world.api).await.unwrap();
        for api in &apis {
            validate(api, &tokens.access_token).await.unwrap();
        }
        let request = AwaitRevisionRequest {
            revision: suspend(&world, &ada).await,
        };
        let mut revisions = world.api.revisions(&world.admin);
        let waiting = timeout(PATIENCE, revisions.await_revision(request)).await;
        let counts = waiting.expect("ends").unwrap().into_inner();
        // Both replicas have said so, not merely fallen silent.
        assert_eq!(
            (counts.acknowledged_count, counts.lapsed_count),
            (i32::try_from(apis.len()).unwrap(), 0)
        );
        for api in &apis {
            let answer = validate(api, &tokens.access_token).await;
            assert_eq!(refused(answer), "TOKEN_REVOKED");
        }
        activate(&world, &ada).await;
    }
    drop(second);
    world.dispose().await;
}

async fn until_revoked(world: &World, access_token: &str) {
    let call = async || validate(&world.api, access_token).await;
    refusal::until("TOKEN_REVOKED", call).await.unwrap();
}

async fn a_suspension_is_waited_for_at_everybody_who_decides_by_the_feed_of_auth_service(
    store: Store,
) {
    let mut world = World::linked(store, Link::ServiceKey).await;
    world.start().await;
    let ada = world.person("ada").await;
    let mut backend = Backend::decides(&world).await;
    ada.log_in(&world.api).await.unwrap();
    let request = AwaitRevisionRequest {
        revision: suspend(&world, &ada).await,
    };
    let ended = backend.end_of(&ada).await;
    let mut revisions = world.api.revisions(&world.admin);
    let waiting = revisions.await_revision(request);
    tokio::pin!(waiting);
    assert!(
        timeout(WHILE, &mut waiting).await.is_err(),
        "the backend may still decide without it"
    );
    backend.acknowledge(ended).await;
    let waited = timeout(PATIENCE, waiting).await.expect("ends").unwrap();
    // auth-service alone watches the feed of user-service; the backend's word is in its word.
    let waited = waited.into_inner();
    assert_eq!((waited.acknowledged_count, waited.lapsed_count), (1, 0));
    world.dispose().await;
}

/// A backend that decides by the feed of auth-service.
struct Backend {
    say: mpsc::Sender<WatchRequest>,
    stream: Streaming<WatchResponse>,
}

impl Backend {
    /// It has been answered once: from now on it may decide by itself, until its lease lapses.
    async fn decides(world: &World) -> Self {
        let (say, requests) = mpsc::channel(4);
        let mut request = Request::new(ReceiverStream::new(requests));
        let key = std::fs::read_to_string(world.material.backend_service_key()).unwrap();
        *request.metadata_mut() = raw::service_key(&key);
        let start = Start {
            max_staleness: Some(PATIENCE.try_into().unwrap()),
            watcher_name: "backend".to_owned(),
            watcher_id: "backend".to_owned(),
            ..Start::default()
        };
        for message in [Say::Start(start), Say::Ping(Ping { nonce: 1 })] {
            let message = Some(message);
            say.send(WatchRequest { message }).await.unwrap();
        }
        let channel = health::channel(world.auth.launch.endpoints.internal).unwrap();
        let stream = AccessFeedServiceClient::new(channel).watch(request).await;
        let stream = stream.unwrap().into_inner();
        let mut backend = Self { say, stream };
        while !matches!(backend.hear().await, Heard::Pong(_)) {}
        backend
    }

    async fn hear(&mut self) -> Heard {
        let message = timeout(PATIENCE, self.stream.message()).await.unwrap();
        message.unwrap().unwrap().message.unwrap()
    }

    /// Where all credentials of somebody ended.
    async fn end_of(&mut self, person: &Person) -> FeedCursor {
        loop {
            let Heard::Changes(heard) = self.hear().await else {
                continue;
            };
            for change in heard.changes {
                if let Some(access_change::Change::SubjectRevoked(end)) = change.change
                    && end.user_id == person.id
                {
                    return change.position.unwrap();
                }
            }
        }
    }

    async fn acknowledge(&self, position: FeedCursor) {
        let position = Some(position);
        let message = Some(Say::Acknowledge(Acknowledge { position }));
        self.say.send(WatchRequest { message }).await.unwrap();
    }
}

/// Suspends, and answers the revision of that.
async fn suspend(world: &World, person: &Person) -> String {
    let request = SuspendUserRequest {
        user_id: person.id.clone(),
        ..SuspendUserRequest::default()
    };
    let answer = world.api.users(&world.admin).suspend_user(request).await;
    answer.unwrap().into_inner().revision
}

async fn activate(world: &World, person: &Person) {
    let request = ActivateUserRequest {
        user_id: person.id.clone(),
        ..ActivateUserRequest::default()
    };
    let answer = world.api.users(&world.admin).activate_user(request).await;
    answer.unwrap();
}
