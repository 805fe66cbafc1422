//! The views of a batch. Everything a header says is checked once, when the batch is opened; from then on an index out
//! of a table gives an empty row, never a byte that lies elsewhere.

#![allow(unsafe_code)]

use crate::decisions::{Decisions, Redaction, Tags, Verdict};
use crate::layout::{self, Event, Frame, Header, Node, Process, Slice};
use core::mem::{align_of, size_of};
use core::ops::Range;

/// Events and the tables they point into, as they are for the length of one call.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    header: &'a Header,
    events: &'a [Event],
    strings: &'a [Slice],
    frames: &'a [Frame],
    stacks: &'a [Node],
    processes: &'a [Process],
    arena: Arena,
}

/// Where the arena lies, and what of it is written.
#[derive(Clone, Copy)]
struct Arena {
    start: *const u8,
    length: usize,
    written: [(usize, usize); 3],
}

impl<'a> Batch<'a> {
    /// The views of an arena, or what is wrong with its header.
    ///
    /// # Safety
    /// `start` must be the first of `length` bytes that are initialised, and that nobody else reads or writes for 'a.
    #[doc(hidden)]
    pub unsafe fn open(start: *mut u8, length: usize) -> Result<(Batch<'a>, Decisions<'a>), &'static str> {
        if length < size_of::<Header>() || start as usize % align_of::<Header>() != 0 {
            return Err("the header is not in the arena");
        }
        let header: &'a Header = &*(start as *const Header);
        if header.magic != layout::MAGIC || header.major != layout::MAJOR {
            return Err("the header is not one of this version");
        }
        if header.header_size as usize != size_of::<Header>() || header.event_size as usize != size_of::<Event>() {
            return Err("the header's sizes are not those of this version");
        }
        let place = Place { start, length };
        let events = place.range::<Event>(header.events, header.n_events)?;
        let strings = place.range::<Slice>(header.strings, header.n_strings)?;
        let frames = place.range::<Frame>(header.frames, header.n_frames)?;
        let stacks = place.range::<Node>(header.stacks, header.n_stacks)?;
        let processes = place.range::<Process>(header.processes, header.n_processes)?;
        let verdicts = place.range::<Verdict>(header.verdicts, header.n_events)?;
        let tags = place.range::<Tags>(header.tags, header.n_events)?;
        let redacted = place.range::<Redaction>(header.redacted, header.n_frames)?;

        let written = [verdicts, tags, redacted];
        let read = [(0, size_of::<Header>()), events, strings, frames, stacks, processes];
        for (i, &one) in written.iter().enumerate() {
            if read.iter().chain(&written[i + 1..]).any(|&other| overlap(one, other)) {
                return Err("what the filter writes overlaps what it reads");
            }
        }
        // Each range lies in the arena at its type's alignment, every bit pattern is a value of the types, and what is
        // written overlaps nothing else.
        let batch = Batch {
            header,
            events: place.slice(events),
            strings: place.slice(strings),
            frames: place.slice(frames),
            stacks: place.slice(stacks),
            processes: place.slice(processes),
            arena: Arena { start, length, written },
        };
        let decisions = Decisions {
            verdicts: place.slice_mut(verdicts),
            tags: place.slice_mut(tags),
            redacted: place.slice_mut(redacted),
        };
        Ok((batch, decisions))
    }

    /// The events, in the order they were drained: by time only roughly.
    #[inline]
    pub fn events(&self) -> &'a [Event] {
        self.events
    }

    /// A string as UTF-8; empty if there is none of that number.
    #[inline]
    pub fn string(&self, id: u32) -> &'a [u8] {
        match self.strings.get(id as usize) {
            Some(slice) => self.bytes(*slice),
            None => &[],
        }
    }

    fn bytes(&self, slice: Slice) -> &'a [u8] {
        let range = (slice.offset as usize, slice.length as usize);
        let fits = range.0 <= self.arena.length && range.1 <= self.arena.length - range.0;
        if !fits || self.arena.written.iter().any(|&written| overlap(range, written)) {
            return &[];
        }
        // SAFETY: it lies in the arena, which `open` was promised, and apart from all that is written.
        unsafe { core::slice::from_raw_parts(self.arena.start.add(range.0), range.1) }
    }

    /// How many strings there are.
    #[inline]
    pub fn n_strings(&self) -> usize {
        self.strings.len()
    }

    /// All frames known so far, by number.
    #[inline]
    pub fn frames(&self) -> &'a [Frame] {
        self.frames
    }

    /// The trie of stacks by number of the node. Node 0 is the root, no stack at all.
    #[inline]
    pub fn stacks(&self) -> &'a [Node] {
        self.stacks
    }

    /// The frames of a stack, innermost to outermost.
    #[inline]
    pub fn stack(&self, node: u32) -> Stack<'a> {
        Stack { batch: *self, node }
    }

    /// All processes known so far, by number. Row 0 is the unknown one.
    #[inline]
    pub fn processes(&self) -> &'a [Process] {
        self.processes
    }

    /// The process of an event; all zeros if there is none of that number.
    #[inline]
    pub fn process(&self, row: u32) -> Process {
        self.processes.get(row as usize).copied().unwrap_or_default()
    }

    /// Of the tables: a number means the same row as long as this stays.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.header.generation
    }

    /// When the batch was drained, Unix nanoseconds; on replay when it was then.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.header.now_ns
    }

    /// The batch's number, of this instance, from 0.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.header.sequence
    }

    /// Whether events were lost before this batch.
    #[inline]
    pub fn lost_events(&self) -> bool {
        self.header.flags & layout::LOST_EVENTS != 0
    }

    /// Whether this is the first batch of this instance.
    #[inline]
    pub fn is_first(&self) -> bool {
        self.header.flags & layout::FIRST_BATCH != 0
    }
}

/// The frames of one stack, innermost to outermost.
#[derive(Clone)]
pub struct Stack<'a> {
    batch: Batch<'a>,
    node: u32,
}

impl<'a> Iterator for Stack<'a> {
    type Item = &'a Frame;

    #[inline]
    fn next(&mut self) -> Option<&'a Frame> {
        if self.node == 0 {
            return None;
        }
        let node = self.batch.stacks.get(self.node as usize)?;
        // A parent's number is smaller: a trie that says otherwise ends here instead of going round for ever.
        self.node = if node.parent < self.node { node.parent } else { 0 };
        self.batch.frames.get(node.frame as usize)
    }
}

/// How far a filter has read a table that only grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watermark {
    generation: Option<u32>,
    seen: usize,
}

impl Watermark {
    /// The rows that are new since the last time, of a table of `rows` rows now: all of a new generation, which is
    /// when the range begins at 0.
    pub fn advance(&mut self, batch: &Batch<'_>, rows: usize) -> Range<usize> {
        if self.generation != Some(batch.generation()) || rows < self.seen {
            self.generation = Some(batch.generation());
            self.seen = 0;
        }
        let new = self.seen..rows;
        self.seen = rows;
        new
    }
}

/// (offset, bytes)
type Extent = (usize, usize);

fn overlap(one: Extent, other: Extent) -> bool {
    one.1 != 0 && other.1 != 0 && one.0 < other.0 + other.1 && other.0 < one.0 + one.1
}

struct Place {
    start: *mut u8,
    length: usize,
}

impl Place {
    /// Where `n` rows lie, in bytes.
    fn range<T>(&self, offset: u32, n: u32) -> Result<Extent, &'static str> {
        let (from, bytes) = (u64::from(offset), u64::from(n) * size_of::<T>() as u64);
        if from + bytes > self.length as u64 {
            return Err("a table is not in the arena");
        }
        if n != 0 && (self.start as usize + offset as usize) % align_of::<T>() != 0 {
            return Err("a table is not at its natural boundary");
        }
        Ok((offset as usize, bytes as usize))
    }

    /// # Safety
    /// The extent must be one of `range::<T>`, and nobody may write there for 'a.
    unsafe fn slice<'a, T>(&self, (offset, bytes): Extent) -> &'a [T] {
        match bytes {
            0 => &[],
            _ => core::slice::from_raw_parts(self.start.add(offset) as *const T, bytes / size_of::<T>()),
        }
    }

    /// # Safety
    /// The extent must be one of `range::<T>`, and nobody else may read or write there for 'a.
    unsafe fn slice_mut<'a, T>(&self, (offset, bytes): Extent) -> &'a mut [T] {
        match bytes {
            0 => &mut [],
            _ => core::slice::from_raw_parts_mut(self.start.add(offset) as *mut T, bytes / size_of::<T>()),
        }
    }
}
