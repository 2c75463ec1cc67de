//! The cache of rights: what the guard asks before every call, kept until a change touches it.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use identity_guard::rights::Rights;
use identity_kit::{
    clock::{SharedClock, Timestamp},
    database::StoreError,
    outbox::{StoredEvent, TailHandler},
    position::Position,
};

use super::{Error, Store, event::kinds};
use crate::domain::{id::UserId, name::PermissionName, user::UserStatus};

/// How many users are remembered; beyond it everything is read anew, which bounds memory without a clock per entry.
const MAX_USERS: usize = 50_000;

/// Whose rights a write may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Nobody's.
    Nothing,
    /// One user's.
    User(UserId),
    /// The rights of each of these.
    Users(Vec<UserId>),
    /// Anybody's: a role or a permission changed.
    Everybody,
}

/// Rights by user, dropped by the writes of this process at once and by those of others through the feed.
pub struct RightsCache {
    kept: RwLock<Kept>,
    clock: SharedClock,
    max_staleness: Duration,
    /// When the feed was last known to be complete, in microseconds of `Clock::elapsed`, plus one; zero means never.
    fresh_at: AtomicU64,
}

/// What one user may do, and how long that can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    rights: Arc<Rights>,
    /// When some of it may end by itself: it is never told from here on.
    until: Option<Timestamp>,
}

#[derive(Default)]
struct Kept {
    by_user: HashMap<String, Known>,
    /// Grows with everything that is dropped: a read that began before must not be kept after.
    drops: u64,
}

impl RightsCache {
    /// An empty cache that is bypassed while the feed has not been complete for `max_staleness`.
    #[must_use]
    pub fn new(clock: SharedClock, max_staleness: Duration) -> Self {
        Self {
            kept: RwLock::default(),
            clock,
            max_staleness,
            fresh_at: AtomicU64::new(0),
        }
    }

    /// Whether the feed has been complete recently enough.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        match self.fresh_at.load(Ordering::Acquire) {
            0 => false,
            at => {
                let age = self
                    .clock
                    .elapsed()
                    .saturating_sub(Duration::from_micros(at - 1));
                age <= self.max_staleness
            }
        }
    }

    /// The kept rights, unless some of them may have ended, and the mark to keep new ones with.
    fn look(&self, user_id: &str, now: Timestamp) -> (Option<Arc<Rights>>, u64) {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let known = kept
            .by_user
            .get(user_id)
            .filter(|known| known.until.is_none_or(|until| now < until))
            .map(|known| Arc::clone(&known.rights));
        (known, kept.drops)
    }

    fn keep(&self, user_id: &str, known: Known, mark: u64) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.drops != mark {
            return;
        }
        if kept.by_user.len() >= MAX_USERS {
            kept.by_user.clear();
        }
        kept.by_user.insert(user_id.to_owned(), known);
    }

    pub(super) fn forget(&self, touched: &Touched) {
        if *touched == Touched::Nothing {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.drops += 1;
        match touched {
            Touched::User(id) => {
                kept.by_user.remove(id.as_str());
            }
            Touched::Users(ids) => {
                for id in ids {
                    kept.by_user.remove(id.as_str());
                }
            }
            Touched::Nothing | Touched::Everybody => kept.by_user.clear(),
        }
    }
}

impl Store {
    /// What a user may do now; an unknown user is not active.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rights(&self, user_id: &str) -> Result<Arc<Rights>, Error> {
        // Freshness before the look: proven afterwards, it would say nothing of what was found. The mark before the
        // read: what changes meanwhile is not kept.
        let fresh = self.rights.is_fresh();
        let now = self.rights.clock.now();
        let (kept, mark) = self.rights.look(user_id, now);
        if let (true, Some(rights)) = (fresh, kept) {
            return Ok(rights);
        }
        let Ok(id) = UserId::parse(user_id) else {
            return Ok(Arc::default());
        };
        let Some(holdings) = self.find_holdings(&id, now).await? else {
            // Not kept: anybody can make up ids.
            return Ok(Arc::default());
        };
        let rights = Arc::new(Rights {
            active: holdings.status == UserStatus::Active,
            permissions: holdings
                .permissions
                .into_iter()
                .map(PermissionName::into_string)
                .collect(),
        });
        if fresh {
            let known = Known {
                rights: Arc::clone(&rights),
                until: holdings.until,
            };
            self.rights.keep(user_id, known, mark);
        }
        Ok(rights)
    }
}

/// Follows the own feed, so that changes by other processes drop what they touch.
pub struct RightsFollower(pub Arc<RightsCache>);

#[identity_kit::async_trait]
impl TailHandler for RightsFollower {
    async fn apply(&self, events: &[StoredEvent]) -> Result<(), StoreError> {
        for event in events {
            self.0.forget(&touched(event));
        }
        Ok(())
    }

    fn fresh(&self, _position: &Position, at: Duration) {
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX - 1);
        self.0.fresh_at.fetch_max(micros + 1, Ordering::AcqRel);
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.0.forget(&Touched::Everybody);
        Ok(())
    }
}

fn touched(event: &StoredEvent) -> Touched {
    match event.kind.as_str() {
        kinds::USER_CREATED
        | kinds::USER_UPDATED
        | kinds::PASSWORD_CHANGED
        | kinds::USER_TYPE_CHANGED
        | kinds::SUBSCRIPTION_CHANGED => Touched::Nothing,
        kinds::USER_STATUS_CHANGED | kinds::USER_DELETED | kinds::USER_RIGHTS_CHANGED => event
            .payload
            .get("user_id")
            .and_then(|id| id.as_str())
            .map_or(Touched::Everybody, |id| {
                Touched::User(UserId::stored(id.to_owned()))
            }),
        // Roles and permissions, and whatever a newer version may tell.
        _ => Touched::Everybody,
    }
}

#[cfg(test)]
mod tests {
    use identity_kit::clock::ManualClock;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn known(until: Option<Timestamp>) -> Known {
        Known {
            rights: Arc::default(),
            until,
        }
    }

    fn cache() -> (Arc<ManualClock>, Arc<RightsCache>) {
        let clock = Arc::new(ManualClock::new(NOW));
        let cache = RightsCache::new(clock.clone(), Duration::from_secs(5));
        (clock, Arc::new(cache))
    }

    fn event(kind: &str, payload: serde_json::Value) -> StoredEvent {
        StoredEvent {
            position: Position::new("e", 1),
            nonce: "n".to_owned(),
            kind: kind.to_owned(),
            payload,
            created_at: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn a_cache_is_fresh_only_while_the_feed_is_known_to_be_complete() {
        let (clock, cache) = cache();
        assert!(!cache.is_fresh());
        RightsFollower(Arc::clone(&cache)).fresh(&Position::default(), Duration::ZERO);
        assert!(cache.is_fresh());
        clock.advance(Duration::from_secs(6));
        assert!(!cache.is_fresh());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (_, cache) = cache();
        let (_, mark) = cache.look("a", NOW);
        cache.forget(&Touched::User(UserId::stored("a".to_owned())));
        cache.keep("a", known(None), mark);
        assert_eq!(cache.look("a", NOW).0, None);
        let (_, mark) = cache.look("a", NOW);
        cache.keep("a", known(None), mark);
        assert!(cache.look("a", NOW).0.is_some());
    }

    #[test]
    fn what_may_have_ended_is_never_told_from_memory() {
        let (_, cache) = cache();
        let end = Timestamp::from_micros(NOW.as_micros() + 1);
        cache.keep("a", known(Some(end)), 0);
        assert!(cache.look("a", NOW).0.is_some());
        assert_eq!(cache.look("a", end).0, None);
    }

    #[test]
    fn an_event_drops_whom_it_names_and_an_unknown_one_everybody() {
        let named = event(kinds::USER_DELETED, serde_json::json!({ "user_id": "a" }));
        assert_eq!(
            touched(&named),
            Touched::User(UserId::stored("a".to_owned()))
        );
        let unknown = event("something_new", serde_json::json!({ "user_id": "a" }));
        assert_eq!(touched(&unknown), Touched::Everybody);
        let profile = event(kinds::USER_UPDATED, serde_json::json!({ "user_id": "a" }));
        assert_eq!(touched(&profile), Touched::Nothing);
    }
}
