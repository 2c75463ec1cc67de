//! The configuration file: a flat TOML table whose keys are the flags' names.

use std::{ffi::OsString, path::Path};

use clap::Command;

use super::{is_built_in, is_switch};

/// One key of the file.
#[derive(Debug)]
pub(super) struct Setting {
    /// The long flag, without dashes.
    pub(super) flag: String,
    values: Vec<String>,
    switch: bool,
}

impl Setting {
    /// The key as it stands in the file.
    pub(super) fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// The same setting, written as flags.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let flag = &self.flag;
        if self.switch {
            let on = self.values.iter().any(|value| value == "true");
            return on.then(|| format!("--{flag}").into()).into_iter().collect();
        }
        self.values
            .iter()
            .map(|value| format!("--{flag}={value}").into())
            .collect()
    }
}

/// Reads the settings of the file at `path`, each of which must be a flag of `command`; the error is a sentence.
pub(super) fn read(path: &Path, command: &Command) -> Result<Vec<Setting>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("--config: cannot read {shown}: {error}"))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| format!("--config: {shown} is not TOML: {error}"))?;
    table
        .into_iter()
        .map(|(key, value)| {
            let flag = key.replace('_', "-");
            let arg = command
                .get_arguments()
                .find(|arg| arg.get_long() == Some(&flag))
                .filter(|_| key != "config" && !key.contains('-') && !is_built_in(&key))
                .ok_or_else(|| {
                    format!(
                        "unknown key `{key}` in {shown}; remove it, or see --help for the names"
                    )
                })?;
            let values = texts(value).ok_or_else(|| {
                format!(
                    "key `{key}` in {shown} must be a string, number, boolean or a list of them"
                )
            })?;
            Ok(Setting {
                flag,
                values,
                switch: is_switch(arg),
            })
        })
        .collect()
}

fn texts(value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::Array(values) => values.into_iter().map(text).collect(),
        value => Some(vec![text(value)?]),
    }
}

fn text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
