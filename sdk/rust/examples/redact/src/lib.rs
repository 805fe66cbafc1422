//! Hides the names of frames whose function has one of some texts in it. Every event is kept: what ran is counted,
//! and what it is called is not told. Set it to `on_error = drop`, so that nothing passes when it fails.
//!
//! Settings: `functions`, the texts.

#![no_std]

use aperture_filter::{contains, filter, Batch, Configuration, Decisions, Filter, Refusal, Texts, Watermark};

#[derive(Default)]
struct Redact {
    functions: Texts,
    frames: Watermark,
}

impl Filter for Redact {
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        self.functions = settings.texts("functions")?.unwrap_or_default();
        if self.functions.iter().next().is_none() || self.functions.iter().any(|text| text.is_empty()) {
            return Err(Refusal::new("functions", "needs texts, and no empty one"));
        }
        Ok(())
    }

    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        let frames = batch.frames();
        for new in self.frames.advance(batch, frames.len()) {
            let function = batch.string(frames[new].function);
            if self.functions.iter().any(|text| contains(function, text)) {
                decisions.redacted[new].hide();
            }
        }
    }
}

filter!(Redact);

#[cfg(test)]
mod tests {
    use super::Redact;
    use aperture_filter::testing::{configured, Scene};
    use aperture_filter::Event;

    #[test]
    fn frames_are_hidden_and_events_kept() {
        let mut filter: Redact = configured(r#"{"functions":["secret","licence"]}"#).unwrap();
        let mut scene = Scene::new();
        let stack = scene.stack(&["main", "check_licence", "read_secret_key", "memcpy"]);
        scene.event(Event { stack, ..Event::default() });
        let decided = scene.run(&mut filter);
        assert_eq!(decided.verdicts, [1]);
        assert_eq!(decided.redacted, [false, false, true, true, false]);
    }

    #[test]
    fn frames_are_judged_when_they_are_new() {
        let mut filter: Redact = configured(r#"{"functions":["secret"]}"#).unwrap();
        let mut scene = Scene::new();
        scene.frame("secret_one");
        assert_eq!(scene.run(&mut filter).redacted, [false, true]);
        scene.frame("secret_two");
        assert_eq!(scene.run(&mut filter).redacted, [false, false, true], "the first is known, and not read again");
        scene.new_generation();
        scene.frame("main");
        scene.frame("secret_two");
        assert_eq!(scene.run(&mut filter).redacted, [false, false, true]);
    }

    #[test]
    fn texts_are_needed() {
        for json in ["{}", r#"{"functions":[]}"#, r#"{"functions":["a",""]}"#, r#"{"functions":"secret"}"#] {
            assert!(configured::<Redact>(json).is_err(), "{json}");
        }
    }
}
