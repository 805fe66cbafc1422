//! At most n events a second of each process, whatever it does; the others of a burst stand in those that are kept.
//!
//! In every second of the events' own clock a process has n events. The first half passes as it is. The other half is
//! spent in 15 steps: one in 2 is kept and stands for 2, then one in 4, and so on to one in 32,768. The limit is never
//! exceeded, and sums over weight and duration stay right up to some 2,000 n events a second: the one that is kept is
//! from the middle of those it stands for, so that where a second ends cuts off as often as it adds. What is beyond
//! the last step is dropped.
//!
//! A process is a row of the table of processes: one that changes its name or its cgroup begins anew.
//!
//! Settings: `events_per_second`, n, 32 to 1,000,000, by default 1,000.

#![no_std]

use aperture_filter::{filter, Batch, Configuration, Decisions, Filter, Refusal, Table, Watermark};

const NS_PER_S: u64 = 1_000_000_000;
const STEPS: u32 = 15;

/// What one process had of one second.
#[derive(Clone, Copy, Default)]
struct Spent {
    second: u64,
    kept: u32,
    /// Events to be dropped before the next one that is kept.
    skip: u32,
}

struct RateLimit {
    /// Events that pass as they are.
    freely: u32,
    /// Events of each step after that.
    step: u32,
    rows: Watermark,
    spent: Table<Spent>,
}

impl Default for RateLimit {
    fn default() -> Self {
        RateLimit::new(1_000)
    }
}

impl RateLimit {
    fn new(limit: u32) -> Self {
        let freely = limit / 2;
        RateLimit { freely, step: (limit - freely) / STEPS, rows: Watermark::default(), spent: Table::default() }
    }
}

impl Spent {
    /// The verdict for one more event.
    fn take(&mut self, second: u64, freely: u32, step: u32) -> u16 {
        if second > self.second {
            *self = Spent { second, ..Spent::default() };
        }
        if self.kept < freely {
            self.kept += 1;
            return 1;
        }
        let steps = (self.kept - freely) / step;
        if steps == STEPS {
            return 0;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return 0;
        }
        let stands_for = 2 << steps;
        self.kept += 1;
        let next = 2 << ((self.kept - freely) / step);
        self.skip = stands_for / 2 + next / 2 - 1;
        stands_for as u16
    }
}

impl Filter for RateLimit {
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        if let Some(limit) = settings.integer("events_per_second", 32..=1_000_000)? {
            *self = RateLimit::new(limit as u32);
        }
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        let n = batch.processes().len().max(1);
        if self.rows.advance(batch, n).start == 0 {
            self.spent.clear();
        }
        assert!(self.spent.lengthen(n), "no memory for the processes");
        for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
            let row = event.process as usize;
            let spent = &mut self.spent[if row < n { row } else { 0 }];
            verdict.sample(spent.take(event.time_ns / NS_PER_S, self.freely, self.step));
        }
    }
}

filter!(RateLimit);

#[cfg(test)]
mod tests {
    use super::{RateLimit, NS_PER_S};
    use aperture_filter::testing::{configured, Scene};
    use aperture_filter::Event;

    extern crate std;
    use std::vec::Vec;

    /// The verdicts for `n` events of one process, within the second.
    fn burst(scene: &mut Scene, filter: &mut RateLimit, second: u64, pid: u32, n: u64) -> Vec<u32> {
        let process = scene.process(pid, "app", "");
        for i in 0..n {
            scene.event(Event { pid, process, time_ns: second * NS_PER_S + i * NS_PER_S / n, ..Event::default() });
        }
        scene.run(filter).verdicts
    }

    fn kept(verdicts: &[u32]) -> usize {
        verdicts.iter().filter(|verdict| **verdict != 0).count()
    }

    fn limited(limit: u32) -> (Scene, RateLimit) {
        let json = std::format!("{{\"events_per_second\":{limit}}}");
        (Scene::new(), configured(&json).unwrap())
    }

    #[test]
    fn half_the_limit_passes_as_it_is() {
        let (mut scene, mut filter) = limited(100);
        assert_eq!(burst(&mut scene, &mut filter, 5, 1, 50), [1; 50]);
    }

    #[test]
    fn a_burst_stays_within_the_limit_and_keeps_its_sum() {
        for n in [60, 100, 1_000, 10_000, 100_000] {
            let (mut scene, mut filter) = limited(100);
            let verdicts = burst(&mut scene, &mut filter, 5, 1, n);
            assert!(kept(&verdicts) <= 100);
            let (sum, largest) = (verdicts.iter().sum::<u32>() as u64, *verdicts.iter().max().unwrap() as u64);
            assert!(sum.abs_diff(n) <= largest / 2, "{n} events: {sum}, the largest for {largest}");
        }
    }

    #[test]
    fn beyond_all_steps_the_limit_holds() {
        let (mut scene, mut filter) = limited(32);
        let verdicts = burst(&mut scene, &mut filter, 5, 1, 200_000);
        assert_eq!((kept(&verdicts), verdicts.iter().max()), (31, Some(&32_768)));
    }

    #[test]
    fn every_second_and_every_process_has_its_own() {
        let (mut scene, mut filter) = limited(32);
        let first = burst(&mut scene, &mut filter, 5, 1, 300);
        assert!(kept(&first) < 32);
        assert_eq!(burst(&mut scene, &mut filter, 5, 2, 300), first, "another process");
        assert_eq!(burst(&mut scene, &mut filter, 6, 1, 300), first, "another second");
        assert!(kept(&burst(&mut scene, &mut filter, 6, 1, 300)) < 16, "the same second, in the next batch");
        scene.new_generation();
        assert_eq!(burst(&mut scene, &mut filter, 6, 1, 300), first, "a new generation");
    }

    #[test]
    fn an_event_out_of_order_counts_into_the_second_that_runs() {
        let (mut scene, mut filter) = limited(32);
        burst(&mut scene, &mut filter, 6, 1, 30);
        assert_eq!(kept(&burst(&mut scene, &mut filter, 5, 1, 2)), 0);
    }

    #[test]
    fn the_limit_has_a_range() {
        for json in [r#"{"events_per_second":31}"#, r#"{"events_per_second":1000001}"#, r#"{"per_second":50}"#] {
            assert!(configured::<RateLimit>(json).is_err(), "{json}");
        }
    }
}
