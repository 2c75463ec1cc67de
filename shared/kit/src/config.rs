//! Configuration of a program: flag before environment before file before default, all of it listed by `--help`.

mod args;
mod blame;
mod database;
mod file;
mod network;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

pub use args::{LogFormat, ServerArgs, TelemetryArgs};
pub use database::DatabaseArgs;
use file::Setting;
pub use network::{InvalidNetwork, Network};

/// Why a configuration cannot be used: the name of the setting, and what would mend it.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {problem}; {fix}")]
pub struct ConfigError {
    /// The long flag, such as `--listen`.
    pub flag: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl ConfigError {
    /// An error of one setting.
    pub fn new(flag: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            flag,
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

/// A program and how its settings are named.
///
/// Each long flag `--database-url` of the top level of `C` can also be given as `<PREFIX>_DATABASE_URL` in the
/// environment and as `database_url` in the TOML file that `--config` names.
#[derive(Debug)]
pub struct Program {
    prefix: &'static str,
    defaults: Vec<(&'static str, &'static str)>,
}

impl Program {
    /// A program whose environment variables begin with `prefix`, such as `USER_SERVICE`.
    #[must_use]
    pub fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            defaults: Vec::new(),
        }
    }

    /// Gives the long flag `flag` (without dashes) the default `value`, for the flags that programs share.
    #[must_use]
    pub fn default_value(mut self, flag: &'static str, value: &'static str) -> Self {
        self.defaults.push((flag, value));
        self
    }

    /// Reads the configuration of this process; prints what is wrong and ends the process where it cannot be used.
    #[must_use]
    pub fn parse<C: Parser>(&self) -> C {
        match self.try_parse_from(std::env::args_os()) {
            Ok(configuration) => configuration,
            Err(error) => error.exit(),
        }
    }

    /// Reads the configuration from the arguments `args`, of which the first is the program's name.
    ///
    /// # Errors
    /// Unknown or malformed flags, variables and file keys, and an unreadable file; also `--help` and `--version`.
    pub fn try_parse_from<C: Parser>(
        &self,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<C, clap::Error> {
        let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let mut command = self.named(C::command());
        let mut from_file = Vec::new();
        let path = self.file_path(&args);
        if let Some(path) = &path {
            let settings = file::read(path, &command)
                .map_err(|problem| command.error(ErrorKind::InvalidValue, problem))?;
            from_file = settings
                .into_iter()
                .filter(|setting| !given_elsewhere(setting, &command, &args))
                .collect();
            let at = args.len().min(1);
            args.splice(at..at, from_file.iter().flat_map(Setting::arguments));
        }
        let mut matches = command
            .try_get_matches_from_mut(args)
            .map_err(|error| blame_file(error, &mut command, &from_file, path.as_ref()))?;
        if let Some([one, other]) = together(&command, &matches) {
            let problem = format!("--{one} cannot be used with --{other}");
            return Err(command.error(ErrorKind::ArgumentConflict, problem));
        }
        C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// Gives every flag its variable and default, and lets it stand after a verb as well as before.
    fn named(&self, command: Command) -> Command {
        let has_verbs = command.has_subcommands();
        command
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .help("TOML file of settings; its keys are the flags' names with `_` for `-`"),
            )
            .mut_args(|arg| {
                let Some(long) = arg.get_long().map(str::to_owned) else {
                    return arg;
                };
                if is_built_in(&long) {
                    return arg;
                }
                // A process reads its configuration once, and clap wants names that live as long as it does.
                let variable: &'static str = self.variable(&long).leak();
                let required = arg.is_required_set() && !has_verbs;
                let arg = arg.env(variable).hide_env_values(true).global(has_verbs);
                match self.defaults.iter().find(|(flag, _)| *flag == long) {
                    Some((_, value)) => arg.required(false).default_value(*value),
                    None => arg.required(required),
                }
            })
    }

    fn variable(&self, long: &str) -> String {
        format!("{}_{}", self.prefix, long.to_uppercase().replace('-', "_"))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is where configuration comes in"
    )]
    fn file_path(&self, args: &[OsString]) -> Option<PathBuf> {
        let mut args = args
            .iter()
            .skip(1)
            .map(|arg| arg.to_string_lossy())
            .take_while(|arg| arg != "--");
        while let Some(arg) = args.next() {
            if arg == "--config" {
                return args.next().map(|path| PathBuf::from(path.as_ref()));
            }
            if let Some(path) = arg.strip_prefix("--config=") {
                return Some(path.into());
            }
        }
        std::env::var_os(self.variable("config")).map(Into::into)
    }
}

/// The long flags that clap and this module bring along, and that no file may set.
fn is_built_in(long: &str) -> bool {
    matches!(long, "help" | "version")
}

/// Whether a flag or a variable outranks the file.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where configuration comes in"
)]
fn given_elsewhere(setting: &Setting, command: &Command, args: &[OsString]) -> bool {
    let flag = format!("--{}", setting.flag);
    let by_flag = args.iter().any(|arg| {
        let arg = arg.to_string_lossy();
        arg.strip_prefix(&flag)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let by_variable = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(&setting.flag))
        .and_then(Arg::get_env)
        .is_some_and(|name| std::env::var_os(name).is_some());
    by_flag || by_variable
}

/// Two settings that were both given and exclude each other. The library sees it only where both stand on the same side
/// of the verb.
fn together(command: &Command, matches: &ArgMatches) -> Option<[String; 2]> {
    let is_given = |arg: &Arg| {
        matches
            .value_source(arg.get_id().as_str())
            .is_some_and(|source| source != ValueSource::DefaultValue)
    };
    command
        .get_arguments()
        .filter(|arg| is_given(arg))
        .find_map(|arg| {
            let other = command
                .get_arg_conflicts_with(arg)
                .into_iter()
                .find(|other| is_given(other))?;
            Some([arg, other].map(|arg| arg.get_id().as_str().replace('_', "-")))
        })
}

/// Names key and file when a malformed value came from there.
fn blame_file(
    error: clap::Error,
    command: &mut Command,
    from_file: &[Setting],
    path: Option<&PathBuf>,
) -> clap::Error {
    let (Some(ContextValue::String(argument)), Some(path)) =
        (error.get(ContextKind::InvalidArg), path)
    else {
        return error;
    };
    let flag = argument.split_whitespace().next().unwrap_or_default();
    let Some(setting) = from_file
        .iter()
        .find(|setting| flag.strip_prefix("--") == Some(&setting.flag))
    else {
        return error;
    };
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let problem = first.strip_prefix("error: ").unwrap_or(first);
    command.error(
        error.kind(),
        format!(
            "{problem}, from key `{}` in {}",
            setting.key(),
            path.display()
        ),
    )
}

/// Whether an argument is a switch without a value.
fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

#[cfg(test)]
mod tests;
