//! The feed as followers are told it: stored events as changes, and what roles give now.

use std::collections::HashMap;

use identity_kit::{
    database::StoreError,
    outbox::{self, Cursor, StoredEvent},
};
use sea_orm::{FromQueryResult, Statement, Value};

use super::{Error, Store, access::names, corrupt, event::kinds};
use crate::domain::{
    change::{Change, Committed, PasswordChanged, RolePolicy},
    credential::ChangeCause,
    id::{PermissionId, RoleId, UserId, UserTypeId},
    identifier::OperationId,
    name::{PermissionName, RoleName},
    user::UserStatus,
};

const POLICIES: &str = "SELECT r.id, r.name, r.built_in,
        (SELECT string_agg(p.name, ',') FROM role_permissions rp
            JOIN permissions p ON p.id = rp.permission_id WHERE rp.role_id = r.id) AS permissions
    FROM roles r";

impl Store {
    /// The place where the feed stands now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn feed_cursor(&self) -> Result<Cursor, Error> {
        let (_, cursor) = outbox::head(self.database.aside()).await?;
        Ok(cursor)
    }

    /// The events that led to a revision: at most `limit`, fewer where older ones are not kept.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_events_before(
        &self,
        revision: u64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let from = revision.saturating_sub(limit);
        let mut events = outbox::read_after(self.database.aside(), from, limit).await?;
        events.retain(|event| event.position.revision <= revision);
        Ok(events)
    }

    /// What every role gives.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_role_policies(&self) -> Result<Vec<RolePolicy>, Error> {
        self.policies(POLICIES.to_owned(), Vec::new()).await
    }

    /// What the events tell, in their order; roles as they are now. One statement for all of them.
    ///
    /// # Errors
    /// When the database does not answer, or an event is not one that this program knows.
    pub async fn read_changes(&self, events: &[StoredEvent]) -> Result<Vec<Committed>, Error> {
        let mut changed: Vec<&str> = events
            .iter()
            .filter(|event| event.kind == kinds::ROLE_CHANGED)
            .map(|event| text(event, "role_id"))
            .collect::<Result<_, _>>()?;
        changed.sort_unstable();
        changed.dedup();
        let roles = self.find_role_policies(&changed).await?;
        let read = events.iter().map(|event| {
            Ok(Committed {
                change: change(event, &roles)?,
                at: event.created_at,
            })
        });
        Ok(read.collect::<Result<_, StoreError>>()?)
    }

    async fn find_role_policies(&self, ids: &[&str]) -> Result<HashMap<String, RolePolicy>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let places: Vec<_> = (1..=ids.len()).map(|place| format!("${place}")).collect();
        let sql = format!("{POLICIES} WHERE r.id IN ({})", places.join(", "));
        let values = ids.iter().map(|id| Value::from(*id)).collect();
        let policies = self.policies(sql, values).await?;
        Ok(policies
            .into_iter()
            .map(|policy| (policy.id.as_str().to_owned(), policy))
            .collect())
    }

    async fn policies(&self, sql: String, values: Vec<Value>) -> Result<Vec<RolePolicy>, Error> {
        let statement = Statement::from_sql_and_values(self.database.backend(), sql, values);
        let rows = PolicyRow::find_by_statement(statement)
            .all(self.database.aside())
            .await?;
        Ok(rows.into_iter().map(RolePolicy::from).collect())
    }
}

#[derive(FromQueryResult)]
struct PolicyRow {
    id: String,
    name: String,
    built_in: bool,
    permissions: Option<String>,
}

impl From<PolicyRow> for RolePolicy {
    fn from(row: PolicyRow) -> Self {
        Self {
            id: RoleId::stored(row.id),
            name: RoleName::stored(row.name),
            built_in: row.built_in,
            permissions: names(row.permissions.as_deref()),
        }
    }
}

fn change(event: &StoredEvent, roles: &HashMap<String, RolePolicy>) -> Result<Change, StoreError> {
    let user_id = || Ok::<_, StoreError>(UserId::stored(text(event, "user_id")?.to_owned()));
    let permission = || {
        let id = PermissionId::stored(text(event, "permission_id")?.to_owned());
        let name = PermissionName::stored(text(event, "name")?.to_owned());
        Ok::<_, StoreError>((id, name))
    };
    Ok(match event.kind.as_str() {
        kinds::USER_CREATED => Change::UserCreated(user_id()?),
        kinds::USER_UPDATED => Change::UserUpdated(user_id()?),
        kinds::USER_STATUS_CHANGED => {
            let status = UserStatus::from_stored(text(event, "status")?);
            Change::UserStatusChanged(user_id()?, status.ok_or_else(|| unknown(event))?)
        }
        kinds::USER_DELETED => Change::UserDeleted(user_id()?),
        kinds::USER_RIGHTS_CHANGED => Change::UserRightsChanged(user_id()?),
        kinds::PASSWORD_CHANGED => Change::PasswordChanged(password(event, user_id()?)?),
        kinds::ROLE_CHANGED => {
            let id = text(event, "role_id")?;
            match roles.get(id) {
                Some(policy) => Change::RoleChanged(policy.clone()),
                // It was deleted since, which the feed tells once more.
                None => Change::RoleDeleted(RoleId::stored(id.to_owned())),
            }
        }
        kinds::ROLE_DELETED => {
            Change::RoleDeleted(RoleId::stored(text(event, "role_id")?.to_owned()))
        }
        kinds::PERMISSION_CHANGED => {
            let (id, name) = permission()?;
            Change::PermissionChanged(id, name)
        }
        kinds::PERMISSION_DELETED => {
            let (id, name) = permission()?;
            Change::PermissionDeleted(id, name)
        }
        kinds::USER_TYPE_CHANGED => {
            let id = text(event, "user_type_id")?;
            Change::UserTypeChanged(UserTypeId::stored(id.to_owned()))
        }
        kinds::SUBSCRIPTION_CHANGED => Change::SubscriptionChanged(user_id()?),
        // Standing still makes followers stale, and stale means that they ask; passing over it could hide an end.
        _ => return Err(unknown(event)),
    })
}

fn password(event: &StoredEvent, user_id: UserId) -> Result<PasswordChanged, StoreError> {
    let operation_id = OperationId::parse(text(event, "operation_id")?);
    let cause = ChangeCause::from_stored(text(event, "cause")?);
    let spared = event.payload.get("spared_session_id");
    let version = event.payload.get("credential_version");
    Ok(PasswordChanged {
        user_id,
        operation_id: operation_id.map_err(|_| unknown(event))?,
        cause: cause.ok_or_else(|| unknown(event))?,
        spared_session_id: spared.and_then(|id| id.as_str()).map(str::to_owned),
        credential_version: version
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| unknown(event))?,
    })
}

fn text<'e>(event: &'e StoredEvent, field: &str) -> Result<&'e str, StoreError> {
    let value = event.payload.get(field).and_then(|value| value.as_str());
    value.ok_or_else(|| unknown(event))
}

fn unknown(event: &StoredEvent) -> StoreError {
    corrupt(&format!(
        "the event at revision {} is not known here",
        event.position.revision
    ))
}
