//! Bad input in every field of every request: always named, never a defect.

use identity_guard::{ErrorReason, status::reason_of};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::harness::World;

/// Messages of this kind that each have one bad value, with the path of its field.
fn spoilt(kind: &MessageDescriptor) -> Vec<(String, DynamicMessage)> {
    let mut messages = Vec::new();
    for field in kind.fields() {
        for (path, value) in bad_values(&field) {
            let mut message = DynamicMessage::new(kind.clone());
            message.set_field(&field, value);
            messages.push((path, message));
        }
    }
    messages
}

fn bad_values(field: &FieldDescriptor) -> Vec<(String, Value)> {
    let name = field.name().to_owned();
    match field.kind() {
        Kind::String => ["\0", "a\nb", "\u{7f}", &"x".repeat(5_000)]
            .into_iter()
            .map(|text| {
                let text = Value::String(text.to_owned());
                if field.is_list() {
                    (format!("{name}[0]"), Value::List(vec![text]))
                } else {
                    (name.clone(), text)
                }
            })
            .collect(),
        Kind::Enum(_) => vec![(name, Value::EnumNumber(99))],
        // A timestamp or mask of the library has its own tests.
        Kind::Message(kind) if kind.full_name().starts_with("identity.") && !field.is_list() => {
            spoilt(&kind)
                .into_iter()
                .map(|(path, message)| (format!("{name}.{path}"), Value::Message(message)))
                .collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_never_a_defect() {
    let pool = DescriptorPool::decode(identity_proto::DESCRIPTOR_SET).unwrap();
    for world in World::all().await {
        for service in pool
            .services()
            .filter(|service| service.package_name() == "identity.user.v1")
        {
            // What is said on a stream has tests of its own.
            for method in service
                .methods()
                .filter(|method| !method.is_client_streaming())
            {
                let path = format!("/{}/{}", service.full_name(), method.name());
                for (field, message) in spoilt(&method.input()) {
                    let status = world.call(&path, message).await.expect_err(&path);
                    assert_eq!(
                        reason_of(&status),
                        Some(ErrorReason::InvalidFields),
                        "{path} {field}: {status:?}"
                    );
                    let named = crate::harness::violated(Err::<(), _>(status));
                    assert!(named.contains(&field), "{path} {field}: {named:?}");
                }
            }
        }
    }
}
