//! Deleting is real: nothing that was known of a person is in any table or file, and the audit log still holds.

use std::{sync::Arc, time::Duration};

use identity_guard::SystemClock;
use identity_kit::{
    audit::{AuditFilter, Sealed},
    entropy::SystemEntropy,
};
use identity_proto::user::v1 as wire;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use user_service::{config::VerifyAuditArgs, verify_audit};

use crate::harness::World;

/// What is known of the person at one time or another; nothing else in a test looks like it.
const KNOWN: [&str; 15] = [
    "zebedee.quux",
    "zebedee@mail.example",
    "zquux@mail.example",
    "Zebedee",
    "Zacharias",
    "Quuxworthy",
    "+41791234567",
    "+41797654321",
    "Zeppelin Street 7",
    "Zurich Tower B",
    "Zollikonstadt",
    "Zugerland",
    "ZX81-4711",
    "caught zapping",
    "zapped again",
];

fn profile() -> wire::CreateUserRequest {
    wire::CreateUserRequest {
        username: "zebedee.quux".into(),
        email: "zebedee@mail.example".into(),
        first_name: "Zebedee".into(),
        last_name: "Quuxworthy".into(),
        phone: "+41791234567".into(),
        address: Some(wire::Address {
            street: "Zeppelin Street 7".into(),
            extra: "Zurich Tower B".into(),
            city: "Zollikonstadt".into(),
            region: "Zugerland".into(),
            postal_code: "ZX81-4711".into(),
            country_code: "CH".into(),
        }),
        request_id: "one".into(),
        ..Default::default()
    }
}

/// Forty others.
async fn crowd(world: &World) {
    for _ in 0..40 {
        world.person().await;
    }
}

/// A person who was created, changed, suspended and activated.
async fn settled(world: &World) -> String {
    let id = world.create(&profile()).await.unwrap().id;
    let update = wire::UpdateUserRequest {
        user_id: id.clone(),
        user: Some(wire::UserUpdate {
            email: Some("zquux@mail.example".into()),
            first_name: Some("Zacharias".into()),
            phone: Some("+41797654321".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    world
        .users()
        .update_user(world.by_admin(update))
        .await
        .unwrap();
    let suspend = wire::SuspendUserRequest {
        user_id: id.clone(),
        reason: "caught zapping".into(),
        ..Default::default()
    };
    world
        .users()
        .suspend_user(world.by_admin(suspend))
        .await
        .unwrap();
    let activate = wire::ActivateUserRequest {
        user_id: id.clone(),
        reason: "zapped again".into(),
        ..Default::default()
    };
    world
        .users()
        .activate_user(world.by_admin(activate))
        .await
        .unwrap();
    id
}

/// Every row of every table as text on PostgreSQL, and every byte of every file on SQLite.
pub(crate) async fn dump(world: &World) -> Vec<u8> {
    const TABLES: &str =
        "SELECT table_name::text AS t FROM information_schema.tables WHERE table_schema = 'public'";
    let database = world.app.store().database();
    let reader = database.reader();
    let mut dump = Vec::new();
    if database.backend() == DbBackend::Sqlite {
        database.checkpoint().await.unwrap();
        for file in world.database_files() {
            dump.extend(std::fs::read(file).unwrap());
        }
        assert!(!dump.is_empty());
        return dump;
    }
    for table in texts(reader, TABLES).await {
        for row in texts(reader, &format!("SELECT r::text AS t FROM {table} r")).await {
            dump.extend(row.into_bytes());
        }
    }
    dump
}

async fn texts(connection: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", "t").unwrap())
        .collect()
}

/// Those of the texts that a dump has, without regard to case.
fn found(dump: &[u8]) -> Vec<&'static str> {
    let dump = dump.to_ascii_lowercase();
    let has = |text: &str| {
        let text = text.to_ascii_lowercase();
        dump.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    KNOWN.into_iter().filter(|text| has(text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_deletion_nothing_of_the_person_is_left_and_the_log_holds() {
    for world in World::all().await {
        // Others before and after, so that pages of the tables are divided while the person is on one of them.
        crowd(&world).await;
        let id = settled(&world).await;
        crowd(&world).await;
        let before = found(&dump(&world).await);
        // What was before the last change stands sealed in the log alone, and the old bytes are gone as well.
        assert!(
            before.contains(&"zquux@mail.example") && before.contains(&"Zollikonstadt"),
            "{before:?}"
        );
        assert!(
            !before.contains(&"caught zapping"),
            "a former reason: {before:?}"
        );
        let filter = AuditFilter {
            subject_id: Some(id.clone()),
            ..AuditFilter::default()
        };
        let events = async || {
            let page = world.app.store().list_audit_events(&filter, None, 50);
            page.await.unwrap().items
        };
        let readable = format!("{:?}", events().await);
        for text in KNOWN {
            assert!(readable.contains(text), "{text} is in the log: {readable}");
        }

        let delete = wire::DeleteUserRequest {
            user_id: id.clone(),
            ..Default::default()
        };
        world
            .users()
            .delete_user(world.by_admin(delete))
            .await
            .unwrap();
        assert_eq!(found(&dump(&world).await), [""; 0]);
        let events = events().await;
        assert_eq!(events.len(), 5, "who did what is still known: {events:?}");
        assert_eq!(events[0].act.action, "DeleteUser");
        assert!(
            events[1..]
                .iter()
                .all(|event| event.sealed == Sealed::Erased)
        );
        let args = VerifyAuditArgs { head: Vec::new() };
        let verified = verify_audit::run(
            &world.config,
            &args,
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        );
        tokio::time::timeout(Duration::from_secs(20), verified)
            .await
            .unwrap()
            .unwrap();
    }
}
