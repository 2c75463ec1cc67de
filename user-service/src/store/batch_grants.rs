//! Giving roles to many users at once: the rules of giving to one, in a handful of statements for all of them.

use std::collections::{HashMap, HashSet};

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::WriteTransaction,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Done, Error, Store, administrators, audit, corrupt,
    entity::{user, user_role},
    event::{self, kinds},
    grants::{ROLES, gave, has_role_at, lock_roles, put_roles},
    held,
    rights::Touched,
};
use crate::domain::{
    access::{AssignOutcome, MAX_ROLES, RoleAssignment},
    id::{RoleId, UserId},
    refusal::Refusal,
    user::UserStatus,
};

/// Most rows of one statement, so that it stays below the bounds of both engines on parameters.
const ROWS_AT_ONCE: usize = 5_000;

impl Store {
    /// Gives roles to users, none of whom stands in two items, and answers what became of each item, in their order.
    ///
    /// # Errors
    /// When the database does not carry it out; a refusal is an outcome.
    pub async fn batch_assign_roles(
        &self,
        act: Act,
        items: Vec<RoleAssignment>,
        now: Timestamp,
    ) -> Result<Done<Vec<AssignOutcome>>, Error> {
        let touched = Touched::Users(items.iter().map(|item| item.user_id.clone()).collect());
        let assigning = act.clone();
        let asked = items.clone();
        let done = self.write(
            assigning,
            touched,
            items,
            move |transaction, scribe, items| {
                Box::pin(async move {
                    let caller = &scribe.caller;
                    let facts = Facts::read(transaction, caller, items, now).await?;
                    let mut outcomes: Vec<_> =
                        items.iter().map(|item| facts.judge(caller, item)).collect();
                    spare_the_last(transaction, &facts, items, &mut outcomes).await?;
                    let assigned = || {
                        let judged = items.iter().zip(&outcomes);
                        judged
                            .filter(|(_, outcome)| **outcome == AssignOutcome::Assigned)
                            .map(|(item, _)| item)
                    };
                    let rows: Vec<_> = assigned().flat_map(|item| rows(item, now)).collect();
                    for rows in rows.chunks(ROWS_AT_ONCE) {
                        put_roles(transaction, rows.to_vec()).await?;
                    }
                    for item in assigned() {
                        event::user(transaction, kinds::USER_RIGHTS_CHANGED, &item.user_id);
                        let record = facts.record(item);
                        scribe.done_to(transaction, audit::user(&item.user_id), record);
                    }
                    Ok(outcomes)
                })
            },
        );
        let done = done.await?;
        for (item, outcome) in asked.iter().zip(&done.value) {
            let refusal = match outcome {
                AssignOutcome::GrantExceedsCaller => Refusal::GrantExceedsCaller(None),
                AssignOutcome::LastAdministrator => Refusal::LastAdministrator,
                _ => continue,
            };
            self.note_refused(act.clone().on(audit::user(&item.user_id)), &refusal);
        }
        Ok(done)
    }
}

fn rows(item: &RoleAssignment, now: Timestamp) -> impl Iterator<Item = user_role::ActiveModel> {
    let ends_at = item.ends_at.map(Timestamp::as_micros);
    item.role_ids.iter().map(move |id| user_role::ActiveModel {
        user_id: Set(item.user_id.as_str().to_owned()),
        role_id: Set(id.as_str().to_owned()),
        created_at: Set(now.as_micros()),
        ends_at: Set(ends_at),
    })
}

/// What the items are judged by. Roles and users stay as they are until the transaction ends.
struct Facts {
    /// The role that holds everything, locked against others who may take an administrator away, when an item gives it
    /// an end.
    admin: Option<RoleId>,
    /// For each role that is there, how long the caller may give it: a moment in microseconds.
    giveable_until: HashMap<RoleId, i64>,
    /// The status of each user who is there.
    users: HashMap<UserId, UserStatus>,
    /// Users who hold more than the caller.
    superiors: HashSet<UserId>,
    /// The roles of each user, with their ends.
    roles: HashMap<UserId, HashMap<RoleId, Option<Timestamp>>>,
}

impl Facts {
    async fn read(
        transaction: &WriteTransaction,
        caller: &UserId,
        items: &[RoleAssignment],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut role_ids: Vec<_> = items
            .iter()
            .flat_map(|item| &item.role_ids)
            .cloned()
            .collect();
        role_ids.sort_unstable();
        role_ids.dedup();
        // Roles before users, as every transaction that locks both does.
        let admin = if items.iter().any(|item| item.ends_at.is_some()) {
            Some(administrators::lock(transaction).await?)
        } else {
            None
        };
        let found = lock_roles(transaction, &role_ids).await?;
        let users = lock_users(transaction, items).await?;
        let ids: Vec<_> = users.keys().cloned().collect();
        let giveable_until = held::giveable_until(transaction, caller, &found, now).await?;
        let superiors = held::superiors(transaction, caller, &ids, now).await?;
        let roles = roles_of(transaction, &ids, now).await?;
        Ok(Self {
            admin,
            giveable_until,
            users,
            superiors,
            roles,
        })
    }

    /// In the order in which giving to one user finds out.
    fn judge(&self, caller: &UserId, item: &RoleAssignment) -> AssignOutcome {
        if !self.users.contains_key(&item.user_id) {
            return AssignOutcome::UserNotFound;
        }
        if &item.user_id != caller && self.superiors.contains(&item.user_id) {
            return AssignOutcome::GrantExceedsCaller;
        }
        let end = item.ends_at.map_or(i64::MAX, Timestamp::as_micros);
        for id in &item.role_ids {
            match self.giveable_until.get(id) {
                None => return AssignOutcome::RoleNotFound,
                Some(until) if *until < end => return AssignOutcome::GrantExceedsCaller,
                Some(_) => {}
            }
        }
        let none = HashMap::new();
        let has = self.roles.get(&item.user_id).unwrap_or(&none);
        let had = item
            .role_ids
            .iter()
            .filter(|id| has.contains_key(id))
            .count();
        if (has.len() - had + item.role_ids.len()) as u64 > MAX_ROLES {
            return AssignOutcome::LimitReached;
        }
        let is_so = |id| has.get(id) == Some(&item.ends_at);
        if item.role_ids.iter().all(is_so) {
            AssignOutcome::Unchanged
        } else {
            AssignOutcome::Assigned
        }
    }

    /// What the audit log says of an item: the roles that are new, or have another end now.
    fn record(&self, item: &RoleAssignment) -> Record {
        let has = self.roles.get(&item.user_id);
        let is_so = |id: &&RoleId| has.and_then(|has| has.get(*id)) == Some(&item.ends_at);
        let given = item.role_ids.iter().filter(|id| !is_so(id));
        let given = given.map(|id| id.as_str().to_owned()).collect();
        gave(ROLES, given, item.ends_at)
    }

    /// Whether an item takes an active administrator away, by giving the role an end.
    fn demotes(&self, admin: &RoleId, item: &RoleAssignment) -> bool {
        let has = self.roles.get(&item.user_id);
        item.ends_at.is_some()
            && item.role_ids.contains(admin)
            && has.and_then(|has| has.get(admin)) == Some(&None)
            && self.users.get(&item.user_id) == Some(&UserStatus::Active)
    }
}

/// Turns the items that would together leave no administrator into refusals.
async fn spare_the_last(
    transaction: &WriteTransaction,
    facts: &Facts,
    items: &[RoleAssignment],
    outcomes: &mut [AssignOutcome],
) -> Result<(), Error> {
    let Some(admin) = &facts.admin else {
        return Ok(());
    };
    let demoting: Vec<usize> = items
        .iter()
        .zip(outcomes.iter())
        .enumerate()
        .filter(|(_, (item, outcome))| {
            **outcome == AssignOutcome::Assigned && facts.demotes(admin, item)
        })
        .map(|(index, _)| index)
        .collect();
    if demoting.is_empty() {
        return Ok(());
    }
    let demoted = demoting.iter().map(|index| items[*index].user_id.as_str());
    if administrators::count_others(transaction, admin, demoted).await? == 0 {
        for index in demoting {
            outcomes[index] = AssignOutcome::LastAdministrator;
        }
    }
    Ok(())
}

/// The users who are there, always locked in one order.
async fn lock_users(
    transaction: &WriteTransaction,
    items: &[RoleAssignment],
) -> Result<HashMap<UserId, UserStatus>, Error> {
    let rows: Vec<(String, String)> = user::Entity::find()
        .select_only()
        .columns([user::Column::Id, user::Column::Status])
        .filter(user::Column::Id.is_in(items.iter().map(|item| item.user_id.as_str())))
        .order_by_asc(user::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(transaction)
        .await?;
    rows.into_iter()
        .map(|(id, status)| {
            let status = UserStatus::from_stored(&status)
                .ok_or_else(|| corrupt("a user has an unknown status"))?;
            Ok((UserId::stored(id), status))
        })
        .collect()
}

/// The roles that users have at `now`.
async fn roles_of(
    transaction: &WriteTransaction,
    users: &[UserId],
    now: Timestamp,
) -> Result<HashMap<UserId, HashMap<RoleId, Option<Timestamp>>>, Error> {
    let rows = user_role::Entity::find()
        .filter(user_role::Column::UserId.is_in(users.iter().map(UserId::as_str)))
        .filter(has_role_at(now))
        .all(transaction)
        .await?;
    let mut roles: HashMap<UserId, HashMap<RoleId, Option<Timestamp>>> = HashMap::new();
    for row in rows {
        let ends_at = row.ends_at.map(Timestamp::from_micros);
        roles
            .entry(UserId::stored(row.user_id))
            .or_default()
            .insert(RoleId::stored(row.role_id), ends_at);
    }
    Ok(roles)
}
