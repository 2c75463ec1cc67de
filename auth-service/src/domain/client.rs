//! Who calls: the program, its address, and the id that marks a repeated call.

/// The longest client id and request id, in characters.
const MAX_LENGTH: usize = 64;
/// The longest `user-agent` that is kept, in characters.
const MAX_USER_AGENT_LENGTH: usize = 200;
/// The client id of programs that name none.
const DEFAULT_CLIENT: &str = "default";

/// The text cannot be a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 64 characters of a-z, 0-9, '.', '_', ':' and '-'")]
pub struct InvalidClientId;

/// The program that a user logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId(String);

impl ClientId {
    /// Takes a client id; empty means `default`.
    ///
    /// # Errors
    ///
    /// [`InvalidClientId`] when it is too long or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidClientId> {
        let valid = text.len() <= MAX_LENGTH
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte)
            });
        match (valid, text) {
            (false, _) => Err(InvalidClientId),
            (true, "") => Ok(Self(DEFAULT_CLIENT.to_owned())),
            (true, text) => Ok(Self(text.to_owned())),
        }
    }

    /// Takes a client id from the own database.
    #[must_use]
    pub fn trusted(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text cannot be a request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 64 printable ASCII characters")]
pub struct InvalidRequestId;

/// Marks a call, so that its repetition is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes a request id; empty means none.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestId`] when it is too long or not printable ASCII.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidRequestId> {
        if text.len() > MAX_LENGTH || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(InvalidRequestId);
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// Takes a request id from the own database.
    #[must_use]
    pub fn trusted(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where and with what a user logs in: kept with the session, shown to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientContext {
    /// The program.
    pub client_id: ClientId,
    /// The network address; empty when not known.
    pub ip_address: String,
    /// The `user-agent`, at most 200 characters; empty when not known.
    pub user_agent: String,
}

impl ClientContext {
    /// Puts a context together; an over-long `user-agent` is cut, control characters are dropped.
    #[must_use]
    pub fn new(client_id: ClientId, ip_address: String, user_agent: &str) -> Self {
        let user_agent = user_agent
            .chars()
            .filter(|character| !character.is_control())
            .take(MAX_USER_AGENT_LENGTH)
            .collect();
        Self {
            client_id,
            ip_address,
            user_agent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientContext, ClientId, RequestId};

    #[test]
    fn an_absent_client_id_is_the_default_one() {
        assert_eq!(ClientId::parse("").unwrap().as_str(), "default");
        assert_eq!(ClientId::parse("web:1").unwrap().as_str(), "web:1");
        for text in ["Web", "a b", "\0", &"a".repeat(65)] {
            assert!(ClientId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn request_ids_are_printable() {
        assert_eq!(RequestId::parse("").unwrap(), None);
        assert!(RequestId::parse("a-1").unwrap().is_some());
        assert!(RequestId::parse("a\n").is_err());
    }

    #[test]
    fn a_long_user_agent_is_cut() {
        let context = ClientContext::new(
            ClientId::parse("").unwrap(),
            String::new(),
            &"é\n".repeat(300),
        );
        assert_eq!(context.user_agent, "é".repeat(200));
    }
}
