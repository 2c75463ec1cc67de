//! What is to be written: an act, its outcome, and what it changed.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

/// What kind of actor it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// A user, by a session.
    User,
    /// Another service, by its identity.
    Service,
    /// Whoever runs a verb on the machine.
    Operator,
    /// The service itself.
    System,
    /// Nobody who is known.
    Anonymous,
}

impl ActorKind {
    /// The name under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Operator => "operator",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    pub(super) fn from_stored(name: &str) -> Option<Self> {
        [
            Self::User,
            Self::Service,
            Self::Operator,
            Self::System,
            Self::Anonymous,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The id of the user, the name of the service, the verb, or the part of this service.
    pub id: String,
    /// The session by which the user acted; otherwise empty.
    pub session_id: String,
}

impl Actor {
    /// A user by a session.
    #[must_use]
    pub fn user(id: impl Into<String>, session_id: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::User,
            id: id.into(),
            session_id: session_id.into(),
        }
    }

    /// A service by its name.
    #[must_use]
    pub fn service(name: impl Into<String>) -> Self {
        Self::without_session(ActorKind::Service, name.into())
    }

    /// Whoever runs a verb.
    #[must_use]
    pub fn operator(verb: &str) -> Self {
        Self::without_session(ActorKind::Operator, verb.to_owned())
    }

    /// A part of this service that acts by itself.
    #[must_use]
    pub fn system(part: &str) -> Self {
        Self::without_session(ActorKind::System, part.to_owned())
    }

    /// Nobody who is known, where an RPC is for everybody.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self::without_session(ActorKind::Anonymous, String::new())
    }

    const fn without_session(kind: ActorKind, id: String) -> Self {
        Self {
            kind,
            id,
            session_id: String::new(),
        }
    }
}

/// What was acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its type, such as `user`; empty where it is not known.
    pub kind: Cow<'static, str>,
    /// Its id; empty where it is not known.
    pub id: String,
}

impl Subject {
    /// A subject by its type and id.
    #[must_use]
    pub fn new(kind: &'static str, id: impl Into<String>) -> Self {
        Self {
            kind: Cow::Borrowed(kind),
            id: id.into(),
        }
    }

    /// The name under which its key is kept.
    pub(super) fn key_name(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

/// Somebody does something, by a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub actor: Actor,
    /// What: the name of the RPC, such as `CreateUser`, or of the verb.
    pub action: Cow<'static, str>,
    /// To what.
    pub subject: Subject,
    /// The id of the call; empty for what is no call.
    pub request_id: String,
}

impl Act {
    /// An act on something that is not known yet.
    #[must_use]
    pub fn new(actor: Actor, action: impl Into<Cow<'static, str>>) -> Self {
        Self {
            actor,
            action: action.into(),
            subject: Subject::default(),
            request_id: String::new(),
        }
    }

    /// By this call.
    #[must_use]
    pub fn by_request(self, request_id: impl Into<String>) -> Self {
        Self {
            request_id: request_id.into(),
            ..self
        }
    }

    /// On this subject.
    #[must_use]
    pub fn on(self, subject: Subject) -> Self {
        Self { subject, ..self }
    }
}

/// Whether an act was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Refused for want of a right.
    Refused,
}

impl Outcome {
    /// The name under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }

    pub(super) fn from_stored(name: &str) -> Option<Self> {
        [Self::Done, Self::Refused]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}

/// What a field was before and is after; a field that has not one value has none or many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The name of the field.
    pub field: String,
    /// What was there and is no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// What is there and was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// What an act did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(super) plain: Details,
    pub(super) personal: Vec<Change>,
    pub(super) erases: bool,
}

/// The plain part, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Details {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) facts: BTreeMap<String, String>,
}

impl Record {
    /// Adds a field that changed: ids, statuses, names of things. Never a personal datum, which would outlive its
    /// subject here.
    #[must_use]
    pub fn changed<B, A>(mut self, field: &str, before: B, after: A) -> Self
    where
        B: IntoIterator<Item: Into<String>>,
        A: IntoIterator<Item: Into<String>>,
    {
        self.plain.changes.extend(change(field, before, after));
        self
    }

    /// Adds a field that changed whose values are sealed under the key of the subject.
    ///
    /// The subject's own row must be locked by the transaction, so that its key is made once and not after its end.
    #[must_use]
    pub fn personal<B, A>(mut self, field: &str, before: B, after: A) -> Self
    where
        B: IntoIterator<Item: Into<String>>,
        A: IntoIterator<Item: Into<String>>,
    {
        self.personal.extend(change(field, before, after));
        self
    }

    /// Adds a fact that is no change, under the same rule as a plain field.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.plain.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Destroys the key of the subject with this act.
    #[must_use]
    pub const fn erasing(mut self) -> Self {
        self.erases = true;
        self
    }
}

/// The change of a field, unless nothing changed.
fn change<B, A>(field: &str, before: B, after: A) -> Option<Change>
where
    B: IntoIterator<Item: Into<String>>,
    A: IntoIterator<Item: Into<String>>,
{
    let before: Vec<String> = before.into_iter().map(Into::into).collect();
    let after: Vec<String> = after.into_iter().map(Into::into).collect();
    (before != after).then(|| Change {
        field: field.to_owned(),
        before,
        after,
    })
}

/// An act with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The act.
    pub act: Act,
    /// Whether it was done.
    pub outcome: Outcome,
    /// What it did.
    pub record: Record,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_change_is_not_recorded() {
        let record = Record::default()
            .changed("status", ["active"], ["active"])
            .personal("email", ["a@example.org"], ["b@example.org"])
            .changed("role_ids", None::<String>, ["clerk"]);
        assert_eq!(record.plain.changes.len(), 1);
        assert_eq!(record.personal[0].field, "email");
    }

    #[test]
    fn kinds_and_outcomes_are_read_as_they_are_stored() {
        assert_eq!(
            ActorKind::from_stored("operator"),
            Some(ActorKind::Operator)
        );
        assert_eq!(ActorKind::from_stored("ghost"), None);
        assert_eq!(Outcome::from_stored("refused"), Some(Outcome::Refused));
    }
}
