//! Precedence, and errors that name the setting.

use std::{fs, path::PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use tempfile::TempDir;

use super::{ConfigError, DatabaseArgs, LogFormat, Program, ServerArgs, TelemetryArgs};
use crate::restore::State;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    /// Who may call
    #[arg(long)]
    service_identity: Vec<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand, PartialEq)]
enum Verb {
    Migrate,
}

/// Cargo sets `CARGO_PKG_NAME` for every test, so a flag `--pkg-name` has a variable here.
#[derive(Debug, Parser)]
struct Named {
    #[arg(long)]
    pkg_name: String,
}

fn program() -> Program {
    Program::new("KIT_TEST")
        .default_value("listen", "127.0.0.1:1")
        .default_value("internal-listen", "127.0.0.1:2")
        .default_value("admin-listen", "127.0.0.1:3")
        .default_value("database-url", "sqlite:test.db")
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("settings.toml");
    fs::write(&path, text).expect("writes");
    (folder, path)
}

fn parse(args: &[&str]) -> Result<Cli, String> {
    let args = ["program"].iter().chain(args);
    program()
        .try_parse_from(args)
        .map_err(|error| error.to_string())
}

fn parse_with(text: &str, args: &[&str]) -> Result<Cli, String> {
    let (_folder, path) = file(text);
    let path = path.to_str().expect("UTF-8");
    parse(&[&["--config", path], args].concat())
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let cli = parse(&[]).expect("good");
    assert_eq!(cli.server.listen.port(), 1);
    assert_eq!(cli.telemetry.log_format, LogFormat::Human);
    assert!(!cli.server.reflection);
}

#[test]
fn a_flag_outranks_the_file_and_the_file_the_default() {
    let text = "listen = \"127.0.0.1:7\"\nlog_format = \"json\"\nreflection = true\n\
                drain_timeout_seconds = 3\nservice_identity = [\"a\", \"b\"]\n";
    let cli = parse_with(text, &["--listen", "127.0.0.1:9"]).expect("good");
    assert_eq!(cli.server.listen.port(), 9);
    assert_eq!(cli.telemetry.log_format, LogFormat::Json);
    assert!(cli.server.reflection);
    assert_eq!(cli.server.drain_timeout_seconds, 3);
    assert_eq!(cli.service_identity, ["a", "b"]);
    let cli = parse_with(text, &["--reflection=false", "--service-identity", "c"]).expect("good");
    assert!(!cli.server.reflection);
    assert_eq!(cli.service_identity, ["c"]);
}

#[test]
fn the_environment_outranks_the_file_and_a_flag_the_environment() {
    let (_folder, path) = file("pkg_name = \"from-file\"");
    let config = format!("--config={}", path.display());
    let program = Program::new("CARGO");
    let named: Named = program.try_parse_from(["program", &config]).expect("good");
    assert_eq!(named.pkg_name, "identity-kit");
    let flag = ["program", &config, "--pkg-name", "from-flag"];
    let named: Named = program.try_parse_from(flag).expect("good");
    assert_eq!(named.pkg_name, "from-flag");
}

#[test]
fn flags_stand_before_and_after_the_verb() {
    for args in [
        ["--listen", "127.0.0.1:9", "migrate"],
        ["migrate", "--listen", "127.0.0.1:9"],
    ] {
        let cli = parse(&args).expect("good");
        assert_eq!(cli.verb, Some(Verb::Migrate));
        assert_eq!(cli.server.listen.port(), 9);
    }
    let cli = parse_with("listen = \"127.0.0.1:7\"", &["migrate"]).expect("good");
    assert_eq!(cli.server.listen.port(), 7);
}

#[test]
fn an_unknown_key_is_an_error_that_names_key_and_file() {
    let error = parse_with("lisen = \"127.0.0.1:7\"", &[]).expect_err("misspelt");
    assert!(
        error.contains("`lisen`") && error.contains("settings.toml"),
        "{error}"
    );
    let error = parse_with("help = true", &[]).expect_err("not a setting");
    assert!(error.contains("`help`"), "{error}");
}

#[test]
fn a_malformed_value_is_an_error_that_names_where_it_stands() {
    let error = parse_with("listen = \"nowhere\"", &[]).expect_err("malformed");
    assert!(
        error.contains("`listen`") && error.contains("settings.toml"),
        "{error}"
    );
    let error = parse_with("[listen]\na = 1", &[]).expect_err("a table");
    assert!(error.contains("`listen`"), "{error}");
    let error = parse(&["--listen", "nowhere"]).expect_err("malformed");
    assert!(error.contains("--listen"), "{error}");
    let error = parse(&["--config", "/no/such/file"]).expect_err("absent");
    assert!(error.contains("/no/such/file"), "{error}");
}

#[test]
fn help_lists_flag_variable_and_default() {
    let help = program()
        .named(Cli::command())
        .render_long_help()
        .to_string();
    assert!(help.contains("--listen <ADDRESS>"), "{help}");
    assert!(help.contains("[env: KIT_TEST_LISTEN]"), "{help}");
    assert!(help.contains("[default: 127.0.0.1:1]"), "{help}");
    assert!(help.contains("[env: KIT_TEST_CONFIG]"), "{help}");
}

#[test]
fn certificates_and_keys_come_in_pairs() {
    let cli = parse(&["--tls-cert-file", "cert.pem"]).expect("parses");
    let error = cli.server.public_tls().expect_err("lacks the key");
    assert_eq!(error.flag, "--tls-key-file");
    let cli = parse(&["--internal-tls-client-ca-file", "ca.pem"]).expect("parses");
    let error = cli
        .server
        .internal_tls()
        .expect_err("lacks the certificate");
    assert_eq!(error.flag, "--internal-tls-client-ca-file");
}

#[test]
fn certificate_files_are_read_before_anything_is_bound_and_blamed_by_flag() {
    let (folder, path) = file("no certificate");
    let name = |at: &str| folder.path().join(at).display().to_string();
    let here = path.display().to_string();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("signs");
    for (at, text) in [
        ("cert.pem", signed.cert.pem()),
        ("key.pem", signed.signing_key.serialize_pem()),
    ] {
        fs::write(folder.path().join(at), text).expect("writes");
    }
    let (cert, key) = (name("cert.pem"), name("key.pem"));
    let check = |args: [(&str, &str); 3]| -> Result<(), ConfigError> {
        let args = args.map(|(flag, file)| format!("--{flag}={file}"));
        let cli = parse(&args.each_ref().map(String::as_str)).expect("parses");
        cli.server.check()
    };
    let internal = |cert, key, ca| {
        check([
            ("internal-tls-cert-file", cert),
            ("internal-tls-key-file", key),
            ("internal-tls-client-ca-file", ca),
        ])
    };
    internal(&cert, &key, &cert).expect("is good");
    let wrong = |checked: Result<(), ConfigError>| checked.expect_err("is wrong").flag;
    let absent = name("absent");
    for bad in [here.as_str(), absent.as_str()] {
        assert_eq!(
            wrong(internal(bad, &key, &cert)),
            "--internal-tls-cert-file"
        );
        assert_eq!(
            wrong(internal(&cert, bad, &cert)),
            "--internal-tls-key-file"
        );
        assert_eq!(
            wrong(internal(&cert, &key, bad)),
            "--internal-tls-client-ca-file"
        );
    }
    let public = [
        ("tls-cert-file", &*cert),
        ("tls-key-file", &*absent),
        ("listen", "127.0.0.1:7"),
    ];
    assert_eq!(wrong(check(public)), "--tls-key-file");
}

#[test]
fn a_url_of_the_database_may_stand_in_a_file() {
    let (_folder, path) = file("postgres://ada:secret@db.example.org/identity\n");
    let flag = format!("--database-url-file={}", path.display());
    let database = parse(&[&flag]).expect("parses").database;
    let config = database.config(true).expect("is good");
    assert_eq!(config.url, "postgres://ada:secret@db.example.org/identity");
    assert!(config.exclusive);
    assert_eq!(database.flag(), "--database-url-file");
    for args in [
        [&*flag, "--database-url=sqlite:a.db", "migrate"],
        [&*flag, "migrate", "--database-url=sqlite:a.db"],
        ["--database-url=sqlite:a.db", "migrate", &*flag],
    ] {
        let error = parse(&args).expect_err("says it twice");
        assert!(
            error.contains("--database-url-file") && error.contains("cannot be used with"),
            "{error}"
        );
    }
    let twice = format!("database_url_file = {:?}", path.display().to_string());
    parse_with(&twice, &["migrate", "--database-url=sqlite:a.db"]).expect_err("says it twice");
}

#[test]
fn a_url_that_leads_to_no_database_is_blamed_on_its_flag_and_never_shown() {
    let error = |args: &[&str]| {
        let database = parse(args).expect("parses").database;
        database.config(false).expect_err("is wrong")
    };
    for (url, told) in [
        ("mysql://ada:secret@nowhere/identity", "postgres://"),
        ("postgres://ada:secret@[nowhere", "malformed"),
        ("sqlite:/secret/folder/of/nobody.db", "/secret/folder/of"),
        ("ada:secret", "neither"),
    ] {
        let error = error(&["--database-url", url]);
        let text = error.to_string();
        assert_eq!(error.flag, "--database-url");
        assert!(
            text.contains(told) && !text.contains("ada:secret"),
            "{text}"
        );
        let (_folder, path) = file(url);
        let error = self::parse(&[&format!("--database-url-file={}", path.display())])
            .expect("parses")
            .database
            .config(false)
            .expect_err("is wrong");
        assert_eq!(error.flag, "--database-url-file");
    }
    let empty = file("\n");
    for path in [empty.1.as_path(), "/no/such/file".as_ref()] {
        let error = error(&[&format!("--database-url-file={}", path.display())]);
        assert_eq!(error.flag, "--database-url-file");
    }
    parse(&["--database-url=sqlite:new.db"])
        .expect("parses")
        .database
        .config(false)
        .expect("the folder of the process is there");
}

#[test]
fn service_keys_never_travel_in_plaintext_between_machines() {
    let cli = parse(&["--internal-listen", "0.0.0.0:2"]).expect("parses");
    let error = cli
        .server
        .require_private_internal_listener()
        .expect_err("is open");
    assert_eq!(error.flag, "--internal-listen");
    let cli = parse(&[]).expect("parses");
    cli.server
        .require_private_internal_listener()
        .expect("is on this machine");
}

#[test]
fn an_address_has_a_part_of_the_listener_until_told_otherwise() {
    let limits = |args: &[&str]| parse(args).expect("parses").server.limits();
    let plain = limits(&[]);
    assert_eq!(plain.max_connections_per_address, Some(512));
    assert_eq!(plain.max_calls_per_address, Some(1024));
    let small = limits(&["--max-connections=80"]);
    assert_eq!(small.max_connections_per_address, Some(10));
    let none = limits(&[
        "--max-connections-per-address=0",
        "--max-calls-per-address=0",
        "--idle-timeout-seconds=0",
        "--message-timeout-seconds=0",
    ]);
    assert_eq!(none.max_connections_per_address, None);
    assert_eq!(none.max_calls_per_address, None);
    assert_eq!(none.idle_timeout, None);
    assert_eq!(none.message_timeout, None);
    let shared = parse_with(
        "shared_address = [\"203.0.113.0/24\", \"::1\"]",
        &["--idle-timeout-seconds=7"],
    );
    let shared = shared.expect("parses").server.limits();
    assert_eq!(shared.shared_addresses.len(), 2);
    assert_eq!(shared.idle_timeout, Some(std::time::Duration::from_secs(7)));
    let wrong = parse(&["--shared-address=203.0.113.1/24"]).expect_err("is refused");
    assert!(wrong.contains("--shared-address"), "{wrong}");
}

#[test]
fn what_outlives_a_database_is_beside_a_file_or_in_the_folder_that_is_named() {
    let state = |args: &[&str]| {
        let cli = parse(args).expect("parses");
        cli.database.state("a-service")
    };
    let beside = state(&["--database-url=sqlite:data.db?mode=rwc"]).expect("is one");
    assert_eq!(beside, State::beside("a-service", "data.db".as_ref()));
    let server = "--database-url=postgres://a@b/c";
    assert_eq!(state(&[server]).expect("is one"), State::none("a-service"));
    let folder = TempDir::new().expect("a folder");
    let named = format!("--state-dir={}", folder.path().display());
    for url in [server, "--database-url=sqlite:data.db"] {
        let named = state(&[url, &named]).expect("is one");
        assert_eq!(named, State::in_folder("a-service", folder.path()));
    }
    let absent = format!("--state-dir={}", folder.path().join("absent").display());
    let error = state(&[server, &absent]).expect_err("is absent");
    assert_eq!(error.flag, "--state-dir");
}
