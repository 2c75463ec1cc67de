//! The database of user-service: queries and the one way to write. Rows become domain types here and go no further.

use std::sync::Arc;

use identity_kit::{
    audit::Act,
    clock::Timestamp,
    database::{Database, StoreError, WriteFuture, WriteTransaction},
    idempotency::{self, is_concurrent_repeat},
    outbox::{self, Past},
    position::Position,
};

mod access;
mod administrators;
mod asking_budget;
mod audit;
mod batch_grants;
mod changes;
mod credential;
mod email_proof;
mod ends;
mod entity;
mod error;
mod event;
mod export;
mod grants;
mod held;
mod import;
mod lease;
pub mod migration;
mod pending_mail;
mod permission;
mod request;
mod restore;
mod rights;
mod role;
mod role_grants;
mod seed;
mod standing;
mod subscription;
mod user;
mod user_list;
mod user_type;

pub use access::{CredentialKey, FullUser};
pub use audit::Audit;
pub use ends::ENDED_AT_ONCE;
pub use error::Error;
pub use event::{erased, kinds};
pub use lease::{Holder, LEASE};
pub use request::RequestKey;
pub use rights::{RightsCache, RightsFollower};

use audit::Scribe;
use rights::Touched;
use sea_orm::DbErr;

/// What a write did, and a position of the feed that has it.
#[derive(Clone, Debug)]
pub struct Done<T> {
    /// The result.
    pub value: T,
    /// Every read at or after this position sees it.
    pub position: Position,
}

/// Reads and writes the database.
#[derive(Clone)]
pub struct Store {
    database: Database,
    rights: Arc<RightsCache>,
    audit: Audit,
}

impl Store {
    /// A store over a connected database with its cache of rights and its audit log.
    #[must_use]
    pub const fn new(database: Database, rights: Arc<RightsCache>, audit: Audit) -> Self {
        Self {
            database,
            rights,
            audit,
        }
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The cache of rights.
    #[must_use]
    pub fn rights_cache(&self) -> Arc<RightsCache> {
        Arc::clone(&self.rights)
    }

    /// Forgets remembered requests that came before a moment.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn purge_requests(&self, before: Timestamp) -> Result<(), Error> {
        loop {
            let purged = self
                .database
                .write(move |transaction| {
                    Box::pin(async move {
                        Ok::<_, Error>(idempotency::purge(transaction, before).await?)
                    })
                })
                .await?;
            if purged.value < idempotency::PURGED_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Forgets the events of the feed from before a moment; the last one stays.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn trim_feed(&self, before: Timestamp) -> Result<(), Error> {
        outbox::trim(&self.database, before).await?;
        Ok(())
    }

    /// Where the feed of changes stands now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn head(&self) -> Result<Position, Error> {
        let (_, cursor) = outbox::head(self.database.reader()).await?;
        Ok(cursor.position)
    }

    /// What has become of a position that is not of the present epoch.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn past(&self, position: &Position) -> Result<Past, Error> {
        Ok(outbox::past(self.database.reader(), position).await?)
    }

    /// Runs a write and drops what it makes stale before anybody is answered.
    ///
    /// `work` may run more than once: it takes its command by reference. It tells the scribe what it did; a write that
    /// tells the feed and not the audit log is a defect, and is not done. A refusal for want of a right is told here.
    async fn write<C, T, F>(
        &self,
        act: Act,
        touched: Touched,
        command: C,
        work: F,
    ) -> Result<Done<T>, Error>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a WriteTransaction, &'a Scribe, &'a C) -> WriteFuture<'a, T, Error>
            + Copy
            + Send
            + Sync
            + 'static,
    {
        let scribe = Scribe::new(Arc::clone(&self.audit.log), act.clone());
        let command = Arc::new((scribe, command));
        let once = || {
            let command = Arc::clone(&command);
            self.database.write(move |transaction| {
                let command = Arc::clone(&command);
                Box::pin(async move {
                    let (scribe, command) = &*command;
                    let value = work(transaction, scribe, command).await?;
                    if transaction.is_unaudited() {
                        let defect = DbErr::Custom("a write left no audit event".to_owned());
                        return Err(StoreError::Other(defect).into());
                    }
                    Ok(value)
                })
            })
        };
        let mut written = once().await;
        if let Err(Error::Failed(error)) = &written
            && is_concurrent_repeat(error)
        {
            // The same request won the race: now its outcome is there to be answered.
            written = once().await;
        }
        // Also after an error: a commit of unknown outcome may have happened.
        self.rights.forget(&touched);
        if let Err(error) = &written {
            self.note_refusal(act, error);
        }
        let written = written?;
        let position = match written.position {
            Some(position) => position,
            None => self.head().await?,
        };
        Ok(Done {
            value: written.value,
            position,
        })
    }
}

/// What is wrong with a row that no write of ours can have made.
fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}
