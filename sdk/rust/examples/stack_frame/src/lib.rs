//! Keeps the events whose stack has a function with a text in its name, anywhere from the innermost frame outwards.
//! Events without a stack are dropped.
//!
//! Settings: `function`, the text.

#![no_std]

use aperture_filter::{contains, filter, Batch, Configuration, Decisions, Filter, Refusal, StackMemo};

#[derive(Default)]
struct StackFrame {
    function: &'static [u8],
    matching: StackMemo,
}

impl Filter for StackFrame {
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        self.function = settings.needed_text("function")?;
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
            let matches =
                self.matching.get(batch, event.stack, |frame| contains(batch.string(frame.function), self.function));
            verdict.keep_if(matches);
        }
    }
}

filter!(StackFrame);

#[cfg(test)]
mod tests {
    use super::StackFrame;
    use aperture_filter::testing::{configured, Scene};
    use aperture_filter::Event;

    fn verdicts(scene: &mut Scene, filter: &mut StackFrame, stacks: &[&[&str]]) -> Vec<u32> {
        for functions in stacks {
            let stack = scene.stack(functions);
            scene.event(Event { stack, ..Event::default() });
        }
        scene.run(filter).verdicts
    }

    extern crate std;
    use std::vec::Vec;

    #[test]
    fn a_function_counts_wherever_it_stands() {
        let (mut scene, mut filter) = (Scene::new(), configured(r#"{"function":"json"}"#).unwrap());
        let stacks: [&[&str]; 6] = [
            &["main", "json_parse"],
            &["main", "parse_json", "malloc"],
            &["json"],
            &["main"],
            &["main", "malloc"],
            &[],
        ];
        assert_eq!(verdicts(&mut scene, &mut filter, &stacks), [1, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn new_stacks_on_known_ones_are_found() {
        let (mut scene, mut filter) = (Scene::new(), configured(r#"{"function":"json"}"#).unwrap());
        assert_eq!(verdicts(&mut scene, &mut filter, &[&["main", "json"], &["main", "idle"]]), [1, 0]);
        let next: [&[&str]; 3] = [&["main", "json", "malloc"], &["main", "idle", "poll"], &["main", "idle", "json"]];
        assert_eq!(verdicts(&mut scene, &mut filter, &next), [1, 0, 1]);
        scene.new_generation();
        assert_eq!(verdicts(&mut scene, &mut filter, &[&["idle", "main"], &["json"]]), [0, 1]);
    }

    #[test]
    fn a_function_is_needed() {
        assert!(configured::<StackFrame>("{}").is_err());
    }
}
