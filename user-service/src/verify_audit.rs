//! The verb that walks along the audit log and says whether it holds.

use identity_kit::{
    audit::{Mark, Verified, VerifyError},
    clock::SharedClock,
    config::ConfigError,
    entropy::SharedEntropy,
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    config::{Config, VerifyAuditArgs},
    setup::{self, SetupError},
};

/// Why the log was not found good.
#[derive(Debug, Error)]
pub enum VerifyAuditError {
    /// The database cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It does not hold, or the database does not answer.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl VerifyAuditError {
    /// Whether the log was read and does not hold.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self, Self::Verify(VerifyError::Broken { .. }))
    }
}

/// Verifies the log, beside whoever writes, and answers what to print.
///
/// # Errors
/// The first place where the log does not hold, or why it was not read.
pub async fn run(
    config: &Config,
    args: &VerifyAuditArgs,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Result<Value, VerifyAuditError> {
    let noted = args
        .head
        .iter()
        .map(|head| parse(head))
        .collect::<Result<Vec<_>, _>>()?;
    let database = config.database.config(false)?;
    let store = setup::look(config, &database, clock, entropy).await?;
    let verified = store.verify_audit(&noted).await;
    store.database().close().await;
    let Verified {
        count,
        anchor,
        head,
    } = verified?;
    Ok(json!({ "count": count, "trimmed_to": anchor.sequence, "head": head.to_string() }))
}

/// A head as this verb and the log of the service say it.
fn parse(text: &str) -> Result<Mark, ConfigError> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.split_once(':')
        .filter(|(_, hash)| hash.len() == 64 && hash.bytes().all(is_digit))
        .and_then(|(sequence, hash)| {
            Some(Mark {
                sequence: sequence.parse().ok().filter(|&sequence| sequence > 0)?,
                hash: hash.to_owned(),
            })
        })
        .ok_or_else(|| {
            ConfigError::new(
                "--head",
                "is no head of the log",
                "give a sequence number, a colon and 64 hexadecimal digits, as this verb prints them",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let hash = "0123456789abcdef".repeat(4);
        let head = Mark { sequence: 7, hash };
        assert_eq!(parse(&head.to_string()).unwrap(), head);
        for text in [
            "",
            "7",
            "7:",
            "7:abc",
            &format!("0:{}", head.hash),
            &format!("x:{}", head.hash),
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
