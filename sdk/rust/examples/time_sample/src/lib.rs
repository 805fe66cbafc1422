//! Keeps one in n windows of time, whole: what happens within a kept window is seen in its order, which sampling
//! event by event would tear apart.
//!
//! Of every n windows in a row one is kept, drawn anew each time and for each thread, so that no rhythm of the program
//! falls in step with it. An event is kept with a chance of 1 in n and then stands for n: sums over weight and
//! duration stay right on average.
//!
//! Settings: `every`, n, 1 to 65,535, by default 10; `window_ms`, by default 10.

#![no_std]

use aperture_filter::{filter, Batch, Configuration, Decisions, Filter, Refusal};

const NS_PER_MS: u64 = 1_000_000;

struct TimeSample {
    every: u16,
    window_ns: u64,
    /// The window of the event before: events come roughly by time, and a division is dear.
    start_ns: u64,
    round: u64,
    place: u64,
}

impl Default for TimeSample {
    fn default() -> Self {
        TimeSample { every: 10, window_ns: 10 * NS_PER_MS, start_ns: 0, round: 0, place: 0 }
    }
}

impl TimeSample {
    fn enter(&mut self, time_ns: u64) {
        let window = time_ns / self.window_ns;
        self.start_ns = window * self.window_ns;
        self.round = window / u64::from(self.every);
        self.place = window % u64::from(self.every);
    }
}

/// Which window of a round is kept for a thread: a number below `every`. The mixing is that of SplitMix64.
fn drawn(round: u64, tid: u32, every: u16) -> u64 {
    let mut x = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(tid).wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x >> 32) * u64::from(every)) >> 32
}

impl Filter for TimeSample {
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        if let Some(every) = settings.integer("every", 1..=65_535)? {
            self.every = every as u16;
        }
        if let Some(window_ms) = settings.integer("window_ms", 1..=3_600_000)? {
            self.window_ns = window_ms as u64 * NS_PER_MS;
        }
        self.enter(0);
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
            if event.time_ns.wrapping_sub(self.start_ns) >= self.window_ns {
                self.enter(event.time_ns);
            }
            let kept = drawn(self.round, event.tid, self.every) == self.place;
            verdict.sample(if kept { self.every } else { 0 });
        }
    }
}

filter!(TimeSample);

#[cfg(test)]
mod tests {
    use super::{TimeSample, NS_PER_MS};
    use aperture_filter::testing::{configured, Scene};
    use aperture_filter::Event;

    extern crate std;
    use std::vec::Vec;

    fn verdicts(json: &str, times_ms: impl Iterator<Item = u64>, tid: u32) -> Vec<u32> {
        let (mut scene, mut filter) = (Scene::new(), configured::<TimeSample>(json).unwrap());
        for time in times_ms {
            scene.event(Event { time_ns: time * NS_PER_MS, tid, ..Event::default() });
        }
        scene.run(&mut filter).verdicts
    }

    #[test]
    fn one_window_of_every_round_is_kept_whole() {
        let verdicts = verdicts(r#"{"every":4,"window_ms":5}"#, 0..20 * 50, 7);
        for round in verdicts.chunks(20) {
            let windows: Vec<_> = round.chunks(5).map(|window| window.to_vec()).collect();
            assert_eq!(windows.iter().filter(|window| **window == [4; 5]).count(), 1, "{windows:?}");
            assert_eq!(windows.iter().filter(|window| **window == [0; 5]).count(), 3, "{windows:?}");
        }
    }

    #[test]
    fn the_sum_of_the_weights_is_what_there_was() {
        assert_eq!(verdicts(r#"{"every":10,"window_ms":1}"#, 0..5000, 7).iter().sum::<u32>(), 5000);
    }

    #[test]
    fn threads_do_not_keep_the_same_windows() {
        let of = |tid| verdicts(r#"{"every":10,"window_ms":1}"#, 0..1000, tid);
        let both = of(7).iter().zip(&of(8)).filter(|(one, other)| **one != 0 && **other != 0).count();
        assert!((2..30).contains(&both), "{both} of 100, and by chance it would be 10");
    }

    #[test]
    fn the_order_does_not_matter() {
        let json = r#"{"every":3,"window_ms":2}"#;
        let mut backwards = verdicts(json, (0..600).rev(), 1);
        backwards.reverse();
        assert_eq!(backwards, verdicts(json, 0..600, 1));
    }

    #[test]
    fn one_in_one_is_all() {
        assert_eq!(verdicts(r#"{"every":1}"#, 0..30, 1), [1; 30]);
    }

    #[test]
    fn settings_have_ranges() {
        for json in [r#"{"every":0}"#, r#"{"every":65536}"#, r#"{"window_ms":0}"#, r#"{"window_ms":"1"}"#] {
            assert!(configured::<TimeSample>(json).is_err(), "{json}");
        }
    }
}
