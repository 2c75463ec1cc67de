//! `ListSessions`: the live sessions of a user, newest first.

use identity_guard::{clock::Timestamp, status::Failure};
use identity_kit::{page::PageSize, secret::join, violations::Violations};
use identity_proto::auth::v1::{ListSessionsRequest, ListSessionsResponse};
use serde::{Deserialize, Serialize};
use tonic::Request;

use crate::{
    authority::{AuthError, Authority, FeedWait},
    domain::{
        id::{SessionId, UserId},
        session::Session,
    },
    grpc::{
        convert,
        parse::{min_revision, user_caller},
    },
    store::sessions::{self, SessionCursor},
};

struct Query {
    caller: String,
    user_id: UserId,
    size: u64,
    after: Option<SessionCursor>,
    wait: FeedWait,
}

/// What a page token holds: the last session of its page.
#[derive(Serialize, Deserialize)]
struct Cursor {
    created_at: i64,
    id: String,
}

/// Serves the RPC.
pub(super) async fn list_sessions(
    authority: &Authority,
    request: &Request<ListSessionsRequest>,
) -> Result<ListSessionsResponse, Failure> {
    let query = parse(authority, request)?;
    let sessions = act(authority, &query).await?;
    Ok(render(authority, &query, sessions))
}

fn parse(authority: &Authority, request: &Request<ListSessionsRequest>) -> Result<Query, Failure> {
    let caller = user_caller(request)?.user_id.clone();
    let message = request.get_ref();
    let mut violations = Violations::new();
    let user_id = violations.take("user_id", UserId::parse(&message.user_id));
    let size = violations.take("page_size", PageSize::parse(message.page_size));
    let after = if message.page_token.is_empty() {
        None
    } else {
        let opened = authority.pages.open::<Cursor>(
            &caller,
            &fingerprint(&message.user_id),
            &message.page_token,
        );
        violations.take("page_token", opened)
    };
    let wait = min_revision(&mut violations, authority, &message.min_revision);
    violations.finish()?;
    match (user_id, size) {
        (Some(user_id), Some(size)) => Ok(Query {
            caller,
            user_id,
            size,
            after: after.map(|cursor| SessionCursor {
                created_at: Timestamp::from_micros(cursor.created_at),
                id: SessionId::trusted(cursor.id),
            }),
            wait,
        }),
        _ => Err(Failure::internal()),
    }
}

/// What a page token belongs to, beside its caller: this list of this user.
fn fingerprint(user_id: &str) -> Vec<u8> {
    join(&[b"ListSessions", user_id.as_bytes()])
}

/// One session more than the page holds, where there is one.
async fn act(authority: &Authority, query: &Query) -> Result<Vec<Session>, AuthError> {
    authority.wait_for(&query.wait).await?;
    let sessions = sessions::list_live(
        authority.database.reader(),
        &query.user_id,
        query.after.as_ref(),
        query.size + 1,
        authority.now(),
    )
    .await?;
    Ok(sessions)
}

fn render(authority: &Authority, query: &Query, sessions: Vec<Session>) -> ListSessionsResponse {
    let size = usize::try_from(query.size).unwrap_or(usize::MAX);
    let more = sessions.len() > size;
    let page: Vec<_> = sessions.into_iter().take(size).collect();
    let next_page_token = page.last().filter(|_| more).map(|last| {
        let cursor = Cursor {
            created_at: last.created_at.as_micros(),
            id: last.id.as_str().to_owned(),
        };
        let fingerprint = fingerprint(query.user_id.as_str());
        authority.pages.seal(&query.caller, &fingerprint, &cursor)
    });
    ListSessionsResponse {
        sessions: page.into_iter().map(convert::session).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
    }
}
