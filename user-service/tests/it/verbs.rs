//! The verbs that work at the database: users from JSON Lines, and back.

use std::{fs, path::Path, sync::Arc};

use identity_guard::{SystemClock, clock::SharedClock};
use identity_kit::entropy::{SharedEntropy, SystemEntropy};
use serde_json::{Value, json};
use user_service::{
    config::{Config, ExportUsersArgs, ImportUsersArgs},
    export_users,
    import_users::{self, ImportUsersError},
};

use crate::harness::World;

async fn import(config: &Config, file: &Path, dry_run: bool) -> Result<Value, ImportUsersError> {
    let args = ImportUsersArgs {
        file: file.to_owned(),
        source: "old".into(),
        dry_run,
    };
    let (clock, entropy) = outside();
    import_users::run(config, &args, clock, entropy).await
}

async fn export(config: &Config, file: &Path) -> Result<(), export_users::ExportUsersError> {
    let (clock, entropy) = outside();
    let file = file.to_owned();
    export_users::run(config, &ExportUsersArgs { file }, clock, entropy).await
}

fn outside() -> (SharedClock, SharedEntropy) {
    (Arc::new(SystemClock), Arc::new(SystemEntropy))
}

fn line(number: usize) -> Value {
    json!({
        "external_id": number.to_string(), "username": format!("user{number}"),
        "email": format!("user{number}@example.org"), "first_name": "Some", "last_name": "Body",
        "roles": ["admin"], "password_hash": "{SSHA}iGwo6JnfnM9YZ+6uHGSqMh62Q5ZzYWx0",
    })
}

fn lines(lines: impl IntoIterator<Item = Value>) -> String {
    let lines: Vec<_> = lines.into_iter().map(|line| line.to_string()).collect();
    lines.join("\n") + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_once_however_often_it_is_given() {
    for world in World::all().await {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.jsonl");
        fs::write(&file, lines((0..150).map(line)) + "\n").unwrap();
        let said = |created: u64, existing: u64, dry_run: bool| json!({ "created": created, "existing": existing, "refused": 0, "dry_run": dry_run });
        let config = &world.config;
        assert_eq!(
            import(config, &file, true).await.unwrap(),
            said(150, 0, true)
        );
        assert_eq!(
            import(config, &file, false).await.unwrap(),
            said(150, 0, false)
        );
        fs::write(&file, lines((0..170).map(line))).unwrap();
        assert_eq!(
            import(config, &file, false).await.unwrap(),
            said(20, 150, false)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_refused_keep_nobody_else_out() {
    for world in World::all().await {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.jsonl");
        let mut taken = line(2);
        taken["username"] = "root".into();
        let text = lines([line(1), taken]) + "no json\n" + &lines([line(3)]);
        fs::write(&file, text).unwrap();
        let refused = import(&world.config, &file, false).await;
        assert!(
            matches!(
                refused,
                Err(ImportUsersError::Refused { refused: 2, all: 4 })
            ),
            "{refused:?}"
        );
        fs::write(&file, lines([line(1), line(2), line(3)])).unwrap();
        let mended = import(&world.config, &file, false).await.unwrap();
        assert_eq!(
            (&mended["created"], &mended["existing"]),
            (&json!(1), &json!(2))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_a_file_for_its_owner_that_another_installation_imports() {
    let worlds = World::all().await;
    for world in &worlds {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("first.jsonl");
        fs::write(&first, lines((0..130).map(line))).unwrap();
        import(&world.config, &first, false).await.unwrap();
        let all = folder.path().join("all.jsonl");
        export(&world.config, &all).await.unwrap();
        let text = fs::read_to_string(&all).unwrap();
        assert_eq!(text.lines().count(), 131);
        assert!(
            !text.contains("ssha") && !text.contains("password"),
            "{text}"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&all).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let over = export(&world.config, &all).await;
        assert!(over.is_err(), "a file that is there is not written over");

        let others = World::all().await;
        for other in &others {
            // The administrator has the same name there.
            let refused = import(&other.config, &all, false).await;
            assert!(
                matches!(
                    refused,
                    Err(ImportUsersError::Refused {
                        refused: 1,
                        all: 131
                    })
                ),
                "{refused:?}"
            );
        }
    }
}
