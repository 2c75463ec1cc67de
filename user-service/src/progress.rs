//! How far a long verb is: one line that is written over on a terminal, and a line now and then elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::time::Instant;

/// How often a terminal is told.
const OFTEN: Duration = Duration::from_millis(100);
/// How often a log is told.
const SELDOM: Duration = Duration::from_secs(10);
/// Characters of the bar.
const WIDTH: u64 = 30;

/// What a verb has done so far, told on standard error.
pub(crate) struct Progress {
    out: Box<dyn Write + Send>,
    is_terminal: bool,
    begun: Instant,
    told: Option<Instant>,
    /// Bytes or users that there are, when that is known.
    total: Option<u64>,
}

impl Progress {
    /// Begins now.
    pub(crate) fn on_stderr(total: Option<u64>) -> Self {
        let out = io::stderr();
        let is_terminal = out.is_terminal();
        Self::new(Box::new(out), is_terminal, total)
    }

    fn new(out: Box<dyn Write + Send>, is_terminal: bool, total: Option<u64>) -> Self {
        Self {
            out,
            is_terminal,
            begun: Instant::now(),
            told: None,
            total,
        }
    }

    /// Says how far it is, unless that was just said: `done` of the total, and `users` of them.
    pub(crate) fn tell(&mut self, done: u64, users: u64) {
        let pause = if self.is_terminal { OFTEN } else { SELDOM };
        let last = self.told.unwrap_or(self.begun);
        if last.elapsed() < pause {
            return;
        }
        self.told = Some(Instant::now());
        let line = self.line(done, users);
        let (before, after) = if self.is_terminal {
            ("\r", "\u{1b}[K")
        } else {
            ("", "\n")
        };
        self.write(&format!("{before}{line}{after}"));
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, line: &str) {
        let clean = if self.is_terminal { "\r\u{1b}[K" } else { "" };
        self.write(&format!("{clean}{line}\n"));
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        if self.is_terminal && self.told.is_some() {
            self.write("\r\u{1b}[K");
        }
    }

    fn line(&self, done: u64, users: u64) -> String {
        let rate = (u128::from(users) * 1000)
            .checked_div(self.begun.elapsed().as_millis())
            .unwrap_or_default();
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{users} users, {rate}/s");
        };
        let part = |of: u64| u128::from(done.min(total)) * u128::from(of) / u128::from(total);
        let filled = usize::try_from(part(WIDTH)).unwrap_or_default();
        let empty = usize::try_from(WIDTH).unwrap_or_default() - filled;
        let percent = part(100);
        if self.is_terminal {
            let bar = format!("[{}{}]", "#".repeat(filled), ".".repeat(empty));
            format!("{bar} {percent:3} %  {users} users, {rate}/s")
        } else {
            format!("{percent} %: {users} users, {rate}/s")
        }
    }

    fn write(&mut self, text: &str) {
        // Nobody is left to be told that standard error is closed.
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shown {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_terminal_has_a_bar_and_a_log_has_plain_lines() {
        for (is_terminal, total, expected) in [
            (
                true,
                Some(200),
                "[###############...............]  50 %  7 users",
            ),
            (false, Some(200), "50 %: 7 users"),
            (true, None, "7 users"),
            (false, Some(0), "7 users"),
        ] {
            let progress = Progress::new(Box::new(Shown::default()), is_terminal, total);
            let line = progress.line(100, 7);
            assert!(line.starts_with(expected), "{line}");
        }
    }

    #[test]
    fn what_stays_is_a_line_of_its_own() {
        let shown = Shown::default();
        let mut progress = Progress::new(Box::new(shown.clone()), false, None);
        progress.tell(1, 1);
        progress.say("line 3: refused");
        progress.end();
        assert_eq!(shown.text(), "line 3: refused\n");
    }
}
