//! Hands out the mails that are to be sent about addresses to be proven.

use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    ClaimPendingMailsRequest, ClaimPendingMailsResponse, MailPurpose as WirePurpose,
    PendingMail as WireMail,
};
use tonic::Request;

use super::super::{
    context::{Context, act},
    fields::{self, failure},
};
use crate::domain::{
    email_proof::{EmailToken, MailPurpose, PendingMail},
    id::UserId,
};

/// Most mails at once.
const MAX: u64 = 100;

pub(super) async fn handle(
    context: &Context,
    request: Request<ClaimPendingMailsRequest>,
) -> Result<ClaimPendingMailsResponse, Failure> {
    let act = act(&request, "ClaimPendingMails");
    let (limit, sent) = parse(request.get_ref())?;
    let mails = context
        .store
        .claim_mails(act, limit, sent, context.entropy.clone(), context.now())
        .await?;
    Ok(ClaimPendingMailsResponse {
        mails: mails.into_iter().map(render).collect(),
    })
}

fn parse(request: &ClaimPendingMailsRequest) -> Result<(u64, Vec<String>), Failure> {
    let mut fields = Violations::new();
    let limit = u64::try_from(request.limit)
        .ok()
        .filter(|limit| *limit <= MAX);
    let limit = fields.take("limit", limit.ok_or("must be from 0 to 100"));
    let sent = if request.sent_mail_ids.is_empty() {
        Some(Vec::new())
    } else {
        // Ids are made like those of users.
        let parse = |raw: &str| UserId::parse(raw).map(UserId::into_string);
        fields::list(
            &mut fields,
            "sent_mail_ids",
            &request.sent_mail_ids,
            false,
            parse,
        )
    };
    limit.zip(sent).ok_or_else(|| failure(fields))
}

fn render(mail: PendingMail) -> WireMail {
    let purpose = match mail.purpose {
        MailPurpose::Registration => WirePurpose::Registration,
        MailPurpose::Change => WirePurpose::EmailChange,
        MailPurpose::AddressKnown => WirePurpose::AddressKnown,
    };
    WireMail {
        mail_id: mail.id,
        purpose: purpose.into(),
        email: mail.email.into_string(),
        token: mail
            .token
            .as_ref()
            .map(EmailToken::to_text)
            .unwrap_or_default(),
        expire_time: Some(mail.expires_at.into()),
    }
}
