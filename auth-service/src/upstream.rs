//! Follows the feed of user-service: whoever is suspended, deleted or given another password there loses here what was
//! begun before, whether anybody asks or not.

mod session;
mod translate;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use identity_guard::{
    channel::IdentityChannel,
    follow::{End, Pace},
};
use identity_kit::{
    database::StoreError,
    feed::Watchers,
    id::new_id,
    outbox::{self, Cursor},
};
use identity_proto::user::v1::change_feed_service_client::ChangeFeedServiceClient;
use tokio_util::sync::CancellationToken;

use crate::{
    authority::{AuthError, Authority},
    domain::id::UserId,
    store::user_feed::{self, PlacedChange},
};
use session::Session;

/// The largest message of the feed that is taken, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Users who are looked at in one go after a snapshot, and at once.
const USERS: u32 = 500;
const AT_ONCE: usize = 8;

/// Follows the feed of user-service.
///
/// - What a change ends is ended in the transaction that notes how far the feed has been applied, in the own database:
///   of several replicas one does it, and a change is applied once, whoever dies in between.
/// - A session that began with rights from after a change stays, however late the change is heard of.
/// - After a reset, which means that changes may be missing, every user with a session is asked about.
pub(crate) struct Upstream {
    client: ChangeFeedServiceClient<IdentityChannel>,
    authority: Arc<Authority>,
    /// Who decides by the own feed.
    watchers: Watchers,
    /// Which process this is.
    watcher_id: String,
}

/// Why nothing could be applied: the stream begins anew, from where the database is.
type Failed = AuthError;

impl Upstream {
    /// Over a channel to user-service's internal listener.
    #[must_use]
    pub(crate) fn new(
        channel: IdentityChannel,
        authority: Arc<Authority>,
        watchers: Watchers,
    ) -> Self {
        Self {
            client: ChangeFeedServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            watcher_id: new_id(&*authority.entropy),
            authority,
            watchers,
        }
    }

    /// Follows until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let follow = async {
            let mut pace = Pace::new("user");
            // A feed that was not understood is taken anew, from a snapshot.
            let mut anew = false;
            loop {
                let mut session = Session::new(&self);
                let end = session.run(anew).await;
                anew = matches!(end, End::NotUnderstood(_));
                tokio::time::sleep(pace.after(&end, session.was_live())).await;
            }
        };
        let _ = cancel.run_until_cancelled(follow).await;
    }

    /// How far the feed has been applied, by whichever replica.
    async fn cursor(&self) -> Result<Option<Cursor>, Failed> {
        Ok(user_feed::cursor(self.authority.database.aside()).await?)
    }

    /// Applies changes that follow each other.
    async fn apply(&self, changes: Vec<PlacedChange>) -> Result<(), Failed> {
        let authority = &self.authority;
        let ended = user_feed::apply(
            &authority.database,
            changes,
            &authority.policy,
            authority.now(),
        )
        .await?;
        authority.apply(&ended.value);
        Ok(())
    }

    /// Comes to a place up to which there was nothing to apply.
    async fn advance(&self, from: Option<Cursor>, to: Cursor) -> Result<(), Failed> {
        Ok(user_feed::advance(&self.authority.database, from, to).await?)
    }

    /// Waits until everything that is applied counts here, and wherever decisions are made by the own feed.
    async fn everywhere(&self) -> Result<(), Failed> {
        let authority = &self.authority;
        // Whichever replica applied it, what it ended is in the feed up to here.
        let (_, head) = outbox::head(authority.database.aside()).await?;
        let mut applied = authority.tail.applied();
        let here = applied.wait_for(|position| position.reaches(&head.position));
        if here.await.is_err() {
            return Err(StoreError::Conflict.into());
        }
        self.watchers.acknowledged(&head.position).await;
        Ok(())
    }

    /// Looks at every user who has a session, since changes of any of them may be missing.
    async fn reconcile(&self) -> Result<(), Failed> {
        let mut after = None;
        loop {
            let reader = self.authority.database.reader();
            let users = user_feed::list_users(reader, after.as_ref(), USERS).await?;
            let Some(last) = users.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            stream::iter(users)
                .map(Ok)
                .try_for_each_concurrent(AT_ONCE, |user_id| self.look_at(user_id))
                .await?;
        }
    }

    async fn look_at(&self, user_id: UserId) -> Result<(), Failed> {
        match self.authority.usable_access(&user_id).await {
            Ok(Some(_)) | Err(AuthError::Unusable(_)) => Ok(()),
            Ok(None) => self.authority.erase(&user_id).await,
            Err(error) => Err(error),
        }
    }
}

/// Whether another replica has come further, or to another history: no failure of anybody.
fn is_overtaken(error: &Failed) -> bool {
    matches!(error, AuthError::Store(StoreError::Conflict))
}
