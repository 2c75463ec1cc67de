//! Accounts that people begin themselves, and addresses that they prove.

use std::sync::Arc;

use identity_guard::ErrorReason;
use identity_kit::{
    entropy::SystemEntropy,
    password::{HashPool, PasswordPolicy, candidate},
};
use identity_proto::user::v1::{self as wire, MailPurpose, UserOrder};
use sea_orm::{ConnectionTrait, Statement};
use tonic::{Request, Status};

use crate::harness::{SERVICE_KEY, World, person, reason, violated, with_key, with_token};

const PASSWORD: &str = "a long enough passphrase";

async fn register(world: &World, username: &str, email: &str) -> Result<(), Status> {
    let request = wire::RegisterUserRequest {
        username: username.into(),
        email: email.into(),
        first_name: "Grace".into(),
        last_name: "Hopper".into(),
    };
    world.users().register_user(request).await.map(|_| ())
}

async fn claim(world: &World, sent: &[&str]) -> Vec<wire::PendingMail> {
    let request = wire::ClaimPendingMailsRequest {
        limit: 100,
        sent_mail_ids: sent.iter().map(|&id| id.to_owned()).collect(),
    };
    let answer = world
        .credentials()
        .claim_pending_mails(with_key(request, SERVICE_KEY))
        .await
        .unwrap();
    answer.into_inner().mails
}

/// The proof of a changed address.
async fn confirm(world: &World, token: &str) -> Result<String, Status> {
    confirm_with(world, token, "").await
}

/// The proof of the address of an account, with the password that is chosen.
async fn confirm_with(world: &World, token: &str, password: &str) -> Result<String, Status> {
    let request = wire::ConfirmEmailRequest {
        token: token.into(),
        password: password.into(),
    };
    let answer = world.users().confirm_email(request).await?;
    Ok(answer.into_inner().user_id)
}

async fn request_change(world: &World, user_id: &str, email: &str) -> Result<(), Status> {
    let request = wire::RequestEmailChangeRequest {
        email: email.into(),
    };
    let request = world.by(user_id, request);
    world
        .users()
        .request_email_change(request)
        .await
        .map(|_| ())
}

async fn get(world: &World, user_id: &str) -> wire::User {
    world.get_self(user_id).await.unwrap().user.unwrap()
}

/// How many rows wait for a proof.
async fn waiting(world: &World) -> i64 {
    let reader = world.app.store().database().reader();
    let statement = Statement::from_string(
        reader.get_database_backend(),
        "SELECT count(*) AS waiting FROM email_proofs",
    );
    let row = reader.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "waiting").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_begun_and_lives_once_its_address_is_proven() {
    for world in World::all().await {
        register(&world, "grace", "Grace@example.org")
            .await
            .unwrap();
        // It is no user yet.
        let login = || {
            let request = wire::GetCredentialRequest {
                identifier: Some(wire::get_credential_request::Identifier::Login(
                    "grace".into(),
                )),
            };
            with_key(request, SERVICE_KEY)
        };
        let absent = world.credentials().get_credential(login()).await;
        assert_eq!(reason(absent), ErrorReason::UserNotFound);
        let mails = claim(&world, &[]).await;
        let [mail] = &mails[..] else {
            panic!("{mails:?}")
        };
        assert_eq!(mail.purpose, i32::from(MailPurpose::Registration));
        assert_eq!(mail.email, "Grace@example.org");
        // In the hands of one mailer it is in nobody else's, nor after it was sent.
        assert!(claim(&world, &[&mail.mail_id]).await.is_empty());
        let id = confirm_with(&world, &mail.token, PASSWORD).await.unwrap();
        let user = get(&world, &id).await;
        assert_eq!(
            (user.username.as_str(), user.email_verified),
            ("grace", true)
        );
        let found = world
            .credentials()
            .get_credential(login())
            .await
            .unwrap()
            .into_inner();
        assert!(found.password_hash.starts_with("$argon2id$"));
        assert!(!found.password_change_required);
        // A token is good once.
        assert_eq!(
            reason(confirm_with(&world, &mail.token, PASSWORD).await),
            ErrorReason::EmailTokenInvalid
        );
        assert_eq!(waiting(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_an_address_is_known_is_told_to_its_owner_alone() {
    for world in World::all().await {
        world.create(&person("ada")).await.unwrap();
        register(&world, "known", "ADA@example.org").await.unwrap();
        register(&world, "fresh", "fresh@example.org")
            .await
            .unwrap();
        let mut mails = claim(&world, &[]).await;
        mails.sort_by(|left, right| left.email.cmp(&right.email));
        let told: Vec<_> = mails
            .iter()
            .map(|mail| (mail.email.as_str(), mail.purpose(), mail.token.is_empty()))
            .collect();
        assert_eq!(
            told,
            [
                ("ADA@example.org", MailPurpose::AddressKnown, true),
                ("fresh@example.org", MailPurpose::Registration, false),
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_username_is_taken_by_users_and_by_begun_accounts() {
    for world in World::all().await {
        world.create(&person("anna.lee")).await.unwrap();
        for name in ["anna_lee", "admin"] {
            let taken = register(&world, name, "a@example.net").await;
            assert_eq!(reason(taken), ErrorReason::UsernameTaken, "{name}");
        }
        register(&world, "grace", "one@example.org").await.unwrap();
        let taken = register(&world, "Grace", "one@example.org").await;
        assert_eq!(reason(taken), ErrorReason::UsernameTaken);
        // Nobody holds a name against those who may give it: the account that was begun is too late.
        world.create(&person("grace")).await.unwrap();
        let mails = claim(&world, &[]).await;
        assert_eq!(
            reason(confirm_with(&world, &mails[0].token, PASSWORD).await),
            ErrorReason::UsernameTaken
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_begins_so_many_accounts_and_no_more() {
    for world in World::all().await {
        for number in 0..20 {
            let name = format!("begun{number}");
            register(&world, &name, "begun@example.org").await.unwrap();
        }
        let refused = register(&world, "more", "more@example.org").await;
        let status = refused.unwrap_err();
        assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
        assert_eq!(reason(Err::<(), _>(status)), ErrorReason::TooManyAttempts);
        // Also for those who would be told that a name is taken.
        let refused = register(&world, "begun1", "more@example.org").await;
        assert_eq!(reason(refused), ErrorReason::TooManyAttempts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_takes_effect_when_it_is_proven_and_the_latest_request_counts() {
    for world in World::all().await {
        let user = world.person().await;
        request_change(&world, &user.id, "first@example.org")
            .await
            .unwrap();
        let first = claim(&world, &[]).await.remove(0);
        assert_eq!(first.purpose(), MailPurpose::EmailChange);
        request_change(&world, &user.id, "Second@example.org")
            .await
            .unwrap();
        let second = claim(&world, &[]).await.remove(0);
        assert_eq!(get(&world, &user.id).await, user);
        assert_eq!(
            reason(confirm(&world, &first.token).await),
            ErrorReason::EmailTokenInvalid
        );
        // Right id, wrong secret.
        let mut forged = second.token.clone();
        let last = if forged.pop() == Some('A') { 'E' } else { 'A' };
        forged.push(last);
        assert_eq!(
            reason(confirm(&world, &forged).await),
            ErrorReason::EmailTokenInvalid
        );
        assert_eq!(confirm(&world, &second.token).await.unwrap(), user.id);
        let after = get(&world, &user.id).await;
        assert_eq!(
            (after.email.as_str(), after.email_verified),
            ("Second@example.org", true)
        );
        assert_ne!(after.etag, user.etag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_given_away_in_the_meantime_is_not_taken() {
    for world in World::all().await {
        let user = world.person().await;
        request_change(&world, &user.id, "new@example.org")
            .await
            .unwrap();
        let mail = claim(&world, &[]).await.remove(0);
        world.create(&person("new")).await.unwrap();
        assert_eq!(
            reason(confirm(&world, &mail.token).await),
            ErrorReason::EmailTaken
        );
        assert_eq!(get(&world, &user.id).await, user);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_own_address_needs_a_recent_login() {
    for world in World::all().await {
        let user = world.person().await;
        let request = wire::RequestEmailChangeRequest {
            email: "new@example.org".into(),
        };
        let old = with_token(request, &world.old_token(&user.id));
        assert_eq!(
            reason(world.users().request_email_change(old).await),
            ErrorReason::ReauthenticationRequired
        );
        assert_eq!(
            violated(request_change(&world, &user.id, "x").await),
            ["email"]
        );
        request_change(&world, &user.id, "new@example.org")
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_waited_for_too_long_is_worth_nothing_and_is_forgotten() {
    for world in World::all().await {
        register(&world, "grace", "grace@example.org")
            .await
            .unwrap();
        let mail = claim(&world, &[]).await.remove(0);
        world
            .sql(&["UPDATE email_proofs SET expires_at = 1, claimed_until = 1"])
            .await;
        assert_eq!(
            reason(confirm(&world, &mail.token).await),
            ErrorReason::EmailTokenInvalid
        );
        assert!(claim(&world, &[]).await.is_empty());
        // The name is free again, also before anything was forgotten.
        register(&world, "grace", "grace@example.net")
            .await
            .unwrap();
        world.sql(&["UPDATE email_proofs SET expires_at = 1"]).await;
        let now = identity_guard::clock::Timestamp::from_seconds(10_000_000_000);
        world.app.store().purge_email_proofs(now).await.unwrap();
        world.app.store().purge_budgets(now).await.unwrap();
        assert_eq!(waiting(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_the_deleted() {
    for world in World::all().await {
        let user = world.create(&person("ada")).await.unwrap();
        request_change(&world, &user.id, "new@example.org")
            .await
            .unwrap();
        register(&world, "another", "ada@example.org")
            .await
            .unwrap();
        register(&world, "grace", "grace@example.org")
            .await
            .unwrap();
        assert_eq!(waiting(&world).await, 3);
        let request = wire::DeleteUserRequest {
            user_id: user.id,
            ..Default::default()
        };
        world
            .users()
            .delete_user(world.by_admin(request))
            .await
            .unwrap();
        assert_eq!(waiting(&world).await, 1);
    }
}

/// The hash that is stored of somebody's password.
async fn stored_hash(world: &World, username: &str) -> String {
    let request = wire::GetCredentialRequest {
        identifier: Some(wire::get_credential_request::Identifier::Login(
            username.into(),
        )),
    };
    let answer = world
        .credentials()
        .get_credential(with_key(request, SERVICE_KEY))
        .await
        .unwrap();
    answer.into_inner().password_hash
}

/// Whether a password is that of a hash.
async fn is_password_of(password: &str, hash: &str) -> bool {
    let pool = HashPool::new(1, 8, PasswordPolicy::default(), Arc::new(SystemEntropy)).unwrap();
    let verified = pool
        .verify(candidate(password), hash.to_owned(), None)
        .await;
    verified.unwrap().matches
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_mail_chooses_the_password_and_nobody_before() {
    for world in World::all().await {
        register(&world, "grace", "grace@example.org")
            .await
            .unwrap();
        let mail = claim(&world, &[]).await.remove(0);
        // A password that is none leaves the token as it is.
        for password in ["", "too short", "grace@example.org grace"] {
            let refused = confirm_with(&world, &mail.token, password).await;
            assert_eq!(violated(refused), ["password"], "{password}");
        }
        let id = confirm_with(&world, &mail.token, PASSWORD).await.unwrap();
        let hash = stored_hash(&world, "grace").await;
        assert!(is_password_of(PASSWORD, &hash).await);
        assert!(!is_password_of("another long passphrase", &hash).await);
        // Nor does a change of an address bring a password.
        request_change(&world, &id, "hopper@example.org")
            .await
            .unwrap();
        let mail = claim(&world, &[]).await.remove(0);
        let refused = confirm_with(&world, &mail.token, "another long passphrase").await;
        assert_eq!(violated(refused), ["password"]);
        confirm(&world, &mail.token).await.unwrap();
        assert_eq!(stored_hash(&world, "grace").await, hash);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_token_that_is_not_good_no_password_is_looked_at_and_for_a_good_one_ten() {
    for world in World::all().await {
        for name in ["grace", "ada"] {
            let email = "grace@example.org";
            register(&world, name, email).await.unwrap();
        }
        let mails = claim(&world, &[]).await;
        let unknown = "ide_a_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for _ in 0..20 {
            let refused = confirm_with(&world, unknown, PASSWORD).await;
            assert_eq!(reason(refused), ErrorReason::EmailTokenInvalid);
        }
        confirm_with(&world, &mails[0].token, PASSWORD)
            .await
            .unwrap();
        // The other account cannot come to be: its address is taken, and the token stays good.
        for _ in 0..10 {
            let refused = confirm_with(&world, &mails[1].token, PASSWORD).await;
            assert_eq!(reason(refused), ErrorReason::EmailTaken);
        }
        let refused = confirm_with(&world, &mails[1].token, PASSWORD).await;
        let status = refused.unwrap_err();
        assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
        assert_eq!(reason(Err::<(), _>(status)), ErrorReason::TooManyAttempts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_prove_one_address_at_once_one_is_believed_and_its_password_counts() {
    for world in World::all().await {
        register(&world, "grace", "grace@example.org")
            .await
            .unwrap();
        let mail = claim(&world, &[]).await.remove(0);
        let password = |number| format!("{PASSWORD} {number}");
        let calls: Vec<_> = (0..10)
            .map(|number| {
                let (mut client, token) = (world.users(), mail.token.clone());
                let request = Request::new(wire::ConfirmEmailRequest {
                    token,
                    password: password(number),
                });
                tokio::spawn(async move { client.confirm_email(request).await })
            })
            .collect();
        let mut believed = Vec::new();
        for (number, call) in calls.into_iter().enumerate() {
            match call.await.unwrap() {
                Ok(_) => believed.push(number),
                refused => assert_eq!(reason(refused), ErrorReason::EmailTokenInvalid),
            }
        }
        let [winner] = believed[..] else {
            panic!("{believed:?}")
        };
        let hash = stored_hash(&world, "grace").await;
        for number in 0..10 {
            let matches = is_password_of(&password(number), &hash).await;
            assert_eq!(matches, number == winner, "{number}");
        }
        let request = wire::ListUsersRequest {
            query: "grace".into(),
            order: UserOrder::UsernameAsc.into(),
            ..Default::default()
        };
        let found = world
            .users()
            .list_users(world.by_admin(request))
            .await
            .unwrap();
        assert_eq!(found.into_inner().users.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_user_is_created_once_and_never_linked_by_address() {
    for world in World::all().await {
        let owner = world.create(&person("ada")).await.unwrap();
        let create = async |operation: &str, username: &str, email: &str| {
            let request = wire::CreateFederatedUserRequest {
                operation_id: operation.into(),
                username: username.into(),
                email: email.into(),
                first_name: "Fe".into(),
                last_name: "Derated".into(),
            };
            let answer = world
                .credentials()
                .create_federated_user(with_key(request, SERVICE_KEY))
                .await?;
            Ok::<_, Status>(answer.into_inner().user_id)
        };
        let taken = create("1", "ada2", "ADA@example.org").await;
        assert_eq!(reason(taken), ErrorReason::EmailTaken);
        let taken = create("1", "Ada", "other@example.org").await;
        assert_eq!(reason(taken), ErrorReason::UsernameTaken);
        let id = create("1", "fed", "fed@example.org").await.unwrap();
        assert_ne!(id, owner.id);
        assert_eq!(create("1", "fed", "fed@example.org").await.unwrap(), id);
        let reused = create("1", "fed2", "fed2@example.org").await;
        assert_eq!(reason(reused), ErrorReason::RequestIdReused);
        assert!(get(&world, &id).await.email_verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_proven_elsewhere_is_believed_while_it_is_the_users() {
    for world in World::all().await {
        let user = world.person().await;
        let confirm = async |email: &str| {
            let request = wire::ConfirmEmailAddressRequest {
                user_id: user.id.clone(),
                email: email.into(),
            };
            let request = with_key(request, SERVICE_KEY);
            world.credentials().confirm_email_address(request).await
        };
        assert_eq!(
            reason(confirm("other@example.org").await),
            ErrorReason::Conflict
        );
        assert!(!get(&world, &user.id).await.email_verified);
        confirm(&user.email.to_uppercase()).await.unwrap();
        assert!(get(&world, &user.id).await.email_verified);
    }
}
