//! Names that cannot be faked: one user for each username, its look-alikes, and each address, however many ask at once.

use identity_guard::ErrorReason;
use identity_proto::user::v1 as wire;
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::harness::{World, person, reason, violated, with_token};

/// Creates all of these users at once. Whoever is told that the database has no time comes back, as the contract says.
async fn create_at_once(
    world: &World,
    requests: Vec<wire::CreateUserRequest>,
) -> Vec<Result<wire::User, Status>> {
    let token = world.token(&world.admin.id);
    let calls: Vec<_> = requests
        .into_iter()
        .map(|mut request| {
            let (mut client, token) = (world.users(), token.clone());
            request.request_id.clone_from(&request.username);
            tokio::spawn(async move {
                loop {
                    let again = with_token(request.clone(), &token);
                    match client.create_user(again).await {
                        Err(status) if status.code() == Code::Unavailable => {}
                        answer => return answer,
                    }
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        answers.push(answer.map(|answer| answer.into_inner().user.unwrap()));
    }
    answers
}

/// One of the answers is a user, and all others are refused for this.
fn one_wins(answers: Vec<Result<wire::User, Status>>, others: ErrorReason) {
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_eq!(reason(answer), others);
    }
}

/// The spellings of a name in which some of its look-alike characters are exchanged.
fn look_alikes(count: u32) -> Vec<String> {
    let pairs = [
        ("l", "1"),
        ("o", "0"),
        (".", "_"),
        ("m", "rn"),
        ("w", "vv"),
        ("-", "."),
        ("l", "I"),
        ("o", "O"),
    ];
    (0..count)
        .map(|number| {
            let letters = pairs.iter().enumerate().map(|(place, (one, other))| {
                if number >> place & 1 == 0 {
                    *one
                } else {
                    *other
                }
            });
            format!("a{}z", letters.collect::<String>())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_for_one_address_at_once_one_gets_it() {
    for world in World::all().await {
        let requests = (0..200).map(|number| wire::CreateUserRequest {
            email: if number % 2 == 0 {
                "Same@exämple.org"
            } else {
                "same@xn--exmple-cua.org."
            }
            .into(),
            ..person(&format!("asker{number}"))
        });
        one_wins(
            create_at_once(&world, requests.collect()).await,
            ErrorReason::EmailTaken,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_for_names_that_look_alike_at_once_one_gets_it() {
    for world in World::all().await {
        let requests = look_alikes(200)
            .into_iter()
            .enumerate()
            .map(|(number, username)| wire::CreateUserRequest {
                username,
                ..person(&format!("asker{number}"))
            });
        one_wins(
            create_at_once(&world, requests.collect()).await,
            ErrorReason::UsernameTaken,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_different_names_at_once_all_get_them() {
    for world in World::all().await {
        let requests = (0..200).map(|number| person(&format!("asker{number}")));
        for answer in create_at_once(&world, requests.collect()).await {
            answer.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_alike_is_taken_and_the_own_name_can_be_written_anew() {
    for world in World::all().await {
        let anna = world.create(&person("anna.lee")).await.unwrap();
        let other = world.create(&person("other")).await.unwrap();
        for name in ["anna_lee", "Anna-1ee", "ANNA.LEE", "anna._.lee"] {
            let mut request = person("fresh");
            request.username = name.into();
            assert_eq!(
                reason(world.create(&request).await),
                ErrorReason::UsernameTaken,
                "{name}"
            );
            let renamed = rename(&world, &other.id, name).await;
            assert_eq!(reason(renamed), ErrorReason::UsernameTaken, "{name}");
        }
        for name in ["Anna_Lee", "anna-1ee"] {
            let renamed = rename(&world, &anna.id, name).await.unwrap();
            assert_eq!(renamed.username, name);
        }
        // What a user gives up is free again.
        rename(&world, &anna.id, "anna.smith").await.unwrap();
        rename(&world, &other.id, "anna_lee").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_the_operator_are_given_to_nobody() {
    for world in World::all().await {
        let user = world.person().await;
        for name in ["admin", "Adrnin", "SUPP0RT", "post.master", "root"] {
            let mut request = person("fresh");
            request.username = name.into();
            assert_eq!(
                reason(world.create(&request).await),
                ErrorReason::UsernameTaken,
                "{name}"
            );
            let renamed = rename(&world, &user.id, name).await;
            assert_eq!(reason(renamed), ErrorReason::UsernameTaken, "{name}");
        }
        // Whom an operator has given one keeps it.
        assert_eq!(world.admin.username, "root");
        rename(&world, &world.admin.id, "Root").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_found_however_its_domain_is_written() {
    for world in World::all().await {
        let mut request = person("zoe");
        request.email = "Zoe@exämple.org".into();
        let user = world.create(&request).await.unwrap();
        assert_eq!(user.email, "Zoe@exämple.org");
        for login in [
            "zoe@EXÄMPLE.org",
            "ZOE@xn--exmple-cua.org.",
            "Zoe",
            "ｚｏｅ",
        ] {
            let request = wire::GetCredentialRequest {
                identifier: Some(wire::get_credential_request::Identifier::Login(
                    login.into(),
                )),
            };
            let found = world
                .credentials()
                .get_credential(crate::harness::with_key(
                    request,
                    crate::harness::SERVICE_KEY,
                ))
                .await
                .unwrap();
            assert_eq!(
                found.into_inner().access.unwrap().user_id,
                user.id,
                "{login}"
            );
        }
    }
}

/// Changes a user by a message with more fields than the contract has.
#[derive(Clone, PartialEq, prost::Message)]
struct Assignment {
    #[prost(string, tag = "1")]
    user_id: String,
    #[prost(message, optional, tag = "2")]
    user: Option<Assigned>,
}

/// A first name, and fields of User under their numbers there.
#[derive(Clone, PartialEq, prost::Message)]
struct Assigned {
    #[prost(string, tag = "3")]
    first_name: String,
    #[prost(int32, tag = "9")]
    status: i32,
    #[prost(string, tag = "10")]
    status_reason: String,
    #[prost(string, tag = "14")]
    etag: String,
    #[prost(bool, tag = "99")]
    email_verified: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_may_not_set_is_not_set_by_naming_it() {
    for world in World::all().await {
        let before = world.person().await;
        let request = Assignment {
            user_id: before.id.clone(),
            user: Some(Assigned {
                first_name: "Own".into(),
                status: wire::UserStatus::Suspended.into(),
                status_reason: "mine".into(),
                etag: "\"mine\"".into(),
                email_verified: true,
            }),
        };
        let mut client = tonic::client::Grpc::new(world.public());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<Assignment, wire::UpdateUserResponse>::default();
        let path = "/identity.user.v1.UserService/UpdateUser".parse().unwrap();
        let answer = client
            .unary(world.by(&before.id, request), path, codec)
            .await
            .unwrap();
        let after = answer.into_inner().user.unwrap();
        let expected = wire::User {
            first_name: "Own".into(),
            update_time: after.update_time,
            etag: after.etag.clone(),
            ..before
        };
        assert_eq!(after, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_is_read_whole_or_refused() {
    for world in World::all().await {
        let user = world.person().await;
        let update = async |paths: Vec<String>| {
            let request = wire::UpdateUserRequest {
                user_id: user.id.clone(),
                user: Some(wire::UserUpdate {
                    first_name: Some("New".into()),
                    last_name: Some("New".into()),
                    ..Default::default()
                }),
                update_mask: Some(FieldMask { paths }),
                etag: String::new(),
            };
            world.users().update_user(world.by_admin(request)).await
        };
        for path in [
            "email_verified",
            "status",
            "id",
            "first_name.x",
            "",
            "address.city",
            "FIRST_NAME",
        ] {
            let refused = update(vec!["first_name".into(), path.into()]).await;
            assert_eq!(violated(refused), ["update_mask.paths[1]"], "{path}");
        }
        let refused = update(vec!["first_name".into(); 10_000]).await;
        assert_eq!(violated(refused), ["update_mask"]);
        let twice = update(vec!["first_name".into(); 2]).await.unwrap();
        let twice = twice.into_inner().user.unwrap();
        assert_eq!(
            (twice.first_name.as_str(), twice.last_name.as_str()),
            ("New", "Body")
        );
    }
}

async fn rename(world: &World, user_id: &str, name: &str) -> Result<wire::User, Status> {
    let request = wire::UpdateUserRequest {
        user_id: user_id.into(),
        user: Some(wire::UserUpdate {
            username: Some(name.into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = world.users().update_user(world.by_admin(request)).await?;
    Ok(answer.into_inner().user.unwrap())
}
