//! Flags, their defaults, and what is wrong with them.

use super::*;
use crate::domain::plan::PlanName;

fn parse(args: &[&str]) -> Result<Config, clap::Error> {
    Config::program().try_parse_from(std::iter::once("user-service").chain(args.iter().copied()))
}

#[test]
fn everything_has_a_default_but_the_root_secret() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert!(config.verb.is_none());
    let error = config.access.root_secret().unwrap_err().to_string();
    assert!(error.contains("--root-secret-file"), "{error}");
}

#[test]
fn a_verb_takes_the_settings_after_it() {
    let config = parse(&[
        "create-admin",
        "--database-url",
        "sqlite:a.db",
        "--username",
        "ada",
        "--email",
        "ada@example.org",
    ])
    .unwrap();
    assert_eq!(config.database.database_url, "sqlite:a.db");
    assert!(matches!(config.verb, Some(Verb::CreateAdmin(args)) if args.username == "ada"));
}

#[test]
fn plans_come_from_the_file_and_what_is_wrong_with_it_is_blamed_on_its_flag() {
    assert_eq!(
        parse(&[]).unwrap().subscription.plans().unwrap(),
        Plans::default()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.toml");
    let plans = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let flag = format!("--plans-file={}", file.display());
        parse(&[&flag]).unwrap().subscription.plans()
    };
    let gold = PlanName::parse("GOLD").unwrap();
    let read = plans("GOLD = ['a', 'b']\nFREE = []").unwrap();
    assert_eq!(read.features(&gold).count(), 2);
    for text in [
        "GOLD = 3",
        "GOLD = [3]",
        "gold = []",
        "",
        "GOLD = ['A']",
        "[GOLD",
    ] {
        let error = plans(text).unwrap_err().to_string();
        assert!(error.contains("--plans-file"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    let flag = format!("--plans-file={}", file.display());
    let error = parse(&[&flag]).unwrap().subscription.plans().unwrap_err();
    assert!(error.to_string().contains("--plans-file"), "{error}");
}

#[test]
fn the_audit_log_is_kept_for_a_year_unless_told_otherwise() {
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!(parse(&[]).unwrap().audit.retention(), days(365));
    let retention =
        |value| parse(&["--audit-retention-days", value]).map(|config| config.audit.retention());
    assert_eq!(retention("30").unwrap(), days(30));
    assert_eq!(retention("0").unwrap(), None);
    assert!(retention("-1").is_err() && retention("36501").is_err());
}

#[test]
fn an_unknown_flag_is_refused() {
    assert!(parse(&["--colour"]).is_err());
}
