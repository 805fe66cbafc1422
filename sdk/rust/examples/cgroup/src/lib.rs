//! One tenant alone: keeps the events of processes in a cgroup or below it. A process whose cgroup is unknown is
//! nobody's, and dropped.
//!
//! Settings: `path`, of the cgroup: `/kubepods.slice/pod42` has `/kubepods.slice/pod42/app` below it, not
//! `/kubepods.slice/pod421`.

#![no_std]

use aperture_filter::{filter, is_below, Batch, Configuration, Decisions, Filter, ProcessMemo, Refusal};

#[derive(Default)]
struct Cgroup {
    path: &'static [u8],
    within: ProcessMemo,
}

impl Filter for Cgroup {
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        self.path = settings.needed_text("path")?;
        if !self.path.starts_with(b"/") {
            return Err(Refusal::new("path", "must begin with a slash"));
        }
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
            let within =
                self.within.get(batch, event.process, |process| is_below(batch.string(process.cgroup), self.path));
            verdict.keep_if(within);
        }
    }
}

filter!(Cgroup);

#[cfg(test)]
mod tests {
    use super::Cgroup;
    use aperture_filter::testing::{configured, Scene};
    use aperture_filter::Event;

    #[test]
    fn one_tenant_is_kept() {
        let (mut scene, mut filter) = (Scene::new(), configured::<Cgroup>(r#"{"path":"/pods/a"}"#).unwrap());
        for (pid, cgroup) in [(1, "/pods/a"), (2, "/pods/a/app"), (3, "/pods/ab"), (4, "/pods"), (5, "")] {
            let process = scene.process(pid, "app", cgroup);
            scene.event(Event { pid, process, ..Event::default() });
        }
        scene.event(Event::default());
        assert_eq!(scene.run(&mut filter).verdicts, [1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_process_that_moved_is_judged_by_where_it_was() {
        let (mut scene, mut filter) = (Scene::new(), configured::<Cgroup>(r#"{"path":"/pods/a"}"#).unwrap());
        for cgroup in ["/pods/a", "/pods/b", "/pods/a"] {
            let process = scene.process(1, "app", cgroup);
            scene.event(Event { pid: 1, process, ..Event::default() });
        }
        assert_eq!(scene.run(&mut filter).verdicts, [1, 0, 1]);
    }

    #[test]
    fn a_path_is_needed() {
        assert!(configured::<Cgroup>("{}").is_err());
        assert!(configured::<Cgroup>(r#"{"path":"pods/a"}"#).is_err());
    }
}
