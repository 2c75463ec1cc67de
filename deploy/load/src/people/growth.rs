//! Y9: what a call costs among many people beside what it costs among few, and deep in a list beside its beginning.

use std::{cell::Cell, error::Error};

use identity_dev::api::Api;
use identity_proto::user::v1::{CheckPermissionsRequest, ListUsersRequest};
use tokio::runtime::Runtime;

use super::FEW;
use crate::{
    ratio::{Ratio, compare},
    report::Row,
    rig::Rig,
};

/// Calls of one turn.
const CALLS: u32 = 500;
/// Users of one page.
pub(crate) const PAGE: i32 = 50;

/// A pair of services, and people of it from everywhere in its list.
pub(crate) struct Side {
    pub(crate) api: Api,
    /// An administrator's access token.
    pub(crate) token: String,
    /// The newest first.
    pub(crate) ids: Vec<String>,
    /// The token of the last whole page on the walk through the list, and its number.
    pub(crate) deep: (String, u64),
}

impl Side {
    /// Logs in, and walks through the list as far as a page.
    pub(crate) async fn of(rig: &Rig, page_number: u64) -> Result<Self, Box<dyn Error>> {
        let api = rig.api.clone();
        let token = rig.administrator().await?.access_token;
        let mut users = api.users(&token);
        let (mut ids, mut deep) = (Vec::new(), (String::new(), 1));
        let mut before = deep.clone();
        loop {
            let page = users.list_users(page(&deep.0)).await?.into_inner();
            if page.users.len() < usize::try_from(PAGE)? {
                // A short page is cheaper than others.
                deep = before;
                break;
            }
            ids.extend(page.users.into_iter().map(|user| user.id));
            if deep.1 == page_number || page.next_page_token.is_empty() {
                break;
            }
            before = deep;
            deep = (page.next_page_token, before.1 + 1);
        }
        if ids.is_empty() {
            return Err("nobody is in the list".into());
        }
        Ok(Self {
            api,
            token,
            ids,
            deep,
        })
    }

    /// The id of one of them.
    pub(crate) fn someone(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }

    async fn check(&self, calls: u32, next: &Cell<usize>) {
        let mut permissions = self.api.permissions(&self.token);
        for _ in 0..calls {
            // A stride without a common divisor goes everywhere.
            let index = next.get();
            next.set(index.wrapping_add(7_919));
            let request = CheckPermissionsRequest {
                user_id: self.ids[index % self.ids.len()].clone(),
                permissions: ["users.read", "users.create", "roles.assign"]
                    .map(str::to_owned)
                    .to_vec(),
                ..CheckPermissionsRequest::default()
            };
            let answer = permissions.check_permissions(request).await;
            assert!(answer.is_ok(), "a check failed: {:?}", answer.err());
        }
    }

    async fn list(&self, calls: u32, page_token: &str) {
        let mut users = self.api.users(&self.token);
        for _ in 0..calls {
            let answer = users.list_users(page(page_token)).await;
            assert!(answer.is_ok(), "a page failed: {:?}", answer.err());
        }
    }
}

/// Checks among many beside checks among few.
pub(crate) fn checks(runtime: &Runtime, store: &str, [many, few]: [&Side; 2], count: u64) -> Row {
    let next = Cell::new(0);
    let ratio = compare(
        CALLS,
        |calls| runtime.block_on(many.check(calls, &next)),
        |calls| runtime.block_on(few.check(calls, &next)),
    );
    let what = format!("CheckPermissions on {store}, among {count} ÷ among {FEW} people");
    row(what, &ratio)
}

/// A page deep in the list beside its first one.
pub(crate) fn pages(runtime: &Runtime, store: &str, side: &Side, count: u64) -> Row {
    let (token, number) = &side.deep;
    let ratio = compare(
        CALLS,
        |calls| runtime.block_on(side.list(calls, token)),
        |calls| runtime.block_on(side.list(calls, "")),
    );
    let what = format!("ListUsers on {store} among {count} people, page {number} ÷ page 1");
    row(what, &ratio)
}

fn row(what: String, ratio: &Ratio) -> Row {
    Row::of_cost("Y9", what, "≤ 1.1 (1.05)", ratio)
}

fn page(page_token: &str) -> ListUsersRequest {
    ListUsersRequest {
        page_size: PAGE,
        page_token: page_token.to_owned(),
        ..ListUsersRequest::default()
    }
}
