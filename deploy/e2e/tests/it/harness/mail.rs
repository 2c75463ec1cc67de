//! Mails that are to be sent, as auth-service asks for them.

use std::fs;

use identity_dev::service::Service;
use identity_proto::user::v1::{
    ClaimPendingMailsRequest, PendingMail, credential_service_client::CredentialServiceClient,
};
use tonic::{Extensions, Request, transport::Channel};

use super::{World, raw};

/// What a mailer is to send now. The internal link must be one of service keys.
pub(crate) async fn claim(world: &World) -> Vec<PendingMail> {
    let key = fs::read_to_string(world.material.service_key(Service::Auth)).unwrap();
    let target = format!("http://{}", world.user.launch.endpoints.internal);
    let channel = Channel::from_shared(target)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let message = ClaimPendingMailsRequest {
        limit: 100,
        sent_mail_ids: Vec::new(),
    };
    let request = Request::from_parts(raw::service_key(key.trim()), Extensions::default(), message);
    let answer = CredentialServiceClient::new(channel)
        .claim_pending_mails(request)
        .await
        .unwrap();
    answer.into_inner().mails
}
