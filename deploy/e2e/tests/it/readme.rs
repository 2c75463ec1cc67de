//! What the README and `cargo dev` let a reader paste, pasted.

mod dev;
mod markdown;
mod shell;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use identity_dev::{ports, process::Process};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::harness::requirements;
use dev::{Dev, assert_free};
use markdown::{put, repository, shell_blocks};
use shell::{Call, Shell};

/// The ports that the README says, and the folder.
const PORTS: [&str; 2] = ["127.0.0.1:50061", "127.0.0.1:50051"];
const FOLDER: &str = "target/dev-data";

/// The program of `cargo dev`, the one of the example and grpcurl, where all are there.
struct Programs {
    dev: PathBuf,
    backend: PathBuf,
    grpcurl: PathBuf,
}

impl Programs {
    fn find(test: &str) -> Option<Self> {
        Some(Self {
            dev: requirements::program("identity-dev", test)?,
            backend: requirements::program("identity-example-backend", test)?,
            grpcurl: requirements::grpcurl(test)?,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_the_tour_answers_what_the_readme_says() {
    let Some(programs) = Programs::find("the tour") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let shell = Shell::with(programs.grpcurl);
    let mut first = Dev::start(&programs.dev, &shell, &data, "first");
    first.ready().await;
    let [auth, internal] = first.listeners("auth-service");
    let [user, _] = first.listeners("user-service");
    let places = || {
        let [auth_port, user_port] = PORTS;
        [
            (auth_port, auth.to_string()),
            (user_port, user.to_string()),
            (FOLDER, data.display().to_string()),
        ]
    };

    let tour = put(&shell_blocks("A tour").concat(), places());
    assert_tour(&shell.paste(&tour, &repository()));

    let guard = shell_blocks("Guard your own backend");
    let [start, calls] = guard.as_slice() else {
        panic!("the README has other blocks than one to start the backend and one to call it");
    };
    let port = ports::free_port().unwrap().to_string();
    let backend = format!(
        "exec {} --listen 127.0.0.1:{port} --auth-url https://{internal} --issuer http://{auth}",
        programs.backend.display()
    );
    let start = put(
        start,
        [
            ("cargo run -p identity-example-backend --", backend),
            (FOLDER, data.display().to_string()),
        ],
    );
    let backend = background(&start, &folder.path().join("backend.log"));
    let _backend = accepts(&format!("127.0.0.1:{port}"), backend).await;
    let password = first.word_after("password ");
    let calls = put(calls, places());
    let calls = put(&calls, [("50071", port), ("'…'", format!("'{password}'"))]);
    assert_guard(&shell.paste(&calls, &repository()));

    assert_printed_calls(&shell.paste(&first.calls(), &repository()));

    let session = first.word_after("session ");
    let administrator = first.printed();
    let (status, printed) = first.interrupted().await;
    assert!(status.success(), "{status}: {printed}");
    assert!(printed.contains("\nstopped; "), "{printed}");
    assert_free([user, auth, internal]);
    assert!(administrator.contains("administrator admin\n"));

    let mut second = Dev::start(&programs.dev, &shell, &data, "second");
    second.ready().await;
    assert!(second.printed().contains("administrator exists already"));
    assert_eq!(second.word_after("session "), session);
    another_second().await;
    assert_printed_calls(&shell.paste(&second.calls(), &repository()));
    log_out(&second, &shell, &data);
    let (status, printed) = second.interrupted().await;
    assert!(status.success(), "{status}: {printed}");

    // The name is taken, and nobody knows the password: there is another administrator, with a session of its own.
    let mut third = Dev::start(&programs.dev, &shell, &data, "third");
    third.ready().await;
    assert!(third.word_after("administrator ").starts_with("admin-"));
    assert_ne!(third.word_after("session "), session);
    let (status, printed) = third.interrupted().await;
    assert!(status.success(), "{status}: {printed}");
}

#[tokio::test]
async fn a_taken_port_is_said_plainly_and_ends_cargo_dev() {
    let test = "a taken port";
    let Some(program) = requirements::program("identity-dev", test) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    // Where it cannot be taken, somebody else has it, which comes to the same.
    let _squatter = TcpListener::bind("127.0.0.1:9051");
    let output = Command::new(program)
        .args(["--no-build", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    for part in ["port 9051 is taken", "user-service", "--free-ports"] {
        assert!(errors.contains(part), "{part} is missing in: {errors}");
    }
}

fn assert_tour(calls: &[Call]) {
    let [
        list,
        describe,
        who,
        create,
        login,
        go_on,
        own,
        refused,
        roles,
        assign,
        allowed,
        rest @ ..,
    ] = calls
    else {
        panic!("calls are missing: {calls:?}");
    };
    list.answered("list", "identity.user.v1.UserService");
    describe.answered("identity.user.v1.UserService", "rpc ListUsers");
    who.answered("/ValidateToken", "\"users.read\"");
    create.answered("/CreateUser", "ada@example.org");
    login.answered("/Login", "CHALLENGE_KIND_PASSWORD_CHANGE");
    go_on.answered("/ContinueLogin", "\"refreshToken\"");
    own.answered("/GetUser", "ada@example.org");
    refused
        .refused("/ListUsers", "PERMISSION_REQUIRED")
        .tells("users.read");
    roles.answered("/ListRoles", "\"viewer\"");
    assign.answered("/AssignRoles", "");
    allowed.answered("/ListUsers", "ada@example.org");
    let [
        refresh,
        logout,
        validate,
        get,
        suspend,
        wait,
        search,
        assign_until,
        subscribe,
        audit,
    ] = rest
    else {
        panic!("other calls than in the README: {rest:?}");
    };
    refresh.answered("/RefreshToken", "\"accessToken\"");
    logout.answered("/Logout", "");
    validate.refused("/ValidateToken", "TOKEN_REVOKED");
    get.refused("/GetUser", "TOKEN_REVOKED");
    suspend.answered("/SuspendUser", "left the house");
    wait.answered("/AwaitRevision", "\"acknowledgedCount\": 1");
    search.answered("/ListUsers", "\"estimatedTotal\": \"1\"");
    assign_until.answered("/AssignRoles", "\"changedCount\": 1");
    subscribe.answered("/CreateSubscription", "\"PREMIUM\"");
    audit
        .answered("/ListAuditEvents", "\"SuspendUser\"")
        .tells("\"CreateSubscription\"");
}

fn assert_guard(calls: &[Call]) {
    let [
        list,
        refused,
        permission,
        note,
        login,
        before,
        logout,
        after,
    ] = calls
    else {
        panic!("other calls than in the README: {calls:?}");
    };
    list.answered("/ListNotes", "");
    refused
        .refused("/CreateNote", "PERMISSION_REQUIRED")
        .tells("notes.create");
    permission.answered("/CreatePermission", "notes.create");
    note.answered("/CreateNote", "hello");
    login.answered("/Login", "\"accessToken\"");
    before.answered("/ListNotes", "hello");
    logout.answered("/Logout", "");
    after.refused("/ListNotes", "TOKEN_REVOKED");
}

/// Waits for the clock's next second, since the printed calls make a user who is named by it.
async fn another_second() {
    let second = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let now = second();
    while second() == now {
        sleep(Duration::from_millis(10)).await;
    }
}

fn assert_printed_calls(calls: &[Call]) {
    let [list, validate, get, sessions, create, users, roles] = calls else {
        panic!("other calls than `cargo dev` prints: {calls:?}");
    };
    list.answered("list", "identity.user.v1.UserService");
    validate.answered("/ValidateToken", "\"userId\"");
    get.answered("/GetUser", "\"admin\"");
    sessions.answered("/ListSessions", "\"sessions\"");
    create.answered("/CreateUser", "Lovelace");
    users.answered("/ListUsers", "\"admin\"");
    roles.answered("/ListRoles", "\"viewer\"");
}

/// What a newcomer does within minutes: the calls of the tour, with the session of `cargo dev` itself.
fn log_out(dev: &Dev, shell: &Shell, data: &Path) {
    let [auth, _] = dev.listeners("auth-service");
    let script = format!(
        "grpcurl -plaintext -H \"authorization: Bearer $(cat {}/access-token)\" {auth} identity.auth.v1.AuthService/Logout",
        data.display()
    );
    let calls = shell.paste(&script, &repository());
    calls[0].answered("/Logout", "");
}

/// Runs a script that stays, as in a terminal of its own.
fn background(script: &str, log: &Path) -> Process {
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(repository());
    Process::spawn("bash", command, log).unwrap()
}

/// Waits until somebody accepts connections there.
async fn accepts(address: &str, mut process: Process) -> Process {
    while TcpStream::connect(address).await.is_err() {
        let ended = process.exited().unwrap();
        assert!(ended.is_none(), "{}", process.last_lines(30));
        sleep(Duration::from_millis(20)).await;
    }
    process
}
