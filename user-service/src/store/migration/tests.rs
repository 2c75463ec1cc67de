//! What the migrations make of users who are there already.

use identity_kit::{
    database::{Database, StoreError},
    migrate::migrate,
    testing::databases,
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};

use super::*;

/// The schema before usernames had skeletons.
struct Before;

impl Schema for Before {
    const STEPS: &'static [Step] = Migrator::STEPS.first_chunk::<9>().unwrap();
}

/// More users than one step takes, among them some whose names or addresses are now one.
const USERS: [&str; 3] = [
    "INSERT INTO user_types (id, name, description, built_in, created_at, updated_at, version)
     VALUES ('person', 'person', '', true, 0, 0, 1)",
    "INSERT INTO users (id, username, username_key, email, email_key, email_verified, first_name, last_name,
        address_street, address_extra, address_city, address_region, address_postal_code, address_country_code,
        status, status_reason, user_type_id, created_at, updated_at, version)
     SELECT 'u' || i, 'name' || i, 'name' || i, 'e' || i || '@x.org', 'e' || i || '@x.org', false, 'Zo\u{eb}', 'Last',
        '', '', '', '', '', '', 'active', '', 'person', i, i, 1
     FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) SELECT i FROM n) AS numbers",
    "UPDATE users SET
        username = CASE id WHEN 'u3' THEN 'anna.lee' WHEN 'u700' THEN 'anna_lee' ELSE username END,
        username_key = CASE id WHEN 'u3' THEN 'anna.lee' WHEN 'u700' THEN 'anna_lee' ELSE username_key END,
        email = CASE id WHEN 'u4' THEN 'a@ex\u{e4}mple.org' WHEN 'u5' THEN 'b@ex\u{e4}mple.org'
            WHEN 'u800' THEN 'b@xn--exmple-cua.org' ELSE email END,
        email_key = CASE id WHEN 'u4' THEN 'a@ex\u{e4}mple.org' WHEN 'u5' THEN 'b@ex\u{e4}mple.org'
            WHEN 'u800' THEN 'b@xn--exmple-cua.org' ELSE email_key END",
];

#[derive(Debug, FromQueryResult)]
struct Row {
    found: String,
}

/// The one column of a statement, as text.
async fn column(database: &Database, sql: &str) -> Vec<String> {
    let reader = database.reader();
    let statement = Statement::from_string(reader.get_database_backend(), sql);
    let rows = Row::find_by_statement(statement).all(reader).await.unwrap();
    rows.into_iter().map(|row| row.found).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_there_stay_and_become_searchable_and_unmistakable() {
    for database in databases::<Before>().await {
        let written = database.write(|transaction| {
            Box::pin(async move {
                for statement in USERS {
                    transaction.execute_unprepared(statement).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        written.await.unwrap();
        migrate::<Migrator>(&database).await.unwrap();
        let column = async |sql| column(&database, sql).await;

        let counted = column("SELECT CAST(count(*) AS text) AS found FROM users").await;
        assert_eq!(counted, ["1200"]);
        // The elder of two look-alikes has their skeleton.
        let with =
            column("SELECT user_id AS found FROM username_skeletons WHERE skeleton = 'anna.lee'")
                .await;
        assert_eq!(with, ["u3"]);
        let counted =
            column("SELECT CAST(count(*) AS text) AS found FROM username_skeletons").await;
        assert_eq!(counted, ["1199"]);
        // An address is looked up by its domain as the network knows it; the younger of two owners keeps the own key.
        let keys = column(
            "SELECT email_key AS found FROM users WHERE id IN ('u4', 'u5', 'u800') ORDER BY created_at",
        )
        .await;
        assert_eq!(
            keys,
            [
                "a@xn--exmple-cua.org",
                "b@ex\u{e4}mple.org",
                "b@xn--exmple-cua.org"
            ]
        );
        let counted = column(
            "SELECT CAST(count(*) AS text) AS found FROM user_search WHERE text LIKE '%QQzoeZCAYQQlast%'",
        )
        .await;
        assert_eq!(counted, ["1200"]);
    }
}

/// The schema in which an account that was begun had a password.
struct WithPasswords;

impl Schema for WithPasswords {
    const STEPS: &'static [Step] = Migrator::STEPS.first_chunk::<18>().unwrap();
}

const PROOFS: [&str; 1] = ["INSERT INTO email_proofs (id, user_id, email, email_key, username, username_key, first_name,
        last_name, password_hash, secret_hash, claims, claimed_until, expires_at)
     VALUES ('a', 'u1', 'A@x.org', 'a@x.org', 'Ada', 'ada', 'Ada', 'L', '$argon2id$kept-for-a-stranger', 's', 1, 2, 3),
        ('b', 'u2', 'b@x.org', 'b@x.org', NULL, NULL, NULL, NULL, NULL, NULL, 0, 5, 6)"];

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_proof_goes_on_waiting_and_has_no_password_any_more() {
    for database in databases::<WithPasswords>().await {
        let written = database.write(|transaction| {
            Box::pin(async move {
                for statement in PROOFS {
                    transaction.execute_unprepared(statement).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        written.await.unwrap();
        migrate::<Migrator>(&database).await.unwrap();
        let rows = column(
            &database,
            "SELECT id || ' ' || user_id || ' ' || email || ' ' || email_key || ' ' || COALESCE(username, '-') || ' ' ||
                COALESCE(username_key, '-') || ' ' || COALESCE(first_name, '-') || ' ' || COALESCE(last_name, '-') || ' ' ||
                COALESCE(secret_hash, '-') || ' ' || CAST(claims AS text) || ' ' || CAST(claimed_until AS text) || ' ' ||
                CAST(expires_at AS text) AS found
             FROM email_proofs ORDER BY id",
        )
        .await;
        assert_eq!(
            rows,
            [
                "a u1 A@x.org a@x.org Ada ada Ada L s 1 2 3",
                "b u2 b@x.org b@x.org - - - - - 0 5 6"
            ]
        );
        if let Some(file) = database.file() {
            assert!(database.checkpoint().await.unwrap());
            let bytes = std::fs::read(file).unwrap();
            let kept = b"kept-for-a-stranger";
            assert!(!bytes.windows(kept.len()).any(|text| text == kept));
        }
    }
}
