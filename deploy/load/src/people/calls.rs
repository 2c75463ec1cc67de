//! One call after another by one caller, and how long each takes.

use std::{error::Error, time::Duration};

use identity_proto::user::v1::{
    BatchAssignRolesRequest, CheckPermissionsRequest, GetUserRequest, ListRolesRequest,
    ListUsersRequest, RoleAssignment, UserOrder, UserStatus, UserView,
};
use tonic::Status;

use super::{
    generator::Generator,
    growth::{PAGE, Side},
};
use crate::stopwatch::Stopwatch;

/// How often each is called.
const CALLS: usize = 300;
/// How often a batch is written.
const BATCHES: u64 = 20;
/// Users of one batch.
const BATCH: u64 = 1_000;

/// What calls of one kind take, in milliseconds.
pub(super) struct Call {
    pub(super) what: String,
    /// The median.
    pub(super) median: f64,
    /// All but one of a hundred take less.
    pub(super) nearly_all: f64,
}

/// Calls each kind among `count` people.
pub(super) async fn measure(scene: &Side, count: u64) -> Result<Vec<Call>, Box<dyn Error>> {
    let mut calls = vec![
        time(scene, "GetUser with roles and permissions", get).await?,
        time(scene, "CheckPermissions, three of one user", check).await?,
    ];
    for (what, request) in lists(scene, count).await? {
        let timed = time(scene, &what, async |scene, _| {
            let mut users = scene.api.users(&scene.token);
            users.list_users(request.clone()).await.map(drop)
        });
        calls.push(timed.await?);
    }
    calls.push(batches(scene).await?);
    Ok(calls)
}

/// The lists that are measured.
async fn lists(
    scene: &Side,
    count: u64,
) -> Result<Vec<(String, ListUsersRequest)>, Box<dyn Error>> {
    let (page_token, deep) = &scene.deep;
    let base = || ListUsersRequest {
        page_size: PAGE,
        ..ListUsersRequest::default()
    };
    let of_role = async |name| {
        Ok::<_, Box<dyn Error>>(ListUsersRequest {
            role_id: role(scene, name).await?,
            ..base()
        })
    };
    let search = |query: &str| ListUsersRequest {
        query: query.to_owned(),
        ..base()
    };
    let suspended = |request| ListUsersRequest {
        status: UserStatus::Suspended.into(),
        ..request
    };
    let deep_page = ListUsersRequest {
        page_token: page_token.clone(),
        ..base()
    };
    let by_username = ListUsersRequest {
        order: UserOrder::UsernameAsc.into(),
        ..base()
    };
    let with_permission = ListUsersRequest {
        permission: "users.create".to_owned(),
        ..base()
    };
    let one = format!(".{}@", count / 2);
    let lists = [
        ("ListUsers, page 1", base()),
        (&format!("ListUsers, page {deep}"), deep_page),
        ("ListUsers by username", by_username),
        ("ListUsers, the suspended", suspended(base())),
        ("ListUsers with a role of a tenth", of_role("viewer").await?),
        (
            "ListUsers with a role of a thousandth",
            of_role("editor").await?,
        ),
        ("ListUsers with a permission", with_permission),
        ("search, a name of many by its beginning", search("lovel")),
        ("search, a middle part of many", search("ovelac")),
        ("search, one by a middle part", search(&one)),
        (
            "search, a name of many and the suspended",
            suspended(search("turing")),
        ),
    ];
    Ok(lists
        .into_iter()
        .map(|(what, request)| (what.to_owned(), request))
        .collect())
}

async fn time(
    scene: &Side,
    what: &str,
    call: impl AsyncFn(&Side, &str) -> Result<(), Status>,
) -> Result<Call, Box<dyn Error>> {
    let mut random = Generator::new();
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let index = usize::try_from(random.below(scene.ids.len() as u64))?;
        let watch = Stopwatch::start();
        call(scene, &scene.ids[index]).await?;
        times.push(watch.elapsed());
    }
    Ok(summary(what, times))
}

async fn get(scene: &Side, id: &str) -> Result<(), Status> {
    let request = GetUserRequest {
        user_id: id.to_owned(),
        view: UserView::Full.into(),
        ..GetUserRequest::default()
    };
    scene
        .api
        .users(&scene.token)
        .get_user(request)
        .await
        .map(drop)
}

async fn check(scene: &Side, id: &str) -> Result<(), Status> {
    let request = CheckPermissionsRequest {
        user_id: id.to_owned(),
        permissions: ["users.read", "users.create", "roles.assign"]
            .map(str::to_owned)
            .to_vec(),
        ..CheckPermissionsRequest::default()
    };
    let mut permissions = scene.api.permissions(&scene.token);
    permissions.check_permissions(request).await.map(drop)
}

/// Gives a role to a thousand users at once, others each time.
async fn batches(scene: &Side) -> Result<Call, Box<dyn Error>> {
    let role = role(scene, "editor").await?;
    let mut ids = scene.ids.iter();
    let mut times = Vec::new();
    for _ in 0..BATCHES {
        let items: Vec<_> = ids
            .by_ref()
            .take(usize::try_from(BATCH)?)
            .map(|id| RoleAssignment {
                user_id: id.clone(),
                role_ids: vec![role.clone()],
                ..RoleAssignment::default()
            })
            .collect();
        if items.is_empty() {
            break;
        }
        let request = BatchAssignRolesRequest { items };
        let watch = Stopwatch::start();
        scene
            .api
            .roles(&scene.token)
            .batch_assign_roles(request)
            .await?;
        times.push(watch.elapsed());
    }
    Ok(summary("BatchAssignRoles of 1,000", times))
}

fn summary(what: &str, mut times: Vec<Duration>) -> Call {
    times.sort_unstable();
    let millis = |index: usize| {
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    Call {
        what: what.to_owned(),
        median: millis(times.len() / 2),
        nearly_all: millis(times.len() * 99 / 100),
    }
}

async fn role(scene: &Side, name: &str) -> Result<String, Box<dyn Error>> {
    let request = ListRolesRequest {
        name: name.to_owned(),
        ..ListRolesRequest::default()
    };
    let mut roles = scene
        .api
        .roles(&scene.token)
        .list_roles(request)
        .await?
        .into_inner()
        .roles;
    Ok(roles.pop().ok_or("no such role")?.id)
}
