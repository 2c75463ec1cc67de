//! Creates users from other programs: a stream of users in, a stream of their outcomes out.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use identity_guard::caller::UserCaller;
use identity_kit::{
    audit::Act,
    status::{ErrorReason, Failure},
    violations::Violations,
};
use identity_proto::user::v1::{
    self as wire, ImportUsersRequest, ImportUsersResponse, import_users_request::Message,
};
use tokio::time::timeout;
use tonic::{Request, Status, Streaming};

use super::{
    super::{
        context::{Context, act, caller_id, user_caller},
        convert,
        fields::failure,
    },
    Answers,
};
use crate::domain::{
    id::UserId,
    import::{
        ExternalId, Faults, ImportBatch, ImportRefusal, ImportResult, ImportedUser, RawUser,
        SourceName,
    },
    name::PermissionName,
    user::UserStatus,
};

/// The most users of one transaction, and of one answer.
const BATCH: usize = 100;
/// How long users wait for more to be written with.
const LINGER: Duration = Duration::from_millis(50);
/// How long a stream may be silent.
const SILENCE: Duration = Duration::from_mins(1);
/// What the rule of this RPC names; it is asked for again before each batch.
const PERMISSION: &str = "users.import";
/// What is needed as well for users who come with roles, as for giving them one by one.
const ASSIGN: &str = "roles.assign";

/// A user as read, or the external id as sent with what is wrong.
type Item = Result<ImportedUser, (String, Faults)>;

struct Import {
    context: Arc<Context>,
    caller: UserCaller,
    act: Act,
    messages: Streaming<ImportUsersRequest>,
    /// Known once the first message was read.
    header: Option<(SourceName, bool)>,
    /// Began the next batch: the one before had its external id.
    held_back: Option<Item>,
    ended: bool,
}

/// Answers a stream that does nothing until its caller reads it, so a caller who does not read is not read either.
pub(super) fn handle(
    context: &Arc<Context>,
    request: Request<Streaming<ImportUsersRequest>>,
) -> Result<Answers<ImportUsersResponse>, Failure> {
    let import = Import {
        context: Arc::clone(context),
        caller: user_caller(&request)?,
        act: act(&request, "ImportUsers"),
        messages: request.into_inner(),
        header: None,
        held_back: None,
        ended: false,
    };
    Ok(Box::pin(stream::try_unfold(import, |mut import| async {
        let answer = import.next().await?;
        Ok(answer.map(|answer| (answer, import)))
    })))
}

impl Import {
    async fn next(&mut self) -> Result<Option<ImportUsersResponse>, Status> {
        let (source, dry_run) = self.header().await?;
        let items = self.gather().await?;
        if items.is_empty() {
            return Ok(None);
        }
        self.context.require_still(&self.caller, PERMISSION).await?;
        let rights = self.context.store.rights(&self.caller.user_id).await;
        let may_assign = rights.map_err(Failure::from)?.holds(ASSIGN);
        let external_ids: Vec<_> = items.iter().map(external_id).collect();
        let mut refusals = Vec::with_capacity(items.len());
        let mut users = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Ok(user) if self.context.reserved.contains(&user.new.username) => {
                    refusals.push(Some(ImportRefusal::UsernameTaken));
                }
                Ok(user) if !user.roles.is_empty() && !may_assign => {
                    let lacking = PermissionName::stored(ASSIGN.to_owned());
                    refusals.push(Some(ImportRefusal::GrantExceedsCaller(Some(lacking))));
                }
                Ok(user) => {
                    users.push(user);
                    refusals.push(None);
                }
                Err((_, faults)) => refusals.push(Some(ImportRefusal::Faults(faults))),
            }
        }
        let batch = ImportBatch {
            caller: Some(caller_id(&self.caller)),
            source,
            dry_run,
            users,
        };
        let done = self
            .context
            .store
            .import_users(&self.act, &batch, self.context.now())
            .await
            .map_err(Failure::from)?;
        let mut results = done.value.into_iter();
        let outcomes = external_ids
            .into_iter()
            .zip(refusals)
            .filter_map(|(external_id, refusal)| {
                let result = match refusal {
                    Some(refusal) => ImportResult::Refused(refusal),
                    None => results.next()?,
                };
                Some(outcome(external_id, result, dry_run))
            })
            .collect();
        Ok(Some(ImportUsersResponse {
            outcomes,
            revision: self.context.revision(&done.position),
        }))
    }

    /// The header, which is the first message.
    async fn header(&mut self) -> Result<(SourceName, bool), Status> {
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let first = timeout(SILENCE, self.messages.message()).await;
        let first = first.map_err(|_| silent())??;
        let header = parse_header(first.and_then(|first| first.message))?;
        self.header = Some(header.clone());
        Ok(header)
    }

    /// As many users as are there, up to a batch, no two under one external id; none at the end.
    async fn gather(&mut self) -> Result<Vec<Item>, Status> {
        let mut items: Vec<Item> = self.held_back.take().into_iter().collect();
        while !self.ended && items.len() < BATCH {
            let patience = if items.is_empty() { SILENCE } else { LINGER };
            let message = match timeout(patience, self.messages.message()).await {
                Ok(message) => message?,
                Err(_) if items.is_empty() => return Err(silent()),
                Err(_) => break,
            };
            let Some(message) = message else {
                self.ended = true;
                break;
            };
            let item = parse_user(message.message, UserId::new(self.context.new_id()))?;
            let repeated = |other: &Item| other.is_ok() && external_id(other) == external_id(&item);
            if items.iter().any(repeated) {
                self.held_back = Some(item);
                break;
            }
            items.push(item);
        }
        Ok(items)
    }
}

fn silent() -> Status {
    Failure::new(
        ErrorReason::DeadlinePassed,
        "no message arrived for a minute",
    )
    .into()
}

fn external_id(item: &Item) -> String {
    match item {
        Ok(user) => user.external_id.as_str().to_owned(),
        Err((raw, _)) => raw.chars().take(ExternalId::MAX).collect(),
    }
}

fn parse_header(message: Option<Message>) -> Result<(SourceName, bool), Failure> {
    let mut fields = Violations::new();
    let Some(Message::Header(header)) = message else {
        fields.add("header", "must be the first message");
        return Err(failure(fields));
    };
    match fields.take("header.source", SourceName::parse(&header.source)) {
        Some(source) => Ok((source, header.dry_run)),
        None => Err(failure(fields)),
    }
}

/// A message that is no user ends the stream; a user with faults does not.
fn parse_user(message: Option<Message>, id: UserId) -> Result<Item, Failure> {
    let Some(Message::User(user)) = message else {
        let mut fields = Violations::new();
        fields.add("user", "must be every message after the first");
        return Err(failure(fields));
    };
    let mut faults = Faults::new();
    let status = wire::UserStatus::try_from(user.status).map(convert::status_filter);
    if status.is_err() {
        let problem = "must be a value of the enum";
        faults.push(("status".to_owned(), problem.to_owned()));
    }
    let status = status.ok().flatten().map_or("", UserStatus::as_str);
    let raw = RawUser {
        external_id: user.external_id,
        username: user.username,
        email: user.email,
        email_verified: user.email_verified,
        first_name: user.first_name,
        last_name: user.last_name,
        phone: user.phone,
        address: user.address.map(convert::address_parts),
        user_type: user.user_type,
        roles: user.roles,
        status: status.to_owned(),
        direct_permissions: Vec::new(),
        password_hash: user.password_hash,
    };
    Ok(match ImportedUser::parse(&raw, id) {
        Ok(user) if faults.is_empty() => Ok(user),
        Ok(_) => Err((raw.external_id, faults)),
        Err(more) => {
            faults.extend(more);
            Err((raw.external_id, faults))
        }
    })
}

fn outcome(external_id: String, result: ImportResult, dry_run: bool) -> wire::ImportOutcome {
    let outcome = wire::ImportOutcome {
        external_id,
        ..wire::ImportOutcome::default()
    };
    match result {
        ImportResult::Created(id) => wire::ImportOutcome {
            result: wire::ImportResult::Created.into(),
            user_id: if dry_run {
                String::new()
            } else {
                id.into_string()
            },
            ..outcome
        },
        ImportResult::Exists(id) => wire::ImportOutcome {
            result: wire::ImportResult::Exists.into(),
            user_id: id.into_string(),
            ..outcome
        },
        ImportResult::Refused(refusal) => {
            let (reason, subject, faults) = why(refusal);
            wire::ImportOutcome {
                result: wire::ImportResult::Refused.into(),
                reason: reason.into(),
                subject,
                violations: faults
                    .into_iter()
                    .map(|(field, description)| wire::ImportViolation { field, description })
                    .collect(),
                ..outcome
            }
        }
    }
}

fn why(refusal: ImportRefusal) -> (ErrorReason, String, Faults) {
    let none = String::new;
    match refusal {
        ImportRefusal::Faults(faults) => (ErrorReason::InvalidFields, none(), faults),
        ImportRefusal::UsernameTaken => (ErrorReason::UsernameTaken, none(), Vec::new()),
        ImportRefusal::EmailTaken => (ErrorReason::EmailTaken, none(), Vec::new()),
        ImportRefusal::UserTypeNotFound(name) => (
            ErrorReason::UserTypeNotFound,
            name.into_string(),
            Vec::new(),
        ),
        ImportRefusal::RoleNotFound(name) => {
            (ErrorReason::RoleNotFound, name.into_string(), Vec::new())
        }
        ImportRefusal::GrantExceedsCaller(permission) => {
            let lacking = permission.map_or_else(|| "*".to_owned(), PermissionName::into_string);
            (ErrorReason::GrantExceedsCaller, lacking, Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(external_id: &str) -> Message {
        Message::User(wire::ImportedUser {
            external_id: external_id.into(),
            status: 17,
            password_hash: "hunter2".into(),
            ..wire::ImportedUser::default()
        })
    }

    #[test]
    fn a_message_out_of_its_place_ends_the_stream() {
        let header = || {
            let source = "old".into();
            let dry_run = true;
            Some(Message::Header(wire::ImportHeader { source, dry_run }))
        };
        assert!(parse_header(header()).is_ok());
        assert!(parse_header(Some(user("1"))).is_err() && parse_header(None).is_err());
        let id = || UserId::new("a".into());
        assert!(parse_user(header(), id()).is_err() && parse_user(None, id()).is_err());
    }

    #[test]
    fn a_user_with_faults_is_an_outcome_that_names_them_all_and_repeats_nothing() {
        let item = parse_user(Some(user(&"x".repeat(300))), UserId::new("a".into())).unwrap();
        assert_eq!(external_id(&item).len(), 200);
        let (_, faults) = item.unwrap_err();
        let refused = ImportResult::Refused(ImportRefusal::Faults(faults));
        let outcome = outcome("x".into(), refused, false);
        let fields: Vec<_> = outcome
            .violations
            .iter()
            .map(|one| one.field.as_str())
            .collect();
        let names = ["first_name", "last_name", "password_hash"];
        assert_eq!(fields[..4], ["status", "external_id", "username", "email"]);
        assert_eq!(fields[4..], names);
        assert!(!format!("{outcome:?}").contains("hunter2"));
    }
}
