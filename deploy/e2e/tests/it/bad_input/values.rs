//! Messages that are right but for one field, made from descriptors.

use std::sync::atomic::{AtomicUsize, Ordering};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// What is wrong with the one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Empty,
    TooLong,
    Nul,
    Control,
    Reordering,
    UnknownEnumValue,
    Negative,
}

impl Fault {
    /// The faults of a text.
    const OF_TEXT: [Self; 5] = [
        Self::Empty,
        Self::TooLong,
        Self::Nul,
        Self::Control,
        Self::Reordering,
    ];

    fn text(self) -> String {
        match self {
            Self::TooLong => "a".repeat(20_000),
            Self::Nul => "ada\0lovelace".to_owned(),
            Self::Control => "ada\u{1b}[2Jlovelace".to_owned(),
            // Shown from right to left by whoever prints it.
            Self::Reordering => "ada\u{202e}ecalevol".to_owned(),
            Self::Empty | Self::UnknownEnumValue | Self::Negative => String::new(),
        }
    }

    /// Whether no value of this kind may ever be accepted in this field.
    pub(super) fn is_always_wrong(self, field: &str) -> bool {
        // A cursor that the server does not know, whatever it looks like, is answered with a snapshot.
        if field.starts_with("start.cursor.") {
            return false;
        }
        match self {
            Self::TooLong | Self::UnknownEnumValue | Self::Negative => true,
            // A password is whatever its owner typed.
            Self::Nul | Self::Control => !field.ends_with("password"),
            Self::Empty | Self::Reordering => false,
        }
    }
}

/// A message with one fault.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) field: String,
    pub(super) fault: Fault,
    pub(super) message: DynamicMessage,
}

/// Messages whose fields are credentials: a wrong one is a wrong credential, however it looks.
pub(super) fn is_credential(message: &str) -> bool {
    [
        "LoginRequest",
        "ContinueLoginRequest",
        "RefreshTokenRequest",
        "ValidateTokenRequest",
    ]
    .iter()
    .any(|name| message == format!("identity.auth.v1.{name}"))
}

/// Every message with one fault, of every field at every depth.
pub(super) fn mutations(message: &MessageDescriptor) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for field in message.fields() {
        for (path, fault, value) in faults(&field) {
            let mut message = valid(message);
            message.set_field(&field, value);
            mutations.push(Mutation {
                field: path,
                fault,
                message,
            });
        }
    }
    mutations
}

/// A message that could be meant: new names, ids of nothing, no filters.
pub(super) fn valid(message: &MessageDescriptor) -> DynamicMessage {
    let mut valid = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if let Some(value) = valid_value(&field) {
            valid.set_field(&field, value);
        }
    }
    valid
}

fn faults(field: &FieldDescriptor) -> Vec<(String, Fault, Value)> {
    let name = field.name();
    let whole = |value| {
        if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        }
    };
    match field.kind() {
        Kind::String => Fault::OF_TEXT
            .into_iter()
            .map(|fault| (name.to_owned(), fault, whole(Value::String(fault.text()))))
            .collect(),
        Kind::Enum(_) => vec![(
            name.to_owned(),
            Fault::UnknownEnumValue,
            whole(Value::EnumNumber(99)),
        )],
        Kind::Int32 => vec![(name.to_owned(), Fault::Negative, whole(Value::I32(-1)))],
        Kind::Message(message) if message.full_name().starts_with("identity.") => {
            mutations(&message)
                .into_iter()
                .map(|inner| {
                    let path = format!("{name}.{}", inner.field);
                    (path, inner.fault, whole(Value::Message(inner.message)))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A value that no validation refuses; `None` leaves the field out.
fn valid_value(field: &FieldDescriptor) -> Option<Value> {
    let in_oneof_but_not_first = field
        .containing_oneof()
        .is_some_and(|oneof| oneof.fields().next().as_ref() != Some(field));
    if in_oneof_but_not_first {
        return None;
    }
    let value = match field.kind() {
        Kind::String => Value::String(valid_text(field)?),
        Kind::Message(message) if field.name() == "max_staleness" => {
            let mut second = DynamicMessage::new(message);
            second.set_field_by_name("seconds", Value::I64(1));
            Value::Message(second)
        }
        Kind::Message(message)
            if message.full_name().starts_with("identity.")
                && !message.name().starts_with("Assurance") =>
        {
            Value::Message(valid(&message))
        }
        Kind::Enum(kind) if kind.name() == "PasswordChangeCause" => Value::EnumNumber(2),
        _ => return None,
    };
    Some(if field.is_list() {
        Value::List(vec![value])
    } else {
        value
    })
}

fn valid_text(field: &FieldDescriptor) -> Option<String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    Some(match field.name() {
        // As a filter, and in a user, it may be left out.
        "user_type_id" if !field.parent_message().name().contains("UserType") => return None,
        // The shape of an id, and nobody's.
        "user_id" | "user_ids" | "role_id" | "role_ids" | "permission_id" | "permission_ids"
        | "session_id" | "user_type_id" => "zzzzzzzzzzzzzzzzzzzzzzzz".to_owned(),
        "username" | "name" | "identifier" | "login" => format!("valid-{unique}"),
        "email" => format!("valid-{unique}@example.org"),
        "first_name" | "last_name" | "city" => "Ada".to_owned(),
        "phone" => "+41446681800".to_owned(),
        "country_code" => "CH".to_owned(),
        "postal_code" => "8001".to_owned(),
        "password" | "new_password" => format!("a fine long password {unique}"),
        "permissions" => "users.read".to_owned(),
        "operation_id" => format!("operation-{unique}"),
        "password_hash" => {
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$0LNR2fVyB4TkPr9f5Fnyf8Y0HqJjG5y4bW8PZQ7XxJ0"
                .to_owned()
        }
        "access_token" | "refresh_token" | "challenge_token" => "none-of-ours".to_owned(),
        "watcher_name" => "watcher".to_owned(),
        _ => return None,
    })
}
