//! What every installation begins with, reconciled by each `migrate`: permissions of the contract, roles, a type.

use std::collections::BTreeSet;

use identity_kit::{
    audit::{Act, Actor, Record, Subject},
    clock::Timestamp,
    database::WriteTransaction,
    entropy::SharedEntropy,
    id::new_id,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait,
    IntoActiveModel, QueryFilter, Statement, sea_query::Expr,
};

use super::{
    Done, Error, Store, administrators,
    audit::{self, difference},
    entity::{permission, role, user_role, user_type},
    event::{self, kinds},
    grants::ROLES,
    rights::Touched,
    role as roles, role_grants, user, user_type as user_types,
};
use crate::domain::{
    credential::PasswordHash,
    id::{PermissionId, RoleId, UserTypeId},
    name::{PermissionName, RoleName, TypeName},
    permission::Permission,
    role::NewRole,
    text::Description,
    user::{NewUser, User},
    user_type::NewUserType,
};

/// What the role editor may do beside reading everything.
const EDITOR_WRITES: [&str; 2] = ["users.create", "users.update"];

/// The verbs, as the audit log names them.
const MIGRATE: &str = "migrate";
const CREATE_ADMIN: &str = "create-admin";

/// What everybody did, with personal data: nobody reads it by the way.
const AUDIT: &str = "audit.read";

/// The end of the name of every permission that only reads.
const READ: &str = ".read";

impl Store {
    /// Brings the built-in rows in line with the permissions that the rules of the contract name; one read where they
    /// are.
    ///
    /// A permission that a rule newly names is added, or becomes built in where somebody made it before. One that no
    /// rule names any more stays with its grants and can then be deleted. The roles and the default type
    /// come once: what operators make of `editor` and `viewer` later is theirs.
    ///
    /// # Errors
    /// When the database does not carry it out.
    pub async fn reconcile(
        &self,
        named: BTreeSet<String>,
        entropy: SharedEntropy,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.is_in_line(&named).await? {
            return Ok(());
        }
        let act = Act::new(Actor::operator(MIGRATE), MIGRATE);
        self.write(
            act.on(Subject::new("built_in", "")),
            Touched::Everybody,
            (named, entropy),
            move |transaction, scribe, (named, entropy)| {
                Box::pin(async move {
                    lock_out_others(transaction).await?;
                    let fresh = || new_id(&**entropy);
                    seed_type(transaction, fresh(), now).await?;
                    let record = seed_permissions(transaction, named, fresh, now).await?;
                    seed_roles(transaction, fresh, now).await?;
                    // Another replica may have done it meanwhile.
                    if transaction.is_unaudited() {
                        scribe.done(transaction, record);
                    }
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    }

    /// Whether reconciling would change nothing.
    async fn is_in_line(&self, named: &BTreeSet<String>) -> Result<bool, Error> {
        let reader = self.database.aside();
        let rows = reader
            .query_all_raw(Statement::from_string(
                reader.get_database_backend(),
                "SELECT name FROM permissions WHERE built_in
                 AND EXISTS (SELECT 1 FROM user_types WHERE built_in) AND EXISTS (SELECT 1 FROM roles WHERE built_in)",
            ))
            .await?;
        let built_in: BTreeSet<String> = rows
            .iter()
            .map(|row| row.try_get("", "name"))
            .collect::<Result<_, _>>()?;
        Ok(built_in == *named)
    }

    /// Creates an active user with the role admin.
    ///
    /// # Errors
    /// `UsernameTaken`, `EmailTaken`.
    pub async fn insert_administrator(
        &self,
        new: NewUser,
        hash: PasswordHash,
        now: Timestamp,
    ) -> Result<Done<User>, Error> {
        let touched = Touched::User(new.id.clone());
        let act = Act::new(Actor::operator(CREATE_ADMIN), CREATE_ADMIN);
        self.write(
            act.on(audit::user(&new.id)),
            touched,
            (new, (hash, false)),
            move |transaction, scribe, (new, password)| {
                Box::pin(async move {
                    let admin = administrators::lock(transaction).await?;
                    let user = user::insert(transaction, new, Some(password), now).await?;
                    user_role::Entity::insert(user_role::ActiveModel {
                        user_id: Set(user.id.as_str().to_owned()),
                        role_id: Set(admin.as_str().to_owned()),
                        created_at: Set(now.as_micros()),
                        ends_at: Set(None),
                    })
                    .exec_without_returning(transaction)
                    .await?;
                    event::user(transaction, kinds::USER_RIGHTS_CHANGED, &user.id);
                    let given = [admin.into_string()];
                    let record = difference(None, &user).changed(ROLES, None::<String>, given);
                    scribe.done(transaction, record);
                    Ok(user)
                })
            },
        )
        .await
    }
}

/// Makes replicas that start at once reconcile one after the other; `SQLite` writes one after the other anyway.
async fn lock_out_others(transaction: &WriteTransaction) -> Result<(), Error> {
    let backend = transaction.get_database_backend();
    if backend == DbBackend::Postgres {
        let lock = "LOCK TABLE user_types, roles, permissions IN SHARE ROW EXCLUSIVE MODE";
        transaction
            .execute_raw(Statement::from_string(backend, lock))
            .await?;
    }
    Ok(())
}

async fn seed_type(
    transaction: &WriteTransaction,
    id: String,
    now: Timestamp,
) -> Result<(), Error> {
    let default = user_type::Entity::find()
        .filter(user_type::Column::BuiltIn.eq(true))
        .one(transaction)
        .await?;
    if default.is_none() {
        let new = NewUserType {
            id: UserTypeId::new(id),
            name: TypeName::stored("person".to_owned()),
            description: Description::stored("The default type: a human being.".to_owned()),
        };
        user_types::insert(transaction, &new, true, now).await?;
    }
    Ok(())
}

async fn seed_permissions(
    transaction: &WriteTransaction,
    named: &BTreeSet<String>,
    fresh: impl Fn() -> String,
    now: Timestamp,
) -> Result<Record, Error> {
    let rows = permission::Entity::find().all(transaction).await?;
    let known: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let added: Vec<_> = named
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| Permission {
            id: PermissionId::new(fresh()),
            name: PermissionName::stored(name.clone()),
            description: Description::stored(describe(name)),
            built_in: true,
            created_at: now,
            updated_at: now,
            version: 1,
        })
        .collect();
    let turned: Vec<_> = rows
        .iter()
        .filter(|row| row.built_in != named.contains(&row.name))
        .collect();
    for permission in &added {
        event::permission(transaction, kinds::PERMISSION_CHANGED, permission);
    }
    for &row in &turned {
        let permission = row.clone().into();
        event::permission(transaction, kinds::PERMISSION_CHANGED, &permission);
    }
    if !turned.is_empty() {
        permission::Entity::update_many()
            .col_expr(
                permission::Column::BuiltIn,
                Expr::col(permission::Column::BuiltIn).not(),
            )
            .col_expr(
                permission::Column::Version,
                Expr::col(permission::Column::Version).add(1),
            )
            .col_expr(permission::Column::UpdatedAt, Expr::value(now.as_micros()))
            .filter(permission::Column::Id.is_in(turned.iter().map(|row| row.id.as_str())))
            .exec(transaction)
            .await?;
    }
    if !added.is_empty() {
        permission::Entity::insert_many(
            added
                .iter()
                .map(|permission| permission::Model::from(permission).into_active_model()),
        )
        .exec_without_returning(transaction)
        .await?;
    }
    let turned = |from: bool| {
        let turned = turned.iter().filter(move |row| row.built_in == from);
        turned.map(|row| row.name.as_str())
    };
    let added = added.iter().map(|permission| permission.name.as_str());
    let added = added.chain(turned(false));
    Ok(Record::default().changed("permissions", turned(true), added))
}

async fn seed_roles(
    transaction: &WriteTransaction,
    fresh: impl Fn() -> String,
    now: Timestamp,
) -> Result<(), Error> {
    let admin = role::Entity::find()
        .filter(role::Column::BuiltIn.eq(true))
        .one(transaction)
        .await?;
    if admin.is_some() {
        return Ok(());
    }
    let permissions = permission::Entity::find()
        .filter(permission::Column::BuiltIn.eq(true))
        .all(transaction)
        .await?;
    let that = |wanted: fn(&str) -> bool| -> Vec<PermissionId> {
        permissions
            .iter()
            .filter(|row| wanted(&row.name))
            .map(|row| PermissionId::stored(row.id.clone()))
            .collect()
    };
    let role = |name: &str, description: &str| NewRole {
        id: RoleId::new(fresh()),
        name: RoleName::stored(name.to_owned()),
        description: Description::stored(description.to_owned()),
    };
    let admin = role("admin", "Holds every permission, also those to come.");
    let editor = role(
        "editor",
        "Reads everything but the audit log, and creates and changes users.",
    );
    let viewer = role("viewer", "Reads everything but the audit log.");
    let reads: fn(&str) -> bool = |name| name.ends_with(READ) && name != AUDIT;
    let edits: fn(&str) -> bool =
        |name| name.ends_with(READ) && name != AUDIT || EDITOR_WRITES.contains(&name);
    roles::insert(transaction, &admin, true, now).await?;
    roles::insert(transaction, &editor, false, now).await?;
    roles::insert(transaction, &viewer, false, now).await?;
    role_grants::add_to_role(transaction, &editor.id, &that(edits), now).await?;
    role_grants::add_to_role(transaction, &viewer.id, &that(reads), now).await?;
    Ok(())
}

/// What a permission of the contract is for, made from its name: `users.create` is "Create users."
fn describe(name: &str) -> String {
    match name {
        AUDIT => return "Read the audit log.".to_owned(),
        "users.set_status" => return "Activate, deactivate and suspend users.".to_owned(),
        "roles.assign" => return "Give roles to users and take them away.".to_owned(),
        "roles.grant" => return "Add permissions to roles and take them away.".to_owned(),
        "permissions.grant" => return "Give permissions to users and take them away.".to_owned(),
        _ => {}
    }
    let (things, verb) = name.rsplit_once('.').unwrap_or((name, "use"));
    let verb = match verb {
        "update" => "change".to_owned(),
        other => other.replace('_', " "),
    };
    let mut sentence = format!("{verb} {}.", things.replace(['_', '.'], " "));
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_sentences() {
        assert_eq!(describe("users.create"), "Create users.");
        assert_eq!(describe("user_types.update"), "Change user types.");
        assert_eq!(
            describe("roles.grant"),
            "Add permissions to roles and take them away."
        );
    }
}
