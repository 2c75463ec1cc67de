//! Panics in the log: once, with their place, in the form of all other lines.

use std::panic::{PanicHookInfo, set_hook};

/// Logs every panic of this process from now on.
pub(super) fn log_panics() {
    set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        tracing::error!(
            location,
            reason = reason(panic),
            "a defect: the code panicked"
        );
    }));
}

/// The text of a panic where it is a constant. One that was put together may hold what belongs in no log.
fn reason<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("withheld")
}
