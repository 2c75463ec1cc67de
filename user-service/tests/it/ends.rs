//! Roles and permissions that end by time: until when they count, who gives them for how long, and who is told.

use std::time::Duration;

use identity_guard::{
    ErrorReason,
    clock::{Clock, Timestamp},
};
use identity_kit::outbox;
use identity_proto::user::v1::{self as wire, CheckReason};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tonic::Status;
use user_service::store::kinds::USER_RIGHTS_CHANGED;

use crate::harness::{SERVICE_KEY, World, lacking, reason, until, violated, with_key};

impl World {
    fn after(&self, span: Duration) -> Timestamp {
        self.clock.now().plus(span)
    }

    async fn assign_until(
        &self,
        caller: &str,
        user_id: &str,
        role_id: &str,
        end: Option<Timestamp>,
    ) -> Result<wire::AssignRolesResponse, Status> {
        let request = wire::AssignRolesRequest {
            user_id: user_id.into(),
            role_ids: vec![role_id.into()],
            expire_time: end.map(Into::into),
        };
        let answer = self.roles().assign_roles(self.by(caller, request)).await?;
        Ok(answer.into_inner())
    }

    async fn grant_until(
        &self,
        caller: &str,
        user_id: &str,
        permission_id: &str,
        end: Option<Timestamp>,
    ) -> Result<wire::GrantUserPermissionsResponse, Status> {
        let request = wire::GrantUserPermissionsRequest {
            user_id: user_id.into(),
            permission_ids: vec![permission_id.into()],
            expire_time: end.map(Into::into),
        };
        let mut permissions = self.permissions();
        let answer = permissions
            .grant_user_permissions(self.by(caller, request))
            .await?;
        Ok(answer.into_inner())
    }

    async fn roles_of(&self, user_id: &str) -> wire::ListUserRolesResponse {
        let request = wire::ListUserRolesRequest {
            user_id: user_id.into(),
            ..Default::default()
        };
        let answer = self.roles().list_user_roles(self.by_admin(request)).await;
        answer.unwrap().into_inner()
    }

    async fn check(&self, user_id: &str, permission: &str) -> wire::PermissionCheck {
        let request = wire::CheckPermissionsRequest {
            user_id: user_id.into(),
            permissions: vec![permission.into()],
            ..Default::default()
        };
        let mut permissions = self.permissions();
        let answer = permissions.check_permissions(self.by_admin(request)).await;
        answer.unwrap().into_inner().checks.remove(0)
    }

    async fn held(&self, user_id: &str) -> Vec<wire::EffectivePermission> {
        let request = wire::ListUserPermissionsRequest {
            user_id: user_id.into(),
            ..Default::default()
        };
        let mut permissions = self.permissions();
        let answer = permissions.list_user_permissions(self.by_admin(request));
        answer.await.unwrap().into_inner().permissions
    }

    async fn snapshot(&self, user_id: &str) -> wire::AccessSnapshot {
        let request = wire::GetAccessSnapshotRequest {
            user_id: user_id.into(),
            min_position: None,
        };
        let mut credentials = self.credentials();
        let answer = credentials.get_access_snapshot(with_key(request, SERVICE_KEY));
        answer.await.unwrap().into_inner().access.unwrap()
    }

    async fn holders(&self, role_id: &str) -> usize {
        let request = wire::ListUsersRequest {
            role_id: role_id.into(),
            ..Default::default()
        };
        let answer = self.users().list_users(self.by_admin(request)).await;
        answer.unwrap().into_inner().users.len()
    }

    async fn rows(&self, table: &str) -> i64 {
        let database = self.app.store().database();
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE ends_at IS NOT NULL");
        let statement = Statement::from_string(database.backend(), sql);
        let row = database.reader().query_one_raw(statement).await.unwrap();
        row.unwrap().try_get_by_index(0).unwrap()
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_in_no_answer_and_no_decision() {
    for world in World::all().await {
        let user = world.person().await;
        let viewer = world.role("viewer").await;
        let delete = world.permission("users.delete").await;
        let admin = world.admin.id.as_str();
        let end = world.after(MINUTE);
        let wire_end: Option<prost_types::Timestamp> = Some(end.into());
        world
            .assign_until(admin, &user.id, &viewer, Some(end))
            .await
            .unwrap();
        world
            .grant_until(admin, &user.id, &delete, Some(end))
            .await
            .unwrap();

        let list = || world.by(&user.id, wire::ListUsersRequest::default());
        world.users().list_users(list()).await.unwrap();
        let roles = world.roles_of(&user.id).await;
        assert_eq!(roles.ends[0].role_id, viewer);
        assert_eq!(roles.ends[0].expire_time, wire_end);
        let check = world.check(&user.id, "users.read").await;
        assert_eq!(check.sources[0].expire_time, wire_end);
        let held = world.held(&user.id).await;
        assert!(
            held.iter()
                .all(|held| held.sources[0].expire_time == wire_end)
        );
        let snapshot = world.snapshot(&user.id).await;
        assert_eq!(snapshot.roles[0].until_time, wire_end);
        assert_eq!(snapshot.direct_permissions[0].until_time, wire_end);
        assert_eq!(world.holders(&viewer).await, 1);

        world.clock.advance(MINUTE);
        assert_eq!(
            reason(world.users().list_users(list()).await),
            ErrorReason::PermissionRequired
        );
        assert_eq!(
            world.roles_of(&user.id).await,
            wire::ListUserRolesResponse::default()
        );
        let check = world.check(&user.id, "users.read").await;
        assert_eq!(check.reason(), CheckReason::PermissionMissing);
        assert!(world.held(&user.id).await.is_empty());
        let own = world.get_self(&user.id).await.unwrap();
        assert!(own.roles.is_empty() && own.permissions.is_empty());
        let snapshot = world.snapshot(&user.id).await;
        assert!(snapshot.roles.is_empty() && snapshot.direct_permissions.is_empty());
        assert!(snapshot.effective_permissions.is_empty());
        assert_eq!(world.holders(&viewer).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_kept_in_memory_end_with_the_clock() {
    for world in World::all().await {
        let user = world.person().await;
        let viewer = world.role("viewer").await;
        // Shorter than what is kept stays fresh, so that only the end itself can take the right away.
        let span = Duration::from_secs(2);
        let end = world.after(span);
        world
            .assign_until(&world.admin.id, &user.id, &viewer, Some(end))
            .await
            .unwrap();
        let rights = world.app.store().rights_cache();
        until("following the feed", async || rights.is_fresh()).await;
        let list = || world.by(&user.id, wire::ListUsersRequest::default());
        world.users().list_users(list()).await.unwrap();
        world.clock.advance(span);
        assert_eq!(
            reason(world.users().list_users(list()).await),
            ErrorReason::PermissionRequired
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_again_gives_the_new_end() {
    for world in World::all().await {
        let user = world.person().await;
        let viewer = world.role("viewer").await;
        let admin = world.admin.id.as_str();
        let (soon, late) = (world.after(MINUTE), world.after(MINUTE * 2));
        for (end, assigned, changed) in [
            (Some(soon), 1, 0),
            (Some(soon), 0, 0),
            (Some(late), 0, 1),
            (Some(soon), 0, 1),
            (None, 0, 1),
            (None, 0, 0),
            (Some(late), 0, 1),
        ] {
            let given = world
                .assign_until(admin, &user.id, &viewer, end)
                .await
                .unwrap();
            assert_eq!(
                (given.assigned_count, given.changed_count),
                (assigned, changed)
            );
            let ends = world.roles_of(&user.id).await.ends;
            let told = ends.first().and_then(|told| told.expire_time);
            assert_eq!(told, end.map(Into::into));
        }
        // What has ended was not the user's any more.
        world.clock.advance(MINUTE * 2);
        let given = world
            .assign_until(admin, &user.id, &viewer, None)
            .await
            .unwrap();
        assert_eq!((given.assigned_count, given.changed_count), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_for_longer_than_they_hold() {
    for world in World::all().await {
        let (giver, taker) = (world.person().await, world.person().await);
        for permission in ["roles.assign", "permissions.grant", "roles.grant"] {
            world.grant(&giver.id, permission).await;
        }
        let read = world.permission("users.read").await;
        let role = world.new_role("reader", &["users.read"]).await;
        let end = world.after(MINUTE);
        let later = Timestamp::from_micros(end.as_micros() + 1);
        let admin = world.admin.id.as_str();
        world
            .grant_until(admin, &giver.id, &read, Some(end))
            .await
            .unwrap();
        for too_long in [Some(later), None] {
            for user in [&taker, &giver] {
                let granted = world
                    .grant_until(&giver.id, &user.id, &read, too_long)
                    .await;
                assert_eq!(lacking(granted), "users.read");
                let assigned = world
                    .assign_until(&giver.id, &user.id, &role, too_long)
                    .await;
                assert_eq!(lacking(assigned), "users.read");
            }
        }
        // A role keeps what it is given.
        let request = wire::GrantRolePermissionsRequest {
            role_id: role.clone(),
            permission_ids: vec![read.clone()],
        };
        let mut roles = world.roles();
        let granted = roles
            .grant_role_permissions(world.by(&giver.id, request))
            .await;
        assert_eq!(lacking(granted), "users.read");
        world
            .assign_until(&giver.id, &taker.id, &role, Some(end))
            .await
            .unwrap();
        world
            .grant_until(&giver.id, &taker.id, &read, Some(end))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_until_some_moment_is_not_the_last_one() {
    for world in World::all().await {
        let admin = world.role("admin").await;
        let root = world.admin.id.clone();
        let end = Some(world.after(MINUTE));
        let limited = world.assign_until(&root, &root, &admin, end).await;
        assert_eq!(reason(limited), ErrorReason::LastAdministrator);
        let other = world.person().await;
        world
            .assign_until(&root, &other.id, &admin, end)
            .await
            .unwrap();
        assert_eq!(
            reason(world.suspend(&root).await),
            ErrorReason::LastAdministrator
        );
        let limited = world.assign_until(&root, &root, &admin, end).await;
        assert_eq!(reason(limited), ErrorReason::LastAdministrator);
        // Until then they are one all the same, and cannot make it longer.
        let longer = world.assign_until(&other.id, &other.id, &admin, None).await;
        assert_eq!(reason(longer), ErrorReason::GrantExceedsCaller);
        world
            .assign_until(&root, &other.id, &admin, None)
            .await
            .unwrap();
        world.assign_until(&root, &root, &admin, end).await.unwrap();
        assert_eq!(
            reason(world.suspend(&other.id).await),
            ErrorReason::LastAdministrator
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_has_passed_is_refused() {
    for world in World::all().await {
        let user = world.person().await;
        let viewer = world.role("viewer").await;
        let (admin, past) = (world.admin.id.as_str(), Some(world.clock.now()));
        let refused = world.assign_until(admin, &user.id, &viewer, past).await;
        assert_eq!(violated(refused), ["expire_time"]);
        let refused = world.grant_until(admin, &user.id, "p", past).await;
        assert_eq!(violated(refused), ["expire_time"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_housekeeper_removes_what_has_ended_and_tells_the_feed() {
    for world in World::all().await {
        let viewer = world.role("viewer").await;
        let delete = world.permission("users.delete").await;
        let admin = world.admin.id.as_str();
        let end = Some(world.after(MINUTE));
        for user_id in [&world.person().await.id, &world.person().await.id] {
            world
                .assign_until(admin, user_id, &viewer, end)
                .await
                .unwrap();
            world
                .grant_until(admin, user_id, &delete, end)
                .await
                .unwrap();
        }
        let place = world.app.store().head().await.unwrap().revision;
        world.clock.advance(MINUTE);
        until("the end", async || {
            world.rows("user_roles").await + world.rows("user_permissions").await == 0
        })
        .await;
        let reader = world.app.store().database().reader();
        let events = outbox::read_after(reader, place, 10).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(told, [USER_RIGHTS_CHANGED; 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_keeper_of_the_house_ends_another_replica_goes_on() {
    for world in World::all().await {
        // Only one process serves an SQLite file.
        if world.app.store().database().backend() == DbBackend::Sqlite {
            continue;
        }
        let user = world.person().await;
        let viewer = world.role("viewer").await;
        let holder = async || {
            let reader = world.app.store().database().reader();
            let sql = "SELECT holder FROM upkeep_lease";
            let statement = Statement::from_string(DbBackend::Postgres, sql);
            let row = reader.query_one_raw(statement).await.unwrap().unwrap();
            row.try_get::<String>("", "holder").unwrap()
        };
        until("a keeper", async || !holder().await.is_empty()).await;
        let first = holder().await;
        // A process that is gone without a word: somebody who never works has the lease.
        world
            .sql(&["UPDATE upkeep_lease SET holder = 'gone', held_until = held_until + 1"])
            .await;
        assert_eq!(holder().await, "gone");
        let replica = world.replica().await;
        let end = Some(world.after(Duration::from_secs(1)));
        world
            .assign_until(&world.admin.id, &user.id, &viewer, end)
            .await
            .unwrap();
        until("the end", async || world.rows("user_roles").await == 0).await;
        let next = holder().await;
        assert_ne!(next, "gone");
        // Whoever it is gives it back when it stops, and the other one takes it.
        let replica_keeps = next != first;
        replica.stop().await;
        if replica_keeps {
            until("the other keeper", async || holder().await == first).await;
        }
    }
}
