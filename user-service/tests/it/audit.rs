//! The audit log: who did what to whom, what was refused, and what erasure leaves of a person.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use identity_guard::{ErrorReason, SystemClock};
use identity_kit::entropy::SystemEntropy;
use identity_proto::user::v1::{
    self as wire, AuditActorKind, AuditOrder, AuditOutcome,
    audit_service_client::AuditServiceClient,
};
use tonic::{Status, transport::Channel};
use user_service::{
    config::{Config, VerifyAuditArgs},
    verify_audit::{self, VerifyAuditError},
};

use crate::harness::{World, person, reason, with_key};

impl World {
    fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.public())
    }

    async fn events(
        &self,
        request: wire::ListAuditEventsRequest,
    ) -> Result<wire::ListAuditEventsResponse, Status> {
        let answer = self
            .audit()
            .list_audit_events(self.by_admin(request))
            .await?;
        Ok(answer.into_inner())
    }

    /// The events on a subject, oldest first.
    pub(crate) async fn events_on(&self, subject_id: &str) -> Vec<wire::AuditEvent> {
        let request = wire::ListAuditEventsRequest {
            subject_id: subject_id.into(),
            order: AuditOrder::CreateTimeAsc.into(),
            page_size: 500,
            ..Default::default()
        };
        self.events(request).await.unwrap().events
    }

    /// The refusals of an actor, as soon as there are as many as asked for.
    async fn refusals_of(&self, actor_id: &str, count: usize) -> Vec<wire::AuditEvent> {
        let request = wire::ListAuditEventsRequest {
            actor_id: actor_id.into(),
            outcome: AuditOutcome::Refused.into(),
            order: AuditOrder::CreateTimeAsc.into(),
            ..Default::default()
        };
        let found = async {
            loop {
                let events = self.events(request.clone()).await.unwrap().events;
                if events.len() >= count {
                    return events;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found)
            .await
            .expect("the refusals are written")
    }

    async fn verify(&self, heads: &[String]) -> Result<serde_json::Value, VerifyAuditError> {
        let config: &Config = &self.config;
        let args = VerifyAuditArgs {
            head: heads.to_vec(),
        };
        verify_audit::run(
            config,
            &args,
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )
        .await
    }
}

/// The fact of this name.
fn fact<'e>(event: &'e wire::AuditEvent, name: &str) -> &'e str {
    let fact = event.facts.iter().find(|fact| fact.name == name);
    &fact.unwrap_or_else(|| panic!("{name} of {event:?}")).value
}

/// Before and after of each change, by its field.
fn changes(event: &wire::AuditEvent) -> BTreeMap<&str, (Vec<&str>, Vec<&str>, bool)> {
    event
        .changes
        .iter()
        .map(|change| {
            let before = change.before.iter().map(String::as_str).collect();
            let after = change.after.iter().map(String::as_str).collect();
            (change.field.as_str(), (before, after, change.personal))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_who_did_what_to_whom_and_by_which_call() {
    for world in World::all().await {
        let user = world.person().await;
        let mut update = world.by_admin(wire::UpdateUserRequest {
            user_id: user.id.clone(),
            user: Some(wire::UserUpdate {
                last_name: Some("King".into()),
                ..Default::default()
            }),
            ..Default::default()
        });
        let id = "call-7".parse().unwrap();
        update.metadata_mut().insert("x-request-id", id);
        let updated = world
            .users()
            .update_user(update)
            .await
            .unwrap()
            .into_inner();
        let events = world.events_on(&user.id).await;
        let [created, changed] = &events[..] else {
            panic!("two events: {events:?}")
        };
        assert_eq!(created.action, "CreateUser");
        assert_eq!(changes(created)["status"], (vec![], vec!["active"], false));
        assert_eq!(changes(created)["email"].1, [user.email.as_str()]);
        assert!(changes(created)["email"].2, "personal");

        assert_eq!(changed.action, "UpdateUser");
        assert_eq!(changed.outcome(), AuditOutcome::Done);
        assert_eq!(changed.request_id, "call-7");
        assert_eq!(changed.revision, updated.revision);
        let actor = changed.actor.as_ref().unwrap();
        assert_eq!(actor.kind(), AuditActorKind::User);
        assert_eq!(actor.id, world.admin.id);
        assert_eq!(actor.session_id, format!("session-of-{}", world.admin.id));
        let subject = changed.subject.as_ref().unwrap();
        assert_eq!((subject.r#type.as_str(), &subject.id), ("user", &user.id));
        let expected = BTreeMap::from([("last_name", (vec!["Body"], vec!["King"], true))]);
        assert_eq!(changes(changed), expected);
        assert_eq!(changed.sequence, created.sequence + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_and_services_act_under_their_own_names() {
    for world in World::all().await {
        let made = world.events_on(&world.admin.id).await.remove(0);
        let actor = made.actor.clone().unwrap();
        assert_eq!(
            (actor.kind(), actor.id.as_str()),
            (AuditActorKind::Operator, "create-admin")
        );
        assert_eq!(changes(&made)["role_ids"].1, [world.role("admin").await]);

        let user = world.person().await;
        let hash = wire::SetPasswordHashRequest {
            user_id: user.id.clone(),
            password_hash: "$argon2id$secret".into(),
            operation_id: "operation".into(),
            cause: wire::PasswordChangeCause::Reset.into(),
            ..Default::default()
        };
        let request = with_key(hash, crate::harness::SERVICE_KEY);
        world
            .credentials()
            .set_password_hash(request)
            .await
            .unwrap();
        let set = world.events_on(&user.id).await.remove(1);
        let actor = set.actor.clone().unwrap();
        assert_eq!(
            (actor.kind(), actor.id.as_str()),
            (AuditActorKind::Service, "auth-service")
        );
        assert_eq!(fact(&set, "operation_id"), "operation");
        assert!(!format!("{set:?}").contains("argon2id"), "no hash: {set:?}");

        let first = wire::ListAuditEventsRequest {
            order: AuditOrder::CreateTimeAsc.into(),
            page_size: 1,
            ..Default::default()
        };
        let first = world.events(first).await.unwrap().events.remove(0);
        assert_eq!((first.action.as_str(), first.sequence), ("migrate", 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_for_want_of_a_right_is_written() {
    for world in World::all().await {
        let user = world.person().await;

        // At the guard.
        let list = world.by(&user.id, wire::ListUsersRequest::default());
        assert_eq!(
            reason(world.users().list_users(list).await),
            ErrorReason::PermissionRequired
        );
        let event = world.refusals_of(&user.id, 1).await.remove(0);
        assert_eq!(
            (
                event.action.as_str(),
                event.subject.clone().unwrap().id.as_str()
            ),
            ("ListUsers", "")
        );
        assert_eq!(fact(&event, "lacking"), "users.read");

        // At the guard, disguised.
        let other = wire::GetUserRequest {
            user_id: world.admin.id.clone(),
            ..Default::default()
        };
        let other = world.by(&user.id, other);
        assert_eq!(
            reason(world.users().get_user(other).await),
            ErrorReason::NotFound
        );
        let event = world.refusals_of(&user.id, 2).await.remove(1);
        assert_eq!(fact(&event, "reason"), "PERMISSION_REQUIRED");

        // In the handler.
        let email = wire::UpdateUserRequest {
            user_id: user.id.clone(),
            user: Some(wire::UserUpdate {
                email: Some("new@example.org".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let email = world.by(&user.id, email);
        assert_eq!(
            reason(world.users().update_user(email).await),
            ErrorReason::PermissionRequired
        );
        let event = world.refusals_of(&user.id, 3).await.remove(2);
        assert_eq!(event.subject.clone().unwrap().id, user.id);

        // In the transaction.
        world.grant(&user.id, "users.set_status").await;
        let suspend = wire::SuspendUserRequest {
            user_id: world.admin.id.clone(),
            ..Default::default()
        };
        let superior = world.by(&user.id, suspend.clone());
        let refused = world.users().suspend_user(superior).await;
        assert_eq!(reason(refused), ErrorReason::GrantExceedsCaller);
        let event = world.refusals_of(&user.id, 4).await.remove(3);
        assert_eq!(fact(&event, "reason"), "GRANT_EXCEEDS_CALLER");
        assert_eq!(event.subject.clone().unwrap().id, world.admin.id);

        let refused = world.users().suspend_user(world.by_admin(suspend)).await;
        assert_eq!(reason(refused), ErrorReason::LastAdministrator);
        let event = world.refusals_of(&world.admin.id, 1).await.remove(0);
        assert_eq!(fact(&event, "reason"), "LAST_ADMINISTRATOR");

        // A service.
        let credential = with_key(
            wire::GetCredentialRequest::default(),
            crate::harness::GATEWAY_KEY,
        );
        let refused = world.credentials().get_credential(credential).await;
        assert_eq!(reason(refused), ErrorReason::ScopeRequired);
        let event = world.refusals_of("gateway", 1).await.remove(0);
        assert_eq!(event.actor.clone().unwrap().kind(), AuditActorKind::Service);
        assert_eq!(fact(&event, "lacking"), "credentials");
        world.verify(&[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_another_reason_leaves_no_event() {
    for world in World::all().await {
        let before = world.verify(&[]).await.unwrap();
        let taken = person("root");
        assert_eq!(
            reason(world.create(&taken).await),
            ErrorReason::UsernameTaken
        );
        let malformed = world.create(&wire::CreateUserRequest::default()).await;
        assert_eq!(reason(malformed), ErrorReason::InvalidFields);
        assert_eq!(world.verify(&[]).await.unwrap(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_events_follow_each_other_in_both_orders() {
    for world in World::all().await {
        for _ in 0..5 {
            world.person().await;
        }
        for order in [AuditOrder::CreateTimeAsc, AuditOrder::CreateTimeDesc] {
            let request = |size, token: &str| wire::ListAuditEventsRequest {
                page_size: size,
                page_token: token.into(),
                order: order.into(),
                actor_id: world.admin.id.clone(),
                action: "CreateUser".into(),
                ..Default::default()
            };
            let whole = world.events(request(500, "")).await.unwrap();
            assert_eq!(
                (whole.events.len(), whole.next_page_token.as_str()),
                (5, "")
            );
            let (mut pages, mut token) = (Vec::new(), String::new());
            loop {
                let page = world.events(request(2, &token)).await.unwrap();
                pages.extend(page.events);
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(pages, whole.events);
            let other = wire::ListAuditEventsRequest {
                action: "DeleteUser".into(),
                ..request(
                    2,
                    &world.events(request(2, "")).await.unwrap().next_page_token,
                )
            };
            assert_eq!(
                reason(world.events(other).await),
                ErrorReason::InvalidFields
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_permission_reads_the_log() {
    for world in World::all().await {
        let user = world.person().await;
        world.assign(&user.id, "viewer").await;
        let request = || world.by(&user.id, wire::ListAuditEventsRequest::default());
        let refused = world.audit().list_audit_events(request()).await;
        assert_eq!(reason(refused), ErrorReason::PermissionRequired);
        world.grant(&user.id, "audit.read").await;
        world.audit().list_audit_events(request()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_finds_what_was_changed_past_the_service() {
    for world in World::all().await {
        world.person().await;
        let verified = world.verify(&[]).await.unwrap();
        let head = verified["head"].as_str().unwrap().to_owned();
        world.person().await;
        world.verify(std::slice::from_ref(&head)).await.unwrap();
        let malformed = world.verify(&["7:abc".to_owned()]).await.unwrap_err();
        assert!(!malformed.is_broken(), "{malformed}");
        world
            .sql(&["UPDATE audit_events SET actor_id = 'eve' WHERE sequence = 2"])
            .await;
        let broken = world.verify(&[head]).await.unwrap_err();
        assert!(broken.is_broken());
        assert_eq!(
            broken.to_string(),
            "the audit log is broken at sequence 2: the row was altered or forged"
        );
    }
}
