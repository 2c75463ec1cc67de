//! The clients that work while services are killed, and write down what was acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use identity_dev::api::Api;
use identity_proto::{
    auth::v1::TokenSet,
    user::v1::{AssignRolesRequest, CreateUserRequest, GetUserRequest, UnassignRolesRequest},
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status};

use super::{MAX_STALENESS, journal::Journal};
use crate::harness::{
    Person, World,
    person::{log_out, reason_of, refresh, validate},
};

/// How long a client waits before it tries again, or goes on where logins need the processor too.
const PAUSE: Duration = Duration::from_millis(20);

/// The clients at work.
pub(super) struct Actors {
    pub(super) journal: Arc<Journal>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// What one client works with.
#[derive(Clone)]
struct Actor {
    api: Api,
    admin: String,
    journal: Arc<Journal>,
    stop: Arc<AtomicBool>,
}

impl Actors {
    /// Sets the scene and lets them begin.
    pub(super) async fn start(world: &World) -> Self {
        let actor = Actor {
            api: world.api.clone(),
            admin: world.admin.clone(),
            journal: Arc::default(),
            stop: Arc::default(),
        };
        let role = world.role_id("viewer").await;
        let mut tasks = JoinSet::new();
        tasks.spawn(actor.clone().create_users());
        for number in 0..2 {
            let user = world.create_user(&format!("changing-{number}")).await;
            tasks.spawn(actor.clone().change_roles(user.id, role.clone()));
        }
        for number in 0..6 {
            let person = world.person(&format!("coming-and-going-{number}")).await;
            tasks.spawn(actor.clone().come_and_go(person));
        }
        tasks.spawn(actor.clone().try_ended_tokens());
        Self {
            journal: actor.journal,
            stop: actor.stop,
            tasks,
        }
    }

    /// Lets them finish what they are at.
    pub(super) async fn stop(self) -> Arc<Journal> {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        self.journal
    }
}

impl Actor {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    async fn create_users(self) {
        for number in 0_usize.. {
            if !self.goes_on() {
                return;
            }
            let request = CreateUserRequest {
                username: format!("created-{number}"),
                email: format!("created-{number}@example.org"),
                first_name: "Ada".to_owned(),
                last_name: "Lovelace".to_owned(),
                ..CreateUserRequest::default()
            };
            match self.api.users(&self.admin).create_user(request).await {
                Ok(answer) => {
                    self.journal.created(answer.into_inner().user.unwrap().id);
                    sleep(PAUSE).await;
                }
                Err(status) => self.failed("CreateUser", &status).await,
            }
        }
    }

    async fn change_roles(self, user_id: String, role: String) {
        let mut assigned = false;
        while self.goes_on() {
            self.journal.role_is_changing(&user_id);
            let mut roles = self.api.roles(&self.admin);
            let (user, role_ids) = (user_id.clone(), vec![role.clone()]);
            let outcome = if assigned {
                let request = UnassignRolesRequest {
                    user_id: user,
                    role_ids,
                };
                roles.unassign_roles(request).await.map(drop)
            } else {
                let request = AssignRolesRequest {
                    user_id: user,
                    role_ids,
                    expire_time: None,
                };
                roles.assign_roles(request).await.map(drop)
            };
            match outcome {
                Ok(()) => {
                    assigned = !assigned;
                    self.journal.role_is(&user_id, assigned);
                    sleep(PAUSE).await;
                }
                Err(status) => self.failed("a change of roles", &status).await,
            }
        }
    }

    /// Logs in, refreshes, and logs out, or leaves the session alone.
    async fn come_and_go(self, person: Person) {
        for turn in 0_usize.. {
            if !self.goes_on() {
                return;
            }
            let tokens = match person.log_in(&self.api).await {
                Ok(tokens) => tokens,
                Err(status) => {
                    self.failed("Login", &status).await;
                    continue;
                }
            };
            let Some(tokens) = self.refresh_until_answered(&tokens).await else {
                continue;
            };
            if turn % 3 == 0 {
                self.journal.keep_session(tokens);
            } else {
                self.log_out_until_answered(tokens).await;
            }
        }
    }

    /// A lost answer is asked for again. Only within seconds, so a session may be given up.
    async fn refresh_until_answered(&self, tokens: &TokenSet) -> Option<TokenSet> {
        for _ in 0..100 {
            match refresh(&self.api, &tokens.refresh_token).await {
                Ok(tokens) => return Some(tokens),
                Err(status) if reason_of(&status).as_deref() == Some("REFRESH_TOKEN_INVALID") => {
                    return None;
                }
                Err(status) => self.failed("RefreshToken", &status).await,
            }
        }
        None
    }

    /// A logout of unknown outcome is repeated until it is answered.
    async fn log_out_until_answered(&self, tokens: TokenSet) {
        loop {
            match log_out(&self.api, &tokens.access_token).await {
                Ok(()) => break,
                Err(status) if reason_of(&status).as_deref() == Some("TOKEN_REVOKED") => break,
                Err(status) if !self.goes_on() => {
                    return self.failed("Logout", &status).await;
                }
                Err(status) => self.failed("Logout", &status).await,
            }
        }
        self.journal.log_out(tokens);
    }

    /// Tries tokens of ended sessions at both services all the time. auth-service knows at once; user-service may
    /// not know while auth-service is away, but for no longer than its knowledge may be old.
    async fn try_ended_tokens(self) {
        while self.goes_on() {
            for ended in self.journal.logged_out().iter().rev().take(10) {
                let session = &ended.tokens.session_id;
                if validate(&self.api, &ended.tokens.access_token)
                    .await
                    .is_ok()
                {
                    self.journal
                        .violation(format!("validated after logout: {session}"));
                }
                let age = ended.acknowledged_at.elapsed();
                let served = read_self(&self.api, &ended.tokens).await.is_ok();
                if served && age > MAX_STALENESS {
                    self.journal
                        .violation(format!("served {age:?} after logout: {session}"));
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// While a service is away a call may fail, but nobody is told that a good credential is bad.
    async fn failed(&self, call: &str, status: &Status) {
        if matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied | Code::NotFound | Code::Internal
        ) && reason_of(status).is_some()
        {
            self.journal.violation(format!("{call}: {status:?}"));
        }
        sleep(PAUSE).await;
    }
}

/// Reads the own profile with the tokens of a session.
pub(super) async fn read_self(api: &Api, tokens: &TokenSet) -> Result<(), Status> {
    let request = GetUserRequest {
        user_id: tokens.user_id.clone(),
        ..GetUserRequest::default()
    };
    let mut users = api.users(&tokens.access_token);
    users.get_user(request).await.map(drop)
}
