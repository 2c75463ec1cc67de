//! The server as its callers see it, with an auth-service that the tests play.

mod auth_service;
mod issuer;

use std::{net::Ipv4Addr, sync::Arc};

use clap::Parser;
use identity_guard::status::{ErrorReason, reason_of};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    args::Args,
    contract::{
        CreateNoteRequest, ListNotesRequest, ListUserNotesRequest,
        notes_service_client::NotesServiceClient,
    },
};
use auth_service::AuthService;
use issuer::{AUDIENCE, ISSUER};

/// The notes server and the auth-service that it follows, both on loopback.
struct World {
    auth: Arc<AuthService>,
    notes: NotesServiceClient<Channel>,
    _stop: DropGuard,
    _server: JoinHandle<()>,
}

impl World {
    async fn start() -> Self {
        let stop = CancellationToken::new();
        let auth = AuthService::new();
        let auth_url = auth.clone().serve().await;
        let args = Args::parse_from([
            "notes",
            "--auth-url",
            &auth_url,
            "--service-key-file",
            auth.service_key_file().to_str().expect("path"),
            "--issuer",
            ISSUER,
            "--audience",
            AUDIENCE,
        ]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let server = tokio::spawn({
            let stop = stop.clone();
            async move { crate::serve(&args, listener, stop).await.expect("serves") }
        });
        // From here on it knows the signing key.
        auth.acknowledged(1).await;
        Self {
            auth,
            notes: NotesServiceClient::connect(url).await.expect("connects"),
            _stop: stop.drop_guard(),
            _server: server,
        }
    }

    /// The texts of the caller's notes.
    async fn own(&self, token: &str) -> Result<Vec<String>, Status> {
        let answer = self
            .notes
            .clone()
            .list_notes(with_token(ListNotesRequest {}, token))
            .await?;
        let notes = answer.into_inner().notes;
        Ok(notes.into_iter().map(|note| note.text).collect())
    }

    async fn create(&self, token: &str, text: &str) -> Result<(), Status> {
        let text = text.to_owned();
        self.notes
            .clone()
            .create_note(with_token(CreateNoteRequest { text }, token))
            .await
            .map(drop)
    }

    /// The number of a user's notes.
    async fn count_of(&self, user_id: &str, token: &str) -> Result<usize, Status> {
        let user_id = user_id.to_owned();
        let answer = self
            .notes
            .clone()
            .list_user_notes(with_token(ListUserNotesRequest { user_id }, token))
            .await?;
        Ok(answer.into_inner().notes.len())
    }
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("metadata");
    request.metadata_mut().insert("authorization", value);
    request
}

fn reason<T>(answer: Result<T, Status>) -> Option<ErrorReason> {
    reason_of(&answer.err()?)
}

#[tokio::test]
async fn without_a_token_nobody_gets_in() {
    let world = World::start().await;
    let answer = world.notes.clone().list_notes(ListNotesRequest {}).await;
    assert_eq!(reason(answer), Some(ErrorReason::TokenMissing));
    let answer = world.own("garbage").await;
    assert_eq!(reason(answer), Some(ErrorReason::TokenInvalid));
}

#[tokio::test]
async fn a_user_finds_the_own_notes() {
    let world = World::start().await;
    world.auth.grant("ada", "notes.create");
    let ada = world.auth.issue("ada", "s1");
    world.create(&ada, "first").await.expect("created");
    world.create(&ada, "second").await.expect("created");
    assert_eq!(world.own(&ada).await.expect("listed"), ["first", "second"]);
    let bob = world.auth.issue("bob", "s2");
    assert!(world.own(&bob).await.expect("listed").is_empty());
}

#[tokio::test]
async fn a_token_of_an_ended_session_is_refused_once_the_feed_has_said_so() {
    let world = World::start().await;
    let (ended, other) = (
        world.auth.issue("ada", "ended"),
        world.auth.issue("ada", "other"),
    );
    world.own(&ended).await.expect("good so far");
    world.auth.end_session("ada", "ended").await;
    assert_eq!(
        reason(world.own(&ended).await),
        Some(ErrorReason::TokenRevoked)
    );
    world.own(&other).await.expect("another session");
}

#[tokio::test]
async fn a_missing_permission_is_named_and_counts_once_granted() {
    let world = World::start().await;
    let ada = world.auth.issue("ada", "s1");
    let refused = world.create(&ada, "note").await.expect_err("not granted");
    assert_eq!(reason_of(&refused), Some(ErrorReason::PermissionRequired));
    let info = refused.get_details_error_info().expect("info");
    assert_eq!(info.metadata["permission"], "notes.create");

    world.auth.grant("ada", "notes.create");
    world.create(&ada, "note").await.expect("granted");
}

#[tokio::test]
async fn anothers_notes_are_not_found_without_the_permission() {
    let world = World::start().await;
    let ada = world.auth.issue("ada", "s1");
    assert_eq!(world.count_of("ada", &ada).await.expect("own"), 0);
    for another in ["bob", "nobody", ""] {
        let answer = world.count_of(another, &ada).await;
        assert_eq!(reason(answer), Some(ErrorReason::NotFound), "{another:?}");
    }
    world.auth.grant("ada", "notes.read");
    assert_eq!(world.count_of("bob", &ada).await.expect("granted"), 0);
}

#[tokio::test]
async fn an_invalid_note_is_judged_after_its_author() {
    let world = World::start().await;
    let ada = world.auth.issue("ada", "s1");
    let refused = world.create(&ada, "").await;
    assert_eq!(reason(refused), Some(ErrorReason::PermissionRequired));
    world.auth.grant("ada", "notes.create");
    let refused = world.create(&ada, "").await.expect_err("empty");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
