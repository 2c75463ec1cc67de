//! Filters of a list of users that few may pass or nearly everybody, and the two ways to those who do.

use identity_kit::clock::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{
        Asterisk, Expr, Func, IntoColumnRef, JoinType, Query, SelectStatement, SubQueryStatement,
        UnionType,
    },
};

use super::column;
use crate::{
    domain::{
        id::RoleId,
        name::PermissionName,
        refusal::Refusal,
        search::SearchQuery,
        user::{UserFilter, UserOrder},
    },
    store::{
        Store, corrupt,
        entity::{
            permission, role, role_permission, user, user_permission, user_role, user_search,
        },
        error::Error,
        grants,
    },
};

/// The most matches of a filter among which a page is found by looking at all of them.
const FEW: u64 = 5_000;

/// How a page of those who pass a filter is found.
///
/// No statement is good for every filter. Reading the matches and sorting them takes SQLite 20 s where a million users
/// all match, and walking over the users in their order takes both engines 5 s and more where twenty do.
/// PostgreSQL chooses well between the two while its statistics are fresh, and SQLite has none. So the matches are
/// counted first, as far as it matters; and each of the two statements leaves SQLite no choice but the one that fits,
/// where at 20,000 users both a role of twenty and one of everybody take about a millisecond. Of a million users with
/// 5,000 holders of a role, both ways take 40 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matches {
    /// From the filter: the matches are all read, and sorted.
    Few,
    /// From the users in order: each is asked whether it passes, until the page is full.
    Many,
}

impl Matches {
    pub(super) const fn of(count: u64) -> Self {
        if count > FEW { Self::Many } else { Self::Few }
    }
}

/// A filter that is no column of an index in the order of the list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Narrow<'a> {
    /// Of those who have it at a moment.
    Role(&'a RoleId, Timestamp),
    /// The same.
    Permission(&'a PermissionName, Timestamp),
    Search(&'a SearchQuery),
    /// In a list by username alone: a list by creation is walked over from one end to the other.
    Created(&'a UserFilter),
}

impl<'a> Narrow<'a> {
    /// Those of a filter.
    pub(super) fn all(filter: &'a UserFilter, now: Timestamp) -> Vec<Self> {
        let is_created = filter.order == UserOrder::Username
            && (filter.created_after.is_some() || filter.created_before.is_some());
        [
            filter.role_id.as_ref().map(|id| Self::Role(id, now)),
            filter
                .permission
                .as_ref()
                .map(|name| Self::Permission(name, now)),
            filter.query.as_ref().map(Self::Search),
            is_created.then_some(Self::Created(filter)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether it is the same filter: a list has at most one of a kind.
    pub(super) fn is(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// The ids of those who pass, each once, as `user_id`. On PostgreSQL of each role that gives a permission no more than
    /// [`FEW`] and one: for counting, and for reading where they were counted as few.
    pub(super) fn matches(self, backend: DbBackend) -> SelectStatement {
        match self {
            Self::Role(id, now) => holders(id, now).into_query(),
            Self::Permission(name, now) => {
                let direct = user_permission::Entity::find()
                    .select_only()
                    .column(user_permission::Column::UserId)
                    .filter(user_permission::Column::PermissionId.in_subquery(named(name)))
                    .filter(grants::has_permission_at(now));
                let mut matches = direct.into_query();
                matches.union(UnionType::Distinct, through_roles(name, now, backend));
                matches
            }
            Self::Search(query) => found(query, backend),
            Self::Created(filter) => user::Entity::find()
                .select_only()
                .column_as(user::Column::Id, "user_id")
                .filter(created(filter))
                .into_query(),
        }
    }

    /// Whether the user of a row passes: sub-queries with a limit and an offset, since no planner makes a join of them.
    pub(super) fn passes(self, backend: DbBackend) -> Condition {
        match self {
            Self::Role(id, now) => Condition::all().add(exists(
                holders(id, now).filter(is_users((user_role::Entity, user_role::Column::UserId))),
            )),
            Self::Permission(name, now) => {
                let direct = user_permission::Entity::find()
                    .filter(is_users((
                        user_permission::Entity,
                        user_permission::Column::UserId,
                    )))
                    .filter(user_permission::Column::PermissionId.in_subquery(named(name)))
                    .filter(grants::has_permission_at(now));
                let through_roles = user_role::Entity::find()
                    .filter(is_users((user_role::Entity, user_role::Column::UserId)))
                    .filter(user_role::Column::RoleId.in_subquery(granting(name)))
                    .filter(grants::has_role_at(now));
                Condition::any()
                    .add(exists(direct))
                    .add(exists(through_roles))
            }
            Self::Search(query) => {
                let place = match backend {
                    DbBackend::Postgres => Func::cust("strpos"),
                    _ => Func::cust("instr"),
                };
                let place = place
                    .arg(Expr::col((user_search::Entity, user_search::Column::Text)))
                    .arg(query.as_str());
                Condition::all().add(exists(
                    user_search::Entity::find()
                        .filter(is_users((user_search::Entity, user_search::Column::UserId)))
                        .filter(Expr::from(place).gt(0)),
                ))
            }
            // Of a sum there is no index, which SQLite would begin with whatever it finds there.
            Self::Created(filter) => within(filter, || column(user::Column::CreatedAt).add(0)),
        }
    }
}

/// The filter with the fewest matches, when they are few.
pub(super) async fn fewest<'a>(
    store: &Store,
    narrow: &[Narrow<'a>],
) -> Result<Option<Narrow<'a>>, Error> {
    if narrow.is_empty() {
        return Ok(None);
    }
    let database = &store.database;
    let mut counts = Query::select();
    for (number, filter) in narrow.iter().enumerate() {
        let count = count_up_to(filter.matches(database.backend()), FEW + 1);
        counts.expr_as(sub_query(count), format!("count{number}"));
    }
    let row = database
        .bounded()
        .query_one(&counts)
        .await?
        .ok_or_else(|| corrupt("a count has no row"))?;
    let mut best = None;
    for (number, filter) in narrow.iter().enumerate() {
        let count: i64 = row.try_get("", &format!("count{number}"))?;
        if Matches::of(count.unsigned_abs()) == Matches::Few
            && best.is_none_or(|(fewest, _)| count < fewest)
        {
            best = Some((count, *filter));
        }
    }
    Ok(best.map(|(_, filter)| filter))
}

/// How many rows a statement has, counted no further than this.
pub(super) fn count_up_to(mut statement: SelectStatement, bound: u64) -> SelectStatement {
    statement.limit(bound);
    Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .from_subquery(statement, "counted")
        .take()
}

/// Whether a user was created in the range of a filter.
pub(super) fn created(filter: &UserFilter) -> Condition {
    within(filter, || column(user::Column::CreatedAt))
}

fn within(filter: &UserFilter, at: impl Fn() -> Expr) -> Condition {
    Condition::all()
        .add_option(filter.created_after.map(|from| at().gte(from.as_micros())))
        .add_option(
            filter
                .created_before
                .map(|until| at().lt(until.as_micros())),
        )
}

/// The rows of those who have a role at a moment.
fn holders(id: &RoleId, now: Timestamp) -> Select<user_role::Entity> {
    user_role::Entity::find()
        .select_only()
        .column(user_role::Column::UserId)
        .filter(user_role::Column::RoleId.eq(id.as_str()))
        .filter(grants::has_role_at(now))
}

/// The users with a permission through a role. PostgreSQL takes every role for as common as any other, and would read
/// all assignments of all roles; so it is given one role after another. Of one with more than a few holders it reads no
/// more than it takes to know that.
fn through_roles(name: &PermissionName, now: Timestamp, backend: DbBackend) -> SelectStatement {
    const ROLE: &str = "granting";
    const HOLDERS: &str = "holders";
    let holders = user_role::Entity::find()
        .select_only()
        .column(user_role::Column::UserId)
        .filter(grants::has_role_at(now));
    if backend != DbBackend::Postgres {
        return holders
            .filter(user_role::Column::RoleId.in_subquery(granting(name)))
            .into_query();
    }
    let role_id = Expr::col((user_role::Entity, user_role::Column::RoleId));
    let holders = holders
        .filter(role_id.equals((ROLE, user_role::Column::RoleId)))
        // The order of the index, so that it is read.
        .order_by_asc(user_role::Column::UserId)
        .limit(FEW + 1);
    Query::select()
        .column((HOLDERS, user_role::Column::UserId))
        .from_subquery(granting(name), ROLE)
        .join_lateral(
            JoinType::InnerJoin,
            holders.into_query(),
            HOLDERS,
            Expr::value(true),
        )
        .take()
}

/// The permission of a name.
fn named(name: &PermissionName) -> SelectStatement {
    permission::Entity::find()
        .select_only()
        .column(permission::Column::Id)
        .filter(permission::Column::Name.eq(name.as_str()))
        .into_query()
}

/// The roles with a permission: those that it was given to, and the built-in one, which has every permission there is.
fn granting(name: &PermissionName) -> SelectStatement {
    let given = role_permission::Entity::find()
        .select_only()
        .column(role_permission::Column::RoleId)
        .filter(role_permission::Column::PermissionId.in_subquery(named(name)));
    let admin = role::Entity::find()
        .select_only()
        .column(role::Column::Id)
        .filter(role::Column::BuiltIn.eq(true))
        .filter(Expr::exists(named(name)));
    let mut granting = given.into_query();
    granting.union(UnionType::All, admin.into_query());
    granting
}

/// Those who are found, from the index of trigrams. The limit is none: it keeps the planner of PostgreSQL from looking
/// through everybody in order instead, since it knows little about how many a pattern fits.
fn found(query: &SearchQuery, backend: DbBackend) -> SelectStatement {
    let text = user_search::Entity::find()
        .select_only()
        .column(user_search::Column::UserId);
    // The query has only ASCII letters and digits: no wildcard and no operator.
    let found = match backend {
        DbBackend::Postgres => text.filter(user_search::Column::Text.contains(query.as_str())),
        _ => text.filter(Expr::cust_with_values(
            "user_search.number IN (SELECT rowid FROM user_search_index WHERE text MATCH ?)",
            [format!("\"{}\"", query.as_str())],
        )),
    };
    found.limit(i64::MAX.unsigned_abs()).into_query()
}

fn exists<E: EntityTrait>(rows: Select<E>) -> Expr {
    let one = rows.select_only().expr(Expr::val(1)).limit(1).offset(0);
    Expr::exists(one.into_query())
}

/// Whether a row is the user's.
fn is_users(owner: impl IntoColumnRef) -> Expr {
    column(user::Column::Id).equals(owner)
}

fn sub_query(statement: SelectStatement) -> Expr {
    Expr::SubQuery(
        None,
        Box::new(SubQueryStatement::SelectStatement(statement)),
    )
}

/// A refusal instead of the end of a statement that took too long.
pub(super) fn too_broad(error: Error) -> Error {
    match error {
        Error::Failed(error) if error.is_timeout() => Refusal::ListTooBroad.into(),
        other => other,
    }
}

/// How the errors of statements become those of the store.
pub(super) fn failed(error: DbErr) -> Error {
    too_broad(error.into())
}
