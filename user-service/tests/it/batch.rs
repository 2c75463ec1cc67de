//! Roles for many users at once: an outcome for each, by the rules of giving to one.

use std::time::Duration;

use identity_guard::clock::Clock;
use identity_kit::outbox;
use identity_proto::user::v1::{self as wire, AssignOutcome as Outcome};
use user_service::store::kinds::USER_RIGHTS_CHANGED;

use crate::harness::{World, violated};

const MINUTE: Duration = Duration::from_mins(1);

fn item(user_id: &str, role_id: &str) -> wire::RoleAssignment {
    wire::RoleAssignment {
        user_id: user_id.into(),
        role_ids: vec![role_id.into()],
        expire_time: None,
    }
}

impl World {
    async fn batch(&self, caller: &str, items: Vec<wire::RoleAssignment>) -> Vec<Outcome> {
        let request = wire::BatchAssignRolesRequest { items };
        let mut roles = self.roles();
        let answer = roles.batch_assign_roles(self.by(caller, request)).await;
        let answer = answer.unwrap().into_inner();
        let outcomes: Vec<_> = answer.outcomes().collect();
        let assigned = outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Assigned);
        assert_eq!(usize::try_from(answer.assigned_count), Ok(assigned.count()));
        outcomes
    }

    /// Another end for the items.
    fn until(&self, items: &[wire::RoleAssignment]) -> Vec<wire::RoleAssignment> {
        let end = self.clock.now().plus(MINUTE);
        let mut items = items.to_vec();
        for item in &mut items {
            item.expire_time = Some(end.into());
        }
        items
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_has_its_outcome_and_the_good_ones_count_at_once() {
    for world in World::all().await {
        let [has, lacks, full] = [
            world.person().await.id,
            world.person().await.id,
            world.person().await.id,
        ];
        let viewer = world.role("viewer").await;
        world.assign(&has, "viewer").await;
        world
            .sql(&[
                "INSERT INTO roles (id, name, description, built_in, created_at, updated_at, version)
                 SELECT 'many' || i, 'many' || i, '', false, 0, 0, 1
                 FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM n) AS numbers",
                "INSERT INTO user_roles (user_id, role_id, created_at)
                 SELECT u.id, r.id, 0 FROM users u CROSS JOIN roles r WHERE u.username = 'person2' AND r.id LIKE 'many%'",
            ])
            .await;
        let place = world.app.store().head().await.unwrap().revision;
        let items = vec![
            item(&has, &viewer),
            item("nobody", &viewer),
            item(&lacks, &viewer),
            item(&world.admin.id, "nothing"),
            item(&full, &viewer),
        ];
        let outcomes = world.batch(&world.admin.id, items).await;
        assert_eq!(
            outcomes,
            [
                Outcome::Unchanged,
                Outcome::UserNotFound,
                Outcome::Assigned,
                Outcome::RoleNotFound,
                Outcome::LimitReached,
            ]
        );
        let mut users = world.users();
        let list = world.by(&lacks, wire::ListUsersRequest::default());
        users.list_users(list).await.unwrap();
        let reader = world.app.store().database().reader();
        let events = outbox::read_after(reader, place, 10).await.unwrap();
        let told: Vec<_> = events
            .iter()
            .map(|event| (event.kind.as_str(), event.payload["user_id"].as_str()))
            .collect();
        assert_eq!(told, [(USER_RIGHTS_CHANGED, Some(lacks.as_str()))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_obeys_what_giving_to_one_obeys() {
    for world in World::all().await {
        let caller = world.person().await.id;
        let (equal, superior) = (world.person().await.id, world.person().await.id);
        world.grant(&caller, "roles.assign").await;
        world.grant(&superior, "users.delete").await;
        let reader = world.new_role("reader", &["users.read"]).await;
        let empty = world.new_role("empty", &[]).await;
        let admin = world.role("admin").await;
        let outcomes = async |user: &str, role: &str| {
            world.batch(&caller, vec![item(user, role)]).await.remove(0)
        };
        assert_eq!(outcomes(&equal, &reader).await, Outcome::GrantExceedsCaller);
        assert_eq!(outcomes(&equal, &admin).await, Outcome::GrantExceedsCaller);
        assert_eq!(
            outcomes(&superior, &empty).await,
            Outcome::GrantExceedsCaller
        );
        assert_eq!(
            outcomes(&world.admin.id, &empty).await,
            Outcome::GrantExceedsCaller
        );
        assert_eq!(outcomes(&equal, &empty).await, Outcome::Assigned);
        assert_eq!(outcomes(&caller, &empty).await, Outcome::Assigned);

        // Held until a moment, it is given until then and no longer.
        let [held] = world.until(&[item(&caller, &reader)]).try_into().unwrap();
        let given = world.batch(&world.admin.id, vec![held.clone()]).await;
        assert_eq!(given, [Outcome::Assigned]);
        let mut longer = wire::RoleAssignment {
            user_id: equal.clone(),
            ..held.clone()
        };
        if let Some(end) = &mut longer.expire_time {
            end.seconds += 1;
        }
        let within = wire::RoleAssignment {
            user_id: equal.clone(),
            ..held
        };
        assert_eq!(outcomes(&equal, &reader).await, Outcome::GrantExceedsCaller);
        let given = world.batch(&caller, vec![longer]).await;
        assert_eq!(given, [Outcome::GrantExceedsCaller]);
        let given = world.batch(&caller, vec![within.clone()]).await;
        assert_eq!(given, [Outcome::Assigned]);
        let again = world.batch(&caller, vec![within]).await;
        assert_eq!(again, [Outcome::Unchanged]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_leaves_an_administrator_without_end() {
    for world in World::all().await {
        let admin = world.role("admin").await;
        let (root, other) = (world.admin.id.clone(), world.person().await.id);
        world.assign(&other, "admin").await;
        let both = [item(&root, &admin), item(&other, &admin)];
        let outcomes = world.batch(&root, world.until(&both)).await;
        assert_eq!(outcomes, [Outcome::LastAdministrator; 2]);
        let outcomes = world.batch(&root, world.until(&both[1..])).await;
        assert_eq!(outcomes, [Outcome::Assigned]);
        let outcomes = world.batch(&root, world.until(&both[..1])).await;
        assert_eq!(outcomes, [Outcome::LastAdministrator]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_items_is_named_for_each() {
    for world in World::all().await {
        let mut late = item("b", "r");
        late.expire_time = Some(world.clock.now().into());
        let items = vec![item("A", "r"), item("a", ""), item("a", "r"), late];
        let request = wire::BatchAssignRolesRequest { items };
        let mut roles = world.roles();
        let refused = roles.batch_assign_roles(world.by_admin(request)).await;
        assert_eq!(
            violated(refused),
            [
                "items[0].user_id",
                "items[1].role_ids[0]",
                "items[2].user_id",
                "items[3].expire_time",
            ]
        );
    }
}
