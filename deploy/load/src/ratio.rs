//! Ratios on a noisy machine: subject and reference in turn, and the median of what the pairs say.

use std::time::Duration;

use crate::stopwatch::Stopwatch;

/// How many pairs are measured; a disturbed one is dropped, so the median stands on fewer at worst.
const PAIRS: usize = 9;

/// A pair counts when the fixed loop beside it ran at most this much slower than its best.
const DISTURBED: f64 = 1.15;

/// What a comparison found.
pub(crate) struct Ratio {
    /// The median of reference time ÷ subject time: 1 means as fast, below 1 slower than the reference.
    pub(crate) speed: f64,
    /// The least and the greatest of the pairs that counted.
    pub(crate) range: (f64, f64),
    /// The subject's median time for one operation.
    pub(crate) subject: Duration,
    /// The reference's median time for one operation.
    pub(crate) reference: Duration,
    /// How many pairs counted.
    pub(crate) pairs: usize,
}

/// Compares two ways of doing a thing. Each closure does its work `operations` times and is timed as a whole.
pub(crate) fn compare(
    operations: u32,
    mut subject: impl FnMut(u32),
    mut reference: impl FnMut(u32),
) -> Ratio {
    subject(operations);
    reference(operations);
    let mut pairs = Vec::with_capacity(PAIRS);
    for turn in 0..PAIRS {
        let calibration = calibrate();
        // Whoever goes second finds warmer caches: take turns.
        let (subject_time, reference_time) = if turn % 2 == 0 {
            let first = time(|| subject(operations));
            (first, time(|| reference(operations)))
        } else {
            let first = time(|| reference(operations));
            (time(|| subject(operations)), first)
        };
        pairs.push((calibration, subject_time, reference_time));
    }
    let best = pairs.iter().map(|pair| pair.0).min().unwrap_or_default();
    let mut counted: Vec<_> = pairs
        .iter()
        .filter(|pair| pair.0.as_secs_f64() <= best.as_secs_f64() * DISTURBED)
        .collect();
    if counted.len() < 3 {
        counted = pairs.iter().collect();
    }
    let mut ratios: Vec<f64> = counted
        .iter()
        .map(|(_, subject, reference)| reference.as_secs_f64() / subject.as_secs_f64())
        .collect();
    let speed = median(&mut ratios);
    Ratio {
        speed,
        range: (
            ratios.first().copied().unwrap_or(speed),
            ratios.last().copied().unwrap_or(speed),
        ),
        subject: per_operation(counted.iter().map(|pair| pair.1), operations),
        reference: per_operation(counted.iter().map(|pair| pair.2), operations),
        pairs: counted.len(),
    }
}

/// The median; sorts its input.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn per_operation(times: impl Iterator<Item = Duration>, operations: u32) -> Duration {
    let mut seconds: Vec<f64> = times.map(|time| time.as_secs_f64()).collect();
    Duration::from_secs_f64(median(&mut seconds) / f64::from(operations))
}

fn time(work: impl FnOnce()) -> Duration {
    let watch = Stopwatch::start();
    work();
    watch.elapsed()
}

/// A fixed amount of arithmetic: slower than at its best means that something else had the processor.
fn calibrate() -> Duration {
    time(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..4_000_000_u32 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        std::hint::black_box(state);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(rounds: u32) {
        for round in 0..rounds {
            std::hint::black_box(round);
        }
    }

    #[test]
    fn twice_the_work_is_about_half_the_speed() {
        let ratio = compare(200_000, |n| spin(n * 2), spin);
        assert!((0.3..0.8).contains(&ratio.speed), "{}", ratio.speed);
        assert!(ratio.pairs >= 3);
    }

    #[test]
    fn median_is_the_middle_of_the_sorted_values() {
        assert!((median(&mut [9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
    }
}
