//! Lists of users: keyset pages, so that a late page costs what the first one costs.

mod narrow;

use identity_kit::clock::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, Order, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select, sea_query::Expr,
};

use self::narrow::{Narrow, count_up_to, created, failed, fewest, too_broad};
use super::{Error, Store, corrupt, entity::user};
use crate::domain::{
    id::UserId,
    page::Page,
    user::{User, UserCursor, UserFilter, UserOrder},
};

/// As far as the users of a list are counted.
const COUNTED: u64 = 10_000;
/// The name of the matches in a statement that begins with them.
const MATCHED: &str = "matched";

impl Store {
    /// A page of at most `size` users after a place; whose role has ended at `now` has it no longer.
    ///
    /// # Errors
    /// `ListTooBroad`; when the database does not answer.
    pub async fn list_users(
        &self,
        filter: &UserFilter,
        after: Option<&UserCursor>,
        size: u64,
        now: Timestamp,
    ) -> Result<Page<User, UserCursor>, Error> {
        let backend = self.database.backend();
        let narrow = Narrow::all(filter, now);
        let first = fewest(self, &narrow).await.map_err(too_broad)?;
        let rows = ordered(query(filter, &narrow, first, backend), filter.order, after)
            .limit(size + 1)
            .all(self.database.bounded())
            .await
            .map_err(failed)?;
        let users = rows
            .into_iter()
            .map(User::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(users, size, |user| {
            UserCursor::after(user, filter.order)
        }))
    }

    /// Those of the users that exist, in no order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_users_by_id(&self, ids: &[UserId]) -> Result<Vec<User>, Error> {
        let rows = user::Entity::find()
            .filter(user::Column::Id.is_in(ids.iter().map(UserId::as_str)))
            .all(self.database.reader())
            .await?;
        Ok(rows
            .into_iter()
            .map(User::try_from)
            .collect::<Result<_, _>>()?)
    }

    /// How many users a filter lets through: exact up to 10,000, and 10,001 when they are more.
    ///
    /// # Errors
    /// `ListTooBroad`; when the database does not answer.
    pub async fn count_users(&self, filter: &UserFilter, now: Timestamp) -> Result<u64, Error> {
        let backend = self.database.backend();
        let narrow = Narrow::all(filter, now);
        let first = fewest(self, &narrow).await.map_err(too_broad)?;
        let ids = query(filter, &narrow, first, backend)
            .select_only()
            .column(user::Column::Id);
        let count = count_up_to(ids.into_query(), COUNTED + 1);
        let row = self.database.bounded().query_one(&count).await;
        let row = row
            .map_err(failed)?
            .ok_or_else(|| corrupt("a count has no row"))?;
        let count: i64 = row.try_get_by_index(0)?;
        Ok(count.unsigned_abs())
    }
}

/// The users that a filter lets through, beginning with the matches of one of its parts when they are few.
fn query(
    filter: &UserFilter,
    narrow: &[Narrow<'_>],
    first: Option<Narrow<'_>>,
    backend: DbBackend,
) -> Select<user::Entity> {
    let mut query = user::Entity::find();
    if let Some(first) = first {
        // A cross join, since SQLite reads its first table first.
        QuerySelect::query(&mut query)
            .from_clear()
            .from_subquery(first.matches(backend), MATCHED)
            .cross_join(user::Entity);
        query = query.filter(column(user::Column::Id).equals((MATCHED, "user_id")));
    }
    for part in narrow {
        let is_first = first.is_some_and(|first| first.is(*part));
        if !is_first {
            query = query.filter(part.passes(backend));
        }
    }
    if filter.order != UserOrder::Username {
        query = query.filter(created(filter));
    }
    if let Some(status) = filter.status {
        query = query.filter(user::Column::Status.eq(status.as_str()));
    }
    if let Some(id) = &filter.user_type_id {
        query = query.filter(user::Column::UserTypeId.eq(id.as_str()));
    }
    query
}

/// Users after a place in an order.
fn ordered(
    mut query: Select<user::Entity>,
    order: UserOrder,
    after: Option<&UserCursor>,
) -> Select<user::Entity> {
    let place = || Expr::tuple([column(user::Column::CreatedAt), column(user::Column::Id)]);
    match (order, after) {
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
    match order {
        UserOrder::CreatedDescending => by_creation(query, Order::Desc),
        UserOrder::CreatedAscending => by_creation(query, Order::Asc),
        UserOrder::Username => query.order_by_asc(user::Column::UsernameKey),
    }
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
