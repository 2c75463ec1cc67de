//! The statement that begins a session.

use auth_service::{
    domain::{
        client::{ClientContext, ClientId},
        id::{SessionId, UserId},
        identifier::LoginIdentifier,
        opaque_token::{OpaqueToken, TokenKind},
        policy::SessionPolicy,
        throttle::{LoginKeys, ThrottleKeys},
    },
    store::{
        mint::{self, MintError, NewSession},
        sessions, throttles,
    },
};
use identity_guard::{
    clock::{Clock as _, Timestamp},
    position::Position,
};
use identity_kit::{entropy::SystemEntropy, id::new_id};
use sea_orm::{ConnectionTrait as _, Statement};

use crate::harness::{Service, worlds};

const EVE: &str = "eve";

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_another_mint_has_outdated_begin_no_session() {
    for world in worlds().await {
        let service = world.start().await;
        let database = &service.app.authority().database;
        let (policy, now) = (SessionPolicy::default(), world.clock.now());
        let attempt = attempt();
        throttles::charge(database, &attempt, &policy.throttle, now)
            .await
            .unwrap();

        let newer = new_session(EVE, Position::new("a", 5), None, now);
        let session = mint::begin(database, &newer, &policy).await.unwrap();
        assert_eq!(session.generation, 1);
        let older = new_session(EVE, Position::new("a", 4), Some(attempt.clone()), now);
        let refused = mint::begin(database, &older, &policy).await;
        assert!(matches!(refused, Err(MintError::RightsOutdated)));
        assert_eq!(list(&service, now).await, std::slice::from_ref(&newer.id));
        assert_eq!(attempts(&service).await, 3, "nothing is settled");

        // The same revision, and one of another history, are not older.
        for position in [Position::new("a", 5), Position::new("b", 1)] {
            let next = new_session(EVE, position, Some(attempt.clone()), now);
            mint::begin(database, &next, &policy).await.unwrap();
        }
        assert_eq!(list(&service, now).await.len(), 3);
        assert_eq!(attempts(&service).await, 0);
        service.stop().await;
    }
}

pub(crate) fn new_session(
    user_id: &str,
    rights_at: Position,
    attempt: Option<LoginKeys>,
    now: Timestamp,
) -> NewSession {
    let token = OpaqueToken::generate(TokenKind::Refresh, &SystemEntropy);
    NewSession {
        id: SessionId::trusted(new_id(&SystemEntropy)),
        user_id: UserId::trusted(user_id),
        client: ClientContext::new(ClientId::trusted("web"), String::new(), ""),
        rights_at,
        token_id: token.id().clone(),
        token_hash: token.hash(),
        now,
        attempt,
    }
}

pub(crate) fn eve() -> UserId {
    UserId::trusted(EVE)
}

pub(crate) fn attempt() -> LoginKeys {
    let keys = ThrottleKeys::new(&[7; 32]);
    let identifier = LoginIdentifier::parse("eve").unwrap();
    LoginKeys {
        pair: keys.pair(&identifier, "192.0.2.1"),
        network: keys.network("192.0.2.1"),
        account: keys.account(&eve()),
    }
}

async fn list(service: &Service, now: Timestamp) -> Vec<SessionId> {
    let reader = service.app.authority().database.reader();
    let sessions = sessions::list_live(reader, &eve(), None, 10, now).await;
    let sessions = sessions.unwrap().into_iter();
    sessions.map(|session| session.id).collect()
}

/// Of the three counters together.
async fn attempts(service: &Service) -> i64 {
    let reader = service.app.authority().database.reader();
    let sql = "SELECT sum(attempts) AS attempts FROM throttles";
    let statement = Statement::from_string(reader.get_database_backend(), sql);
    let row = reader.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "attempts").unwrap()
}
