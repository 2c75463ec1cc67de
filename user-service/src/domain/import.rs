//! Users that come from another program: read whole before anything is stored, with every fault of each.

use identity_kit::password::import_hash;
use serde::{Deserialize, Serialize};

use super::{
    access::MAX_ROLES,
    address::Address,
    credential::PasswordHash,
    email::Email,
    id::UserId,
    name::{PermissionName, RoleName, TypeName},
    phone::Phone,
    problem::Problem,
    text::{PersonName, text_type},
    user::{NewUser, UserStatus},
    username::Username,
};

text_type! {
    /// Where users come from, such as `keycloak`: a name like that of a role.
    SourceName
}

impl SourceName {
    /// Reads a name: 1 to 100 of `a-z`, `0-9`, `.`, `_`, `:` and `-`, beginning with a letter.
    ///
    /// # Errors
    /// When it breaks the rule.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        TypeName::parse(raw).map(|name| Self(name.into_string()))
    }
}

text_type! {
    /// What the source calls a user: 1 to 200 printable characters.
    ExternalId
}

impl ExternalId {
    /// The longest id, in characters.
    pub const MAX: usize = 200;

    /// Reads an id. It is kept as it is, so that it can be found again.
    ///
    /// # Errors
    /// When it is empty, too long, or has control characters or white space at an end.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.is_empty() {
            return Err(Problem::Empty);
        }
        if raw.len() > Self::MAX * 4 || raw.chars().count() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        if raw.chars().any(char::is_control) {
            return Err(Problem::ControlCharacter);
        }
        if raw.trim() == raw {
            Ok(Self(raw.to_owned()))
        } else {
            Err(Problem::Format("must not begin or end with white space"))
        }
    }
}

super::text::stored_type!(SourceName, ExternalId);

/// A user as the source tells of them. `Debug` does not show it: it holds a hash.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawUser {
    /// What the source calls the user.
    pub external_id: String,
    /// Username.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// Whether the source has proven the address.
    pub email_verified: bool,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Telephone number; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// Postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The name of the type; empty means the default one.
    pub user_type: String,
    /// The names of roles.
    pub roles: Vec<String>,
    /// The name of the status; empty means active.
    pub status: String,
    /// Permissions given directly, by name: an export tells them, and an import does not take them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub direct_permissions: Vec<String>,
    /// The hash in any form that is taken; empty means none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password_hash: String,
}

/// A user to be imported.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// What the source calls the user.
    pub external_id: ExternalId,
    /// The profile.
    pub new: NewUser,
    /// Whether the source has proven the address.
    pub email_verified: bool,
    /// The type; `None` means the default one.
    pub user_type: Option<TypeName>,
    /// The roles.
    pub roles: Vec<RoleName>,
    /// Whether the user may use the system.
    pub status: UserStatus,
    /// The hash in the text that is stored.
    pub hash: Option<PasswordHash>,
}

/// What is wrong with a user: fields and descriptions, which repeat no value.
pub type Faults = Vec<(String, String)>;

impl ImportedUser {
    /// Reads a user, who gets this id.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn parse(raw: &RawUser, id: UserId) -> Result<Self, Faults> {
        let mut faults = Faults::new();
        let external_id = take(
            &mut faults,
            "external_id",
            ExternalId::parse(&raw.external_id),
        );
        let username = take(&mut faults, "username", Username::parse(&raw.username));
        let email = take(&mut faults, "email", Email::parse(&raw.email));
        let first_name = take(
            &mut faults,
            "first_name",
            PersonName::parse(&raw.first_name),
        );
        let last_name = take(&mut faults, "last_name", PersonName::parse(&raw.last_name));
        let phone = take(&mut faults, "phone", Phone::parse(&raw.phone));
        let address = address(&mut faults, raw.address.as_ref());
        let user_type = optional(&raw.user_type, TypeName::parse);
        let user_type = take(&mut faults, "user_type", user_type);
        let roles = roles(&mut faults, &raw.roles);
        let status = take(&mut faults, "status", status(&raw.status));
        if !raw.direct_permissions.is_empty() {
            let problem = "are not imported: take them out, and grant them to the user afterwards";
            faults.push(("direct_permissions".to_owned(), problem.to_owned()));
        }
        let hash = optional(&raw.password_hash, import_hash);
        let hash = take(&mut faults, "password_hash", hash);
        let read = || {
            Some(Self {
                external_id: external_id?,
                new: NewUser {
                    id,
                    username: username?,
                    email: email?,
                    first_name: first_name?,
                    last_name: last_name?,
                    phone: phone?,
                    address,
                    user_type_id: None,
                },
                email_verified: raw.email_verified,
                user_type: user_type?,
                roles,
                status: status?,
                hash: hash?.map(PasswordHash::stored),
            })
        };
        match read() {
            Some(user) if faults.is_empty() => Ok(user),
            _ => Err(faults),
        }
    }
}

fn take<T>(
    faults: &mut Faults,
    field: &str,
    parsed: Result<T, impl std::fmt::Display>,
) -> Option<T> {
    parsed
        .map_err(|problem| faults.push((field.to_owned(), problem.to_string())))
        .ok()
}

/// Empty text means none.
fn optional<T, E>(raw: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, E> {
    if raw.is_empty() {
        return Ok(None);
    }
    parse(raw).map(Some)
}

fn address(faults: &mut Faults, raw: Option<&Address>) -> Option<Address> {
    match Address::parse(raw?) {
        Ok(address) => address,
        Err(problems) => {
            let named = problems.into_iter();
            faults.extend(
                named.map(|(part, problem)| (format!("address.{part}"), problem.to_string())),
            );
            None
        }
    }
}

fn roles(faults: &mut Faults, raw: &[String]) -> Vec<RoleName> {
    let most = usize::try_from(MAX_ROLES).unwrap_or(usize::MAX);
    if raw.len() > most {
        let problem = Problem::TooMany(most).to_string();
        faults.push(("roles".to_owned(), problem));
        return Vec::new();
    }
    let mut roles = Vec::with_capacity(raw.len());
    for (index, name) in raw.iter().enumerate() {
        let parsed = match RoleName::parse(name) {
            Ok(name) if roles.contains(&name) => Err(Problem::Duplicate),
            other => other,
        };
        roles.extend(take(faults, &format!("roles[{index}]"), parsed));
    }
    roles
}

fn status(raw: &str) -> Result<UserStatus, Problem> {
    if raw.is_empty() {
        return Ok(UserStatus::Active);
    }
    UserStatus::from_stored(raw).ok_or(Problem::Format("must be active, inactive or suspended"))
}

/// Some users to be imported at once, no two under one external id.
#[derive(Clone, Debug)]
pub struct ImportBatch {
    /// Who imports, and can give no more than they hold; `None` is an operator at the database.
    pub caller: Option<UserId>,
    /// Where the users come from.
    pub source: SourceName,
    /// Whether to write nothing.
    pub dry_run: bool,
    /// The users.
    pub users: Vec<ImportedUser>,
}

/// What came of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportResult {
    /// Created under this id; in a dry run, would have been.
    Created(UserId),
    /// Imported before.
    Exists(UserId),
    /// Not created.
    Refused(ImportRefusal),
}

/// Why a user was not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportRefusal {
    /// Fields are wrong.
    Faults(Faults),
    /// Another user has the username.
    UsernameTaken,
    /// Another user has the address.
    EmailTaken,
    /// No such type.
    UserTypeNotFound(TypeName),
    /// No such role.
    RoleNotFound(RoleName),
    /// The caller lacks what a role gives; `None` when only the role admin itself.
    GrantExceedsCaller(Option<PermissionName>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> RawUser {
        RawUser {
            external_id: "17".into(),
            username: "ada".into(),
            email: "ada@example.org".into(),
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            ..RawUser::default()
        }
    }

    fn fields(raw: &RawUser) -> Vec<String> {
        let faults = ImportedUser::parse(raw, UserId::new("a".into())).unwrap_err();
        faults.into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn a_profile_alone_is_an_active_user_without_a_password() {
        let user = ImportedUser::parse(&ada(), UserId::new("a".into())).unwrap();
        assert_eq!(user.status, UserStatus::Active);
        assert!(user.hash.is_none() && user.user_type.is_none() && user.roles.is_empty());
    }

    #[test]
    fn every_fault_is_named_at_once_and_no_value_is_repeated() {
        let raw = RawUser {
            external_id: " 17".into(),
            email: "nobody".into(),
            address: Some(Address {
                country_code: "ch".into(),
                ..Address::default()
            }),
            user_type: "Person".into(),
            roles: vec!["editor".into(), "editor".into(), "B".into()],
            status: "gone".into(),
            password_hash: "hunter2".into(),
            ..ada()
        };
        assert_eq!(
            fields(&raw),
            [
                "external_id",
                "email",
                "address.country_code",
                "user_type",
                "roles[1]",
                "roles[2]",
                "status",
                "password_hash"
            ]
        );
        let faults = ImportedUser::parse(&raw, UserId::new("a".into())).unwrap_err();
        assert!(!format!("{faults:?}").contains("hunter2"));
        let many = RawUser {
            roles: vec!["editor".into(); 101],
            ..ada()
        };
        assert_eq!(fields(&many), ["roles"]);
    }

    #[test]
    fn a_hash_is_read_into_the_text_that_is_stored() {
        let raw = RawUser {
            password_hash: "{SSHA}iGwo6JnfnM9YZ+6uHGSqMh62Q5ZzYWx0".into(),
            ..ada()
        };
        let user = ImportedUser::parse(&raw, UserId::new("a".into())).unwrap();
        assert!(user.hash.unwrap().expose().starts_with("$ssha$"));
    }
}
