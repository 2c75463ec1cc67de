//! Lists events of the audit log, page by page.

use identity_guard::caller::UserCaller;
use identity_kit::{
    audit::{AuditCursor, AuditFilter, AuditOrder, Outcome},
    position::Position,
    secret::join,
    status::Failure,
    violations::Violations,
};
use identity_proto::user::v1::{
    AuditOrder as WireOrder, AuditOutcome, ListAuditEventsRequest, ListAuditEventsResponse,
};
use prost::Message;
use tonic::Request;

use super::{
    super::{
        context::{Context, user_caller},
        fields::{choice, failure, optional, page_size, time},
    },
    render,
};
use crate::domain::audit::AuditKey;

struct Query {
    size: u64,
    after: Option<AuditCursor>,
    filter: AuditFilter,
    min_revision: Option<Position>,
}

pub(super) async fn handle(
    context: &Context,
    request: Request<ListAuditEventsRequest>,
) -> Result<ListAuditEventsResponse, Failure> {
    let caller = user_caller(&request)?;
    let request = request.into_inner();
    let fingerprint = fingerprint(&request);
    let query = parse(context, &caller, &request, &fingerprint)?;
    context.reach(query.min_revision.as_ref()).await?;
    let page = context
        .store
        .list_audit_events(&query.filter, query.after.as_ref(), query.size)
        .await?;
    let events = page.items.into_iter();
    Ok(ListAuditEventsResponse {
        next_page_token: context.next_page_token(&caller, &fingerprint, page.next.as_ref()),
        events: events.map(|event| render::event(context, event)).collect(),
    })
}

/// What a page token is bound to: filters and order.
fn fingerprint(request: &ListAuditEventsRequest) -> Vec<u8> {
    let question = ListAuditEventsRequest {
        page_size: 0,
        page_token: String::new(),
        min_revision: String::new(),
        ..request.clone()
    };
    join(&[b"ListAuditEvents", &question.encode_to_vec()])
}

fn parse(
    context: &Context,
    caller: &UserCaller,
    request: &ListAuditEventsRequest,
    fingerprint: &[u8],
) -> Result<Query, Failure> {
    let mut fields = Violations::new();
    let size = page_size(&mut fields, request.page_size);
    let after = context.cursor(&mut fields, caller, fingerprint, &request.page_token);
    let min_revision = context.min_revision(&mut fields, &request.min_revision);
    match (size, after, filter(&mut fields, request), min_revision) {
        (Some(size), Some(after), Some(filter), Some(min_revision)) => Ok(Query {
            size,
            after,
            filter,
            min_revision,
        }),
        _ => Err(failure(fields)),
    }
}

fn filter(fields: &mut Violations, request: &ListAuditEventsRequest) -> Option<AuditFilter> {
    let actor = key(fields, "actor_id", &request.actor_id);
    let subject = key(fields, "subject_id", &request.subject_id);
    let action = key(fields, "action", &request.action);
    let outcome = choice(
        fields,
        "outcome",
        request.outcome,
        |outcome| match outcome {
            AuditOutcome::Unspecified => None,
            AuditOutcome::Done => Some(Outcome::Done),
            AuditOutcome::Refused => Some(Outcome::Refused),
        },
    );
    let order = choice(fields, "order", request.order, |order| match order {
        WireOrder::Unspecified | WireOrder::CreateTimeDesc => AuditOrder::Descending,
        WireOrder::CreateTimeAsc => AuditOrder::Ascending,
    });
    let since = time(fields, "since_time", request.since_time);
    let until = time(fields, "until_time", request.until_time);
    if let (Some(Some(since)), Some(Some(until))) = (since, until)
        && until < since
    {
        fields.add("until_time", "must not be before since_time");
        return None;
    }
    Some(AuditFilter {
        actor_id: actor?,
        subject_id: subject?,
        action: action?,
        outcome: outcome?,
        since: since?,
        until: until?,
        order: order?,
    })
}

/// The outer `None` means that it is malformed.
#[expect(clippy::option_option, reason = "malformed and absent are two things")]
fn key(fields: &mut Violations, field: &str, raw: &str) -> Option<Option<String>> {
    let key = optional(fields, field, raw, AuditKey::parse)?;
    Some(key.map(AuditKey::into_string))
}

#[cfg(test)]
mod tests {
    use identity_kit::clock::Timestamp;
    use prost_types::Timestamp as WireTime;
    use tonic::Status;
    use tonic_types::StatusExt;

    use super::*;

    fn violated(request: &ListAuditEventsRequest) -> Vec<String> {
        let mut fields = Violations::new();
        assert!(filter(&mut fields, request).is_none());
        let details = Status::from(failure(fields)).get_details_bad_request();
        let violations = details.unwrap().field_violations;
        violations
            .into_iter()
            .map(|violation| violation.field)
            .collect()
    }

    #[test]
    fn every_violation_is_named_at_once() {
        let request = ListAuditEventsRequest {
            actor_id: "a b".into(),
            subject_id: "\0".into(),
            action: "x".repeat(101),
            outcome: 9,
            order: 9,
            since_time: Some(WireTime {
                seconds: i64::MAX,
                nanos: 0,
            }),
            until_time: Some(WireTime {
                seconds: 0,
                nanos: -1,
            }),
            ..Default::default()
        };
        let expected = [
            "actor_id",
            "subject_id",
            "action",
            "outcome",
            "order",
            "since_time",
            "until_time",
        ];
        assert_eq!(violated(&request), expected);
    }

    #[test]
    fn a_span_does_not_end_before_it_begins() {
        let at = |seconds| Some(WireTime { seconds, nanos: 0 });
        let mut request = ListAuditEventsRequest {
            since_time: at(2),
            until_time: at(1),
            ..Default::default()
        };
        assert_eq!(violated(&request), ["until_time"]);
        request.until_time = at(2);
        let filter = filter(&mut Violations::new(), &request).unwrap();
        assert_eq!(filter.since, Some(Timestamp::from_micros(2_000_000)));
    }
}
