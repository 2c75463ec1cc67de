//! Users with the password hashes of other programs: imported by grpcurl, they log in with the passwords that they
//! have, and have one of our hashes from then on.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use identity_dev::api::Api;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::harness::{
    Store, World,
    grpcurl::Grpcurl,
    person::{log_in, refused},
    requirements,
    store::execute,
};

/// Beginning of what our own hashes look like, at the policy of the services.
const OURS: &str = "$argon2id$v=19$m=";

on_both_stores!(users_of_other_programs_log_in_and_are_hashed_anew);
on_both_stores!(the_verbs_import_and_export_beside_a_running_service);
on_both_stores!(a_hash_that_is_none_lets_nobody_in_and_costs_what_any_does);

struct Foreign {
    form: String,
    password: String,
    hash: String,
}

/// One of each form for each password, made by the libraries themselves.
fn made_by_others(python: &Path) -> Vec<Foreign> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/foreign_hashes.py");
    let output = Command::new(python).arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            Foreign {
                form: text(&line, "form"),
                password: text(&line, "password"),
                hash: text(&line, "hash"),
            }
        })
        .collect()
}

fn grpcurl(world: &World, program: &Path) -> Grpcurl {
    Grpcurl {
        program: program.to_owned(),
        target: world.user.launch.endpoints.public,
    }
}

fn user(number: usize, hash: &str) -> Value {
    json!({ "user": {
        "external_id": number.to_string(), "username": format!("user{number}"),
        "email": format!("user{number}@example.org"), "first_name": "Some", "last_name": "Body",
        "password_hash": hash,
    }})
}

/// The outcomes of an import.
fn import(grpcurl: &Grpcurl, token: &str, users: Vec<Value>) -> Vec<Value> {
    let header = json!({ "header": { "source": "others" } });
    let messages: Vec<_> = [header].into_iter().chain(users).collect();
    let answers = grpcurl
        .call_stream(
            "identity.user.v1.UserService/ImportUsers",
            &messages,
            Some(token),
        )
        .unwrap();
    answers
        .into_iter()
        .flat_map(|answer| answer["outcomes"].as_array().cloned().unwrap_or_default())
        .collect()
}

async fn users_of_other_programs_log_in_and_are_hashed_anew(store: Store) {
    const TEST: &str = "users_of_other_programs_log_in_and_are_hashed_anew";
    let Some(python) = requirements::python_that_hashes(TEST) else {
        return;
    };
    let Some(program) = requirements::grpcurl(TEST) else {
        return;
    };
    let made = made_by_others(&python);
    assert!(made.len() > 60, "{}", made.len());
    let world = World::running(store).await;
    let grpcurl = grpcurl(&world, &program);
    let users = || {
        let numbered = made.iter().enumerate();
        numbered.map(|(number, foreign)| user(number, &foreign.hash))
    };
    let outcomes = import(&grpcurl, &world.admin, users().collect());
    assert_eq!(outcomes.len(), made.len());
    for (outcome, foreign) in outcomes.iter().zip(&made) {
        let result = &outcome["result"];
        assert_eq!(
            result, "IMPORT_RESULT_CREATED",
            "{}: {outcome}",
            foreign.form
        );
    }
    for (number, foreign) in made.iter().enumerate() {
        // Throttles count by network.
        let api = world.api_from(number);
        let name = format!("user{number}");
        let wrong = log_in(&api, &name, &format!("X{}", foreign.password)).await;
        assert_eq!(refused(wrong), "INVALID_CREDENTIALS", "{}", foreign.form);
        let tokens = log_in(&api, &name, &foreign.password).await;
        assert!(tokens.is_ok(), "{}: {tokens:?}", foreign.form);
        hashed_anew(&world, &name, &foreign.form).await;
        log_in_again(&api, &name, foreign).await;
    }
    let again = import(&grpcurl, &world.admin, users().collect());
    assert!(
        again
            .iter()
            .all(|outcome| outcome["result"] == "IMPORT_RESULT_EXISTS")
    );
    world.dispose().await;
}

async fn the_verbs_import_and_export_beside_a_running_service(store: Store) {
    let world = World::running(store).await;
    let line = json!({
        "external_id": "7", "username": "ada", "email": "ada@example.org", "first_name": "Ada",
        "last_name": "Lovelace", "roles": ["viewer"],
        "password_hash": "{SSHA}iGwo6JnfnM9YZ+6uHGSqMh62Q5ZzYWx0",
    });
    let verb = |name: &str, flags: &[&str], input: &str| {
        let mut child = world
            .user
            .launch
            .verb(name)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let flags = ["--file", "-", "--source", "old"];
    let dry = [flags.as_slice(), &["--dry-run"]].concat();
    for (flags, counts) in [
        (dry.as_slice(), [1, 0]),
        (flags.as_slice(), [1, 0]),
        (flags.as_slice(), [0, 1]),
    ] {
        let (code, said, problems) = verb("import-users", flags, &format!("{line}\n"));
        assert_eq!(code, Some(0), "{problems}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            [&said["created"], &said["existing"]],
            counts.map(|n| json!(n)).each_ref()
        );
    }
    // The running service knows the user, who has a password that nobody has said.
    let wrong = log_in(&world.api, "ada", "not it").await;
    assert_eq!(refused(wrong), "INVALID_CREDENTIALS");
    let (code, said, problems) = verb("export-users", &["--file", "-"], "");
    assert_eq!(code, Some(0), "{problems}");
    let ada = said.lines().find(|line| line.contains("ada@example.org"));
    let ada: Value = serde_json::from_str(ada.unwrap()).unwrap();
    assert_eq!(ada["roles"], json!(["viewer"]));
    assert_eq!(ada.get("password_hash"), None);
    // Plain lines where there is no terminal, and no value of a field.
    let bad = r#"{"external_id":"8","username":"x","email":"hunter2@"}"#;
    let (code, _, problems) = verb("import-users", &flags, bad);
    assert_eq!(code, Some(1));
    assert!(problems.contains("line 1: username"), "{problems}");
    assert!(
        !problems.contains("hunter2") && !problems.contains('\r'),
        "{problems}"
    );
    world.dispose().await;
}

async fn log_in_again(api: &Api, name: &str, foreign: &Foreign) {
    let tokens = log_in(api, name, &foreign.password).await;
    assert!(tokens.is_ok(), "{} again: {tokens:?}", foreign.form);
    let wrong = log_in(api, name, &format!("X{}", foreign.password)).await;
    assert_eq!(refused(wrong), "INVALID_CREDENTIALS", "{}", foreign.form);
}

/// Waits until the hash of a user is ours; nobody else tells when that is.
async fn hashed_anew(world: &World, username: &str, form: &str) {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let hash = stored_hash(&world.user.launch.database_url, username).await;
        if hash.starts_with(OURS) {
            return;
        }
        assert!(
            std::time::Instant::now() < limit,
            "{form} was never hashed anew: {hash}"
        );
        tokio::task::yield_now().await;
    }
}

async fn stored_hash(url: &str, username: &str) -> String {
    const SQL: &str = "SELECT c.password_hash FROM credentials c JOIN users u ON u.id = c.user_id
        WHERE u.username = $1";
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let row = sqlx::query(SQL).bind(username).fetch_one(&mut connection);
        row.await.unwrap().get(0)
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let row = sqlx::query(SQL).bind(username).fetch_one(&mut connection);
        row.await.unwrap().get(0)
    }
}

async fn a_hash_that_is_none_lets_nobody_in_and_costs_what_any_does(store: Store) {
    const TEST: &str = "a_hash_that_is_none_lets_nobody_in_and_costs_what_any_does";
    let Some(program) = requirements::grpcurl(TEST) else {
        return;
    };
    let world = World::running(store).await;
    let grpcurl = grpcurl(&world, &program);
    let refusals = [
        "hunter2",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$2b$31$abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.",
        "pbkdf2_sha256$4294967295$somesalt$VIm2/j01jCrSjYkbipreLJqPvvYaez9S/PmOpCCPd/Q=",
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "{SSHA}AAAA",
        "{\"passwordHash\":\"\"}",
    ];
    let users = refusals
        .iter()
        .enumerate()
        .map(|(number, hash)| user(number, hash));
    for outcome in import(&grpcurl, &world.admin, users.collect()) {
        assert_eq!(
            outcome["reason"], "ERROR_REASON_INVALID_FIELDS",
            "{outcome}"
        );
        assert_eq!(
            outcome["violations"][0]["field"], "password_hash",
            "{outcome}"
        );
    }

    let person = world.person("ada").await;
    let url = world.user.launch.database_url.clone();
    for (number, statement) in STRAIGHT_INTO_THE_TABLE.iter().enumerate() {
        assert!(execute(&url, statement).await > 0);
        let api = world.api_from(number);
        let begun = std::time::Instant::now();
        let outcome = log_in(&api, &person.username, &person.password).await;
        assert_eq!(refused(outcome), "INVALID_CREDENTIALS", "{statement}");
        // What is declared there would take minutes, or all of the memory.
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    }
    let health = world.api_from(100);
    let unknown = log_in(&health, "nobody", &person.password).await;
    assert_eq!(refused(unknown), "INVALID_CREDENTIALS");
    world.dispose().await;
}

const STRAIGHT_INTO_THE_TABLE: [&str; 6] = [
    "UPDATE credentials SET password_hash = 'hunter2'",
    "UPDATE credentials SET password_hash = '$bcrypt$r=31$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAgICAgICAgI'",
    "UPDATE credentials SET password_hash = '$scrypt$ln=40,r=8,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAg'",
    "UPDATE credentials SET password_hash = '$pbkdf2-sha256$i=4294967295$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAg'",
    "UPDATE credentials SET password_hash = '$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'",
    "UPDATE credentials SET password_hash = '$2b$31$abcdefghijklmnopqrstuuRp2CR13c9jo/bq2iIJmF9CxsC1jOmd.'",
];
