//! Lists of users: keyset pages, so that a late page costs what the first one costs.

use identity_kit::clock::Timestamp;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, ExprTrait, Order, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, sea_query::Expr,
};

use super::{
    Error, Store,
    entity::{user, user_role},
    grants,
};
use crate::domain::{
    id::RoleId,
    page::Page,
    user::{User, UserCursor, UserFilter, UserOrder},
};

/// The most holders of a role among whom a page is found by looking at all of them.
const FEW: u64 = 5_000;

/// How a page of the holders of a role is found.
///
/// No statement is good for every role. Reading the holders and sorting them takes SQLite 20 s where a million users
/// all have the role, and walking over the users in their order takes both engines 5 s and more where twenty have it.
/// PostgreSQL chooses well between the two while its statistics are fresh, and SQLite has none. So the holders are
/// counted first, as far as it matters, which takes less than a millisecond; and each of the two statements leaves
/// SQLite no choice but the one that fits, where at 20,000 users both a role of twenty and one of everybody take about
/// a millisecond. Of a million users with 5,000 holders, both ways take 40 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holders {
    /// From the role: they are all read, and sorted.
    Few,
    /// From the users in order: each is asked for the role, until the page is full.
    Many,
}

impl Holders {
    const fn of(count: u64) -> Self {
        if count > FEW { Self::Many } else { Self::Few }
    }
}

impl Store {
    /// A page of at most `size` users after a place; whose role has ended at `now` has it no longer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_users(
        &self,
        filter: &UserFilter,
        after: Option<&UserCursor>,
        size: u64,
        now: Timestamp,
    ) -> Result<Page<User, UserCursor>, Error> {
        let role = match &filter.role_id {
            Some(id) => Some((id, self.holders(id).await?)),
            None => None,
        };
        let rows = query(filter, role, after, now)
            .limit(size + 1)
            .all(self.database.reader())
            .await?;
        let users = rows
            .into_iter()
            .map(User::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(users, size, |user| {
            UserCursor::after(user, filter.order)
        }))
    }

    async fn holders(&self, id: &RoleId) -> Result<Holders, DbErr> {
        let count = user_role::Entity::find()
            .filter(user_role::Column::RoleId.eq(id.as_str()))
            .limit(FEW + 1)
            .count(self.database.reader())
            .await?;
        Ok(Holders::of(count))
    }
}

/// The users that a filter lets through, in its order.
fn query(
    filter: &UserFilter,
    role: Option<(&RoleId, Holders)>,
    after: Option<&UserCursor>,
    now: Timestamp,
) -> Select<user::Entity> {
    let mut query = match role {
        None => user::Entity::find(),
        Some((id, Holders::Few)) => from_role(id, now),
        Some((id, Holders::Many)) => from_users(id, now),
    };
    if let Some(status) = filter.status {
        query = query.filter(user::Column::Status.eq(status.as_str()));
    }
    if let Some(id) = &filter.user_type_id {
        query = query.filter(user::Column::UserTypeId.eq(id.as_str()));
    }
    let place = || Expr::tuple([column(user::Column::CreatedAt), column(user::Column::Id)]);
    match (filter.order, after) {
        (UserOrder::CreatedDescending, Some(UserCursor::Created { at, id })) => {
            query = query.filter(place().lt(Expr::tuple([(*at).into(), id.as_str().into()])));
        }
        (UserOrder::CreatedAscending, Some(UserCursor::Created { at, id })) => {
            query = query.filter(place().gt(Expr::tuple([(*at).into(), id.as_str().into()])));
        }
        (UserOrder::Username, Some(UserCursor::Username { key })) => {
            query = query.filter(user::Column::UsernameKey.gt(key.as_str()));
        }
        // A cursor of another order cannot come from a token of this query: begin at the beginning.
        (_, _) => {}
    }
    match filter.order {
        UserOrder::CreatedDescending => by_creation(query, Order::Desc),
        UserOrder::CreatedAscending => by_creation(query, Order::Asc),
        UserOrder::Username => query.order_by_asc(user::Column::UsernameKey),
    }
}

/// The holders of a role: a cross join, since SQLite reads its first table first.
fn from_role(id: &RoleId, now: Timestamp) -> Select<user::Entity> {
    let mut query = user::Entity::find();
    QuerySelect::query(&mut query)
        .from_clear()
        .from(user_role::Entity)
        .cross_join(user::Entity);
    query
        .filter(user_role::Column::RoleId.eq(id.as_str()))
        .filter(grants::has_role_at(now))
        .filter(has_row())
}

/// The users who have a role: a limit with an offset, since no planner makes a join of such a sub-query.
fn from_users(id: &RoleId, now: Timestamp) -> Select<user::Entity> {
    let held = user_role::Entity::find()
        .select_only()
        .column(user_role::Column::UserId)
        .filter(user_role::Column::RoleId.eq(id.as_str()))
        .filter(grants::has_role_at(now))
        .filter(has_row())
        .limit(1)
        .offset(0);
    user::Entity::find().filter(Expr::exists(held.into_query()))
}

/// Whether a row of the roles of users is the user's.
fn has_row() -> Expr {
    column(user::Column::Id).equals((user_role::Entity, user_role::Column::UserId))
}

fn by_creation(query: Select<user::Entity>, order: Order) -> Select<user::Entity> {
    query
        .order_by(user::Column::CreatedAt, order.clone())
        .order_by(user::Column::Id, order)
}

fn column(column: user::Column) -> Expr {
    Expr::col((user::Entity, column))
}

#[cfg(test)]
mod tests;
