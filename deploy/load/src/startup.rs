//! Y10 and Y11: how long a service takes to serve, and how much it holds before its first login.
//!
//! They are held by the programs that are shipped: build these with `--profile dist` and name them with
//! `--programs target/dist`.

use std::{error::Error, fs, time::Duration};

use identity_dev::service::Service;

use crate::{
    ratio::median,
    report::Row,
    rig::{Rig, resident_kib},
};

const STARTS: usize = 5;
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// First boot and later starts with the peer up, memory at idle, size of the program.
pub(crate) async fn startup(store: &'static str, rig: &Rig) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    // user-service first alone, so that auth-service's first boot has its peer.
    let (mut user, user_first) = rig.time_to_first_answer(Service::User).await?;
    let (mut auth, auth_first) = rig.time_to_serving(Service::Auth).await?;
    rig.wait(Service::User).await?;
    rows.push(row(
        format!("first boot of auth-service on {store}"),
        auth_first,
        "≤ 150 ms (100)",
        format!(
            "user-service answers after {:.0} ms, with no peer yet",
            millis(user_first)
        ),
    ));
    for service in Service::BOTH {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let process = match service {
                Service::User => &mut user,
                Service::Auth => &mut auth,
            };
            process.terminate();
            process.ended_within(STOP_LIMIT).await?;
            let (fresh, time) = rig.time_to_serving(service).await?;
            *process = fresh;
            times.push(millis(time));
        }
        let held = if store == "SQLite" {
            "≤ 25 ms (10)"
        } else {
            "≤ 60 ms (40)"
        };
        let middle = median(&mut times);
        rows.push(Row {
            yardstick: "Y10",
            what: format!("start of {} to SERVING on {store}, peer up", service.name()),
            measured: format!("{middle:.0} ms"),
            held,
            note: format!(
                "{STARTS} starts, {:.0} to {:.0} ms",
                times.first().copied().unwrap_or_default(),
                times.last().copied().unwrap_or_default()
            ),
        });
    }
    rig.wait(Service::User).await?;
    rig.wait(Service::Auth).await?;
    for (service, process) in [(Service::User, &user), (Service::Auth, &auth)] {
        rows.push(Row {
            yardstick: "Y11",
            what: format!("resident at idle, {} on {store}", service.name()),
            measured: format!("{:.1} MiB", mib(resident_kib(process.id())?)),
            held: "≤ 16 MiB (12)",
            note: format!(
                "program of {:.1} MB, as built",
                megabytes(fs::metadata(rig.binary(service))?.len())
            ),
        });
    }
    for process in [&mut user, &mut auth] {
        process.terminate();
        process.ended_within(STOP_LIMIT).await?;
    }
    Ok(rows)
}

fn row(what: String, time: Duration, held: &'static str, note: String) -> Row {
    Row {
        yardstick: "Y10",
        what,
        measured: format!("{:.0} ms", millis(time)),
        held,
        note,
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
