//! Who gets through the door: every RPC of the contract and every kind of caller.

use identity_guard::{ErrorReason, rules::Rule, status::reason_of};
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;
use user_service::setup;

use crate::harness::{GATEWAY_KEY, SERVICE_KEY, World, with_key, with_token};

/// Calls a method with an empty message.
async fn call(channel: Channel, path: &str, request: Request<()>) -> Result<(), Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    client
        .unary(request, path.parse().unwrap(), codec)
        .await
        .map(|_| ())
}

fn refusal(answer: Result<(), Status>) -> Option<ErrorReason> {
    answer.err().and_then(|status| reason_of(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_lets_in_whom_its_rule_names() {
    use ErrorReason as R;
    let rules = setup::rules().unwrap();
    for world in World::all().await {
        let user = world.person().await;
        let inactive = world.person().await;
        world.suspend(&inactive.id).await.unwrap();
        let mut seen = 0;
        for (path, rule) in rules
            .methods()
            .filter(|(path, _)| path.starts_with("/identity.user.v1."))
        {
            seen += 1;
            let ordinary = match rule {
                Rule::Permission(_) => R::PermissionRequired,
                Rule::SelfOrPermission { .. } => R::NotFound,
                Rule::Service { .. } => R::ServiceIdentityRequired,
                // Let in, with nothing that could be meant.
                Rule::Public | Rule::Authenticated => R::InvalidFields,
            };
            let service = matches!(rule, Rule::Service { .. });
            let public = matches!(rule, Rule::Public);
            let or_service = |reason| {
                if service {
                    R::ServiceIdentityRequired
                } else if public {
                    R::InvalidFields
                } else {
                    reason
                }
            };
            let rows = [
                (Request::new(()), or_service(R::TokenMissing)),
                (with_token((), "garbage"), or_service(R::TokenInvalid)),
                (
                    with_token((), &world.expired_token(&user.id)),
                    or_service(R::TokenExpired),
                ),
                (with_token((), &world.token(&user.id)), ordinary),
                (
                    with_token((), &world.token(&inactive.id)),
                    or_service(R::TokenRevoked),
                ),
                (with_key((), &"x".repeat(40)), or_service(R::TokenMissing)),
                (
                    with_key((), GATEWAY_KEY),
                    if service {
                        R::ScopeRequired
                    } else {
                        or_service(R::TokenMissing)
                    },
                ),
            ];
            for (column, (request, expected)) in rows.into_iter().enumerate() {
                let answer = call(world.internal(), path, request).await;
                assert_eq!(refusal(answer), Some(expected), "{path}, column {column}");
            }
            let insider = if service {
                with_key((), SERVICE_KEY)
            } else {
                with_token((), &world.token(&world.admin.id))
            };
            let answer = call(world.internal(), path, insider).await;
            let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
            assert!(
                matches!(code, Code::Ok | Code::InvalidArgument),
                "{path}: {answer:?}"
            );
        }
        assert_eq!(seen, 55);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_and_two_tokens_are_refused() {
    for world in World::all().await {
        let unknown = call(
            world.public(),
            "/identity.user.v1.UserService/Nothing",
            world.by_admin(()),
        )
        .await;
        assert_eq!(refusal(unknown), Some(ErrorReason::MethodNotFound));
        let mut twice = world.by_admin(());
        let more = format!("Bearer {}", world.token(&world.admin.id))
            .parse()
            .unwrap();
        twice.metadata_mut().append("authorization", more);
        let twice = call(
            world.public(),
            "/identity.user.v1.UserService/ListUsers",
            twice,
        )
        .await;
        assert_eq!(refusal(twice), Some(ErrorReason::TokenInvalid));
    }
}
