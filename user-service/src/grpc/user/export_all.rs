//! Reads all users, page by page, as fast as the caller takes them.

use std::sync::Arc;

use futures_util::stream;
use identity_guard::caller::UserCaller;
use identity_kit::{status::Failure, violations::Violations};
use identity_proto::user::v1::{
    ExportUsersRequest, ExportUsersResponse, ExportedUser as WireExportedUser,
};
use tonic::{Request, Status};

use super::{
    super::{
        context::{Context, user_caller},
        convert,
        fields::failure,
    },
    Answers,
};
use crate::domain::{export::ExportedUser, id::UserId};

/// What the rule of this RPC names; it is asked for again before each page.
const PERMISSION: &str = "users.export";

struct Export {
    context: Arc<Context>,
    caller: UserCaller,
    /// The last user of the page before.
    after: Option<UserId>,
    /// What the last message says; taken when it was said.
    revision: Option<String>,
}

pub(super) async fn handle(
    context: &Arc<Context>,
    request: Request<ExportUsersRequest>,
) -> Result<Answers<ExportUsersResponse>, Failure> {
    let caller = user_caller(&request)?;
    let mut fields = Violations::new();
    let min_revision = context.min_revision(&mut fields, &request.get_ref().min_revision);
    let Some(min_revision) = min_revision else {
        return Err(failure(fields));
    };
    context.reach(min_revision.as_ref()).await?;
    let head = context.store.head().await?;
    let export = Export {
        context: Arc::clone(context),
        caller,
        after: None,
        revision: Some(context.revision(&head)),
    };
    Ok(Box::pin(stream::try_unfold(export, |mut export| async {
        let answer = export.next().await.map_err(Status::from)?;
        Ok(answer.map(|answer| (answer, export)))
    })))
}

impl Export {
    async fn next(&mut self) -> Result<Option<ExportUsersResponse>, Failure> {
        if self.revision.is_none() {
            return Ok(None);
        }
        self.context.require_still(&self.caller, PERMISSION).await?;
        let store = &self.context.store;
        let users = store
            .list_exported_users(self.after.as_ref(), self.context.now())
            .await?;
        let Some(last) = users.last() else {
            return Ok(self.revision.take().map(|revision| ExportUsersResponse {
                users: Vec::new(),
                revision,
            }));
        };
        self.after = Some(last.user.id.clone());
        Ok(Some(ExportUsersResponse {
            users: users.into_iter().map(render).collect(),
            revision: String::new(),
        }))
    }
}

fn render(exported: ExportedUser) -> WireExportedUser {
    WireExportedUser {
        user: Some(convert::user(exported.user)),
        user_type: exported.user_type.into_string(),
        roles: convert::role_names(exported.roles),
        direct_permissions: convert::permission_names(exported.direct),
    }
}
