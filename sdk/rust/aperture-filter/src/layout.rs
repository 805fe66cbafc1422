//! What lies in the arena, byte for byte: little-endian, every field on its natural boundary. The profiler's own
//! records (`EVENT`, `FRAME`, `PROCESS`) and the headers in C and AssemblyScript are the same; a test compares.

use core::mem::size_of;

/// "APB1", the first word of every header.
pub const MAGIC: u32 = 0x3142_5041;
/// The version of the interface that this crate speaks.
pub const MAJOR: u16 = 1;
/// A host of the same major and at least this minor runs the filter.
pub const MINOR: u16 = 0;

/// Header flag: events were lost before this batch.
pub const LOST_EVENTS: u32 = 1;
/// Header flag: this is the first batch of this instance.
pub const FIRST_BATCH: u32 = 2;

/// Where an event's role stands in its flags.
pub const ROLE_SHIFT: u16 = 12;

/// What an event means, as in [`Event::kind`].
pub mod kind {
    /// One sample of a running thread.
    pub const CPU: u16 = 1;
    /// Time blocked or waiting for a CPU.
    pub const OFFCPU: u16 = 2;
    /// A latency bucket of (process, system call, outcome).
    pub const SYSCALL: u16 = 3;
    /// A latency bucket of (thread, lock, stack, outcome).
    pub const LOCK: u16 = 4;
    /// One kernel execution on a GPU.
    pub const GPU_KERNEL: u16 = 5;
    /// One copy or memset on a GPU.
    pub const GPU_COPY: u16 = 6;
    /// Calls that give work to a GPU, as they are made on the CPU.
    pub const GPU_CALL: u16 = 7;
}

/// What sort of code a frame is, as in [`Frame::kind`].
pub mod frame_kind {
    /// The root of every stack.
    pub const ROOT: u32 = 0;
    /// A process name: the outermost frame of every stack.
    pub const PROCESS: u32 = 1;
    /// Kernel code.
    pub const KERNEL: u32 = 2;
    /// Compiled code.
    pub const NATIVE: u32 = 3;
    /// Code that a runtime made and named.
    pub const JIT: u32 = 4;
    /// A Python function.
    pub const PYTHON: u32 = 5;
    /// A frame of another interpreter.
    pub const RUNTIME: u32 = 6;
    /// A GPU kernel or a copy.
    pub const GPU: u32 = 7;
    /// An address that could not be given a module.
    pub const UNKNOWN: u32 = 8;
    /// A thread, under its process where stacks are told apart by thread.
    pub const THREAD: u32 = 9;
    /// The lock that a stack waits for.
    pub const LOCK: u32 = 10;
    /// The tags of an event, above its process where stacks are told apart by them.
    pub const TAG: u32 = 11;
}

/// Whose part of a wait or a call an event tells, as in [`Event::role`].
pub mod role {
    /// It happened to this thread, and is over: all CPU samples, calls, waits.
    pub const OWN: u16 = 0;
    /// It goes on: `duration_ns` is its age at `time_ns`. Told again every second.
    pub const IN_FLIGHT: u16 = 1;
    /// This thread ended somebody's wait.
    pub const WAKER: u16 = 2;
    /// This thread held the lock when others began to wait.
    pub const HOLDER: u16 = 3;
}

/// The start of the arena. Every offset counts from the header's own first byte.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// The host's version, major part.
    pub major: u16,
    /// The host's version, minor part.
    pub minor: u16,
    /// Bytes of this header.
    pub header_size: u32,
    /// Bytes of an event.
    pub event_size: u32,
    /// Events in this batch.
    pub n_events: u32,
    /// Offset of the events.
    pub events: u32,
    /// Offset of a `u32` for each event, 1 in each.
    pub verdicts: u32,
    /// Offset of a `u32` for each event, 0 in each.
    pub tags: u32,
    /// When this changes, all tables begin anew.
    pub generation: u32,
    /// [`LOST_EVENTS`], [`FIRST_BATCH`].
    pub flags: u32,
    /// Unix nanoseconds: when the batch was drained.
    pub now_ns: u64,
    /// The batch's number, of this instance, from 0.
    pub sequence: u64,
    /// 0.
    pub unused: u64,
    /// Strings known so far.
    pub n_strings: u32,
    /// Offset of [`Slice`]s.
    pub strings: u32,
    /// Frames known so far.
    pub n_frames: u32,
    /// Offset of [`Frame`]s.
    pub frames: u32,
    /// Nodes of the trie of stacks.
    pub n_stacks: u32,
    /// Offset of [`Node`]s.
    pub stacks: u32,
    /// Processes known so far.
    pub n_processes: u32,
    /// Offset of [`Process`]es.
    pub processes: u32,
    /// Offset of a byte for each frame.
    pub redacted: u32,
    /// 0.
    pub rest: [u32; 7],
}

/// One event. Strings, stacks and processes are numbers of rows in the tables of the [`Batch`](crate::Batch).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When, Unix nanoseconds; of an aggregate: the end of its interval.
    pub time_ns: u64,
    /// The sum over `weight`; of a CPU sample: the sampling period.
    pub duration_ns: u64,
    /// The longest of them.
    pub maximum_ns: u64,
    /// A lock's address, bytes of a copy.
    pub value: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Row of the process: its name, start and cgroup. 0 is unknown.
    pub process: u32,
    /// String: the thread's name.
    pub thread: u32,
    /// String: system call, kind of lock, GPU kernel, direction of a copy.
    pub name: u32,
    /// Node of the trie of stacks; 0 is no stack.
    pub stack: u32,
    /// How many this stands for.
    pub weight: u32,
    /// Error number; of a GPU its device << 24 | its stream.
    pub aux: u32,
    /// See [`kind`].
    pub kind: u16,
    /// How it was taken; bits 12 and 13 are its [`role`](Event::role).
    pub flags: u16,
    /// CPU; of a GPU which call it comes from.
    pub cpu: u16,
    /// Tags that filters before this one gave it.
    pub tags: u16,
}

impl Event {
    /// See [`role`].
    #[inline]
    pub fn role(&self) -> u16 {
        self.flags >> ROLE_SHIFT & 3
    }
}

/// Where a string lies.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Offset of its first byte.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

/// One frame of a stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// String.
    pub function: u32,
    /// String: the binary or the module.
    pub module: u32,
    /// String: the source file.
    pub file: u32,
    /// 0 is unknown.
    pub line: u32,
    /// See [`frame_kind`].
    pub kind: u32,
}

/// A node of the trie of stacks: its own, innermost frame on top of the stack `parent`, whose number is smaller.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The stack that called; 0 is the root.
    pub parent: u32,
    /// Row of the frame.
    pub frame: u32,
}

/// One process as it was for a while.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Unix nanoseconds of its start, 0 if unknown.
    pub start_ns: u64,
    /// Process id.
    pub pid: u32,
    /// String.
    pub name: u32,
    /// String: the path of its cgroup.
    pub cgroup: u32,
    /// String: the container's id.
    pub container: u32,
}

const _: () = assert!(size_of::<Header>() == 128);
const _: () = assert!(size_of::<Event>() == 72);
const _: () = assert!(size_of::<Slice>() == 8);
const _: () = assert!(size_of::<Frame>() == 20);
const _: () = assert!(size_of::<Node>() == 8);
const _: () = assert!(size_of::<Process>() == 24);
