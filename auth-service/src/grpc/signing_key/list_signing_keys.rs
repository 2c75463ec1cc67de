//! `ListSigningKeys`: the keys, newest first.

use identity_guard::status::Failure;
use identity_kit::violations::Violations;
use identity_proto::auth::v1::{ListSigningKeysRequest, ListSigningKeysResponse};

use crate::{
    authority::{AuthError, Authority, FeedWait},
    domain::signing_key::SigningKey,
    grpc::{convert, parse::min_revision},
    store::keys,
};

/// Serves the RPC.
pub(super) async fn list_signing_keys(
    authority: &Authority,
    message: &ListSigningKeysRequest,
) -> Result<ListSigningKeysResponse, Failure> {
    let wait = parse(authority, message)?;
    let keys = act(authority, &wait).await?;
    Ok(ListSigningKeysResponse {
        signing_keys: keys.iter().map(convert::signing_key).collect(),
    })
}

fn parse(authority: &Authority, message: &ListSigningKeysRequest) -> Result<FeedWait, Failure> {
    let mut violations = Violations::new();
    let wait = min_revision(&mut violations, authority, &message.min_revision);
    violations.finish()?;
    Ok(wait)
}

async fn act(authority: &Authority, wait: &FeedWait) -> Result<Vec<SigningKey>, AuthError> {
    authority.wait_for(wait).await?;
    Ok(keys::list(authority.database.reader()).await?)
}
