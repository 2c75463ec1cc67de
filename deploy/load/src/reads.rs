//! Y8 and Y9: reading a user with roles and permissions beside the bare read, and pages deep in a list.

use std::{
    error::Error,
    process::{Child, Command, Stdio},
    time::Duration,
};

use identity_dev::{api::Api, health, ports, service::Service};
use identity_proto::user::v1::{
    AssignRolesRequest, GetUserRequest, ListRolesRequest, UserView,
    user_service_client::UserServiceClient,
};
use tokio::{runtime::Runtime, task::JoinSet};
use tonic::transport::Channel;

use crate::{
    people::{
        self, bulk,
        growth::{self, Side},
    },
    ratio::median,
    report::Row,
    rig::{Rig, processor_time},
    stopwatch::Stopwatch,
};

const CALLERS: u32 = 8;
const READS: u32 = 8_000;
const ROUNDS: usize = 5;
/// People in the list, and a page near its end.
const PEOPLE: u64 = 50_100;
const DEEP_PAGE: u64 = 1_000;

/// Measures both on one store.
pub(crate) fn reads(
    runtime: &Runtime,
    store: &'static str,
    rig: &Rig,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let pair = runtime.block_on(rig.start())?;
    let process = pair.id(Service::User);
    let [launch, _] = &rig.launches;
    people::import(rig, PEOPLE)?;
    runtime.block_on(bulk::analyse(&launch.database_url))?;
    let side = runtime.block_on(Side::of(rig, DEEP_PAGE))?;
    let (token, user_id) = (&side.token, side.someone());
    runtime.block_on(make_editor(&rig.api, token, user_id))?;

    let bare = Reference::start(runtime, &launch.database_url)?;
    let mut ratios = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = processor_time(process)?;
        runtime.block_on(read_ours(&rig.api, token, user_id))?;
        let subject = processor_time(process)?.saturating_sub(before);
        let before = processor_time(bare.process.id())?;
        runtime.block_on(read_theirs(&bare.channel, user_id))?;
        let reference = processor_time(bare.process.id())?.saturating_sub(before);
        ratios.push(subject.as_secs_f64() / reference.as_secs_f64());
        ours.push(micros(subject));
        theirs.push(micros(reference));
    }
    drop(bare);
    let ratio = median(&mut ratios);
    let mut rows = vec![Row {
        yardstick: "Y8",
        what: format!("GetUser FULL on {store}, processor time ÷ bare RPC and bare read"),
        measured: format!("{ratio:.2}"),
        held: "≤ 1.4 (1.15)",
        note: format!(
            "{:.0} µs against {:.0} µs; {ROUNDS} rounds of {READS}, {:.2} to {:.2}",
            median(&mut ours),
            median(&mut theirs),
            ratios.first().copied().unwrap_or_default(),
            ratios.last().copied().unwrap_or_default()
        ),
    }];
    rows.push(growth::pages(runtime, store, &side, PEOPLE));
    drop(pair);
    Ok(rows)
}

async fn read_ours(api: &Api, token: &str, user_id: &str) -> Result<(), Box<dyn Error>> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (mut users, user_id) = (api.users(token), user_id.to_owned());
        callers.spawn(async move {
            for _ in 0..READS / CALLERS {
                users.get_user(full(&user_id)).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn read_theirs(channel: &Channel, user_id: &str) -> Result<(), Box<dyn Error>> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let mut users = UserServiceClient::new(channel.clone());
        let user_id = user_id.to_owned();
        callers.spawn(async move {
            for _ in 0..READS / CALLERS {
                users.get_user(full(&user_id)).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

fn full(user_id: &str) -> GetUserRequest {
    GetUserRequest {
        user_id: user_id.to_owned(),
        view: UserView::Full.into(),
        min_revision: String::new(),
    }
}

async fn make_editor(api: &Api, token: &str, user_id: &str) -> Result<(), Box<dyn Error>> {
    let mut roles = api.roles(token);
    let request = ListRolesRequest {
        name: "editor".into(),
        ..ListRolesRequest::default()
    };
    let editor = roles.list_roles(request).await?.into_inner().roles;
    let request = AssignRolesRequest {
        user_id: user_id.to_owned(),
        role_ids: editor.into_iter().map(|role| role.id).collect(),
        expire_time: None,
    };
    roles.assign_roles(request).await?;
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(READS)
}

/// This program as the bare server, in a process of its own.
struct Reference {
    process: Child,
    channel: Channel,
}

impl Reference {
    fn start(runtime: &Runtime, database_url: &str) -> Result<Self, Box<dyn Error>> {
        const LIMIT: Duration = Duration::from_secs(10);
        let listen = format!("127.0.0.1:{}", ports::free_port()?);
        let process = Command::new(std::env::current_exe()?)
            .args(["bare", "--listen", &listen, "--database-url", database_url])
            .stdin(Stdio::null())
            .spawn()?;
        // The channel belongs to the runtime that calls through it.
        let channel = runtime.block_on(async {
            let channel = health::channel(listen.parse()?)?;
            let watch = Stopwatch::start();
            while tokio::net::TcpStream::connect(&listen).await.is_err() {
                if watch.elapsed() > LIMIT {
                    return Err("the bare server does not start".into());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, Box<dyn Error>>(channel)
        })?;
        Ok(Self { process, channel })
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // It has nothing to lose; an error means that it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
