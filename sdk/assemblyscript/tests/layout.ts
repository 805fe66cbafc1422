// Where every field lies, as globals that the tests read: `Record_field` is its offset, `Record_` the size of it all.

import { Event, Frame, Header, HEADER_SIZE, Node, Process, Slice } from "../aperture_filter";

export const Header_: u32 = HEADER_SIZE;
export const Header_magic: u32 = offsetof<Header>("magic");
export const Header_major: u32 = offsetof<Header>("major");
export const Header_minor: u32 = offsetof<Header>("minor");
export const Header_header_size: u32 = offsetof<Header>("header_size");
export const Header_event_size: u32 = offsetof<Header>("event_size");
export const Header_n_events: u32 = offsetof<Header>("n_events");
export const Header_events: u32 = offsetof<Header>("events");
export const Header_verdicts: u32 = offsetof<Header>("verdicts");
export const Header_tags: u32 = offsetof<Header>("tags");
export const Header_generation: u32 = offsetof<Header>("generation");
export const Header_flags: u32 = offsetof<Header>("flags");
export const Header_now_ns: u32 = offsetof<Header>("now_ns");
export const Header_sequence: u32 = offsetof<Header>("sequence");
export const Header_unused: u32 = offsetof<Header>("unused");
export const Header_n_strings: u32 = offsetof<Header>("n_strings");
export const Header_strings: u32 = offsetof<Header>("strings");
export const Header_n_frames: u32 = offsetof<Header>("n_frames");
export const Header_frames: u32 = offsetof<Header>("frames");
export const Header_n_stacks: u32 = offsetof<Header>("n_stacks");
export const Header_stacks: u32 = offsetof<Header>("stacks");
export const Header_n_processes: u32 = offsetof<Header>("n_processes");
export const Header_processes: u32 = offsetof<Header>("processes");
export const Header_redacted: u32 = offsetof<Header>("redacted");

export const Event_: u32 = offsetof<Event>();
export const Event_time_ns: u32 = offsetof<Event>("time_ns");
export const Event_duration_ns: u32 = offsetof<Event>("duration_ns");
export const Event_maximum_ns: u32 = offsetof<Event>("maximum_ns");
export const Event_value: u32 = offsetof<Event>("value");
export const Event_pid: u32 = offsetof<Event>("pid");
export const Event_tid: u32 = offsetof<Event>("tid");
export const Event_process: u32 = offsetof<Event>("process");
export const Event_thread: u32 = offsetof<Event>("thread");
export const Event_name: u32 = offsetof<Event>("name");
export const Event_stack: u32 = offsetof<Event>("stack");
export const Event_weight: u32 = offsetof<Event>("weight");
export const Event_aux: u32 = offsetof<Event>("aux");
export const Event_kind: u32 = offsetof<Event>("kind");
export const Event_flags: u32 = offsetof<Event>("flags");
export const Event_cpu: u32 = offsetof<Event>("cpu");
export const Event_tags: u32 = offsetof<Event>("tags");

export const Slice_: u32 = offsetof<Slice>();
export const Slice_offset: u32 = offsetof<Slice>("offset");
export const Slice_length: u32 = offsetof<Slice>("length");

export const Frame_: u32 = offsetof<Frame>();
export const Frame_function: u32 = offsetof<Frame>("function");
export const Frame_module: u32 = offsetof<Frame>("module");
export const Frame_file: u32 = offsetof<Frame>("file");
export const Frame_line: u32 = offsetof<Frame>("line");
export const Frame_kind: u32 = offsetof<Frame>("kind");

export const Node_: u32 = offsetof<Node>();
export const Node_parent: u32 = offsetof<Node>("parent");
export const Node_frame: u32 = offsetof<Node>("frame");

export const Process_: u32 = offsetof<Process>();
export const Process_start_ns: u32 = offsetof<Process>("start_ns");
export const Process_pid: u32 = offsetof<Process>("pid");
export const Process_name: u32 = offsetof<Process>("name");
export const Process_cgroup: u32 = offsetof<Process>("cgroup");
export const Process_container: u32 = offsetof<Process>("container");
