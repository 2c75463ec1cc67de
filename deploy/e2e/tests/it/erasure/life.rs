//! What happens to somebody before the end: everything that leaves a trace.

use std::net::{IpAddr, Ipv4Addr};

use identity_dev::{api::Api, session};
use identity_proto::{
    auth::v1::{ListSessionsRequest, TokenSet},
    user::v1::{
        ActivateUserRequest, BatchGetUsersRequest, ConfirmEmailRequest, CreateUserRequest,
        ExportUserRequest, ExportUsersRequest, GetUserRequest, ImportHeader, ImportResult,
        ImportUsersRequest, ImportedUser, ListUsersRequest, RegisterUserRequest,
        RequestEmailChangeRequest, SuspendUserRequest, UpdateUserRequest, UserUpdate,
        import_users_request::Message,
    },
};
use tonic::{Status, transport::Channel};

use super::{Figure, Origin};
use crate::harness::{
    Replica, World, mail,
    person::{log_in, refresh, refused, validate},
};

/// Somebody who has lived.
pub(super) struct Life<'a> {
    pub(super) figure: &'a Figure,
    pub(super) id: String,
    /// The services, as called from the person's own machine.
    pub(super) api: Api,
    /// Of the last session.
    pub(super) refresh_token: String,
}

impl<'a> Life<'a> {
    pub(super) async fn live(world: &World, figure: &'a Figure) -> Self {
        let api = Api {
            user: channel(&world.user, figure),
            auth: channel(&world.auth, figure),
        };
        let id = match figure.origin {
            Origin::Created => created(world, &api, figure).await,
            Origin::Imported => imported(world, figure).await,
            Origin::Registered => registered(world, &api, figure).await,
        };
        let mut life = Self {
            figure,
            id,
            api,
            refresh_token: String::new(),
        };
        life.logs_in_and_fails().await;
        let tokens = life.log_in(&figure.email, life.password()).await.unwrap();
        life.changes(world, &tokens.access_token).await;
        life.is_refused(world, &tokens.access_token).await;
        life.is_looked_at(world, &tokens.access_token).await;
        life.is_shut_out_and_comes_back(world).await;
        life
    }

    pub(super) async fn log_in(
        &self,
        identifier: &str,
        password: &str,
    ) -> Result<TokenSet, Status> {
        log_in(&self.api, identifier, password).await
    }

    /// The password that counts now.
    fn password(&self) -> &'a str {
        match self.figure.origin {
            Origin::Created | Origin::Registered => &self.figure.password,
            Origin::Imported => &self.figure.first_password,
        }
    }

    async fn logs_in_and_fails(&self) {
        let figure = self.figure;
        for identifier in [&figure.username, &figure.email] {
            let outcome = self.log_in(identifier, &figure.wrong_password).await;
            assert_eq!(refused(outcome), "INVALID_CREDENTIALS");
            self.log_in(identifier, self.password()).await.unwrap();
        }
        let mistyped = format!("{}-x", figure.username);
        let outcome = self.log_in(&mistyped, self.password()).await;
        assert_eq!(refused(outcome), "INVALID_CREDENTIALS");
        let nobody = format!("{}.x@post.example", figure.stem);
        let outcome = self.log_in(&nobody, self.password()).await;
        assert_eq!(refused(outcome), "INVALID_CREDENTIALS");
    }

    /// Changes of the profile and of the address, by the person and by others; one address waits for its proof.
    async fn changes(&self, world: &World, token: &str) {
        let figure = self.figure;
        let own = UserUpdate {
            last_name: Some(figure.second_last_name.clone()),
            phone: Some(figure.second_phone.clone()),
            address: Some(figure.address()),
            ..UserUpdate::default()
        };
        let by_others = UserUpdate {
            email: Some(figure.mail.clone()),
            ..UserUpdate::default()
        };
        for (token, user) in [(token, own), (&world.admin, by_others)] {
            let request = UpdateUserRequest {
                user_id: self.id.clone(),
                user: Some(user),
                ..UpdateUserRequest::default()
            };
            self.api.users(token).update_user(request).await.unwrap();
        }
        let request = RequestEmailChangeRequest {
            email: figure.waiting.clone(),
        };
        let mut users = self.api.users(token);
        users.request_email_change(request).await.unwrap();
        assert_eq!(mail::claim(world).await.len(), 1);
    }

    /// Refusals for want of a right, which are audited, for fields, and for what is taken.
    async fn is_refused(&self, world: &World, token: &str) {
        let figure = self.figure;
        let search = ListUsersRequest {
            query: figure.stem.to_owned(),
            ..ListUsersRequest::default()
        };
        let outcome = self.api.users(token).list_users(search).await;
        assert_eq!(refused(outcome), "PERMISSION_REQUIRED");
        let update = UpdateUserRequest {
            user_id: self.id.clone(),
            user: Some(UserUpdate {
                username: Some(format!("{} !", figure.username)),
                phone: Some(format!("not {}", figure.phone)),
                first_name: Some(figure.first_name.repeat(40)),
                ..UserUpdate::default()
            }),
            ..UpdateUserRequest::default()
        };
        let outcome = self.api.users(token).update_user(update).await;
        assert_eq!(refused(outcome), "INVALID_FIELDS");
        let again = CreateUserRequest {
            username: format!("{}.again", figure.stem),
            email: figure.mail.clone(),
            first_name: figure.first_name.clone(),
            last_name: figure.last_name.clone(),
            ..CreateUserRequest::default()
        };
        let outcome = world.api.users(&world.admin).create_user(again).await;
        assert_eq!(refused(outcome), "EMAIL_TAKEN");
    }

    /// Read, searched for, filtered and exported, by the person and by others.
    async fn is_looked_at(&self, world: &World, token: &str) {
        let mut users = world.api.users(&world.admin);
        let search = ListUsersRequest {
            query: self.figure.stem.to_owned(),
            estimate_total: true,
            ..ListUsersRequest::default()
        };
        let found = users.list_users(search).await.unwrap().into_inner();
        assert_eq!(found.users.len(), 1);
        assert_eq!(found.users[0].id, self.id);
        let get = GetUserRequest {
            user_id: self.id.clone(),
            ..GetUserRequest::default()
        };
        self.api.users(token).get_user(get).await.unwrap();
        let batch = BatchGetUsersRequest {
            user_ids: vec![self.id.clone()],
            ..BatchGetUsersRequest::default()
        };
        users.batch_get_users(batch).await.unwrap();
        let one = ExportUserRequest {
            user_id: self.id.clone(),
            ..ExportUserRequest::default()
        };
        let held = self.api.users(token).export_user(one).await.unwrap();
        assert_eq!(held.into_inner().waiting_email, self.figure.waiting);
        let all = users.export_users(ExportUsersRequest::default()).await;
        let mut all = all.unwrap().into_inner();
        while all.message().await.unwrap().is_some() {}
        validate(&self.api, token).await.unwrap();
        let sessions = ListSessionsRequest {
            user_id: self.id.clone(),
            ..ListSessionsRequest::default()
        };
        let mut client = self.api.sessions(token);
        let sessions = client.list_sessions(sessions).await.unwrap().into_inner();
        let agent = &sessions.sessions[0].user_agent;
        assert!(agent.contains(&self.figure.user_agent), "{agent}");
    }

    /// Suspended and activated, for reasons that name the person, who then has a session with a fresh refresh token.
    async fn is_shut_out_and_comes_back(&mut self, world: &World) {
        let mut users = world.api.users(&world.admin);
        let suspend = SuspendUserRequest {
            user_id: self.id.clone(),
            reason: self.figure.suspension.clone(),
            ..SuspendUserRequest::default()
        };
        users.suspend_user(suspend).await.unwrap();
        let outcome = self.log_in(&self.figure.mail, self.password()).await;
        assert_eq!(refused(outcome), "ACCOUNT_SUSPENDED");
        let activate = ActivateUserRequest {
            user_id: self.id.clone(),
            reason: self.figure.activation.clone(),
            ..ActivateUserRequest::default()
        };
        users.activate_user(activate).await.unwrap();
        let tokens = self.log_in(&self.figure.mail, self.password()).await;
        let fresh = refresh(&self.api, &tokens.unwrap().refresh_token).await;
        self.refresh_token = fresh.unwrap().refresh_token;
    }
}

/// A channel from the person's own network, by the person's own program.
fn channel(replica: &Replica, figure: &Figure) -> Channel {
    let url = format!("http://{}", replica.launch.endpoints.public);
    let endpoint = Channel::from_shared(url).unwrap();
    let source = IpAddr::V4(Ipv4Addr::from(figure.network()));
    let endpoint = endpoint.local_address(Some(source));
    let endpoint = endpoint.user_agent(figure.user_agent.clone()).unwrap();
    endpoint.connect_lazy()
}

async fn created(world: &World, api: &Api, figure: &Figure) -> String {
    let request = CreateUserRequest {
        username: figure.username.clone(),
        email: figure.email.clone(),
        first_name: figure.first_name.clone(),
        last_name: figure.last_name.clone(),
        phone: figure.phone.clone(),
        address: Some(figure.address()),
        password: figure.first_password.clone(),
        request_id: format!("create {}", figure.stem),
        ..CreateUserRequest::default()
    };
    let answer = world.api.users(&world.admin).create_user(request).await;
    let id = answer.unwrap().into_inner().user.unwrap().id;
    // One challenge stays unanswered.
    session::begin(api, &figure.username, &figure.first_password)
        .await
        .unwrap();
    session::log_in(
        api,
        &figure.username,
        &figure.first_password,
        &figure.password,
    )
    .await
    .unwrap();
    id
}

async fn imported(world: &World, figure: &Figure) -> String {
    let header = ImportHeader {
        source: "elsewhere".to_owned(),
        dry_run: false,
    };
    let user = ImportedUser {
        external_id: figure.external_id.clone(),
        username: figure.username.clone(),
        email: figure.email.clone(),
        first_name: figure.first_name.clone(),
        last_name: figure.last_name.clone(),
        phone: figure.phone.clone(),
        address: Some(figure.address()),
        password_hash: figure.foreign_hash(),
        ..ImportedUser::default()
    };
    let messages = [Message::Header(header), Message::User(user)];
    let messages = messages.map(|message| ImportUsersRequest {
        message: Some(message),
    });
    let stream = tokio_stream::iter(messages);
    let answer = world.api.users(&world.admin).import_users(stream).await;
    let mut answers = answer.unwrap().into_inner();
    let outcome = answers.message().await.unwrap().unwrap().outcomes.remove(0);
    assert_eq!(outcome.result(), ImportResult::Created, "{outcome:?}");
    outcome.user_id
}

async fn registered(world: &World, api: &Api, figure: &Figure) -> String {
    let request = RegisterUserRequest {
        username: figure.username.clone(),
        email: figure.email.clone(),
        first_name: figure.first_name.clone(),
        last_name: figure.last_name.clone(),
    };
    api.users("").register_user(request).await.unwrap();
    let mails = mail::claim(world).await;
    let request = ConfirmEmailRequest {
        token: mails[0].token.clone(),
        password: figure.password.clone(),
    };
    let answer = api.users("").confirm_email(request).await;
    answer.unwrap().into_inner().user_id
}
