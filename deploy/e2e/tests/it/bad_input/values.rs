//! Messages that are right but for one field, made from descriptors.

use std::sync::atomic::{AtomicUsize, Ordering};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::fault::Fault;

/// A message with one fault.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) field: String,
    pub(super) fault: Fault,
    pub(super) message: DynamicMessage,
}

/// Whether the field of a request is a credential: a wrong one is a wrong credential, however it looks.
pub(super) fn is_credential(message: &str, field: &str) -> bool {
    credentials(message).contains(&field)
}

/// The credentials of a request that has some.
pub(super) fn credentials(message: &str) -> &'static [&'static str] {
    match message {
        "identity.auth.v1.LoginRequest" => &["identifier", "password"],
        "identity.auth.v1.ContinueLoginRequest" => &["challenge_token"],
        "identity.auth.v1.RefreshTokenRequest" => &["refresh_token"],
        "identity.auth.v1.ValidateTokenRequest" => &["access_token"],
        "identity.user.v1.ConfirmEmailRequest" => &["token"],
        _ => &[],
    }
}

/// Every message with one fault, of every field at every depth.
pub(super) fn mutations(message: &MessageDescriptor) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for field in message.fields() {
        for (path, fault, value) in faults(&field) {
            let mut message = valid(message);
            match value {
                Some(value) => message.set_field(&field, value),
                None => message.clear_field(&field),
            }
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

fn faults(field: &FieldDescriptor) -> Vec<(String, Fault, Option<Value>)> {
    let name = field.name();
    let whole = |value| {
        Some(if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        })
    };
    let each = |faults: &[Fault], value: &dyn Fn(Fault) -> Value| -> Vec<_> {
        let one = |&fault: &Fault| (name.to_owned(), fault, whole(value(fault)));
        faults.iter().map(one).collect()
    };
    let mut faults = match field.kind() {
        Kind::String => each(&Fault::OF_TEXT, &|fault| Value::String(fault.text())),
        Kind::Enum(_) => each(&[Fault::UnknownEnumValue], &|_| Value::EnumNumber(99)),
        Kind::Int32 => each(&[Fault::Negative], &|_| Value::I32(-1)),
        Kind::Uint64 => each(&[Fault::Greatest], &|_| Value::U64(u64::MAX)),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.FieldMask" => {
                let known = changed_field(field.parent_message());
                each(&Fault::OF_MASK, &|fault| {
                    fault.mask(message.clone(), &known)
                })
            }
            "google.protobuf.Duration" | "google.protobuf.Timestamp" => {
                each(&Fault::OF_TIME, &|fault| fault.time(message.clone()))
            }
            _ => mutations(&message)
                .into_iter()
                .map(|inner| {
                    let path = format!("{name}.{}", inner.field);
                    (path, inner.fault, whole(Value::Message(inner.message)))
                })
                .collect(),
        },
        _ => Vec::new(),
    };
    if matches!(field.kind(), Kind::Message(_)) && valid_value(field).is_some() {
        faults.push((name.to_owned(), Fault::Absent, None));
    }
    faults
}

/// A field that the mask of a request can name.
fn changed_field(request: &MessageDescriptor) -> String {
    let update = request.fields().find_map(|field| match field.kind() {
        Kind::Message(message) if message.name().ends_with("Update") => Some(message),
        _ => None,
    });
    let update = update.expect("a mask goes with an update");
    update.fields().next().unwrap().name().to_owned()
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
        Kind::Enum(kind) if kind.name() == "CancelMode" => Value::EnumNumber(1),
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
        "plan" => "PREMIUM".to_owned(),
        "operation_id" => format!("operation-{unique}"),
        "password_hash" => {
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$0LNR2fVyB4TkPr9f5Fnyf8Y0HqJjG5y4bW8PZQ7XxJ0"
                .to_owned()
        }
        "access_token" | "refresh_token" | "challenge_token" => "none-of-ours".to_owned(),
        "token" => format!("ide_none_{}", "A".repeat(43)),
        "epoch" => "epoch-of-another-database".to_owned(),
        "watcher_name" | "watcher_id" => "watcher".to_owned(),
        _ => return None,
    })
}
