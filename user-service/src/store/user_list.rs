//! Lists of users: keyset pages, so that a late page costs what the first one costs.

use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select, sea_query::Expr,
};

use super::{
    Error, Store,
    entity::{user, user_role},
};
use crate::domain::{
    page::Page,
    user::{User, UserCursor, UserFilter, UserOrder},
};

impl Store {
    /// A page of at most `size` users after a place.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_users(
        &self,
        filter: &UserFilter,
        after: Option<&UserCursor>,
        size: u64,
    ) -> Result<Page<User, UserCursor>, Error> {
        let rows = query(filter, after)
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
}

fn query(filter: &UserFilter, after: Option<&UserCursor>) -> Select<user::Entity> {
    let mut query = user::Entity::find();
    if let Some(status) = filter.status {
        query = query.filter(user::Column::Status.eq(status.as_str()));
    }
    if let Some(id) = &filter.user_type_id {
        query = query.filter(user::Column::UserTypeId.eq(id.as_str()));
    }
    if let Some(id) = &filter.role_id {
        let holders = user_role::Entity::find()
            .select_only()
            .column(user_role::Column::UserId)
            .filter(user_role::Column::RoleId.eq(id.as_str()));
        query = query.filter(user::Column::Id.in_subquery(holders.into_query()));
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

fn by_creation(query: Select<user::Entity>, order: Order) -> Select<user::Entity> {
    query
        .order_by(user::Column::CreatedAt, order.clone())
        .order_by(user::Column::Id, order)
}

fn column(column: user::Column) -> Expr {
    Expr::col((user::Entity, column))
}
