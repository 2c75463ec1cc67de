//! Subscriptions: create, read, list, change, cancel and renew. Each is told as it stands at the moment of its reading.

use identity_kit::{
    audit::{Act, Record},
    clock::Timestamp,
    database::StoreError,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Select, sea_query::Expr,
};

use super::{
    Done, Error, RequestKey, Store, audit, corrupt,
    entity::subscription,
    error::taken,
    event::{self, kinds},
    request,
    rights::Touched,
    user,
};
use crate::domain::{
    etag::Etag,
    id::{SubscriptionId, UserId},
    page::Page,
    plan::PlanName,
    refusal::Refusal,
    subscription::{
        CancelMode, NewSubscription, Subscription, SubscriptionCursor, SubscriptionStatus,
    },
};

/// A change of a subscription as it stands; `None` leaves it as it is.
type Step = Result<Option<Subscription>, Refusal>;

impl Store {
    /// Creates a user's subscription, once for each request.
    ///
    /// # Errors
    /// `UserNotFound`, `SubscriptionExists`, `RequestIdReused`, `SubscriptionNotFound`.
    pub async fn insert_subscription(
        &self,
        act: Act,
        new: NewSubscription,
        request: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<Done<Subscription>, Error> {
        self.write(
            act.on(audit::user(&new.user_id)),
            Touched::Nothing,
            (new, request),
            move |transaction, scribe, (new, request)| {
                Box::pin(async move {
                    let key = request.as_ref();
                    if let Some(id) = request::claim(transaction, key, new.id.as_str(), now).await?
                    {
                        let row = subscription::Entity::find_by_id(id)
                            .one(transaction)
                            .await?;
                        return found(row, &new.user_id, now);
                    }
                    user::lock(transaction, &new.user_id).await?;
                    let subscription = Subscription::begin(new.clone(), now);
                    let row = subscription::Model::from(&subscription);
                    subscription::Entity::insert(row.into_active_model())
                        .exec_without_returning(transaction)
                        .await
                        .map_err(exists)?;
                    event::user(transaction, kinds::SUBSCRIPTION_CHANGED, &new.user_id);
                    scribe.done(transaction, difference(None, &subscription));
                    Ok(subscription)
                })
            },
        )
        .await
    }

    /// The subscription of a user.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_subscription(
        &self,
        user_id: &UserId,
        now: Timestamp,
    ) -> Result<Option<Subscription>, Error> {
        let row = of_user(user_id).one(self.database.reader()).await?;
        Ok(row.map(|row| read(row, now)).transpose()?)
    }

    /// A page of at most `size`, the newest first; with `plan`, only those to it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_subscriptions(
        &self,
        plan: Option<&PlanName>,
        after: Option<&SubscriptionCursor>,
        size: u64,
        now: Timestamp,
    ) -> Result<Page<Subscription, SubscriptionCursor>, Error> {
        let rows = query(plan, after)
            .limit(size + 1)
            .all(self.database.reader())
            .await?;
        let items = rows
            .into_iter()
            .map(|row| read(row, now))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, size, SubscriptionCursor::after))
    }

    /// Changes the plan; `None` leaves it as it is.
    ///
    /// # Errors
    /// `SubscriptionNotFound`, `SubscriptionExpired`, `EtagMismatch`.
    pub async fn update_subscription(
        &self,
        act: Act,
        user_id: UserId,
        plan: Option<PlanName>,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<Subscription>, Error> {
        let step = move |subscription: &Subscription| match plan.clone() {
            Some(plan) if plan != subscription.plan => {
                subscription.clone().with_plan(plan, now).map(Some)
            }
            _ => Ok(None),
        };
        self.change_subscription(act, user_id, etag, now, step)
            .await
    }

    /// Cancels; what is cancelled stays so, whatever the etag.
    ///
    /// # Errors
    /// `SubscriptionNotFound`, `SubscriptionExpired`, `SubscriptionEndless`, `EtagMismatch`.
    pub async fn cancel_subscription(
        &self,
        act: Act,
        user_id: UserId,
        mode: CancelMode,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<Subscription>, Error> {
        let step = move |subscription: &Subscription| subscription.cancelled(mode, now);
        self.change_subscription(act, user_id, etag, now, step)
            .await
    }

    /// Renews.
    ///
    /// # Errors
    /// `SubscriptionNotFound`, `EtagMismatch`.
    pub async fn renew_subscription(
        &self,
        act: Act,
        user_id: UserId,
        ends_at: Option<Timestamp>,
        etag: Option<Etag>,
        now: Timestamp,
    ) -> Result<Done<Subscription>, Error> {
        let step =
            move |subscription: &Subscription| Ok(Some(subscription.clone().renewed(ends_at, now)));
        self.change_subscription(act, user_id, etag, now, step)
            .await
    }

    async fn change_subscription(
        &self,
        act: Act,
        user_id: UserId,
        etag: Option<Etag>,
        now: Timestamp,
        step: impl Fn(&Subscription) -> Step + Send + Sync + 'static,
    ) -> Result<Done<Subscription>, Error> {
        self.write(
            act.on(audit::user(&user_id)),
            Touched::Nothing,
            (user_id, etag, step),
            move |transaction, scribe, (user_id, etag, step)| {
                Box::pin(async move {
                    let row = of_user(user_id).lock_exclusive().one(transaction).await?;
                    let subscription = found(row, user_id, now)?;
                    let Some(changed) = step(&subscription)? else {
                        return Ok(subscription);
                    };
                    if etag
                        .as_ref()
                        .is_some_and(|etag| *etag != subscription.etag())
                    {
                        return Err(Refusal::EtagMismatch.into());
                    }
                    let row = subscription::Model::from(&changed);
                    subscription::Entity::update(row.into_active_model().reset_all())
                        .exec_without_returning(transaction)
                        .await?;
                    event::user(transaction, kinds::SUBSCRIPTION_CHANGED, user_id);
                    scribe.done(transaction, difference(Some(&subscription), &changed));
                    Ok(changed)
                })
            },
        )
        .await
    }
}

/// What is different between two states of a subscription; `None` before the beginning.
fn difference(before: Option<&Subscription>, after: &Subscription) -> Record {
    let end = |subscription: &Subscription| {
        let end = subscription.ends_at;
        end.map(|end| end.as_micros().to_string())
    };
    Record::default()
        .changed(
            "plan",
            before.map(|before| before.plan.as_str()),
            [after.plan.as_str()],
        )
        .changed(
            "subscription_status",
            before.map(|before| before.status.as_str()),
            [after.status.as_str()],
        )
        .changed("ends_at_micros", before.and_then(end), end(after))
}

fn of_user(user_id: &UserId) -> Select<subscription::Entity> {
    subscription::Entity::find().filter(subscription::Column::UserId.eq(user_id.as_str()))
}

/// Those to a plan, or all, behind a place.
fn query(
    plan: Option<&PlanName>,
    after: Option<&SubscriptionCursor>,
) -> Select<subscription::Entity> {
    let mut query = subscription::Entity::find()
        .order_by_desc(subscription::Column::CreatedAt)
        .order_by_desc(subscription::Column::Id);
    if let Some(plan) = plan {
        query = query.filter(subscription::Column::Plan.eq(plan.as_str()));
    }
    if let Some(SubscriptionCursor { at, id }) = after {
        let place = Expr::tuple([
            Expr::col(subscription::Column::CreatedAt),
            Expr::col(subscription::Column::Id),
        ]);
        query = query.filter(place.lt(Expr::tuple([(*at).into(), id.as_str().into()])));
    }
    query
}

fn found(
    row: Option<subscription::Model>,
    user_id: &UserId,
    now: Timestamp,
) -> Result<Subscription, Error> {
    let row = row.ok_or_else(|| Refusal::SubscriptionNotFound(user_id.clone()))?;
    Ok(read(row, now)?)
}

fn exists(error: DbErr) -> Error {
    taken(error, |_| Some(Refusal::SubscriptionExists))
}

/// As it stands at a moment.
fn read(row: subscription::Model, now: Timestamp) -> Result<Subscription, StoreError> {
    Ok(Subscription::try_from(row)?.at(now))
}

impl TryFrom<subscription::Model> for Subscription {
    type Error = StoreError;

    fn try_from(row: subscription::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: SubscriptionId::stored(row.id),
            user_id: UserId::stored(row.user_id),
            plan: PlanName::stored(row.plan),
            status: SubscriptionStatus::from_stored(&row.status)
                .ok_or_else(|| corrupt("a subscription has an unknown status"))?,
            starts_at: Timestamp::from_micros(row.starts_at),
            ends_at: row.ends_at.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            version: row.version,
        })
    }
}

impl From<&Subscription> for subscription::Model {
    fn from(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.as_str().to_owned(),
            user_id: subscription.user_id.as_str().to_owned(),
            plan: subscription.plan.as_str().to_owned(),
            status: subscription.status.as_str().to_owned(),
            starts_at: subscription.starts_at.as_micros(),
            ends_at: subscription.ends_at.map(Timestamp::as_micros),
            created_at: subscription.created_at.as_micros(),
            updated_at: subscription.updated_at.as_micros(),
            version: subscription.version,
        }
    }
}

#[cfg(test)]
mod tests;
