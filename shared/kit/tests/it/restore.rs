//! What outlives a database: a copy that is put back is told from what went on, whoever is killed in between.

use std::{fs, path::Path, time::Duration};

use identity_kit::{
    background::Background,
    clock::Timestamp,
    outbox::{self, Past, StoredEvent},
    position::Position,
    restore::{Keeper, Kept, Marker, RestoreError, Standing, State, admit, compare},
    shutdown::Shutdown,
    testing::TestDatabase,
};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    feed::{rewind, write_sql},
    schema::{create, each},
};

const SERVICE: &str = "user-service";

/// Whom the events of these tests erase.
fn erased(event: &StoredEvent) -> Option<&str> {
    event
        .payload
        .get("item_id")?
        .as_str()
        .filter(|id| id.starts_with("gone"))
}

/// A keeper at work.
struct Working {
    background: Background,
    shutdown: Shutdown,
    kept: Kept,
    further: watch::Sender<Position>,
}

impl Working {
    fn start(database: &TestDatabase, state: &State) -> Self {
        let (further, applied) = watch::channel(Position::default());
        let keeper = Keeper::new(
            database.database().clone(),
            state.clone(),
            Some(erased),
            applied,
        );
        let (mut background, shutdown) = (Background::default(), Shutdown::manual());
        let kept = keeper.spawn(&mut background, shutdown.clone());
        Self {
            background,
            shutdown,
            kept,
            further,
        }
    }

    /// Lets it work until the marker has come to the end of the feed.
    async fn until_marked(self, database: &TestDatabase, state: &State) {
        marked(database, state).await;
        self.background.end().await;
        self.kept.outcome().unwrap();
    }
}

async fn head(database: &TestDatabase) -> Position {
    let (_, cursor) = outbox::head(database.reader()).await.unwrap();
    cursor.position
}

async fn marked(database: &TestDatabase, state: &State) {
    let head = head(database).await;
    eventually(|| marker(state).is_some_and(|marker| marker.cursor.position == head)).await;
}

fn marker(state: &State) -> Option<Marker> {
    state.marker().unwrap()
}

fn journal(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("user-service.erasures")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    let bound = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < bound, "never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn place() -> (TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::in_folder(SERVICE, folder.path());
    (folder, state)
}

async fn finish(database: &TestDatabase, lost: Option<&'static str>) {
    let written = database.write(move |transaction| {
        Box::pin(async move {
            outbox::begin_restore(transaction).await?;
            outbox::finish_restore(transaction, lost, "next", Timestamp::from_micros(7)).await
        })
    });
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_put_back_is_told_from_what_went_on() {
    for database in each().await {
        let (_folder, state) = place();
        for id in ["a", "b", "c"] {
            create(&database, id).await.unwrap();
        }
        admit(&database, &state).await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        let marker = marker(&state).unwrap();
        let standing = async || compare(database.reader(), &marker).await.unwrap();
        assert_eq!(standing().await, Standing::Same);
        create(&database, "d").await.unwrap();
        assert_eq!(standing().await, Standing::Same);

        rewind(&database, 2).await;
        assert_eq!(standing().await, Standing::PutBack);
        // The copy has gone on, and has another change where the marker is.
        create(&database, "e").await.unwrap();
        create(&database, "f").await.unwrap();
        assert_eq!(standing().await, Standing::PutBack);
        let refused = admit(&database, &state).await.unwrap_err().to_string();
        assert!(
            refused.contains("run `user-service after-restore`"),
            "{refused}"
        );
        assert!(state.is_restored(&database).await.unwrap());

        finish(&database, None).await;
        assert_eq!(standing().await, Standing::Ended(4));
        admit(&database, &state).await.unwrap();
        assert!(!state.is_restored(&database).await.unwrap());

        write_sql(&database, "DELETE FROM feed_past").await;
        assert_eq!(standing().await, Standing::Foreign);
        let refused = admit(&database, &state).await.unwrap_err();
        assert!(matches!(refused, RestoreError::Foreign { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_trimmed_is_no_difference() {
    for database in each().await {
        let (_folder, state) = place();
        for id in ["a", "b", "c"] {
            create(&database, id).await.unwrap();
        }
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        let before = marker(&state).unwrap();
        assert_eq!(before.journal_since, 0, "it tells of everybody");
        create(&database, "gone").await.unwrap();
        create(&database, "d").await.unwrap();
        let far = Timestamp::from_micros(i64::MAX);
        outbox::trim(&database, far).await.unwrap();
        let standing = compare(database.reader(), &before).await.unwrap();
        assert_eq!(standing, Standing::Trimmed);
        admit(&database, &state).await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        let after = marker(&state).unwrap();
        assert_eq!(after.journal_since, 4, "and now of nobody before the last");
        state.require_journal_since(4).unwrap();
        let refused = state.require_journal_since(3).unwrap_err();
        assert!(
            matches!(refused, RestoreError::Incomplete { .. }),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_begun_must_end_before_anybody_serves() {
    for database in each().await {
        let (_folder, state) = place();
        create(&database, "a").await.unwrap();
        let begin = database
            .write(|transaction| Box::pin(async move { outbox::begin_restore(transaction).await }));
        begin.await.unwrap();
        for state in [&state, &State::none(SERVICE)] {
            let refused = admit(&database, state).await;
            assert!(matches!(refused, Err(RestoreError::Begun { .. })));
            assert!(state.is_restored(&database).await.unwrap());
        }
        let old = head(&database).await;
        // Written by the restore itself: nobody was told.
        create(&database, "b").await.unwrap();
        finish(&database, Some("unknown")).await;
        for (epoch, revision, expected) in [
            (old.epoch.as_str(), old.revision, Past::Held),
            (&old.epoch, old.revision + 1, Past::Lost),
            ("unknown", 0, Past::Held),
            ("unknown", 1, Past::Lost),
            ("other", 0, Past::Unknown),
        ] {
            let position = Position::new(epoch, revision);
            let found = outbox::past(database.reader(), &position).await.unwrap();
            assert_eq!(found, expected, "{position:?}");
        }
        admit(&database, &state).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_was_killed_leaves_nobody_out() {
    for database in each().await {
        let (folder, state) = place();
        for id in ["gone1", "here1", "gone2"] {
            create(&database, id).await.unwrap();
        }
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        assert_eq!(journal(folder.path()), ["gone1", "gone2"]);
        assert_eq!(marker(&state).unwrap().journal_bytes, 12);

        // Killed after the journal and before the marker: here the marker cannot be written.
        for id in ["gone3", "here2"] {
            create(&database, id).await.unwrap();
        }
        let blocked = folder.path().join("user-service.marker.new");
        fs::create_dir(&blocked).unwrap();
        let working = Working::start(&database, &state);
        eventually(|| journal(folder.path()).len() > 2).await;
        drop(working);
        assert_eq!(marker(&state).unwrap().cursor.position.revision, 3);
        fs::remove_dir(&blocked).unwrap();

        create(&database, "gone4").await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        let mut ids = journal(folder.path());
        ids.dedup();
        assert_eq!(ids, ["gone1", "gone2", "gone3", "gone4"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_follows_a_database_that_was_restored_elsewhere() {
    for database in each().await {
        let (folder, state) = place();
        create(&database, "a").await.unwrap();
        let working = Working::start(&database, &state);
        marked(&database, &state).await;
        finish(&database, None).await;
        create(&database, "gone1").await.unwrap();
        working.further.send_replace(head(&database).await);
        working.until_marked(&database, &state).await;
        assert_eq!(journal(folder.path()), ["gone1"]);
        assert_eq!(marker(&state).unwrap().cursor.position.epoch, "next");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_away_during_a_restore_takes_what_it_has_missed() {
    for database in each().await {
        let (folder, state) = place();
        create(&database, "a").await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        // Behind its marker, and before the copy that the database is restored from.
        create(&database, "gone1").await.unwrap();
        finish(&database, None).await;
        create(&database, "gone2").await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        assert_eq!(journal(folder.path()), ["gone1", "gone2"]);
        assert_eq!(marker(&state).unwrap().journal_since, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_missed_what_was_trimmed_since_a_restore_says_so() {
    for database in each().await {
        let (_folder, state) = place();
        create(&database, "a").await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        for id in ["gone1", "b", "c"] {
            create(&database, id).await.unwrap();
        }
        finish(&database, None).await;
        let far = Timestamp::from_micros(i64::MAX);
        outbox::trim(database.database(), far).await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        assert_eq!(marker(&state).unwrap().journal_since, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_put_back_beneath_a_process_ends_it() {
    for database in each().await {
        let (_folder, state) = place();
        for id in ["a", "b"] {
            create(&database, id).await.unwrap();
        }
        let working = Working::start(&database, &state);
        marked(&database, &state).await;
        let before = marker(&state);
        rewind(&database, 1).await;
        working.further.send_replace(head(&database).await);
        working.shutdown.started().cancelled().await;
        working.background.end().await;
        let outcome = working.kept.outcome();
        assert!(matches!(outcome, Err(RestoreError::PutBack { .. })));
        assert_eq!(marker(&state), before, "it still tells of what was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_keepers_of_one_folder_one_writes_and_the_other_stands_by() {
    for database in each().await {
        let (folder, state) = place();
        create(&database, "gone1").await.unwrap();
        let first = Working::start(&database, &state);
        marked(&database, &state).await;
        let second = Working::start(&database, &state);
        create(&database, "gone2").await.unwrap();
        for working in [&first, &second] {
            working.further.send_replace(head(&database).await);
        }
        marked(&database, &state).await;
        assert_eq!(journal(folder.path()), ["gone1", "gone2"]);
        first.background.end().await;
        create(&database, "gone3").await.unwrap();
        second.until_marked(&database, &state).await;
        assert_eq!(journal(folder.path()), ["gone1", "gone2", "gone3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_stop_the_start() {
    for database in each().await {
        let (folder, state) = place();
        create(&database, "gone1").await.unwrap();
        Working::start(&database, &state)
            .until_marked(&database, &state)
            .await;
        fs::write(folder.path().join("user-service.erasures"), "").unwrap();
        let refused = admit(&database, &state).await.unwrap_err().to_string();
        assert!(
            refused.contains("holds 0 bytes, and held 6 before"),
            "{refused}"
        );
        let absent = State::in_folder(SERVICE, &folder.path().join("absent"));
        let refused = admit(&database, &absent).await.unwrap_err().to_string();
        assert!(refused.contains("may write to"), "{refused}");
        let other = State::in_folder("auth-service", folder.path());
        fs::copy(
            folder.path().join("user-service.marker"),
            folder.path().join("auth-service.marker"),
        )
        .unwrap();
        let refused = admit(&database, &other).await.unwrap_err().to_string();
        assert!(refused.contains("it is of user-service"), "{refused}");
    }
}
