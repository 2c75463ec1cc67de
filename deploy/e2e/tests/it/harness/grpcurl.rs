//! The real grpcurl, as a person at a terminal uses it.

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

/// grpcurl against the public listener of a service.
#[derive(Clone, Debug)]
pub(crate) struct Grpcurl {
    pub(crate) program: PathBuf,
    pub(crate) target: SocketAddr,
}

/// What grpcurl says of a refused call.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status code, such as `PermissionDenied`.
    pub(crate) code: String,
    /// Everything it printed.
    pub(crate) text: String,
}

impl Refusal {
    /// Whether the details carry this reason.
    pub(crate) fn has_reason(&self, reason: &str) -> bool {
        self.text
            .replace(' ', "")
            .contains(&format!(r#""reason":"{reason}""#))
    }
}

impl Grpcurl {
    /// Calls `Service/Method` with a JSON message, by reflection.
    pub(crate) fn call(
        &self,
        method: &str,
        message: &Value,
        token: Option<&str>,
    ) -> Result<Value, Refusal> {
        let answers = self.call_stream(method, std::slice::from_ref(message), token)?;
        let [answer] = <[Value; 1]>::try_from(answers).unwrap();
        Ok(answer)
    }

    /// The same with any number of messages and of answers.
    pub(crate) fn call_stream(
        &self,
        method: &str,
        messages: &[Value],
        token: Option<&str>,
    ) -> Result<Vec<Value>, Refusal> {
        let mut command = Command::new(&self.program);
        command.args(["-plaintext", "-max-time", "30"]);
        if let Some(token) = token {
            command.args(["-H", &format!("authorization: Bearer {token}")]);
        }
        let mut child = command
            .args(["-d", "@", &self.target.to_string(), method])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for message in messages {
            input.write_all(message.to_string().as_bytes()).unwrap();
        }
        drop(input);
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            let text = String::from_utf8(output.stdout).unwrap();
            let answers = serde_json::Deserializer::from_str(&text).into_iter();
            return Ok(answers.collect::<Result<_, _>>().unwrap());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Code: "))
            .unwrap_or_else(|| panic!("grpcurl could not call {method}: {text}"));
        Err(Refusal {
            code: code.to_owned(),
            text,
        })
    }

    /// What reflection lists.
    pub(crate) fn list(&self) -> Vec<String> {
        let output = Command::new(&self.program)
            .args(["-plaintext", &self.target.to_string(), "list"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}
