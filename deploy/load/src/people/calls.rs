//! One call after another by one caller, and how long each takes.

use std::{error::Error, time::Duration};

use identity_dev::api::Api;
use identity_proto::user::v1::{
    BatchAssignRolesRequest, CheckPermissionsRequest, GetUserRequest, ListRolesRequest,
    ListUsersRequest, RoleAssignment, UserOrder, UserStatus, UserView,
};
use tonic::Status;

use super::generator::Generator;
use crate::stopwatch::Stopwatch;

/// How often each is called.
const CALLS: usize = 300;
/// How often a batch is written.
const BATCHES: u64 = 20;
/// Users of one batch.
const BATCH: u64 = 1_000;
/// Users of one page.
const PAGE: i32 = 50;
/// A page deep in the list.
const DEEP: u64 = 10_000;

/// What calls of one kind take, in milliseconds.
pub(super) struct Call {
    pub(super) what: String,
    /// The median.
    pub(super) median: f64,
    /// All but one of a hundred take less.
    pub(super) nearly_all: f64,
}

/// Calls each kind among `count` people.
pub(super) async fn measure(
    api: &Api,
    token: &str,
    count: u64,
) -> Result<Vec<Call>, Box<dyn Error>> {
    let scene = Scene {
        api: api.clone(),
        token: token.to_owned(),
        ids: some_ids(api, token).await?,
    };
    let mut calls = vec![
        scene
            .time("GetUser with roles and permissions", Scene::get)
            .await?,
        scene
            .time("CheckPermissions, three of one user", Scene::check)
            .await?,
    ];
    for (what, request) in lists(api, token, count).await? {
        let timed = scene.time(&what, async |scene, _| {
            let mut users = scene.api.users(&scene.token);
            users.list_users(request.clone()).await.map(drop)
        });
        calls.push(timed.await?);
    }
    calls.push(scene.batches().await?);
    Ok(calls)
}

/// The lists that are measured.
async fn lists(
    api: &Api,
    token: &str,
    count: u64,
) -> Result<Vec<(String, ListUsersRequest)>, Box<dyn Error>> {
    let pages = count / u64::from(PAGE.unsigned_abs());
    let deep = DEEP.min(pages.saturating_sub(1));
    let base = || ListUsersRequest {
        page_size: PAGE,
        ..ListUsersRequest::default()
    };
    let of_role = async |name| {
        Ok::<_, Box<dyn Error>>(ListUsersRequest {
            role_id: role(api, token, name).await?,
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
        page_token: page_token(api, token, deep).await?,
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

struct Scene {
    api: Api,
    token: String,
    ids: Vec<String>,
}

impl Scene {
    async fn time(
        &self,
        what: &str,
        call: impl AsyncFn(&Self, &str) -> Result<(), Status>,
    ) -> Result<Call, Box<dyn Error>> {
        let mut random = Generator::new();
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let index = usize::try_from(random.below(self.ids.len() as u64))?;
            let watch = Stopwatch::start();
            call(self, &self.ids[index]).await?;
            times.push(watch.elapsed());
        }
        Ok(summary(what, times))
    }

    async fn get(&self, id: &str) -> Result<(), Status> {
        let request = GetUserRequest {
            user_id: id.to_owned(),
            view: UserView::Full.into(),
            ..GetUserRequest::default()
        };
        self.api
            .users(&self.token)
            .get_user(request)
            .await
            .map(drop)
    }

    async fn check(&self, id: &str) -> Result<(), Status> {
        let request = CheckPermissionsRequest {
            user_id: id.to_owned(),
            permissions: ["users.read", "users.create", "roles.assign"]
                .map(str::to_owned)
                .to_vec(),
            ..CheckPermissionsRequest::default()
        };
        let mut permissions = self.api.permissions(&self.token);
        permissions.check_permissions(request).await.map(drop)
    }

    /// Gives a role to a thousand users at once, others each time.
    async fn batches(&self) -> Result<Call, Box<dyn Error>> {
        let role = role(&self.api, &self.token, "editor").await?;
        let mut ids = self.ids.iter();
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
            self.api
                .roles(&self.token)
                .batch_assign_roles(request)
                .await?;
            times.push(watch.elapsed());
        }
        Ok(summary("BatchAssignRoles of 1,000", times))
    }
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

/// The ids of some people, the newest.
async fn some_ids(api: &Api, token: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    let wanted = usize::try_from(BATCHES * BATCH)?;
    while ids.len() < wanted {
        let request = ListUsersRequest {
            page_size: 500,
            page_token,
            ..ListUsersRequest::default()
        };
        let page = api.users(token).list_users(request).await?.into_inner();
        ids.extend(page.users.into_iter().map(|user| user.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(ids)
}

/// The token of a page.
async fn page_token(api: &Api, token: &str, page: u64) -> Result<String, Box<dyn Error>> {
    let mut page_token = String::new();
    let mut users = api.users(token);
    for _ in 1..page {
        let request = ListUsersRequest {
            page_size: PAGE,
            page_token,
            ..ListUsersRequest::default()
        };
        page_token = users
            .list_users(request)
            .await?
            .into_inner()
            .next_page_token;
    }
    Ok(page_token)
}

async fn role(api: &Api, token: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let request = ListRolesRequest {
        name: name.to_owned(),
        ..ListRolesRequest::default()
    };
    let mut roles = api
        .roles(token)
        .list_roles(request)
        .await?
        .into_inner()
        .roles;
    Ok(roles.pop().ok_or("no such role")?.id)
}
