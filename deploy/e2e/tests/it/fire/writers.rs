//! Clients who create, suspend, activate and delete for as long as they may.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use identity_dev::api::Api;
use identity_proto::user::v1::{
    ActivateUserRequest, CreateUserRequest, DeleteUserRequest, SuspendUserRequest,
};
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

/// How many write at once.
const WRITERS: usize = 8;

/// The clients at work.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Writer {
    number: usize,
    apis: Vec<Api>,
    admin: String,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
}

impl Writers {
    /// Lets them begin, at these processes.
    pub(super) fn start(publics: &[Channel], admin: &str) -> Self {
        let apis: Vec<_> = publics
            .iter()
            .map(|channel| Api {
                user: channel.clone(),
                auth: channel.clone(),
            })
            .collect();
        let (stop, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let writer = Writer {
                number,
                apis: apis.clone(),
                admin: admin.to_owned(),
                stop: Arc::clone(&stop),
                written: Arc::clone(&written),
            };
            tasks.spawn(writer.run());
        }
        Self {
            stop,
            written,
            tasks,
        }
    }

    /// Lets them finish what they are at; how many calls were answered.
    pub(super) async fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        self.written.load(Ordering::SeqCst)
    }
}

impl Writer {
    async fn run(self) {
        for turn in 0_usize.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            // Calls fail while a process is away, halfway through as well: then the next user's turn begins.
            if self.live_a_life(turn).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }

    async fn live_a_life(&self, turn: usize) -> Result<(), Status> {
        let api = &self.apis[(self.number + turn) % self.apis.len()];
        let mut users = api.users(&self.admin);
        let name = format!("writer-{}-{turn}", self.number);
        let created = users.create_user(CreateUserRequest {
            email: format!("{name}@example.org"),
            username: name,
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            ..CreateUserRequest::default()
        });
        let user_id = self.count(created.await)?.into_inner().user.unwrap().id;
        if turn.is_multiple_of(2) {
            let request = SuspendUserRequest {
                user_id: user_id.clone(),
                ..SuspendUserRequest::default()
            };
            self.count(users.suspend_user(request).await)?;
        }
        if turn.is_multiple_of(4) {
            let request = ActivateUserRequest {
                user_id: user_id.clone(),
                ..ActivateUserRequest::default()
            };
            self.count(users.activate_user(request).await)?;
        }
        if turn.is_multiple_of(3) {
            let request = DeleteUserRequest {
                user_id,
                ..DeleteUserRequest::default()
            };
            self.count(users.delete_user(request).await)?;
        }
        Ok(())
    }

    fn count<T>(&self, answer: Result<T, Status>) -> Result<T, Status> {
        if answer.is_ok() {
            self.written.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }
}
