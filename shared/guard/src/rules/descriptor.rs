//! The parts of a descriptor set that rules need, as messages that keep our option.
//!
//! `prost_types` drops options that it does not know, so these mirror `google/protobuf/descriptor.proto` with the
//! option of the contract as an ordinary field.

use std::collections::HashMap;

use identity_proto::access::v1::Rule;

const LABEL_REPEATED: i32 = 3;
const TYPE_STRING: i32 = 9;
const TYPE_MESSAGE: i32 = 11;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileDescriptorSet {
    #[prost(message, repeated, tag = "1")]
    pub file: Vec<FileDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileDescriptor {
    #[prost(string, tag = "2")]
    pub package: String,
    #[prost(message, repeated, tag = "4")]
    pub message_type: Vec<MessageDescriptor>,
    #[prost(message, repeated, tag = "6")]
    pub service: Vec<ServiceDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageDescriptor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub field: Vec<FieldDescriptor>,
    #[prost(message, repeated, tag = "3")]
    pub nested_type: Vec<MessageDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FieldDescriptor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "3")]
    pub number: i32,
    #[prost(int32, tag = "4")]
    pub label: i32,
    #[prost(int32, tag = "5")]
    pub kind: i32,
    #[prost(string, tag = "6")]
    pub type_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ServiceDescriptor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub method: Vec<MethodDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MethodDescriptor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub input_type: String,
    #[prost(message, optional, tag = "4")]
    pub options: Option<MethodOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MethodOptions {
    #[prost(message, optional, tag = "50710")]
    pub rule: Option<Rule>,
}

/// An RPC.
pub(super) struct Method {
    /// `/package.Service/Method`.
    pub path: String,
    /// The full name of the request message, with its leading dot.
    pub input_type: String,
    /// Its rule, when it has one.
    pub rule: Option<Rule>,
}

/// A descriptor set with its messages by name.
pub(super) struct Contract {
    /// Service by full name.
    services: Vec<(String, ServiceDescriptor)>,
    /// Fields of a message by its full name, with its leading dot.
    messages: HashMap<String, Vec<FieldDescriptor>>,
}

impl Contract {
    pub(super) fn new(set: FileDescriptorSet) -> Self {
        let mut contract = Self {
            services: Vec::new(),
            messages: HashMap::new(),
        };
        for file in set.file {
            let scope = if file.package.is_empty() {
                String::new()
            } else {
                format!(".{}", file.package)
            };
            for message in file.message_type {
                contract.add_message(&scope, message);
            }
            for service in file.service {
                let name = format!("{scope}.{}", service.name);
                contract
                    .services
                    .push((name.trim_start_matches('.').to_owned(), service));
            }
        }
        contract
    }

    fn add_message(&mut self, scope: &str, message: MessageDescriptor) {
        let name = format!("{scope}.{}", message.name);
        for nested in message.nested_type {
            self.add_message(&name, nested);
        }
        self.messages.insert(name, message.field);
    }

    pub(super) fn services(&self) -> impl Iterator<Item = String> {
        self.services.iter().map(|(name, _)| name.clone())
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = Method> {
        self.services.iter().flat_map(|(service, descriptor)| {
            descriptor.method.iter().map(move |method| Method {
                path: format!("/{service}/{}", method.name),
                input_type: method.input_type.clone(),
                rule: method
                    .options
                    .as_ref()
                    .and_then(|options| options.rule.clone()),
            })
        })
    }

    /// The field numbers of a dotted path to a singular string, or what is wrong with it.
    pub(super) fn string_field(&self, message: &str, path: &str) -> Result<Vec<u32>, &'static str> {
        let mut message = message;
        let mut numbers = Vec::new();
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let field = self
                .messages
                .get(message)
                .and_then(|fields| fields.iter().find(|field| field.name == name))
                .ok_or("does not exist")?;
            if field.label == LABEL_REPEATED {
                return Err("is repeated");
            }
            let wanted = if names.peek().is_some() {
                TYPE_MESSAGE
            } else {
                TYPE_STRING
            };
            if field.kind != wanted {
                return Err(if wanted == TYPE_STRING {
                    "is no string"
                } else {
                    "leads through something that is no message"
                });
            }
            numbers.push(u32::try_from(field.number).map_err(|_| "has no valid number")?);
            message = &field.type_name;
        }
        Ok(numbers)
    }
}
