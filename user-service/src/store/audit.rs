//! The audit log of this service: what each write leaves there, refusals, reading, verifying, trimming.

use std::sync::Arc;

use identity_kit::{
    audit::{
        self, Act, Actor, ActorKind, AuditCursor, AuditEvent, AuditFilter, AuditLog, Entry, Mark,
        Outcome, Record, Refusals, Refused, Subject, VerifyError,
    },
    clock::{SharedClock, Timestamp},
    database::WriteTransaction,
    secret::RootSecret,
    status::{ErrorReason, reason_name},
};

use super::{Error, Store};
use crate::domain::{
    address::Address,
    id::{PermissionId, RoleId, UserId, UserTypeId},
    name::PermissionName,
    page::Page,
    phone::Phone,
    refusal::Refusal,
    user::User,
};

/// The audit log and what waits to be written into it.
#[derive(Clone)]
pub struct Audit {
    /// Its keys.
    pub log: Arc<AuditLog>,
    /// Refusals for want of a right.
    pub refusals: Arc<Refusals>,
}

impl Audit {
    /// With keys of a root secret.
    #[must_use]
    pub fn new(root: &RootSecret, clock: SharedClock) -> Self {
        Self {
            log: Arc::new(AuditLog::new(root)),
            refusals: Arc::new(Refusals::new(clock)),
        }
    }
}

/// Who writes, and the log that it goes into with the write.
pub(super) struct Scribe {
    log: Arc<AuditLog>,
    act: Act,
    /// Whose rights bound the act. Who is no user is nobody here, who holds nothing.
    pub(super) caller: UserId,
}

impl Scribe {
    pub(super) fn new(log: Arc<AuditLog>, act: Act) -> Self {
        let caller = match act.actor.kind {
            ActorKind::User => act.actor.id.clone(),
            ActorKind::Service | ActorKind::Operator | ActorKind::System | ActorKind::Anonymous => {
                String::new()
            }
        };
        Self {
            log,
            act,
            caller: UserId::new(caller),
        }
    }

    /// Writes what the act did, in its transaction.
    pub(super) fn done(&self, transaction: &WriteTransaction, record: Record) {
        self.done_to(transaction, self.act.subject.clone(), record);
    }

    /// The same for one of many subjects of the act.
    pub(super) fn done_to(&self, transaction: &WriteTransaction, subject: Subject, record: Record) {
        transaction.audit(
            &self.log,
            Entry {
                act: self.act.clone().on(subject),
                outcome: Outcome::Done,
                record,
            },
        );
    }
}

impl Store {
    /// A page of at most `size` events of the audit log, with what is sealed in them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_audit_events(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditCursor>,
        size: u64,
    ) -> Result<Page<AuditEvent, AuditCursor>, Error> {
        let reader = self.database.reader();
        let events = audit::list(reader, &self.audit.log, filter, after, size + 1).await?;
        Ok(Page::cut(events, size, AuditEvent::cursor))
    }

    /// Walks along the whole audit log; `noted` are heads of it that were noted before.
    ///
    /// # Errors
    /// The first place where it does not hold, or that the database does not answer.
    pub async fn verify_audit(&self, noted: &[Mark]) -> Result<audit::Verified, VerifyError> {
        audit::verify(&self.database, &self.audit.log, noted).await
    }

    /// Where the audit log ends now.
    ///
    /// # Errors
    /// That end was altered, or the database does not answer.
    pub async fn audit_head(&self) -> Result<Mark, VerifyError> {
        audit::head(self.database.aside(), &self.audit.log).await
    }

    /// Forgets the events of the audit log from before a moment and answers how many.
    ///
    /// # Errors
    /// The log is broken, or the database does not carry it out.
    pub async fn trim_audit(&self, before: Timestamp) -> Result<u64, VerifyError> {
        audit::trim(&self.database, &self.audit.log, before).await
    }

    /// The keys of the audit log.
    #[must_use]
    pub fn audit_log(&self) -> Arc<AuditLog> {
        Arc::clone(&self.audit.log)
    }

    /// Refusals for want of a right, as they are met outside of the store.
    #[must_use]
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.audit.refusals
    }

    /// Tells the audit log of a refusal for want of a right, and nothing of any other.
    pub(super) fn note_refusal(&self, act: Act, error: &Error) {
        if let Error::Refused(refusal) = error {
            self.note_refused(act, refusal);
        }
    }

    /// The same of a refusal that is the outcome of a part of an act.
    pub(super) fn note_refused(&self, act: Act, refusal: &Refusal) {
        let (reason, lacking) = match refusal {
            Refusal::GrantExceedsCaller(permission) => (
                ErrorReason::GrantExceedsCaller,
                permission.as_ref().map_or("*", PermissionName::as_str),
            ),
            Refusal::LastAdministrator => (ErrorReason::LastAdministrator, ""),
            Refusal::UserNotFound(_)
            | Refusal::UserTypeNotFound(_)
            | Refusal::RoleNotFound(_)
            | Refusal::PermissionNotFound(_)
            | Refusal::UsernameTaken
            | Refusal::EmailTaken
            | Refusal::NameTaken
            | Refusal::BuiltIn
            | Refusal::UserTypeInUse(_)
            | Refusal::TooManyRoles(_)
            | Refusal::TooManyPermissions(_)
            | Refusal::TooManyAttempts(_)
            | Refusal::EmailTokenInvalid
            | Refusal::ListTooBroad
            | Refusal::SubscriptionExists
            | Refusal::SubscriptionNotFound(_)
            | Refusal::SubscriptionExpired(_)
            | Refusal::SubscriptionEndless(_)
            | Refusal::PlanNotFound(_)
            | Refusal::EtagMismatch
            | Refusal::Conflict
            | Refusal::RequestIdReused => return,
        };
        self.audit.refusals.record(Refused {
            act,
            reason: reason_name(reason),
            lacking: lacking.to_owned(),
        });
    }
}

/// What this service does by itself.
pub(super) fn upkeep(action: &'static str) -> Act {
    Act::new(Actor::system("upkeep"), action)
}

pub(super) fn user(id: &UserId) -> Subject {
    Subject::new("user", id.as_str())
}

pub(super) fn role(id: &RoleId) -> Subject {
    Subject::new("role", id.as_str())
}

pub(super) fn permission(id: &PermissionId) -> Subject {
    Subject::new("permission", id.as_str())
}

pub(super) fn user_type(id: &UserTypeId) -> Subject {
    Subject::new("user_type", id.as_str())
}

/// A text as a change has it: an empty one is none.
pub(super) fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// One part of an address.
type Part = fn(Address) -> String;

/// What is different between two states of a user; `None` before the beginning.
///
/// What says something about the person is personal, also the reason of a status, which is free text.
pub(super) fn difference(before: Option<&User>, after: &User) -> Record {
    let address = |user: &User, part: Part| {
        user.address
            .clone()
            .map(part)
            .filter(|part| !part.is_empty())
    };
    let text = |text: &str| said(text).map(str::to_owned);
    let personal = |record: Record, field: &str, value: &dyn Fn(&User) -> Option<String>| {
        record.personal(field, before.and_then(value), value(after))
    };
    let plain = |record: Record, field: &str, value: &dyn Fn(&User) -> String| {
        record.changed(field, before.map(value), [value(after)])
    };
    let mut record = Record::default();
    record = plain(record, "status", &|user| user.status.as_str().to_owned());
    record = plain(record, "user_type_id", &|user| {
        user.user_type_id.as_str().to_owned()
    });
    record = plain(record, "email_verified", &|user| {
        user.email_verified.to_string()
    });
    record = personal(record, "status_reason", &|user| {
        text(user.status_reason.as_str())
    });
    record = personal(record, "username", &|user| text(user.username.as_str()));
    record = personal(record, "email", &|user| text(user.email.as_str()));
    record = personal(record, "first_name", &|user| text(user.first_name.as_str()));
    record = personal(record, "last_name", &|user| text(user.last_name.as_str()));
    record = personal(record, "phone", &|user| {
        user.phone.clone().map(Phone::into_string)
    });
    let parts: [(&str, Part); 6] = [
        ("address.street", |address| address.street),
        ("address.extra", |address| address.extra),
        ("address.city", |address| address.city),
        ("address.region", |address| address.region),
        ("address.postal_code", |address| address.postal_code),
        ("address.country_code", |address| address.country_code),
    ];
    for (field, part) in parts {
        record = personal(record, field, &|user| address(user, part));
    }
    record
}
