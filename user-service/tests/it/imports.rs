//! Imports: an outcome for each user, once for each external id, and nothing that the caller may not give.

use std::collections::HashMap;

use identity_guard::ErrorReason;
use identity_kit::outbox;
use identity_proto::user::v1::{
    self as wire, ImportOutcome, ImportResult, ImportUsersRequest, ImportUsersResponse,
    import_users_request::Message,
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Status, Streaming};
use user_service::store::kinds::{USER_CREATED, USER_RIGHTS_CHANGED};

use crate::harness::{World, reason, violated};

/// A hash as an LDAP directory has it.
pub(crate) const SSHA: &str = "{SSHA}iGwo6JnfnM9YZ+6uHGSqMh62Q5ZzYWx0";

fn header(source: &str, dry_run: bool) -> ImportUsersRequest {
    let source = source.to_owned();
    message(Message::Header(wire::ImportHeader { source, dry_run }))
}

fn message(message: Message) -> ImportUsersRequest {
    ImportUsersRequest {
        message: Some(message),
    }
}

/// A user with nothing but a profile.
pub(crate) fn person(name: &str) -> wire::ImportedUser {
    wire::ImportedUser {
        external_id: format!("id of {name}"),
        username: name.into(),
        email: format!("{name}@example.org"),
        first_name: "Some".into(),
        last_name: "Body".into(),
        ..Default::default()
    }
}

impl World {
    async fn import_by(
        &self,
        user_id: &str,
        first: ImportUsersRequest,
        users: Vec<wire::ImportedUser>,
    ) -> Result<Vec<ImportOutcome>, Status> {
        let users = users.into_iter().map(|user| message(Message::User(user)));
        let stream = tokio_stream::iter([first].into_iter().chain(users));
        let answers = self
            .users()
            .import_users(self.by(user_id, stream))
            .await?
            .into_inner();
        let answers: Vec<ImportUsersResponse> = answers.collect::<Result<_, _>>().await?;
        Ok(answers
            .into_iter()
            .flat_map(|answer| answer.outcomes)
            .collect())
    }

    /// Imports users from the source `old`.
    pub(crate) async fn import(&self, users: Vec<wire::ImportedUser>) -> Vec<ImportOutcome> {
        let first = header("old", false);
        self.import_by(&self.admin.id, first, users).await.unwrap()
    }

    async fn find(&self, user_id: &str) -> wire::GetUserResponse {
        let request = wire::GetUserRequest {
            user_id: user_id.into(),
            view: wire::UserView::Full.into(),
            ..Default::default()
        };
        let answer = self.users().get_user(self.by_admin(request)).await;
        answer.unwrap().into_inner()
    }
}

fn result(outcome: &ImportOutcome) -> ImportResult {
    outcome.result()
}

fn refusal(outcome: &ImportOutcome) -> (ErrorReason, &str) {
    assert_eq!(outcome.result(), ImportResult::Refused, "{outcome:?}");
    assert_eq!(outcome.user_id, "");
    (outcome.reason(), &outcome.subject)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_comes_with_everything_that_the_source_tells() {
    for world in World::all().await {
        let ada = wire::ImportedUser {
            email_verified: true,
            phone: "+41446681800".into(),
            address: Some(wire::Address {
                city: "Zürich".into(),
                ..Default::default()
            }),
            user_type: "person".into(),
            roles: vec!["viewer".into(), "editor".into()],
            status: wire::UserStatus::Suspended.into(),
            password_hash: SSHA.into(),
            ..person("ada")
        };
        let outcomes = world.import(vec![ada]).await;
        assert_eq!(result(&outcomes[0]), ImportResult::Created);
        assert_eq!(outcomes[0].external_id, "id of ada");
        let found = world.find(&outcomes[0].user_id).await;
        let user = found.user.unwrap();
        assert!(user.email_verified);
        assert_eq!(user.phone, "+41446681800");
        assert_eq!(user.address.unwrap().city, "Zürich");
        assert_eq!(user.status, i32::from(wire::UserStatus::Suspended));
        assert_eq!(found.roles, ["editor", "viewer"]);
        let asked = wire::GetCredentialRequest {
            identifier: Some(wire::get_credential_request::Identifier::Login(
                "ADA".into(),
            )),
        };
        let request = crate::harness::with_key(asked, crate::harness::SERVICE_KEY);
        let credential = world.credentials().get_credential(request).await.unwrap();
        let credential = credential.into_inner();
        assert!(credential.password_hash.starts_with("$ssha$"));
        assert!(!credential.password_change_required);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_once_stays_as_it_is() {
    for world in World::all().await {
        let mut users: Vec<_> = (0..250).map(|n| person(&format!("user{n}"))).collect();
        let first = world.import(users[..120].to_vec()).await;
        users[7].username = "another".into();
        let again = world.import(users.clone()).await;
        assert_eq!(again.len(), users.len());
        for (index, outcome) in again.iter().enumerate() {
            assert_eq!(outcome.external_id, users[index].external_id);
            let expected = if index < 120 {
                assert_eq!(outcome.user_id, first[index].user_id);
                ImportResult::Exists
            } else {
                ImportResult::Created
            };
            assert_eq!(result(outcome), expected, "{outcome:?}");
        }
        let seventh = world.find(&first[7].user_id).await.user.unwrap();
        assert_eq!(seventh.username, "user7");
        // From another source it is another user, who would have the same name.
        let other = world
            .import_by(&world.admin.id, header("other", false), users[..1].to_vec())
            .await
            .unwrap();
        assert_eq!(refusal(&other[0]).0, ErrorReason::UsernameTaken);
        // And one external id twice in a stream is one user.
        let twice = vec![person("twin"), person("twin"), person("last")];
        let twice = world.import(twice).await;
        let results: Vec<_> = twice.iter().map(result).collect();
        let created = ImportResult::Created;
        assert_eq!(results, [created, ImportResult::Exists, created]);
        assert_eq!(twice[0].user_id, twice[1].user_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_user_does_not_disturb_the_others() {
    use ErrorReason as R;
    for world in World::all().await {
        let bad = |spoil: fn(&mut wire::ImportedUser)| {
            let mut user = person("bad");
            user.external_id = "bad".into();
            spoil(&mut user);
            user
        };
        let users = vec![
            person("ada"),
            bad(|user| user.email = "nobody".into()),
            bad(|user| user.password_hash = "hunter2".into()),
            bad(|user| {
                user.password_hash =
                    "$2b$31$abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.".into();
            }),
            bad(|user| user.username = "ADA".into()),
            bad(|user| user.email = "Ada@example.org".into()),
            bad(|user| user.username = "root".into()),
            bad(|user| user.user_type = "ghost".into()),
            bad(|user| user.roles = vec!["viewer".into(), "ghost".into()]),
            bad(|user| user.external_id = "x".repeat(201)),
            person("bob"),
        ];
        let outcomes = world.import(users).await;
        assert_eq!(result(&outcomes[0]), ImportResult::Created);
        assert_eq!(result(&outcomes[10]), ImportResult::Created);
        let expected = [
            (R::InvalidFields, ""),
            (R::InvalidFields, ""),
            (R::InvalidFields, ""),
            (R::UsernameTaken, ""),
            (R::EmailTaken, ""),
            (R::UsernameTaken, ""),
            (R::UserTypeNotFound, "ghost"),
            (R::RoleNotFound, "ghost"),
            (R::InvalidFields, ""),
        ];
        let refusals: Vec<_> = outcomes[1..10].iter().map(refusal).collect();
        assert_eq!(refusals, expected);
        let fields: Vec<_> = [1, 2, 3, 9]
            .map(|index| outcomes[index].violations[0].field.as_str())
            .to_vec();
        let hash = "password_hash";
        assert_eq!(fields, ["email", hash, hash, "external_id"]);
        assert!(!format!("{outcomes:?}").contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_imports_users_with_more_rights_than_their_own() {
    for world in World::all().await {
        let clerk = world.person().await.id;
        world.grant(&clerk, "users.import").await;
        world.new_role("importer", &["users.import"]).await;
        let early = wire::ImportedUser {
            roles: vec!["importer".to_owned()],
            ..person("early")
        };
        let outcomes = world
            .import_by(&clerk, header("old", false), vec![early])
            .await
            .unwrap();
        let exceeds = ErrorReason::GrantExceedsCaller;
        assert_eq!(refusal(&outcomes[0]), (exceeds, "roles.assign"));
        world.grant(&clerk, "roles.assign").await;
        let with = |name: &str, role: &str| wire::ImportedUser {
            roles: vec![role.to_owned()],
            ..person(name)
        };
        let users = vec![
            with("one", "importer"),
            with("two", "editor"),
            with("three", "admin"),
            person("four"),
        ];
        let outcomes = world
            .import_by(&clerk, header("old", false), users)
            .await
            .unwrap();
        assert_eq!(result(&outcomes[0]), ImportResult::Created);
        let lacking = refusal(&outcomes[1]);
        assert_eq!(lacking.0, exceeds);
        assert!(lacking.1.contains('.'), "{lacking:?}");
        assert_eq!(refusal(&outcomes[2]), (exceeds, "*"));
        assert_eq!(result(&outcomes[3]), ImportResult::Created);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_come_of_it_and_writes_nothing() {
    for world in World::all().await {
        let before = world.app.store().head().await.unwrap();
        let users = vec![person("ada"), person("root"), {
            let mut other = person("ADA");
            other.external_id = "2".into();
            other
        }];
        let outcomes = world
            .import_by(&world.admin.id, header("old", true), users)
            .await
            .unwrap();
        assert_eq!(result(&outcomes[0]), ImportResult::Created);
        assert_eq!(outcomes[0].user_id, "");
        for outcome in &outcomes[1..] {
            assert_eq!(refusal(outcome).0, ErrorReason::UsernameTaken);
        }
        assert_eq!(world.app.store().head().await.unwrap(), before);
        assert!(!world.export().await.0.contains_key("ada"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_created_user_is_told_to_the_feed_and_no_other() {
    for world in World::all().await {
        let place = world.app.store().head().await.unwrap().revision;
        let ada = wire::ImportedUser {
            roles: vec!["viewer".into()],
            ..person("ada")
        };
        let users = vec![ada.clone(), person("root"), person("bob"), ada];
        let outcomes = world.import(users).await;
        let database = world.app.store().database();
        let events = outbox::read_after(database.reader(), place, 10).await;
        let told: Vec<_> = events
            .unwrap()
            .into_iter()
            .map(|event| {
                let id = event.payload["user_id"].as_str().unwrap().to_owned();
                (event.kind, id)
            })
            .collect();
        let (ada, bob) = (outcomes[0].user_id.clone(), outcomes[2].user_id.clone());
        let expected = [
            (USER_CREATED.to_owned(), ada.clone()),
            (USER_RIGHTS_CHANGED.to_owned(), ada),
            (USER_CREATED.to_owned(), bob),
        ];
        assert_eq!(told, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_out_of_order_is_refused() {
    for world in World::all().await {
        let user = || message(Message::User(person("ada")));
        let admin = &world.admin.id;
        let no_header = world.import_by(admin, user(), vec![]).await;
        assert_eq!(violated(no_header), ["header"]);
        let nothing = ImportUsersRequest::default();
        let nothing = world.import_by(admin, nothing, vec![]).await;
        assert_eq!(violated(nothing), ["header"]);
        let source = world.import_by(admin, header("Old", false), vec![]).await;
        assert_eq!(violated(source), ["header.source"]);
        let alone = world.import_by(admin, header("old", false), vec![]).await;
        assert_eq!(alone.unwrap(), []);
        let two = tokio_stream::iter([header("old", false), user(), header("old", false)]);
        let answers = world.users().import_users(world.by_admin(two)).await;
        let ended = drain(answers.unwrap().into_inner()).await;
        assert_eq!(violated(ended), ["user"]);
    }
}

async fn drain(answers: Streaming<ImportUsersResponse>) -> Result<usize, Status> {
    let answers: Vec<_> = answers.collect::<Result<_, _>>().await?;
    Ok(answers.iter().map(|answer| answer.outcomes.len()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_come_while_the_stream_goes_on_and_end_with_the_right_to_import() {
    for world in World::all().await {
        let clerk = world.person().await.id;
        world.grant(&clerk, "users.import").await;
        let (say, said) = mpsc::channel(1);
        let request = world.by(&clerk, ReceiverStream::new(said));
        say.send(header("old", false)).await.unwrap();
        let mut answers = world
            .users()
            .import_users(request)
            .await
            .unwrap()
            .into_inner();
        say.send(message(Message::User(person("ada"))))
            .await
            .unwrap();
        let first = answers.message().await.unwrap().unwrap();
        assert_eq!(result(&first.outcomes[0]), ImportResult::Created);
        assert!(!first.revision.is_empty());

        world.suspend(&clerk).await.unwrap();
        say.send(message(Message::User(person("bob"))))
            .await
            .unwrap();
        let second = answers.message().await;
        assert_eq!(reason(second), ErrorReason::PermissionRequired);
        assert!(!world.export().await.0.contains_key("bob"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_the_same_users_at_once_create_each_once() {
    for world in World::all().await {
        let users: Vec<_> = (0..300).map(|n| person(&format!("user{n}"))).collect();
        let mut backwards = users.clone();
        backwards.reverse();
        let (one, two) = tokio::join!(world.import(users), world.import(backwards));
        let mut ids = HashMap::new();
        let mut created = 0;
        for outcome in one.into_iter().chain(two) {
            assert_ne!(result(&outcome), ImportResult::Refused, "{outcome:?}");
            created += usize::from(result(&outcome) == ImportResult::Created);
            let known = ids
                .entry(outcome.external_id)
                .or_insert(outcome.user_id.clone());
            assert_eq!(*known, outcome.user_id);
        }
        assert_eq!((created, ids.len()), (300, 300));
    }
}
