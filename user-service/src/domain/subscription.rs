//! Subscriptions: which plan a user has, and how it stands at a moment.

use identity_guard::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    etag::Etag,
    id::{SubscriptionId, UserId},
    plan::PlanName,
    refusal::Refusal,
};

/// How a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// It counts.
    Active,
    /// It counts until its end.
    Cancelled,
    /// It is over.
    Expired,
}

impl SubscriptionStatus {
    /// The text that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The status of a stored text.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Active, Self::Cancelled, Self::Expired]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// When a cancelled subscription is to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelMode {
    /// At its end.
    AtEnd,
    /// Now.
    Now,
}

/// The subscription of a user, as it stands at the moment of its reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Never used again.
    pub id: SubscriptionId,
    /// Whose.
    pub user_id: UserId,
    /// To which plan.
    pub plan: PlanName,
    /// How it stands.
    pub status: SubscriptionStatus,
    /// Since when it counts.
    pub starts_at: Timestamp,
    /// When it ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
    /// Grows with every change by somebody; its end by itself is none.
    pub version: i64,
}

impl Subscription {
    /// A subscription that begins now.
    #[must_use]
    pub fn begin(new: NewSubscription, now: Timestamp) -> Self {
        Self {
            id: new.id,
            user_id: new.user_id,
            plan: new.plan,
            status: SubscriptionStatus::Active,
            starts_at: now,
            ends_at: new.ends_at,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// The etag of this state.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of(self.id.as_str(), self.version)
    }

    /// As it stands at a moment: expired when its end has come, whatever was written down.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        if self.ends_at.is_some_and(|end| end <= now) {
            Self {
                status: SubscriptionStatus::Expired,
                ..self
            }
        } else {
            self
        }
    }

    /// With another plan.
    ///
    /// # Errors
    /// `SubscriptionExpired`.
    pub fn with_plan(self, plan: PlanName, now: Timestamp) -> Result<Self, Refusal> {
        self.require_live()?;
        Ok(Self { plan, ..self }.changed(now))
    }

    /// Cancelled; `None` when it is so already.
    ///
    /// # Errors
    /// `SubscriptionExpired`, `SubscriptionEndless`.
    pub fn cancelled(&self, mode: CancelMode, now: Timestamp) -> Result<Option<Self>, Refusal> {
        let is_over = self.status == SubscriptionStatus::Expired;
        match mode {
            CancelMode::Now if is_over => Ok(None),
            CancelMode::Now => Ok(Some(
                Self {
                    status: SubscriptionStatus::Expired,
                    ends_at: Some(now),
                    ..self.clone()
                }
                .changed(now),
            )),
            CancelMode::AtEnd => {
                self.require_live()?;
                if self.ends_at.is_none() {
                    return Err(Refusal::SubscriptionEndless(self.user_id.clone()));
                }
                if self.status == SubscriptionStatus::Cancelled {
                    return Ok(None);
                }
                Ok(Some(
                    Self {
                        status: SubscriptionStatus::Cancelled,
                        ..self.clone()
                    }
                    .changed(now),
                ))
            }
        }
    }

    /// Active, with a new end; an expired one begins anew.
    #[must_use]
    pub fn renewed(self, ends_at: Option<Timestamp>, now: Timestamp) -> Self {
        let starts_at = match self.status {
            SubscriptionStatus::Expired => now,
            SubscriptionStatus::Active | SubscriptionStatus::Cancelled => self.starts_at,
        };
        Self {
            status: SubscriptionStatus::Active,
            starts_at,
            ends_at,
            ..self
        }
        .changed(now)
    }

    fn require_live(&self) -> Result<(), Refusal> {
        match self.status {
            SubscriptionStatus::Expired => Err(Refusal::SubscriptionExpired(self.user_id.clone())),
            SubscriptionStatus::Active | SubscriptionStatus::Cancelled => Ok(()),
        }
    }

    fn changed(self, now: Timestamp) -> Self {
        Self {
            updated_at: now,
            version: self.version + 1,
            ..self
        }
    }
}

/// One to be created.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// A fresh id.
    pub id: SubscriptionId,
    /// Whose.
    pub user_id: UserId,
    /// To which plan.
    pub plan: PlanName,
    /// When it ends by itself; `None` means never.
    pub ends_at: Option<Timestamp>,
}

/// A place in the list of subscriptions, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionCursor {
    /// When the last one of the page before was created, in microseconds.
    pub at: i64,
    /// Its id.
    pub id: String,
}

impl SubscriptionCursor {
    /// The place after a subscription.
    #[must_use]
    pub fn after(subscription: &Subscription) -> Self {
        Self {
            at: subscription.created_at.as_micros(),
            id: subscription.id.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const END: Timestamp = Timestamp::from_seconds(1_800_000_100);

    fn subscription(ends_at: Option<Timestamp>) -> Subscription {
        let new = NewSubscription {
            id: SubscriptionId::new("s".to_owned()),
            user_id: UserId::new("u".to_owned()),
            plan: PlanName::stored("BASIC".to_owned()),
            ends_at,
        };
        Subscription::begin(new, NOW)
    }

    #[test]
    fn it_is_expired_from_the_microsecond_of_its_end_on() {
        let before = Timestamp::from_micros(END.as_micros() - 1);
        assert_eq!(
            subscription(Some(END)).at(before).status,
            SubscriptionStatus::Active
        );
        assert_eq!(
            subscription(Some(END)).at(END).status,
            SubscriptionStatus::Expired
        );
        let cancelled = subscription(Some(END)).cancelled(CancelMode::AtEnd, NOW);
        let cancelled = cancelled.unwrap().unwrap();
        assert_eq!(
            cancelled.clone().at(before).status,
            SubscriptionStatus::Cancelled
        );
        assert_eq!(cancelled.at(END).status, SubscriptionStatus::Expired);
        assert_eq!(
            subscription(None).at(END).status,
            SubscriptionStatus::Active
        );
    }

    #[test]
    fn what_is_over_only_a_renewal_brings_back() {
        let over = subscription(Some(END)).at(END);
        let plan = PlanName::stored("PREMIUM".to_owned());
        let expired = Refusal::SubscriptionExpired(over.user_id.clone());
        assert_eq!(over.clone().with_plan(plan, END), Err(expired.clone()));
        assert_eq!(over.cancelled(CancelMode::AtEnd, END), Err(expired));
        assert_eq!(over.cancelled(CancelMode::Now, END), Ok(None));
        let renewed = over.renewed(None, END);
        assert_eq!(renewed.status, SubscriptionStatus::Active);
        assert_eq!((renewed.starts_at, renewed.ends_at), (END, None));
    }

    #[test]
    fn it_is_cancelled_now_or_at_an_end_that_it_has() {
        let now = subscription(None).cancelled(CancelMode::Now, NOW);
        let now = now.unwrap().unwrap();
        assert_eq!(now.status, SubscriptionStatus::Expired);
        assert_eq!(now.ends_at, Some(NOW));
        let endless = subscription(None).cancelled(CancelMode::AtEnd, NOW);
        let user = UserId::new("u".to_owned());
        assert_eq!(endless, Err(Refusal::SubscriptionEndless(user)));
        let cancelled = subscription(Some(END)).cancelled(CancelMode::AtEnd, NOW);
        let cancelled = cancelled.unwrap().unwrap();
        assert_eq!(cancelled.cancelled(CancelMode::AtEnd, NOW), Ok(None));
        // A renewal takes the cancellation back and leaves the start.
        let renewed = cancelled.renewed(Some(END), NOW);
        assert_eq!(renewed.status, SubscriptionStatus::Active);
        assert_eq!(renewed.starts_at, NOW);
    }
}
