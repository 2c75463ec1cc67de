//! Rules of the real contract, and rules that are wrong.

use identity_proto::access::v1::rule;

use super::{
    descriptor::{
        FieldDescriptor, FileDescriptor, FileDescriptorSet, MessageDescriptor, MethodDescriptor,
        MethodOptions, ServiceDescriptor,
    },
    *,
};

fn contract() -> Rules {
    Rules::from_descriptor_set(identity_proto::DESCRIPTOR_SET).expect("the contract is sound")
}

fn field(name: &str, number: i32, label: i32, kind: i32, type_name: &str) -> FieldDescriptor {
    FieldDescriptor {
        name: name.to_owned(),
        number,
        label,
        kind,
        type_name: type_name.to_owned(),
    }
}

/// One RPC `/p.S/M` with the request `.p.R`.
fn with_rule(rule: Option<WireRule>) -> Vec<u8> {
    let inner = MessageDescriptor {
        name: "Inner".to_owned(),
        field: vec![field("user_id", 7, 1, 9, "")],
        nested_type: vec![],
    };
    FileDescriptorSet {
        file: vec![FileDescriptor {
            package: "p".to_owned(),
            message_type: vec![MessageDescriptor {
                name: "R".to_owned(),
                field: vec![
                    field("user_id", 3, 1, 9, ""),
                    field("user_ids", 4, 3, 9, ""),
                    field("count", 5, 1, 5, ""),
                    field("inner", 6, 1, 11, ".p.R.Inner"),
                ],
                nested_type: vec![inner],
            }],
            service: vec![ServiceDescriptor {
                name: "S".to_owned(),
                method: vec![MethodDescriptor {
                    name: "M".to_owned(),
                    input_type: ".p.R".to_owned(),
                    options: Some(MethodOptions { rule }),
                }],
            }],
        }],
    }
    .encode_to_vec()
}

fn self_or_permission(name: &str, field: &str) -> WireRule {
    WireRule {
        kind: Some(Kind::SelfOrPermission(rule::SelfOrPermission {
            name: name.to_owned(),
            field: field.to_owned(),
        })),
    }
}

#[test]
fn every_rpc_of_the_contract_has_a_rule() {
    contract()
        .require(&[
            "identity.user.v1.UserService",
            "identity.user.v1.RoleService",
            "identity.auth.v1.AuthService",
            "identity.auth.v1.AccessFeedService",
        ])
        .expect("all have rules");
}

#[test]
fn rules_of_each_kind_are_read_from_the_contract() {
    let rules = contract();
    assert_eq!(
        rules.get("/identity.auth.v1.AuthService/Login"),
        Some(&Rule::Public)
    );
    assert_eq!(
        rules.get("/identity.auth.v1.AuthService/Logout"),
        Some(&Rule::Authenticated)
    );
    assert_eq!(
        rules.get("/identity.auth.v1.AccessFeedService/Watch"),
        Some(&Rule::Service {
            scope: "access_feed".to_owned()
        })
    );
    assert!(matches!(
        rules.get("/identity.user.v1.UserService/CreateUser"),
        Some(Rule::Permission(permission)) if permission == "users.create"
    ));
    assert_eq!(rules.get("/identity.auth.v1.AuthService/Nothing"), None);
    assert!(rules.permissions().contains("users.create"));
}

#[test]
fn the_field_of_self_or_permission_becomes_its_tag_path() {
    for (name, path) in [("user_id", vec![3]), ("inner.user_id", vec![6, 7])] {
        let rules = Rules::from_descriptor_set(&with_rule(Some(self_or_permission("a.b", name))));
        assert_eq!(
            rules.expect("is sound").get("/p.S/M"),
            Some(&Rule::SelfOrPermission {
                permission: "a.b".to_owned(),
                field: path
            })
        );
    }
}

#[test]
fn a_malformed_rule_is_refused_by_the_name_of_its_rpc() {
    let unknown = WireRule { kind: None };
    let cases = [
        (
            unknown,
            "the access rule of /p.S/M has no kind that is known here",
        ),
        (
            self_or_permission("", "user_id"),
            "the access rule of /p.S/M names no permission or scope",
        ),
        (
            self_or_permission("a", ""),
            "the access rule of /p.S/M names the field \"\", which does not exist",
        ),
        (
            self_or_permission("a", "user_ids"),
            "the access rule of /p.S/M names the field \"user_ids\", which is repeated",
        ),
        (
            self_or_permission("a", "count"),
            "the access rule of /p.S/M names the field \"count\", which is no string",
        ),
        (
            self_or_permission("a", "inner"),
            "the access rule of /p.S/M names the field \"inner\", which is no string",
        ),
        (
            self_or_permission("a", "user_id.x"),
            "the access rule of /p.S/M names the field \"user_id.x\", which leads through something that is no message",
        ),
    ];
    for (rule, expected) in cases {
        let error = Rules::from_descriptor_set(&with_rule(Some(rule))).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_service_with_an_rpc_without_a_rule_is_named() {
    let rules = Rules::from_descriptor_set(&with_rule(None)).expect("decodes");
    assert_eq!(rules.get("/p.S/M"), None);
    assert_eq!(
        rules.require(&["p.S"]).expect_err("no rule").to_string(),
        "/p.S/M has no access rule"
    );
    assert_eq!(
        rules.require(&["p.T"]).expect_err("unknown").to_string(),
        "the descriptor set has no service p.T"
    );
}
