//! Write a filter for Aperture: a small program that says, event by event, what a profiler keeps, drops, samples or
//! tags. It runs as WebAssembly inside the profiler, which hands it a batch at a time.
//!
//! ```
//! use aperture_filter::{contains, filter, Batch, Configuration, Decisions, Filter, Refusal, StringMemo};
//!
//! /// Keeps the events of threads whose name has a text in it.
//! #[derive(Default)]
//! struct ThreadName {
//!     text: &'static [u8],
//!     named: StringMemo,
//! }
//!
//! impl Filter for ThreadName {
//!     fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
//!         self.text = settings.needed_text("text")?;
//!         Ok(())
//!     }
//!
//!     fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
//!         for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
//!             verdict.keep_if(self.named.get(batch, event.thread, |name| contains(name, self.text)));
//!         }
//!     }
//! }
//!
//! filter!(ThreadName);
//! ```
//!
//! A crate of it is `#![no_std]` and a `cdylib`; `cargo build --release --target wasm32-unknown-unknown` makes the module.
//! For a filter that uses std, turn the feature `std` on.
//!
//! Views are slices of the arena that the host writes: nothing is copied, and nothing is allocated for an event. What
//! a header says is checked once for each batch, so that safe code cannot read outside of the arena.
//!
//! A panic is logged with its place and traps; the profiler then makes a new instance, without what this one knew.
//!
//! Natively the same code compiles for unit tests: the `testing` module puts a batch together from Rust.

#![no_std]
#![deny(missing_docs, unsafe_code)]

#[cfg(not(target_arch = "wasm32"))]
extern crate std;

mod batch;
mod configuration;
mod decisions;
#[doc(hidden)]
pub mod exports;
pub mod layout;
mod log;
mod memo;
mod storage;
mod table;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;

pub use batch::{Batch, Stack, Watermark};
pub use configuration::{Configuration, Refusal, Texts};
pub use decisions::{Decisions, Redaction, Tags, Verdict};
pub use layout::{frame_kind, kind, role, Event, Frame, Node, Process};
pub use log::{log, Level, Line};
pub use memo::{FrameMemo, ProcessMemo, StackMemo, StringMemo};
pub use table::Table;
pub use text::{contains, is_below};

/// A filter. The default value is what it is before its configuration.
pub trait Filter: Default {
    /// The names of its tags, at most 16, without commas.
    const TAGS: &'static [&'static str] = &[];

    /// Take the settings, or refuse them. Called once, before the first batch, with `{}` if the user gave none. A
    /// setting that is not asked for here is refused.
    fn configure(&mut self, settings: &Configuration) -> Result<(), Refusal> {
        let _ = settings;
        Ok(())
    }

    /// Decide about a batch. Every verdict is 1, keep, until it is changed.
    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>);
}
