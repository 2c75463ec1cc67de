//! The real grpcurl, as a person at a terminal uses it.

use std::{
    io::Write,
    net::SocketAddr,
    ops::ControlFlow,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::Value;

/// grpcurl against a listener of a service.
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
        let header = token.map(|token| format!("authorization: Bearer {token}"));
        let flags: Vec<_> = header
            .iter()
            .flat_map(|header| ["-H", header.as_str()])
            .collect();
        self.call_with(method, messages, &flags)
    }

    /// The same with flags of one's own, such as other headers, or a protoset where there is no reflection.
    pub(crate) fn call_with(
        &self,
        method: &str,
        messages: &[Value],
        flags: &[&str],
    ) -> Result<Vec<Value>, Refusal> {
        let mut child = self.spawn(method, flags);
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

    /// A stream that goes on while its answers are read: `reply` says of each what to send next, or that it is the last
    /// that is waited for.
    pub(crate) fn converse(
        &self,
        method: &str,
        flags: &[&str],
        first: &Value,
        mut reply: impl FnMut(&Value) -> ControlFlow<(), Vec<Value>>,
    ) -> Vec<Value> {
        let mut child = self.spawn(method, flags);
        let mut input = child.stdin.take().unwrap();
        let send = |input: &mut ChildStdin, message: &Value| {
            input.write_all(message.to_string().as_bytes()).unwrap();
        };
        send(&mut input, first);
        let mut input = Some(input);
        let output = child.stdout.take().unwrap();
        let mut answers = Vec::new();
        for answer in serde_json::Deserializer::from_reader(output).into_iter() {
            let answer = answer.unwrap();
            // The end of the input is the end of the stream; what is on its way then is read as well.
            if let Some(mut open) = input.take()
                && let ControlFlow::Continue(messages) = reply(&answer)
            {
                for message in &messages {
                    send(&mut open, message);
                }
                input = Some(open);
            }
            answers.push(answer);
        }
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{method}: {ended:?}");
        answers
    }

    fn spawn(&self, method: &str, flags: &[&str]) -> Child {
        Command::new(&self.program)
            .args(["-plaintext", "-max-time", "30"])
            .args(flags)
            .args(["-d", "@", &self.target.to_string(), method])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
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
