//! Keeps the events of processes whose name has a text in it, or drops them.
//!
//! Settings: `name`, the text; `drop`, true to drop what is named and to keep the rest.

#![no_std]

use aperture_filter::{contains, filter, Batch, Configuration, Decisions, Filter, ProcessMemo, Refusal};

#[derive(Default)]
struct ProcessName {
    name: &'static [u8],
    drop: bool,
    named: ProcessMemo,
}

impl Filter for ProcessName {
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        self.name = settings.needed_text("name")?;
        self.drop = settings.boolean("drop")?.unwrap_or(false);
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
            let named = self.named.get(batch, event.process, |process| contains(batch.string(process.name), self.name));
            verdict.keep_if(named != self.drop);
        }
    }
}

filter!(ProcessName);

#[cfg(test)]
mod tests {
    use super::ProcessName;
    use aperture_filter::testing::{configured, Scene};
    use aperture_filter::Event;

    fn scene() -> Scene {
        let mut scene = Scene::new();
        for (pid, name) in [(1, "nginx"), (2, "nginx: worker"), (3, "postgres"), (1, "nginx")] {
            let process = scene.process(pid, name, "");
            scene.event(Event { pid, process, ..Event::default() });
        }
        scene.event(Event { pid: 9, ..Event::default() });
        scene
    }

    #[test]
    fn what_is_named_is_kept() {
        let mut filter: ProcessName = configured(r#"{"name":"nginx"}"#).unwrap();
        assert_eq!(scene().run(&mut filter).verdicts, [1, 1, 0, 1, 0]);
    }

    #[test]
    fn or_dropped() {
        let mut filter: ProcessName = configured(r#"{"name":"nginx","drop":true}"#).unwrap();
        assert_eq!(scene().run(&mut filter).verdicts, [0, 0, 1, 0, 1]);
    }

    #[test]
    fn a_name_is_needed() {
        for json in ["{}", r#"{"name":""}"#, r#"{"name":1}"#, r#"{"name":"x","dorp":true}"#] {
            assert!(configured::<ProcessName>(json).is_err(), "{json}");
        }
    }
}
