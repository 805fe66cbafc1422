//! Of the system calls only the slow ones, tagged `slow`. Every other kind of event passes.
//!
//! An event of a system call stands for a bucket of latencies: it is slow if its longest call took that long.
//!
//! Settings: `at_least_us`, by default 1,000.

#![no_std]

use aperture_filter::{filter, kind, Batch, Configuration, Decisions, Filter, Refusal};

const NS_PER_US: u64 = 1_000;
const SLOW: u32 = 0;

struct SlowSyscalls {
    at_least_ns: u64,
}

impl Default for SlowSyscalls {
    fn default() -> Self {
        SlowSyscalls { at_least_ns: 1_000 * NS_PER_US }
    }
}

impl Filter for SlowSyscalls {
    const TAGS: &'static [&'static str] = &["slow"];

    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        if let Some(us) = settings.integer("at_least_us", 0..=1_000_000_000_000)? {
            self.at_least_ns = us as u64 * NS_PER_US;
        }
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        let decided = decisions.verdicts.iter_mut().zip(&mut *decisions.tags);
        for (event, (verdict, tags)) in batch.events().iter().zip(decided) {
            if event.kind != kind::SYSCALL {
                continue;
            }
            if event.maximum_ns >= self.at_least_ns {
                tags.add(SLOW);
            } else {
                verdict.drop();
            }
        }
    }
}

filter!(SlowSyscalls);

#[cfg(test)]
mod tests {
    use super::SlowSyscalls;
    use aperture_filter::testing::{configured, Decided, Scene};
    use aperture_filter::{kind, Event};

    fn decided(json: &str) -> Decided {
        let (mut scene, mut filter) = (Scene::new(), configured::<SlowSyscalls>(json).unwrap());
        for (kind, maximum_ns) in [
            (kind::SYSCALL, 999_999),
            (kind::SYSCALL, 1_000_000),
            (kind::SYSCALL, 5_000),
            (kind::CPU, 0),
            (kind::LOCK, 5_000_000),
        ] {
            scene.event(Event { kind, maximum_ns, ..Event::default() });
        }
        scene.run(&mut filter)
    }

    #[test]
    fn slow_calls_stay_and_are_tagged() {
        let decided = decided("{}");
        assert_eq!(decided.verdicts, [0, 1, 0, 1, 1]);
        assert_eq!(decided.tags, [0, 1, 0, 0, 0]);
    }

    #[test]
    fn what_is_slow_can_be_said() {
        assert_eq!(decided(r#"{"at_least_us":5}"#).verdicts, [1, 1, 1, 1, 1]);
        assert_eq!(decided(r#"{"at_least_us":1001}"#).verdicts, [0, 0, 0, 1, 1]);
        assert!(configured::<SlowSyscalls>(r#"{"at_least_us":-1}"#).is_err());
    }
}
