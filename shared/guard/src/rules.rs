//! Who may call each RPC, read from the rules that the contract carries as method options.

mod descriptor;

use std::collections::{BTreeSet, HashMap};

use descriptor::{Contract, Method};
use identity_proto::access::v1::{Rule as WireRule, rule::Kind};
use prost::Message;

/// Who may call an RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anybody, without a credential.
    Public,
    /// Anybody with a valid access token.
    Authenticated,
    /// A caller who holds the permission.
    Permission(String),
    /// The user whom the request names, or a caller who holds the permission.
    SelfOrPermission {
        /// The permission.
        permission: String,
        /// The field numbers that lead from the request message to the user id.
        field: Vec<u32>,
    },
    /// A service whose identity has the scope.
    Service {
        /// The scope.
        scope: String,
    },
}

/// Why the rules of a contract cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The bytes are no descriptor set.
    #[error("the descriptor set cannot be decoded")]
    Undecodable(#[from] prost::DecodeError),
    /// An RPC without a rule.
    #[error("{method} has no access rule")]
    Missing {
        /// The path of the RPC.
        method: String,
    },
    /// A rule that says nothing, or something that this version does not know.
    #[error("the access rule of {method} has no kind that is known here")]
    UnknownKind {
        /// The path of the RPC.
        method: String,
    },
    /// A rule without the name of its permission or scope.
    #[error("the access rule of {method} names no permission or scope")]
    Unnamed {
        /// The path of the RPC.
        method: String,
    },
    /// A rule whose field does not hold a user id.
    #[error("the access rule of {method} names the field {field:?}, which {problem}")]
    Field {
        /// The path of the RPC.
        method: String,
        /// The field's path.
        field: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A service that the descriptor set does not have.
    #[error("the descriptor set has no service {service}")]
    UnknownService {
        /// Its full name.
        service: String,
    },
}

/// The rules of a contract, by RPC.
#[derive(Clone, Debug)]
pub struct Rules {
    by_path: HashMap<String, Rule>,
    without_rule: BTreeSet<String>,
    services: BTreeSet<String>,
}

impl Rules {
    /// Reads the rules from an encoded `google.protobuf.FileDescriptorSet` with its options.
    ///
    /// # Errors
    ///
    /// When the set cannot be decoded or a rule in it is malformed. An RPC without a rule is no error here, since
    /// the set may hold services that are not ours: see [`Rules::require`].
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, RulesError> {
        let contract = Contract::new(descriptor::FileDescriptorSet::decode(bytes)?);
        let mut rules = Self {
            by_path: HashMap::new(),
            without_rule: BTreeSet::new(),
            services: contract.services().collect(),
        };
        for method in contract.methods() {
            match &method.rule {
                Some(rule) => {
                    let rule = read(rule, &method, &contract)?;
                    rules.by_path.insert(method.path, rule);
                }
                None => {
                    rules.without_rule.insert(method.path);
                }
            }
        }
        Ok(rules)
    }

    /// The rule of an RPC by its path, `/package.Service/Method`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Rule> {
        self.by_path.get(path)
    }

    /// Every permission that a rule names.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<String> {
        self.by_path
            .values()
            .filter_map(|rule| match rule {
                Rule::Permission(permission) | Rule::SelfOrPermission { permission, .. } => {
                    Some(permission.clone())
                }
                Rule::Public | Rule::Authenticated | Rule::Service { .. } => None,
            })
            .collect()
    }

    /// Every RPC that has a rule, with it; in no order.
    pub fn methods(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.by_path
            .iter()
            .map(|(path, rule)| (path.as_str(), rule))
    }

    /// Checks that every RPC of these services has a rule.
    ///
    /// # Errors
    ///
    /// Names the first RPC without one, or the first service that is not in the descriptor set.
    pub fn require(&self, service_names: &[&str]) -> Result<(), RulesError> {
        for service in service_names {
            if !self.services.contains(*service) {
                return Err(RulesError::UnknownService {
                    service: (*service).to_owned(),
                });
            }
            let prefix = format!("/{service}/");
            if let Some(method) = self
                .without_rule
                .iter()
                .find(|path| path.starts_with(&prefix))
            {
                return Err(RulesError::Missing {
                    method: method.clone(),
                });
            }
        }
        Ok(())
    }
}

fn read(rule: &WireRule, method: &Method, contract: &Contract) -> Result<Rule, RulesError> {
    let named = |name: &str| {
        if name.is_empty() {
            return Err(RulesError::Unnamed {
                method: method.path.clone(),
            });
        }
        Ok(name.to_owned())
    };
    match &rule.kind {
        None => Err(RulesError::UnknownKind {
            method: method.path.clone(),
        }),
        Some(Kind::Public(_)) => Ok(Rule::Public),
        Some(Kind::Authenticated(_)) => Ok(Rule::Authenticated),
        Some(Kind::Permission(permission)) => Ok(Rule::Permission(named(&permission.name)?)),
        Some(Kind::SelfOrPermission(rule)) => Ok(Rule::SelfOrPermission {
            permission: named(&rule.name)?,
            field: contract
                .string_field(&method.input_type, &rule.field)
                .map_err(|problem| RulesError::Field {
                    method: method.path.clone(),
                    field: rule.field.clone(),
                    problem,
                })?,
        }),
        Some(Kind::Service(service)) => Ok(Rule::Service {
            scope: named(&service.scope)?,
        }),
    }
}

#[cfg(test)]
mod tests;
