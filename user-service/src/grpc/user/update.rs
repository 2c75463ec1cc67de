//! Changes parts of a profile. The address and the type need the permission also on the own profile.

use identity_kit::{audit::Subject, status::Failure, violations::Violations};
use identity_proto::user::v1::{UpdateUserRequest, UpdateUserResponse, UserUpdate};
use tonic::Request;

use super::super::{
    context::{Context, act, user_caller},
    convert,
    fields::{self, Mask, failure},
};
use crate::domain::{
    email::Email,
    etag::Etag,
    id::{UserId, UserTypeId},
    phone::Phone,
    text::PersonName,
    user::UserChange,
    username::Username,
};

/// What can be changed.
const PATHS: [&str; 7] = [
    "username",
    "email",
    "first_name",
    "last_name",
    "phone",
    "address",
    "user_type_id",
];

/// What the rule of this RPC names; some fields need it whoever asks.
const PERMISSION: &str = "users.update";

pub(super) async fn handle(
    context: &Context,
    request: Request<UpdateUserRequest>,
) -> Result<UpdateUserResponse, Failure> {
    let caller = user_caller(&request)?;
    let act = act(&request, "UpdateUser");
    let (id, change, etag) = parse(request.get_ref())?;
    if change.needs_permission() && !caller.holds(PERMISSION) {
        let act = act.on(Subject::new("user", id.as_str()));
        return Err(context.permission_required(act, PERMISSION));
    }
    if let Some(username) = &change.username {
        spare_reserved(context, &id, username).await?;
    }
    let done = context
        .store
        .update_user(act, id, change, etag, context.now())
        .await?;
    Ok(UpdateUserResponse {
        user: Some(convert::user(done.value)),
        revision: context.revision(&done.position),
    })
}

/// Refuses a reserved name, but for who has it already, as the first administrator may.
async fn spare_reserved(
    context: &Context,
    id: &UserId,
    username: &Username,
) -> Result<(), Failure> {
    let Err(refusal) = context.spare_reserved(username) else {
        return Ok(());
    };
    match context.store.find_user(id).await? {
        Some(user) if user.username.key() != username.key() => Err(refusal.into()),
        // Whoever is absent is told so by the change itself.
        Some(_) | None => Ok(()),
    }
}

fn parse(request: &UpdateUserRequest) -> Result<(UserId, UserChange, Option<Etag>), Failure> {
    let mut fields = Violations::new();
    let id = fields.take("user_id", UserId::parse(&request.user_id));
    let etag = fields.take("etag", Etag::parse(&request.etag));
    let absent = UserUpdate::default();
    let update = request.user.as_ref().unwrap_or_else(|| {
        fields.add("user", "must be set");
        &absent
    });
    let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &PATHS);
    match (id, etag, change(&mut fields, &mask, update)) {
        (Some(id), Some(etag), Some(change)) if fields.is_empty() => Ok((id, change, etag)),
        _ => Err(failure(fields)),
    }
}

fn change(fields: &mut Violations, mask: &Mask<'_>, update: &UserUpdate) -> Option<UserChange> {
    let username = mask.text(
        fields,
        ("user", "username"),
        update.username.as_ref(),
        Username::parse,
    );
    let email = mask.text(
        fields,
        ("user", "email"),
        update.email.as_ref(),
        Email::parse,
    );
    let first_name = mask.text(
        fields,
        ("user", "first_name"),
        update.first_name.as_ref(),
        PersonName::parse,
    );
    let last_name = mask.text(
        fields,
        ("user", "last_name"),
        update.last_name.as_ref(),
        PersonName::parse,
    );
    let phone = mask.text(
        fields,
        ("user", "phone"),
        update.phone.as_ref(),
        Phone::parse,
    );
    let address = if mask.covers("address", update.address.is_some()) {
        let parts = update.address.clone().map(convert::address_parts);
        fields::address(fields, "user.address", parts).map(Some)
    } else {
        Some(None)
    };
    let user_type_id = mask.text(
        fields,
        ("user", "user_type_id"),
        update.user_type_id.as_ref(),
        UserTypeId::parse,
    );
    Some(UserChange {
        username: username?,
        email: email?,
        first_name: first_name?,
        last_name: last_name?,
        phone: phone?,
        address: address?,
        user_type_id: user_type_id?,
    })
}

#[cfg(test)]
mod tests {
    use identity_proto::user::v1::Address;
    use prost_types::FieldMask;
    use tonic::Status;
    use tonic_types::StatusExt;

    use super::*;

    fn violated(request: &UpdateUserRequest) -> Vec<String> {
        let status = Status::from(parse(request).unwrap_err());
        let details = status.get_details_bad_request().unwrap();
        details
            .field_violations
            .into_iter()
            .map(|violation| violation.field)
            .collect()
    }

    #[test]
    fn every_violation_is_named_at_once() {
        let request = UpdateUserRequest {
            user_id: "A".into(),
            user: Some(UserUpdate {
                username: Some("x".into()),
                email: Some("nobody".into()),
                address: Some(Address {
                    country_code: "ch".into(),
                    ..Address::default()
                }),
                ..UserUpdate::default()
            }),
            update_mask: None,
            etag: "\0".into(),
        };
        assert_eq!(
            violated(&request),
            [
                "user_id",
                "etag",
                "user.username",
                "user.email",
                "user.address.country_code"
            ]
        );
    }

    #[test]
    fn an_absent_part_in_the_mask_is_removed_or_refused() {
        let mut request = UpdateUserRequest {
            user_id: "a".into(),
            user: Some(UserUpdate::default()),
            update_mask: Some(FieldMask {
                paths: vec!["phone".into(), "address".into()],
            }),
            etag: String::new(),
        };
        let (_, change, _) = parse(&request).unwrap();
        assert_eq!((change.phone, change.address), (Some(None), Some(None)));
        request.update_mask = Some(FieldMask {
            paths: vec!["username".into()],
        });
        assert_eq!(violated(&request), ["user.username"]);
        request.user = None;
        assert_eq!(violated(&request), ["user", "user.username"]);
    }

    #[test]
    fn output_only_paths_are_refused() {
        let request = UpdateUserRequest {
            user_id: "a".into(),
            user: Some(UserUpdate::default()),
            update_mask: Some(FieldMask {
                paths: vec!["status".into(), "address.city".into()],
            }),
            etag: String::new(),
        };
        assert_eq!(
            violated(&request),
            ["update_mask.paths[0]", "update_mask.paths[1]"]
        );
    }
}
