//! Subscriptions from their beginning to their end, and what they entitle to meanwhile.

use std::time::Duration;

use identity_guard::{
    ErrorReason,
    clock::{Clock, Timestamp},
};
use identity_kit::outbox;
use identity_proto::user::v1::{self as wire, CancelMode, SubscriptionStatus as Status};
use user_service::store::kinds::SUBSCRIPTION_CHANGED;

use crate::harness::{SERVICE_KEY, World, reason, until, with_key};

const MINUTE: Duration = Duration::from_mins(1);
const BASIC: [&str; 3] = ["community.support", "email.support", "reports.read"];

type Answer = Result<wire::Subscription, tonic::Status>;

impl World {
    async fn subscribe(&self, user_id: &str, plan: &str, end: Option<Timestamp>) -> Answer {
        let request = wire::CreateSubscriptionRequest {
            user_id: user_id.into(),
            plan: plan.into(),
            expire_time: end.map(Into::into),
            ..Default::default()
        };
        let mut subscriptions = self.subscriptions();
        let answer = subscriptions
            .create_subscription(self.by_admin(request))
            .await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    async fn subscription(&self, user_id: &str) -> Answer {
        let request = wire::GetSubscriptionRequest {
            user_id: user_id.into(),
            ..Default::default()
        };
        let mut subscriptions = self.subscriptions();
        let answer = subscriptions
            .get_subscription(self.by(user_id, request))
            .await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    async fn change_plan(&self, user_id: &str, plan: &str, etag: &str) -> Answer {
        let request = wire::UpdateSubscriptionRequest {
            user_id: user_id.into(),
            subscription: Some(wire::SubscriptionUpdate {
                plan: Some(plan.into()),
            }),
            etag: etag.into(),
            ..Default::default()
        };
        let mut subscriptions = self.subscriptions();
        let answer = subscriptions
            .update_subscription(self.by_admin(request))
            .await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    async fn cancel(&self, user_id: &str, mode: CancelMode) -> Answer {
        let request = wire::CancelSubscriptionRequest {
            user_id: user_id.into(),
            mode: mode.into(),
            ..Default::default()
        };
        let mut subscriptions = self.subscriptions();
        let answer = subscriptions
            .cancel_subscription(self.by_admin(request))
            .await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    async fn renew(&self, user_id: &str, end: Option<Timestamp>) -> Answer {
        let request = wire::RenewSubscriptionRequest {
            user_id: user_id.into(),
            expire_time: end.map(Into::into),
            ..Default::default()
        };
        let mut subscriptions = self.subscriptions();
        let answer = subscriptions
            .renew_subscription(self.by_admin(request))
            .await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    /// What the user is entitled to by `GetUser`, and by the snapshot with its end.
    async fn entitled(&self, user_id: &str) -> (Vec<String>, Option<prost_types::Timestamp>) {
        let own = self.get_self(user_id).await.unwrap();
        let request = wire::GetAccessSnapshotRequest {
            user_id: user_id.into(),
            min_position: None,
        };
        let mut credentials = self.credentials();
        let answer = credentials.get_access_snapshot(with_key(request, SERVICE_KEY));
        let access = answer.await.unwrap().into_inner().access.unwrap();
        assert_eq!(own.features, access.features);
        (access.features, access.features_until_time)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_entitles_to_its_features_until_the_end() {
    for world in World::all().await {
        let user = world.person().await.id;
        assert_eq!(world.entitled(&user).await, (vec![], None));
        let end = world.clock.now().plus(MINUTE);
        let created = world.subscribe(&user, "BASIC", Some(end)).await.unwrap();
        assert_eq!(created.status(), Status::Active);
        assert_eq!(created.features, BASIC);
        assert_eq!(created.expire_time, Some(end.into()));
        assert_eq!(world.subscription(&user).await.unwrap(), created);
        let basic: Vec<_> = BASIC.map(str::to_owned).to_vec();
        assert_eq!(
            world.entitled(&user).await,
            (basic.clone(), Some(end.into()))
        );

        let cancelled = world.cancel(&user, CancelMode::AtEnd).await.unwrap();
        assert_eq!(cancelled.status(), Status::Cancelled);
        assert_eq!(world.entitled(&user).await, (basic, Some(end.into())));

        world.clock.advance(MINUTE);
        let over = world.subscription(&user).await.unwrap();
        assert_eq!((over.status(), over.features), (Status::Expired, vec![]));
        assert_eq!(over.etag, cancelled.etag);
        assert_eq!(world.entitled(&user).await, (vec![], None));

        let renewed = world.renew(&user, None).await.unwrap();
        assert_eq!(renewed.status(), Status::Active);
        assert_ne!(renewed.start_time, created.start_time);
        assert_eq!(world.entitled(&user).await.0, BASIC);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_one_expires_by_itself_and_the_feed_is_told() {
    for world in World::all().await {
        let user = world.person().await.id;
        let end = world.clock.now().plus(MINUTE);
        world.subscribe(&user, "FREE", Some(end)).await.unwrap();
        let place = world.app.store().head().await.unwrap().revision;
        world.clock.advance(MINUTE);
        let reader = world.app.store().database().reader();
        until("the end", async || {
            let events = outbox::read_after(reader, place, 10).await.unwrap();
            let told: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
            told == [SUBSCRIPTION_CHANGED]
        })
        .await;
        let over = world.subscription(&user).await.unwrap();
        assert_eq!(over.status(), Status::Expired);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_its_name() {
    use ErrorReason as R;
    for world in World::all().await {
        let user = world.person().await.id;
        assert_eq!(
            reason(world.subscription(&user).await),
            R::SubscriptionNotFound
        );
        assert_eq!(
            reason(world.cancel(&user, CancelMode::Now).await),
            R::SubscriptionNotFound
        );
        assert_eq!(
            reason(world.subscribe("nobody", "FREE", None).await),
            R::UserNotFound
        );
        assert_eq!(
            reason(world.subscribe(&user, "GOLD", None).await),
            R::PlanNotFound
        );
        let created = world.subscribe(&user, "FREE", None).await.unwrap();
        assert_eq!(
            reason(world.subscribe(&user, "BASIC", None).await),
            R::SubscriptionExists
        );
        assert_eq!(
            reason(world.change_plan(&user, "GOLD", "").await),
            R::PlanNotFound
        );
        let changed = world
            .change_plan(&user, "PREMIUM", &created.etag)
            .await
            .unwrap();
        assert_eq!(changed.plan, "PREMIUM");
        assert_eq!(
            reason(world.change_plan(&user, "BASIC", &created.etag).await),
            R::EtagMismatch
        );
        assert_eq!(
            reason(world.cancel(&user, CancelMode::AtEnd).await),
            R::SubscriptionEndless
        );
        let over = world.cancel(&user, CancelMode::Now).await.unwrap();
        assert_eq!((over.status(), over.features), (Status::Expired, vec![]));
        assert_eq!(
            reason(world.change_plan(&user, "BASIC", "").await),
            R::SubscriptionExpired
        );
        assert_eq!(
            reason(world.subscribe(&user, "BASIC", None).await),
            R::SubscriptionExists
        );
        // Another's is none of the caller's business.
        let request = wire::GetSubscriptionRequest {
            user_id: user.clone(),
            ..Default::default()
        };
        let other = world.person().await.id;
        let mut subscriptions = world.subscriptions();
        let refused = subscriptions
            .get_subscription(world.by(&other, request))
            .await;
        assert_eq!(reason(refused), R::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_everybody_once_the_newest_first_at_every_page_size() {
    for world in World::all().await {
        let mut expected = Vec::new();
        for index in 0..5 {
            let user = world.person().await.id;
            let plan = if index % 2 == 0 { "FREE" } else { "BASIC" };
            world.subscribe(&user, plan, None).await.unwrap();
            expected.insert(0, (user, plan));
        }
        for plan in ["", "FREE", "GOLD"] {
            for page_size in 1..=6 {
                let mut listed = Vec::new();
                let mut request = wire::ListSubscriptionsRequest {
                    page_size,
                    plan: plan.into(),
                    ..Default::default()
                };
                loop {
                    let mut subscriptions = world.subscriptions();
                    let answer = subscriptions.list_subscriptions(world.by_admin(request.clone()));
                    let page = answer.await.unwrap().into_inner();
                    assert!(page.subscriptions.len() <= usize::try_from(page_size).unwrap());
                    listed.extend(page.subscriptions.into_iter().map(|found| found.user_id));
                    if page.next_page_token.is_empty() {
                        break;
                    }
                    request.page_token = page.next_page_token;
                }
                let wanted: Vec<_> = expected
                    .iter()
                    .filter(|(_, of)| plan.is_empty() || *of == plan)
                    .map(|(user, _)| user.clone())
                    .collect();
                assert_eq!(listed, wanted, "{plan:?} by {page_size}");
            }
        }
    }
}
