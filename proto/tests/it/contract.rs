//! The contract as its own descriptors tell it, with comments, for the tests beside this file.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(identity_proto::DESCRIPTOR_SET).unwrap());

/// Comments by file and path of the descriptor.
static COMMENTS: LazyLock<HashMap<(String, Vec<i32>), String>> = LazyLock::new(|| {
    let mut comments = HashMap::new();
    for file in files() {
        let source = file.file_descriptor_proto().source_code_info.as_ref();
        for location in source.into_iter().flat_map(|source| &source.location) {
            let text = location.leading_comments().trim();
            if !text.is_empty() {
                let key = (file.name().to_owned(), location.path.clone());
                comments.insert(key, text.to_owned());
            }
        }
    }
    comments
});

/// Our own files, by name; those of others are not ours to judge.
pub(crate) fn files() -> Vec<FileDescriptor> {
    let mut files: Vec<_> = POOL
        .files()
        .filter(|file| is_ours(file.package_name()))
        .collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    files
}

pub(crate) fn services() -> Vec<ServiceDescriptor> {
    let mut services: Vec<_> = POOL
        .services()
        .filter(|service| is_ours(service.package_name()))
        .collect();
    services.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    services
}

pub(crate) fn methods() -> Vec<MethodDescriptor> {
    let mut methods: Vec<_> = services()
        .iter()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    methods.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    methods
}

/// Messages, also those inside others.
pub(crate) fn messages() -> Vec<MessageDescriptor> {
    let mut messages: Vec<_> = POOL
        .all_messages()
        .filter(|message| is_ours(message.package_name()))
        .collect();
    messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    messages
}

pub(crate) fn enums() -> Vec<EnumDescriptor> {
    let mut enums: Vec<_> = POOL
        .all_enums()
        .filter(|found| is_ours(found.package_name()))
        .collect();
    enums.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    enums
}

fn is_ours(package: &str) -> bool {
    package == "identity" || package.starts_with("identity.")
}

/// The comment that stands before something; empty when there is none.
pub(crate) fn comment(file: &FileDescriptor, path: &[i32]) -> &'static str {
    COMMENTS
        .get(&(file.name().to_owned(), path.to_vec()))
        .map_or("", String::as_str)
}

/// The option of an RPC, such as its rule.
pub(crate) fn option(method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
    let extension = POOL.get_extension_by_name(name).unwrap();
    let options = method.options();
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).as_message().cloned())
        .flatten()
}

/// The rule of an RPC: the name of its kind, and what the kind says.
pub(crate) fn rule(method: &MethodDescriptor) -> Option<(String, DynamicMessage)> {
    let rule = option(method, "identity.access.v1.rule")?;
    let (kind, value) = rule.fields().next()?;
    Some((kind.name().to_owned(), value.as_message()?.clone()))
}

/// A field of a message that is a text.
pub(crate) fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field).unwrap();
    value.as_str().unwrap().to_owned()
}
