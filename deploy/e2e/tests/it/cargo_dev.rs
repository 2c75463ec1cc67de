//! What `cargo dev` makes of refusals: a name that is taken, a session that has ended, a service that does not answer.

use identity_dev::{
    administrator::{self, CreateError},
    service::Service,
    session::SessionFiles,
};

use crate::harness::{Store, World, person::log_out};

on_both_stores!(
    a_name_that_is_taken_is_told_from_every_other_failure,
    a_session_is_over_only_when_auth_service_says_so,
);

async fn a_name_that_is_taken_is_told_from_every_other_failure(store: Store) {
    let world = World::running(store).await;
    let mut launch = world.user.launch.clone();
    administrator::create(&launch, "another").unwrap();
    let taken = administrator::create(&launch, "another").err().unwrap();
    assert!(matches!(taken, CreateError::Taken(_)), "{taken}");
    assert!(taken.to_string().contains("taken"), "{taken}");

    let wrong = administrator::create(&launch, "-").err().unwrap();
    assert!(matches!(wrong, CreateError::Failed(_)), "{wrong}");
    assert!(wrong.to_string().contains("--username"), "{wrong}");
    "mysql://nowhere".clone_into(&mut launch.database_url);
    let broken = administrator::create(&launch, "another").err().unwrap();
    assert!(matches!(broken, CreateError::Failed(_)), "{broken}");
    assert!(broken.to_string().contains("--database-url"), "{broken}");
    world.dispose().await;
}

async fn a_session_is_over_only_when_auth_service_says_so(store: Store) {
    let mut world = World::running(store).await;
    let folder = world.material.folder_of(Service::Auth);
    let files = SessionFiles {
        access_token: folder.join("access-token"),
        refresh_token: folder.join("refresh-token"),
    };
    let nothing = files.resume(&world.api).await.unwrap();
    assert!(nothing.is_none(), "{nothing:?}");

    let person = world.person("ada").await;
    let first = person.log_in(&world.api).await.unwrap();
    files.keep(&first).unwrap();
    world.auth.kill().await;
    files.resume(&world.api).await.unwrap_err();
    world.auth.start();
    world.ready().await;
    // What could not be asked about has not been lost.
    let resumed = files.resume(&world.api).await.unwrap().unwrap();
    assert_eq!(resumed.session_id, first.session_id);

    log_out(&world.api, &resumed.access_token).await.unwrap();
    let ended = files.resume(&world.api).await.unwrap();
    assert!(ended.is_none(), "{ended:?}");
    world.dispose().await;
}
