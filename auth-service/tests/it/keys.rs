//! The signing key: made once, kept sealed, published.

use auth_service::app::{App, DirectorySource};
use identity_guard::engine::VerifyingKey;
use identity_kit::{entropy::SystemEntropy, server::Listeners, shutdown::Shutdown};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{ADA, Service, World, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_over_a_restart_and_lies_sealed_in_the_table() {
    for world in worlds().await {
        let service = world.start().await;
        let tokens = service.login("ada").await;
        let before = key_set(&service).await;
        service.stop().await;

        let service = world.start().await;
        assert_eq!(key_set(&service).await, before);
        service.validate(&tokens.access_token).await.unwrap();
        service.stop().await;

        let sealed = private_half(&world).await;
        // What every PKCS #8 document of a P-256 key holds: the object id of the curve.
        let curve = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        assert!(sealed.len() > 100);
        assert!(!sealed.windows(curve.len()).any(|window| window == curve));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_secret_does_not_start() {
    for world in worlds().await {
        world.start().await.stop().await;
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("root");
        std::fs::write(&other, [8; 32]).unwrap();
        let mut config = world.config(&[]);
        config.access.root_secret_file = Some(other);
        let started = App::start(
            Listeners::on_free_ports().unwrap(),
            Shutdown::manual(),
            world.clock.clone(),
            Arc::new(SystemEntropy),
            prometheus::Registry::new(),
            &config,
            DirectorySource::Given(world.directory.clone()),
        )
        .await;
        let error = started
            .err()
            .expect("a key under another secret")
            .to_string();
        assert!(error.contains("another root secret"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_active_any_more_signs_nothing() {
    for world in worlds().await {
        let service = world.start().await;
        let keys = &service.app.authority().keys;
        assert!(keys.is_ready());
        world
            .database
            .write(|transaction| {
                Box::pin(async move {
                    transaction
                        .execute_unprepared("UPDATE signing_keys SET state = 'retired'")
                        .await?;
                    Ok::<_, identity_kit::database::StoreError>(())
                })
            })
            .await
            .unwrap();
        keys.reload().await.unwrap();
        assert!(!keys.is_ready());
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_public_and_every_algorithm_signs() {
    for (algorithm, world) in ["ES256", "EdDSA", "RS256"].into_iter().zip([
        worlds().await.remove(0),
        worlds().await.remove(0),
        worlds().await.remove(0),
    ]) {
        let service = world.start_with(&["--signing-algorithm", algorithm]).await;
        let tokens = service.login("ada").await;
        service.validate(&tokens.access_token).await.unwrap();
        let keys = key_set(&service).await;
        let key = &keys["keys"][0];
        assert_eq!(key["alg"], algorithm);
        assert_eq!(key["use"], "sig");
        assert!(key.get("d").is_none());
        VerifyingKey::from_jwk_json(&key.to_string()).unwrap();
        verify_elsewhere(&tokens.access_token, key.clone());
        for path in ["oauth-authorization-server", "openid-configuration"] {
            let (_, metadata) = get(&service, &format!("/.well-known/{path}")).await;
            assert_eq!(metadata["issuer"], "http://127.0.0.1:50061");
            assert_eq!(
                metadata["jwks_uri"],
                "http://127.0.0.1:50061/.well-known/jwks.json"
            );
        }
        service.stop().await;
    }
}

/// What a backend does that knows nothing of us but the two documents: another library, the key as published, and the
/// checks of RFC 9068, section 4.
fn verify_elsewhere(token: &str, key: Value) {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(header.kid.as_deref(), key["kid"].as_str());
    let algorithm: Algorithm = key["alg"].as_str().unwrap().parse().unwrap();
    let key: Jwk = serde_json::from_value(key).unwrap();
    let mut rules = Validation::new(algorithm);
    rules.set_issuer(&["http://127.0.0.1:50061"]);
    rules.set_audience(&["identity"]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let key = DecodingKey::from_jwk(&key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], ADA);
    assert_eq!(claims["roles"], serde_json::json!(["editor"]));
    rules.set_audience(&["another"]);
    assert!(jsonwebtoken::decode::<Value>(token, &key, &rules).is_err());
}

async fn key_set(service: &Service) -> Value {
    let (head, keys) = get(service, "/.well-known/jwks.json").await;
    assert!(
        head.to_lowercase()
            .contains("cache-control: public, max-age=60"),
        "{head}"
    );
    keys
}

/// HTTP/1.1, as the fetchers of key sets speak it.
async fn get(service: &Service, path: &str) -> (String, Value) {
    let mut socket = TcpStream::connect(service.app.addresses().public)
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: id.example\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

async fn private_half(world: &World) -> Vec<u8> {
    let reader = world.database.reader();
    let sql = "SELECT private_sealed FROM signing_keys";
    let statement = Statement::from_string(reader.get_database_backend(), sql);
    let row = reader.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "private_sealed").unwrap()
}
