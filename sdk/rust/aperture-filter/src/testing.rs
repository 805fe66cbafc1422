//! A batch put together in memory, to test a filter natively and without a runtime.
//!
//! ```
//! use aperture_filter::{testing::Scene, Batch, Decisions, Event, Filter};
//!
//! #[derive(Default)]
//! struct Long;
//!
//! impl Filter for Long {
//!     fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
//!         for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
//!             verdict.keep_if(event.duration_ns >= 1_000_000);
//!         }
//!     }
//! }
//!
//! let mut scene = Scene::new();
//! scene.event(Event { duration_ns: 5, ..Event::default() });
//! scene.event(Event { duration_ns: 5_000_000, ..Event::default() });
//! assert_eq!(scene.run(&mut Long).verdicts, [0, 1]);
//! ```

#![allow(unsafe_code)]

use crate::layout::{self, Event, Frame, Header, Node, Process, Slice};
use crate::{exports, frame_kind, Batch, Decisions, Filter, Level, Redaction, Refusal, Tags, Verdict};
use core::mem::{size_of, size_of_val};
use std::cell::RefCell;
use std::string::String;
use std::vec::Vec;

std::thread_local! {
    static LOG: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn note(level: Level, text: &[u8]) {
    LOG.with(|log| log.borrow_mut().push((level, String::from_utf8_lossy(text).into_owned())));
}

/// What was logged in this thread since the last time.
pub fn take_log() -> Vec<(Level, String)> {
    LOG.with(|log| core::mem::take(&mut *log.borrow_mut()))
}

/// A filter with its settings, as the host makes it.
pub fn configured<F: Filter>(json: &str) -> Result<F, Refusal> {
    exports::configured(json.as_bytes())
}

/// What a filter said about a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// One for each event: 0 dropped, 1 kept, n kept and multiplied.
    pub verdicts: Vec<u32>,
    /// One for each event: bit i is the i-th name of `TAGS`.
    pub tags: Vec<u32>,
    /// One for each frame.
    pub redacted: Vec<bool>,
}

/// The tables of a session, and the events of the next batch. As in a session, equal strings and equal stacks have
/// equal numbers, and the tables only grow until a new generation.
pub struct Scene {
    generation: u32,
    sequence: u64,
    strings: Vec<String>,
    frames: Vec<Frame>,
    stacks: Vec<Node>,
    processes: Vec<Process>,
    events: Vec<Event>,
}

impl Default for Scene {
    fn default() -> Self {
        Scene {
            generation: 1,
            sequence: 0,
            strings: std::vec![String::new()],
            frames: std::vec![Frame { kind: frame_kind::ROOT, ..Frame::default() }],
            stacks: std::vec![Node::default()],
            processes: std::vec![Process::default()],
            events: Vec::new(),
        }
    }
}

fn intern<T: PartialEq>(table: &mut Vec<T>, row: T) -> u32 {
    let known = table.iter().position(|other| *other == row).unwrap_or(table.len());
    if known == table.len() {
        table.push(row);
    }
    known as u32
}

impl Scene {
    /// Empty strings, the root of all stacks, the unknown process, and no event.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tables begin anew; the events are gone.
    pub fn new_generation(&mut self) {
        *self = Scene { generation: self.generation + 1, sequence: self.sequence, ..Self::default() };
    }

    /// The number of a string.
    pub fn string(&mut self, text: &str) -> u32 {
        intern(&mut self.strings, String::from(text))
    }

    /// The number of a frame of compiled code.
    pub fn frame(&mut self, function: &str) -> u32 {
        let function = self.string(function);
        self.frame_row(Frame { function, kind: frame_kind::NATIVE, ..Frame::default() })
    }

    /// The number of a frame.
    pub fn frame_row(&mut self, frame: Frame) -> u32 {
        intern(&mut self.frames, frame)
    }

    /// The number of a stack of functions, outermost first.
    pub fn stack(&mut self, functions: &[&str]) -> u32 {
        functions.iter().fold(0, |parent, function| {
            let frame = self.frame(function);
            intern(&mut self.stacks, Node { parent, frame })
        })
    }

    /// The number of a process.
    pub fn process(&mut self, pid: u32, name: &str, cgroup: &str) -> u32 {
        let (name, cgroup) = (self.string(name), self.string(cgroup));
        intern(&mut self.processes, Process { pid, name, cgroup, ..Process::default() })
    }

    /// One more event of the next batch.
    pub fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The next batch through a filter. Its events are gone then, the tables stay.
    ///
    /// Panics if the filter's `on_batch` does.
    pub fn run<F: Filter>(&mut self, filter: &mut F) -> Decided {
        let mut arena = self.arena();
        let decided = arena.open(|batch, decisions| {
            filter.on_batch(batch, decisions);
            Decided {
                verdicts: decisions.verdicts.iter().copied().map(Verdict::get).collect(),
                tags: decisions.tags.iter().copied().map(Tags::bits).collect(),
                redacted: decisions.redacted.iter().copied().map(Redaction::is_hidden).collect(),
            }
        });
        self.events.clear();
        self.sequence += 1;
        decided.expect("a scene's header is right")
    }

    /// The next batch as the host lays it out.
    pub fn arena(&self) -> Arena {
        let mut arena = Arena { words: std::vec![0; size_of::<Header>() / 8], length: size_of::<Header>() };
        let mut slices = Vec::new();
        for text in &self.strings {
            slices.push(Slice { offset: arena.append(text.as_bytes(), 1), length: text.len() as u32 });
        }
        let header = Header {
            magic: layout::MAGIC,
            major: layout::MAJOR,
            minor: layout::MINOR,
            header_size: size_of::<Header>() as u32,
            event_size: size_of::<Event>() as u32,
            n_events: self.events.len() as u32,
            events: arena.append(&self.events, 8),
            verdicts: arena.append(&std::vec![1u32; self.events.len()], 4),
            tags: arena.append(&std::vec![0u32; self.events.len()], 4),
            generation: self.generation,
            flags: if self.sequence == 0 { layout::FIRST_BATCH } else { 0 },
            now_ns: self.events.iter().map(|event| event.time_ns).max().unwrap_or(0),
            sequence: self.sequence,
            n_strings: slices.len() as u32,
            strings: arena.append(&slices, 4),
            n_frames: self.frames.len() as u32,
            frames: arena.append(&self.frames, 4),
            n_stacks: self.stacks.len() as u32,
            stacks: arena.append(&self.stacks, 4),
            n_processes: self.processes.len() as u32,
            processes: arena.append(&self.processes, 8),
            redacted: arena.append(&std::vec![0u8; self.frames.len()], 1),
            ..Header::default()
        };
        *arena.header() = header;
        arena
    }
}

/// An arena in memory, for tests of what a filter makes of a wrong one.
pub struct Arena {
    words: Vec<u64>,
    length: usize,
}

impl Arena {
    /// Its header, to be changed.
    pub fn header(&mut self) -> &mut Header {
        // SAFETY: an arena begins with a header, words are aligned as one, and every bit pattern is one.
        unsafe { &mut *self.words.as_mut_ptr().cast::<Header>() }
    }

    /// All of it, to be changed.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the words are ours, initialised, and reach to self.length.
        unsafe { core::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.length) }
    }

    /// The views of it, or what is wrong with the header.
    pub fn open<R>(&mut self, look: impl FnOnce(&Batch<'_>, &mut Decisions<'_>) -> R) -> Result<R, &'static str> {
        // SAFETY: the words are ours, initialised and borrowed for as long as the views live.
        let (batch, mut decisions) = unsafe { Batch::open(self.words.as_mut_ptr().cast(), self.length)? };
        Ok(look(&batch, &mut decisions))
    }

    fn append<T: Copy>(&mut self, rows: &[T], alignment: usize) -> u32 {
        let offset = (self.length + alignment - 1) / alignment * alignment;
        self.length = offset + size_of_val(rows);
        self.words.resize((self.length + 7) / 8, 0);
        // SAFETY: the words reach to self.length, and T is one of the plain records, without padding.
        unsafe {
            let to = self.words.as_mut_ptr().cast::<u8>().add(offset);
            core::ptr::copy_nonoverlapping(rows.as_ptr().cast::<u8>(), to, size_of_val(rows));
        }
        offset as u32
    }
}
