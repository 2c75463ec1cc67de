//! What every RPC stands on: the store, the tokens that callers hand back, time and randomness.

use std::{sync::Arc, time::Duration};

use identity_guard::caller::{Caller, UserCaller, caller};
use identity_kit::{
    audit::{Act, Actor, Refused},
    clock::{SharedClock, Timestamp},
    consistency::ConsistencyTokens,
    context, deadline,
    entropy::SharedEntropy,
    id::new_id,
    idempotency::RequestLog,
    outbox::Past,
    page::PageTokens,
    password::HashPool,
    position::Position,
    status::{ErrorReason, Failure, reason_name},
    violations::Violations,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, timeout},
};
use tonic::Request;

use crate::{
    domain::{
        asker::Askers, id::UserId, identifier::RequestId, plan::Plans, refusal::Refusal,
        reserved::ReservedUsernames, user::UserStatus, username::Username,
    },
    store::{RequestKey, Store},
};

/// The longest wait for a revision that has not been reached.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// What is wrong with a position that a restore has lost.
const LOST: &str = "is of a change that was lost when the database was restored; ask without it";

/// What every RPC stands on.
pub struct Context {
    /// The database.
    pub store: Store,
    /// How far this process has followed its own feed.
    pub applied: watch::Receiver<Position>,
    /// Makes and reads `revision` and `min_revision`.
    pub revisions: ConsistencyTokens,
    /// Makes and reads page tokens.
    pub pages: PageTokens,
    /// Remembers requests that callers may repeat.
    pub requests: Arc<RequestLog>,
    /// Tells apart who asks for what costs others.
    pub askers: Askers,
    /// What a subscription can be to.
    pub plans: Plans,
    /// Hashes passwords on threads of its own.
    pub hasher: Arc<HashPool>,
    /// Usernames that no RPC gives away.
    pub reserved: ReservedUsernames,
    /// Whether people may register on their own.
    pub self_registration: bool,
    /// Places for those who begin an account.
    pub registering: Semaphore,
    /// Places for those who choose the password of an account that they have begun.
    pub confirming: Semaphore,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

impl Context {
    /// The time that is written down.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh id.
    pub(super) fn new_id(&self) -> String {
        new_id(&*self.entropy)
    }

    /// Refuses an act for want of a permission that its rule alone does not ask for.
    pub(super) fn permission_required(&self, act: Act, permission: &str) -> Failure {
        self.store.refusals().record(Refused {
            act,
            reason: reason_name(ErrorReason::PermissionRequired),
            lacking: permission.to_owned(),
        });
        Failure::permission_required(permission)
    }

    /// The consistency token of a position.
    pub(super) fn revision(&self, position: &Position) -> String {
        self.revisions.encode(position)
    }

    /// Reads `min_revision`; the outer `None` means that it is malformed.
    #[expect(clippy::option_option, reason = "malformed and absent are two things")]
    pub(super) fn min_revision(
        &self,
        fields: &mut Violations,
        token: &str,
    ) -> Option<Option<Position>> {
        if token.is_empty() {
            return Some(None);
        }
        fields
            .take("min_revision", self.revisions.decode(token))
            .map(Some)
    }

    /// Reads `page_token`; the outer `None` means that it is malformed.
    #[expect(clippy::option_option, reason = "malformed and absent are two things")]
    pub(super) fn cursor<C: DeserializeOwned>(
        &self,
        fields: &mut Violations,
        caller: &UserCaller,
        query: &[u8],
        token: &str,
    ) -> Option<Option<C>> {
        if token.is_empty() {
            return Some(None);
        }
        fields
            .take("page_token", self.pages.open(&caller.user_id, query, token))
            .map(Some)
    }

    /// The token of the next page; empty when there is none.
    pub(super) fn next_page_token<C: Serialize>(
        &self,
        caller: &UserCaller,
        query: &[u8],
        next: Option<&C>,
    ) -> String {
        next.map(|cursor| self.pages.seal(&caller.user_id, query, cursor))
            .unwrap_or_default()
    }

    /// The key under which a request is remembered, when its caller wants that.
    pub(super) fn request_key(
        &self,
        caller: &UserCaller,
        method: &'static str,
        request_id: Option<RequestId>,
        question: Vec<u8>,
    ) -> Option<RequestKey> {
        request_id.map(|request_id| RequestKey {
            log: Arc::clone(&self.requests),
            caller: caller_id(caller),
            method,
            request_id,
            question,
        })
    }

    /// Passes while the caller of a stream still holds what let it begin.
    ///
    /// # Errors
    /// `PERMISSION_REQUIRED`, or that the database does not answer.
    pub(super) async fn require_still(
        &self,
        caller: &UserCaller,
        permission: &str,
    ) -> Result<(), Failure> {
        if self.store.rights(&caller.user_id).await?.holds(permission) {
            Ok(())
        } else {
            Err(Failure::permission_required(permission))
        }
    }

    /// Passes an active user, where no permission is asked for, so that nobody has looked at the status yet.
    ///
    /// # Errors
    /// `TOKEN_REVOKED`, or that the database does not answer.
    pub(super) async fn require_active(&self, id: &UserId) -> Result<(), Failure> {
        match self.store.find_user(id).await? {
            Some(user) if user.status == UserStatus::Active => Ok(()),
            Some(_) | None => Err(Failure::new(
                ErrorReason::TokenRevoked,
                "the access token was revoked",
            )),
        }
    }

    /// Refuses a username that is reserved, as one that is taken: another one would do.
    ///
    /// # Errors
    /// `USERNAME_TAKEN`.
    pub(super) fn spare_reserved(&self, username: &Username) -> Result<(), Refusal> {
        if self.reserved.contains(username) {
            return Err(Refusal::UsernameTaken);
        }
        Ok(())
    }

    /// Waits, for a second at most and within the deadline, until a read sees everything up to the position in
    /// `min_revision`.
    ///
    /// # Errors
    /// As of [`reach_in`](Self::reach_in).
    pub(super) async fn reach(&self, wanted: Option<&Position>) -> Result<(), Failure> {
        if let Some(wanted) = wanted {
            self.reach_in("min_revision", wanted).await?;
        }
        Ok(())
    }

    /// The same for the position in a field; the answer is one of the present epoch that stands for it.
    ///
    /// # Errors
    /// `REVISION_NOT_REACHED`; `INVALID_FIELDS` for a position that was lost when the database was restored and will
    /// never be reached; or that the database does not answer.
    pub(super) async fn reach_in(
        &self,
        field: &'static str,
        wanted: &Position,
    ) -> Result<Position, Failure> {
        let mut applied = self.applied.clone();
        if applied.borrow_and_update().reaches(wanted) {
            return Ok(wanted.clone());
        }
        let head = self.store.head().await?;
        if head.reaches(wanted) {
            return Ok(wanted.clone());
        }
        if head.epoch != wanted.epoch {
            match self.store.past(wanted).await? {
                Past::Held => return Ok(head),
                Past::Lost => return Err(Failure::invalid_fields([(field, LOST)])),
                Past::Unknown => {}
            }
        }
        let patience = Instant::now() + MAX_WAIT;
        let until = deadline::current().map_or(patience, |deadline| deadline.min(patience));
        let reached = applied.wait_for(|position| position.reaches(wanted));
        match tokio::time::timeout_at(until, reached).await {
            Ok(Ok(_)) => Ok(wanted.clone()),
            Ok(Err(_)) | Err(_) => Err(Failure::new(
                ErrorReason::RevisionNotReached,
                "the revision asked for has not been reached",
            )
            .with_retry_after(MAX_WAIT)),
        }
    }
}

/// The user who calls. Every rule of the public services lets only users in.
///
/// # Errors
/// INTERNAL when no guard stands in front.
pub(super) fn user_caller<T>(request: &Request<T>) -> Result<UserCaller, Failure> {
    match caller(request) {
        Caller::User(user) => Ok(user.clone()),
        Caller::Anonymous | Caller::Service(_) => Err(Failure::internal()),
    }
}

/// What the audit log says of a call: who makes it, and its id. The store adds to what.
pub(super) fn act<T>(request: &Request<T>, action: &'static str) -> Act {
    let actor = match caller(request) {
        Caller::User(user) => Actor::user(user.user_id.as_str(), user.session_id.as_str()),
        Caller::Service(service) => Actor::service(service.name.as_str()),
        Caller::Anonymous => Actor::anonymous(),
    };
    Act::new(actor, action).by_request(context::request_id(request.extensions()))
}

/// Waits a while for one of few places: strangers stand in line before they cost others a connection or a thread.
pub(super) async fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    const PATIENCE: Duration = Duration::from_secs(1);
    match timeout(PATIENCE, places.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(Failure::new(
            ErrorReason::Overloaded,
            "too many accounts are being begun at once",
        )
        .with_retry_after(PATIENCE)),
    }
}

/// The id of the user who calls.
pub(super) fn caller_id(caller: &UserCaller) -> UserId {
    UserId::new(caller.user_id.clone())
}
